"""Which turns about the normal at which nodes lay one reading on an object so that the others fit too, for kernels: as
`_rough_fit` of likelihood.py, there the reasons are.

Most turns fail, most of them since a reading lies outside of the object's grid. So a turn is looked up only when few
enough readings do; and when it can't be among the best any more, not to the end.
"""

import math

import numpy as np
from numba import njit

from ..atlas import TURNS
from ..hypotheses import ASIDE
from ..likelihood import ROUGH_FACING, ROUGH_LEVER, ROUGH_NEAR
from .grid import facing_of
from .ranking import bar_of, note, ranking
from .vectors import cross, dot

EDGE = 1e-6  # metres by which a point outside of a grid is outside whatever the rounding
FIT, MISSED = 3.0, -3.0  # nats of a reading that fits at best, and of one that misses
ROUNDED = 1e-3  # nats


@njit(cache=True)
def sieve_all(rows, owner, grid, order, tried, match, at, hits, limit, nodes, angles, scores):
    """Of all turns at the nodes `order`, of such feature ratios, those at which few enough readings miss, all that may
    be among the `limit` best: places in `order`, angles and scores; their number."""
    count = len(hits)
    arms, normals, reach = _seen_from(at, hits)
    angle, cos, sin, start = _all_turns()
    side, up = np.zeros(3), np.empty((count, 3))
    misses, cells = np.empty(TURNS, np.int64), np.empty((count, TURNS), np.int32)
    allowed, found = 1 + count // 4, 0
    ranked, top = ranking(), (match.max() if len(order) else 0.0) + FIT * count + ROUNDED
    for k in range(len(order)):
        row, o, turns = rows[order[k]], owner[order[k]], tried[order[k]]
        side[:] = 0.0
        cross(row[3:6], row[6:9], side, 1.0, 0)
        if _rings(row, side, arms, grid, o, up) > allowed:
            continue
        first = start[turns]
        _cells(row, side, arms, grid, o, up, cos[first:], sin[first:], turns, misses, cells)
        for turn in range(turns):
            bar, c, s = bar_of(ranked, top) - ROUNDED, cos[first + turn], sin[first + turn]
            missed, ahead, score = misses[turn], FIT * (count - misses[turn]) + MISSED * misses[turn], match[k]
            for h in range(count):
                if missed > allowed or score + ahead < bar:
                    break
                if cells[h, turn] < 0:
                    score += MISSED
                    ahead -= MISSED
                    continue
                fit = _fit(rows, grid, cells[h, turn], reach[h], row, side, up[h], c, s, arms[h], normals[h])
                missed += fit == MISSED
                score += fit
                ahead -= FIT
            if missed <= allowed and score + ahead >= bar:
                nodes[found], angles[found], scores[found] = k, angle[first + turn], score
                note(ranked, top, score, 1, limit)
                found += 1
    return found


@njit(cache=True)
def _rings(row, side, arms, grid, o, up):
    """How many readings lie outside of the grid at any turn: each goes round the node's normal in a ring."""
    outside = 0
    for h in range(len(arms)):
        wide, within = math.sqrt(arms[h, 0] ** 2 + arms[h, 1] ** 2), True
        for i in range(3):
            up[h, i] = arms[h, 2] * row[3 + i]
            far = wide * math.sqrt(row[6 + i] * row[6 + i] + side[i] * side[i]) + EDGE
            low = row[i] + up[h, i] - grid[0][o, i]
            within &= low + far >= 0 and low - far <= grid[1][o, i] * grid[6]
        outside += not within
    return outside


@njit(cache=True)
def _cells(row, side, arms, grid, o, up, cos, sin, turns, misses, cells):
    """The voxel (h, turns) in which each reading lies at each turn, -1 where that is outside of the grid or no node is
    near; and how many do. The loop over turns runs several at a time."""
    misses[:turns] = 0
    corner, shape, offset, voxel, near = grid[0], grid[1], grid[2], grid[6], grid[7]
    low_x, low_y, low_z = corner[o, 0], corner[o, 1], corner[o, 2]
    wide, deep, tall, zero = float(shape[o, 0]), float(shape[o, 1]), float(shape[o, 2]), float(offset[o])
    x0, y0, z0, x1, y1, z1 = row[0], row[1], row[2], row[6], row[7], row[8]
    x2, y2, z2 = side[0], side[1], side[2]
    for h in range(len(arms)):
        along, across, cell = arms[h, 0], arms[h, 1], cells[h]
        x3, y3, z3 = up[h, 0], up[h, 1], up[h, 2]
        for t in range(turns):
            a, b = cos[t] * along + sin[t] * across, cos[t] * across - sin[t] * along
            i = np.floor((x0 + a * x1 + b * x2 + x3 - low_x) / voxel)
            j = np.floor((y0 + a * y1 + b * y2 + y3 - low_y) / voxel)
            k = np.floor((z0 + a * z1 + b * z2 + z3 - low_z) / voxel)
            within = (i >= 0) & (j >= 0) & (k >= 0) & (i < wide) & (j < deep) & (k < tall)
            cell[t] = np.int32((i * deep + j) * tall + k + zero if within else -1.0)
        for t in range(turns):
            at = cell[t]
            if at < 0 or not near[at >> 3] >> (at & 7) & 1:
                cell[t] = -1
                misses[t] += 1


@njit(cache=True, inline="always")
def _fit(rows, grid, cell, reach, row, side, up, c, s, arm, normal):
    """Nats of a reading that a turn of that cosine and sine lays in a voxel of an object."""
    d, e = c * normal[0] + s * normal[1], c * normal[1] - s * normal[0]
    u = d * row[6] + e * side[0] + normal[2] * row[3]
    v = d * row[7] + e * side[1] + normal[2] * row[4]
    w = d * row[8] + e * side[2] + normal[2] * row[5]
    there = grid[4][grid[3][cell], facing_of(u, v, w)]
    if there < 0:
        return MISSED
    a, b = c * arm[0] + s * arm[1], c * arm[1] - s * arm[0]
    height = (row[0] + a * row[6] + b * side[0] + up[0] - rows[there, 0]) * rows[there, 3]
    height += (row[1] + a * row[7] + b * side[1] + up[1] - rows[there, 1]) * rows[there, 4]
    height += (row[2] + a * row[8] + b * side[2] + up[2] - rows[there, 2]) * rows[there, 5]
    facing = u * rows[there, 3] + v * rows[there, 4] + w * rows[there, 5]
    return max(MISSED, FIT - 0.5 * (height / reach) ** 2 - (1 - facing) / ROUGH_FACING**2)


@njit(cache=True)
def _all_turns():
    """Angles of all turns, as hypotheses.turn_angle has them, their cosines and sines, and where those of each number
    of turns start."""
    count = TURNS * (TURNS + 1) // 2
    angles, cos, sin, start, end = np.empty(count), np.empty(count), np.empty(count), np.zeros(TURNS + 1, np.int64), 0
    for tried in range(1, TURNS + 1):
        start[tried] = end
        for turn in range(tried):
            angle = 2 * math.pi * turn / tried
            if tried == 6:
                angle = (turn % 3 - 1) * ASIDE + (turn // 3) * math.pi
            angles[end], cos[end], sin[end] = angle, math.cos(angle), math.sin(angle)
            end += 1
    return angles, cos, sin, start


@njit(cache=True)
def _seen_from(at, hits):
    """Offsets and normals of readings in the surface frame of one, and how far off each may lie."""
    frame = np.zeros((3, 3))
    frame[0], frame[2] = at[12:15], at[9:12]
    across = np.zeros(6)
    cross(at[9:12], at[12:15], across, 1.0, 0)
    frame[1] = across[:3]
    arms, normals, reach = np.zeros((len(hits), 3)), np.zeros((len(hits), 3)), np.zeros(len(hits))
    for h in range(len(hits)):
        for i in range(3):
            for j in range(3):
                arms[h, i] += frame[i, j] * (hits[h, 6 + j] - at[6 + j])
                normals[h, i] += frame[i, j] * hits[h, 9 + j]
        reach[h] = ROUGH_NEAR + ROUGH_LEVER * math.sqrt(dot(arms[h], arms[h]))
    return arms, normals, reach
