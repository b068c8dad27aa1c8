"""The voting layer: what columns tell each other, and what they agree on.

Columns that vote share a *ballot*: poses of objects in the world frame. For each pose a column votes a quadratic
model of its own log-evidence around it (messages.Vote): nothing about features travels, so columns of different
senses can vote together. Evidence of independent sensations adds up: four agreeing columns count as four.

Votes travel along the edges of a graph. Each round every column replaces what it holds by a weighted mean over itself
and its neighbours,

    x <- W x,     W_ij = 1 / (1 + max(d_i, d_j)) on edges,  W_ii = 1 - sum_j W_ij

(Metropolis weights; Xiao & Boyd, Systems & Control Letters 53, 2004). W is doubly stochastic, so x tends to the mean
of all votes, m times which is their sum, for every connected graph; on the complete graph one round is exact.
"""

import math
from dataclasses import dataclass, field

import networkx as nx
import torch
from torch import Tensor

from .messages import Consensus, Pose, Vote

TOPOLOGIES = ("all-to-all", "ring", "grid", "small-world", "random", "none")
CALIBRATED = 0.5  # share of the log odds between objects that counts; fitted, see benchmarks/LOG.md
AGREED = 0.02  # largest deviation of W^rounds from the mean that counts as agreement, relative to 1 / columns


def topology(name: str, columns: int, seed: int = 0) -> nx.Graph:
    """A graph with one node a column: all-to-all, ring, grid (nearly square), small-world (Watts-Strogatz, 4
    neighbours, p = 0.1), random (connected Erdos-Renyi) or none. Raises ValueError for another name."""
    if name not in TOPOLOGIES:
        raise ValueError(f"no topology {name!r}: choose {', '.join(TOPOLOGIES[:-1])} or none")
    if columns == 1 or name == "none":
        return nx.empty_graph(columns)
    if name == "all-to-all" or columns <= 3:
        return nx.complete_graph(columns)
    if name == "ring":
        return nx.cycle_graph(columns)
    if name == "grid":
        return _grid(columns)
    if name == "small-world":
        return nx.connected_watts_strogatz_graph(columns, min(4, columns - 1), 0.1, seed=seed)
    return _connected_random(columns, seed)


def _grid(columns: int) -> nx.Graph:
    width = math.isqrt(columns - 1) + 1
    graph = nx.empty_graph(columns)
    graph.add_edges_from((i, i + 1) for i in range(columns - 1) if (i + 1) % width)
    graph.add_edges_from((i, i + width) for i in range(columns - width))
    return graph


def _connected_random(columns: int, seed: int) -> nx.Graph:
    chance = min(1.0, 2 * math.log(columns + 1) / columns)
    for attempt in range(100):
        graph = nx.gnp_random_graph(columns, chance, seed=seed + attempt)
        if nx.is_connected(graph):
            return graph
    return nx.cycle_graph(columns)


def mixing_matrix(graph: nx.Graph) -> Tensor:
    """Metropolis weights W of a graph, (m, m) float32, rows and columns in the order of its nodes."""
    weights = torch.zeros(len(graph), len(graph), dtype=torch.float64)
    place = {node: i for i, node in enumerate(graph)}
    for a, b in graph.edges:
        if a != b:
            weight = 1 / (1 + max(graph.degree[a], graph.degree[b]))
            weights[place[a], place[b]] = weights[place[b], place[a]] = weight
    return (weights + torch.diag(1 - weights.sum(1))).float()


@dataclass(frozen=True, slots=True)
class Lateral:
    """How m columns exchange votes.

    spread : (m, m) float32, W^rounds: whose votes each column holds after the exchange
    rounds : exchanges per sensation
    edges : of the graph; each carries one message each way a round
    reached : (m,) how many columns each one hears of, itself among them
    heard : (m,) how much of each column's vote counts in the mean of what the columns hold: 1 if all hear of all
    """

    spread: Tensor
    rounds: int
    edges: int
    reached: Tensor = field(init=False)
    heard: Tensor = field(init=False)

    def __post_init__(self) -> None:
        reached = (self.spread > 1e-6).sum(1).to(self.spread)
        object.__setattr__(self, "reached", reached)
        object.__setattr__(self, "heard", (reached[:, None] * self.spread).mean(0))

    @classmethod
    def over(cls, graph: nx.Graph, rounds: int = 0) -> "Lateral":
        """Exchange over a graph; rounds = 0: as many as it needs to agree to within AGREED."""
        weights = mixing_matrix(graph)
        if rounds == 0:
            rounds = _rounds_to_agree(graph, weights)
        return cls(torch.linalg.matrix_power(weights, rounds), rounds, graph.number_of_edges())

    def exchange(self, votes: Tensor) -> Tensor:
        """What each column holds afterwards, as an estimate of the sum over its connected columns: (g, m, ...)."""
        if votes.shape[1] == 1:
            return votes
        mixed = torch.einsum("ij,gj...->gi...", self.spread.to(votes), votes)
        return mixed * self.reached.to(votes).view(1, -1, *[1] * (votes.ndim - 2))

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
        return 2 * self.edges * self.rounds


def _rounds_to_agree(graph: nx.Graph, weights: Tensor) -> int:
    if graph.number_of_edges() == 0:
        return 0
    goal = torch.zeros_like(weights)
    for part in nx.connected_components(graph):
        index = torch.tensor(sorted(list(graph).index(node) for node in part))
        goal[index[:, None], index] = 1 / len(part)
    power, rounds = weights.clone(), 1
    while float((power - goal).abs().max()) > AGREED / len(graph) and rounds < 10_000:
        power, rounds = power @ weights, rounds + 1
    return rounds


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
