"""Look where what was sensed was rarest: the salience of places, with inhibition of return.

    s_i      how improbable the features of sensed point i are among all known nodes, -ln p in nats, plus its
             contrast: by how many nats they differ from those of the points sensed near by
    S(x)     how much s is above its mean about x: kernel-weighted, and 0 where nothing was sensed
    choose   the candidate with the largest S(x) - b(x), b the adapting threshold of `adaptation`

Candidates are spots about what was sensed, seen straight on or from a new side.
"""

from dataclasses import dataclass

import numpy as np
import torch

from cortical.columns.evidence.column import EvidenceColumn
from cortical.columns.evidence.memory import BACKGROUND, CURVATURE, HIT, HUE, LIGHT, LOCATION, NORMAL
from cortical.columns.messages import Goal

from .adaptation import adaptation
from .approach import approach
from .policy import Situation
from .saccade import Saccade

STRAIGHT = 0.5  # how often a candidate is looked at along the normal met there, else from a new side
SPREAD = 0.025  # metres about a sensed point where candidates lie
NEAR = 0.02  # metres within which sensed points tell of a place
PRIOR = 0.5  # sensed points' worth of 'as everywhere' at every place
MOST = 6.0  # nats of contrast, at most
REACH = 0.025  # metres about a visited point that are inhibited


@dataclass(frozen=True)
class Sensed:
    """The points that a body's columns remember, in order: location, normal (n, 3), salience (n,) in nats."""

    location: np.ndarray
    normal: np.ndarray
    salience: np.ndarray


class Salience:
    """Goes where it is rarest and where it hasn't just been.

    candidates : spots weighed against each other
    rho, beta : how long a visit is remembered and how much it weighs, see `adaptation`; beta 0: not at all
    """

    def __init__(self, candidates: int = 32, rho: float = 0.9, beta: float = 8.0) -> None:
        self.candidates, self.rho, self.beta = candidates, rho, beta
        self._glance = Saccade()

    def goals(self, situation: Situation, random: np.random.Generator) -> list[Goal]:
        """One movement; a random saccade while nothing was sensed that is known to be rare or common."""
        sensed = remembered(situation)
        if len(sensed.location) == 0:
            return self._glance.goals(situation, random)
        origin, target = self._candidates(situation, sensed, random)
        if len(target) == 0:
            return self._glance.goals(situation, random)
        score = self.score(sensed, target)
        best = int(score.argmax())
        origin, target = (torch.from_numpy(x[best : best + 1]) for x in (origin, target))
        return [Goal(origin, target, torch.zeros(1), "to see what is rare")]

    def score(self, sensed: Sensed, places: np.ndarray) -> np.ndarray:
        """Salience of places (c, 3), less what they lose for having been visited: (c,) nats."""
        gap = np.linalg.norm(places[:, None] - sensed.location, axis=2)
        near = np.exp(-0.5 * (gap / NEAR) ** 2)
        salience = near @ (sensed.salience - sensed.salience.mean()) / (near.sum(1) + PRIOR)
        return salience - adaptation(sensed.location, places, REACH, self.rho, self.beta)

    def _candidates(
        self, situation: Situation, sensed: Sensed, random: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray]:
        """Places to look from and points to look at, (c, 3) each."""
        count = 4 * self.candidates
        at = random.integers(len(sensed.location), size=count)
        target = sensed.location[at] + random.normal(0, SPREAD, (count, 3))
        bearing = random.normal(size=(count, 3))
        straight = (random.random(count) < STRAIGHT) | situation.touches
        origin, good = approach(situation, target, np.where(straight[:, None], sensed.normal[at], bearing))
        chosen = np.flatnonzero(good)[: self.candidates]
        return origin[chosen], target[chosen]


def remembered(situation: Situation) -> Sensed:
    """What the evidence columns of a body remember of the surface, with its salience."""
    memories = dict(zip(map(id, situation.region.kinds), situation.belief.memories, strict=True))
    parts = [
        (kind, memories[id(kind)]) for kind in situation.kinds
        if isinstance(kind, EvidenceColumn) and len(memories[id(kind)])
    ]  # fmt: skip
    met = [(kind, m.numbers[0].transpose(0, 1)[(m.kind[0] == HIT).T].double().cpu().numpy()) for kind, m in parts]
    if not met:
        return Sensed(np.zeros((0, 3)), np.zeros((0, 3)), np.zeros(0))
    numbers = np.concatenate([found for _, found in met])
    return Sensed(numbers[:, LOCATION], numbers[:, NORMAL], np.concatenate([_salience(*one) for one in met]))


def _salience(kind: EvidenceColumn, numbers: np.ndarray) -> np.ndarray:
    """(n,) nats: -ln of the density of the features among all nodes, and the contrast to the points near by."""
    schema = kind.schema
    senses = [schema.surface, schema.colour]
    rarity = -(numbers[:, BACKGROUND] * senses).sum(1)
    sd = [schema.curvature_sd] * 2 + [schema.saturation_sd] * 2 + [schema.hue_sd] * 2
    weight = np.array([schema.surface] * 2 + [schema.colour] * 4) / np.array(sd)
    features = np.concatenate([numbers[:, part] for part in (CURVATURE, LIGHT, HUE)], 1) * weight
    apart = 0.25 * ((features[:, None] - features[None]) ** 2).sum(2)
    gap = np.linalg.norm(numbers[:, None, LOCATION] - numbers[None, :, LOCATION], axis=2)
    near = np.exp(-0.5 * (gap / NEAR) ** 2)
    np.fill_diagonal(near, 0.0)
    return rarity + (near * np.minimum(apart, MOST)).sum(1) / (near.sum(1) + PRIOR)
