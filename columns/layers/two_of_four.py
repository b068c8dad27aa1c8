"""NVIDIA's 2:4 weights: of every 4 consecutive inputs of an output, 2 have a weight, and tensor cores skip the others.

    y_o = b_o + sum over groups g of 4 inputs, over the two i in g with a weight to o, of w_io x_i

In float16 and bfloat16 on a card from Ampere on, inference computes on compressed weights: the values, half of the
matrix, and 2 bits of place for each, so 9/16 of the bytes of dense ones in 16 bits (A. Mishra et al. 2021,
"Accelerating Sparse Deep Neural Networks", arXiv:2104.08378). Everywhere else, and to learn, the same weights as a
plain matrix are the reference.
"""

import warnings

import torch
import torch.nn.functional as F
from torch import Tensor

from . import counters
from .masks import Mask, mask_of

ROWS, COLUMNS = 32, 64
"""A compressed matrix has multiples of these as outputs and inputs."""


def two_of_four_mask(inputs: int, outputs: int, generator: torch.Generator) -> Mask:
    """Two random of every four consecutive inputs to each output. Raises ValueError unless 4 divides the inputs."""
    if inputs % 4:
        raise ValueError(f"2:4 weights come in groups of 4 inputs, but the layer's shape is {(inputs, outputs)}")
    groups = inputs // 4
    drawn = torch.rand(outputs, groups, 4, generator=generator).argsort(-1)[..., :2]
    sources = drawn + 4 * torch.arange(groups).unsqueeze(1)
    places = (sources * outputs + torch.arange(outputs)[:, None, None]).flatten().sort().values
    return mask_of(places, inputs, outputs, "two_of_four")


def can_compress(weight: Tensor, inputs: int, outputs: int) -> bool:
    """Whether the card of the weights multiplies them compressed."""
    if not weight.is_cuda or torch.version.cuda is None or weight.dtype not in (torch.float16, torch.bfloat16):
        return False
    generation = torch.cuda.get_device_capability(weight.device)[0]
    library = generation == 8 or (generation > 8 and torch.backends.cusparselt.is_available())
    return library and not (inputs % COLUMNS or outputs % ROWS)


def compress(matrix: Tensor) -> tuple[Tensor, ...]:
    """matrix : ([columns,] inputs, outputs) with 2:4 weights, compressed, one tensor (outputs, inputs) a column.

    Raises RuntimeError, of torch, where the card can't: see `can_compress`.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # torch calls its interface a prototype
        several = matrix if matrix.ndim == 3 else matrix.unsqueeze(0)
        return tuple(torch.sparse.to_sparse_semi_structured(one.mT.contiguous()) for one in several)


def compressed_product(x: Tensor, weights: tuple[Tensor, ...], columns: bool, bias: Tensor | None = None) -> Tensor:
    """x W + b. x : (..., [columns,] inputs); weights : of `compress`, several of them where there are columns."""
    outputs, inputs = weights[0].shape
    if counters.LISTENERS:
        rows = x.shape[:-1].numel()
        work = rows * inputs * outputs // 2
        counters.note_product("two_of_four", rows, rows * inputs, inputs, work, outputs, (x.element_size(), 0))
    if not columns:
        return F.linear(x, weights[0], bias)
    # None of the columns' kernels waits for the host: on a GPU they queue up.
    y = torch.stack([F.linear(x[..., c, :], one) for c, one in enumerate(weights)], dim=-2)
    return y if bias is None else y + bias
