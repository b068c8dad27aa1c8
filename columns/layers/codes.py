"""Sparse distributed representations: which of n units are active, kept as k ascending indices.

Codes are compared by how many active units they share; how often that many are shared by chance, sdr.py works out.
"""

import torch
from torch import Tensor


def to_dense(codes: Tensor, n: int, dtype: torch.dtype = torch.float32) -> Tensor:
    """Bitmap (..., n) with ones at the indices codes : (..., k) int.

    Raises RuntimeError for an index outside 0 ... n - 1.
    """
    bitmap = torch.zeros((*codes.shape[:-1], n), dtype=dtype, device=codes.device)
    return bitmap.scatter_(-1, codes.long(), 1)


def overlap(codes_a: Tensor, codes_b: Tensor, n: int) -> Tensor:
    """Shared active units of every pair: codes_a (m, k), codes_b (p, k) -> (m, p) int64.

    Raises ValueError for codes that are not a list of rows.
    """
    if codes_a.ndim != 2 or codes_b.ndim != 2:
        raise ValueError(
            f"overlap compares rows with rows, (m, k) with (p, k), but the shapes are {tuple(codes_a.shape)} "
            f"and {tuple(codes_b.shape)}; for matching rows use paired_overlap"
        )
    return (to_dense(codes_a, n) @ to_dense(codes_b, n).T).round().long()


def paired_overlap(codes_a: Tensor, codes_b: Tensor, n: int) -> Tensor:
    """Shared active units row by row: codes_a, codes_b (..., k), rows broadcast -> (...) int64."""
    a, b = torch.broadcast_tensors(to_dense(codes_a, n, torch.bool), to_dense(codes_b, n, torch.bool))
    return (a & b).sum(-1)


def union(codes: Tensor, n: int) -> Tensor:
    """Units on in any of codes : (m, k), as a bitmap (n,) bool."""
    bitmap = torch.zeros(n, dtype=torch.bool, device=codes.device)
    bitmap[codes.flatten().long()] = True
    return bitmap
