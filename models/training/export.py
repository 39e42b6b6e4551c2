"""One ONNX graph from the learners and the fuser, built straight from LightGBM's own dump.

    features [N,F] -> TreeEnsembleRegressor -> margins [N,L] ---------------------+
                   -> TreeEnsembleRegressor -> known [N,L] -+-> Gemm -> weights --+-> Mul -> spoken --+
                                                            +-> Gemm -> offsets ----------------------+-> Add -> parts
    parts [N,L] -> Gemm -> log_odds [N,1] -> Sigmoid -> pd [N,1]

`known` is 1 where at least one feature of a learner has a value: a chain of tests `feature <= -infinity`, false for
every number, which NaN follows to the next feature of the learner. `weights` is what one unit of each learner's margin
adds to the log odds of this row; `parts` is what each learner adds in all.
"""

import numpy as np
import onnx
from onnx import TensorProto, helper

from fit import Ensemble, Fuser
from spec import Spec

MODES = {"<=": "BRANCH_LEQ"}
OUTPUTS = ("pd", "log_odds", "margins", "known", "weights", "parts")


class Trees:
    """The attribute lists of a TreeEnsembleRegressor."""

    def __init__(self):
        self.trees = 0
        self.nodes = {key: [] for key in ("treeids", "nodeids", "featureids", "values", "modes", "truenodeids",
                                          "falsenodeids", "missing_value_tracks_true", "hitrates")}
        self.leaves = {key: [] for key in ("treeids", "nodeids", "ids", "weights")}

    def node(self, node, mode="LEAF", feature=0, value=0.0, true=0, false=0, missing_true=0, reached=1.0):
        row = {"treeids": self.trees, "nodeids": node, "featureids": feature, "values": float(value), "modes": mode,
               "truenodeids": true, "falsenodeids": false, "missing_value_tracks_true": missing_true,
               "hitrates": float(reached)}
        for key, item in row.items():
            self.nodes[key].append(item)

    def leaf(self, node, target, weight, reached=1.0):
        self.node(node, reached=reached)
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
    """Numbers nodes in pre-order. How many training rows reached a node goes with it: reasons are worked out from it."""
    pending, count = [(root, None)], 0
    while pending:
        found, patch = pending.pop()
        node, count = count, count + 1
        if patch:
            key, at = patch
            trees.nodes[key][at] = node
        if "leaf_value" in found:
            trees.leaf(node, target, np.float32(found["leaf_value"]), found.get("leaf_count", 1))
            continue
        at = len(trees.nodes["modes"])
        trees.node(node, MODES[found["decision_type"]], columns[found["split_feature"]],
                   round_down(found["threshold"]), missing_true=missing_goes_true(found),
                   reached=found["internal_count"])
        pending.append((found["right_child"], ("falsenodeids", at)))
        pending.append((found["left_child"], ("truenodeids", at)))
    trees.trees += 1


def margin_trees(spec: Spec, boosters: list) -> Trees:
    trees = Trees()
    for target, (learner, booster) in enumerate(zip(spec.learners, boosters)):
        for tree in booster.dump_model()["tree_info"]:
            add_tree(trees, tree["tree_structure"], spec.columns(learner), target)
    return trees


def known_trees(spec: Spec) -> Trees:
    """One chain per learner: test i asks for its feature i; any number ends in a leaf 1, all NaN in the leaf 0."""
    trees = Trees()
    for target, learner in enumerate(spec.learners):
        columns = spec.columns(learner)
        for at, column in enumerate(columns):
            trees.node(2 * at, "BRANCH_LEQ", column, -np.inf, true=2 * at + 2, false=2 * at + 1, missing_true=1)
            trees.leaf(2 * at + 1, target, 1.0)
        trees.leaf(2 * len(columns), target, 0.0)
        trees.trees += 1
    return trees


def fuser_nodes(fuser: Fuser, learners: int) -> tuple:
    """The nodes from `margins` and `known` to `pd`, and their constants."""
    constant = lambda name, values: helper.make_tensor(
        name, TensorProto.FLOAT, np.shape(values), np.asarray(values, np.float32).ravel())
    nodes = [
        # What learner k hands over counts while it knows nothing: all of it, less what `known` takes back.
        helper.make_node("Gemm", ["known", "taken_back", "whole_weight"], ["if_known"], name="if_known"),
        helper.make_node("Mul", ["if_known", "known"], ["weights"], name="weights"),
        helper.make_node("Mul", ["weights", "margins"], ["spoken"], name="spoken"),
        helper.make_node("Gemm", ["known", "no_offset", "offset"], ["offsets"], name="offsets"),
        helper.make_node("Add", ["spoken", "offsets"], ["parts"], name="parts"),
        helper.make_node("Gemm", ["parts", "sum", "bias"], ["log_odds"], name="log_odds"),
        helper.make_node("Sigmoid", ["log_odds"], ["pd"], name="pd"),
    ]
    constants = [
        constant("taken_back", -fuser.handed_over),
        constant("whole_weight", fuser.weight + fuser.handed_over.sum(axis=0)),
        constant("no_offset", -np.diag(fuser.offset)),
        constant("offset", fuser.offset),
        constant("sum", np.ones((learners, 1))),
        constant("bias", [float(fuser.bias)]),
    ]
    return nodes, constants


def to_onnx(ensemble: Ensemble, version: str) -> bytes:
    spec = ensemble.spec
    count, learners = len(spec.features), len(spec.learners)
    tensor = lambda name, width: helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N", width])
    fusing, constants = fuser_nodes(ensemble.fuser, learners)
    nodes = [
        margin_trees(spec, ensemble.boosters).operator("features", "margins", learners),
        known_trees(spec).operator("features", "known", learners),
        *fusing,
    ]
    graph = helper.make_graph(
        nodes, "ensemble", [tensor("features", count)],
        [tensor(name, 1 if name in ("pd", "log_odds") else learners) for name in OUTPUTS], constants)
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("ai.onnx.ml", 3)]
    model = helper.make_model(graph, opset_imports=opsets, producer_name="models/training", producer_version=version)
    model.ir_version = 8
    # The order of inputs and learners is part of the model: a manifest that lists another order does not fit it.
    helper.set_model_props(model, {"features": "\n".join(spec.names),
                                   "learners": "\n".join(k.name for k in spec.learners)})
    onnx.checker.check_model(model)
    return model.SerializeToString(deterministic=True)
