"""Which columns to heed: pooling that a minority of broken or lying columns can't sway.

Evidence of independent columns adds up, so one column that is sure of nonsense can outvote many. Two checks, by votes
alone, of the columns that have met something:

  - A sensation lies somewhere on an object, so it speaks for some of its poses against others. A column whose evidence
    differs far less between poses of one object than the median column's does isn't a witness.
  - Of the leading poses, the one that most columns prefer, h*, is found from bounded differences: each column can
    speak for h and against h' by BOUND nats at most (Huber's psi; P. Huber, Robust statistics, 1981),

        h* = argmax_h min_h' sum_j clip(e_j(h) - e_j(h'), -BOUND, BOUND)

    and a column that contradicts h* by more than CONTRADICTION nats isn't heeded.

The evidence of all others adds up in full, which costs hardly anything where all are sound.
"""

from dataclasses import replace

import torch
from torch import Tensor

from .evidence.hypotheses import Hypotheses, strongest
from .messages import Vote

BOUND, CONTRADICTION = 4.0, 9.0
"""Nats a sensation; fitted, see benchmarks/LOG.md."""
LEADING = 40
"""Poses that are compared in pairs."""
FLAT, ENOUGH = 0.2, 4
"""Share of the median column's difference between poses of an object; poses of it that there must be to tell."""
FEW = 3
"""Columns below which there is no majority."""


def heeded(votes: Tensor, ballot: Hypotheses, met: Tensor, objects: int) -> Tensor:
    """(g, m) 1 for columns to heed and 0 for others, by their votes (g, m, b) on a ballot; `met` (g, m) says how many
    sensations of each met something. All are heeded where fewer than FEW have met anything."""
    witness = met > 0
    if votes.shape[1] < FEW or votes.shape[2] == 0:
        return votes.new_ones(votes.shape[:2])
    alive = ballot.log_evidence > -torch.inf
    telling = _telling(votes, ballot.obj, alive, objects)
    usual = torch.where(witness, telling, torch.nan).nanmedian(1, keepdim=True).values
    doubtful = witness & (telling < FLAT * usual)
    doubtful |= witness & _contradicts(votes, ballot, witness & ~doubtful, met, objects)
    doubtful &= witness.sum(1, keepdim=True) >= FEW
    return (~doubtful).to(votes)


def weighted(vote: Vote, weight: Tensor) -> Vote:
    """Votes counted as often as their weight (g, m) says."""
    w = weight.to(vote.log_evidence)
    slope, information = vote.slope * w[..., None, None], vote.information * w[..., None, None, None]
    return Vote(vote.log_evidence * w[..., None], slope, information)


def _telling(votes: Tensor, obj: Tensor, alive: Tensor, objects: int) -> Tensor:
    """(g, m) nats by which the best pose of an object is above the mean of that object's poses, at the object where
    that is most."""
    each = obj[:, None].expand_as(votes)
    count = torch.zeros(len(obj), objects, device=votes.device).scatter_add_(1, obj, alive.float())
    shape = (*votes.shape[:2], objects)
    mean = votes.new_zeros(shape).scatter_add_(2, each, votes * alive[:, None]) / count.clamp(min=1)[:, None]
    lowest = torch.where(alive[:, None], votes, -torch.inf)
    best = votes.new_full(shape, -torch.inf).scatter_reduce_(2, each, lowest, "amax")
    return torch.where((count >= ENOUGH)[:, None], best - mean, 0.0).amax(2)


def _contradicts(votes: Tensor, ballot: Hypotheses, sound: Tensor, met: Tensor, objects: int) -> Tensor:
    """(g, m) which columns contradict what most of the sound ones prefer."""
    total = (votes * (sound | (met == 0))[..., None]).sum(1)
    known = replace(ballot, log_evidence=torch.where(ballot.log_evidence > -torch.inf, total, -torch.inf))
    order = strongest(known, LEADING, objects=objects)
    lead = votes.gather(2, order[:, None].expand(-1, votes.shape[1], -1))
    scale = met.clamp(min=1).to(votes)[..., None]  # a bound a sensation
    bound = torch.where(sound[..., None], BOUND * scale, torch.where(met[..., None] > 0, 0.0, torch.inf))
    preferred = torch.stack(
        [((lead[..., i : i + 1] - lead).clamp(-bound, bound)).sum(1).amin(1) for i in range(lead.shape[2])], 1
    )
    best = preferred.argmax(1)[:, None, None].expand(-1, votes.shape[1], 1)
    return (lead.amax(2) - lead.gather(2, best)[..., 0]) > CONTRADICTION * scale[..., 0]
