"""The look-up grid of one object, compiled: for every voxel near its nodes, the nearest node of each facing."""

import math

import numpy as np
from numba import njit

NOTHING = -1
ANYHOW = 13  # among 27 facings the one between all others
FACING, LEANING = 0.8, 0.25  # cosines: a node faces that way, or at least leans there


def look_up(
    points: np.ndarray, normals: np.ndarray, corner: np.ndarray, shape: np.ndarray, voxel: float, reach: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Of points and normals (n, 3) of an object on its grid of shape (3,): metres from each voxel's centre to the
    nearest node (v,), at most `reach`; the row of the table for it (v,), NOTHING where no node is that near; and the
    table, (k, 27) int32, of the nearest node that leans towards each facing, NOTHING if none does."""
    towards = np.array([[f // 9, f // 3 % 3, f % 3] for f in range(27)], float) - 1
    towards /= np.maximum(np.linalg.norm(towards, axis=1, keepdims=True), 1e-9)
    lean = normals @ towards.T
    lean[:, ANYHOW] = 1.0  # no normal has this facing: it is for any
    distance = np.full(int(shape.prod()), reach, np.float32)
    _measure(points, corner, shape, voxel, distance)
    near = distance < reach
    entry = np.full(len(distance), NOTHING, np.int32)
    entry[near] = np.arange(near.sum())
    best = np.full((int(near.sum()), 27), np.iinfo(np.int64).max)
    _rank(points, lean, corner, shape, voxel, reach, entry, best)
    return distance, entry, np.where(best < np.iinfo(np.int64).max, best % (1 << 32), NOTHING).astype(np.int32)


@njit(cache=True)
def _gap(point, corner, voxel, i, j, k):
    x = corner[0] + (i + 0.5) * voxel - point[0]
    y = corner[1] + (j + 0.5) * voxel - point[1]
    z = corner[2] + (k + 0.5) * voxel - point[2]
    return math.sqrt(x * x + y * y + z * z)


@njit(cache=True)
def _around(point, corner, shape, voxel, reach, out):
    """First and last voxel within reach of a point, along each axis."""
    for axis in range(3):
        cell, far = int((point[axis] - corner[axis]) / voxel), int(reach / voxel) + 1
        out[axis, 0], out[axis, 1] = max(cell - far, 0), min(cell + far + 1, shape[axis])


@njit(cache=True)
def _measure(points, corner, shape, voxel, distance):
    box, reach = np.empty((3, 2), np.int64), distance[0]
    for point in points:
        _around(point, corner, shape, voxel, reach, box)
        for i in range(box[0, 0], box[0, 1]):
            for j in range(box[1, 0], box[1, 1]):
                for k in range(box[2, 0], box[2, 1]):
                    flat = (i * shape[1] + j) * shape[2] + k
                    distance[flat] = min(distance[flat], _gap(point, corner, voxel, i, j, k))


@njit(cache=True)
def _rank(points, lean, corner, shape, voxel, reach, entry, best):
    """Nodes that face that way before those that only lean there, then by distance (whole micrometres), then by
    number: one integer says it all, node in its lower half."""
    box = np.empty((3, 2), np.int64)
    for node in range(len(points)):
        _around(points[node], corner, shape, voxel, reach, box)
        for i in range(box[0, 0], box[0, 1]):
            for j in range(box[1, 0], box[1, 1]):
                for k in range(box[2, 0], box[2, 1]):
                    gap = _gap(points[node], corner, voxel, i, j, k)
                    row = entry[(i * shape[1] + j) * shape[2] + k]
                    if gap >= reach or row < 0:
                        continue
                    near = int(gap * 1e6)
                    for facing in range(27):
                        if lean[node, facing] > LEANING:
                            rank = near if lean[node, facing] >= FACING else near + 1_000_000
                            best[row, facing] = min(best[row, facing], (rank << 32) + node)
