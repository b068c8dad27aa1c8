"""What a motor policy learns: PPO on the belief of one column against random saccades, on poses never met.

    python benchmarks/policy_learning.py --maps runs/learn

Trains by demos/train_policy.py (seeds of 100 and above) unless a trained --policy is given, then plays the episodes of
the README's protocol (seeds 0, 1, 2; 10 rotations of each of 24 objects) with every policy at the same poses. To tell
what was learnt from what the orbit action brings along, two more are played: uniformly random orbit actions, and the
network before training (the zero action and its noise). Intervals are percentile bootstraps over the pairs. The last
line printed is one JSON object with the figures; --install keeps the policy as the package's own.
"""

import argparse
import json
import math
import platform
import shutil
import subprocess
import sys
from concurrent.futures import ProcessPoolExecutor
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import torch
from provenance import commit
from scipy.stats import bootstrap
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from cortical.agents.active import ActiveRecognitionEnv
from cortical.agents.agent import Agent
from cortical.agents.policies import InformationGain, Learned, Policy, Saccade, Situation
from cortical.agents.policies.learned import SHIPPED, PolicyNetwork, load_policy
from cortical.agents.policies.orbit import orbit_action, pose_after
from cortical.agents.records import PACKAGES
from cortical.agents.rollout import play
from cortical.columns.messages import Goal
from cortical.columns.storage import write_whole

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "benchmarks" / "results"
BASELINE = "random saccades"


class RandomOrbit:
    """Uniformly random orbit actions."""

    def goals(self, situation: Situation, random: np.random.Generator) -> list[Goal]:
        place, gaze = pose_after(situation, orbit_action(situation, random.uniform(-1, 1, 5)))
        origin, target = torch.from_numpy(place[None]), torch.from_numpy((place + gaze)[None])
        return [Goal(origin, target, torch.zeros(1), "a random step")]


def policies(file: Path) -> dict[str, Policy]:
    """All that are compared."""
    trained = load_policy(file)
    width = sum(trained.fields.values())
    # what Stable-Baselines3 starts from, but for weights a hundred times smaller than the noise
    untrained = PolicyNetwork(((torch.zeros(5, width), torch.zeros(5)),), torch.full((5,), -1.0), trained.fields)
    return {
        BASELINE: Saccade(), "random orbit actions": RandomOrbit(), "before training": Learned(untrained),
        "information gain": InformationGain(), "PPO": Learned(trained),
    }  # fmt: skip


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--maps", default="runs/learn", help="run folder with maps; what it lacks is learnt")
    parser.add_argument("--policy", type=Path, help="a policy file that demos/train_policy.py wrote; none: train one")
    parser.add_argument("--train-seed", type=int, default=100)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2], help="held out: 0 1 2; tune on 100 and up")
    parser.add_argument("--rotations", type=int, default=10, help="poses of each object and seed")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--output", type=Path, default=RESULTS / "policy_learning.json")
    parser.add_argument("--install", action="store_true", help="keep the policy as the one that the package brings")
    return parser.parse_args()


def train(args: argparse.Namespace) -> Path:
    """A policy by the demo, as anybody would."""
    out = Path("runs/policy") / str(args.train_seed)
    shutil.rmtree(out, ignore_errors=True)
    command = [sys.executable, str(ROOT / "demos" / "train_policy.py"), "--maps", args.maps, "--out", str(out)]
    subprocess.run([*command, "--seed", str(args.train_seed), "--held-out", str(args.train_seed + 50)], check=True)
    return out / "policy.safetensors"


@lru_cache(maxsize=1)
def agent_of(maps: str) -> Agent:
    """The agent of this process, made once."""
    torch.set_num_threads(1)
    return ActiveRecognitionEnv(maps=maps).agent


def episodes(job: tuple[str, str, Policy, tuple[int, ...], int]) -> list[dict[str, Any]]:
    """All episodes of one object with one policy."""
    maps, name, policy, seeds, rotations = job
    agent = agent_of(maps)
    agent.policy = policy
    records = [play(agent, name, s, r, traced=False) for s in seeds for r in range(rotations)]
    return [
        {"sensations": r.sensations, "right": r.answer == r.object, "rotation_error_deg": r.rotation_error_deg}
        for r in records
    ]


def played(args: argparse.Namespace, file: Path) -> dict[str, list[dict[str, Any]]]:
    """Rows of every policy, in the same order of objects, seeds and rotations."""
    names = ActiveRecognitionEnv(maps=args.maps).objects
    found: dict[str, list[dict[str, Any]]] = {}
    with ProcessPoolExecutor(args.workers) as pool:
        for label, policy in policies(file).items():
            jobs = [(args.maps, name, policy, tuple(args.seeds), args.rotations) for name in names]
            found[label] = [row for rows in pool.map(episodes, jobs) for row in rows]
            print(f"{label}: {np.mean([row['sensations'] for row in found[label]]):.2f} sensations", flush=True)
    return found


def summary(rows: list[dict[str, Any]], baseline: list[dict[str, Any]]) -> dict[str, Any]:
    """Figures of one policy, and its differences from the baseline, pair by pair."""
    count, right, error = (np.array([row[k] for row in rows], float) for k in rows[0])
    their_count, their_right, _ = (np.array([row[k] for row in baseline], float) for k in rows[0])
    figures = {
        "episodes": len(rows), "sensations_mean": count.mean(), "sensations_median": np.median(count),
        "sensations_p95": np.percentile(count, 95), "correct": right.mean(),
        "rotation_error_median_deg": np.median(error),
    }  # fmt: skip
    if rows is not baseline:
        figures |= {"difference": (count - their_count).mean(), "difference_interval": interval(count - their_count)}
        figures |= {"correct_difference_interval": interval(right - their_right)}
    return {k: [float(f"{x:.4g}") for x in v] if isinstance(v, list) else float(f"{v:.4g}") for k, v in figures.items()}


def interval(differences: np.ndarray) -> list[float]:
    """95 % of the mean."""
    return list(bootstrap((differences,), np.mean, method="percentile", rng=0).confidence_interval)


def curve(folder: Path) -> list[tuple[int, float]]:
    """Steps trained, and the mean length of the last 100 episodes then, from TensorBoard's file."""
    (events,) = folder.glob("PPO_*")
    read = EventAccumulator(str(events))
    read.Reload()
    return [(event.step, round(event.value + 1, 2)) for event in read.Scalars("rollout/ep_len_mean")]


def picture(points: list[tuple[int, float]], figures: dict[str, dict[str, Any]], file: Path) -> None:
    """The learning curve, with the means of all policies on the held-out poses as lines."""
    fig, ax = plt.subplots(figsize=(7.2, 3.8), layout="constrained")
    ax.plot(*zip(*points, strict=True), color="#0072B2", lw=1.8)
    ax.text(points[-1][0] / 2, 7.5, "in training, last 100 episodes", color="#0072B2", ha="center")
    lowest, styles = math.inf, dict(zip(figures, (":", "-.", (0, (1, 3)), "--", "-"), strict=True))
    for label, found in sorted(figures.items(), key=lambda item: -item[1]["sensations_mean"]):
        mean, colour = found["sensations_mean"], "#D55E00" if label == "PPO" else "0.35"
        ax.axhline(mean, color=colour, ls=styles[label], lw=1.2)
        lowest = min(mean, lowest - 1.0)  # labels keep apart
        ax.text(1.01, lowest, f"{label}: {mean:.1f}", color=colour, transform=ax.get_yaxis_transform(), va="center")
    ax.set(xlabel="movements trained on", ylabel="sensations to a decision, mean", ylim=(0, None), xlim=(0, None))
    ax.spines[["top", "right"]].set_visible(False)
    fig.savefig(file, dpi=120, metadata={"Software": None})


def main() -> None:
    args = arguments()
    torch.set_num_threads(1)
    file = args.policy or train(args)
    rows = played(args, file)
    figures = {label: summary(found, rows[BASELINE]) for label, found in rows.items()}
    points = curve(file.parent)
    result = {
        "command": f"python benchmarks/policy_learning.py --train-seed {args.train_seed}", "commit": commit(),
        "versions": {p: version(p) for p in (*PACKAGES, "stable-baselines3")},
        "machine": f"{platform.machine()}, {platform.system()}, Python {platform.python_version()}", "threads": 1,
        "trained": load_policy(file).extra, "seeds": args.seeds, "rotations": args.rotations, "figures": figures,
        "curve": points, "sensations": {label: [r["sensations"] for r in found] for label, found in rows.items()},
        "wrong": {label: [i for i, r in enumerate(found) if not r["right"]] for label, found in rows.items()},
    }  # fmt: skip
    write_whole(args.output, (json.dumps(result) + "\n").encode())
    picture(points, figures, args.output.with_suffix(".png"))
    if args.install:
        write_whole(SHIPPED, file.read_bytes())
    print(json.dumps({"policy": figures["PPO"], "baseline": figures[BASELINE]}))


if __name__ == "__main__":
    main()
