"""A simulated city's firms as the eight sources of the firm archive see them, and which of them defaulted.

Every firm has hidden causes (health, discipline, leverage, size, age). The sources show them with noise, and the
chance to default within 365 days after the observation date follows from them. Sources and cells go missing.
All values are whole numbers or dates, so that they survive a CSV file unchanged.
"""

from dataclasses import dataclass
from datetime import date, timedelta

import numpy as np

import identity

DEFAULT_RATE = 0.027
# How far the hidden causes decide the outcome; the rest is chance.
STRENGTH = 0.7
MISSING_CELL = 0.015
INDUSTRY_RISK = (0.0, 0.15, 0.35, 0.1, -0.2, 0.45, -0.3, 0.1)


@dataclass
class Column:
    """One field of one source: whole numbers, or days since 1970-01-01, or indices into `labels`."""

    values: np.ndarray
    missing: np.ndarray
    kind: str = "number"
    labels: tuple = ()

    def cell(self, row: int):
        """The value as it stands in a CSV file: an int, a text, or None."""
        if self.missing[row]:
            return None
        value = int(self.values[row])
        if self.kind == "date":
            return (date(1970, 1, 1) + timedelta(days=value)).isoformat()
        return self.labels[value] if self.kind == "label" else value


@dataclass
class City:
    """`sources[source][field]`; `present[source]` says which firms the source delivered at all."""

    as_of: date
    sources: dict
    present: dict
    defaulted: np.ndarray
    industry: np.ndarray

    def __len__(self):
        return len(self.defaulted)


def day_number(day: date) -> int:
    return (day - date(1970, 1, 1)).days


def simulate(seed: int, firms: int, as_of: date) -> City:
    rng = np.random.default_rng(seed)
    causes = hidden_causes(rng, firms)
    raw = observed(rng, causes, day_number(as_of))
    present = delivered(rng, causes)
    sources = {}
    for source, fields in raw.items():
        for name, column in fields.items():
            column.missing |= rng.random(firms) < MISSING_CELL
            column.missing |= ~present[source]
        sources[source] = fields
    return City(as_of, sources, present, defaults(rng, causes), causes["industry"])


def hidden_causes(rng, n: int) -> dict:
    health, discipline, leverage = rng.normal(size=n), rng.normal(size=n), rng.normal(size=n)
    return {
        "health": 0.9 * health + 0.3 * discipline,
        "discipline": discipline,
        "leverage": 0.8 * leverage - 0.35 * health,
        "size": rng.normal(size=n),
        "age_days": np.clip(rng.gamma(2.0, 1300.0, n), 200, 12000).astype(np.int64),
        "industry": rng.choice(len(INDUSTRY_RISK), n, p=(0.26, 0.27, 0.12, 0.08, 0.1, 0.07, 0.06, 0.04)),
        "dispute": rng.normal(size=n),
    }


def defaults(rng, c: dict) -> np.ndarray:
    """Draws the outcomes; the constant term is solved so that the mean chance is the wanted rate."""
    score = (
        -1.15 * c["health"] - 0.75 * c["discipline"] + 0.75 * c["leverage"] - 0.25 * c["size"]
        + 0.6 * np.maximum(c["dispute"] - 0.8, 0) - 0.22 * np.log(c["age_days"] / 2000)
        + 0.5 * np.maximum(c["leverage"], 0) * np.maximum(-c["health"], 0)
        + np.asarray(INDUSTRY_RISK)[c["industry"]]
    )
    score *= STRENGTH
    low, high = -20.0, 5.0
    for _ in range(60):
        middle = (low + high) / 2
        if (1 / (1 + np.exp(-(score + middle)))).mean() > DEFAULT_RATE:
            high = middle
        else:
            low = middle
    return rng.random(len(score)) < 1 / (1 + np.exp(-(score + low)))


def delivered(rng, c: dict) -> dict:
    """Which sources exist for each firm. Small firms keep no statements; some use no public service at all."""
    n = len(c["size"])
    small = c["size"] < -0.8
    off_grid = rng.random(n) < 0.05
    no_tax = rng.random(n) < 0.04
    gone = lambda chance: rng.random(n) < chance
    return {
        "basic_information": np.ones(n, bool),
        "business_registration": ~gone(0.03),
        "development_and_reform": ~(off_grid | gone(0.06)),
        "tax_declared": ~(no_tax | gone(0.02)),
        "tax_paid": ~(no_tax | gone(0.03)),
        "financial_statements": ~gone(np.where(small, 0.30, 0.07)),
        "social_insurance": ~(off_grid | gone(np.where(small, 0.15, 0.03))),
        "housing_fund": ~(off_grid | gone(np.where(small, 0.35, 0.08))),
    }


def observed(rng, c: dict, today: int) -> dict:
    n = len(c["size"])
    noise = lambda spread: rng.normal(scale=spread, size=n)
    # Money is rounded to whole yuan, as the sources report it; ratios then come from whole numbers.
    fen = lambda yuan: np.rint(yuan).astype(np.int64) * 100
    number = lambda values: Column(np.asarray(values, np.int64), np.zeros(n, bool))
    count = lambda mean: number(np.minimum(rng.poisson(np.clip(mean, 0, 60)), 60))
    sales = np.exp(15.2 + 1.25 * c["size"] + noise(0.25))
    return {
        "business_registration": registration(c, today, noise, fen, number, count),
        "development_and_reform": public_credit(c, today, noise, fen, number, count, rng),
        **taxes(c, today, sales, noise, fen, number, count),
        "financial_statements": statements(c, sales, noise, fen, number),
        **payroll(c, noise, fen, number, count, rng),
        "basic_information": {},
    }


def registration(c, today, noise, fen, number, count) -> dict:
    n = len(c["size"])
    capital = np.exp(14.6 + 0.8 * c["size"] + noise(0.6))
    paid_in = capital * np.clip(0.62 + 0.16 * c["discipline"] + noise(0.2), 0, 1)
    pledged = np.clip(900 * c["leverage"] + noise(900), 0, 10000)
    return {
        "registered_on": Column(today - c["age_days"], np.zeros(n, bool), "date"),
        "registered_capital_fen": number(fen(capital)),
        "paid_in_capital_fen": number(fen(paid_in)),
        "shareholders": number(1 + count(1.2 + 0.3 * c["size"]).values),
        "branches": count(np.exp(-1.2 + 0.8 * c["size"])),
        "legal_representative_changes_24m": count(np.exp(-1.9 - 0.6 * c["discipline"])),
        "address_changes_24m": count(np.exp(-1.7 - 0.5 * c["discipline"] - 0.2 * c["health"])),
        "abnormal_listings_36m": count(np.exp(-2.9 - 0.9 * c["discipline"])),
        "pledged_equity_bps": number(np.rint(pledged)),
    }


def statements(c, sales, noise, fen, number) -> dict:
    previous = sales / np.exp(0.04 + 0.14 * c["health"] + noise(0.14))
    assets = sales * np.exp(-0.1 + noise(0.35))
    liabilities = assets * np.clip(0.52 + 0.17 * c["leverage"] + noise(0.08), 0.03, 1.8)
    current_liabilities = liabilities * np.clip(0.75 + noise(0.1), 0.3, 1)
    current_assets = current_liabilities * np.exp(0.3 + 0.28 * c["health"] - 0.22 * c["leverage"] + noise(0.25))
    return {
        "revenue_fen": number(fen(sales)),
        "revenue_previous_fen": number(fen(previous)),
        "net_profit_fen": number(fen(sales * (0.045 + 0.055 * c["health"] + noise(0.04)))),
        "total_assets_fen": number(fen(assets)),
        "total_liabilities_fen": number(fen(liabilities)),
        "current_assets_fen": number(fen(current_assets)),
        "current_liabilities_fen": number(fen(current_liabilities)),
        "cash_fen": number(fen(current_assets * np.clip(0.22 + 0.06 * c["health"] + noise(0.07), 0.005, 0.9))),
        "receivables_fen": number(fen(sales * np.clip(0.2 - 0.04 * c["health"] + noise(0.06), 0, 2))),
        "operating_cash_flow_fen": number(fen(sales * (0.05 + 0.06 * c["health"] + noise(0.05)))),
    }


def taxes(c, today, sales, noise, fen, number, count) -> dict:
    n = len(sales)
    declared = sales * np.exp(-0.06 + 0.05 * c["discipline"] + noise(0.1))
    due = declared * np.clip(0.035 + noise(0.008), 0.004, 0.2)
    paid_share = np.clip(1.02 + 0.09 * c["discipline"] + 0.06 * c["health"] + noise(0.07), 0, 1)
    arrears = due * np.clip(-0.12 - 0.12 * c["discipline"] - 0.1 * c["health"] + noise(0.12), 0, 1)
    grade = np.clip(np.rint(1.3 - 0.8 * c["discipline"] - 0.3 * c["health"] + noise(0.6)), 0, 4).astype(np.int64)
    last_paid = today - np.clip(np.rint(np.exp(3.0 - 0.5 * c["discipline"] - 0.3 * c["health"] + noise(0.5))), 1, 900)
    return {
        "tax_declared": {
            "sales_12m_fen": number(fen(declared)),
            "sales_previous_12m_fen": number(fen(declared / np.exp(0.04 + 0.14 * c["health"] + noise(0.12)))),
            "tax_12m_fen": number(fen(due)),
            "zero_declarations_12m": count(np.exp(-1.4 - 0.6 * c["health"] - 0.4 * c["size"])),
            "late_declarations_24m": count(np.exp(-0.9 - 0.6 * c["discipline"])),
            "credit_grade": Column(grade, np.zeros(n, bool), "label", ("A", "B", "M", "C", "D")),
        },
        "tax_paid": {
            "tax_12m_fen": number(fen(due * paid_share)),
            "arrears_fen": number(fen(arrears)),
            "late_payments_24m": count(np.exp(-0.8 - 0.5 * c["discipline"] - 0.4 * c["health"])),
            "last_paid_on": Column(last_paid.astype(np.int64), np.zeros(n, bool), "date"),
        },
    }


def payroll(c, noise, fen, number, count, rng) -> dict:
    staff = np.maximum(np.rint(np.exp(2.4 + 0.9 * c["size"] + noise(0.3))), 1)
    before = np.maximum(np.rint(staff / np.exp(0.02 + 0.12 * c["health"] + noise(0.12))), 1)
    social_due = staff * np.exp(9.5 + noise(0.15))
    fund_staff = rng.binomial(staff.astype(np.int64), np.clip(0.7 + 0.08 * c["discipline"], 0.1, 0.98))
    fund_due = fund_staff * np.exp(8.9 + noise(0.2))
    share = lambda: np.clip(1.03 + 0.07 * c["discipline"] + 0.06 * c["health"] + noise(0.07), 0, 1)
    return {
        "social_insurance": {
            "insured_employees": number(staff),
            "insured_employees_previous": number(before),
            "due_12m_fen": number(fen(social_due)),
            "paid_12m_fen": number(fen(social_due * share())),
            "overdue_months_24m": count(np.exp(-1.6 - 0.6 * c["discipline"] - 0.5 * c["health"])),
        },
        "housing_fund": {
            "employees": number(fund_staff),
            "due_12m_fen": number(fen(fund_due)),
            "paid_12m_fen": number(fen(fund_due * share())),
            "overdue_months_24m": count(np.exp(-1.5 - 0.5 * c["discipline"] - 0.5 * c["health"])),
        },
    }


def public_credit(c, today, noise, fen, number, count, rng) -> dict:
    """The reform commission runs the public credit platform: awards and projects, penalties and judgements."""
    n = len(c["size"])
    penalties = count(np.exp(-1.7 - 0.6 * c["discipline"]))
    judgements = count(np.exp(-1.5 + 0.55 * c["dispute"] - 0.4 * c["health"] - 0.2 * c["discipline"]))
    last_penalty = today - rng.integers(5, 36 * 30, n)
    amount = np.where(judgements.values > 0, np.exp(11.0 + 0.6 * c["size"] + 0.5 * c["dispute"] + noise(0.7)), 0)
    subsidised = rng.random(n) < np.clip(0.2 + 0.08 * c["health"] + 0.08 * c["size"], 0.02, 0.8)
    return {
        "project_approvals_36m": count(np.exp(-1.0 + 0.5 * c["size"] + 0.2 * c["health"])),
        "subsidies_36m_fen": number(fen(np.where(subsidised, np.exp(11.2 + 0.5 * c["size"] + noise(0.5)), 0))),
        "administrative_penalties_36m": penalties,
        "last_penalty_on": Column(last_penalty, penalties.values == 0, "date"),
        "judgements_as_defendant_36m": judgements,
        "judgement_amount_36m_fen": number(fen(amount)),
        "enforcement_cases_36m": count(np.exp(-2.6 + 0.5 * c["dispute"] - 0.6 * c["health"])),
        "broken_commitments_36m": count(np.exp(-2.2 - 0.8 * c["discipline"])),
    }


def register(seed: int, city: City) -> dict:
    """Basic information for each firm: `field -> list of texts`, and the firm codes. Not a model input."""
    rng = np.random.default_rng(seed)
    codes, names, people = set(), set(), []
    fields = ("firm_code", "name", "legal_representative_name", "legal_representative_resident_id", "address",
              "industry", "established_on", "status", "banned")
    rows = {field: [] for field in fields}
    industries = tuple(identity.INDUSTRIES)
    for firm in range(len(city)):
        industry = industries[city.industry[firm]]
        # A few people lead more than one firm.
        if people and rng.random() < 0.03:
            person = people[rng.integers(len(people))]
        else:
            person = (identity.person_name(rng), identity.resident_id(rng, city.as_of))
            people.append(person)
        rows["firm_code"].append(identity.unique(lambda: identity.firm_code(rng), codes))
        rows["name"].append(identity.unique(lambda: identity.firm_name(rng, industry), names))
        rows["legal_representative_name"].append(person[0])
        rows["legal_representative_resident_id"].append(person[1])
        rows["address"].append(identity.address(rng))
        rows["industry"].append(industry)
        registered = city.sources["business_registration"]["registered_on"].values[firm]
        rows["established_on"].append((date(1970, 1, 1) + timedelta(days=int(registered))).isoformat())
        rows["status"].append("revoked" if rng.random() < 0.01 else "active")
        rows["banned"].append(1 if rng.random() < 0.005 else 0)
    return rows
