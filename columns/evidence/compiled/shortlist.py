"""The nodes whose features fit a reading best, found by the feature index: see feature_index.py.

Blocks are opened in the order of their bounds. A histogram of what was found, weighed by the turns that are tried at
each node, says how good a node must at least be to be tried at all; no bound left above that, and the search is done.
"""

import numpy as np
from numba import njit

from ..feature_index import GROUP, WIDTH
from .ranking import about_in_order, bar_of, note, ranking

SLACK = 1e-3  # nats: bounds hold but for rounding
DIRECT = 4  # of all nodes, this part at most is matched one by one since its objects are in favour


@njit(cache=True, inline="always")
def matched(
    surface, colour, floor, s15, s16, s17, s18, s19, s20, s21, s22,
    k1, k2, saturation, value, cos, sin, w1, w2, w3, w4, kappa, curvature_log, colour_log,
):  # fmt: skip
    """Feature ratio of a reading at a node; its floors as plain maxima, which cost no exponential."""
    total = 0.0
    if surface:
        curvature = curvature_log - s21 - 0.5 * ((s15 - k1) ** 2 * w1 + (s16 - k2) ** 2 * w2)
        total = max(curvature, floor)
    if colour:
        light = colour_log - s22 - 0.5 * ((s17 - saturation) ** 2 * w3 + (s18 - value) ** 2 * w4)
        total += max(light + kappa * (s19 * cos + s20 * sin), floor)
    return total


@njit(cache=True)
def bound(box, s, floor, surface, colour):
    """No node inside of a box matches the reading s (31,) better."""
    total = 0.0
    if surface:
        a, b = _gap(box, s[15], 0), _gap(box, s[16], 1)
        total = max(box[17] - s[21] - 0.5 * (a * a * box[12] + b * b * box[13]), floor)
    if colour:
        a, b = _gap(box, s[17], 2), _gap(box, s[18], 3)
        c, d = _gap(box, s[19], 4), _gap(box, s[20], 5)
        squares = a * a * box[14] + b * b * box[15] + (c * c + d * d) * box[16]
        total += max(box[18] - s[22] - 0.5 * squares, floor)
    return total + SLACK


@njit(cache=True, inline="always")
def _gap(box, x, k):
    return max(0.0, max(box[k] - x, x - box[6 + k]))


@njit(cache=True)
def match_some(rows, begin, end, s, floor, surface, colour, out):
    """Feature ratios of the nodes begin ... end, into `out`."""
    for node in range(begin, end):
        row = rows[node]
        out[node - begin] = matched(
            surface, colour, floor, s[15], s[16], s[17], s[18], s[19], s[20], s[21], s[22], row[14], row[15], row[16],
            row[17], row[18], row[19], row[23], row[24], row[25], row[26], row[27], row[28], row[29],
        )  # fmt: skip


@njit(cache=True)
def _match_block(part, s, floor, surface, colour, out):
    """Feature ratios of a block's nodes, into `out`, and the best of them."""
    for j in range(WIDTH):
        out[j] = matched(
            surface, colour, floor, s[15], s[16], s[17], s[18], s[19], s[20], s[21], s[22], part[0, j], part[1, j],
            part[2, j], part[3, j], part[4, j], part[5, j], part[6, j], part[7, j], part[8, j], part[9, j],
            part[10, j], part[11, j], part[12, j],
        )  # fmt: skip
    best = out[0]
    for j in range(WIDTH):
        best = max(best, out[j])
    return best


@njit(cache=True)
def in_favour(favour, first):
    """Which objects' nodes are matched one by one, bool: those in most favour, unless that are too many nodes; and the
    highest favour of the others."""
    aside = np.zeros(len(favour), np.bool_)
    left = first[-1] // DIRECT
    order, lowest = np.argsort(-favour), favour.min()
    for o in order:
        left -= first[o + 1] - first[o]
        if favour[o] == lowest or left < 0:
            return aside, favour[o]
        aside[o] = True
    return aside, lowest


@njit(cache=True)
def shortlist(
    rows, first, turns, numbers, nodes, owner, block_turns, boxes, group_boxes, s, floor, surface, colour, favour, tests
):  # fmt: skip
    """All nodes that may be among the best by ratio plus favour of which `tests` turns are tried, and some more:
    nodes, ratios, and ratios plus favour, in no order."""
    aside, rest = in_favour(favour, first)
    bounds = np.empty(len(group_boxes), np.float32)
    for g in range(len(bounds)):
        bounds[g] = bound(group_boxes[g], s, floor, surface, colour) + rest
    top = bounds.max() + (favour.max() - rest)
    ranked, found, room = ranking(), 0, len(rows)
    node, ratio, total = np.empty(room, np.int32), np.empty(room, np.float32), np.empty(room, np.float32)
    match = np.empty(max(WIDTH, (first[1:] - first[:-1]).max()), np.float32)
    for o in np.flatnonzero(aside):
        match_some(rows, first[o], first[o + 1], s, floor, surface, colour, match)
        for n in range(first[o], first[o + 1]):
            key = match[n - first[o]] + favour[o]
            if key >= bar_of(ranked, top):
                node[found], ratio[found], total[found] = n, match[n - first[o]], key
                note(ranked, top, key, turns[n], tests)
                found += 1
    for g in about_in_order(bounds, top):
        bar = bar_of(ranked, top)
        if bounds[g] < bar:
            continue
        for b in range(g * GROUP, min(len(boxes), (g + 1) * GROUP)):
            if bound(boxes[b], s, floor, surface, colour) + rest < bar:
                continue
            if _match_block(numbers[b], s, floor, surface, colour, match) + rest < bar:
                continue
            for j in range(WIDTH):
                o = owner[b, j]
                key = match[j] + favour[o]
                if key >= bar and not aside[o] and numbers[b, 11, j] > -np.inf:
                    node[found], ratio[found], total[found] = nodes[b, j], match[j], key
                    note(ranked, top, key, block_turns[b, j], tests)
                    found += 1
            bar = bar_of(ranked, top)
    good = total[:found] >= bar_of(ranked, top)
    return node[:found][good], ratio[:found][good], total[:found][good]
