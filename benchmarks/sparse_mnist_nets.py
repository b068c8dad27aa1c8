"""The networks of benchmarks/sparse_mnist.py, their training, and the sparse one at batch 1.

Convolution 5 x 5, 30 channels - max pool 2 - 4320 units - hidden units - 10 digits, softmax (S. Ahmad, L. Scheinkman
2019, "How can we be so dense?", arXiv:1903.11257, their Dense-1 and Sparse-1). Dense: ReLU. Sparse: k winners instead,
boosted while learning, by channel in the convolution, and weights in packed masks.
"""

import copy
import gzip
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cortical.columns.layers.boosting import Duty, boost_factors, update_duty
from cortical.columns.layers.connectivity import cosine_share
from cortical.columns.layers.conv import SparseConv2d
from cortical.columns.layers.linear import SparseLinear
from cortical.columns.layers.rewiring import evolve_random, rigl, watching
from cortical.columns.layers.winners import Active, select

CHANNELS, CELLS = 30, 144
MEAN, SD = 0.1307, 0.3081
LEVELS = tuple(level / 20 for level in range(11))
"""Shares of pixels that noise replaces."""


@dataclass(frozen=True)
class Settings:
    """Sizes and rates; sparse networks have a learning rate of their own."""

    hidden: int
    density: float
    conv_density: float
    conv_winners: int
    winners: int
    epochs: int
    rate: float = 0.01
    sparse_rate: float = 0.02
    decay: float = 0.6
    batch: int = 64
    boost: float = 1.5
    boost_decay: float = 0.85


@dataclass(frozen=True)
class Digits:
    """Images (n, 1, 28, 28), mean 0 and deviation 1 over all pixels of the training set, and labels (n,)."""

    images: Tensor
    labels: Tensor

    def part(self, rows: Tensor) -> "Digits":
        return Digits(self.images[rows], self.labels[rows])


def load(folder: Path, part: str) -> Digits:
    """`part` "train" or "t10k" of a folder of MNIST's four files. Raises SystemExit where one is missing."""
    arrays = []
    for kind, head in (("images-idx3", 16), ("labels-idx1", 8)):
        file = folder / f"{part}-{kind}-ubyte.gz"
        if not file.is_file():
            raise SystemExit(f"no {file}; --mnist takes a folder with the four .gz files of MNIST")
        arrays.append(np.frombuffer(gzip.decompress(file.read_bytes()), np.uint8, offset=head))
    images = (torch.from_numpy(arrays[0].copy()).view(-1, 1, 28, 28) / 255.0 - MEAN) / SD
    return Digits(images, torch.from_numpy(arrays[1].astype(np.int64)))


def noisy(images: Tensor, share: float, generator: torch.Generator) -> Tensor:
    """The share of the pixels of each image, at random places, set to 2 (two deviations above the mean)."""
    order = torch.rand(len(images), 784, generator=generator).argsort(1)[:, : int(share * 784)]
    return images.flatten(1).scatter(1, order, 2.0).view_as(images)


class DenseNet(nn.Module):
    """The dense network; dropout : share of hidden units left out while learning."""

    def __init__(self, settings: Settings, dropout: float = 0.0) -> None:
        super().__init__()
        self.conv, self.fc = nn.Conv2d(1, CHANNELS, 5), nn.Linear(CHANNELS * CELLS, settings.hidden)
        self.out, self.dropout = nn.Linear(settings.hidden, 10), nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        """x : (b, 1, 28, 28). Returns logits (b, 10)."""
        h = F.max_pool2d(self.conv(x), 2).relu().flatten(1)
        return self.out(self.dropout(self.fc(h).relu()))

    def multiply_adds(self) -> int:
        """For one image."""
        return 576 * self.conv.weight.numel() + self.fc.weight.numel() + self.out.weight.numel()


class SparseNet(nn.Module):
    """The sparse network. strength : of boosting, 0 outside learning."""

    def __init__(self, settings: Settings, seed: int) -> None:
        super().__init__()
        units = CHANNELS * CELLS
        self.conv = SparseConv2d(1, CHANNELS, 5, settings.conv_density, seed=seed)
        self.fc = SparseLinear(units, settings.hidden, settings.density, seed=seed + 1)
        self.out = SparseLinear(settings.hidden, 10, 1.0, seed=seed + 2)
        self.k = settings.conv_winners, settings.winners
        with torch.no_grad():  # few inputs are active, so each of their weights has to be larger
            self.fc.weight.mul_((units / self.k[0]) ** 0.5)
            self.out.weight.mul_((settings.hidden / self.k[1]) ** 0.5)
        self.duties = [Duty.begin(units), Duty.begin(settings.hidden)]
        self.strength = 0.0

    def forward(self, x: Tensor) -> Tensor:
        """x : (b, 1, 28, 28). Returns logits (b, 10)."""
        h = self.chosen(0, F.max_pool2d(self.conv(x), 2).flatten(1))
        return self.out(self.chosen(1, self.fc(h)))

    def chosen(self, layer: int, drive: Tensor) -> Active:
        """Winners of a layer; while learning boosted, and counted."""
        if not self.training:
            return select(drive, self.k[layer], floor=0.0)
        duty, k = self.duties[layer], self.k[layer]
        if layer == 0:  # places of a channel share its duty
            share = duty.share.view(CHANNELS, CELLS).mean(1).repeat_interleave(CELLS)
            duty = duty._replace(share=share)
        won = select(drive, k, floor=0.0, boost=boost_factors(duty, k, self.strength))
        self.duties[layer] = update_duty(self.duties[layer], won)
        return won

    def sparse_layers(self) -> list[tuple[nn.Module, SparseLinear]]:
        """Layers that can learn connectivity, since not all weights exist: what is watched, and what is rewired."""
        pairs = [(self.conv, self.conv.kernel), (self.fc, self.fc)]
        return [pair for pair in pairs if pair[1].density < 1.0]

    def quick(self, conv: str) -> Callable[[Tensor], Tensor]:
        """The same function at batch 1, x : (1, 1, 28, 28) -> (10,), without gradient: selection and product are one
        call. conv : "dense" or "packed", how the convolution is computed."""
        first = copy.deepcopy(self.conv)
        first.kernel.format = conv
        hidden, out, pool = self.fc.step(self.k[0], 0.0), self.out.step(self.k[1], 0.0), F.max_pool2d

        def net(x: Tensor) -> Tensor:
            return out(hidden(pool(first(x), 2).view(-1)))

        return net


Net = DenseNet | SparseNet


def build(method: str, settings: Settings, seed: int) -> Net:
    """The network of a method, before learning."""
    torch.manual_seed(seed)
    if method in ("dense", "dropout"):
        return DenseNet(settings, 0.5 if method == "dropout" else 0.0)
    return SparseNet(settings, 100 * seed)


@torch.no_grad()
def correct(net: Net, digits: Digits) -> int:
    """Images recognised."""
    net.eval()
    parts = zip(digits.images.split(256), digits.labels.split(256), strict=True)
    return sum(int((net(x).argmax(1) == y).sum()) for x, y in parts)


def noise_score(net: Net, test: Digits) -> list[int]:
    """Images recognised at each of LEVELS; the noise is the same for every network."""
    generator = torch.Generator().manual_seed(0)
    return [correct(net, Digits(noisy(test.images, level, generator), test.labels)) for level in LEVELS]


def train(
    method: str, settings: Settings, seed: int, digits: tuple[Digits, Digits], say: Callable[[], object]
) -> tuple[Net, dict]:
    """A network of the best epoch by the validation set, and how it came about. digits : to learn from, to validate.

    say : called after every batch.
    """
    net, generator = build(method, settings, seed), torch.Generator().manual_seed(seed)
    sparse = isinstance(net, SparseNet)
    rate = settings.sparse_rate if sparse else settings.rate
    optimizer = torch.optim.SGD(net.parameters(), lr=rate, momentum=0.9)
    turnover: list[float] = []
    best, validated = copy.deepcopy(net), []
    for epoch in range(settings.epochs):
        net.train()
        if sparse:
            net.strength = settings.boost * settings.boost_decay**epoch
        for group in optimizer.param_groups:
            group["lr"] = rate * settings.decay**epoch
        steps = -(-len(digits[0].labels) // settings.batch)
        for step, batch in enumerate(_batches(digits[0], settings.batch, generator), epoch * steps):
            turnover += _step(net, optimizer, batch, method, step, int(0.75 * steps * settings.epochs))
            say()
        validated.append(correct(net, digits[1]))
        if validated[-1] == max(validated):
            best = copy.deepcopy(net)
        if method == "set" and sparse and epoch < settings.epochs - 1:
            turnover += [evolve_random(layer, generator, 0.3, optimizer).turnover for _, layer in net.sparse_layers()]
    chosen = validated.index(max(validated))
    return best.eval(), {
        "validation": validated,
        "epoch": chosen + 1,
        "turnover": sum(turnover),
        "changes": len(turnover),
    }


def _batches(digits: Digits, size: int, generator: torch.Generator) -> Iterator[Digits]:
    for rows in torch.randperm(len(digits.labels), generator=generator).split(size):
        yield digits.part(rows)


def _step(net: Net, optimizer: torch.optim.Optimizer, batch: Digits, method: str, step: int, end: int) -> list[float]:
    """One step of descent, and where it is RigL's turn, of connectivity; the turnovers of that."""
    optimizer.zero_grad()
    if not (method == "rigl" and isinstance(net, SparseNet) and step % 100 == 99 and step < end):
        F.cross_entropy(net(batch.images), batch.labels).backward()
        optimizer.step()
        return []
    layers = net.sparse_layers()
    with ExitStack() as stack:
        seen = [stack.enter_context(watching(watched)) for watched, _ in layers]
        F.cross_entropy(net(batch.images), batch.labels).backward()
    optimizer.step()
    pairs = zip(layers, seen, strict=True)
    return [rigl(layer, given.gradient(), cosine_share(step, end), optimizer).turnover for (_, layer), given in pairs]
