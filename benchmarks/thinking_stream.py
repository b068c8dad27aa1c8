"""The stream of sensations that the peer was timed on: 77 models of 2,000 points, and readings fed one at a time.

Positions are metres; the file's conventions are the peer's: outward normals, convex curvature negative, the larger of
the two first, log = sign(k) ln(1 + |k|). Here convex is positive, so both curvatures change sign, and with it which
one is larger: the second direction becomes the first.
"""

import math
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.progress import track
from torch import Tensor

from cortical.agents.brain import build_region
from cortical.columns.geometry import rotation_angle, rotation_from_quaternion
from cortical.columns.messages import Sensation
from cortical.columns.object_map import ObjectMap
from cortical.columns.region import Region
from cortical.configs.schema import Experiment

MEASURED, STEPS, REPEATS = 1, 28, 5
"""The stream that counts, how many of its sensations, and how often each stream is fed, of which the median counts."""
PEER = {"ms_mean_1_28": [329.0, 346.0], "rotation_error_deg": 4.4}
"""The peer on the same stream, one thread."""
SPACING = 0.004
AWAY = 0.2
"""Metres from a reading to where it was seen from, along its normal: the file doesn't say; it only matters for gazes
that meet nothing, and there are none."""


def converted(normal: Tensor, first: Tensor, curvature: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Normals, principal directions (n, 3) and log curvatures (n, 2) of the file's as ours."""
    normal = torch.nn.functional.normalize(normal, dim=-1)
    first = first - (first * normal).sum(-1, keepdim=True) * normal
    second = torch.linalg.cross(normal, torch.nn.functional.normalize(first, dim=-1))
    swapped = curvature[:, :1] < curvature[:, 1:]  # by noise
    direction = torch.where(swapped, torch.linalg.cross(second, normal), second)
    return normal, direction, (-curvature).sort(dim=1, descending=True).values


def models(data: Any, spacing: float = SPACING) -> dict[str, ObjectMap]:
    """The file's models as maps, one reading a point, named by their numbers."""
    unit = float(data["pos_unit_m"])
    known = {}
    for i in range(len(data["model_pos"])):
        part = {key: _double(data[f"model_{key}"][i]) for key in ("pos", "normal", "dir1", "hsv", "pclog")}
        normal, direction, curvature = converted(part["normal"], part["dir1"], part["pclog"])
        none = torch.zeros(len(normal), 0, dtype=torch.int64)
        empty = ObjectMap.empty(spacing)
        known[str(i)] = empty.insert(part["pos"] * unit, normal, direction, curvature, part["hsv"] / 255, none)
    return known


def sensations(data: Any, stream: int, steps: int = STEPS) -> list[Sensation]:
    """The first readings of a stream, (1, 1) each, float32, world frame."""
    names = ("pos", "normal", "dir1", "hsv", "pclog")
    location, normal, first, hsv, curvature = (_double(data[f"stream_{key}"][stream][:steps]) for key in names)
    normal, direction, curvature = converted(normal, first, curvature)
    seen = {
        "origin": location + AWAY * normal, "gaze": -normal, "location": location, "normal": normal,
        "direction": direction, "curvature": curvature, "hsv": hsv,
    }  # fmt: skip
    yes = torch.ones(1, 1, dtype=torch.bool)
    rest = {"code": torch.zeros(1, 1, 0, dtype=torch.int64), "on_object": yes, "valid": yes}
    each = ({key: value[t].float()[None, None] for key, value in seen.items()} for t in range(len(location)))
    return [Sensation(**one, **rest) for one in each]


def fed(region: Region, seen: list[Sensation]) -> tuple[list[float], int, Tensor]:
    """Thread CPU milliseconds of each sensation, none skipped, the last with the polish of the pose; the object at the
    end, and its rotation (3, 3)."""
    belief, spent = region.begin(), []
    for t, sensation in enumerate(seen):
        began = time.thread_time()
        belief = region.step(belief, sensation)
        if t == len(seen) - 1:
            belief = region.polish(belief)
        spent.append(1e3 * (time.thread_time() - began))
    assert belief.consensus is not None
    return spent, int(belief.consensus.object_index[0]), belief.consensus.pose.rotation[0]


def measured(data: Any, region: Region, stream: int) -> dict[str, Any]:
    """The figures of one stream; times are medians, step by step, over a few repeats."""
    runs = [fed(region, sensations(data, stream)) for _ in range(REPEATS)]
    spent = np.median([run[0] for run in runs], axis=0)
    _, found, rotation = runs[0]
    true = rotation_from_quaternion(_double(data["stream_quat_xyzw"][stream]))
    return {
        "stream": stream, "noisy": bool(data["stream_noise"][stream]), "target": int(data["stream_target"][stream]),
        "found": found, "correct": found == int(data["stream_target"][stream]),
        "rotation_error_deg": math.degrees(float(rotation_angle(rotation.double(), true))),
        "ms_mean_1_28": float(spent.mean()), "ms_first": float(spent[0]),
        "ms_median_2_28": float(np.median(spent[1:])), "ms": spent.round(3).tolist(),
    }  # fmt: skip


def figures(
    file: Path, experiment: Experiment, measured_stream: int = MEASURED
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """The figures that have a bar, and all streams."""
    with np.load(file) as data:
        known = models(data)
        plain = replace(experiment, column=replace(experiment.column, texture=False))  # the stream has no pixels
        region = build_region(plain, known)
        fed(region, sensations(data, measured_stream))  # compiled and warm
        rows = [measured(data, region, stream) for stream in track(range(len(data["stream_pos"])), "streams")]
    row = rows[measured_stream]
    said = {
        "stream_ms_mean_1_28": row["ms_mean_1_28"], "stream_correct": row["correct"],
        "stream_rotation_error_deg": row["rotation_error_deg"],
    }  # fmt: skip
    return said, rows


def _double(array: np.ndarray) -> Tensor:
    return torch.from_numpy(np.asarray(array, dtype=np.float64))
