"""Random saccades: go around the object by a random step and look at a random point near what was sensed before."""

import math

import numpy as np
import torch

from cortical.columns.messages import Goal

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
        origin, target = (origin[good], target[good]) if len(good) else _turn_on_the_spot(situation, random)
        origin, target = torch.from_numpy(origin), torch.from_numpy(target)
        return [Goal(origin, target, torch.zeros(1), "a random glance")]


def _turn_on_the_spot(situation: Situation, random: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    body, limits = situation.body, situation.limits
    right, down = random.uniform(-0.5, 0.5, 2) * min(limits.max_turn, 1.0)
    return body.position[None], (body.position + body.rotation @ np.array([math.tan(right), math.tan(down), 1.0]))[None]
