"""How the networks of sparse_nets.py learn, and how noise is put to them.

Stochastic gradient descent with momentum 0.9, a step size that falls by a factor an epoch; the network kept is that of
the best epoch on validation data. SET changes connectivity after every epoch, RigL every 100 steps of the first three
quarters (`cortical.columns.layers.connectivity`).
"""

import copy
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from sparse_nets import Net, Settings, SparseNet, build
from torch import Tensor, nn

from cortical.columns.layers.connectivity import cosine_share
from cortical.columns.layers.linear import SparseLinear
from cortical.columns.layers.rewiring import evolve_random, rigl, watching

LEVELS = tuple(level / 20 for level in range(11))
"""Strengths of noise, 0 to 0.5."""
Noise = Callable[[Tensor, float, torch.Generator], Tensor]
"""(inputs, level, generator) -> inputs of the same shape."""


@dataclass(frozen=True)
class Labelled:
    """inputs : (n, ...), labels : (n,) int64."""

    inputs: Tensor
    labels: Tensor

    def part(self, rows: Tensor) -> "Labelled":
        return Labelled(self.inputs[rows], self.labels[rows])

    def batches(self, size: int, generator: torch.Generator) -> Iterator["Labelled"]:
        """All of it once, in an order drawn."""
        for rows in torch.randperm(len(self.labels), generator=generator).split(size):
            yield self.part(rows)


@torch.no_grad()
def answers(net: nn.Module, inputs: Tensor) -> Tensor:
    """Classes named, (n,); the network is left in its state of use."""
    net.eval()
    return torch.cat([net(x).argmax(1) for x in inputs.split(256)])


def correct(net: nn.Module, data: Labelled) -> int:
    """How many are named rightly."""
    return int((answers(net, data.inputs) == data.labels).sum())


def noise_score(net: nn.Module, data: Labelled, noisy: Noise) -> list[int]:
    """How many are named rightly at each of LEVELS; the noise is the same for every network."""
    generator = torch.Generator().manual_seed(0)
    return [correct(net, Labelled(noisy(data.inputs, level, generator), data.labels)) for level in LEVELS]


def train(method: str, settings: Settings, seed: int, data: tuple[Labelled, Labelled]) -> tuple[Net, dict[str, Any]]:
    """A network of the best epoch, and how it came about. data : to learn from, to validate."""
    net, generator = build(method, settings, seed), torch.Generator().manual_seed(seed)
    sparse, groups = isinstance(net, SparseNet), groups_of(net, settings)
    optimizer = torch.optim.SGD([{"params": parameters, "lr": rate} for parameters, rate in groups], momentum=0.9)
    best, validated, turnover, step = copy.deepcopy(net), [], [], 0
    sizes = [settings.first_batch if sparse and not epoch else settings.batch for epoch in range(settings.epochs)]
    end = int(0.75 * sum(-(-len(data[0].labels) // size) for size in sizes))
    for epoch, size in enumerate(sizes):
        net.train()
        if isinstance(net, SparseNet):
            net.strength = settings.boost * settings.boost_decay**epoch
        for group, (_, rate) in zip(optimizer.param_groups, groups, strict=True):
            group["lr"] = rate * settings.decay**epoch * (size / settings.batch) ** 0.5
        for batch in data[0].batches(size, generator):
            layers = net.sparse_layers() if method == "rigl" and isinstance(net, SparseNet) else ()
            turnover += descend(net, optimizer, batch, layers, step, end)
            step += 1
        validated.append(correct(net, data[1]))
        if validated[-1] == max(validated):
            best = copy.deepcopy(net)
        if method == "set" and isinstance(net, SparseNet) and epoch < settings.epochs - 1:
            turnover += [evolve_random(layer, generator, 0.3, optimizer).turnover for _, layer in net.sparse_layers()]
    chosen = validated.index(max(validated))
    found = {"validation": validated, "epoch": chosen + 1, "turnover": sum(turnover), "changes": len(turnover)}
    return best.eval(), found


def groups_of(net: Net, settings: Settings) -> list[tuple[list[nn.Parameter], float]]:
    """Parameters and their step size. Weights of hidden units meet an active input and a winner in few images only, so
    they have a larger one."""
    if not isinstance(net, SparseNet):
        return [(list(net.parameters()), settings.rate)]
    hidden = list(net.fc.parameters())
    others = [p for p in net.parameters() if all(p is not own for own in hidden)]
    return [(hidden, settings.hidden_rate), (others, settings.sparse_rate)]


def descend(
    net: nn.Module, optimizer: torch.optim.Optimizer, batch: Labelled,
    layers: Sequence[tuple[nn.Module, SparseLinear]], step: int, end: int,
) -> list[float]:  # fmt: skip
    """One step of descent, and where it is RigL's turn, of the connectivity of layers, (watched, rewired) each; the
    turnovers of that. Nothing is rewired from step `end` on."""
    optimizer.zero_grad()
    turn = layers if step % 100 == 99 and step < end else ()
    with ExitStack() as stack:
        seen = [stack.enter_context(watching(watched)) for watched, _ in turn]
        F.cross_entropy(net(batch.inputs), batch.labels).backward()
    optimizer.step()
    pairs = zip(turn, seen, strict=True)
    return [rigl(layer, given.gradient(), cosine_share(step, end), optimizer).turnover for (_, layer), given in pairs]
