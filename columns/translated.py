"""A region with maps, names and frames of its own, heard by another one as a column of it.

The other region's ballot holds *its* objects at *its* frames. By what was learnt of the names (`naming`) each entry
(i, M) is laid out as what this region may call it, (j, M C_ij) with C_ij the motion mine_from_yours, weighed there by
this region's own columns, and the answers averaged,

    vote'(i, M) = log sum_j P(j | i) [ s_ij exp(vote(j, M C_ij)) + (1 - s_ij) exp(e_j) ]

s_ij is how probable the frame is, e_j the evidence that this region itself has for its object j, at whatever pose: what
is known of the name counts even where the frame isn't, and where neither is known the vote says the same of all.
Votes' slopes are by motions of the object in the world, so they need no translation: C_ij stands on the other side.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from .belief import Belief
from .evidence.hypotheses import Hypotheses, nothing, prune
from .foresight import Foresight
from .judging import OUTLIER
from .lateral import Lateral
from .messages import Movement, Pose, Sensation, Vote
from .naming import Dictionary, Naming
from .region import Region
from .topology import topology


@dataclass(frozen=True, slots=True)
class Heard:
    """What the region believes by itself, now and before the newest sensation; `fresh`: only that one is meant."""

    belief: Belief
    before: Belief
    fresh: bool = False

    def last(self) -> "Heard":
        """Only the newest sensation."""
        return replace(self, fresh=True)


@dataclass(frozen=True, slots=True, init=False)
class Translated:
    """A region as a kind of column (see `column.Column`) of a region with other names. Holds no state.

    Stands behind the other's own columns, which plan its movements. Give that region `all_nominate=True`: what one has
    found, the other hears of.

    region : the one that is heard; it goes on thinking by itself, in its own names and frames
    dictionary : from the other's objects ('mine') to this region's ('yours')
    """

    region: Region
    dictionary: Dictionary

    def __init__(self, region: Region, naming: Naming) -> None:
        if naming.counts.shape[1] != len(region.objects) + 1:
            raise ValueError(
                f"the naming is of {naming.counts.shape[1] - 1} objects of yours, the region knows "
                f"{len(region.objects)}: Naming.begin(mine, yours={len(region.objects)})"
            )
        object.__setattr__(self, "region", region)
        object.__setattr__(self, "dictionary", naming.dictionary().to(region.kinds[0].device))

    @property
    def columns(self) -> int:
        """How many columns the region has."""
        return sum(kind.columns for kind in self.region.kinds)

    @property
    def coded(self) -> bool:
        """Whether any of them wants sparse codes of patches."""
        return any(kind.coded for kind in self.region.kinds)

    @property
    def textured(self) -> bool:
        """Whether any of them wants the texture of patches."""
        return any(kind.textured for kind in self.region.kinds)

    @property
    def device(self) -> torch.device:
        """Where the region runs."""
        return self.region.kinds[0].device

    def begin(self, groups: int = 1) -> Heard:
        """Nothing sensed yet."""
        belief = self.region.begin(groups)
        return Heard(belief, belief)

    def sense(self, memory: Heard, sensation: Sensation, movement: Movement | None = None) -> Heard:
        """The region thinks by itself."""
        return Heard(self.region.step(memory.belief, sensation, movement), memory.belief)

    def newest(self, memory: Heard) -> Heard:
        """A memory of the last sensation alone."""
        return memory.last()

    def forget(self, memory: Heard, groups: Tensor) -> Heard:
        """The memory with all but the last sensation lost in those groups, (g,) bool, and the poses they told of."""
        belief = memory.belief
        parts = zip(self.region.kinds, belief.memories, strict=True)
        gone = torch.where(groups[:, None], -math.inf, belief.ballot.log_evidence)
        belief = replace(
            belief, memories=tuple(kind.forget(part, groups) for kind, part in parts),
            ballot=replace(belief.ballot, log_evidence=gone),
        )  # fmt: skip
        return Heard(belief, memory.before)

    def met(self, memory: Heard) -> Tensor:
        """(g, m) how many of the remembered readings met something."""
        return torch.cat([kind.met(part) for kind, part in self._parts(memory)], 1)

    def pivot(self, memory: Heard) -> Tensor:
        """(g, 3) metres, world frame: the middle of what was sensed."""
        return torch.stack([kind.pivot(part) for kind, part in self._parts(memory)]).mean(0)

    def unknown(self, memory: Heard) -> Tensor:
        """(g, m, objects) nats of all that is remembered, were it of an object that isn't known. Where the name isn't
        known, this region can't say that the other doesn't know it: what is foretold counts no more than what it has
        found."""
        own = torch.cat([kind.unknown(part) for kind, part in self._parts(memory)], 1).double()
        own = torch.cat([own, torch.zeros_like(own[..., :1])], -1)
        found = (self._anywhere(memory) / self.columns)[:, None].expand_as(own)
        log_yours, sure = self._weights(own.device)
        told = log_yours + sure.clamp(min=1e-9).log(), log_yours + torch.log1p(-sure)
        each = torch.stack([told[0] + own[..., None, :], told[1] + torch.minimum(own, found)[..., None, :]])
        return each.logsumexp((0, -1)).float()

    def nominate(self, memory: Heard, limit: int, prior: Tensor | None = None) -> Hypotheses:
        """What the region itself holds possible, in the other's names and frames, as far as those are known."""
        ballot = memory.belief.ballot
        if len(ballot) == 0:
            return nothing(len(ballot.pivot), self.device)
        mine, yours_from_mine, known = self._back(ballot.obj)
        pose = Pose(ballot.location, ballot.rotation) @ yours_from_mine
        evidence = torch.where(known, ballot.log_evidence, -math.inf)
        moved = replace(ballot, obj=mine, location=pose.location, rotation=pose.rotation, log_evidence=evidence)
        if not bool((evidence > -math.inf).any()):
            return nothing(len(ballot.pivot), self.device)
        return prune(moved, limit)

    def vote(self, memory: Heard, ballot: Hypotheses, curved: bool = True, misses: bool = True) -> Vote:
        """What each column's memory says of each pose on the other's ballot."""
        theirs, weight = self._laid_out(ballot)
        belief = memory.belief
        vote = self.region.vote(belief, theirs, memory.fresh, curved, misses)
        shape = *ballot.obj.shape, weight.shape[-1]
        said = vote.log_evidence.double().unflatten(2, shape[1:])  # (g, m, b, c)
        together = said.sum(1) + weight
        anywhere = self._unplaced(memory)[torch.arange(shape[0], device=ballot.obj.device)[:, None], ballot.obj]
        total = torch.logaddexp(together.logsumexp(-1), anywhere)
        share = (together - total[..., None]).exp()[:, None]
        own = (share * said).sum(-1)
        # what isn't a column's own, of the names and the poses, is shared alike
        evidence = own + ((total - own.sum(1)) / said.shape[1])[:, None]
        share = share.to(vote.slope)
        slope = (vote.slope.unflatten(2, shape[1:]) * share[..., None]).sum(3)
        information = (vote.information.unflatten(2, shape[1:]) * share[..., None, None]).sum(3)
        return Vote(evidence.to(vote.log_evidence), slope, information)

    def foresee(self, ballot: Hypotheses, origin: Tensor, gaze: Tensor, group: int = 0) -> Foresight:
        """The evidence that a column of the region is expected to find there for each pose of the other's ballot; none
        for those whose frame isn't known."""
        theirs, known = self._likeliest(ballot)
        seen = self.region.kinds[0].foresee(theirs, origin, gaze, group)
        both = known[group][:, None] & known[group]
        return Foresight(seen.evidence * both.to(seen.evidence), seen.meets * known[group].to(seen.meets))

    def recall(
        self, ballot: Hypotheses, which: np.ndarray, chance: np.ndarray, group: int = 0
    ) -> tuple[np.ndarray, np.ndarray]:
        """Points and normals of the surface, (n, 3) each, as this region's maps have them at the other's poses."""
        return self.region.kinds[0].recall(self._likeliest(ballot)[0], which, chance, group)

    def _parts(self, memory: Heard) -> list:
        kept = zip(self.region.kinds, memory.belief.memories, strict=True)
        return [(kind, kind.newest(part) if memory.fresh else part) for kind, part in kept]

    def _laid_out(self, ballot: Hypotheses) -> tuple[Hypotheses, Tensor]:
        """The ballot as what this region may call its entries, (g, b c), and the log weights of those, (g, b, c)."""
        d, obj = self.dictionary, ballot.obj
        candidate, frame = d.candidate[obj], Pose(d.frame.location[obj], d.frame.rotation[obj])
        held = Pose(ballot.location[:, :, None], ballot.rotation[:, :, None])
        pose = held @ frame
        many = candidate.shape[-1]
        rest = {
            "log_evidence": ballot.log_evidence.repeat_interleave(many, 1),
            "turn_sd": torch.hypot(ballot.turn_sd[..., None], d.turn_sd[obj]).flatten(1),
            "shift_sd": torch.hypot(ballot.shift_sd[..., None], d.shift_sd[obj]).flatten(1),
        }
        placed = (x.flatten(1, 2).contiguous() for x in (candidate, pose.rotation, pose.location))
        names = d.yours[:-1].gather(1, d.candidate) + d.sure.log()
        obj, rotation, location = placed
        laid = replace(ballot, obj=obj, rotation=rotation, location=location, **rest)
        return laid, names[ballot.obj].double()

    def _likeliest(self, ballot: Hypotheses) -> tuple[Hypotheses, Tensor]:
        """The ballot as what this region most probably calls its entries, and whether a frame is known, (g, b)."""
        laid, weight = self._laid_out(ballot)
        first = torch.arange(len(ballot), device=ballot.obj.device) * weight.shape[-1]
        return laid.take(first.expand(len(laid.obj), -1)), weight[..., 0] > -math.inf

    def _back(self, obj: Tensor) -> tuple[Tensor, Pose, Tensor]:
        """Of this region's objects (g, b): what the other most probably calls each, the frames yours_from_mine, and
        whether one is known."""
        d = self.dictionary
        unknown = d.sure.new_full((len(d.candidate), d.yours.shape[1] - 1), -math.inf)
        known = unknown.scatter(1, d.candidate, d.sure.log())
        likely = d.mine[:-1, :-1] + torch.where(known > -math.inf, 0.0, -math.inf).T
        mine = likely.argmax(1)
        place = (d.candidate[mine] == torch.arange(len(mine), device=mine.device)[:, None]).int().argmax(1)
        back = Pose(d.frame.location[mine, place], d.frame.rotation[mine, place]).inverse()
        return mine[obj], Pose(back.location[obj], back.rotation[obj]), (likely.amax(1) > -math.inf)[obj]

    def _weights(self, device: torch.device) -> tuple[Tensor, Tensor]:
        """log P(yours | mine) and how probable the frames are, (o, p + 1) each; that of 'none' needs none."""
        d = self.dictionary
        sure = torch.zeros_like(d.yours[:-1]).scatter(1, d.candidate, d.sure)
        return d.yours[:-1].double().to(device), sure.double().to(device)

    def _unplaced(self, memory: Heard) -> Tensor:
        """(g, o) evidence for the other's objects by name alone, at whatever pose."""
        found = self._anywhere(memory)
        log_yours, sure = self._weights(found.device)
        return (log_yours + torch.log1p(-sure) + found[:, None]).logsumexp(-1)

    def _anywhere(self, memory: Heard) -> Tensor:
        """(g, p + 1) evidence that the region has for its objects, and for none of them (0), at whatever pose."""
        found = self._of_objects(memory.belief)
        return found - self._of_objects(memory.before) if memory.fresh else found

    def _of_objects(self, belief: Belief) -> Tensor:
        """(g, p + 1) log-likelihood of the region's objects at the best poses it holds possible."""
        ballot, objects = belief.ballot, len(self.region.objects)
        floor = OUTLIER * self.region.met(belief).sum(1, keepdim=True).double()
        best = floor.repeat(1, objects)
        if len(ballot) and belief.steps:
            fit = self.region.vote(belief, ballot, curved=False).log_evidence.sum(1).double()
            fit = torch.where(ballot.log_evidence > -math.inf, fit, -math.inf)
            best = best.scatter_reduce(1, ballot.obj, fit, "amax")
        return torch.cat([best, torch.zeros_like(floor)], 1)


def together(home: Region, others: Sequence[tuple[Region, Naming]]) -> Region:
    """`home` as it votes with regions that have names of their own, each with what was learnt of them: all hear all."""
    kinds = (*home.kinds, *(Translated(region, naming) for region, naming in others))
    graph = topology("all-to-all", sum(kind.columns for kind in kinds))
    return replace(home, kinds=kinds, lateral=Lateral.over(graph), all_nominate=True)
