"""The SBA loans as firms that apply: what was known on the day of approval, and nothing that came later.

Left out because it leaks the outcome: the term (a loan that is charged off keeps the month in which it was, so terms
that do not divide by twelve default at 58.6 % and others at 2.5 %), what was disbursed, the balance, everything about
charge-offs, and the approval year. Loans approved before 1989 are a biased selection and are left out as well.

What a lender, an industry or a place has been through is counted as of the day before the approval: charge-offs by
their date, approvals by theirs. Rates are relative to the whole country's at that day, so that they do not tell the year.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd

import datasets
from spec import Learner, Spec

DAY = np.timedelta64(1, "D")
# Charge-offs and approvals that a rate must see before it counts for half of itself.
PRIOR = 20.0
FIRST_YEAR = 1989


@dataclass
class Loans:
    features: np.ndarray
    defaulted: np.ndarray
    year: np.ndarray
    frame: pd.DataFrame


def feature(name, dimension, unit, direction, missing):
    return {"name": name, "dimension": dimension, "unit": unit, "direction": direction, "missing": missing,
            "extract": {"kind": "value", "source": dimension, "field": name}}


NEVER = "nothing was approved there before"
FEATURES = (
    feature("employees", "firm", "count", 0, "not told"),
    feature("new_business", "firm", "yes is 1", 0, "not told"),
    feature("franchise", "firm", "yes is 1", 0, "not told"),
    feature("jobs_created", "firm", "count", 0, "not told"),
    feature("jobs_retained", "firm", "count", 0, "not told"),
    feature("approved_cents", "loan", "US cents", 0, "not told"),
    feature("guaranteed_share", "loan", "ratio", 0, "not told"),
    feature("approved_per_employee_cents", "loan", "US cents", 0, "not told, or no employees"),
    feature("revolving", "loan", "yes is 1", 0, "not told"),
    feature("low_documentation", "loan", "yes is 1", 0, "not told"),
    feature("round_amount", "loan", "zeros at the end", 0, "not told"),
    feature("sector_relative_rate", "industry", "ratio", 1, "sector not told, or " + NEVER),
    feature("industry_relative_rate", "industry", "ratio", 1, "industry not told, or " + NEVER),
    feature("industry_approvals_2y", "industry", "count", 0, "industry not told"),
    feature("industry_recent_relative_rate", "industry", "ratio", 1, "industry not told, or " + NEVER),
    feature("state_relative_rate", "place", "ratio", 1, "state not told, or " + NEVER),
    feature("area_relative_rate", "place", "ratio", 1, "postal code not told, or " + NEVER),
    feature("area_recent_relative_rate", "place", "ratio", 1, "postal code not told, or " + NEVER),
    feature("area_approvals_2y", "place", "count", 0, "postal code not told"),
    feature("rural", "place", "yes is 1", 0, "not told"),
    feature("lender_relative_rate", "lender", "ratio", 1, "lender not told, or " + NEVER),
    feature("lender_recent_relative_rate", "lender", "ratio", 1, "lender not told, or " + NEVER),
    feature("lender_approvals_2y", "lender", "count", 0, "lender not told"),
    feature("lender_approvals_90d", "lender", "count", 0, "lender not told"),
    feature("lender_days_known", "lender", "days", 0, "lender not told"),
    feature("lender_in_state", "lender", "yes is 1", 0, "state of firm or lender not told"),
    feature("lender_typical_cents", "lender", "US cents", 0, NEVER),
    feature("lender_amount_ratio", "lender", "ratio", 0, NEVER),
    feature("lender_low_amounts_share", "lender", "ratio", 0, NEVER),
)


def spec() -> Spec:
    groups = tuple(dict.fromkeys(f["dimension"] for f in FEATURES))
    of = lambda group: tuple(f["name"] for f in FEATURES if f["dimension"] == group)
    learners = tuple(Learner(group, group, of(group)) for group in groups)
    everything = Learner("overall", None, tuple(f["name"] for f in FEATURES))
    return Spec(FEATURES, (*learners, everything), trees=150, leaves=15, overall_trees=300, overall_leaves=31,
                least_rows=300, learning_rate=0.06)


REASONS = {
    "FIRM": ("企业规模或经营年限", "The firm's size or how long it has existed"),
    "LOAN": ("贷款金额或结构", "The amount or make of the loan"),
    "INDUSTRY": ("所在行业违约较多", "Many loans in the industry were charged off"),
    "PLACE": ("所在地区违约较多", "Many loans in the area were charged off"),
    "LENDER": ("贷款机构的历史表现", "What became of the lender's earlier loans"),
}
REASON_OF = {f["name"]: f["dimension"].upper() for f in FEATURES}


class AsOf:
    """Approvals and charge-offs of every key, to be counted up to a day."""

    def __init__(self, key: np.ndarray, approved: np.ndarray, charged_off: np.ndarray):
        codes, _ = pd.factorize(key)
        self.known = key != ""
        self.codes, self.day = codes.astype(np.int64) << 20, approved
        self.approvals = np.sort(self.codes + approved)
        lost = charged_off >= 0
        self.losses = np.sort(self.codes[lost] + charged_off[lost])

    def count(self, events: np.ndarray, days: int | None) -> np.ndarray:
        """Events of each row's key before its day, within `days` when given."""
        until = np.searchsorted(events, self.codes + self.day, "left")
        since = self.codes if days is None else self.codes + np.maximum(self.day - days, 0)
        return (until - np.searchsorted(events, since, "left")).astype(np.float64)

    def relative_rate(self, everyone: "AsOf", days: int | None = None) -> np.ndarray:
        """Charge-offs by approvals, over the same of the whole country, drawn towards 1 where there are few."""
        rate = lambda of: (of.count(of.losses, days), of.count(of.approvals, None))
        (lost, approved), (all_lost, all_approved) = rate(self), rate(everyone)
        with np.errstate(all="ignore"):
            usual = all_lost / all_approved
            relative = (lost + PRIOR * usual) / (approved + PRIOR) / usual
        return np.where(self.known & (approved > 0) & (all_lost > 0), relative, np.nan)

    def approved(self, days: int) -> np.ndarray:
        return np.where(self.known, self.count(self.approvals, days), np.nan)


def dollars(column: pd.Series) -> np.ndarray:
    return pd.to_numeric(column.str.replace(r"[$,\s]", "", regex=True), errors="coerce").to_numpy()


def yes(column: pd.Series) -> np.ndarray:
    return column.str.strip().map({"Y": 1.0, "N": 0.0}).astype(float).to_numpy()


def dates(column: pd.Series) -> np.ndarray:
    """Days since 1960; -1 where there is none. Two-digit years up to 2020 are of this century."""
    when = pd.to_datetime(column, format="%d-%b-%y", errors="coerce")
    late = when > "2020-12-31"
    when = when.where(~late, when - pd.DateOffset(years=100))
    days = (when - pd.Timestamp("1960-01-01")).dt.days
    return days.fillna(-1).astype(np.int64).to_numpy()


def loans() -> Loans:
    frame = datasets.sba()
    frame = frame[frame["MIS_Status"].str.strip().isin(("P I F", "CHGOFF"))].copy()
    frame["approved_on"] = dates(frame["ApprovalDate"])
    year = pd.to_numeric(frame["ApprovalFY"].str.extract(r"(\d{4})")[0]).to_numpy()
    keep = (frame["approved_on"].to_numpy() >= 0) & (year >= FIRST_YEAR)
    frame, year = frame[keep], year[keep]
    order = np.argsort(frame["approved_on"].to_numpy(), kind="stable")
    frame, year = frame.iloc[order].reset_index(drop=True), year[order]
    defaulted = (frame["MIS_Status"].str.strip() == "CHGOFF").to_numpy()
    values = columns(frame, defaulted)
    features = np.stack([values[f["name"]] for f in FEATURES], axis=1).astype(np.float32)
    return Loans(features, defaulted, year, frame)


def columns(frame: pd.DataFrame, defaulted: np.ndarray) -> dict:
    text = lambda name: frame[name].str.strip().str.upper().to_numpy().astype(str)
    number = lambda name: pd.to_numeric(frame[name], errors="coerce").to_numpy()
    day, lost_on = frame["approved_on"].to_numpy(), dates(frame["ChgOffDate"])
    # A charge-off without a date, or dated before the approval, is not counted as of any day.
    lost_on = np.where(defaulted & (lost_on > day), lost_on, -1)
    amount, guaranteed = dollars(frame["GrAppv"]) * 100, dollars(frame["SBA_Appv"]) * 100
    employees = number("NoEmp")
    industry = np.where(text("NAICS") == "0", "", text("NAICS"))
    bank, bank_state, state = text("Bank"), text("BankState"), text("State")
    area = np.char.zfill(text("Zip"), 5).astype("U3")
    area = np.where(area == "000", "", area)
    as_of = lambda key: AsOf(key, day, lost_on)
    everyone = as_of(np.full(len(frame), "all"))
    sector, industries, states, areas, lender = map(as_of, (industry.astype("U2"), industry, state, area, bank))
    known = (bank_state != "") & (state != "")
    typical, low_share = lender_amounts(lender, amount)
    with np.errstate(all="ignore"):
        return {
            "employees": employees,
            "new_business": frame["NewExist"].str.strip().map({"1": 0.0, "1.0": 0.0, "2": 1.0, "2.0": 1.0}).to_numpy(float),
            "franchise": (number("FranchiseCode") > 1).astype(float),
            "jobs_created": number("CreateJob"),
            "jobs_retained": number("RetainedJob"),
            "approved_cents": amount,
            "guaranteed_share": guaranteed / amount,
            "approved_per_employee_cents": np.where(employees > 0, amount / employees, np.nan),
            "revolving": yes(frame["RevLineCr"]),
            "low_documentation": yes(frame["LowDoc"]),
            "round_amount": sum((amount % 10 ** zeros == 0).astype(float) for zeros in range(3, 9)),
            "sector_relative_rate": sector.relative_rate(everyone),
            "industry_relative_rate": industries.relative_rate(everyone),
            "industry_approvals_2y": industries.approved(730),
            "industry_recent_relative_rate": industries.relative_rate(everyone, 730),
            "state_relative_rate": states.relative_rate(everyone),
            "area_relative_rate": areas.relative_rate(everyone),
            "area_recent_relative_rate": areas.relative_rate(everyone, 730),
            "area_approvals_2y": areas.approved(730),
            "rural": number("UrbanRural") * 0 + np.where(number("UrbanRural") == 0, np.nan, number("UrbanRural") == 2),
            "lender_relative_rate": lender.relative_rate(everyone),
            "lender_recent_relative_rate": lender.relative_rate(everyone, 730),
            "lender_approvals_2y": lender.approved(730),
            "lender_approvals_90d": lender.approved(90),
            "lender_days_known": days_known(lender),
            "lender_in_state": np.where(known, bank_state == state, np.nan),
            "lender_typical_cents": typical,
            "lender_amount_ratio": amount / typical,
            "lender_low_amounts_share": low_share,
        }


def days_known(lender: AsOf) -> np.ndarray:
    first = pd.Series(lender.day).groupby(lender.codes).transform("min").to_numpy()
    return np.where(lender.known, lender.day - first, np.nan)


def lender_amounts(lender: AsOf, amount: np.ndarray) -> tuple:
    """Mean amount, and share of amounts up to 50,000 dollars, of a lender's approvals before each row's day."""
    frame = pd.DataFrame({"key": lender.codes, "day": lender.day, "amount": amount, "low": amount <= 5_000_000})
    by_day = frame.groupby(["key", "day"]).agg(n=("amount", "size"), total=("amount", "sum"), low=("low", "sum"))
    before = by_day.groupby(level=0).cumsum() - by_day
    placed = before.loc[pd.MultiIndex.from_arrays([frame["key"], frame["day"]])]
    with np.errstate(all="ignore"):
        n = placed["n"].to_numpy()
        return tuple(np.where(n > 0, placed[name].to_numpy() / n, np.nan) for name in ("total", "low"))
