"""What a clock step of C columns that vote costs on one core, and what they hold, for C = 1 ... 10,000.

    python benchmarks/voting_scale.py --objects $YCB

Every column has a place of its own on the object: what it senses is a reading of the scan from anywhere at 20 cm with
the noise of the protocol, so neighbours are a matter of chance and every one of them meets something. All columns know
all objects; they vote all-to-all and on a grid, where votes travel from neighbour to neighbour. Times are CPU times of
the one thread, compiled code warmed up before; a later step is one after the third sensation.

Also named in the result file, as an estimate, not a measurement: the bytes that a later step moves, and what they would
take at the bandwidth of a GPU with 150,000 columns. The last line printed is one JSON object.
"""

import argparse
import json
import platform
import time
from dataclasses import fields, is_dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import recognition
import thinking
import torch
from matplotlib.figure import Figure
from provenance import commit
from rich.progress import track
from thinking_growth import DISTANCE, Looks

from cortical.agents.brain import build_region
from cortical.agents.pictures import save
from cortical.agents.records import PACKAGES
from cortical.agents.sensing import Senses
from cortical.columns.belief import Belief
from cortical.columns.messages import Sensation
from cortical.columns.object_map import ObjectMap
from cortical.columns.region import Region
from cortical.configs.schema import Experiment, EyeConfig
from cortical.envs.bodies import looking
from cortical.envs.noise import perturb
from cortical.envs.observation import observe
from cortical.envs.placing import random_rotations
from cortical.envs.record import Record

COLUMNS = (1, 3, 10, 32, 100, 316, 1000, 3162, 10_000)
STEPS, SETTLED = 8, 3
"""Sensations of an episode, and after how many a step is a later one."""
EPISODES, LARGE = 12, 1000
"""Episodes of up to 100 columns, and columns from which three must do."""
BANDWIDTH, CORTEX = 3.3e12, 150_000
"""Bytes a second of a GPU with HBM3, nominal; columns of a human neocortex."""
BAR = 0.5
"""Seconds of a later step of 1,000 columns, at most."""


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--objects", help="folder of meshes in the YCB layout (default: the 24 objects of the package)")
    parser.add_argument("--columns", type=int, nargs="+", default=list(COLUMNS), help="how many columns")
    parser.add_argument("--topology", nargs="+", default=["all-to-all", "grid"], help="who hears whom")
    parser.add_argument("--maps", type=Path, default=Path("runs/maps"), help="where learnt maps are kept")
    parser.add_argument("--output", type=Path, default=recognition.RESULTS / "voting_scale.json", help="result file")
    return parser.parse_args()


def sensed(looks: Looks, name: str, columns: int, random: np.random.Generator) -> list[Sensation]:
    """STEPS sensations (1, C) of an object at a random pose: every column's own place, with noise."""
    record, gaze = looks.of(name)
    turn, place = random_rotations(1, random)[0], random.uniform(-0.05, 0.05, 3)
    some = random.integers(len(record.location), size=STEPS * columns)
    parts = {key: np.asarray(getattr(record, key))[some] for key in Record.__dataclass_fields__}
    parts["location"] = (parts["location"] @ turn.T + place).astype(np.float32)
    for key in ("normal", "directions"):
        parts[key] = (parts[key] @ turn.T).astype(np.float32)
    rotation = np.array([looking(way) for way in gaze @ turn.T])[some]
    eye = parts["location"] - DISTANCE * rotation[:, :, 2]
    noisy = perturb(Record(**parts), "noise", random, eye, rotation)
    seen = Senses(coded=False)(observe(noisy, eye, rotation, "features"))
    return [seen[:, t * columns : (t + 1) * columns] for t in range(STEPS)]


def held(state: Any) -> int:
    """Bytes of all tensors in a belief."""
    if isinstance(state, torch.Tensor):
        return state.numel() * state.element_size()
    if isinstance(state, tuple):
        return sum(map(held, state))
    return sum(held(getattr(state, f.name)) for f in fields(state)) if is_dataclass(state) else 0


def episode(region: Region, seen: list[Sensation]) -> tuple[list[float], Belief]:
    """Seconds of every step, and the belief at the end."""
    belief, spent = region.begin(), []
    for sensation in seen:
        began = time.thread_time()
        belief = region.step(belief, sensation)
        spent.append(time.thread_time() - began)
    return spent, belief


def row(experiment: Experiment, maps: dict[str, ObjectMap], looks: Looks, columns: int, topology: str) -> dict:
    """Figures of one number of columns on one graph."""
    eye, lateral = replace(experiment.eye, columns=columns), replace(experiment.lateral, topology=topology)
    column = replace(experiment.column, texture=False)  # of readings that were taken before there are no pixels
    region = build_region(replace(experiment, eye=eye, lateral=lateral, column=column), maps)
    random = np.random.default_rng(columns)
    names = random.choice(list(maps), EPISODES if columns < LARGE else 3, replace=False).tolist()
    episode(region, sensed(looks, names[0], columns, random))  # compiled and warm
    spent, right, belief = [], 0, None
    for name in names:
        seconds, belief = episode(region, sensed(looks, name, columns, random))
        spent.append(seconds)
        assert belief.consensus is not None
        right += region.objects[int(belief.consensus.object_index[0])] == name
    assert belief is not None
    later = float(np.median([one[SETTLED:] for one in spent]))
    return {
        "columns": columns, "topology": topology, "episodes": len(names), "right": right,
        "first_s": float(np.median([one[0] for one in spent])),
        "second_third_s": float(np.median([one[1:SETTLED] for one in spent])), "later_s": later,
        "us_per_column_step": 1e6 * later / columns, "poses": len(belief.ballot), "rounds": region.lateral.rounds,
        "edges": region.lateral.edges, "kib_per_column": held((belief.memories, belief.consensus)) / columns / 1024,
    }  # fmt: skip


def estimate(rows: list[dict]) -> dict[str, float | str]:
    """What bytes alone would allow a GPU with a column for each of a human neocortex."""
    most = max(rows, key=lambda one: one["columns"])
    readings = (SETTLED + 1) * CORTEX
    # a reading is 24 numbers, what it is compared with a row of 30 numbers and a voxel; three passes over them a step
    moved = 3 * readings * most["poses"] * (24 * 4 + 30 * 4 + 4)
    return {
        "what": "ESTIMATE from bytes moved, not measured", "columns": CORTEX, "poses": most["poses"],
        "bytes_a_step": float(moved), "seconds_a_step_at_3.3_TB_s": moved / BANDWIDTH,
    }  # fmt: skip


def picture(rows: list[dict], path: Path) -> None:
    """Seconds of a later step against columns, with the straight line."""
    figure = Figure(figsize=(6.0, 4.0), layout="constrained")
    axes = figure.subplots()
    for topology in dict.fromkeys(one["topology"] for one in rows):
        mine = [one for one in rows if one["topology"] == topology]
        axes.plot([o["columns"] for o in mine], [o["later_s"] for o in mine], "o-", label=topology)
    many = max(rows, key=lambda one: one["columns"])
    line = np.array(sorted({one["columns"] for one in rows}))
    axes.plot(line, many["later_s"] * line / many["columns"], "k:", label="in proportion to columns")
    axes.set(xscale="log", yscale="log", xlabel="columns", ylabel="CPU seconds of a later step")
    axes.legend(frameon=False)
    axes.spines[["top", "right"]].set_visible(False)
    save(figure, path)


def main() -> None:
    args = arguments()
    torch.set_num_threads(1)
    experiment = recognition.experiment_of(thinking.settings(args))
    maps = thinking.learnt(experiment, args.maps)
    looks = Looks(experiment.world.objects, EyeConfig(noise="clean", pixels=experiment.eye.pixels))
    settings = [(columns, topology) for topology in args.topology for columns in args.columns]
    rows = [row(experiment, maps, looks, *one) for one in track(settings, "columns")]
    figures: dict[str, Any] = {
        f"step_{one['columns']}_columns_s": round(one["later_s"], 5) for one in rows if one["topology"] == "all-to-all"
    }
    result = {
        "command": "python benchmarks/voting_scale.py" + (" --objects $YCB" if args.objects else ""),
        "commit": commit(),
        "versions": {p: version(p) for p in PACKAGES}, "threads": 1, "known": len(maps),
        "machine": f"{platform.machine()}, {platform.system()}, Python {platform.python_version()}",
        "bars": {"step_1000_columns_s": BAR}, "figures": figures, "gpu": estimate(rows),
        "rows": [recognition.rounded(one) for one in rows],
    }  # fmt: skip
    recognition.write(args.output, result)
    picture(rows, args.output.with_suffix(".png"))
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
