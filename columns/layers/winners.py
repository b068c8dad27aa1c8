"""k winners take all: of n units the k most strongly driven stay active, the others fall silent.

    y_i = x_i  if x_i is among the k largest of x, else 0

With k / n of 2-4 % the winners are a sparse distributed representation: two unrelated inputs share
almost no winner, similar ones share many (S. Ahmad, J. Hawkins 2016, "How do neurons operate on sparse
distributed representations?", arXiv:1601.00720). Learning reaches the winners only (K. Hunter, L.
Spracklen, S. Ahmad 2022, "Two sparsities are better than one", Neuromorphic Computing and Engineering 2,
034004): the derivative is 1 at a winner and 0 elsewhere.

Among equals the unit with the lowest index wins, so the same drive gives the same winners on every run
and device.
"""

import torch
from torch import Tensor


def winner_mask(x: Tensor, k: int) -> Tensor:
    """Bool mask (..., n) of the k largest of each row of x : (..., n), exactly k of them.

    Among equals the lowest index wins.

    Raises ValueError unless 1 <= k <= n. Entries must not be NaN.
    """
    n = x.shape[-1] if x.ndim else 0
    if not 1 <= k <= n:
        raise ValueError(f"k winners of n units need 1 <= k <= n, but k is {k}, shape of x {tuple(x.shape)}")
    drive = x.detach()
    weakest = torch.topk(drive, k, dim=-1, sorted=False).values.amin(-1, keepdim=True)
    mask = drive >= weakest
    if bool((mask.sum(-1) == k).all()):
        return mask
    above = drive > weakest
    equal = mask & ~above
    room = k - above.sum(-1, keepdim=True)
    return above | (equal & (equal.cumsum(-1) <= room))


def k_winners(x: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """The k largest entries of each row, compact.

    x : (..., n). Returns indices (..., k) int64, ascending, and values (..., k) = x at these indices,
    through which the gradient flows to the winners. Raises ValueError unless 1 <= k <= n.
    """
    shape = (*x.shape[:-1], k)
    indices = winner_mask(x, k).nonzero(as_tuple=True)[-1].reshape(shape)
    return indices, x.gather(-1, indices)


def keep_winners(x: Tensor, k: int, binary: bool = False) -> Tensor:
    """The same, dense: (..., n), zero except at the k winners of each row, which alone get the gradient.

    binary : winners become 1 and the gradient passes them straight through, as if they had kept their
    value. Raises ValueError unless 1 <= k <= n.
    """
    mask = winner_mask(x, k)
    kept = torch.where(mask, x, torch.zeros((), dtype=x.dtype, device=x.device))
    return mask.to(x.dtype) + (kept - kept.detach()) if binary else kept
