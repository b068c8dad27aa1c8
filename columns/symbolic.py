"""The ideal observer in a world of symbols, and how it moves: exact, for many worlds and episodes at once.

An object is a symbol f_o(x) of F at each of P points, the points being the same for all objects (Hawkins, Ahmad & Cui,
Frontiers in Neural Circuits 11:81, 2017). A column that touches x feels s: the symbol there or, with probability
`noise`, one drawn from all F. Columns err independently, so a vote adds up:

    P(s | o, x) = (1 - noise) [s = f_o(x)] + noise / F        log P(o | touches) = sum log P(s | o, x) + const

With posterior w, touching a set X of points at once, whose joint symbols are s, is expected to teach

    I(X) = H(sum_o w_o P(s | o, X)) - sum_o w_o H(P(s | o, X))   nats,

the mutual information between the object and what is felt. Who touches at random needs `passive_touches`.

Shapes, throughout: w worlds, e episodes in each, n objects, p points, c columns, k sets of points to choose from, m
outcomes of touching one. Everything is float64 or int64.
"""

import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

LARGEST = 2 * 10**8
"""Numbers that predictions may hold, 1.6 GB."""
TIED = 1e-9
"""Nats, or touches: choices that differ by less are equally good."""

Vote = Callable[[Tensor], Tensor]
"""Of the evidence of each column, (w, e, c, n) nats, makes that of all, (w, e, n)."""
Feel = Callable[[Tensor], Tensor]
"""Touches points, (w, e, c), and gives what is felt there, (w, e, c) symbols."""


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


class Policy(Protocol):
    """Where to touch next.

    columns : how many points it touches at once; choices : how many numbers of luck it asks for
    """

    columns: int
    choices: int

    def __call__(self, posterior: Tensor, touched: Tensor, luck: Tensor) -> Tensor:
        """Distinct points (w, e, c), by the posterior (w, e, n), `touched` (w, e, p) and uniform numbers, luck
        (w, e, choices) in 0 ... 1, so that an episode touches the same in any batch."""
        ...


@dataclass(frozen=True, slots=True)
class Played:
    """What became of e episodes in each of w worlds.

    touches : (w, e) int64, until the object was certain or nothing was left to touch
    answer : (w, e) int64, the most probable object then; certain : (w, e) bool
    points : (t, w, e, c) int64, what was touched at each touch; -1 after the end
    """

    touches: Tensor
    answer: Tensor
    certain: Tensor
    points: Tensor


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
    return _entropy(mixed) - weights @ _entropy(predicted)


class RandomTouches:
    """Touches without a thought: `columns` distinct ones of `points`; without repeats, new ones as long as there are."""

    def __init__(self, points: int, columns: int = 1, repeats: bool = False) -> None:
        self.columns, self.choices, self.repeats = columns, points, repeats
        point_sets(points, columns)

    def __call__(self, posterior: Tensor, touched: Tensor, luck: Tensor) -> Tensor:
        last = luck if self.repeats else luck + touched
        return last.topk(self.columns, largest=False).indices


class MostInformative:
    """Touches where the expected information is largest, `columns` points at once; luck decides between equals."""

    def __init__(self, maps: SymbolMaps, columns: int = 1) -> None:
        self.columns, self.sets = columns, point_sets(maps.table.shape[2], columns)
        self.choices, self.predicted = len(self.sets), predictions(maps, self.sets)

    def __call__(self, posterior: Tensor, touched: Tensor, luck: Tensor) -> Tensor:
        return self.sets[_best(self.score(posterior), luck)]

    def score(self, posterior: Tensor) -> Tensor:
        """How good each set is to touch, (w, e, k)."""
        return information(posterior, self.predicted)


class TwoAhead(MostInformative):
    """Touches where this touch and the best one after it are expected to teach most together."""

    def score(self, posterior: Tensor) -> Tensor:
        """Nats (w, e, k) of two touches; equal posteriors are weighed once."""
        found = []
        for weights, predicted in zip(posterior, self.predicted, strict=True):
            distinct, which = weights.unique(dim=0, return_inverse=True)
            found.append(self._of_two(distinct, predicted[None])[which])
        return torch.stack(found)

    def _of_two(self, weights: Tensor, predicted: Tensor) -> Tensor:
        first = information(weights[None], predicted)[0]
        joint = torch.einsum("en,nkm->ekmn", weights, predicted[0])
        chance = joint.sum(-1)
        after = (joint / chance[..., None]).nan_to_num(0.0)
        second = information(after.flatten(0, 2)[None], predicted)[0].amax(-1).view(chance.shape)
        # of equals, the one that teaches more at once
        return first * (1.0 + 1e-6) + (chance * second).sum(-1)


class FewestLeft(MostInformative):
    """Touches where the fewest touches are expected to be left, were all later ones random and at new points.

    k objects that fit take V(k) = 1 + E V(1 + Binomial(k - 1, 1/F)) such touches, V(1) = 0: information isn't touches,
    since it values the last bit as much as the first. Without noise only (ValueError), one column.
    """

    def __init__(self, maps: SymbolMaps) -> None:
        if maps.noise:
            raise ValueError("with noise, objects aren't ruled out: take MostInformative")
        super().__init__(maps)
        self.left = torch.from_numpy(_touches_left(maps.table.shape[1], maps.features))

    def score(self, posterior: Tensor) -> Tensor:
        """Minus the touches expected to be left, (w, e, k)."""
        fits = (posterior > 0).sum(-1)[..., None, None]
        chance = (posterior @ self.predicted.flatten(2)).unflatten(-1, self.predicted.shape[2:])
        return -(chance * self.left[(chance * fits).round().long()]).sum(-1)


def touching(maps: SymbolMaps, target: Tensor, generator: torch.Generator) -> Feel:
    """The worlds themselves, to play in: objects `target` (w, e) are there to be touched."""
    which = torch.arange(len(target))[:, None, None]

    def feel(points: Tensor) -> Tensor:
        symbols = maps.table[which, target[..., None], points]
        if not maps.noise:
            return symbols
        lost = torch.rand(points.shape, generator=generator) < maps.noise
        return torch.where(lost, torch.randint(maps.features, points.shape, generator=generator), symbols)

    return feel


def play(
    maps: SymbolMaps,
    episodes: int,
    feel: Feel,
    policy: Policy,
    generator: torch.Generator,
    sure: float = 0.99,
    most: int = 200,
    vote: Vote = added,
) -> Played:
    """Touch until the posterior of an object is at least `sure`, until without noise every point was touched, or
    `most` times. Episodes that have ended go on being touched, since worlds move together; nothing comes of it."""
    belief, path = begin(maps, episodes, policy.columns), []
    while True:
        weights = posterior(belief, vote)
        certain = weights.amax(-1) >= sure
        going = ~certain & (belief.touches < most)
        if not maps.noise:
            going &= ~belief.touched.all(-1)
        if not bool(going.any()):
            break
        luck = torch.rand((*going.shape, policy.choices), generator=generator, dtype=torch.float64)
        points = policy(weights, belief.touched, luck)
        belief = _where(going, update(maps, belief, points, feel(points)), belief)
        path.append(points.masked_fill(~going[..., None], -1))
    shape = (0, *belief.touches.shape, policy.columns)
    points = torch.stack(path) if path else torch.zeros(shape, dtype=torch.int64)
    return Played(belief.touches, weights.argmax(-1), certain, points)


def passive_touches(objects: int, points: int, features: int, columns: int = 1, repeats: bool = False) -> float:
    """Exact mean of touches that `RandomTouches` takes, without noise, until the object is unique or all is touched.

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


def _touches_left(most: int, features: int) -> np.ndarray:
    """V of `FewestLeft` for 0 ... most objects that fit."""
    left, same = np.zeros(most + 1), 1.0 / features
    for k in range(2, most + 1):
        others = np.arange(k - 1)
        chance = [math.comb(k - 1, j) * same**j * (1.0 - same) ** (k - 1 - j) for j in others]
        left[k] = (1.0 + left[1 + others] @ chance) / (1.0 - same ** (k - 1))
    return left


def _entropy(chance: Tensor) -> Tensor:
    return torch.special.entr(chance).sum(-1)


def _best(score: Tensor, luck: Tensor) -> Tensor:
    tied = score >= score.amax(-1, keepdim=True) - TIED
    return torch.where(tied, luck, -1.0).argmax(-1)


def _where(going: Tensor, new: SymbolBelief, old: SymbolBelief) -> SymbolBelief:
    kept = torch.where(going[..., None, None], new.evidence, old.evidence)
    touched = torch.where(going[..., None], new.touched, old.touched)
    return replace(new, evidence=kept, touched=touched, touches=torch.where(going, new.touches, old.touches))


def _within(name: str, given: Tensor, end: int) -> None:
    if given.numel() and not 0 <= int(given.min()) <= int(given.max()) < end:
        raise ValueError(f"{name} are 0 ... {end - 1}, got {int(given.min())} ... {int(given.max())}")
