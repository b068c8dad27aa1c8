"""Many eyes at once: what `bodies.move` does to one, done to all, equal to the bit.

Angles take Python's own functions, a number at a time: numpy's may differ from them in the last bit.
"""

import math
from collections.abc import Callable

import numpy as np
from numba import njit

from .bodies import LARGEST, RADIUS, Limits, as_numbers

STILL = 1e-9
"""Metres; a shorter way isn't gone."""
FreeLengths = Callable[[np.ndarray, np.ndarray, float], np.ndarray]
"""starts and ends (n, 3), radius -> metres (n,) that the ball of each eye can go from its start towards its end"""


def move_all(
    position: np.ndarray,
    rotation: np.ndarray,
    actions: np.ndarray,
    limits: Limits,
    free_lengths: FreeLengths,
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Positions (n, 3) and rotations (n, 3, 3) after actions (n, 5), metres gone (n,), and who was stopped (n,) bool.

    Raises ValueError for actions of another shape, or not finite.
    """
    displacement, turn = _decoded(actions, len(position), limits)
    way = (rotation @ displacement[:, :, None])[:, :, 0]
    wanted = np.sqrt(np.vecdot(way, way))
    # who stays is kept from dividing by nothing; where that one could go isn't used
    unit = way / np.maximum(wanted, STILL)[:, None]
    along, square = np.vecdot(position, unit), np.vecdot(position, position)
    free = free_lengths(position, position + way, RADIUS)
    moved, went, stopped = np.empty_like(way), np.empty(len(way)), np.empty(len(way), np.bool_)
    _go(position, way, wanted, along, square, limits.reach, free, moved, went, stopped)
    return moved, rotation @ _gaze_turns(turn), went, stopped


def _decoded(actions: np.ndarray, count: int, limits: Limits) -> tuple[np.ndarray, np.ndarray]:
    """Displacements (n, 3), metres, and turns (n, 2), radians, as of `bodies.decode`."""
    wish = as_numbers(actions)
    if wish is None or wish.shape != (count, 5) or not (np.abs(wish) < LARGEST).all():
        raise ValueError(
            f"actions are {count} times 5 finite numbers (displacement right, down, ahead; gaze right, down), "
            f"got {getattr(actions, 'shape', '')} {actions!r}"
        )
    displacement, turn = np.empty((count, 3)), np.empty((count, 2))
    _scale(wish, _hypot(wish[:, 3:]), limits.max_path, limits.max_turn, displacement, turn)
    return displacement, turn


def _gaze_turns(turn: np.ndarray) -> np.ndarray:
    """(n, 3, 3) rotations of turns (n, 2) to the right and down, radians, as of `bodies.gaze_turn`."""
    angle = _hypot(turn)
    flat, rotations = angle.tolist(), np.empty((len(turn), 3, 3))
    cosine, sine = np.array([math.cos(a) for a in flat]), np.array([math.sin(a) for a in flat])
    _turn(turn, angle, cosine, sine, rotations)
    return rotations


def _hypot(pairs: np.ndarray) -> np.ndarray:
    return np.array([math.hypot(a, b) for a, b in pairs.tolist()])


@njit(cache=True, nogil=True)
def _scale(wish, across, max_path, max_turn, displacement, turn):
    for n in range(len(wish)):
        x, y, z = wish[n, 0], wish[n, 1], wish[n, 2]
        path = max_path / max(1.0, math.sqrt(x * x + y * y + z * z))
        arc = max_turn / max(1.0, across[n])
        for i in range(3):
            displacement[n, i] = wish[n, i] * path
        for i in range(2):
            turn[n, i] = wish[n, 3 + i] * arc


@njit(cache=True, nogil=True)
def _go(position, way, wanted, along, square, reach, free, moved, went, stopped):
    """As `bodies.move` and `bodies.within_reach` have it."""
    for n in range(len(way)):
        went[n] = share = 0.0
        if wanted[n] > STILL:
            inside = reach * reach - square[n]
            left = wanted[n]
            if along[n] > 0.0 or inside > 0.0:
                left = max(0.0, -along[n] + math.sqrt(max(0.0, along[n] * along[n] + inside)))
            went[n] = min(left, wanted[n], free[n])
            share = went[n] / wanted[n]
        stopped[n] = wanted[n] - went[n] > 1e-9
        for i in range(3):
            moved[n, i] = position[n, i] + way[n, i] * share


@njit(cache=True, nogil=True)
def _turn(turn, angle, cosine, sine, rotations):
    for n in range(len(turn)):
        r = rotations[n]
        if angle[n] < 1e-12:
            r[:] = 0.0
            r[0, 0] = r[1, 1] = r[2, 2] = 1.0
            continue
        x, y, c, s = -turn[n, 1] / angle[n], turn[n, 0] / angle[n], cosine[n], sine[n]
        k = 1.0 - c
        r[0, 0], r[0, 1], r[0, 2] = c + k * x * x, k * x * y, s * y
        r[1, 0], r[1, 1], r[1, 2] = k * x * y, c + k * y * y, -s * x
        r[2, 0], r[2, 1], r[2, 2] = -s * y, s * x, c
