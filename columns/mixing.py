"""How columns on a graph come to hold the mean of their votes, by what neighbours tell each other, round by round.

Every column holds a mean of votes, m times which is an estimate of
their sum, and each round it draws it towards what its neighbours hold, with weights

    W_ij = w_ij / (w + max(s_i, s_j)) on edges of weight w_ij (w their mean, s their sums),   W_ii = 1 - sum_j W_ij

(Metropolis weights; Xiao & Boyd, Systems & Control Letters 53, 2004). W is doubly stochastic, so the mean of all is
what any connected graph comes to. Rather than x <- W x, which takes rounds in the square of a graph's diameter, columns
remember their last round but one,

    x(k + 1) = omega_k (W x(k) - x(k - 1)) + x(k - 1),   omega_1 = 1,   omega_k+1 = 1 / (1 - sigma^2 omega_k / 4)

with omega_2 = 1 / (1 - sigma^2 / 2) and sigma W's second largest eigenvalue by size: rounds grow as the diameter
(Chebyshev's semi-iteration; Golub & Varga, Numerische Mathematik 3, 1961). On the complete graph one round is exact.

Where messages take time, columns compare what a neighbour sent with what they held themselves when it was sent,

    x_i(k + 1) = x_i(k) + gamma sum_j W_ij (x_j(k - d_ij) - x_i(k - d_ij)),   gamma = sin(pi / (4 d + 2)),

d the longest delay, which loses nothing on its way and is stable (Olfati-Saber & Murray, IEEE TAC 49, 2004, theorem 10,
in rounds). On a directed graph every column passes on shares of what it holds and of a count that starts as 1, and what
it holds over what it counts comes to the mean if everyone can be reached from everyone (push-sum; Kempe, Dobra &
Gehrke, FOCS 2003).
"""

import math
from dataclasses import dataclass

import networkx as nx
import numpy as np
from scipy.sparse import coo_array, csr_array
from scipy.sparse.linalg import eigsh

AGREED = 0.02  # largest deviation from the mean that counts as agreement, relative to 1 / columns
DENSE = 256  # columns up to which whose votes each one holds is worked out once, as a matrix
MANY_ROUNDS = 10_000


@dataclass(frozen=True, slots=True)
class Rounds:
    """Chebyshev's rounds over an undirected graph.

    weights : W, (m, m) float64
    omega : (k,) of each round
    enough : whether they were counted so that columns come to agree
    """

    weights: csr_array
    omega: np.ndarray
    enough: bool = True

    @classmethod
    def over(cls, graph: nx.Graph, component: np.ndarray, rounds: int = 0) -> "Rounds":
        """So many rounds, or 0: as many as it needs to agree. `component` (m,): which connected part each is in."""
        weights = mixing_matrix(graph)
        sigma = _second(weights, component)
        return cls(weights, _omegas(sigma, rounds or _rounds_to_agree(len(component), sigma)), enough=rounds == 0)

    def __len__(self) -> int:
        return len(self.omega)

    def reached(self) -> np.ndarray:
        """(m,) how many columns each one has heard of after all rounds, itself among them."""
        hears = links = csr_array(self.weights, dtype=bool)
        for _ in range(len(self) - 1):
            further = csr_array(links @ hears, dtype=bool)
            if further.nnz == hears.nnz:
                break
            hears = further
        return np.diff(hears.indptr)

    def mean(self, x: np.ndarray) -> np.ndarray:
        """What columns hold of (m, n) afterwards: a round costs as many products as there are edges, n times."""
        before, now = x, x
        for omega in self.omega:
            before, now = now, omega * (self.weights @ now - before) + before
        return now


def mixing_matrix(graph: nx.Graph) -> csr_array:
    """W of an undirected graph, (m, m) float64, rows and columns in the order of its nodes."""
    m, places = len(graph), {node: i for i, node in enumerate(graph)}
    ends = np.array([(places[a], places[b]) for a, b in graph.edges if a != b], dtype=np.int64).reshape(-1, 2)
    weight = np.array([about.get("weight", 1.0) for a, b, about in graph.edges(data=True) if a != b], dtype=float)
    a, b = np.concatenate([ends, ends[:, ::-1]]).T
    weight = np.concatenate([weight, weight])
    strength = np.bincount(a, weight, minlength=m)
    scale = weight.mean() if len(weight) else 1.0
    share = weight / (scale + np.maximum(strength[a], strength[b]))
    own = 1 - np.bincount(a, share, minlength=m)
    every = np.arange(m)
    parts = np.concatenate([share, own]), (np.concatenate([a, every]), np.concatenate([b, every]))
    return csr_array(coo_array(parts, shape=(m, m)))


def _second(weights: csr_array, component: np.ndarray) -> float:
    """Largest size of an eigenvalue of W, but for the 1 of each connected part."""
    m, parts = len(component), int(component.max()) + 1
    if m <= DENSE:
        return float(np.sort(np.abs(np.linalg.eigvalsh(weights.toarray())))[: m - parts].max(initial=0.0))
    belongs = csr_array((np.ones(m), (np.arange(m), component)), shape=(m, parts))
    mean = belongs @ csr_array(1 / belongs.sum(0)[:, None] * belongs.T.toarray())
    apart = weights - csr_array(mean)
    return float(abs(eigsh(apart, k=1, which="LM", return_eigenvectors=False)[0]))


def _rounds_to_agree(columns: int, sigma: float) -> int:
    """k with 1 / T_k(1 / sigma), what is left of disagreement after k rounds, at most AGREED / columns."""
    if sigma < 1e-9:
        return 1
    return min(MANY_ROUNDS, math.ceil(math.acosh(columns / AGREED) / math.acosh(1 / min(sigma, 1 - 1e-9))))


def _omegas(sigma: float, rounds: int) -> np.ndarray:
    omega = [1.0, 1 / (1 - sigma**2 / 2)]
    while len(omega) < rounds:
        omega.append(1 / (1 - sigma**2 * omega[-1] / 4))
    return np.array(omega[:rounds])


def _far_from(held: np.ndarray, component: np.ndarray) -> float:
    """How far what columns hold (m, m) is from the mean of their part."""
    parts = component
    goal = (parts[:, None] == parts[None]) / np.bincount(parts)[parts][:, None]
    return float(np.abs(held - goal).max()) * len(parts)


def delayed(graph: nx.Graph, rounds: int, component: np.ndarray) -> tuple[np.ndarray, int]:
    """What columns hold after rounds in which messages take time, and how many rounds."""
    m, longest = len(graph), max(delay for *_, delay in graph.edges(data="delay"))
    _bounded(m, "with delays")
    gamma, weights = math.sin(math.pi / (4 * longest + 2)), mixing_matrix(graph).toarray()
    by_delay = np.zeros((longest + 1, m, m))
    for a, b, delay in graph.edges(data="delay"):
        by_delay[delay, a, b] = by_delay[delay, b, a] = gamma * weights[a, b]
    flow = by_delay - np.eye(m) * by_delay.sum(2)[:, :, None]
    past = [np.eye(m)]
    for k in range(rounds or MANY_ROUNDS):
        if rounds == 0 and _far_from(past[0], component) <= AGREED:
            return past[0], k
        sent = sum(flow[d] @ past[d] for d in range(min(k, longest) + 1))
        past = [past[0] + sent, *past[:longest]]
    return past[0], rounds or MANY_ROUNDS


def pushed(graph: nx.Graph, rounds: int, component: np.ndarray) -> tuple[np.ndarray, int]:
    """What columns hold after rounds of push-sum over directed edges, and how many rounds."""
    m = len(graph)
    _bounded(m, "directed")
    if any(delay for *_, delay in graph.edges(data="delay")):
        raise ValueError("directed edges have no delays here: use an undirected graph, or edges without delay")
    share = nx.to_numpy_array(graph, nodelist=range(m), weight="weight") + np.eye(m)
    share = (share / share.sum(1, keepdims=True)).T
    held, closed = np.eye(m), int(component.max()) == 0
    for k in range(rounds or MANY_ROUNDS):
        mean = held / held.sum(1, keepdims=True)
        if rounds == 0 and ((closed and _far_from(mean, component) <= AGREED) or k > 4 * m + 100):
            return mean, k
        held = share @ held
    return held / held.sum(1, keepdims=True), rounds or MANY_ROUNDS


def _bounded(columns: int, kind: str) -> None:
    if columns > DENSE:
        raise ValueError(f"graphs {kind} join {DENSE} columns at most, not {columns}: leave that out, or take fewer")
