"""What it takes to learn: glances until the maps support recognition, by coverage and by a random walk.

    python benchmarks/movement_learning.py

Every object of `default` is learnt by moving freely (learn.movement, 25 patches, the same start, limits and map code
for both movers), and its map is taken after several numbers of glances. With the maps of each number, objects are
recognised under noise by one column and information gain; an episode without a decision after 100 sensations counts as
not right. `glances_to_99` is where the share of right episodes, made monotone by isotonic regression and interpolated
linearly in the logarithm of the glances, crosses 99 %. Where the random walk never does, its last number stands, so
that the ratio is an upper bound. Its interval is a bootstrap over the episodes, paired between movers.

Writes benchmarks/results/movement_learning.json; its last line of output is one JSON object.
"""

import argparse
import json
import math
import platform
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from provenance import commit
from rich.progress import track
from scipy.optimize import isotonic_regression

from cortical.agents.brain import build_region
from cortical.agents.learning import Learner
from cortical.agents.records import PACKAGES
from cortical.agents.rollout import make_agent, play
from cortical.columns.object_map import ObjectMap
from cortical.columns.storage import write_whole
from cortical.configs.load import load
from cortical.configs.schema import Experiment, Learning

RESULT = Path(__file__).parent / "results" / "movement_learning.json"
COMMAND = "python benchmarks/movement_learning.py"
BUDGETS: dict[Learning, tuple[int, ...]] = {"coverage": (27, 40, 60, 90), "random_walk": (90, 130, 190, 280)}
"""Glances after which a map is taken."""
WANTED = 0.99
ROTATIONS, LONGEST, DRAWS = 2, 100, 2000


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2], help="published: 0 1 2; tune on 100 and up")
    parser.add_argument("--output", type=Path, default=RESULT)
    parser.add_argument("--workers", type=int, default=2)
    return parser.parse_args()


def experiment_of(movement: Learning, seed: int) -> Experiment:
    """One column, noise, information gain; objects learnt by this mover."""
    base = load()
    learn = replace(base.learn, movement=movement, glances=BUDGETS[movement][-1])
    return replace(base, learn=learn, decision=replace(base.decision, max_sensations=LONGEST), seed=seed)


def grown(experiment: Experiment) -> list[dict[str, ObjectMap]]:
    """The maps of all objects after each number of glances."""
    learner, budgets = Learner(experiment), BUDGETS[experiment.learn.movement]
    names = learner.env.objects
    maps = zip(*[list(learner.growing(name, budgets)) for name in names], strict=True)
    found = [dict(zip(names, some, strict=True)) for some in maps]
    learner.env.close()
    return found


def measured(job: tuple[Learning, int]) -> list[dict[str, Any]]:
    """For one mover and seed, a row for each number of glances: size of the maps, and of each episode in the same
    order whether it was right and how many sensations it took."""
    torch.set_num_threads(1)
    experiment, rows = experiment_of(*job), []
    for budget, maps in zip(BUDGETS[job[0]], grown(experiment), strict=True):
        agent = make_agent(experiment, build_region(experiment, maps))
        played = [play(agent, name, job[1], r, traced=False) for name in maps for r in range(ROTATIONS)]
        agent.env.close()
        rows.append({
            "movement": job[0], "seed": job[1], "glances": budget,
            "nodes_mean": sum(map(len, maps.values())) / len(maps),
            "right": [p.answer == p.object for p in played], "sensations": [p.sensations for p in played],
            "undecided": sum(p.answer is None for p in played),
        })  # fmt: skip
    return rows


def crossing(glances: tuple[int, ...], correct: np.ndarray) -> float:
    """Glances at which the monotone fit to the shares of right episodes crosses 99 %; infinite if it never does, and
    the first number if it is there already."""
    fit = isotonic_regression(correct).x
    if fit[-1] < WANTED:
        return math.inf
    after = int(np.argmax(fit >= WANTED))
    if after == 0:
        return float(glances[0])
    (low, high), (first, last) = fit[after - 1 : after + 1], np.log(glances[after - 1 : after + 1])
    return float(np.exp(first + (WANTED - low) / (high - low) * (last - first)))


def ratio(correct: dict[Learning, np.ndarray]) -> float:
    """Glances by coverage over glances by the random walk, of (budgets, episodes) right or not."""
    needed = {m: crossing(BUDGETS[m], right.mean(1)) for m, right in correct.items()}
    return needed["coverage"] / min(needed["random_walk"], BUDGETS["random_walk"][-1])


def summarised(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Curves, glances needed, and their ratio with its interval."""
    correct: dict[Learning, np.ndarray] = {
        m: np.array([[x for r in rows if (r["movement"], r["glances"]) == (m, b) for x in r["right"]] for b in budgets])
        for m, budgets in BUDGETS.items()
    }
    random, count = np.random.default_rng(0), correct["coverage"].shape[1]
    picks = (random.integers(count, size=count) for _ in range(DRAWS))
    ratios = [ratio({m: right[:, pick] for m, right in correct.items()}) for pick in picks]
    needed = {m: crossing(BUDGETS[m], right.mean(1)) for m, right in correct.items()}
    interval = np.quantile(ratios, [0.025, 0.975], method="nearest")
    return {
        "learning_vs_random": _finite(ratio(correct)), "interval": [_finite(x) for x in interval],
        "glances_to_99": {m: _finite(x) for m, x in needed.items()}, "episodes": count,
        "correct": {
            m: {b: round(float(x), 4) for b, x in zip(BUDGETS[m], right.mean(1), strict=True)}
            for m, right in correct.items()
        },
    }  # fmt: skip


def figures() -> dict[str, float]:
    """The figure with a bar, from the result file. RuntimeError if it lacks one."""
    found = json.loads(RESULT.read_bytes()) if RESULT.exists() else {}
    value = found.get("summary", {}).get("learning_vs_random")
    if value is None:
        raise RuntimeError(f"no figure in {RESULT}: run `{COMMAND}` first (about ten minutes)")
    return {"learning_vs_random": float(value)}


def _finite(number: float) -> float | None:
    return round(float(number), 4) if math.isfinite(number) else None


def main() -> None:
    args = arguments()
    jobs = [(movement, seed) for seed in args.seeds for movement in BUDGETS]
    with ProcessPoolExecutor(args.workers) as pool:
        rows = [row for done in track(pool.map(measured, jobs), "learn and recognise", total=len(jobs)) for row in done]
    summary = summarised(rows)
    result = {
        "command": COMMAND, "commit": commit(), "versions": {p: version(p) for p in PACKAGES},
        "machine": f"{platform.machine()}, {platform.system()}, Python {platform.python_version()}", "threads": 1,
        "seeds": args.seeds, "rotations": ROTATIONS, "max_sensations": LONGEST, "summary": summary, "rows": rows,
    }  # fmt: skip
    write_whole(args.output, (json.dumps(result) + "\n").encode())
    print(json.dumps(summary))


if __name__ == "__main__":
    main()
