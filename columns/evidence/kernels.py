"""`likelihood.weigh` for a CPU, compiled: one pass over (hypothesis, sensation) pairs without a temporary array.

The same formulas as the plain reference in likelihood.py, which the tests compare it with; there the reasons are.
"""

import math

import numpy as np
import torch
from numba import njit

from ..messages import Vote
from .atlas import SUBSET, THIRD, Atlas
from .hypotheses import ASIDE, Hypotheses
from .likelihood import (
    AHEAD,
    CERTAIN,
    FITTING,
    LOG_DEPTH,
    LOOKS,
    MARCH,
    MISS_ASIDE,
    MISS_FAR,
    MISS_LEVER,
    MISS_NEAR,
    MISS_WIDTH,
    MISSED_UNKNOWN,
    NOWHERE,
    PASSING,
    ROUGH_FACING,
    ROUGH_LEVER,
    ROUGH_NEAR,
    SAG,
    SLANT,
    STEEP,
    STEP,
    SURFACE,
    TILT,
    Tolerance,
    spread_out,
)

TWO_PI = 2 * math.pi
SMALLEST = 1e-30  # density
DEPTH = math.exp(LOG_DEPTH)


def weigh(atlas: Atlas, memory, hypotheses: Hypotheses, tol: Tolerance, curved: bool = True) -> Vote:
    """As likelihood.weigh; tensors on a CPU."""
    groups, columns, _ = memory.kind.shape
    count, sides = len(hypotheses), 6 if curved else 0
    evidence = np.zeros((groups, columns, count), np.float32)
    slope = np.zeros((groups, columns, count, sides), np.float32)
    information = np.zeros((groups, columns, count, sides, sides), np.float32)
    _weigh(
        *_arrays(atlas),
        memory.numbers.numpy(), memory.kind.numpy(), memory.bitmap.numpy(),
        hypotheses.obj.numpy(), hypotheses.rotation.numpy(), hypotheses.location.numpy(),
        hypotheses.log_evidence.numpy(), hypotheses.turn_sd.numpy(), hypotheses.shift_sd.numpy(),
        hypotheses.pivot.numpy(), _numbers(tol), tol.surface, tol.colour, tol.winners, curved,
        evidence, slope, information,
    )  # fmt: skip
    return Vote(torch.from_numpy(evidence), torch.from_numpy(slope), torch.from_numpy(information))


def telling(numbers, bitmap, atlas: Atlas, tol: Tolerance):
    """As likelihood.telling; tensors on a CPU."""
    few, flat = atlas.subset(SUBSET), numbers.reshape(-1, numbers.shape[-1])
    bitmap = bitmap.reshape(len(flat), -1)
    usual, seeds = np.empty((len(flat), 2), np.float32), np.empty(len(flat), np.float32)
    _telling(
        few["table"].numpy(), few["codes"].numpy(), few["code_weights"].numpy(), few["turns"].numpy(), flat.numpy(),
        bitmap.numpy(), _numbers(tol), tol.surface, tol.colour, tol.winners, usual, seeds,
    )  # fmt: skip
    return torch.from_numpy(usual).view(*numbers.shape[:-1], 2), torch.from_numpy(seeds).view(numbers.shape[:-1])


def sieve(atlas: Atlas, memory, group: int, anchor: int, tests: int, limit: int, tol: Tolerance, favour):
    """As likelihood.sieve; tensors on a CPU."""
    numbers = memory.numbers[group].flatten(0, 1).numpy()
    hits, at = numbers[memory.kind[group].flatten().numpy() == 1], numbers[anchor]
    hits = hits[spread_out(len(hits))]
    # what lies far from the anchor says no soonest
    hits = hits[np.argsort(-np.linalg.norm(hits[:, 6:9] - at[6:9], axis=1), kind="stable")]
    rows, codes, weights, grid = _arrays(atlas)
    bitmap = memory.bitmap[group].flatten(0, 1).numpy()[anchor]
    nodes, favoured = _among(atlas, favour.numpy())
    match = np.empty(len(nodes), np.float32)
    _match(rows, codes, weights, nodes, at, bitmap, _numbers(tol), tol.surface, tol.colour, tol.winners, match)
    order = _strongest(match + favoured, tests // 2)
    tried = atlas.turns.numpy()[nodes[order]]
    order, tried = order[tried.cumsum() <= tests], tried[tried.cumsum() <= tests]
    pairs = int(tried.sum())
    place, angle, score = np.empty(pairs, np.int64), np.empty(pairs, np.float32), np.empty(pairs, np.float32)
    found = _sieve(
        rows, atlas.owner.numpy(), grid, nodes[order], tried, match[order], at, hits, place, angle, score
    )  # fmt: skip
    best = _strongest(score[:found], limit)
    chosen = order[place[best]]
    return torch.from_numpy(nodes[chosen]), torch.from_numpy(angle[best]), torch.from_numpy(match[chosen])


def _among(atlas: Atlas, favour: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Nodes of the objects that aren't ruled out, and the favour of their objects."""
    kept, first = np.flatnonzero(favour > -np.inf), atlas.first.numpy()
    nodes = np.concatenate([np.arange(first[o], first[o + 1]) for o in kept])
    return nodes, np.repeat(favour[kept], np.diff(first)[kept])


def _strongest(score: np.ndarray, count: int) -> np.ndarray:
    """Indices of the `count` largest, largest first, ties in order."""
    if count < len(score):
        bar = np.partition(score, len(score) - count)[len(score) - count]
        best = np.flatnonzero(score >= bar)
    else:
        best = np.arange(len(score))
    return best[np.argsort(-score[best], kind="stable")][:count]


def meet(atlas: Atlas, obj, origin, ray):
    """As likelihood.meet; tensors on a CPU."""
    aside, depth = np.empty(obj.numel(), np.float32), np.empty(obj.numel(), np.float32)
    node = np.empty(obj.numel(), np.int64)
    _meets(
        atlas.table.numpy(), grid_of(atlas), obj.reshape(-1).numpy(), origin.reshape(-1, 3).numpy(),
        ray.reshape(-1, 3).numpy(), aside, depth, node,
    )  # fmt: skip
    return tuple(torch.from_numpy(x).view(obj.shape) for x in (aside, depth, node))


def grid_of(atlas: Atlas):
    """What look-ups need of an atlas, as one tuple that kernels hand on."""
    return (
        atlas.corner.numpy(), atlas.shape.numpy(), atlas.offset.numpy(), atlas.entry.numpy(), atlas.nearest.numpy(),
        atlas.distance.numpy(), np.float32(atlas.voxel),
    )  # fmt: skip


def _arrays(atlas: Atlas):
    return atlas.table.numpy(), atlas.codes.numpy(), atlas.code_weights.numpy(), grid_of(atlas)


def _numbers(tol: Tolerance) -> np.ndarray:
    return np.array(
        [tol.outlier, tol.outlier_facing, tol.outlier_direction, tol.outlier_feature, tol.code_slope, tol.code_offset]
    )


@njit(cache=True, inline="always")
def _floored(x, floor):
    """The ratio itself, not its logarithm: ratios are multiplied and one logarithm is taken at the end."""
    return (1 - floor) * math.exp(min(x, 60.0)) + floor


@njit(cache=True, inline="always")
def _voxel(grid, o, x, y, z):
    corner, shape, offset, voxel = grid[0], grid[1], grid[2], grid[6]
    i = int(math.floor((x - corner[o, 0]) / voxel))
    j = int(math.floor((y - corner[o, 1]) / voxel))
    k = int(math.floor((z - corner[o, 2]) / voxel))
    if i < 0 or j < 0 or k < 0 or i >= shape[o, 0] or j >= shape[o, 1] or k >= shape[o, 2]:
        return -1
    return (i * shape[o, 1] + j) * shape[o, 2] + k + offset[o]


@njit(cache=True, inline="always")
def _node(grid, o, p, normal):
    """Nearest node of that facing, or -1."""
    cell = _voxel(grid, o, p[0], p[1], p[2])
    entry = grid[3][cell] if cell >= 0 else -1
    if entry < 0:
        return -1
    facing = 0
    for i in range(3):
        facing = facing * 3 + (2 if normal[i] > THIRD else 0 if normal[i] < -THIRD else 1)
    return grid[4][entry, facing]


@njit(cache=True)
def _meet(rows, grid, o, p, r):
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
        cell = _voxel(grid, o, x, y, z)
        gap = distance[cell] if cell >= 0 else STEP * voxel
        if cell >= 0 and gap < SURFACE:
            aside = min(aside, PASSING)
            away[0], away[1], away[2] = -r[0], -r[1], -r[2]
            point[0], point[1], point[2] = x, y, z
            for _ in range(LOOKS):
                node = _node(grid, o, point, away)
                if node < 0:
                    away[:] = 0.0
                    node = _node(grid, o, point, away)
                if node < 0:
                    break
                row = rows[node]
                cos = _dot(r, row[3:6])
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
def _match(rows, codes, weights, nodes, s, bitmap, tol, surface, colour, winners, out):
    """Feature ratios at nodes; their floors as plain maxima, which cost no exponential."""
    floor = math.log(tol[3])
    for place, node in enumerate(nodes):
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
        out[place] = total


@njit(cache=True)
def _telling(rows, codes, weights, turns, numbers, bitmap, tol, surface, colour, winners, usual, seeds):
    match, everywhere = np.empty(len(rows), np.float32), np.arange(len(rows))
    for i in range(len(numbers)):
        s = numbers[i].copy()
        curvature, light = 0.0, 0.0
        for row in rows:
            curvature += math.exp(row[28] - 0.5 * ((s[15] - row[14]) ** 2 * row[23] + (s[16] - row[15]) ** 2 * row[24]))
            near = row[29] - 0.5 * ((s[17] - row[16]) ** 2 * row[25] + (s[18] - row[17]) ** 2 * row[26])
            light += math.exp(near + row[27] * (s[19] * row[18] + s[20] * row[19]))
        s[21] = usual[i, 0] = math.log(max(curvature / len(rows), SMALLEST))
        s[22] = usual[i, 1] = math.log(max(light / len(rows), SMALLEST))
        _match(rows, codes, weights, everywhere, s, bitmap[i], tol, surface, colour, winners, match)
        best, total = match.max() - FITTING, 0.0
        for k in range(len(rows)):
            if match[k] > best:
                total += turns[k]
        seeds[i] = total


@njit(cache=True)
def _sieve(rows, owner, grid, nodes, tried, match, at, hits, places, angles, scores):
    count = len(hits)
    arms, normals, reach = _seen_from(at, hits)
    side, p, n = np.zeros(3), np.zeros(3), np.zeros(3)
    allowed, found = 1 + count // 4, 0
    for place, node in enumerate(nodes):
        row = rows[node]
        side[:] = 0.0
        _cross(row[3:6], row[6:9], side, 1.0, 0)
        o = owner[node]
        for turn in range(tried[place]):
            angle = 2 * math.pi * turn / tried[place]
            if tried[place] == 6:
                angle = (turn % 3 - 1) * ASIDE + (turn // 3) * math.pi
            c, s = math.cos(angle), math.sin(angle)
            misses, score = 0, match[place]
            for h in range(count):
                # the turn carries the node's surface frame to the anchor's; its transpose goes back
                a, b = c * arms[h, 0] + s * arms[h, 1], c * arms[h, 1] - s * arms[h, 0]
                d, e = c * normals[h, 0] + s * normals[h, 1], c * normals[h, 1] - s * normals[h, 0]
                for i in range(3):
                    p[i] = row[i] + a * row[6 + i] + b * side[i] + arms[h, 2] * row[3 + i]
                    n[i] = d * row[6 + i] + e * side[i] + normals[h, 2] * row[3 + i]
                there = _node(grid, o, p, n)
                fit = -4.0
                if there >= 0:
                    other = rows[there]
                    height = 0.0
                    for i in range(3):
                        height += (p[i] - other[i]) * other[3 + i]
                    fit = 3 - 0.5 * (height / reach[h]) ** 2 - (1 - _dot(n, other[3:6])) / ROUGH_FACING**2
                if fit < -3:
                    fit = -3.0
                    misses += 1
                    if misses > allowed:
                        break
                score += fit
            if misses <= allowed:
                places[found], angles[found], scores[found] = place, angle, score
                found += 1
    return found


@njit(cache=True)
def _seen_from(at, hits):
    """Offsets and normals of readings in the surface frame of one, and how far off each may lie."""
    frame = np.zeros((3, 3))
    frame[0], frame[2] = at[12:15], at[9:12]
    across = np.zeros(6)
    _cross(at[9:12], at[12:15], across, 1.0, 0)
    frame[1] = across[:3]
    arms, normals, reach = np.zeros((len(hits), 3)), np.zeros((len(hits), 3)), np.zeros(len(hits))
    for h in range(len(hits)):
        for i in range(3):
            for j in range(3):
                arms[h, i] += frame[i, j] * (hits[h, 6 + j] - at[6 + j])
                normals[h, i] += frame[i, j] * hits[h, 9 + j]
        reach[h] = ROUGH_NEAR + ROUGH_LEVER * math.sqrt(_dot(arms[h], arms[h]))
    return arms, normals, reach


@njit(cache=True)
def _meets(rows, grid, obj, origin, ray, aside, depth, node):
    for i in range(len(obj)):
        aside[i], depth[i], node[i] = _meet(rows, grid, obj[i], origin[i], ray[i])


@njit(cache=True, inline="always")
def _into(rotation, x, y, z, out):
    for i in range(3):
        out[i] = rotation[0, i] * x + rotation[1, i] * y + rotation[2, i] * z


@njit(cache=True, inline="always")
def _out(rotation, v, out):
    for i in range(3):
        out[i] = rotation[i, 0] * v[0] + rotation[i, 1] * v[1] + rotation[i, 2] * v[2]


@njit(cache=True, inline="always")
def _cross(a, b, out, scale, start):
    out[start] += scale * (a[1] * b[2] - a[2] * b[1])
    out[start + 1] += scale * (a[2] * b[0] - a[0] * b[2])
    out[start + 2] += scale * (a[0] * b[1] - a[1] * b[0])


@njit(cache=True, inline="always")
def _dot(a, b):
    return a[0] * b[0] + a[1] * b[1] + a[2] * b[2]


@njit(cache=True, inline="always")
def _clip(x, limit):
    return max(-limit, min(limit, x))


@njit(cache=True, inline="always")
def _raw(log_curvature):
    return math.copysign(math.expm1(abs(log_curvature)), log_curvature)


@njit(cache=True, inline="always")
def _add(slope, information, jacobian, weight, error):
    for i in range(6):
        slope[i] -= weight * error * jacobian[i]
        for j in range(i + 1):
            information[i, j] += weight * jacobian[i] * jacobian[j]


@njit(cache=True, inline="always")
def _tilted(s, arm, tangent, steep, jacobian):
    """Derivative of the normal's error along one tangent by the pose."""
    jacobian[:] = 0.0
    _cross(s[9:12], tangent, jacobian, -1.0, 0)
    _cross(arm, tangent, jacobian, steep, 0)
    for i in range(3):
        jacobian[3 + i] = steep * tangent[i]


@njit(cache=True, inline="always")
def _feature_ratio(s, row, bitmap, codes, weights, node, tol, winners, surface, colour):
    """Curvature, colour and code: pose-free. A ratio, not its logarithm."""
    total = 1.0
    if surface:
        curvature = row[28] - s[21] - 0.5 * ((s[15] - row[14]) ** 2 * row[23] + (s[16] - row[15]) ** 2 * row[24])
        total = _floored(curvature, tol[3])
    if colour:
        light = row[29] - s[22] - 0.5 * ((s[17] - row[16]) ** 2 * row[25] + (s[18] - row[17]) ** 2 * row[26])
        total *= _floored(light + row[27] * (s[19] * row[18] + s[20] * row[19]), tol[3])
    if winners > 0:
        share = 0.0
        for i in range(codes.shape[1]):
            if bitmap[codes[node, i]]:
                share += weights[node, i]
        total *= _floored(tol[4] * math.log(share / winners + 0.1) + tol[5], tol[3])
    return total


@njit(cache=True)
def _weigh(
    rows, codes, weights, grid,
    numbers, kind, bitmap, obj, rotation, location, alive, turn_sd, shift_sd, pivot, tol, surface, colour, winners,
    curved, evidence, slope, information,
):  # fmt: skip
    q, normal, direction, away = np.zeros(3), np.zeros(3), np.zeros(3), np.zeros(3)
    predicted = np.zeros(3)
    pw, t1, t2, arm = np.zeros(3), np.zeros(3), np.zeros(3), np.zeros(3)
    jacobian = np.zeros(6)
    grad, info = np.zeros(6), np.zeros((6, 6))
    groups, columns, steps = kind.shape
    log_outlier = math.log(tol[0])
    for g in range(groups):
        for m in range(columns):
            for b in range(obj.shape[1]):
                if alive[g, b] == -np.inf:
                    continue
                o, rot, loc = obj[g, b], rotation[g, b], location[g, b]
                turn, shift = turn_sd[g, b] ** 2, shift_sd[g, b] ** 2
                total_evidence = 0.0
                grad[:] = 0.0
                info[:] = 0.0
                for t in range(steps):
                    s = numbers[g, m, t]
                    if kind[g, m, t] == 0:
                        continue
                    if kind[g, m, t] == 2:
                        _into(rot, s[0] - loc[0], s[1] - loc[1], s[2] - loc[2], away)
                        _into(rot, s[3], s[4], s[5], direction)
                        aside, _, _ = _meet(rows, grid, o, away, direction)
                        width = MISS_WIDTH + MISS_LEVER * (shift_sd[g, b] + 0.05 * turn_sd[g, b])
                        past = 1 / (1 + math.exp(-(aside - MISS_ASIDE) / width))
                        total_evidence += math.log((MISS_NEAR + MISS_FAR * past) / MISSED_UNKNOWN)
                        continue
                    _into(rot, s[6] - loc[0], s[7] - loc[1], s[8] - loc[2], q)
                    _into(rot, s[9], s[10], s[11], normal)
                    node = _node(grid, o, q, normal)
                    if node < 0:
                        total_evidence += log_outlier
                        continue
                    _into(rot, s[12], s[13], s[14], direction)
                    row = rows[node]
                    n0, d1, d2 = row[3:6], row[6:9], row[9:12]
                    for i in range(3):
                        away[i] = q[i] - row[i]
                        arm[i] = s[6 + i] - pivot[g, i]
                    u, v, height = _dot(away, d1), _dot(away, d2), _dot(away, n0)
                    k1, k2 = row[12], row[13]
                    residual = height + _clip(0.5 * (k1 * u * u + k2 * v * v), SAG)
                    a1, a2 = _clip(k1 * u, TILT), _clip(k2 * v, TILT)
                    length = 1 / math.sqrt(1 + a1 * a1 + a2 * a2)
                    for i in range(3):
                        predicted[i] = (n0[i] + a1 * d1[i] + a2 * d2[i]) * length
                    pose = shift + turn * _dot(arm, arm)
                    height_var, normal_var, direction_var = row[20] + pose, row[21] + turn, row[22] + turn
                    beyond = max(0.0, math.sqrt(u * u + v * v) - grid[6])
                    place_ratio = (1 - tol[0]) * DEPTH / math.sqrt(TWO_PI * height_var) * math.exp(
                        -0.5 * residual**2 / height_var - 0.5 * beyond**2 / (4e-6 + pose)
                    ) + tol[0]
                    facing_ratio = (1 - tol[1]) / normal_var * math.exp(
                        -(1 - _dot(normal, predicted)) / normal_var
                    ) + tol[1]
                    place_share, facing_share = 1 - tol[0] / place_ratio, 1 - tol[1] / facing_ratio
                    total = place_ratio * facing_ratio
                    direction_share = 0.0
                    if surface:
                        cos = _dot(direction, d1)
                        kappa = 1 / (4 * direction_var)
                        floor = (1 - tol[2]) * math.sqrt(1 + TWO_PI * kappa) * math.exp(
                            2 * kappa * (cos * cos - 1)
                        ) + tol[2]
                        direction_share = 1 - tol[2] / floor
                        total *= floor
                    total *= _feature_ratio(
                        s, row, bitmap[g, m, t], codes, weights, node, tol, winners, surface, colour
                    )
                    floor = (1 - tol[0]) * total + tol[0]
                    share = 1 - tol[0] / floor
                    total_evidence += math.log(floor)
                    if not curved:
                        continue

                    _out(rot, predicted, pw)
                    _out(rot, d1, t1)
                    _out(rot, d2, t2)
                    jacobian[:] = 0.0
                    _cross(arm, pw, jacobian, -1.0, 0)
                    for i in range(3):
                        jacobian[3 + i] = -pw[i]
                    _add(grad, info, jacobian, share * place_share / height_var, residual)
                    weight = share * facing_share / normal_var
                    error = _dot(normal, d1) - _dot(predicted, d1)
                    _tilted(s, arm, t1, _clip(k1, STEEP), jacobian)
                    _add(grad, info, jacobian, weight, error)
                    error = _dot(normal, d2) - _dot(predicted, d2)
                    _tilted(s, arm, t2, _clip(k2, STEEP), jacobian)
                    _add(grad, info, jacobian, weight, error)
                    if direction_share > 0:
                        sign = 1.0 if _dot(direction, d1) > 0 else -1.0
                        jacobian[:] = 0.0
                        _cross(s[12:15], t2, jacobian, -sign, 0)
                        _add(grad, info, jacobian, share * direction_share / direction_var, sign * _dot(direction, d2))
                evidence[g, m, b] = total_evidence
                if curved:
                    for i in range(6):
                        slope[g, m, b, i] = grad[i]
                        for j in range(i + 1):
                            information[g, m, b, i, j] = information[g, m, b, j, i] = info[i, j]
