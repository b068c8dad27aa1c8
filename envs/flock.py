"""Many eyes at once: what `bodies.move` does to one, done to all, equal to the bit.

Angles take Python's own functions, a number at a time: numpy's may differ from them in the last bit.
"""

import math
from collections.abc import Callable

import numpy as np

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
    x, y, z, right, down = wish.T
    path = limits.max_path / np.maximum(1.0, np.sqrt(x * x + y * y + z * z))
    turn = limits.max_turn / np.maximum(1.0, _hypot(right, down))
    return wish[:, :3] * path[:, None], wish[:, 3:] * turn[:, None]


def _within_reach(position: np.ndarray, way: np.ndarray, reach: float, wanted: np.ndarray) -> np.ndarray:
    along = np.vecdot(position, way)
    inside = reach * reach - np.vecdot(position, position)
    left = np.maximum(0.0, -along + np.sqrt(np.maximum(0.0, along * along + inside)))
    return np.where((along <= 0.0) & (inside <= 0.0), wanted, left)


def _gaze_turns(turn: np.ndarray) -> np.ndarray:
    """(n, 3, 3) rotations of turns (n, 2) to the right and down, radians, as of `bodies.gaze_turn`."""
    right, down = turn.T
    angle = _hypot(right, down)
    still = angle < 1e-12
    safe = np.where(still, 1.0, angle)
    x, y = -down / safe, right / safe
    c, s = (np.array([f(a) for a in angle.tolist()]) for f in (math.cos, math.sin))
    k = 1.0 - c
    rows = [(c + k * x * x, k * x * y, s * y), (k * x * y, c + k * y * y, -s * x), (-s * y, s * x, c)]
    turns = np.stack([np.stack(row, axis=-1) for row in rows], axis=1)
    return np.where(still[:, None, None], np.eye(3), turns)


def _hypot(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return np.array([math.hypot(a, b) for a, b in zip(x.tolist(), y.tolist(), strict=True)])
