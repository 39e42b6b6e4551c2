"""Fits the scorecards of models/rings from labelled cities: one logistic regression per label on yes-or-no signs.

    python rings_fit.py --gates > gates.json
    python rings.py generate --seed 1 --rate 0.02 --out rings-1.jsonl        # and --seed 11
    cargo run --release -p relations --example label -- rings-1.jsonl gates.json > rings-1.labels.jsonl
    python rings_fit.py rings-1.labels.jsonl rings-11.labels.jsonl > ../rings/labels-<version>.json

The cities that are learnt from are labelled by the gates alone: a ring of those who only guarantee each other is no ring at
all where the label does not fit, so labels in force would hide the innocent circles.

Points only grow with what is suspicious and only fall with what is innocent (LESS), so that no quirk of a
made-up city clears a ring for sharing more. Ten points are one unit of log odds; a label fits from `fits` points on, which
is set where the training seeds reach the wanted precision on what a check sees at its own time.

Nobody need have been scored yet when a check looks, so where a label reads scores each ring is learnt from twice: as it is,
and with none of its members scored, which is a sign of its own then.
"""

import json
import sys

import numpy as np
from scipy.optimize import minimize

from features import DIMENSIONS

VERSION = "labels-2026.11.3"
PRECISION = 0.97
# Points asked for on top. A member hears the worst of many checks, so a whole ring is labelled more readily than a single
# check labels; these margins hold the look-alikes of the training seeds below half a percent once everybody was told.
MARGIN = {"device_farm": 6, "shell_firms": 17, "agency": -3}
GATES = {
    "device_farm": {"firms": 3, "persons_on_device": 3},
    "shell_firms": {"firms": 3, "firms_of_person": 3},
    "agency": {"firms": 4, "persons": 3, "firms_on_phone": 2},
    "overdue_linked": {"firms": 3, "overdue_loans": 2},
    "guarantee_circle": {"firms": 3, "guarantee_circle": 3},
    "loan_stacking": {"stacked_lenders": 3},
}
# What settles a label whatever the points say.
SURE = {
    "device_farm": {"persons_on_device": (5, None), "shared_address_percent": (0, 34)},
    "shell_firms": {"firms_of_person": (6, None)},
    "agency": {"firms_on_card": (4, None), "persons": (4, None), "shared_person_percent": (0, 34)},
    "loan_stacking": {"stacked_lenders": (5, None)},
}
# Innocent, the more of it: living in one house, taking one's time. Everything else is suspicious, the more of it. What
# shell firms have in common is their address.
LESS = ("firms_per_address_percent", "shared_address_percent", "span_hours", "hours_per_application")
SCORES = tuple(f"{dimension}_cost" for dimension in DIMENSIONS)
# Who stands behind the firms shows in their figures. Of what makes the other kinds, debts, devices, lenders, no score tells:
# a client of an accountant's is not overdue because another one scores badly.
OF_SCORES = ("shell_firms",)
NO_SIGN = {
    "shell_firms": ("firms_per_address_percent", "shared_address_percent"),
    "overdue_linked": ("span_hours", "hours_per_application"),
    "guarantee_circle": ("firms_per_address_percent",),
}
PENALTY = 0.004
# Points that a dimension costs the members on average.
COSTS = (1, 3, 6, 10, 15)
SHARES = (20, 34, 50, 67, 90)
CUTS = {
    "firms": (3, 4, 5, 6, 8, 12, 20),
    "firms_per_person_percent": (150, 200, 300, 400),
    "persons_per_device_percent": (150, 200, 300, 500),
    "firms_per_address_percent": (120, 150, 200, 400),
    "applications_per_firm_percent": (120, 150, 200, 300),
    "hours_per_application": (1, 4, 12, 24, 72, 168),
    "density_percent": (20, 40, 60, 80),
    "shared_device_percent": SHARES,
    "shared_card_percent": SHARES,
    "shared_phone_percent": SHARES,
    "shared_person_percent": SHARES,
    "shared_address_percent": SHARES,
    "shared_network_percent": SHARES,
    "same_amount_percent": (34, 50, 67, 80),
    "same_amount_applications": (3, 4, 5, 6, 8, 12),
    "persons_on_device": (3, 4, 5, 7, 9, 12),
    "firms_on_card": (2, 3, 4, 6, 9),
    "firms_on_phone": (3, 5, 9, 15),
    "firms_of_person": (3, 4, 5, 6, 8),
    "stacked_lenders": (3, 4, 5, 6),
    "burst": (2, 3, 4, 6, 9),
    "span_hours": (12, 48, 120, 240, 480, 960),
    "guarantee_circle": (3, 4, 5),
    "overdue_loans": (1, 2, 3),
    "overdue_distance": (1, 2, 3),
    "new_accounts_percent": SHARES,
    **dict.fromkeys(SCORES, COSTS),
    "unscored_percent": (50,),
}


def unscored(row: dict) -> dict:
    """The same ring before any of its members was scored."""
    return {**row, "features": {**row["features"], **dict.fromkeys(SCORES, 0), "unscored_percent": 100}}


def sign(feature: str, least: int, most: int | None) -> dict:
    bound = {} if most is None else {"at_most": most}
    return {"feature": feature, "at_least": least, **bound}


def logistic(seen: np.ndarray, truth: np.ndarray) -> tuple[np.ndarray, float]:
    """Weights of at least zero, few of them, and the intercept."""

    def loss(at):
        weights, intercept = at[:-1], at[-1]
        odds = seen @ weights + intercept
        error = 1 / (1 + np.exp(-odds)) - truth
        value = np.mean(np.logaddexp(0, odds) - truth * odds) + PENALTY * weights.sum()
        return value, np.append(seen.T @ error / len(truth) + PENALTY, error.mean())

    bounds = [(0, 6)] * seen.shape[1] + [(None, None)]
    found = minimize(loss, np.zeros(seen.shape[1] + 1), jac=True, method="L-BFGS-B", bounds=bounds)
    return found.x[:-1], float(found.x[-1])


def rule(label: str, rows: list[dict]) -> dict:
    """The scorecard of one label."""
    gate = GATES[label]
    rows = [row for row in rows if all(row["features"][f] >= least for f, least in gate.items())]
    left_out = (*NO_SIGN.get(label, ()), *(() if label in OF_SCORES else (*SCORES, "unscored_percent")))
    signs = [(f, cut) for f, cuts in CUTS.items() for cut in cuts if cut > gate.get(f, 0) and f not in left_out]
    if label in OF_SCORES:
        rows = rows + [unscored(row) for row in rows]
    seen = np.array([[row["features"][f] >= cut for f, cut in signs] for row in rows], float)
    truth = np.array([row["truth"] == label for row in rows])
    direction = np.array([-1.0 if f in LESS else 1.0 for f, _ in signs])
    weights, intercept = logistic(seen * direction, truth)
    points = np.round(10 * weights * direction).astype(int)
    base = int(round(10 * intercept))
    total = base + seen @ points
    order = np.argsort(-total, kind="stable")
    hits = np.cumsum(truth[order]) / np.arange(1, len(order) + 1)
    last = [at for at in np.flatnonzero(hits >= PRECISION) if at + 1 == len(order) or total[order[at]] > total[order[at + 1]]]
    fits = int(total[order[last[-1]]]) if last else int(total.max()) + 1
    fits += MARGIN.get(label, 0)
    print(f"{label}: {len(rows)} rows, {truth.sum()} true, {(points != 0).sum()} signs, fits from {fits}, "
          f"recall {truth[total >= fits].sum() / max(truth.sum(), 1):.3f} of those behind the gate", file=sys.stderr)
    return {
        "label": label,
        "gate": [{"feature": f, "at_least": least} for f, least in gate.items()],
        "sure": [sign(f, *bounds) for f, bounds in SURE.get(label, {}).items()],
        "base": base,
        "signs": [{"feature": f, "at_least": c, "points": int(p)} for (f, c), p in zip(signs, points) if p],
        "fits": fits,
    }


def gates() -> list[dict]:
    """Rules that fit whatever is behind their gate."""
    shut = {"base": 0, "signs": [], "fits": 0}
    return [
        {"label": label, "gate": [{"feature": f, "at_least": least} for f, least in gate.items()], **shut}
        for label, gate in GATES.items()
    ]


if __name__ == "__main__":
    if sys.argv[1:] == ["--gates"]:
        rules = gates()
    else:
        rows = [json.loads(line) for file in sys.argv[1:] for line in open(file, encoding="utf-8")]
        rows = [row for row in rows if row["own"]]
        rules = [rule(label, rows) for label in GATES]
    lines = ",\n".join("  " + json.dumps(r) for r in rules)
    print(f'{{\n "version": "{VERSION}",\n "rules": [\n{lines}\n ]\n}}')
