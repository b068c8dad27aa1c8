"""What a region makes of its votes: which object and pose, how sure of it, and whether it is one it knows at all.

Each is worked out three times: for the region as a whole, for each column after the exchange, and for each by itself.
"""

import math
from typing import TYPE_CHECKING, NamedTuple

import torch

from . import exchange
from .belief import Belief
from .evidence import refine
from .evidence.hypotheses import Hypotheses, nothing
from .messages import Consensus, Pose, Vote
from .posterior import consensus, log_odds

if TYPE_CHECKING:
    from .region import Region

OUTLIER = math.log(0.03)  # nats of a reading that no pose explains
OVERLOOKED = 0.2  # nats a sensation by which it gets less likely that a known object's pose wasn't found yet
Triple = tuple[torch.Tensor | None, torch.Tensor | None, torch.Tensor | None]


class Answer(NamedTuple):
    """What connected columns agree on: they, the object's index (-1: none of those known) and its log odds, nats."""

    columns: tuple[int, ...]
    object_index: int
    log_odds: float


def agree(
    region: "Region",
    belief: Belief,
    ballot: Hypotheses,
    views: torch.Tensor,
    alone: torch.Tensor,
    known: Triple = (None, None, None),
) -> Consensus:
    """The consensus on a ballot, as each column sees it after the exchange and by itself, (g, m, b) nats; `known`: log
    odds that what is there is known."""
    alive = ballot.log_evidence[:, None] > -math.inf
    views, alone = (torch.where(alive, x, -math.inf) for x in (views, alone))
    pose = Pose(ballot.location, ballot.rotation)
    evidence = ballot.log_evidence, views, alone
    trust, floors, count = region.share(belief.steps), _floors(region, belief), len(region.objects)
    return consensus(*evidence, ballot.obj, pose, count, trust, floors, belief.prior, known)


def ignorant(region: "Region", belief: Belief) -> Consensus:
    """Before any pose was suggested: nothing is known of the pose; of the object, that nothing known was met."""
    groups, device = len(belief.ballot.pivot), belief.ballot.pivot.device
    flat = torch.full((groups, region.lateral.columns, 1), -math.inf, device=device)
    return agree(region, belief, nothing(groups, device, 1), flat, flat)


def _floors(region: "Region", belief: Belief) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Evidence of an object if all readings were outliers."""
    own = OUTLIER * exchange.weights(region, belief)[0]
    return own @ region.lateral.heard.to(own), region.lateral.exchange(own), own


def known(region: "Region", belief: Belief, ballot: Hypotheses, votes: torch.Tensor) -> Triple:
    """Log odds that what is there is known: how much better the best pose, of log-likelihoods (g, m, b), explains all
    readings than an object would that isn't known, less what the best of so many gains by chance. At first a bad fit
    may mean that the right pose wasn't found yet."""
    lateral, (met, own) = region.lateral, (x.to(votes) for x in exchange.weights(region, belief))
    better = votes - own.gather(2, ballot.obj[:, None].expand_as(votes))
    alive, chance = ballot.log_evidence > -math.inf, math.log(len(region.objects))
    share, overlooked = region.share(belief.steps), -OVERLOOKED * belief.steps

    def odds(better: torch.Tensor, met: torch.Tensor) -> torch.Tensor:
        best = torch.where(alive if better.ndim == 2 else alive[:, None], better, -math.inf).amax(-1)
        return (share * best - chance).clamp(min=overlooked) * (met > 0)

    heard = lateral.heard.to(votes)
    together = odds(torch.einsum("j,gjb->gb", heard, better), met @ heard)
    if votes.shape[1] == 1:
        return together, None, None
    return together, odds(lateral.exchange(better), lateral.exchange(met)), odds(better, met)


def by_column(
    region: "Region", votes: Vote, evidence: torch.Tensor, total: Vote, order: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Evidence (g, m, b) of the survivors, the rows `order` of a ballot, as each column sees it, after the exchange and
    by itself."""
    rows = order[:, None].expand(-1, votes.log_evidence.shape[1], -1)
    own = votes.log_evidence.gather(2, rows)
    if rows.shape[1] == 1:
        return evidence[:, None], evidence[:, None]
    # the price of the pose's six numbers is paid once, for all columns
    price = (evidence - total.log_evidence.gather(1, order))[:, None]
    information = votes.information.gather(2, rows[..., None, None].expand(*rows.shape, 6, 6))
    return region.lateral.exchange(own) + price, refine.neighbourhood_evidence(own, information)[0]


def answers(region: "Region", belief: Belief, group: int = 0) -> list[Answer]:
    """What each connected part of the graph of columns answers by itself; one answer if all hear of all."""
    if belief.consensus is None:
        return []
    held, component = belief.consensus.column_log_posterior[group], region.lateral.component
    if held.shape[0] != len(component):  # one column: its belief is the region's
        component = component[:1]
    found = []
    for part in component.unique().tolist():
        columns = (component == part).nonzero()[:, 0]
        posterior = held[columns.to(held.device)].mean(0).log_softmax(-1)
        best, odds = log_odds(posterior)
        named = -1 if int(best) == len(region.objects) else int(best)
        found.append(Answer(tuple(columns.tolist()), named, float(odds)))
    return found
