"""Rings planted among innocent look-alikes in a city of firms, and how well the labels find them.

`generate` writes one JSON line per application (its link in the relation graph, what its firm scored, and what it truly is)
and per overdue loan.
`shared/relations/examples/label.rs` reads the lines in the order of time and labels every application with the very code
that production runs. `report` measures that against plain connected components and boosted trees, and writes
models/reports/rings.md.

    python rings.py generate --seed 1 --rate 0.01 --out rings-1.jsonl
    cargo run --release -p relations --example label -- rings-1.jsonl > rings-1.labels.jsonl
    python rings.py report --train 1 --test 2 3 4 --folder /tmp

`report` generates and labels by itself what is missing in the folder. Tuning looked at the training seeds only.
"""

import argparse
import json
import sys
from collections import defaultdict
from datetime import datetime, timedelta, timezone
from pathlib import Path

import numpy as np

import identity
import ring_scores
from ring_scores import DEFAULTED, EVERYBODY, SHELLS

DAYS = 90
BEGIN = datetime(2026, 8, 1, tzinfo=timezone.utc)
BANKS = ("river-bank", "lake-bank", "hill-bank", "bay-bank", "plain-bank", "delta-bank", "forest-bank", "island-bank")
AMOUNTS = np.array([5, 8, 10, 12, 15, 18, 20, 25, 28, 30, 35, 40, 45, 50, 60, 80, 100]) * 1_000_000
AMOUNT_WEIGHTS = np.array([6, 2, 12, 2, 5, 1, 12, 3, 1, 12, 2, 4, 1, 14, 3, 2, 4], float)
CITIES = ("Wuhan", "Huangshi", "Xiangyang", "Yichang", "Jingzhou")
KINDS = ("device_farm", "shell_firms", "agency", "overdue_linked", "guarantee_circle", "loan_stacking")
LOOKALIKES = ("family", "office", "accountant", "market", "dormitory")
# Share of accounts that are new when their holder applies: of anybody, and of an accountant's clients, whom it told to
# sign up; and share of channels that do not tell.
NEW_ACCOUNTS, NEW_CLIENTS, UNTOLD = 0.25, 0.4, 0.2
NEW_DAYS, USUAL_DAYS = 7, 200


class City:
    """Draws applications. `add` is the only place that writes one down."""

    def __init__(self, seed: int, firms: int, rate: float):
        self.rng = np.random.default_rng(seed)
        self.firms, self.rate = firms, rate
        self.scores = ring_scores.scores(seed, BEGIN.date())
        self.rows, self.outcomes, self.serial, self.codes = [], [], 0, set()
        self.first_days: dict[str, float] = {}
        self.towers = [(self.new("tower"), self.new("net")) for _ in range(300)]
        self.carriers = [self.new("net") for _ in range(40)]

    def new(self, what: str) -> str:
        self.serial += 1
        return f"{what}{self.serial:x}"

    def chance(self, p: float) -> bool:
        return bool(self.rng.random() < p)

    def pick(self, things):
        return things[self.rng.integers(len(things))]

    def amount(self) -> int:
        return int(self.rng.choice(AMOUNTS, p=AMOUNT_WEIGHTS / AMOUNT_WEIGHTS.sum()))

    def code(self) -> str:
        """A firm code that nobody has yet."""
        while (code := identity.firm_code(self.rng)) in self.codes:
            pass
        self.codes.add(code)
        return code

    def firm(self, pool: str = EVERYBODY, worst_of: int = 1) -> dict:
        return {"firm": self.code(), "score": self.scores.draw(self.rng, pool, worst_of)}

    def account(self, new: float = NEW_ACCOUNTS) -> dict:
        """An account at a channel, and how old it is when its holder first applies; the channel need not tell."""
        days = self.rng.integers(NEW_DAYS) if self.chance(new) else NEW_DAYS + self.rng.exponential(USUAL_DAYS)
        return {"account": self.new("account"), "account_days": None if self.chance(UNTOLD) else float(days)}

    def account_days(self, who: dict, day: float) -> int | None:
        """The age of an account on a day, its holder having applied first on the first day that was asked for."""
        if who["account_days"] is None:
            return None
        first = self.first_days.setdefault(who["account"], day)
        return int(who["account_days"] + max(day - first, 0))

    def person(self, pool: str = EVERYBODY, worst_of: int = 1, new: float = NEW_ACCOUNTS) -> dict:
        """Somebody with a firm, a home, an account and a phone in hand."""
        tower = self.pick(self.towers)
        way = self.rng.random()
        network = self.new("net") if way < 0.5 else self.pick(self.carriers) if way < 0.9 else tower[1]
        return {
            **self.firm(pool, worst_of),
            **self.account(new),
            "person": self.new("person"),
            "device": self.new("device"),
            "phone": self.new("phone"),
            "card": self.new("card"),
            "address": self.new("address") if self.chance(0.7) else tower[0],
            "network": network,
            "guarantees": [],
        }

    def add(self, who: dict, day: float, truth: str, group: str, amount=None, bank=None, proof="proven"):
        at = BEGIN + timedelta(days=min(max(day, 0.0), DAYS - 0.001))
        kinds = ("card", "device", "account", "phone", "person", "address", "network")
        nodes = [{"kind": kind, "hash": who[kind]} for kind in kinds]
        nodes.append({"kind": "firm", "hash": who["firm"]})
        number = self.rng.integers(0, 16, 32)
        text = "".join("0123456789abcdef"[n] for n in number)
        application = f"{text[:8]}-{text[8:12]}-8{text[13:16]}-8{text[17:20]}-{text[20:]}"
        link = {
            "application": application,
            "firm": who["firm"],
            "nodes": nodes,
            "at": at.strftime("%Y-%m-%dT%H:%M:%SZ"),
            "amount_fen": amount or self.amount(),
            "bank": bank or self.pick(BANKS),
            "place": self.pick(CITIES) if self.chance(0.1) else CITIES[0],
            "account_days": self.account_days(who, day),
        }
        known = {"truth": truth, "group": group, "proof": proof, "guarantees": who["guarantees"]}
        row = {"link": link, "score": (who["score"][0], who["score"][1:]), **known}
        self.rows.append(row)
        return link

    def overdue(self, link: dict, days: int, after: float):
        """The loan of an application is reported overdue so many days after it."""
        at = datetime.strptime(link["at"], "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=timezone.utc) + timedelta(days=after)
        outcome = {"payout": link["application"], "overdue_days": days, "at": at.strftime("%Y-%m-%dT%H:%M:%SZ"), "version": 1}
        self.outcomes.append({"outcome": outcome, "nodes": link["nodes"]})

    def maybe_overdue(self, link: dict):
        if self.chance(0.02):
            self.overdue(link, int(self.rng.integers(30, 200)), 0.01)
        elif self.chance(0.04):
            self.overdue(link, int(self.rng.integers(1, 30)), 0.01)

    # Ordinary firms.

    def ordinary(self):
        who, day = self.person(), self.rng.random() * DAYS
        banks = [self.pick(BANKS)]
        if self.chance(0.04):
            banks.append(self.pick(BANKS))
        if self.chance(0.002):
            banks += [self.pick(BANKS), self.pick(BANKS)]
        for bank in banks:
            self.maybe_overdue(self.add(who, day, "plain", "", bank=bank))
            day += float(self.rng.exponential(12))

    # Look-alikes.

    def family(self, group: str):
        heads = [self.person() for _ in range(self.rng.integers(1, 4))]
        home, net, amount = self.new("address"), self.new("net"), self.amount()
        shares_device, shares_card, same_amount = self.chance(0.5), self.chance(0.3), self.chance(0.2)
        evening = self.rng.random() * DAYS if self.chance(0.25) else None
        for _ in range(int(self.rng.choice((2, 3, 4, 5), p=(0.55, 0.27, 0.13, 0.05)))):
            head = self.pick(heads)
            who = {**head, **self.firm(), "network": net if self.chance(0.8) else head["network"]}
            who["address"] = home if self.chance(0.85) else head["address"]
            if shares_device:
                who["device"] = heads[0]["device"]
            if shares_card:
                who["card"] = heads[0]["card"]
            day = self.rng.random() * DAYS if evening is None else evening + self.rng.random() * 0.1
            link = self.add(who, day, "family", group, amount if same_amount else None, proof=self.proof())
            self.maybe_overdue(link)

    def office(self, group: str):
        address, net = self.new("tower"), self.new("net")
        public = self.new("device") if self.chance(0.2) else None
        for place in range(self.rng.integers(20, 60)):
            who = {**self.person(), "address": address}
            who["network"] = net if self.chance(0.7) else who["network"]
            if public and place < 4:
                who["device"] = public
            self.maybe_overdue(self.add(who, self.rng.random() * DAYS, "office", group, proof=self.proof()))

    def accountant(self, group: str):
        phone, net = self.new("phone"), self.new("net")
        clients = int(min(400, 10 + self.rng.exponential(30)))
        month_end = self.chance(0.4)
        for _ in range(clients):
            who = {**self.person(new=NEW_CLIENTS), "phone": phone}
            who["network"] = net if self.chance(0.3) else who["network"]
            day = self.rng.random() * DAYS
            if month_end and self.chance(0.5):
                day = float(self.pick((29, 59, 89))) + self.rng.random() * 0.3
            self.maybe_overdue(self.add(who, day, "accountant", group, proof=self.proof()))

    def market(self, group: str):
        address, net = self.new("market"), self.new("net")
        kiosk = self.new("device") if self.chance(0.3) else None
        stalls = [{**self.person(), "address": address} for _ in range(self.rng.integers(30, 80))]
        for place in range(0, len(stalls) - 3, 3):
            # Neighbours answer for each other in pairs and chains; few close a circle.
            chain = stalls[place : place + 3]
            if self.chance(0.25):
                edges = [(0, 1), (1, 2)] + ([(2, 0)] if self.chance(0.04) else [(1, 0)])
                for a, b in edges:
                    edge = f"{chain[a]['firm']}>{chain[b]['firm']}"
                    chain[a]["guarantees"] = chain[a]["guarantees"] + [edge]
                    chain[b]["guarantees"] = chain[b]["guarantees"] + [edge]
        for place, who in enumerate(stalls):
            who["network"] = net if self.chance(0.6) else who["network"]
            if kiosk and place < 10:
                who["device"] = kiosk
            self.maybe_overdue(self.add(who, self.rng.random() * DAYS, "market", group, proof=self.proof()))

    def dormitory(self, group: str):
        address, net, lent = self.new("campus"), self.new("net"), None
        for _ in range(self.rng.integers(15, 40)):
            who = {**self.person(), "address": address}
            who["network"] = net if self.chance(0.9) else who["network"]
            if lent and self.chance(0.12):
                who["device"] = lent
            lent = who["device"]
            self.maybe_overdue(self.add(who, self.rng.random() * DAYS, "dormitory", group, proof=self.proof()))

    # Rings. A fifth of each kind takes pains not to be seen.

    def device_farm(self, group: str):
        sly = self.chance(0.2)
        size = int(self.rng.integers(4, 26))
        devices = [self.new("device") for _ in range(-(-size // int(self.rng.integers(3, 13))))]
        cards = [self.new("card") for _ in range(self.rng.integers(1, 4))] if self.chance(0.4) else None
        net = self.pick(self.carriers) if self.chance(0.3) else self.new("net")
        begin, span, amount = self.rng.random() * DAYS, 20.0 if sly else self.rng.uniform(0.1, 2), self.amount()
        for place in range(size):
            who = self.person(pool=SHELLS if self.chance(0.5) else EVERYBODY, new=0.4 if sly else 0.8)
            who = {**who, "device": devices[place % len(devices)], "network": net}
            if cards:
                who["card"] = self.pick(cards)
            if sly and cards and self.chance(0.3):
                who["device"] = self.new("device")
            day = begin + self.rng.random() * span
            self.add(who, day, "device_farm", group, amount if self.chance(0.7) else None)

    def agency(self, group: str):
        sly = self.chance(0.2)
        phones = [self.new("phone") for _ in range(self.rng.integers(1, 4))]
        cards = [self.new("card") for _ in range(self.rng.integers(1, 3))]
        devices = [self.new("device") for _ in range(self.rng.integers(2, 6))]
        net, amount = self.new("net"), self.amount()
        begin, span = self.rng.random() * DAYS * 0.7, self.rng.uniform(5, 40)
        for _ in range(self.rng.integers(5, 41)):
            # Whom no bank lends to by itself comes to an agency.
            who = self.person(worst_of=1 if sly else 3, new=0.35 if sly else 0.65)
            who["phone"] = self.pick(phones) if self.chance(0.7) else who["phone"]
            if not sly:
                who["card"] = self.pick(cards) if self.chance(0.7) else who["card"]
                who["device"] = self.pick(devices) if self.chance(0.4) else who["device"]
            who["network"] = net if self.chance(0.6) else who["network"]
            self.add(who, begin + self.rng.random() * span, "agency", group, amount if self.chance(0.6) else None)

    def shell_firms(self, group: str):
        sly = self.chance(0.2)
        heads = [self.person(new=0.4) for _ in range(self.rng.integers(1, 4))]
        address, net, amount = self.new("address"), self.new("net"), self.amount()
        card = self.new("card")
        begin, span = self.rng.random() * DAYS * 0.8, self.rng.uniform(1, 40 if sly else 15)
        for _ in range(self.rng.integers(4 if sly else 5, 21)):
            who = {**self.pick(heads), **self.firm(SHELLS)}
            who["address"] = address if self.chance(0.3 if sly else 0.7) else self.new("address")
            who["card"] = card if self.chance(0.5) else self.new("card")
            who["network"] = net if self.chance(0.6) else who["network"]
            who["device"] = self.new("device") if sly else who["device"]
            self.add(who, begin + self.rng.random() * span, "shell_firms", group, amount if self.chance(0.6) else None)

    def guarantee_circle(self, group: str):
        firms = [self.person() for _ in range(self.rng.integers(3, 9))]
        edges = [(a, (a + 1) % len(firms)) for a in range(len(firms))]
        if self.chance(0.4):
            edges.append((0, len(firms) // 2))
        for a, b in edges:
            edge = f"{firms[a]['firm']}>{firms[b]['firm']}"
            firms[a]["guarantees"] = firms[a]["guarantees"] + [edge]
            firms[b]["guarantees"] = firms[b]["guarantees"] + [edge]
        begin, span = self.rng.random() * DAYS * 0.7, self.rng.uniform(2, 30)
        for who in firms:
            # One of them may not have applied yet.
            if len(firms) > 4 and self.chance(0.08):
                continue
            self.add(who, begin + self.rng.random() * span, "guarantee_circle", group)

    def loan_stacking(self, group: str):
        sly = self.chance(0.15)
        head = self.person()
        firms = [self.firm(worst_of=2) for _ in range(self.rng.integers(1, 4))]
        banks = list(self.rng.permutation(BANKS)[: self.rng.integers(3, 9)])
        begin, span = self.rng.random() * DAYS * 0.9, self.rng.uniform(10, 16) if sly else self.rng.uniform(0.2, 6)
        for bank in banks:
            who = {**head, **self.pick(firms)}
            self.add(who, begin + self.rng.random() * span, "loan_stacking", group, bank=str(bank))

    def overdue_linked(self, group: str):
        size = int(self.rng.integers(4, 11))
        members = [self.person() for _ in range(size)]
        broken = max(2, round(size * self.rng.uniform(0.25, 0.6)))
        order = self.rng.permutation(size)
        for number in order[:broken]:
            members[number] |= self.firm(DEFAULTED)
        for before, after in zip(members, members[1:]):
            kind = self.pick(("card", "device", "phone", "card"))
            after[kind] = before[kind]
        begin = self.rng.random() * DAYS * 0.4
        for place, number in enumerate(order):
            early = place < broken
            day = begin + self.rng.random() * 5 if early else begin + 40 + self.rng.random() * 20
            link = self.add(members[number], day, "overdue_linked", group)
            if early:
                self.overdue(link, int(self.rng.integers(30, 90)), 35.0)

    def proof(self) -> str:
        return "void" if self.chance(0.03) else "proven"

    def fill(self):
        lookalikes = 0.08 * self.firms
        while len(self.rows) < lookalikes:
            for kind in LOOKALIKES:
                for _ in range({"family": 20, "dormitory": 1, "office": 1}.get(kind, 1)):
                    getattr(self, kind)(self.new(kind))
        while len(self.rows) < self.firms:
            self.ordinary()
        wanted = self.rate * len(self.rows)
        planted = defaultdict(int)
        while sum(planted.values()) < wanted:
            # The kind of which least is there, so that each has its share of the applications.
            kind = min(KINDS, key=lambda k: planted[k])
            before = len(self.rows)
            getattr(self, kind)(self.new(kind))
            planted[kind] += len(self.rows) - before


def generate(seed: int, rate: float, firms: int, out: Path):
    city = City(seed, firms, rate)
    city.fill()
    lines = [(row["link"]["at"], row) for row in city.rows] + [(o["outcome"]["at"], o) for o in city.outcomes]
    lines.sort(key=lambda line: line[0])
    with open(out, "w", encoding="utf-8") as file:
        for _, line in lines:
            file.write(json.dumps(line, separators=(",", ":")) + "\n")
    return city


if __name__ == "__main__":
    import rings_report

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    make = commands.add_parser("generate", help="write one city")
    make.add_argument("--seed", type=int, required=True)
    make.add_argument("--rate", type=float, default=0.01, help="share of ring applications, 0.001 to 0.02")
    make.add_argument("--firms", type=int, default=100_000)
    make.add_argument("--out", type=Path, required=True)
    measure = commands.add_parser("report", help="measure the labels and write the report")
    measure.add_argument("--train", type=int, nargs="+", default=[1])
    measure.add_argument("--test", type=int, nargs="+", default=[2, 3, 4])
    measure.add_argument("--firms", type=int, default=100_000)
    measure.add_argument("--folder", type=Path, required=True)
    measure.add_argument("--out", type=Path, help="folder for rings.md and its plots; prints to the terminal without it")
    asked = parser.parse_args()
    if asked.command == "generate":
        generate(asked.seed, asked.rate, asked.firms, asked.out)
    else:
        rings_report.report(asked)
    sys.exit(0)
