"""What a model is made of: features in the order of its input, and the learners that read them."""

from dataclasses import dataclass

import numpy as np


def value(name, dimension, source, field, unit, direction, missing):
    return feature(name, dimension, unit, direction, missing, {"kind": "value", "source": source, "field": field})


def ratio(name, dimension, over, under, direction, missing, unit="ratio"):
    part = lambda p: {"source": p[0], "field": p[1]}
    extract = {"kind": "ratio", "numerator": part(over), "denominator": part(under)}
    return feature(name, dimension, unit, direction, missing, extract)


def age_days(name, dimension, source, field, direction, missing):
    return feature(name, dimension, "days", direction, missing, {"kind": "age_days", "source": source, "field": field})


def category(name, dimension, source, field, codes, direction, missing, unit="rank"):
    extract = {"kind": "category", "source": source, "field": field, "codes": codes}
    return feature(name, dimension, unit, direction, missing, extract)


def joint(name, dimension, of, codes, direction, missing, unit="rank"):
    """`of`: parts as `text` and `band` make them. A joint text that is not listed has the number of its longest listed
    beginning."""
    extract = {"kind": "joint", "of": list(of), "codes": codes}
    return feature(name, dimension, unit, direction, missing, extract)


def text(source, field):
    return {"source": source, "field": field}


def band(source, field, edges):
    """How many of the ascending edges the number reaches."""
    return {"number": {"kind": "value", "source": source, "field": field}, "edges": list(edges)}


def feature(name, dimension, unit, direction, missing, extract):
    return {"name": name, "dimension": dimension, "unit": unit, "direction": direction, "missing": missing,
            "extract": extract}


@dataclass(frozen=True)
class Learner:
    """One sub-model. `dimension` is None for the one that reads everything."""

    name: str
    dimension: str | None
    features: tuple

    def __str__(self):
        return self.name


@dataclass(frozen=True)
class Spec:
    """`features` are dictionaries with at least name, dimension and direction; a learner names those that it reads."""

    features: tuple
    learners: tuple
    trees: int = 90
    leaves: int = 15
    # Trees and leaves of the learner that reads everything.
    overall_trees: int = 150
    overall_leaves: int = 15
    least_rows: int = 120
    learning_rate: float = 0.06
    # Share of its features that each tree of a learner may use.
    feature_fraction: float = 0.9

    @property
    def names(self) -> tuple:
        return tuple(f["name"] for f in self.features)

    @property
    def dimensions(self) -> tuple:
        return tuple(dict.fromkeys(f["dimension"] for f in self.features))

    def columns(self, learner: Learner) -> list:
        places = {name: at for at, name in enumerate(self.names)}
        return [places[name] for name in learner.features]

    def known(self, features: np.ndarray) -> np.ndarray:
        """Bool, shape (rows, learners): at least one feature of the learner has a value."""
        return np.stack([~np.isnan(features[:, self.columns(k)]).all(axis=1) for k in self.learners], axis=1)

    def without(self, features: np.ndarray, gone: np.ndarray) -> np.ndarray:
        """The rows without the learners that `gone` (rows, learners) marks: all that those read becomes missing."""
        features = features.copy()
        for at, learner in enumerate(self.learners):
            if learner.dimension is not None:
                features[np.ix_(gone[:, at], self.columns(learner))] = np.nan
        return features
