"""Who stands behind the firms of the first city, and who answers for whom: `infra/local/city/related_parties.csv`.

    python parties.py          # reads infra/local/city/*.csv, writes the file; the seed is fixed

Most firms are owned by the person who represents them, alone or with others; some persons own several firms; an accountant's
phone is registered by many; neighbours guarantee each other in pairs and chains. Six circles of guarantees of four firms
each are planted among firms that every source knows.
"""

import csv
from collections import Counter
from datetime import date
from pathlib import Path

import numpy as np

import identity

CITY = Path(__file__).resolve().parents[2] / "infra/local/city"
SEED, AS_OF = 20261126, date(2026, 10, 31)
CIRCLES, CIRCLE_FIRMS = 6, 4


def rows(folder: Path, source: str) -> list[dict]:
    with open(folder / f"{source}.csv", encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def write(folder: Path):
    rng = np.random.default_rng(SEED)
    firms = rows(folder, "basic_information")
    sources = [path.stem for path in sorted(folder.glob("*.csv")) if path.stem != "related_parties"]
    known = Counter(row["firm_code"] for source in sources for row in rows(folder, source))
    parties = []
    tie = lambda firm, kind, party: parties.append((firm, kind, party))
    strangers = [identity.resident_id(rng, AS_OF) for _ in range(600)]
    accountants = [f"13{rng.integers(10**9):09d}" for _ in range(12)]
    for firm in firms:
        code, head = firm["firm_code"], firm["legal_representative_resident_id"]
        if head and rng.random() < 0.85:
            tie(code, "shareholder", head)
        for _ in range(rng.choice(3, p=(0.6, 0.3, 0.1))):
            tie(code, "shareholder", strangers[rng.integers(len(strangers))])
        if rng.random() < 0.3:
            tie(code, "director", strangers[rng.integers(len(strangers))])
        own = f"15{rng.integers(10**9):09d}"
        tie(code, "registered_phone", accountants[rng.integers(len(accountants))] if rng.random() < 0.2 else own)
        for buyer in rng.choice(len(firms), rng.integers(0, 4), replace=False):
            if firms[buyer]["firm_code"] != code:
                tie(code, "invoice", firms[buyer]["firm_code"])
    free = [f["firm_code"] for f in firms if f["status"] == "active" and f["banned"] == "0"]
    rng.shuffle(free)
    sound = [code for code in free if known[code] == len(sources)]
    planted = sound[: CIRCLES * CIRCLE_FIRMS]
    for begin in range(0, len(planted), CIRCLE_FIRMS):
        circle = planted[begin : begin + CIRCLE_FIRMS]
        for guarantor, debtor in zip(circle, circle[1:] + circle[:1]):
            tie(guarantor, "guarantee", debtor)
    others = [code for code in free if code not in set(planted)]
    for begin in range(0, 240, 3):
        a, b, c = others[begin : begin + 3]
        tie(a, "guarantee", b)
        tie(*((b, "guarantee", c) if rng.random() < 0.5 else (b, "guarantee", a)))
    with open(folder / "related_parties.csv", "w", encoding="utf-8", newline="") as file:
        out = csv.writer(file, lineterminator="\n")
        out.writerow(("firm_code", "kind", "party"))
        out.writerows(sorted(set(parties)))


if __name__ == "__main__":
    write(CITY)
