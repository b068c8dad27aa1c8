"""The arm: a Panda with an eye and a fingertip in its hand, moved within its joint limits and without collision.

    world_from_eye = world_from_hand hand_from_eye,    world_from_tip = world_from_hand hand_from_tip

Both look along the z of the hand. The eye sits beside the gripper; the fingertip, a ball, ends a short rod between
its fingers. To reach a pose is to find joint angles for it: the inverse kinematics starts from where the arm is and
then from those of some thousand known postures whose hand is nearest to the wanted pose. To move is to go there
straight in joint space, in steps of a few millimetres, and to stop before the first that touches something.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import Literal

import numpy as np
import trimesh

from .bodies import RADIUS as EYE
from .bodies import Eye
from .finger import Finger
from .mesh import Mesh, read_mesh
from .robot import Plan, Robot
from .simulation import Simulation
from .touch import RADIUS, Contact, press

Frame = Literal["eye", "tip"]

PANDA = Plan(
    urdf="franka_panda/panda.urdf",
    joints=tuple(f"panda_joint{k}" for k in range(1, 8)),
    hand="panda_grasptarget",
    pairs=tuple(
        (f"panda_{far}", f"panda_link{near}")
        for far in ("leftfinger", "hand", "link7", "link6")
        for near in (0, 1, 2, 3, 4)
        if (far, near) != ("link6", 4)
    ),
    standing=("panda_link0", "panda_link1"),
)
BASE, TABLE_BASE = (-0.3, 0.0, -0.35), (-0.4, 0.0)
"""Where its base stands, metres, world frame: below an object that is held in the air; on the table (x, y)."""
REST = np.array([0.0, -0.9, 0.0, -1.8, 0.0, 1.8, 0.785])
"""Joint angles in radians at which it begins: the hand high above the object."""
VIA = tuple(REST + np.array([turn, 0, 0, 0, 0, 0, 0]) for turn in (0.0, -0.8, 0.8, -1.6, 1.6))
"""Postures over which it goes round what is in its way."""
OFFSETS = {"eye": np.array([0.05, 0.0, -0.045]), "tip": np.array([0.0, 0.0, 0.037])}
"""Metres from the middle between the fingers of the gripper, in the frame of the hand."""
ROD = 0.03
"""Length in metres of the rod that holds the fingertip."""
CLEARANCE = 0.002
"""Metres that its links keep from everything."""
EXACT, STRAIGHT = 2e-4, math.radians(0.1)
"""Metres and radians within which a pose counts as reached."""
JOINT_STEP, LINE_STEP = 0.01, 0.005
"""Radians of the joint that turns most, and metres along a line, between two looks at what is in the way."""
BACK = 0.06
"""Metres by which the hand draws back where it can't get away."""
WHITE, BRASS = (0.92, 0.92, 0.9), (0.8, 0.6, 0.2)
POSTURES, TRIED, GOALS = 4000, 12, 4
"""Known postures, how many of them a search starts from, and how many answers are tried to go to."""


@dataclass(frozen=True, slots=True)
class Motion:
    """What came of a movement: where eye and fingertip now are.

    path_length : metres that the hand went; blocked : whether it stopped before its goal
    """

    eye: Eye
    tip: Finger
    path_length: float
    blocked: bool


class Arm:
    """A Panda in a simulation, which must have its table, if it is to have one.

    body_name : the object that is in its way, besides the table; it need not be there yet
    base : where its base stands, (3,) metres; None: beside the object, on the table or below it. Around the world's
        origin, of bearings 20 cm out, an eye then reaches 19 in 20, turned about its gaze as may be (`reach`)
    """

    def __init__(
        self, simulation: Simulation, body_name: str = "object", base: tuple[float, float, float] | None = None
    ) -> None:
        self.simulation, self.body_name = simulation, body_name
        if base is None:
            base = BASE if simulation.table is None else (*TABLE_BASE, simulation.table)
        self.base = np.array(base)
        self.robot = Robot(simulation, PANDA, base)
        self.robot.set_joints(REST)

    @property
    def eye(self) -> Eye:
        """The eye in the hand."""
        return Eye(*self._pose("eye"))

    @property
    def tip(self) -> Finger:
        """The fingertip; `touching` is what the last `touch` found, which the arm doesn't keep: False."""
        return Finger(*self._pose("tip"))

    def reach(self, position: np.ndarray, rotation: np.ndarray, frame: Frame = "eye") -> np.ndarray | None:
        """Joint angles (7,) that bring eye or fingertip to a pose without touching anything; None: none found.

        position : (3,) metres; rotation : (3, 3) world_from_eye or world_from_tip. The arm stays where it is.
        """
        return next(self._solutions(position, rotation, frame), None)

    def move_to(self, joints: np.ndarray) -> Motion:
        """Go straight to joint angles (7,), until something is in the way."""
        start, way = self.robot.joints, np.asarray(joints, dtype=float) - self.robot.joints
        share, length = self._free_way(start, way)
        self.robot.set_joints(start + way * share)
        return Motion(self.eye, self.tip, length, share < 1.0)

    def moves_to(self, position: np.ndarray, rotation: np.ndarray, frame: Frame = "eye") -> Motion:
        """`reach` a pose and go there: straight, or else over one of the postures `VIA`, or after drawing back.

        rotation : (3, 3), or (r, 3, 3) any of which will do
        Stays where it is, blocked, if the pose can't be reached; goes straight as far as it can, if no way is free.
        """
        turns = np.asarray(rotation, dtype=float).reshape(-1, 3, 3)
        found = (goal for turn in turns for goal in self._solutions(position, turn, frame))
        goals, start = [], self.robot.joints
        for goal in islice(found, GOALS):
            goals.append(goal)
            if (length := self._way_round(start, goal)) is not None:
                return Motion(self.eye, self.tip, length, False)
            self.robot.set_joints(start)
        if not goals:
            return Motion(self.eye, self.tip, 0.0, True)
        drawn = self.draw_back(BACK).path_length
        start = self.robot.joints
        for goal in goals:
            if (length := self._way_round(start, goal)) is not None:
                return Motion(self.eye, self.tip, drawn + length, False)
        self.robot.set_joints(start)
        motion = self.move_to(goals[0])
        return replace(motion, path_length=drawn + motion.path_length)

    def touch(self, length: float) -> tuple[Motion, Contact | None]:
        """Press the fingertip along its z until it touches, or `length` metres are gone, or the arm can't go on.

        None where it touched nothing. Having touched, the fingertip doesn't turn to face the surface.
        """
        tip = self.tip
        contact = press(self.simulation, self.body_name, tip.position, tip.rotation, length)
        end = tip.position + length * tip.rotation[:, 2] if contact is None else contact.centre
        motion = self._line(end, tip.rotation)
        return motion, None if motion.blocked else contact

    def draw_back(self, length: float) -> Motion:
        """Move the hand back along its z by `length` metres."""
        tip = self.tip
        return self._line(tip.position - length * tip.rotation[:, 2], tip.rotation)

    def parts(self) -> list[tuple[Mesh, np.ndarray, np.ndarray]]:
        """Its links and its fingertip as meshes, with their positions and rotations, for `picture.from_aside`."""
        links = [(_shape(file), position, rotation) for file, position, rotation in self.robot.shapes()]
        placed = [(mesh, position + rotation @ mesh.origin, rotation) for mesh, position, rotation in links]
        return [*placed, (_rod(), *self._pose("tip"))]

    def blocked(self) -> bool:
        """Whether the arm, as it now stands, touches object, table or itself."""
        present = self.body_name if self.body_name in self.simulation.names else None
        if self.robot.touches(present, CLEARANCE):
            return True
        tip, rotation = self._pose("tip")
        eye, back = self._pose("eye")[0], rotation @ [0.0, 0.0, -1.0]
        if self.simulation.table is not None and min(tip[2] - RADIUS, eye[2] - EYE) < self.simulation.table:
            return True
        if present is None:
            return False
        if self.simulation.nearest(eye, EYE, 0.0, present) is not None:
            return True
        # the rod is a little thinner than the ball at its end, which alone may touch
        for along in np.linspace(0.0, ROD, 6):
            radius = RADIUS - (0.0005 if along else 0.0)
            near = self.simulation.nearest(tip + along * back, radius, 0.0, present)
            if near is not None and near.distance < 0.0:
                return True
        return False

    def _solutions(self, position: np.ndarray, rotation: np.ndarray, frame: Frame) -> Iterator[np.ndarray]:
        """Free joint angles (7,) for a pose, from where the arm is, then from postures; the arm stays where it is."""
        hand = np.asarray(position, dtype=float) - rotation @ OFFSETS[frame]
        before = self.robot.joints
        postures, places, axes = _postures()
        apart = np.linalg.norm(places + self.base - hand, axis=1)
        turned = np.linalg.norm(axes - np.asarray(rotation).T.reshape(9), axis=1)
        nearest = np.argsort(apart + 0.15 * turned, kind="stable")[:TRIED]
        for start in (before, *postures[nearest]):
            self.robot.set_joints(start)
            solved = self._solve(hand, rotation) and not self.blocked()
            found = self.robot.joints
            self.robot.set_joints(before)
            if solved:
                yield found

    def _way_round(self, start: np.ndarray, goal: np.ndarray) -> float | None:
        """Go from `start` to `goal`, both (7,), if a way is free, straight or over a posture: the metres that the hand
        goes. None: none is, and the arm is anywhere."""
        share, length = self._free_way(start, goal - start)
        if share == 1.0:
            return length
        for via in VIA:
            share, length = self._free_way(start, via - start)
            if share == 1.0:
                share, further = self._free_way(via, goal - via)
                if share == 1.0:
                    return length + further
        return None

    def _free_way(self, start: np.ndarray, way: np.ndarray) -> tuple[float, float]:
        """How much of the way from the joint angles `start` by `way`, both (7,), is free, and how many metres the hand
        goes on it. Leaves the arm at the end, or where it is blocked."""
        steps, length = max(1, math.ceil(float(np.abs(way).max()) / JOINT_STEP)), 0.0
        self.robot.set_joints(start)
        here = self.robot.hand()[0]
        for k in range(1, steps + 1):
            self.robot.set_joints(start + way * (k / steps))
            if self.blocked():
                return (k - 1) / steps, length
            before, here = here, self.robot.hand()[0]
            length += math.dist(before, here)
        return 1.0, length

    def _line(self, end: np.ndarray, rotation: np.ndarray) -> Motion:
        """Move the fingertip straight to `end` (3,), the hand turned as it is."""
        start, length = self.tip.position, 0.0
        steps = max(1, math.ceil(math.dist(start, end) / LINE_STEP))
        for k in range(1, steps + 1):
            before = self.robot.joints
            at = start + (end - start) * (k / steps) - rotation @ OFFSETS["tip"]
            if not self._solve(at, rotation) or np.abs(self.robot.joints - before).max() > 0.2 or self.blocked():
                self.robot.set_joints(before)
                return Motion(self.eye, self.tip, length, True)
            length = math.dist(start, self.tip.position)
        return Motion(self.eye, self.tip, length, False)

    def _solve(self, hand: np.ndarray, rotation: np.ndarray) -> bool:
        """Bring the joints from where they are to a pose of the hand; False where that doesn't converge."""
        off = math.inf
        for _ in range(6):
            self.robot.approach(hand, rotation)
            position, turn = self.robot.hand()
            miss = math.dist(position, hand)
            angle = math.sqrt(max(0.0, float(np.sum((turn - rotation) ** 2)) / 2))
            if miss < EXACT and angle < STRAIGHT:
                return True
            if miss + angle > 0.9 * off:
                return False
            off = miss + angle
        return False

    def _pose(self, frame: Frame) -> tuple[np.ndarray, np.ndarray]:
        position, rotation = self.robot.hand()
        return position + rotation @ OFFSETS[frame], rotation


@lru_cache(maxsize=16)
def _shape(file: Path) -> Mesh:
    return read_mesh(file, colour=WHITE)


@lru_cache(maxsize=1)
def _rod() -> Mesh:
    """The fingertip and the rod that holds it, in the frame of the fingertip."""
    rod = trimesh.creation.capsule(height=ROD, radius=RADIUS)
    faces = np.asarray(rod.faces, np.int32)
    colours = np.tile(np.array(BRASS, np.float32), (len(faces), 1))
    uv = np.full((len(faces), 3, 2), np.nan, np.float32)
    return Mesh("fingertip", np.asarray(rod.vertices) - [0.0, 0.0, ROD / 2], faces, uv, colours)


@lru_cache(maxsize=1)
def _postures() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Joint angles (n, 7) and the places (n, 3) from the base and axes (n, 9) of the hand, always the same."""
    random = np.random.default_rng(0)
    with Simulation() as simulation:
        robot = Robot(simulation, PANDA, (0.0, 0.0, 0.0))
        joints = random.uniform(robot.lower, robot.upper, (POSTURES, 7))
        places, axes = np.empty((POSTURES, 3)), np.empty((POSTURES, 9))
        free = np.zeros(POSTURES, bool)
        for k in range(POSTURES):
            robot.set_joints(joints[k])
            places[k], rotation = robot.hand()
            axes[k] = rotation.T.reshape(9)
            free[k] = not robot.touches(None, 0.0)
    return joints[free], places[free], axes[free]
