"""Where a ray meets known surface, for kernels: as `likelihood.meet`, there the reasons are."""

import math

import numpy as np
from numba import njit

from ..likelihood import AHEAD, CERTAIN, LOOKS, MARCH, NOWHERE, PASSING, SLANT, STEP, SURFACE
from .grid import node_at, voxel_at
from .vectors import dot


@njit(cache=True)
def meet_one(rows, grid, o, p, r):
    corner, shape, distance, voxel = grid[0], grid[1], grid[5], grid[6]
    enter, leave = 0.0, np.inf
    for axis in range(3):
        slope = r[axis] if abs(r[axis]) >= 1e-9 else 1e-9
        a = (corner[o, axis] - p[axis]) / slope
        b = (corner[o, axis] + shape[o, axis] * voxel - p[axis]) / slope
        enter, leave = max(enter, min(a, b)), min(leave, max(a, b))
    aside, at, met, depth = NOWHERE, 0.0, -1, enter + 1e-5
    away, point = np.zeros(3), np.zeros(3)
    for _ in range(MARCH):
        if depth >= leave or aside < CERTAIN:
            break
        x, y, z = p[0] + depth * r[0], p[1] + depth * r[1], p[2] + depth * r[2]
        cell = voxel_at(grid, o, x, y, z)
        gap = distance[cell] if cell >= 0 else STEP * voxel
        if cell >= 0 and gap < SURFACE:
            aside = min(aside, PASSING)
            away[0], away[1], away[2] = -r[0], -r[1], -r[2]
            point[0], point[1], point[2] = x, y, z
            for _ in range(LOOKS):
                node = node_at(grid, o, point, away)
                if node < 0:
                    away[:] = 0.0
                    node = node_at(grid, o, point, away)
                if node < 0:
                    break
                row = rows[node]
                cos = dot(r, row[3:6])
                height = (row[0] - x) * row[3] + (row[1] - y) * row[4] + (row[2] - z) * row[5]
                on = height / min(cos, -SLANT)
                if cos >= 0 or abs(on) >= AHEAD:
                    break
                for i in range(3):
                    point[i] = p[i] + (depth + on) * r[i]
                    away[i] = row[3 + i]
                u, v, w = point[0] - row[0], point[1] - row[1], point[2] - row[2]
                off = u * row[3] + v * row[4] + w * row[5]
                beside = math.sqrt(max(0.0, u * u + v * v + w * w - off * off))
                if beside < aside:
                    aside, at, met = beside, depth + on, node
        depth += max(gap - 0.5 * SURFACE, STEP * voxel)
    return aside, at, met


@njit(cache=True)
def meet_all(rows, grid, obj, origin, ray, aside, depth, node):
    for i in range(len(obj)):
        aside[i], depth[i], node[i] = meet_one(rows, grid, obj[i], origin[i], ray[i])
