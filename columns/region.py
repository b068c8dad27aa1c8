"""A region: columns that sense side by side, vote on one ballot of poses, and believe what survives.

Columns come in kinds (other features, another sense); each kind is one batch. A region thinks for g groups at once:
g independent episodes, each with all its columns. One column is a region of one.
"""

import math
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import torch

from . import exchange, robust, surprise
from .column import Column
from .events import Events
from .evidence import refine
from .evidence.hypotheses import Hypotheses, join, move, nothing, prune, strongest, without_repeats
from .lateral import Lateral, consensus, log_odds
from .messages import Consensus, Movement, Pose, Sensation, Vote
from .sent import Sent

SEEDING = 3  # sensations that always suggest new poses; later ones do when the best pose explains them badly
OUTLIER = math.log(0.03)  # nats of a reading that no pose explains
POLISHED, POLISHING = 8, 8  # poses of the object named that are refined once more at the end, and how often
UNEXPECTED = -1.0  # nats of a sensation at the best pose so far below which new poses are looked for
PAIRS, FEWEST = 100_000, 12  # poses times readings that a step weighs, about, and poses kept whatever the readings
CROWD = 16  # columns whose evidence in a first sensation counts twice: no movement led most of them there
ALIKE, ALIKE_MOST = 0.05, 4  # share by which each further column's later errors are alike, and of how many it adds up
OVERLOOKED = 0.2  # nats a sensation by which it gets less likely that a known object's pose wasn't found yet
RIVAL = 2.0  # nats that a pose may be behind the best and still be the one that is looked for
Triple = tuple[torch.Tensor | None, torch.Tensor | None, torch.Tensor | None]
FITTING = 6.5  # nats a sensation: what a right pose explains on average, or more


@dataclass(frozen=True, slots=True)
class Belief:
    """What a region has sensed and what it holds possible; all tensors inside are per group.

    memories : one per kind of column
    ballot : poses that survive, with their evidence
    consensus : after the last exchange; None before the first sensation
    steps : sensations received
    fit : (g,) nats of evidence a sensation under the best pose
    doubt : (g,) nats, what newer sensations said against the best pose, see `surprise`
    prior : (g, objects + 1), log, what was believed of the object before it was moved; None: it never was
    heed : (g, m) how far each column's vote counts, 0 ... 1; None: all do
    sent : what the others know of each column's votes, where these are events; None: all of them, at once
    """

    memories: tuple[Any, ...]
    ballot: Hypotheses
    consensus: Consensus | None = None
    steps: int = 0
    fit: torch.Tensor | None = None
    doubt: torch.Tensor | None = None
    prior: torch.Tensor | None = None
    heed: torch.Tensor | None = None
    sent: Sent | None = None


class Answer(NamedTuple):
    """What connected columns agree on: they, the object's index (-1: none of those known) and its log odds, nats."""

    columns: tuple[int, ...]
    object_index: int
    log_odds: float


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
        if self._needs_seeds(belief) or self._surprised(ballot, weighed):
            belief, weighed = self._widen(belief, weighed)
        return exchange.aged(self._settle(belief, weighed))

    def share(self, steps: int) -> float:
        """Share of the evidence of so many sensations that counts when beliefs are formed, fitted to how often the best
        object was the right one (benchmarks/LOG.md): neighbours that sense at once hardly err alike, but what they
        sense time and again, where movements took them, does."""
        others, once = sum(kind.columns for kind in self.kinds) - 1, 1 / max(1, steps)
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
            for kind, memory in zip(self.kinds, belief.memories, strict=True)
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

    def _needs_seeds(self, belief: Belief) -> bool:
        if belief.steps <= SEEDING or belief.fit is None:
            return True
        return bool((belief.fit < FITTING).any())

    def _surprised(self, before: Hypotheses, after: Hypotheses) -> bool:
        """Whether the newest sensation speaks against the best pose so far, and against all that are now about as good,
        in any group."""
        if len(before) == 0:
            return False
        best = before.log_evidence.argmax(1, keepdim=True)
        gained = after.log_evidence - before.log_evidence
        explained = (gained > UNEXPECTED) & (after.log_evidence > after.log_evidence.amax(1, keepdim=True) - RIVAL)
        return bool(((gained.gather(1, best)[:, 0] < UNEXPECTED) & ~explained.any(1)).any())

    def _widen(self, belief: Belief, ballot: Hypotheses) -> tuple[Belief, Hypotheses]:
        """Poses that the sensations suggest, weighed by everything remembered, put on the ballot too."""
        limit = self.first_cap if belief.steps == 1 else self.first_cap // 4
        favour = None if belief.consensus is None else belief.consensus.log_posterior[:, :-1]
        for kind, memory in zip(self.kinds, belief.memories, strict=True):
            seeds = kind.nominate(memory, limit, favour)
            if len(seeds):
                said = self.vote(belief, seeds, curved=False).log_evidence
                belief, said = exchange.seeds(self, belief, seeds, said)
                total = said.sum(1)
                alive = seeds.log_evidence > -math.inf
                total = total + refine.log_prior_mass(seeds)
                ballot = join(ballot, replace(seeds, log_evidence=torch.where(alive, total, -math.inf)))
                if not self.all_nominate:
                    break
        return belief, replace(ballot, pivot=self._pivot(belief))

    def _pivot(self, belief: Belief) -> torch.Tensor:
        pairs = zip(self.kinds, belief.memories, strict=True)
        return torch.stack([kind.pivot(memory) for kind, memory in pairs]).mean(0)

    def _settle(self, belief: Belief, ballot: Hypotheses) -> Belief:
        """Prune, exchange votes, refine by their sum, prune again, and see what is agreed."""
        if not bool((ballot.log_evidence > -math.inf).any()):
            return replace(belief, ballot=ballot, consensus=self._ignorant(belief, ballot))
        objects, columns = len(self.objects), sum(kind.columns for kind in self.kinds)
        if belief.steps == 1 and columns == 1:
            # one reading fixes no pose: nothing to refine yet
            ballot = prune(ballot, self.first_cap)
            own = ballot.log_evidence[:, None]
            return replace(belief, ballot=ballot, consensus=self._agree(belief, ballot, own, own))
        order = strongest(ballot, self._cap(belief.steps), objects=objects)
        belief, ballot = exchange.keep(belief, order), replace(ballot.take(order), pivot=self._pivot(belief))
        for _ in range(2 if belief.steps <= SEEDING else 1):
            belief, votes = exchange.votes(self, belief, ballot, self.vote(belief, ballot, misses=False), "refining")
            votes = self.lateral.pool(votes)
            ballot = refine.step(ballot, votes.slope, votes.information)
        if self.robust:
            belief = self._heeding(belief, ballot)
        belief, votes = exchange.votes(self, belief, ballot, self.vote(belief, ballot), "deciding")
        total = self.lateral.pool(votes)
        ballot = refine.with_evidence(ballot, total.log_evidence, total.information)
        order = strongest(without_repeats(ballot), self._cap(belief.steps + 1), objects=objects)
        survivors, belief = ballot.take(order), exchange.keep(belief, order)
        views, alone = self._beliefs_of_columns(votes, survivors.log_evidence, total, order)
        known = self._known(belief, ballot, votes.log_evidence)
        met = exchange.weights(self, belief)[0] @ self.lateral.heard.to(total.log_evidence)
        fit = total.log_evidence.gather(1, order[:, :1])[:, 0] / met.clamp(min=1e-3)
        fit = torch.where(met > 0, fit, math.inf)
        consensus = self._agree(belief, survivors, views, alone, known)
        return replace(belief, ballot=survivors, consensus=consensus, fit=fit)

    def answers(self, belief: Belief, group: int = 0) -> list[Answer]:
        """What each connected part of the graph of columns answers by itself; one answer if all hear of all."""
        if belief.consensus is None:
            return []
        held, component = belief.consensus.column_log_posterior[group], self.lateral.component
        if held.shape[0] != len(component):  # one column: its belief is the region's
            component = component[:1]
        found = []
        for part in component.unique().tolist():
            columns = (component == part).nonzero()[:, 0]
            posterior = held[columns.to(held.device)].mean(0).log_softmax(-1)
            best, odds = log_odds(posterior)
            named = -1 if int(best) == len(self.objects) else int(best)
            found.append(Answer(tuple(columns.tolist()), named, float(odds)))
        return found

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
        told = exchange.keep(belief, order)
        for _ in range(POLISHING):
            told, votes = exchange.votes(self, told, few, self.vote(belief, few, misses=False), "refining")
            votes = self.lateral.pool(votes)
            few = refine.step(few, votes.slope, votes.information)
        told, votes = exchange.votes(self, told, few, self.vote(belief, few), "deciding")
        votes = self.lateral.pool(votes)
        few = refine.with_evidence(few, votes.log_evidence, votes.information)
        row = few.log_evidence.argmax(1)
        at = torch.arange(len(row), device=row.device)
        pose = Pose(few.location[at, row], few.rotation[at, row])
        return exchange.spent(replace(belief, consensus=replace(belief.consensus, pose=pose)), told)

    def _beliefs_of_columns(
        self, votes: Vote, evidence: torch.Tensor, total: Vote, order: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Evidence (g, m, b) of the survivors as each column sees it, after the exchange and by itself."""
        rows = order[:, None].expand(-1, votes.log_evidence.shape[1], -1)
        own = votes.log_evidence.gather(2, rows)
        if rows.shape[1] == 1:
            return evidence[:, None], evidence[:, None]
        # the price of the pose's six numbers is paid once, for all columns
        price = (evidence - total.log_evidence.gather(1, order))[:, None]
        information = votes.information.gather(2, rows[..., None, None].expand(*rows.shape, 6, 6))
        return self.lateral.exchange(own) + price, refine.neighbourhood_evidence(own, information)[0]

    def met(self, belief: Belief) -> torch.Tensor:
        """(g, m) how many of the readings remembered by each column met something, as far as it is heeded."""
        pairs = zip(self.kinds, belief.memories, strict=True)
        met = torch.cat([kind.met(memory) for kind, memory in pairs], 1).float()
        return met if belief.heed is None else met * belief.heed

    def unknown(self, belief: Belief) -> torch.Tensor:
        """(g, m, objects) nats of what each column remembers, were it of one object that isn't known."""
        pairs = zip(self.kinds, belief.memories, strict=True)
        return torch.cat([kind.unknown(memory) for kind, memory in pairs], 1)

    def _cap(self, steps: int) -> int:
        """Poses kept after so many sensations: the fewer, the more readings there are to tell them by."""
        readings = steps * sum(kind.columns for kind in self.kinds)
        wanted = max(self.keep, (4 * self.keep) >> max(0, steps - 2))
        return max(FEWEST, min(wanted, PAIRS // readings))

    def _known(self, belief: Belief, ballot: Hypotheses, votes: torch.Tensor) -> Triple:
        """Log odds that what is there is known, of the region, the columns after and before the exchange: how much
        better the best pose, of log-likelihoods (g, m, b), explains all readings than an object would that
        isn't known, less what the best of so many gains by chance. At first a bad fit may mean that the right pose
        wasn't found yet."""
        pairs, chance = zip(self.kinds, belief.memories, strict=True), math.log(len(self.objects))
        own = torch.cat([kind.unknown(memory) for kind, memory in pairs], 1).to(votes)
        own = own if belief.heed is None else own * belief.heed.to(own)[..., None]
        chance, (met, own) = math.log(len(self.objects)), exchange.weights(self, belief)
        met, own = met.to(votes), own.to(votes)
        alone = votes - own.gather(2, ballot.obj[:, None].expand_as(votes))
        alive, overlooked = ballot.log_evidence > -math.inf, -OVERLOOKED * belief.steps

        def odds(better: torch.Tensor, met: torch.Tensor) -> torch.Tensor:
            best = torch.where(alive if better.ndim == 2 else alive[:, None], better, -math.inf).amax(-1)
            return (self.share(belief.steps) * best - chance).clamp(min=overlooked) * (met > 0)

        heard = self.lateral.heard.to(votes)
        together = odds(torch.einsum("j,gjb->gb", heard, alone), met @ heard)
        if votes.shape[1] == 1:
            return together, None, None
        return together, odds(self.lateral.exchange(alone), self.lateral.exchange(met)), odds(alone, met)

    def _agree(
        self,
        belief: Belief,
        ballot: Hypotheses,
        views: torch.Tensor,
        alone: torch.Tensor,
        known: Triple = (None, None, None),
    ) -> Consensus:
        alive = ballot.log_evidence[:, None] > -math.inf
        views, alone = (torch.where(alive, x, -math.inf) for x in (views, alone))
        pose = Pose(ballot.location, ballot.rotation)
        floors, count = self._floors(belief), len(self.objects)
        evidence = ballot.log_evidence, views, alone
        return consensus(*evidence, ballot.obj, pose, count, self.share(belief.steps), floors, belief.prior, known)

    def _floors(self, belief: Belief) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Evidence of an object if all readings were outliers: of the region, the columns after and before the
        exchange."""
        own = OUTLIER * exchange.weights(self, belief)[0]
        return own @ self.lateral.heard.to(own), self.lateral.exchange(own), own

    def _ignorant(self, belief: Belief, ballot: Hypotheses) -> Consensus:
        """Before any pose was suggested: nothing is known of the pose; of the object, that nothing known was met."""
        groups, device = len(ballot.pivot), ballot.pivot.device
        nowhere = nothing(groups, device, 1)
        flat = torch.full((groups, sum(kind.columns for kind in self.kinds), 1), -math.inf, device=device)
        return self._agree(belief, nowhere, flat, flat)
