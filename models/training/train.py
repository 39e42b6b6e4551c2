"""Trains, exports and checks the ensemble, and writes the first city. See README.md; takes about two minutes.

Reads nothing. Writes `models/registry/<version>/` and `infra/local/city/`. The seeds are fixed: a second run on the
same kind of machine writes the same bytes.
"""

import csv
import hashlib
import json
from datetime import date
from pathlib import Path

import numpy as np

import export
import features as feature_list
import fit
import golden
import simulation

VERSION = "2026.11.1"
TRAINING_SEED, CITY_SEED, GOLDEN_SEED, PEOPLE_SEED = 20261101, 7_031, 7_919, 104_729
FIRMS, HELD_OUT, CITY_FIRMS, PARITY_FIRMS = 60_000, 15_000, 2_000, 200
# The training population is observed on this day and watched for a year.
OBSERVED_ON, OUTCOMES_UNTIL = date(2025, 10, 31), date(2026, 10, 31)
CITY_AS_OF = date(2026, 10, 31)
TOLERANCE = 1e-5
ROOT = Path(__file__).resolve().parents[2]
SCALE = {"points_at_odds": 600, "odds": 30, "points_to_double_odds": 20, "lowest": 300, "highest": 900}


def main():
    population = simulation.simulate(TRAINING_SEED, FIRMS + HELD_OUT, OBSERVED_ON)
    features, labels = feature_list.matrix(population), population.defaulted
    ensemble = fit.train(features[:FIRMS], labels[:FIRMS], TRAINING_SEED)
    model = export.to_onnx(ensemble, VERSION)
    held = features[FIRMS:], labels[FIRMS:]
    metrics = measure(ensemble, *held)

    registry = ROOT / "models/registry" / VERSION
    registry.mkdir(parents=True, exist_ok=True)
    write(registry / "ensemble.onnx", model)
    differences = write_golden(registry / "golden.csv", ensemble, model, held[0])
    city = simulation.simulate(CITY_SEED, CITY_FIRMS, CITY_AS_OF)
    codes = write_city(ROOT / "infra/local/city", city)
    write(registry / "parity.json", parity(city, codes))
    card = model_card(ensemble, metrics, differences, labels)
    write(registry / "model_card.md", card.encode())
    write(registry / "manifest.json", manifest(registry, metrics))
    print(json.dumps({"metrics": metrics, "differences": differences}, indent=1))


def write(path: Path, data: bytes):
    path.write_bytes(data)
    print(f"{path.relative_to(ROOT)}: {len(data)} bytes, sha256 {hashlib.sha256(data).hexdigest()}")


def measure(ensemble, features: np.ndarray, labels: np.ndarray) -> dict:
    """AUC and KS on held-out firms: each sub-model where its dimension is known, the fused score on all."""
    margins, missing = ensemble.margins(features), feature_list.missing_dimensions(features)
    pd = ensemble.fuser.probability(margins, missing)
    metrics = {"held_out_firms": len(labels), "held_out_default_rate": round(float(labels.mean()), 5),
               "fused": {"auc": round(fit.auc(pd, labels), 4), "ks": round(fit.ks(pd, labels), 4),
                         "mean_pd": round(float(pd.mean()), 5)}}
    for at, dimension in enumerate(feature_list.DIMENSIONS):
        known = ~missing[:, at]
        score, outcome = margins[known, at], labels[known]
        metrics[dimension] = {"auc": round(fit.auc(score, outcome), 4), "ks": round(fit.ks(score, outcome), 4),
                              "missing_share": round(float(missing[:, at].mean()), 4)}
    return metrics


def write_golden(path: Path, ensemble, model: bytes, held_out: np.ndarray) -> dict:
    rows = golden.rows(held_out, golden.thresholds(model), GOLDEN_SEED)
    columns = golden.answers(ensemble, model, rows)
    largest = {}
    for part in ("pd", *feature_list.DIMENSIONS):
        difference = np.abs(columns[f"onnxruntime.{part}"] - columns[f"lightgbm.{part}"])
        largest[part] = float(np.nanmax(difference))
        if largest[part] > TOLERANCE:
            raise ValueError(f"onnxruntime and LightGBM differ by {largest[part]} in {part}")
    write(path, golden.to_csv(rows, columns).encode())
    return {"rows": len(rows), "onnxruntime_to_lightgbm": largest}


def write_city(folder: Path, city) -> list:
    """One CSV per source; a firm that the source never delivered has no row. Returns the firm codes."""
    folder.mkdir(parents=True, exist_ok=True)
    basic = simulation.register(PEOPLE_SEED, city)
    for source, columns in city.sources.items():
        with open(folder / f"{source}.csv", "w", encoding="utf-8", newline="") as file:
            out = csv.writer(file, lineterminator="\n")
            if source == "basic_information":
                out.writerow(basic)
                out.writerows(zip(*basic.values()))
                continue
            out.writerow(("firm_code", *columns))
            for firm in np.flatnonzero(city.present[source]):
                out.writerow((basic["firm_code"][firm], *(column.cell(firm) for column in columns.values())))
    return basic["firm_code"]


def parity(city, codes: list) -> bytes:
    """Features of the first firms as Python extracts them; Rust must extract the same float32 from the CSV files."""
    features = feature_list.matrix(city)[:PARITY_FIRMS]
    firms = {code: [None if np.isnan(x) else float(x) for x in row] for code, row in zip(codes, features)}
    lines = ",\n".join(f"{json.dumps(code)}:{json.dumps(row, separators=(',', ':'))}" for code, row in firms.items())
    return f'{{"as_of":"{city.as_of}","firms":{{\n{lines}\n}}}}\n'.encode()


def manifest(registry: Path, metrics: dict) -> bytes:
    digest = lambda name: hashlib.sha256((registry / name).read_bytes()).hexdigest()
    names = ("ensemble.onnx", "golden.csv", "model_card.md", "parity.json")
    content = {
        "version": VERSION,
        "target": "default within 365 days",
        "seed": TRAINING_SEED,
        "training_window": {"observed_on": str(OBSERVED_ON), "outcomes_until": str(OUTCOMES_UNTIL),
                            "firms": FIRMS, "data": "synthetic"},
        "model": "ensemble.onnx",
        "dimensions": list(feature_list.DIMENSIONS),
        "features": list(feature_list.FEATURES),
        "scale": SCALE,
        "metrics": metrics,
        "sha256": {name: digest(name) for name in names},
    }
    return (json.dumps(content, ensure_ascii=False, indent=1) + "\n").encode()


def model_card(ensemble, metrics: dict, differences: dict, labels: np.ndarray) -> str:
    fuser = ensemble.fuser
    lines = [f"| {d} | {metrics[d]['auc']:.3f} | {metrics[d]['ks']:.3f} | {100 * metrics[d]['missing_share']:.1f} % | "
             f"{w:.3f} | {m:.3f} |" for d, w, m in zip(feature_list.DIMENSIONS, fuser.margin, fuser.missing)]
    fused = metrics["fused"]
    return CARD.format(
        version=VERSION, firms=FIRMS, held=HELD_OUT, rate=100 * labels[:FIRMS].mean(), observed=OBSERVED_ON,
        until=OUTCOMES_UNTIL, features=len(feature_list.FEATURES), dimensions="\n".join(lines), auc=fused["auc"],
        ks=fused["ks"], mean=100 * fused["mean_pd"], actual=100 * metrics["held_out_default_rate"], bias=fuser.bias,
        trees=fit.TREES, leaves=fit.PARAMS["num_leaves"], rows=differences["rows"],
        largest=max(differences["onnxruntime_to_lightgbm"].values()))


CARD = """# Firm default ensemble {version}

**Made from synthetic data.** No real firm or person is in it, and its figures say nothing about real borrowers.
Train again on your own book before you lend on it.

- **Says:** the chance that a firm defaults within 365 days, and points (600 at odds of 30 to 1, 20 points double them).
- **How:** five LightGBM sub-models ({trees} trees of at most {leaves} leaves each) over {features} features of the firm
  archive; a logistic fuser stacked on their out-of-fold margins. Each feature with a known direction is constrained to
  it, so that no better ratio can cost points.
- **Missing:** an empty cell follows the branch learnt for missing values. A dimension without a single value is taken
  out of the sum and counts with a weight of its own; it is never read as zero.
- **Trained on:** {firms} simulated firms observed on {observed}, outcomes until {until}, {rate:.2f} % defaults.
- **Not used:** who leads the firm, age or sex of anybody, address, district, industry.

| dimension | AUC | KS | missing | weight of the margin | weight of being missing |
|---|---|---|---|---|---|
{dimensions}
| fused | {auc:.3f} | {ks:.3f} | | bias {bias:.3f} | |

{held} held-out firms of the same simulation; sub-models where their dimension is known. Mean probability {mean:.2f} %
against {actual:.2f} % that defaulted. onnxruntime and LightGBM differ by at most {largest:.1e} over {rows} golden rows.

## Limits

- The simulation's causes are smooth and its sources independent given them. Real data are neither; expect a lower AUC.
- One observation date: no business cycle, no drift, no seasons.
- Sources go missing almost at random here. If firms can choose what to hide, the weights of *missing* are too kind.
- Firms that nobody would lend to are in the sample; there is no reject inference.
- Banned and revoked firms are a rule of the decision, not of this score.
"""

if __name__ == "__main__":
    main()
