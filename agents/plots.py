"""Plots of a run for papers: vector graphics at the width of a column of text, text as text, colours for every eye.

    accuracy    share of episodes whose best guess is right after 1, 2, ... sensations, with n and 95 % intervals
    belief      odds of the objects over one episode, and of the true object over all
    raster      column x step: entropy and best object of every column, before the votes and after
    confusion   what was named as what

Shares have Wilson intervals; odds have their median and middle half. Colours: Okabe and Ito (2008), cividis, blues.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.figure import Figure

from .episode import EpisodeRecord
from .metrics import NOTHING, UNKNOWN, accuracy_curve, wilson
from .panels import FAINT, INK, PALETTE
from .pictures import save
from .plots_episode import belief_figure, raster_figure, ticks
from .records import RunError, episodes_in, experiment_of
from .shown import choose

Kind = Literal["all", "accuracy", "belief", "raster", "confusion"]
Format = Literal["svg", "pdf", "png"]
KINDS: tuple[Kind, ...] = ("accuracy", "belief", "raster", "confusion")
RunRows = Mapping[str, Sequence[EpisodeRecord]]
"""Episodes by label."""

ONE, TWO = 3.5, 7.2
"""Inches: the width of one column of text, and of two."""
LONGEST = 50
"""Sensations over which accuracy is drawn, at most."""
UNDECIDED = "undecided"
DASHES = ("-", (0, (5, 1.5)), (0, (1, 1)), (0, (4, 1, 1, 1)), (0, (8, 2)), (0, (2, 2)))
PAPER: dict[Any, Any] = {
    "svg.fonttype": "none", "svg.hashsalt": "cortical", "pdf.fonttype": 42, "font.size": 8, "axes.titlesize": 8,
    "axes.labelsize": 8, "xtick.labelsize": 7, "ytick.labelsize": 7, "legend.fontsize": 7, "legend.title_fontsize": 7,
    "legend.frameon": False, "axes.linewidth": 0.6, "xtick.major.width": 0.6, "ytick.major.width": 0.6,
    "axes.edgecolor": FAINT, "axes.labelcolor": INK, "text.color": INK, "xtick.color": INK, "ytick.color": INK,
    "axes.spines.top": False, "axes.spines.right": False, "lines.linewidth": 1.3, "axes.titlelocation": "left",
    "figure.dpi": 300, "figure.constrained_layout.use": True,
}  # fmt: skip


def plot_run(
    run: str | Path,
    out: str | Path | None = None,
    kind: Kind = "all",
    format: Format = "svg",
    episode: int | None = None,
    object: str | None = None,
) -> list[Path]:
    """Write plots of a run folder, whatever command made it; returns the files.

    out : folder (default: `plots` in the run folder)
    episode, object : which episode belief and raster show: its number, counted from 1, or its object (default: the
        one that tells best, of those with the most columns)

    Raises RunError for what is no run folder, or holds no such episodes.
    """
    experiment = experiment_of(Path(run))
    rows = {label: list(done.values()) for label, done in episodes_in(Path(run)).items()}
    if not rows:
        raise RunError(f"{run} holds no episode: make some with cortical recognise --maps {run} --out runs/recognise")
    folder = Path(run) / "plots" if out is None else Path(out)
    with paper():
        return [
            save(figure, folder / f"{name}.{format}")
            for name in (KINDS if kind == "all" else (kind,))
            for figure in [_figure(name, rows, Path(run), episode, object, experiment.decision.odds)]
        ]


@contextmanager
def paper() -> Iterator[None]:
    """Matplotlib's settings for figures of a paper, while it lasts."""
    with mpl.rc_context(PAPER):
        yield


def _figure(kind: Kind, rows: RunRows, run: Path, number: int | None, name: str | None, odds: float) -> Figure:
    if kind == "accuracy":
        return accuracy_figure(rows)
    if kind == "confusion":
        return confusion_figure(rows)
    label, record = choose(run, number, name)
    return belief_figure(record, label, rows, styles(rows), odds) if kind == "belief" else raster_figure(record, label)


def accuracy_figure(rows_by_label: RunRows) -> Figure:
    """Share of right best guesses over sensations, a curve a label; an episode that has ended keeps its last guess."""
    figure = Figure(figsize=(ONE, 2.5))
    axes = figure.add_subplot()
    longest = max(record.sensations for rows in rows_by_label.values() for record in rows)
    steps = np.arange(1, max(2, min(LONGEST, longest)) + 1)
    for (label, rows), style in zip(rows_by_label.items(), styles(rows_by_label), strict=True):
        share = np.array(accuracy_curve(rows, len(steps)))
        low, high = np.array([wilson(round(s * len(rows)), len(rows)) for s in share]).T
        axes.fill_between(steps, 100 * low, 100 * high, color=style["color"], alpha=0.15, lw=0)
        axes.plot(steps, 100 * share, label=f"{label} (n = {len(rows)})", **style)
    axes.set(xlabel="sensations", ylabel="best guess right (%)", xlim=(1, len(steps)), ylim=(0, 101))
    axes.set_xticks(ticks(len(steps)))
    axes.legend(loc="lower right", title="bands: 95 % (Wilson)", alignment="left")
    _grid(axes)
    return figure


def styles(labels: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Colour and dashes of each label's curve."""
    return [{"color": PALETTE[i % len(PALETTE)], "ls": DASHES[i % len(DASHES)]} for i in range(len(labels))]


def confusion_figure(rows_by_label: RunRows) -> Figure:
    """True objects by what was answered, a matrix a label: shares of a row in colour, episodes as numbers."""
    across = min(2, len(rows_by_label))
    down = -(-len(rows_by_label) // across)
    named, answers = _names(rows_by_label)
    width = TWO if across > 1 or len(answers) > 12 else ONE
    words = max(map(len, answers)) * 0.6 * _small(answers) / 72  # inches that the longest name takes
    cell = min(0.32, ((width - 0.55) / across - words - 0.3) / len(answers))
    figure = Figure(figsize=(width, down * (cell * len(named) + words + 0.5)))
    panels = figure.subplots(down, across, squeeze=False).ravel()
    for axes, (label, rows) in zip(panels, rows_by_label.items(), strict=False):
        _draw_confusion(axes, rows, named, answers)
        right = sum(row.correct for row in rows)
        low, high = wilson(right, len(rows))
        interval = f"95 %: {100 * low:.0f}-{100 * high:.0f}"
        axes.set_title(f"{label}: {100 * right / len(rows):.0f} % right ({interval}, n = {len(rows)})")
    for axes in panels[len(rows_by_label) :]:
        axes.remove()
    bar = figure.colorbar(
        ScalarMappable(cmap="Blues"), ax=panels[: len(rows_by_label)].tolist(), shrink=0.6, aspect=25, pad=0.01
    )
    bar.set_label("share of the object's episodes")
    return figure


def _names(rows_by_label: RunRows) -> tuple[list[str], list[str]]:
    """The true objects in their order, and those with all other answers: objects, unknown, nothing here, undecided."""
    rows = [row for some in rows_by_label.values() for row in some]
    named = list(dict.fromkeys(row.object for row in rows))
    given = {row.answer or UNDECIDED for row in rows}
    last = [answer for answer in (UNKNOWN, NOTHING, UNDECIDED) if answer in given]
    return named, [*named, *sorted(given - {*named, *last}), *last]


def _draw_confusion(axes: Axes, rows: Sequence[EpisodeRecord], named: list[str], answers: list[str]) -> None:
    counts = np.zeros((len(named), len(answers)), int)
    for row in rows:
        counts[named.index(row.object), answers.index(row.answer or UNDECIDED)] += 1
    share = counts / np.maximum(1, counts.sum(1, keepdims=True))
    axes.pcolormesh(share, cmap="Blues", vmin=0, vmax=1, edgecolors="#eeeeee", linewidth=0.3)
    small = _small(answers)
    for i, k in zip(*np.nonzero(counts), strict=True):
        ink = "white" if share[i, k] > 0.6 else INK
        axes.text(k + 0.5, i + 0.5, str(counts[i, k]), color=ink, fontsize=small, ha="center", va="center")
    axes.set_xticks(np.arange(len(answers)) + 0.5, answers, rotation=90, fontsize=small)
    axes.set_yticks(np.arange(len(named)) + 0.5, named, fontsize=small)
    axes.tick_params(length=0)
    axes.set(xlabel="answer", ylabel="object", aspect="equal")
    axes.invert_yaxis()
    axes.spines[:].set_visible(False)


def _small(answers: Sequence[str]) -> float:
    """Points of the names of a matrix."""
    return 7 if len(answers) <= 12 else 5


def _grid(axes: Axes) -> None:
    axes.grid(color="#ececec", lw=0.5)
    axes.set_axisbelow(True)
