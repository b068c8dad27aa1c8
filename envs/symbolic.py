"""The papers' world: objects are symbols at points, and columns touch them. It needs no simulator.

Each of N objects has one of F symbols at each of P points, drawn independently; the points are the same for all objects
(Hawkins, Ahmad & Cui, Frontiers in Neural Circuits 11:81, 2017). So the observer who can't be beaten is known exactly
(`cortical.columns.symbolic`), and a policy or a vote rule is judged against it in seconds.

Objects don't move or turn: where a point lies on the object is given, as in that paper. Objects at unknown places
(Lewis et al., Frontiers in Neural Circuits 13:22, 2019) are left to the worlds in PyBullet.
"""

import math
from difflib import get_close_matches
from numbers import Real
from typing import Any, Literal

import gymnasium as gym
import numpy as np
from gymnasium import spaces
from gymnasium.error import ClosedEnvironmentError, ResetNeeded

ActionMode = Literal["dict", "flat"]
MEANING: dict[str, tuple[str, str]] = {
    "location": ("number", "the point that each column touches; P, the number of points, before the first touch"),
    "feature": ("number", "the symbol that each column feels there; F, the number of features, where it feels nothing"),
    "move": ("number", "the point that each column is to touch"),
    "answer": ("number", "0: no answer yet; k: the k-th object"),
}
"""Of every part of an observation and an action, its unit and what it is."""


class SymbolicObjectsEnv(gym.Env[dict[str, np.ndarray], Any]):
    """Touch an object at points, feel the symbols there, and answer once which object it is.

    Action : with action_mode "dict" {move: (C,) int, the point, from 0, that each of the C columns touches, answer: 0
        for none yet or the number, from 1, of the object}. With "flat" all of it in one (C + 1,) int, the answer last.
        Columns that touch the same point feel the same symbol, but for noise. Who never answers just explores.

    Observation : location (C,) int64, the points touched last, P before the first touch, and feature (C,) int64, the
        symbols felt there; F stands for nothing felt: before the first touch and, without `repeats`, where an
        earlier touch has been.

    Reward : minus `cost` for a touch of all columns at once. An answer ends the episode (terminated) and touches
        nothing: 1 for the right object, -1 for another.

    Info : truth {object: its row in `table`}, touches so far; after an answer also result {answer: the row, right}.

    `table` (N, P) int64, read-only, is the world: the symbol of each object at each point, to be known to the columns.
    `sizes` says how many numbers of a flat action are of each part.

    objects : how many there are, N
    points : how many points an object has, P
    features : how many symbols there are, F
    columns : how many points are touched at once, C
    noise : probability that a felt symbol is replaced by one drawn from all F
    repeats : whether a point can be felt again in a later touch
    world_seed : draws the objects; an episode's own seed draws which of them is there, and the noise
    action_mode : "dict": an action is its parts by name, "flat": one array
    cost : of a touch, in rewards
    render_mode : "ansi", so that `render` tells what was felt, or None
    Raises ValueError for settings that make no sense, naming them.
    """

    metadata = {"render_modes": ["ansi"], "render_fps": 10}  # noqa: RUF012 (gymnasium's own type)

    def __init__(
        self,
        objects: int = 100,
        points: int = 10,
        features: int = 10,
        columns: int = 1,
        noise: float = 0.0,
        repeats: bool = True,
        world_seed: int = 0,
        action_mode: ActionMode = "dict",
        cost: float = 0.05,
        render_mode: str | None = None,
    ) -> None:
        _at_least(1, objects=objects, points=points, features=features, columns=columns)
        _at_least(0, world_seed=world_seed)
        _one_of("action_mode", action_mode, ("dict", "flat"))
        _one_of("render_mode", render_mode, (None, *self.metadata["render_modes"]))
        if not isinstance(noise, Real) or not 0.0 <= noise <= 1.0:
            raise ValueError(f"noise must be a probability, 0 ... 1, not {noise!r}")
        if not isinstance(cost, Real) or not 0.0 <= cost < math.inf:
            raise ValueError(f"cost must be a number of at least 0, not {cost!r}")
        if columns > points:
            raise ValueError(f"{columns} columns can't touch distinct ones of {points} points: give more points")
        self.table = np.random.default_rng(world_seed).integers(features, size=(objects, points))
        self.table.flags.writeable = False
        self.features, self.columns, self.noise, self.repeats = features, columns, float(noise), repeats
        self.cost, self.render_mode = float(cost), render_mode
        self.sizes = {"move": columns, "answer": 1}
        self._flat = action_mode == "flat"
        self.observation_space: spaces.Dict = spaces.Dict(  # pyright: ignore[reportIncompatibleVariableOverride]
            {
                "location": spaces.MultiDiscrete([points + 1] * columns),
                "feature": spaces.MultiDiscrete([features + 1] * columns),
            }
        )
        self.action_space: spaces.Space[Any] = (
            spaces.MultiDiscrete([points] * columns + [objects + 1])
            if self._flat
            else spaces.Dict(move=spaces.MultiDiscrete([points] * columns), answer=spaces.Discrete(objects + 1))
        )
        self._closed = False
        self._begin(None)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """A new episode; nothing is touched yet.

        options, optional: object, the row in `table` of the one to be there. ValueError for one that makes no sense.
        """
        super().reset(seed=seed)
        self._check_open()
        drawn = int(self.np_random.integers(len(self.table)))
        target = self._chosen(options or {}, drawn)
        self._begin(target)
        return self._observation(), self._info(target)

    def step(self, action: Any) -> tuple[dict[str, np.ndarray], float, bool, bool, dict[str, Any]]:
        """Touch, or answer. Raises ValueError for anything but an action of the space, naming what is wrong."""
        self._check_open()
        if self._object is None:
            raise ResetNeeded("no episode is going on: call env.reset() first")
        target = self._object
        points, answer = self._read(action)
        if not answer:
            self._touch(target, points)
            return self._observation(), -self.cost, False, False, self._info(target)
        self._object = None
        right = answer - 1 == target
        info = self._info(target) | {"result": {"answer": answer - 1, "right": right}}
        return self._observation(), 1.0 if right else -1.0, True, False, info

    def render(self) -> str | None:  # pyright: ignore[reportIncompatibleMethodOverride]
        """What was felt at each point so far, a dot where nothing was; None without a render mode."""
        if self.render_mode is None:
            return None
        felt = ["." if symbol == self.features else str(symbol) for symbol in self._felt]
        return f"touch {self._touches}: " + " ".join(felt)

    def close(self) -> None:
        """Closing twice is fine."""
        self._closed = True

    def _begin(self, target: int | None) -> None:
        points = self.table.shape[1]
        self._object, self._touches = target, 0
        self._felt = np.full(points, self.features)
        self._last = {"location": np.full(self.columns, points), "feature": np.full(self.columns, self.features)}

    def _touch(self, target: int, points: np.ndarray) -> None:
        symbols = self.table[target, points]
        if self.noise:
            lost = self.np_random.random(self.columns) < self.noise
            symbols = np.where(lost, self.np_random.integers(self.features, size=self.columns), symbols)
        if not self.repeats:
            symbols = np.where(self._felt[points] == self.features, symbols, self.features)
        new = symbols < self.features
        self._felt[points[new]] = symbols[new]
        self._touches += 1
        self._last = {"location": points, "feature": symbols}

    def _observation(self) -> dict[str, np.ndarray]:
        return {name: value.astype(np.int64) for name, value in self._last.items()}

    def _info(self, target: int) -> dict[str, Any]:
        return {"truth": {"object": target}, "touches": self._touches}

    def _read(self, action: Any) -> tuple[np.ndarray, int]:
        """Points (C,) int64 and the answer."""
        if self._flat:
            parts = _whole("a flat action", action, (self.columns + 1,))
            points, answer = parts[:-1], parts[-1]
        elif isinstance(action, dict) and set(action) == {"move", "answer"}:
            points = _whole("move", action["move"], (self.columns,))
            answer = _whole("answer", action["answer"], ())
        else:
            got = sorted(action) if isinstance(action, dict) else type(action).__name__
            raise ValueError(f"the action must be a dict of move, answer, got {got}")
        objects, count = self.table.shape
        if ((points < 0) | (points >= count)).any():
            raise ValueError(f"a column touches a point of 0 ... {count - 1}, got {points}")
        if not 0 <= answer <= objects:
            raise ValueError(f"an answer is 0 (none yet) or 1 ... {objects}, got {answer}")
        return points, int(answer)

    def _chosen(self, options: dict[str, Any], drawn: int) -> int:
        for name in options:
            if name != "object":
                close = "; did you mean 'object'?" if get_close_matches(str(name), ["object"]) else "; there is: object"
                raise ValueError(f"unknown option {name!r}{close}")
        wanted = options.get("object")
        if wanted is None:
            return drawn
        given = _whole("option 'object'", wanted, ())
        if not 0 <= given < len(self.table):
            raise ValueError(f"option 'object' must be 0 ... {len(self.table) - 1}, got {wanted!r}")
        return int(given)

    def _check_open(self) -> None:
        if self._closed:
            raise ClosedEnvironmentError("this environment is closed; make a new one")


def _whole(name: str, given: Any, shape: tuple[int, ...]) -> np.ndarray:
    """Whole numbers of a shape as int64; ValueError for anything else."""
    try:
        value = np.asarray(given)
    except ValueError:
        value = np.empty(0, object)
    if value.shape != shape or value.dtype.kind not in "iu":
        what = f"{shape[0]} whole numbers" if shape else "a whole number"
        raise ValueError(f"{name} must be {what}, got {given!r}")
    return value.astype(np.int64)


def _at_least(least: int, **settings: Any) -> None:
    for name, value in settings.items():
        if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < least:
            raise ValueError(f"{name} must be a whole number of at least {least}, not {value!r}")


def _one_of(name: str, value: Any, allowed: tuple[Any, ...]) -> None:
    if value not in allowed:
        raise ValueError(f"{name} must be one of {', '.join(map(repr, allowed))}, not {value!r}")
