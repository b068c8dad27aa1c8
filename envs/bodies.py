"""The eye: where it is, where it looks, and what an action does to it.

An action is five numbers in -1 ... 1: a[0:3] the displacement in the eye's own frame (x right, y down, z
the gaze) as a fraction of the longest path, a[3:5] the turn of the gaze to the right and downwards as
fractions of the largest turn. What is longer than the limit is scaled back to it. The eye moves first and
then turns, about the axis square to its gaze (no roll), so the gaze travels the great circle of |a[3:5]|
times the largest turn.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

MEANING: dict[str, tuple[str, str]] = {
    "right": ("longest path", "displacement to the body's right"),
    "down": ("longest path", "displacement downwards, as the body sees it"),
    "ahead": ("longest path", "displacement along the gaze, or where a finger presses"),
    "turn right": ("largest turn", "of the gaze to the right, after the displacement"),
    "turn down": ("largest turn", "of the gaze downwards, after the displacement"),
}
"""Of the five numbers of an action, in their order: the unit and what they are."""
RADIUS = 0.01
"""The eye is a ball of this radius in metres, and stops before an obstacle."""
LARGEST = 1e100
"""What an action asks for is less than this: its square is a number too."""


@dataclass(frozen=True, slots=True)
class Limits:
    """How far an eye may go between two sensations.

    max_path : metres; max_turn : radians; reach : the eye stays within this many metres of the world's origin
    """

    max_path: float = 0.2
    max_turn: float = math.radians(30.0)
    reach: float = 1.0


class Body(Protocol):
    """Anything that moves as an eye does: position (3,) metres, rotation (3, 3) world_from_body, z ahead."""

    @property
    def position(self) -> np.ndarray: ...

    @property
    def rotation(self) -> np.ndarray: ...


@dataclass(frozen=True, slots=True)
class Eye:
    """position : (3,) metres, world frame; rotation : (3, 3) world_from_eye, z the gaze, x right, y down."""

    position: np.ndarray
    rotation: np.ndarray


def turned(rotation: np.ndarray, right: float, down: float) -> np.ndarray:
    """`rotation` (3, 3) after its gaze went `right` and `down` radians (the arc of their hypotenuse)."""
    return rotation @ gaze_turn(right, down)


def gaze_turn(right: float, down: float) -> np.ndarray:
    """The rotation (3, 3) by the vector (-down, right, 0) radians: moves z towards x (right) and y (down)."""
    angle = math.hypot(right, down)
    if angle < 1e-12:
        return np.eye(3)
    x, y, c, s = -down / angle, right / angle, math.cos(angle), math.sin(angle)
    k = 1.0 - c
    return np.array(
        [[c + k * x * x, k * x * y, s * y], [k * x * y, c + k * y * y, -s * x], [-s * y, s * x, c]]
    )


def looking(direction: np.ndarray, up: tuple[float, float, float] = (0.0, 0.0, 1.0)) -> np.ndarray:
    """world_from_eye (3, 3) of an upright eye that looks along `direction` (3,), of any length but zero."""
    gaze = np.asarray(direction, dtype=float)
    length = float(np.linalg.norm(gaze))
    if not length > 0.0:
        raise ValueError(f"an eye needs a direction to look along, not {direction}")
    gaze = gaze / length
    right = np.cross(gaze, up)
    if np.linalg.norm(right) < 1e-6:
        right = np.array([1.0, 0.0, 0.0]) - gaze[0] * gaze
    right = right / np.linalg.norm(right)
    return np.stack([right, np.cross(gaze, right), gaze], axis=1)


def as_numbers(value: Any) -> np.ndarray | None:
    """Whatever holds real numbers as an array of float64; None for text, complex numbers, ragged lists and the like."""
    try:
        array = np.asarray(value)
    except (ValueError, TypeError):
        return None
    return array.astype(float) if array.dtype.kind in "fiub" else None


def decode(action: np.ndarray, limits: Limits) -> tuple[np.ndarray, tuple[float, float]]:
    """What an action (5,) asks for: displacement (3,), metres, eye frame, and turn (right, down), radians.

    Raises ValueError for an action of another shape, or one that is not finite.
    """
    wish = as_numbers(action)
    if wish is None or wish.shape != (5,) or not np.abs(wish).max() < LARGEST:
        raise ValueError(
            "an action is 5 finite numbers (displacement right, down, ahead; gaze right, down),"
            f" got {getattr(action, 'shape', '')} {action!r}"
        )
    x, y, z, right, down = wish.tolist()
    path = limits.max_path / max(1.0, math.sqrt(x * x + y * y + z * z))
    turn = limits.max_turn / max(1.0, math.hypot(right, down))
    return np.array((x * path, y * path, z * path)), (right * turn, down * turn)


def encode(body: Body, position: np.ndarray, gaze: np.ndarray, limits: Limits) -> tuple[np.ndarray, bool]:
    """The action (5,) float32 that takes a body to `position` and then turns it to look, or press, along `gaze`.

    position : (3,) metres, world frame; gaze : (3,) direction, world frame, of any length
    Returns the action and whether it gets there: False where a limit cuts the path or the turn short.
    """
    ahead = body.rotation.T @ (np.asarray(position, dtype=float) - body.position) / limits.max_path
    x, y, z = (body.rotation.T @ np.asarray(gaze, dtype=float)).tolist()
    aside = math.hypot(x, y)
    angle = math.atan2(aside, z) / limits.max_turn
    turn = (x / aside, y / aside) if aside > 0.0 else (1.0, 0.0)
    far, within = float(np.linalg.norm(ahead)), 1.0 + 1e-6
    action = np.array([*(ahead / max(1.0, far)), *(min(1.0, angle) * t for t in turn)], dtype=np.float32)
    return action, far <= within and angle <= within


def move(
    eye: Eye,
    action: np.ndarray,
    limits: Limits,
    free_length: Callable[[np.ndarray, np.ndarray, float], float],
) -> tuple[Eye, float, bool]:
    """The eye after an action, the metres it went, and whether something (or the limit of reach) stopped it.

    free_length : (start, end, radius) -> metres a ball can go from start towards end
    """
    displacement, (right, down) = decode(action, limits)
    way = eye.rotation @ displacement
    wanted = math.sqrt(float(way @ way))
    went = 0.0
    position = eye.position
    if wanted > 1e-9:
        went = min(within_reach(position, way / wanted, limits.reach, wanted), wanted)
        went = min(went, free_length(position, position + way, RADIUS))
        position = position + way * (went / wanted)
    return Eye(position, turned(eye.rotation, right, down)), went, wanted - went > 1e-9


def within_reach(position: np.ndarray, way: np.ndarray, reach: float, wanted: float) -> float:
    """Metres along the unit vector `way` until the ball of radius `reach` around the origin is left."""
    along = float(position @ way)
    inside = reach * reach - float(position @ position)
    if along <= 0.0 and inside <= 0.0:
        return wanted
    return max(0.0, -along + math.sqrt(max(0.0, along * along + inside)))
