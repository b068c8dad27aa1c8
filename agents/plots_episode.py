"""Plots of one episode for papers: belief over time, and the raster of columns and steps, before the votes and after.

Belief is drawn as odds, 1 : 1,000 at the least; a column's doubt as the entropy of its own posterior, in nats.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import ListedColormap, Normalize
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator

from .episode import EpisodeRecord, StepTrace
from .metrics import UNKNOWN
from .panels import FAINT, INK, PALETTE, UNSURE, ranked

LOWEST = -3
"""Powers of ten; lower odds are drawn as these."""
LONGEST = 50
"""Sensations over which the belief of all episodes is drawn, at most."""
OTHER = "others"


def belief_figure(
    record: EpisodeRecord,
    label: str,
    rows_by_label: Mapping[str, Sequence[EpisodeRecord]],
    styles: Sequence[Mapping[str, Any]],
    odds: float,
) -> Figure:
    """Left: odds of the objects in one episode. Right: odds of the true object in all, median and middle half.

    styles : of each label's curve; odds : that decide
    """
    figure = Figure(figsize=(7.2, 2.6))
    one, every = figure.subplots(1, 2, sharey=True)
    top = math.ceil(math.log10(odds) + 1e-9) + 1
    _draw_episode(one, record, top)
    one.set_title(f"a   one episode: {record.object}, {label}")
    _draw_all(every, rows_by_label, styles, top)
    every.set_title("b   all episodes: the true object")
    for axes in (one, every):
        axes.axhline(math.log10(odds), color=INK, lw=0.7, ls=(0, (4, 3)))
        axes.set(xlabel="sensations", ylim=(LOWEST - 0.2, top + 0.2))
        axes.grid(color="#ececec", lw=0.5)
        axes.set_axisbelow(True)
    every.annotate("decides", (1, math.log10(odds)), (3, 0), xycoords=("axes fraction", "data"),
                   textcoords="offset points", fontsize=7, va="center")  # fmt: skip
    one.set_ylabel("odds against all others")
    ticks = [LOWEST, *range(0, top - 1, 2 if top <= 12 else 4), top]
    one.set_yticks(ticks, [_odds_words(power, top) for power in ticks])
    return figure


def _odds_words(power: int, top: int) -> str:
    """All beyond the ends is drawn at the ends."""
    bound = "≤ " if power == LOWEST else "≥ " if power == top else ""
    return "1:1" if power == 0 else bound + (f"$10^{{{power}}}$:1" if power > 0 else f"1:$10^{{{-power}}}$")


def _draw_episode(axes: Axes, record: EpisodeRecord, top: float) -> None:
    steps = np.arange(1, len(record.trace) + 1)
    colours = _colours(record, ranked(record.trace, 5))
    for name, colour in colours.items():
        line = [min(top, _power(step, name)) for step in record.trace]
        axes.plot(
            steps,
            line,
            color=colour,
            marker="o",
            ms=2.5,
            label=_marked(name, record),
            zorder=3 if name == record.object else 2,
        )
    axes.set_xticks(ticks(len(steps)))
    axes.legend(loc="best", frameon=True, framealpha=0.9, edgecolor="white")


def _marked(name: str, record: EpisodeRecord) -> str:
    return f"{name} (true)" if name == record.object else name


def _draw_all(
    axes: Axes,
    rows_by_label: Mapping[str, Sequence[EpisodeRecord]],
    styles: Sequence[Mapping[str, Any]],
    top: float,
) -> None:
    traced = {label: [row for row in rows if row.trace] for label, rows in rows_by_label.items()}
    longest = max((len(row.trace) for rows in traced.values() for row in rows), default=1)
    steps = np.arange(min(LONGEST, longest))
    for (label, rows), style in zip(traced.items(), styles, strict=True):
        if not rows:
            continue
        lines = np.array(
            [[min(top, _power(row.trace[min(k, len(row.trace) - 1)], row.object)) for k in steps] for row in rows]
        )
        low, middle, high = np.percentile(lines, (25, 50, 75), axis=0)
        axes.fill_between(steps + 1, low, high, color=style["color"], alpha=0.15, lw=0)
        axes.plot(steps + 1, middle, label=f"{label} (n = {len(rows)})", **style)
    axes.set(xlim=(1, max(2, len(steps))), xticks=ticks(len(steps)))
    axes.legend(loc="lower right", title="median, middle half", alignment="left")


def ticks(steps: int) -> list[int]:
    """Of an axis of sensations: the first, and round numbers up to `steps`."""
    every = next((n for n in (1, 2, 5, 10, 20, 50, 100) if steps / n <= 10), 1000)
    return [1, *range(max(2, every), steps + 1, every)]


def _power(step: StepTrace, name: str) -> float:
    """Odds of an object after a step, as a power of ten."""
    if name == step.best:
        return max(LOWEST, step.log_odds / math.log(10))
    share = min(step.posterior.get(name, 0.0), 1 - 1e-12)
    return max(LOWEST, math.log10(share / (1 - share))) if share > 0 else LOWEST


def raster_figure(record: EpisodeRecord, label: str) -> Figure:
    """Column x step: entropy above, best object below; left by its own sensations, right after the votes. A cross: the
    column met nothing there."""
    columns = len(record.trace[0].columns)
    sides = ("alone", "after") if columns > 1 else ("after",)
    height = min(2.4, max(0.55, 0.14 * columns))
    figure = Figure(figsize=(7.2 if columns > 1 else 3.9, 2 * height + 1.3))
    panels = figure.subplots(2, len(sides), squeeze=False, sharex=True, sharey=True)
    entropy = {side: _table(record.trace, "entropy", side).astype(float) for side in sides}
    best = {side: _table(record.trace, "best", side) for side in sides}
    colours = _colours(record, _frequent(record, best))
    highest = max(0.5, *(float(table.max()) for table in entropy.values()))
    words = {"alone": "by a column's own sensations", "after": "after the votes" if columns > 1 else ""}
    for k, side in enumerate(sides):
        _cells(panels[0, k], entropy[side], cmap="cividis", vmin=0, vmax=highest)
        _best(panels[1, k], best[side], colours)
        _misses(panels[0, k], record.trace, entropy[side] > 0.6 * highest)
        _misses(panels[1, k], record.trace, np.zeros_like(entropy[side], bool))
        for row, what in enumerate(("entropy", "best object")):
            panels[row, k].set_title(f"{'abcd'[row * len(sides) + k]}   {what} {words[side]}")
        panels[1, k].set_xlabel("sensation")
    for axes in panels[:, 0]:
        axes.set_ylabel("column")
    scale = ScalarMappable(Normalize(0, highest), "cividis")
    figure.colorbar(scale, ax=panels[0].tolist(), label="entropy (nats)", pad=0.01, aspect=12)
    keys: list[Artist] = [
        Patch(color=c, label=f"{name} (true)" if name == record.object else name) for name, c in colours.items()
    ]
    if any(not point for step in record.trace for point in step.location):
        keys.append(Line2D([], [], color=INK, marker="x", ms=3.5, mew=0.7, ls="", label="met nothing"))
    figure.legend(handles=keys, loc="outside lower center", ncols=min(len(keys), 6 if columns > 1 else 3))
    figure.suptitle(f"{record.object}, {label}", x=0.01, ha="left", fontsize=8)
    return figure


def _table(trace: Sequence[StepTrace], what: str, side: str) -> np.ndarray:
    """(columns, steps) of one field of every column."""
    name = f"alone_{what}" if side == "alone" else what
    return np.array([[getattr(column, name) for column in step.columns] for step in trace]).T


def _frequent(record: EpisodeRecord, best: Mapping[str, np.ndarray], most: int = 7) -> list[str]:
    """The best objects of all columns and steps, most frequent first; the rest are `others`."""
    names, counts = np.unique(np.concatenate([table.ravel() for table in best.values()]), return_counts=True)
    order = [str(name) for name in names[np.argsort(-counts, kind="stable")]]
    return order if len(order) <= most else [*order[: most - 1], OTHER]


def _colours(record: EpisodeRecord, names: Sequence[str]) -> dict[str, str]:
    """The true object blue, 'unknown' grey, others light grey."""
    order = sorted(names, key=lambda name: (name != record.object, name in (UNKNOWN, OTHER)))
    free = iter(PALETTE[1:7] * 2)
    fixed = {record.object: PALETTE[0], UNKNOWN: UNSURE, OTHER: "#d5d5d5"}
    return {name: fixed.get(name) or next(free) for name in order}


def _cells(axes: Axes, table: np.ndarray, **style: Any) -> None:
    columns, steps = table.shape
    edges = {"edgecolors": "white", "linewidth": 0.4} if table.size <= 1500 else {"rasterized": True}
    axes.pcolormesh(np.arange(steps + 1) + 0.5, np.arange(columns + 1) + 0.5, table, **edges, **style)
    axes.set(xlim=(0.5, steps + 0.5), ylim=(columns + 0.5, 0.5))
    axes.set_xticks(ticks(steps))
    axes.yaxis.set_major_locator(MaxNLocator(integer=True, nbins=5, min_n_ticks=1))
    axes.spines[:].set_color(FAINT)


def _best(axes: Axes, best: np.ndarray, colours: Mapping[str, str]) -> None:
    names = list(colours)
    last = names.index(OTHER) if OTHER in names else -1
    index = np.array([[names.index(name) if name in colours else last for name in row] for row in best])
    _cells(axes, index, cmap=ListedColormap(list(colours.values())), vmin=-0.5, vmax=len(names) - 0.5)


def _misses(axes: Axes, trace: Sequence[StepTrace], bright: np.ndarray) -> None:
    """Crosses where a column met nothing; dark ones on bright cells."""
    for k, step in enumerate(trace):
        for row, point in enumerate(step.location):
            if not point:
                axes.plot(k + 1, row + 1, "x", ms=2.5, mew=0.6, color=INK if bright[row, k] else "white")
