"""A policy: go on to the side from which the object was seen least.

policy.name = "far_side"
"""

import numpy as np
import torch

from cortical.agents.policies import Saccade, Situation
from cortical.agents.policies.policy import BEHIND, feasible, stances
from cortical.columns.messages import Goal
from cortical.configs.schema import PolicyConfig

STEP = np.radians(27.0)


class FarSide:
    """Of random sides it takes the one farthest from all that were seen, and goes as far there as it may."""

    def __init__(self, config: PolicyConfig) -> None:
        self.candidates = config.candidates

    def goals(self, situation: Situation, random: np.random.Generator) -> list[Goal]:
        """One movement; a random glance where none of those thought of is possible."""
        side = random.normal(size=(self.candidates, 3))
        side /= np.linalg.norm(side, axis=1, keepdims=True)
        target = situation.centre() + BEHIND * side
        origin = stances(situation, target, side, np.full(len(side), STEP))
        seen = (-side @ situation.gazes.T).max(axis=1, initial=-1.0)  # cosine to the nearest side seen
        seen[~feasible(situation, origin, target)] = np.inf
        best = seen.argmin()
        if np.isinf(seen[best]):
            return Saccade().goals(situation, random)
        origin, target = torch.from_numpy(origin[best, None]), torch.from_numpy(target[best, None])
        return [Goal(origin, target, torch.zeros(1), "to see it from another side")]
