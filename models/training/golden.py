"""Golden rows: what onnxruntime and LightGBM say about them. `shared/forest` must say the same."""

import itertools

import numpy as np
import onnxruntime

import features as feature_list


def rows(features: np.ndarray, thresholds: list, seed: int) -> np.ndarray:
    """At least 2,000 rows: as observed, with cells knocked out, with dimensions knocked out, and around thresholds."""
    rng = np.random.default_rng(seed)
    observed = features[:1200]
    holes = features[1200:1500].copy()
    holes[rng.random(holes.shape) < 0.35] = np.nan
    gone = features[1500:1500 + 10 * 2 ** len(feature_list.DIMENSIONS)].copy()
    for row, kept in zip(gone, itertools.cycle(itertools.product((True, False), repeat=len(feature_list.DIMENSIONS)))):
        for dimension, keep in zip(feature_list.DIMENSIONS, kept):
            if not keep:
                row[feature_list.indices(dimension)] = np.nan
    near = features[1900:2250].copy()
    for row in near:
        for feature in range(len(feature_list.FEATURES)):
            if not thresholds[feature]:
                continue
            at = np.float32(thresholds[feature][rng.integers(len(thresholds[feature]))])
            side = (None, -np.inf, np.inf)[rng.integers(3)]
            row[feature] = at if side is None else np.nextafter(at, np.float32(side))
    zeros = np.zeros((1, features.shape[1]), np.float32)
    return np.concatenate([observed, holes, gone, near, zeros])


def thresholds(model: bytes) -> list:
    """The thresholds of each feature in the exported graph, without those that only split off zero or NaN."""
    import onnx

    node = onnx.load_from_string(model).graph.node[0]
    attributes = {a.name: list(a.ints or a.floats or a.strings) for a in node.attribute}
    found = [[] for _ in feature_list.FEATURES]
    parts = zip(attributes["nodes_featureids"], attributes["nodes_values"], attributes["nodes_modes"])
    for feature, value, mode in parts:
        if mode != b"LEAF" and 1e-30 < abs(value) < 1e30:
            found[feature].append(value)
    return found


def answers(ensemble, model: bytes, features: np.ndarray) -> dict:
    """Margins and probability by both, `{column: values}`; the margin of a missing dimension is NaN."""
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    pd, margins, missing = session.run(["pd", "margins", "missing"], {"features": features})
    expected = feature_list.missing_dimensions(features)
    if not np.array_equal(missing == 1, expected):
        raise ValueError("the exported graph and the feature list disagree about missing dimensions")
    own = ensemble.margins(features)
    columns = {}
    for runtime, part in (("onnxruntime", margins), ("lightgbm", own)):
        for at, dimension in enumerate(feature_list.DIMENSIONS):
            columns[f"{runtime}.{dimension}"] = np.where(expected[:, at], np.nan, part[:, at]).astype(np.float32)
    columns["onnxruntime.pd"] = pd[:, 0].astype(np.float32)
    columns["lightgbm.pd"] = ensemble.fuser.probability(own, expected).astype(np.float32)
    return columns


def to_csv(features: np.ndarray, columns: dict) -> str:
    """Shortest decimal text that reads back as the same float32; missing is an empty cell."""
    text = lambda x: "" if np.isnan(x) else str(x)
    lines = [",".join((*feature_list.NAMES, *columns))]
    for row, extra in zip(features, zip(*columns.values())):
        lines.append(",".join(map(text, (*row, *extra))))
    return "\n".join(lines) + "\n"
