"""What a reading tells by its features alone, for kernels: as `telling` and `features` of likelihood.py, there the
reasons are."""

import math

import numpy as np
from numba import njit

from ..likelihood import FITTING
from .shortlist import matched

SMALLEST = 1e-30  # density


@njit(cache=True)
def match_nodes(rows, codes, weights, s, bitmap, tol, surface, colour, winners, out):
    """Feature ratios at every node; their floors as plain maxima, which cost no exponential."""
    floor = math.log(tol[3])
    for node in range(len(rows)):
        row = rows[node]
        total = matched(
            surface, colour, floor, s[15], s[16], s[17], s[18], s[19], s[20], s[21], s[22], row[14], row[15], row[16],
            row[17], row[18], row[19], row[23], row[24], row[25], row[26], row[27], row[28], row[29],
        )  # fmt: skip
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
