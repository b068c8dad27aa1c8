"""Learned connectivity: which weights of a sparse layer exist is learnt along with the weights.

| rule | drops | grows | when |
|---|---|---|---|
| SET | the share z with the smallest abs(w) | as many at random | once an epoch |
| RigL | the weakest z (1 + cos(pi t / T)) / 2 of them | as many where abs(dL/dw) is largest | every 100 steps |
| DEEP R | those whose sign has changed | as many at random, each with a sign of its own | every step |
| pruning | the smallest abs(w), down to d + (1 - d)(1 - t / T)^3 | none | every 100 steps |

(D. C. Mocanu et al. 2018, Nature Communications 9:2383; U. Evci et al. 2020, "Rigging the lottery", arXiv:1911.11134;
G. Bellec et al. 2018, "Deep rewiring", arXiv:1711.05136; M. Zhu, S. Gupta 2017, "To prune, or not to prune",
arXiv:1710.01878.) New weights are 0, and so is what an optimiser remembers of them: momentum of a weight that was
dropped belongs to nobody. A weight doesn't come back in the step that drops it.

In a packed mask every input has one target in every bank; there a weight is replaced by another of the same input and
bank, so the layout and its speed stay, while the number of inputs of an output is no longer equal. Pruning takes
weights from banks too, and what is left is a mask of kind "random".
"""

import math
from typing import NamedTuple

import torch
from torch import Tensor

from .masks import Mask, bank_edges, mask_of


class Rewiring(NamedTuple):
    """A mask after a change.

    mask : the new one; source : (weights,) int64, where each of its weights was before, NEW where it wasn't
    dropped, grown : how many; turnover : dropped as a share of all that were there
    """

    mask: Mask
    source: Tensor
    dropped: int
    grown: int

    @property
    def turnover(self) -> float:
        before = int((self.source >= 0).sum()) + self.dropped
        return self.dropped / before if before else 0.0

    def carry(self, values: Tensor, new: float = 0.0) -> Tensor:
        """Numbers of the old weights, (..., weights), in the new order; `new` for those that weren't there."""
        return values[..., self.source.clamp_min(0)].masked_fill(self.source < 0, new)


NEW = -1
"""Source of a weight that wasn't there before."""


def places(mask: Mask) -> Tensor:
    """Where the weights are, input x outputs + output, ascending: (weights,) int64."""
    return mask.sources() * mask.outputs + mask.targets.long()


def rewire(mask: Mask, keep: Tensor, grown: Tensor) -> Rewiring:
    """The mask with the weights to keep : (weights,) bool, and new ones at the places grown : (g,) int64.

    Raises ValueError where a new weight is already there, or was given twice.
    """
    held = keep.nonzero().squeeze(1)
    where = torch.cat((places(mask)[held], grown))
    where, order = where.sort()
    if bool((where[1:] == where[:-1]).any()):
        raise ValueError(
            f"new weights must be at places without one, but of {len(grown)} places for a mask of {mask.inputs} x "
            f"{mask.outputs} some have one or are given twice; take them from `grow_random` or `grow_strongest`"
        )
    source = torch.cat((held, held.new_full((len(grown),), NEW)))[order]
    kind = mask.kind if mask.kind != "packed" or len(held) + len(grown) == len(keep) else "random"
    return Rewiring(mask_of(where, mask.inputs, mask.outputs, kind), source, len(keep) - len(held), len(grown))


def keep_strongest(weight: Tensor, number: int) -> Tensor:
    """Bool (weights,), True at the `number` largest abs(w); columns with one mask by their sum. weight : ([columns,]
    weights). Among equals the first stay. Raises ValueError unless 0 <= number <= weights."""
    strength = weight.detach().abs().reshape(-1, weight.shape[-1]).sum(0)
    if not 0 <= number <= len(strength):
        raise ValueError(f"can't keep {number} of {len(strength)} weights")
    keep = torch.zeros(len(strength), dtype=torch.bool, device=weight.device)
    keep[strength.argsort(descending=True, stable=True)[:number]] = True
    return keep


def grow_random(mask: Mask, keep: Tensor, generator: torch.Generator) -> Tensor:
    """As many random places without a weight as are dropped, fewer where there is no room: (g,) int64.

    keep : (weights,) bool. Of a packed mask each is in the bank of a dropped one, of its input.
    """
    if mask.kind == "packed":
        slots, first, size = _slots(mask, keep)
        gone = mask.targets.long()[slots]
        step = 1 + (torch.rand(len(slots), generator=generator).to(size.device) * (size - 1)).long()
        return mask.sources()[slots] * mask.outputs + first + (gone - first + step) % size
    held, total = places(mask), mask.inputs * mask.outputs
    number = min(int((~keep).sum()), total - len(held))
    drawn = held[:0]
    while len(drawn) < number:
        more = torch.randint(total, (2 * number + 16,), generator=generator).to(held.device)
        more = more[~torch.isin(more, held) & ~torch.isin(more, drawn)].unique()
        more = more[torch.randperm(len(more), generator=generator).to(more.device)]
        drawn = torch.cat((drawn, more))
    return drawn[:number]


def grow_strongest(mask: Mask, keep: Tensor, gradient: Tensor) -> Tensor:
    """The same number, where abs(gradient) is largest: gradient ([columns,] inputs, outputs), of the dense matrix.

    Raises ValueError for another shape.
    """
    if gradient.shape[-2:] != (mask.inputs, mask.outputs):
        raise ValueError(
            f"a gradient of shape {tuple(gradient.shape)} doesn't fit a mask of {mask.inputs} x {mask.outputs}; it is "
            "that of the dense matrix, see `watching`"
        )
    score = gradient.detach().abs().reshape(-1, *gradient.shape[-2:]).sum(0)
    score = score.flatten().index_fill(0, places(mask), -1.0)
    if mask.kind == "packed":
        slots, first, size = _slots(mask, keep)
        if not len(slots):
            return slots
        offset = torch.arange(int(size.max()), device=size.device)
        row = mask.sources()[slots] * mask.outputs + first
        of = (row.unsqueeze(1) + offset).clamp_max(len(score) - 1)
        return row + score[of].masked_fill(offset >= size.unsqueeze(1), -2.0).argmax(1)
    number = min(int((~keep).sum()), len(score) - len(keep))
    return score.topk(number).indices.sort().values


def _slots(mask: Mask, keep: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Of a packed mask the dropped weights whose bank has room for another target, with first output and size of the
    bank."""
    edges = bank_edges(mask.outputs, len(mask.targets) // mask.inputs).to(keep.device)
    slots = (~keep).nonzero().squeeze(1)
    bank = torch.bucketize(mask.targets.long()[slots], edges, right=True) - 1
    first, size = edges[bank], edges.diff()[bank]
    if bool((size < 2).any()):
        raise ValueError(
            f"banks of one output have no other target: a packed mask of {mask.inputs} x {mask.outputs} and density "
            f"{mask.density:.3g}; take mask='random' or a density of at most 1 / 2"
        )
    return slots, first, size


def replace_random(mask: Mask, weight: Tensor, share: float, generator: torch.Generator) -> Rewiring:
    """SET: the weakest share gives way to random ones. Raises ValueError for a share outside 0 ... 1."""
    keep = keep_strongest(weight, len(mask.targets) - _part(mask, share))
    return _replaced(mask, keep, grow_random(mask, keep, generator))


def replace_by_gradient(mask: Mask, weight: Tensor, share: float, gradient: Tensor) -> Rewiring:
    """RigL: the weakest share gives way to those that the loss wants most. Raises as the other, and for shapes."""
    keep = keep_strongest(weight, len(mask.targets) - _part(mask, share))
    return _replaced(mask, keep, grow_strongest(mask, keep, gradient))


def replace_crossed(mask: Mask, weight: Tensor, signs: Tensor, generator: torch.Generator) -> Rewiring:
    """DEEP R: weights (weights,) that are no longer of their sign, (weights,) of -1 and 1, give way to random ones.

    Raises ValueError for columns, each of which would want a mask of its own.
    """
    if weight.shape != signs.shape or weight.ndim > 1:
        raise ValueError(
            f"deep rewiring takes weights and signs of shape (weights,), but they are {tuple(weight.shape)} and "
            f"{tuple(signs.shape)}; give every column a layer of its own"
        )
    keep = weight.detach() * signs > 0
    return _replaced(mask, keep, grow_random(mask, keep, generator))


def prune(mask: Mask, weight: Tensor, density: float) -> Rewiring:
    """The strongest weights, so that their share of all is `density`. Raises ValueError for a density outside (0, 1].

    Where there are fewer already nothing changes.
    """
    if not 0.0 < density <= 1.0:
        raise ValueError(f"density must be in (0, 1], but is {density}, for a layer of {mask.inputs} x {mask.outputs}")
    number = max(min(round(density * mask.inputs * mask.outputs), len(mask.targets)), 1)
    keep = keep_strongest(weight, number)
    return rewire(mask, keep, places(mask)[:0])


def cosine_share(step: int, end: int, share: float = 0.3) -> float:
    """RigL's share at a step, from `share` down to 0 at the end, after which nothing changes."""
    return 0.5 * share * (1.0 + math.cos(math.pi * min(step, end) / end))


def pruning_density(step: int, end: int, final: float) -> float:
    """The density of gradual pruning at a step, from 1 down to `final` at the end."""
    return final + (1.0 - final) * (1.0 - min(step, end) / end) ** 3


def _replaced(mask: Mask, keep: Tensor, grown: Tensor) -> Rewiring:
    """As `rewire`; where there wasn't room for all, dropped weights stay, the first of them first."""
    spare = int((~keep).sum()) - len(grown)
    if spare:
        keep = keep.clone()
        keep[(~keep).nonzero().squeeze(1)[:spare]] = True
    return rewire(mask, keep, grown)


def _part(mask: Mask, share: float) -> int:
    if not 0.0 <= share <= 1.0:
        raise ValueError(f"the share to replace must be in 0 ... 1, but is {share}")
    return round(share * len(mask.targets))
