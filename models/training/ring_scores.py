"""What the firms of a made-up city of rings score: the registered model's own answers on firms of `simulation.py`.

Who is behind a ring decides from which of them it draws: shell firms from the simulated shells, those whose loans fail
from the firms that default. Nothing about a score is invented here; what is assumed is who draws from where.
"""

from dataclasses import dataclass
from datetime import date

import numpy as np

import features
import parity
import registry
import simulation

MODEL = registry.ROOT / "models" / "registry" / "2026.11.3"
FIRMS = 20_000
# Far from the seeds that the model was trained and tested on.
FIRST_SEED = 7_000_000
EVERYBODY, SHELLS, DEFAULTED = "everybody", "shells", "defaulted"


@dataclass(frozen=True)
class Scores:
    """A row for each firm: its points, and what each dimension adds or costs. `pools` names rows."""

    rows: np.ndarray
    pools: dict

    def draw(self, rng: np.random.Generator, pool: str, worst_of: int = 1) -> list:
        """The score of a firm of a pool; of several, the one that the model likes least."""
        rows = self.rows[rng.choice(self.pools[pool], worst_of)]
        return rows[rows[:, 0].argmin()].tolist()


def scores(seed: int, as_of: date) -> Scores:
    city = simulation.simulate(FIRST_SEED + seed, FIRMS, as_of)
    rows = parity.ours(MODEL, features.NAMES, features.matrix(city))[:, 1:].astype(int)
    shell = city.ring > 0
    pools = {EVERYBODY: np.flatnonzero(~shell), SHELLS: np.flatnonzero(shell), DEFAULTED: np.flatnonzero(city.defaulted)}
    return Scores(rows, pools)
