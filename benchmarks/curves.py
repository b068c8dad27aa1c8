"""Panels of curves side by side, one colour a name, beside a result file."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from cortical.agents.panels import FAINT, PALETTE, titled
from cortical.agents.pictures import save


@dataclass(frozen=True)
class Panel:
    """Curves of one pair of axes.

    lines : name -> (x, y) or (x, y, deviation of y), drawn as a band
    logarithmic : "x", "y", "xy" or ""; ticks : of x, instead of those found
    """

    title: str
    x: str
    y: str
    lines: Mapping[str, Sequence[Sequence[float]]]
    logarithmic: str = ""
    ticks: Sequence[float] = field(default=())


def draw(panels: Sequence[Panel], path: Path) -> Path:
    """Writes the picture. Returns its path."""
    figure = Figure(figsize=(6.2 * len(panels), 4.4), dpi=110, layout="constrained", facecolor="white")
    for axis, panel in zip(figure.subplots(1, len(panels), squeeze=False)[0], panels, strict=True):
        _panel(axis, panel)
    return save(figure, path)


def _panel(axis: Axes, panel: Panel) -> None:
    for number, (name, (x, y, *deviation)) in enumerate(panel.lines.items()):
        colour = PALETTE[number % len(PALETTE)]
        axis.plot(x, y, "o-", color=colour, markersize=3.5, linewidth=1.6, label=name)
        if deviation:
            low, high = ([a + sign * b for a, b in zip(y, deviation[0], strict=True)] for sign in (-1, 1))
            axis.fill_between(x, low, high, color=colour, alpha=0.15, linewidth=0)
    for side in panel.logarithmic:
        axis.set(**{f"{side}scale": "log"})
    if panel.ticks:
        axis.set_xticks(panel.ticks, [f"{tick:g}" for tick in panel.ticks])
        axis.minorticks_off()
    axis.set(xlabel=panel.x, ylabel=panel.y)
    axis.grid(color=FAINT, alpha=0.25, linewidth=0.6)
    axis.legend(frameon=False, fontsize=9)
    titled(axis, panel.title)
