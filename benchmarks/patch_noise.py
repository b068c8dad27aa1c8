"""Recognition while what a patch looks like is drowned in noise: surface features, sparse codes, and both.

    python benchmarks/patch_noise.py
    python benchmarks/patch_noise.py --suite ycb10similar --objects YCB

Noise on colour and curvature is multiplied by 0, 1, 2, 4 and 8 (`eye.patch_noise`); location and normal keep theirs,
and so does what a column holds its sensor for: it isn't told. One column, information gain, the same poses and starts
for all. Features: surface (curvature and colour, each with its likelihood), sdr (the fixed sparse code), sdr-learnt
(the code learnt from a first look at the objects, without noise and with 1, 2 and 4 times the noise) and both-learnt
(surface and the learnt code). No code was learnt with 8 times; surface's noise model is that of once the noise.

Correct is an episode that ends with the right name; one that is undecided after --most sensations isn't. Differences
are paired by episode, their 95 % intervals by resampling episodes. Two bars: the learnt code loses less from no noise
to 8 times than surface does; both-learnt isn't worse than surface or sdr-learnt anywhere by a 95 % interval.

What is published is small, an episode an object: intervals are wide. A run that was cut off goes on where it was.
Writes benchmarks/results/patch_noise-SUITE.json and .png; the last line is one JSON object: the shares correct.
"""

import argparse
import io
import json
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import recognition
import torch
from replaying import Job, Row, published

from cortical.agents.agent import Agent
from cortical.agents.brain import build_region
from cortical.agents.metrics import wilson
from cortical.agents.rollout import make_agent, play
from cortical.columns.region import Region
from cortical.columns.storage import write_whole
from cortical.configs.schema import Experiment
from cortical.envs.sensors import shared_catalogue

LEVELS = (0.0, 1.0, 2.0, 4.0, 8.0)
KINDS = {
    "surface": ("surface", "fixed"), "sdr": ("sdr", "fixed"), "sdr-learnt": ("sdr", "learnt"),
    "both-learnt": ("both", "learnt"),
}  # fmt: skip
"""column.features and column.code"""
BOTH, DRAWS = "both-learnt", 10_000
COLOURS = dict(zip(KINDS, ("#0072B2", "#999999", "#D55E00", "#009E73"), strict=True))


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--suite", default="default", choices=["default", *recognition.SUITES])
    parser.add_argument("--objects", help="folder of meshes in the YCB layout, for the ycb suites")
    parser.add_argument("--levels", type=float, nargs="+", default=list(LEVELS), help="times the noise (0 1 2 4 8)")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0], help="an episode an object and seed (0)")
    parser.add_argument("--most", type=int, default=60, dest="at_most", help="sensations an episode at most (60)")
    parser.add_argument("--maps", type=Path, default=Path("runs/maps"), help="where learnt maps are kept")
    parser.add_argument("--output", type=Path, help="result file; .png beside it")
    parser.add_argument("--workers", type=int, default=1)
    args = parser.parse_args()
    args.output = args.output or recognition.RESULTS / f"patch_noise-{args.suite}.json"
    fixed = {"condition": "noise", "columns": 1, "fingers": 0, "policy": "information_gain", "backend": "rays"}
    more = {"topology": "all-to-all", "moves": {}, "rotations": None, "few": False, "features": "surface"}
    return argparse.Namespace(**vars(args) | fixed | more)


def experiment_of(args: argparse.Namespace, kind: str, level: float) -> Experiment:
    """The configuration of one curve's point."""
    features, code = KINDS[kind]
    base = recognition.experiment_of(args)
    return replace(
        base,
        eye=replace(base.eye, patch_noise=level),
        column=replace(base.column, features=features, code=code),
        decision=replace(base.decision, max_sensations=args.at_most),
    )


@lru_cache(maxsize=1)
def region_of(experiment: Experiment, root: Path) -> Region:
    """The columns that know all objects, made once a kind."""
    return build_region(experiment, recognition.learnt_maps(root, experiment))


def agent_of(args: argparse.Namespace, kind: str, level: float) -> Agent:
    """The agent of one curve's point; its columns don't know the level."""
    region = region_of(experiment_of(args, kind, 1.0), args.maps)
    return make_agent(experiment_of(args, kind, level), region)


def episodes(job: Job) -> list[Row]:
    """All levels of one kind of features for one object."""
    kind, args, name = job
    torch.set_num_threads(1)
    rows = []
    for level in args.levels:
        agent = agent_of(args, kind, level)
        for seed in args.seeds:
            one = play(agent, name, seed, traced=False)
            rows.append(
                {
                    "kind": kind, "level": level, "object": name, "seed": seed, "answer": one.answer,
                    "best_guess": one.best_guess, "sensations": one.sensations,
                }
            )  # fmt: skip
        agent.env.close()
    return rows


def table(rows: list[Row], kind: str, level: float) -> list[Row]:
    """Rows of one point, in the order of episodes."""
    some = [row for row in rows if (row["kind"], row["level"]) == (kind, level)]
    return sorted(some, key=lambda row: (row["object"], row["seed"]))


def right(rows: list[Row], kind: str, level: float) -> np.ndarray:
    """Whether each episode of a point ended with the right name, 0 or 1."""
    return np.array([row["answer"] == row["object"] for row in table(rows, kind, level)], float)


def taken(rows: list[Row], kind: str, level: float) -> np.ndarray:
    """Sensations of each episode of a point."""
    return np.array([row["sensations"] for row in table(rows, kind, level)], float)


def interval(differences: np.ndarray) -> list[float]:
    """The mean of paired differences and its 95 % interval."""
    drawn = np.random.default_rng(0).integers(len(differences), size=(DRAWS, len(differences)))
    low, high = np.percentile(differences[drawn].mean(1), [2.5, 97.5])
    return [float(differences.mean()), float(low), float(high)]


def summary(rows: list[Row]) -> dict:
    """Shares correct, sensations, differences with intervals, and whether the bars are met."""
    levels = sorted({row["level"] for row in rows})
    points = {}
    for kind in KINDS:
        for level in levels:
            some, good = table(rows, kind, level), right(rows, kind, level)
            guess = np.mean([row["best_guess"] == row["object"] for row in some])
            points[f"{kind} {level:g}"] = {
                "correct": float(good.mean()), "interval": list(wilson(int(good.sum()), len(good))),
                "best_guess": float(guess), "undecided": float(np.mean([row["answer"] is None for row in some])),
                "sensations_median": float(np.median([row["sensations"] for row in some])), "episodes": len(some),
            }  # fmt: skip
    others = [(f"{kind} {level:g}", kind, level) for kind in KINDS for level in levels if kind != BOTH]
    against = {name: interval(right(rows, BOTH, level) - right(rows, kind, level)) for name, kind, level in others}
    slower = {name: interval(taken(rows, BOTH, level) - taken(rows, kind, level)) for name, kind, level in others}
    lost = {kind: right(rows, kind, levels[0]) - right(rows, kind, levels[-1]) for kind in KINDS}
    flatter = interval(lost["surface"] - lost["sdr-learnt"])
    worse = [name for name, (_, _, high) in against.items() if high < 0 and not name.startswith("sdr ")]
    bars = {"learnt code flatter than surface": flatter[1] > 0, "both nowhere worse than either": not worse}
    return {
        "points": points, "both_minus": against, "both_minus_sensations": slower,
        "lost": {kind: float(some.mean()) for kind, some in lost.items()},
        "surface_loses_more_than_sdr_learnt_by": flatter, "both_worse_at": worse, "bars": bars,
    }  # fmt: skip


def picture(found: dict, rows: list[Row], suite: str) -> bytes:
    """Share correct and sensations against noise, and what both has over each."""
    fig, axes = plt.subplots(1, 3, figsize=(12, 3.4), layout="constrained")
    levels = sorted({row["level"] for row in rows})
    at = np.arange(len(levels))
    for k, (kind, colour) in enumerate(COLOURS.items()):
        points = [found["points"][f"{kind} {level:g}"] for level in levels]
        x = at + 0.06 * (k - 1.5)
        share = np.array([100 * point["correct"] for point in points])
        low, high = (np.array([100 * point["interval"][side] for point in points]) for side in (0, 1))
        axes[0].errorbar(x, share, np.maximum([share - low, high - share], 0), fmt="o-", color=colour, ms=4, lw=1.4)
        axes[1].plot(at, [point["sensations_median"] for point in points], "o-", color=colour, ms=4, label=kind)
        if kind != BOTH:
            gain = 100 * np.array([found["both_minus"][f"{kind} {level:g}"] for level in levels])
            spread = np.maximum([gain[:, 0] - gain[:, 1], gain[:, 2] - gain[:, 0]], 0)
            axes[2].errorbar(x, gain[:, 0], spread, fmt="o", color=colour, ms=4, label=f"less {kind}")
    axes[2].axhline(0, color="0.6", lw=0.8)
    axes[0].set(title=f"{suite}: correct, %", ylim=(0, 102))
    axes[1].set(title="sensations, median", ylim=(0, None))
    axes[2].set(title="correct, points: both-learnt less the others")
    for ax in axes:
        ax.set_xticks(at, [f"{level:g}" for level in levels])
        ax.set_xlabel("times the noise of colour and curvature")
        ax.spines[["top", "right"]].set_visible(False)
    axes[1].legend(fontsize=8, frameon=False)
    axes[2].legend(fontsize=8, frameon=False, loc="lower left")
    file = io.BytesIO()
    fig.savefig(file, dpi=110, metadata={"Software": None})
    plt.close(fig)
    return file.getvalue()


def main() -> None:
    args = arguments()
    names = shared_catalogue(recognition.experiment_of(args).world.objects).names
    for kind in KINDS:  # what is missing is learnt before there are several processes
        recognition.learnt_maps(args.maps, experiment_of(args, kind, 1.0))
    jobs = [(kind, args, name) for kind in KINDS for name in names]
    head = recognition.described(args, recognition.experiment_of(args))
    seeds = " ".join(map(str, args.seeds))
    command = f"python benchmarks/patch_noise.py --suite {args.suite} --seeds {seeds} --most {args.at_most}"
    shrunk = f"{len(args.seeds)} episodes an object and point, at most {args.at_most} sensations each"
    head |= {"command": command + (" --objects $YCB" if args.objects else ""), "shrunk": shrunk, "levels": args.levels}
    kept: list[Row] = []

    def found_in(rows: list[Row]) -> dict:
        kept.extend(rows)
        return summary(rows)

    found = published(args, head, episodes, jobs, found_in)
    write_whole(args.output.with_suffix(".png"), picture(found, kept, args.suite))
    print(json.dumps({name: round(point["correct"], 3) for name, point in found["points"].items()} | found["bars"]))


if __name__ == "__main__":
    main()
