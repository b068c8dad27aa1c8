"""A region: columns that sense side by side, vote on one ballot of poses, and believe what survives.

Columns come in kinds (other features, another sense); each kind is one batch. A region thinks for g groups at once:
g independent episodes, each with all its columns. One column is a region of one.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import torch

from . import exchange, judging, robust, surprise, widening
from .belief import Belief
from .column import Column
from .events import Events
from .evidence import refine
from .evidence.hypotheses import Hypotheses, move, nothing, prune, strongest, without_repeats
from .lateral import Lateral
from .messages import Movement, Pose, Sensation, Vote

POLISHED, POLISHING = 8, 8  # poses of the object named that are refined once more at the end, and how often
PAIRS, FEWEST = 100_000, 12  # poses times readings that a step weighs, about, and poses kept whatever the readings
CROWD = 16  # columns whose evidence in a first sensation counts twice: no movement led most of them there
ALIKE, ALIKE_MOST = 0.05, 4  # share by which each further column's later errors are alike, and of how many it adds up


@dataclass(frozen=True, slots=True)
class Region:
    """Kinds of columns joined by a lateral layer. Holds no state.

    kinds : batches of columns, in the order of the sensor's patches
    lateral : who exchanges votes with whom
    objects : names, in the order of their indices
    first_cap, keep : hypotheses kept after the first sensation and in the long run
    trust : share of the evidence that counts in the long run when beliefs are formed; below 1 since the errors of maps
        are not independent, and movements are chosen by them
    watchful : notice by prediction error that the object itself was moved, and find its new pose
    all_nominate : every kind suggests poses, not the first alone that has some: for kinds with maps of their own
    robust : don't heed columns that contradict most others, see `robust`
    events : columns say only what the others can't work out; None: all of it, at once
    """

    kinds: tuple[Column, ...]
    lateral: Lateral
    objects: tuple[str, ...]
    first_cap: int = 4_000
    keep: int = 96
    trust: float = 1.0
    watchful: bool = False
    all_nominate: bool = False
    robust: bool = False
    events: Events | None = None

    def __post_init__(self) -> None:
        columns = sum(kind.columns for kind in self.kinds)
        if columns < 1:
            raise ValueError("a region needs one column or more: give it a kind that has some")
        if self.lateral.columns != columns:
            raise ValueError(f"{columns} columns, but the graph joins {self.lateral.columns}: make it of as many nodes")

    def begin(self, groups: int = 1) -> Belief:
        """The belief before anything was sensed."""
        return Belief(
            tuple(k.begin(groups) for k in self.kinds),
            nothing(groups, self.kinds[0].device),
            sent=exchange.begin(self, groups),
        )

    def step(self, belief: Belief, sensation: Sensation, movement: Movement | None = None) -> Belief:
        """One clock step of all columns: sensation (g, m), m over all kinds in order."""
        parts = self._split(sensation)
        memories = tuple(
            kind.sense(memory, part, movement)
            for kind, memory, part in zip(self.kinds, belief.memories, parts, strict=True)
        )
        ballot = move(belief.ballot, movement.object_motion if movement else None)
        belief = replace(belief, memories=memories, ballot=ballot, steps=belief.steps + 1)
        belief = exchange.sensed(self, belief, movement)
        if self.watchful:
            belief = surprise.watched(self, belief)
            ballot = belief.ballot
        belief, weighed = self._weigh_newest(belief, ballot)
        if widening.wanted(belief, ballot, weighed):
            belief, weighed = widening.widened(self, belief, weighed)
        return exchange.aged(self._settle(belief, weighed))

    def share(self, steps: int) -> float:
        """Share of the evidence of so many sensations that counts when beliefs are formed, fitted to how often the best
        object was the right one (benchmarks/LOG.md): neighbours that sense at once hardly err alike, but what they
        sense time and again, where movements took them, does."""
        others, once = self.lateral.columns - 1, 1 / max(1, steps)
        alike = 1 + ALIKE * min(others, ALIKE_MOST) * (1 - once)
        return self.trust * (1 + 2 * once * others / (others + CROWD)) / alike

    def _split(self, sensation: Sensation) -> list[Sensation]:
        ends = torch.tensor([k.columns for k in self.kinds]).cumsum(0).tolist()
        if sensation.valid.shape[1] != ends[-1]:
            raise ValueError(
                f"the region has {ends[-1]} columns but the sensation {sensation.valid.shape[1]}: "
                "give the eye as many patches as there are columns"
            )
        return [sensation[:, end - k.columns : end] for end, k in zip(ends, self.kinds, strict=True)]

    def vote(
        self, belief: Belief, ballot: Hypotheses, newest: bool = False, curved: bool = True, misses: bool = True
    ) -> Vote:
        """What all columns say of the poses on a ballot, by all they remember or by their newest sensation alone."""
        votes = [
            kind.vote(kind.newest(memory) if newest else memory, ballot, curved, misses)
            for kind, memory in self._memories(belief)
        ]
        for kind, vote in zip(self.kinds, votes, strict=True):
            if not bool(torch.isfinite(vote.log_evidence).all()):
                raise ValueError(f"{type(kind).__name__} votes NaN or infinity: votes are finite, 0 without knowledge")
        every = votes[0]
        if len(votes) > 1:
            every = Vote(
                torch.cat([v.log_evidence for v in votes], 1),
                torch.cat([v.slope for v in votes], 1),
                torch.cat([v.information for v in votes], 1),
            )
        return every if belief.heed is None else robust.weighted(every, belief.heed)

    def _heeding(self, belief: Belief, ballot: Hypotheses) -> Belief:
        """The belief with its `heed` by what all columns say of a ballot."""
        belief = replace(belief, heed=None)
        votes = self.vote(belief, ballot, curved=False).log_evidence
        return replace(belief, heed=robust.heeded(votes, ballot, self.met(belief), len(self.objects)))

    def _weigh_newest(self, belief: Belief, ballot: Hypotheses) -> tuple[Belief, Hypotheses]:
        if len(ballot) == 0:
            return belief, ballot
        gained = self.vote(belief, ballot, newest=True, curved=False).log_evidence
        belief, gained = exchange.newest(self, belief, ballot, gained)
        return belief, replace(ballot, log_evidence=ballot.log_evidence + gained.sum(1))

    def _settle(self, belief: Belief, ballot: Hypotheses) -> Belief:
        """Prune, exchange votes, refine by their sum, prune again, and see what is agreed."""
        if not bool((ballot.log_evidence > -math.inf).any()):
            return replace(belief, ballot=ballot, consensus=judging.ignorant(self, belief))
        if belief.steps == 1 and self.lateral.columns == 1:
            # one reading fixes no pose: nothing to refine yet
            ballot = prune(ballot, self.first_cap)
            own = ballot.log_evidence[:, None]
            return replace(belief, ballot=ballot, consensus=judging.agree(self, belief, ballot, own, own))
        order = strongest(ballot, self._cap(belief.steps), objects=len(self.objects))
        belief, ballot = exchange.keep(belief, order), replace(ballot.take(order), pivot=self.pivot(belief))
        belief, ballot = self._refined(belief, ballot, 2 if belief.steps <= widening.SEEDING else 1)
        if self.robust:
            belief = self._heeding(belief, ballot)
        belief, ballot, votes, total = self._decided(belief, ballot)
        order = strongest(without_repeats(ballot), self._cap(belief.steps + 1), objects=len(self.objects))
        survivors, belief = ballot.take(order), exchange.keep(belief, order)
        views = judging.by_column(self, votes, survivors.log_evidence, total, order)
        known = judging.known(self, belief, ballot, votes.log_evidence)
        consensus = judging.agree(self, belief, survivors, *views, known)
        fit = self._fit(belief, total.log_evidence.gather(1, order[:, :1])[:, 0])
        return replace(belief, ballot=survivors, consensus=consensus, fit=fit)

    def _refined(self, belief: Belief, ballot: Hypotheses, times: int) -> tuple[Belief, Hypotheses]:
        """After so many exchanges of votes, each with a step of refinement by their sum."""
        for _ in range(times):
            belief, votes = exchange.votes(self, belief, ballot, self.vote(belief, ballot, misses=False), "refining")
            total = self.lateral.pool(votes)
            ballot = refine.step(ballot, total.slope, total.information)
        return belief, ballot

    def _decided(self, belief: Belief, ballot: Hypotheses) -> tuple[Belief, Hypotheses, Vote, Vote]:
        """After the exchange that counts: the ballot with its evidence, the votes and their sum."""
        belief, votes = exchange.votes(self, belief, ballot, self.vote(belief, ballot), "deciding")
        total = self.lateral.pool(votes)
        return belief, refine.with_evidence(ballot, total.log_evidence, total.information), votes, total

    def _fit(self, belief: Belief, best: torch.Tensor) -> torch.Tensor:
        """(g,) nats a reading, of the summed evidence (g,) of the best pose; infinite where nothing was met."""
        met = exchange.weights(self, belief)[0] @ self.lateral.heard.to(best)
        return torch.where(met > 0, best / met.clamp(min=1e-3), math.inf)

    def polish(self, belief: Belief) -> Belief:
        """The belief with the pose of its consensus refined until it stands still, for the end of an episode: on the
        way one step a sensation has to do."""
        if belief.consensus is None or len(belief.ballot) == 0:
            return belief
        ballot = belief.ballot
        named = torch.where(ballot.obj == belief.consensus.object_index[:, None], ballot.log_evidence, -math.inf)
        order = strongest(replace(ballot, log_evidence=named), POLISHED)
        few = replace(ballot, log_evidence=named).take(order)
        if len(few) == 0:
            return belief  # no pose is left
        told, few = self._refined(exchange.keep(belief, order), few, POLISHING)
        told, few, _, _ = self._decided(told, few)
        row = few.log_evidence.argmax(1)
        at = torch.arange(len(row), device=row.device)
        pose = Pose(few.location[at, row], few.rotation[at, row])
        return exchange.spent(replace(belief, consensus=replace(belief.consensus, pose=pose)), told)

    def pivot(self, belief: Belief) -> torch.Tensor:
        """(g, 3) metres, world frame: the middle of what was sensed, about which poses are turned."""
        return torch.stack([kind.pivot(memory) for kind, memory in self._memories(belief)]).mean(0)

    def _memories(self, belief: Belief) -> Iterator[tuple[Column, Any]]:
        return zip(self.kinds, belief.memories, strict=True)

    def met(self, belief: Belief) -> torch.Tensor:
        """(g, m) how many of the readings remembered by each column met something, as far as it is heeded."""
        met = torch.cat([kind.met(memory) for kind, memory in self._memories(belief)], 1).float()
        return met if belief.heed is None else met * belief.heed

    def unknown(self, belief: Belief) -> torch.Tensor:
        """(g, m, objects) nats of what each column remembers, were it of one object that isn't known, as far as it is
        heeded."""
        unknown = torch.cat([kind.unknown(memory) for kind, memory in self._memories(belief)], 1)
        return unknown if belief.heed is None else unknown * belief.heed.to(unknown)[..., None]

    def _cap(self, steps: int) -> int:
        """Poses kept after so many sensations: the fewer, the more readings there are to tell them by."""
        readings = steps * self.lateral.columns
        wanted = max(self.keep, (4 * self.keep) >> max(0, steps - 2))
        return max(FEWEST, min(wanted, PAIRS // readings))
