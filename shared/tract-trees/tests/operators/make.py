"""Small models from every exporter that writes tree ensembles, with the answers of onnxruntime and of the library.

    ~/.cache/lending-training/venv/bin/python shared/tract-trees/tests/operators/make.py

Needs models/training/requirements.txt. Writes `<name>.onnx` and `<name>.csv` beside itself: columns `f0…` are the
features (empty is missing), `label` and `s0…` what onnxruntime says, `n0…` what the library itself says. Rows at a
threshold and one float32 to either side have no answer of the library: it compares in float64 what the exporter has
rounded.
"""

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper

FEATURES, ROWS, NEAR = 6, 120, 60
HERE = Path(__file__).resolve().parent


def data(classes: int, missing: bool):
    rng = np.random.default_rng(20261124)
    x = rng.normal(size=(3000, FEATURES)).astype(np.float32)
    x[:, 4] = rng.integers(0, 6, 3000)
    x[:, 5] = np.round(x[:, 5], 1)
    signal = x[:, 0] + np.sin(2 * x[:, 1]) + 0.5 * (x[:, 4] == 3) - 0.4 * x[:, 2] * x[:, 5] + rng.normal(scale=0.5, size=3000)
    if missing:
        x[rng.random(x.shape) < 0.1] = np.nan
    if not classes:
        return x, signal.astype(np.float64)
    edges = np.quantile(signal, np.arange(1, classes) / classes)
    return x, np.digitize(signal, edges)


def lightgbm_models():
    import lightgbm as lgb
    from onnxmltools import convert_lightgbm
    from onnxmltools.convert.common.data_types import FloatTensorType

    types = [("x", FloatTensorType([None, FEATURES]))]
    settings = dict(n_estimators=12, num_leaves=12, verbosity=-1, random_state=1, n_jobs=1)
    for name, classes, maker in (("regressor", 0, lgb.LGBMRegressor), ("binary", 2, lgb.LGBMClassifier),
                                 ("classes", 4, lgb.LGBMClassifier)):
        x, y = data(classes, True)
        model = maker(**settings).fit(x, y)
        exported = convert_lightgbm(model.booster_, initial_types=types, zipmap=False, target_opset=15)
        native = (lambda rows, m=model: m.predict_proba(rows)) if classes else (lambda rows, m=model: m.predict(rows)[:, None])
        yield f"lightgbm_{name}", exported, native, x
    x, y = data(2, False)
    model = lgb.LGBMClassifier(**settings, max_cat_to_onehot=8).fit(x, y, categorical_feature=[4])
    exported = convert_lightgbm(model.booster_, initial_types=types, zipmap=False, target_opset=15)
    yield "lightgbm_categories", exported, model.predict_proba, x


def xgboost_models():
    import xgboost as xgb
    from onnxmltools import convert_xgboost
    from onnxmltools.convert.common.data_types import FloatTensorType

    types = [("x", FloatTensorType([None, FEATURES]))]
    settings = dict(n_estimators=12, max_depth=4, random_state=1, n_jobs=1)
    for name, classes, maker in (("regressor", 0, xgb.XGBRegressor), ("binary", 2, xgb.XGBClassifier),
                                 ("classes", 4, xgb.XGBClassifier)):
        x, y = data(classes, True)
        model = maker(**settings).fit(x, y)
        exported = convert_xgboost(model, initial_types=types, target_opset=15)
        native = (lambda rows, m=model: m.predict_proba(rows)) if classes else (lambda rows, m=model: m.predict(rows)[:, None])
        yield f"xgboost_{name}", exported, native, x


def catboost_models():
    import catboost

    settings = dict(iterations=12, depth=4, random_seed=1, verbose=False, thread_count=1, allow_writing_files=False)
    for name, classes, maker in (("regressor", 0, catboost.CatBoostRegressor), ("binary", 2, catboost.CatBoostClassifier),
                                 ("classes", 4, catboost.CatBoostClassifier)):
        x, y = data(classes, True)
        model = maker(**settings).fit(x, y)
        path = HERE / "catboost.tmp"
        model.save_model(str(path), format="onnx")
        exported = onnx.load(path)
        path.unlink()
        native = (lambda rows, m=model: m.predict_proba(rows)) if classes else (lambda rows, m=model: m.predict(rows)[:, None])
        yield f"catboost_{name}", exported, native, x


def sklearn_models():
    from sklearn import ensemble, tree
    from skl2onnx import to_onnx

    forest = dict(n_estimators=12, max_depth=5, random_state=1)
    for name, classes, model, missing in (
        ("forest_regressor", 0, ensemble.RandomForestRegressor(**forest), False),
        ("forest_binary", 2, ensemble.RandomForestClassifier(**forest), False),
        ("forest_classes", 4, ensemble.ExtraTreesClassifier(**forest), False),
        ("forest_texts", 3, ensemble.RandomForestClassifier(**forest), False),
        ("boosting_regressor", 0, ensemble.GradientBoostingRegressor(n_estimators=12, random_state=1), False),
        ("boosting_binary", 2, ensemble.GradientBoostingClassifier(n_estimators=12, random_state=1), False),
        ("boosting_classes", 4, ensemble.GradientBoostingClassifier(n_estimators=12, random_state=1), False),
        ("histogram_binary", 2, ensemble.HistGradientBoostingClassifier(max_iter=12, max_leaf_nodes=12, random_state=1), True),
        ("histogram_regressor", 0, ensemble.HistGradientBoostingRegressor(max_iter=12, max_leaf_nodes=12, random_state=1), True),
        ("tree", 4, tree.DecisionTreeClassifier(max_depth=6, random_state=1), False),
    ):
        x, y = data(classes, missing)
        if name.endswith("texts"):
            y = np.array(["小微", "sole trader", "firm"])[y]
        model.fit(x, y)
        options = {id(model): {"zipmap": False}} if classes else None
        exported = to_onnx(model, x[:1], options=options, target_opset={"": 15, "ai.onnx.ml": 3})
        native = (lambda rows, m=model: m.predict_proba(rows)) if classes else (lambda rows, m=model: m.predict(rows)[:, None])
        yield f"sklearn_{name}", exported, native, x


def made_models():
    """What the standard allows and the exporters above do not happen to write."""
    for aggregate in ("SUM", "AVERAGE", "MIN", "MAX"):
        for transform in ("NONE", "LOGISTIC", "SOFTMAX", "SOFTMAX_ZERO"):
            yield f"made_{aggregate.lower()}_{transform.lower()}", made_regressor(aggregate, transform), None, data(0, True)[0]
    for weights in ("positive", "mixed"):
        for transform in ("NONE", "LOGISTIC"):
            for base in (0, 1):
                name = f"made_binary_{weights}_{transform.lower()}_{base}"
                yield name, made_binary(weights == "positive", transform, base), None, data(0, True)[0]


def stumps(count: int, outputs: int, prefix: str, positive: bool):
    """Trees of one test each, with every mode in turn; each leaf of every other tree adds to two outputs."""
    rng = np.random.default_rng(7)
    modes = ("BRANCH_LEQ", "BRANCH_LT", "BRANCH_GT", "BRANCH_GTE", "BRANCH_EQ", "BRANCH_NEQ")
    nodes = {key: [] for key in ("treeids", "nodeids", "featureids", "values", "modes", "truenodeids", "falsenodeids",
                                 "missing_value_tracks_true")}
    leaves = {key: [] for key in ("treeids", "nodeids", "ids", "weights")}
    for tree in range(count):
        mode = modes[tree % len(modes)]
        value = float(np.float32(rng.integers(0, 6) if "EQ" in mode[-2:] else rng.normal()))
        rows = ((tree, 0, 4 if "EQ" in mode[-2:] else tree % FEATURES, value, mode, 1, 2, 1 if mode == "BRANCH_NEQ" else tree % 2),
                (tree, 1, 0, 0.0, "LEAF", 0, 0, 0), (tree, 2, 0, 0.0, "LEAF", 0, 0, 0))
        for row in rows:
            for key, item in zip(nodes, row):
                nodes[key].append(item)
        for leaf in (1, 2):
            for output in range(outputs) if tree % 2 else (tree // 2 % outputs,):
                weight = float(np.float32(abs(rng.normal(scale=0.1)) if positive else rng.normal(scale=0.3)))
                for key, item in zip(leaves, (tree, leaf, output, weight)):
                    leaves[key].append(item)
    return {f"nodes_{k}": v for k, v in nodes.items()} | {f"{prefix}_{k}": v for k, v in leaves.items()}


def model_of(node, outputs):
    graph = helper.make_graph([node], "made", [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", FEATURES])], outputs)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 15), helper.make_opsetid("ai.onnx.ml", 3)])
    model.ir_version = 8
    return model


def made_regressor(aggregate: str, transform: str):
    node = helper.make_node("TreeEnsembleRegressor", ["x"], ["y"], domain="ai.onnx.ml", n_targets=3,
                            aggregate_function=aggregate, post_transform=transform, base_values=[0.25, 0.0, -0.5],
                            **stumps(13, 3, "target", False))
    return model_of(node, [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", 3])])


def made_binary(positive: bool, transform: str, base: int):
    extra = {"base_values": [0.2]} if base else {}
    node = helper.make_node("TreeEnsembleClassifier", ["x"], ["label", "y"], domain="ai.onnx.ml", post_transform=transform,
                            classlabels_int64s=[10, 20], **stumps(12, 1, "class", positive), **extra)
    return model_of(node, [helper.make_tensor_value_info("label", TensorProto.INT64, ["N"]),
                           helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", 2])])


def without_zipmap(model):
    """A ZipMap turns the scores into a list of maps, which is no tensor."""
    graph = model.graph
    for node in [node for node in graph.node if node.op_type == "ZipMap"]:
        for output in graph.output:
            if output.name == node.output[0]:
                output.CopyFrom(helper.make_tensor_value_info(node.input[0], TensorProto.FLOAT, None))
        graph.node.remove(node)
    return model


def near_thresholds(model, x):
    """Rows whose values are thresholds of the model, or one float32 beside them."""
    rng = np.random.default_rng(3)
    found = [[] for _ in range(FEATURES)]
    for node in model.graph.node:
        if node.op_type.startswith("TreeEnsemble"):
            a = {a.name: list(a.ints or a.floats or a.strings) for a in node.attribute}
            for feature, value, mode in zip(a["nodes_featureids"], a["nodes_values"], a["nodes_modes"]):
                if mode != b"LEAF":
                    found[feature].append(value)
    rows = x[ROWS:ROWS + NEAR].copy()
    for row in rows:
        for feature, values in enumerate(found):
            if values:
                at = np.float32(values[rng.integers(len(values))])
                row[feature] = (at, np.nextafter(at, np.float32(-9e9)), np.nextafter(at, np.float32(9e9)))[rng.integers(3)]
    return rows


def main():
    for old in (*HERE.glob("*.onnx"), *HERE.glob("*.csv")):
        old.unlink()
    for make in (lightgbm_models, xgboost_models, catboost_models, sklearn_models, made_models):
        for name, model, native, x in make():
            model = without_zipmap(model)
            data = model.SerializeToString(deterministic=True)
            session = onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"])
            rows = np.concatenate([x[:ROWS], near_thresholds(model, x)]).astype(np.float32)
            answers = session.run(None, {session.get_inputs()[0].name: rows})
            scores = answers[-1].reshape(len(rows), -1)
            labels = answers[0] if len(answers) == 2 else [""] * len(rows)
            own = native(rows[:ROWS]) if native else np.zeros((0, 0))
            if native:
                print(f"{name}: library to onnxruntime {np.abs(own - scores[:ROWS]).max():.1e}")
            text = lambda v: "" if np.isnan(v) else str(np.float32(v))
            header = [f"f{i}" for i in range(FEATURES)] + ["label"] + [f"s{i}" for i in range(scores.shape[1])] \
                + [f"n{i}" for i in range(own.shape[1])]
            lines = [",".join(header)]
            for at, row in enumerate(rows):
                extra = [text(v) for v in own[at]] if at < len(own) else [""] * own.shape[1]
                lines.append(",".join([*map(text, row), str(labels[at]), *map(text, scores[at]), *extra]))
            (HERE / f"{name}.onnx").write_bytes(data)
            (HERE / f"{name}.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    print(sum(path.stat().st_size for path in HERE.iterdir()), "bytes")


if __name__ == "__main__":
    main()
