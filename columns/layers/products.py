"""Products of sparse weights and sparse activations, each in several ways that give the same result.

    y = b + x W,    W (inputs, outputs) with the weights of a mask, zero elsewhere

| product | reads weights of | best for |
|---|---|---|
| `dense_product` | all, zeros included | the reference; large batches |
| `gather_product` | the active inputs, zeros included | dense weights, few samples |
| `scatter_product` | the active inputs, only those that exist | few samples: both sparsities multiply |
| `lanes_product` | all inputs that any sample activates, only those that exist | tens of samples |
| `block_product` | the blocks that exist | block masks |

All take columns with their own weights: weight (weights,) and x (..., inputs), or weight (columns, weights) and x (...,
columns, inputs). On a CPU in float32 and float64 compiled kernels run, on a GPU Triton's for gather and packed weights
(see `triton_kernels`), elsewhere plain torch that gives the same; the first time this happens a warning says so.
Gradients are those of the dense product, restricted to weights that exist and inputs that are listed.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from . import counters
from .gradients import Gather, Lanes, Scatter, applied, run
from .kernels import compiled, triton, way
from .masks import BlockMask, Mask
from .winners import Active


def dense_matrix(weight: Tensor, mask: Mask | BlockMask) -> Tensor:
    """The weights of a mask as a plain matrix: (inputs, outputs), or (columns, inputs, outputs)."""
    if isinstance(mask, BlockMask):
        return _dense_blocks(weight, mask)
    places = mask.sources() * mask.outputs + mask.targets.long()
    flat = weight.new_zeros(*weight.shape[:-1], mask.inputs * mask.outputs)
    return flat.index_copy(-1, places, weight).unflatten(-1, (mask.inputs, mask.outputs))


def _dense_blocks(weight: Tensor, mask: BlockMask) -> Tensor:
    rows, columns = mask.inputs // mask.size, mask.outputs // mask.size
    tiles = weight.unflatten(-2, (-1, mask.size))  # (..., block row, fan_in, size, size)
    empty = weight.new_zeros(*weight.shape[:-3], columns, rows, mask.size, mask.size)
    spread = mask.blocks.long()[..., None, None].expand(tiles.shape)
    full = empty.scatter(-3, spread, tiles)
    return full.movedim(-4, -2).flatten(-2).flatten(-3, -2)


def dense_product(x: Tensor | Active, matrix: Tensor, bias: Tensor | None = None) -> Tensor:
    """x W + b by torch. x : (..., inputs) or (..., columns, inputs), matrix : ([columns,] inputs, outputs)."""
    x = _full(x)
    if counters.LISTENERS:
        _note("dense", x, x.shape[:-1].numel() * matrix.shape[-2] * matrix.shape[-1], matrix.shape[-1], 0)
    if matrix.ndim == 2:
        return F.linear(x, matrix.mT, bias)
    y = torch.einsum("...ci,cio->...co", x, matrix)
    return y if bias is None else y + bias


def gather_product(active: Active, matrix: Tensor, bias: Tensor | None = None) -> Tensor:
    """The sum of the active inputs' rows of matrix : ([columns,] inputs, outputs). Returns (..., outputs).

    Raises ValueError where shapes don't fit.
    """
    columns = _columns(active, matrix, matrix.shape[-2], 2)
    matrix = matrix.reshape(columns, *matrix.shape[-2:]).contiguous()
    how = way(active.values, "gather", lambda: True)
    if counters.LISTENERS:
        _note("gather", active, counters.number_active(active.indices) * matrix.shape[-1], matrix.shape[-1], 0)
    if how == "triton":
        return triton().gather_product(active, matrix, bias)
    shift = _bias(bias, columns, matrix)
    if how == "plain":
        return _gather_plain(active, matrix, shift)
    y = applied(Gather, _rows(active.values), _rows(active.indices), matrix, shift)
    return y.view(*active.values.shape[:-1], matrix.shape[-1])


def scatter_product(active: Active, weight: Tensor, mask: Mask, bias: Tensor | None = None) -> Tensor:
    """Only products of an active input with a weight that exists. weight : ([columns,] weights).

    Returns (..., outputs). Raises ValueError where shapes don't fit.
    """
    columns = _columns(active, weight, mask.inputs, 1)
    weight = _weights(weight, mask, columns)
    how = way(active.values, "scatter", lambda: mask.offsets is not None)
    if counters.LISTENERS:
        listed = active.indices[active.indices >= 0].long()
        _note("scatter", active, int(mask.starts.long().diff()[listed].sum()), mask.outputs, _index_bytes(mask))
    if how == "triton":
        return triton().packed_product(active, weight, mask, bias)
    shift = _bias(bias, columns, weight, mask.outputs)
    if how == "plain":
        return _gather_plain(active, dense_matrix(weight, mask), shift)
    y = applied(Scatter, _rows(active.values), _rows(active.indices), weight, shift, mask)
    return y.view(*active.values.shape[:-1], mask.outputs)


def lanes_product(x: Tensor | Active, weight: Tensor, mask: Mask, bias: Tensor | None = None) -> Tensor:
    """All samples at once over the weights that exist, inputs left out that no sample activates.

    x : (..., inputs) or (..., columns, inputs). Returns (..., outputs). Raises ValueError where shapes don't fit.
    """
    columns = _columns(x, weight, mask.inputs, 1)
    weight = _weights(weight, mask, columns)
    dense = _full(x)
    if counters.LISTENERS:
        _note("lanes", x, dense.shape[:-1].numel() * len(mask.targets), mask.outputs, _index_bytes(mask))
    if way(dense, "lanes") == "plain":
        y = dense_product(dense.reshape(-1, columns, mask.inputs), dense_matrix(weight, mask))
    else:
        y = applied(Lanes, dense.reshape(-1, columns, mask.inputs), weight, mask, isinstance(x, Active))
    y = y.reshape(*dense.shape[:-1], mask.outputs)
    return y if bias is None else y + bias


def block_product(x: Tensor | Active, weight: Tensor, mask: BlockMask, bias: Tensor | None = None) -> Tensor:
    """Over blocks that exist. weight : ([columns,] block rows, fan_in x size, size). Returns (..., outputs).

    Raises ValueError where shapes don't fit.
    """
    x = x.dense() if isinstance(x, Active) else x
    columns = _columns(x, weight, mask.inputs, 3)
    weight = weight.reshape(columns, *weight.shape[-3:])
    if counters.LISTENERS:
        _note("block", x, x.shape[:-1].numel() * weight[0].numel(), mask.outputs, 0)
    rows = x.reshape(-1, columns, mask.inputs)
    learns = torch.is_grad_enabled() and (x.requires_grad or weight.requires_grad)
    if len(rows) <= 4 and not learns and way(x, "block") == "compiled":
        y = torch.empty(len(rows) * columns, mask.outputs, dtype=x.dtype)
        flat, shift = rows.reshape(-1, mask.inputs).contiguous(), _bias(bias, columns, weight, mask.outputs)
        run(compiled("block").block, flat, weight.contiguous(), mask.blocks, shift, y)
        return y.view(*x.shape[:-1], mask.outputs)
    tiles = rows.unflatten(-1, (-1, mask.size))[:, :, mask.blocks.long()]  # (b, c, block row, fan_in, size)
    y = torch.einsum("bcri,cris->bcrs", tiles.flatten(-2), weight)
    y = y.reshape(*x.shape[:-1], mask.outputs)
    return y if bias is None else y + bias


def _note(kind: str, x: Tensor | Active, multiply_adds: int, outputs: int, index: int) -> None:
    """Counts a product; index : bytes of the index that comes with a weight."""
    values = x.values if isinstance(x, Active) else x
    inputs = x.size if isinstance(x, Active) else x.shape[-1]
    active = counters.number_active(x.indices) if isinstance(x, Active) else int((x != 0).sum())
    rows = values.shape[:-1].numel()
    counters.note_product(kind, rows, active, inputs, multiply_adds, outputs, (values.element_size(), index))


def _index_bytes(mask: Mask) -> int:
    return mask.targets.element_size()


def _full(x: Tensor | Active) -> Tensor:
    return x.dense() if isinstance(x, Active) else x


def _gather_plain(active: Active, matrix: Tensor, bias: Tensor) -> Tensor:
    """`gather_product` by torch, of matrix : (columns, inputs, outputs) and bias : (columns, outputs)."""
    shape = active.values.shape
    indices, values = (
        active.indices.reshape(-1, len(matrix), shape[-1]),
        active.values.reshape(-1, len(matrix), shape[-1]),
    )
    column = torch.arange(len(matrix), device=values.device).unsqueeze(-1)
    rows = matrix[column, indices.clamp_min(0).long()]
    y = torch.einsum("bck,bcko->bco", values * (indices >= 0), rows) + bias
    return y.reshape(*shape[:-1], matrix.shape[-1])


def _rows(x: Tensor) -> Tensor:
    if x.ndim == 2:
        return x.contiguous()
    return x.reshape(x.numel() // max(x.shape[-1], 1), x.shape[-1]).contiguous()


def _weights(weight: Tensor, mask: Mask, columns: int) -> Tensor:
    if weight.shape[-1] != len(mask.targets):
        raise ValueError(
            f"weights of shape {tuple(weight.shape)} don't fit a mask of {len(mask.targets)} weights, "
            f"{mask.inputs} inputs and {mask.outputs} outputs"
        )
    return (weight if weight.ndim == 2 else weight.unsqueeze(0)).contiguous()


def _bias(bias: Tensor | None, columns: int, like: Tensor, outputs: int | None = None) -> Tensor:
    """Bias as (columns, outputs), zeros where there is none."""
    outputs = outputs or like.shape[-1]
    if bias is None:
        return like.new_zeros(columns, outputs)
    if bias.shape[-1] != outputs or bias.dtype != like.dtype:
        raise ValueError(
            f"a bias of shape {tuple(bias.shape)}, {bias.dtype}, doesn't fit {outputs} outputs of {like.dtype}"
        )
    return bias.expand(columns, outputs).contiguous() if bias.ndim == 1 or len(bias) != columns else bias


def _columns(x: Tensor | Active, weight: Tensor, inputs: int, dims: int) -> int:
    """Columns with their own weights; `dims` of the weight belong to one. Raises ValueError where x doesn't fit."""
    width, values = (x.size, x.values) if isinstance(x, Active) else (x.shape[-1], x)
    shape = values.shape
    if values.dtype != weight.dtype or values.device != weight.device:
        raise ValueError(
            f"inputs {values.dtype} on {values.device}, shape {tuple(shape)}, don't go with weights {weight.dtype} on "
            f"{weight.device}, shape {tuple(weight.shape)}; convert one of them with .to(...)"
        )
    columns = 1 if weight.ndim == dims else weight.shape[0]
    several = weight.ndim > dims
    if width != inputs or (several and (len(shape) < 2 or shape[-2] != columns)):
        wanted = f"(..., {columns}, {inputs})" if several else f"(..., {inputs})"
        raise ValueError(f"an input of {width} units, shape {tuple(shape)}, doesn't fit weights that want {wanted}")
    return columns
