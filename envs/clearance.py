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
        end: np.ndarray,
        radius: float,
        table: float | None = None,
    ) -> tuple[np.ndarray, np.ndarray]:
        """Metres (n,) that balls can go from start to end, (n, 3), were there but the table, its top at `table` metres;
        and how far the object, too, is surely not in the way: inf where it nowhere is.

        slots : (n,) int; position, rotation : (n, 3) metres, (n, 3, 3) world_from_object
        """
        free, clear = np.empty(len(slots)), np.empty(len(slots))
        above = -np.inf if table is None else table
        _trace(self._grids, self._sizes, slots, position, rotation, start, end, radius, above, free, clear)
        return free, clear


@njit(cache=True, nogil=True)
def _trace(grids, sizes, slots, position, rotation, start, end, radius, table, free, clear):
    origin, course = np.empty(3), np.empty(3)
    for n in range(slots.size):
        free[n] = _before_table(start[n], end[n], radius, table, course)
        clear[n] = np.inf
        edge, reach = sizes[slots[n], 0], sizes[slots[n], 1] + radius + SLACK + 1e-3
        along, square = _into_object(position[n], rotation[n], start[n], course, origin)
        half = reach * reach - square + along * along
        if half <= 0.0:
            continue
        half = math.sqrt(half)
        # a collision test may look a little past the end
        t, last = max(0.0, along - half), min(free[n] + SLACK, along + half)
        while t < last:
            step = edge / QUARTERS * _near(grids[slots[n]], edge, origin, course, t) - radius - SLACK
            if step < SHORTEST:
                clear[n] = t
                break
            t += step


@njit(cache=True, nogil=True)
def _before_table(start, end, radius, table, course):
    """Metres to `end`, or to where a ball meets the table, as `Simulation.free_length` has them; sets the `course`."""
    for i in range(3):
        course[i] = end[i] - start[i]
    length = math.sqrt(course[0] * course[0] + course[1] * course[1] + course[2] * course[2])
    if length == 0.0:
        return length
    for i in range(3):
        course[i] /= length
    if table > -np.inf and course[2] < 0.0:
        return min(length, max(0.0, (start[2] - table - radius) / -course[2]))
    return length


@njit(cache=True, nogil=True)
def _into_object(position, rotation, start, course, origin):
    """Turns `course` and sets `origin`, the start, in the object's frame; metres along to, squared from, its middle."""
    x, y, z = course[0], course[1], course[2]
    along = square = 0.0
    for i in range(3):
        origin[i] = 0.0
        for j in range(3):
            origin[i] += rotation[j, i] * (start[j] - position[j])
        course[i] = rotation[0, i] * x + rotation[1, i] * y + rotation[2, i] * z
        along -= origin[i] * course[i]
        square += origin[i] * origin[i]
    return along, square


@njit(cache=True, nogil=True)
def _near(grid, edge, origin, course, t):
    i = int(math.floor((origin[0] + t * course[0]) / edge + CELLS / 2))
    j = int(math.floor((origin[1] + t * course[1]) / edge + CELLS / 2))
    k = int(math.floor((origin[2] + t * course[2]) / edge + CELLS / 2))
    if min(i, j, k) < 0 or max(i, j, k) >= CELLS:
        return 0
    return grid[i, j, k]
