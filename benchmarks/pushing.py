"""What becomes of a belief when the object is pushed and nobody says so.

    python benchmarks/pushing.py

Five columns look at an object on the table 12 times. Then a fingertip pushes it by some 6 cm, from a random side,
through its middle; they look 18 times more, and must find out by what fails to come as predicted
(`columns/surprise.py`, `column.watchful`). The same with columns that don't watch out; and episodes without a push,
for false alarms. Maps are those of `recognition.py`. Writes benchmarks/results/pushing.json; the last line printed is
one JSON object.
"""

import argparse
import json
import math
import platform
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from provenance import commit
from recognition import RESULTS, learnt_maps
from rich.progress import track
from scipy.spatial import ConvexHull

from cortical.agents.agent import START, Agent
from cortical.agents.brain import build_region
from cortical.agents.metrics import Symmetry, rotation_error
from cortical.agents.records import PACKAGES
from cortical.agents.rollout import make_agent, symmetries
from cortical.columns.belief import Belief
from cortical.configs.load import load
from cortical.configs.schema import Experiment
from cortical.envs.sensors import shared_catalogue
from cortical.envs.touch import RADIUS

BEFORE, AFTER = 12, 18
"""Looks before and after the push."""
LENGTH, OUTSIDE = 0.06, 0.02
"""Metres that the fingertip goes on after it met the object, and how far outside it begins."""
STIRRED, FOUND = 10.0, 5.0
"""Millimetres from which an object counts as moved, and within which it counts as found again."""
SUITES = {"watchful": (True, True), "control": (True, False), "blind": (False, True)}
"""Whether the columns watch out, and whether the object is pushed. Controls have poses of their own."""


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2], help="published: 0 1 2; tune on 100 and up")
    parser.add_argument("--objects", nargs="+", help="some of the default objects (all)")
    parser.add_argument("--columns", type=int, default=5)
    parser.add_argument("--maps", type=Path, default=Path("runs/maps"), help="where learnt maps are kept")
    parser.add_argument("--output", type=Path, default=RESULTS / "pushing.json")
    parser.add_argument("--workers", type=int, default=2)
    return parser.parse_args()


def experiment_of(columns: int, watchful: bool) -> Experiment:
    base = load("table")
    return replace(base, eye=replace(base.eye, columns=columns), column=replace(base.column, watchful=watchful))


@cache
def agent_of(columns: int, watchful: bool, root: Path) -> Agent:
    """The agent of this process, made once."""
    experiment = experiment_of(columns, watchful)
    return make_agent(experiment, build_region(experiment, learnt_maps(root, experiment)))


def push(agent: Agent, random: np.random.Generator) -> bool:
    """Push the object from a random side, LENGTH on from where the fingertip meets its hull; whether it was touched."""
    world = agent.env.world
    vertices = shared_catalogue(agent.env.source).mesh(world.name).vertices @ world.rotation.T + world.position
    side = random.normal(size=2)
    way = np.array([*side / np.linalg.norm(side), 0.0])
    start = world.position - 0.5 * way
    faces = ConvexHull(vertices).equations
    normal, offset = faces[:, :3], faces[:, 3]
    front = normal @ way < -1e-9
    gap = float((-(normal[front] @ start + offset[front]) / (normal[front] @ way)).max()) - RADIUS
    return agent.env.push(start + (gap - OUTSIDE) * way, start + (gap + LENGTH) * way)


def play(agent: Agent, name: str, seed: int, pushed: bool) -> dict[str, Any]:
    """One episode: where the pose was held to be at every look, and when the region began anew."""
    index = shared_catalogue(agent.env.source).index(name)
    pose, policy, side = np.random.SeedSequence([seed, index, int(not pushed)]).generate_state(3)
    random, sides = np.random.default_rng(policy), np.random.default_rng(side)
    observation, info = agent.begin({"object": name}, int(pose))
    belief, plan, touched = agent.region.begin(), START, False
    errors, alarms, was, stale = [], [], agent.env.truth(), None
    for look in range(BEFORE + AFTER):
        if look:
            if look == BEFORE and pushed:
                touched = push(agent, sides)
                stale = error(belief, agent, name)
            observation, _, _, _, info = agent.env.step(plan.action)
        step = agent.turn(belief, observation, info, plan)
        belief, plan = step.belief, agent.act(step.belief, step.sensation, random)
        errors.append(error(belief, agent, name))
        if look and belief.steps == 1:
            alarms.append(look + 1)
    moved = 1e3 * float(np.linalg.norm(agent.env.truth()["position"] - was["position"]))
    consensus = belief.consensus
    assert consensus is not None
    best = int(consensus.object_index[0])
    answer = agent.region.objects[best] if best >= 0 else "unknown"
    return {
        "object": name, "seed": seed, "touched": touched, "moved_mm": moved, "answer": answer, "alarms": alarms,
        "stale": stale, "error_mm": [e[0] for e in errors], "error_deg": [e[1] for e in errors],
    }  # fmt: skip


def error(belief: Belief, agent: Agent, name: str) -> tuple[float, float]:
    """Millimetres and, under the object's symmetry, degrees between the pose held and the true one."""
    consensus, truth = belief.consensus, agent.env.truth()
    assert consensus is not None
    place, turn = (x[0].double().numpy() for x in (consensus.pose.location, consensus.pose.rotation))
    symmetry = symmetries(agent.env.source)[1.0].get(name, Symmetry())
    away = 1e3 * float(np.linalg.norm(place - truth["position"]))
    return round(away, 2), round(math.degrees(rotation_error(turn, truth["rotation"], symmetry)), 2)


def episodes(job: tuple[argparse.Namespace, str]) -> dict[str, list[dict[str, Any]]]:
    """All episodes of one object, by suite."""
    args, name = job
    torch.set_num_threads(1)
    rows = {}
    for suite, (watchful, pushed) in SUITES.items():
        agent = agent_of(args.columns, watchful, args.maps)
        rows[suite] = [play(agent, name, seed, pushed) for seed in args.seeds]
    return rows


def summary(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Figures of the pushed episodes in which the object moved by STIRRED or more."""
    there = [row for row in rows if row["moved_mm"] >= STIRRED]
    after = [next((look - BEFORE for look in row["alarms"] if look > BEFORE), None) for row in there]
    noticed = [n for n in after if n is not None]
    early = sum(look <= BEFORE for row in rows for look in row["alarms"])
    late = sum(max(0, sum(look > BEFORE for look in row["alarms"]) - 1) for row in there)

    def median(name: str, look: int) -> float:
        return round(float(np.median([row[name][look] for row in there])), 2)

    return {
        "episodes": len(there), "moved_less": len(rows) - len(there), "noticed": len(noticed) / len(there),
        "noticed_after_median": float(np.median(noticed)) if noticed else None,
        "noticed_after_p90": float(np.quantile(noticed, 0.9)) if noticed else None,
        "false_alarms_per_100_before": 100 * early / (BEFORE * len(rows)),
        "further_alarms_per_100": 100 * late / (AFTER * len(there)),
        "before_mm": median("error_mm", BEFORE - 1), "before_deg": median("error_deg", BEFORE - 1),
        "stale_mm": round(float(np.median([row["stale"][0] for row in there])), 2),
        "stale_deg": round(float(np.median([row["stale"][1] for row in there])), 2),
        "end_mm": median("error_mm", -1), "end_deg": median("error_deg", -1),
        "end_p90_mm": round(float(np.quantile([row["error_mm"][-1] for row in there], 0.9)), 2),
        "found_again": sum(row["error_mm"][-1] <= FOUND for row in there) / len(there),
        "right_object": sum(row["answer"] == row["object"] for row in there) / len(there),
    }  # fmt: skip


def figures(rows: dict[str, list[dict[str, Any]]]) -> dict[str, Any]:
    """The summaries of the pushed episodes, and false alarms of those without a push."""
    calm = rows["control"]
    alarms = sum(len(row["alarms"]) for row in calm)
    control = {
        "episodes": len(calm), "false_alarms_per_100": 100 * alarms / ((BEFORE + AFTER) * len(calm)),
        "end_mm": round(float(np.median([row["error_mm"][-1] for row in calm])), 2),
        "end_deg": round(float(np.median([row["error_deg"][-1] for row in calm])), 2),
        "right_object": sum(row["answer"] == row["object"] for row in calm) / len(calm),
    }  # fmt: skip
    return {"watchful": summary(rows["watchful"]), "blind": summary(rows["blind"]), "control": control}


def main() -> None:
    args = arguments()
    torch.set_num_threads(1)
    experiment = experiment_of(args.columns, True)
    names = tuple(args.objects or shared_catalogue(experiment.world.objects).names)
    agent_of(args.columns, True, args.maps)  # learns what the folder lacks
    rows: dict[str, list[dict[str, Any]]] = {suite: [] for suite in SUITES}
    with ProcessPoolExecutor(args.workers) as pool:
        jobs = [(args, name) for name in names]
        for done in track(pool.map(episodes, jobs), "objects", total=len(jobs)):
            for suite in rows:
                rows[suite] += done[suite]
    found = figures(rows)
    head = {
        "command": "python benchmarks/pushing.py" + (f" --columns {args.columns}" if args.columns != 5 else ""),
        "commit": commit(), "versions": {p: version(p) for p in PACKAGES},
        "machine": f"{platform.machine()}, {platform.system()}, Python {platform.python_version()}", "threads": 1,
        "seeds": args.seeds, "columns": args.columns, "looks": [BEFORE, AFTER], "summary": found,
    }  # fmt: skip
    lines = ",\n".join(json.dumps({"suite": suite, **row}) for suite, some in rows.items() for row in some)
    args.output.write_text(json.dumps(head, indent=1)[:-2] + ',\n "rows": [\n' + lines + "\n]}\n")
    print(json.dumps(found))


if __name__ == "__main__":
    main()
