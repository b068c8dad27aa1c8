"""One to 64 columns that vote: how often they are right at once, how soon they decide, and what lesions cost.

    python benchmarks/voting.py                         the default suite
    python benchmarks/voting.py --objects $YCB          the 77 YCB scans, suite ycb77

1. The same noisy episodes with 1, 2, 4, ..., 64 columns (square numbers as a grid, 30/7 degrees apart) and the
   information-gain policy: right after one sensation by the best guess and by the region's own decision; sensations and
   rotation error at the decision; every doubling with 95 % intervals of the paired differences.
2. Lesions, where they hurt: one sensation, with as many columns as make the intact region right in about 0.90. Half of
   them dead, against a region of half as many; a fifth that collude (all poses of one wrong object) or conspire (one
   pose of it), with votes summed and with robust pooling (columns/lesions.py, columns/robust.py), and a fifth dead:
   what is lost if one knows whom not to heed.
3. The symbolic world of the theory's papers, 100 objects of 10 points: touches by simulation against the exact mean.

Figures that other benchmarks measure are taken from their result files if these are there. An interrupted run goes on
where it was. The last line printed is one JSON object with the figures.
"""

import argparse
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import recognition
import torch
from matplotlib.figure import Figure
from replaying import Job, Row, published

from cortical.agents.agent import Agent
from cortical.agents.metrics import wilson
from cortical.agents.panels import PALETTE
from cortical.agents.pictures import save
from cortical.agents.rollout import play
from cortical.columns.symbolic import passive_touches, random_maps
from cortical.columns.symbolic_policies import RandomTouches, touching
from cortical.columns.symbolic_policies import play as touch
from cortical.configs.schema import Experiment, LesionKind, Pooling
from cortical.envs.sensors import shared_catalogue

COLUMNS = (1, 2, 4, 8, 16, 32, 64)
SPREAD = 30 / 7
"""Degrees between neighbouring patches: eight of them span 30."""
WANTED = 0.90
"""Share of right guesses of the intact region at which lesions are judged."""
LESIONS: dict[str, tuple[LesionKind, float, Pooling]] = {
    "sound-robust": ("kill", 0.0, "robust"), "dead50": ("kill", 0.5, "sum"), "dead20": ("kill", 0.2, "sum"),
    "collude20": ("collude", 0.2, "sum"),
    "collude20-robust": ("collude", 0.2, "robust"), "conspire20": ("conspire", 0.2, "sum"),
    "conspire20-robust": ("conspire", 0.2, "robust"),
}  # fmt: skip
SYMBOLS, WORLDS, TOUCHED = 5, 200, 100
"""Symbols, worlds and episodes in each."""
BESIDE = ("voting_events.json", "voting_scale.json")
TAKEN = ("event_bytes_ratio", "event_loss_points", "event_sensations_ratio", "step_1000_columns_s")
KEYS = (
    "symbolic_max_rel_error", "right_by_columns", "decided_rightly_by_columns", "decided_rightly_after_one_64",
    "lesion_columns", "intact_right", "lesion50_loss_points", "half_loss_points", "dead20_loss_points",
    "colluding20_loss_points", "colluding20_summed_loss_points", "conspiring20_loss_points",
    "conspiring20_summed_loss_points", "robust_cost_points", "worse_doublings", *TAKEN,
)  # fmt: skip
Figures = dict[str, Any]


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--objects", help="folder of meshes in the YCB layout (default: the 24 objects of the package)")
    parser.add_argument("--suite", choices=["default", *recognition.SUITES], help="another suite, to tune on")
    parser.add_argument("--columns", type=int, nargs="+", default=list(COLUMNS), help="numbers of columns")
    parser.add_argument("--lesioned", type=int, nargs="+", default=[8, 16], help="numbers of columns that are lesioned")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2], help="published: 0 1 2; tune on 100 and up")
    parser.add_argument("--rotations", type=int, help="random poses per object and seed (10; 3 for ycb77)")
    parser.add_argument("--maps", type=Path, default=Path("runs/maps"), help="where learnt maps are kept")
    parser.add_argument("--output", type=Path, help="result file (benchmarks/results/voting.json; voting-SUITE.json)")
    parser.add_argument("--workers", type=int, default=2)
    args = parser.parse_args()
    args.suite = args.suite or ("ycb77" if args.objects else "default")
    tag = "" if args.suite == "default" else f"-{args.suite}"
    args.output = args.output or recognition.RESULTS / f"voting{tag}.json"
    args.rotations = args.rotations or (3 if args.suite == "ycb77" else 10)
    fixed = {"condition": "noise", "fingers": 0, "features": "surface", "backend": "rays", "topology": "all-to-all"}
    args.few, args.at_most = sorted(args.columns), sorted(args.lesioned)  # part of what a run that goes on must share
    return argparse.Namespace(**vars(args) | fixed, policy="information_gain", moves={})


def parts_of(args: argparse.Namespace) -> list[str]:
    """Names of all settings: columns, and what is wrong with them."""
    halves = {count // 2 for count in args.lesioned} | set(args.lesioned)
    counts = sorted({*args.columns, *halves}, reverse=True)
    return [f"{count}-intact" for count in counts] + [f"{count}-{name}" for count in args.lesioned for name in LESIONS]


def experiment_of(args: argparse.Namespace, part: str) -> Experiment:
    """The configuration of a setting. Lesioned regions have one sensation."""
    count, name = part.split("-", 1)
    base = recognition.experiment_of(argparse.Namespace(**vars(args) | {"columns": int(count)}))
    base = replace(base, eye=replace(base.eye, spread=SPREAD))
    if name == "intact":
        return base
    kind, share, pooling = LESIONS[name]
    return replace(
        base,
        lesion=replace(base.lesion, kind=kind, share=share),
        lateral=replace(base.lateral, pooling=pooling),
        decision=replace(base.decision, max_sensations=1),
    )


def episodes(job: Job) -> list[Row]:
    """All episodes of one setting with one object."""
    part, args, name = job
    torch.set_num_threads(1)
    agent = recognition.agent_that(experiment_of(args, part), args.maps)
    return [_row(part, agent, name, seed, r) for seed in args.seeds for r in range(args.rotations)]


def _row(part: str, agent: Agent, name: str, seed: int, rotation: int) -> Row:
    record = play(agent, name, seed, rotation, traced=False)
    return {
        "part": part, "object": name, "seed": seed, "rotation_index": rotation,
        "right_after_one": record.best_guess_per_step[0] == name, "correct": record.correct,
        "sensations": record.sensations, "rotation_error_deg": record.rotation_error_deg, "answer": record.answer,
    }  # fmt: skip


# ---- figures


def summary(rows: list[Row]) -> Figures:
    """All figures, of the rows of all settings."""
    by_part: dict[str, list[Row]] = {}
    for row in rows:
        by_part.setdefault(row["part"], []).append(row)
    counts = sorted(int(part.split("-")[0]) for part in by_part if part.endswith("-intact"))
    intact = {count: by_part[f"{count}-intact"] for count in counts}
    first = {count: share(some, "right_after_one") for count, some in intact.items()}
    at_once = {count: float(np.mean([r["correct"] and r["sensations"] == 1 for r in s])) for count, s in intact.items()}
    doublings = [doubling(intact[a], intact[2 * a]) | {"from": a, "to": 2 * a} for a in counts if 2 * a in intact]
    found = {
        "right_by_columns": first, "decided_rightly_by_columns": at_once,
        "decided_rightly_after_one_64": at_once.get(64),
        "correct_by_columns": {c: share(s, "correct") for c, s in intact.items()},
        "sensations_by_columns": {c: float(np.mean([r["sensations"] for r in s])) for c, s in intact.items()},
        "rotation_error_median_deg_by_columns": {c: middle_error(s) for c, s in intact.items()},
        "doublings": doublings, "worse_doublings": sum(bool(d["worse"]) for d in doublings),
        "episodes": {part: len(some) for part, some in by_part.items()},
    }  # fmt: skip
    return found | lesions(by_part, first) | symbolic() | beside()


def lesions(by_part: dict[str, list[Row]], first: dict[int, float]) -> Figures:
    """Points lost at the number of columns whose intact region is right most nearly as often as WANTED."""
    counts = sorted({int(part.split("-")[0]) for part in by_part if part.endswith("-dead50")})
    if not counts:
        return {}
    every = {
        count: {name: 100 * share(by_part[f"{count}-{name}"], "right_after_one") for name in LESIONS}
        | {"intact": 100 * first[count], "half": 100 * first[count // 2]}
        for count in counts
    }
    count = min(counts, key=lambda one: abs(first[one] - WANTED))
    right = every[count]
    lost = {name: right["intact"] - value for name, value in right.items()}
    return {
        "lesion_columns": count, "intact_right": first[count], "lesion50_loss_points": lost["dead50"],
        "half_loss_points": lost["half"], "dead20_loss_points": lost["dead20"],
        "colluding20_loss_points": lost["collude20-robust"],
        "colluding20_summed_loss_points": lost["collude20"], "conspiring20_loss_points": lost["conspire20-robust"],
        "conspiring20_summed_loss_points": lost["conspire20"], "robust_cost_points": lost["sound-robust"],
        "right_after_one_percent": every,
    }  # fmt: skip


def share(rows: list[Row], name: str) -> float:
    """Of episodes in which that is so."""
    return float(np.mean([row[name] for row in rows]))


def middle_error(rows: list[Row]) -> float:
    """Median rotation error of right answers, degrees."""
    return float(np.median([row["rotation_error_deg"] for row in rows if row["correct"]] or [np.nan]))


def doubling(fewer: list[Row], more: list[Row]) -> Figures:
    """Mean paired differences, more columns less fewer, with 95 % intervals; rotation errors where both are right.
    `worse` names those whose interval lies on the wrong side."""
    a, b = ({(r["object"], r["seed"], r["rotation_index"]): r for r in rows} for rows in (fewer, more))
    pairs = [(a[key], b[key]) for key in a]
    right = [(x, y) for x, y in pairs if x["correct"] and y["correct"]]
    found = {
        "correct": paired(pairs, "correct"), "sensations": paired(pairs, "sensations"),
        "rotation_error_deg": paired(right, "rotation_error_deg"),
    }  # fmt: skip
    worse = [name for name, (_, low, high) in found.items() if (high < 0 if name == "correct" else low > 0)]
    return found | {"worse": worse}


def paired(pairs: list[tuple[Row, Row]], name: str) -> tuple[float, float, float]:
    """Mean difference and its 95 % interval, by resampling the pairs with a fixed seed."""
    difference = np.array([float(y[name]) - float(x[name]) for x, y in pairs] or [np.nan])
    drawn = np.random.default_rng(0).integers(len(difference), size=(2000, len(difference)))
    low, high = np.percentile(difference[drawn].mean(1), [2.5, 97.5])
    return float(difference.mean()), float(low), float(high)


def symbolic() -> Figures:
    """Mean touches of 1 to 6 columns that touch at random, simulated and exact."""
    rows = []
    for columns in range(1, 7):
        generator = torch.Generator().manual_seed(columns)
        maps = random_maps(WORLDS, 100, 10, SYMBOLS, generator)
        target = torch.arange(TOUCHED).expand(WORLDS, TOUCHED)
        policy = RandomTouches(10, columns, repeats=columns > 1)
        played = touch(maps, TOUCHED, touching(maps, target, generator), policy, generator)
        exact = passive_touches(100, 10, SYMBOLS, columns, repeats=columns > 1)
        rows.append({"columns": columns, "touches": float(played.touches.double().mean()), "exact": exact})
    worst = max(abs(row["touches"] / row["exact"] - 1) for row in rows)
    return {"symbolic": rows, "symbolic_max_rel_error": worst}


def beside() -> Figures:
    """Figures that other benchmarks wrote, and in which files they are."""
    found: Figures = {}
    for name in BESIDE:
        if (file := recognition.RESULTS / name).is_file():
            there = json.loads(file.read_text())
            there = there | there.get("summary", {}) | there.get("figures", {})
            found |= {key: there[key] for key in TAKEN if key in there}
    return found


# ---- picture


def picture(found: Figures, episodes_each: int, path: Path) -> None:
    """Right at once, sensations and rotation error against columns; what lesions cost."""
    figure = Figure(figsize=(13, 8), dpi=100, facecolor="white", layout="constrained")
    (once, needed), (turned, struck) = figure.subplots(2, 2)
    for k, (name, label) in enumerate(
        (("right_by_columns", "best guess"), ("decided_rightly_by_columns", "own decision, right"))
    ):
        counts, values = list(found[name]), np.array(list(found[name].values()))
        ends = np.array([wilson(round(v * episodes_each), episodes_each) for v in values]).T
        bars = 100 * np.maximum(0.0, np.abs(ends - values))
        once.errorbar(counts, 100 * values, bars, label=label, color=PALETTE[k], marker="o", capsize=3)
    once.set_title("right after one sensation, % (95 %)", loc="left")
    once.legend(frameon=False)
    for axes, name, title in (
        (needed, "sensations_by_columns", "sensations to the decision, mean"),
        (turned, "rotation_error_median_deg_by_columns", "rotation error of right answers, degrees, median"),
    ):
        axes.plot(list(found[name]), list(found[name].values()), color=PALETTE[2], marker="o")
        axes.set_title(title, loc="left")
        axes.set_ylim(bottom=0)
    for axes in (once, needed, turned):
        axes.set_xscale("log", base=2)
        axes.set_xticks(list(found["right_by_columns"]), [str(count) for count in found["right_by_columns"]])
        axes.minorticks_off()
        axes.set_xlabel("columns")
        axes.grid(color="#ececec", lw=0.8)
    _draw_lesions(struck, found)
    save(figure, path)


def _draw_lesions(axes: Any, found: Figures) -> None:
    if "lesion_columns" not in found:
        axes.set_axis_off()
        return
    count = found["lesion_columns"]
    right = found["right_after_one_percent"][count]
    names = ["intact", "sound-robust", "half", *[name for name in LESIONS if name != "sound-robust"]]
    axes.barh(names[::-1], [right[name] for name in names[::-1]], color=PALETTE[0])
    for row, name in enumerate(names[::-1]):
        axes.text(right[name] - 1, row, f"{right[name]:.1f}", ha="right", va="center", color="white", fontsize=9)
    axes.set_title(f"{count} columns, one sensation: best guess right, %", loc="left")


def main() -> None:
    args = arguments()
    torch.set_num_threads(1)
    names = learnt_names(args)
    jobs = [(part, args, name) for part in parts_of(args) for name in names]
    head = recognition.described(argparse.Namespace(**vars(args) | {"columns": 1}), experiment_of(args, "1-intact"))
    usual = 3 if args.suite == "ycb77" else 10
    head["command"] = "python benchmarks/voting.py" + (" --objects $YCB" if args.objects else "")
    head["command"] += f" --rotations {args.rotations}" if args.rotations != usual else ""
    head |= {"suite": args.suite, "rotations": args.rotations, "spread": SPREAD}
    found = published(args, head, episodes, jobs, summary)
    picture(found, len(names) * len(args.seeds) * args.rotations, args.output.with_suffix(".png"))
    print(json.dumps({key: recognition.rounded(found[key]) for key in KEYS if key in found}))


def learnt_names(args: argparse.Namespace) -> tuple[str, ...]:
    """The objects of the suite; maps that are missing are learnt."""
    experiment = recognition.experiment_of(argparse.Namespace(**vars(args) | {"columns": 1}))
    names = shared_catalogue(experiment.world.objects).names
    recognition.learn(args, replace(experiment, eye=replace(experiment.eye, spread=SPREAD)), names)
    return names


if __name__ == "__main__":
    main()
