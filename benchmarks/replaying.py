"""Episodes played past their decision and kept whole: what was sensed, from where, and the pose held at every step.

They are those of agents/rollout.py: pose, start, noise and movements follow from (seed, object, rotation index).
"""

import argparse
import json
import math
import shutil
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import recognition
import torch
from rich.console import Console
from rich.progress import track

from cortical.agents.agent import START, Agent
from cortical.agents.metrics import UNKNOWN, Symmetry, rotation_error
from cortical.agents.rollout import symmetries
from cortical.columns.belief import Belief
from cortical.columns.messages import Sensation
from cortical.columns.storage import write_whole
from cortical.envs.sensors import shared_catalogue

UNKNOWN_ROTATION = 180.0
Row = dict[str, Any]
Job = tuple[str, argparse.Namespace, str]


@dataclass(frozen=True)
class Recorded:
    """One episode of t sensations, of one column.

    object, seed, rotation_index : which; `truth` : its rotation (3, 3) and position (3,) metres
    sensations : t of them, (1, 1) each
    eyes : position (t, 3) metres and rotation (t, 3, 3) of the sensor
    decided : sensations to the decision, None if there was none
    answer, odds_log : at the decision, or at the end
    best : the best guess after each sensation
    beliefs : at the decision and after the last sensation, both polished
    symmetry : of the object
    """

    object: str
    seed: int
    rotation_index: int
    truth: tuple[np.ndarray, np.ndarray]
    sensations: tuple[Sensation, ...]
    eyes: tuple[np.ndarray, np.ndarray]
    decided: int | None
    answer: str | None
    odds_log: float
    best: tuple[str, ...]
    beliefs: tuple[Belief, Belief]
    symmetry: Symmetry

    @property
    def error_deg(self) -> tuple[float, float]:
        """Rotation errors of both beliefs."""
        first, last = (error_of(belief, self.truth[0], self.symmetry) for belief in self.beliefs)
        return first, last


def played(agent: Agent, name: str, seed: int, rotation: int, beyond: int = 0, at_most: int | None = None) -> Recorded:
    """An episode, played on for `beyond` sensations after its decision; `at_most` so many in all."""
    index = shared_catalogue(agent.env.source).index(name)
    pose_seed, policy_seed = np.random.SeedSequence([seed, index, rotation]).generate_state(2)
    steps, best, decided, held = [], [], None, None
    for step in _on_and_on(agent, int(pose_seed), np.random.default_rng(policy_seed), name):
        steps.append(step)
        best.append(best_guess(agent, step.belief))
        if decided is None and agent.decided(step.belief):
            decided, held = len(steps), step.belief
        enough = decided is not None and len(steps) >= decided + beyond
        if enough or len(steps) >= (at_most or agent.decision.max_sensations):
            break
    truth, symmetry = agent.env.truth(), symmetries(agent.env.source)[1.0].get(name, Symmetry())
    last = agent.region.polish(steps[-1].belief)
    first = held or last
    assert first.consensus is not None
    eyes = np.stack([step.eye[0] for step in steps]), np.stack([step.eye[1] for step in steps])
    return Recorded(
        name, seed, rotation, (truth["rotation"], truth["position"]), tuple(step.sensation for step in steps), eyes,
        decided, best[decided - 1] if decided else None, float(first.consensus.log_odds[0]), tuple(best),
        (first, last), symmetry,
    )  # fmt: skip


def _on_and_on(agent: Agent, seed: int, random: np.random.Generator, name: str) -> Iterator[Any]:
    """Steps of an episode that nothing ends."""
    observation, info = agent.begin({"object": name}, seed)
    belief, plan = agent.region.begin(), START
    while True:
        step = agent.turn(belief, observation, info, plan)
        yield step
        belief, plan = step.belief, agent.act(step.belief, step.sensation, random)
        observation, _, _, _, info = agent.env.step(plan.action)


def best_guess(agent: Agent, belief: Belief) -> str:
    """The most probable object, or "unknown"."""
    assert belief.consensus is not None
    return (*agent.region.objects, UNKNOWN)[int(belief.consensus.log_posterior[0].argmax())]


def error_of(belief: Belief, rotation: np.ndarray, symmetry: Symmetry) -> float:
    """Degrees between the pose believed and the true rotation, under the object's symmetry."""
    if belief.consensus is None:
        return UNKNOWN_ROTATION
    believed = belief.consensus.pose.rotation[0].double().numpy()
    return math.degrees(rotation_error(believed, rotation, symmetry))


def stacked(sensations: tuple[Sensation, ...], name: str) -> np.ndarray:
    """One part of all sensations of one column, (t, ...)."""
    return torch.cat([getattr(s, name)[0] for s in sensations]).numpy()


def median_interval(values: np.ndarray, draws: int = 2000) -> tuple[float, float]:
    """95 % of a median, by resampling the episodes with a fixed seed."""
    values = np.asarray(values, float)
    drawn = np.random.default_rng(0).integers(len(values), size=(draws, len(values)))
    low, high = np.percentile(np.median(values[drawn], axis=1), [2.5, 97.5])
    return float(low), float(high)


def settings(args: argparse.Namespace, suite: str, policy: str) -> argparse.Namespace:
    """What benchmarks/recognition.py would be asked for these episodes: one column, `noise`, the suite and policy."""
    fixed = {"condition": "noise", "columns": 1, "fingers": 0, "features": "surface", "backend": "rays"}
    known = suite in recognition.SUITES
    if known and not args.objects:
        raise SystemExit(f"{suite} needs --objects DIR, a folder of meshes in the YCB layout")
    own = {"objects": args.objects if known else None, "suite": suite, "policy": policy, "moves": {}}
    return argparse.Namespace(**vars(args) | fixed | own, topology="all-to-all")


def learnt(args: argparse.Namespace) -> tuple[str, ...]:
    """The objects of a suite, what the maps lack of them learnt."""
    experiment = recognition.experiment_of(args)
    names = shared_catalogue(experiment.world.objects).names
    recognition.learn(args, experiment, names)
    return names


def published(
    args: argparse.Namespace,
    head: dict[str, Any],
    work: Callable[[Job], list[Row]],
    jobs: Sequence[Job],
    summary: Callable[[list[Row]], dict[str, Any]],
) -> dict[str, Any]:
    """The summary of all jobs' rows, both written to the result file under its `head`; a run that was cut off goes
    on."""
    kept = recognition.unfinished(args, head | {"few": args.few, "most": args.at_most}, args.rotations or 0)
    rows = finished(work, jobs, kept, args.workers)
    found = summary(rows)
    recognition.write(args.output, head | {"summary": recognition.rounded(found), "rows": rows})
    shutil.rmtree(kept)
    return found


def finished(
    work: Callable[[Job], list[Row]], jobs: Sequence[Job], kept: Path, workers: int
) -> list[Row]:
    """Rows of all jobs (part, settings, object), each in a process; those in the folder `kept` are not done again."""
    console, rows = Console(stderr=True), []
    with ProcessPoolExecutor(workers) as pool:
        todo = [(work, kept / f"{part}-{name}.json", (part, args, name)) for part, args, name in jobs]
        for done in track(pool.map(_kept, todo), "objects", total=len(todo), console=console):
            rows += done
    return rows


def _kept(job: tuple[Callable[[Job], list[Row]], Path, Job]) -> list[Row]:
    work, file, part = job
    if file.is_file():
        return json.loads(file.read_text())
    torch.set_num_threads(1)
    write_whole(file, json.dumps(recognition.rounded(work(part))).encode())
    return json.loads(file.read_text())
