"""Random saccades: go around the object by a random step and look at a random point near what was sensed before."""

import math

import numpy as np
import torch

from cortical.columns.messages import Goal

from .policy import Situation, around, feasible

STEP = math.radians(28.0)
SPREAD = 0.025  # metres
TRIES = 32


class Saccade:
    """The baseline: it knows where the object is, but not what it is."""

    def goals(self, situation: Situation, random: np.random.Generator) -> list[Goal]:
        """One random movement within the limits."""
        centre = situation.centre()
        known = situation.locations if len(situation.locations) else centre[None]
        target = known[random.integers(len(known), size=TRIES)] + random.normal(0, SPREAD, (TRIES, 3))
        bearing = random.normal(size=(TRIES, 3))
        origin = around(situation.eye.position, bearing, centre, random.uniform(0, STEP, TRIES))
        good = feasible(situation, origin, target)
        pick = int(np.argmax(good))
        chosen = slice(pick, pick + 1)
        origin, target = torch.from_numpy(origin[chosen]), torch.from_numpy(target[chosen])
        return [Goal(origin, target, torch.zeros(1), "a random glance")]
