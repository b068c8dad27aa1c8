"""The ideal observer in a world of symbols: exact, for many worlds and episodes at once.

An object is a symbol f_o(x) of F at each of P points, the points being the same for all objects (Hawkins, Ahmad & Cui,
Frontiers in Neural Circuits 11:81, 2017). A column that touches x feels s: the symbol there or, with probability
`noise`, one drawn from all F. Columns err independently, so a vote adds up:

    P(s | o, x) = (1 - noise) [s = f_o(x)] + noise / F        log P(o | touches) = sum log P(s | o, x) + const

With posterior w, touching a set X of points at once, whose joint symbols are s, is expected to teach

    I(X) = H(sum_o w_o P(s | o, X)) - sum_o w_o H(P(s | o, X))   nats,

the mutual information between the object and what is felt. `symbolic_policies` touches by it; how many touches it takes
at random is known exactly, see `passive_touches`.

Shapes, throughout: w worlds, e episodes in each, n objects, p points, c columns, k sets of points to choose from, m
outcomes of touching one. Everything is float64 or int64, on the CPU.
"""

import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

LARGEST = 2 * 10**8
"""Numbers that predictions may hold, 1.6 GB."""
Vote = Callable[[Tensor], Tensor]
"""Of the evidence of each column, (w, e, c, n) nats, makes that of all, (w, e, n)."""


@dataclass(frozen=True, slots=True)
class SymbolMaps:
    """What is known of the worlds. Raises ValueError where it makes no sense.

    table : (w, n, p) int64, the symbol of each object at each point, in 0 ... features - 1
    features : how many symbols there are, F; the symbol F stands for 'felt nothing'
    noise : the probability that a symbol is replaced by one drawn from all F
    """

    table: Tensor
    features: int
    noise: float = 0.0

    def __post_init__(self) -> None:
        table = self.table
        if table.ndim != 3 or table.dtype != torch.int64 or not table.numel():
            raise ValueError(f"a table is (worlds, objects, points) int64, not {tuple(table.shape)} {table.dtype}")
        if not 0 <= int(table.min()) <= int(table.max()) < self.features:
            raise ValueError(f"symbols are 0 ... {self.features - 1}, not {int(table.min())} ... {int(table.max())}")
        if not 0.0 <= self.noise <= 1.0:
            raise ValueError(f"noise is a probability, not {self.noise}")


@dataclass(frozen=True, slots=True)
class SymbolBelief:
    """What has been felt so far.

    evidence : (w, e, c, n) nats, log-likelihood of each object by what each column felt
    touched : (w, e, p) bool, points that were touched
    touches : (w, e) int64, how often the columns touched
    """

    evidence: Tensor
    touched: Tensor
    touches: Tensor


def random_maps(
    worlds: int, objects: int, points: int, features: int, generator: torch.Generator, noise: float = 0.0
) -> SymbolMaps:
    """Worlds whose symbols are independent and uniform."""
    return SymbolMaps(torch.randint(features, (worlds, objects, points), generator=generator), features, noise)


def begin(maps: SymbolMaps, episodes: int, columns: int = 1) -> SymbolBelief:
    """Nothing was felt yet."""
    worlds, objects, points = maps.table.shape
    even = torch.zeros(worlds, episodes, columns, objects, dtype=torch.float64)
    touches = torch.zeros(worlds, episodes, dtype=torch.int64)
    return SymbolBelief(even, torch.zeros(worlds, episodes, points, dtype=torch.bool), touches)


def evidence(maps: SymbolMaps, points: Tensor, symbols: Tensor) -> Tensor:
    """Log-likelihood of each object, (w, e, c, n) nats, by symbols (w, e, c) felt at points (w, e, c).

    Raises ValueError for points or symbols that aren't there."""
    _within("points", points, maps.table.shape[2])
    _within("symbols", symbols, maps.features + 1)
    which = torch.arange(len(points))[:, None, None]
    there = maps.table.transpose(1, 2)[which, points]
    rest = maps.noise / maps.features
    unlike, alike = torch.tensor([rest, 1.0 - maps.noise + rest], dtype=torch.float64).log()
    told = torch.where(there == symbols[..., None], alike, unlike)
    return told.masked_fill((symbols == maps.features)[..., None], 0.0)


def update(maps: SymbolMaps, belief: SymbolBelief, points: Tensor, symbols: Tensor) -> SymbolBelief:
    """The belief after every column c touched a point (w, e, c) and felt a symbol (w, e, c)."""
    touched = belief.touched.scatter(2, points, True)
    return SymbolBelief(belief.evidence + evidence(maps, points, symbols), touched, belief.touches + 1)


def added(by_column: Tensor) -> Tensor:
    """The exact vote: evidence (w, e, c, n) of independent columns adds up to (w, e, n)."""
    return by_column.sum(2)


def posterior(belief: SymbolBelief, vote: Vote = added) -> Tensor:
    """(w, e, n) probabilities of the objects, all alike to begin with; zeros where no object fits what was felt."""
    return torch.softmax(vote(belief.evidence), -1).nan_to_num(0.0)


def point_sets(points: int, columns: int) -> Tensor:
    """All sets of `columns` distinct points, (k, c) int64."""
    if not 1 <= columns <= points:
        raise ValueError(f"{columns} columns can't touch as many distinct ones of {points} points: take 1 ... {points}")
    return torch.tensor(list(itertools.combinations(range(points), columns)))


def predictions(maps: SymbolMaps, sets: Tensor) -> Tensor:
    """Probability of every outcome of touching each set (k, c) of distinct points, under each object: (w, n, k, m).

    An outcome is the symbols felt at once; without noise, where these are more than the objects, it is the first of
    the objects that have them. Raises ValueError where there are too many to count.
    """
    worlds, objects, _ = maps.table.shape
    outcomes = maps.features ** sets.shape[1]
    by_object = maps.noise == 0.0 and outcomes > objects
    size = worlds * objects * len(sets) * (objects if by_object else outcomes)
    if size > LARGEST:
        raise ValueError(f"{size:.0e} numbers to predict are too many: take fewer columns, or fewer worlds at once")
    if by_object:
        symbols = maps.table[:, :, sets]
        alike = (symbols[:, :, None] == symbols[:, None]).all(-1)  # (w, n, n, k)
        return torch.nn.functional.one_hot(alike.to(torch.uint8).argmax(2), objects).to(torch.float64)
    hot = torch.nn.functional.one_hot(maps.table, maps.features).to(torch.float64)
    single = (1.0 - maps.noise) * hot + maps.noise / maps.features
    joint = single[:, :, sets[:, 0]]
    for points in sets.T[1:]:
        joint = (joint[..., :, None] * single[:, :, points][..., None, :]).flatten(-2)
    return joint


def information(weights: Tensor, predicted: Tensor) -> Tensor:
    """Expected information I, (w, e, k) nats, of touching each set, by a posterior (w, e, n) and `predictions`."""
    mixed = (weights @ predicted.flatten(2)).unflatten(-1, predicted.shape[2:])
    # what noise adds is the same for every object and set
    return _entropy(mixed) - weights.sum(-1, keepdim=True) * _entropy(predicted[0, 0, 0])


def passive_touches(objects: int, points: int, features: int, columns: int = 1, repeats: bool = False) -> float:
    """Exact mean of touches at random, without noise, until the object is unique or all is touched.

    repeats : whether points of earlier touches may be touched again

    Another object agrees with this one at u distinct points with probability F^-u, so that after them it is unique
    with (1 - F^-u)^(N - 1) (Hawkins, Ahmad & Cui 2017). The number u of distinct points touched is a Markov chain:
    c distinct ones of p, independent of those before, bring j new ones with the hypergeometric probability

        C(p - u, j) C(u, c - j) / C(p, c)         (without repeats: as many new ones as there are, up to c)

    and the mean is the sum over u < p of the expected touches that begin with u times 1 - (1 - F^-u)^(N - 1).
    """
    point_sets(points, columns)
    step = np.zeros((points, points))
    for u, j in itertools.product(range(points), range(columns + 1)):
        if u + j < points:
            ways = math.comb(points - u, j) * math.comb(u, columns - j) / math.comb(points, columns)
            step[u, u + j] = ways if repeats else float(j == columns)
    visits = np.linalg.solve((np.eye(points) - step).T, np.eye(points)[0])
    shared = 1.0 - (1.0 - features ** -np.arange(points, dtype=float)) ** (objects - 1)
    return float(visits @ shared)


def _entropy(chance: Tensor) -> Tensor:
    return torch.special.entr(chance).sum(-1)


def _within(name: str, given: Tensor, end: int) -> None:
    if given.numel() and not 0 <= int(given.min()) <= int(given.max()) < end:
        raise ValueError(f"{name} are 0 ... {end - 1}, got {int(given.min())} ... {int(given.max())}")
