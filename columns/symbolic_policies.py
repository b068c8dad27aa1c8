"""Where to touch next in a world of symbols, and episodes played by it, all at once.

    RandomTouches     without a thought; `symbolic.passive_touches` is its exact mean
    MostInformative   where the expected information is largest
    TwoAhead          the same of this touch and the best one after it
    FewestLeft        where the fewest touches are expected to be left

Shapes are those of `symbolic`.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from .symbolic import (
    SymbolBelief,
    SymbolMaps,
    Vote,
    added,
    begin,
    information,
    point_sets,
    posterior,
    predictions,
    update,
)

TIED = 1e-9
"""Nats, or touches: choices that differ by less are equally good."""
Feel = Callable[[Tensor], Tensor]
"""Touches points, (w, e, c), and gives what is felt there, (w, e, c) symbols."""


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


class RandomTouches:
    """Touches without a thought: `columns` distinct ones of `points`; without repeats, new ones while there are any."""

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
        if maps.noise or maps.features < 2:
            raise ValueError("FewestLeft needs two symbols or more, and no noise: take MostInformative")
        super().__init__(maps)
        self.left = torch.tensor(_touches_left(maps.table.shape[1], maps.features), dtype=torch.float64)

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


@cache
def _touches_left(most: int, features: int) -> tuple[float, ...]:
    """V of `FewestLeft` for 0 ... most objects that fit."""
    left, same = np.zeros(most + 1), 1.0 / features
    for k in range(2, most + 1):
        others = np.arange(k - 1)
        chance = [math.comb(k - 1, j) * same**j * (1.0 - same) ** (k - 1 - j) for j in others]
        left[k] = (1.0 + left[1 + others] @ chance) / (1.0 - same ** (k - 1))
    return tuple(left)


def _best(score: Tensor, luck: Tensor) -> Tensor:
    tied = score >= score.amax(-1, keepdim=True) - TIED
    return torch.where(tied, luck, -1.0).argmax(-1)


def _where(going: Tensor, new: SymbolBelief, old: SymbolBelief) -> SymbolBelief:
    kept = torch.where(going[..., None, None], new.evidence, old.evidence)
    touched = torch.where(going[..., None], new.touched, old.touched)
    return replace(new, evidence=kept, touched=touched, touches=torch.where(going, new.touches, old.touches))
