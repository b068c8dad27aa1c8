"""Follow the surface: the gaze slides over it step by step, along its principal directions.

    wish    half the way so far, half the principal direction of smallest |curvature|; after RUN metres that of the
            largest, and so on in turns; where the surface curves alike all round, the way so far or any way
    step    of all headings the nearest to the wish that doesn't lead to what was sensed before, along the arc that
            the curvature in that direction foretells; the body faces the surface there

After a miss the gaze comes back to the surface last met and turns, or feels round the edge it seems to have passed.
"""

import math

import numpy as np
import torch

from cortical.columns.messages import Goal

from .approach import approach
from .contact import Contact, contact, flat
from .policy import Situation
from .saccade import Saccade

RUN = 0.128  # metres along one principal direction before it is the other's turn
HEADINGS = 16
SHORTER = (1.0, 0.5, 0.25)  # of a step, where the body can't go so far
WANDER = 0.1  # radians by which a heading strays
CROWDED = 4.0  # radians that a heading is off, for what leads to a point that was sensed
BENT = 1.0  # radians that a surface is trusted to turn within a step
BACK, TURN = 0.5, 1.0  # on coming back: steps from the point last met, and radians to either side
ROUND, ASIDE = 0.5, 0.5  # how often it feels round an edge, and radians to either side of where it passed it


class SurfaceFollow:
    """Slides over the surface by steps of so many metres."""

    def __init__(self, step: float = 0.02) -> None:
        self.step = step
        self._glance = Saccade()

    def goals(self, situation: Situation, random: np.random.Generator) -> list[Goal]:
        """One movement; a random saccade while nothing was met."""
        at = contact(situation)
        if at is None:
            return self._glance.goals(situation, random)
        go = self._back(at, random) if at.missed else self._ahead(at, situation.belief.steps, random)
        target, normal, cost = go
        origin, good = approach(situation, target, normal)
        if not good.any():
            return self._glance.goals(situation, random)
        best = int(np.where(good, cost, np.inf).argmin())
        origin, target = (torch.from_numpy(x[best : best + 1]) for x in (origin, target))
        return [Goal(origin, target, torch.zeros(1), "to follow the surface")]

    def _ahead(self, at: Contact, steps: int, random: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """A step in each direction: points (n, 3), normals there (n, 3), and how unwelcome each is, (n,)."""
        wish = self._wish(at, steps, random)
        angle = np.arange(HEADINGS) * 2 * math.pi / HEADINGS
        heading = np.stack([_turned(wish, at.normal, a) for a in angle])
        arcs = [_along(at, heading, share * self.step) for share in SHORTER]
        target, normal = (np.concatenate(parts) for parts in zip(*arcs, strict=True))
        gap = np.full(len(target), self.step)
        if len(at.before):
            gap = np.linalg.norm(target[:, None] - at.before, axis=2).min(1)
        crowd = CROWDED * np.maximum(0.0, 1.0 - gap / self.step)
        off = np.tile(np.minimum(angle, 2 * math.pi - angle), len(SHORTER))
        return target, normal, off + crowd + 100.0 * np.repeat(np.arange(len(SHORTER)), HEADINGS)

    def _wish(self, at: Contact, steps: int, random: np.random.Generator) -> np.ndarray:
        """The direction (3,) to go in, square to the normal."""
        way = flat(at.point - at.before[-1], at.normal) if len(at.before) else np.zeros(3)
        if at.direction.any():
            first_is_least = abs(at.curvature[0]) < abs(at.curvature[1])
            least_is_next = int(steps * self.step / RUN) % 2 == 0
            axis = at.direction if first_is_least == least_is_next else np.cross(at.normal, at.direction)
            way = flat(way + (axis if axis @ way >= 0 else -axis), at.normal)
        if not way.any():
            way = flat(random.normal(size=3), at.normal)
        return _turned(way, at.normal, random.normal(0, WANDER))

    def _back(self, at: Contact, random: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """To the point last met, but not quite; else to the point itself."""
        astray = at.astray if at.astray.any() else flat(random.normal(size=3), at.normal)
        if random.random() < ROUND:
            side = _turned(astray, at.normal, random.normal(0, ASIDE))
            out, down = random.uniform(0, self.step, 2)
            there, normal = at.point + out * side - down * at.normal, side
        else:
            heading = _turned(-astray, at.normal, random.normal(0, TURN))
            there, normal = at.point + random.uniform(0, BACK * self.step) * heading, at.normal
        return np.stack([there, at.point]), np.stack([normal, at.normal]), np.arange(2.0)


def _turned(heading: np.ndarray, normal: np.ndarray, angle: float) -> np.ndarray:
    """A direction (3,) square to the normal, turned about it."""
    return math.cos(angle) * heading + math.sin(angle) * np.cross(normal, heading)


def _along(at: Contact, heading: np.ndarray, length: float) -> tuple[np.ndarray, np.ndarray]:
    """Points (h, 3) that lie `length` metres from here along arcs of the surface's curvature, and the normals there."""
    share = (heading @ at.direction) ** 2
    bend = np.clip((at.curvature[0] * share + at.curvature[1] * (1 - share)) * length, -BENT, BENT)[:, None]
    ahead, down = length * np.sinc(bend / math.pi), length * bend / 2 * np.sinc(bend / (2 * math.pi)) ** 2
    return at.point + ahead * heading - down * at.normal, np.cos(bend) * at.normal + np.sin(bend) * heading
