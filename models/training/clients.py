"""Default of credit card clients: 30,000 people in Taiwan, 2005, 22 % of whom defaulted the month after, in four groups.

Left out: sex, marital status and age. The record is as the data has it, newest month first, and a few sums over it.
"""

import numpy as np

import book
import datasets
from spec import ratio, value

NAME = "clients"
MONTHS = range(1, 7)
NEVER, NO_BILL = "never missing in this data", "nothing was billed"
# The data calls the newest month's status PAY_0.
STATUS = tuple(f"PAY_{0 if month == 1 else month}" for month in MONTHS)
BILLED = tuple(f"BILL_AMT{month}" for month in MONTHS)
PAID = tuple(f"PAY_AMT{month}" for month in MONTHS)
LIMIT = ("account", "LIMIT_BAL")


def amounts(source, fields, group):
    return tuple(value(field.lower(), group, source, field, "NT dollars", 0, NEVER) for field in fields)


def of_limit(source, fields, group):
    return tuple(ratio(f"{field.lower()}_of_limit", group, (source, field), LIMIT, 0, NEVER) for field in fields)


def paid_of_billed(month: int):
    over, under = ("payments", f"PAY_AMT{month}"), ("bills", f"BILL_AMT{month + 1}")
    return ratio(f"pay_amt{month}_of_bill", "payments", over, under, 0, NO_BILL)


FEATURES = (
    value("limit", "account", *LIMIT, "NT dollars", 0, NEVER),
    value("education", "account", "account", "education", "code of the data", 0, NEVER),
    *(value(field.lower(), "status", "status", field, "months late", 0, NEVER) for field in STATUS),
    value("most_months_late", "status", "status", "most", "months late", 0, NEVER),
    value("months_late_of_six", "status", "status", "late", "count", 0, NEVER),
    value("months_since_late", "status", "status", "since", "months", 0, "not late in six months"),
    value("months_late_newest_most", "status", "status", "newest_most", "weighted months", 0, NEVER),
    *amounts("bills", BILLED, "bills"),
    *of_limit("bills", BILLED, "bills"),
    *(ratio(f"growth{month}_of_limit", "bills", ("bills", f"growth{month}"), LIMIT, 0, NEVER) for month in range(1, 6)),
    ratio("spread_of_limit", "bills", ("bills", "spread"), LIMIT, 0, NEVER),
    *amounts("payments", PAID, "payments"),
    *of_limit("payments", PAID, "payments"),
    *(paid_of_billed(month) for month in range(1, 6)),
    ratio("all_paid_of_billed", "payments", ("payments", "all"), ("bills", "all"), 0, NO_BILL),
    value("months_nothing_paid", "payments", "payments", "nothing", "count", 0, NEVER),
    value("least_paid", "payments", "payments", "least", "NT dollars", 0, NEVER),
)
SPEC = book.by_group(FEATURES, trees=80, leaves=7, overall_trees=250, overall_leaves=12, least_rows=60,
                     learning_rate=0.04, feature_fraction=0.3)


def sources(frame) -> dict:
    """The record of each person: what the data has, and sums over the six months."""
    status, billed, paid = (frame[list(names)].to_numpy(float) for names in (STATUS, BILLED, PAID))
    columns = lambda names, values: dict(zip(names, values.T))
    late = np.maximum(status, 0)
    return {
        "account": {"LIMIT_BAL": frame["LIMIT_BAL"].to_numpy(float),
                    "education": frame[[f"EDUCATION_{at}" for at in range(7)]].to_numpy().argmax(axis=1).astype(float)},
        "status": columns(STATUS, status) | {
            "most": status.max(axis=1), "late": (late > 0).sum(axis=1).astype(float),
            "since": np.where((late > 0).any(axis=1), (late > 0).argmax(axis=1), np.nan),
            "newest_most": late @ np.arange(6.0, 0.0, -1.0)},
        "bills": columns(BILLED, billed) | columns([f"growth{at}" for at in range(1, 6)], billed[:, :-1] - billed[:, 1:])
        | {"spread": billed.std(axis=1), "all": billed.sum(axis=1)},
        "payments": columns(PAID, paid) | {
            "all": paid.sum(axis=1), "nothing": (paid == 0).sum(axis=1).astype(float), "least": paid.min(axis=1)},
    }


def load() -> book.Book:
    frame = datasets.clients()
    labels = frame.pop("default-payment-next-month").to_numpy().astype(bool)
    return book.Book(NAME, SPEC, book.matrix(FEATURES, sources(frame)), labels)
