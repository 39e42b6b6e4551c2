"""What a report asks of a model, worked out on held-out firms: figures only, no text. Scores are log odds to default."""

import itertools
from dataclasses import dataclass

import numpy as np

import baselines
import distribution
import features as feature_list
import fit
import measure
import registry

ENSEMBLE, SINGLE, SCORECARD = "ensemble by groups", "single LightGBM", "logistic scorecard"


@dataclass
class Model:
    """Something that gives log odds: the ensemble, or what it has to beat."""

    name: str
    log_odds: object

    def chance(self, features: np.ndarray) -> np.ndarray:
        return fit.sigmoid(self.log_odds(features))


def models(ensemble, features: np.ndarray, labels: np.ndarray, seed: int) -> list:
    weights = np.ones(len(labels))
    return [
        Model(ENSEMBLE, ensemble.log_odds),
        Model(SINGLE, baselines.Single(ensemble.spec, features, labels, weights, seed).log_odds),
        Model(SCORECARD, baselines.Scorecard(features, labels, weights).log_odds),
    ]


@dataclass(frozen=True)
class Quality:
    rows: int
    defaults: int
    auc: float
    interval: tuple
    ks: float
    calibration_error: float
    mean_chance: float

    @property
    def rate(self) -> float:
        return self.defaults / self.rows


def quality(log_odds: np.ndarray, labels: np.ndarray) -> Quality:
    chance = fit.sigmoid(log_odds)
    return Quality(len(labels), int(labels.sum()), measure.auc(log_odds, labels), measure.auc_interval(log_odds, labels),
                   measure.ks(log_odds, labels), measure.calibration(chance, labels)[2], float(chance.mean()))


def absences(dimensions: tuple) -> list:
    """Nothing missing, every dimension, and every pair."""
    return [(), *itertools.combinations(dimensions, 1), *itertools.combinations(dimensions, 2)]


@dataclass(frozen=True)
class Absence:
    """AUC of each model while dimensions are missing, and the ensemble's less the single model's with its interval."""

    gone: tuple
    auc: dict
    lead: tuple


def missing(found: list, features: np.ndarray, labels: np.ndarray) -> list:
    studied = []
    for gone in absences(feature_list.DIMENSIONS):
        rows = feature_list.without(features, gone)
        said = {model.name: model.log_odds(rows) for model in found}
        auc = {name: measure.auc(score, labels) for name, score in said.items()}
        studied.append(Absence(gone, auc, measure.auc_difference(said[ENSEMBLE], said[SINGLE], labels)))
    return studied


@dataclass(frozen=True)
class Added:
    """What a dimension adds: the ensemble's AUC when only it is there, when it alone is missing, and what is lost then;
    and the AUC of a single model that was trained without it."""

    dimension: str
    alone: float
    without: float
    lost: tuple
    trained_without: float


def added(ensemble, trained_on: tuple, features: np.ndarray, labels: np.ndarray, seed: int) -> list:
    studied = []
    whole = ensemble.log_odds(features)
    for dimension in feature_list.DIMENSIONS:
        others = tuple(d for d in feature_list.DIMENSIONS if d != dimension)
        less = ensemble.log_odds(feature_list.without(features, (dimension,)))
        again = baselines.Single(ensemble.spec, feature_list.without(trained_on[0], (dimension,)), trained_on[1],
                                 np.ones(len(trained_on[1])), seed)
        studied.append(Added(
            dimension,
            measure.auc(ensemble.log_odds(feature_list.without(features, others)), labels),
            measure.auc(less, labels),
            measure.auc_difference(whole, less, labels),
            measure.auc(again.log_odds(feature_list.without(features, (dimension,))), labels)))
    return studied


def without_contradictions(spec, trained_on: tuple, features: np.ndarray, seed: int) -> np.ndarray:
    """Log odds by a single model that never sees a feature over two sources."""
    columns = [spec.names.index(name) for name in feature_list.contradictions()]
    blind = lambda rows: np.where(np.isin(np.arange(rows.shape[1]), columns), np.float32(np.nan), rows)
    single = baselines.Single(spec, blind(trained_on[0]), trained_on[1], np.ones(len(trained_on[1])), seed)
    return single.log_odds(blind(features))


def drift(manifest: dict, features: np.ndarray, chance: np.ndarray) -> tuple:
    """Population stability index of each feature, and of the points, against what the manifest says of training."""
    of_features = {f["name"]: distribution.psi(f["distribution"], features[:, at].astype(np.float64))
                   for at, f in enumerate(manifest["features"])}
    return of_features, distribution.psi(manifest["score_distribution"], registry.points(chance))
