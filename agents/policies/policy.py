"""What a policy sees and what it returns; geometry that policies share."""

import math
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np

from cortical.columns.belief import Belief
from cortical.columns.column import Column
from cortical.columns.messages import Goal, Sensation
from cortical.columns.region import Region
from cortical.envs.bodies import Body, Eye, Limits
from cortical.envs.finger import Finger

BEHIND = 0.03  # metres: a surface's object has its middle about this far behind it
STANDOFF = 0.012  # metres above a surface from which a finger goes down on it
DISTANCE = 0.20  # metres the eye keeps from the middle of the object


@dataclass(frozen=True, slots=True)
class Situation:
    """All that a policy may know: the body's own sense of itself, the columns' belief, what was sensed.

    body, limits : where the eye, or the finger, is and how far it may move and turn
    kinds : the columns that it feeds
    region, belief : all columns and what they hold possible
    locations : (n, 3) metres, points sensed on the object so far by any body, world frame
    gazes : (n, 3) directions in which they were sensed
    newest : the last sensation (1, m), if there is one
    """

    body: Eye | Finger
    limits: Limits
    kinds: tuple[Column, ...]
    region: Region
    belief: Belief
    locations: np.ndarray
    gazes: np.ndarray
    newest: Sensation | None = None

    def centre(self) -> np.ndarray:
        """Where the middle of the object seems to be, (3,) metres: behind what was sensed, drawn to the origin."""
        if len(self.locations) == 0:
            return np.zeros(3)
        return (self.locations + BEHIND * self.gazes).sum(0) / (len(self.locations) + 1)

    @property
    def touches(self) -> bool:
        """Whether the body senses by touch: it must come close."""
        return isinstance(self.body, Finger)


@runtime_checkable
class Policy(Protocol):
    """A motor policy."""

    def goals(self, situation: Situation, random: np.random.Generator) -> list[Goal]:
        """What each kind of column would like: places to look from and points to look at, with what each promises to
        teach it (nats; equal if unknown)."""
        ...


def around(position: np.ndarray, towards: np.ndarray, centre: np.ndarray, largest: np.ndarray) -> np.ndarray:
    """Places on the sphere of radius DISTANCE about `centre`, at most `largest` (n,) radians away from `position`
    (3,), in the direction of the bearings `towards` (n, 3): (n, 3) metres."""
    here = position - centre
    here = here / np.linalg.norm(here)
    there = towards / np.linalg.norm(towards, axis=1, keepdims=True)
    aside = there - (there @ here)[:, None] * here
    length = np.linalg.norm(aside, axis=1, keepdims=True)
    aside = aside / np.maximum(length, 1e-9)
    angle = np.minimum(np.arccos(np.clip(there @ here, -1, 1)), largest)[:, None]
    return centre + DISTANCE * (np.cos(angle) * here + np.sin(angle) * aside)


def stances(situation: Situation, target: np.ndarray, normal: np.ndarray, largest: np.ndarray) -> np.ndarray:
    """Places (n, 3) from which the body can sense the points `target` (n, 3) of a surface with these normals: those of
    a finger lie right above; an eye keeps its distance and goes `largest` (n,) radians round the object at most."""
    if situation.touches:
        return target + STANDOFF * normal
    return around(situation.body.position, normal, situation.centre(), largest)


def feasible(situation: Situation, origin: np.ndarray, target: np.ndarray) -> np.ndarray:
    """(n,) bool: the body can be at `origin` (n, 3) and turn to `target` (n, 3) in one movement, were nothing in its
    way."""
    return within(situation.body, situation.limits, origin, target)


def within(body: Body, limits: Limits, origin: np.ndarray, target: np.ndarray) -> np.ndarray:
    """(n,) bool: places (n, 3) and points to look at (n, 3) that lie within a body's limits."""
    gaze = target - origin
    gaze = gaze / np.linalg.norm(gaze, axis=1, keepdims=True)
    turn_ok = gaze @ body.rotation[:, 2] >= math.cos(limits.max_turn)
    return turn_ok & (np.linalg.norm(origin - body.position, axis=1) <= limits.max_path)
