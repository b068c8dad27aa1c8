"""The nearest of many oriented points, fast where something is near, and the closest point of a triangle.

Nearest in position and normal together, normals without sign. Points lie in cubes; the cubes around a query are
visited shell by shell until no farther one can hold a better point. A query with nothing near is left to a k-d tree,
so that the answer is exact everywhere.
"""

import numpy as np
from numba import njit
from scipy.spatial import KDTree

SHELLS = 6
"""Cubes out from the one a query lies in, before the k-d tree is asked."""


class Nearest:
    """Which of n oriented points is nearest.

    point : (n, 3) metres
    normal : (n, 3) unit vectors
    unit : metres and radians that count alike
    """

    def __init__(self, point: np.ndarray, normal: np.ndarray, unit: tuple[float, float]):
        self.scale = unit[0]
        scaled = point / unit[0]
        x, y, z = np.ptp(scaled, axis=0)
        self.cube = float(np.clip(np.sqrt((x * y + y * z + z * x) * 8 / len(point)), 0.5, 3))
        self.low = scaled.min(0) - 1e-6
        self.side = (np.ptp(scaled, axis=0) / self.cube).astype(np.int64) + 1
        cell = np.ravel_multi_index(((scaled - self.low) / self.cube).astype(np.int64).T, self.side)
        self.order = np.argsort(cell, kind="stable")
        self.start = np.searchsorted(cell[self.order], np.arange(self.side.prod() + 1))
        self.point, self.normal = scaled[self.order], np.ascontiguousarray(normal[self.order])
        self.turn = 1.0 / unit[1] ** 2
        self.tree = KDTree(np.concatenate([self._joint(scaled, sign * normal) for sign in (1.0, -1.0)]))

    def _joint(self, point: np.ndarray, normal: np.ndarray) -> np.ndarray:
        return np.concatenate([point, normal * np.sqrt(self.turn)], axis=1)

    def __call__(self, point: np.ndarray, normal: np.ndarray) -> np.ndarray:
        """Index (m,) of the nearest of the points to each of m oriented ones, (m, 3) and (m, 3)."""
        point = point / self.scale
        grid = (self.point, self.normal, self.start, self.low, self.side, self.cube, self.turn)
        found = _search(point, normal, *grid)
        index = self.order[found]
        far = np.flatnonzero(found < 0)
        if len(far):
            index[far] = self.tree.query(self._joint(point[far], normal[far]))[1] % len(self.order)
        return index


@njit(cache=True)
def _away(x, cell, cube):
    """Square of the distance of a coordinate, in cubes, from the cube with this number."""
    return (max(cell - x, x - cell - 1.0, 0.0) * cube) ** 2


@njit(cache=True)
def _search(point, normal, known, known_normal, start, low, side, cube, turn):
    found = np.full(len(point), -1)
    for i in range(len(point)):
        p, n = point[i], normal[i]
        x, y, z = (p[0] - low[0]) / cube, (p[1] - low[1]) / cube, (p[2] - low[2]) / cube
        at = (int(np.floor(x)), int(np.floor(y)), int(np.floor(z)))
        best, which = np.inf, -1
        for shell in range(SHELLS + 1):
            for a in range(max(at[0] - shell, 0), min(at[0] + shell + 1, side[0])):
                away_x = _away(x, a, cube)
                if away_x >= best:
                    continue
                for b in range(max(at[1] - shell, 0), min(at[1] + shell + 1, side[1])):
                    away_xy = away_x + _away(y, b, cube)
                    if away_xy >= best:
                        continue
                    inside = abs(a - at[0]) < shell and abs(b - at[1]) < shell
                    hop = 2 * shell if inside and shell else 1
                    first = at[2] - shell
                    if first < 0:
                        first = first + hop if hop > 1 else 0
                    for c in range(first, min(at[2] + shell + 1, side[2]), hop):
                        if c < 0 or away_xy + _away(z, c, cube) >= best:
                            continue
                        cell = (a * side[1] + b) * side[2] + c
                        for j in range(start[cell], start[cell + 1]):
                            q = known[j]
                            off = (p[0] - q[0]) ** 2 + (p[1] - q[1]) ** 2 + (p[2] - q[2]) ** 2
                            if off < best:
                                m = known_normal[j]
                                along = abs(n[0] * m[0] + n[1] * m[1] + n[2] * m[2])
                                off += 2.0 * (1.0 - along) * turn
                                if off < best:
                                    best, which = off, j
            margin = min(x - at[0], 1 - x + at[0], y - at[1], 1 - y + at[1], z - at[2], 1 - z + at[2])
            if best <= ((shell + margin) * cube) ** 2:
                found[i] = which
                break
    return found


@njit(cache=True)
def closest(corners, face, point):
    """(closest points (m, 3), their barycentric weights (m, 3)) of triangles `face` (m,) of corners (f, 3, 3).

    Source: Ericson, Real-Time Collision Detection, 2005, 5.1.5.
    """
    weight = np.empty((len(point), 3))
    where = np.empty((len(point), 3))
    for i in range(len(point)):
        a, b, c = corners[face[i], 0], corners[face[i], 1], corners[face[i], 2]
        v, w = _weights(a, b, c, point[i])
        weight[i, 0], weight[i, 1], weight[i, 2] = 1.0 - v - w, v, w
        for k in range(3):
            where[i, k] = a[k] + v * (b[k] - a[k]) + w * (c[k] - a[k])
    return where, weight


@njit(cache=True)
def _dot(a, b, c, d):
    return (a[0] - b[0]) * (c[0] - d[0]) + (a[1] - b[1]) * (c[1] - d[1]) + (a[2] - b[2]) * (c[2] - d[2])


@njit(cache=True)
def _weights(a, b, c, p):
    d1, d2 = _dot(b, a, p, a), _dot(c, a, p, a)
    if d1 <= 0 and d2 <= 0:
        return 0.0, 0.0
    d3, d4 = _dot(b, a, p, b), _dot(c, a, p, b)
    if d3 >= 0 and d4 <= d3:
        return 1.0, 0.0
    vc = d1 * d4 - d3 * d2
    if vc <= 0 and d1 >= 0 and d3 <= 0:
        return d1 / (d1 - d3), 0.0
    d5, d6 = _dot(b, a, p, c), _dot(c, a, p, c)
    if d6 >= 0 and d5 <= d6:
        return 0.0, 1.0
    vb = d5 * d2 - d1 * d6
    if vb <= 0 and d2 >= 0 and d6 <= 0:
        return 0.0, d2 / (d2 - d6)
    va = d3 * d6 - d5 * d4
    if va <= 0 and d4 - d3 >= 0 and d5 - d6 >= 0:
        w = (d4 - d3) / ((d4 - d3) + (d5 - d6))
        return 1.0 - w, w
    return vb / (va + vb + vc), vc / (va + vb + vc)
