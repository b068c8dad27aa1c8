"""What more columns bring, drawn: correctness, sensations and rotation error against columns, a line a topology, a
column of panels a lesion. Bars are 95 % intervals: Wilson's for shares, else of resampled episodes."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from .metrics import wilson
from .panels import INK, PALETTE
from .pictures import save

DRAWS = 1000
"""Times that episodes are resampled."""
PARTS = (
    ("correct", "right answers, %"), ("right_after_one", "right after one sensation, %"),
    ("sensations", "sensations, mean"), ("rotation_error_deg", "rotation error of right answers,\ndegrees, median"),
)  # fmt: skip
Row = dict[str, Any]


def experiment_picture(rows: Sequence[Row], path: str | Path) -> Path:
    """Draw the rows of an experiment. Raises ValueError without any."""
    if not rows:
        raise ValueError("no rows to draw: run an episode first")
    shares = sorted({row["share"] for row in rows})
    figure = Figure(figsize=(1.6 + 3.6 * len(shares), 11), dpi=100, facecolor="white", layout="constrained")
    panels = figure.subplots(len(PARTS), len(shares), squeeze=False, sharey="row", sharex=True)
    for across, share in enumerate(shares):
        struck = [row for row in rows if row["share"] == share]
        panels[0, across].set_title(f"{100 * share:g} % {struck[0]['lesion']}" if share else "no lesion", color=INK)
        for axes, part in zip(panels[:, across], PARTS, strict=True):
            _draw(axes, struck, part[0])
            if across == 0:
                axes.set_ylabel(part[1], color=INK)
        panels[-1, across].set_xlabel("columns", color=INK)
    panels[0, 0].legend(frameon=False, fontsize=9)
    return save(figure, path)


def _draw(axes: Axes, rows: Sequence[Row], name: str) -> None:
    counts = sorted({row["columns"] for row in rows})
    topologies = list(dict.fromkeys(row["topology"] for row in rows))
    for k, topology in enumerate(topologies):
        found = [interval(rows_at(rows, count, topology), name) for count in counts]
        low, middle, high = np.array(found).T
        place = np.array(counts) * 2 ** (0.06 * (k - (len(topologies) - 1) / 2))
        ends = np.maximum(0.0, [middle - low, high - middle])  # rounding may put an end on the wrong side
        axes.errorbar(
            place, middle, ends, label=topology, color=PALETTE[k % len(PALETTE)], lw=1.8, marker="o", ms=4.5,
            capsize=2.5, elinewidth=1,
        )  # fmt: skip
    axes.set_xscale("log", base=2)
    axes.set_xticks(counts, [str(count) for count in counts])
    axes.minorticks_off()
    axes.grid(color="#ececec", lw=0.8)


def rows_at(rows: Sequence[Row], columns: int, topology: str) -> list[Row]:
    """The episodes of a number of columns and a topology."""
    return [row for row in rows if (row["columns"], row["topology"]) == (columns, topology)]


def interval(rows: Sequence[Row], name: str) -> tuple[float, float, float]:
    """Lower end, value and upper end of a figure of these episodes; NaN where there is none."""
    if name in ("correct", "right_after_one"):
        right = sum(bool(row[name]) for row in rows)
        low, high = wilson(right, len(rows))
        return 100 * low, 100 * right / max(1, len(rows)), 100 * high
    values = np.array([row[name] for row in rows if row["correct"] or name == "sensations"], float)
    if not len(values):
        return np.nan, np.nan, np.nan
    middle = np.mean if name == "sensations" else np.median
    drawn = values[np.random.default_rng(0).integers(len(values), size=(DRAWS, len(values)))]
    low, high = np.percentile(middle(drawn, axis=1), [2.5, 97.5])
    found = float(middle(values))
    return min(float(low), found), found, max(float(high), found)
