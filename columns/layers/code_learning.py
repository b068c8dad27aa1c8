"""Learning a code of patches from one's own sensations, without labels.

    descriptor d -> phases p = cos(W d + b) -> less their mean -> sparse projection M -> k winners -> code

1. Two looks at one place of a map are alike and looks at two places aren't; the reference frame tells which are which.
   W and b go down the gradient of the contrastive loss over batches of pairs (x a look in any light, y one in good)

       L = -mean log softmax_j (2 p(x_i) . p(y_j) / (n t))_{j = i}     and the same with x and y exchanged

   (A. van den Oord, Y. Li, O. Vinyals 2018, "Representation learning with contrastive predictive coding",
   arXiv:1807.03748).
2. M is learnt by the winners alone (D. Rumelhart, D. Zipser 1985, "Feature discovery by competitive learning"):
   weights that exist move towards the phases that made their unit win, at their old length,

       m <- m + (1 - (1 - rate)^wins) (|m| q / |q| - m),     q the mean of those phases where m has weights,

   with boosting of units that seldom win.
3. What an overlap o is worth is learnt too: log-odds slope log(o + 0.1) + offset that a look is of a place rather than
   of another, by logistic regression over looks at known places.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from .boosting import Duty, boost_factors, update_duty
from .encoder import PatchEncoder
from .learnt_encoder import LearntCode, encode, phases
from .winners import select


class Looks(NamedTuple):
    """n looks at known places.

    descriptor : (n, f), see PatchEncoder.descriptor; place : (n,) int64, the same for looks at the same place of a map;
    clear : (n,) bool, in good light, as maps are learnt
    """

    descriptor: Tensor
    place: Tensor
    clear: Tensor


@dataclass(frozen=True)
class LearningRates:
    """How a code is learnt."""

    steps: int = 400
    """Of the contrastive loss."""
    batch: int = 512
    """Pairs a step."""
    rate: float = 0.01
    """Of the first step; it falls to 0."""
    temperature: float = 0.1
    """t above."""
    competing: int = 20_000
    """Looks from which the projection learns, at most."""
    pull: float = 0.02
    """Rate of the winners."""
    strength: float = 30.0
    """Of boosting."""


def learn(looks: Looks, generator: torch.Generator, patches: PatchEncoder, rates: LearningRates) -> LearntCode:
    """The code that these looks teach, starting from `patches`' own. Raises ValueError without two looks at a place."""
    code = LearntCode(patches.frequencies, patches.offsets, patches.offsets * 0, patches.mixing, torch.zeros(2))
    code = _tell_apart(code, looks, generator, rates)
    chosen = looks.descriptor[torch.randperm(len(looks.place), generator=generator)[: rates.competing]]
    code = _compete(code, chosen, patches.config.active, rates)
    return code._replace(evidence=_worth(code, looks, generator, patches.config.active))


def _tell_apart(code: LearntCode, looks: Looks, generator: torch.Generator, rates: LearningRates) -> LearntCode:
    scale = code.frequencies.square().mean(1, keepdim=True).sqrt()  # every input learns at the pace of its width
    weights, offsets = (code.frequencies / scale).requires_grad_(), code.offsets.clone().requires_grad_()
    optimiser = torch.optim.Adam([weights, offsets], lr=rates.rate)
    truth, draw = torch.arange(rates.batch), _pairs(looks, generator, rates.batch)
    other = ~torch.eye(rates.batch, dtype=torch.bool)
    for step in range(rates.steps):
        optimiser.param_groups[0]["lr"] = rates.rate * (1 - step / rates.steps)
        first, second = draw()
        now = code._replace(frequencies=weights * scale, offsets=offsets)
        x, y = phases(now, looks.descriptor[first]), phases(now, looks.descriptor[second])
        same = looks.place[first, None] == looks.place[second]
        alike = (x @ y.T * (2 / x.shape[1] / rates.temperature)).masked_fill(same & other, -1e9)
        loss = cross_entropy(alike, truth) + cross_entropy(alike.T, truth)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return code._replace(frequencies=(weights * scale).detach(), offsets=offsets.detach())


def _pairs(looks: Looks, generator: torch.Generator, batch: int) -> Callable[[], tuple[Tensor, Tensor]]:
    """What draws pairs: indices (batch,) of looks in any light, and of others in good light at the same places."""
    clear = looks.clear.nonzero()[:, 0]
    clear = clear[looks.place[clear].argsort(stable=True)]
    place, many = looks.place[clear], torch.bincount(looks.place[clear], minlength=int(looks.place.max()) + 1)
    begin, count = torch.searchsorted(place, looks.place), many[looks.place]
    able = (count > looks.clear.long()).nonzero()[:, 0]
    if len(able) == 0:
        raise ValueError(f"no two of {len(looks.place)} looks are at one place: raise learn.sensations_per_view")

    def draw() -> tuple[Tensor, Tensor]:
        first = able[torch.randint(len(able), (batch,), generator=generator)]
        at = (torch.rand(batch, generator=generator) * count[first]).long()
        again = clear[begin[first] + at] == first
        return first, clear[begin[first] + (at + again) % count[first]]

    return draw


def _compete(code: LearntCode, descriptor: Tensor, active: int, rates: LearningRates) -> LearntCode:
    centred, mixing = phases(code, descriptor), code.mixing
    centred = centred - (mean := centred.mean(0))
    exists, length = (mixing != 0).float(), mixing.norm(dim=0)
    duty = Duty.begin(mixing.shape[1])
    for rows in centred.split(64):
        drive = rows @ mixing
        drive = drive - drive.amin(1, keepdim=True) + 1e-3  # boosting multiplies, so the drive must be positive
        won = select(drive, active, boost=boost_factors(duty, active, rates.strength))
        hits, duty = (won.dense() > 0).float(), update_duty(duty, won, 5000)
        towards = (rows.T @ hits) * exists
        towards = towards / towards.norm(dim=0).clamp(min=1e-6) * length
        moved = mixing + (1 - (1 - rates.pull) ** hits.sum(0)) * (towards - mixing)
        mixing = moved / moved.norm(dim=0) * length
    return code._replace(mean=mean, mixing=mixing)


def _worth(code: LearntCode, looks: Looks, generator: torch.Generator, active: int) -> Tensor:
    """Slope and offset of the log-odds, by Newton's method over pairs at one place and pairs at two."""
    first, _ = _pairs(looks, generator, 4096)()
    units, clear = code.mixing.shape[1], looks.clear
    bits = encode(code, looks.descriptor, active).long()
    places, at = torch.unique(looks.place[clear], return_inverse=True)
    counts = torch.zeros(len(places), units)
    counts.view(-1).index_add_(0, (at[:, None] * units + bits[clear]).flatten(), torch.ones(int(clear.sum()) * active))
    top, known = counts.topk(active, dim=1)
    weight = top / torch.bincount(at)[:, None]
    here = torch.searchsorted(places, looks.place[first])
    there = here[torch.randperm(len(here), generator=generator)]
    seen = torch.zeros(len(first), units).scatter_(1, bits[first], 1.0)
    overlap = [(seen.gather(1, known[p]) * weight[p]).sum(1) / active for p in (here, there)]
    x = (torch.cat(overlap).double() + 0.1).log()
    x = torch.stack([x, torch.ones_like(x)], 1)
    same = torch.cat([torch.ones(len(here)), (here == there).float()]).double()
    worth = torch.zeros(2, dtype=torch.float64)
    for _ in range(30):
        p = torch.sigmoid(x @ worth)
        slope = x.T @ (same - p) - 1e-3 * worth
        worth = worth + torch.linalg.solve((x.T * (p * (1 - p))) @ x + 1e-3 * torch.eye(2).double(), slope)
    return worth.float()
