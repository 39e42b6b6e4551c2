"""How good a score is: discrimination, calibration, and how sure we are of either."""

import numpy as np


def auc(score: np.ndarray, labels: np.ndarray) -> float:
    """Chance that one that defaulted has the higher score; ties count one half."""
    values, inverse, counts = np.unique(score, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[inverse]
    bad = int(labels.sum())
    return float((ranks[labels.astype(bool)].sum() - bad * (bad + 1) / 2) / (bad * (len(labels) - bad)))


def auc_interval(score: np.ndarray, labels: np.ndarray) -> tuple:
    """95 % confidence interval of the AUC after DeLong, DeLong and Clarke-Pearson (1988)."""
    return interval(placements(score, labels))[1:]


def auc_difference(one: np.ndarray, other: np.ndarray, labels: np.ndarray) -> tuple:
    """AUC of one less that of the other on the same rows, with a 95 % interval (DeLong, paired)."""
    return difference(placements(one, labels), placements(other, labels))


def placements(score: np.ndarray, labels: np.ndarray) -> tuple:
    """For each bad row the share of good rows below it, and for each good row the share of bad rows above it."""
    labels = labels.astype(bool)
    good, bad = np.sort(score[~labels]), np.sort(score[labels])
    share = lambda among, x: (np.searchsorted(among, x, "left") + np.searchsorted(among, x, "right")) / (2 * len(among))
    return share(good, score[labels]), 1 - share(bad, score[~labels])


def mean_placements(scores: list, labels: np.ndarray) -> tuple:
    """Over several scores of the same rows, as repeated cross-validation gives them. Their mean is the mean AUC."""
    of_bad, of_good = zip(*(placements(score, labels) for score in scores))
    return np.mean(of_bad, axis=0), np.mean(of_good, axis=0)


def interval(placed: tuple) -> tuple:
    """AUC and its 95 % interval from the placements."""
    of_bad, of_good = placed
    mean = float(of_bad.mean())
    reach = float(1.96 * np.sqrt(of_bad.var(ddof=1) / len(of_bad) + of_good.var(ddof=1) / len(of_good)))
    return mean, mean - reach, mean + reach


def difference(one: tuple, other: tuple) -> tuple:
    """The same of the difference between two scores of the same rows."""
    return interval((one[0] - other[0], one[1] - other[1]))


def ks(score: np.ndarray, labels: np.ndarray) -> float:
    """Largest distance between the cumulative shares of those that defaulted and of those that did not."""
    labels = labels.astype(bool)
    order = np.argsort(score, kind="stable")
    last_of_tie = np.append(np.diff(score[order]) != 0, True)
    bad = np.cumsum(labels[order]) / labels.sum()
    good = np.cumsum(~labels[order]) / (~labels).sum()
    return float(np.abs(bad - good)[last_of_tie].max())


def calibration(chance: np.ndarray, labels: np.ndarray, bins: int = 10) -> tuple:
    """Mean chance and share that defaulted in bins of as many rows each, and the expected calibration error."""
    parts = np.array_split(np.argsort(chance, kind="stable"), bins)
    said = np.array([chance[part].mean() for part in parts])
    seen = np.array([labels[part].mean() for part in parts])
    sizes = np.array([len(part) for part in parts])
    return said, seen, float((np.abs(said - seen) * sizes).sum() / sizes.sum())
