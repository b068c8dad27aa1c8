"""The finger: where it is, in which direction it presses, and what an action does to it.

An action is the five numbers of the eye (`bodies`): a displacement in the finger's own frame, then a turn. A
finger that touches first draws back a little, so that a bulge doesn't stand in its way; having moved, it presses
along its z until it touches again. It then faces what it touches, its z against the normal there, so that to go on
sideways is to follow the surface. Two things keep it there:

- what stops it on its way is what it touches: the foot of a wall, then the wall
- where it pressed past an edge, it feels back round it, as a finger that slips off a table's edge does
"""

import math
from dataclasses import dataclass

import numpy as np

from .bodies import Limits, decode, turned, within_reach
from .simulation import Simulation
from .touch import GAP, RADIUS, Contact, facing, press

LIFT = 0.004
"""Metres by which a finger draws back before it moves on."""
PRESS = 0.03
"""Metres that it presses ahead in search of a surface."""
ROUND = (math.radians(45.0), math.radians(80.0), math.radians(110.0))
"""Angles back from its z at which it feels round an edge."""
FINGER_LIMITS = Limits(max_path=0.03, max_turn=math.radians(30.0))
"""Steps of a finger that keeps to a surface; longer ones lose it."""


@dataclass(frozen=True, slots=True)
class Finger:
    """position : (3,) metres, world frame, the middle of the fingertip, a ball of `touch.RADIUS`
    rotation : (3, 3) world_from_finger, z the direction in which it presses
    touching : whether it rests against something
    """

    position: np.ndarray
    rotation: np.ndarray
    touching: bool = False


@dataclass(frozen=True, slots=True)
class Reach:
    """What an action came to: where the finger is now and what it touches there, None for nothing.

    path_length : metres that its middle went, drawing back and pressing included
    blocked : whether something, or the limit of reach, ended the displacement early
    """

    finger: Finger
    contact: Contact | None
    path_length: float
    blocked: bool


def move_finger(
    finger: Finger, action: np.ndarray, limits: Limits, simulation: Simulation, body_name: str = "object"
) -> Reach:
    """Draw back, displace, turn, press; only body `body_name` and the table are in the way.

    Raises ValueError for anything but 5 finite numbers.
    """
    displacement, (right, down) = decode(action, limits)
    way = finger.rotation @ displacement
    wanted = float(np.linalg.norm(way))
    start = finger.position
    if finger.touching and wanted > 0.0:
        start = _guarded(simulation, body_name, start, -LIFT * finger.rotation[:, 2], limits)
    end = _guarded(simulation, body_name, start, way, limits)
    rotation = turned(finger.rotation, right, down)
    blocked = wanted - math.dist(start, end) > 1e-9
    contact = _stopped_by(simulation, body_name, end, way) if blocked else None
    lifted = start - finger.position
    if contact is None:
        contact = _search(simulation, body_name, end, rotation, finger, way, float(np.linalg.norm(lifted)))
    if contact is None:
        rest = _guarded(simulation, body_name, end, -lifted, limits)
        reached = Finger(rest, rotation)
    else:
        rest = contact.centre
        reached = Finger(rest, facing(rotation, contact.normal), True)
    travelled = math.dist(finger.position, start) + math.dist(start, end) + math.dist(end, rest)
    return Reach(reached, contact, travelled, blocked)


def _guarded(simulation: Simulation, body_name: str, start: np.ndarray, way: np.ndarray, limits: Limits) -> np.ndarray:
    """Where a fingertip gets from `start` (3,) by the displacement `way` (3,) before it touches anything."""
    wanted = float(np.linalg.norm(way))
    if wanted <= 1e-9:
        return start
    went = min(wanted, within_reach(start, way / wanted, limits.reach, wanted))
    went = min(went, simulation.free_length(start, start + way, RADIUS, body_name))
    return start + way * (went / wanted)


def _stopped_by(simulation: Simulation, body_name: str, end: np.ndarray, way: np.ndarray) -> Contact | None:
    """What a guarded move stopped before; None where it was the limit of reach."""
    ahead = facing(np.eye(3), -way / np.linalg.norm(way))
    return press(simulation, body_name, end, ahead, 0.002)


def _search(
    simulation: Simulation,
    body_name: str,
    end: np.ndarray,
    rotation: np.ndarray,
    finger: Finger,
    way: np.ndarray,
    lift: float,
) -> Contact | None:
    contact = press(simulation, body_name, end, rotation, lift + PRESS)
    z = rotation[:, 2]
    back = (way @ z) * z - way
    side = float(np.linalg.norm(back))
    if contact is not None or not finger.touching or side < GAP:
        return contact
    for angle in ROUND:
        slanted = facing(rotation, -(math.cos(angle) * z + math.sin(angle) * back / side))
        contact = press(simulation, body_name, end, slanted, lift + PRESS + side)
        if contact is not None:
            return contact
    return None
