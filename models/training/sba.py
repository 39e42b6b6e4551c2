"""The SBA loans as firms that apply: what was known on the day of approval, and nothing that came later.

Left out because it leaks the outcome: the term (a loan that is charged off keeps the month in which it was, so terms
that do not divide by twelve default at 58.6 % and others at 2.5 %), what was disbursed and when, the balance, everything
about charge-offs, and the approval year. Loans approved before 1989 are a biased selection; training starts in 1997.

A lender, an industry, a place or an answer in text becomes a number in one of two ways:

- the *share* of its loans in the training window that were charged off, newer loans counting more, drawn towards the
  share of what it belongs to (a lender's small loans to the lender, the lender to its state) where it had few;
- what is *usual* for the lender: size, guarantee and make of its loans. No outcome is in it, so it holds longer.

Training rows see the share that the other folds give, or their own outcome would be in it.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd

import book
import datasets
import fit
from spec import Spec, band, category, joint, ratio, text, value

VERSION, SEED = "sba-2026.11.1", 20261102
TRAINED_ON, TESTED_ON = (1997, 2004), (2005, 2006, 2007)
# A loan counts for half of one that was approved this many days later, in the shares and in training.
HALF_LIFE_DAYS = 365.25
# The same in what is usual for a lender.
USUAL_HALF_LIFE_DAYS = 730.5
# Loans at the share of what a text belongs to that are added to its own, and how many it needs to have a number at all.
PRIOR, LEAST_LOANS = 50.0, 20
# Loans at the usual of all lenders that are added to each lender's own.
USUAL_PRIOR = 20.0
FOLDS = 5

NOT_TOLD = "not told"
RARE = "not told, or too few loans in the training window"


@dataclass
class Loans:
    """One row per loan, in the order of approval. `sources`: source, then field, then a column of numbers (NaN is
    missing) or of texts (empty is missing), as `infra/local/src/replay/loan.rs` reads them from the same file."""

    sources: dict
    defaulted: np.ndarray
    # Fiscal year and day of the approval; day of the charge-off, far in the future where there was none. Days since 1970.
    year: np.ndarray
    day: np.ndarray
    charged_off: np.ndarray

    def where(self, rows: np.ndarray) -> "Loans":
        sources = {s: {f: column[rows] for f, column in fields.items()} for s, fields in self.sources.items()}
        return Loans(sources, self.defaulted[rows], self.year[rows], self.day[rows], self.charged_off[rows])

    def as_known_on(self, day: int) -> "Loans":
        """With the outcomes that were known on this day: what is charged off later looks good."""
        return Loans(self.sources, self.defaulted & (self.charged_off <= day), self.year, self.day, self.charged_off)


LENDER = text("lender", "state"), text("lender", "name")
# Loans of up to 10,000 dollars, up to 25,000, and so on; in cents.
SIZE = band("loan", "approved_cents", [100 * k * 1000 + 1 for k in (10, 25, 50, 100, 150, 350)])
# Features whose numbers are shares by text: name, dimension, the parts of the text. Each part belongs to those before it.
SHARES = (
    ("revolving_share", "loan", (text("loan", "revolving"),)),
    ("low_documentation_share", "loan", (text("loan", "low_documentation"),)),
    ("sector_share", "industry", (text("industry", "sector"),)),
    ("industry_share", "industry", (text("industry", "sector"), text("industry", "naics"))),
    ("state_share", "place", (text("place", "state"),)),
    ("area_share", "place", (text("place", "state"), text("place", "area"))),
    ("setting_share", "place", (text("place", "setting"),)),
    ("lender_state_share", "lender", (text("lender", "state"),)),
    ("lender_share", "lender", LENDER),
    ("lender_size_share", "lender", (*LENDER, SIZE)),
)
# Features whose numbers are what is usual for a lender: name, unit, the number of a loan.
USUAL = (
    ("lender_usual_amount", "log of US cents", lambda s: np.log(np.maximum(s["loan"]["approved_cents"], 100_000))),
    ("lender_usual_guarantee", "ratio", lambda s: s["loan"]["guaranteed_cents"] / s["loan"]["approved_cents"]),
    ("lender_usual_revolving", "share", lambda s: (s["loan"]["revolving"] == "Y").astype(float)),
    ("lender_usual_unanswered", "share", lambda s: (s["loan"]["revolving"] == "0").astype(float)),
    ("lender_usual_in_state", "share", lambda s: s["lender"]["in_state"]),
    ("lender_usual_new", "share", lambda s: s["firm"]["new"]),
    ("lender_usual_employees", "log of count + 1", lambda s: np.log1p(s["firm"]["employees"])),
)
# More charge-offs in an industry or a place never speak for a loan.
RISING = {"sector_share", "industry_share", "state_share", "area_share"}


def features(codes: dict) -> tuple:
    """`codes`: of each feature of `SHARES` and `USUAL`, text to number."""
    shares = tuple(coded(name, dimension, parts, codes[name], int(name in RISING)) for name, dimension, parts in SHARES)
    usual = tuple(category(name, "lender", "lender", "name", codes[name], 0, RARE, unit) for name, unit, _ in USUAL)
    own = (
        value("employees", "firm", "firm", "employees", "count", 0, NOT_TOLD),
        value("new_business", "firm", "firm", "new", "yes is 1", 0, NOT_TOLD),
        value("franchise", "firm", "firm", "franchise", "yes is 1", 0, NOT_TOLD),
        value("jobs_created", "firm", "firm", "jobs_created", "count", 0, NOT_TOLD),
        value("jobs_retained", "firm", "firm", "jobs_retained", "count", 0, NOT_TOLD),
        value("approved_cents", "loan", "loan", "approved_cents", "US cents", 0, NOT_TOLD),
        ratio("guaranteed_share", "loan", ("loan", "guaranteed_cents"), ("loan", "approved_cents"), 0, NOT_TOLD),
        ratio("approved_per_employee", "loan", ("loan", "approved_cents"), ("firm", "employees"), 0,
              "not told, or no employees"),
        value("lender_in_state", "lender", "lender", "in_state", "yes is 1", 0, "state of firm or lender not told"),
    )
    groups = ("firm", "loan", "industry", "place", "lender")
    return tuple(f for group in groups for f in (*own, *shares, *usual) if f["dimension"] == group)


def coded(name: str, dimension: str, parts: tuple, codes: dict, direction: int) -> dict:
    if len(parts) > 1:
        return joint(name, dimension, parts, codes, direction, RARE, "share")
    return category(name, dimension, parts[0]["source"], parts[0]["field"], codes, direction, RARE, "share")


def spec(codes: dict) -> Spec:
    return book.by_group(features(codes), trees=100, leaves=15, overall_trees=250, overall_leaves=31, least_rows=200,
                         learning_rate=0.05, feature_fraction=0.6)


REASONS = {
    "FIRM": ("企业规模或经营年限", "The firm's size or how long it has existed"),
    "LOAN": ("贷款金额或结构", "The amount or make of the loan"),
    "INDUSTRY": ("所在行业违约较多", "Many loans in the industry were charged off"),
    "PLACE": ("所在地区违约较多", "Many loans in the area were charged off"),
    "LENDER": ("贷款机构的历史表现", "What became of the lender's earlier loans"),
}


def number(text: pd.Series) -> np.ndarray:
    return pd.to_numeric(text, errors="coerce").to_numpy(float)


def cents(text: pd.Series) -> np.ndarray:
    return np.round(number(text.str.replace(r"[$,\s]", "", regex=True)) * 100)


def days(text: pd.Series) -> np.ndarray:
    """Days since 1970, -1 where it is no date. A two-digit year is of this century up to 2020."""
    when = pd.to_datetime(text, format="%d-%b-%y", errors="coerce")
    when = when.where(~(when > "2020-12-31"), when - pd.DateOffset(years=100))
    return (when - pd.Timestamp("1970-01-01")).dt.days.fillna(-1).to_numpy().astype(np.int64)


def loans(first_year: int, last_year: int) -> Loans:
    """Loans with an outcome that were approved in these fiscal years."""
    frame = datasets.sba()
    frame = frame.apply(lambda column: column.str.strip().str.upper())
    frame["year"] = number(frame["ApprovalFY"].str.extract(r"(\d{4})")[0])
    frame["day"] = days(frame["ApprovalDate"].str.title())
    ended, dated = frame["MIS_Status"].isin(("P I F", "CHGOFF")), frame["day"] > 0
    frame = frame[ended & dated & frame["year"].between(first_year, last_year)].sort_values("day", kind="stable")
    defaulted, when = (frame["MIS_Status"] == "CHGOFF").to_numpy(), days(frame["ChgOffDate"].str.title())
    # A few charge-offs have no date: they count as late ones.
    charged_off = np.where(defaulted & (when > 0), when, np.iinfo(np.int64).max)
    return Loans(sources(frame), defaulted, frame["year"].to_numpy(int), frame["day"].to_numpy(), charged_off)


def sources(frame: pd.DataFrame) -> dict:
    text = lambda name: frame[name].to_numpy(object)
    naics = frame["NAICS"].where(frame["NAICS"] != "0", "")
    state, lender_state = frame["State"], frame["BankState"]
    yes = lambda known, what: np.where(known, what, np.nan).astype(float)
    return {
        "firm": {
            "employees": number(frame["NoEmp"]),
            "new": yes(frame["NewExist"].isin(("1", "2")), frame["NewExist"] == "2"),
            "franchise": (number(frame["FranchiseCode"]) > 1).astype(float),
            "jobs_created": number(frame["CreateJob"]),
            "jobs_retained": number(frame["RetainedJob"]),
        },
        "loan": {
            "approved_cents": cents(frame["GrAppv"]),
            "guaranteed_cents": cents(frame["SBA_Appv"]),
            "revolving": text("RevLineCr"),
            "low_documentation": text("LowDoc"),
        },
        "industry": {"naics": naics.to_numpy(object), "sector": naics.str[:2].to_numpy(object)},
        "place": {
            "state": text("State"),
            "area": frame["Zip"].str.zfill(5).str[:3].to_numpy(object),
            "setting": text("UrbanRural"),
        },
        "lender": {
            "name": text("Bank"),
            "state": text("BankState"),
            "in_state": yes((state != "") & (lender_state != ""), state == lender_state),
        },
    }


def recency(loans: Loans, half_life: float = HALF_LIFE_DAYS) -> np.ndarray:
    """What each loan counts: 1 on the last day."""
    return 0.5 ** ((loans.day.max() - loans.day) / half_life)


def share_codes(levels: list, defaulted: np.ndarray, weights: np.ndarray) -> dict:
    """Share of each text's loans that were charged off, drawn towards the share of the text that it belongs to."""
    above, codes = np.full(len(defaulted), (defaulted * weights).sum() / weights.sum()), {}
    for texts in levels:
        places, found = pd.factorize(texts)
        sums = lambda of: np.bincount(places, weights=of, minlength=len(found))
        # What it belongs to is the same for all loans of a text, but for those without one.
        usual = sums(above * weights) / sums(weights)
        share = (sums(defaulted * weights) + PRIOR * usual) / (sums(weights) + PRIOR)
        often = np.bincount(places, minlength=len(found)) >= LEAST_LOANS
        codes |= {t: round(float(share[at]), 5) for at, t in enumerate(found) if t and often[at]}
        above = np.where((texts != "") & often[places], share[places], above)
    return codes


def usual_codes(names: np.ndarray, numbers: np.ndarray, weights: np.ndarray) -> dict:
    """Mean of each lender's numbers, drawn towards that of all."""
    places, found = pd.factorize(names)
    weights, numbers = weights * ~np.isnan(numbers), np.nan_to_num(numbers)
    sums = lambda of: np.bincount(places, weights=of, minlength=len(found))
    of_all = (numbers * weights).sum() / weights.sum()
    mean = (sums(numbers * weights) + USUAL_PRIOR * of_all) / (sums(weights) + USUAL_PRIOR)
    often = np.bincount(places, minlength=len(found)) >= LEAST_LOANS
    return {t: round(float(mean[at]), 4) for at, t in enumerate(found) if t and often[at]}


def codes(loans: Loans) -> dict:
    """The numbers of all texts, by feature."""
    weights, slow = recency(loans), recency(loans, USUAL_HALF_LIFE_DAYS)
    found = {name: share_codes(book.joined(parts, loans.sources), loans.defaulted, weights) for name, _, parts in SHARES}
    names = loans.sources["lender"]["name"]
    with np.errstate(all="ignore"):
        found |= {name: usual_codes(names, number(loans.sources), slow) for name, _, number in USUAL}
    return {name: dict(sorted(numbers.items())) for name, numbers in found.items()}


def training_matrix(listed: tuple, loans: Loans) -> np.ndarray:
    """Features of the window's loans, with the shares of each fold's rows from the other folds."""
    found = book.matrix(listed, loans.sources)
    weights, fold = recency(loans), np.random.default_rng(SEED).integers(0, FOLDS, len(loans.day))
    places = {f["name"]: at for at, f in enumerate(listed)}
    for name, _, parts in SHARES:
        levels = book.joined(parts, loans.sources)
        for held in range(FOLDS):
            rest = fold != held
            others = share_codes([t[rest] for t in levels], loans.defaulted[rest], weights[rest])
            found[~rest, places[name]] = book.coded([t[~rest] for t in levels], others).astype(np.float32)
    return found


def drawn(loans: Loans) -> np.ndarray:
    """Rows to train on: each loan of the window with the chance of what it counts, so that none needs a weight."""
    return np.flatnonzero(np.random.default_rng(SEED + 1).random(len(loans.day)) < recency(loans))


@dataclass
class Window:
    """What training sees of a window: the specification with its codes, and the rows that were drawn, with the shares
    that the other folds give; `as_scored` are the same rows with the shares that later rows get, to compare those with."""

    spec: Spec
    features: np.ndarray
    defaulted: np.ndarray
    as_scored: np.ndarray


def window(loans: Loans) -> Window:
    made_of, rows = spec(codes(loans)), drawn(loans)
    return Window(made_of, training_matrix(made_of.features, loans)[rows], loans.defaulted[rows],
                  book.matrix(made_of.features, loans.where(rows).sources))


def train(window: Window) -> fit.Ensemble:
    return fit.train(window.spec, window.features, window.defaulted, SEED)
