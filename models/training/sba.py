"""The SBA loans as firms that apply: what was known on the day of approval, and nothing that came later.

Left out because it leaks the outcome: the term (a loan that is charged off keeps the month in which it was, so terms
that do not divide by twelve default at 58.6 % and others at 2.5 %), what was disbursed and when, the balance, everything
about charge-offs, and the approval year. Loans approved before 1989 are a biased selection; training starts in 1997.

A lender, an industry, a place or an answer in text becomes a number: the share of its loans in the training window that
were charged off, newer loans counting more, drawn towards the share of all where it had few. Training rows see the
share that the other folds give, or their own outcome would be in it.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd

import datasets
import fit
from spec import Learner, Spec, category, ratio, value

VERSION, SEED = "sba-2026.11.1", 20261102
TRAINED_ON, TESTED_ON = (1997, 2004), (2005, 2006, 2007)
# A loan counts for half of one that was approved this many days later, in the shares and in training.
HALF_LIFE_DAYS = 365.25
# Loans at the usual share that are added to each text's own, and how many it needs to have a number at all.
PRIOR, LEAST_LOANS = 50.0, 20
FOLDS = 5

NOT_TOLD = "not told"
RARE = "not told, or too few loans in the training window"


@dataclass
class Loans:
    """One row per loan, in the order of approval. `sources`: source, then field, then a column of numbers (NaN is
    missing) or of texts (empty is missing), as `infra/local/src/replay/loan.rs` reads them from the same file."""

    sources: dict
    defaulted: np.ndarray
    year: np.ndarray
    day: np.ndarray

    def where(self, rows: np.ndarray) -> "Loans":
        sources = {s: {f: column[rows] for f, column in fields.items()} for s, fields in self.sources.items()}
        return Loans(sources, self.defaulted[rows], self.year[rows], self.day[rows])


# Features whose numbers are shares by text: name, dimension, source, field.
SHARES = (
    ("revolving_share", "loan", "loan", "revolving"),
    ("low_documentation_share", "loan", "loan", "low_documentation"),
    ("sector_share", "industry", "industry", "sector"),
    ("industry_share", "industry", "industry", "naics"),
    ("state_share", "place", "place", "state"),
    ("area_share", "place", "place", "area"),
    ("setting_share", "place", "place", "setting"),
    ("lender_share", "lender", "lender", "name"),
    ("lender_state_share", "lender", "lender", "state"),
)
# More charge-offs in an industry or a place never speak for a loan.
RISING = {"sector_share", "industry_share", "state_share", "area_share"}


def features(codes: dict) -> tuple:
    """`codes`: of each field of `SHARES`, text to share."""
    shares = {name: category(name, dimension, source, field, codes[source, field], int(name in RISING), RARE, "share")
              for name, dimension, source, field in SHARES}
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
    return tuple(f for group in groups for f in (*own, *shares.values()) if f["dimension"] == group)


def spec(codes: dict) -> Spec:
    listed = features(codes)
    groups = tuple(dict.fromkeys(f["dimension"] for f in listed))
    of = lambda group: tuple(f["name"] for f in listed if f["dimension"] == group)
    learners = tuple(Learner(group, group, of(group)) for group in groups)
    everything = Learner("overall", None, tuple(f["name"] for f in listed))
    return Spec(listed, (*learners, everything), trees=120, leaves=31, overall_trees=300, overall_leaves=31,
                least_rows=200, learning_rate=0.05)


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
    kept = frame["MIS_Status"].isin(("P I F", "CHGOFF")) & frame["year"].between(first_year, last_year) & (frame["day"] > 0)
    frame = frame[kept].sort_values("day", kind="stable")
    return Loans(sources(frame), (frame["MIS_Status"] == "CHGOFF").to_numpy(), frame["year"].to_numpy(int),
                 frame["day"].to_numpy())


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


def recency(loans: Loans) -> np.ndarray:
    """What each loan counts: 1 on the last day."""
    return 0.5 ** ((loans.day.max() - loans.day) / HALF_LIFE_DAYS)


def shares(texts: np.ndarray, defaulted: np.ndarray, weights: np.ndarray) -> dict:
    """Share of each text's loans that were charged off, drawn towards the share of all."""
    places, found = pd.factorize(texts)
    sums = lambda of: np.bincount(places, weights=of, minlength=len(found))
    usual = (defaulted * weights).sum() / weights.sum()
    share = (sums(defaulted * weights) + PRIOR * usual) / (sums(weights) + PRIOR)
    often = np.bincount(places, minlength=len(found)) >= LEAST_LOANS
    return {text: round(float(share[at]), 5) for at, text in enumerate(found) if text and often[at]}


def codes(loans: Loans) -> dict:
    weights = recency(loans)
    return {(source, field): dict(sorted(shares(loans.sources[source][field], loans.defaulted, weights).items()))
            for _, _, source, field in SHARES}


def matrix(listed: tuple, loans: Loans) -> np.ndarray:
    """Features of every loan as `shared/forest` works them out: in float64, rounded once to float32."""
    return np.stack([column(loans, f["extract"]).astype(np.float32) for f in listed], axis=1)


def column(loans: Loans, extract: dict) -> np.ndarray:
    at = lambda place: loans.sources[place["source"]][place["field"]]
    if extract["kind"] == "value":
        return at(extract)
    if extract["kind"] == "category":
        return pd.Series(at(extract)).map(extract["codes"]).to_numpy(float)
    under = at(extract["denominator"])
    return at(extract["numerator"]) / np.where(under == 0, np.nan, under)


def training_matrix(listed: tuple, loans: Loans) -> np.ndarray:
    """The same, with the shares of each fold's rows from the other folds."""
    found = matrix(listed, loans)
    weights, fold = recency(loans), np.random.default_rng(SEED).integers(0, FOLDS, len(loans.day))
    for at, feature in enumerate(listed):
        if feature["extract"]["kind"] != "category":
            continue
        texts = loans.sources[feature["extract"]["source"]][feature["extract"]["field"]]
        for held in range(FOLDS):
            rest = fold != held
            others = shares(texts[rest], loans.defaulted[rest], weights[rest])
            found[~rest, at] = pd.Series(texts[~rest]).map(others).to_numpy(np.float32)
    return found


@dataclass
class Trained:
    ensemble: fit.Ensemble
    # Features of the training rows as training saw them, their outcomes, and what each counts.
    features: np.ndarray
    defaulted: np.ndarray
    weights: np.ndarray
    # Loans that were approved after the training window, and their features.
    later: Loans
    later_features: np.ndarray


def train() -> Trained:
    every = loans(TRAINED_ON[0], max(TESTED_ON))
    window, later = every.where(every.year <= TRAINED_ON[1]), every.where(every.year > TRAINED_ON[1])
    made_of = spec(codes(window))
    rows, weights = training_matrix(made_of.features, window), recency(window)
    ensemble = fit.train(made_of, rows, window.defaulted, SEED, weights)
    return Trained(ensemble, rows, window.defaulted, weights, later, matrix(made_of.features, later))
