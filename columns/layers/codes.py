"""Sparse distributed representations: which of n units are active, kept as k ascending indices.

Two codes match when they share at least `threshold` active units. For two unrelated codes the number
shared follows the hypergeometric law, so the chance of a false match is

    P(overlap >= threshold) = sum_{b = threshold}^{k}  C(k, b) C(n - k, k - b) / C(n, k)

(S. Ahmad, J. Hawkins 2016, "How do neurons operate on sparse distributed representations? A mathematical
theory of sparsity, neurons and active dendrites", arXiv:1601.00720). With n = 1024 and k = 32, two codes
share ten units by chance less than once in a hundred million pairs.
"""

from math import comb

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


def false_match_probability(n: int, k: int, threshold: int) -> float:
    """Chance that two unrelated codes of k of n units share at least `threshold` (exact, formula above).

    Raises ValueError unless 0 <= k <= n.
    """
    if not 0 <= k <= n:
        raise ValueError(f"a code of k of n units needs 0 <= k <= n, but k is {k} and n is {n}")
    matches = sum(comb(k, b) * comb(n - k, k - b) for b in range(max(threshold, 0), k + 1))
    return matches / comb(n, k)
