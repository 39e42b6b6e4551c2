"""Makes the rows that hold `infra/local/src/replay/loan.rs` to `models/training/sba.py`.

`loans.csv`: 60 lines of the SBA file (U.S. government work, public domain) of 2005 to 2007, as they stand there: odd ones
first, the rest at random. `parity.json`: what Python makes of each: the sources, and the features by the manifest of the
model in the registry.

    ~/.cache/lending-training/bin/python infra/local/tests/sba/make.py
"""

import json
import sys
from pathlib import Path

import numpy as np
import pandas as pd

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[3]
sys.path.insert(0, str(ROOT / "models/training"))

import book  # noqa: E402
import datasets  # noqa: E402
import sba  # noqa: E402

LINES = 60
YEARS = (2005, 2007)


def odd(frame: pd.DataFrame) -> pd.DataFrame:
    """At most two lines of each kind that is read in a way of its own."""
    amount = frame["GrAppv"].str.replace(r"[$,\s]", "", regex=True).astype(float)
    kinds = (
        frame["Bank"] == "", frame["NAICS"] == "0", frame["Zip"].str.len() < 5, frame["NewExist"].isin(("0", "")),
        ~frame["LowDoc"].isin(("N", "Y")), ~frame["RevLineCr"].isin(("N", "Y", "0", "T")), frame["FranchiseCode"] > "1",
        frame["NoEmp"] == "0", amount < 1000, amount > 1_000_000, frame["UrbanRural"] == "2",
        frame["State"] != frame["BankState"],
        # Whole dollars to which a simulated bank would answer oddly if amounts steered it.
        amount % 100 == 80,
    )
    return pd.concat([frame[kind].head(2) for kind in kinds]).drop_duplicates()


def plain(value):
    """A column's cell as the archive has it: nothing for NaN and for an empty text."""
    if isinstance(value, str):
        return value or None
    return None if np.isnan(value) else int(value) if value == int(value) else float(value)


def main():
    whole = datasets.sba()
    kept = whole["MIS_Status"].isin(("P I F", "CHGOFF")) & whole["ApprovalFY"].isin([str(y) for y in range(YEARS[0], YEARS[1] + 1)])
    frame = whole[kept]
    first = odd(frame)
    rest = frame.drop(first.index).sample(LINES - len(first), random_state=20261126)
    chosen = pd.concat([first, rest])
    chosen = chosen.iloc[np.argsort(sba.days(chosen["ApprovalDate"].str.strip().str.title()), kind="stable")]
    chosen.to_csv(HERE / "loans.csv", index=False, lineterminator="\n")

    datasets.sba = lambda: pd.read_csv(HERE / "loans.csv", dtype=str, keep_default_na=False)
    loans = sba.loans(*YEARS)
    manifest = json.loads((ROOT / "models/registry" / sba.VERSION / "manifest.json").read_text())
    features = book.matrix(manifest["features"], loans.sources)
    rows = []
    for at, number in enumerate(chosen["LoanNr_ChkDgt"]):
        sources = {s: {f: plain(column[at]) for f, column in fields.items()} for s, fields in loans.sources.items()}
        rows.append({"loan": number, "charged_off": bool(loans.defaulted[at]), "sources": sources,
                     "features": [None if np.isnan(x) else float(x) for x in features[at]]})
    text = ",\n".join(json.dumps(row) for row in rows)
    (HERE / "parity.json").write_text(f"[\n{text}\n]\n")


main()
