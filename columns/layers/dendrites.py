"""Active dendrites: a context decides which units take part, and only the segment that recognised it learns.

    d_is = u_is . c        s* = argmax_s |d_is|        y_i = t_i sigmoid(d_is*)

for the drive t of unit i, its segments u_i1 ... u_iS and the context c (A. Iyer, K. Grewal, A. Velu, L. O. Souza,
J. Forest, S. Ahmad 2022, "Avoiding catastrophe: active dendrites enable multi-task learning in dynamic environments",
Frontiers in Neurorobotics 16:846219). Winners of y come after it. The derivative reaches the segment s* alone, so what
other segments know of other contexts stays as it was. Without gradients the same segment learns by the instar rule

    u_is* <- u_is* + rate w_i (c - u_is*)          w_i : how much unit i won in this context

(S. Grossberg 1976, "Adaptive pattern classification and universal recoding I", Biological Cybernetics 23:121). Segments
cost S x units x |c| multiply-adds: they are taken once for each distinct context, not for each row.
"""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from . import counters


class Gate(NamedTuple):
    """What m contexts do to n units.

    factor : (m, n) in 0 ... 1, of the drive; segment : (m, n) int64, the segment that recognised the context
    """

    factor: Tensor
    segment: Tensor


def distinct(contexts: Tensor) -> tuple[Tensor, Tensor]:
    """The rows of contexts : (rows, d) that differ, (m, d), and which of them every row is, (rows,) int64.

    Rows that gradients flow to are all kept, since each wants its own.
    """
    rows = len(contexts)
    if rows <= 1 or (contexts.requires_grad and torch.is_grad_enabled()):
        return contexts, torch.arange(rows, device=contexts.device)
    if bool((contexts == contexts[:1]).all()):
        return contexts[:1], torch.zeros(rows, dtype=torch.int64, device=contexts.device)
    return torch.unique(contexts, dim=0, return_inverse=True)


def recognise(segments: Tensor, contexts: Tensor) -> Gate:
    """The gates of contexts : (m, d), by segments : (n, S, d). Among equals the segment with the lowest index wins.

    Raises ValueError where shapes don't fit.
    """
    _check(segments, contexts)
    if counters.LISTENERS:
        on, reads = int((contexts != 0).sum()), len(contexts) * segments.numel()
        size = segments.element_size()
        shape = len(contexts), on, contexts.shape[1], reads, segments[..., 0].numel()
        counters.note_product("dendrites", *shape, (size, 0))
    answers = (contexts @ segments.flatten(0, 1).mT).unflatten(-1, segments.shape[:2])  # (m, n, S)
    segment = answers.detach().abs().argmax(-1)
    return Gate(answers.gather(-1, segment.unsqueeze(-1)).squeeze(-1).sigmoid(), segment)


def learn_locally(segments: Tensor, contexts: Tensor, gate: Gate, wins: Tensor, rate: float) -> Tensor:
    """The segments after the instar rule, (n, S, d); those that recognised nothing, or whose unit didn't win, stay.

    wins : (m, n) >= 0, how much each unit won in each context; rate : in (0, 1]. Changes of a segment that recognised
    several contexts add up, but never beyond their weighted mean.

    Raises ValueError where shapes don't fit, and for a rate outside (0, 1].
    """
    _check(segments, contexts)
    if wins.shape != gate.segment.shape or not 0.0 < rate <= 1.0:
        raise ValueError(
            f"needs wins of shape {tuple(gate.segment.shape)} and a rate in (0, 1], but wins are of shape "
            f"{tuple(wins.shape)} and the rate is {rate}"
        )
    segments, wins = segments.detach(), wins.detach().to(segments.dtype)
    share = rate * wins.new_zeros(*wins.shape, segments.shape[1]).scatter_(
        -1, gate.segment.unsqueeze(-1), wins[..., None]
    )
    total = share.sum(0)  # (n, S)
    share = share / total.clamp_min(1.0)
    pull = (share.flatten(1).mT @ contexts.detach()).unflatten(0, segments.shape[:2])
    return segments + pull - share.sum(0).unsqueeze(-1) * segments


def _check(segments: Tensor, contexts: Tensor) -> None:
    if segments.ndim != 3 or contexts.ndim != 2 or contexts.shape[1] != segments.shape[2] or not segments.numel():
        raise ValueError(
            f"segments (units, segments, d) take contexts (m, d), but the shapes are {tuple(segments.shape)} and "
            f"{tuple(contexts.shape)}; a single context is given as context.unsqueeze(0)"
        )


class ActiveDendrites(nn.Module):
    """Gates the drive of `units` by contexts of `context_features`, with so many segments a unit.

    seed : of the segments, drawn uniformly within 1 / sqrt(context_features). Raises ValueError for sizes below 1.
    """

    def __init__(self, units: int, context_features: int, segments: int, seed: int = 0) -> None:
        super().__init__()
        if min(units, context_features, segments) < 1:
            raise ValueError(
                f"needs at least one of each, but units, features, segments are {units, context_features, segments}"
            )
        generator = torch.Generator().manual_seed(seed)
        drawn = 2.0 * torch.rand(units, segments, context_features, generator=generator) - 1.0
        self.segments = nn.Parameter(drawn / context_features**0.5)

    def forward(self, drive: Tensor, context: Tensor, which: Tensor | None = None) -> Tensor:
        """drive : (rows, units) -> the same, gated.

        context : (d,) for all rows, or (rows, d), of which equal ones are taken once; or, with which : (rows,) int, the
        m contexts (m, d) that it points to. Raises ValueError where shapes don't fit.
        """
        if which is None:
            context, which = distinct(context.unsqueeze(0).expand(len(drive), -1) if context.ndim == 1 else context)
        if drive.shape != (len(which), len(self.segments)):
            raise ValueError(
                f"a drive of shape {tuple(drive.shape)} doesn't fit {len(self.segments)} units and contexts of "
                f"{len(which)} rows"
            )
        return drive * recognise(self.segments, context).factor[which.long()]

    @torch.no_grad()
    def learn(self, context: Tensor, wins: Tensor, rate: float = 0.1) -> None:
        """Learns by the local rule, without gradient. context : (rows, d); wins : (rows, units) >= 0, such as 1 where a
        unit is among the winners. Raises ValueError as `learn_locally`."""
        contexts, which = distinct(context.detach())
        each = wins.new_zeros(len(contexts), wins.shape[-1]).index_add_(0, which, wins)
        gate = recognise(self.segments, contexts)
        self.segments.copy_(learn_locally(self.segments, contexts, gate, each, rate))

    def extra_repr(self) -> str:
        """What print shows."""
        units, segments, features = self.segments.shape
        return f"{units}, context_features={features}, segments={segments}"
