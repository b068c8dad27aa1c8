"""Pictures of episodes and runs: what the eye did, what the columns believed, how the figures came about.

Each function writes one file, of the kind its suffix says (.png, .svg, .pdf), and changes no global setting of
matplotlib.
"""

import io
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from cortical.columns.object_map import ObjectMap
from cortical.columns.storage import write_whole
from cortical.envs.mesh import Mesh

from .episode import EpisodeRecord
from .metrics import NOTHING, accuracy_curve, wilson
from .panels import FAINT, INK, PALETTE, draw_belief, draw_doubt, titled
from .scene import draw_map, draw_scene
from .story import odds_text

CURVE = 20
"""Sensations over which accuracy is drawn."""


def episode_picture(
    record: EpisodeRecord, mesh: Mesh, object_map: ObjectMap | None, path: str | Path, odds: float = 1e7
) -> Path:
    """One episode in four panels: the object and the way of the eye, the map and what was sensed laid on it,
    belief over time, and doubt in every column.

    mesh : of the true object; object_map : of the best guess, None if there is none (unknown)
    odds : that decide, drawn as a line

    Raises ValueError for a record without a trace.
    """
    if not record.trace:
        raise ValueError("this episode was recorded without a trace: play(..., traced=True)")
    figure = Figure(figsize=(16, 9), dpi=100, facecolor="white")
    grid = figure.add_gridspec(
        2, 2, height_ratios=(1.5, 1), left=0.08, right=0.975, bottom=0.075, top=0.895, hspace=0.17, wspace=0.15
    )
    scene, cloud, belief, doubt = (figure.add_subplot(grid[i, j]) for i in (0, 1) for j in (0, 1))
    figure.suptitle(headline(record), fontsize=17, color=INK, x=0.03, y=0.968, ha="left")
    camera = draw_scene(scene, record, mesh)
    draw_map(cloud, record, object_map, camera)
    draw_belief(belief, record.trace, odds)
    draw_doubt(doubt, record.trace)
    return save(figure, path)


def headline(record: EpisodeRecord) -> str:
    """Object, answer, odds, sensations and pose error in one line."""
    if record.answer is None:
        answer = f"undecided (best guess {record.best_guess})"
    elif record.answer == NOTHING:
        answer = "found nothing here (wrong)"
    else:
        answer = f"named {record.answer}" + ("" if record.correct else " (wrong)")
    sensations = f"{record.sensations} sensation{'s' if record.sensations != 1 else ''}"
    parts = [f"{record.object}: {answer}", f"odds {odds_text(record.odds_log)}", sensations]
    if record.best_guess == record.object:
        parts.append(f"pose {record.rotation_error_deg:.1f}° off (after symmetry)")
    return "   |   ".join(parts)


def save(figure: Figure, path: str | Path) -> Path:
    """Write a figure, whole or not at all; folders are made where they are missing."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    drawn = io.BytesIO()
    figure.savefig(drawn, format=path.suffix[1:] or None)
    write_whole(path, drawn.getvalue())
    return path


# ------------------------------------------------------------------ runs


def run_picture(rows_by_label: Mapping[str, Sequence[EpisodeRecord]], path: str | Path) -> Path:
    """A run at a glance, one colour a label: accuracy over sensations, sensations needed, rotation errors of right
    answers and, if there are wrong ones, what was taken for what.

    Raises ValueError without episodes.
    """
    if not rows_by_label or not all(rows_by_label.values()):
        raise ValueError("no episodes to draw: every label needs at least one")
    wrong = _wrong(rows_by_label)
    figure = Figure(figsize=(16, 9) if wrong else (16, 5), dpi=100, facecolor="white")
    grid = figure.add_gridspec(
        *((2, 2) if wrong else (1, 3)), left=0.06, right=0.98, wspace=0.2, hspace=0.36,
        bottom=0.085 if wrong else 0.14, top=0.945 if wrong else 0.91,
    )  # fmt: skip
    panels = [figure.add_subplot(cell) for cell in grid]
    _draw_accuracy(panels[0], rows_by_label)
    _draw_needed(panels[1], rows_by_label)
    _draw_errors(panels[2], rows_by_label)
    if wrong:
        _draw_wrong(panels[3], wrong, list(rows_by_label))
    return save(figure, path)


def vote_picture(rows_by_columns: Mapping[int, Sequence[EpisodeRecord]], path: str | Path) -> Path:
    """What more columns bring: sensations to the answer and share of right answers against their number.

    Raises ValueError without episodes.
    """
    if not rows_by_columns or not all(rows_by_columns.values()):
        raise ValueError("no episodes to draw: every number of columns needs at least one")
    counts = sorted(rows_by_columns)
    figure = Figure(figsize=(13, 5), dpi=100, facecolor="white")
    left, right = figure.subplots(1, 2)
    figure.subplots_adjust(left=0.065, right=0.98, bottom=0.13, top=0.9, wspace=0.18)
    needed = [[row.sensations for row in rows_by_columns[count]] for count in counts]
    low, middle, high = (np.array([np.percentile(part, at) for part in needed]) for at in (25, 50, 75))
    left.fill_between(counts, low, high, color=PALETTE[0], alpha=0.15, lw=0, label="middle half of the episodes")
    left.plot(counts, middle, color=PALETTE[0], lw=2.2, marker="o", ms=7, label="median")
    left.set_ylim(0, 1.12 * float(high.max()))
    left.legend(frameon=False, fontsize=11)
    _label(left, "sensations until it is decided", "columns", "sensations")
    hits = [(sum(row.correct for row in rows_by_columns[count]), len(rows_by_columns[count])) for count in counts]
    share = np.array([right / n for right, n in hits])
    bounds = np.array([wilson(*hit) for hit in hits]).T
    right.errorbar(
        counts, 100 * share, 100 * np.abs(bounds - share), color=PALETTE[2], lw=2.2, marker="o", ms=7, capsize=4,
        elinewidth=1.2,
    )  # fmt: skip
    right.set_ylim(max(-3.0, 100 * float(bounds.min()) - 8), 103)
    _label(right, "right answers, with 95 % intervals", "columns", "%")
    for axes in (left, right):
        _count_axis(axes, counts)
    return save(figure, path)


def _count_axis(axes: Axes, counts: Sequence[int]) -> None:
    axes.set_xscale("log", base=2)
    axes.set_xticks(counts, [str(count) for count in counts])
    axes.minorticks_off()
    axes.set_xlim(counts[0] / 1.2, counts[-1] * 1.2)


def _draw_accuracy(axes: Axes, rows_by_label: Mapping[str, Sequence[EpisodeRecord]]) -> None:
    steps = np.arange(1, CURVE + 1)
    for (label, rows), colour in zip(rows_by_label.items(), _colours(rows_by_label), strict=True):
        curve = accuracy_curve(rows, CURVE)
        bounds = np.array([wilson(round(share * len(rows)), len(rows)) for share in curve]).T
        axes.fill_between(steps, *(100 * bounds), color=colour, alpha=0.13, lw=0)
        text = f"{label} ({len(rows)})"
        axes.plot(steps, 100 * np.array(curve), color=colour, lw=2.2, marker="o", ms=4.5, label=text)
    axes.set_ylim(0, 103)
    axes.set_xlim(0.5, CURVE + 0.5)
    axes.set_xticks([1, 5, 10, 15, 20])
    axes.legend(frameon=False, fontsize=11, loc="lower right", title="episodes, 95 % intervals", title_fontsize=10.5)
    _label(axes, "best guess right", "sensations", "%")


def _draw_needed(axes: Axes, rows_by_label: Mapping[str, Sequence[EpisodeRecord]]) -> None:
    """Side by side bars, those beyond the 97th percentile gathered in the last."""
    decided = {label: [r.sensations for r in rows if r.answer is not None] for label, rows in rows_by_label.items()}
    every = [count for counts in decided.values() for count in counts] or [1]
    last = max(5, int(np.percentile(every, 97)))
    wide = max(1, -(-last // 25))
    edges = np.arange(1, last + wide + 1, wide)
    width, highest = 0.84 / len(decided), 0.0
    for i, ((label, counts), colour) in enumerate(zip(decided.items(), _colours(rows_by_label), strict=True)):
        bars = np.histogram(np.minimum(counts, edges[-1] - 1), np.append(edges, edges[-1] + wide)[: len(edges)])[0]
        share = 100 * bars / max(1, len(rows_by_label[label]))
        middle = f"median {np.median(counts):g}" if counts else "none decided"
        place = np.arange(len(share)) + (i - (len(decided) - 1) / 2) * width
        axes.bar(place, share, width, color=colour, label=f"{label}: {middle}")
        highest = max(highest, float(share.max()))
    names = [f"{a}" if wide == 1 else f"{a}-{a + wide - 1}" for a in edges[:-1]]
    if max(every) >= edges[-1]:
        names[-1] = f"{edges[-2]}+"
    skip = max(1, len(names) // 10)
    ticks = sorted({*range(0, len(names) - skip, skip), len(names) - 1})
    axes.set_xticks(ticks, [names[k] for k in ticks])
    axes.legend(frameon=False, fontsize=11, loc="upper right")
    taken = (24 * len(decided) + 18) / axes.get_window_extent().height  # by the legend, in pixels: above all bars
    axes.set_ylim(0, max(1.0, highest) / (1 - min(0.8, taken)))
    _label(axes, "sensations until it is decided", "sensations", "% of the episodes")


def _draw_errors(axes: Axes, rows_by_label: Mapping[str, Sequence[EpisodeRecord]]) -> None:
    for (label, rows), colour in zip(rows_by_label.items(), _colours(rows_by_label), strict=True):
        errors = np.sort([max(0.05, row.rotation_error_deg) for row in rows if row.correct])
        if len(errors):
            share = 100 * np.arange(1, len(errors) + 1) / len(errors)
            text = f"{label}: median {np.median(errors):.1f}°"
            axes.step(errors, share, where="post", color=colour, lw=2.2, label=text)
    axes.axvline(10.0, color=FAINT, lw=1.1, ls=(0, (4, 3)))
    axes.set_xscale("log")
    axes.set_xlim(0.1, 200)
    axes.set_xticks([0.1, 1, 10, 100], ["0.1", "1", "10", "100"])
    axes.set_ylim(0, 103)
    if axes.get_legend_handles_labels()[0]:
        axes.legend(facecolor="white", edgecolor="white", framealpha=0.9, fontsize=11, loc="best")
    _label(axes, "rotation errors of right answers (after symmetry)", "degrees", "% at most this far off")


def _wrong(rows_by_label: Mapping[str, Sequence[EpisodeRecord]]) -> Counter[tuple[str, str, str]]:
    """How often (object, answer, label) happened, wrong answers only."""
    return Counter(
        (row.object, row.answer, label)
        for label, rows in rows_by_label.items()
        for row in rows
        if row.answer is not None and not row.correct
    )


def _draw_wrong(axes: Axes, wrong: Counter[tuple[str, str, str]], labels: Sequence[str]) -> None:
    """The most frequent confusions as bars, the labels' bars one after the other."""
    total: Counter[tuple[str, str]] = Counter()
    for (name, answer, _), count in wrong.items():
        total[name, answer] += count
    pairs = [pair for pair, _ in total.most_common(10)]
    start = np.zeros(len(pairs))
    for label, colour in zip(labels, _colours(labels), strict=True):
        counts = np.array([wrong[(*pair, label)] for pair in pairs])
        axes.barh(np.arange(len(pairs)) + 0.08, counts, left=start, color=colour, height=0.36, label=label)
        start = start + counts
    for row, (name, answer) in enumerate(pairs):
        axes.text(0.0, row - 0.3, f"{name}, named {answer}", fontsize=10.5, color=INK, va="center")
    axes.set_yticks([])
    axes.set_ylim(max(4, len(pairs)) - 0.4, -0.6)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.legend(frameon=False, fontsize=11, loc="lower right")
    count = sum(wrong.values())
    more = f" (10 of {len(total)} kinds)" if len(total) > 10 else ""
    _label(axes, f"{count} wrong answer{'s' if count > 1 else ''}{more}", "episodes", "")


def _label(axes: Axes, title: str, x: str, y: str) -> None:
    titled(axes, title)
    axes.set_xlabel(x, fontsize=11, color=INK)
    axes.set_ylabel(y, fontsize=11, color=INK)
    axes.grid(color="#ececec", lw=0.8)
    axes.set_axisbelow(True)


def _colours(labels: Mapping[str, object] | Sequence[str]) -> list[str]:
    return [PALETTE[i % len(PALETTE)] for i in range(len(labels))]
