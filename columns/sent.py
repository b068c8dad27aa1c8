"""What the others know of each column: its last vote, carried along with the poses it speaks of.

A vote is a quadratic model of a column's log-evidence around a pose, L + s.x - x'Hx/2 (messages.Vote). When the pose is
moved by x (a small turn and shift), everyone who holds the model works out what it says at the new pose,

    L' = L + s.x - x'Hx/2,   s' = s - Hx,   H' = H,

and when the point about which poses are turned moves by d, x = A x' with A = [[1, 0], [[d], 1]]: s becomes A's and H
A'HA. Nothing has to be sent for that.
"""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from .evidence.hypotheses import Hypotheses, join, move, nothing
from .geometry import cross_matrix
from .messages import Pose, Vote


@dataclass(frozen=True, slots=True)
class Traffic:
    """What was sent so far, (g,) int64 each; a broadcast that reaches all others counts once.

    messages, entries, bytes : by events
    dense_messages, dense_entries, dense_bytes : had every column sent all that its region reads, every time
    """

    messages: Tensor
    entries: Tensor
    bytes: Tensor
    dense_messages: Tensor
    dense_entries: Tensor
    dense_bytes: Tensor

    def plus(self, events: tuple[Tensor, ...], dense: tuple[Tensor, ...]) -> "Traffic":
        """With more messages, entries and bytes, (g,) each."""
        now = self.messages, self.entries, self.bytes, self.dense_messages, self.dense_entries, self.dense_bytes
        return Traffic(*(a + b for a, b in zip(now, (*events, *dense), strict=True)))


@dataclass(frozen=True, slots=True)
class Known:
    """What m columns have told of b poses of each of g groups, and of themselves.

    vote : (g, m, b, ...); slope and information may lack the last rows, of poses that were only just put there: none
    met : (g, m) readings that met something
    unknown : (g, m, objects) nats, see `Column.unknown`
    """

    vote: Vote
    met: Tensor
    unknown: Tensor


@dataclass(frozen=True, slots=True)
class Sent:
    """What travelled between the columns of a region, row by row with its ballot.

    told : what each column has sent
    past : the same as it was after each of the last sensations, oldest first, as many as messages may be late
    at : the poses at which these models hold
    traffic : what it cost
    exchanges : how often votes were exchanged
    """

    told: Known
    past: tuple[Known, ...]
    at: Hypotheses
    traffic: Traffic
    exchanges: int = 0

    @classmethod
    def none(cls, groups: int, columns: int, objects: int, late: int, device: str | torch.device = "cpu") -> "Sent":
        """Nothing was sent yet."""

        def z(*shape: int) -> Tensor:
            return torch.zeros(groups, *shape, device=device)

        vote = Vote(z(columns, 0), z(columns, 0, 6), z(columns, 0, 6, 6))
        known = Known(vote, z(columns), z(columns, objects))
        return cls(known, (known,) * late, nothing(groups, device), Traffic(*(z().long() for _ in range(6))))

    def take(self, order: Tensor) -> "Sent":
        """The rows `order` (g, k) of each group."""
        told, *past = (_of_rows(known, order) for known in (self.told, *self.past))
        return replace(self, told=told, past=tuple(past), at=self.at.take(order))

    def join(self, seeds: Hypotheses, evidence: Tensor) -> "Sent":
        """With poses appended of which the columns told this log-evidence (g, m, n); of what they told before, that of
        the new poses is taken to be each column's usual."""
        usual = [k.vote.log_evidence for k in self.past]
        usual = [x.median(2, keepdim=True).values if x.shape[2] else x.new_zeros(*x.shape[:2], 1) for x in usual]
        told, *past = (
            replace(k, vote=replace(k.vote, log_evidence=torch.cat([k.vote.log_evidence, more.expand_as(evidence)], 2)))
            for k, more in zip((self.told, *self.past), (evidence, *usual), strict=True)
        )
        return replace(self, told=told, past=tuple(past), at=replace(join(self.at, seeds), pivot=self.at.pivot))

    def moved(self, motion: Pose | None) -> "Sent":
        """Carried along with the object's own motion, world frame."""
        if motion is None:
            return self
        turn = torch.block_diag(motion.rotation, motion.rotation)

        def turned(known: Known) -> Known:
            vote = known.vote
            return replace(known, vote=Vote(vote.log_evidence, vote.slope @ turn.T, turn @ vote.information @ turn.T))

        at = replace(move(self.at, motion), pivot=motion.apply(self.at.pivot))
        return replace(self, told=turned(self.told), past=tuple(map(turned, self.past)), at=at)

    def carried(self, ballot: Hypotheses) -> "Sent":
        """All models as they are at the poses of the ballot, about its pivot."""
        step, about = displacement(self.at, ballot), ballot.pivot - self.at.pivot
        if not bool(step.any()) and not bool(about.any()):
            return replace(self, at=ballot)
        told, *past = (replace(k, vote=carried(k.vote, step, about)) for k in (self.told, *self.past))
        return replace(self, told=told, past=tuple(past), at=ballot)


def _of_rows(known: Known, order: Tensor) -> Known:
    vote = known.vote
    parts = (vote.log_evidence, vote.slope, vote.information)
    return replace(known, vote=Vote(*(_rows(part, order) for part in parts)))


def _rows(x: Tensor, order: Tensor) -> Tensor:
    """Rows `order` (g, k) of x (g, m, b, ...); zeros where it has none."""
    g, m, b, *rest = x.shape
    if b == 0:
        return x.new_zeros(g, m, order.shape[1], *rest)
    index = order.clamp(max=b - 1).view(g, 1, -1, *[1] * len(rest)).expand(g, m, -1, *rest)
    there = (order < b).view(g, 1, -1, *[1] * len(rest))
    return torch.where(there, x.gather(2, index), 0.0)


def displacement(old: Hypotheses, new: Hypotheses) -> Tensor:
    """(g, b, 6) turn (radians) and shift (metres) about the old pivot from the poses of one ballot to the other's."""
    if old.rotation is new.rotation and old.location is new.location:
        return old.location.new_zeros(*old.location.shape[:-1], 6)
    rotate, about = new.rotation @ old.rotation.mT, old.pivot[:, None]
    twist = (rotate - rotate.mT) / 2
    sine = torch.stack([twist[..., 2, 1], twist[..., 0, 2], twist[..., 1, 0]], -1)
    length = sine.norm(dim=-1, keepdim=True)
    turn = sine * torch.where(length > 1e-6, length.clamp(max=1).asin() / length.clamp(min=1e-6), 1.0)
    shift = new.location - about - (rotate @ (old.location - about)[..., None])[..., 0]
    return torch.cat([turn, shift], -1)


def carried(vote: Vote, step: Tensor, about: Tensor) -> Vote:
    """What the models of a vote (g, m, b, ...) say at poses displaced by `step` (g, b, 6), for turns about a pivot that
    moved by `about` (g, 3)."""
    x = step[:, None]
    pull = (vote.information @ x[..., None])[..., 0]
    evidence = vote.log_evidence + (vote.slope * x).sum(-1) - 0.5 * (pull * x).sum(-1)
    change = torch.eye(6, device=step.device).repeat(len(about), 1, 1)
    change[:, 3:, :3] = cross_matrix(about)
    change = change[:, None, None]
    slope = (change.mT @ (vote.slope - pull)[..., None])[..., 0]
    return Vote(evidence, slope, change.mT @ vote.information @ change)
