"""The firms of a simulated city: what they are, how they fare from quarter to quarter, and who defaults.

Nothing here is seen by a model. `observations.py` turns it into what the sources tell. Randomness comes in streams of
their own for each purpose, so that the same seed gives the same firms on whatever day they are looked at.
"""

import zlib
from dataclasses import dataclass
from datetime import date

import numpy as np

# Log odds to default of a firm with every cause at its mean, in an even economy: gives about 2.4 % in all.
INTERCEPT = -5.2
# Log odds that a firm of a ring and one that fakes its figures have beside what its health says.
RING_DEFAULTS, FAKER_DEFAULTS = 1.6, 0.5
FIRST_QUARTER, LAST_QUARTER = 2021 * 4, 2028 * 4
# Firms are drawn up to this day; a city of an earlier day has those that were registered at least YOUNGEST days before.
HORIZON, YOUNGEST = date(2028, 1, 1), 120
RING_AMONG = 350


@dataclass(frozen=True)
class Industry:
    """How an industry differs: log odds to default, how far the economy's ups and downs reach it, margin, share of
    sales that customers owe, staff beside others with the same sales (log), debt."""

    share: float
    risk: float
    cyclical: float
    margin: float
    receivables: float
    staff: float
    debt: float


# In the order of identity.INDUSTRIES.
INDUSTRIES = (
    Industry(0.26, 0.00, 0.9, 0.00, 0.02, 0.2, 0.00),
    Industry(0.27, 0.15, 0.8, -0.02, -0.02, -0.4, 0.04),
    Industry(0.12, 0.35, 1.5, -0.01, 0.10, -0.1, 0.10),
    Industry(0.08, 0.10, 1.2, -0.01, 0.03, 0.1, 0.05),
    Industry(0.10, -0.20, 0.6, 0.05, 0.05, 0.3, -0.06),
    Industry(0.07, 0.45, 1.6, 0.01, -0.10, 0.5, 0.02),
    Industry(0.06, -0.30, 0.5, 0.04, 0.04, 0.2, -0.05),
    Industry(0.04, 0.10, 0.4, 0.00, -0.03, 0.0, 0.03),
)
# State of the economy, 0 even: set for the quarters of these days and linear between.
ECONOMY = ((date(2021, 1, 1), 0.2), (date(2023, 1, 1), -0.3), (date(2024, 7, 1), 0.0), (date(2026, 10, 1), 0.0),
           (date(2027, 10, 1), -1.5), (date(2028, 12, 31), -0.8))


def day_number(day: date) -> int:
    return (day - date(1970, 1, 1)).days


def quarter(day: date) -> int:
    """Quarters since the year 0."""
    return day.year * 4 + (day.month - 1) // 3


def economy(quarters: np.ndarray) -> np.ndarray:
    return np.interp(quarters, [quarter(day) for day, _ in ECONOMY], [state for _, state in ECONOMY])


def stream(seed: int, *names) -> np.random.Generator:
    """Random numbers of their own for each purpose."""
    return np.random.default_rng([seed, *(zlib.crc32(str(name).encode()) for name in names)])


@dataclass
class Firms:
    """All arrays have a row for each firm; `health` has a column for each quarter from FIRST_QUARTER on."""

    registered: np.ndarray
    industry: np.ndarray
    size: np.ndarray
    discipline: np.ndarray
    leverage: np.ndarray
    dispute: np.ndarray
    # How far it goes in showing less to the tax office than to others, within what is common.
    thrift: np.ndarray
    health: np.ndarray
    # Number of the shell firms' ring, 0 for none. A label of the generator only: no model reads it.
    ring: np.ndarray
    # Uniform; what makes a firm that is in trouble one that fakes.
    temptation: np.ndarray

    def __len__(self):
        return len(self.size)

    def take(self, rows) -> "Firms":
        return Firms(*(part[rows] for part in vars(self).values()))

    def of_industry(self, trait: str) -> np.ndarray:
        return np.array([getattr(i, trait) for i in INDUSTRIES])[self.industry]

    def health_at(self, quarters: np.ndarray) -> np.ndarray:
        """Health of each firm in a quarter of its own."""
        at = np.clip(np.broadcast_to(quarters, len(self)) - FIRST_QUARTER, 0, self.health.shape[1] - 1)
        return self.health[np.arange(len(self)), at]


def draw(seed: int, count: int) -> Firms:
    rng = stream(seed, "firms")
    base, discipline, own = rng.normal(size=count), rng.normal(size=count), rng.normal(size=count)
    industry = rng.choice(len(INDUSTRIES), count, p=[i.share for i in INDUSTRIES])
    ages = np.minimum(rng.exponential(2300, count), 11500)
    firms = Firms(
        registered=day_number(HORIZON) - YOUNGEST - ages.astype(np.int64),
        industry=industry,
        size=rng.normal(size=count),
        discipline=discipline,
        leverage=0.8 * own - 0.35 * base,
        dispute=rng.normal(size=count),
        thrift=rng.normal(size=count),
        health=np.zeros((count, 0)),
        ring=np.zeros(count, np.int64),
        temptation=rng.random(count),
    )
    firms.health = health_path(stream(seed, "health"), firms, 0.9 * base + 0.3 * discipline)
    rings(stream(seed, "rings"), firms)
    return firms


def health_path(rng, firms: Firms, level: np.ndarray) -> np.ndarray:
    """A firm's own level, what the economy does to its industry, and shocks that fade over a year or so."""
    quarters = np.arange(FIRST_QUARTER, LAST_QUARTER + 1)
    reach = firms.of_industry("cyclical")
    shock = rng.normal(size=len(firms))
    path = np.zeros((len(firms), len(quarters)))
    for at, state in enumerate(economy(quarters)):
        path[:, at] = 0.85 * level + 0.5 * shock + 0.4 * reach * state
        shock = 0.8 * shock + 0.6 * rng.normal(size=len(firms))
    return path


def rings(rng, firms: Firms):
    """Shell firms: registered within a week, led by one person from one address, with little behind their figures. One
    ring among every RING_AMONG firms, so that a city that takes the first firms has whole ones."""
    for number, first in enumerate(range(0, len(firms) - RING_AMONG + 1, RING_AMONG), 1):
        ring = first + rng.permutation(RING_AMONG)[:int(rng.integers(4, 10))]
        begun = day_number(HORIZON) - YOUNGEST - int(rng.integers(0, 1600))
        firms.ring[ring] = number
        firms.registered[ring] = begun - rng.integers(0, 7, len(ring))
    shell = firms.ring > 0
    firms.size[shell] = 0.4 * firms.size[shell] - 0.2
    # Orderly on paper.
    firms.discipline[shell] = 0.5 * firms.discipline[shell] + 0.3


def fakers(firms: Firms, as_of: date) -> np.ndarray:
    """Who inflates statements or buys paid-in capital: a share of the firms in trouble, hardly any of the others."""
    health = firms.health_at(quarter(as_of))
    chance = np.where(health < -1.0, 0.16, 0.02) + np.where(firms.discipline < -0.7, 0.06, 0) \
        + np.where(firms.leverage > 1.0, 0.06, 0)
    return (firms.temptation < chance) & (firms.ring == 0)


def log_odds(firms: Firms, as_of: date, faking: np.ndarray) -> np.ndarray:
    """Log odds to default within 365 days. What the economy does in that year counts, not only what it did before."""
    health = firms.health_at(quarter(as_of))
    year = economy(np.arange(quarter(as_of) + 1, quarter(as_of) + 5)).mean()
    age = np.maximum(day_number(as_of) - firms.registered, YOUNGEST)
    return (
        INTERCEPT - 0.95 * health - 0.5 * firms.discipline + 0.55 * firms.leverage - 0.18 * firms.size
        + 0.45 * np.maximum(firms.dispute - 0.8, 0) - 0.2 * np.log(age / 2000)
        + 0.35 * np.maximum(firms.leverage, 0) * np.maximum(-health, 0)
        + firms.of_industry("risk") - 0.08 * year * firms.of_industry("cyclical")
        + RING_DEFAULTS * (firms.ring > 0) + FAKER_DEFAULTS * faking
    )


def defaults(seed: int, firms: Firms, as_of: date, faking: np.ndarray, of: np.ndarray, drawn: int) -> np.ndarray:
    """Draws the outcomes; `of` are the firms' places among `drawn`, so that a firm's luck is its own."""
    luck = stream(seed, "outcome", as_of).random(drawn)[of]
    return luck < 1 / (1 + np.exp(-log_odds(firms, as_of, faking)))
