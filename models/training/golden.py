"""Golden rows: what onnxruntime and LightGBM say about them. `shared/forest` must say the same."""

import itertools

import numpy as np
import onnx
import onnxruntime

from export import OUTPUTS
from fit import Ensemble
from spec import Spec

EXPLAINED = 200


def rows(spec: Spec, features: np.ndarray, thresholds: list, seed: int) -> np.ndarray:
    """At least 2,000 rows: as observed, with cells knocked out, with dimensions knocked out, and around thresholds."""
    rng = np.random.default_rng(seed)
    observed = features[:1200]
    holes = features[1200:1500].copy()
    holes[rng.random(holes.shape) < 0.35] = np.nan
    gone = features[1500:1500 + 10 * 2 ** len(spec.dimensions)].copy()
    places = [[at for at, f in enumerate(spec.features) if f["dimension"] == d] for d in spec.dimensions]
    for row, kept in zip(gone, itertools.cycle(itertools.product((True, False), repeat=len(spec.dimensions)))):
        for columns, keep in zip(places, kept):
            if not keep:
                row[columns] = np.nan
    near = features[1900:2250].copy()
    for row in near:
        for feature in range(len(spec.features)):
            if not thresholds[feature]:
                continue
            at = np.float32(thresholds[feature][rng.integers(len(thresholds[feature]))])
            side = (None, -np.inf, np.inf)[rng.integers(3)]
            row[feature] = at if side is None else np.nextafter(at, np.float32(side))
    zeros = np.zeros((1, features.shape[1]), np.float32)
    return np.concatenate([observed, holes, gone, near, zeros])


def thresholds(model: bytes) -> list:
    """The thresholds of each feature in the exported graph, without those that only split off zero or NaN."""
    graph = onnx.load_from_string(model).graph
    attributes = {a.name: list(a.ints or a.floats or a.strings) for a in graph.node[0].attribute}
    width = graph.input[0].type.tensor_type.shape.dim[1].dim_value
    found = [[] for _ in range(width)]
    parts = zip(attributes["nodes_featureids"], attributes["nodes_values"], attributes["nodes_modes"])
    for feature, value, mode in parts:
        if mode != b"LEAF" and 1e-30 < abs(value) < 1e30:
            found[feature].append(value)
    return found


def run(model: bytes, features: np.ndarray) -> dict:
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    return dict(zip(OUTPUTS, session.run(list(OUTPUTS), {"features": features})))


def answers(ensemble: Ensemble, model: bytes, features: np.ndarray) -> dict:
    """Margins and probability by both, `{column: values}`; the margin of a learner that knows nothing is NaN."""
    exported = run(model, features)
    known = ensemble.spec.known(features)
    if not np.array_equal(exported["known"] == 1, known):
        raise ValueError("the exported graph and the specification disagree about missing data")
    own = ensemble.margins(features)
    columns = {}
    for runtime, part in (("onnxruntime", exported["margins"]), ("lightgbm", own)):
        for at, learner in enumerate(ensemble.spec.learners):
            columns[f"{runtime}.{learner.name}"] = np.where(known[:, at], part[:, at], np.nan).astype(np.float32)
    columns["onnxruntime.pd"] = exported["pd"][:, 0].astype(np.float32)
    columns["lightgbm.pd"] = ensemble.probability(features).astype(np.float32)
    return columns


def contributions(ensemble: Ensemble, features: np.ndarray) -> np.ndarray:
    """What each feature adds to the log odds, by LightGBM's own path-dependent TreeSHAP: float64 (rows, features)."""
    spec = ensemble.spec
    weights = ensemble.fuser.weights(spec.known(features))
    total = np.zeros(features.shape)
    for at, (learner, booster) in enumerate(zip(spec.learners, ensemble.boosters)):
        columns = spec.columns(learner)
        own = booster.predict(features[:, columns], pred_contrib=True)[:, :-1]
        total[:, columns] += weights[:, [at]] * own
    return total


def to_csv(names: tuple, features: np.ndarray, columns: dict) -> str:
    """Shortest decimal text that reads back as the same float32; missing is an empty cell."""
    text = lambda x: "" if np.isnan(x) else str(x)
    lines = [",".join((*names, *columns))]
    for row, extra in zip(features, zip(*columns.values())):
        lines.append(",".join(map(text, (*row, *extra))))
    return "\n".join(lines) + "\n"


def contributions_csv(names: tuple, values: np.ndarray) -> str:
    return "\n".join([",".join(names), *(",".join(f"{x:.9g}" for x in row) for row in values)]) + "\n"
