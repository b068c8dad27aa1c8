"""How near poses come to the best that the same sensations allow: the Cramér-Rao bound, from the true surface.

    python benchmarks/pose_bound.py --objects $YCB

Three parts, one column, in the noise of the README's rules: 60 fixed episodes each of the ten distinct and the ten
similar scans by random saccades, and all 77 by information gain (one pose an object and seed). Each is played on for
ten sensations after its decision; rotation errors, under the object's symmetry, and the bound are taken at the
decision and then. Counted are correct decisions about objects that have a rotation at all (not a plain ball).

The bound (pose_information.py) is that of all channels: location, normal and principal direction, curvature and
colour, with the place on the surface known by the noisy location alone, as on the ellipsoids of its test. Beside it
stand that of location, normal and direction alone ("patch"), with curvature ("shape"), and of all channels with the
sensor's rays known exactly ("rays"). None knows misses, edges or chance fits of distant poses; on scans the change
along the surface is that over +-2 mm.

Where the rest comes from, "from_truth": the columns' own likelihood, refined from the true pose. What that is off by is
the map's and the likelihood's doing; what is added to it, that of another pose that was held. Whether the columns
found that one likelier, or never tried the true one, "held_likelier" tells.

Maps are kept in --maps, and an object's episodes until the run is done: given the same command at the same commit, a
run that was cut off goes on. The result file holds the per-episode rows; the last line printed is one JSON object.
"""

import argparse
import json
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import recognition
import torch
from pose_information import Surface, bound_deg
from pose_surface import SHAPE, surface_of
from replaying import Job, Recorded, Row, error_of, learnt, median_interval, played, published, settings

from cortical.columns.belief import Belief
from cortical.columns.evidence import refine
from cortical.columns.evidence.hypotheses import Hypotheses
from cortical.columns.messages import Pose
from cortical.columns.region import Region

AFTER = 10  # sensations after the decision
PARTS = {"ycb10": "saccade", "ycb10similar": "saccade", "ycb77": "information_gain", "default": "saccade"}
BOUNDS = {"bound": (None, False), "patch": (0, False), "shape": (SHAPE, False), "rays": (None, True)}
MOMENTS = ("decision", "ten_after")
SURE = 0.03, 0.0015  # radians, metres: how sure a pose is taken to be that is compared


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--objects", help="folder of meshes in the YCB layout; without it: the default objects")
    parser.add_argument("--parts", nargs="+", choices=PARTS, help="which to run (all of the scans)")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2], help="published: 0 1 2; tune on 100 and up")
    parser.add_argument("--rotations", type=int, help="poses per object and seed (2; of ycb77 and default 1)")
    parser.add_argument("--few", type=int, help="a try: only so many objects of each part")
    parser.add_argument("--at-most", type=int, default=150, help="sensations an episode, the ten included")
    parser.add_argument("--maps", type=Path, default=Path("runs/maps"), help="where learnt maps are kept")
    parser.add_argument("--output", type=Path, help="result file (benchmarks/results/pose_bound.json; of a try: runs/)")
    parser.add_argument("--workers", type=int, default=2)
    args = parser.parse_args()
    args.parts = args.parts or (["ycb10", "ycb10similar", "ycb77"] if args.objects else ["default"])
    tried = args.few or not args.objects or args.parts != ["ycb10", "ycb10similar", "ycb77"]
    args.output = args.output or (args.maps.parent if tried else recognition.RESULTS) / "pose_bound.json"
    return args


def rotations_of(args: argparse.Namespace, part: str) -> int:
    """Poses per object and seed."""
    return args.rotations or (2 if part in ("ycb10", "ycb10similar") else 1)


def episodes(job: Job) -> list[Row]:
    """All episodes of one object in one part."""
    part, args, name = job
    agent, rows = recognition.agent_of(args), []
    for seed, rotation in product(args.seeds, range(rotations_of(args, part))):
        found = played(agent, name, seed, rotation, AFTER, args.at_most)
        surface, met = surface_of(agent.env, *found.eyes)
        row: Row = {"part": part, **row_of(found, surface, met)}
        for moment, belief in zip(MOMENTS, found.beliefs, strict=True):
            row[moment] |= beside_truth(agent.region, belief, found)
        rows.append(row)
    return rows


def beside_truth(region: Region, belief: Belief, found: Recorded) -> Row:
    """How far the true pose moves when it is refined, degrees, and whether the one held has more evidence still."""
    assert belief.consensus is not None
    obj = torch.tensor([region.objects.index(found.object)])
    rotation, place = (torch.from_numpy(part).float()[None] for part in found.truth)
    truth = replace(belief, ballot=_ballot(obj, Pose(place, rotation), belief))
    truth = region.polish(replace(truth, consensus=replace(belief.consensus, object_index=obj)))
    assert truth.consensus is not None
    here, there = (_evidence(region, belief, obj, one.pose) for one in (belief.consensus, truth.consensus))
    return {"from_truth_deg": error_of(truth, found.truth[0], found.symmetry), "held_likelier": here > there}


def _ballot(obj: torch.Tensor, pose: Pose, belief: Belief) -> Hypotheses:
    turn_sd, shift_sd = (torch.full((1, 1), value) for value in SURE)
    return Hypotheses(
        obj[None], pose.rotation[None], pose.location[None], torch.zeros(1, 1), turn_sd, shift_sd, belief.ballot.pivot
    )  # fmt: skip


def _evidence(region: Region, belief: Belief, obj: torch.Tensor, pose: Pose) -> float:
    vote = region.vote(belief, _ballot(obj, pose, belief))
    return float(refine.neighbourhood_evidence(vote.log_evidence[:, 0], vote.information[:, 0])[0])


def row_of(found: Recorded, surface: Surface, met: np.ndarray) -> Row:
    """What is kept of an episode: the bounds and the error at both moments."""
    row: Row = {
        "object": found.object, "seed": found.seed, "rotation_index": found.rotation_index, "answer": found.answer,
        "scored": found.answer == found.object and not found.symmetry.full,
    }  # fmt: skip
    axis = None if found.symmetry.axis is None else found.truth[0] @ found.symmetry.axis
    counts = (found.decided or len(met), len(met))
    for moment, count, error in zip(MOMENTS, counts, found.error_deg, strict=True):
        known = surface.only(slice(0, int(met[:count].sum())))
        bounds = {name: bound_deg(known.only(slice(None), k), axis, rays) for name, (k, rays) in BOUNDS.items()}
        row[moment] = {"sensations": count, "met": int(met[:count].sum()), "error_deg": error} | bounds
    return row


def summary(rows: list[Row]) -> dict[str, Any]:
    """Of each part: how many episodes were scored, and at both moments medians and ratios with 95 % intervals."""
    parts = {}
    for part in dict.fromkeys(row["part"] for row in rows):
        mine = [row for row in rows if row["part"] == part]
        scored = [row for row in mine if row["scored"]]
        correct = sum(row["answer"] == row["object"] for row in mine)
        parts[part] = {"episodes": len(mine), "correct": correct, "scored": len(scored)}
        if scored:
            parts[part] |= {moment: _figures([row[moment] for row in scored]) for moment in MOMENTS}
    return parts


def _figures(moments: list[Row]) -> dict[str, Any]:
    error = np.array([m["error_deg"] for m in moments])
    bounds = {name: np.array([m[name] for m in moments]) for name in BOUNDS}
    ratio, far = error / bounds["bound"], error > 10
    straight, likelier = (np.array([m[name] for m in moments]) for name in ("from_truth_deg", "held_likelier"))
    return {
        "sensations_median": float(np.median([m["sensations"] for m in moments])),
        "error_median_deg": float(np.median(error)), "error_interval": median_interval(error),
        "within_10deg": float((error <= 10).mean()),
        "bound_median_deg": {name: float(np.median(values)) for name, values in bounds.items()},
        "ratio_median": float(np.median(ratio)), "ratio_interval": median_interval(ratio),
        "ratio_of_medians": float(np.median(error) / np.median(bounds["bound"])),
        "ratio_median_within_10deg": float(np.median(ratio[error <= 10])) if (error <= 10).any() else None,
        "from_truth_median_deg": float(np.median(straight)),
        "ratio_from_truth_median": float(np.median(straight / bounds["bound"])),
        "beyond_10deg": int(far.sum()), "of_these_held_likelier": int((far & likelier).sum()),
    }  # fmt: skip


def run(args: argparse.Namespace) -> dict[str, Any]:
    """Learn what is missing, play all episodes and write the result file: its summary."""
    torch.set_num_threads(1)
    wanted = {part: settings(args, part, PARTS[part]) for part in args.parts}
    command = f"python benchmarks/pose_bound.py --objects $YCB --parts {' '.join(args.parts)}"
    one = next(iter(wanted.values()))
    head = recognition.described(one, recognition.experiment_of(one)) | {"command": command, "after": AFTER}
    jobs = [(part, mine, name) for part, mine in wanted.items() for name in learnt(mine)[: args.few]]
    return published(args, head, episodes, jobs, summary)


def main() -> None:
    args = arguments()
    args.moves = {}
    found = run(args)
    brief = {
        f"{part}_{moment}": [s[moment]["error_median_deg"], s[moment]["bound_median_deg"]["bound"],
                             s[moment]["ratio_median"]]
        for part, s in found.items() for moment in MOMENTS if moment in s
    }  # fmt: skip
    for name, (error, bound, ratio) in brief.items():
        print(f"{name}: error {error:.2f} deg, bound {bound:.2f} deg, ratio {ratio:.2f}")
    print(json.dumps(recognition.rounded(found)))


if __name__ == "__main__":
    main()
