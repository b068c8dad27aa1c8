"""The arm as a body: a Panda that carries the eye in its hand and, with one finger, the fingertip; see `arm`.

An action is that of an eye and a finger that float. The arm first takes the eye where the first five numbers ask, and
the eye looks; then it takes the fingertip where the other five ask, from where that was before the step, and presses
it along its z. So the eye that was looking from afar ends the step beside the fingertip, where its next step begins.
The hand may turn about the gaze, or the fingertip's z, as it must. What can't be reached isn't gone to: the body is
then blocked.
"""

import math
from typing import Any

import numpy as np

from .arm import REST, Arm
from .bodies import Body, Eye, Limits, decode, encode, turned, within_reach
from .finger import LIFT, PRESS, Finger
from .hand import FIRST_PRESS, Hand
from .picture import from_aside
from .retina import Retina
from .sensors import shared_catalogue
from .touch import press
from .world import World

ROLLS = np.array([0, 1, -1, 2, -2, 3, -3, 4]) * math.pi / 4
"""Radians about the gaze that are tried, in this order."""
TRIES = 60
"""Starts that are tried; about nineteen in twenty can be held."""
STANDOFF = 0.015
"""Metres before the surface from which the fingertip begins to press at the start of an episode."""
DEEP, CLOSE = LIFT + PRESS, 0.001
"""Metres that the fingertip presses ahead, and within which one that stays where it is still touches."""
PRESSES = 3
"""Turns of the hand in which a touch is tried."""
ASIDE, MIDDLE = np.array([0.85, -0.95, 0.45]), np.array([-0.15, 0.0, 0.2])
"""Whence a picture is taken and the point in its middle, metres, from the origin of the world."""


class Limb:
    """An arm with an eye and, if `hand` is one, a fingertip; the same parts as `floating.Floating`.

    hand : of one finger at most; without `sees` the eye only shows where to start
    """

    def __init__(self, sees: bool, hand: Hand | None, limits: Limits, distance: float, retina: Retina) -> None:
        if hand is not None and len(hand) > 1:
            raise ValueError(f"fingers={len(hand)}: an arm has one fingertip; give it one, or take body='free'")
        self._sees, self._hand, self._limits = sees, hand, limits
        self._distance, self._retina = distance, retina
        self._arm: Arm | None = None
        self.eye: Eye | None = None
        self.looked: Eye | None = None

    def start(self, world: World, given: dict[str, Any], random: np.random.Generator) -> None:
        """Hold the eye somewhere around the object, and then touch what it looks at.

        given : `placing.checked_options`; eye_position and gaze count here. ValueError where the arm can't hold it
        """
        self.eye = self.looked = None
        if self._arm is None:
            self._arm = Arm(world.simulation, world.body)
        start = self._hold(self._arm, world, given, random)
        if self._hand is not None:
            self._hand.hold(self._arm.tip, None)
            contact = press(world.simulation, world.body, start.position, start.rotation, FIRST_PRESS)
            if contact is not None:
                above = contact.centre - STANDOFF * start.rotation[:, 2]
                self._touch(self._arm, self._hand, world, above, start.rotation)
        if self._sees:
            self.eye, self.looked = self._arm.eye, start

    def move(self, wish: np.ndarray, world: World) -> tuple[float, bool]:
        """Move by five numbers a body, `wish` (5 B,); metres that the hand went, and whether it had to stop."""
        assert self._arm is not None
        length, blocked, arm = 0.0, False, self._arm
        if self.eye is not None:
            if wish[:5].any():
                goal, turn = _wanted(self.eye, wish[:5], self._limits)
                motion = arm.moves_to(goal, _rolled(turn))
                length, blocked = motion.path_length, motion.blocked
            self.looked = arm.eye
        if self._hand is not None:
            tip = self._hand.fingers[0]
            if not length and not wish[-5:].any():
                _still(arm, self._hand, world)
            else:
                goal, turn = _wanted(tip, wish[-5:], self._hand.limits)
                above = goal - (LIFT * turn[:, 2] if tip.touching else 0.0)
                further, stopped = self._touch(arm, self._hand, world, above, turn)
                length, blocked = length + further, blocked or stopped
        if self.eye is not None:
            self.eye = arm.eye
        return length, blocked

    def free_length(self, eye: Eye, end: np.ndarray, world: World) -> float:
        """Metres from the eye to `end` (3,) if the arm can hold it there, looking as it does now; otherwise 0."""
        assert self._arm is not None
        held = any(self._arm.reach(np.asarray(end), turn) is not None for turn in _rolled(eye.rotation))
        return math.dist(eye.position, end) if held else 0.0

    def touchable(self, position: np.ndarray, gaze: np.ndarray, world: World) -> bool:
        """Whether the arm can hold the fingertip where it would touch, pressed from `position` (3,) along `gaze`."""
        assert self._arm is not None and self._hand is not None
        tip, limits = self._hand.fingers[0], self._hand.limits
        goal, turn = _wanted(tip, encode(tip, position, gaze, limits)[0], limits)
        ahead = press(world.simulation, world.body, goal, turn, DEEP)
        end = goal if ahead is None else ahead.centre
        return any(self._arm.reach(end, rolled, "tip") is not None for rolled in _rolled(turn))

    def give_way(self) -> None:
        """The object was pushed: where it now lies in the arm, that goes back to where it rests."""
        if self._arm is not None and self._arm.blocked():
            self._arm.robot.set_joints(REST)
            self.eye = self._arm.eye if self._sees else None
            if self._hand is not None:
                self._hand.hold(self._arm.tip, None)

    def picture(self, world: World) -> np.ndarray:
        """(240, 320, 3) uint8: object and arm from aside."""
        assert self._arm is not None
        mesh = shared_catalogue(world.scene.source).mesh(world.name)
        parts = [(mesh, world.position, world.rotation), *self._arm.parts()]
        return from_aside(parts, ASIDE, MIDDLE - ASIDE, world.scene.table)

    def _hold(self, arm: Arm, world: World, given: dict[str, Any], random: np.random.Generator) -> Eye:
        """Put the arm where its eye has a start that `World.stand` draws."""
        for _ in range(TRIES):
            arm.robot.set_joints(REST)
            eye = world.stand(given, self._distance, self._retina, random)
            for turn in _rolled(eye.rotation):
                joints = arm.reach(eye.position, turn)
                if joints is not None:
                    arm.robot.set_joints(joints)
                    return arm.eye
            if {"eye_position", "gaze"} <= given.keys():
                break
        where = f" at eye_position={given['eye_position']}" if "eye_position" in given else ""
        raise ValueError(
            f"the arm can't hold its eye{where} before {world.name!r}: choose another eye_position or gaze, "
            "a smaller object, or body='free'"
        )

    def _touch(self, arm: Arm, hand: Hand, world: World, above: np.ndarray, turn: np.ndarray) -> tuple[float, bool]:
        """Take the fingertip to `above` (3,), its z as that of `turn` (3, 3), and press; metres, and whether it had to
        stop."""
        ahead, length, felt, blocked, tried = press(world.simulation, world.body, above, turn, DEEP), 0.0, None, True, 0
        if ahead is None:
            motion = arm.moves_to(above, _rolled(turn), "tip")
            length, blocked, tried = motion.path_length, motion.blocked, PRESSES
        for rolled in _rolled(turn):
            if tried < PRESSES and ahead is not None and arm.reach(ahead.centre, rolled, "tip") is not None:
                tried += 1
                motion = arm.moves_to(above, rolled, "tip")
                pressed, felt = (motion, None) if motion.blocked else arm.touch(DEEP)
                length += motion.path_length + pressed.path_length
                if felt is not None:
                    break
        hand.hold(Finger(arm.tip.position, arm.tip.rotation, felt is not None), felt)
        return length, blocked and felt is None


def _still(arm: Arm, hand: Hand, world: World) -> None:
    """The fingertip stays, and feels what is there now: since the last step the object may have been pushed."""
    tip = arm.tip
    felt = press(world.simulation, world.body, tip.position, tip.rotation, CLOSE)
    hand.hold(Finger(tip.position, tip.rotation, felt is not None), felt)


def _wanted(body: Body, wish: np.ndarray, limits: Limits) -> tuple[np.ndarray, np.ndarray]:
    """Where five numbers ask a body to be: position (3,), within reach of the origin, and rotation (3, 3)."""
    displacement, (right, down) = decode(wish, limits)
    way = body.rotation @ displacement
    wanted = float(np.linalg.norm(way))
    if wanted > 0.0:
        way = way * min(1.0, within_reach(body.position, way / wanted, limits.reach, wanted) / wanted)
    return body.position + way, turned(body.rotation, right, down)


def _rolled(turn: np.ndarray) -> np.ndarray:
    """`turn` (3, 3) by each of `ROLLS` about its z, (8, 3, 3)."""
    c, s, o = np.cos(ROLLS), np.sin(ROLLS), np.zeros(len(ROLLS))
    return turn @ np.stack([c, -s, o, s, c, o, o, o, o + 1.0], axis=1).reshape(-1, 3, 3)
