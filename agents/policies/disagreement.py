"""Look where the two best answers disagree most about the shape.

    rivals  the best pose of the best object and that of the second best; now and then, or when one object alone is
            left, the two best poses of the best object
    apart   of a point of one's surface, as it would lie in the world, the distance to the other's, both ways
    choose  of the points that one movement can look at, and that face the body there, the one farthest apart

Geometry only: neither features nor noise count.
"""

import numpy as np
import torch

from cortical.columns.messages import Goal

from .approach import approach, faces
from .policy import Situation
from .saccade import Saccade

SURFACE = 1024  # points that stand for an object's surface
ASKED = 192  # of them, how many are weighed as aims


class Disagreement:
    """Goes where the surfaces of the two strongest hypotheses are farthest apart.

    within : how often the rivals are two poses of one object though there is another object
    """

    def __init__(self, within: float = 0.2) -> None:
        self.within = within
        self._glance = Saccade()

    def goals(self, situation: Situation, random: np.random.Generator) -> list[Goal]:
        """One movement; a random saccade while there are no two answers, or nothing to see of what differs."""
        rivals = self._rivals(situation, random)
        if rivals is None:
            return self._glance.goals(situation, random)
        target, normal, apart = farthest_apart(situation, rivals, random)
        origin, good = approach(situation, target, normal)
        if not situation.touches:
            good &= faces(origin, target, normal)
        if not good.any():
            return self._glance.goals(situation, random)
        best = int(np.where(good, apart, -1.0).argmax())
        origin, target = (torch.from_numpy(x[best : best + 1]) for x in (origin, target))
        return [Goal(origin, target, torch.zeros(1), "where the two best answers differ most")]

    def _rivals(self, situation: Situation, random: np.random.Generator) -> tuple[int, int] | None:
        """Two places on the ballot; None if there aren't two."""
        ballot = situation.belief.ballot
        evidence = ballot.log_evidence[0].double().cpu().numpy()
        order = np.argsort(-evidence, kind="stable")[: int(np.isfinite(evidence).sum())]
        if len(order) < 2:
            return None
        obj = ballot.obj[0].cpu().numpy()[order]
        others, own = order[obj != obj[0]], order[obj == obj[0]]
        within = len(own) > 1 and (len(others) == 0 or random.random() < self.within)
        return int(order[0]), int(own[1] if within else others[0])


def farthest_apart(
    situation: Situation, rivals: tuple[int, int], random: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Points (n, 3) of both rivals' surfaces, in metres, their normals (n, 3), and how far off the other's surface
    each is, (n,) metres. `rivals` are places on the ballot."""
    chance = (np.arange(SURFACE) + random.random(SURFACE)) / SURFACE
    ballot, column = situation.belief.ballot, situation.kinds[0]
    surfaces = [column.recall(ballot, np.full(SURFACE, rival), chance) for rival in rivals]
    asked = random.permutation(SURFACE)[:ASKED]
    apart = [
        torch.cdist(torch.from_numpy(mine[0][asked]).float(), torch.from_numpy(other[0]).float()).amin(1).double()
        for mine, other in (surfaces, surfaces[::-1])
    ]
    point, normal = (np.concatenate([surface[i][asked] for surface in surfaces]) for i in (0, 1))
    return point, normal, torch.cat(apart).numpy()
