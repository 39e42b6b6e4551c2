"""The other runtimes of `cargo run --release -- bench models`: the same ensembles, the same rows, one thread each.

    speed.py reference <folder>   trains five learners of 200 trees of 31 leaves, and writes them as the registry does
    speed.py serve <folder>       rebuilds a folder's ensemble for each runtime, and times whatever it is asked for

Everything is rebuilt from the folder's ONNX graph, so that any version of the registry can be measured without its
training. Treelite's C code and LightGBM's C interface are timed by a loop in C: what Python costs is not theirs.
"""

import ctypes
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ[variable] = "1"

import lightgbm
import numpy as np
import onnx
import onnxruntime

BATCH = 256
# What one question is about: enough to be past the caches' first rows, few enough to take turns often.
ROWS, PYTHON_ROWS, BATCHES = 1000, 200, 20
EXPLAINED = 20


def reference(folder: Path):
    """The features and firms of the simulated city. Speed hangs on the shape only, so the fuser is not trained."""
    from datetime import date

    import export
    import features as feature_list
    import fit
    import golden
    import reasons
    import registry
    import simulation
    from spec import Learner, Spec

    dimensions = tuple(dict.fromkeys(f["dimension"] for f in feature_list.FEATURES))
    learners = tuple(Learner(d, d, tuple(f["name"] for f in feature_list.FEATURES if f["dimension"] == d))
                     for d in dimensions)
    spec = Spec(feature_list.FEATURES, learners, trees=200, leaves=31, least_rows=20)
    city = simulation.simulate(1, 30_000, date(2025, 10, 31))
    features, labels = feature_list.matrix(city), city.defaulted
    boosters = [fit.train_learner(spec, k, features, labels, np.ones(len(labels)), 1) for k in learners]
    count = len(learners)
    handed_over = np.full((count, count), 0.1) - np.diag(np.full(count, 0.1))
    ensemble = fit.Ensemble(spec, boosters, fit.Fuser(0.5, np.full(count, 0.3), np.full(count, 0.2), handed_over))
    model = export.to_onnx(ensemble, "reference")
    rows = golden.rows(spec, features, golden.thresholds(model), 2)
    facts = registry.Facts("reference", "default", 1, {}, reasons.OF_FEATURE, reasons.REASONS)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "ensemble.onnx").write_bytes(model)
    (folder / "golden.csv").write_text(golden.to_csv(spec.names, rows, golden.answers(ensemble, model, rows)))
    (folder / "manifest.json").write_bytes(registry.manifest(facts, ensemble, (features, labels), {}, {"ensemble.onnx": model}))


class Graph:
    """A folder of the registry: the trees of its margins, its golden rows, and what onnxruntime says of them."""

    def __init__(self, folder: Path):
        self.model = (folder / "ensemble.onnx").read_bytes()
        graph = onnx.load_from_string(self.model).graph
        node = next(n for n in graph.node if list(n.output) == ["margins"])
        self.of = {a.name: list(a.ints or a.floats or a.strings) or a.i for a in node.attribute}
        self.width = graph.input[0].type.tensor_type.shape.dim[1].dim_value
        self.learners = self.of["n_targets"]
        lines = (folder / "golden.csv").read_text().splitlines()
        cells = [[float(cell) if cell else np.nan for cell in line.split(",")[:self.width]] for line in lines[1:]]
        self.rows = np.array(cells, np.float32)

    def boosters(self) -> list:
        """Each learner as a LightGBM model over all columns."""
        of = self.of
        starts = {tree: at for at, tree in reversed(list(enumerate(of["nodes_treeids"])))}
        self.weight = dict(zip(zip(of["target_treeids"], of["target_nodeids"]), of["target_weights"]))
        learner = dict(zip(of["target_treeids"], of["target_ids"]))
        texts = [[] for _ in range(self.learners)]
        for tree in sorted(starts):
            of_learner = texts[learner[tree]]
            of_learner.append(f"Tree={len(of_learner)}\n{self.tree(tree, starts[tree])}\n\n")
        return [lightgbm.Booster(model_str=self.text(trees)) for trees in texts]

    def text(self, trees: list) -> str:
        names = " ".join(f"f{at}" for at in range(self.width))
        ranges = " ".join(["[-1e30:1e30]"] * self.width)
        return (f"tree\nversion=v4\nnum_class=1\nnum_tree_per_iteration=1\nlabel_index=0\n"
                f"max_feature_idx={self.width - 1}\nobjective=binary sigmoid:1\nfeature_names={names}\n"
                f"feature_infos={ranges}\ntree_sizes={' '.join(str(len(t)) for t in trees)}\n\n"
                f"{''.join(trees)}end of trees\n")

    def tree(self, tree: int, start: int) -> str:
        """In LightGBM's own words: tests are numbered from the root, leaves count down from -1."""
        of, tests, leaves = self.of, [], []
        pending = [(start, None, None)]
        while pending:
            at, parent, side = pending.pop()
            leaf = of["nodes_modes"][at] == b"LEAF"
            into = leaves if leaf else tests
            number = -len(leaves) - 1 if leaf else len(tests)
            into.append({"at": at})
            if parent is not None:
                tests[parent][side] = number
            if not leaf:
                pending.append((start + of["nodes_falsenodeids"][at], number, "right"))
                pending.append((start + of["nodes_truenodeids"][at], number, "left"))
        each = lambda nodes, value: " ".join(str(value(node)) for node in nodes)
        value = lambda leaf: repr(float(self.weight[(tree, of["nodes_nodeids"][leaf["at"]])]))
        count = lambda node: int(of["nodes_hitrates"][node["at"]])
        # A numerical test whose missing values are NaN, and on which side they go.
        kind = lambda test: 8 + 2 * of["nodes_missing_value_tracks_true"][test["at"]]
        lines = {
            "num_leaves": len(leaves), "num_cat": 0,
            "split_feature": each(tests, lambda t: of["nodes_featureids"][t["at"]]),
            "split_gain": each(tests, lambda t: 1),
            "threshold": each(tests, lambda t: repr(float(of["nodes_values"][t["at"]]))),
            "decision_type": each(tests, kind),
            "left_child": each(tests, lambda t: t["left"]), "right_child": each(tests, lambda t: t["right"]),
            "leaf_value": each(leaves, value), "leaf_weight": each(leaves, count), "leaf_count": each(leaves, count),
            "internal_value": each(tests, lambda t: 0), "internal_weight": each(tests, count),
            "internal_count": each(tests, count), "is_linear": 0, "shrinkage": 1,
        }
        return "\n".join(f"{key}={text}" for key, text in lines.items())


class Runtimes:
    """Every way to time a part of the rows. Each gives nanoseconds, one number per row or per batch."""

    def __init__(self, folder: Path, scratch: Path):
        self.graph = Graph(folder)
        self.rows, self.turn = self.graph.rows, 0
        self.loads = {}
        self.load_onnxruntime()
        self.boosters = self.graph.boosters()
        texts = [booster.model_to_string() for booster in self.boosters]
        self.loads["lightgbm"] = milliseconds(lambda: [lightgbm.Booster(model_str=text) for text in texts])
        self.harness = compiled(scratch, Path(__file__).with_name("speed.c"))
        self.load_treelite(scratch)
        self.pointers = (ctypes.c_void_p * len(self.boosters))(*(b._handle.value for b in self.boosters))
        self.fast = self.fast_configurations()
        self.check()

    def load_onnxruntime(self):
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        start = lambda: onnxruntime.InferenceSession(self.graph.model, options, providers=["CPUExecutionProvider"])
        self.loads["onnxruntime"] = milliseconds(start)
        self.session = start()

    def load_treelite(self, scratch: Path):
        import tl2cgen
        import treelite

        paths = []
        for at, booster in enumerate(self.boosters):
            path = scratch / f"learner{at}.so"
            model = treelite.frontend.from_lightgbm(booster)
            tl2cgen.export_lib(model, toolchain="gcc", libpath=path, params={"parallel_comp": 4}, nthread=2)
            paths.append(path)
        libraries = []
        self.loads["treelite"] = milliseconds(lambda: libraries.extend(ctypes.CDLL(str(path)) for path in paths))
        places = [ctypes.cast(library.predict, ctypes.c_void_p).value for library in libraries]
        self.treelite = (ctypes.c_void_p * len(places))(*places)

    def fast_configurations(self):
        """What LightGBM prepares once for single rows of float32."""
        library, handles = lightgbm.basic._LIB, []
        for booster in self.boosters:
            handle = ctypes.c_void_p()
            failed = library.LGBM_BoosterPredictForMatSingleRowFastInit(
                booster._handle, 1, 0, -1, 0, ctypes.c_int32(self.graph.width), ctypes.c_char_p(b"num_threads=1"),
                ctypes.byref(handle))
            if failed:
                raise RuntimeError("LightGBM does not prepare single rows")
            handles.append(handle.value)
        return (ctypes.c_void_p * len(handles))(*handles)

    def part(self, number: int) -> np.ndarray:
        """The next rows, around and around."""
        places = (np.arange(number) + self.turn) % len(self.rows)
        self.turn += number
        return np.ascontiguousarray(self.rows[places])

    def check(self):
        """What is compared has to be the same model."""
        part = self.part(512)
        expected = self.session.run(["margins"], {"features": part})[0]
        said = {
            "treelite": self.by_treelite(part, 1)[1], "lightgbm": self.by_lightgbm_rows(part)[1],
            "lightgbm in batches": self.by_lightgbm_batches(part)[1],
            "lightgbm from Python": np.stack([b.predict(part, raw_score=True) for b in self.boosters], axis=1)}
        for name, margins in said.items():
            if np.abs(margins - expected).max() > 1e-5:
                raise ValueError(f"{name} does not say what onnxruntime says")

    def by_treelite(self, part: np.ndarray, batch: int) -> tuple:
        times, out = np.zeros(len(part) // batch, np.int64), np.zeros((len(part), self.graph.learners))
        self.harness.time_treelite(self.treelite, len(self.treelite), pointer(part), len(times), batch,
                                   self.graph.width, pointer(times), pointer(out))
        return times, out

    def by_lightgbm_rows(self, part: np.ndarray) -> tuple:
        times, out = np.zeros(len(part), np.int64), np.zeros((len(part), self.graph.learners))
        single = ctypes.cast(lightgbm.basic._LIB.LGBM_BoosterPredictForMatSingleRowFast, ctypes.c_void_p)
        self.harness.time_lightgbm_rows(single, self.fast, len(self.fast), pointer(part), len(part), self.graph.width,
                                        pointer(times), pointer(out))
        return times, out

    def by_lightgbm_batches(self, part: np.ndarray) -> tuple:
        batches = len(part) // BATCH
        times, out = np.zeros(batches, np.int64), np.zeros((batches, self.graph.learners, BATCH))
        many = ctypes.cast(lightgbm.basic._LIB.LGBM_BoosterPredictForMat, ctypes.c_void_p)
        self.harness.time_lightgbm_batches(many, self.pointers, len(self.pointers), pointer(part), batches, BATCH,
                                           self.graph.width, pointer(times), pointer(out))
        return times, out.transpose(0, 2, 1).reshape(len(part), -1)

    def onnxruntime(self, part: np.ndarray):
        self.session.run(["pd"], {"features": part})

    def lightgbm(self, part: np.ndarray):
        for booster in self.boosters:
            booster.predict(part, raw_score=True, num_threads=1)

    def contributions(self, part: np.ndarray):
        for booster in self.boosters:
            booster.predict(part, pred_contrib=True, num_threads=1)

    def shap(self, part: np.ndarray):
        if not hasattr(self, "explainers"):
            import shap

            self.explainers = [shap.TreeExplainer(booster) for booster in self.boosters]
        for explainer in self.explainers:
            explainer.shap_values(part)

    def time(self, what: str) -> list:
        each = lambda run, part, size: [nanoseconds(run, part[at:at + size]) for at in range(0, len(part), size)]
        ways = {
            "treelite row": lambda: self.by_treelite(self.part(ROWS), 1)[0].tolist(),
            "treelite batch": lambda: self.by_treelite(self.part(BATCHES * BATCH), BATCH)[0].tolist(),
            "lightgbm row": lambda: self.by_lightgbm_rows(self.part(ROWS))[0].tolist(),
            "lightgbm batch": lambda: self.by_lightgbm_batches(self.part(BATCHES * BATCH))[0].tolist(),
            "lightgbm python row": lambda: each(self.lightgbm, self.part(PYTHON_ROWS), 1),
            "lightgbm python batch": lambda: each(self.lightgbm, self.part(BATCHES * BATCH), BATCH),
            "onnxruntime row": lambda: each(self.onnxruntime, self.part(PYTHON_ROWS), 1),
            "onnxruntime batch": lambda: each(self.onnxruntime, self.part(BATCHES * BATCH), BATCH),
            "lightgbm explain": lambda: each(self.contributions, self.part(EXPLAINED), 1),
            "shap explain": lambda: each(self.shap, self.part(EXPLAINED), 1),
        }
        return ways[what]() if what in ways else []


def pointer(array: np.ndarray):
    return array.ctypes.data_as(ctypes.c_void_p)


def nanoseconds(run, part: np.ndarray) -> int:
    start = time.perf_counter_ns()
    run(part)
    return time.perf_counter_ns() - start


def milliseconds(load) -> float:
    start = time.perf_counter_ns()
    load()
    return (time.perf_counter_ns() - start) / 1e6


def compiled(scratch: Path, source: Path):
    path = scratch / "speed.so"
    subprocess.run(["gcc", "-O3", "-shared", "-fPIC", "-o", path, source], check=True)
    return ctypes.CDLL(str(path))


def serve(folder: Path):
    """A line in says what to time, a line out gives the times; the first line out gives the times to load."""
    # What the libraries print goes elsewhere: the answers have standard output for themselves.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    with tempfile.TemporaryDirectory() as scratch:
        runtimes = Runtimes(folder, Path(scratch))
        print(json.dumps(runtimes.loads), file=answers, flush=True)
        for line in sys.stdin:
            print(json.dumps(runtimes.time(line.strip())), file=answers, flush=True)


if __name__ == "__main__":
    {"reference": reference, "serve": serve}[sys.argv[1]](Path(sys.argv[2]))
