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
from .grid import node_at
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
    table, start = _all_turns()
    side, up, box = np.zeros(3), np.empty((count, 3)), np.empty((2, 3))
    inside, here = np.empty(count, np.bool_), np.empty(count, np.bool_)
    p, n = np.empty((count, 3)), np.empty(3)
    allowed, found = 1 + count // 4, 0
    ranked, top = ranking(), match.max() + FIT * count + ROUNDED
    for k in range(len(order)):
        row, o, turns = rows[order[k]], owner[order[k]], tried[order[k]]
        side[:] = 0.0
        cross(row[3:6], row[6:9], side, 1.0, 0)
        for i in range(3):
            box[0, i] = grid[0][o, i] - EDGE
            box[1, i] = grid[0][o, i] + grid[1][o, i] * grid[6] + EDGE
        outside = _rings(row, side, arms, box, up, inside)
        if outside > allowed:
            continue
        for turn in range(start[turns], start[turns] + turns):
            c, s = table[turn, 1], table[turn, 2]
            misses = outside
            for h in range(count):
                here[h] = inside[h]
                if inside[h]:
                    a, b = c * arms[h, 0] + s * arms[h, 1], c * arms[h, 1] - s * arms[h, 0]
                    for i in range(3):
                        p[h, i] = row[i] + a * row[6 + i] + b * side[i] + up[h, i]
                        here[h] &= box[0, i] <= p[h, i] <= box[1, i]
                    misses += not here[h]
                    if misses > allowed:
                        break
            bar = bar_of(ranked, top) - ROUNDED
            score, ahead = match[k], FIT * (count - misses) + MISSED * misses
            for h in range(count):
                if misses > allowed or score + ahead < bar:
                    break
                fit = MISSED
                if here[h]:
                    d, e = c * normals[h, 0] + s * normals[h, 1], c * normals[h, 1] - s * normals[h, 0]
                    for i in range(3):
                        n[i] = d * row[6 + i] + e * side[i] + normals[h, 2] * row[3 + i]
                    fit = _fit(rows, grid, o, p[h], n, reach[h])
                    misses += fit == MISSED
                    ahead -= FIT
                else:
                    ahead -= MISSED
                score += fit
            if misses <= allowed and score + ahead >= bar:
                nodes[found], angles[found], scores[found] = k, table[turn, 0], score
                note(ranked, top, score, 1, limit)
                found += 1
    return found


@njit(cache=True, inline="always")
def _rings(row, side, arms, box, up, inside):
    """How many readings lie outside of a box at any turn: each goes round the node's normal in a ring."""
    outside = 0
    for h in range(len(arms)):
        wide, within = math.sqrt(arms[h, 0] ** 2 + arms[h, 1] ** 2), True
        for i in range(3):
            up[h, i] = arms[h, 2] * row[3 + i]
            far = wide * math.sqrt(row[6 + i] * row[6 + i] + side[i] * side[i])
            within &= row[i] + up[h, i] + far >= box[0, i] and row[i] + up[h, i] - far <= box[1, i]
        inside[h] = within
        outside += not within
    return outside


@njit(cache=True, inline="always")
def _fit(rows, grid, o, p, n, reach):
    """Nats of a reading at a point of an object."""
    there = node_at(grid, o, p, n)
    if there < 0:
        return MISSED
    other, height = rows[there], 0.0
    for i in range(3):
        height += (p[i] - other[i]) * other[3 + i]
    fit = FIT - 0.5 * (height / reach) ** 2 - (1 - dot(n, other[3:6])) / ROUGH_FACING**2
    return fit if fit >= MISSED else MISSED


@njit(cache=True)
def _all_turns():
    """Angle, cosine and sine of all turns, as hypotheses.turn_angle has them, and where those of each number of turns
    start."""
    table, start, end = np.empty((TURNS * (TURNS + 1) // 2, 3)), np.zeros(TURNS + 1, np.int64), 0
    for tried in range(1, TURNS + 1):
        start[tried] = end
        for turn in range(tried):
            angle = 2 * math.pi * turn / tried
            if tried == 6:
                angle = (turn % 3 - 1) * ASIDE + (turn // 3) * math.pi
            table[end, 0], table[end, 1], table[end, 2] = angle, math.cos(angle), math.sin(angle)
            end += 1
    return table, start


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
