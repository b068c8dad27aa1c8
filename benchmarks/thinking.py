"""What thinking costs on one core: CPU time and memory of recognition with 77 objects known, and as more become known.

    python benchmarks/thinking.py --objects $YCB --stream monty_stream.npz

Only the columns and their votes are timed: sensing and choosing movements are not in it. Times are CPU times of the one
thread, compiled code warmed up before (compiling is not in them either, nor is reading or packing maps).

1. 77 objects known, noisy episodes with the information-gain policy: the first sensation, later ones, and a whole
   episode up to its decision, the polish of the pose included. Without --objects: the default suite and copies of it.
2. Memory, in a process of its own: resident above a Python with all libraries imported, at its peak, from reading the
   maps to the end of some episodes.
3. 10 to 1,000 objects, most of them scaled, bent and recoloured copies of those learnt: see thinking_growth.py.
4. With --stream: the stream the peer was timed on, 77 models of 2,000 points: see thinking_stream.py.

Maps are learnt once, in a minute or two, and kept in --maps. 1,000 objects take minutes to pack and
gigabytes of memory; --parts leaves some out, into a result file of their own. Writes the result file, with every bar
and figure, and a picture of the growth beside it. The last line printed is one JSON object with the figures of the
parts that ran.
"""

import argparse
import json
import multiprocessing
import platform
import time
from concurrent.futures import ProcessPoolExecutor
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import recognition
import thinking_growth
import thinking_stream
import torch
from matplotlib.figure import Figure
from provenance import commit
from rich.progress import track

from cortical.agents.brain import build_region
from cortical.agents.pictures import save
from cortical.agents.records import PACKAGES
from cortical.agents.rollout import make_agent, play
from cortical.columns.belief import Belief
from cortical.columns.messages import Sensation
from cortical.columns.object_map import ObjectMap
from cortical.columns.region import Region
from cortical.columns.storage import write_whole
from cortical.configs.schema import Experiment
from cortical.envs.sensors import shared_catalogue

KNOWN, EPISODES, SEED = 77, 60, 100
"""Objects in memory; episodes at least, a whole round of the objects shown; their seed."""
REMEMBERED = 10
"""Episodes thought through again where memory is measured."""
PARTS = ("episodes", "memory", "growth", "stream")
BARS = {
    "first_ms": 30.0, "later_ms_median": 3.0, "later_ms_p95": 15.0, "episode_ms": 60.0, "memory_mib": 1024.0,
    "growth_77_to_1000": 1.3, "correct_at_1000": 0.95, "stream_ms_mean_1_28": 3.3, "stream_correct": True,
    "stream_rotation_error_deg": 2.0,
}  # fmt: skip
"""At most; of what is correct, at least."""
Figures = dict[str, Any]


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--objects", help="folder of meshes in the YCB layout (default: the 24 objects of the package)")
    parser.add_argument("--stream", type=Path, help="the peer's stream, an .npz file (default: left out)")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS), help="what to measure (default: all)")
    parser.add_argument("--maps", type=Path, default=Path("runs/maps"), help="where learnt maps are kept")
    parser.add_argument("--output", type=Path, help="result file (default: benchmarks/results/thinking.json)")
    args = parser.parse_args()
    part = "" if set(args.parts) == set(PARTS) else "-" + "-".join(sorted(set(args.parts)))
    args.output = args.output or recognition.RESULTS / f"thinking{part}.json"
    return args


def settings(args: argparse.Namespace) -> argparse.Namespace:
    """The arguments of `recognition.py` for one noisy column."""
    return argparse.Namespace(
        suite="ycb77" if args.objects else "default", condition="noise", columns=1, fingers=0,
        policy="information_gain", features="surface", backend="rays", topology="all-to-all", objects=args.objects,
        maps=args.maps, moves={},
    )  # fmt: skip


def learnt(experiment: Experiment, root: Path) -> dict[str, ObjectMap]:
    """The maps of the suite; those that the folder lacks are learnt."""
    names = shared_catalogue(experiment.world.objects).names
    maps: dict[str, ObjectMap] = {}
    for name in track(names, "maps"):
        maps |= recognition.learnt_maps(root, experiment, (name,))
    return maps


class Timed:
    """A region whose thoughts are timed; what it senses is kept.

    episodes : per episode, the milliseconds of each sensation; a polish counts with the sensation it follows
    sensed : per episode, its sensations
    """

    def __init__(self, region: Region) -> None:
        self.region, self.episodes, self.sensed = region, [], []

    def __getattr__(self, name: str) -> Any:
        return getattr(self.region, name)

    def begin(self, groups: int = 1) -> Belief:
        self.episodes.append([])
        self.sensed.append([])
        return self.region.begin(groups)

    def step(self, belief: Belief, sensation: Sensation) -> Belief:
        began = time.thread_time()
        belief = self.region.step(belief, sensation)
        self.episodes[-1].append(1e3 * (time.thread_time() - began))
        self.sensed[-1].append(sensation)
        return belief

    def polish(self, belief: Belief) -> Belief:
        began = time.thread_time()
        belief = self.region.polish(belief)
        self.episodes[-1][-1] += 1e3 * (time.thread_time() - began)
        return belief


def episodes(maps: dict[str, ObjectMap], experiment: Experiment) -> tuple[Figures, Figures, list[list[Sensation]]]:
    """With KNOWN objects known: the figures, more of them, and what was sensed."""
    region = build_region(experiment, {name: one.map for name, one in thinking_growth.objects(maps, KNOWN).items()})
    agent, timed = make_agent(experiment, region), Timed(region)
    setattr(agent, "region", timed)  # noqa: B010 - stands in for a region
    jobs = [(name, index) for index in range(-(-EPISODES // len(maps))) for name in maps]
    play(agent, *jobs[0][:1], SEED + 1, traced=False)  # compiled and warm
    timed.episodes.clear()
    timed.sensed.clear()
    records = [play(agent, n, SEED, i, traced=False) for n, i in track(jobs, f"{len(region.objects)} known, episodes")]
    first = [ms[0] for ms in timed.episodes]
    later = np.concatenate([ms[1:] for ms in timed.episodes])
    whole = [sum(ms) for ms in timed.episodes]
    said = {
        "first_ms": float(np.median(first)), "later_ms_median": float(np.median(later)),
        "later_ms_p95": float(np.percentile(later, 95)), "episode_ms": float(np.median(whole)),
    }  # fmt: skip
    more = {
        "known": len(region.objects), "episodes": len(records), "seed": SEED,
        "first_ms_p95": float(np.percentile(first, 95)), "later_ms_mean": float(later.mean()),
        "episode_ms_mean": float(np.mean(whole)),
        "episode_ms_p95": float(np.percentile(whole, 95)), "correct": float(np.mean([r.correct for r in records])),
        "sensations_median": float(np.median([r.sensations for r in records])),
        "rotation_error_median_deg": float(np.median([r.rotation_error_deg for r in records if r.correct])),
        "ms": [[round(ms, 3) for ms in one] for one in timed.episodes],
    }  # fmt: skip
    return said, more, timed.sensed[:REMEMBERED]


def memory(args: argparse.Namespace, sensed: list[list[Sensation]]) -> Figures:
    """MiB resident above the libraries, in this process, which has done nothing else: see `resident`."""
    torch.set_num_threads(1)
    before, _ = resident()
    experiment = recognition.experiment_of(settings(args))
    maps = thinking_growth.objects(learnt(experiment, args.maps), KNOWN)
    region = build_region(experiment, {name: one.map for name, one in maps.items()})
    del maps
    for one in sensed:
        belief = region.begin()
        for sensation in one:
            belief = region.step(belief, sensation)
    after, peak = resident()
    return {"libraries_mib": before, "at_the_end_mib": after - before, "peak_mib": peak - before}


def resident() -> tuple[float, float]:
    """MiB of this process in memory, now and at the most so far."""
    status = Path("/proc/self/status")
    if not status.exists():
        raise SystemExit("memory is measured on Linux alone: leave it out, with --parts episodes growth stream")
    lines = dict(line.split(":", 1) for line in status.read_text().splitlines())
    now, most = (float(lines[key].split()[0]) / 1024 for key in ("VmRSS", "VmHWM"))
    return now, most


def apart(args: argparse.Namespace, sensed: list[list[Sensation]]) -> Figures:
    """`memory` in a fresh process."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        return pool.submit(memory, args, sensed).result()


def growth_figures(rows: list[dict[str, Any]]) -> Figures:
    by_size = {row["objects"]: row for row in rows}
    few, many = by_size[KNOWN], by_size[max(by_size)]
    return {
        "growth_77_to_1000": many["later_ms_mean"] / few["later_ms_mean"], "correct_at_1000": many["correct"],
    }  # fmt: skip


def slope(rows: list[dict[str, Any]], key: str) -> tuple[float, float]:
    """Exponent and factor of the power of the number of objects that fits best."""
    size, cost = (np.log([row[name] for row in rows]) for name in ("objects", key))
    exponent, offset = np.polyfit(size, cost, 1)
    return float(exponent), float(np.exp(offset))


def picture(rows: list[dict[str, Any]], file: Path) -> None:
    """Cost against the number of objects, with the straight lines that fit."""
    figure = Figure(figsize=(5.6, 3.8), layout="constrained")
    ax = figure.subplots()
    size = np.array([row["objects"] for row in rows])
    shown = {"first_ms": ("first sensation", "#0072B2"), "later_ms_mean": ("after the third", "#D55E00")}
    for key, (label, colour) in shown.items():
        exponent, factor = slope(rows, key)
        ax.plot(size, factor * size**exponent, color=colour, lw=1)
        ax.plot(size, [row[key] for row in rows], "o", color=colour, label=f"{label}: objects$^{{{exponent:.2f}}}$")
    ax.set(xscale="log", yscale="log", xlabel="objects known", ylabel="CPU time of a sensation (ms)")
    ax.set_xticks(size, [f"{n:,}" for n in size], minor=False)
    ax.minorticks_off()
    ticks = [t for t in (0.5, 1, 2, 3, 4, 5, 7, 10, 20, 50, 100, 200, 500) if ax.get_ylim()[0] <= t <= ax.get_ylim()[1]]
    ax.set_yticks(ticks, [f"{t:g}" for t in ticks])
    ax.spines[["top", "right"]].set_visible(False)
    ax.legend(frameon=False)
    save(figure, file)


def measured(args: argparse.Namespace) -> tuple[Figures, Figures]:
    """The figures that have bars, and everything else that was found."""
    said, more = dict.fromkeys(BARS), {}
    experiment = recognition.experiment_of(settings(args))
    maps = learnt(experiment, args.maps) if set(args.parts) - {"stream"} else {}
    sensed: list[list[Sensation]] = []
    if "episodes" in args.parts or "memory" in args.parts:
        figures, more["episodes"], sensed = episodes(maps, experiment)
        said |= figures
    if "memory" in args.parts:
        more["memory"] = apart(args, sensed)
        said["memory_mib"] = more["memory"]["peak_mib"]
    if "growth" in args.parts:
        more["growth"] = rows = thinking_growth.growth(maps, experiment)
        more["exponents"] = {key: slope(rows, key)[0] for key in ("first_ms", "later_ms_mean", "nodes")}
        said |= growth_figures(rows)
    if "stream" in args.parts and args.stream:
        figures, more["stream"] = thinking_stream.figures(args.stream, experiment)
        said |= figures
    return {key: _rounded(value) for key, value in said.items()}, more


def main() -> None:
    args = arguments()
    torch.set_num_threads(1)
    figures, more = measured(args)
    command = "python benchmarks/thinking.py" + (" --objects $YCB" if args.objects else "")
    result = {
        "command": command + (f" --stream {args.stream.name}" if args.stream else ""), "commit": commit(),
        "versions": {p: version(p) for p in PACKAGES},
        "machine": f"{platform.machine()}, {platform.system()}, Python {platform.python_version()}", "threads": 1,
        "bars": BARS, "figures": figures, "peer": thinking_stream.PEER, **more,
    }  # fmt: skip
    write_whole(args.output, (json.dumps(_rounded(result), indent=1) + "\n").encode())
    if "growth" in more:
        picture(more["growth"], args.output.with_suffix(".png"))
    print(json.dumps({key: value for key, value in figures.items() if value is not None}))


def _rounded(value: Any) -> Any:
    if isinstance(value, float):
        return float(f"{value:.5g}")
    if isinstance(value, list):
        return [_rounded(v) for v in value]
    if isinstance(value, dict):
        return {k: _rounded(v) for k, v in value.items()}
    return value


if __name__ == "__main__":
    main()
