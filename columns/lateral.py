"""The voting layer: what columns tell each other.

Columns that vote share a *ballot*: poses of objects in the world frame. For each pose a column votes a quadratic
model of its own log-evidence around it (messages.Vote): nothing about features travels, so columns of different
senses can vote together. Evidence of independent sensations adds up: four agreeing columns count as four.

Votes travel along the edges of a graph, in rounds, as mixing.py has it: every column comes to hold the mean of all
votes, m times which is their sum.
"""

from dataclasses import dataclass, field

import networkx as nx
import numpy as np
import torch
from torch import Tensor

from .messages import Vote
from .mixing import DENSE, Rounds, delayed, pushed
from .topology import checked


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
            if self.steps is not None and not self.steps.enough:
                reached = torch.from_numpy(self.steps.reached()).float()
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
