"""Larger but sparser: test error against the absolute number of weights, for networks of several widths.

    784 inputs - h units, ReLU - 10 digits,      both layers with a share d of their weights: 794 h d weights in all

Narrow and dense against wide and sparse, at the same number of weights; masks are random and static. One seed, few
epochs (the last one's network, nothing is chosen): for the order of the curves, not for the figures of each.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from curves import Panel
from replaying import Job, Row
from sparse_training import Labelled, correct
from torch import Tensor, nn

from cortical.columns.layers.linear import SparseLinear

INPUTS, CLASSES = 784, 10
WIDTHS = (64, 256, 1024, 4096)
BUDGETS = (3_000, 12_500, 50_000, 200_000, 800_000)
"""Weights in all; those that a width can't hold are its dense network instead."""


@dataclass(frozen=True)
class Learning:
    """How much is learnt."""

    images: int
    epochs: int
    batch: int = 64
    rate: float = 0.05
    decay: float = 0.6


class Perceptron(nn.Module):
    """One hidden layer of a width, with so many weights in all, or all there can be."""

    def __init__(self, width: int, budget: int, seed: int) -> None:
        super().__init__()
        density = min(budget / ((INPUTS + CLASSES) * width), 1.0)
        self.hidden = SparseLinear(INPUTS, width, density_of(density, INPUTS), mask="random", seed=seed)
        self.out = SparseLinear(width, CLASSES, density_of(density, width), mask="random", seed=seed + 1)

    def forward(self, x: Tensor) -> Tensor:
        """x : (b, 1, 28, 28) or (b, 784). Returns logits (b, 10)."""
        return self.out(self.hidden(x.flatten(1)).relu())

    def weights(self) -> int:
        """Those that exist, biases left out."""
        return self.hidden.weight.numel() + self.out.weight.numel()


def density_of(density: float, inputs: int) -> float:
    """The nearest density that is a whole number of inputs, at least one."""
    return max(round(density * inputs), 1) / inputs


def cells() -> Iterator[tuple[int, int]]:
    """Width and budget of every network; a width's dense one ends its row."""
    for width in WIDTHS:
        most = (INPUTS + CLASSES) * width
        yield from ((width, budget) for budget in BUDGETS if budget < 0.9 * most)
        if most <= BUDGETS[-1] * 1.1:
            yield width, most


def learnt(width: int, budget: int, learning: Learning, data: Labelled, seed: int) -> Perceptron:
    """A network after its last epoch."""
    net, generator = Perceptron(width, budget, 10 * seed), torch.Generator().manual_seed(seed)
    optimizer = torch.optim.SGD(net.parameters(), lr=learning.rate, momentum=0.9)
    for epoch in range(learning.epochs):
        for group in optimizer.param_groups:
            group["lr"] = learning.rate * learning.decay**epoch
        for batch in data.batches(learning.batch, generator):
            optimizer.zero_grad()
            F.cross_entropy(net(batch.inputs), batch.labels).backward()
            optimizer.step()
    return net.eval()


def row(job: Job, learning: Learning, data: Labelled, test: Labelled) -> Row:
    """What a network of the job's name WIDTH-BUDGET does on the test images."""
    width, budget = (int(part) for part in job[2].split("-"))
    net = learnt(width, budget, learning, data, 0)
    error = 1.0 - correct(net, test) / len(test.labels)
    return {"width": width, "weights": net.weights(), "density": net.hidden.density, "error": error}


def panel(rows: list[Row]) -> Panel:
    """Error by weights, a curve a width."""
    lines = {}
    for width in WIDTHS:
        mine = sorted((row for row in rows if row["width"] == width), key=lambda row: row["weights"])
        if mine:
            lines[f"{width} units"] = [row["weights"] for row in mine], [100 * row["error"] for row in mine]
    return Panel("larger but sparser", "weights that exist", "test error %", lines, "x")
