"""The picture of benchmarks/sparse_wikitext.py, from its result file."""

import json
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from cortical.agents.pictures import save

DASHES = {"dense": "-", "dense-winners": "-", "small": ":"}
"""Dense models by these lines, sparse ones dashed."""


def picture(result: Path) -> Path:
    """Validation perplexity against steps, and test perplexity against that of the dense model."""
    found = json.loads(result.read_text())
    figure = Figure(figsize=(11, 4.6), layout="constrained")
    curves, bars = figure.subplots(1, 2, width_ratios=(3, 2))
    _curves(curves, found["methods"])
    _against(bars, found["methods"], 100.0 * found["bars"]["perplexity_above_dense"])
    for axis in (curves, bars):
        axis.spines[["top", "right"]].set_visible(False)
    return save(figure, result.with_suffix(".png"))


def _curves(axis: Axes, methods: dict[str, Any]) -> None:
    for name, row in methods.items():
        steps = [point["step"] for point in row["curve"]]
        axis.plot(steps, [point["validation"] for point in row["curve"]], DASHES.get(name, "--"), label=name)
    last = [row["curve"][-1]["validation"] for row in methods.values()]
    axis.set_yscale("log")
    axis.set_ylim(0.97 * min(last), 1.8 * max(last))
    ticks = np.unique(np.round(np.geomspace(min(last), 1.7 * max(last), 7)))
    axis.set_yticks(ticks, [f"{tick:.0f}" for tick in ticks])
    axis.minorticks_off()
    axis.set(xlabel="steps", ylabel="validation perplexity", title="while learning, seed 0")
    axis.legend(frameon=False, ncols=2)


def _against(axis: Axes, methods: dict[str, Any], bar: float) -> None:
    names = [name for name in methods if name != "dense"]
    above = [methods[name]["above_dense"] for name in names]
    middle = np.array([100.0 * a["ratio"] for a in above])
    ends = np.array([[100.0 * a["low"], 100.0 * a["high"]] for a in above]).T
    axis.barh(names, middle, xerr=np.abs(ends - middle), color="0.7", error_kw={"elinewidth": 1.0})
    axis.axvline(0.0, color="black", linewidth=0.8)
    axis.axvline(bar, color="tab:red", linestyle=":", label=f"bar: {bar:.0f} %")
    axis.invert_yaxis()
    axis.set(xlabel="test perplexity above the dense model, %", title="95 % over windows of the test text")
    axis.legend(frameon=False)
