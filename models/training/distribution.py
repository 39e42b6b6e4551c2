"""How a column of numbers is distributed, in at most ten bins and a share missing, and how far another one is from it.

A distribution is what the manifest carries: `edges` e1 < e2 < … ascend; bin 0 holds x <= e1, bin i holds
e(i) < x <= e(i+1), the last holds x > the last edge. `shares` has one number more than `edges`; shares and `missing`
are shares of all rows and add up to 1.
"""

import numpy as np

BINS = 10
# The smallest share that a bin counts as, so that an empty one gives a finite index.
LEAST_SHARE = 1e-4


def of(column: np.ndarray) -> dict:
    """Bins of about as many rows each; fewer where few values make most rows. Edges are values of the column."""
    present = column[~np.isnan(column)]
    edges = np.zeros(0)
    if len(present):
        steps = np.linspace(0, 1, BINS + 1)[1:-1]
        edges = np.unique(np.quantile(present, steps, method="inverted_cdf"))
        edges = edges[edges < present.max()]
    shares, missing = binned(edges, column)
    return {"edges": [float(e) for e in edges], "shares": [round(float(s), 6) for s in shares],
            "missing": round(missing, 6)}


def binned(edges: np.ndarray, column: np.ndarray) -> tuple:
    """Share of all rows in each bin, and share missing."""
    present = column[~np.isnan(column)]
    counts = np.bincount(np.searchsorted(edges, present, "left"), minlength=len(edges) + 1)
    return counts / len(column), 1 - len(present) / len(column)


def psi(expected: dict, column: np.ndarray) -> float:
    """Population stability index of a column against a distribution; missing is a bin of its own."""
    shares, missing = binned(np.asarray(expected["edges"]), column)
    then = np.maximum(np.append(expected["shares"], expected["missing"]), LEAST_SHARE)
    now = np.maximum(np.append(shares, missing), LEAST_SHARE)
    return float(((now - then) * np.log(now / then)).sum())
