"""Was that expected? When a region's predictions fail, the object has been moved, or is another one.

Every column predicts what it will sense under the best pose. The evidence e of a new reading at that pose is its
log-likelihood against "none of the objects I know"; a rule of sequential analysis adds up what speaks against the pose
(E. S. Page, Continuous inspection schemes, Biometrika 41, 1954, section 2.1):

    S <- max(0, S - min(e, AGREEING)),   an alarm where S > ALARM

One bad reading, by noise, raises S by less than that, and good ones soon bring it down again. After an alarm the region
forgets where the object was (its earlier sensations, the poses on the ballot) but not what it was: the belief about the
object stays as a prior, with odds of CARRIED nats at most, since another may have taken its place.
"""

import math
from dataclasses import replace
from typing import TYPE_CHECKING

import torch

from .belief import Belief
from .evidence.hypotheses import strongest
from .evidence.likelihood import MISSED_UNKNOWN

if TYPE_CHECKING:
    from .region import Region

ALARM = 6.0  # nats
AGREEING = 1.5  # nats at most by which a reading that fits lowers the sum
EMPTY = 0.2  # nats at most by which a miss that was expected does
EVEN = math.log(0.5 / MISSED_UNKNOWN)  # nats of a miss that the pose holds to be as likely as not
UNMET = -2.0  # nats of a less likely one: a true pose has one in twelve of them, an object that is gone most
CARRIED = 4.0  # nats
SETTLED = 6  # sensations after which there is a best pose to be surprised by


def watched(region: "Region", belief: Belief) -> Belief:
    """The belief, whose newest sensation is remembered but not yet weighed, with its doubt brought up to date; where
    that was too much, without its poses."""
    doubt = belief.doubt
    if doubt is None:
        doubt = torch.zeros(len(belief.ballot.pivot), device=belief.ballot.pivot.device)
    alive = bool((belief.ballot.log_evidence > -math.inf).any())
    if belief.consensus is None or not alive or belief.steps <= SETTLED:
        return replace(belief, doubt=doubt)
    doubt = (doubt - newest_evidence(region, belief).clamp(max=AGREEING)).clamp(min=0.0)
    moved = doubt > ALARM
    belief = replace(belief, doubt=torch.where(moved, 0.0, doubt))
    return anew(region, belief, moved) if bool(moved.any()) else belief


def newest_evidence(region: "Region", belief: Belief) -> torch.Tensor:
    """(g,) nats, of the newest reading at the best pose, the mean over the columns that met something or should have.

    A miss speaks of more than the object's identity, for which the likelihood weighs it: where surface was expected,
    against the pose; where nothing was, hardly for it, since had the object moved away, that would be so too.
    """
    best = belief.ballot.take(strongest(belief.ballot, 1))
    said = region.vote(belief, best, newest=True, curved=False).log_evidence[..., 0]
    pairs = zip(region.kinds, belief.memories, strict=True)
    met = torch.cat([kind.met(kind.newest(memory)) for kind, memory in pairs], 1) > 0
    sensed = said != 0  # a lost reading says nothing
    gone = ~met & sensed & (said < EVEN)
    said = torch.where(met, said, torch.where(gone, UNMET, said.clamp(max=EMPTY)))
    return said.sum(1) / (met & sensed | gone).sum(1).clamp(min=1)


def anew(region: "Region", belief: Belief, groups: torch.Tensor) -> Belief:
    """The belief as if its newest sensation were the first in those groups, (g,) bool, but for what it holds the
    object to be."""
    assert belief.consensus is not None
    pairs = zip(region.kinds, belief.memories, strict=True)
    believed = belief.consensus.log_posterior
    flat = torch.zeros_like(believed) if belief.prior is None else belief.prior
    carried = (believed - believed.amax(1, keepdim=True)).clamp(min=-CARRIED)
    gone = torch.where(groups[:, None], -math.inf, belief.ballot.log_evidence)
    return replace(
        belief,
        memories=tuple(kind.forget(memory, groups) for kind, memory in pairs),
        ballot=replace(belief.ballot, log_evidence=gone),
        # no pose fits: sensations suggest some again
        fit=None if belief.fit is None else torch.where(groups, -math.inf, belief.fit),
        prior=torch.where(groups[:, None], carried, flat),
        steps=1,
    )
