"""The plots of a report, one function each: a path to write a PNG to, and arrays.

Scores run with the chance to default: higher is worse. Points run the other way. Labels are bool, True for a default.
A file is a few kilobytes (a palette, no date inside), so that plots can be committed and compared.
"""

from dataclasses import dataclass
from pathlib import Path

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.colors import LinearSegmentedColormap
from PIL import Image

import measure

BLUE, ORANGE, GREEN, RED, GREY, PURPLE = "#2f6db3", "#e08a1e", "#3a9a5c", "#c73e3a", "#8a8f98", "#7a57a8"
COLOURS = (BLUE, ORANGE, GREEN, PURPLE, GREY, RED)
LOW_TO_HIGH = LinearSegmentedColormap.from_list("low to high", [BLUE, "#c9c4d6", RED])
LARGEST_BYTES = 80_000
STYLE = {
    "font.size": 9, "axes.titlesize": 10, "axes.titleweight": "bold", "axes.titlelocation": "left",
    "axes.spines.top": False, "axes.spines.right": False, "axes.grid": True, "grid.color": "#e4e6ea",
    "axes.axisbelow": True, "axes.edgecolor": "#8a8f98", "legend.frameon": False, "figure.dpi": 120,
    "lines.linewidth": 1.6, "font.family": "DejaVu Sans",
}
plt.rcParams.update(STYLE)


def figure(width: float, height: float):
    return plt.subplots(figsize=(width, height), layout="constrained")


def save(drawing, path: Path):
    """Writes the PNG with a palette of 128 colours and without metadata."""
    path.parent.mkdir(parents=True, exist_ok=True)
    drawing.canvas.draw()
    picture = Image.fromarray(np.asarray(drawing.canvas.buffer_rgba())[:, :, :3].copy())
    picture.quantize(128, Image.Quantize.MEDIANCUT, 1, dither=Image.Dither.NONE).save(path, optimize=True)
    plt.close(drawing)
    if path.stat().st_size > LARGEST_BYTES:
        raise ValueError(f"{path} has {path.stat().st_size} bytes, more than {LARGEST_BYTES}")


def thin(*lines):
    """At most some 400 points of curves that belong together; first and last stay."""
    keep = np.unique(np.linspace(0, len(lines[0]) - 1, 400).astype(int))
    return tuple(line[keep] for line in lines)


def shares(score: np.ndarray, labels: np.ndarray) -> tuple:
    """Sorted thresholds, and the shares of good and of bad rows at or above each, from none to all."""
    labels = labels.astype(bool)
    order = np.argsort(-score, kind="stable")
    last_of_tie = np.append(np.diff(score[order]) != 0, True)
    bad, good = np.cumsum(labels[order]) / labels.sum(), np.cumsum(~labels[order]) / (~labels).sum()
    return score[order][last_of_tie], np.append(0, good[last_of_tie]), np.append(0, bad[last_of_tie])


def roc(path: Path, curves: dict, title="ROC on held-out rows"):
    """`curves`: name -> (score, labels). The legend tells each AUC with its 95 % interval."""
    drawing, axes = figure(5.4, 4.4)
    for (name, (score, labels)), colour in zip(curves.items(), COLOURS):
        _, good, bad = shares(score, labels)
        low, high = measure.auc_interval(score, labels)
        text = f"{name}: {measure.auc(score, labels):.3f} ({low:.3f} to {high:.3f})"
        axes.plot(*thin(good, bad), color=colour, label=text)
    axes.plot([0, 1], [0, 1], color=GREY, linewidth=0.8, linestyle=":")
    axes.set(title=title, xlabel="share of good rows found bad", ylabel="share of bad rows found bad",
             xlim=(0, 1), ylim=(0, 1.01))
    axes.legend(loc="lower right", title="AUC (95 % interval)")
    save(drawing, path)


def ks(path: Path, score: np.ndarray, labels: np.ndarray, title="Kolmogorov-Smirnov"):
    """Cumulative shares of bad and good rows over the ranking, and the largest distance."""
    thresholds, good, bad = shares(score, labels)
    ranked = np.append(0, np.searchsorted(np.sort(-score), -thresholds, "right") / len(score))
    at = int(np.argmax(np.abs(bad - good)))
    drawing, axes = figure(5.4, 3.8)
    axes.plot(*thin(ranked, bad), color=RED, label="defaulted")
    axes.plot(*thin(ranked, good), color=BLUE, label="did not default")
    axes.plot([ranked[at]] * 2, [good[at], bad[at]], color="black", linewidth=1.2)
    axes.annotate(f"KS {abs(bad[at] - good[at]):.3f}\nat the worst {100 * ranked[at]:.0f} %",
                  (ranked[at], (good[at] + bad[at]) / 2), xytext=(8, 0), textcoords="offset points", va="center",
                  bbox={"facecolor": "white", "edgecolor": "none", "pad": 1})
    axes.set(title=title, xlabel="share of all rows, worst first", ylabel="cumulative share", xlim=(0, 1), ylim=(0, 1.01))
    axes.legend(loc="lower right")
    save(drawing, path)


def wilson(defaults: np.ndarray, rows: np.ndarray) -> tuple:
    """95 % interval of a share (Wilson 1927)."""
    z, share = 1.96, defaults / rows
    middle = (share + z * z / (2 * rows)) / (1 + z * z / rows)
    reach = z * np.sqrt(share * (1 - share) / rows + z * z / (4 * rows * rows)) / (1 + z * z / rows)
    return middle - reach, middle + reach


def calibration(path: Path, curves: dict, bins=10, title="Calibration"):
    """`curves`: name -> (chance, labels). Bins of as many rows each; the bars are 95 % intervals of what was seen,
    a triangle is the upper end where nothing was."""
    drawing, axes = figure(5.4, 4.4)
    lowest, highest = 1.0, 0.0
    for (name, (chance, labels)), colour in zip(curves.items(), COLOURS):
        said, seen, error = measure.calibration(chance, labels, bins)
        sizes = np.array([len(part) for part in np.array_split(chance, bins)])
        low, high = wilson(seen * sizes, sizes)
        text = f"{name}: error {100 * error:.2f} %, mean {100 * chance.mean():.2f} % for {100 * labels.mean():.2f} %"
        some = seen > 0
        reach = 100 * np.stack([seen - low, high - seen]).clip(0)
        axes.errorbar(100 * said[some], 100 * seen[some], yerr=reach[:, some], color=colour, marker="o", markersize=4,
                      capsize=2, linewidth=1, label=text)
        # A bin without any default is at most as bad as the end of its interval.
        axes.plot(100 * said[~some], 100 * high[~some], color=colour, marker="v", markersize=5, linestyle="none")
        shown = np.concatenate([said, low[low > 0], high])
        lowest, highest = min(lowest, shown.min(), seen[seen > 0].min()), max(highest, shown.max())
    span = 100 * max(lowest * 0.8, 1e-4), 100 * min(highest * 1.25, 1)
    axes.plot(span, span, color=GREY, linewidth=0.8, linestyle=":")
    axes.set(title=title, xlabel="chance said, %", ylabel="share that defaulted, %", xscale="log", yscale="log",
             xlim=span, ylim=span)
    plain_ticks(axes.xaxis)
    plain_ticks(axes.yaxis)
    axes.legend(loc="upper left", fontsize=8)
    save(drawing, path)


def plain_ticks(axis):
    axis.set_major_locator(matplotlib.ticker.LogLocator(subs=(1, 2, 5)))
    axis.set_major_formatter(matplotlib.ticker.FuncFormatter(lambda x, _: f"{x:g}"))
    axis.set_minor_locator(matplotlib.ticker.NullLocator())


@dataclass(frozen=True)
class Band:
    """Rows with points from `low` to below `high`."""

    name: str
    low: float
    high: float
    rows: int
    share: float
    default_rate: float
    interval: tuple

    @property
    def text(self) -> str:
        if np.isinf(self.low):
            return f"< {self.high:g}"
        return f"≥ {self.low:g}" if np.isinf(self.high) else f"{self.low:g} to {self.high:g}"

    @property
    def tick(self) -> str:
        return "\n".join(filter(None, (self.name, self.text if self.name else self.text.replace(" to ", "\nto "))))


def banded(points: np.ndarray, labels: np.ndarray, edges: tuple, names: tuple = ()) -> list:
    """Bands between ascending `edges`, one more below and one above; `names` from the lowest."""
    limits = (-np.inf, *edges, np.inf)
    found = []
    for at, (low, high) in enumerate(zip(limits, limits[1:])):
        rows = (points >= low) & (points < high)
        count, bad = int(rows.sum()), int(labels[rows].sum())
        interval = tuple(float(x) for x in wilson(bad, count)) if count else (np.nan, np.nan)
        found.append(Band(names[at] if names else "", low, high, count, count / len(points),
                          bad / count if count else np.nan, interval))
    return found


def bands(path: Path, found: list, title="Score bands"):
    """Share of rows (bars) and default rate with its 95 % interval (points) of bands as `banded` gives them."""
    drawing, axes = figure(6.4, 3.8)
    places = np.arange(len(found))
    axes.bar(places, [100 * b.share for b in found], color="#b9cde4", width=0.75)
    axes.set_ylabel("share of rows, %", color=BLUE)
    axes.set_xticks(places, [b.tick for b in found])
    axes.grid(axis="x", visible=False)
    axes.margins(y=0.18)
    rates = axes.twinx()
    with_rows = [at for at in places if found[at].rows]
    rate = np.array([100 * found[at].default_rate for at in with_rows])
    low, high = (np.array([100 * found[at].interval[side] for at in with_rows]) for side in (0, 1))
    rates.errorbar(with_rows, rate, yerr=np.stack([rate - low, high - rate]).clip(0), color=RED, marker="o",
                   markersize=4, capsize=3, linewidth=1)
    for at, value, top in zip(with_rows, rate, high):
        rates.annotate(f"{value:.2g} %", (at, top), xytext=(0, 3), textcoords="offset points", ha="center",
                       fontsize=8, color=RED)
    rates.set_ylabel("default rate, %", color=RED)
    rates.set_ylim(0, 1.15 * high.max())
    rates.grid(visible=False)
    axes.set(title=title, xlabel="points (600 at odds of 30 to 1, 20 double the odds)")
    save(drawing, path)


def shap_summary(path: Path, names: tuple, features: np.ndarray, contributions: np.ndarray, top=18,
                 title="What drives the score"):
    """The `top` features by mean absolute contribution to the log odds: a dot for each row, coloured by the value's
    rank; grey where it is missing."""
    order = np.argsort(-np.abs(contributions).mean(axis=0), kind="stable")[:top]
    rng = np.random.default_rng(0)
    drawing, axes = figure(6.6, 0.6 + 0.27 * len(order))
    for place, at in enumerate(order[::-1]):
        values, effect = features[:, at], contributions[:, at]
        height = place + spread(effect, rng)
        missing = np.isnan(values)
        ranks = np.argsort(np.argsort(values[~missing])) / max((~missing).sum() - 1, 1)
        axes.scatter(effect[missing], height[missing], s=3, color=GREY, linewidths=0)
        dots = axes.scatter(effect[~missing], height[~missing], s=3, c=ranks, cmap=LOW_TO_HIGH, vmin=0, vmax=1,
                            linewidths=0)
    axes.axvline(0, color="black", linewidth=0.7)
    axes.set_yticks(range(len(order)), [names[at] for at in order[::-1]], fontsize=8)
    axes.set(title=title, xlabel="added to the log odds to default", ylim=(-0.7, len(order) - 0.3))
    bar = drawing.colorbar(dots, ax=axes, ticks=[0, 1], aspect=40, pad=0.01)
    bar.ax.set_yticklabels(["low", "high"])
    bar.set_label("value (grey: missing)", labelpad=-14)
    bar.outline.set_visible(False)
    save(drawing, path)


def spread(effect: np.ndarray, rng) -> np.ndarray:
    """Heights that show how many dots stand at a place."""
    counts, edges = np.histogram(effect, 60)
    at = np.clip(np.searchsorted(edges, effect, "right") - 1, 0, 59)
    return rng.uniform(-0.4, 0.4, len(effect)) * np.sqrt(counts[at] / max(counts.max(), 1))


def drift(path: Path, psi: dict, top=18, title="Drift"):
    """`psi`: name -> population stability index; the largest `top`. Lines at 0.1 (watch) and 0.25 (act)."""
    largest = sorted(psi.items(), key=lambda item: -item[1])[:top][::-1]
    values = [value for _, value in largest]
    drawing, axes = figure(6.4, 0.8 + 0.24 * len(largest))
    colours = [RED if v >= 0.25 else ORANGE if v >= 0.1 else BLUE for v in values]
    axes.barh(range(len(largest)), values, color=colours, height=0.7)
    for at, limit, text in ((0, 0.1, "watch"), (1, 0.25, "act")):
        if limit < max(*values, 0.12) * 1.1:
            axes.axvline(limit, color=(ORANGE, RED)[at], linewidth=0.9, linestyle="--")
            axes.annotate(text, (limit, len(largest) - 0.3), xytext=(0, 2), textcoords="offset points", fontsize=8,
                          ha="center", color=(ORANGE, RED)[at])
    axes.set_yticks(range(len(largest)), [name for name, _ in largest], fontsize=8)
    for at, value in enumerate(values):
        axes.annotate(f"{value:.3f}", (value, at), xytext=(3, 0), textcoords="offset points", va="center", fontsize=7)
    axes.grid(axis="y", visible=False)
    axes.margins(x=0.12)
    axes.set_title(title, pad=16)
    axes.set(xlabel="population stability index", ylim=(-0.7, len(largest) - 0.3))
    save(drawing, path)


def missing(path: Path, rows: list, names: tuple, title="When dimensions are missing"):
    """`rows`: (what is missing, {model name: AUC}) in the order to show; `names` the models in the order of colours."""
    drawing, axes = figure(6.4, 0.9 + 0.26 * len(rows))
    places = np.arange(len(rows))[::-1]
    for at, name in enumerate(names):
        axes.plot([row[1][name] for row in rows], places, color=COLOURS[at], marker="osD^"[at], linestyle="none",
                  markersize=5, label=name)
    for (_, found), place in zip(rows, places):
        axes.plot([min(found.values()), max(found.values())], [place] * 2, color=GREY, linewidth=0.8, zorder=0)
    axes.set_yticks(places, [row[0] for row in rows], fontsize=8)
    axes.set(title=title, xlabel="AUC")
    axes.legend(loc="best", fontsize=8)
    save(drawing, path)
