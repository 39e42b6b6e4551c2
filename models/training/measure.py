"""How good a score is: discrimination, calibration, and how sure we are of either."""

import numpy as np


def auc(score: np.ndarray, labels: np.ndarray) -> float:
    """Chance that one that defaulted has the higher score; ties count one half."""
    values, inverse, counts = np.unique(score, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[inverse]
    bad = int(labels.sum())
    return float((ranks[labels.astype(bool)].sum() - bad * (bad + 1) / 2) / (bad * (len(labels) - bad)))


def auc_interval(score: np.ndarray, labels: np.ndarray) -> tuple:
    """95 % confidence interval of the AUC after DeLong, Clarke-Pearson and DeLong (1988)."""
    mean, variance = auc(score, labels), auc_variance(score, labels)
    reach = 1.96 * np.sqrt(variance)
    return mean - reach, mean + reach


def placements(score: np.ndarray, labels: np.ndarray) -> tuple:
    """For each bad row the share of good rows below it, and for each good row the share of bad rows above it."""
    labels = labels.astype(bool)
    good, bad = np.sort(score[~labels]), np.sort(score[labels])
    share = lambda among, x: (np.searchsorted(among, x, "left") + np.searchsorted(among, x, "right")) / (2 * len(among))
    return share(good, score[labels]), 1 - share(bad, score[~labels])


def auc_variance(score: np.ndarray, labels: np.ndarray) -> float:
    of_bad, of_good = placements(score, labels)
    return float(of_bad.var(ddof=1) / len(of_bad) + of_good.var(ddof=1) / len(of_good))


def auc_difference(one: np.ndarray, other: np.ndarray, labels: np.ndarray) -> tuple:
    """AUC of one less that of the other on the same rows, with a 95 % interval (DeLong, paired)."""
    (b1, g1), (b2, g2) = placements(one, labels), placements(other, labels)
    variance = (b1 - b2).var(ddof=1) / len(b1) + (g1 - g2).var(ddof=1) / len(g1)
    difference, reach = float(b1.mean() - b2.mean()), float(1.96 * np.sqrt(variance))
    return difference, difference - reach, difference + reach


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
