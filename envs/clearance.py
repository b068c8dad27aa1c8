"""How far a ball may surely go, told from grids of distances: most paths need no collision test at all.

Around each object lies a cube of cells; each holds a distance that no point of the cell is nearer to the surface than.
A path is followed in the object's frame by steps of what is surely free (sphere tracing; Hart, The Visual Computer
12, 1996). Distances are between middles of cells, less half the diagonal of both, less how thinly the surface was
sampled, so what is called free is free; what isn't may be.
"""

import math
from functools import lru_cache

import numpy as np
from numba import njit
from scipy.ndimage import distance_transform_edt
from trimesh.remesh import subdivide_to_size

from .sensors import shared_catalogue

CELLS = 48
"""Cells along an edge of a cube."""
AROUND = 0.03
"""Metres by which the cube is larger than the sphere around the object."""
SLACK = 0.002
"""Metres that a ball keeps from the surface beyond its radius: PyBullet's own margins are about one millimetre."""
SHORTEST = 0.0005
"""Metres; where less is surely free in one go, it ends."""
QUARTERS = 4
"""Distances are kept as bytes, in quarters of a cell, rounded down."""


@lru_cache(maxsize=1024)
def distance_grid(source: str, index: int) -> tuple[np.ndarray, float, float]:
    """Of an object of a catalogue: distances (CELLS, CELLS, CELLS) uint8 in quarters of a cell, the edge of a cell, and
    the radius of the sphere around the object, metres."""
    catalogue = shared_catalogue(source)
    mesh = catalogue.mesh(catalogue.names[index])
    reach = float(np.sqrt((mesh.vertices**2).sum(axis=1).max()))
    edge = 2.0 * (reach + AROUND) / CELLS
    longest = 1.5 * edge
    points = np.asarray(subdivide_to_size(mesh.vertices, mesh.faces, longest, max_iter=64)[0])
    empty = np.ones((CELLS, CELLS, CELLS), bool)
    empty[tuple(np.floor(points / edge + CELLS / 2).astype(int).T)] = False
    # no point of a triangle is further from its nearest corner than its longest edge over the root of 3
    between = np.asarray(distance_transform_edt(empty))
    sure = between - math.sqrt(3.0) - longest / edge / math.sqrt(3.0)
    return np.clip(np.floor(QUARTERS * sure), 0, 255).astype(np.uint8), edge, reach


class Clearance:
    """The grids of the objects of a catalogue, one after the other as they come into use."""

    def __init__(self, source: str) -> None:
        self.source = source
        self._slots: dict[int, int] = {}
        self._grids = np.zeros((0, CELLS, CELLS, CELLS), np.uint8)
        self._sizes = np.zeros((0, 2))

    def slot(self, index: int) -> int:
        """Where the grid of the `index`-th object lies; it is made if need be."""
        if index not in self._slots:
            grid, edge, reach = distance_grid(self.source, index)
            self._slots[index] = len(self._slots)
            self._grids = np.concatenate([self._grids, grid[None]])
            self._sizes = np.concatenate([self._sizes, [(edge, reach)]])
        return self._slots[index]

    def free(
        self,
        slots: np.ndarray,
        position: np.ndarray,
        rotation: np.ndarray,
        start: np.ndarray,
        way: np.ndarray,
        length: np.ndarray,
        radius: float,
    ) -> np.ndarray:
        """Metres, (n,), that balls can surely go; inf where nothing stands in the way of `length` metres.

        slots : (n,) int; position, rotation : (n, 3), (n, 3, 3) of the objects; start : (n, 3) metres, way : (n, 3)
        unit, world frame; length : (n,) metres
        """
        free = np.empty(len(slots))
        _trace(self._grids, self._sizes, slots, position, rotation, start, way, length, radius, free)
        return free


@njit(cache=True, nogil=True)
def _trace(grids, sizes, slots, position, rotation, start, way, length, radius, free):
    origin, course = np.empty(3), np.empty(3)
    for k in range(slots.size):
        edge, reach = sizes[slots[k], 0], sizes[slots[k], 1] + radius + SLACK + 1e-3
        along, square = 0.0, 0.0
        for i in range(3):
            origin[i] = course[i] = 0.0
            for j in range(3):
                origin[i] += rotation[k, j, i] * (start[k, j] - position[k, j])
                course[i] += rotation[k, j, i] * way[k, j]
            along -= origin[i] * course[i]
            square += origin[i] * origin[i]
        half = reach * reach - square + along * along
        free[k] = np.inf
        if half <= 0.0:
            continue
        half = math.sqrt(half)
        # a collision test may look a little past the end
        t, end = max(0.0, along - half), min(length[k] + SLACK, along + half)
        while t < end:
            step = edge / QUARTERS * _near(grids[slots[k]], edge, origin, course, t) - radius - SLACK
            if step < SHORTEST:
                break
            t += step
        if t < end:
            free[k] = t


@njit(cache=True, nogil=True)
def _near(grid, edge, origin, course, t):
    i = int(math.floor((origin[0] + t * course[0]) / edge + CELLS / 2))
    j = int(math.floor((origin[1] + t * course[1]) / edge + CELLS / 2))
    k = int(math.floor((origin[2] + t * course[2]) / edge + CELLS / 2))
    if min(i, j, k) < 0 or max(i, j, k) >= CELLS:
        return 0
    return grid[i, j, k]
