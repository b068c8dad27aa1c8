"""Learned connectivity of layers: the rules of `connectivity`, applied to a layer and its optimiser.

    with watching(layer) as seen:                       # now and then, for RigL: the dense gradient
        loss.backward()
    optimizer.step()
    change = rigl(layer, seen.gradient(), cosine_share(step, end), optimizer)
    print(change.turnover)

A weight that is new starts at 0 without a past: whatever the optimiser remembers, one number a weight (momentum,
squares), is 0 there and moves along with the weights that stay. The layer's parameter remains the same object.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from . import connectivity
from .connectivity import Rewiring
from .linear import SparseLinear
from .masks import BlockMask, Mask
from .winners import Active


def evolve_random(
    layer: SparseLinear, generator: torch.Generator, share: float = 0.3, optimizer: torch.optim.Optimizer | None = None
) -> Rewiring:
    """SET: call it once an epoch. Raises ValueError for a block mask and a share outside 0 ... 1."""
    return reconnect(layer, connectivity.replace_random(plain_mask(layer), layer.weight, share, generator), optimizer)


def rigl(
    layer: SparseLinear, gradient: Tensor, share: float, optimizer: torch.optim.Optimizer | None = None
) -> Rewiring:
    """RigL: gradient ([columns,] inputs, outputs) of the dense matrix, as `watching` gives it. Raises as SET."""
    change = connectivity.replace_by_gradient(plain_mask(layer), layer.weight, share, gradient)
    return reconnect(layer, change, optimizer)


def prune(layer: SparseLinear, density: float, optimizer: torch.optim.Optimizer | None = None) -> Rewiring:
    """Gradual pruning: see `connectivity.pruning_density`. Raises ValueError for a block mask and a density outside
    (0, 1]."""
    return reconnect(layer, connectivity.prune(plain_mask(layer), layer.weight, density), optimizer)


def deep_rewire(
    layer: SparseLinear, signs: Tensor, rate: float, generator: torch.Generator, *, pull: float = 1e-4,
    temperature: float = 0.0, optimizer: torch.optim.Optimizer | None = None,
) -> tuple[Rewiring, Tensor]:  # fmt: skip
    """DEEP R after a step of the optimiser, and the signs of the weights that there are now.

    abs(w) <- abs(w) - rate pull + sqrt(2 rate temperature) noise, then weights that left their sign are replaced. signs
    : (weights,) of -1 and 1, at first `layer.weight.detach().sign()`; those of new weights are drawn. rate : the
    learning rate. Raises ValueError for a block mask and for columns.
    """
    mask, weight = plain_mask(layer), layer.weight.detach()
    noise = (2.0 * rate * temperature) ** 0.5
    pushed = weight - rate * pull * signs
    if noise > 0.0:
        pushed = pushed + noise * torch.randn(weight.shape, generator=generator).to(weight)
    change = connectivity.replace_crossed(mask, pushed, signs, generator)
    drawn = torch.randint(2, change.source.shape, generator=generator).to(weight) * 2.0 - 1.0
    signs = torch.where(change.source < 0, drawn, change.carry(signs))
    values = torch.where(change.source < 0, LEAST * signs, change.carry(pushed))
    return reconnect(layer, change, optimizer, values), signs


LEAST = 1e-12
"""Strength of a weight that DEEP R grows: of its sign, and next to nothing."""


def reconnect(
    layer: SparseLinear, change: Rewiring, optimizer: torch.optim.Optimizer | None, values: Tensor | None = None
) -> Rewiring:
    """Gives the layer the new mask, and weights: `values`, or those that stay and 0. Returns the change."""
    past: dict[str, Any] = {} if optimizer is None else optimizer.state.get(layer.weight, {})
    for name, part in past.items():
        if isinstance(part, Tensor) and part.shape == layer.weight.shape:
            past[name] = change.carry(part)
    layer.reconnect(change.mask, change.carry(layer.weight.detach()) if values is None else values)
    return change


def adopt(layer: SparseLinear, state: Mapping[str, Tensor], prefix: str = "") -> None:
    """Gives the layer the mask of a checkpoint, so that `load_state_dict` takes it though connectivity was learnt.

    prefix : of the layer's names in the checkpoint, such as "hidden.". Raises ValueError where it is of other inputs.
    """
    targets, starts = state[prefix + "targets"], state[prefix + "starts"]
    mask = Mask(targets.to(layer.targets), starts.to(layer.starts), layer.out_features, plain_mask(layer).kind)
    layer.reconnect(mask, state[prefix + "weight"].to(layer.weight))


def plain_mask(layer: SparseLinear) -> Mask:
    """The mask of single weights. Raises ValueError where the layer has blocks."""
    mask = layer.mask
    if isinstance(mask, BlockMask):
        raise ValueError(
            f"blocks don't grow: the layer {layer.in_features} -> {layer.out_features} has a block mask; "
            "build it with mask='packed' or 'random'"
        )
    return mask


class Seen:
    """What a layer got and what the loss says of its output, summed over the calls watched."""

    def __init__(self) -> None:
        self._total: Tensor | None = None

    def add(self, x: Tensor, slope: Tensor) -> None:
        """x : (rows, [columns,] inputs), slope : (rows, [columns,] outputs)."""
        part = x.mT @ slope if x.ndim == 2 else torch.einsum("bci,bco->cio", x, slope)
        self._total = part if self._total is None else self._total + part

    def gradient(self) -> Tensor:
        """The gradient of the dense matrix, ([columns,] inputs, outputs). Raises ValueError if nothing was watched."""
        if self._total is None:
            raise ValueError("no gradient was seen: call the layer and loss.backward() inside `with watching(layer)`")
        return self._total


@contextmanager
def watching(layer: nn.Module) -> Iterator[Seen]:
    """Inside, backward passes through the layer also give the gradient of weights that don't exist.

    layer : a SparseLinear, or another with `rows_of(x)` and `slopes_of(slope)`, such as SparseConv2d.
    """
    seen = Seen()

    def watch(module: nn.Module, given: tuple[Tensor | Active, ...], y: Tensor) -> None:
        x = given[0].dense().detach() if isinstance(given[0], Active) else given[0].detach()
        if y.requires_grad:
            y.register_hook(lambda slope: seen.add(_rows(module, x), _slopes(module, slope)))

    handle = layer.register_forward_hook(watch)
    try:
        yield seen
    finally:
        handle.remove()


def _rows(layer: Any, x: Tensor) -> Tensor:
    return layer.rows_of(x) if hasattr(layer, "rows_of") else _flat(layer, x)


def _slopes(layer: Any, slope: Tensor) -> Tensor:
    return layer.slopes_of(slope) if hasattr(layer, "slopes_of") else _flat(layer, slope)


def _flat(layer: SparseLinear, x: Tensor) -> Tensor:
    return x.reshape(-1, *x.shape[-layer.weight.ndim :])
