"""The voting layer: what columns tell each other, and what they agree on.

Columns that vote share a *ballot*: poses of objects in the world frame. For each pose a column votes a quadratic
model of its own log-evidence around it (messages.Vote): nothing about features travels, so columns of different
senses can vote together. Evidence of independent sensations adds up: four agreeing columns count as four.

Votes travel along the edges of a graph, in rounds, as mixing.py has it: every column comes to hold the mean of all
votes, m times which is their sum.
"""

import math
from dataclasses import dataclass, field

import networkx as nx
import numpy as np
import torch
from torch import Tensor

from .messages import Consensus, Pose, Vote
from .mixing import DENSE, Rounds, delayed, mixing_matrix, pushed
from .topology import TOPOLOGIES, checked, topology

CALIBRATED = 0.5  # share of the log odds between objects that counts; fitted, see benchmarks/LOG.md

__all__ = ["TOPOLOGIES", "Lateral", "consensus", "log_odds", "log_posterior", "mixing_matrix", "topology"]


@dataclass(frozen=True, slots=True)
class Lateral:
    """How m columns exchange votes.

    columns : m
    rounds : exchanges per sensation
    edges : of the graph; each carries one message each way a round (one, if it is directed)
    directed : whether it is
    spread : (m, m) float32, whose votes each column holds as its mean after the exchange; None: it is worked out anew,
        by `steps`, since there are many columns, or all hear of all
    steps : the rounds; None where all hear of all
    component : (m,) which of the connected parts of the graph each column is in
    reached : (m,) how many columns each one hears of, itself among them
    heard : (m,) how much of each column's vote counts in the mean of what the columns hold: 1 if all hear of all
    """

    columns: int
    rounds: int
    edges: int
    directed: bool
    spread: Tensor | None
    steps: Rounds | None
    component: Tensor
    reached: Tensor = field(init=False)
    heard: Tensor = field(init=False)

    def __post_init__(self) -> None:
        if self.spread is not None:
            reached = (self.spread.abs() > 1e-6).sum(1).float()
            heard = (reached[:, None] * self.spread).mean(0)
        else:
            reached = torch.bincount(self.component)[self.component].float()
            heard = self._mean(reached[None])[0] / self.columns  # W is symmetric, and so is what it makes of votes
        object.__setattr__(self, "reached", reached)
        object.__setattr__(self, "heard", heard)

    @classmethod
    def all_to_all(cls, columns: int) -> "Lateral":
        """Every column hears every other: exact in one round, without a graph of all pairs."""
        if columns < 1:
            raise ValueError(f"a region needs one column or more, not {columns}")
        together = torch.zeros(columns, dtype=torch.int64)
        edges = columns * (columns - 1) // 2
        return cls(columns, min(edges, 1), edges, False, None, None, together)

    @classmethod
    def over(cls, graph: nx.Graph, rounds: int = 0) -> "Lateral":
        """Exchange over a graph of columns 0 ... m - 1; rounds = 0: as many as it needs to agree to within AGREED.

        Raises ValueError for a graph that `topology.checked` refuses, for delays on directed edges, and for directed
        graphs of more columns than DENSE."""
        graph = checked(graph, len(graph))
        m, edges = len(graph), graph.number_of_edges()
        component = _components(graph)
        delays = any(delay for *_, delay in graph.edges(data="delay"))
        if graph.is_directed() or delays:
            travel = pushed if graph.is_directed() else delayed
            spread, rounds = travel(graph, rounds, component)
            return cls(m, rounds, edges, graph.is_directed(), torch.from_numpy(spread).float(), None, _ints(component))
        weights = {weight for *_, weight in graph.edges(data="weight")}
        if edges == m * (m - 1) // 2 > 0 and len(weights) == 1 and rounds <= 1:
            return cls.all_to_all(m)
        steps = Rounds.over(graph, component, rounds)
        spread = torch.from_numpy(steps.mean(np.eye(m))).float() if m <= DENSE else None
        return cls(m, len(steps) if edges else 0, edges, False, spread, steps, _ints(component))

    def _mean(self, votes: Tensor) -> Tensor:
        """What each column holds as its mean, (g, m, ...)."""
        if self.spread is not None:
            return torch.einsum("ij,gj...->gi...", self.spread.to(votes), votes)
        if self.steps is None:
            return votes.mean(1, keepdim=True).expand_as(votes)
        flat = votes.transpose(0, 1).reshape(self.columns, -1)
        mixed = torch.from_numpy(self.steps.mean(flat.double().cpu().numpy()))
        return mixed.to(votes).view(self.columns, len(votes), *votes.shape[2:]).transpose(0, 1)

    def exchange(self, votes: Tensor) -> Tensor:
        """What each column holds afterwards, as an estimate of the sum over its connected columns: (g, m, ...)."""
        if votes.shape[1] == 1:
            return votes
        if votes.shape[1] != self.columns:
            raise ValueError(f"votes of {votes.shape[1]} columns, but the graph joins {self.columns}")
        return self._mean(votes) * self.reached.to(votes).view(1, -1, *[1] * (votes.ndim - 2))

    def pool(self, vote: Vote) -> Vote:
        """The mean of what the columns hold after the exchange, (g, ...): where all hear of all, the sum of all votes;
        where nobody hears of anybody, the mean vote, which is no surer than a column alone."""

        def over_columns(x: Tensor) -> Tensor:
            if x.shape[1] == 1:
                return x[:, 0]
            return torch.einsum("j,gj...->g...", self.heard.to(x), x)

        return Vote(over_columns(vote.log_evidence), over_columns(vote.slope), over_columns(vote.information))

    def messages_sent(self) -> int:
        """Messages per ballot and sensation."""
        return (1 if self.directed else 2) * self.edges * self.rounds


def _components(graph: nx.Graph) -> np.ndarray:
    """(m,) the number of the part of the graph that a column is in: of those who all hear of each other."""
    strongly = isinstance(graph, nx.DiGraph)
    parts = nx.strongly_connected_components(graph) if strongly else nx.connected_components(graph)
    component = np.zeros(len(graph), np.int64)
    for k, part in enumerate(sorted(map(sorted, parts))):
        component[part] = k
    return component


def _ints(numbers: np.ndarray) -> Tensor:
    return torch.from_numpy(numbers)


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
