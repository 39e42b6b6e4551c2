"""LightGBM learners, each on its part of the features and one on all, and the fuser stacked on what they say out of fold.

The fuser is linear in the learners' margins for any given set of missing learners:

    log odds = bias + sum over learners of: weight * margin when it knows anything of the row, else its offset
    weight of a learner = own weight + sum over the learners that know nothing of what those hand over to it

No weight is negative, so what no learner may say against a firm the whole does not either; what another learner hands
over is what makes up for a dimension that is missing. Rows are shown to the fuser as they are and with learners taken
away at random. A Platt calibration on the rows as they are is folded into the numbers.
"""

from dataclasses import dataclass

import lightgbm as lgb
import numpy as np
from scipy.optimize import minimize

from spec import Learner, Spec

FOLDS = 5
# How many times the rows are shown with learners taken away, and what all of these count beside the rows as they are.
COPIES, COPIES_WEIGHT = 2, 0.5
RIDGE, RIDGE_HANDED_OVER = 1.0, 20.0
PARAMS = {
    "objective": "binary",
    "lambda_l2": 5.0,
    "bagging_fraction": 0.8,
    "bagging_freq": 1,
    "max_bin": 255,
    "monotone_constraints_method": "advanced",
    "use_missing": True,
    # An export of a model that was trained with zero_as_missing scores wrongly: keep it off.
    "zero_as_missing": False,
    "deterministic": True,
    "force_row_wise": True,
    "num_threads": 2,
    "verbosity": -1,
}


@dataclass
class Fuser:
    """`handed_over[k, l]`: what learner l's weight gains while learner k knows nothing. All but bias and offset >= 0."""

    bias: float
    weight: np.ndarray
    offset: np.ndarray
    handed_over: np.ndarray

    def weights(self, known: np.ndarray) -> np.ndarray:
        return known * (self.weight + ~known @ self.handed_over)

    def log_odds(self, margins: np.ndarray, known: np.ndarray) -> np.ndarray:
        parts = self.weights(known) * np.where(known, margins, 0) + np.where(known, 0, self.offset)
        return self.bias + parts.sum(axis=1)


@dataclass
class Ensemble:
    spec: Spec
    boosters: list
    fuser: Fuser

    def margins(self, features: np.ndarray) -> np.ndarray:
        """Log odds by each learner, float64, shape (rows, learners)."""
        return margins(self.spec, self.boosters, features)

    def log_odds(self, features: np.ndarray) -> np.ndarray:
        return self.fuser.log_odds(self.margins(features), self.spec.known(features))

    def probability(self, features: np.ndarray) -> np.ndarray:
        return sigmoid(self.log_odds(features))


def sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


def margins(spec: Spec, boosters: list, features: np.ndarray) -> np.ndarray:
    parts = [booster.predict(features[:, spec.columns(learner)], raw_score=True)
             for learner, booster in zip(spec.learners, boosters)]
    return np.stack(parts, axis=1)


def train_learner(spec: Spec, learner: Learner, features: np.ndarray, labels: np.ndarray, weights: np.ndarray,
                  seed: int) -> lgb.Booster:
    """Rows of which it knows nothing teach a learner nothing. The one that reads everything also sees every row with
    some of the others' features taken away, or it would be lost where a dimension is missing."""
    columns = spec.columns(learner)
    overall = learner.dimension is None
    if overall:
        gone = absent(spec, len(labels), seed)
        features = np.concatenate([features, spec.without(features, gone)])
        labels, weights = np.tile(labels, 2), np.tile(weights, 2)
    part = features[:, columns]
    known = ~np.isnan(part).all(axis=1)
    params = {
        **PARAMS,
        "seed": seed,
        "monotone_constraints": [spec.features[at]["direction"] for at in columns],
        "num_leaves": spec.overall_leaves if overall else spec.leaves,
        "min_data_in_leaf": spec.least_rows * (2 if overall else 1),
        "learning_rate": spec.learning_rate,
        "feature_fraction": spec.feature_fraction,
    }
    data = lgb.Dataset(part[known], labels[known], weight=weights[known], free_raw_data=False)
    return lgb.train(params, data, spec.overall_trees if overall else spec.trees)


def absent(spec: Spec, rows: int, seed: int) -> np.ndarray:
    """Which learners are taken away from each row: one to all but one of a random share, whole dimensions half the
    time, because that is how data goes missing."""
    rng = np.random.default_rng(seed)
    share = rng.uniform(0.1, 0.7, (rows, 1))
    alone = rng.random((rows, len(spec.learners))) < share
    drawn = rng.random((rows, len(spec.dimensions))) < share
    places = [spec.dimensions.index(k.dimension) if k.dimension else 0 for k in spec.learners]
    gone = np.where(rng.random((rows, 1)) < 0.5, alone, drawn[:, places])
    return gone & np.array([k.dimension is not None for k in spec.learners])


def train(spec: Spec, features: np.ndarray, labels: np.ndarray, seed: int, weights: np.ndarray = None) -> Ensemble:
    """`weights`: what each row counts; 1 when not given."""
    weights = np.ones(len(labels)) if weights is None else weights
    folds = np.random.default_rng(seed).integers(0, FOLDS, len(labels))
    copies = [features] + [spec.without(features, absent(spec, len(labels), seed + 1 + at)) for at in range(COPIES)]
    out_of_fold = [np.zeros((len(labels), len(spec.learners))) for _ in copies]
    for fold in range(FOLDS):
        held = folds == fold
        boosters = [train_learner(spec, k, features[~held], labels[~held], weights[~held], seed)
                    for k in spec.learners]
        for copy, said in zip(copies, out_of_fold):
            said[held] = margins(spec, boosters, copy[held])
    boosters = [train_learner(spec, k, features, labels, weights, seed) for k in spec.learners]
    return Ensemble(spec, boosters, fit_fuser(spec, copies, out_of_fold, labels, weights))


def fit_fuser(spec: Spec, copies: list, out_of_fold: list, labels: np.ndarray, weights: np.ndarray) -> Fuser:
    known = [spec.known(copy) for copy in copies]
    of_copies = np.concatenate([weights * (1.0 if at == 0 else COPIES_WEIGHT / COPIES) for at in range(len(copies))])
    everything = np.concatenate(out_of_fold), np.concatenate(known)
    fuser = solve(*everything, np.concatenate([labels] * len(copies)), of_copies)
    slope, shift = platt(fuser.log_odds(out_of_fold[0], known[0]), labels, weights)
    calibrated = Fuser(shift + slope * fuser.bias, slope * fuser.weight, slope * fuser.offset, slope * fuser.handed_over)
    # Rounded, so that the numbers do not hang on the last bits of a sum.
    return Fuser(*(np.round(part, 5) for part in vars(calibrated).values()))


def solve(margins: np.ndarray, known: np.ndarray, labels: np.ndarray, row_weights: np.ndarray) -> Fuser:
    """Logistic regression with a ridge, and weights that are not negative."""
    learners = margins.shape[1]
    pairs = [(k, l) for k in range(learners) for l in range(learners) if k != l]
    said = np.where(known, margins, 0)
    columns = [said, ~known] + [np.stack([~known[:, k] * said[:, l] for k, l in pairs], axis=1)] * bool(pairs)
    # Rows that look the same to the fuser could be merged, but there are none: margins differ.
    design = np.hstack([*columns, np.ones((len(labels), 1))])
    ridge = np.array([RIDGE] * 2 * learners + [RIDGE_HANDED_OVER] * len(pairs) + [0.0])
    sign = np.where(labels, 1.0, -1.0)

    def loss(x):
        z = design @ x * sign
        gradient = design.T @ (-sign * row_weights * sigmoid(-z)) + ridge * x
        return (row_weights * np.logaddexp(0, -z)).sum() + (ridge * x * x).sum() / 2, gradient

    bounds = [(0, None)] * learners + [(None, None)] * learners + [(0, None)] * len(pairs) + [(None, None)]
    start = np.concatenate([np.full(learners, 1 / learners), np.zeros(learners + len(pairs) + 1)])
    x = minimize(loss, start, jac=True, method="L-BFGS-B", bounds=bounds, options={"maxiter": 500, "ftol": 1e-12}).x
    handed_over = np.zeros((learners, learners))
    for (k, l), value in zip(pairs, x[2 * learners:-1]):
        handed_over[k, l] = value
    return Fuser(float(x[-1]), x[:learners], x[learners:2 * learners], handed_over)


def platt(log_odds: np.ndarray, labels: np.ndarray, weights: np.ndarray) -> tuple:
    """Slope and shift that make log odds the log of the odds; Newton steps."""
    x = np.array([1.0, 0.0])
    design = np.stack([log_odds, np.ones(len(labels))], axis=1)
    for _ in range(30):
        chance = sigmoid(design @ x)
        step = np.linalg.solve((design * (weights * chance * (1 - chance))[:, None]).T @ design,
                               design.T @ (weights * (chance - labels)))
        x -= step
        if np.abs(step).max() < 1e-10:
            break
    return float(x[0]), float(x[1])
