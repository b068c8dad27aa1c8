"""How many more sensations the columns need than an ideal observer of the very same ones.

    python benchmarks/ideal_observer.py --objects $YCB

60 fixed episodes, half of the ten distinct and half of the ten similar scans, one column, in the noise of the README's
rules, moved by random saccades, which ask nobody what he believes. What was sensed is replayed to an observer with the
same maps and the same likelihood that gives up no pose (ideal.py; held against exact enumeration in its test). Both
decide at the same odds, by the same rule from evidence to odds. Efficiency is the ratio of the median sensations,
undecided ones counted as the last.

The columns count only a share of the evidence ("trust": errors of maps are not independent). "same": the observer
counts the same share, so that what is left is what the search loses. "full": it believes its likelihood; whether it
should, its wrong names tell. Sensations are replayed up to --beyond after the columns' own decision.

Nothing is thinned: every node of every object in every turn, laid on two readings. What is not worked out, see
ideal.py; --check replays a few episodes with much less spared, and the result says how far the odds then differ.

Maps are kept in --maps, and an object's episodes until the run is done: given the same command at the same commit, a
run that was cut off goes on. The result file holds the per-episode rows; the last line printed is one JSON object.
"""

import argparse
import json
import math
import time
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import recognition
import torch
from ideal import EVERYWHERE, Observer, Thrift
from replaying import Job, Recorded, Row, learnt, played, published, settings

from cortical.agents.agent import Agent
from cortical.agents.metrics import UNKNOWN
from cortical.columns.evidence.column import EvidenceColumn

PARTS = ("ycb10", "ycb10similar")
SHARES = ("same", "full")
LAVISH = Thrift(in_range=25.0, behind=90.0, anchors=3)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--objects", help="folder of meshes in the YCB layout; without it: the default objects")
    parser.add_argument("--parts", nargs="+", choices=(*PARTS, "default"), help="which to run (both sets of scans)")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2], help="published: 0 1 2; tune on 100 and up")
    parser.add_argument("--rotations", type=int, default=1, help="poses per object and seed")
    parser.add_argument("--few", type=int, help="a try: only so many objects of each part")
    parser.add_argument("--at-most", type=int, default=60, help="sensations an episode, after which it counts as that")
    parser.add_argument("--beyond", type=int, default=15, help="sensations replayed after the columns' decision")
    parser.add_argument("--check", action="store_true", help="replay one pose an object more lavishly instead")
    parser.add_argument("--maps", type=Path, default=Path("runs/maps"), help="where learnt maps are kept")
    parser.add_argument("--output", type=Path, help="result file (benchmarks/results/...; of a try: runs/)")
    parser.add_argument("--workers", type=int, default=2)
    args = parser.parse_args()
    args.parts = args.parts or (list(PARTS) if args.objects else ["default"])
    tried = args.few or args.parts != list(PARTS) or args.check
    args.output = args.output or (args.maps.parent if tried else recognition.RESULTS) / "ideal_observer.json"
    return args


def episodes(job: Job) -> list[Row]:
    """All episodes of one object in one part."""
    part, args, name = job
    agent, rows = recognition.agent_of(args), []
    poses = [(args.seeds[0], 0)] if args.check else product(args.seeds, range(args.rotations))
    for seed, rotation in poses:
        found = played(agent, name, seed, rotation, args.beyond, args.at_most)
        rows.append({"part": part} | row_of(agent, found, Thrift()))
        if args.check:
            rows[-1]["lavish"] = row_of(agent, found, LAVISH)["ideal"]
    return rows


def row_of(agent: Agent, found: Recorded, thrift: Thrift) -> Row:
    """What is kept of an episode."""
    ours = {"sensations": found.decided, "answer": found.answer}
    return {
        "object": found.object, "seed": found.seed, "rotation_index": found.rotation_index,
        "replayed": len(found.sensations), "ours": ours, "ideal": replayed(agent, found, thrift),
    }  # fmt: skip


def replayed(agent: Agent, found: Recorded, thrift: Thrift) -> Row:
    """When the observer decides, counting each share of the evidence, and its log odds along the way."""
    region, names = agent.region, (*agent.region.objects, UNKNOWN)
    regions = {"same": region, "full": replace(region, trust=1.0)}
    column, started = region.kinds[0], time.process_time()
    assert isinstance(column, EvidenceColumn)
    observer = Observer.of(column, EVERYWHERE, thrift)
    row: Row = {share: {"sensations": None, "answer": None, "log_odds": []} for share in SHARES}
    for count, sensation in enumerate(found.sensations, 1):
        observer = observer.sense(sensation)
        for share, counting in regions.items():
            best, odds = observer.odds(counting)
            row[share]["log_odds"].append(odds if observer.objects is not None else None)
            if row[share]["sensations"] is None and odds > math.log(agent.decision.odds):
                row[share] |= {"sensations": count, "answer": names[best]}
        if all(row[share]["sensations"] for share in SHARES):
            break
    return row | {"cpu_s": time.process_time() - started}


def summary(rows: list[Row], at_most: int) -> dict[str, Any]:
    """Of each part and of both: sensations and right answers of all three, and the efficiencies."""
    parts = {part: [row for row in rows if row["part"] == part] for part in dict.fromkeys(row["part"] for row in rows)}
    return {part: _figures(mine, at_most) for part, mine in (parts | {"all": rows}).items()}


def _figures(rows: list[Row], at_most: int) -> dict[str, Any]:
    takers = {"ours": [row["ours"] for row in rows]}
    takers |= {share: [row["ideal"][share] for row in rows] for share in SHARES}
    counts = {name: np.array([r["sensations"] or at_most for r in some], float) for name, some in takers.items()}
    figures: dict[str, Any] = {"episodes": len(rows)}
    for name, some in takers.items():
        right = [r["answer"] == row["object"] for r, row in zip(some, rows, strict=True)]
        wrong = [r["answer"] not in (None, row["object"]) for r, row in zip(some, rows, strict=True)]
        figures[name] = {
            "sensations_median": float(np.median(counts[name])), "sensations_mean": float(counts[name].mean()),
            "right": int(sum(right)), "wrong": int(sum(wrong)), "undecided": len(rows) - sum(right) - sum(wrong),
        }  # fmt: skip
    for share in SHARES:
        figures[f"efficiency_{share}"] = float(np.median(counts["ours"]) / np.median(counts[share]))
        figures[f"efficiency_{share}_interval"] = ratio_interval(counts["ours"], counts[share])
    return figures


def ratio_interval(ours: np.ndarray, ideal: np.ndarray, draws: int = 2000) -> tuple[float, float]:
    """95 % of a ratio of medians of paired episodes, by resampling them with a fixed seed."""
    drawn = np.random.default_rng(0).integers(len(ours), size=(draws, len(ours)))
    ratio = np.median(ours[drawn], axis=1) / np.median(ideal[drawn], axis=1)
    low, high = np.percentile(ratio, [2.5, 97.5])
    return float(low), float(high)


def differences(rows: list[Row]) -> dict[str, Any]:
    """Of episodes replayed twice: how far log odds differ, and in how many a decision does."""
    apart, moved = [], 0
    for row in rows:
        for share in SHARES:
            one, other = row["ideal"][share], row["lavish"][share]
            pairs = zip(one["log_odds"], other["log_odds"], strict=False)
            apart += [abs(a - b) for a, b in pairs if a is not None]
            moved += one["sensations"] != other["sensations"]
    return {"episodes": len(rows), "nats_apart_median": float(np.median(apart)),
            "nats_apart_p95": float(np.percentile(apart, 95)), "decisions_moved": moved,
            "decisions": 2 * len(rows)}  # fmt: skip


def run(args: argparse.Namespace) -> dict[str, Any]:
    """Learn what is missing, play and replay all episodes and write the result file: its summary."""
    torch.set_num_threads(1)
    wanted = {part: settings(args, part, "saccade") for part in args.parts}
    command = "python benchmarks/ideal_observer.py --objects $YCB" + (" --check" if args.check else "")
    one = next(iter(wanted.values()))
    head = recognition.described(one, recognition.experiment_of(one)) | {"command": command}
    jobs = [(part, mine, name) for part, mine in wanted.items() for name in learnt(mine)[: args.few]]

    def figures(rows: list[Row]) -> dict[str, Any]:
        return {"check": differences(rows)} if args.check else summary(rows, args.at_most)

    return published(args, head, episodes, jobs, figures)


def main() -> None:
    args = arguments()
    args.moves = {}
    print(json.dumps(recognition.rounded(run(args))))


if __name__ == "__main__":
    main()
