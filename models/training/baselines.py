"""What an ensemble has to beat on the same rows: a logistic scorecard, and a single LightGBM model."""

import lightgbm as lgb
import numpy as np
from sklearn.linear_model import LogisticRegression

import fit
from spec import Spec

BINS = 10
# Rows of the usual mix that are added to every bin, so that an empty one says nothing.
PRIOR = 1.0


class Scorecard:
    """Logistic regression on weights of evidence, each feature in ten bins of as many rows; missing is a bin."""

    def __init__(self, features: np.ndarray, labels: np.ndarray, weights: np.ndarray):
        steps = np.linspace(0, 1, BINS + 1)[1:-1]
        self.edges = [np.unique(np.nanquantile(c, steps)) if not np.isnan(c).all() else np.zeros(0)
                      for c in features.T]
        self.evidence = [self.learn(at, features[:, at], labels, weights) for at in range(features.shape[1])]
        self.model = LogisticRegression(C=1.0, max_iter=2000)
        self.model.fit(self.transform(features), labels, sample_weight=weights)

    def bins(self, at: int, column: np.ndarray) -> np.ndarray:
        return np.where(np.isnan(column), len(self.edges[at]) + 1, np.searchsorted(self.edges[at], column, "left"))

    def learn(self, at: int, column: np.ndarray, labels: np.ndarray, weights: np.ndarray) -> np.ndarray:
        usual = lambda rows: PRIOR * weights[rows].sum() / weights.sum()
        count = lambda rows: np.bincount(self.bins(at, column)[rows], weights=weights[rows],
                                         minlength=len(self.edges[at]) + 2) + usual(rows)
        labels = labels.astype(bool)
        bad, good = count(labels), count(~labels)
        return np.log(bad / bad.sum()) - np.log(good / good.sum())

    def transform(self, features: np.ndarray) -> np.ndarray:
        return np.stack([self.evidence[at][self.bins(at, c)] for at, c in enumerate(features.T)], axis=1)

    def log_odds(self, features: np.ndarray) -> np.ndarray:
        return self.model.decision_function(self.transform(features))


class Single:
    """The learner over everything as it would be trained alone: no rows with features taken away."""

    def __init__(self, spec: Spec, features: np.ndarray, labels: np.ndarray, weights: np.ndarray, seed: int):
        params = {**fit.PARAMS, "seed": seed, "num_leaves": spec.overall_leaves, "min_data_in_leaf": spec.least_rows,
                  "learning_rate": spec.learning_rate, "feature_fraction": spec.feature_fraction,
                  "monotone_constraints": [f["direction"] for f in spec.features]}
        self.booster = lgb.train(params, lgb.Dataset(features, labels, weight=weights), spec.overall_trees)

    def log_odds(self, features: np.ndarray) -> np.ndarray:
        return self.booster.predict(features, raw_score=True)
