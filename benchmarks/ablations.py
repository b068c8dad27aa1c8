"""What each ingredient is worth: the system with one of them off at a time, on the same episodes.

    python benchmarks/ablations.py --objects $YCB

The default objects and the ten similar scans, one column, in the noise of the README's rules, information gain, decided
as configured, 120 tuning episodes each (seed 100); an episode without a decision after --at-most sensations is
undecided, and not right. Differences are to the whole system on the same episodes, with 95 % intervals; rotation
errors, under the objects' symmetry, are compared where both were right.

Nothing in the engine knows of it: ingredients are taken out of the packed maps, of the schema, or by a column or a
region that leaves one thing out. What an ingredient being off means is in OFF below.

Maps are kept in --maps, and an object's episodes until the run is done: given the same command at the same commit, a
run that was cut off goes on. The result file holds the per-episode rows; the last line printed is one JSON object.
"""

import argparse
import json
from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from functools import lru_cache
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import recognition
import torch
from replaying import Job, Row, learnt, published, settings

from cortical.agents.agent import Agent
from cortical.agents.brain import build_region
from cortical.agents.metrics import NOTHING, UNKNOWN, wilson
from cortical.agents.policies import Saccade
from cortical.agents.rollout import make_agent, play
from cortical.columns.belief import Belief
from cortical.columns.evidence.atlas import TURNS, USUAL, node_table, usual
from cortical.columns.evidence.column import EvidenceColumn
from cortical.columns.evidence.densities import Tolerance
from cortical.columns.evidence.hypotheses import Hypotheses, nothing
from cortical.columns.evidence.memory import Memory
from cortical.columns.messages import Movement, Sensation, Vote
from cortical.columns.object_map import ObjectMap
from cortical.columns.region import Region
from cortical.columns.widening import SEEDING
from cortical.configs.schema import Experiment

WHOLE = "whole"
ANY = 1e3  # a standard deviation with which a feature says nothing
FLOOR = 1e-6
PARTS = ("default", "ycb10similar")
ROTATIONS = {"default": 5, "ycb10similar": 12}


@dataclass(frozen=True, slots=True)
class Lacking(EvidenceColumn):
    """An evidence column without one of its ways."""

    misses: bool = True
    moves: bool = True
    late: bool = True
    floors: bool = True

    @property
    def tolerance(self) -> Tolerance:
        whole = Tolerance.of(self.schema, self.outlier)
        names = ("outlier", "outlier_facing", "outlier_direction", "outlier_feature")
        return whole if self.floors else replace(whole, **dict.fromkeys(names, FLOOR))

    def sense(self, memory: Memory, sensation: Sensation, movement: Movement | None = None) -> Memory:
        if not self.misses:
            sensation = replace(sensation, valid=sensation.valid & sensation.on_object)
        return EvidenceColumn.sense(self, memory, sensation, movement)

    def nominate(self, memory: Memory, limit: int, prior: torch.Tensor | None = None) -> Hypotheses:
        if not self.late and memory.steps > SEEDING:
            return nothing(len(memory.kind), self.device)
        return EvidenceColumn.nominate(self, memory, limit, prior)

    def vote(self, memory: Memory, ballot: Hypotheses, curved: bool = True, misses: bool = True) -> Vote:
        vote = EvidenceColumn.vote(self, memory, ballot, curved, misses)
        return vote if self.moves else replace(vote, slope=torch.zeros_like(vote.slope))


class Unpolished(Region):
    """A region whose answer is the pose that it has on the way."""

    def polish(self, belief: Belief) -> Belief:
        return belief


Change = Callable[[Agent, dict[str, ObjectMap]], Agent]


def _column(agent: Agent) -> EvidenceColumn:
    (column,) = agent.region.kinds
    assert isinstance(column, EvidenceColumn)
    return column


def _with_column(agent: Agent, column: EvidenceColumn) -> Agent:
    return replace(agent, region=replace(agent.region, kinds=(column,)))


def _lacking(**what: bool) -> Change:
    def change(agent: Agent, maps: dict[str, ObjectMap]) -> Agent:
        whole = _column(agent)
        parts: dict[str, Any] = {part.name: getattr(whole, part.name) for part in fields(whole) if part.init} | what
        return _with_column(agent, Lacking(**parts))

    return change


def _in_table(columns: slice, value: float) -> Change:
    """Columns of the packed maps' table (`atlas.node_table`) set to a value."""

    def change(agent: Agent, maps: dict[str, ObjectMap]) -> Agent:
        column = _column(agent)
        table = column.atlas.table.clone()
        table[:, columns] = value
        return _with_column(agent, replace(column, atlas=replace(column.atlas, table=table)))

    return change


def _packed(agent: Agent, spread: torch.Tensor, **schema: Any) -> Agent:
    """The maps packed again, of other spreads or for another schema."""
    column = _column(agent)
    wanted = replace(column.schema, **schema)
    table = node_table(column.atlas.rows, spread, wanted)
    table[:, USUAL] = usual(table)
    atlas = replace(column.atlas, spread=spread, table=table)
    return _with_column(agent, replace(column, atlas=atlas, schema=wanted))


def _schema(**what: Any) -> Change:
    return lambda agent, maps: _packed(agent, _column(agent).atlas.spread, **what)


def _unblurred(agent: Agent, maps: dict[str, ObjectMap]) -> Agent:
    return _packed(agent, torch.cat([known.rows()[1] for known in maps.values()]))


def _spreadless(agent: Agent, maps: dict[str, ObjectMap]) -> Agent:
    return _packed(agent, torch.zeros_like(_column(agent).atlas.spread))


def _undirected(agent: Agent, maps: dict[str, ObjectMap]) -> Agent:
    agent = _in_table(slice(22, 23), ANY)(agent, maps)
    column = _column(agent)
    turns = torch.full_like(column.atlas.turns, TURNS)
    return _with_column(agent, replace(column, atlas=replace(column.atlas, turns=turns)))


def _unpolished(agent: Agent, maps: dict[str, ObjectMap]) -> Agent:
    parts = {part.name: getattr(agent.region, part.name) for part in fields(agent.region) if part.init}
    return replace(agent, region=Unpolished(**parts))


OFF: dict[str, tuple[str, Change]] = {
    "misses": ("what misses say: a gaze that met nothing is a lost reading", _lacking(misses=False)),
    "colour": ("colour", _schema(colour=False)),
    "texture": ("texture: how colour changes along the surface", _schema(texture=False)),
    "curvature": ("the values of curvature", _schema(curvature_sd=ANY)),
    "direction": ("principal directions: all turns are tried, none is likelier", _undirected),
    "normal": ("normals, but for front and back (a standard deviation of 57°)", _in_table(slice(21, 22), 1.0)),
    "patch": ("second-order patches: nodes foretell planes", _in_table(slice(12, 14), 0.0)),
    "blur": ("neighbourhoods in the nodes' spreads", _unblurred),
    "spread": ("the nodes' spreads: the sensor's noise alone", _spreadless),
    "floors": ("outlier floors (one in a million)", _lacking(floors=False)),
    "refinement": ("refinement of poses", _lacking(moves=False)),
    "late_seeds": ("new poses after the third sensation", _lacking(late=False)),
    "polish": ("polish of the answer", _unpolished),
    "trust": ("the discount of evidence (a share of 1 counts)",
              lambda agent, maps: replace(agent, region=replace(agent.region, trust=1.0))),
    "policy": ("information gain: random saccades", lambda agent, maps: replace(agent, policy=Saccade())),
}  # fmt: skip


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--objects", help="folder of meshes in the YCB layout; without it: the default objects alone")
    parser.add_argument("--off", nargs="+", choices=OFF, help="which ingredients (all)")
    parser.add_argument("--seeds", type=int, nargs="+", default=[100], help="100 and up: this is for tuning")
    parser.add_argument("--rotations", type=int, help="poses per object and seed (5; of the scans 12)")
    parser.add_argument("--few", type=int, help="a try: only so many objects of each set")
    parser.add_argument("--at-most", type=int, default=100, help="sensations an episode")
    parser.add_argument("--maps", type=Path, default=Path("runs/maps"), help="where learnt maps are kept")
    parser.add_argument("--output", type=Path, help="result file (benchmarks/results/ablations.json; of a try: runs/)")
    parser.add_argument("--workers", type=int, default=2)
    args = parser.parse_args()
    tried = args.few or args.off or args.rotations or not args.objects
    args.off = args.off or list(OFF)
    args.output = args.output or (args.maps.parent if tried else recognition.RESULTS) / "ablations.json"
    return args


@lru_cache(maxsize=1)
def _whole(experiment: Experiment, root: Path) -> tuple[Agent, dict[str, ObjectMap]]:
    maps = recognition.learnt_maps(root, experiment)
    return make_agent(experiment, build_region(experiment, maps)), maps


@lru_cache(maxsize=1)
def agent_without(experiment: Experiment, root: Path, off: str) -> Agent:
    """The agent with an ingredient off; made once in a process."""
    agent, maps = _whole(experiment, root)
    agent = replace(agent, _seen=[])
    return agent if off == WHOLE else OFF[off][1](agent, maps)


def episodes(job: Job) -> list[Row]:
    """All episodes of one object with one ingredient off: part is "set/ingredient"."""
    part, args, name = job
    suite, off = part.split("-")
    experiment = recognition.experiment_of(args)
    experiment = replace(experiment, decision=replace(experiment.decision, max_sensations=args.at_most))
    agent, rows = agent_without(experiment, args.maps, off), []
    for seed, rotation in product(args.seeds, range(args.rotations or ROTATIONS[suite])):
        r = play(agent, name, seed, rotation, traced=False)
        rows.append({
            "suite": suite, "off": off, "object": name, "seed": seed, "rotation_index": rotation, "answer": r.answer,
            "sensations": r.sensations, "rotation_error_deg": r.rotation_error_deg,
            "rotation_error_plain_deg": r.rotation_error_plain_deg, "think_ms": sum(r.think_ms),
        })  # fmt: skip
    return rows


def summary(rows: list[Row]) -> dict[str, Any]:
    """Of each set, of each ingredient off: figures, and differences to the whole system."""
    found: dict[str, Any] = {}
    for suite in dict.fromkeys(row["suite"] for row in rows):
        mine = {off: [r for r in rows if (r["suite"], r["off"]) == (suite, off)] for off in dict.fromkeys(
            row["off"] for row in rows if row["suite"] == suite)}  # fmt: skip
        found[suite] = {off: _figures(some, mine[WHOLE]) for off, some in mine.items()}
        blind = [row | {"rotation_error_deg": row["rotation_error_plain_deg"]} for row in mine[WHOLE]]
        found[suite]["symmetry"] = _figures(blind, mine[WHOLE])
    return found


def _figures(rows: list[Row], whole: list[Row]) -> dict[str, Any]:
    right, before = (np.array([r["answer"] == r["object"] for r in some]) for some in (rows, whole))
    count, usual_count = (np.array([r["sensations"] for r in some], float) for some in (rows, whole))
    error, usual_error = (np.array([r["rotation_error_deg"] for r in some]) for some in (rows, whole))
    answers, both = [r["answer"] for r in rows], right & before
    undecided, unknown = sum(a in (None, NOTHING) for a in answers), answers.count(UNKNOWN)
    return {
        "episodes": len(rows), "correct": float(right.mean()), "correct_interval": wilson(int(right.sum()), len(rows)),
        "wrong_name": len(rows) - int(right.sum()) - undecided - unknown, "unknown": unknown, "undecided": undecided,
        "sensations_median": float(np.median(count)), "sensations_p95": float(np.percentile(count, 95)),
        "sensations_mean": float(count.mean()),
        "rotation_error_median_deg": float(np.median(error[right])) if right.any() else None,
        "within_10deg": float((error[right] <= 10).mean()) if right.any() else None,
        "think_ms_episode_median": float(np.median([r["think_ms"] for r in rows])),
        "correct_difference": _resampled(right.astype(float) - before, np.mean),
        "sensations_difference": _resampled(count - usual_count, np.mean),
        "rotation_difference_deg": _resampled(np.stack([error, usual_error], 1)[both], _medians_apart),
    }  # fmt: skip


def _medians_apart(pairs: np.ndarray, axis: int) -> np.ndarray:
    middle = np.median(pairs, axis=axis)
    return middle[..., 0] - middle[..., 1]


def _resampled(values: np.ndarray, figure: Callable[..., Any], draws: int = 2000) -> list[float] | None:
    """A figure of paired differences and its 95 % interval, by resampling episodes with a fixed seed."""
    if len(values) == 0:
        return None
    drawn = np.random.default_rng(0).integers(len(values), size=(draws, len(values)))
    low, high = np.percentile(figure(values[drawn], axis=1), [2.5, 97.5])
    return [float(figure(values, axis=0)), float(low), float(high)]


def run(args: argparse.Namespace) -> dict[str, Any]:
    """Learn what is missing, play all episodes and write the result file: its summary."""
    torch.set_num_threads(1)
    wanted = {part: settings(args, part, "information_gain") for part in PARTS if part == "default" or args.objects}
    one = wanted["default"]
    head = recognition.described(one, recognition.experiment_of(one))
    head |= {"command": "python benchmarks/ablations.py --objects $YCB", "off": {k: OFF[k][0] for k in args.off}}
    names = {part: learnt(mine)[: args.few] for part, mine in wanted.items()}
    jobs = [
        (f"{part}-{off}", mine, name)
        for part, mine in wanted.items()
        for off in (WHOLE, *args.off)
        for name in names[part]
    ]
    return published(args, head, episodes, jobs, summary)


def main() -> None:
    args = arguments()
    args.moves = {}
    found = run(args)
    for suite, offs in found.items():
        for off, s in offs.items():
            took = f"{s['sensations_median']:g} / {s['sensations_p95']:.0f}"
            turned = s["rotation_error_median_deg"] or float("nan")
            print(f"{suite} {off}: right {s['correct']:.3f}, sensations {took}, rotation {turned:.1f} deg")
    print(json.dumps(recognition.rounded(found)))


if __name__ == "__main__":
    main()
