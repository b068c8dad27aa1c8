"""The rotation figures of result files computed again from their rows, without playing: after a change of symmetry.

    python benchmarks/rescore.py --objects $YCB benchmarks/results/recognition-ycb*.json
    python benchmarks/rescore.py benchmarks/results/recognition-default*.json

A row holds the true and the estimated pose; the objects' symmetry groups are those of agents/symmetry.json now. A file
is written again if its figures changed (--check: never). Printed: the figures of correct episodes, by seeds.
"""

import argparse
import json
import math
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
from recognition import SUITES, rounded, write
from rich.console import Console
from rich.table import Table

from cortical.agents.episode import EpisodeRecord
from cortical.agents.metrics import Symmetries, Symmetry, load_symmetry, rotation_error, summarise

TOLERANCES = {"": 1.0, "_half": 0.5, "_double": 2.0}
DIGITS = 0.01
"""Degrees: what the five digits of the poses in a file don't tell apart. An error that changed less stays."""


def source_of(command: str, objects: str | None) -> str:
    """The catalogue that a result's command names. Raises SystemExit for scans without their folder."""
    words = command.split()
    suite = words[words.index("--suite") + 1]
    if suite in SUITES and not objects:
        raise SystemExit(f"{suite} needs --objects DIR, the folder of the scans: groups are found by their mesh files")
    return f"{objects}#{SUITES[suite]}" if suite in SUITES else suite


def rescored(row: EpisodeRecord, tables: dict[str, Symmetries]) -> EpisodeRecord:
    """The same episode, its pose errors under the symmetries of `tables`, by the end of the field's name."""
    poses = np.array(row.estimated_rotation), np.array(row.rotation)
    groups = {tag: table[row.object] for tag, table in tables.items()} | {"_plain": Symmetry()}
    errors = {f"rotation_error{tag}_deg": math.degrees(rotation_error(*poses, group)) for tag, group in groups.items()}
    return replace(row, **{key: new for key, new in errors.items() if abs(new - getattr(row, key)) > DIGITS})


def rescore(result: dict, source: str) -> dict:
    """A result file with rows and summary under the symmetries of the objects of `source`."""
    tables = {tag: load_symmetry(source, tolerance) for tag, tolerance in TOLERANCES.items()}
    records = [rescored(EpisodeRecord(**row), tables) for row in result["rows"]]
    kept = [
        row | rounded({key: getattr(record, key) for key in row if key.startswith("rotation_error")})
        for row, record in zip(result["rows"], records, strict=True)
    ]
    figures = {key: value for key, value in summarise(records).items() if "rotation_error" in key or "10deg" in key}
    return result | {"summary": result["summary"] | figures, "rows": kept}


def by_seeds(result: dict) -> Iterator[tuple[str, dict]]:
    """(which seeds, summary): each, and all together."""
    records = [EpisodeRecord(**row) for row in result["rows"]]
    for seed in sorted({record.seed for record in records}):
        yield str(seed), summarise([record for record in records if record.seed == seed])
    yield "all", result["summary"]


def show(figures: list[tuple[str, str, dict]]) -> None:
    head = ("median", "within 10", "half", "double", "no symmetry", "ADD-S mm")
    table = Table("file", "seeds", *head)
    for name, seeds, s in figures:
        cells = [f"{s['rotation_error_median_deg']:.2f}", f"{s['within_10deg']:.3f}"]
        for tag in ("half", "double", "plain"):
            cells.append(f"{s[f'rotation_error_{tag}_median_deg']:.2f}, {s[f'within_10deg_{tag}']:.3f}")
        table.add_row(name, seeds, *cells, f"{s['add_s_median_mm']:.2f}")
    Console().print(table)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", type=Path, nargs="+")
    parser.add_argument("--objects", help="folder of meshes in the YCB layout, for the ycb suites")
    parser.add_argument("--check", action="store_true", help="show the figures, write nothing")
    options = parser.parse_args()
    figures = []
    for path in options.files:
        old = json.loads(path.read_text())
        new = rescore(old, source_of(old["command"], options.objects))
        if new != old and not options.check:
            write(path, new)
        figures += [(path.stem.removeprefix("recognition-"), *row) for row in by_seeds(new)]
    show(figures)


if __name__ == "__main__":
    main()
