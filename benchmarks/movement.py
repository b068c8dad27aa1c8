"""Motor policies side by side, by one protocol: the same objects, poses, starts, noise, limits and odds for all.

    python benchmarks/movement.py --objects $YCB

Three kinds of figures: the world of symbols, where all is exact (movement_symbolic.py); what it takes to learn a map
(movement_learning.py); and how many sensations recognition takes, by policy. Episodes are paired; ratios of means have
95 % intervals by a bootstrap over the pairs. Episodes are those of recognition.py's result files, played if there are
none, which takes hours for all; those of variants are kept in --kept. Without --objects the suites of scans are left
out. Writes benchmarks/results/movement.json and a picture for the guide; the last line printed is one JSON object with
the figures.
"""

import argparse
import json
import platform
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import movement_learning
import movement_symbolic
import numpy as np
import recognition
import torch
from provenance import commit
from scipy.stats import bootstrap

from cortical.agents.policies import Policy, Situation
from cortical.agents.records import PACKAGES
from cortical.agents.rollout import play
from cortical.columns.messages import Goal
from cortical.columns.storage import write_whole

OURS, SURFACE, RANDOM = "information_gain", "surface_follow", "saccade"
EVERYWHERE = (OURS, SURFACE, RANDOM)
VARIANTS: dict[str, dict[str, Any]] = {
    "information": {"score": "information"}, "free_energy": {"score": "free_energy", "preference": 1.0},
    "two_ahead": {"ahead": 2}, "not_weary": {"weary": 0.0},
}  # fmt: skip
"""Information gain by another score, two movements ahead, and without inhibition of return."""
ELSEWHERE = ("salience", "disagreement", "learned", *VARIANTS)
"""Compared on `default` alone."""
NAMES = {
    OURS: "information gain", SURFACE: "surface following", RANDOM: "random saccades", "salience": "salience",
    "disagreement": "most disagreeing pair", "learned": "learnt by PPO", "information": "nats instead of odds",
    "free_energy": "free energy, prefers to meet something", "two_ahead": "two movements ahead",
    "not_weary": "without inhibition of return",
}  # fmt: skip
BARS = {
    "passive_max_rel_error": 0.02, "symbolic_F5": 3.20, "symbolic_F10": 2.45, "symbolic_F20": 2.03,
    "symbolic_F30": 2.00, "vs_surface_sensations": 0.6, "vs_surface_path": 0.7, "vs_random_sensations": 0.75,
    "similar_vs_random": 0.6, "similar_p95_vs_random": 0.5, "choose_ms_median": 5.0, "learning_vs_random": 0.5,
}  # fmt: skip
PICTURE = Path(__file__).parents[1] / "demos" / "guide" / "movement.png"
SEEDS = [0, 1, 2]
Rows = list[dict[str, Any]]


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--objects", help="folder of meshes in the YCB layout, for the ycb suites")
    parser.add_argument("--maps", type=Path, default=Path("runs/maps"), help="where learnt maps are kept")
    parser.add_argument("--kept", type=Path, default=Path("runs/movement"), help="where episodes of variants are kept")
    parser.add_argument("--output", type=Path, default=recognition.RESULTS / "movement.json")
    parser.add_argument("--workers", type=int, default=2)
    return parser.parse_args()


def seeds_of(suite: str, policy: str) -> list[int]:
    """The published seeds; the first alone where episodes are many or the figure has no bar."""
    return SEEDS if suite != "ycb77" and policy in EVERYWHERE else SEEDS[:1]


def settings(args: argparse.Namespace, suite: str, policy: str) -> argparse.Namespace:
    """The arguments of `recognition.py` for a suite and a policy; variants have files of their own."""
    variant = policy in VARIANTS
    return argparse.Namespace(
        suite=suite, condition="noise", columns=1, fingers=0, policy=OURS if variant else policy, features="surface",
        backend="rays", topology="all-to-all", objects=args.objects if suite.startswith("ycb") else None,
        seeds=seeds_of(suite, policy), rotations=None, maps=args.maps, workers=args.workers,
        moves=VARIANTS.get(policy, {}), output=args.kept / f"{suite}-{policy}.json" if variant else None,
    )  # fmt: skip


def played(args: argparse.Namespace, suite: str, policy: str) -> Rows:
    """One row for every episode, in the same order whatever the policy: of the result file, if there is one."""
    how = settings(args, suite, policy)
    file = recognition.output_of(how)
    result = json.loads(file.read_text()) if file.exists() else recognition.run(how)
    if not set(how.seeds) <= set(result["seeds"]):
        raise SystemExit(f"{file} has seeds {result['seeds']}, but {how.seeds} are needed: move it away, and run again")
    rows = sorted(result["rows"], key=lambda row: (row["object"], row["seed"], row["rotation_index"]))
    return [row | {"right": row["answer"] == row["object"]} for row in rows]


def paired(ours: Rows, theirs: Rows) -> tuple[Rows, Rows]:
    """The episodes that both have."""

    def key(row: dict[str, Any]) -> tuple:
        return row["object"], row["seed"], row["rotation_index"]

    both = {key(row) for row in ours} & {key(row) for row in theirs}
    return [row for row in ours if key(row) in both], [row for row in theirs if key(row) in both]


def column(rows: Rows, key: str) -> np.ndarray:
    return np.array([row[key] for row in rows], float)


def ratio(ours: Rows, theirs: Rows, key: str) -> dict[str, Any]:
    """Mean over mean, with its interval."""
    pairs = tuple(column(rows, key) for rows in paired(ours, theirs))

    def of_means(a: np.ndarray, b: np.ndarray, axis: int) -> np.ndarray:
        return a.mean(axis) / b.mean(axis)

    found = bootstrap(pairs, of_means, paired=True, vectorized=True, method="percentile", rng=0).confidence_interval
    return {"ratio": float(pairs[0].mean() / pairs[1].mean()), "interval": [float(found.low), float(found.high)]}


def summary(rows: Rows) -> dict[str, float]:
    count, turned = column(rows, "sensations"), column([r for r in rows if r["right"]], "rotation_error_deg")
    return {
        "episodes": len(rows), "correct": float(column(rows, "right").mean()), "sensations_mean": float(count.mean()),
        "sensations_median": float(np.median(count)), "sensations_p95": float(np.percentile(count, 95)),
        "path_m_mean": float(column(rows, "path_m").mean()), "rotation_error_median_deg": float(np.median(turned)),
        "within_10deg": float((turned <= 10).mean()),
    }  # fmt: skip


def scores(rows: dict[str, Rows]) -> dict[str, dict[str, float]]:
    """The information policy and its variants on the episodes that all of them had."""
    few = paired(rows[OURS], rows[next(iter(VARIANTS))])[0]
    return {OURS: summary(few)} | {name: summary(rows[name]) for name in VARIANTS}


class Timed:
    """A policy whose choices are timed."""

    def __init__(self, policy: Policy) -> None:
        self.policy, self.seconds = policy, []

    def goals(self, situation: Situation, random: np.random.Generator) -> list[Goal]:
        start = time.process_time()
        goals = self.policy.goals(situation, random)
        self.seconds.append(time.process_time() - start)
        return goals


def choosing_ms(args: argparse.Namespace, suite: str) -> float:
    """Median CPU time of a choice, with all objects of the suite known."""
    agent = recognition.agent_of(settings(args, suite, OURS))
    agent.policy = timed = Timed(agent.policy)
    for name in agent.region.objects[::4]:
        play(agent, name, 100, traced=False)
    return 1e3 * float(np.median(timed.seconds))


def compared(rows: dict[str, dict[str, Rows]]) -> dict[str, Any]:
    """The figures of recognition: the worst suite counts."""
    pairs = {
        suite: {f"{other}_{key}": ratio(some[OURS], some[other], key) for other in (SURFACE, RANDOM)
                for key in ("sensations", "path_m")}
        for suite, some in rows.items()
    }  # fmt: skip

    def worst(name: str) -> float:
        return max(found[name]["ratio"] for found in pairs.values())

    figures = {
        "vs_surface_sensations": worst(f"{SURFACE}_sensations"), "vs_surface_path": worst(f"{SURFACE}_path_m"),
        "vs_random_sensations": worst(f"{RANDOM}_sensations"),
    }  # fmt: skip
    if "ycb10similar" in rows:
        ours, theirs = (np.percentile(column(rows["ycb10similar"][p], "sensations"), 95) for p in (OURS, RANDOM))
        figures["similar_vs_random"] = pairs["ycb10similar"][f"{RANDOM}_sensations"]["ratio"]
        figures["similar_p95_vs_random"] = float(ours / theirs)
    return {"figures": figures, "pairs": pairs}


def picture(rows: dict[str, dict[str, Rows]], file: Path) -> None:
    """How many episodes were decided after so many sensations, by policy."""
    fig, axes = plt.subplots(1, len(rows), figsize=(4.2 * len(rows), 3.4), layout="constrained", squeeze=False)
    colours = dict(zip((OURS, SURFACE, RANDOM, "salience", "disagreement", "learned"),
                       ("#D55E00", "#0072B2", "#777777", "#009E73", "#CC79A7", "#E69F00"), strict=True))  # fmt: skip
    for ax, (suite, some) in zip(axes[0], rows.items(), strict=True):
        for policy, colour in colours.items():
            if policy in some:
                decided = [row for row in some[policy] if row["answer"] is not None]
                count, share = np.sort(column(decided, "sensations")), 100 / len(some[policy])
                ax.step(count, share * np.arange(1, len(count) + 1), color=colour, label=NAMES[policy])
        ax.set(title=suite, xscale="log", xlabel="sensations", xlim=(2, 500), ylim=(0, 101))
        ax.spines[["top", "right"]].set_visible(False)
    axes[0, 0].set_ylabel("episodes decided (%)")
    axes[0, 0].legend(frameon=False, fontsize=8, loc="lower right")
    fig.savefig(file, dpi=120, metadata={"Software": None})


def main() -> None:
    args = arguments()
    torch.set_num_threads(1)
    suites = ("default", *(("ycb10similar", "ycb77") if args.objects else ()))
    rows = {suite: {policy: played(args, suite, policy) for policy in EVERYWHERE} for suite in suites}
    rows["default"] |= {policy: played(args, "default", policy) for policy in ELSEWHERE}
    found = compared(rows)
    figures = movement_symbolic.figures() | found["figures"]
    figures["choose_ms_median"] = choosing_ms(args, suites[-1])
    figures |= movement_learning.figures()
    figures = {key: round(float(figures[key]), 4) for key in BARS if key in figures}
    result = {
        "command": "python benchmarks/movement.py" + (" --objects $YCB" if args.objects else ""), "commit": commit(),
        "versions": {p: version(p) for p in PACKAGES},
        "machine": f"{platform.machine()}, {platform.system()}, Python {platform.python_version()}", "threads": 1,
        "seeds": SEEDS, "bars": BARS, "figures": figures, "pairs": found["pairs"], "names": NAMES,
        "variants": list(VARIANTS),
        "scores": scores(rows["default"]),
        "policies": {suite: {p: summary(r) for p, r in some.items()} for suite, some in rows.items()},
        "sensations": {s: {p: [r["sensations"] for r in x] for p, x in some.items()} for s, some in rows.items()},
    }  # fmt: skip
    write_whole(args.output, (json.dumps(result) + "\n").encode())
    picture(rows, PICTURE)
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
