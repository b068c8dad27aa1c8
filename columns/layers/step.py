"""One row through selection and sparse product without an allocation, for a network that steps at batch 1.

The same as `scatter_product(select(x, k, floor), weight, mask, bias)`, in one compiled call: at this size every further
call, every attribute looked up and every tensor made costs a tenth of the work.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from . import counters
from .kernels import compiled
from .masks import NARROW, Mask
from .winners import check_winners


def make_step(
    weight: Tensor, mask: Mask, k: int, bias: Tensor | None = None, floor: float = float("-inf")
) -> Callable[[Tensor], Tensor]:
    """A function of x : (inputs,) that gives (outputs,): winners, then sparse product. Float32 on a CPU, no gradient.

    weight : (weights,), read in place: later changes of the weights take part, but not another tensor put in its stead.
    mask : at most 2^15 outputs; k : winners of the input; bias : (outputs,) or None; floor : as in `select`.
    The result is overwritten by the next call.

    Raises ValueError for other types, devices and shapes, as does the function, also for NaN.
    """
    check_winners(torch.empty(mask.inputs, device="meta"), k)
    shift = torch.zeros(mask.outputs) if bias is None else bias.detach()
    _check(weight, mask, shift)
    return _bound(weight.detach(), mask, k, shift, floor)


def _check(weight: Tensor, mask: Mask, bias: Tensor) -> None:
    fits = weight.shape == mask.targets.shape and bias.shape == (mask.outputs,) and mask.outputs <= NARROW
    plain = all(t.dtype == torch.float32 and t.is_cpu and t.is_contiguous() for t in (weight, bias))
    if not (fits and plain):
        raise ValueError(
            f"a step takes contiguous float32 weights on a CPU, {tuple(mask.targets.shape)} of them, a bias "
            f"({mask.outputs},) and at most {NARROW} outputs, but weight is {weight.dtype} on {weight.device} of shape "
            f"{tuple(weight.shape)} and bias of shape {tuple(bias.shape)}; use scatter_product"
        )


def _bound(weight: Tensor, mask: Mask, k: int, bias: Tensor, floor: float) -> Callable[[Tensor], Tensor]:
    select_scatter, spare = compiled("step").select_scatter, compiled("vector").LANES
    size, float32, listeners = mask.inputs, torch.float32, counters.LISTENERS
    y, scratch = torch.empty(mask.outputs), torch.empty(4 * size + spare, dtype=torch.int32)
    held = weight, bias, y, mask.targets, mask.starts, scratch
    bits = int(torch.tensor(floor).view(torch.int32)) & 0xFFFFFFFF
    plan = torch.tensor([size, k, bits, len(weight), mask.outputs, *(tensor.data_ptr() for tensor in held)])
    address = plan.data_ptr()

    def step(x: Tensor) -> Tensor:
        if x.dtype is not float32 or x.numel() != size or not (x.is_contiguous() and x.is_cpu):
            raise ValueError(
                f"a step takes a contiguous float32 row of {size} on a CPU, but x is {x.dtype} on {x.device} of shape "
                f"{tuple(x.shape)}, strides {x.stride()}"
            )
        won = select_scatter(x.data_ptr(), address)
        if won < 0:
            raise ValueError(f"NaN among the activations, shape {tuple(x.shape)}: no order, so no winners")
        if listeners:
            _note(won, k, mask)
        return y

    step.held = (plan, *held)  # type: ignore[attr-defined]  # what the addresses point to lives as long as the step
    return step


def _note(won: int, k: int, mask: Mask) -> None:
    """Counts a step; with a random mask, inputs count as if they had equally many weights."""
    weights = won * len(mask.targets) // mask.inputs
    counters.note_selection(1, mask.inputs, k, 4)
    counters.note_product("scatter", 1, won, mask.inputs, weights, mask.outputs, (4, mask.targets.element_size()))
