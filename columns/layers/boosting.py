"""Boosting: units that seldom win get a head start, so that every unit takes its share.

    duty <- duty + (wins / batch - duty) * min(1, batch / seen)          boost = exp(strength * (k / n - duty))

with `seen` at most `period` (S. Ahmad, L. Scheinkman 2019, "How can we be so dense?", arXiv:1903.11257). The boost
decides who wins and nothing else: outputs keep their drive. The state is explicit, so that evaluation can't change it
by accident.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from .winners import Active


class Duty(NamedTuple):
    """How often each unit wins.

    share : (n,) running mean of wins; seen : rows it was taken from, at most the period
    """

    share: Tensor
    seen: int

    @classmethod
    def begin(cls, n: int, device: torch.device | None = None) -> "Duty":
        """Nothing seen yet of n units."""
        return cls(torch.zeros(n, device=device), 0)


def boost_factors(duty: Duty, k: int, strength: float) -> Tensor:
    """exp(strength (k / n - share)) : (n,). strength 0 gives ones."""
    return torch.exp(strength * (k / len(duty.share) - duty.share))


def update_duty(duty: Duty, won: Active, period: int = 1000) -> Duty:
    """The duty after the winners of some rows, a running mean over about `period` of them.

    Raises ValueError where winners and duty are of another number of units.
    """
    n = len(duty.share)
    if won.size != n:
        raise ValueError(f"winners of {won.size} units don't fit a duty of shape {tuple(duty.share.shape)}")
    rows = won.indices.shape[:-1].numel()
    places = won.indices[won.indices >= 0].long()
    wins = torch.bincount(places, minlength=n).to(duty.share.dtype)
    seen = min(period, duty.seen + rows)
    return Duty(duty.share + (wins - rows * duty.share) / max(seen, rows, 1), seen)


def duty_entropy(duty: Duty) -> float:
    """Entropy of the units' activity as a share of its maximum, 1 where all win equally often.

    sum_i H(share_i) / (n H(mean share)) with H(p) = -p ln p - (1 - p) ln(1 - p).
    """

    def entropy(p: Tensor) -> Tensor:
        return torch.special.entr(p) + torch.special.entr(1.0 - p)

    share = duty.share.double()
    most = entropy(share.mean())
    return float(entropy(share).mean() / most) if most > 0 else 1.0
