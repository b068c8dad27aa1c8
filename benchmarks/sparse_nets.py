"""A dense and a sparse network for pictures of one channel, and the sparse one at batch 1.

Convolution 5 x 5 - max pool 2 - hidden units - classes, softmax (S. Ahmad, L. Scheinkman 2019, "How can we be so
dense?", arXiv:1903.11257, their Dense-1 and Sparse-1). Dense: ReLU. Sparse: k winners instead, boosted while learning,
by channel in the convolution, and weights in packed masks. With `norm` a batch norm stands before winners or ReLU (S.
Ioffe, C. Szegedy 2015, arXiv:1502.03167); once learnt it is part of the weights before it, and costs nothing.
"""

import copy
from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cortical.columns.layers.boosting import Duty, boost_factors, update_duty
from cortical.columns.layers.conv import SparseConv2d
from cortical.columns.layers.linear import SparseLinear
from cortical.columns.layers.winners import Active, select

KERNEL = 5
MOVABLE = 0.5
"""Density above which banks are too small for connectivity to move."""


@dataclass(frozen=True)
class Settings:
    """Sizes and rates; sparse networks have a learning rate of their own.

    side : of the pictures; densities : of weights; winners : while learning, `more` times as many afterwards
    norm, dense_norm : whether there is a batch norm in sparse and in dense networks; first_batch : in the first epoch
    of sparse networks
    """

    side: int = 28
    classes: int = 10
    channels: int = 30
    hidden: int = 1000
    density: float = 0.05
    conv_density: float = 0.4
    conv_winners: int = 400
    winners: int = 100
    more: float = 1.0
    norm: bool = False
    dense_norm: bool = False
    epochs: int = 3
    batch: int = 64
    first_batch: int = 64
    rate: float = 0.01
    sparse_rate: float = 0.02
    hidden_rate: float = 0.02
    decay: float = 0.6
    boost: float = 1.5
    boost_decay: float = 0.85

    @property
    def cells(self) -> int:
        """Places of a channel after pooling."""
        return ((self.side - KERNEL + 1) // 2) ** 2

    @property
    def places(self) -> int:
        """Of a kernel, before pooling."""
        return (self.side - KERNEL + 1) ** 2


def _norms(wanted: bool, channels: int, hidden: int) -> tuple[nn.Module, nn.Module]:
    return (nn.BatchNorm2d(channels), nn.BatchNorm1d(hidden)) if wanted else (nn.Identity(), nn.Identity())


class DenseNet(nn.Module):
    """The dense network; dropout : share of hidden units left out while learning."""

    def __init__(self, settings: Settings, dropout: float = 0.0) -> None:
        super().__init__()
        units = settings.channels * settings.cells
        self.conv, self.fc = nn.Conv2d(1, settings.channels, KERNEL), nn.Linear(units, settings.hidden)
        self.out, self.dropout = nn.Linear(settings.hidden, settings.classes), nn.Dropout(dropout)
        self.norm, self.fc_norm = _norms(settings.dense_norm, settings.channels, settings.hidden)
        self.places = settings.places

    def forward(self, x: Tensor) -> Tensor:
        """x : (b, 1, side, side). Returns logits (b, classes)."""
        h = F.max_pool2d(self.norm(self.conv(x)), 2).relu().flatten(1)
        return self.out(self.dropout(self.fc_norm(self.fc(h)).relu()))

    def weights(self) -> int:
        """All of them, biases left out."""
        return sum(layer.weight.numel() for layer in (self.conv, self.fc, self.out))

    def multiply_adds(self) -> int:
        """For one picture."""
        return self.weights() + (self.places - 1) * self.conv.weight.numel()


class SparseNet(nn.Module):
    """The sparse network. strength : of boosting, 0 outside learning."""

    def __init__(self, settings: Settings, seed: int) -> None:
        super().__init__()
        channels, hidden, self.cells = settings.channels, settings.hidden, settings.cells
        units = channels * self.cells
        self.conv = SparseConv2d(1, channels, KERNEL, settings.conv_density, seed=seed)
        self.fc = SparseLinear(units, hidden, settings.density, seed=seed + 1)
        self.out = SparseLinear(hidden, settings.classes, 1.0, seed=seed + 2)
        self.norm, self.fc_norm = _norms(settings.norm, channels, hidden)
        self.learning = settings.conv_winners, settings.winners
        self.k = tuple(min(round(settings.more * k), n) for k, n in zip(self.learning, (units, hidden), strict=True))
        with torch.no_grad():  # few inputs are active, so each of their weights has to be larger
            self.fc.weight.mul_((units / self.learning[0]) ** 0.5)
            self.out.weight.mul_((hidden / self.learning[1]) ** 0.5)
        self.duties = [Duty.begin(units), Duty.begin(hidden)]
        self.strength = 0.0

    def forward(self, x: Tensor) -> Tensor:
        """x : (b, 1, side, side). Returns logits (b, classes)."""
        h = self.chosen(0, F.max_pool2d(self.norm(self.conv(x)), 2).flatten(1))
        return self.out(self.chosen(1, self.fc_norm(self.fc(h))))

    def chosen(self, layer: int, drive: Tensor) -> Active:
        """Winners of a layer; while learning boosted, and counted."""
        if not self.training:
            return select(drive, self.k[layer], floor=0.0)
        duty, k = self.duties[layer], self.learning[layer]
        if layer == 0:  # places of a channel share its duty
            share = duty.share.view(-1, self.cells).mean(1).repeat_interleave(self.cells)
            duty = duty._replace(share=share)
        won = select(drive, k, floor=0.0, boost=boost_factors(duty, k, self.strength))
        self.duties[layer] = update_duty(self.duties[layer], won)
        return won

    def weights(self) -> int:
        """Those that exist, biases left out."""
        return sum(len(layer.weight) for layer in (self.conv.kernel, self.fc, self.out))

    def sparse_layers(self) -> list[tuple[nn.Module, SparseLinear]]:
        """Layers that can learn connectivity: what is watched, and what is rewired."""
        pairs = [(self.conv, self.conv.kernel), (self.fc, self.fc)]
        return [pair for pair in pairs if pair[1].density <= MOVABLE]

    def quick(self, conv: str) -> Callable[[Tensor], Tensor]:
        """The same function at batch 1, x : (1, 1, side, side) -> (classes,), without gradient: norms are part of the
        weights, selection and product are one call. conv : "dense" or "packed", how the convolution is computed."""
        first = copy.deepcopy(self.conv)
        first.kernel, first.kernel.format = with_norm(self.conv.kernel, self.norm), conv
        hidden = with_norm(self.fc, self.fc_norm).step(self.k[0], 0.0)
        out, pool = self.out.step(self.k[1], 0.0), F.max_pool2d

        def net(x: Tensor) -> Tensor:
            return out(hidden(pool(first(x), 2).view(-1)))

        return net


@torch.no_grad()
def with_norm(layer: SparseLinear, norm: nn.Module) -> SparseLinear:
    """A copy of the layer that does what layer and learnt batch norm do: w' = w g / s, b' = (b - m) g / s + c."""
    layer = copy.deepcopy(layer)
    if isinstance(norm, nn.BatchNorm1d | nn.BatchNorm2d):
        mean, variance = norm.running_mean, norm.running_var
        assert layer.bias is not None and mean is not None and variance is not None
        scale = norm.weight / (variance + norm.eps).sqrt()
        layer.weight.mul_(scale[layer.targets.long()])
        layer.bias.copy_((layer.bias - mean) * scale + norm.bias)
    return layer


Net = DenseNet | SparseNet


def build(method: str, settings: Settings, seed: int) -> Net:
    """The network of a method, before learning: dense, dropout, or one of the sparse ones."""
    torch.manual_seed(seed)
    if method in ("dense", "dropout"):
        return DenseNet(settings, 0.5 if method == "dropout" else 0.0)
    return SparseNet(settings, 100 * seed)
