"""Measures the labels of rings on cities that tuning never saw, and writes models/reports/rings.md with its plots."""

import json
import subprocess
from collections import Counter, defaultdict
from pathlib import Path

import lightgbm
import matplotlib
import numpy as np
from sklearn.metrics import average_precision_score, precision_recall_curve

import rings
from features import DIMENSIONS

matplotlib.use("Agg")
import matplotlib.pyplot as plt  # noqa: E402

ROOT = Path(__file__).resolve().parents[2]
STRONG = ("card", "device", "account", "phone", "person", "firm", "guarantee")
# Seed -> share of ring applications, beside the seeds asked for, which are at MAIN_RATE.
MAIN_RATE = 0.01
OTHER_RATES = {5: 0.001, 6: 0.005, 7: 0.02}
TRAIN_RATE = 0.02
NOTHING = -1_000
# What the members of a ring are by themselves, beside how they hang together.
AGGREGATES = (*(f"{dimension}_cost" for dimension in DIMENSIONS), "unscored_percent", "declined", "new_accounts_percent")
LABELS = ROOT / "models" / "rings"


class Labelled:
    """A city with its labels: arrays over its applications, in the order of time."""

    def __init__(self, lines: Path, answers: Path):
        applications = [row for row in map(json.loads, open(lines, encoding="utf-8")) if "link" in row]
        self.links = [row["link"] for row in applications]
        # The record has them and no application does; other methods get them as they get everything else.
        for row in applications:
            points, dimensions = row["score"]
            row["link"]["score"] = [points, *dimensions]
            row["link"]["nodes"] += [{"kind": "guarantee", "hash": edge} for edge in row["guarantees"]]
        self.rows = [json.loads(line) for line in open(answers, encoding="utf-8")]
        at = {row["application"]: row for row in self.rows}
        self.rows = [at[link["application"]] for link in self.links]
        self.truth = np.array([row["truth"] for row in self.rows])
        self.own = np.array([row["own"] or "alone" for row in self.rows])
        self.heard = np.array([row["heard"] or "alone" for row in self.rows])
        # What the strategy refuses at an own check; and whom it lends half, or refused too before it trusted the labels.
        self.refused = np.isin(self.own, rings.KINDS)
        joined = np.array([row["size"] >= 3 and row["firms"] >= 3 for row in self.rows])
        self.halved = joined & ~self.refused
        self.is_ring = np.isin(self.truth, rings.KINDS)
        self.is_alike = np.isin(self.truth, rings.LOOKALIKES)

    def points(self, kind: str) -> np.ndarray:
        return np.array([row["points"].get(kind, NOTHING) for row in self.rows])

    def any_points(self) -> np.ndarray:
        return np.array([max(row["points"].values(), default=NOTHING) for row in self.rows])


def city(folder: Path, seed: int, rate: float, firms: int) -> Labelled:
    """Generates and labels what is not there yet."""
    lines, answers = folder / f"rings-{seed}-{rate}.jsonl", folder / f"rings-{seed}-{rate}.labels.jsonl"
    if not lines.exists():
        rings.generate(seed, rate, firms, lines)
    if not answers.exists():
        label = folder / "label"
        run = [label] if label.exists() else ["cargo", "run", "-q", "--release", "-p", "relations", "--example", "label", "--"]
        answers.write_bytes(subprocess.run([*run, str(lines)], cwd=ROOT, check=True, capture_output=True).stdout)
    return Labelled(lines, answers)


def components(links: list[dict]) -> np.ndarray:
    """Firms in each application's connected component over strong nodes: union and find, no window and no limit."""
    parent = list(range(len(links)))

    def root(at: int) -> int:
        while parent[at] != at:
            parent[at] = parent[parent[at]]
            at = parent[at]
        return at

    first: dict[tuple, int] = {}
    for place, link in enumerate(links):
        for node in link["nodes"]:
            if node["kind"] in STRONG:
                other = first.setdefault((node["kind"], node["hash"]), place)
                parent[root(place)] = root(other)
    firms = defaultdict(set)
    for place, link in enumerate(links):
        firms[root(place)].add(link["firm"])
    return np.array([len(firms[root(place)]) for place in range(len(links))])


def own_features(links: list[dict]) -> np.ndarray:
    """What an application says of itself, without any neighbour."""
    return np.array(
        [
            [
                *link["score"],
                np.nan if link["account_days"] is None else link["account_days"],
                link["amount_fen"],
                link["amount_fen"] % 10_000_000,
                int(link["at"][11:13]),
                int(link["at"][8:10]),
                int(link["at"][5:7]),
                rings.BANKS.index(link["bank"]),
                rings.CITIES.index(link["place"]),
                sum(node["kind"] == "guarantee" for node in link["nodes"]),
            ]
            for link in links
        ],
        float,
    )


def ring_features(rows: list[dict], left_out: tuple = ()) -> np.ndarray:
    names = [name for name in sorted(rows[0]["features"]) if name not in left_out]
    return np.array([[row["features"][name] for name in names] for row in rows], float)


def boosted(train_x: np.ndarray, train_y: np.ndarray, test_x: np.ndarray) -> np.ndarray:
    model = lightgbm.LGBMClassifier(
        n_estimators=200, num_leaves=31, learning_rate=0.05, min_child_samples=40, random_state=7, n_jobs=2, verbose=-1
    )
    model.fit(train_x, train_y)
    return model.booster_.predict(test_x)


def rates(flagged: np.ndarray, truth: np.ndarray) -> tuple[float, float]:
    hits = (flagged & truth).sum()
    return hits / max(flagged.sum(), 1), hits / max(truth.sum(), 1)


def precision_at(scores: np.ndarray, truth: np.ndarray, recall: float) -> float:
    precisions, recalls, _ = precision_recall_curve(truth, scores)
    return float(precisions[recalls >= recall].max())


def joined(cities: list[Labelled], of) -> np.ndarray:
    return np.concatenate([of(c) for c in cities])


def by_kind(cities: list[Labelled]) -> list[str]:
    lines = ["| kind | applications | rings | precision | recall | PR-AUC | found as a ring of any kind |", "|---|---|---|---|---|---|---|"]
    truth, heard = joined(cities, lambda c: c.truth), joined(cities, lambda c: c.heard)
    for kind in rings.KINDS:
        is_kind = truth == kind
        precision, recall = rates(heard == kind, is_kind)
        area = average_precision_score(is_kind, joined(cities, lambda c: c.points(kind)))
        anything = np.isin(heard[is_kind], rings.KINDS).mean()
        groups = len({(n, row["group"]) for n, c in enumerate(cities) for row in c.rows if row["truth"] == kind})
        lines.append(f"| {kind} | {is_kind.sum()} | {groups} | {precision:.3f} | {recall:.3f} | {area:.3f} | {anything:.3f} |")
    return lines


def comparison(train: list[Labelled], test: list[Labelled]) -> list[str]:
    truth, alike = joined(test, lambda c: c.is_ring), joined(test, lambda c: c.is_alike)
    learnt = joined(train, lambda c: c.is_ring)
    firms = joined(test, lambda c: components(c.links))
    alone = boosted(joined(train, lambda c: own_features(c.links)), learnt, joined(test, lambda c: own_features(c.links)))
    around = boosted(joined(train, lambda c: ring_features(c.rows)), learnt, joined(test, lambda c: ring_features(c.rows)))
    shape = lambda c: ring_features(c.rows, AGGREGATES)
    shaped = boosted(joined(train, shape), learnt, joined(test, shape))

    def like_labels(scores):
        """As many flagged as the labels flag, so that precision and recall compare."""
        return scores >= np.sort(scores)[-np.isin(joined(test, lambda c: c.heard), rings.KINDS).sum()]

    heard = np.isin(joined(test, lambda c: c.heard), rings.KINDS)
    own = np.isin(joined(test, lambda c: c.own), rings.KINDS)
    methods = [
        ("**labels, once the whole ring has applied**", heard, joined(test, lambda c: c.any_points())),
        ("labels, at each application's own check: what is refused", own, None),
        ("the same and any three firms joined, as it was refused before", joined(test, lambda c: c.refused | c.halved), None),
        ("plain connected components of three firms or more", firms >= 3, firms),
        ("boosted tree without neighbours", like_labels(alone), alone),
        ("boosted tree on the ring's features at the own check", like_labels(around), around),
        ("the same without the members' scores and the age of their accounts", like_labels(shaped), shaped),
    ]
    lines = ["| method | precision | recall | precision at recall 0.90 | PR-AUC | look-alikes flagged |", "|---|---|---|---|---|---|"]
    for name, flagged, scores in methods:
        precision, recall = rates(flagged, truth)
        at, area = "", ""
        if scores is not None:
            at, area = f"{precision_at(scores, truth, 0.9):.3f}", f"{average_precision_score(truth, scores):.3f}"
        lines.append(f"| {name} | {precision:.3f} | {recall:.3f} | {at} | {area} | {100 * flagged[alike].mean():.2f} % |")
    return lines


def base_rates(cities: list[tuple[str, list[Labelled]]]) -> list[str]:
    lines = ["| rings among applications | seeds | precision | recall | look-alikes labelled | ordinary firms labelled |", "|---|---|---|---|---|---|"]
    for name, some in cities:
        truth, heard = joined(some, lambda c: c.is_ring), np.isin(joined(some, lambda c: c.heard), rings.KINDS)
        alike = joined(some, lambda c: c.is_alike)
        precision, recall = rates(heard, truth)
        plain = heard[~truth & ~alike].mean()
        lines.append(f"| {name} | {len(some)} | {precision:.3f} | {recall:.3f} | {100 * heard[alike].mean():.2f} % | {100 * plain:.4f} % |")
    return lines


def look_alikes(cities: list[Labelled]) -> list[str]:
    lines = ["| look-alike | applications | labelled | as | refused by its own check | lent half by its own check |", "|---|---|---|---|---|---|"]
    truth, heard = joined(cities, lambda c: c.truth), joined(cities, lambda c: c.heard)
    refused, halved = joined(cities, lambda c: c.refused), joined(cities, lambda c: c.halved)
    for kind in (*rings.LOOKALIKES, "plain"):
        here = heard[truth == kind]
        wrong = Counter(str(label) for label in here[np.isin(here, rings.KINDS)])
        said = ", ".join(f"{label} {count}" for label, count in wrong.most_common())
        lines.append(f"| {kind} | {len(here)} | {sum(wrong.values())} ({100 * sum(wrong.values()) / len(here):.3f} %) | {said} | {100 * refused[truth == kind].mean():.2f} % | {100 * halved[truth == kind].mean():.1f} % |")
    return lines


def effort(cities: list[Labelled]) -> str:
    reads = np.sort([row["reads"] + row["judged"] for c in cities for row in c.rows])
    micros = np.sort([row["nanoseconds"] / 1000 for c in cities for row in c.rows])
    share = np.mean([row["judged"] > 0 for c in cities for row in c.rows])
    at = lambda values, part: values[int(part * (len(values) - 1))]
    return (
        f"Reads per check, nodes and journeys together: p50 {at(reads, 0.5)}, p99 {at(reads, 0.99)}, most {reads[-1]} of 60. "
        f"The pure part over a map in memory: p50 {at(micros, 0.5):.1f} µs, p99 {at(micros, 0.99) / 1000:.1f} ms. "
        f"{100 * share:.2f} % of the checks looked at journeys."
    )


def plots(cities: list[Labelled], out: Path):
    truth, heard = joined(cities, lambda c: c.truth), joined(cities, lambda c: c.heard)
    figure, (left, right) = plt.subplots(1, 2, figsize=(12, 4.6))
    for kind in rings.KINDS:
        precisions, recalls, _ = precision_recall_curve(truth == kind, joined(cities, lambda c: c.points(kind)))
        left.step(recalls, precisions, where="post", label=kind.replace("_", " "))
    left.axvline(0.9, color="#999999", linewidth=0.8, linestyle="--")
    left.axhline(0.95, color="#999999", linewidth=0.8, linestyle="--")
    left.set(xlabel="recall", ylabel="precision", xlim=(0, 1.01), ylim=(0, 1.02), title="Each kind by its points; dashed: the aim")
    left.legend(fontsize=8, loc="lower left")
    names = (*rings.KINDS, "ordinary", "alone")
    rows = (*rings.KINDS, *rings.LOOKALIKES)
    table = np.array([[np.mean(heard[truth == row] == name) for name in names] for row in rows])
    right.imshow(table, cmap="Blues", vmin=0, vmax=1, aspect="auto")
    for y, x in np.ndindex(table.shape):
        if table[y, x] >= 0.0005:
            right.text(x, y, f"{100 * table[y, x]:.1f}", ha="center", va="center", fontsize=7, color="white" if table[y, x] > 0.6 else "black")
    right.set_xticks(range(len(names)), [n.replace("_", " ") for n in names], rotation=40, ha="right", fontsize=8)
    right.set_yticks(range(len(rows)), [r.replace("_", " ") for r in rows], fontsize=8)
    right.set_title("What it is (rows) and what it is called, %")
    figure.tight_layout()
    figure.savefig(out / "rings.png", dpi=110, metadata={"Software": None})


def readers() -> str:
    """Which labels in force read what the members are by themselves."""
    newest = max(LABELS.glob("*.json"))
    rules = json.loads(newest.read_text(encoding="utf-8"))["rules"]
    reads = {rule["label"]: {sign["feature"] for sign in rule["signs"]} & set(AGGREGATES) for rule in rules}
    told = [f"{label} ({', '.join(sorted(features))})" for label, features in reads.items() if features]
    return f"Of the labels, {newest.stem}, these read them: {'; '.join(told)}."


def report(asked):
    train = [city(asked.folder, seed, TRAIN_RATE, asked.firms) for seed in asked.train]
    test = [city(asked.folder, seed, MAIN_RATE, asked.firms) for seed in asked.test]
    others = [(f"{100 * rate:g} %", [city(asked.folder, seed, rate, asked.firms)]) for seed, rate in OTHER_RATES.items()]
    swept = sorted([*others, (f"{100 * MAIN_RATE:g} %", test)], key=lambda one: float(one[0].split()[0]))
    seeds = ", ".join(map(str, asked.test))
    text = [
        "# Rings: how well the labels find them",
        "",
        "Written by `python models/training/rings.py report`; nothing here is typed by hand.",
        "",
        f"Cities of {asked.firms:,} firms and 90 days, made by `models/training/rings.py`: rings of six kinds, a fifth of "
        "which take pains not to be seen, among families, office buildings, accountants, markets and dormitories. Every "
        "application is linked, checked and its ring told to the others in the order of time by `shared/relations`, the "
        f"code that production runs. Tuned on seeds {', '.join(map(str, asked.train))} ({100 * TRAIN_RATE:g} % rings); "
        f"everything below is on seeds {seeds} and, for other base rates, {', '.join(map(str, OTHER_RATES))}, which tuning "
        "never used. Figures count applications.",
        "",
        "The city is ours, so is what an innocent look-alike does; a real book will differ. What the figures show is that "
        "the labels tell these groups apart, not how many rings there are in Wuhan.",
        "",
        "## All kinds, beside other methods",
        "",
        *comparison(train, test),
        "",
        "An own check sees only who applied before; those that came first learn of the ring from a later member's check, "
        "if they are still undecided then.",
        "",
        "The third line is the rule that the labels replaced: three firms that share something strong were refused whatever "
        "they were called. It found few rings more and refused a fifth of the innocent look-alikes. No label has been tried "
        "on a real book yet, so the strategy lends each of three joined firms that are called ordinary half of what its "
        "record supports; whom that meets stands below, by look-alike.",
        "",
        "What firms score is the registered model's answer on firms of the simulated city: shell firms from its shells, those "
        "whose loans fail from its firms that default, an agency's clients the weakest of three. A check looks at the "
        "members' scores only where a label could fit, so that the trees seldom see any. " + readers(),
        "",
        "## By kind",
        "",
        *by_kind(test),
        "",
        "## By base rate",
        "",
        *base_rates(swept),
        "",
        "## Look-alikes",
        "",
        *look_alikes(test),
        "",
        "![precision and recall, and what is called what](rings.png)",
        "",
        "## Effort",
        "",
        effort(test),
        "",
    ]
    if asked.out:
        asked.out.mkdir(parents=True, exist_ok=True)
        (asked.out / "rings.md").write_text("\n".join(text), encoding="utf-8")
        plots(test, asked.out)
    print("\n".join(text))
