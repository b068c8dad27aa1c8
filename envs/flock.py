"""Many eyes at once: what `bodies.move` does to one, done to all, equal to the bit.

Angles take Python's own functions, a number at a time: numpy's may differ from them in the last bit.
"""

import math
from collections.abc import Callable

import numpy as np
from numba import njit

from .bodies import RADIUS, Limits

FreeLengths = Callable[[np.ndarray, np.ndarray, np.ndarray, float], np.ndarray]
"""which (k,) int of the eyes, starts and ends (k, 3), radius -> metres (k,) a ball can go from start towards end"""


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
    went = np.zeros(len(position))
    position = position.copy()
    moving = np.flatnonzero(wanted > 1e-9)
    if len(moving):
        start, path, far = position[moving], way[moving], wanted[moving]
        gone = np.minimum(_within_reach(start, path / far[:, None], limits.reach, far), far)
        gone = np.minimum(gone, free_lengths(moving, start, start + path, RADIUS))
        position[moving] = start + path * (gone / far)[:, None]
        went[moving] = gone
    return position, rotation @ _gaze_turns(turn), went, wanted - went > 1e-9


def _decoded(actions: np.ndarray, count: int, limits: Limits) -> tuple[np.ndarray, np.ndarray]:
    """Displacements (n, 3), metres, and turns (n, 2), radians, as of `bodies.decode`."""
    wish = np.asarray(actions, dtype=float)
    if wish.shape != (count, 5) or not np.isfinite(wish).all():
        raise ValueError(
            f"actions are {count} times 5 finite numbers (displacement right, down, ahead; gaze right, down), "
            f"got {wish.shape}: {actions!r}"
        )
    displacement, turn = np.empty((count, 3)), np.empty((count, 2))
    _scale(wish, _hypot(wish[:, 3:]), limits.max_path, limits.max_turn, displacement, turn)
    return displacement, turn


def _within_reach(position: np.ndarray, way: np.ndarray, reach: float, wanted: np.ndarray) -> np.ndarray:
    along = np.vecdot(position, way)
    inside = reach * reach - np.vecdot(position, position)
    left = np.maximum(0.0, -along + np.sqrt(np.maximum(0.0, along * along + inside)))
    return np.where((along <= 0.0) & (inside <= 0.0), wanted, left)


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
