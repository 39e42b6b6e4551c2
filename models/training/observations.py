"""What the eight sources of the firm archive tell about firms: with noise, late, and faked where a firm fakes.

A late source tells how things stood some quarters ago. All values are whole numbers, dates or labels, so that they
survive a CSV file unchanged.
"""

from dataclasses import dataclass
from datetime import date, timedelta

import numpy as np

import firms as population
from firms import Firms, day_number, quarter, stream

GRADES = ("A", "B", "M", "C", "D", "未评级")
DAYS_OF_QUARTER = 91


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


class Observer:
    """Tells one source's fields about `firms` as of a day, each firm some quarters late.

    `of` are the firms' places among `drawn`: every draw is made for all of these and then looked up, so that a firm
    keeps its luck whoever else is looked at. What stands for years is drawn without the day.
    """

    def __init__(self, seed: int, source: str, firms: Firms, as_of: date, late: np.ndarray, of: np.ndarray, drawn: int):
        self.firms, self.of, self.drawn = firms, of, drawn
        self.today = day_number(as_of)
        self.told_on = self.today - DAYS_OF_QUARTER * late
        self.health = firms.health_at(quarter(as_of) - late)
        self.before = firms.health_at(quarter(as_of) - late - 4)
        self.rng = stream(seed, source, as_of)
        self.standing = stream(seed, source, "standing")
        self.sales = sales(seed, firms, self.health, of, drawn)

    def noise(self, spread: float, standing=False) -> np.ndarray:
        return (self.standing if standing else self.rng).normal(scale=spread, size=self.drawn)[self.of]

    def uniform(self, standing=False) -> np.ndarray:
        return (self.standing if standing else self.rng).random(self.drawn)[self.of]

    def count(self, mean) -> Column:
        """A Poisson count, by inversion of a uniform draw: the same luck whatever the mean."""
        luck, mean = self.uniform(), np.clip(np.broadcast_to(mean, len(self.of)), 0, 40)
        values, chance = np.zeros(len(luck), np.int64), np.exp(-mean)
        reached = chance.copy()
        for at in range(1, 61):
            values += luck > reached
            chance = chance * mean / at
            reached = reached + chance
        return number(values)

    def months(self, mean) -> Column:
        """A count of months out of 24."""
        return number(np.minimum(self.count(mean).values, 24))

    def day(self, values) -> Column:
        column = Column(np.rint(values).astype(np.int64), np.zeros(len(self.of), bool), "date")
        # A few days are typed wrongly and lie ahead.
        wrong = self.uniform() < 0.003
        column.values[wrong] = self.today + 1 + (self.uniform()[wrong] * 40).astype(np.int64)
        return column


def number(values) -> Column:
    return Column(np.asarray(values, np.int64), np.zeros(len(values), bool))


def fen(yuan) -> np.ndarray:
    """Money is rounded to whole yuan, as the sources report it; ratios then come from whole numbers."""
    return np.rint(yuan).astype(np.int64) * 100


def sales(seed: int, firms: Firms, health: np.ndarray, of: np.ndarray, drawn: int) -> np.ndarray:
    """True sales of twelve months, yuan. Shell firms invoice far more than they have people for."""
    own = stream(seed, "sales").normal(scale=0.3, size=drawn)[of]
    return np.exp(15.1 + 1.2 * firms.size + own + 0.1 * health + 1.1 * (firms.ring > 0))


def observe(seed: int, firms: Firms, as_of: date, faking: np.ndarray, late: dict, of: np.ndarray, drawn: int) -> dict:
    """`source -> field -> Column`; `late`: source -> quarters that each firm's row is behind."""
    told = {"basic_information": {}}
    for source, tell in SOURCES.items():
        told[source] = tell(Observer(seed, source, firms, as_of, late[source], of, drawn), faking)
    return told


def registration(o: Observer, faking: np.ndarray) -> dict:
    f = o.firms
    capital = np.exp(14.4 + 0.8 * f.size + o.noise(0.6, standing=True))
    share = np.clip(0.6 + 0.13 * f.discipline + o.noise(0.24, standing=True), 0, 1)
    # Capital that is paid in for a day to be shown, by half of those who fake and by shell firms.
    bought = (faking & (o.uniform(standing=True) < 0.5)) | (f.ring > 0)
    capital = np.where(bought, capital * np.exp(0.5 + np.abs(o.noise(0.8, standing=True))), capital)
    share = np.where(bought, np.maximum(share, 0.9 + 0.1 * o.uniform(standing=True)), share)
    young = np.exp(-0.4 * np.clip((o.today - f.registered) / 365, 0, 5))
    return {
        "registered_on": Column(f.registered.copy(), np.zeros(len(f), bool), "date"),
        "registered_capital_fen": number(fen(capital)),
        "paid_in_capital_fen": number(fen(capital * share)),
        "shareholders": number(1 + o.count(1.1 + 0.3 * f.size).values),
        "branches": o.count(np.exp(-1.2 + 0.8 * f.size)),
        "legal_representative_changes_24m": o.count(np.exp(-2.0 - 0.5 * f.discipline - 0.25 * o.health)),
        "address_changes_24m": o.count(np.exp(-1.8 - 0.4 * f.discipline - 0.2 * o.health + 0.4 * young)),
        "abnormal_listings_36m": o.count(np.exp(-3.0 - 0.7 * f.discipline - 0.2 * o.health)),
        "pledged_equity_bps": number(np.rint(np.clip(800 * f.leverage + o.noise(1100), 0, 10000))),
    }


def statements(o: Observer, faking: np.ndarray) -> dict:
    """Where a firm fakes: more revenue, profit and receivables than there are, and less debt."""
    f = o.firms
    lift = np.where(faking, 0.2 + 0.7 * o.uniform(standing=True), 0.0)
    revenue = o.sales * np.exp(lift + o.noise(0.06))
    growth = 0.03 + 0.05 * o.health + 0.11 * (o.health - o.before) + 0.25 * lift + o.noise(0.14)
    margin = 0.045 + f.of_industry("margin") + 0.035 * o.health + 0.12 * lift + o.noise(0.045)
    assets = o.sales * np.exp(-0.1 + 0.45 * lift + o.noise(0.35))
    debt = np.clip(0.52 + f.of_industry("debt") + 0.14 * f.leverage - 0.03 * o.health + o.noise(0.1), 0.03, 1.8)
    liabilities = assets * debt * np.exp(-0.5 * lift)
    current_liabilities = liabilities * np.clip(0.75 + o.noise(0.1), 0.3, 1)
    current_assets = current_liabilities * np.exp(0.3 + 0.2 * o.health - 0.16 * f.leverage + 0.3 * lift + o.noise(0.32))
    owed = np.clip(0.2 + f.of_industry("receivables") - 0.03 * o.health + 0.25 * lift + o.noise(0.07), 0, 2)
    cash = np.clip(0.22 + 0.045 * o.health + 0.08 * lift + o.noise(0.09), 0.005, 0.9)
    told = {
        "revenue_fen": number(fen(revenue)),
        "revenue_previous_fen": number(fen(revenue / np.exp(growth))),
        "net_profit_fen": number(fen(revenue * margin)),
        "total_assets_fen": number(fen(assets)),
        "total_liabilities_fen": number(fen(liabilities)),
        "current_assets_fen": number(fen(current_assets)),
        "current_liabilities_fen": number(fen(current_liabilities)),
        "cash_fen": number(fen(current_assets * cash)),
        "receivables_fen": number(fen(revenue * owed)),
        "operating_cash_flow_fen": number(fen(revenue * (0.05 + 0.04 * o.health + 0.04 * lift + o.noise(0.06)))),
    }
    # Now and then an accountant reports in thousands.
    thousands = o.uniform(standing=True) < 0.004
    for column in told.values():
        column.values[thousands] //= 1000
    return told | {"period_ended_on": o.day(quarter_end(o.told_on))}


def quarter_end(days: np.ndarray) -> np.ndarray:
    """The last day of the month before, as filings name it."""
    months = days.astype("datetime64[D]").astype("datetime64[M]")
    return months.astype("datetime64[D]").astype(np.int64) - 1


def declarations(o: Observer, faking: np.ndarray) -> dict:
    """Nobody pays tax on sales that there are not: what is faked elsewhere is not declared."""
    f = o.firms
    shell = f.ring > 0
    declared = o.sales * np.exp(-0.1 - 0.1 * np.abs(f.thrift) + 0.03 * f.discipline + o.noise(0.08))
    growth = 0.03 + 0.04 * o.health + 0.12 * (o.health - o.before) + np.where(shell, 0.6, 0) + o.noise(0.13)
    burden = np.clip(0.035 + 0.2 * f.of_industry("margin") + o.noise(0.009), 0.003, 0.2) * np.where(shell, 0.35, 1)
    dormant = o.uniform(standing=True) < 0.008 + 0.02 * (f.size < -1.2)
    zero = np.where(dormant, 12, np.minimum(o.count(np.exp(-1.5 - 0.5 * o.health - 0.4 * f.size)).values, 11))
    grade = np.clip(np.rint(1.4 - 0.6 * f.discipline - 0.25 * o.health + o.noise(0.8)), 0, 4).astype(np.int64)
    new = o.today - f.registered < 540
    grade = np.where(o.uniform() < 0.012, 5, np.where(new, 2, grade))
    nothing_when_dormant = lambda money: number(np.where(dormant, 0, fen(money)))
    return {
        "sales_12m_fen": nothing_when_dormant(declared),
        "sales_previous_12m_fen": number(np.where(new & (o.uniform() < 0.4), 0, fen(declared / np.exp(growth)))),
        "tax_12m_fen": nothing_when_dormant(declared * burden),
        "zero_declarations_12m": number(zero),
        "late_declarations_24m": o.count(np.exp(-0.9 - 0.5 * f.discipline - 0.1 * o.health)),
        "credit_grade": Column(grade, np.zeros(len(f), bool), "label", GRADES),
        "declared_until": o.day(quarter_end(o.told_on) - 30 * o.count(np.exp(-2.2 - 0.4 * f.discipline)).values),
    }


def payments(o: Observer, faking: np.ndarray) -> dict:
    f = o.firms
    declared = o.sales * np.exp(-0.1 - 0.1 * np.abs(f.thrift) + o.noise(0.1))
    due = declared * np.clip(0.035 + 0.2 * f.of_industry("margin") + o.noise(0.009), 0.003, 0.2)
    due = due * np.where(f.ring > 0, 0.35, 1)
    paid_share = np.clip(1.04 + 0.06 * f.discipline + 0.045 * o.health + o.noise(0.09), 0, 1.0)
    arrears = due * np.clip(-0.16 - 0.09 * f.discipline - 0.08 * o.health + o.noise(0.13), 0, 1)
    since = np.clip(np.rint(np.exp(3.0 - 0.35 * f.discipline - 0.25 * o.health + o.noise(0.6))), 1, 900)
    return {
        "tax_12m_fen": number(fen(due * paid_share)),
        "arrears_fen": number(fen(arrears)),
        "late_payments_24m": o.count(np.exp(-0.8 - 0.4 * f.discipline - 0.35 * o.health)),
        "last_paid_on": o.day(o.told_on - since),
    }


def staff(o: Observer) -> np.ndarray:
    """People that a firm really has. A handful in a shell firm."""
    shell = o.firms.ring > 0
    people = np.exp(2.3 + 0.85 * o.firms.size + 0.5 * o.firms.of_industry("staff") + 0.06 * o.health)
    return np.maximum(np.rint(np.where(shell, 1 + 2 * o.uniform(standing=True), people)), 1)


def social_insurance(o: Observer, faking: np.ndarray) -> dict:
    """Some that fake insure people on paper, at the lowest wage."""
    f = o.firms
    people = np.maximum(np.rint(staff(o) * np.exp(o.noise(0.2))), 1)
    padded = faking & (o.uniform(standing=True) < 0.3)
    people = np.where(padded, np.rint(people * 1.7 + 2), people)
    growth = 0.02 + 0.04 * o.health + 0.1 * (o.health - o.before) + o.noise(0.13)
    before = np.maximum(np.rint(people / np.exp(growth)), 1)
    due = people * np.exp(np.where(padded, 9.2, 9.5) + o.noise(0.18))
    share = np.clip(1.05 + 0.05 * f.discipline + 0.045 * o.health + o.noise(0.09), 0, 1)
    behind = o.count(np.exp(-1.9 - 0.35 * f.discipline - 0.5 * o.health)).values
    return {
        "insured_employees": number(people),
        "insured_employees_previous": number(before),
        "due_12m_fen": number(fen(due)),
        "paid_12m_fen": number(fen(due * share)),
        "overdue_months_24m": o.months(np.exp(-1.7 - 0.5 * f.discipline - 0.45 * o.health)),
        "paid_until": o.day(quarter_end(o.told_on) - 30 * behind),
    }


def housing_fund(o: Observer, faking: np.ndarray) -> dict:
    f = o.firms
    people = np.maximum(np.rint(staff(o) * np.exp(o.noise(0.15))), 1)
    covered = np.rint(people * np.clip(0.66 + 0.07 * f.discipline + o.noise(0.17), 0, 1))
    due = covered * np.exp(8.9 + o.noise(0.2))
    share = np.clip(1.05 + 0.05 * f.discipline + 0.045 * o.health + o.noise(0.09), 0, 1)
    behind = o.count(np.exp(-1.8 - 0.35 * f.discipline - 0.45 * o.health)).values
    return {
        "employees": number(covered),
        "due_12m_fen": number(fen(due)),
        "paid_12m_fen": number(fen(due * share)),
        "overdue_months_24m": o.months(np.exp(-1.6 - 0.4 * f.discipline - 0.4 * o.health)),
        "paid_until": o.day(quarter_end(o.told_on) - 30 * behind),
    }


def public_credit(o: Observer, faking: np.ndarray) -> dict:
    """The reform commission runs the public credit platform: awards and projects, penalties and judgements."""
    f = o.firms
    penalties = o.count(np.exp(-1.8 - 0.5 * f.discipline))
    judgements = o.count(np.exp(-1.6 + 0.5 * f.dispute - 0.35 * o.health - 0.15 * f.discipline))
    amount = np.where(judgements.values > 0, np.exp(11.0 + 0.6 * f.size + 0.5 * f.dispute + o.noise(0.7)), 0)
    subsidised = o.uniform() < np.clip(0.2 + 0.07 * o.health + 0.08 * f.size, 0.02, 0.8)
    return {
        "project_approvals_36m": o.count(np.exp(-1.0 + 0.5 * f.size + 0.2 * o.health)),
        "subsidies_36m_fen": number(fen(np.where(subsidised, np.exp(11.2 + 0.5 * f.size + o.noise(0.5)), 0))),
        "administrative_penalties_36m": penalties,
        "last_penalty_on": Column((o.told_on - 5 - 1075 * o.uniform()).astype(np.int64), penalties.values == 0, "date"),
        "judgements_as_defendant_36m": judgements,
        "judgement_amount_36m_fen": number(fen(amount)),
        "enforcement_cases_36m": o.count(np.exp(-2.7 + 0.5 * f.dispute - 0.5 * o.health)),
        "broken_commitments_36m": o.count(np.exp(-2.4 - 0.6 * f.discipline - 0.2 * o.health)),
    }


SOURCES = {
    "business_registration": registration,
    "development_and_reform": public_credit,
    "tax_declared": declarations,
    "tax_paid": payments,
    "financial_statements": statements,
    "social_insurance": social_insurance,
    "housing_fund": housing_fund,
}
