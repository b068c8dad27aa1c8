"""Networks that learn one task after the other, with or without active dendrites and winners.

    t = W x + b,    y = k winners of t sigmoid(u_s* . c),    c : the prototype of the task, its mean input

Two such hidden layers and one read-out for all tasks (A. Iyer et al. 2022, "Avoiding catastrophe", Frontiers in
Neurorobotics 16:846219). What is asked comes without its task: c is then the nearest prototype. Without dendrites the
sigmoid is missing, without winners a ReLU stands for them.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from cortical.columns.layers.dendrites import ActiveDendrites
from cortical.columns.layers.linear import SparseLinear
from cortical.columns.layers.winners import Active, select


@dataclass(frozen=True)
class Kind:
    """What a network has."""

    dendrites: bool
    winners: bool


KINDS = {
    "mlp": Kind(False, False), "dendrites": Kind(True, False), "winners": Kind(False, True), "both": Kind(True, True),
}  # fmt: skip


@dataclass(frozen=True)
class Sizes:
    """Of all networks. density : of hidden weights, the plain network's being dense; active : share that wins."""

    inputs: int = 784
    hidden: int = 512
    classes: int = 10
    segments: int = 10
    density: float = 0.5
    active: float = 0.05


class ContextNet(nn.Module):
    """A network of a kind. seed : of masks, weights and segments."""

    def __init__(self, kind: Kind, sizes: Sizes, seed: int) -> None:
        super().__init__()
        h, plain = sizes.hidden, not (kind.dendrites or kind.winners)
        density = 1.0 if plain else sizes.density
        shapes = (sizes.inputs, h, density), (h, h, density), (h, sizes.classes, 1.0)
        layers = [SparseLinear(*shape, mask="random", seed=10 * seed + n) for n, shape in enumerate(shapes)]
        self.hidden, self.out = nn.ModuleList(layers[:2]), layers[2]
        self.k = round(sizes.active * h) if kind.winners else 0
        if self.k:
            with torch.no_grad():  # few inputs are active, so each of their weights has to be larger
                for layer in layers[1:]:
                    layer.weight.mul_((h / self.k) ** 0.5)
        gates = [ActiveDendrites(h, sizes.inputs, sizes.segments, seed=10 * seed + 5 + n) for n in range(2)]
        self.gates = nn.ModuleList(gates if kind.dendrites else [])

    def forward(self, x: Tensor, prototypes: Tensor, which: Tensor) -> Tensor:
        """x : (b, inputs), of prototypes (m, inputs) those that which : (b,) points to. Returns logits (b, classes)."""
        h: Tensor | Active = x
        for number, layer in enumerate(self.hidden):
            drive = layer(h)
            if len(self.gates):
                drive = self.gates[number](drive, prototypes, which)
            h = select(drive, self.k, floor=0.0) if self.k else drive.relu()
        return self.out(h)

    def feedforward(self) -> list[nn.Parameter]:
        """Weights and biases, without segments."""
        return [p for name, p in self.named_parameters() if not name.startswith("gates")]


def nearest(x: Tensor, prototypes: Tensor) -> Tensor:
    """The prototype (m, d) nearest to each of x : (b, d), Euclidean: (b,) int64."""
    return torch.cdist(x, prototypes).argmin(1)
