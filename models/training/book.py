"""A set of loans with outcomes, ready to train on: its features and groups as a manifest would list them."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from spec import Learner, Spec

# Between the parts of a joint text, as in `shared/model`. A text that contains it counts as missing.
SEPARATOR = "|"


@dataclass(frozen=True)
class Book:
    """`features`: float32, shape (loans, features), NaN for missing; `labels`: whether each loan went bad."""

    name: str
    spec: Spec
    features: np.ndarray
    labels: np.ndarray


def by_group(features: tuple, **settings) -> Spec:
    """One learner for each group of features, and one over all of them."""
    of = {}
    for feature in features:
        of.setdefault(feature["dimension"], []).append(feature["name"])
    learners = tuple(Learner(group, group, tuple(names)) for group, names in of.items())
    everything = Learner("overall", None, tuple(f["name"] for f in features))
    return Spec(features, (*learners, everything), **settings)


def matrix(features: tuple, sources: dict) -> np.ndarray:
    """Features of every record as `shared/forest` works them out: in float64, rounded once to float32. `sources`: source,
    then field, then a column of numbers (NaN is missing) or of texts (empty is missing)."""
    return np.stack([column(f["extract"], sources).astype(np.float32) for f in features], axis=1)


def column(extract: dict, sources: dict) -> np.ndarray:
    at = lambda place: sources[place["source"]][place["field"]]
    if extract["kind"] == "value":
        return at(extract)
    if extract["kind"] == "category":
        return coded([at(extract)], extract["codes"])
    if extract["kind"] == "joint":
        return coded(joined(extract["of"], sources), extract["codes"])
    under = at(extract["denominator"])
    return at(extract["numerator"]) / np.where(under == 0, np.nan, under)


def joined(parts: list, sources: dict) -> list:
    """The first part's text of every record, the first two joined, and so on; empty from the first that is missing."""
    levels = [texts(parts[0], sources)]
    for part in parts[1:]:
        more = texts(part, sources)
        both = levels[-1] + SEPARATOR + more
        levels.append(np.where((levels[-1] == "") | (more == ""), "", both))
    return levels


def texts(part: dict, sources: dict) -> np.ndarray:
    if "number" not in part:
        found = sources[part["source"]][part["field"]].astype(object)
        return np.array([("" if SEPARATOR in text else text) for text in found], object)
    number = column(part["number"], sources)
    bands = np.searchsorted(part["edges"], number, "right").astype(str).astype(object)
    return np.where(np.isnan(number), "", bands)


def coded(levels: list, codes: dict) -> np.ndarray:
    """The number of the deepest text of each record that has one; NaN where none has."""
    result = np.full(len(levels[0]), np.nan)
    for texts in levels:
        places, found = pd.factorize(texts)
        numbers = np.array([codes.get(text, np.nan) for text in found], float)[places]
        result = np.where(np.isnan(numbers), result, numbers)
    return result
