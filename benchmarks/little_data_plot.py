"""The picture of `little_data`: accuracy against the number of views, of the columns, the networks and the peer; and
what a change of the light costs."""

from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from cortical.agents.panels import FAINT, PALETTE
from cortical.agents.pictures import save
from cortical.agents.plots import PAPER, TWO

PEER = {1: 0.50, 8: 0.90}  # read off a talk on arXiv 2507.04494: no noise, best hypothesis counts
BARS = {1: 0.60, 8: 0.95}


def draw(found: dict[str, Any], file: Path) -> None:
    """Write the picture of a summary."""
    with mpl.rc_context(PAPER):
        figure = Figure(figsize=(TWO, 2.9))
        left, right = figure.subplots(1, 2, width_ratios=(2.2, 1))
        accuracy(left, {int(k): v for k, v in found["views"].items() if k.isdigit()})
        light(right, found)
        save(figure, file)


def accuracy(axes: Axes, views: dict[int, Any]) -> None:
    """Shares against views, with 95 % intervals."""
    lines = (
        ("columns, best guess at the end", lambda row: row["best"], PALETTE[0], "-"),
        ("columns, by their own decision", lambda row: row["decided"], PALETTE[0], (0, (1, 1))),
        ("network, whole pictures", lambda row: row["networks"]["picture"]["end"], PALETTE[1], "-"),
        ("network, the columns' patches", lambda row: row["networks"]["patch"]["end"], PALETTE[1], (0, (5, 1.5))),
    )
    for label, part, colour, dashes in lines:
        counts = sorted(views)
        shares = [part(views[k])["share"] for k in counts]
        axes.plot(counts, shares, color=colour, linestyle=dashes, marker="o", markersize=3, label=label)
        low, high = zip(*(part(views[k])["interval"] for k in counts), strict=True)
        axes.fill_between(counts, low, high, color=colour, alpha=0.1, linewidth=0)
    axes.plot(
        list(PEER), list(PEER.values()), "D", color=PALETTE[3], markersize=4, label="the peer's paper, about; no noise"
    )
    axes.plot(list(BARS), list(BARS.values()), "_", color=FAINT, markersize=14, label="bars")
    axes.set_xscale("log", base=2)
    axes.set_xticks(sorted(views), [str(k) for k in sorted(views)])
    axes.set(xlabel="views learnt from", ylabel="right, new poses, noise", ylim=(0, 1.02))
    axes.legend(loc="lower right")


def light(axes: Axes, found: dict[str, Any]) -> None:
    """Points lost in another light."""
    losses = found["light_loss"]
    for place, loss in enumerate(losses.values()):
        for shift, (key, colour) in zip((-0.15, 0.15), (("best", PALETTE[0]), ("decided", FAINT)), strict=True):
            points, (low, high) = loss[key]["points"], loss[key]["interval"]
            error = [[max(0.0, points - low)], [max(0.0, high - points)]]
            label = {"best": "best guess", "decided": "own decision"}[key] if place == 0 else None
            axes.errorbar(place + shift, points, error, fmt="o", color=colour, markersize=3.5, label=label)
    axes.axhline(3.0, color=FAINT, linewidth=0.8, linestyle="--")
    axes.axhline(0.0, color=FAINT, linewidth=0.6)
    axes.set_xticks(range(len(losses)), list(losses))
    axes.set(ylabel="points lost, 14 views", xlim=(-0.6, len(losses) - 0.4))
    axes.legend(loc="upper left")
