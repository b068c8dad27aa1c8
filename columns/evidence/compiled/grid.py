"""Look-ups in the voxels of an atlas, for kernels."""

import math

import numpy as np
from numba import njit

from ..atlas import THIRD, Atlas


def grid_of(atlas: Atlas):
    """What look-ups need of an atlas, as one tuple that kernels hand on."""
    return (
        atlas.corner.numpy(), atlas.shape.numpy(), atlas.offset.numpy(), atlas.entry.numpy(), atlas.nearest.numpy(),
        atlas.distance.numpy(), np.float32(atlas.voxel), atlas.near.numpy(),
    )  # fmt: skip


@njit(cache=True, inline="always")
def voxel_at(grid, o, x, y, z):
    corner, shape, offset, voxel = grid[0], grid[1], grid[2], grid[6]
    i = int(math.floor((x - corner[o, 0]) / voxel))
    j = int(math.floor((y - corner[o, 1]) / voxel))
    k = int(math.floor((z - corner[o, 2]) / voxel))
    if i < 0 or j < 0 or k < 0 or i >= shape[o, 0] or j >= shape[o, 1] or k >= shape[o, 2]:
        return -1
    return (i * shape[o, 1] + j) * shape[o, 2] + k + offset[o]


@njit(cache=True, inline="always")
def node_at(grid, o, p, normal):
    """Nearest node of that facing, or -1."""
    cell = voxel_at(grid, o, p[0], p[1], p[2])
    entry = grid[3][cell] if cell >= 0 else -1
    if entry < 0:
        return -1
    return grid[4][entry, facing_of(normal[0], normal[1], normal[2])]


@njit(cache=True, inline="always")
def facing_of(u, v, w):
    """Which of 27 facings a normal has."""
    return (_third(u) * 3 + _third(v)) * 3 + _third(w)


@njit(cache=True, inline="always")
def _third(x):
    return 2 if x > THIRD else 0 if x < -THIRD else 1
