"""The log-likelihood of a memory at poses, with its slope and information, for kernels: one pass over (hypothesis,
sensation) pairs without a temporary array. As `likelihood.weigh`, there the reasons are."""

import math

import numpy as np
from numba import njit

from ..likelihood import (
    LOG_DEPTH,
    MISS_ASIDE,
    MISS_FAR,
    MISS_LEVER,
    MISS_NEAR,
    MISS_WIDTH,
    MISSED_UNKNOWN,
    SAG,
    STEEP,
    TILT,
)
from .grid import node_at
from .rays import meet_one
from .vectors import clip, cross, dot, into, out_of

TWO_PI = 2 * math.pi
DEPTH = math.exp(LOG_DEPTH)


@njit(cache=True, inline="always")
def floored(x, floor):
    """The ratio itself, not its logarithm: ratios are multiplied and one logarithm is taken at the end."""
    return (1 - floor) * math.exp(min(x, 60.0)) + floor


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
    cross(s[9:12], tangent, jacobian, -1.0, 0)
    cross(arm, tangent, jacobian, steep, 0)
    for i in range(3):
        jacobian[3 + i] = steep * tangent[i]


@njit(cache=True, inline="always")
def _feature_ratio(s, row, bitmap, codes, weights, node, tol, winners, surface, colour):
    """Curvature, colour and code: pose-free. A ratio, not its logarithm."""
    total = 1.0
    if surface:
        curvature = row[28] - s[21] - 0.5 * ((s[15] - row[14]) ** 2 * row[23] + (s[16] - row[15]) ** 2 * row[24])
        total = floored(curvature, tol[3])
    if colour:
        light = row[29] - s[22] - 0.5 * ((s[17] - row[16]) ** 2 * row[25] + (s[18] - row[17]) ** 2 * row[26])
        total *= floored(light + row[27] * (s[19] * row[18] + s[20] * row[19]), tol[3])
    if winners > 0:
        share = 0.0
        for i in range(codes.shape[1]):
            if bitmap[codes[node, i]]:
                share += weights[node, i]
        total *= floored(tol[4] * math.log(share / winners + 0.1) + tol[5], tol[3])
    return total


@njit(cache=True, inline="always")
def _texture_ratio(s, texture, rot, turn, sensed, variance):
    """The likelihood ratio of a texture; fills in `sensed` (2, 3), its slopes in the object's frame, and their
    `variance` (2,)."""
    error = 0.0
    for part in range(2):
        there, along = texture[3 * part : 3 * part + 3], sensed[part]
        into(rot, s[24 + 3 * part], s[25 + 3 * part], s[26 + 3 * part], along)
        v = texture[6 + part] + turn * dot(there, there)
        variance[part], square = v, 0.0
        for i in range(3):
            square += (along[i] - there[i]) ** 2
        error += square / v
    return math.exp(-s[30] - 0.5 * error) / (TWO_PI * TWO_PI * variance[0] * variance[1])


@njit(cache=True)
def weigh_all(
    rows, textures, codes, weights, grid,
    numbers, kind, bitmap, obj, rotation, location, alive, turn_sd, shift_sd, pivot, tol, surface, colour, textured,
    winners, curved, evidence, slope, information,
):  # fmt: skip
    q, normal, direction, away = np.zeros(3), np.zeros(3), np.zeros(3), np.zeros(3)
    predicted, felt, felt_variance = np.zeros(3), np.zeros((2, 3)), np.zeros(2)
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
                        into(rot, s[0] - loc[0], s[1] - loc[1], s[2] - loc[2], away)
                        into(rot, s[3], s[4], s[5], direction)
                        aside, _, _ = meet_one(rows, grid, o, away, direction)
                        width = MISS_WIDTH + MISS_LEVER * (shift_sd[g, b] + 0.05 * turn_sd[g, b])
                        past = 1 / (1 + math.exp(-(aside - MISS_ASIDE) / width))
                        total_evidence += math.log((MISS_NEAR + MISS_FAR * past) / MISSED_UNKNOWN)
                        continue
                    into(rot, s[6] - loc[0], s[7] - loc[1], s[8] - loc[2], q)
                    into(rot, s[9], s[10], s[11], normal)
                    node = node_at(grid, o, q, normal)
                    if node < 0:
                        total_evidence += log_outlier
                        continue
                    into(rot, s[12], s[13], s[14], direction)
                    row = rows[node]
                    n0, d1, d2 = row[3:6], row[6:9], row[9:12]
                    for i in range(3):
                        away[i] = q[i] - row[i]
                        arm[i] = s[6 + i] - pivot[g, i]
                    u, v, height = dot(away, d1), dot(away, d2), dot(away, n0)
                    k1, k2 = row[12], row[13]
                    residual = height + clip(0.5 * (k1 * u * u + k2 * v * v), SAG)
                    a1, a2 = clip(k1 * u, TILT), clip(k2 * v, TILT)
                    length = 1 / math.sqrt(1 + a1 * a1 + a2 * a2)
                    for i in range(3):
                        predicted[i] = (n0[i] + a1 * d1[i] + a2 * d2[i]) * length
                    pose = shift + turn * dot(arm, arm)
                    height_var, normal_var, direction_var = row[20] + pose, row[21] + turn, row[22] + turn
                    beyond = max(0.0, math.sqrt(u * u + v * v) - grid[6])
                    place_ratio = (1 - tol[0]) * DEPTH / math.sqrt(TWO_PI * height_var) * math.exp(
                        -0.5 * residual**2 / height_var - 0.5 * beyond**2 / (4e-6 + pose)
                    ) + tol[0]
                    facing_ratio = (1 - tol[1]) / normal_var * math.exp(
                        -(1 - dot(normal, predicted)) / normal_var
                    ) + tol[1]
                    place_share, facing_share = 1 - tol[0] / place_ratio, 1 - tol[1] / facing_ratio
                    total = place_ratio * facing_ratio
                    direction_share = 0.0
                    if surface:
                        cos = dot(direction, d1)
                        kappa = 1 / (4 * direction_var)
                        floor = (1 - tol[2]) * math.sqrt(1 + TWO_PI * kappa) * math.exp(
                            2 * kappa * (cos * cos - 1)
                        ) + tol[2]
                        direction_share = 1 - tol[2] / floor
                        total *= floor
                    texture_share = 0.0
                    if textured:
                        ratio = _texture_ratio(s, textures[node], rot, turn, felt, felt_variance)
                        floor = (1 - tol[3]) * ratio + tol[3]
                        texture_share = 1 - tol[3] / floor
                        total *= floor
                    total *= _feature_ratio(
                        s, row, bitmap[g, m, t], codes, weights, node, tol, winners, surface, colour
                    )
                    floor = (1 - tol[0]) * total + tol[0]
                    share = 1 - tol[0] / floor
                    total_evidence += math.log(floor)
                    if not curved:
                        continue

                    out_of(rot, predicted, pw)
                    out_of(rot, d1, t1)
                    out_of(rot, d2, t2)
                    jacobian[:] = 0.0
                    cross(arm, pw, jacobian, -1.0, 0)
                    for i in range(3):
                        jacobian[3 + i] = -pw[i]
                    _add(grad, info, jacobian, share * place_share / height_var, residual)
                    weight = share * facing_share / normal_var
                    error = dot(normal, d1) - dot(predicted, d1)
                    _tilted(s, arm, t1, clip(k1, STEEP), jacobian)
                    _add(grad, info, jacobian, weight, error)
                    error = dot(normal, d2) - dot(predicted, d2)
                    _tilted(s, arm, t2, clip(k2, STEEP), jacobian)
                    _add(grad, info, jacobian, weight, error)
                    if direction_share > 0:
                        sign = 1.0 if dot(direction, d1) > 0 else -1.0
                        jacobian[:] = 0.0
                        cross(s[12:15], t2, jacobian, -sign, 0)
                        _add(grad, info, jacobian, share * direction_share / direction_var, sign * dot(direction, d2))
                    if texture_share > 0:
                        for part in range(2):
                            there = textures[node, 3 * part : 3 * part + 3]
                            out_of(rot, there, pw)
                            weight = share * texture_share / felt_variance[part]
                            jacobian[:] = 0.0
                            cross(pw, t1, jacobian, -1.0, 0)
                            _add(grad, info, jacobian, weight, dot(felt[part], d1) - dot(there, d1))
                            jacobian[:] = 0.0
                            cross(pw, t2, jacobian, -1.0, 0)
                            _add(grad, info, jacobian, weight, dot(felt[part], d2) - dot(there, d2))
                evidence[g, m, b] = total_evidence
                if curved:
                    for i in range(6):
                        slope[g, m, b, i] = grad[i]
                        for j in range(i + 1):
                            information[g, m, b, i, j] = information[g, m, b, j, i] = info[i, j]
