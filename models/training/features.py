"""What the models read, as data. `shared/forest` follows the same list, which the manifest carries.

Arithmetic is in float64 and rounded once to float32; missing is NaN. A ratio with a missing or zero denominator is
missing. `direction` is the sign of the effect on the chance to default that the trees must respect (0: free).
"""

from datetime import date

import numpy as np

from spec import Learner, Spec, age_days, category, ratio, value

GRADES = {"A": 0, "B": 1, "M": 2, "C": 3, "D": 4}


REG, FIN, REF = "business_registration", "financial_statements", "development_and_reform"
DEC, PAID, SOC, FUND = "tax_declared", "tax_paid", "social_insurance", "housing_fund"
NO_REG, NO_FIN, NO_REF = "not in the register", "no statements filed", "not on the public credit platform"
NO_TAX, NO_SOC, NO_FUND = "no declaration on file", "no social insurance account", "no housing fund account"
NOT_BOTH = "one of the two sources is missing"

FEATURES = (
    age_days("firm_age_days", "business", REG, "registered_on", -1, NO_REG),
    value("registered_capital_fen", "business", REG, "registered_capital_fen", "fen", 0, NO_REG),
    ratio("paid_in_ratio", "business", (REG, "paid_in_capital_fen"), (REG, "registered_capital_fen"), -1, NO_REG),
    value("shareholders", "business", REG, "shareholders", "count", 0, NO_REG),
    value("branches", "business", REG, "branches", "count", 0, NO_REG),
    value("legal_representative_changes_24m", "business", REG, "legal_representative_changes_24m", "count", 1, NO_REG),
    value("address_changes_24m", "business", REG, "address_changes_24m", "count", 1, NO_REG),
    value("abnormal_listings_36m", "business", REG, "abnormal_listings_36m", "count", 1, NO_REG),
    value("pledged_equity_bps", "business", REG, "pledged_equity_bps", "basis points", 1, NO_REG),
    # Capital that was bought for a day stands beside assets that it never became.
    ratio("paid_in_capital_to_assets", "business", (REG, "paid_in_capital_fen"), (FIN, "total_assets_fen"), 0, NOT_BOTH),
    value("revenue_fen", "finance", FIN, "revenue_fen", "fen", 0, NO_FIN),
    value("total_assets_fen", "finance", FIN, "total_assets_fen", "fen", 0, NO_FIN),
    ratio("revenue_growth", "finance", (FIN, "revenue_fen"), (FIN, "revenue_previous_fen"), -1, NO_FIN),
    ratio("net_margin", "finance", (FIN, "net_profit_fen"), (FIN, "revenue_fen"), -1, NO_FIN),
    ratio("debt_ratio", "finance", (FIN, "total_liabilities_fen"), (FIN, "total_assets_fen"), 1, NO_FIN),
    ratio("current_ratio", "finance", (FIN, "current_assets_fen"), (FIN, "current_liabilities_fen"), -1, NO_FIN),
    ratio("cash_ratio", "finance", (FIN, "cash_fen"), (FIN, "current_liabilities_fen"), -1, NO_FIN),
    ratio("receivables_to_revenue", "finance", (FIN, "receivables_fen"), (FIN, "revenue_fen"), 1, NO_FIN),
    ratio("cash_flow_to_liabilities", "finance", (FIN, "operating_cash_flow_fen"), (FIN, "total_liabilities_fen"), -1,
          NO_FIN),
    # Two sources about the same firm: whoever inflates a statement seldom declares, or insures people for, as much.
    ratio("revenue_per_insured_employee", "finance", (FIN, "revenue_fen"), (SOC, "insured_employees"), 0, NOT_BOTH, "fen"),
    ratio("receivables_to_declared_sales", "finance", (FIN, "receivables_fen"), (DEC, "sales_12m_fen"), 1, NOT_BOTH),
    age_days("days_since_statements", "finance", FIN, "period_ended_on", 1, NO_FIN),
    value("insured_employees", "government", SOC, "insured_employees", "count", 0, NO_SOC),
    ratio("insured_growth", "government", (SOC, "insured_employees"), (SOC, "insured_employees_previous"), -1, NO_SOC),
    ratio("social_insurance_paid_ratio", "government", (SOC, "paid_12m_fen"), (SOC, "due_12m_fen"), -1, NO_SOC),
    value("social_insurance_overdue_months_24m", "government", SOC, "overdue_months_24m", "months", 1, NO_SOC),
    ratio("social_insurance_due_per_employee", "government", (SOC, "due_12m_fen"), (SOC, "insured_employees"), 0, NO_SOC,
          "fen"),
    age_days("days_since_insured", "government", SOC, "paid_until", 1, NO_SOC),
    ratio("housing_fund_coverage", "government", (FUND, "employees"), (SOC, "insured_employees"), -1, NO_FUND),
    ratio("housing_fund_paid_ratio", "government", (FUND, "paid_12m_fen"), (FUND, "due_12m_fen"), -1,
          NO_FUND + ", or nothing was due"),
    value("housing_fund_overdue_months_24m", "government", FUND, "overdue_months_24m", "months", 1, NO_FUND),
    age_days("days_since_housing_fund_paid", "government", FUND, "paid_until", 1, NO_FUND),
    value("project_approvals_36m", "government", REF, "project_approvals_36m", "count", 0, NO_REF),
    value("subsidies_36m_fen", "government", REF, "subsidies_36m_fen", "fen", 0, NO_REF),
    value("declared_sales_12m_fen", "tax", DEC, "sales_12m_fen", "fen", 0, NO_TAX),
    ratio("declared_sales_growth", "tax", (DEC, "sales_12m_fen"), (DEC, "sales_previous_12m_fen"), -1, NO_TAX),
    ratio("tax_burden", "tax", (DEC, "tax_12m_fen"), (DEC, "sales_12m_fen"), 0, NO_TAX),
    value("zero_declarations_12m", "tax", DEC, "zero_declarations_12m", "count", 1, NO_TAX),
    value("late_declarations_24m", "tax", DEC, "late_declarations_24m", "count", 1, NO_TAX),
    category("tax_credit_grade", "tax", DEC, "credit_grade", GRADES, 1, "not graded, or a grade that is not listed"),
    age_days("days_since_declared", "tax", DEC, "declared_until", 1, NO_TAX),
    ratio("declared_sales_to_revenue", "tax", (DEC, "sales_12m_fen"), (FIN, "revenue_fen"), -1, NOT_BOTH),
    ratio("declared_sales_per_insured_employee", "tax", (DEC, "sales_12m_fen"), (SOC, "insured_employees"), 0, NOT_BOTH,
          "fen"),
    ratio("tax_paid_ratio", "tax", (PAID, "tax_12m_fen"), (DEC, "tax_12m_fen"), -1, "no payments on file"),
    ratio("arrears_ratio", "tax", (PAID, "arrears_fen"), (DEC, "tax_12m_fen"), 1, "no payments on file"),
    value("late_payments_24m", "tax", PAID, "late_payments_24m", "count", 1, "no payments on file"),
    age_days("days_since_tax_paid", "tax", PAID, "last_paid_on", 1, "no payments on file"),
    value("administrative_penalties_36m", "risk", REF, "administrative_penalties_36m", "count", 1, NO_REF),
    age_days("days_since_penalty", "risk", REF, "last_penalty_on", 0, "never penalised, or " + NO_REF),
    value("judgements_as_defendant_36m", "risk", REF, "judgements_as_defendant_36m", "count", 1, NO_REF),
    value("judgement_amount_36m_fen", "risk", REF, "judgement_amount_36m_fen", "fen", 1, NO_REF),
    ratio("judgement_amount_to_capital", "risk", (REF, "judgement_amount_36m_fen"), (REG, "registered_capital_fen"), 1,
          NO_REF),
    value("enforcement_cases_36m", "risk", REF, "enforcement_cases_36m", "count", 1, NO_REF),
    value("broken_commitments_36m", "risk", REF, "broken_commitments_36m", "count", 1, NO_REF),
)

# One learner per source and dimension, and one that reads everything.
PARTS = (
    ("registration", "business", (REG,)),
    ("income_statement", "finance", ()),
    ("balance_sheet", "finance", ()),
    ("social_insurance", "government", (SOC,)),
    ("housing_fund", "government", (FUND,)),
    ("development_and_reform", "government", (REF,)),
    ("tax_declared", "tax", (DEC,)),
    ("tax_paid", "tax", (PAID,)),
    ("public_record", "risk", (REF,)),
)
INCOME = ("revenue_fen", "revenue_growth", "net_margin", "receivables_to_revenue", "cash_flow_to_liabilities",
          "revenue_per_insured_employee", "receivables_to_declared_sales")


def origins(feature: dict) -> tuple:
    """The sources that a feature reads, the one that it stands for first."""
    extract = feature["extract"]
    return (extract["source"],) if "source" in extract else tuple(extract[p]["source"] for p in ("numerator", "denominator"))


def origin(feature: dict) -> str:
    return origins(feature)[0]


def part_of(feature: dict) -> str:
    """The learner that reads a feature: of its dimension, the one of the source whose delivery decides over it."""
    if feature["dimension"] == "finance":
        return "income_statement" if feature["name"] in INCOME else "balance_sheet"
    return next(name for name, dimension, sources in PARTS
                if dimension == feature["dimension"] and origin(feature) in sources)


def learners() -> tuple:
    read = {name: tuple(f["name"] for f in FEATURES if part_of(f) == name) for name, _, _ in PARTS}
    parts = tuple(Learner(name, dimension, read[name]) for name, dimension, _ in PARTS)
    return (*parts, Learner("overall", None, tuple(f["name"] for f in FEATURES)))


SPEC = Spec(FEATURES, learners())
NAMES = SPEC.names
DIMENSIONS = SPEC.dimensions


def without(features: np.ndarray, dimensions: tuple) -> np.ndarray:
    """The rows without dimensions, as they are where nothing of these was delivered: their own features are missing,
    and so is any ratio over a source that no other dimension reads by itself."""
    readers = {}
    for f in FEATURES:
        readers.setdefault(origin(f), set()).add(f["dimension"])
    gone = {source for source, read_by in readers.items() if read_by <= set(dimensions)}
    columns = [at for at, f in enumerate(FEATURES) if f["dimension"] in dimensions or gone & set(origins(f))]
    features = features.copy()
    features[:, columns] = np.nan
    return features


def contradictions() -> tuple:
    """Features over two sources: where these contradict each other, they show it."""
    return tuple(f["name"] for f in FEATURES if len(set(origins(f))) > 1)


def matrix(city) -> np.ndarray:
    """Features of every firm, float32, shape (firms, features)."""
    today = (city.as_of - date(1970, 1, 1)).days
    return np.stack([column(city, f["extract"], today) for f in FEATURES], axis=1)


def column(city, extract: dict, today: int) -> np.ndarray:
    if extract["kind"] == "ratio":
        over, under = numbers(city, extract["numerator"]), numbers(city, extract["denominator"])
        under = np.where(under == 0, np.nan, under)
        return (over / under).astype(np.float32)
    values = numbers(city, extract)
    if extract["kind"] == "age_days":
        values = today - values
    if extract["kind"] == "category":
        labels = city.sources[extract["source"]][extract["field"]].labels
        codes = np.array([extract["codes"].get(label, np.nan) for label in labels], np.float64)
        values = np.where(np.isnan(values), np.nan, codes[np.nan_to_num(values).astype(np.int64)])
    return values.astype(np.float32)


def numbers(city, place: dict) -> np.ndarray:
    found = city.sources[place["source"]][place["field"]]
    return np.where(found.missing, np.nan, found.values.astype(np.float64))
