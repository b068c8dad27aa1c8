"""What the result files of recognition look like: benchmarks/results/recognition.png.

    python benchmarks/recognition_plots.py [--results benchmarks/results] [--output FILE]

Four panels: how often the best guess is right after so many sensations, whatever was decided; how far off the poses of
right answers are; how often decisions came true, against the odds that were stated, over all files; and which objects
were taken for which. Plays nothing: every point comes from the rows that benchmarks/recognition.py has written.
"""

import argparse
import json
import math
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from cortical.agents.metrics import wilson
from cortical.agents.panels import INK, PALETTE, titled
from cortical.agents.pictures import save

RESULTS = Path(__file__).parent / "results"
LINES = {
    "default": "default-noise-1",
    "10 distinct scans": "ycb10-noise-1",
    "10 similar scans": "ycb10similar-noise-1",
    "77 scans": "ycb77-noise-1",
    "77 scans, no noise": "ycb77-clean-1",
    "77 scans, five columns": "ycb77-noise-5",
}
PAIRS = 12  # of objects taken for each other
Result = dict[str, Any]


def result(folder: Path, name: str) -> Result | None:
    """What a result file holds; None if it isn't there."""
    file = folder / f"recognition-{name}-information_gain-surface-rays.json"
    return json.loads(file.read_text()) if file.is_file() else None


def came_true(results: Iterable[Result]) -> dict[tuple[float, float], tuple[int, int]]:
    """Of all decisions, by the odds stated (from, below): how many were right, and of how many."""
    found: dict[tuple[float, float], tuple[int, int]] = {}
    for each in (row for one in results for row in one["summary"]["calibration"]):
        odds = each["from"], each["to"] or math.inf
        right, count = found.get(odds, (0, 0))
        found[odds] = right + round(each["right"] * each["decisions"]), count + each["decisions"]
    return dict(sorted(found.items()))


def draw_guesses(axes: Axes, lines: dict[str, Result]) -> None:
    """Accuracy of the best guess against sensations."""
    for colour, (label, found) in zip(PALETTE, lines.items(), strict=False):
        curve = 100 * np.array(found["summary"]["accuracy_curve"])
        axes.plot(np.arange(1, len(curve) + 1), curve, color=colour, lw=2, label=label)
    axes.set(xlabel="sensations", ylabel="best guess right, %", xscale="log", ylim=(0, 102))
    axes.set_xticks([1, 2, 3, 5, 10, 20, 50], ["1", "2", "3", "5", "10", "20", "50"])
    axes.minorticks_off()
    axes.legend(frameon=False, fontsize=9, loc="lower right")


def draw_poses(axes: Axes, lines: dict[str, Result]) -> None:
    """Share of the right answers whose pose is at most so far off."""
    for colour, (label, found) in zip(PALETTE, lines.items(), strict=False):
        errors = np.sort([row["rotation_error_deg"] for row in found["rows"] if row["answer"] == row["object"]])
        axes.plot(errors, 100 * np.arange(1, len(errors) + 1) / len(errors), color=colour, lw=2, label=label)
    axes.axvline(10, color=INK, lw=0.8, ls=":")
    axes.set(xlabel="rotation error at most, degrees", ylabel="of right answers, %", xscale="log", xlim=(0.5, 180))
    axes.set_xticks([1, 2, 5, 10, 30, 90, 180], ["1", "2", "5", "10", "30", "90", "180"])
    axes.set_ylim(0, 102)
    axes.minorticks_off()


def draw_calibration(axes: Axes, lines: dict[str, Result]) -> None:
    """Share of wrong decisions, with Wilson intervals, by the odds stated, and at most how many those odds allow."""
    groups = came_true(lines.values())
    for at, ((odds, _), (right, count)) in enumerate(groups.items()):
        low, high = wilson(count - right, count)
        axes.plot([at, at], [100 * low, 100 * high], color=PALETTE[0], lw=2)
        axes.plot(at, 100 * (1 - right / count), "o", color=PALETTE[0], ms=7, label="wrong" if at == 0 else None)
        axes.plot(at, 100 / (1 + odds), "_", color=INK, ms=24, label="allowed" if at == 0 else None)
    labels = [f"{low:,.0f}\n({count:,})" for (low, _), (_, count) in groups.items()]
    axes.set_xticks(np.arange(len(groups)), labels)
    axes.set(xlabel="odds stated, to one, from (decisions)", ylabel="wrong, %", ylim=(0, None))
    axes.set_xlim(-0.5, len(groups) - 0.5)
    axes.legend(frameon=False, fontsize=9)


def draw_confusions(axes: Axes, lines: dict[str, Result]) -> None:
    """The pairs taken for each other most often."""
    rows = [row for found in lines.values() for row in found["rows"]]
    wrong = [row for row in rows if row["answer"] not in (None, row["object"])]
    pairs = Counter((row["object"], row["answer"]) for row in wrong).most_common(PAIRS)
    labels = [f"{true} as {named}".replace("_", " ") for (true, named), _ in pairs]
    axes.barh(np.arange(len(pairs)), [times for _, times in pairs], color=PALETTE[1])
    axes.set_yticks(np.arange(len(pairs)), labels, fontsize=8)
    axes.invert_yaxis()
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set(xlabel=f"times, of {len(rows):,} episodes")


def picture(folder: Path, output: Path) -> Path:
    """All four panels. Raises ValueError where no result file is found."""
    lines = {label: found for label, name in LINES.items() if (found := result(folder, name))}
    if not lines:
        raise ValueError(f"no recognition-*.json in {folder}: run benchmarks/recognition.py first")
    figure = Figure(figsize=(15, 10), dpi=100, facecolor="white", layout="constrained")
    guesses, poses, calibration, confusions = figure.subplots(2, 2).flat
    draw_guesses(guesses, lines)
    draw_poses(poses, lines)
    draw_calibration(calibration, lines)
    draw_confusions(confusions, lines)
    titles = "What it is, guess by guess", "How it lies", "Do the odds come true?", "What was taken for what"
    for axes, title in zip((guesses, poses, calibration, confusions), titles, strict=True):
        titled(axes, title)
    return save(figure, output)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--results", type=Path, default=RESULTS, help="folder of result files")
    parser.add_argument("--output", type=Path, help="picture (.png, .svg, .pdf); recognition.png beside them")
    args = parser.parse_args(arguments)
    print(picture(args.results, args.output or args.results / "recognition.png"))


if __name__ == "__main__":
    main()
