"""Writes one version of a model as the registry holds it, and refuses to where the runtimes disagree."""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

import distribution
import export
import golden
import measure
import reasons
from fit import Ensemble

ROOT = Path(__file__).resolve().parents[2]
TOLERANCE = 1e-5
SCALE = {"points_at_odds": 600, "odds": 30, "points_to_double_odds": 20, "lowest": 300, "highest": 900}


@dataclass(frozen=True)
class Facts:
    """What a manifest says beside the model itself."""

    version: str
    target: str
    seed: int
    training_window: dict
    # Reason of each feature, and the two texts of each reason.
    reason_of: dict
    texts: dict


def write(path: Path, data: bytes):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    print(f"{path.relative_to(ROOT)}: {len(data)} bytes, sha256 {hashlib.sha256(data).hexdigest()}")


def publish(facts: Facts, ensemble: Ensemble, trained_on: tuple, held_out: tuple, card: str, extra: dict) -> dict:
    """`trained_on` are features and labels of training, `held_out` those that it never saw; `extra` are further files
    by name. The figures are put after the text of `card`. Returns the metrics."""
    folder = ROOT / "models/registry" / facts.version
    features, labels = held_out
    model = export.to_onnx(ensemble, facts.version)
    rows = golden.rows(ensemble.spec, features, golden.thresholds(model), facts.seed + 1)
    columns = golden.answers(ensemble, model, rows)
    differences = compare(ensemble, columns)
    metrics = measure_all(ensemble, features, labels)
    names = ensemble.spec.names
    files = {
        "ensemble.onnx": model,
        "golden.csv": golden.to_csv(names, rows, columns).encode(),
        "contributions.csv": golden.contributions_csv(
            names, golden.contributions(ensemble, every(rows, golden.EXPLAINED))).encode(),
        "model_card.md": (card + table(ensemble, metrics, differences, len(rows))).encode(),
        **extra,
    }
    for name, data in files.items():
        write(folder / name, data)
    write(folder / "manifest.json", manifest(facts, ensemble, trained_on, metrics, files))
    return metrics


def every(rows: np.ndarray, count: int) -> np.ndarray:
    """`count` rows evenly from all kinds of golden rows."""
    return rows[::len(rows) // count][:count]


def compare(ensemble: Ensemble, columns: dict) -> dict:
    largest = {}
    for part in ("pd", *(k.name for k in ensemble.spec.learners)):
        largest[part] = float(np.nanmax(np.abs(columns[f"onnxruntime.{part}"] - columns[f"lightgbm.{part}"])))
        if largest[part] > TOLERANCE:
            raise ValueError(f"onnxruntime and LightGBM differ by {largest[part]} in {part}")
    return largest


def measure_all(ensemble: Ensemble, features: np.ndarray, labels: np.ndarray) -> dict:
    """AUC and KS on rows held out: each learner where it knows anything, each dimension, the fused score on all."""
    spec = ensemble.spec
    known, margins = spec.known(features), ensemble.margins(features)
    figures = lambda score, outcome: {"auc": round(measure.auc(score, outcome), 4),
                                      "ks": round(measure.ks(score, outcome), 4)}
    chance = ensemble.probability(features)
    low, high = measure.auc_interval(chance, labels)
    metrics = {
        "held_out": len(labels),
        "held_out_default_rate": round(float(labels.mean()), 5),
        "fused": figures(chance, labels) | {
            "auc_95": [round(low, 4), round(high, 4)],
            "mean_pd": round(float(chance.mean()), 5),
            "calibration_error": round(measure.calibration(chance, labels)[2], 5)},
        "learners": {},
        "dimensions": {},
    }
    for at, learner in enumerate(spec.learners):
        rows = known[:, at]
        metrics["learners"][learner.name] = figures(margins[rows, at], labels[rows]) | {
            "missing_share": round(float(1 - rows.mean()), 4)}
    weights = ensemble.fuser.weights(known)
    for dimension in spec.dimensions:
        places = [at for at, k in enumerate(spec.learners) if k.dimension == dimension]
        rows = known[:, places].any(axis=1)
        score = (weights * np.where(known, margins, 0))[:, places].sum(axis=1)
        metrics["dimensions"][dimension] = figures(score[rows], labels[rows]) | {
            "missing_share": round(float(1 - rows.mean()), 4)}
    return metrics


def manifest(facts: Facts, ensemble: Ensemble, trained_on: tuple, metrics: dict, files: dict) -> bytes:
    spec, (rows, labels) = ensemble.spec, trained_on
    number = lambda x: None if np.isnan(x) else float(x)
    with np.errstate(all="ignore"):
        low, high = np.nanmin(rows, axis=0), np.nanmax(rows, axis=0)
    features = [{**f, "range": [number(low[at]), number(high[at])], "reason": facts.reason_of[f["name"]],
                 "distribution": distribution.of(rows[:, at])}
                for at, f in enumerate(spec.features)]
    used = {f["reason"] for f in features}
    texts = {code: text for code, text in facts.texts.items() if code in used} | {reasons.MISSING: reasons.MISSING_TEXT}
    content = {
        "version": facts.version,
        "target": facts.target,
        "seed": facts.seed,
        "training_window": facts.training_window,
        "model": "ensemble.onnx",
        "dimensions": list(spec.dimensions),
        "learners": [{"name": k.name, "dimension": k.dimension} for k in spec.learners],
        "features": features,
        "reasons": {code: {"zh": zh, "en": en} for code, (zh, en) in texts.items()},
        "reason_missing": reasons.MISSING,
        "scale": SCALE,
        "score_distribution": distribution.of(points(ensemble.probability(rows))),
        "base_rate": round(float(labels.mean()), 6),
        "metrics": metrics,
        "sha256": {name: hashlib.sha256(data).hexdigest() for name, data in sorted(files.items())},
    }
    return (json.dumps(content, ensure_ascii=False, indent=1) + "\n").encode()


def points(chance: np.ndarray) -> np.ndarray:
    """Points as `shared/forest` gives them: whole, within the ends of the scale."""
    doublings = np.log2((1 - chance) / chance / SCALE["odds"])
    return np.clip(np.rint(SCALE["points_at_odds"] + SCALE["points_to_double_odds"] * doublings),
                   SCALE["lowest"], SCALE["highest"])


def table(ensemble: Ensemble, metrics: dict, differences: dict, rows: int) -> str:
    fuser, fused = ensemble.fuser, metrics["fused"]
    lines = ["", "| learner | dimension | AUC | KS | missing | weight | offset when missing |", "|---|---|---|---|---|---|---|"]
    for learner, weight, offset in zip(ensemble.spec.learners, fuser.weight, fuser.offset):
        own = metrics["learners"][learner.name]
        lines.append(f"| {learner.name} | {learner.dimension or 'all'} | {own['auc']:.3f} | {own['ks']:.3f} | "
                     f"{100 * own['missing_share']:.1f} % | {weight:.3f} | {offset:.3f} |")
    lines += [
        f"| **fused** | | {fused['auc']:.3f} ({fused['auc_95'][0]:.3f} to {fused['auc_95'][1]:.3f}) | {fused['ks']:.3f} "
        f"| | bias {fuser.bias:.3f} | |", "",
        f"{metrics['held_out']:,} rows held out; learners where they know anything. Mean probability "
        f"{100 * fused['mean_pd']:.2f} % against {100 * metrics['held_out_default_rate']:.2f} % that defaulted; expected "
        f"calibration error {100 * fused['calibration_error']:.2f} % over ten bins. onnxruntime and LightGBM differ by at "
        f"most {max(differences.values()):.1e} over {rows:,} golden rows.", ""]
    return "\n".join(lines)
