"""Pose refinement for a CPU, compiled: six-by-six systems, one per hypothesis, without a temporary array.

The same formulas as the plain reference in refine.py, which the tests compare it with; there the reasons are.
"""

import math

import numpy as np
import torch
from numba import njit
from torch import Tensor

FARTHEST_TURN, FARTHEST_SHIFT = 0.3, 0.01  # radians, metres: of one step


def step(
    rotation: Tensor, location: Tensor, pivot: Tensor, slope: Tensor, information: Tensor, damping: np.ndarray
) -> tuple[Tensor, Tensor]:
    """Rotations (g, b, 3, 3) and locations (g, b, 3) after one damped Gauss-Newton step about the pivots (g, 3)."""
    turned, moved = np.empty(rotation.shape, np.float32), np.empty(location.shape, np.float32)
    _step(
        rotation.numpy(), location.numpy(), pivot.numpy(), slope.numpy(), information.numpy(), damping, turned, moved
    )  # fmt: skip
    return torch.from_numpy(turned), torch.from_numpy(moved)


def neighbourhood(information: Tensor, damping: np.ndarray) -> tuple[Tensor, Tensor, Tensor]:
    """Of damped information (..., 6, 6): half its log determinant, and the largest standard deviations of turn and
    shift that it leaves, each (...)."""
    flat = information.reshape(-1, 6, 6)
    out = np.empty((3, len(flat)), np.float32)
    _neighbourhood(flat.numpy(), damping, out)
    return tuple(torch.from_numpy(x).view(information.shape[:-2]) for x in out)  # type: ignore[return-value]


@njit(cache=True)
def _factor(information, damping, low):
    """Lower Cholesky factor of the damped information; a matrix that isn't positive is bounded from below."""
    for i in range(6):
        for j in range(i + 1):
            total = float(information[i, j])
            if i == j:
                total += damping[i]
            for k in range(j):
                total -= low[i, k] * low[j, k]
            low[i, j] = math.sqrt(max(total, 1e-12)) if i == j else total / low[j, j]


@njit(cache=True)
def _solve(low, b, x):
    for i in range(6):
        x[i] = b[i]
        for k in range(i):
            x[i] -= low[i, k] * x[k]
        x[i] /= low[i, i]
    for i in range(5, -1, -1):
        for k in range(i + 1, 6):
            x[i] -= low[k, i] * x[k]
        x[i] /= low[i, i]


@njit(cache=True)
def _rodrigues(turn, out):
    angle = math.sqrt(turn[0] ** 2 + turn[1] ** 2 + turn[2] ** 2)
    sinc = math.sin(angle) / angle if angle > 1e-12 else 1.0
    versine = 0.5 * (math.sin(angle / 2) / (angle / 2)) ** 2 if angle > 1e-12 else 0.5
    for i in range(3):
        for j in range(3):
            out[i, j] = versine * turn[i] * turn[j]
        out[i, i] += 1 - versine * angle * angle
    for i, j, k in ((0, 1, 2), (1, 2, 0), (2, 0, 1)):
        out[i, j] -= sinc * turn[k]
        out[j, i] += sinc * turn[k]


@njit(cache=True)
def _orthonormal(rotation):
    for column in range(2):
        if column == 1:
            along = rotation[0, 0] * rotation[0, 1] + rotation[1, 0] * rotation[1, 1] + rotation[2, 0] * rotation[2, 1]
            for i in range(3):
                rotation[i, 1] -= along * rotation[i, 0]
        square = rotation[0, column] ** 2 + rotation[1, column] ** 2 + rotation[2, column] ** 2
        length = max(math.sqrt(square), 1e-12)
        for i in range(3):
            rotation[i, column] /= length
    for i, j, k in ((0, 1, 2), (1, 2, 0), (2, 0, 1)):
        rotation[i, 2] = rotation[j, 0] * rotation[k, 1] - rotation[k, 0] * rotation[j, 1]


@njit(cache=True)
def _step(rotation, location, pivot, slope, information, damping, turned, moved):
    low, x, turn, new = np.zeros((6, 6)), np.zeros(6), np.zeros((3, 3)), np.zeros((3, 3))
    for g in range(rotation.shape[0]):
        for b in range(rotation.shape[1]):
            _factor(information[g, b], damping, low)
            _solve(low, slope[g, b], x)
            length = math.sqrt(x[0] ** 2 + x[1] ** 2 + x[2] ** 2)
            if length > FARTHEST_TURN:
                for i in range(3):
                    x[i] *= FARTHEST_TURN / length
            _rodrigues(x[:3], turn)
            for i in range(3):
                shift = max(-FARTHEST_SHIFT, min(FARTHEST_SHIFT, x[3 + i]))
                place = pivot[g, i] + shift
                for k in range(3):
                    place += turn[i, k] * (location[g, b, k] - pivot[g, k])
                    new[i, k] = 0.0
                    for j in range(3):
                        new[i, k] += turn[i, j] * rotation[g, b, j, k]
                moved[g, b, i] = place
            _orthonormal(new)
            turned[g, b] = new


@njit(cache=True)
def _neighbourhood(information, damping, out):
    low, unit, x = np.zeros((6, 6)), np.zeros(6), np.zeros(6)
    for n in range(len(information)):
        _factor(information[n], damping, low)
        half, turn, shift = 0.0, 0.0, 0.0
        for i in range(6):
            half += math.log(max(low[i, i], 1e-6))
            unit[:] = 0.0
            unit[i] = 1.0
            _solve(low, unit, x)
            if i < 3:
                turn = max(turn, x[i])
            else:
                shift = max(shift, x[i])
        out[0, n], out[1, n], out[2, n] = half, math.sqrt(turn), math.sqrt(shift)
