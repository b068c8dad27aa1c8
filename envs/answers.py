"""What an agent says when it names an object and its pose, as an action space and as numbers.

A rotation is given by six numbers, the first two columns of world_from_object; Gram and Schmidt make them
orthonormal, and the third is their cross product. Any six numbers whose halves span a plane mean a rotation, and
near ones mean near ones, which no four numbers manage (Zhou et al., CVPR 2019).
"""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from gymnasium import spaces

from .bodies import LARGEST, as_numbers

ActionMode = Literal["dict", "flat"]
MEANING: dict[str, tuple[str, str]] = {
    "move": ("see there", "the movement of each body, as in ObjectExplore"),
    "answer": ("number", "0: no answer yet; k: the k-th object; as scores, the highest is the answer"),
    "position": ("m", "of the object's centre, world frame; in a flat action, as a share of the largest value"),
    "rotation": ("", "of the object: the first two columns of world_from_object, made orthonormal"),
}
"""Of every part of an action, its unit and what it is."""
ROOM = 0.1
"""Metres beyond the cube of centres that an answered position may reach: on a table objects stand higher."""
FLATTEST = 1e-6
"""Sine of the angle between two columns under which they span no plane."""


@dataclass(frozen=True, slots=True)
class Answers:
    """What n agents say.

    choice : (n,) int, 0: no answer yet, k: the k-th object, counted from 1
    position : (n, 3) metres, world frame; rotation : (n, 3, 3) world_from_object
    turned : (n,) bool, False where the six numbers mean no rotation, and the identity stands in
    """

    choice: np.ndarray
    position: np.ndarray
    rotation: np.ndarray
    turned: np.ndarray


class Form:
    """The action space of movement and answer, and how to read it.

    moves : the space of a movement, a Box(-1, 1, (m,)); objects : how many there are to name
    cube : edge in metres of the cube in which their centres lie

    "dict" : {move, answer: Discrete(objects + 1), pose: {position (3,) metres, rotation (6,)}}
    "flat" : one Box(-1, 1): m of the movement, objects + 1 scores of which the highest (of equals the first) is
        the answer, 3 of the position as a share of its largest value, 6 of the rotation

    sizes : how many numbers of a flat action are of each part, in their order
    """

    def __init__(self, moves: spaces.Box, objects: int, cube: float, mode: ActionMode) -> None:
        self.mode, self.objects, self.farthest = mode, objects, cube / 2 + ROOM
        self._moves = moves.shape[0]
        self.sizes = {"move": self._moves, "answer": objects + 1, "position": 3, "rotation": 6}
        single = np.float32
        position = spaces.Box(-self.farthest, self.farthest, (3,), single)
        pose = spaces.Dict({"position": position, "rotation": spaces.Box(-1.0, 1.0, (6,), single)})
        apart = spaces.Dict({"move": moves, "answer": spaces.Discrete(objects + 1), "pose": pose})
        flat = spaces.Box(-1.0, 1.0, (sum(self.sizes.values()),), single)
        self.space: spaces.Space[Any] = apart if mode == "dict" else flat

    def read(self, action: Any) -> tuple[np.ndarray, Answers]:
        """The movement (m,), not checked, and the answer of one agent. ValueError for what isn't an action."""
        if self.mode == "flat":
            batch: Any = _numbers("a flat action", action)[None]
        else:
            _require(action, ("move", "answer", "pose"), "action")
            _require(action["pose"], ("position", "rotation"), "pose")
            pose = {name: _numbers(name, value)[None] for name, value in action["pose"].items()}
            move, answer = _numbers("move", action["move"])[None], np.asarray(action["answer"])[None]
            batch = {"move": move, "answer": answer, "pose": pose}
        moves, answers = self.read_all(batch, 1)
        return moves[0], answers

    def read_all(self, actions: Any, count: int) -> tuple[np.ndarray, Answers]:
        """The movements (count, m), not checked, and the answers of `count` agents: actions of the batched space."""
        if self.mode == "flat":
            return self._read_flat(_numbers("a flat action", actions), count)
        _require(actions, ("move", "answer", "pose"), "action")
        _require(actions["pose"], ("position", "rotation"), "pose")
        choice = np.asarray(actions["answer"])
        if choice.shape != (count,) or not np.issubdtype(choice.dtype, np.integer):
            raise ValueError(f"an answer is a whole number of 0 ... {self.objects}, got {actions['answer']!r}")
        if ((choice < 0) | (choice > self.objects)).any():
            raise ValueError(f"an answer is 0 (none yet) or 1 ... {self.objects}, got {choice}")
        position = _finite("position", actions["pose"]["position"], (count, 3))
        six = _finite("rotation", actions["pose"]["rotation"], (count, 6))
        return _numbers("move", actions["move"]), Answers(choice, position, *rotations_from_six(six))

    def _read_flat(self, actions: np.ndarray, count: int) -> tuple[np.ndarray, Answers]:
        sizes = list(self.sizes.values())
        shape = (count, sum(sizes))
        if actions.shape != shape:
            raise ValueError(f"a flat action is {shape[1]} numbers (see `Form`), got {actions.shape[1:]}")
        move, scores, position, six = np.split(actions, np.cumsum(sizes)[:-1], axis=1)
        _finite("action", actions[:, self._moves :], (count, shape[1] - self._moves))
        choice = scores.argmax(axis=1)
        return move, Answers(choice, position * self.farthest, *rotations_from_six(six))


def rotations_from_six(six: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Rotations (n, 3, 3) of (n, 6) numbers, two columns each, and whether they mean one, (n,) bool."""
    first, second = six[:, :3], six[:, 3:]
    x, long = _unit(first)
    y, wide = _unit(second)
    y, apart = _unit(y - (x * y).sum(axis=1, keepdims=True) * x)
    meant = (long > FLATTEST) & (wide > FLATTEST) & (apart > FLATTEST)
    rotation = np.stack([x, y, np.cross(x, y)], axis=2)
    return np.where(meant[:, None, None], rotation, np.eye(3)), meant


def six_from_rotation(rotation: np.ndarray) -> np.ndarray:
    """The six numbers (6,) float32 that mean a rotation (3, 3)."""
    return np.concatenate([rotation[:, 0], rotation[:, 1]]).astype(np.float32)


def _unit(vectors: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    length = np.linalg.norm(vectors, axis=1)
    return vectors / np.maximum(length, 1e-300)[:, None], length


def _require(given: Any, names: tuple[str, ...], what: str) -> None:
    if not isinstance(given, dict) or set(given) != set(names):
        got = sorted(given) if isinstance(given, dict) else type(given).__name__
        raise ValueError(f"the {what} must be a dict of {', '.join(names)}, got {got}")


def _numbers(name: str, given: Any) -> np.ndarray:
    value = as_numbers(given)
    if value is None:
        raise ValueError(f"{name} must be finite numbers, got {given!r}")
    return value


def _finite(name: str, given: Any, shape: tuple[int, ...]) -> np.ndarray:
    value = _numbers(name, given)
    if value.shape != shape or not (np.abs(value) < LARGEST).all():
        raise ValueError(f"{name} must be {shape[1:]} finite numbers, got {value.shape[1:]}: {given!r}")
    return value
