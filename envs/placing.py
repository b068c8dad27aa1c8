"""How an episode begins: a random pose, an object that comes to rest on a table, a first gaze."""

import math
from collections.abc import Sequence
from difflib import get_close_matches
from typing import Any

import numpy as np

from .bodies import as_numbers, looking
from .mesh import Mesh
from .retina import Retina
from .simulation import Simulation

OPTIONS = {"object": None, "position": (3,), "rotation": (3, 3), "eye_position": (3,), "gaze": (3,)}
"""What `reset(options=...)` may hold, and its shapes."""


def one_of(name: str, value: Any, allowed: Sequence[Any]) -> None:
    """ValueError where a setting isn't one of those allowed."""
    if value not in allowed:
        raise ValueError(f"{name} must be one of {', '.join(map(repr, allowed))}, not {value!r}")


def positive(**settings: float) -> None:
    """ValueError where a setting isn't a finite number above zero."""
    for name, value in settings.items():
        if not 0 < value < math.inf:
            raise ValueError(f"{name} must be above zero, not {value}")


def checked_options(options: dict[str, Any], objects: Sequence[str], reach: float) -> dict[str, Any]:
    """The options of a reset, as float64 arrays; object and eye may be `reach` metres from the origin at most.

    Raises ValueError for an unknown name, a wrong shape, no rotation, or a place out of reach.
    """
    for name in options:
        if name not in OPTIONS:
            raise ValueError(f"unknown option {name!r}{_did_you_mean(name, OPTIONS)}")
    read = {name: as_numbers(value) for name, value in options.items() if name != "object"}
    for name, value in read.items():
        if value is None or value.shape != OPTIONS[name] or not np.isfinite(value).all():
            raise ValueError(f"option {name!r} must be {OPTIONS[name]} finite numbers, got {options[name]!r}")
    given = {name: value for name, value in read.items() if value is not None}
    turn = given.get("rotation", np.eye(3))
    if np.abs(turn).max() > 1.01 or np.abs(turn @ turn.T - np.eye(3)).max() > 1e-4 or np.linalg.det(turn) < 0:
        raise ValueError(f"option 'rotation' must be a rotation matrix, got {turn}")
    for name in ("position", "eye_position"):
        place = given.get(name, np.zeros(3))
        if np.abs(place).max() > reach or np.linalg.norm(place) > reach:
            raise ValueError(f"option {name!r} is over {reach} m from the origin: {place}")
    if not given.get("gaze", np.ones(3)).any():
        raise ValueError("option 'gaze' must be a direction, not zero")
    if "gaze" in given:
        given["gaze"] = given["gaze"] / np.abs(given["gaze"]).max()  # of any length, but its square is a number
    if options.get("object") is not None:
        if options["object"] not in objects:
            raise ValueError(
                f"unknown object {options['object']!r}{_did_you_mean(options['object'], objects)}"
            )
        return {**given, "object": options["object"]}
    return given


def drop(
    simulation: Simulation, mesh: Mesh, position: np.ndarray, rotation: np.ndarray, table: float
) -> tuple[np.ndarray, np.ndarray]:
    """Let an object fall on a table and come to rest; its position, over the given x and y, and its rotation.

    The world is emptied before, so that the same fall always ends the same; afterwards it holds the table.
    """
    simulation.clear()
    simulation.add_table(table)
    lowest = float((mesh.vertices @ rotation[2]).min())
    simulation.add_mesh(
        "falling", mesh, np.array([*position[:2], table - lowest + 0.002]), rotation, dynamic=True
    )
    simulation.settle()
    _, turn = simulation.pose("falling")
    simulation.remove("falling")
    # its hull keeps a margin of a millimetre to the table
    lowest = float((mesh.vertices @ turn[2]).min())
    return np.array([*position[:2], table - lowest]), turn


def random_rotations(count: int, random: np.random.Generator) -> np.ndarray:
    """`count` rotations, (count, 3, 3), uniform on SO(3): unit quaternions from four normals each."""
    quaternion = random.standard_normal((count, 4))
    quaternion /= np.linalg.norm(quaternion, axis=1, keepdims=True)
    x, y, z, w = quaternion.T
    rows = [
        (1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)),
        (2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)),
        (2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)),
    ]
    return np.stack([np.stack(row, axis=-1) for row in rows], axis=1)


def visible_gaze(
    retina: Retina,
    index: int,
    position: np.ndarray,
    rotation: np.ndarray,
    eye_position: np.ndarray,
    reach: float,
    random: np.random.Generator,
) -> np.ndarray | None:
    """Unit direction (3,), world frame, from the eye to a random visible point of an object, or None.

    index : the object in the retina; position, rotation : its pose; reach : its bounding sphere, metres
    """
    to_object = np.asarray(position, dtype=float) - eye_position
    distance = float(np.linalg.norm(to_object))
    smallest = math.sqrt(1.0 - (reach / distance) ** 2) if distance > reach else -1.0
    frame = looking(to_object) if distance > 0.0 else np.eye(3)
    for _ in range(8):
        cosine, around = random.uniform(smallest, 1.0, 256), random.uniform(0.0, 2.0 * math.pi, 256)
        sine = np.sqrt(1.0 - cosine * cosine)
        gazes = np.stack([sine * np.cos(around), sine * np.sin(around), cosine], axis=1) @ frame.T
        origins = np.broadcast_to(-to_object @ rotation, (256, 3))
        depth, _ = retina.cast(np.full(256, index), origins, gazes @ rotation)
        hits = np.flatnonzero(np.isfinite(depth))
        if len(hits):
            return gazes[hits[0]]
    return None


def _did_you_mean(name: Any, names: Any) -> str:
    close = get_close_matches(str(name), list(names), n=1)
    return f"; did you mean {close[0]!r}?" if close else f"; there are: {', '.join(names)}"
