"""Five LightGBM sub-models, one per dimension, and the logistic fuser stacked on their out-of-fold margins."""

from dataclasses import dataclass

import lightgbm as lgb
import numpy as np

import features as feature_list

FOLDS = 5
TREES = 90
PARAMS = {
    "objective": "binary",
    "learning_rate": 0.06,
    "num_leaves": 15,
    "min_data_in_leaf": 120,
    "lambda_l2": 5.0,
    "feature_fraction": 0.9,
    "bagging_fraction": 0.8,
    "bagging_freq": 1,
    "max_bin": 255,
    "monotone_constraints_method": "advanced",
    "use_missing": True,
    # An export of a model that was trained with zero_as_missing scores wrongly: keep it off.
    "zero_as_missing": False,
    "deterministic": True,
    "force_row_wise": True,
    "num_threads": 1,
    "verbosity": -1,
}


@dataclass
class Fuser:
    """log odds = bias + sum over dimensions of (weight * margin when present, else the weight of being missing)."""

    bias: float
    margin: np.ndarray
    missing: np.ndarray

    def log_odds(self, margins: np.ndarray, missing: np.ndarray) -> np.ndarray:
        return self.bias + np.where(missing, self.missing, margins * self.margin).sum(axis=1)

    def probability(self, margins: np.ndarray, missing: np.ndarray) -> np.ndarray:
        return 1 / (1 + np.exp(-self.log_odds(margins, missing)))


@dataclass
class Ensemble:
    boosters: list
    fuser: Fuser

    def margins(self, features: np.ndarray) -> np.ndarray:
        """Log odds by each sub-model, float64, shape (rows, dimensions)."""
        columns = [booster.predict(features[:, feature_list.indices(d)], raw_score=True)
                   for d, booster in zip(feature_list.DIMENSIONS, self.boosters)]
        return np.stack(columns, axis=1)


def train_dimension(dimension: str, features: np.ndarray, labels: np.ndarray, seed: int) -> lgb.Booster:
    """Rows that lack the whole dimension teach it nothing and are left out; the fuser deals with those."""
    columns = feature_list.indices(dimension)
    part = features[:, columns]
    known = ~np.isnan(part).all(axis=1)
    directions = [feature_list.FEATURES[i]["direction"] for i in columns]
    params = {**PARAMS, "seed": seed, "monotone_constraints": directions}
    return lgb.train(params, lgb.Dataset(part[known], labels[known], free_raw_data=False), TREES)


def train(features: np.ndarray, labels: np.ndarray, seed: int) -> Ensemble:
    folds = np.random.default_rng(seed).integers(0, FOLDS, len(labels))
    out_of_fold = np.zeros((len(labels), len(feature_list.DIMENSIONS)))
    for at, dimension in enumerate(feature_list.DIMENSIONS):
        columns = feature_list.indices(dimension)
        for fold in range(FOLDS):
            held = folds == fold
            booster = train_dimension(dimension, features[~held], labels[~held], seed)
            out_of_fold[held, at] = booster.predict(features[held][:, columns], raw_score=True)
    boosters = [train_dimension(d, features, labels, seed) for d in feature_list.DIMENSIONS]
    missing = feature_list.missing_dimensions(features)
    return Ensemble(boosters, fit_fuser(out_of_fold, missing, labels))


def fit_fuser(margins: np.ndarray, missing: np.ndarray, labels: np.ndarray, ridge: float = 1.0) -> Fuser:
    """Logistic regression by Newton steps. Weights are rounded so that they do not hang on the last bits of a sum."""
    dimensions = margins.shape[1]
    design = np.hstack([np.where(missing, 0, margins), missing, np.ones((len(labels), 1))])
    penalty = np.diag([ridge] * (2 * dimensions) + [0.0])
    weights = np.zeros(design.shape[1])
    for _ in range(30):
        chance = 1 / (1 + np.exp(-design @ weights))
        slope = design.T @ (chance - labels) + penalty @ weights
        curve = (design * (chance * (1 - chance))[:, None]).T @ design + penalty
        step = np.linalg.solve(curve, slope)
        weights -= step
        if np.abs(step).max() < 1e-10:
            break
    weights = np.round(weights, 5)
    if (weights[:dimensions] <= 0).any():
        raise ValueError("a sub-model that speaks against itself: a margin may not count the wrong way round")
    return Fuser(float(weights[-1]), weights[:dimensions], weights[dimensions:-1])


def auc(score: np.ndarray, labels: np.ndarray) -> float:
    """Chance that a firm that defaulted has the higher score; ties count one half."""
    values, inverse, counts = np.unique(score, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[inverse]
    bad = int(labels.sum())
    return float((ranks[labels].sum() - bad * (bad + 1) / 2) / (bad * (len(labels) - bad)))


def ks(score: np.ndarray, labels: np.ndarray) -> float:
    """Largest distance between the cumulative shares of firms that defaulted and of those that did not."""
    order = np.argsort(score, kind="stable")
    last_of_tie = np.append(np.diff(score[order]) != 0, True)
    bad = np.cumsum(labels[order]) / labels.sum()
    good = np.cumsum(~labels[order]) / (~labels).sum()
    return float(np.abs(bad - good)[last_of_tie].max())
