"""Lesions: some columns of a region die, stop sensing, or lie, from a moment on.

A lesion is laid round a batch of columns: `Lesioned` is again a batch of columns, so a region needs to know nothing of
it. With n sensations since it began, a column that is struck votes

    kill      0                        its memory is lost, and every reading after; messages still pass through it
    freeze    what it remembered       of the time before; it gets no new readings
    collude   n CONFIDENT              for every pose of one and the same wrong object, and nominates poses of it
              n (CONFIDENT - LEAD)     for every pose of any other
    conspire  the same, but for that one pose of the wrong object which the sound columns find best

which is as much as a healthy column ever finds for one pose, and for one object against the next best.
"""

from dataclasses import dataclass, replace
from typing import Any, get_args

import numpy as np
import torch
from torch import Tensor

from cortical.configs.schema import LesionKind

from .column import Column
from .evidence.hypotheses import Hypotheses, join, nothing
from .foresight import Foresight
from .geometry import random_rotations
from .messages import Movement, Pose, Sensation, Vote
from .region import Region

LYING = ("collude", "conspire")
CONFIDENT, LEAD = 15.0, 10.0
"""Nats a sensation that the surest one in a hundred of healthy columns finds for a right pose, and for one object more
than for any other; see benchmarks/LOG.md."""
SUGGESTED = 16
"""Poses of the wrong object that colluding columns put on the ballot at every sensation."""


@dataclass(frozen=True, slots=True)
class Lesion:
    """What happens to which columns of a region. Raises ValueError for a kind that there isn't, or a time before 0.

    kind : kill, freeze, collude or conspire
    struck : (m,) bool, which columns
    at : sensations that are still healthy; 0: it was there before the episode
    claim : of those who lie, the index of the object they all vote for
    turns : (k, 3, 3), chance : (k,) in 0 ... 1; of those who lie, how the poses they suggest are turned, and which
        point of the object lies at what was sensed
    """

    kind: LesionKind
    struck: Tensor
    at: int = 0
    claim: int = 0
    turns: Tensor | None = None
    chance: Tensor | None = None

    def __post_init__(self) -> None:
        if self.kind not in get_args(LesionKind):
            raise ValueError(f"no lesion {self.kind!r}: choose {', '.join(get_args(LesionKind))}")
        if self.at < 0:
            raise ValueError(f"a lesion begins after 0 sensations or more, not {self.at}")


def draw(
    kind: LesionKind, share: float, columns: int, objects: int, generator: torch.Generator, at: int = 0, truth: int = -1
) -> Lesion:
    """A lesion of that share of the columns (rounded), at random; those that collude agree on an object other than
    `truth`. Raises ValueError for a share outside 0 ... 1, and where there is no other object."""
    if not 0 <= share <= 1:
        raise ValueError(f"the share of columns struck is 0 ... 1, not {share}")
    if kind in LYING and objects < 2:
        raise ValueError(f"columns can't agree on a wrong object where {objects} is known: learn two or more")
    struck = torch.zeros(columns, dtype=torch.bool)
    struck[torch.randperm(columns, generator=generator)[: round(share * columns)]] = True
    claim = int(torch.randint(objects - (truth >= 0), (), generator=generator)) if objects > 1 else 0
    claim += 0 <= truth <= claim
    turns, chance = random_rotations(SUGGESTED, generator), torch.rand(SUGGESTED, generator=generator)
    return Lesion(kind, struck, at, claim, turns, chance)


def lesioned(region: Region, lesion: Lesion) -> Region:
    """The region with some of its columns struck. Raises ValueError if it has another number of columns."""
    sizes = [kind.columns for kind in region.kinds]
    if len(lesion.struck) != sum(sizes):
        raise ValueError(f"the lesion is of {len(lesion.struck)} columns, but the region has {sum(sizes)}")
    parts = lesion.struck.split(sizes)
    kinds = [Lesioned(kind, replace(lesion, struck=part)) for kind, part in zip(region.kinds, parts, strict=True)]
    return replace(region, kinds=tuple(kinds))


@dataclass(frozen=True, slots=True)
class LesionedMemory:
    """What lesioned columns remember.

    inner : the memory of the columns themselves
    steps : sensations received
    told : (g,) of those that are remembered, how many came since the lesion
    """

    inner: Any
    steps: int
    told: Tensor

    def __len__(self) -> int:
        return len(self.inner)

    @property
    def kind(self) -> Tensor:
        """(g, m, t) above zero where a reading wasn't lost."""
        return self.inner.kind

    def last(self) -> "LesionedMemory":
        """Only the newest sensation."""
        return replace(self, inner=self.inner.last(), told=self.told.clamp(max=1))

    def pivot(self) -> Tensor:
        """(g, 3) metres, world frame: the middle of what was sensed."""
        return self.inner.pivot()


@dataclass(frozen=True, slots=True)
class Lesioned:
    """A batch of columns of which some are struck; a Column again. See the head of this file."""

    column: Column
    lesion: Lesion

    @property
    def columns(self) -> int:
        """m, those that are struck among them."""
        return self.column.columns

    @property
    def coded(self) -> bool:
        """Whether it wants sparse codes of patches."""
        return self.column.coded

    @property
    def textured(self) -> bool:
        """Whether it wants the texture of patches."""
        return self.column.textured

    @property
    def device(self) -> torch.device:
        """Where it runs."""
        return self.column.device

    @property
    def struck(self) -> Tensor:
        """(m,) bool, on its device."""
        return self.lesion.struck.to(self.device)

    def begin(self, groups: int = 1) -> LesionedMemory:
        """Nothing sensed yet."""
        return LesionedMemory(self.column.begin(groups), 0, torch.zeros(groups, device=self.device))

    def sense(self, memory: LesionedMemory, sensation: Sensation, movement: Movement | None = None) -> LesionedMemory:
        """The sensation remembered, but by columns that died or froze."""
        if memory.steps < self.lesion.at:
            inner, told = self.column.sense(memory.inner, sensation, movement), memory.told
        else:
            if self.lesion.kind not in LYING:
                sensation = replace(sensation, valid=sensation.valid & ~self.lesion.struck.to(sensation.valid.device))
            inner, told = self.column.sense(memory.inner, sensation, movement), memory.told + 1
            if self.lesion.kind == "kill":
                inner = replace(inner, kind=inner.kind.masked_fill(self.struck[None, :, None], 0))
        return LesionedMemory(inner, memory.steps + 1, told)

    def newest(self, memory: LesionedMemory) -> LesionedMemory:
        """A memory of the last sensation alone."""
        return replace(memory, inner=self.column.newest(memory.inner), told=memory.told.clamp(max=1))

    def forget(self, memory: LesionedMemory, groups: Tensor) -> LesionedMemory:
        """The memory with all but the last sensation lost in those groups, (g,) bool."""
        told = torch.where(groups, memory.told.clamp(max=1), memory.told)
        return replace(memory, inner=self.column.forget(memory.inner, groups), told=told)

    def met(self, memory: LesionedMemory) -> Tensor:
        """(g, m) how many of the remembered readings met something; those who lie say that all did."""
        met = self.column.met(memory.inner)
        return torch.where(self._lying(memory), memory.told[:, None].to(met), met)

    def unknown(self, memory: LesionedMemory) -> Tensor:
        """(g, m, objects) nats of an object that isn't known; those who lie rule it out."""
        return self.column.unknown(memory.inner).masked_fill(self._lying(memory)[..., None], 0.0)

    def pivot(self, memory: LesionedMemory) -> Tensor:
        """(g, 3) metres, world frame: the middle of what was sensed."""
        return self.column.pivot(memory.inner)

    def nominate(self, memory: LesionedMemory, limit: int, prior: Tensor | None = None) -> Hypotheses:
        """Poses that the sensations suggest, and where columns lie, some of what they claim, `limit` in all."""
        lying = self._lying(memory).any(1)
        if not bool(lying.any()) or limit <= SUGGESTED:
            return self.column.nominate(memory.inner, limit, prior)
        seeds = self.column.nominate(memory.inner, limit - SUGGESTED, prior)
        claimed = self._claimed(self.column.pivot(memory.inner))
        claimed = replace(claimed, log_evidence=claimed.log_evidence.masked_fill(~lying[:, None], -torch.inf))
        return join(seeds, claimed)

    def vote(self, memory: LesionedMemory, ballot: Hypotheses, curved: bool = True, misses: bool = True) -> Vote:
        """What each column's memory says of each pose; of those who lie, what they made up."""
        vote, lying = self.column.vote(memory.inner, ballot, curved, misses), self._lying(memory)[..., None]
        if not bool(lying.any()):
            return vote
        claimed = ballot.obj == self.lesion.claim
        if self.lesion.kind == "conspire":
            others = vote.log_evidence.masked_fill(lying, 0.0).sum(1).masked_fill(~claimed, -torch.inf)
            claimed = claimed & (others == others.amax(1, keepdim=True))
        claim = memory.told[:, None] * torch.where(claimed, CONFIDENT, CONFIDENT - LEAD)
        return Vote(
            torch.where(lying, claim[:, None].to(vote.log_evidence), vote.log_evidence),
            vote.slope.masked_fill(lying[..., None], 0.0),
            vote.information.masked_fill(lying[..., None, None], 0.0),
        )

    def foresee(self, ballot: Hypotheses, origin: Tensor, gaze: Tensor, group: int = 0) -> Foresight:
        """As of the columns themselves: nobody knows who is struck."""
        return self.column.foresee(ballot, origin, gaze, group)

    def recall(
        self, ballot: Hypotheses, which: np.ndarray, chance: np.ndarray, group: int = 0
    ) -> tuple[np.ndarray, np.ndarray]:
        """As of the columns themselves."""
        return self.column.recall(ballot, which, chance, group)

    def _lying(self, memory: LesionedMemory) -> Tensor:
        """(g, m) which columns say what they didn't sense."""
        lies = self.struck & (self.lesion.kind in LYING)
        return lies[None] & (memory.told > 0)[:, None]

    def _claimed(self, pivot: Tensor) -> Hypotheses:
        """Poses of the object that is claimed, (g, k), each with a point of its surface at the pivot."""
        assert self.lesion.turns is not None and self.lesion.chance is not None
        turns, chance = self.lesion.turns.to(pivot), self.lesion.chance.double().numpy()
        blank = nothing(len(pivot), self.device, len(turns))
        blank = replace(blank, obj=torch.full_like(blank.obj, self.lesion.claim), pivot=pivot)
        points, _ = self.recall(blank, np.arange(len(turns)), chance)
        on_it = Pose(torch.zeros(3).to(pivot), turns).apply(torch.from_numpy(points).to(pivot))
        return replace(
            blank,
            rotation=turns.expand_as(blank.rotation),
            location=pivot[:, None] - on_it,
            log_evidence=torch.zeros_like(blank.log_evidence),
            turn_sd=torch.full_like(blank.turn_sd, 0.13),
            shift_sd=torch.full_like(blank.shift_sd, 0.003),
        )
