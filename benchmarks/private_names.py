"""Columns that learnt alone come to vote: accuracy while they learn what the others call things.

    python benchmarks/private_names.py
    python benchmarks/private_names.py --suite ycb10 --objects $YCB

Each of --columns learners goes round all objects by itself: own views, own maps, own frames, own names. Then they look
together, side by side on one eye, at objects nobody names, each thinking for itself, and count what they believe at the
same time. After every number of --shared looks the first column recognises --tests objects at random poses, under
`noise`, hearing the others by the names learnt so far. It is compared with

    alone       the first column by itself (the lower bound)
    told        the same region, told the true names and frames (the upper bound)
    names only  at the end, with what was learnt of the names but not of the frames

Looks are glances from random places round the object, the same for all that are compared. The interval is 95 % over
all test episodes of all seeds (Wilson); a seed draws learners, looks and tests anew. A few minutes on one core; a run
that was cut off goes on where it was. Writes a result file and a picture beside it; the last line is one JSON object.
"""

import argparse
import json
import platform
import shutil
from collections.abc import Sequence
from dataclasses import fields, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import recognition
import torch
from matplotlib.figure import Figure
from provenance import commit
from replaying import finished
from rich.console import Console

from cortical.agents.alone import Alone, learn_alone, load_alone, save_alone
from cortical.agents.brain import build_region
from cortical.agents.metrics import Symmetry, rotation_error, wilson
from cortical.agents.pictures import save
from cortical.agents.records import PACKAGES
from cortical.agents.rollout import symmetries
from cortical.agents.sensing import Senses
from cortical.columns.belief import Belief
from cortical.columns.messages import Pose, Sensation
from cortical.columns.naming import Naming
from cortical.columns.region import Region
from cortical.columns.translated import together
from cortical.configs.load import load
from cortical.configs.schema import Experiment, EyeConfig, WorldConfig
from cortical.envs.bodies import encode
from cortical.envs.explore import ObjectExploreEnv
from cortical.envs.sensors import shared_catalogue

STEP, JITTER = np.radians(28.0), 0.02  # of a glance: how far round the object, and metres beside its middle
RIGHT_POSE = np.radians(15.0)
BATCH = 16  # episodes thought through at once
Truth = tuple[str, np.ndarray, np.ndarray]
Row = dict[str, Any]


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--suite", default="default", help="default, or with --objects ycb10 (default: default)")
    parser.add_argument("--objects", help="folder of meshes in the YCB layout")
    parser.add_argument("--columns", type=int, default=4, help="learners that look together (default: 4)")
    parser.add_argument("--views", type=int, default=8, help="of the 14 views, how many each learns from (default: 8)")
    parser.add_argument(
        "--shared", type=int, nargs="+", default=[0, 24, 48, 96], help="looks together after which is measured"
    )
    parser.add_argument("--glances", type=int, default=8, help="sensations of a look together (default: 8)")
    parser.add_argument("--tests", type=int, default=40, help="test episodes a seed (default: 40)")
    parser.add_argument("--sensations", type=int, default=2, help="of a test episode (default: 2)")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1])
    parser.add_argument("--maps", type=Path, default=Path("runs/maps"), help="where learnt maps are kept")
    parser.add_argument("--output", type=Path, help="result file (default: benchmarks/results/private_names...json)")
    args = parser.parse_args()
    suite = "" if args.suite == "default" else f"-{args.suite}"
    args.output = args.output or recognition.RESULTS / f"private_names{suite}.json"
    args.workers, args.shared, args.moves = 1, sorted(set(args.shared)), {}
    return args


def experiment_of(args: argparse.Namespace) -> Experiment:
    """The objects, and one noisy column."""
    if args.suite in recognition.SUITES and not args.objects:
        raise SystemExit(f"--suite {args.suite} needs --objects DIR, a folder of meshes in the YCB layout")
    named = args.suite in recognition.SUITES
    source = f"{args.objects}#{recognition.SUITES[args.suite]}" if named else args.suite
    base = load("default")
    plain = replace(base.column, texture=False)
    return replace(base, world=WorldConfig(objects=source), eye=EyeConfig(columns=1, noise="noise"), column=plain)


def learners(args: argparse.Namespace, experiment: Experiment, seed: int) -> list[Alone]:
    """What each has learnt by itself; learnt once and kept."""
    names, known = shared_catalogue(experiment.world.objects).names, []
    folder = args.maps / f"alone-{args.suite}-{args.views}"
    folder.mkdir(parents=True, exist_ok=True)
    for column in range(args.columns):
        file = folder / f"{seed}-{column}.safetensors"
        if not file.is_file():
            save_alone(file, experiment, learn_alone(experiment, names, 1000 * seed + column, args.views))
        known.append(load_alone(file, experiment))
    return known


def looks(env: ObjectExploreEnv, count: int, glances: int, seed: int) -> tuple[list[Sensation], list[Truth]]:
    """Episodes of so many glances at random objects: sensations (count, m), one a glance, and what was there."""
    random, senses = np.random.default_rng(seed), Senses(coded=False)
    episodes, truths = [], []
    for number in range(count):
        name = env.objects[int(random.integers(len(env.objects)))]
        observation, _ = env.reset(seed=int(random.integers(2**31)) + number, options={"object": name})
        truth, seen = env.truth(), []
        for left in reversed(range(glances)):
            seen.append(senses(observation))
            if left:
                observation = env.step(glance(env, truth["position"], random))[0]
        episodes.append(seen)
        truths.append((name, truth["rotation"], truth["position"]))
    return [joined([episode[k] for episode in episodes]) for k in range(glances)], truths


def glance(env: ObjectExploreEnv, centre: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """A movement to a random place round the object, a step away, and a look near its middle."""
    bearing = env.eye.position - centre
    distance = np.linalg.norm(bearing)
    aside = np.cross(bearing / distance, random.normal(size=3))
    aside /= np.linalg.norm(aside)
    angle = random.uniform(0.3, 1.0) * STEP
    place = centre + np.cos(angle) * bearing + np.sin(angle) * distance * aside
    target = centre + random.normal(0, JITTER, 3)
    return encode(env.eye, place, target - place, env.limits)[0]


def joined(parts: Sequence[Sensation]) -> Sensation:
    """Sensations (1, m) as one (g, m)."""
    return Sensation(**{f.name: torch.cat([getattr(s, f.name) for s in parts]) for f in fields(Sensation)})


def thought(region: Region, seen: list[Sensation]) -> list[list[Belief]]:
    """The beliefs of a region after each sensation, a batch of episodes at a time."""
    count = len(seen[0].valid)
    batches = []
    for start in range(0, count, BATCH):
        belief, beliefs = region.begin(min(BATCH, count - start)), []
        for sensation in seen:
            belief = region.step(belief, sensation[start : start + BATCH])
            beliefs.append(belief)
        batches.append(beliefs)
    return batches


def polished(region: Region, batches: list[list[Belief]]) -> list[list[Belief]]:
    """The last beliefs alone, with the poses of their objects refined."""
    return [[region.polish(beliefs[-1])] for beliefs in batches]


def of_column(seen: list[Sensation], column: int) -> list[Sensation]:
    """What one of the columns sensed."""
    return [sensation[:, column : column + 1] for sensation in seen]


def told(home: Alone, other: Alone) -> Naming:
    """The true names and frames: home_from_object (other_from_object)^-1."""
    place = torch.tensor([other.truth.index(name) for name in home.truth])
    frame = home.frame @ Pose(other.frame.location[place], other.frame.rotation[place]).inverse()
    return Naming.given(place, frame, len(other.truth))


def marked(
    batches: list[list[Belief]], truths: list[Truth], home: Alone, known: dict[str, Symmetry], **what: Any
) -> list[Row]:
    """One row for each episode and number of sensations: is the object named rightly, and is its pose?"""
    rows = []
    for at, (name, rotation, _) in enumerate(truths):
        for sensations, belief in enumerate(batches[at // BATCH], 1):
            consensus, g = belief.consensus, at % BATCH
            assert consensus is not None
            index = home.truth.index(name)
            right = int(consensus.log_posterior[g].argmax()) == index
            estimate = (consensus.pose.rotation[g] @ home.frame.rotation[index]).double().numpy()
            turned = rotation_error(estimate, rotation, known.get(name, Symmetry())) if right else np.inf
            pose = bool(turned < RIGHT_POSE)
            rows.append({**what, "episode": at, "object": name, "sensations": sensations, "right": right, "pose": pose})
    return rows


def of_seed(job: tuple[str, argparse.Namespace, str]) -> list[Row]:
    """All rows of one seed."""
    _, args, number = job
    seed, experiment = int(number), experiment_of(args)
    known = learners(args, experiment, seed)
    regions = [build_region(experiment, learnt.maps) for learnt in known]
    home, others, equal = known[0], known[1:], symmetries(experiment.world.objects)[1.0]
    eye = replace(experiment.eye, columns=args.columns)
    env = ObjectExploreEnv.from_config(experiment.world, eye)
    tests, truths = looks(env, args.tests, args.sensations, 10 * seed + 1)
    shared, together_with = looks(env, max(args.shared), args.glances, 10 * seed + 2)
    alone = [polished(region, thought(region, of_column(shared, k))) for k, region in enumerate(regions)]

    def measured(namings: list[Naming], **what: Any) -> list[Row]:
        region = together(regions[0], list(zip(regions[1:], namings, strict=True)))
        return marked(thought(region, tests), truths, home, equal, seed=seed, **what)

    rows = marked(thought(regions[0], of_column(tests, 0)), truths, home, equal, seed=seed, names="alone", shared=0)
    rows += measured([told(home, other) for other in others], names="told", shared=0)
    namings, done = [Naming.begin(len(home.truth), len(other.truth)) for other in others], 0
    for shared_looks in args.shared:
        namings = [counted(n, alone[0], alone[k], done, shared_looks) for k, n in enumerate(namings, 1)]
        done = shared_looks
        for row in measured(namings, names="learnt", shared=shared_looks):
            rows.append({**row, "named": named(namings, home, others, together_with[:done])})
    nowhere = [replace(n, seen=torch.zeros_like(n.seen)) for n in namings]
    return rows + measured(nowhere, names="names only", shared=done)


def counted(naming: Naming, mine: list[list[Belief]], yours: list[list[Belief]], start: int, stop: int) -> Naming:
    """The naming after the looks together from `start` to `stop`, one by one."""
    for at in range(start, stop):
        a, b = mine[at // BATCH][-1].consensus, yours[at // BATCH][-1].consensus
        assert a is not None and b is not None
        g = at % BATCH
        parts = [
            replace(c, log_posterior=c.log_posterior[g : g + 1], pose=Pose(c.pose.location[[g]], c.pose.rotation[[g]]))
            for c in (a, b)
        ]
        naming = naming.met(*parts)
    return naming


def named(namings: list[Naming], home: Alone, others: list[Alone], met: list[Truth]) -> float:
    """Share of all objects, over all others, whose most probable name is the right one."""
    right = [
        other.truth[int(best)] == name
        for naming, other in zip(namings, others, strict=True)
        for name, best in zip(home.truth, naming.log_yours()[:-1, :-1].argmax(1), strict=True)
        if name in {truth[0] for truth in met}
    ]
    return sum(right) / (len(others) * len(home.truth))


def summary(rows: list[Row]) -> dict[str, Any]:
    """Shares by way of naming, number of looks together and of sensations, with intervals and the spread of seeds."""
    found = []
    keys = sorted({(row["names"], row["shared"], row["sensations"]) for row in rows})
    for names, shared, sensations in keys:
        own = [r for r in rows if (r["names"], r["shared"], r["sensations"]) == (names, shared, sensations)]
        by_seed = [[r["right"] for r in own if r["seed"] == seed] for seed in sorted({r["seed"] for r in own})]
        entry = {"names": names, "shared": shared, "sensations": sensations, "episodes": len(own)}
        entry["right"], entry["interval"] = _share([r["right"] for r in own])
        entry["pose_right"], _ = _share([r["pose"] for r in own])
        entry["seeds"] = [sum(part) / len(part) for part in by_seed]
        if names == "learnt":
            entry["named"] = float(np.mean([r["named"] for r in own]))
        found.append(entry)
    return {"curve": found}


def _share(right: list[bool]) -> tuple[float, tuple[float, float]]:
    return sum(right) / len(right), wilson(sum(right), len(right))


def picture(found: dict[str, Any], args: argparse.Namespace) -> Figure:
    """Accuracy against looks together, between the two bounds; one panel for each number of sensations."""
    figure = Figure(figsize=(3.4 * args.sensations, 3.4), layout="constrained")
    axes = figure.subplots(1, args.sensations, sharey=True, squeeze=False)[0]
    for sensations, ax in enumerate(axes, 1):
        part = [e for e in found["curve"] if e["sensations"] == sensations]
        learnt = [e for e in part if e["names"] == "learnt"]
        x = [e["shared"] for e in learnt]
        for name, colour in (("told", "C2"), ("alone", "C7")):
            (bound,) = [e for e in part if e["names"] == name]
            ax.axhline(bound["right"], color=colour, ls="--", label={"told": "names told", "alone": "alone"}[name])
            ax.axhspan(*bound["interval"], color=colour, alpha=0.12, lw=0)
        ax.plot(x, [e["right"] for e in learnt], "C0o-", label="names learnt")
        ax.fill_between(x, *zip(*[e["interval"] for e in learnt], strict=True), color="C0", alpha=0.2, lw=0)
        ax.plot(x, [e["named"] for e in learnt], "C1:", label="objects whose name is known")
        ax.set(title=f"{sensations} sensation" + "s" * (sensations > 1), xlabel="objects looked at together")
        ax.set_ylim(0, 1.02)
    axes[0].set_ylabel("share right")
    axes[-1].legend(loc="lower right", fontsize=8)
    return figure


def main() -> None:
    args = arguments()
    torch.set_num_threads(1)
    ask = " --objects $YCB" if args.objects else ""
    settings = {name: getattr(args, name) for name in ("suite", "columns", "views", "shared", "glances", "tests",
                                                       "sensations", "seeds")}  # fmt: skip
    head = {
        "command": f"python benchmarks/private_names.py --suite {args.suite}{ask}", "commit": commit(),
        "versions": {p: version(p) for p in PACKAGES}, "settings": settings, "threads": 1,
        "machine": f"{platform.machine()}, {platform.system()}, Python {platform.python_version()}",
    }  # fmt: skip
    each = {**head, "settings": {**settings, "seeds": None}}  # with more seeds a run goes on too
    kept = recognition.unfinished(args, each, 0)
    rows = finished(of_seed, [("seed", args, str(seed)) for seed in args.seeds], kept, args.workers)
    found = summary(rows)
    recognition.write(args.output, head | {"summary": recognition.rounded(found), "rows": rows})
    shutil.rmtree(kept)
    save(picture(found, args), args.output.with_suffix(".png"))
    Console(stderr=True).print(f"wrote {args.output}")
    last = {f"{e['names']}_{e['shared']}": round(e["right"], 4) for e in found["curve"] if e["sensations"] == 1}
    print(json.dumps({"right_after_one_sensation": last}))


if __name__ == "__main__":
    main()
