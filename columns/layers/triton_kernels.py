"""Triton kernels for many columns with their own weights: selection, gather and packed product. Extra `gpu`.

    gather:  y[r, :] = sum over slots q of v[r, q] W[c(r), j[r, q], :]
    packed:  y[r, g S + o] = sum over slots q with off[j[r, q], g] = o of v[r, q] Wp[c(r), j[r, q], g]

c(r) = r mod columns, as everywhere here. A row's winners are found by bisection of the cut, on the order that the bits
of floats have as integers, so the answer is exact after 32 halvings; among equals the lowest index wins. In the packed
product a program owns whole banks, so no two programs add to the same place and every run gives the same bits.
References: `winners.select`, `products.gather_product`, `products.scatter_product`. Without a GPU the same kernels run
in Triton's interpreter, set TRITON_INTERPRET=1 before the first import: that tests them and is slow.
"""

import os
from functools import cache
from types import ModuleType

import torch
from torch import Tensor

from .masks import Mask, bank_edges
from .winners import NOTHING, Active, check_winners


@cache
def kernels() -> ModuleType:
    """The compiled kernels. Raises ImportError with the line to run where Triton is missing."""
    try:
        from . import triton_source
    except ImportError as error:
        raise ImportError("Triton kernels need Triton; run: pip install 'cortical-columns[gpu]'") from error
    return triton_source


def can_run(device: torch.device) -> bool:
    """Whether kernels run on tensors of a device: on a GPU, and on a CPU in the interpreter."""
    return device.type == "cuda" or os.environ.get("TRITON_INTERPRET") == "1"


def select(x: Tensor, k: int, floor: float = float("-inf")) -> Active:
    """The k largest of each row of x : (..., n) float32, as `winners.select` gives them, without gradient.

    Raises ValueError unless 1 <= k <= n <= 16384, for another type, for NaN, and where no kernel runs on the device.
    """
    check_winners(x, k)
    _check(x)
    n = x.shape[-1]
    if n > 16384:
        raise ValueError(f"a row of {n} units doesn't fit one program, shape {tuple(x.shape)}; use local_winners")
    if bool(x.isnan().any()):
        raise ValueError(f"NaN among the activations, shape {tuple(x.shape)}: no order, so no winners")
    rows = x.detach().reshape(-1, n).contiguous()
    indices = torch.full((len(rows), k), NOTHING, dtype=torch.int32, device=x.device)
    values = torch.zeros(len(rows), k, device=x.device)
    source = kernels()
    source.select[(len(rows),)](rows, indices, values, n, k, floor, BLOCK=source.power_of_two(n))
    return Active(indices.view(*x.shape[:-1], k), values.view(*x.shape[:-1], k), n)


def gather_product(active: Active, matrix: Tensor, bias: Tensor | None = None) -> Tensor:
    """As `products.gather_product`, forward only: matrix ([columns,] inputs, outputs) float32 -> (..., outputs).

    Raises ValueError where shapes or types don't fit.
    """
    indices, values = _rows(active)
    matrix = matrix.detach() if matrix.ndim == 3 else matrix.detach().unsqueeze(0)
    _check(matrix)
    _fits(active, matrix.shape[0], matrix.shape[1])
    outputs, source = matrix.shape[2], kernels()
    y = torch.empty(len(values), outputs, device=values.device)
    tile = min(source.power_of_two(outputs), 128)
    grid = (len(values), -(-outputs // tile))
    held = _bias(bias, len(matrix), outputs, values)
    source.gather[grid](
        indices, values, matrix.contiguous(), held, y, values.shape[1], len(matrix), matrix.shape[1], outputs,
        TILE=tile, SLOTS=16,
    )  # fmt: skip
    return y.view(*active.values.shape[:-1], outputs)


def packed_product(active: Active, weight: Tensor, mask: Mask, bias: Tensor | None = None) -> Tensor:
    """As `products.scatter_product` for a packed mask, forward only: weight ([columns,] weights) float32.

    Raises ValueError for another mask, where banks differ in size, and where shapes or types don't fit.
    """
    offsets, size = bank_offsets(mask)
    indices, values = _rows(active)
    weight = weight.detach() if weight.ndim == 2 else weight.detach().unsqueeze(0)
    _check(weight)
    _fits(active, len(weight), mask.inputs)
    if weight.shape[1] != len(mask.targets):
        raise ValueError(f"weights of shape {tuple(weight.shape)} don't fit a mask of {len(mask.targets)} weights")
    source, banks = kernels(), offsets.shape[1]
    y = torch.empty(len(values), mask.outputs, device=values.device)
    tile, room = min(source.power_of_two(banks), 64), source.power_of_two(size)
    grid = (len(values), -(-banks // tile))
    held = _bias(bias, len(weight), mask.outputs, values)
    source.packed[grid](
        indices, values, weight.contiguous(), offsets, held, y, values.shape[1], len(weight), mask.inputs, banks, size,
        TILE=tile, ROOM=room,
    )  # fmt: skip
    return y.view(*active.values.shape[:-1], mask.outputs)


def bank_offsets(mask: Mask) -> tuple[Tensor, int]:
    """The place of every target in its bank, (inputs, banks) uint8, and the size of a bank.

    One byte an index: with bfloat16 weights that is 3 bytes a weight, against 2 of a dense one. Raises ValueError for
    a mask that isn't packed, for banks of different sizes and of more than 256 outputs.
    """
    banks = len(mask.targets) // max(mask.inputs, 1)
    if mask.kind != "packed" or mask.outputs % banks or mask.outputs // banks > 256:
        raise ValueError(
            f"the kernel takes a packed mask with banks of one size up to 256, but this one is {mask.kind}, "
            f"{mask.inputs} x {mask.outputs} with {len(mask.targets)} weights; choose 1 / density as a divisor of the "
            "outputs, or use scatter_product"
        )
    first = bank_edges(mask.outputs, banks)[:-1].to(mask.targets.device)
    return (mask.targets.long().view(mask.inputs, banks) - first).to(torch.uint8), mask.outputs // banks


def _rows(active: Active) -> tuple[Tensor, Tensor]:
    _check(active.values)
    k = active.values.shape[-1]
    return active.indices.reshape(-1, k).contiguous(), active.values.detach().reshape(-1, k).contiguous()


def _bias(bias: Tensor | None, columns: int, outputs: int, like: Tensor) -> Tensor:
    if bias is None:
        return like.new_zeros(columns, outputs)
    return bias.detach().expand(columns, outputs).contiguous()


def _check(x: Tensor) -> None:
    if x.dtype != torch.float32 or not can_run(x.device):
        raise ValueError(
            f"these kernels take float32 on a GPU (on a CPU only with TRITON_INTERPRET=1), but the tensor is {x.dtype} "
            f"on {x.device}, shape {tuple(x.shape)}; the products of the same names run anywhere"
        )


def _fits(active: Active, columns: int, inputs: int) -> None:
    shape = active.values.shape
    if active.size != inputs or (columns > 1 and (len(shape) < 2 or shape[-2] != columns)):
        raise ValueError(
            f"active units of {active.size}, shape {tuple(shape)}, don't fit weights of {columns} columns and {inputs} "
            f"inputs; give (..., {columns}, slots)"
        )
