"""The picture of benchmarks/voting_events.py, from its result file."""

import json
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from cortical.agents.pictures import save

Setting = dict[str, Any]


def picture(result: Path) -> Path:
    """Correctness, sensations and bytes against eps, and the disturbed links: drawn beside the result file."""
    found = json.loads(result.read_text())["summary"]
    clear = [s for s in found["settings"] if not name_of(s)]
    disturbed = [s for s in found["settings"] if name_of(s)]
    figure = Figure(figsize=(12, 8), layout="constrained")
    axes = figure.subplots(2, 2).ravel()
    for columns in sorted({s["columns"] for s in clear}):
        mine = sorted((s for s in clear if s["columns"] == columns), key=lambda s: s["eps"])
        some = f"{columns} columns"
        x = [s["bytes_per_recognised"] / 1000 for s in mine]
        (line,) = axes[0].plot(x, [100 * s["right"] for s in mine], "o-", label=some)
        first = mine[0]
        everything = first["synchronous_bytes_per_recognised"] / 1000
        axes[0].plot([everything], [100 * first["right"]], "*", ms=13, color=line.get_color())
        axes[1].plot(x, [s["sensations"] for s in mine], "o-", label=some)
        axes[1].plot([everything], [first["sensations"]], "*", ms=13, color=line.get_color())
        axes[2].plot([s["eps"] for s in mine], [s["bytes_ratio"] for s in mine], "o-", label=some)
    for axis, label in ((axes[0], "recognised rightly (%)"), (axes[1], "sensations")):
        axis.set(xscale="log", xlabel="kB sent per recognised object (star: synchronous)", ylabel=label)
    axes[0].set_ylim(min(95.0, axes[0].get_ylim()[0]), 100.5)
    axes[0].set_title("what fewer bytes cost: correctness")
    axes[1].set_title("what fewer bytes cost: sensations")
    axes[2].set(yscale="log", xlabel="eps (nats)", ylabel="times fewer bytes", title="what eps saves")
    axes[2].axhline(10, color="grey", lw=0.8, ls=":")
    axes[2].axvline(found["eps"], color="grey", lw=0.8, ls=":")
    _disturbed(axes[3], disturbed, clear, found["eps"])
    for axis in axes[:3]:
        axis.legend(frameon=False)
    for axis in axes:
        axis.spines[["top", "right"]].set_visible(False)
    return save(figure, result.with_suffix(".png"))


def name_of(setting: Setting) -> str:
    """What a setting's links lack, in words."""
    parts = {
        "16-bit numbers": setting["short"], f"{100 * setting['loss']:.0f} % lost": setting["loss"],
        f"0-{setting['delay']} sensations late": setting["delay"],
        f"every 1st-{setting['slowest']}th sensation": setting["slowest"] > 1,
    }  # fmt: skip
    return ", ".join(name for name, is_so in parts.items() if is_so)


def _disturbed(axis: Axes, some: list[Setting], clear: list[Setting], eps: float) -> None:
    counts = {s["columns"] for s in some}
    whole = [s for s in clear if s["columns"] in counts and s["eps"] == eps]
    shown = [*reversed(some), *whole]
    labels = [f"{name_of(s) or 'nothing of it'}, {s['columns']} columns" for s in shown]
    axis.barh(range(len(shown)), [s["sensations"] for s in shown], color="C7")
    for i, s in enumerate(shown):
        axis.text(s["sensations"], i, f" {100 * s['right']:.1f} % right", va="center", fontsize=8)
    axis.set_yticks(range(len(shown)), labels, fontsize=8)
    axis.set(xlabel="sensations", title=f"links that fail, are slow or coarse (eps = {eps:g})")
    axis.margins(x=0.25)
