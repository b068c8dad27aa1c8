"""Was that expected? When a region's predictions fail, the object has been moved, or is another one.

Every column predicts what it will sense under the best pose. A reading that fits that pose worse than "none of the
objects I know" would, is a surprise: one happens by noise, PATIENCE in a row hardly ever do while the object rests.
Then the region forgets where the object was (its earlier sensations, the poses on the ballot) but not what it was: the
belief about the object stays as a prior, with odds of CARRIED nats at most, since another may have taken its place.
"""

import math
from dataclasses import replace
from typing import TYPE_CHECKING

import torch

from .evidence.hypotheses import strongest

if TYPE_CHECKING:
    from .region import Belief, Region

PATIENCE = 3  # surprises in a row
CARRIED = 4.0  # nats
SETTLED = 6  # sensations after which there is a best pose to be surprised by


def watched(region: "Region", belief: "Belief") -> "Belief":
    """The belief, whose newest sensation is remembered but not yet weighed, with its surprises counted; where there
    were too many in a row, without its poses."""
    groups = len(belief.ballot.pivot)
    count = belief.surprises
    if count is None:
        count = torch.zeros(groups, dtype=torch.int64, device=belief.ballot.pivot.device)
    if belief.consensus is None or len(belief.ballot) == 0 or belief.steps <= SETTLED:
        return replace(belief, surprises=count)
    count = torch.where(surprising(region, belief), count + 1, 0)
    moved = count >= PATIENCE
    belief = replace(belief, surprises=torch.where(moved, 0, count))
    return anew(region, belief, moved) if bool(moved.any()) else belief


def surprising(region: "Region", belief: "Belief") -> torch.Tensor:
    """(g,) whether most columns' newest readings speak against the best pose; those lost don't count."""
    best = belief.ballot.take(strongest(belief.ballot, 1))
    said = region.vote(belief, best, newest=True, curved=False).log_evidence[..., 0]
    return (said < 0).sum(1) > (said > 0).sum(1)


def anew(region: "Region", belief: "Belief", groups: torch.Tensor) -> "Belief":
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
        prior=torch.where(groups[:, None], carried, flat),
        steps=1,
    )
