"""Random saccades: go around the object by a random step and look at a random point near what was sensed before.

While nothing was sensed this is a search: objects lie about the world's origin, so that is where it looks.
"""

import math

import numpy as np
import torch

from cortical.columns.messages import Goal
from cortical.envs.bodies import encode

from .orbit import pose_after
from .policy import Situation, feasible, stances

STEP = math.radians(28.0)
SPREAD, SEARCH = 0.025, 0.07  # metres about what was sensed, and about the middle while nothing was
TRIES = 32


class Saccade:
    """The baseline: it knows where the object is, but not what it is."""

    def goals(self, situation: Situation, random: np.random.Generator) -> list[Goal]:
        """One random movement within the limits."""
        centre = situation.centre()
        known, spread = (situation.locations, SPREAD) if len(situation.locations) else (centre[None], SEARCH)
        target = known[random.integers(len(known), size=TRIES)] + random.normal(0, spread, (TRIES, 3))
        bearing = random.normal(size=(TRIES, 3))
        if situation.touches:
            bearing = target - centre
            bearing /= np.linalg.norm(bearing, axis=1, keepdims=True)
        origin = stances(situation, target, bearing, random.uniform(0, STEP, TRIES))
        good = np.flatnonzero(feasible(situation, origin, target))[:1]
        origin, target = (origin[good[0]], target[good[0]]) if len(good) else _towards(situation, origin[0], target[0])
        origin, target = torch.from_numpy(origin[None]), torch.from_numpy(target[None])
        return [Goal(origin, target, torch.zeros(1), "a random glance")]


def _towards(situation: Situation, origin: np.ndarray, target: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """As far towards looking from `origin` at `target`, (3,) each, as one movement goes."""
    body, limits = situation.body, situation.limits
    place, _ = pose_after(situation, encode(body, origin, target - origin, limits)[0])
    _, gaze = pose_after(situation, encode(body, place, target - place, limits)[0])
    return place, place + gaze
