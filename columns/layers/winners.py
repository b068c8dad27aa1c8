"""k winners take all: of n units the k most strongly driven stay active, the others fall silent.

    y_i = x_i  if b_i x_i is among the k largest of b x, else 0          (b : boost, 1 without boosting)

With k / n of 2-4 % the winners are a sparse distributed representation: two unrelated inputs share
almost no winner, similar ones share many (S. Ahmad, J. Hawkins 2016, "How do neurons operate on sparse
distributed representations?", arXiv:1601.00720). Learning reaches the winners only (K. Hunter, L.
Spracklen, S. Ahmad 2022, "Two sparsities are better than one", Neuromorphic Computing and Engineering 2,
034004): the derivative is 1 at a winner and 0 elsewhere.

Among equals the unit with the lowest index wins, so the same drive gives the same winners on every run
and device. Three things go wrong silently elsewhere:

- Behind a ReLU fewer than k units may be driven; then zeros win, and if the k-th value is negative, negative
  values pass. `floor` = 0 leaves those slots empty instead: index -1, value 0.
- A batch norm behind winners sees mostly zeros, and its running statistics change with k; put it before them.
- Boosting scales the drive: a negative one is pushed further down by a larger boost. Use floor = 0 with it.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from . import counters
from .kernels import compiled, triton, warn_of_plain

NOTHING = -1
"""Index of an empty slot."""


class Active(NamedTuple):
    """The active units of a row, all others being 0.

    indices : (..., k) int32, ascending, then NOTHING in empty slots; values : (..., k), 0 in empty slots; size : n
    """

    indices: Tensor
    values: Tensor
    size: int

    def dense(self, out: Tensor | None = None) -> Tensor:
        """The same as (..., n), zero elsewhere. out : written and returned, where no gradient is wanted on a CPU."""
        if not (self.values.requires_grad and torch.is_grad_enabled()) and _has_kernel(self.values):
            return _spread(self, out)
        rows = self.indices.clamp_min(0).long()
        return self.values.new_zeros(*rows.shape[:-1], self.size).scatter_add(-1, rows, self.values)

    def counts(self) -> Tensor:
        """Slots that are not empty: (...) int64."""
        return (self.indices >= 0).sum(-1)


def check_winners(x: Tensor, k: int) -> None:
    """Raises ValueError unless 1 <= k <= n for x : (..., n)."""
    n = x.shape[-1] if x.ndim else 0
    if not 1 <= k <= n:
        raise ValueError(f"k winners of n units need 1 <= k <= n, but k is {k}, shape of x {tuple(x.shape)}")


def winner_mask(x: Tensor, k: int) -> Tensor:
    """Bool mask (..., n) of the k largest of each row of x : (..., n), exactly k of them.

    Among equals the lowest index wins. The reference of all other ways to select.

    Raises ValueError unless 1 <= k <= n. Entries must not be NaN.
    """
    check_winners(x, k)
    drive = x.detach()
    weakest = torch.topk(drive, k, dim=-1, sorted=False).values.amin(-1, keepdim=True)
    mask = drive >= weakest
    if bool((mask.sum(-1) == k).all()):
        return mask
    above = drive > weakest
    equal = mask & ~above
    room = k - above.sum(-1, keepdim=True)
    return above | (equal & (equal.cumsum(-1) <= room))


def select(x: Tensor, k: int, floor: float = float("-inf"), boost: Tensor | None = None) -> Active:
    """The k largest of each row, compact; the gradient reaches them and no other unit.

    x : (..., n). floor : only values above it win; slots left over are empty. boost : (n,) or as x, factors of the
    drive that decide who wins and nothing else.

    Raises ValueError unless 1 <= k <= n, and for NaN.
    """
    check_winners(x, k)
    if boost is None and _has_kernel(x) and not counters.LISTENERS:
        return _selected(x, x, k, floor)  # straight on: with cold caches each call of torch costs as much as ten rows
    drive = x.detach() if boost is None else x.detach() * boost
    if counters.LISTENERS:
        counters.note_selection(x.shape[:-1].numel(), x.shape[-1], k, x.element_size())
    if _has_kernel(x) and drive.dtype == x.dtype:
        return _selected(x, drive, k, floor)
    if not x.is_cpu or x.dtype in (torch.float16, torch.bfloat16):
        if triton().can_select(x) and drive.dtype == x.dtype:
            return triton().select(x, k, floor, drive)
        if not x.is_cpu:
            warn_of_plain(x, "selection")
    indices = _reference(drive, k, floor)
    return Active(indices, _values(x, indices), x.shape[-1])


def local_winners(x: Tensor, k: int, tile: int, floor: float = float("-inf"), boost: Tensor | None = None) -> Active:
    """The k largest of every `tile` consecutive units: winners spread evenly and no tile waits for another.

    x : (..., n), n a multiple of tile. Returns (..., k n / tile). Raises ValueError if tiles don't fit, and as
    `select`.
    """
    n = x.shape[-1] if x.ndim else 0
    if tile < 1 or n % tile:
        raise ValueError(f"tiles of {tile} units don't fit {n} units, shape of x {tuple(x.shape)}; take a divisor of n")
    tiles = x.unflatten(-1, (-1, tile))
    if boost is not None:
        boost = boost.expand(x.shape).unflatten(-1, (-1, tile))
    won = select(tiles, k, floor, boost)
    places = torch.arange(n // tile, dtype=torch.int32, device=x.device).unsqueeze(-1) * tile
    indices = torch.where(won.indices >= 0, won.indices + places, NOTHING)
    return _squeezed(Active(indices.flatten(-2), won.values.flatten(-2), n))


def warm_winners(x: Tensor, k: int, cut: Tensor, rate: float = 0.5) -> tuple[Active, Tensor]:
    """About k winners of each row by the cut of earlier rows, in one pass, and the corrected cut.

    Winners are all x > cut, k / 2 to 2 k of them; a row whose number lies outside has its k winners selected
    exactly. x : (..., n); cut : () or (...), the state. The new cut moves by `rate` towards each row's own: the k-th
    largest where more than k won, the weakest winner minus the mean gap between winners where fewer did.

    Returns at most 2 k slots. Raises as `select`.
    """
    check_winners(x, k)
    drive, room = x.detach(), min(2 * k, x.shape[-1])
    cut = cut.to(x.dtype).expand(x.shape[:-1])
    won = drive > cut.unsqueeze(-1)
    count = won.sum(-1)
    strange = (count > room) | (2 * count < k)
    indices = _warm(drive, won, strange, k, room)
    if counters.LISTENERS:
        counters.note_selection(x.shape[:-1].numel(), x.shape[-1], room, x.element_size())
    active = Active(indices, _values(x, indices), x.shape[-1])
    own = _own_cut(active.values.detach(), indices >= 0, k)
    return active, torch.where(strange, own, cut + rate * (own - cut))


def _warm(drive: Tensor, won: Tensor, strange: Tensor, k: int, room: int) -> Tensor:
    """Indices (..., room) of those who won, and of k winners in strange rows."""
    if bool(drive.isnan().any()):
        raise ValueError(f"NaN among the activations, shape {tuple(drive.shape)}: no order, so no winners")
    if bool(strange.any()):
        won = won.clone()
        won[strange] = winner_mask(drive[strange], k)
    return _padded(won, room)


def _own_cut(values: Tensor, won: Tensor, k: int) -> Tensor:
    """The cut that k winners of a row would have needed, as far as its winners tell: (...)."""
    ranked = values.masked_fill(~won, float("-inf")).sort(-1, descending=True).values
    count = won.sum(-1, keepdim=True).clamp_min(1)
    weakest = ranked.gather(-1, count - 1)
    gap = (ranked[..., :1] - weakest) / count
    beyond = ranked.gather(-1, (count - 1).clamp_max(k - 1)) - gap * (k - count).clamp_min(0)
    # Just below the last winner, so that it would win again.
    return torch.nextafter(beyond, torch.full_like(beyond, float("-inf"))).squeeze(-1)


def winner_mask_checked(drive: Tensor, k: int) -> Tensor:
    """`winner_mask`, but NaN raises ValueError."""
    if bool(drive.isnan().any()):
        raise ValueError(f"NaN among the activations, shape {tuple(drive.shape)}: no order, so no winners")
    return winner_mask(drive, k)


def k_winners(x: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """The k largest entries of each row, compact.

    x : (..., n). Returns indices (..., k) int64, ascending, and values (..., k) = x at these indices,
    through which the gradient flows to the winners. Raises ValueError unless 1 <= k <= n, and for NaN.
    """
    indices = select(x.detach(), k).indices.long()
    return indices, x.gather(-1, indices)


def keep_winners(x: Tensor, k: int, binary: bool = False) -> Tensor:
    """The same, dense: (..., n), zero except at the k winners of each row, which alone get the gradient.

    binary : winners become 1 and the gradient passes them straight through, as if they had kept their
    value. Raises ValueError unless 1 <= k <= n.
    """
    mask = winner_mask(x, k)
    kept = torch.where(mask, x, torch.zeros((), dtype=x.dtype, device=x.device))
    return mask.to(x.dtype) + (kept - kept.detach()) if binary else kept


def _spread(active: Active, out: Tensor | None) -> Tensor:
    """`Active.dense` compiled."""
    indices, values = active.indices, active.values
    if not (indices.is_contiguous() and values.is_contiguous()):
        indices, values = indices.contiguous(), values.contiguous()
    shape, room = (*indices.shape[:-1], active.size), indices.shape[-1]
    fits = out is not None and out.shape == shape and out.dtype == torch.float32 and out.is_contiguous() and out.is_cpu
    full = out if fits and out is not None else torch.empty(shape)
    rows = full.numel() // active.size
    compiled("direct").spread_at(indices.data_ptr(), values.data_ptr(), rows, room, active.size, full.data_ptr())
    return full


def _values(x: Tensor, indices: Tensor) -> Tensor:
    return _Values.apply(x, indices) if torch.is_grad_enabled() and x.requires_grad else _Values.of(x, indices)


class _Values(torch.autograd.Function):
    """x at the winners; the way back is a scatter to them."""

    @staticmethod
    def of(x: Tensor, indices: Tensor) -> Tensor:
        return x.gather(-1, indices.clamp_min(0).long()).masked_fill_(indices < 0, 0)

    @staticmethod
    def forward(ctx, x: Tensor, indices: Tensor) -> Tensor:
        ctx.save_for_backward(indices)
        ctx.shape = x.shape
        return _Values.of(x, indices)

    @staticmethod
    def backward(ctx, *slopes: Tensor):
        (indices,), (slope,) = ctx.saved_tensors, slopes
        slope = slope.masked_fill(indices < 0, 0)
        return slope.new_zeros(ctx.shape).scatter_add_(-1, indices.clamp_min(0).long(), slope), None


def _has_kernel(x: Tensor) -> bool:
    return x.device.type == "cpu" and x.dtype == torch.float32


def _selected(x: Tensor, drive: Tensor, k: int, floor: float) -> Active:
    """`select` compiled: winners of the drive, values of x."""
    n, shape = x.shape[-1], (*x.shape[:-1], k)
    indices, values = torch.empty(shape, dtype=torch.int32), torch.empty(shape)
    plain = x if x.is_contiguous() else x.contiguous()
    drive = plain if drive is x else drive.contiguous()
    ends = indices.data_ptr(), values.data_ptr()
    if compiled("direct").select_at(drive.data_ptr(), plain.data_ptr(), indices.numel() // k, n, k, floor, *ends) < 0:
        raise ValueError(f"NaN among the activations, shape {tuple(drive.shape)}: no order, so no winners")
    learns = x.requires_grad and torch.is_grad_enabled()
    return Active(indices, _Values.apply(x, indices) if learns else values, n)


def _reference(drive: Tensor, k: int, floor: float) -> Tensor:
    return _padded(winner_mask_checked(drive, k) & (drive > floor if floor > float("-inf") else True), k)


def _padded(won: Tensor, room: int) -> Tensor:
    """Indices (..., room) int32 of the True entries of (..., n), ascending, then NOTHING."""
    places = torch.arange(won.shape[-1], dtype=torch.int32, device=won.device)
    key = torch.where(won, places, won.shape[-1])
    first = key.sort(-1).values[..., :room]
    return torch.where(first < won.shape[-1], first, NOTHING).to(torch.int32)


def _squeezed(active: Active) -> Active:
    """Empty slots behind the others."""
    key = active.indices.masked_fill(active.indices < 0, active.size)
    order = key.argsort(dim=-1)
    return Active(active.indices.gather(-1, order), active.values.gather(-1, order), active.size)
