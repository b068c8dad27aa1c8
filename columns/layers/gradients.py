"""The compiled products as functions with gradients, on tensors whose shapes `products` has checked.

Rows are those of all columns in turn, row r belonging to column r mod columns: values and indices (rows, slots), weight
(columns, weights), bias (columns, outputs). With s the slope of the result, a weight w from input j to output t gets

    dL/dw = sum over rows of s[t] x[j],    dL/dx[j] = sum over weights of j of w s[t]

the second for inputs that are listed.
"""

from typing import Any

import torch
from torch import Tensor

from .kernels import compiled
from .masks import Mask

LANES = (16, 32, 64)
"""Samples in a vector of `Lanes`."""


def applied(function: Any, *arguments: Any) -> Tensor:
    """The function, through autograd only where it's needed, which costs more than a small product."""
    if torch.is_grad_enabled() and any(isinstance(part, Tensor) and part.requires_grad for part in arguments):
        return function.apply(*arguments)
    return function.of(*arguments)


class Scatter(torch.autograd.Function):
    @staticmethod
    def of(values: Tensor, indices: Tensor, weight: Tensor, bias: Tensor, mask: Mask) -> Tensor:
        y = values.new_empty(len(values), mask.outputs)
        if values.dtype == torch.float32 and mask.targets.dtype == torch.int16:
            rows = indices.data_ptr(), values.data_ptr(), *values.shape
            held = (tensor.data_ptr() for tensor in (weight, mask.targets, mask.starts, bias, y))
            compiled("direct").scatter_at(*rows, *held, *weight.shape, mask.inputs, mask.outputs)
            return y
        run(compiled("scatter").scatter, indices, values, weight, mask, bias, y)
        return y

    @staticmethod
    def forward(ctx, values: Tensor, indices: Tensor, weight: Tensor, bias: Tensor, mask: Mask) -> Tensor:
        ctx.save_for_backward(values, indices, weight)
        ctx.mask = mask
        return Scatter.of(values, indices, weight, bias, mask)

    @staticmethod
    def backward(ctx, *slopes: Tensor):
        (values, indices, weight), slope = ctx.saved_tensors, slopes[0].contiguous()
        d_values, d_weight = torch.empty_like(values), torch.zeros_like(weight)
        run(compiled("scatter").scatter_backward, indices, values, weight, ctx.mask, slope, d_values, d_weight)
        return d_values, None, d_weight, _bias_slope(slope, len(weight)), None


class Gather(torch.autograd.Function):
    @staticmethod
    def of(values: Tensor, indices: Tensor, matrix: Tensor, bias: Tensor) -> Tensor:
        y = values.new_empty(len(values), matrix.shape[-1])
        if values.dtype == torch.float32:
            rows = indices.data_ptr(), values.data_ptr(), *values.shape
            held = (tensor.data_ptr() for tensor in (matrix, bias, y))
            compiled("direct").gather_at(*rows, *held, *matrix.shape)
            return y
        run(compiled("gather").gather, indices, values, matrix, bias, y)
        return y

    @staticmethod
    def forward(ctx, values: Tensor, indices: Tensor, matrix: Tensor, bias: Tensor) -> Tensor:
        ctx.save_for_backward(values, indices, matrix)
        return Gather.of(values, indices, matrix, bias)

    @staticmethod
    def backward(ctx, *slopes: Tensor):
        (values, indices, matrix), slope = ctx.saved_tensors, slopes[0].contiguous()
        d_values, d_matrix = torch.empty_like(values), torch.zeros_like(matrix)
        run(compiled("gather").gather_backward, indices, values, matrix, slope, d_values, d_matrix)
        return d_values, None, d_matrix, _bias_slope(slope, len(matrix))


class Lanes(torch.autograd.Function):
    """skip : the slope of inputs that are silent in a whole chunk is not wanted (their slots don't exist)."""

    @staticmethod
    def of(x: Tensor, weight: Tensor, mask: Mask, skip: bool) -> Tensor:
        return _from_lanes(Lanes.turned(_to_lanes(x), weight, mask), len(x))

    @staticmethod
    def turned(x: Tensor, weight: Tensor, mask: Mask) -> Tensor:
        """The product, of x and as it in lanes."""
        y = x.new_zeros(*x.shape[:2], mask.outputs, x.shape[3])
        run(compiled("lanes").lanes, x, weight, mask, y)
        return y

    @staticmethod
    def forward(ctx, x: Tensor, weight: Tensor, mask: Mask, skip: bool) -> Tensor:
        turned = _to_lanes(x)
        ctx.save_for_backward(turned, weight)
        ctx.mask, ctx.skip, ctx.rows = mask, skip, len(x)
        return _from_lanes(Lanes.turned(turned, weight, mask), len(x))

    @staticmethod
    def backward(ctx, *slopes: Tensor):
        (turned, weight), slope = ctx.saved_tensors, _to_lanes(slopes[0])
        d_x, d_weight = torch.zeros_like(turned), torch.zeros_like(weight)
        run(compiled("lanes").lanes_backward, turned, weight, ctx.mask, slope, d_x, d_weight, ctx.skip)
        return _from_lanes(d_x, ctx.rows), d_weight, None, None


def _to_lanes(x: Tensor) -> Tensor:
    """(rows, columns, units) to (chunks, columns, units, lanes), the last chunk filled up with zeros."""
    width = next((width for width in LANES if len(x) <= width), LANES[-1])
    spare = -len(x) % width
    x = torch.cat((x, x.new_zeros(spare, *x.shape[1:]))) if spare else x
    return x.unflatten(0, (-1, width)).permute(0, 2, 3, 1).contiguous()


def _from_lanes(y: Tensor, rows: int) -> Tensor:
    return y.permute(0, 3, 1, 2).flatten(0, 1)[:rows]


def run(kernel: Any, *arguments: Any) -> Any:
    """Calls a kernel with tensors as arrays; of a mask it gets targets and starts."""
    arrays = []
    for argument in arguments:
        if isinstance(argument, Mask):
            arrays += argument.arrays
        else:
            arrays.append(argument.detach().numpy() if isinstance(argument, Tensor) else argument)
    return kernel(*arrays)


def _bias_slope(slope: Tensor, columns: int) -> Tensor:
    return slope.view(-1, columns, slope.shape[-1]).sum(0)
