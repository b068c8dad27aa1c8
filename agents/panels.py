"""The style of all pictures, and the two panels over time of a picture of one episode: belief and doubt.

Colours are those of Okabe and Ito (2008), which people of any colour vision can tell apart.
"""

import math
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap

from .episode import StepTrace
from .metrics import UNKNOWN

PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#8C6D1F", "#444444")
INK, FAINT, UNSURE = "#222222", "#9a9a9a", "#888888"
DOUBT = LinearSegmentedColormap.from_list("doubt", ["#f7fbff", "#c6dbef", "#6baed6", "#2171b5"])
FLOOR = math.log(1e-3)
"""Lower log odds are drawn as these."""


def titled(axes: Axes, title: str) -> None:
    """The style all panels share."""
    axes.set_title(title, fontsize=12.5, color=INK, loc="left", pad=7)
    axes.tick_params(labelsize=10.5, colors=INK)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        axes.spines[side].set_color(FAINT)


def draw_belief(axes: Axes, trace: Sequence[StepTrace], odds: float) -> None:
    """Odds of the most probable objects over the sensations, and the odds that decide."""
    steps = np.arange(1, len(trace) + 1)
    top = ranked(trace)
    decades = max(1, math.floor(math.log10(odds) + 1e-9) + 1)  # the first power of ten above the odds that decide
    ceiling = decades * math.log(10)
    ends = {}
    for name, colour in zip(top, colours_of(top), strict=True):
        line = np.clip([_log_odds(step, name) for step in trace], FLOOR, ceiling)
        axes.plot(steps, line, color=colour, lw=2.2, marker="o" if len(steps) <= 30 else "", ms=5, clip_on=False)
        ends[name] = (float(line[-1]), colour)
    axes.axhline(math.log(odds), color=INK, lw=1.1, ls=(0, (4, 3)))
    axes.set_ylim(FLOOR - 0.6, ceiling + 0.4)
    axes.annotate(
        "decides", (0.012, math.log(odds)), (0, -2), xycoords=axes.get_yaxis_transform(), textcoords="offset points",
        fontsize=10, color=INK, va="top",
    )  # fmt: skip
    _end_labels(axes, ends, steps[-1], ceiling)
    every = math.ceil((decades + 3) / 12)
    shown = sorted({-3, decades, *range(0, decades, every), *range(0, -3, -every)})
    axes.set_yticks([k * math.log(10) for k in shown], [_odds_tick(k, decades) for k in shown])
    _steps(axes, len(trace), 1.2)
    axes.grid(axis="y", color="#ececec", lw=0.8)
    axes.set_axisbelow(True)
    titled(axes, "belief: odds of each object against all others")


def _odds_tick(power: int, highest: int) -> str:
    """'≤ 1 : 1,000', '100 : 1', '≥ 10⁸ : 1': all beyond the ends is drawn at the ends."""
    number = f"{10 ** abs(power):,}" if abs(power) < 5 else f"$10^{{{power}}}$"
    text = f"1 : {number}" if power < 0 else f"{number} : 1"
    return f"≤ {text}" if power == -3 else f"≥ {text}" if power == highest else text


def _log_odds(step: StepTrace, name: str) -> float:
    if name == step.best:
        return step.log_odds
    share = min(step.posterior.get(name, 0.0), 1 - 1e-12)
    return math.log(share / (1 - share)) if share > 1e-12 else FLOOR


def _end_labels(axes: Axes, ends: dict[str, tuple[float, str]], last: int, ceiling: float) -> None:
    """Names at the right ends of lines, pushed apart where they would overlap."""
    gap = 0.078 * (ceiling - FLOOR)
    order = sorted(ends, key=lambda name: -ends[name][0])
    heights = [ends[name][0] for name in order]
    for i in range(1, len(heights)):
        heights[i] = min(heights[i], heights[i - 1] - gap)
    for i in reversed(range(len(heights))):
        lowest = FLOOR if i == len(heights) - 1 else heights[i + 1] + gap
        heights[i] = max(heights[i], lowest)
    for name, height in zip(order, heights, strict=True):
        axes.annotate(
            name, (last, height), (9, 0), textcoords="offset points", color=ends[name][1], fontsize=11, va="center",
            weight="bold", annotation_clip=False,
        )  # fmt: skip


def draw_doubt(axes: Axes, trace: Sequence[StepTrace]) -> None:
    """Entropy of every column over the sensations, below a strip that names the best guess."""
    entropy = np.array([[column.entropy for column in step.columns] for step in trace]).T
    steps, columns = np.arange(1, len(trace) + 1), len(entropy)
    _steps(axes, len(trace), 1.0)
    if columns == 1:
        axes.fill_between(steps, 0, entropy[0], color=DOUBT(0.35), lw=0)
        axes.plot(steps, entropy[0], color=PALETTE[0], lw=2.2, marker="o" if len(steps) <= 30 else "")
        axes.set_ylim(0, 1.3 * max(0.1, float(entropy.max())))
        axes.set_ylabel("nats", fontsize=11, color=INK)
        title = "doubt of the column (entropy), and its best guess"
    else:
        _raster(axes, trace, entropy)
        title = "doubt of each column (entropy, nats; × met nothing), best guess of all"
    titled(axes, title)
    _strip(axes, trace)


def _raster(axes: Axes, trace: Sequence[StepTrace], entropy: np.ndarray) -> None:
    columns, steps = entropy.shape
    image = axes.imshow(
        entropy, aspect="auto", cmap=DOUBT, vmin=0, vmax=max(0.5, float(entropy.max())), interpolation="nearest",
        extent=(0.5, steps + 0.5, columns + 0.5, 0.5),
    )  # fmt: skip
    if steps <= 40:
        axes.vlines(np.arange(steps + 1) + 0.5, 0.5, columns + 0.5, color="white", lw=1.5)
    axes.hlines(np.arange(columns + 1) + 0.5, 0.5, steps + 0.5, color="white", lw=1.5 if columns <= 30 else 0.3)
    for k, step in enumerate(trace):
        for row, (column, point) in enumerate(zip(step.columns, step.location, strict=True)):
            dark = entropy[row, k] > 0.6 * image.norm.vmax  # type: ignore[operator]
            text = column.best if column.best != step.best else "" if point else "×"
            if text and steps * columns <= 400 and _fits(axes, text, 1):
                axes.text(k + 1, row + 1, text, color="white" if dark else INK, fontsize=9.5, ha="center", va="center")
    axes.set_ylim(columns + 0.5, 0.5 - 0.2 * columns)
    every = max(1, math.ceil(columns / 9))
    axes.set_yticks(range(1, columns + 1, every), [f"column {c}" for c in range(1, columns + 1, every)])
    axes.spines["left"].set_visible(False)
    bar = axes.figure.colorbar(image, ax=axes, fraction=0.03, pad=0.015)
    bar.ax.tick_params(labelsize=9.5, colors=INK)
    bar.outline.set_visible(False)  # type: ignore[operator]


def _strip(axes: Axes, trace: Sequence[StepTrace]) -> None:
    """A bar for every run of the same best guess, named where the name fits."""
    colours = dict(zip(best := ranked(trace), colours_of(best), strict=True))
    start = 0
    for end in range(1, len(trace) + 1):
        if end < len(trace) and trace[end].best == trace[start].best:
            continue
        name = trace[start].best
        place = {"transform": axes.get_xaxis_transform(), "zorder": 5}
        axes.broken_barh(
            [(start + 0.53, end - start - 0.06)], (0.885, 0.095), color=colours.get(name, UNSURE), lw=0, **place
        )
        if _fits(axes, name, end - start):
            middle = (start + end + 1) / 2
            axes.text(middle, 0.932, name, color="white", fontsize=10, weight="bold", ha="center", va="center", **place)
        start = end


def _fits(axes: Axes, text: str, steps: int) -> bool:
    left, right = axes.get_xlim()
    return len(text) * 7.5 < steps * axes.get_window_extent().width / (right - left)


def _steps(axes: Axes, count: int, room: float) -> None:
    """An axis of sensations 1 ... count; `room` (1: none) leaves place for names at the right."""
    axes.set_xlim(0.5, 0.5 + room * count)
    every = next(e for e in (1, 2, 5, 10, 20, 50, 100, 1000) if count / e <= 16)
    axes.set_xticks([k for k in range(1, count + 1) if k % every == 0 or k == 1])
    axes.set_xlabel("sensation", fontsize=11, color=INK, labelpad=2)


def ranked(trace: Sequence[StepTrace], most: int = 6) -> list[str]:
    """The objects ever worth a line: those of the highest peaks of belief, at most `most`."""
    peak: dict[str, float] = {}
    for step in trace:
        for name, share in step.posterior.items():
            peak[name] = max(peak.get(name, 0.0), share)
    top = sorted(peak, key=lambda name: -peak[name])[:most]
    return [name for name in top if peak[name] > 0.003] or top[:1]


def colours_of(names: Sequence[str]) -> list[str]:
    """A colour for each name; grey for 'unknown'."""
    free = iter(PALETTE * (1 + len(names) // len(PALETTE)))
    return [UNSURE if name == UNKNOWN else next(free) for name in names]
