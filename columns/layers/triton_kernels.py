"""Triton kernels for many columns with their own weights: selection, gather and packed product. Extra `gpu`.

    gather:  y[r, :] = b[c(r), :] + sum over slots q of v[r, q] W[c(r), j[r, q], :]
    packed:  y[r, f(g) + o] = b + sum over slots q with off[j[r, q], g] = o of v[r, q] Wp[c(r), j[r, q], g]

c(r) = r mod columns, as everywhere here; f(g) : first output of bank g. A row's winners are found by bisection of the
cut, on the order that the bits of floats have as integers, so the answer is exact after 32 halvings; among equals the
lowest index wins. In the packed product a program owns whole banks, so no two programs add to the same place.

Gradients, with s = dL/dy; the gather product is a packed one whose banks are single outputs:

    dL/dv[r, q] = sum over banks g of Wp[c(r), j, g] s[r, f(g) + off[j, g]],    j = j[r, q]
    dL/dWp[c, j, g] = sum over the slots (r, q) of column c with j[r, q] = j of v[r, q] s[r, f(g) + off[j, g]]
    dL/dx = dL/dv at the winners, 0 elsewhere

For the second, slots are sorted by the input that they hold, so that each weight is written once: every run gives the
same bits. References: `winners.select`, `products.gather_product`, `products.scatter_product`. Without a GPU the same
kernels run in Triton's interpreter, set TRITON_INTERPRET=1 before the first import: that tests them and is slow.
"""

import os
from functools import cache
from importlib.util import find_spec
from types import ModuleType
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from .masks import Mask
from .winners import NOTHING, Active, check_winners

DTYPES = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
"""Types that products take; they add in float32, float64 in itself."""
WIDEST = 16384
"""Units of a row that one program selects from."""
WARPS, AHEAD = 8, 4
"""Of the packed product: warps of a program, and slots that each asks for at a time."""


@cache
def kernels() -> ModuleType:
    """The compiled kernels. Raises ImportError with the line to run where Triton is missing."""
    try:
        from . import triton_source
    except ImportError as error:
        raise ImportError("Triton kernels need Triton; run: pip install 'cortical-columns[gpu]'") from error
    return triton_source


@cache
def installed() -> bool:
    """Whether Triton is there."""
    return find_spec("triton") is not None


def can_run(device: torch.device) -> bool:
    """Whether kernels run on tensors of a device: on a GPU, and on a CPU in the interpreter."""
    return device.type == "cuda" or os.environ.get("TRITON_INTERPRET") == "1"


def takes(like: Tensor) -> bool:
    """Whether products take such tensors."""
    return like.dtype in DTYPES and can_run(like.device) and installed()


def can_select(x: Tensor) -> bool:
    """Whether `select` takes rows of x : (..., n)."""
    return x.dtype in DTYPES[:3] and x.ndim > 0 and x.shape[-1] <= WIDEST and can_run(x.device) and installed()


def select(
    x: Tensor, k: int, floor: float = float("-inf"), drive: Tensor | None = None, checked: bool = True
) -> Active:
    """The k largest of each row of x : (..., n), as `winners.select` gives them; the gradient reaches them alone.

    drive : like x, decides in its stead who wins. checked : whether to look for NaN, which waits for the GPU and so
    can't be captured in a CUDA graph; without the check, rows with NaN have any winners.

    Raises ValueError unless 1 <= k <= n <= 16384, for float64, for NaN, and where no kernel runs on the device.
    """
    check_winners(x, k)
    push = x if drive is None else drive
    for tensor in (x, push):
        _check(tensor, DTYPES[:3])
    n = x.shape[-1]
    if n > WIDEST:
        raise ValueError(f"a row of {n} units doesn't fit one program, shape {tuple(x.shape)}; use local_winners")
    if checked and bool(push.isnan().any()):
        raise ValueError(f"NaN among the activations, shape {tuple(x.shape)}: no order, so no winners")
    rows = x.reshape(-1, n).contiguous()
    indices, values = _Select.apply(rows, push.detach().expand(x.shape).reshape(-1, n).contiguous(), k, floor)
    return Active(indices.view(*x.shape[:-1], k), values.view(*x.shape[:-1], k), n)


class _Select(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, drive: Tensor, k: int, floor: float) -> tuple[Tensor, Tensor]:
        n, source = x.shape[1], kernels()
        indices = torch.full((len(x), k), NOTHING, dtype=torch.int32, device=x.device)
        values = x.new_zeros(len(x), k)
        source.select[(len(x),)](drive, x, indices, values, n, k, floor, BLOCK=source.power_of_two(n))
        ctx.save_for_backward(indices)
        ctx.mark_non_differentiable(indices)
        ctx.shape = x.shape
        return indices, values

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *slopes: Tensor):  # pyright: ignore[reportIncompatibleMethodOverride]
        slope = slopes[1]
        (indices,), source = ctx.saved_tensors, kernels()
        (rows, k), n = indices.shape, ctx.shape[1]
        d_x = slope.new_zeros(rows, n)
        source.spread[(rows,)](indices, slope.contiguous(), d_x, n, k, BLOCK=source.power_of_two(k))
        return d_x, None, None, None


def gather_product(active: Active, matrix: Tensor, bias: Tensor | None = None) -> Tensor:
    """As `products.gather_product`: matrix ([columns,] inputs, outputs) -> (..., outputs).

    Raises ValueError where shapes or types don't fit.
    """
    matrix = matrix if matrix.ndim == 3 else matrix.unsqueeze(0)
    return _product(active, matrix, None, matrix.shape[2], bias)


def packed_product(active: Active, weight: Tensor, mask: Mask, bias: Tensor | None = None) -> Tensor:
    """As `products.scatter_product` for a packed mask: weight ([columns,] weights).

    Raises ValueError for another mask, for banks of more than 256 outputs, and where shapes or types don't fit.
    """
    offsets = mask.offsets
    if offsets is None:
        raise ValueError(
            f"the kernel takes a packed mask with banks of at most 256 outputs, but this one is {mask.kind}, "
            f"{mask.inputs} x {mask.outputs} with {len(mask.targets)} weights; use scatter_product"
        )
    if weight.shape[-1] != len(mask.targets):
        raise ValueError(f"weights of shape {tuple(weight.shape)} don't fit a mask of {len(mask.targets)} weights")
    return _product(active, weight.reshape(-1, *offsets.shape), offsets, mask.outputs, bias)


def _product(active: Active, weight: Tensor, offsets: Tensor | None, outputs: int, bias: Tensor | None) -> Tensor:
    """weight : (columns, inputs, banks); offsets : (inputs, banks), None where every output is a bank."""
    _fits(active, weight)
    k = active.values.shape[-1]
    indices = active.indices.reshape(-1, k).contiguous()
    shift = None if bias is None else _shift(bias, weight, outputs)
    rows = active.values.reshape(-1, k).contiguous()
    y = _Product.apply(rows, indices, weight.contiguous(), offsets, shift, outputs)
    return y.view(*active.values.shape[:-1], outputs)


class _Product(torch.autograd.Function):
    """values, indices : (rows, k), of weight : (columns, inputs, banks); offsets : (inputs, banks) or None."""

    @staticmethod
    def forward(
        ctx: Any, values: Tensor, indices: Tensor, weight: Tensor, offsets: Tensor | None, bias: Tensor | None,
        outputs: int,
    ) -> Tensor:  # fmt: skip
        ctx.save_for_backward(values, indices, weight, offsets)
        y = values.new_empty(len(values), outputs)
        if offsets is None:
            _gather(values, indices, weight, bias, y)
        else:
            _packed(values, indices, weight, offsets, bias, y)
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *slopes: Tensor):  # pyright: ignore[reportIncompatibleMethodOverride]
        values, indices, weight, offsets = ctx.saved_tensors
        held, slope = (values, indices, weight, offsets), slopes[0].contiguous()
        wanted, columns = ctx.needs_input_grad, len(weight)
        d_values = _slope_of_values(*held, slope) if wanted[0] else None
        d_weight = _slope_of_weights(*held, slope) if wanted[2] else None
        d_bias = slope.view(-1, columns, slope.shape[1]).sum(0) if wanted[4] else None
        return d_values, None, d_weight, None, d_bias, None


def _gather(values: Tensor, indices: Tensor, weight: Tensor, bias: Tensor | None, y: Tensor) -> None:
    source, outputs = kernels(), y.shape[1]
    tile = min(source.power_of_two(outputs), 128)
    source.gather[len(values), -(-outputs // tile)](
        indices, values, weight, bias, y, values.shape[1], *weight.shape,
        TILE=tile, SLOTS=32, SHIFTED=bias is not None, SUM=_sums(values),
    )  # fmt: skip


def _packed(values: Tensor, indices: Tensor, weight: Tensor, offsets: Tensor, bias: Tensor | None, y: Tensor) -> None:
    source, (columns, inputs, banks), outputs = kernels(), weight.shape, y.shape[1]
    size = -(-outputs // banks)
    low = max(source.power_of_two(size) // 2, 1)
    # Banks of a thread: its registers must hold their sums, and two for each shouldn't leave many threads without one.
    parts = 2 if size <= 24 and -(-banks // 64) * 2 <= 1.1 * -(-banks // 32) else 1
    source.packed[len(values), -(-banks // (32 * parts))](
        indices, values, weight, offsets, bias, y, values.shape[1], columns, inputs, banks, outputs,
        PARTS=parts, LOW=low, HIGH=source.power_of_two(max(size - low, 1)), WARPS=WARPS, AHEAD=AHEAD,
        SHIFTED=bias is not None, SUM=_sums(values), num_warps=WARPS,
    )  # fmt: skip


def _slope_of_values(values: Tensor, indices: Tensor, weight: Tensor, offsets: Tensor | None, slope: Tensor) -> Tensor:
    source, d_values, (rows, k) = kernels(), torch.empty_like(values), values.shape
    source.slope_of_values[rows, -(-k // 16)](
        indices, slope, weight, offsets, d_values, k, *weight.shape, slope.shape[1],
        TILE=128, SLOTS=16, PACKED=offsets is not None, SUM=_sums(values),
    )  # fmt: skip
    return d_values


def _slope_of_weights(values: Tensor, indices: Tensor, weight: Tensor, offsets: Tensor | None, slope: Tensor) -> Tensor:
    source, d_weight, (columns, inputs, banks) = kernels(), torch.zeros_like(weight), weight.shape
    order, ends = by_input(indices, columns, inputs)
    tile = min(source.power_of_two(banks), 256)
    source.slope_of_weights[len(order), -(-banks // tile)](
        order, ends, indices, values, slope, offsets, d_weight, values.shape[1], columns, inputs, banks, slope.shape[1],
        TILE=tile, PACKED=offsets is not None, SUM=_sums(values),
    )  # fmt: skip
    return d_weight


def by_input(indices: Tensor, columns: int, inputs: int) -> tuple[Tensor, Tensor]:
    """Slots of indices : (rows, k), flat, in the order of column and input, and where the slots of each input end.

    ends : in that order, 0 except at the first slot of an input; empty slots come last and have 0. Both (rows k,) int64
    """
    column = torch.arange(len(indices), device=indices.device).unsqueeze(1) % columns
    empty = columns * inputs
    key = torch.where(indices >= 0, column * inputs + indices.long(), empty).flatten()
    key, order = key.sort(stable=True)
    first = torch.ones_like(key, dtype=torch.bool)
    first[1:] = key[1:] != key[:-1]
    ends = torch.searchsorted(key, key, right=True)
    return order, torch.where(first & (key < empty), ends, 0)


def _sums(values: Tensor) -> Any:
    """Triton's type of sums."""
    import triton.language as tl  # pyright: ignore[reportMissingImports]

    return tl.float64 if values.dtype == torch.float64 else tl.float32


def _shift(bias: Tensor, weight: Tensor, outputs: int) -> Tensor:
    if bias.shape[-1] != outputs or bias.dtype != weight.dtype:
        raise ValueError(
            f"a bias of shape {tuple(bias.shape)}, {bias.dtype}, doesn't fit {outputs} outputs of {weight.dtype}"
        )
    return bias.expand(len(weight), outputs).contiguous()


def _check(x: Tensor, types: tuple[torch.dtype, ...] = DTYPES) -> None:
    if x.dtype not in types or not can_run(x.device):
        raise ValueError(
            f"these kernels take {', '.join(str(one) for one in types)} on a GPU (on a CPU only with "
            f"TRITON_INTERPRET=1), but the tensor is {x.dtype} on {x.device}, shape {tuple(x.shape)}; the functions of "
            "the same names in winners and products run anywhere"
        )


def _fits(active: Active, weight: Tensor) -> None:
    shape, columns, inputs = active.values.shape, len(weight), weight.shape[1]
    _check(active.values)
    if active.values.dtype != weight.dtype or active.values.device != weight.device:
        raise ValueError(
            f"values {active.values.dtype} on {active.values.device}, shape {tuple(shape)}, don't go with weights "
            f"{weight.dtype} on {weight.device}, shape {tuple(weight.shape)}; convert one of them with .to(...)"
        )
    if active.size != inputs or (columns > 1 and (len(shape) < 2 or shape[-2] != columns)):
        raise ValueError(
            f"active units of {active.size}, shape {tuple(shape)}, don't fit weights of {columns} columns and {inputs} "
            f"inputs; give (..., {columns}, slots)"
        )
