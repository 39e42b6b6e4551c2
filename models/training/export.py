"""One ONNX graph from five boosters and the fuser, built straight from LightGBM's own dump.

    features [N,F] -> TreeEnsembleRegressor -> margins [N,D] --+
                   -> TreeEnsembleRegressor -> missing [N,D] --+-> Concat -> Gemm -> Sigmoid -> pd [N,1]

`missing` is 1 where all features of a dimension are NaN. It is a chain of tests `feature <= -infinity`, false for every
number, which NaN follows to the next feature of the dimension. What a sub-model says about a row that it knows nothing
of is taken out again in the Gemm: a missing dimension counts with the fuser's weight for *missing* and nothing else.
"""

import numpy as np
import onnx
from onnx import TensorProto, helper

import features as feature_list

MODES = {"<=": "BRANCH_LEQ"}


class Trees:
    """The attribute lists of a TreeEnsembleRegressor."""

    def __init__(self):
        self.trees = 0
        self.nodes = {key: [] for key in ("treeids", "nodeids", "featureids", "values", "modes", "truenodeids",
                                          "falsenodeids", "missing_value_tracks_true", "hitrates")}
        self.leaves = {key: [] for key in ("treeids", "nodeids", "ids", "weights")}

    def node(self, node, mode="LEAF", feature=0, value=0.0, true=0, false=0, missing_true=0):
        row = {"treeids": self.trees, "nodeids": node, "featureids": feature, "values": float(value), "modes": mode,
               "truenodeids": true, "falsenodeids": false, "missing_value_tracks_true": missing_true, "hitrates": 1.0}
        for key, item in row.items():
            self.nodes[key].append(item)

    def leaf(self, node, target, weight):
        self.node(node)
        for key, item in {"treeids": self.trees, "nodeids": node, "ids": target, "weights": float(weight)}.items():
            self.leaves[key].append(item)

    def operator(self, source, result, targets):
        attributes = {f"nodes_{k}": v for k, v in self.nodes.items()}
        attributes |= {f"target_{k}": v for k, v in self.leaves.items()}
        return helper.make_node("TreeEnsembleRegressor", [source], [result], name=result, domain="ai.onnx.ml",
                                n_targets=targets, aggregate_function="SUM", post_transform="NONE", **attributes)


def round_down(threshold: float) -> np.float32:
    """The largest float32 that is not above `threshold`: `x <= threshold` stays the same for every float32 `x`."""
    with np.errstate(over="ignore"):
        rounded = np.float32(threshold)
    if float(rounded) > threshold:
        rounded = np.nextafter(rounded, np.float32(-np.inf))
    return rounded


def missing_goes_true(split: dict) -> int:
    """Where LightGBM sends NaN: by default_left when it has seen NaN, and as zero when it never has."""
    if split["missing_type"] == "NaN":
        return int(split["default_left"])
    if split["missing_type"] == "None":
        return int(0.0 <= split["threshold"])
    raise ValueError(f"a split with missing_type {split['missing_type']} cannot be exported")


def add_tree(trees: Trees, root: dict, columns: list, target: int):
    """Numbers nodes in pre-order, so that the true child follows its parent in memory."""
    pending, count = [(root, None)], 0
    while pending:
        found, patch = pending.pop()
        node, count = count, count + 1
        if patch:
            key, at = patch
            trees.nodes[key][at] = node
        if "leaf_value" in found:
            trees.leaf(node, target, np.float32(found["leaf_value"]))
            continue
        at = len(trees.nodes["modes"])
        trees.node(node, MODES[found["decision_type"]], columns[found["split_feature"]],
                   round_down(found["threshold"]), missing_true=missing_goes_true(found))
        pending.append((found["right_child"], ("falsenodeids", at)))
        pending.append((found["left_child"], ("truenodeids", at)))
    trees.trees += 1


def margin_trees(boosters: list) -> Trees:
    trees = Trees()
    for target, (dimension, booster) in enumerate(zip(feature_list.DIMENSIONS, boosters)):
        for tree in booster.dump_model()["tree_info"]:
            add_tree(trees, tree["tree_structure"], feature_list.indices(dimension), target)
    return trees


def missing_trees() -> Trees:
    """One chain per dimension: test i asks for its feature i; all NaN ends in the leaf 1, any number in a leaf 0."""
    trees = Trees()
    for target, dimension in enumerate(feature_list.DIMENSIONS):
        columns = feature_list.indices(dimension)
        for at, column in enumerate(columns):
            trees.node(2 * at, "BRANCH_LEQ", column, -np.inf, true=2 * at + 2, false=2 * at + 1, missing_true=1)
            trees.leaf(2 * at + 1, target, 0.0)
        trees.leaf(2 * len(columns), target, 1.0)
        trees.trees += 1
    return trees


def fuser_weights(ensemble) -> np.ndarray:
    """Weights for [margins, missing]: the second half also removes the margin of a row without any value."""
    nothing = np.full((1, len(feature_list.FEATURES)), np.nan, np.float32)
    unknown = ensemble.margins(nothing)[0]
    fuser = ensemble.fuser
    return np.concatenate([fuser.margin, fuser.missing - fuser.margin * unknown]).astype(np.float32)


def to_onnx(ensemble, version: str) -> bytes:
    count, dimensions = len(feature_list.FEATURES), len(feature_list.DIMENSIONS)
    tensor = lambda name, width: helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N", width])
    constant = lambda name, shape, values: helper.make_tensor(name, TensorProto.FLOAT, shape, values)
    nodes = [
        margin_trees(ensemble.boosters).operator("features", "margins", dimensions),
        missing_trees().operator("features", "missing", dimensions),
        helper.make_node("Concat", ["margins", "missing"], ["signals"], name="signals", axis=1),
        helper.make_node("Gemm", ["signals", "weights", "bias"], ["log_odds"], name="log_odds"),
        helper.make_node("Sigmoid", ["log_odds"], ["pd"], name="pd"),
    ]
    graph = helper.make_graph(
        nodes, "ensemble", [tensor("features", count)],
        [tensor("pd", 1), tensor("margins", dimensions), tensor("missing", dimensions)],
        [constant("weights", [2 * dimensions, 1], fuser_weights(ensemble)),
         constant("bias", [1], [ensemble.fuser.bias])])
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("ai.onnx.ml", 3)]
    model = helper.make_model(graph, opset_imports=opsets, producer_name="models/training", producer_version=version)
    model.ir_version = 8
    # The order of the inputs and targets is part of the model: a manifest that lists another order does not fit it.
    helper.set_model_props(model, {"features": "\n".join(feature_list.NAMES),
                                   "dimensions": "\n".join(feature_list.DIMENSIONS)})
    onnx.checker.check_model(model)
    return model.SerializeToString(deterministic=True)
