"""A robot with a fixed base in a PyBullet world: its joints, where its links are, and what they would touch.

It is there to be asked, not to be moved by forces: joints are set, never driven. Rays and falling objects pass
through it. In a world that was cleared, or in which physics acted, it is put back the next time it is asked for.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy.spatial.transform import Rotation

from .simulation import Simulation

APART = 1 << 6
"""Collision group of robots, which collides with none: rays and physics don't meet them, questions do."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What a robot is.

    urdf : file, from the folder of pybullet_data; joints : names of the joints that are moved, from the base
    hand : name of the link whose pose is asked for
    pairs : names of two links each that could meet one another
    standing : links that stand on the table, and may touch it
    """

    urdf: str
    joints: tuple[str, ...]
    hand: str
    pairs: tuple[tuple[str, str], ...]
    standing: tuple[str, ...]


class Robot:
    """A robot whose base stands at `position` (3,) metres, upright, in a simulation.

    lower, upper : (j,) limits of the joints in radians
    """

    def __init__(self, simulation: Simulation, plan: Plan, position: Sequence[float]) -> None:
        self.simulation, self.plan = simulation, plan
        self._position = [float(p) for p in position]
        self._joints = np.zeros(len(plan.joints))
        self._load()
        limits = [self._info(joint) for joint in self._numbers]
        self.lower, self.upper = (np.array([limit[k] for limit in limits]) for k in (8, 9))

    @property
    def joints(self) -> np.ndarray:
        """Angles (j,) of the joints in radians."""
        return self._joints.copy()

    def set_joints(self, angles: np.ndarray) -> None:
        """Put the joints at `angles` (j,), at once and whatever is in the way."""
        self._there()
        self._joints = np.array(angles, dtype=float)
        for joint, angle in zip(self._numbers, self._joints.tolist(), strict=True):
            self.simulation.call("resetJointState", self._robot, joint, angle)

    def hand(self) -> tuple[np.ndarray, np.ndarray]:
        """Position (3,) in metres and rotation (3, 3) world_from_hand of the hand."""
        self._there()
        hand = self._links[self.plan.hand]
        state = self.simulation.call("getLinkState", self._robot, hand, computeForwardKinematics=1)
        return np.array(state[4]), Rotation.from_quat(state[5]).as_matrix()

    def approach(self, position: np.ndarray, rotation: np.ndarray) -> None:
        """One round of inverse kinematics from where the joints are: brings the hand nearer to a pose."""
        self._there()
        wanted = self.simulation.call(
            "calculateInverseKinematics",
            self._robot,
            self._links[self.plan.hand],
            np.asarray(position).tolist(),
            Rotation.from_matrix(rotation).as_quat().tolist(),
            maxNumIterations=60,
            residualThreshold=1e-6,
        )
        turned = (np.array(wanted[: len(self._numbers)]) + np.pi) % (2 * np.pi) - np.pi
        self.set_joints(np.clip(turned, self.lower, self.upper))

    def touches(self, body_name: str | None, clearance: float) -> bool:
        """Whether any link comes within `clearance` metres of a body, of the table or, at all, of another link."""
        self._there()
        call, table = self.simulation.call, self.simulation.table_number
        if body_name is not None:
            body = self.simulation.number(body_name)
            if call("getClosestPoints", self._robot, body, distance=clearance):
                return True
        if table is not None:
            near = call("getClosestPoints", self._robot, table, distance=clearance)
            standing = {self._links[name] for name in self.plan.standing}
            if any(point[3] not in standing for point in near):
                return True
        return any(call("getClosestPoints", self._robot, self._robot, 0.0, *pair) for pair in self._pairs)

    def shapes(self) -> list[tuple[Path, np.ndarray, np.ndarray]]:
        """For pictures: the files of the shapes that its links have, with their (3,) positions and (3, 3) rotations."""
        self._there()
        call, found = self.simulation.call, []
        for number in self._links.values():
            if number < 0:
                centre, turn = call("getBasePositionAndOrientation", self._robot)
            else:
                centre, turn = call("getLinkState", self._robot, number, computeForwardKinematics=1)[:2]
            for shape in call("getCollisionShapeData", self._robot, number):
                world = Rotation.from_quat(turn)
                position = np.array(centre) + world.apply(shape[5])
                found.append((Path(shape[4].decode()), position, (world * Rotation.from_quat(shape[6])).as_matrix()))
        return found

    def _there(self) -> None:
        if self._cleared != self.simulation.cleared:
            self._load()
        elif self._stirred == self.simulation.stirred:
            return
        self._stirred = self.simulation.stirred
        self.set_joints(self._joints)

    def _load(self) -> None:
        import pybullet_data

        call = self.simulation.call
        self._robot: int = call(
            "loadURDF",
            str(Path(pybullet_data.getDataPath()) / self.plan.urdf),
            basePosition=self._position,
            useFixedBase=1,
            flags=self.simulation.constant("URDF_IGNORE_VISUAL_SHAPES"),
        )
        self._cleared, self._stirred = self.simulation.cleared, self.simulation.stirred
        count = call("getNumJoints", self._robot)
        self._links = {call("getBodyInfo", self._robot)[0].decode(): -1}
        numbers = {}
        for k in range(count):
            info = self._info(k)
            numbers[info[1].decode()], self._links[info[12].decode()] = k, k
        for k in range(-1, count):
            call("setCollisionFilterGroupMask", self._robot, k, APART, 0)
        self._numbers = [numbers[name] for name in self.plan.joints]
        self._pairs = [(self._links[a], self._links[b]) for a, b in self.plan.pairs]

    def _info(self, joint: int) -> Any:
        return self.simulation.call("getJointInfo", self._robot, joint)
