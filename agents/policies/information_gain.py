"""Look where the columns expect to learn most about which object this is and how it lies."""

import math
from dataclasses import replace

import numpy as np
import torch

from cortical.columns.evidence.hypotheses import Hypotheses, join, prune
from cortical.columns.messages import Goal

from .policy import Situation, feasible, stances
from .saccade import Saccade

STEPS = np.radians([0.0, 14.0, 27.0])
FACING = 0.02  # metres in front of a surface point's tangent plane from where it can be seen
REASON = "to tell apart what is left"
ELSEWHERE = 0.05  # odds that the object was moved, for a region that watches out for it
FAR = 10.0  # metres
TEMPER = 0.5  # beliefs are flattened before they are weighed, so that the runners-up count


class InformationGain:
    """Candidate movements aim at points of the surviving hypotheses' own maps, from where those would be visible."""

    def __init__(self, candidates: int = 32, hypotheses: int = 16) -> None:
        self.candidates, self.hypotheses = candidates, hypotheses
        self._glance = Saccade()

    def goals(self, situation: Situation, random: np.random.Generator) -> list[Goal]:
        """Feasible candidates with the information that each kind of column expects of them; a random saccade
        while nothing is believed."""
        ballot = situation.belief.ballot
        if len(ballot) == 0 or not bool((ballot.log_evidence[0] > -torch.inf).any()):
            return self._glance.goals(situation, random)
        few = prune(ballot, self.hypotheses, objects=len(situation.region.objects))
        few = _tempered(few)
        origin, target = self._candidates(situation, few, random)
        if len(origin) == 0:
            return self._glance.goals(situation, random)
        if situation.region.watchful:
            few = _or_elsewhere(few)
        start, aim = (torch.from_numpy(x).float().to(few.obj.device) for x in (origin, target))
        gaze = torch.nn.functional.normalize(aim - start, dim=1)
        return [Goal(start, aim, kind.expected_information(few, start, gaze), REASON) for kind in situation.kinds]

    def _candidates(
        self, situation: Situation, few: Hypotheses, random: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray]:
        """Places (n, 3) to look from and points (n, 3) to look at: points that the hypotheses, drawn by their weights,
        hold to be on the surface, seen from their own side."""
        count = 4 * self.candidates
        weights = few.log_evidence[0].softmax(0).double().cpu().numpy()
        which = random.choice(len(few), size=count, p=weights / weights.sum())
        target, normal = situation.kinds[0].recall(few, which, random.random(count))
        step = STEPS[random.integers(len(STEPS), size=count)]
        origin = stances(situation, target, normal, step)
        good = feasible(situation, origin, target)
        if not situation.touches:
            good &= ((origin - target) * normal).sum(1) > FACING
        chosen = np.flatnonzero(good)[: self.candidates]
        return origin[chosen], target[chosen]


def _or_elsewhere(few: Hypotheses) -> Hypotheses:
    """With one more: the object isn't there any more. A gaze at known surface tests it, one past the edge doesn't."""
    best = few.log_evidence.argmax(1, keepdim=True)
    all_of_them = few.log_evidence.logsumexp(1, keepdim=True)
    away = replace(few.take(best), log_evidence=all_of_them + math.log(ELSEWHERE))
    return join(few, replace(away, location=away.location + FAR))


def _tempered(few: Hypotheses) -> Hypotheses:
    return replace(few, log_evidence=TEMPER * (few.log_evidence - few.log_evidence.amax(1, keepdim=True)))
