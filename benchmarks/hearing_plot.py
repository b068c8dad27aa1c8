"""The picture of benchmarks/hearing.py, from its result file."""

import json
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from cortical.agents.pictures import save

Setting = dict[str, Any]


def picture(result: Path) -> Path:
    """Words by sensations, by recordings taught and by noise, and the swap: drawn beside the result file."""
    found = json.loads(result.read_text())["summary"]
    figure = Figure(figsize=(11, 7.5), layout="constrained")
    axes = figure.subplots(2, 2).ravel()
    settings = found.get("settings", [])
    if settings:
        _curves(axes[0], settings)
        _taught(axes[1], settings)
        _noise(axes[2], settings)
    if "swap" in found:
        _senses(axes[3], found["swap"], settings)
    for axis in axes:
        axis.set_ylim(0, 1.02)
        axis.set_ylabel("named rightly")
        axis.spines[["top", "right"]].set_visible(False)
    return save(figure, result.with_suffix(".png"))


def _only(settings: list[Setting], **wanted: Any) -> list[Setting]:
    usual = {"split": "take", "noise": None} | wanted
    return [s for s in settings if all(s[key] == value for key, value in usual.items())]


def _curves(axis: Axes, settings: list[Setting]) -> None:
    for s in sorted(_only(settings, taught=30), key=lambda s: s["columns"]):
        label = f"{s['columns']} column{'s' * (s['columns'] > 1)}"
        axis.plot(range(1, len(s["right_after"]) + 1), s["right_after"], label=label)
    axis.set(xlabel="sensations", title="columns of an ear, each of its own bands, vote (30 recordings a word)")
    axis.legend(frameon=False)


def _taught(axis: Axes, settings: list[Setting]) -> None:
    for columns in (1, 4):
        mine = sorted(_only(settings, columns=columns), key=lambda s: s["taught"])
        label = f"{columns} column{'s' * (columns > 1)}"
        axis.plot([s["taught"] for s in mine], [s["right"] for s in mine], "o-", label=label)
    mine = sorted(_only(settings, columns=4), key=lambda s: s["taught"])
    for name, label in (("warping", "nearest by warping"), ("euclid", "nearest by Euclid")):
        axis.plot([s["taught"] for s in mine], [s[name] for s in mine], "--", label=f"{label}, whole recording")
    axis.set(xscale="log", xlabel="recordings taught a word", title="few and many recordings")
    taught = [s["taught"] for s in mine]
    axis.set_xticks(taught, [str(count) for count in taught])
    axis.minorticks_off()
    axis.legend(frameon=False)


def _noise(axis: Axes, settings: list[Setting]) -> None:
    rows = [("no noise", *_only(settings, taught=30, columns=4))]
    rows += [(f"{db} dB", *_only(settings, taught=30, columns=4, noise=db)) for db in (20, 10)]
    rows += [("new speaker", *_only(settings, split="speaker"))]
    rows = [row for row in rows if len(row) == 2]
    for k, (name, label) in enumerate((("right", "4 columns"), ("warping", "warping"), ("euclid", "Euclid"))):
        axis.bar([i + 0.27 * (k - 1) for i in range(len(rows))], [row[1][name] for row in rows], 0.25, label=label)
    axis.set_xticks(range(len(rows)), [str(row[0]) for row in rows])
    axis.set(title="white noise, and a speaker never heard (30 recordings a word)")
    axis.legend(frameon=False, ncols=3)


def _senses(axis: Axes, swap: dict[str, Setting], settings: list[Setting]) -> None:
    rows = list(swap.items())
    rows += [("sound, 4 columns", s) for s in sorted(_only(settings, columns=4), key=lambda s: s["taught"])[-1:]]
    for i, (_, s) in enumerate(rows):
        low, high = s["right_interval"]
        axis.bar(i, s["right"], color="C0" if i < len(rows) - 1 or not settings else "C1")
        axis.plot([i, i], [low, high], color="black")
    axis.set_xticks(range(len(rows)), [name.replace(", ", ",\n") for name, _ in rows], fontsize=8)
    axis.set(title="one circuit, any sense")
