"""Look where the columns expect to learn most about which object this is and how it lies.

Candidate movements aim at points of the surviving hypotheses' own maps, from where those would be visible. Every column
that the body carries foresees what it would sense there under every hypothesis, and the evidence it would find; that
of all of them is added up, as votes are, and weighed by `foresight.worth`.
"""

import math
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import normalize

from cortical.columns.evidence.hypotheses import Hypotheses, join, prune
from cortical.columns.foresight import FLATTENED, Foresight, worth
from cortical.columns.messages import Goal
from cortical.configs.schema import Aim, Score

from .adaptation import adaptation
from .policy import Situation, feasible, stances
from .saccade import Saccade

STEPS = np.radians([0.0, 14.0, 27.0])
FACING = 0.02  # metres in front of a surface point's tangent plane from where it can be seen
REASON = "to tell apart what is left"
ELSEWHERE = 0.05  # odds that the object was moved, for a region that watches out for it
FAR = 10.0  # metres
TIRED = 0.015  # metres around what was sensed that count as the same place
PATCHES = 5  # of an eye that has more, so many foresee for all
FIRST = 6  # movements after which a second one is weighed


@dataclass(frozen=True)
class InformationGain:
    """The movement that is worth most, by what all columns of the body expect of it.

    candidates, hypotheses : movements and hypotheses that are compared
    score, aim, preference : see `foresight.worth`
    weary : nats by which a place that was sensed before is worth less, see `adaptation`
    ahead : 1, or 2 to weigh a movement by the best that can follow it
    """

    candidates: int = 32
    hypotheses: int = 16
    score: Score = "odds"
    aim: Aim = "both"
    preference: float = 0.0
    weary: float = 8.0
    ahead: int = 1

    def goals(self, situation: Situation, random: np.random.Generator) -> list[Goal]:
        """Feasible candidates with what they are worth; a random saccade while nothing is believed."""
        ballot = situation.belief.ballot
        if len(ballot) == 0 or not bool((ballot.log_evidence[0] > -torch.inf).any()):
            return Saccade().goals(situation, random)
        few = prune(ballot, self.hypotheses, objects=len(situation.region.objects))
        origin, target = candidates(situation, few, self.candidates, random)
        if len(origin) == 0:
            return Saccade().goals(situation, random)
        if situation.region.watchful:
            few = _or_elsewhere(few)
        start, aim = (torch.from_numpy(x).float().to(few.obj.device) for x in (origin, target))
        seen = foresight(situation, few, start, normalize(aim - start, dim=1))
        gain = self._worth(situation, few, seen)
        if self.ahead == 2:
            gain = self._with_a_second(situation, few, seen, gain, (origin, target))
        if self.weary:
            been = adaptation(situation.locations, target, TIRED, beta=self.weary)
            gain = gain - torch.from_numpy(been).to(gain)
        return [Goal(start, aim, gain, REASON)]

    def _worth(self, situation: Situation, few: Hypotheses, seen: Foresight) -> Tensor:
        known = few.log_evidence[0], few.obj[0], situation.region.share(situation.belief.steps)
        return worth(seen, *known, self.score, self.aim, self.preference)

    def _with_a_second(
        self, situation: Situation, few: Hypotheses, seen: Foresight, gain: Tensor, ways: tuple[np.ndarray, np.ndarray]
    ) -> Tensor:
        """The best FIRST candidates with half of what they and the best candidate after them are worth together, if
        that is more than by themselves."""
        gain, (origin, target) = gain.clone(), ways
        for first in gain.topk(min(FIRST, len(gain))).indices.tolist():
            gaze = target[first] - origin[first]
            there = _at(situation, origin[first], gaze / np.linalg.norm(gaze))
            after = np.flatnonzero(feasible(there, origin, target))
            if len(after):
                both = self._worth(situation, few, seen[first : first + 1] + seen[after])
                gain[first] = torch.maximum(gain[first], both.amax() / 2)
        return gain


def candidates(
    situation: Situation, few: Hypotheses, count: int, random: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """At most `count` places (n, 3) to look from and points (n, 3) to look at, one movement away: points that the
    hypotheses, drawn by their flattened weights, hold to be on the surface, seen from their own side."""
    tries = 4 * count
    weights = (FLATTENED * few.log_evidence[0]).softmax(0).double().cpu().numpy()
    which = random.choice(len(few), size=tries, p=weights / weights.sum())
    target, normal = situation.kinds[0].recall(few, which, random.random(tries))
    step = STEPS[random.integers(len(STEPS), size=tries)]
    origin = stances(situation, target, normal, step)
    good = feasible(situation, origin, target)
    if not situation.touches:
        good &= ((origin - target) * normal).sum(1) > FACING
    chosen = np.flatnonzero(good)[:count]
    return origin[chosen], target[chosen]


def foresight(situation: Situation, few: Hypotheses, origin: Tensor, gaze: Tensor) -> Foresight:
    """What all columns of the body together foresee when it is at origin (c, 3) and looks along gaze (c, 3)."""
    total = None
    for kind, offsets in zip(situation.kinds, _patches(situation), strict=True):
        used = offsets[np.linspace(0, len(offsets) - 1, min(PATCHES, len(offsets))).astype(int)]
        for patch in used:
            seen = kind.foresee(few, origin, _turned(situation, patch, gaze))
            seen = replace(seen, evidence=seen.evidence * (len(offsets) / len(used)))
            total = seen if total is None else total + seen
    assert total is not None
    return total


def _patches(situation: Situation) -> list[np.ndarray]:
    """(m, 3) of each kind: where its columns looked last, world frame; along the gaze if nothing was sensed yet."""
    body, newest = situation.body, situation.newest
    ahead = body.rotation[:, 2]
    if newest is None or situation.touches:
        return [np.tile(ahead, (kind.columns, 1)) for kind in situation.kinds]
    looked = newest.gaze[0].double().cpu().numpy()
    ends = np.cumsum([kind.columns for kind in situation.kinds])
    return [looked[end - kind.columns : end] for end, kind in zip(ends, situation.kinds, strict=True)]


def _turned(situation: Situation, patch: np.ndarray, gaze: Tensor) -> Tensor:
    """Where a patch that looks along `patch` (3,) will look when the body's gaze has turned to `gaze` (c, 3), by the
    shortest way."""
    ahead = torch.from_numpy(situation.body.rotation[:, 2]).to(gaze)
    now = torch.from_numpy(patch).to(gaze)
    axis = torch.linalg.cross(ahead.expand_as(gaze), gaze)
    cos = (gaze @ ahead)[:, None]
    along = (axis @ now)[:, None] / (1 + cos).clamp(min=1e-3)
    return normalize(cos * now + torch.linalg.cross(axis, now.expand_as(gaze)) + along * axis, dim=1)


def _at(situation: Situation, position: np.ndarray, gaze: np.ndarray) -> Situation:
    """The same with the body elsewhere; its roll doesn't matter for what it can reach."""
    rotation = np.stack([situation.body.rotation[:, 0], situation.body.rotation[:, 1], gaze], axis=1)
    return replace(situation, body=replace(situation.body, position=position, rotation=rotation))


def _or_elsewhere(few: Hypotheses) -> Hypotheses:
    """With one more: the object isn't there any more. A gaze at known surface tests it, one past the edge doesn't."""
    best = few.log_evidence.argmax(1, keepdim=True)
    all_of_them = few.log_evidence.logsumexp(1, keepdim=True)
    away = replace(few.take(best), log_evidence=all_of_them + math.log(ELSEWHERE))
    return join(few, replace(away, location=away.location + FAR))
