"""Which nodes a reading may lie on, for kernels: as `telling` and `sieve` of likelihood.py, there the reasons are."""

import math

import numpy as np
from numba import njit

from ..hypotheses import ASIDE
from ..likelihood import FITTING, ROUGH_FACING, ROUGH_LEVER, ROUGH_NEAR
from .grid import node_at
from .vectors import cross, dot

SMALLEST = 1e-30  # density


def strongest(score: np.ndarray, count: int) -> np.ndarray:
    """Indices of the `count` largest, largest first, ties in order."""
    if count < len(score):
        bar = np.partition(score, len(score) - count)[len(score) - count]
        best = np.flatnonzero(score >= bar)
    else:
        best = np.arange(len(score))
    return best[np.argsort(-score[best], kind="stable")][:count]


@njit(cache=True)
def match_nodes(rows, codes, weights, s, bitmap, tol, surface, colour, winners, out):
    """Feature ratios at every node; their floors as plain maxima, which cost no exponential."""
    floor = math.log(tol[3])
    for node in range(len(rows)):
        row, total = rows[node], 0.0
        if surface:
            curvature = row[28] - s[21] - 0.5 * ((s[15] - row[14]) ** 2 * row[23] + (s[16] - row[15]) ** 2 * row[24])
            total = max(curvature, floor)
        if colour:
            light = row[29] - s[22] - 0.5 * ((s[17] - row[16]) ** 2 * row[25] + (s[18] - row[17]) ** 2 * row[26])
            total += max(light + row[27] * (s[19] * row[18] + s[20] * row[19]), floor)
        if winners > 0:
            share = 0.0
            for i in range(codes.shape[1]):
                if bitmap[codes[node, i]]:
                    share += weights[node, i]
            total += max(tol[4] * math.log(share / winners + 0.1) + tol[5], floor)
        out[node] = total


@njit(cache=True)
def tell_all(rows, codes, weights, turns, numbers, bitmap, tol, surface, colour, winners, usual, seeds):
    match = np.empty(len(rows), np.float32)
    for i in range(len(numbers)):
        s = numbers[i].copy()
        curvature, light = 0.0, 0.0
        for row in rows:
            curvature += math.exp(row[28] - 0.5 * ((s[15] - row[14]) ** 2 * row[23] + (s[16] - row[15]) ** 2 * row[24]))
            near = row[29] - 0.5 * ((s[17] - row[16]) ** 2 * row[25] + (s[18] - row[17]) ** 2 * row[26])
            light += math.exp(near + row[27] * (s[19] * row[18] + s[20] * row[19]))
        s[21] = usual[i, 0] = math.log(max(curvature / len(rows), SMALLEST))
        s[22] = usual[i, 1] = math.log(max(light / len(rows), SMALLEST))
        match_nodes(rows, codes, weights, s, bitmap[i], tol, surface, colour, winners, match)
        best, total = match.max() - FITTING, 0.0
        for k in range(len(rows)):
            if match[k] > best:
                total += turns[k]
        seeds[i] = total


@njit(cache=True)
def sieve_all(rows, owner, grid, order, tried, match, at, hits, nodes, angles, scores):
    count = len(hits)
    arms, normals, reach = _seen_from(at, hits)
    side, p, n = np.zeros(3), np.zeros(3), np.zeros(3)
    allowed, found = 1 + count // 4, 0
    for node in order:
        row = rows[node]
        side[:] = 0.0
        cross(row[3:6], row[6:9], side, 1.0, 0)
        o = owner[node]
        for turn in range(tried[node]):
            angle = 2 * math.pi * turn / tried[node]
            if tried[node] == 6:
                angle = (turn % 3 - 1) * ASIDE + (turn // 3) * math.pi
            c, s = math.cos(angle), math.sin(angle)
            misses, score = 0, match[node]
            for h in range(count):
                # the turn carries the node's surface frame to the anchor's; its transpose goes back
                a, b = c * arms[h, 0] + s * arms[h, 1], c * arms[h, 1] - s * arms[h, 0]
                d, e = c * normals[h, 0] + s * normals[h, 1], c * normals[h, 1] - s * normals[h, 0]
                for i in range(3):
                    p[i] = row[i] + a * row[6 + i] + b * side[i] + arms[h, 2] * row[3 + i]
                    n[i] = d * row[6 + i] + e * side[i] + normals[h, 2] * row[3 + i]
                there = node_at(grid, o, p, n)
                fit = -4.0
                if there >= 0:
                    other = rows[there]
                    height = 0.0
                    for i in range(3):
                        height += (p[i] - other[i]) * other[3 + i]
                    fit = 3 - 0.5 * (height / reach[h]) ** 2 - (1 - dot(n, other[3:6])) / ROUGH_FACING**2
                if fit < -3:
                    fit = -3.0
                    misses += 1
                    if misses > allowed:
                        break
                score += fit
            if misses <= allowed:
                nodes[found], angles[found], scores[found] = node, angle, score
                found += 1
    return found


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
