"""Writes `models/reports/city.md` and its plots: how good the city's model is, on firms that training never saw."""

import json
import re
from datetime import date

import numpy as np

import features as feature_list
import fit
import golden
import measure
import plots
import registry
import simulation
import studies
from studies import ENSEMBLE, SCORECARD, SINGLE

FOLDER = registry.ROOT / "models/reports"
STRATEGIES = registry.ROOT / "models/strategies"
EXPLAINED = 2_000
# The same city a year after the training population was observed, and once more a year later.
LATER = (date(2026, 10, 31), date(2027, 10, 31))
# What the ensemble may lose to a single model while everything is there.
ALLOWED_LOSS = 0.002


class Report:
    """Lines of Markdown, and plots beside them."""

    def __init__(self, name: str):
        self.name, self.lines = name, []

    def text(self, *lines):
        self.lines += [*lines, ""]

    def table(self, head: str, rows: list):
        columns = head.count("|") + 1
        self.text(f"| {head} |", "|" + "---|" * columns, *(f"| {row} |" for row in rows))

    def plot(self, name: str, caption: str, draw, *arguments, **options):
        draw(FOLDER / f"{self.name}/{name}.png", *arguments, **options)
        self.text(f"![{caption}]({self.name}/{name}.png)")

    def write(self):
        registry.write(FOLDER / f"{self.name}.md", ("\n".join(self.lines).rstrip() + "\n").encode())


def write(version: str, ensemble, population, features: np.ndarray, trained: int, seed: int):
    """`population` and its `features`: the first `trained` firms are those of training, the rest were held out."""
    training = features[:trained], population.defaulted[:trained]
    held, labels = features[trained:], population.defaulted[trained:]
    models = studies.models(ensemble, *training, seed)
    report = Report("city")
    manifest = json.loads((registry.ROOT / f"models/registry/{version}/manifest.json").read_bytes())
    opening(report, version, population, trained)
    discrimination(report, models, held, labels)
    dimensions(report, ensemble, training, held, labels, seed)
    missing(report, models, held, labels)
    bands(report, ensemble, held, labels)
    contributions(report, ensemble, held)
    drift(report, manifest, ensemble, population, trained, seed)
    awkward(report, models, training, population, held, trained, seed)
    report.write()


def opening(report: Report, version: str, city, trained: int):
    held = slice(trained, None)
    late = ", ".join(f"{source.replace('_', ' ')} {percent((behind[held] > 0).mean(), 0)}"
                     for source, behind in city.late.items())
    report.text(f"# Model {version} on the generated city")
    report.text("**Every firm here is simulated.** The figures say how well the method works on data as awkward as the "
                "government's, and nothing about real borrowers.")
    report.text("```sh",
                "~/.cache/lending-training/bin/python models/training/train.py   # the model, the city and this report",
                "```")
    report.text(
        f"{trained:,} firms were trained on and {len(city) - trained:,} held out, all observed on {city.as_of} and watched "
        f"for 365 days; {percent(city.defaulted[:trained].mean())} and {percent(city.defaulted[held].mean())} defaulted. Of "
        f"the held out {percent(city.faking[held].mean(), 1)} fake figures and {percent((city.ring[held] > 0).mean(), 1)} "
        f"are shell firms in rings. Rows that are a quarter or more behind: {late}. Intervals are 95 %, after DeLong for "
        "the AUC and after Wilson for shares. No learner and no fuser saw the held-out firms; the make of the city itself "
        "(its economy and its rings) was chosen in runs that did.")


def percent(share: float, digits=2) -> str:
    return f"{100 * share:.{digits}f} %"


def interval(low: float, high: float, digits=3) -> str:
    return f"{low:.{digits}f} to {high:.{digits}f}"


def discrimination(report: Report, models: list, held, labels):
    said = {model.name: model.log_odds(held) for model in models}
    found = {name: studies.quality(score, labels) for name, score in said.items()}
    against = measure.auc_difference(said[ENSEMBLE], said[SINGLE], labels)
    holds = "holds" if against[0] >= -ALLOWED_LOSS else "**does not hold**"
    report.text("## Discrimination and calibration")
    report.table("model | AUC | interval | KS | calibration error | mean chance | defaulted", [
        f"{name} | {q.auc:.4f} | {interval(*q.interval)} | {q.ks:.3f} | {percent(q.calibration_error)} | "
        f"{percent(q.mean_chance)} | {percent(q.rate)}" for name, q in found.items()])
    report.text(f"Ensemble less single model: {against[0]:+.4f} AUC ({interval(*against[1:], 4)}). That it loses at most "
                f"{ALLOWED_LOSS} {holds}. The calibration error is the expected one over ten bins of as many firms each.")
    curves = {name: (score, labels) for name, score in said.items()}
    report.plot("roc", "ROC of the three models", plots.roc, curves, title="ROC on held-out firms")
    report.plot("ks", "Kolmogorov-Smirnov distance of the ensemble", plots.ks, said[ENSEMBLE], labels)
    report.plot("calibration", "Chance said against share that defaulted", plots.calibration,
                {m.name: (m.chance(held), labels) for m in models if m.name != SCORECARD})


def dimensions(report: Report, ensemble, training, held, labels, seed):
    report.text("## What each dimension adds")
    report.table("dimension | alone | all but it | lost without it | single model trained without it", [
        f"{a.dimension} | {a.alone:.3f} | {a.without:.4f} | {a.lost[0]:+.4f} ({interval(a.lost[1], a.lost[2], 4)}) | "
        f"{a.trained_without:.4f}" for a in studies.added(ensemble, training, held, labels, seed)])
    report.text("AUC on all held-out firms. *Alone* and *all but it* are this model with the other dimensions, or this one, "
                "taken away; *lost* is what the whole model has over the latter.")


def missing(report: Report, models: list, held, labels):
    found = studies.missing(models, held, labels)
    gone = [a for a in found if a.gone]
    wins = sum(a.lead[0] > 0 for a in gone)
    sure = sum(a.lead[1] > 0 for a in gone)
    report.text("## When dimensions are missing")
    report.table("missing | ensemble | single | scorecard | ensemble less single", [
        f"{title(a)} | {a.auc[ENSEMBLE]:.4f} | {a.auc[SINGLE]:.4f} | {a.auc[SCORECARD]:.4f} | "
        f"{a.lead[0]:+.4f} ({interval(a.lead[1], a.lead[2], 4)})" for a in found])
    report.text(f"With a dimension or two away the ensemble is ahead of the single model in {wins} of {len(gone)} cases, "
                f"in {sure} of them with the whole interval above zero. A dimension is away when its features are, and "
                "with them every ratio over its sources.")
    report.plot("missing", "AUC of the three models with dimensions missing", plots.missing,
                [(title(a), a.auc) for a in found], (ENSEMBLE, SINGLE, SCORECARD))


def title(absence) -> str:
    return " and ".join(absence.gone) or "nothing"


def strategy_bands() -> tuple:
    """Name of the newest strategy, its bands' names and lower ends from the lowest, and the default rates it expects."""
    path = sorted(STRATEGIES.glob("standard-*.json"))[-1]
    nodes = json.loads(path.read_bytes())["nodes"]
    rules = next(node for node in nodes if node["id"] == "band")["content"]["rules"][::-1]
    edges = tuple(float(re.search(r"\d+", rule["points"])[0]) for rule in rules[1:])
    said = [re.search(r"([\d.]+) %", rule["_description"]) for rule in rules]
    return path.stem, edges, tuple(rule["name"].strip("'") for rule in rules), [m and float(m[1]) for m in said]


def bands(report: Report, ensemble, held, labels):
    strategy, edges, names, expected = strategy_bands()
    points = registry.points(ensemble.probability(held))
    found = plots.banded(points, labels, edges, names)
    report.text("## Score bands")
    report.text(f"Bands of the strategy `{strategy}`, on held-out firms; 600 points are odds of 30 to 1, and 20 "
                "points double the odds.")
    report.table("band | points | share of firms | defaulted | interval | the strategy expects | within", [
        f"{b.name} | {b.text} | {percent(b.share, 1)} | {percent(b.default_rate)} | "
        f"{interval(100 * b.interval[0], 100 * b.interval[1], 2)} % | "
        + (f"{rate} % | {'yes' if within(b, rate) else '**no**'}" if rate else "not lent to | ")
        for b, rate in zip(found[::-1], expected[::-1])])
    accepted = points >= edges[0]
    outside = sum(bool(rate) and not within(b, rate) for b, rate in zip(found, expected))
    report.text(f"What the strategy expects is outside the interval of {outside} of {sum(map(bool, expected))} bands; one "
                "of five would be by chance in a fifth of all samples. "
                f"{percent(accepted.mean(), 1)} of all firms are good enough to lend to; of these "
                f"{percent(labels[accepted].mean())} default, of the others {percent(labels[~accepted].mean())}.")
    report.plot("bands", "Share of firms and default rate of each band", plots.bands, found, title=f"Bands of {strategy}")
    fine = plots.banded(points, labels, tuple(range(560, 701, 20)))
    report.plot("points", "Share of firms and default rate over the points", plots.bands, fine, title="Every twenty points")


def within(band, rate: float) -> bool:
    """Whether a rate in % lies in the interval of a band's default rate."""
    return band.interval[0] <= rate / 100 <= band.interval[1]


def contributions(report: Report, ensemble, held):
    rows = held[:EXPLAINED]
    values = golden.contributions(ensemble, rows)
    mean = np.abs(values).mean(axis=0)
    order = np.argsort(-mean, kind="stable")
    names, of = ensemble.spec.names, [f["dimension"] for f in ensemble.spec.features]
    by_dimension = {d: sum(mean[at] for at in order if of[at] == d) for d in ensemble.spec.dimensions}
    report.text("## What drives the score")
    report.text(f"Exact path-dependent Shapley values of {EXPLAINED:,} held-out firms, carried through the "
                "fuser: what each feature adds to the log odds to default.")
    report.table("feature | dimension | mean size | share", [
        f"`{names[at]}` | {of[at]} | {mean[at]:.3f} | {percent(mean[at] / mean.sum(), 1)}" for at in order[:12]])
    report.text("By dimension: " + ", ".join(f"{d} {percent(x / mean.sum(), 0)}" for d, x in by_dimension.items()) + ".")
    report.plot("contributions", "Contributions of the features", plots.shap_summary, names, rows, values)


def drift(report: Report, manifest: dict, ensemble, population, trained: int, seed: int):
    """Firms that were not trained on: as held out, and those of them, and new ones, that are still there later."""
    report.text("## Drift")
    report.text("The same city later: firms of training are left out, those that defaulted before are gone, new ones "
                "have come. The economy is even until the autumn of 2026 and in a downturn a year later; outcomes are those "
                "of the 365 days after each day. The index is measured against what the manifest carries.")
    cities = [simulation.simulate(seed, len(population), day, whole=True) for day in (population.as_of, *LATER)]
    last_trained = population.number[trained - 1]
    gone, rows, curves, last = set(), [], {}, None
    for city in cities:
        there = (city.number > last_trained) & ~np.isin(city.number, list(gone))
        features, labels = feature_list.matrix(city)[there], city.defaulted[there]
        chance = ensemble.probability(features)
        of_features, of_score = studies.drift(manifest, features, chance)
        q = studies.quality(ensemble.log_odds(features), labels)
        worst = max(of_features, key=of_features.get)
        alarms = sum(x >= 0.1 for x in of_features.values())
        rows.append(f"{city.as_of} | {q.rows:,} | {of_score:.3f} | {alarms} | `{worst}` {of_features[worst]:.3f} | "
                    f"{q.auc:.4f} ({interval(*q.interval)}) | {percent(q.mean_chance)} | {percent(q.rate)} | {percent(q.calibration_error)}")
        curves[str(city.as_of)] = (chance, labels)
        gone |= set(city.number[city.defaulted].tolist())
        last = {"score (points)": of_score, **of_features}
    report.table("observed on | firms | index of the score | features from 0.1 on | largest | AUC | mean chance | defaulted | "
                 "calibration error", rows)
    report.plot("drift", "Stability index of the score and the features in the downturn", plots.drift, last,
                title=f"Drift on {LATER[-1]} against training")
    report.plot("drift-calibration", "Calibration on the three days", plots.calibration, curves,
                title="Calibration as the economy turns")


def awkward(report: Report, models: list, training, city, held, trained: int, seed: int):
    ensemble = models[0]
    report.text("## Faked and late data")
    report.text("The same held-out firms with the same outcomes, seen again without what they fake and "
                "without delay. What is lost is the price of awkward data, and the most that better sources could win back.")
    views = {"as delivered": held}
    for name, options in (("nothing faked", {"faked": False}), ("nothing late", {"late": False}),
                          ("neither", {"faked": False, "late": False})):
        seen = simulation.simulate(seed, len(city), city.as_of, **options)
        views[name] = feature_list.matrix(seen)[trained:]
    labels, faking, ring = city.defaulted[trained:], city.faking[trained:], city.ring[trained:] > 0
    report.table("firms seen | AUC | firms that fake: AUC | their mean chance | they defaulted | their mean points", [
        f"{name} | {measure.auc(ensemble.log_odds(rows), labels):.4f} | "
        f"{measure.auc(ensemble.log_odds(rows[faking]), labels[faking]):.3f} | "
        f"{percent(ensemble.chance(rows[faking]).mean(), 1)} | {percent(labels[faking].mean(), 1)} | "
        f"{registry.points(ensemble.chance(rows[faking])).mean():.0f}" for name, rows in views.items()])
    points = {name: registry.points(ensemble.chance(rows)) for name, rows in views.items()}
    cost = (points["nothing faked"] - points["as delivered"])[faking]
    report.text(f"A firm that fakes loses {cost.mean():.1f} points by it on average, against showing what is true; "
                f"{percent((cost < 0).mean(), 0)} of them gain.")
    blind = studies.without_contradictions(feature_list.SPEC, training, held, seed)
    whole = models[1].log_odds(held)
    more, low, high = measure.auc_difference(whole, blind, labels)
    report.text(f"What features over two sources add to a single model: {more:+.4f} AUC ({interval(low, high, 4)}) over "
                f"all firms; the firms that fake are given a mean chance of {percent(fit.sigmoid(whole[faking]).mean(), 1)} with them and "
                f"{percent(fit.sigmoid(blind[faking]).mean(), 1)} without, where {percent(labels[faking].mean(), 1)} defaulted.")
    late = {source: behind[trained:] > 0 for source, behind in city.late.items() if source != "financial_statements"}
    delayed = np.stack(list(late.values())).sum(axis=0)
    report.table("rows | firms | AUC | interval | mean chance | defaulted", [
        group(name, ensemble, held[rows], labels[rows]) for name, rows in (
            ("no source late but the statements", delayed == 0), ("one more source late", delayed == 1),
            ("two or more late", delayed > 1),
            ("statements four quarters behind or more", city.late["financial_statements"][trained:] >= 4),
            ("firms that fake", faking), ("shell firms in rings", ring), ("all others", ~faking & ~ring))])
    cut_off = strategy_bands()[1][0]
    points = points["as delivered"]
    report.text(f"Of the shell firms {percent((points[ring] < cut_off).mean(), 0)} are below the cut-off of {cut_off:.0f} "
                f"points, of all firms {percent((points < cut_off).mean(), 0)}. The relation graph is there for rings.")


def group(name: str, model, rows, labels) -> str:
    q = studies.quality(model.log_odds(rows), labels)
    return (f"{name} | {q.rows:,} | {q.auc:.3f} | {interval(*q.interval)} | {percent(q.mean_chance)} | {percent(q.rate)}")
