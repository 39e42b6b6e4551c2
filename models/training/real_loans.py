"""Measures the ensemble on real loans, publishes the SBA model, and writes `models/reports/real_loans.md`. See README.md.

    python models/training/real_loans.py [sba] [german] [clients] [--threads 2]

Names of data sets: those alone are measured anew, the figures of the others are read from the last run.
"""

import argparse
import json
import tempfile
from pathlib import Path

import clients
import export
import fit
import folds
import german
import parity
import plots
import real_loans_text
import registry
import sba
import sba_model
import sba_study

REPORT = registry.ROOT / "models/reports/real_loans.md"
FOLDER = registry.ROOT / "models/reports/real_loans"
REPEATS = {"german": 5, "clients": 2}
SEED = 20261105


def main():
    options = argparse.ArgumentParser()
    options.add_argument("data", nargs="*", help="sba, german, clients; all of them when none is named")
    options.add_argument("--threads", type=int, default=2, help="of LightGBM, and folds that are trained at once")
    chosen = options.parse_args()
    measured = {"sba": of_sba, "german": lambda: of_book(german.load(), chosen.threads),
                "clients": lambda: of_book(clients.load(), chosen.threads)}
    if unknown := set(chosen.data) - set(measured):
        options.error(f"no such data: {', '.join(sorted(unknown))}")
    fit.PARAMS["num_threads"] = chosen.threads
    for name in chosen.data or measured:
        save(name, measured[name]())
    if absent := [name for name in measured if not (FOLDER / f"{name}.json").exists()]:
        raise SystemExit(f"no report yet: {', '.join(absent)} was never measured")
    found = {name: json.loads((FOLDER / f"{name}.json").read_text()) for name in measured}
    REPORT.write_text(real_loans_text.report(found))


def save(name: str, figures: dict):
    short = lambda x: round(x, 6) if isinstance(x, float) else x
    walk = lambda x: ({k: walk(v) for k, v in x.items()} if isinstance(x, dict)
                      else [walk(v) for v in x] if isinstance(x, (list, tuple)) else short(x))
    # Differences between runtimes are far below a millionth.
    figures = walk(figures | {"parity": None}) | {"parity": figures["parity"]}
    FOLDER.mkdir(parents=True, exist_ok=True)
    (FOLDER / f"{name}.json").write_text(json.dumps(figures, indent=1) + "\n")


def of_sba() -> dict:
    study = sba_study.run()
    sba_model.publish(study, sba_model.card(study))
    sba_study.draw(study, FOLDER)
    figures = sba_study.figures(study)
    draw_missing("sba", figures["missing"])
    folder = registry.ROOT / "models/registry" / sba.VERSION
    return figures | {"parity": parity.table("SBA", folder, study.ensemble, study.features, SEED)}


def of_book(book, workers: int) -> dict:
    figures, said = folds.study(book, REPEATS[book.name], workers)
    first = {model: (scores[0], book.labels) for model, scores in said[None].items()}
    plots.roc(FOLDER / f"{book.name}_roc.png", first, f"{TITLES[book.name]}: ROC out of fold, first repeat")
    ensemble = first[folds.ENSEMBLE][0]
    plots.ks(FOLDER / f"{book.name}_ks.png", ensemble, book.labels, f"{TITLES[book.name]}: Kolmogorov-Smirnov")
    plots.calibration(FOLDER / f"{book.name}_calibration.png",
                      {folds.ENSEMBLE: (fit.sigmoid(ensemble), book.labels)}, title=f"{TITLES[book.name]}: calibration")
    draw_missing(book.name, figures["missing"])
    return figures | {"parity": whole_parity(book)}


TITLES = {"german": "German credit", "clients": "Default of clients", "sba": "SBA 2005 to 2007"}


def draw_missing(name: str, missing: list):
    rows = [(row["missing"] or "nothing", {m: row["auc"][m][0] for m in folds.MODELS}) for row in missing]
    plots.missing(FOLDER / f"{name}_missing.png", rows, folds.MODELS, f"{TITLES[name]}: AUC when a group is missing")


def whole_parity(book) -> list:
    """A model of all rows, exported and compared. It is not kept."""
    ensemble = fit.train(book.spec, book.features, book.labels, SEED)
    reason_of = {f["name"]: "NONE" for f in book.spec.features}
    facts = registry.Facts(book.name, "default", SEED, {}, reason_of, {"NONE": ("无", "none")})
    model = export.to_onnx(ensemble, book.name)
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        (folder / "ensemble.onnx").write_bytes(model)
        content = registry.manifest(facts, ensemble, (book.features, book.labels), {}, {"ensemble.onnx": model})
        (folder / "manifest.json").write_bytes(content)
        return parity.table(TITLES[book.name], folder, ensemble, book.features, SEED)


if __name__ == "__main__":
    main()
