"""German credit: 1,000 loans, 300 of which went bad, in four groups.

Texts are ranked as the data's own documentation lists them (its codes A11, A12, … in their order), not by their share
of bad loans. Left out: sex and marital status, age, and whether somebody is a foreign worker.
"""

import numpy as np

import book
import datasets
from spec import category, ratio, value

NAME = "german"
NEVER = "never missing in this data"
RANKS = {
    "status_of_existing_checking_account": (
        "... < 0 DM", "0 <= ... < 200 DM", "... >= 200 DM / salary assignments for at least 1 year",
        "no checking account"),
    "savings_account_and_bonds": (
        "... < 100 DM", "100 <= ... < 500 DM", "500 <= ... < 1000 DM", "... >= 1000 DM", "unknown/ no savings account"),
    "other_debtors_or_guarantors": ("none", "co-applicant", "guarantor"),
    "credit_history": (
        "no credits taken/ all credits paid back duly", "all credits at this bank paid back duly",
        "existing credits paid back duly till now", "delay in paying off in the past",
        "critical account/ other credits existing (not at this bank)"),
    "other_installment_plans": ("bank", "stores", "none"),
    "purpose": (
        "car (new)", "car (used)", "furniture/equipment", "radio/television", "domestic appliances", "repairs",
        "education", "retraining", "business", "others"),
    "present_employment_since": (
        "unemployed", "... < 1 year", "1 <= ... < 4 years", "4 <= ... < 7 years", "... >= 7 years"),
    "property": (
        "real estate", "building society savings agreement/ life insurance",
        "car or other, not in attribute Savings account/bonds", "unknown / no property"),
    "housing": ("rent", "own", "for free"),
    "job": (
        "unemployed/ unskilled - non-resident", "unskilled - resident", "skilled employee / official",
        "management/ self-employed/ highly qualified employee/ officer"),
    "telephone": ("none", "yes, registered under the customers name"),
}


def rank(field, group, direction=0):
    codes = {text: at for at, text in enumerate(RANKS[field])}
    return category(field, group, "applicant", field, codes, direction, NEVER)


def number(field, group, unit, direction=0):
    return value(field, group, "applicant", field, unit, direction, NEVER)


FEATURES = (
    rank("status_of_existing_checking_account", "accounts", -1),
    rank("savings_account_and_bonds", "accounts", -1),
    rank("credit_history", "history", -1),
    rank("other_installment_plans", "history"),
    number("number_of_existing_credits_at_this_bank", "history", "count"),
    number("duration_in_month", "loan", "months", 1),
    number("credit_amount", "loan", "DM"),
    ratio("monthly_amount", "loan", ("applicant", "credit_amount"), ("applicant", "duration_in_month"), 0, NEVER),
    number("installment_rate_in_percentage_of_disposable_income", "loan", "rank", 1),
    rank("purpose", "loan"),
    rank("other_debtors_or_guarantors", "loan"),
    rank("present_employment_since", "person", -1),
    rank("job", "person"),
    rank("property", "person"),
    rank("housing", "person"),
    rank("telephone", "person"),
    number("present_residence_since", "person", "rank"),
    number("number_of_people_being_liable_to_provide_maintenance_for", "person", "count"),
)
SPEC = book.by_group(FEATURES, trees=60, leaves=3, overall_trees=150, overall_leaves=5, least_rows=20,
                     learning_rate=0.05, feature_fraction=0.5)


def load() -> book.Book:
    frame = datasets.german()
    labels = (frame.pop("creditability") == "bad").to_numpy()
    of = lambda c: frame[c].to_numpy(float) if frame[c].dtype.kind in "if" else frame[c].to_numpy(object)
    features = book.matrix(FEATURES, {"applicant": {c: of(c) for c in frame}})
    if np.isnan(features).any():
        raise ValueError("German credit has a text that is not listed")
    return book.Book(NAME, SPEC, features, labels)
