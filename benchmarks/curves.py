"""Panels of curves side by side, one colour a name, beside a result file."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FormatStrFormatter, LogLocator, NullLocator

from cortical.agents.panels import FAINT, PALETTE, titled
from cortical.agents.pictures import save


@dataclass(frozen=True)
class Panel:
    """Curves of one pair of axes.

    lines : name -> (x, y); logarithmic : "x", "y", "xy" or ""
    """

    title: str
    x: str
    y: str
    lines: Mapping[str, Sequence[Sequence[float]]]
    logarithmic: str = ""


def draw(panels: Sequence[Panel], path: Path) -> Path:
    """Writes the picture. Returns its path."""
    figure = Figure(figsize=(6.2 * len(panels), 4.4), dpi=110, layout="constrained", facecolor="white")
    for axis, panel in zip(figure.subplots(1, len(panels), squeeze=False)[0], panels, strict=True):
        _panel(axis, panel)
    return save(figure, path)


def _panel(axis: Axes, panel: Panel) -> None:
    for number, (name, (x, y)) in enumerate(panel.lines.items()):
        axis.plot(x, y, "o-", color=PALETTE[number % len(PALETTE)], markersize=3.5, linewidth=1.6, label=name)
    for side in panel.logarithmic:
        axis.set(**{f"{side}scale": "log"})
    if "y" in panel.logarithmic:
        axis.yaxis.set_major_locator(LogLocator(subs=(1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 7.0)))
        axis.yaxis.set_major_formatter(FormatStrFormatter("%g"))
        axis.yaxis.set_minor_locator(NullLocator())
    axis.set(xlabel=panel.x, ylabel=panel.y)
    axis.grid(color=FAINT, alpha=0.25, linewidth=0.6)
    axis.legend(frameon=False, fontsize=9)
    titled(axis, panel.title)
