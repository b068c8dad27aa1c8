"""From evidence to belief: what is held of objects, how sure that is, and what a group agrees on.

The evidence of an object is the sum of the likelihoods of its poses, so it is a posterior over objects that columns
come to, with one entry more for 'none of those I know'. Its log odds are calibrated by how often names were right.
"""

import math

import torch
from torch import Tensor

from .messages import Consensus, Pose

CALIBRATED = 0.5  # share of the log odds between objects that counts; fitted, see benchmarks/LOG.md


def log_posterior(
    evidence: Tensor,
    obj: Tensor,
    objects: int,
    trust: float = 1.0,
    floor: Tensor | None = None,
    prior: Tensor | None = None,
    known: Tensor | None = None,
) -> Tensor:
    """Posterior over objects and 'none', nats: from hypotheses' evidence (..., b) and objects (..., b) to
    (..., objects + 1). At first every object and 'none' are as probable as the log `prior` (..., objects + 1) has it,
    or equally; of an object's evidence, summed over its poses, the share `trust` counts. No object has less than
    `floor` (...), the evidence if all readings were outliers: 0 where nothing was met.

    known : (...) log odds that the best fit is that of a known object and not of another that resembles it; without,
        'none' stands for readings that have nothing to do with each other, the evidence 0
    """
    if evidence.shape[-1] == 0:
        evidence, obj = evidence.new_full((*evidence.shape[:-1], 1), -torch.inf), obj.new_zeros((*obj.shape[:-1], 1))
    peak = evidence.amax(-1, keepdim=True).clamp(min=-1e9)
    mass = torch.zeros(*evidence.shape[:-1], objects, dtype=torch.float64, device=evidence.device)
    mass.scatter_add_(-1, obj, (evidence - peak).double().exp())
    of_object = mass.log() + peak
    if floor is not None:
        of_object = torch.maximum(of_object, floor[..., None].to(of_object))
    of_object = trust * of_object
    none = torch.zeros_like(of_object[..., :1])
    if known is not None:
        none = of_object.logsumexp(-1, keepdim=True) - known[..., None].to(of_object) - math.log(objects)
    each = torch.cat([of_object, none], -1)
    return (each if prior is None else each + prior).log_softmax(-1).clamp(min=-700.0)


def log_odds(posterior: Tensor) -> tuple[Tensor, Tensor]:
    """Best entry of a log posterior (..., n), of equals the last ('none'), and how sure it is: see `odds_of`."""
    last = posterior.shape[-1] - 1
    best = torch.where(posterior[..., -1] >= posterior.amax(-1), last, posterior.argmax(-1))
    return best, odds_of(posterior, best)


def odds_of(posterior: Tensor, entry: Tensor) -> Tensor:
    """Log odds (...), nats, of an entry (...) of a log posterior (..., n) against all others, calibrated: of the doubt
    which object it is, log odds count by CALIBRATED (a fit, as in J. Platt, Probabilistic outputs for support vector
    machines, 1999), the doubt whether it is any of them, the last entry, as it is; doubts add up."""
    objects, last = posterior[..., :-1], posterior.shape[-1] - 1
    known = objects.logsumexp(-1) - posterior[..., -1]
    at = entry[..., None].clamp(max=last - 1)
    others = objects.scatter(-1, at, -torch.inf).logsumexp(-1)
    told_apart = CALIBRATED * (objects.gather(-1, at)[..., 0] - others)
    return torch.where(entry == last, -known, -torch.logaddexp(-told_apart, -known))


def consensus(
    total: Tensor,
    views: Tensor,
    alone: Tensor,
    obj: Tensor,
    pose: Pose,
    objects: int,
    trust: float = 1.0,
    floors: tuple[Tensor | None, Tensor | None, Tensor | None] = (None, None, None),
    prior: Tensor | None = None,
    known: tuple[Tensor | None, Tensor | None, Tensor | None] = (None, None, None),
) -> Consensus:
    """What a group believes: from the ballot's summed evidence (g, b), each column's view of it after the exchange and
    its own evidence (g, m, b), the hypotheses' objects (g, b) and poses (g, b, ...). `floors` and `known` of the three:
    see log_posterior. `prior` (g, objects + 1): what was believed of the object before, log."""
    posterior = log_posterior(total, obj, objects, trust, floors[0], prior, known[0])
    best, odds = log_odds(posterior)
    after = before = posterior[:, None]
    if views.shape[1] > 1:
        each, own = obj[:, None].expand(views.shape), None if prior is None else prior[:, None]
        parts = ((views, floors[1], known[1]), (alone, floors[2], known[2]))
        after, before = (log_posterior(x, each, objects, trust, floor, own, sure) for x, floor, sure in parts)
    favoured = torch.where((obj == best[:, None]) | (best[:, None] == objects), total, -torch.inf)
    row = favoured.argmax(1)
    at = torch.arange(len(row), device=row.device)
    return Consensus(
        torch.where(best == objects, -1, best), odds, posterior,
        Pose(pose.location[at, row], pose.rotation[at, row]), after, before,
        (after.argmax(-1) == best[:, None]).double().mean(1),
    )  # fmt: skip
