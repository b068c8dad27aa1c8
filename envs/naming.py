"""The task of naming an object and its pose: what an answer is worth, and what a look is.

"sparse" : every sensation costs `COST`. An answer ends the episode: `WRONG` for another object, `IDENTITY` for the
    right one, and `POSE` more where its pose is right too: within `TOLERANCE` of the diameter by ADD-S (`shape`)
"information" : besides, `NAT` for every nat that a look is expected to teach one who knows nothing of columns. Let a
    mark be hidden in one of the K parts of the surface. Who has looked at m of them has found it with probability
    m / K, else K - m parts remain; so the information expected from m parts is

        I(m) = ln K - (K - m)/K ln(K - m)  nats.

    New surface pays, the same never twice, and a whole object NAT ln K = 0.42, less than a right answer
"none" : always 0
"""

import math
from typing import Any, Literal

import numpy as np

from .answers import Answers
from .retina import Retina
from .shape import CELLS, Pose, shared_shape

RewardMode = Literal["sparse", "information", "none"]
IDENTITY, POSE, WRONG, COST, NAT = 0.5, 0.5, -1.0, 0.01, 0.1
TOLERANCE = 0.02
"""Share of the diameter: a shift by some 3 mm, or a turn by 10 to 15 degrees that isn't a symmetry of the shape."""


class Naming:
    """The task in n worlds at once; it keeps which parts of each object were looked at.

    source : catalogue, and names its objects; retina : over all of them
    """

    def __init__(self, source: str, names: tuple[str, ...], mode: RewardMode, retina: Retina, count: int) -> None:
        self.source, self.names, self.mode = source, names, mode
        self._retina = retina
        self._seen = np.zeros((count, CELLS), bool)

    def begin(self, which: np.ndarray) -> None:
        """New episodes in the worlds `which` (k,) int: nothing was looked at yet."""
        self._seen[which] = False

    def judge(self, said: Answers, which: np.ndarray, index: np.ndarray, poses: Pose) -> tuple[np.ndarray, list[Any]]:
        """What answers are worth, (k,) float64, and of each, what becomes of it: None where there is no answer yet,
        else {answer, right, pose_right, add_s} with ADD-S in metres, of right answers (inf: without a rotation).

        said : of k worlds; index : (k,) their objects; poses : (k, 3) positions and (k, 3, 3) rotations of those
        """
        rewards, results = np.zeros(len(which)), np.full(len(which), None, dtype=object).tolist()
        for i in np.flatnonzero(said.choice):
            answered = int(said.choice[i]) - 1
            result = {"answer": self.names[answered], "right": bool(answered == index[i]), "pose_right": False}
            result["add_s"] = math.inf
            if result["right"] and said.turned[i]:
                shape = shared_shape(self.source, answered)
                true, told = (poses[0][i], poses[1][i]), (said.position[i], said.rotation[i])
                result["add_s"] = shape.distance(true, told)
                result["pose_right"] = bool(result["add_s"] <= TOLERANCE * shape.diameter)
            rewards[i] = IDENTITY + POSE * result["pose_right"] if result["right"] else WRONG
            results[i] = result
        return (np.zeros(len(which)) if self.mode == "none" else rewards - COST), results

    def look(self, observation: dict[str, np.ndarray], which: np.ndarray, index: np.ndarray, poses: Pose) -> np.ndarray:
        """Nats, times `NAT`, expected from what is looked at now in the worlds `which`, (k,); 0 but in "information".

        observation : of these k worlds, (k, c, ...); the rest as for `judge`
        """
        if self.mode != "information":
            return np.zeros(len(which))
        before = self._seen[which].sum(axis=1)
        world, sensor = np.nonzero(_met(observation))
        position, rotation = poses
        turn = rotation[world]
        away = observation["sensor_position"][world, sensor].astype(float) - position[world]
        ray = observation["sensor_rotation"][world, sensor, :, 2].astype(float)
        origins, ways = np.einsum("kji,kj->ki", turn, away), np.einsum("kji,kj->ki", turn, ray)
        depth, face = self._retina.cast(index[world], origins, ways)
        hit = np.flatnonzero(face >= 0)
        for one in np.unique(index[world[hit]]):
            at = hit[index[world[hit]] == one]
            points = origins[at] + depth[at, None] * ways[at]
            cells = shared_shape(self.source, int(one)).cells(points, face[at])
            self._seen[which[world[at]], cells] = True
        return NAT * (information(self._seen[which].sum(axis=1)) - information(before))


def information(seen: np.ndarray) -> np.ndarray:
    """Nats, (n,) float64, expected from having looked at `seen` (n,) of the parts: I(m) above."""
    left = CELLS - np.asarray(seen, dtype=float)
    return np.log(CELLS) - left / CELLS * np.log(np.maximum(left, 1.0))


def _met(observation: dict[str, np.ndarray]) -> np.ndarray:
    """(k, c) bool: the reading arrived, and its gaze met the object."""
    if "on_object" in observation:
        return (observation["valid"] > 0) & (observation["on_object"] > 0)
    middle = observation["patch"].shape[-2] // 2
    return (observation["valid"] > 0) & (observation["patch"][:, :, middle, middle, 5] > 0)
