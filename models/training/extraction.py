"""Holds the features of Python and Rust together: the archive's rows of firms, read cell by cell, as JSON has them.

`features.matrix` works on whole columns; here the same list is followed once more on single rows, by the rules that
`shared/model` documents. The three have to agree on firms of the city, and Python and Rust on cells made to be awkward.
"""

import json
import math
import re
from datetime import date

import numpy as np

import features as feature_list
from spec import age_days, category, ratio, value

FIRMS = 200
# The shape of a day in the archive; a day that no calendar has is missing like any other text.
DAY = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)
# What Rust reads as a number; Python alone would also take 1_000 and the digits of any script.
NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)


def extract(listed: tuple, sources: dict, as_of: date) -> list:
    """Float32 values in the order of `listed`, NaN for missing; `sources`: source -> field -> JSON value."""
    found = [one(feature["extract"], sources, as_of) for feature in listed]
    with np.errstate(over="ignore"):
        return [np.float32(np.nan if x is None else x) for x in found]


def one(how: dict, sources: dict, as_of: date):
    cell = lambda place: sources.get(place["source"], {}).get(place["field"])
    if how["kind"] == "ratio":
        over, under = number(cell(how["numerator"])), number(cell(how["denominator"]))
        return None if over is None or under is None or under == 0 else over / under
    if how["kind"] == "value":
        return number(cell(how))
    text = cell(how)
    if not isinstance(text, str):
        return None
    if how["kind"] == "category":
        return how["codes"].get(text.strip())
    return age(text.strip(), as_of)


def age(text: str, as_of: date):
    try:
        return float((as_of - date.fromisoformat(text)).days) if DAY.fullmatch(text) else None
    except ValueError:
        return None


def number(cell):
    """A number, or a text that is one; infinite and not a number are none."""
    if isinstance(cell, bool) or not isinstance(cell, (int, float, str)):
        return None
    if isinstance(cell, str) and not NUMBER.fullmatch(cell.strip()):
        return None
    found = float(cell)
    return found if math.isfinite(found) else None


AWKWARD_FEATURES = (
    value("value", "d", "s", "n", "count", 0, ""),
    ratio("ratio", "d", ("s", "n"), ("t", "m"), 0, ""),
    age_days("age", "d", "s", "on", 0, ""),
    category("category", "d", "s", "grade", {"A": 0, "B": 1.5, "未评级": 7}, 0, ""),
)
NUMBERS = (0, 1, -3, 0.1, 1e-30, 16777217, 9007199254740993, -(2 ** 63), 2 ** 64 - 1, 3e37, "7", " 12.5 ", "1e3",
           "-0", "", " ", "n/a", "NaN", "inf", "-inf", "1e999", "1,000", "1_000", "１２", "0x10", "+7", "1.", ".5",
           None, True, [1], {"a": 1})
DAYS = ("2026-10-31", "2026-11-01", "2031-01-01", "1899-12-31", "2024-02-29", " 2026-10-30 ", "2026-02-30", "2025-02-29",
        "31.10.2026", "", "yesterday", 20261031, None, False)
GRADES = ("A", "B", " B ", "未评级", "b", "Ａ", "E", "", 0, 1.5, None, True)


def awkward_rows() -> list:
    """Rows of two sources in which each kind of extract meets every awkward cell, and sources that never came."""
    rows = [{"s": {"n": n}, "t": {"m": 3}} for n in NUMBERS]
    rows += [{"s": {"n": 7}, "t": {"m": m}} for m in NUMBERS]
    rows += [{"s": {"on": on}} for on in DAYS]
    rows += [{"s": {"grade": grade}} for grade in GRADES]
    rows += [{}, {"s": {}}, {"t": {"m": 2}}, {"s": {"n": 0}, "t": {"m": 0}}, {"s": {"n": 5}, "t": {}}]
    return rows


def awkward_in_city(city, matrix: np.ndarray) -> np.ndarray:
    """Firms with what a city has of awkward cells: days ahead, unknown grades, nothing to divide by, missing sources."""
    today = (city.as_of - date(1970, 1, 1)).days
    firms = [np.flatnonzero(np.isnan(matrix).sum(axis=1) > matrix.shape[1] // 2)[:20]]
    for fields in city.sources.values():
        for name, column in fields.items():
            if column.kind == "date":
                firms.append(np.flatnonzero(~column.missing & (column.values > today))[:5])
            if column.kind == "label":
                firms.append(np.flatnonzero(~column.missing & (column.values == len(column.labels) - 1))[:5])
            elif name in ("sales_12m_fen", "sales_previous_12m_fen", "employees", "due_12m_fen"):
                firms.append(np.flatnonzero(~column.missing & (column.values == 0))[:5])
    return np.unique(np.concatenate(firms))


def document(city, codes: list) -> bytes:
    """`firms`: features of the city's firms, which Rust reads from the CSV files. `awkward`: how features are worked
    out, and rows with what Python makes of them."""
    matrix = feature_list.matrix(city)
    chosen = np.union1d(np.arange(FIRMS), awkward_in_city(city, matrix))
    for firm in chosen:
        sources = {source: {name: column.cell(firm) for name, column in fields.items()}
                   for source, fields in city.sources.items() if city.present[source][firm]}
        if not np.array_equal(extract(feature_list.FEATURES, sources, city.as_of), matrix[firm], equal_nan=True):
            raise ValueError(f"firm {codes[firm]}: columns and single rows give different features")
    rows = [{"sources": row, "features": plain(extract(AWKWARD_FEATURES, row, city.as_of))} for row in awkward_rows()]
    tidy = lambda x: json.dumps(x, ensure_ascii=False, separators=(",", ":"))
    firms = ",\n".join(f"{tidy(codes[firm])}:{tidy(plain(matrix[firm]))}" for firm in chosen)
    awkward = ",\n".join(map(tidy, rows))
    extracts = tidy([f["extract"] for f in AWKWARD_FEATURES])
    text = (f'{{"as_of":"{city.as_of}","firms":{{\n{firms}\n}},\n'
            f'"awkward":{{"extracts":{extracts},"rows":[\n{awkward}\n]}}}}\n')
    return text.encode()


def plain(row) -> list:
    """Infinite is not JSON, and no feature is: the extract rounds to float32, whose largest is 3.4e38."""
    if np.isinf(row).any():
        raise ValueError("a feature does not fit float32")
    return [None if np.isnan(x) else float(x) for x in row]
