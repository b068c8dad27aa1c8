"""Larger but sparser: test error against the absolute number of weights, for networks of several widths.

    784 inputs - h units, ReLU - 10 digits,      a third of the weights, or all it can hold, is the read-out's

Narrow and dense against wide and sparse, at the same number of weights. Masks are random, and stay (static) or are
learnt by RigL. One seed, few epochs (the last one's network, nothing is chosen): for the order of the curves, not for
the figures of each.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from curves import Panel
from replaying import Job, Row
from sparse_training import Labelled, correct, descend
from torch import Tensor, nn

from cortical.columns.layers.linear import SparseLinear

INPUTS, CLASSES = 784, 10
WIDTHS = (64, 256, 1024, 4096)
BUDGETS = (3_000, 12_500, 50_000, 200_000, 800_000)
"""Weights in all; those that a width can't hold are its dense network instead."""
METHODS = ("static", "rigl")


@dataclass(frozen=True)
class Learning:
    """How much is learnt."""

    images: int
    epochs: int
    batch: int = 64
    rate: float = 0.1
    decay: float = 0.6


class Perceptron(nn.Module):
    """One hidden layer of a width, with so many weights in all, or all there can be."""

    def __init__(self, width: int, budget: int, seed: int) -> None:
        super().__init__()
        read = min(budget / 3 / (CLASSES * width), 1.0)
        density = min((budget - read * CLASSES * width) / (INPUTS * width), 1.0)
        self.hidden = SparseLinear(INPUTS, width, density_of(density, INPUTS), mask="random", seed=seed)
        self.out = SparseLinear(width, CLASSES, density_of(read, width), mask="random", seed=seed + 1)

    def forward(self, x: Tensor) -> Tensor:
        """x : (b, 1, 28, 28) or (b, 784). Returns logits (b, 10)."""
        return self.out(self.hidden(x.flatten(1)).relu())

    def layers(self) -> list[tuple[nn.Module, SparseLinear]]:
        """Those that can learn connectivity: what is watched, and what is rewired."""
        return [(layer, layer) for layer in (self.hidden, self.out) if layer.density < 1.0]

    def weights(self) -> int:
        """Those that exist, biases left out."""
        return self.hidden.weight.numel() + self.out.weight.numel()


def density_of(density: float, inputs: int) -> float:
    """The nearest density that is a whole number of inputs, at least one."""
    return max(round(density * inputs), 1) / inputs


def cells() -> Iterator[tuple[str, int, int]]:
    """Method, width and budget of every network; a width's dense one, which has nothing to learn, ends its row."""
    for width in WIDTHS:
        most = (INPUTS + CLASSES) * width
        yield from ((method, width, budget) for budget in BUDGETS if budget < 0.9 * most for method in METHODS)
        if most <= BUDGETS[-1] * 1.1:
            yield "static", width, most


def learnt(method: str, width: int, budget: int, learning: Learning, data: Labelled, seed: int) -> Perceptron:
    """A network after its last epoch."""
    net, generator = Perceptron(width, budget, 10 * seed), torch.Generator().manual_seed(seed)
    optimizer = torch.optim.SGD(net.parameters(), lr=learning.rate, momentum=0.9)
    step, end = 0, int(0.75 * learning.epochs * -(-len(data.labels) // learning.batch))
    for epoch in range(learning.epochs):
        for group in optimizer.param_groups:
            group["lr"] = learning.rate * learning.decay**epoch
        for batch in data.batches(learning.batch, generator):
            layers = net.layers() if method == "rigl" else []
            descend(net, optimizer, batch, layers, step, end)
            step += 1
    return net.eval()


def row(job: Job, learning: Learning, data: Labelled, test: Labelled) -> Row:
    """What a network of the job's name METHOD-WIDTH-BUDGET does on the test images."""
    method, width, budget = job[2].split("-")
    net = learnt(method, int(width), int(budget), learning, data, 0)
    error = 1.0 - correct(net, test) / len(test.labels)
    return {"method": method, "width": int(width), "weights": net.weights(), "density": net.hidden.density,
            "error": error}  # fmt: skip


def panels(rows: list[Row]) -> list[Panel]:
    """Error by weights, a curve a width, static and learnt; the dense networks are in both."""
    titles = {"static": "larger but sparser, masks that stay", "rigl": "larger but sparser, masks learnt by RigL"}
    x, y = "weights that exist", "test error %"
    return [Panel(title, x, y, _lines(rows, method), "xy") for method, title in titles.items()]


def _lines(rows: list[Row], method: str) -> dict[str, tuple[list[int], list[float]]]:
    lines = {}
    for width in WIDTHS:
        mine = [row for row in rows if row["width"] == width and (row["method"] == method or row["density"] == 1.0)]
        mine.sort(key=lambda row: row["weights"])
        if mine:
            lines[f"{width} units"] = [row["weights"] for row in mine], [100 * row["error"] for row in mine]
    return lines
