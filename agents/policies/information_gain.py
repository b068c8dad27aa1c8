"""Look where the columns expect to learn most about which object this is and how it lies."""

from dataclasses import replace

import numpy as np
import torch

from cortical.columns.evidence.hypotheses import Hypotheses, prune
from cortical.columns.messages import Goal

from .policy import Situation, around, feasible
from .saccade import Saccade

STEPS = np.radians([0.0, 14.0, 27.0])
TEMPER = 0.5  # beliefs are flattened before they are weighed, so that the runners-up count


class InformationGain:
    """Candidate movements aim at points of the surviving hypotheses' own maps, from where those would be visible."""

    def __init__(self, candidates: int = 64, hypotheses: int = 32) -> None:
        self.candidates, self.hypotheses = candidates, hypotheses
        self._glance = Saccade()

    def goals(self, situation: Situation, random: np.random.Generator) -> Goal:
        """Feasible candidates with their expected information; a random saccade while nothing is believed."""
        ballot = situation.belief.ballot
        if len(ballot) == 0 or not bool((ballot.log_evidence[0] > -torch.inf).any()):
            return self._glance.goals(situation, random)
        few = prune(ballot, self.hypotheses, objects=len(situation.region.objects))
        few = _tempered(few)
        origin, target = self._candidates(situation, few, random)
        if len(origin) == 0:
            return self._glance.goals(situation, random)
        start, aim = torch.from_numpy(origin).float(), torch.from_numpy(target).float()
        gaze = torch.nn.functional.normalize(aim - start, dim=1)
        gain = torch.stack([kind.expected_information(few, start, gaze) for kind in situation.region.kinds]).mean(0)
        return Goal(start, aim, gain, "to tell apart what is left")

    def _candidates(
        self, situation: Situation, few: Hypotheses, random: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray]:
        atlas = situation.region.kinds[0].atlas  # type: ignore[attr-defined]
        weights = few.log_evidence[0].softmax(0).double().numpy()
        which = random.choice(len(few), size=4 * self.candidates, p=weights / weights.sum())
        first, count = atlas.first_node, atlas.node_count
        obj = few.obj[0].numpy()[which]
        node = first[obj] + (random.random(len(which)) * count[obj]).astype(np.int64)
        row = atlas.rows[node].double().numpy()
        rotation = few.rotation[0].double().numpy()[which]
        target = np.einsum("nij,nj->ni", rotation, row[:, :3]) + few.location[0].double().numpy()[which]
        normal = np.einsum("nij,nj->ni", rotation, row[:, 3:6])
        centre = situation.centre()
        step = STEPS[random.integers(len(STEPS), size=len(which))]
        origin = around(situation.eye.position, normal, centre, step)
        good = feasible(situation, origin, target) & (((origin - target) * normal).sum(1) > 0.02)
        chosen = np.flatnonzero(good)[: self.candidates]
        return origin[chosen], target[chosen]


def _tempered(few: Hypotheses) -> Hypotheses:
    return replace(few, log_evidence=TEMPER * (few.log_evidence - few.log_evidence.amax(1, keepdim=True)))
