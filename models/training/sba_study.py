"""The SBA loans out of time: figures by year, with a group taken away, with what was known at the time, and plots."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

import baselines
import book
import distribution
import folds
import golden
import measure
import plots
import registry
import sba

# The same recipe on an earlier window, so that it is also seen on years that nobody looked at while it was made.
EARLIER_WINDOW, EARLIER_TESTS = (1994, 2001), (2002, 2003, 2004)
BANDS = tuple(range(500, 620, 20))
SHOWN = 2_000
# Age from which a loan's outcome so far stands for its outcome.
GROWN_DAYS = 3 * 365


@dataclass
class Study:
    """All loans, the training rows, the models on them, and the later loans with their features and log odds by model."""

    every: sba.Loans
    window: sba.Window
    models: dict
    later: sba.Loans
    features: np.ndarray
    said: dict

    @property
    def ensemble(self):
        return self.models[folds.ENSEMBLE]


def run() -> Study:
    every = sba.loans(EARLIER_WINDOW[0], max(sba.TESTED_ON))
    window = sba.window(between(every, *sba.TRAINED_ON))
    later = between(every, sba.TRAINED_ON[1] + 1, max(sba.TESTED_ON))
    features, equal = book.matrix(window.spec.features, later.sources), np.ones(len(window.defaulted))
    models = {folds.ENSEMBLE: sba.train(window),
              folds.SINGLE: single(window),
              folds.SCORECARD: baselines.Scorecard(window.features, window.defaulted, equal)}
    anew = lambda group: folds.anew(window.spec, group, window.features, window.defaulted, equal, sba.SEED)
    return Study(every, window, models, later, features, folds.compare(window.spec, models, features, anew))


def between(loans: sba.Loans, first: int, last: int) -> sba.Loans:
    return loans.where((loans.year >= first) & (loans.year <= last))


def single(window: sba.Window) -> baselines.Single:
    return baselines.Single(window.spec, window.features, window.defaulted, np.ones(len(window.defaulted)), sba.SEED)


def figures(study: Study) -> dict:
    labels, year, whole = study.later.defaulted, study.later.year, study.said[None]
    return {
        "trained_on": len(study.window.defaulted),
        "training_default_rate": float(study.window.defaulted.mean()),
        "years": [of_year(study, y) for y in sba.TESTED_ON],
        "missing": [without(study, group, year, labels) for group in (None, *study.window.spec.dimensions)],
        "all_years": folds.figures({m: [z] for m, z in whole.items()}, labels),
        "points_psi": points_psi(study),
        "feature_psi": feature_psi(study),
        "known_then": known_then(study),
        "earlier": earlier(study),
    }


def of_year(study: Study, y: int) -> dict:
    rows = study.later.year == y
    labels = study.later.defaulted[rows]
    said = {model: z[rows] for model, z in study.said[None].items()}
    chance = study.ensemble.probability(study.features[rows])
    partly = study.features[rows, study.window.spec.names.index("guaranteed_share")] < 1
    return {"partly_guaranteed": {
                "fully_guaranteed": int((~partly).sum()), "charged_off": int(labels[~partly].sum()),
                "auc": measure.interval(measure.placements(said[folds.ENSEMBLE][partly], labels[partly]))},
            "year": y, "loans": int(rows.sum()), "default_rate": float(labels.mean()), "mean_pd": float(chance.mean()),
            "ks": measure.ks(chance, labels), "calibration_error": measure.calibration(chance, labels)[2],
            **folds.figures({m: [z] for m, z in said.items()}, labels)}


def without(study: Study, group, year, labels) -> dict:
    """AUC over the three years together and, for the differences, in each of them."""
    said = study.said[group]
    return {"missing": group, **folds.figures({m: [z] for m, z in said.items()}, labels),
            "by_year": {str(y): folds.figures({m: [z[year == y]] for m, z in said.items()}, labels[year == y])
                        for y in sba.TESTED_ON}}


def points(study: Study, rows: np.ndarray) -> np.ndarray:
    return registry.points(study.ensemble.probability(study.features[rows]))


def points_psi(study: Study) -> dict:
    window = distribution.of(registry.points(study.ensemble.probability(study.window.as_scored)))
    return {str(y): distribution.psi(window, points(study, study.later.year == y)) for y in sba.TESTED_ON}


def feature_psi(study: Study) -> dict:
    """Of the last tested year."""
    rows = study.later.year == max(sba.TESTED_ON)
    return {f["name"]: distribution.psi(distribution.of(study.window.as_scored[:, at]), study.features[rows, at])
            for at, f in enumerate(study.window.spec.features)}


def known_then(study: Study) -> dict:
    """The single model when shares and training see only the charge-offs that were known on the window's last day: of
    all loans, and of those alone that were old enough to have shown what they are."""
    inside = between(study.every, *sba.TRAINED_ON)
    known = inside.as_known_on(inside.day.max())
    grown = known.where(known.day <= inside.day.max() - GROWN_DAYS)
    return {"known_share": float(known.defaulted.sum() / inside.defaulted.sum()),
            "single": {"as known on 30 September 2004": single_by_year(known, study.later, sba.TESTED_ON),
                       "the same, of loans at least three years old": single_by_year(grown, study.later, sba.TESTED_ON)}}


def earlier(study: Study) -> list:
    later = between(study.every, EARLIER_WINDOW[1] + 1, max(EARLIER_TESTS))
    return single_by_year(between(study.every, *EARLIER_WINDOW), later, EARLIER_TESTS)


def single_by_year(inside: sba.Loans, later: sba.Loans, years: tuple) -> list:
    window = sba.window(inside)
    said = single(window).log_odds(book.matrix(window.spec.features, later.sources))
    by_year = lambda y: measure.interval(measure.placements(said[later.year == y], later.defaulted[later.year == y]))
    return [{"year": y, "auc": by_year(y)} for y in years]


def draw(study: Study, folder: Path):
    labels, year = study.later.defaulted, study.later.year
    said, chance = study.said[None][folds.ENSEMBLE], study.ensemble.probability(study.features)
    by_year = lambda values: {str(y): (values[year == y], labels[year == y]) for y in sba.TESTED_ON}
    plots.roc(folder / "sba_roc.png", by_year(said), "SBA, trained on 1997 to 2004: ROC by year of approval")
    first = year == min(sba.TESTED_ON)
    plots.ks(folder / "sba_ks.png", said[first], labels[first], f"SBA {min(sba.TESTED_ON)}: Kolmogorov-Smirnov")
    plots.calibration(folder / "sba_calibration.png", by_year(chance), title="SBA: calibration by year of approval")
    bands = plots.banded(registry.points(chance), labels, BANDS)
    plots.bands(folder / "sba_bands.png", bands, "SBA 2005 to 2007: score bands")
    plots.drift(folder / "sba_drift.png", feature_psi(study),
                title=f"SBA: features of {max(sba.TESTED_ON)} against the training rows")
    rows = np.random.default_rng(sba.SEED).choice(len(labels), SHOWN, replace=False)
    plots.shap_summary(folder / "sba_drivers.png", study.window.spec.names, study.features[rows],
                       golden.contributions(study.ensemble, study.features[rows]), title="SBA: what drives the score")
