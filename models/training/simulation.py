"""A simulated city: its firms as the eight sources of the firm archive deliver them on a day, and which defaulted.

It is as awkward as government data: sources deliver late or not at all, cells are empty, sources contradict each other,
some firms fake their figures, and shell firms come in rings. What lies behind is in `firms.py`, what the sources tell
of it in `observations.py`; here they are put together and their delivery is drawn.
"""

from dataclasses import dataclass
from datetime import date

import numpy as np

import firms as population
import observations
from firms import Firms, quarter, stream

MISSING_CELL = 0.015
# Firms drawn for one wanted: some are registered only after the day of the city.
SPARE = 1.7


@dataclass
class City:
    """`sources[source][field]`; `present[source]` says which firms the source delivered at all. `number` says which
    firm a row is: the same in a city of the same seed on another day. `late[source]`: quarters that a row is behind.
    `ring`, `faking`, `late` and `defaulted` are known to the generator only."""

    as_of: date
    sources: dict
    present: dict
    defaulted: np.ndarray
    industry: np.ndarray
    number: np.ndarray
    ring: np.ndarray
    faking: np.ndarray
    late: dict

    def __len__(self):
        return len(self.defaulted)


def simulate(seed: int, count: int, as_of: date, faked=True, late=True, whole=False) -> City:
    """The first `count` firms, or with `whole` all that were drawn beside them. `faked` and `late` off: the same firms
    with the same outcomes, seen without what they fake, or without delay."""
    drawn = int(SPARE * count)
    everybody = population.draw(seed, drawn)
    there = everybody.registered <= population.day_number(as_of) - population.YOUNGEST
    of = np.flatnonzero(there)
    if len(of) < count:
        raise ValueError(f"only {len(of)} of {count} firms are registered on {as_of}")
    of = of if whole else of[:count]
    firms = everybody.take(of)
    faking = population.fakers(firms, as_of)
    behind = lateness(seed, firms, as_of, of, drawn)
    shown = faking if faked else np.zeros(len(of), bool)
    told = behind if late else {source: np.zeros(len(of), np.int64) for source in behind}
    sources = observations.observe(seed, firms, as_of, shown, told, of, drawn)
    present = delivered(seed, firms, as_of, of, drawn)
    for source, fields in sources.items():
        for name, column in fields.items():
            column.missing |= stream(seed, "empty cell", source, name).random(drawn)[of] < MISSING_CELL
            column.missing |= ~present[source]
    outcomes = population.defaults(seed, firms, as_of, faking, of, drawn)
    return City(as_of, sources, present, outcomes, firms.industry, of, firms.ring, faking, behind)


def lateness(seed: int, firms: Firms, as_of: date, of: np.ndarray, drawn: int) -> dict:
    """Quarters that each firm's row is behind. Statements are always late, and later where there is something to hide."""
    health = firms.health_at(quarter(as_of))
    rng = stream(seed, "late", as_of)
    found = {}
    for source in observations.SOURCES:
        luck, reach = rng.random(drawn)[of], rng.integers(1, 5, drawn)[of]
        chance = {"financial_statements": 0.12, "tax_paid": 0.06, "tax_declared": 0.06}.get(source, 0.1)
        if source == "financial_statements":
            chance = chance + 0.06 * np.clip(-health - 0.5 - 0.3 * firms.discipline, 0, 4)
        found[source] = np.where(luck < chance, reach, 0)
    found["financial_statements"] = found["financial_statements"] + rng.integers(0, 3, drawn)[of]
    return found


def delivered(seed: int, firms: Firms, as_of: date, of: np.ndarray, drawn: int) -> dict:
    """Which sources exist for each firm. Small firms keep no statements; some use no public service at all; a firm
    that does badly rather shows nothing."""
    count = len(of)
    rng = stream(seed, "delivered")
    small, poor = firms.size < -0.8, firms.health_at(quarter(as_of)) < -1.0
    gone = lambda chance: rng.random(drawn)[of] < chance
    off_grid, no_tax = gone(0.05), gone(0.03 + 0.02 * poor)
    return {
        "basic_information": np.ones(count, bool),
        "business_registration": ~gone(0.03),
        "development_and_reform": ~(off_grid | gone(0.06)),
        "tax_declared": ~(no_tax | gone(0.02)),
        "tax_paid": ~(no_tax | gone(0.03)),
        "financial_statements": ~gone(np.where(small, 0.30, 0.07) + 0.1 * poor),
        "social_insurance": ~(off_grid | gone(np.where(small, 0.15, 0.03) + 0.03 * poor)),
        "housing_fund": ~(off_grid | gone(np.where(small, 0.35, 0.08) + 0.05 * poor)),
    }
