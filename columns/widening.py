"""When a region looks for poses that aren't on its ballot yet: at first, and when none explains what it senses."""

import math
from dataclasses import replace
from typing import TYPE_CHECKING

import torch

from . import exchange
from .belief import Belief
from .evidence import refine
from .evidence.hypotheses import Hypotheses, join

if TYPE_CHECKING:
    from .region import Region

SEEDING = 3  # sensations that always suggest new poses; later ones do when the best pose explains them badly
FITTING = 6.5  # nats a sensation: what a right pose explains on average, or more
UNEXPECTED = -1.0  # nats of a sensation at the best pose so far below which new poses are looked for
RIVAL = 2.0  # nats that a pose may be behind the best and still be the one that is looked for


def wanted(belief: Belief, before: Hypotheses, after: Hypotheses) -> bool:
    """Whether to look for more poses, by the ballot before and after it was weighed by the newest sensation."""
    if belief.steps <= SEEDING or belief.fit is None:
        return True
    return bool((belief.fit < FITTING).any()) or _surprised(before, after)


def _surprised(before: Hypotheses, after: Hypotheses) -> bool:
    """Whether the newest sensation speaks against the best pose so far, and against all that are now about as good,
    in any group."""
    if len(before) == 0:
        return False
    best = before.log_evidence.argmax(1, keepdim=True)
    gained = after.log_evidence - before.log_evidence
    explained = (gained > UNEXPECTED) & (after.log_evidence > after.log_evidence.amax(1, keepdim=True) - RIVAL)
    return bool(((gained.gather(1, best)[:, 0] < UNEXPECTED) & ~explained.any(1)).any())


def widened(region: "Region", belief: Belief, ballot: Hypotheses) -> tuple[Belief, Hypotheses]:
    """With poses that the sensations suggest, weighed by everything remembered, on the ballot too."""
    limit = region.first_cap if belief.steps == 1 else region.first_cap // 4
    favour = None if belief.consensus is None else belief.consensus.log_posterior[:, :-1]
    for kind, memory in zip(region.kinds, belief.memories, strict=True):
        seeds = kind.nominate(memory, limit, favour)
        if len(seeds) == 0:
            continue
        said = region.vote(belief, seeds, curved=False).log_evidence
        belief, said = exchange.seeds(region, belief, seeds, said)
        total = said.sum(1) + refine.log_prior_mass(seeds)
        alive = seeds.log_evidence > -math.inf
        ballot = join(ballot, replace(seeds, log_evidence=torch.where(alive, total, -math.inf)))
        if not region.all_nominate:
            break
    return belief, replace(ballot, pivot=region.pivot(belief))
