"""A linear layer whose weights and inputs may both be sparse.

    y = b + sum over active inputs j, over weights of j that exist, of w x_j

A thin module over `products`: masks and formats decide what is stored and what is read, never what comes out.
"""

from collections.abc import Mapping
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from . import cost, products
from .counters import LISTENERS
from .kernels import warn_of_plain
from .masks import BlockMask, Mask, block_mask, packed_mask, random_mask
from .step import make_step
from .two_of_four import can_compress, compress, compressed_product, two_of_four_mask
from .winners import Active

FORMATS = {
    "auto": ("packed", "random", "block", "two_of_four"),
    "dense": ("random", "packed", "block", "two_of_four"),
    "gather": ("random", "packed", "block"),
    "packed": ("packed", "random"),
    "block": ("block",),
    "two_of_four": ("two_of_four",),
}
"""The masks that every format can work with, its own first."""


class SparseLinear(nn.Module):
    """in_features -> out_features with a share `density` of the weights, the same number at every output.

    format : how the product is computed.
        "packed" : only weights that exist, of active inputs (both sparsities multiply);
        "gather" : whole rows of the dense matrix, of active inputs; "dense" : the whole matrix; "block" : whole blocks;
        "two_of_four" : the whole matrix, or on an NVIDIA card in 16 bits without gradient half of it;
        "auto" : what the cost model of this machine finds fastest for the rows and active inputs of each call. Without
        gradient it may hold a dense copy of the weights beside them.
    mask : "packed", "random", "block" or, of density 0.5, "two_of_four"; by default what fits the format.
    columns : number of columns with their own weights and a common mask; inputs are then (..., columns, in_features).
    block : side of a block. seed : of mask and weights. bias : whether there is one.

    Raises ValueError for an unknown format, a mask that it can't work with, and a density that doesn't fit.
    """

    targets: Tensor
    starts: Tensor
    blocks: Tensor
    bias: nn.Parameter | None

    def __init__(
        self, in_features: int, out_features: int, density: float, format: str = "auto", *, mask: str | None = None,
        bias: bool = True, columns: int | None = None, block: int = 32, seed: int = 0,
    ) -> None:  # fmt: skip
        super().__init__()
        kind = _kind(format, mask)
        generator = torch.Generator().manual_seed(seed)
        self.in_features, self.out_features, self.format = in_features, out_features, format
        self._mask = _draw(kind, in_features, out_features, density, block, generator)
        for name in _names(self._mask):
            self.register_buffer(name, getattr(self._mask, name))
        lead = () if columns is None else (columns,)
        shape = (*lead, *_weight_shape(self._mask))
        reach = 1.0 / max(in_features * self._mask.density, 1.0) ** 0.5
        self.weight = nn.Parameter((2.0 * torch.rand(shape, generator=generator) - 1.0) * reach)
        self.register_parameter("bias", nn.Parameter(torch.zeros(*lead, out_features)) if bias else None)
        self._kept: tuple[tuple, Tensor] | None = None
        self._compressed: tuple[tuple, tuple[Tensor, ...]] | None = None
        self._quick: _Quick | None = None
        self._room: Tensor | None = None

    @property
    def mask(self) -> Mask | BlockMask:
        """Which weights exist, on the device of the layer."""
        held = self._mask
        if isinstance(held, Mask) and held.targets is not self.targets:
            self._mask = Mask(self.targets, self.starts, held.outputs, held.kind)
        elif isinstance(held, BlockMask) and held.blocks is not self.blocks:
            self._mask = BlockMask(self.blocks, held.size, held.inputs, held.outputs)
        return self._mask

    @property
    def density(self) -> float:
        """Share of all weights that exist, as near to the one asked for as whole numbers allow."""
        return self._mask.density

    def dense(self) -> Tensor:
        """The weights as a plain matrix, ([columns,] in_features, out_features); gradients flow through it."""
        return products.dense_matrix(self.weight, self.mask)

    def forward(self, x: Tensor | Active) -> Tensor:
        """x : (..., [columns,] in_features), dense or its active units. Returns (..., [columns,] out_features).

        Raises ValueError for another width.
        """
        quick = self._quick
        if quick is not None and quick.fits(x, self._parameters):
            if isinstance(x, Active):
                x = self._room = x.dense(self._room)
            return F.linear(x, quick.matrix, quick.bias)
        weight, bias, learns = self.weight, self.bias, self.learns()
        method = self._method(x, weight, learns)
        if method == "dense":
            matrix = self.matrix(learns)
            if not learns and matrix.ndim == 2:
                state = weight._version, weight.data_ptr()
                self._quick = _Quick(type(x), _shape(x), matrix.mT, bias, weight, state)
            if not learns and isinstance(x, Active):
                # One room for all calls: fresh memory costs more than filling it.
                x = self._room = x.dense(self._room)
            return products.dense_product(x, matrix, bias)
        if method == "gather":
            return products.gather_product(_listed(x), self.matrix(learns, gathered=True), bias)
        if method == "two_of_four":
            full = x.dense() if isinstance(x, Active) else x
            return compressed_product(full, self._two_of_four(), weight.ndim > 1, bias)
        mask = self.mask
        if isinstance(mask, BlockMask):
            return products.block_product(x, weight, mask, bias)
        if method == "lanes":
            return products.lanes_product(x, weight, mask, bias)
        return products.scatter_product(_listed(x), weight, mask, bias)

    def method(self, x: Tensor | Active) -> str:
        """The product that `forward` will take for such an input: "dense", "gather", "scatter", "lanes", "block" or
        "two_of_four"."""
        return self._method(x, self.weight, self.weight.requires_grad and torch.is_grad_enabled())

    def _method(self, x: Tensor | Active, weight: Tensor, learns: bool) -> str:
        if self.format == "two_of_four":
            if not learns and can_compress(weight, self.in_features, self.out_features):
                return "two_of_four"
            if not learns and weight.is_cuda:
                warn_of_plain(weight, "2:4 product")
            return "dense"
        if self.format != "auto":
            return self.format if self.format != "packed" else "scatter"
        if isinstance(self._mask, BlockMask):
            return "block"
        if not weight.is_cpu:
            return "dense"
        if isinstance(x, Active):
            methods, active = cost.METHODS, x.values.shape[-1]
            rows = x.values.numel() // max(active, 1)
        else:
            methods, active = ("dense", "lanes"), self.in_features
            rows = x.numel() // active
        sizes = rows, active, self.in_features, self.out_features
        return cost.choose(methods, sizes, weight.shape[-1], learns)

    def lanes(self, x: Tensor) -> Tensor:
        """The same as `forward`, all rows of x at once over the weights that exist.

        Raises ValueError for a block mask.
        """
        self.learns()
        mask = self.mask
        if isinstance(mask, BlockMask):
            raise ValueError(f"blocks have no lanes, shape of x {tuple(x.shape)}; take mask='packed' or 'random'")
        return products.lanes_product(x, self.weight, mask, self.bias)

    def step(self, k: int, floor: float = float("-inf")):
        """Selection of k winners of the input and product in one call, for batch 1: see `step.make_step`."""
        mask = self.mask
        if not isinstance(mask, Mask) or self.weight.ndim > 1:
            raise ValueError(
                f"a step needs a packed or random mask and one column, but the mask is {mask.kind} and the weights are "
                f"of shape {tuple(self.weight.shape)}; call the layer instead"
            )
        return make_step(self.weight, mask, k, self.bias, floor)

    def reconnect(self, mask: Mask, weight: Tensor) -> None:
        """Another mask of the same inputs and outputs, and its weights, ([columns,] weights), which are copied.

        The parameter remains the same object, without gradient; steps made before keep the old mask and weights.

        Raises ValueError where shapes don't fit.
        """
        lead = self.weight.shape[:-1]
        fits = mask.inputs == self.in_features and mask.outputs == self.out_features
        if not fits or not isinstance(self._mask, Mask) or weight.shape != (*lead, len(mask.targets)):
            raise ValueError(
                f"a mask of {mask.inputs} x {mask.outputs} and weights of shape {tuple(weight.shape)} don't fit a "
                f"{self._mask.kind} layer {self.in_features} -> {self.out_features}, which wants "
                f"{(*lead, len(mask.targets))}"
            )
        self._mask, self.targets, self.starts = mask, mask.targets, mask.starts
        self.weight.grad = None
        self.weight.data = weight.detach().clone()
        self.forget()

    def matrix(self, learns: bool, gathered: bool = False) -> Tensor:
        """The dense matrix as products want it; where nobody learns, a copy is kept until the weights change."""
        if learns:
            return self.dense()
        weight = self.weight
        key = (gathered, weight._version, weight.data_ptr(), weight.dtype)
        if self._kept is None or self._kept[0] != key:
            # Laid out output by output, as torch's layers are, except where rows of it are gathered.
            full = self.dense().detach()
            self._kept = key, full if gathered else full.mT.contiguous().mT
        return self._kept[1]

    def _two_of_four(self) -> tuple[Tensor, ...]:
        weight = self.weight
        key = (weight._version, weight.data_ptr(), weight.dtype)
        if self._compressed is None or self._compressed[0] != key:
            self._compressed = key, compress(self.dense().detach())
        return self._compressed[1]

    def learns(self) -> bool:
        """Whether this call is to learn from; then copies go, since fused optimisers change weights unseen."""
        learns = self.weight.requires_grad and torch.is_grad_enabled()
        if learns:
            self.forget()
        return learns

    def forget(self) -> None:
        """Drop copies of the weights. Needed only after a change that torch doesn't count, such as by `weight.data`."""
        self._kept = self._quick = self._compressed = None

    def _load_from_state_dict(
        self, state_dict, prefix, local_metadata, strict, missing_keys, unexpected_keys, error_msgs
    ) -> None:
        for name in _names(self._mask):
            own, theirs = getattr(self, name), state_dict.get(prefix + name)
            if theirs is not None and (own.shape != theirs.shape or not torch.equal(own.cpu(), theirs.cpu())):
                error_msgs.append(
                    f"the checkpoint has another mask: {prefix}{name} of shape {tuple(theirs.shape)} against "
                    f"{tuple(own.shape)} of this {self._mask.kind} layer, {self.in_features} -> {self.out_features}; "
                    "build the layer with the checkpoint's sizes, density, mask and seed"
                )
                return
        super()._load_from_state_dict(
            state_dict, prefix, local_metadata, strict, missing_keys, unexpected_keys, error_msgs
        )

    def _apply(self, fn, recurse=True):
        self._kept = self._quick = self._room = self._compressed = None
        return super()._apply(fn, recurse)

    def extra_repr(self) -> str:
        """What print shows."""
        sizes = f"{self.in_features}, {self.out_features}, density={self.density:.4g}"
        return f"{sizes}, format={self.format!r}, mask={self._mask.kind!r}"


class _Quick(NamedTuple):
    """A call that came before and was dense: the next of that shape needs no choice, which costs as much as a small
    product."""

    kind: type
    shape: torch.Size
    matrix: Tensor
    bias: Tensor | None
    weight: Tensor
    state: tuple[int, int]

    def fits(self, x: Tensor | Active, parameters: Mapping[str, Tensor | None]) -> bool:
        return (
            type(x) is self.kind
            and _shape(x) == self.shape
            and parameters["weight"] is self.weight
            and parameters["bias"] is self.bias
            and (self.weight._version, self.weight.data_ptr()) == self.state
            and not torch.is_grad_enabled()
            and not LISTENERS
        )


def _shape(x: Tensor | Active) -> torch.Size:
    return x.values.shape if isinstance(x, Active) else x.shape


def active_units(x: Tensor) -> Active:
    """The units of x : (..., n) that are not 0, in as many slots as the fullest row needs; gradients flow to them."""
    on = x != 0
    room = int(on.sum(-1).max()) if x.numel() else 0
    order = torch.argsort(~on, dim=-1, stable=True)[..., :room]
    won = on.gather(-1, order)
    values = x.gather(-1, order).masked_fill(~won, 0)
    return Active(order.masked_fill(~won, -1).to(torch.int32), values, x.shape[-1])


def _listed(x: Tensor | Active) -> Active:
    return x if isinstance(x, Active) else active_units(x)


def _kind(format: str, mask: str | None) -> str:
    if format not in FORMATS:
        raise ValueError(f"no format {format!r}; formats are {', '.join(FORMATS)}")
    mask = mask or FORMATS[format][0]
    if mask not in FORMATS[format]:
        raise ValueError(f"format {format!r} can't work with a mask {mask!r}; it takes {', '.join(FORMATS[format])}")
    return mask


def _draw(kind: str, inputs: int, outputs: int, density: float, block: int, generator: torch.Generator):
    if kind == "block":
        return block_mask(inputs, outputs, density, block, generator)
    if kind == "two_of_four":
        if density != 0.5:
            raise ValueError(f"2:4 weights have a density of 0.5, but {density} is asked for, {(inputs, outputs)}")
        return two_of_four_mask(inputs, outputs, generator)
    draw = packed_mask if kind == "packed" else random_mask
    return draw(inputs, outputs, density, generator)


def _names(mask: Mask | BlockMask) -> tuple[str, ...]:
    return ("blocks",) if isinstance(mask, BlockMask) else ("targets", "starts")


def _weight_shape(mask: Mask | BlockMask) -> tuple[int, ...]:
    if isinstance(mask, BlockMask):
        return len(mask.blocks), mask.blocks.shape[1] * mask.size, mask.size
    return (len(mask.targets),)
