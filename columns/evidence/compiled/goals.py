"""`goals.imagine` for a CPU, compiled: one pass over (place, hypothesis) pairs without a temporary array.

The same formulas as the plain reference in goals.py, which the tests compare it with; there the reasons are.
"""

import math

import numpy as np
import torch
from numba import njit
from torch import Tensor

from ..atlas import Atlas
from ..hypotheses import Hypotheses
from ..likelihood import SAG, TILT
from ..memory import HIT, LOST, NUMBERS
from .grid import grid_of
from .rays import meet_one
from .vectors import clip, dot, into, out_of

STEEPEST = 0.3  # cosine of the slant at which a surface's sag is corrected at most


def imagine(atlas: Atlas, ballot: Hypotheses, origin: Tensor, gaze: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """As goals.imagine; tensors on a CPU."""
    shape = len(origin), len(ballot)
    numbers, kind = np.zeros((shape[0] * shape[1], NUMBERS), np.float32), np.empty(shape[0] * shape[1], np.int8)
    aside, node = np.empty(shape, np.float32), np.empty(shape, np.int64)
    _imagine(
        atlas.table.numpy(), atlas.texture.numpy(), atlas.texture_scale.numpy(), grid_of(atlas),
        ballot.obj[0].numpy(), ballot.rotation[0].numpy(), ballot.location[0].numpy(), origin.numpy(), gaze.numpy(),
        numbers, kind, aside, node,
    )  # fmt: skip
    return torch.from_numpy(numbers), torch.from_numpy(kind), torch.from_numpy(aside), torch.from_numpy(node)


@njit(cache=True)
def _imagine(
    rows, textures, scale, grid, obj, rotation, location, origin, gaze, numbers, kind, aside,
    nodes,
):  # fmt: skip
    start, ray, away, normal, side = np.zeros(3), np.zeros(3), np.zeros(3), np.zeros(3), np.zeros(3)
    for c in range(len(origin)):
        for h in range(len(obj)):
            pair, turn, at = c * len(obj) + h, rotation[h], location[h]
            into(turn, origin[c, 0] - at[0], origin[c, 1] - at[1], origin[c, 2] - at[2], start)
            into(turn, gaze[c, 0], gaze[c, 1], gaze[c, 2], ray)
            beside, depth, node = meet_one(rows, grid, obj[h], start, ray)
            aside[c, h], nodes[c, h], kind[pair] = beside, max(node, 0), HIT if node >= 0 else LOST
            if node < 0:
                continue
            row, s = rows[node], numbers[pair]
            n, d1, d2, k1, k2 = row[3:6], row[6:9], row[9:12], row[12], row[13]
            for i in range(3):
                away[i] = start[i] + depth * ray[i] - row[i]
            u, v = dot(away, d1), dot(away, d2)
            # from the tangent plane down to the node's quadric, and its normal there
            depth -= clip(0.5 * (k1 * u * u + k2 * v * v), SAG) / min(dot(n, ray), -STEEPEST)
            tilt1, tilt2 = clip(k1 * u, TILT), clip(k2 * v, TILT)
            for i in range(3):
                away[i] = n[i] + tilt1 * d1[i] + tilt2 * d2[i]
            out_of(turn, away, normal)
            out_of(turn, d1, side)
            _unit(normal)
            along = dot(side, normal)
            for i in range(3):
                side[i] -= along * normal[i]
            _unit(side)
            for i in range(3):
                s[i], s[3 + i], s[6 + i] = origin[c, i], gaze[c, i], origin[c, i] + depth * gaze[c, i]
                s[9 + i], s[12 + i] = normal[i], side[i]
            for i in range(6):
                s[15 + i] = row[14 + i]
            s[21], s[22], s[23] = row[30], row[31], row[30]
            for part in range(2):
                slope, usual = textures[node, 3 * part : 3 * part + 3], scale[part]
                out_of(turn, slope, side)
                for i in range(3):
                    s[24 + 3 * part + i] = side[i]
                s[30] += math.log(usual / (2 * math.pi)) - 1.5 * math.log(dot(slope, slope) + usual * usual)


@njit(cache=True, inline="always")
def _unit(v):
    length = math.sqrt(dot(v, v))
    for i in range(3):
        v[i] /= length
