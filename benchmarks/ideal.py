"""An observer that gives up no pose: every node of every map, turned every way, laid on several readings.

    all seeds -> weighed by all that is remembered -> refined -> evidence of each object, over all its poses

It uses the columns' own likelihood, and nothing else of how they search: no sieve, no survivors. The evidence of an
object is an integral over poses. Each hypothesis has Laplace's approximation of it in its own neighbourhood, a
Gaussian q_i around the pose; where neighbourhoods overlap the integral is shared out,

    E = sum_i  E_i / sum_j q_j(pose_i),

so that neither a flat region counted by many nor a sharp peak found by many is counted twice.

Nothing is dropped that could matter; work is saved like this: while a hypothesis lies more than IN_RANGE nats behind
the best of its own object it is only weighed, reading by reading, and refined as soon as it comes nearer; one that
has come to lie BEHIND the best of all is let go, since it takes some fifteen contrary readings in a row to return;
and of two within a twentieth of a radian or so and a few millimetres (`without_repeats`) the better one is kept.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from cortical.columns import judging
from cortical.columns.belief import Belief
from cortical.columns.evidence import refine
from cortical.columns.evidence.column import EvidenceColumn
from cortical.columns.evidence.compiled import refine as compiled
from cortical.columns.evidence.hypotheses import Hypotheses, join, nothing, seed, turn_angle, without_repeats
from cortical.columns.evidence.memory import HIT, Memory
from cortical.columns.messages import Sensation, Vote
from cortical.columns.region import Region

READINGS = 2  # that met something, before anything is worked out: one doesn't reach the odds
LAID = 250_000  # hypotheses weighed at once
SHARP, NEAR = 256, 10.0  # of each object, so many of the best poses, and nats behind, are refined further
STILL = 3  # steps
LOCKED = 1e12


@dataclass(frozen=True)
class Space:
    """The poses there are.

    free : (6,) bool, small turns and shifts, world axes, that lead to other possible poses
    log_volume : of the possible poses, radians and metres
    hold : the nearest possible poses of those laid, impossible ones with log_evidence = -inf
    """

    free: np.ndarray
    log_volume: float
    hold: Callable[[Hypotheses], Hypotheses]

    @property
    def damping(self) -> np.ndarray:
        """Of a refinement that keeps a hypothesis in its own neighbourhood, and in this space, (6,)."""
        return np.where(self.free, refine.DAMPING, LOCKED)

    def mass(self, half_log_det: Tensor) -> Tensor:
        """Log share of the volume of neighbourhoods with this half log determinant of the damped information."""
        locked = 0.5 * math.log(LOCKED) * float((~self.free).sum())
        return 0.5 * self.free.sum() * math.log(2 * math.pi) - (half_log_det - locked) - self.log_volume


def _anywhere(laid: Hypotheses) -> Hypotheses:
    return laid


EVERYWHERE = Space(np.ones(6, bool), refine.LOG_VOLUME, _anywhere)


@dataclass(frozen=True)
class Thrift:
    """What is not worked out: poses further than `in_range` nats behind their object's best are not refined, further
    than `behind` of the best of all let go; everything is laid on so many `anchors`."""

    in_range: float = 12.0
    behind: float = 60.0
    anchors: int = 2


@dataclass(frozen=True)
class Observer:
    """What it remembers and all that it holds possible, of one episode.

    objects : the best pose of each object with the evidence of all its poses; None before anything was worked out
    """

    column: EvidenceColumn
    memory: Memory
    pool: Hypotheses
    space: Space = EVERYWHERE
    thrift: Thrift = Thrift()
    objects: Hypotheses | None = None

    @classmethod
    def of(cls, column: EvidenceColumn, space: Space = EVERYWHERE, thrift: Thrift | None = None) -> "Observer":
        """Before the first sensation; `column` is one column."""
        column = replace(column, remember=10_000)
        return cls(column, column.begin(), nothing(1), space, thrift or Thrift())

    def sense(self, sensation: Sensation) -> "Observer":
        """With one more sensation (1, 1). Nothing is worked out before READINGS have met something."""
        memory = self.column.sense(self.memory, sensation)
        met = memory.kind[0, 0] == HIT
        seen = replace(self, memory=memory)
        if int(met.sum()) < READINGS:
            return seen
        pool = replace(self.pool, pivot=memory.pivot())
        if len(pool):
            gained = self.column.vote(memory.last(), pool, False).log_evidence[:, 0]
            pool = replace(pool, log_evidence=pool.log_evidence + gained)
        if not len(pool):
            for anchor in torch.nonzero(met)[: self.thrift.anchors, 0].tolist():
                pool = join(pool, self._laid(memory, anchor))
        return seen._settled(replace(pool, pivot=memory.pivot()), bool(met[-1]))

    def _laid(self, memory: Memory, anchor: int) -> Hypotheses:
        """Every node of every object, turned every way, on one reading, weighed by all of them."""
        atlas, parts = self.column.atlas, []
        turns = atlas.turns
        node = torch.repeat_interleave(torch.arange(len(atlas.rows)), turns)
        turn = torch.arange(len(node)) - (turns.cumsum(0) - turns)[node]
        angle = turn_angle(turn, turns[node])
        for some, how in zip(node.split(LAID), angle.split(LAID), strict=True):
            laid = seed(atlas, memory.numbers[0, 0, anchor : anchor + 1], [(some, how, torch.zeros(len(some)))])
            laid = self.space.hold(replace(laid, pivot=memory.pivot()))
            weighed = self.column.vote(memory, laid, False).log_evidence[:, 0] + self._prior_mass(laid)
            parts.append(replace(laid, log_evidence=torch.where(laid.log_evidence > -math.inf, weighed, -math.inf)))
        whole = parts[0]
        for part in parts[1:]:
            whole = join(whole, part)
        return whole

    def _prior_mass(self, laid: Hypotheses) -> Tensor:
        free = torch.from_numpy(self.space.free).float()
        sd = laid.turn_sd.log() * free[:3].sum() + laid.shift_sd.log() * free[3:].sum()
        return sd + 0.5 * free.sum() * math.log(2 * math.pi) - self.space.log_volume

    def _settled(self, pool: Hypotheses, refine_them: bool) -> "Observer":
        """With poses refined, unless the newest reading met nothing, which tells no way to go."""
        pool = self._hopeful(pool)
        if refine_them:
            near = self._behind_own(pool)[0] < self.thrift.in_range
            refined = self._refined(_rows(pool, near), 2 if len(self.pool) == 0 else 1)
            pool = self._hopeful(join(refined, _rows(pool, ~near)))
        return replace(self, pool=pool, objects=self._over_poses(pool))

    def _hopeful(self, pool: Hypotheses) -> Hypotheses:
        """Those not hopelessly behind, without repeats."""
        pool = without_repeats(pool)
        return _rows(pool, pool.log_evidence[0] > pool.log_evidence.amax() - self.thrift.behind)

    def _behind_own(self, pool: Hypotheses) -> Tensor:
        """(1, b) nats behind the best pose of the same object."""
        best = torch.full((1, len(self.column.atlas.names)), -math.inf)
        best = best.scatter_reduce(1, pool.obj, pool.log_evidence, "amax")
        return best.gather(1, pool.obj) - pool.log_evidence

    def _refined(self, some: Hypotheses, steps: int, sharp: bool = False) -> Hypotheses:
        """After so many Gauss-Newton steps, each taken where it raises the evidence. `sharp`: of the pose itself, not
        blurred by how sure it is."""
        here, votes = self._weighed(some, sharp)
        for _ in range(steps):
            parts = here.rotation, here.location, here.pivot
            turned, moved = compiled.step(*parts, votes.slope[:, 0], votes.information[:, 0], self.space.damping)
            there, others = self._weighed(replace(here, rotation=turned, location=moved), sharp)
            better = there.log_evidence > here.log_evidence
            here, votes = _chosen(better, there, here), _voted(better, others, votes)
        return here

    def _weighed(self, some: Hypotheses, sharp: bool) -> tuple[Hypotheses, Vote]:
        """The evidence of each neighbourhood, and the votes for it."""
        if sharp:
            some = replace(some, turn_sd=torch.zeros_like(some.turn_sd), shift_sd=torch.zeros_like(some.shift_sd))
        votes = self.column.vote(self.memory, some)
        half, turn_sd, shift_sd = compiled.neighbourhood(votes.information[:, 0], self.space.damping)
        evidence = votes.log_evidence[:, 0] + self.space.mass(half)
        return replace(some, log_evidence=evidence, turn_sd=turn_sd, shift_sd=shift_sd), votes

    def _over_poses(self, pool: Hypotheses) -> Hypotheses:
        """Of each object that is left the best pose, with the evidence of all of them."""
        found = [self._of_one(_rows(pool, pool.obj[0] == k)) for k in pool.obj.unique().tolist()]
        whole = found[0]
        for one in found[1:]:
            whole = join(whole, one)
        return whole

    def _of_one(self, mine: Hypotheses) -> Hypotheses:
        order = mine.log_evidence.argsort(dim=1, descending=True)
        near = int((mine.log_evidence > mine.log_evidence.amax() - NEAR).sum().clamp(max=SHARP))
        best = self._refined(mine.take(order[:, :near]), STILL, sharp=True)
        shared = _shared(best).log()
        total = (best.log_evidence[0] - shared).logsumexp(0)
        if order.shape[1] > near:
            rest = mine.log_evidence[0, order[0, near:]] - shared.mean()
            total = torch.logaddexp(total, rest.logsumexp(0))
        return replace(best.take(best.log_evidence.argmax(1, keepdim=True)), log_evidence=total[None, None])

    @property
    def evidence(self) -> Tensor:
        """(o,) nats of each object, over all its poses; -inf for one of which none is left."""
        nats = torch.full((len(self.column.atlas.names),), -math.inf)
        return nats if self.objects is None else nats.scatter(0, self.objects.obj[0], self.objects.log_evidence[0])

    def odds(self, region: Region) -> tuple[int, float]:
        """The best object (-1: none of those known), and its log odds, by the region's own rule from evidence to odds.
        `region` is one of this column."""
        if self.objects is None:
            return -1, -math.inf
        belief = Belief((self.memory,), self.objects, steps=self.memory.steps)
        votes, own = region.vote(belief, self.objects).log_evidence, self.objects.log_evidence[:, None]
        known = judging.known(region, belief, self.objects, votes)
        consensus = judging.agree(region, belief, self.objects, own, own, known)
        return int(consensus.object_index[0]), float(consensus.log_odds[0])


def _rows(pool: Hypotheses, keep: Tensor) -> Hypotheses:
    return pool.take(torch.nonzero(keep)[None, :, 0])


def _chosen(better: Tensor, there: Hypotheses, here: Hypotheses) -> Hypotheses:
    names = ("rotation", "location", "log_evidence", "turn_sd", "shift_sd")
    return replace(here, **{name: _either(better, getattr(there, name), getattr(here, name)) for name in names})


def _voted(better: Tensor, there: Vote, here: Vote) -> Vote:
    names = ("log_evidence", "slope", "information")
    return Vote(*(_either(better[:, None], getattr(there, name), getattr(here, name)) for name in names))


def _either(better: Tensor, there: Tensor, here: Tensor) -> Tensor:
    return torch.where(better.reshape(*better.shape, *[1] * (there.ndim - better.ndim)), there, here)


def _shared(best: Hypotheses) -> Tensor:
    """(b,) how many neighbourhoods, its own among them, each pose lies in."""
    at = (best.rotation.transpose(-1, -2) @ (best.pivot[:, None] - best.location)[..., None])[0, :, :, 0]
    turned = torch.cdist(best.rotation[0].flatten(1), best.rotation[0].flatten(1)).square() / 2
    shifted = torch.cdist(at, at).square()
    return (-0.5 * (turned / refine.OWN_TURN**2 + shifted / refine.OWN_SHIFT**2)).exp().sum(1)
