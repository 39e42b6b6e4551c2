"""Ensemble, single model and scorecard on the same folds of a book, with all data and with a group taken away."""

from concurrent.futures import ProcessPoolExecutor
from itertools import repeat
from multiprocessing import get_context

import numpy as np
from sklearn.model_selection import RepeatedStratifiedKFold

import baselines
import fit
import measure
from book import Book

FOLDS, SEED = 5, 20261103
ENSEMBLE, SINGLE, SCORECARD = "ensemble by groups", "single LightGBM", "logistic scorecard"
# The single model trained anew without the group: what could be had if one knew beforehand what will be missing.
ANEW = "single, trained without the group"
MODELS = (ENSEMBLE, SINGLE, SCORECARD)


def out_of_fold(book: Book, repeats: int, workers: int) -> dict:
    """Log odds of every row from models that did not see it, `{missing group or None: {model: (repeats, rows)}}`. Folds
    are trained beside each other, one thread each."""
    rows = len(book.labels)
    groups = (None, *book.spec.dimensions)
    found = {group: {model: np.zeros((repeats, rows)) for model in (*MODELS, *[ANEW] * (group is not None))}
             for group in groups}
    splits = RepeatedStratifiedKFold(n_splits=FOLDS, n_repeats=repeats, random_state=SEED)
    splits = list(splits.split(book.features, book.labels))
    with ProcessPoolExecutor(workers, get_context("spawn"), one_thread) as pool:
        trained = pool.map(scores, repeat(book), *zip(*splits), range(SEED, SEED + len(splits)))
        for at, said in enumerate(trained):
            for group in groups:
                for model, log_odds in said[group].items():
                    found[group][model][at // FOLDS, splits[at][1]] = log_odds
            print(f"{book.name}: fold {at + 1} of {len(splits)}", flush=True)
    return found


def one_thread():
    fit.PARAMS["num_threads"] = 1


def scores(book: Book, rest: np.ndarray, held: np.ndarray, seed: int) -> dict:
    features, labels, weights = book.features[rest], book.labels[rest], np.ones(len(rest))
    return compare(book.spec, train_all(book.spec, features, labels, weights, seed), book.features[held],
                   lambda group: anew(book.spec, group, features, labels, weights, seed))


def train_all(spec, features, labels, weights, seed) -> dict:
    return {ENSEMBLE: fit.train(spec, features, labels, seed, weights),
            SINGLE: baselines.Single(spec, features, labels, weights, seed),
            SCORECARD: baselines.Scorecard(features, labels, weights)}


def anew(spec, group, features, labels, weights, seed) -> baselines.Single:
    return baselines.Single(spec, without(spec, group, features), labels, weights, seed)


def compare(spec, models: dict, features: np.ndarray, trained_anew) -> dict:
    """`{missing group or None: {model: log odds}}`."""
    found = {None: {name: model.log_odds(features) for name, model in models.items()}}
    for group in spec.dimensions:
        holed = without(spec, group, features)
        found[group] = {name: model.log_odds(holed) for name, model in models.items()}
        found[group][ANEW] = trained_anew(group).log_odds(holed)
    return found


def without(spec, group: str, features: np.ndarray) -> np.ndarray:
    gone = np.array([f["dimension"] == group for f in spec.features])
    return np.where(gone, np.float32(np.nan), features)


def figures(said: dict, labels: np.ndarray) -> dict:
    """`said`: model to its scores of the same rows, one for every repeat. AUC with its interval by model, and the
    ensemble less each other (DeLong, paired; placements are averaged over the repeats)."""
    placed = {model: measure.mean_placements(scores, labels) for model, scores in said.items()}
    return {"auc": {model: measure.interval(p) for model, p in placed.items()},
            "ahead_of": {model: measure.difference(placed[ENSEMBLE], p) for model, p in placed.items()
                         if model != ENSEMBLE}}


def study(book: Book, repeats: int, workers: int) -> tuple:
    """Figures of a book with all data and with each group missing, and the log odds that they are of."""
    said = out_of_fold(book, repeats, workers)
    return {"rows": len(book.labels), "default_rate": float(book.labels.mean()), "repeats": repeats,
            "missing": [{"missing": group, **figures(models, book.labels)} for group, models in said.items()],
            "ks": {m: float(np.mean([measure.ks(z, book.labels) for z in said[None][m]])) for m in MODELS}}, said
