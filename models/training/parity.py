"""The same rows by LightGBM, by onnxruntime and by `shared/forest`: 10,000 of every kind that can go wrong."""

import csv
import os
import subprocess
import tempfile
from pathlib import Path

import numpy as np

import golden
import registry

ROWS = 10_000
KINDS = ("as observed", "missing values", "thresholds ± 1 ulp", "unknown categories")
PARTS = (0.4, 0.25, 0.25, 0.1)


def rows(spec, features: np.ndarray, thresholds: list, seed: int) -> tuple:
    """`ROWS` rows and the kind of each, an index into `KINDS`."""
    rng = np.random.default_rng(seed)
    kind = np.repeat(np.arange(len(KINDS)), [round(part * ROWS) for part in PARTS])
    drawn = features[rng.choice(len(features), ROWS, replace=len(features) < ROWS)].copy()
    holes = rng.random(drawn.shape) < rng.uniform(0.05, 0.9, (ROWS, 1))
    drawn[(kind == 1)[:, None] & holes] = np.nan
    for at, found in enumerate(thresholds):
        if found:
            chosen = np.asarray(found, np.float32)[rng.integers(len(found), size=ROWS)]
            side = rng.integers(3, size=ROWS)
            beside = np.nextafter(chosen, np.where(side == 1, -np.inf, np.inf).astype(np.float32))
            near = np.where(side == 0, chosen, beside)
            drawn[:, at] = np.where(kind == 2, near, drawn[:, at])
    coded = np.array([f["extract"]["kind"] == "category" for f in spec.features])
    # A text that the manifest does not list has no number: one to all of them.
    unknown = rng.random(drawn.shape) < rng.uniform(0.2, 1.0, (ROWS, 1))
    drawn[(kind == 3)[:, None] & coded & unknown] = np.nan
    return drawn, kind


def table(name: str, folder: Path, ensemble, features: np.ndarray, seed: int) -> list:
    """For each kind of row the largest differences of the probability: `{data, kind, rows, pair: difference}`."""
    model = (folder / "ensemble.onnx").read_bytes()
    drawn, kind = rows(ensemble.spec, features, golden.thresholds(model), seed)
    said = {"LightGBM": ensemble.probability(drawn),
            "onnxruntime": golden.run(model, drawn)["pd"][:, 0].astype(float),
            "ours": ours(folder, ensemble.spec.names, drawn)[:, 0]}
    pairs = (("ours", "LightGBM"), ("ours", "onnxruntime"), ("onnxruntime", "LightGBM"))
    found = []
    for at, text in enumerate(KINDS):
        of = kind == at
        largest = {f"{a} − {b}": float(np.abs(said[a] - said[b])[of].max()) for a, b in pairs}
        found.append({"data": name, "kind": text, "rows": int(of.sum()), **largest})
        if max(largest.values()) > registry.TOLERANCE:
            raise ValueError(f"{name}, {text}: {largest}")
    return found


def ours(folder: Path, names: tuple, drawn: np.ndarray) -> np.ndarray:
    """By `shared/forest`, through its example `score_rows`: probability, points, and points of each dimension."""
    with tempfile.TemporaryDirectory() as place:
        path = Path(place) / "rows.csv"
        with open(path, "w", encoding="utf-8", newline="") as file:
            out = csv.writer(file, lineterminator="\n")
            out.writerow(names)
            out.writerows([["" if np.isnan(x) else str(x) for x in row] for row in drawn])
        command = ["cargo", "run", "--release", "--quiet", "-p", "forest", "--example", "score_rows", "--",
                   str(folder.resolve()), str(path)]
        done = subprocess.run(command, cwd=registry.ROOT, env={**os.environ, "CARGO_INCREMENTAL": "0"}, check=True,
                              stdout=subprocess.PIPE, text=True)
    return np.array([line.split() for line in done.stdout.splitlines()], float)
