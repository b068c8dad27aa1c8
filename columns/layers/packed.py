"""Packed (complementary) sparse projection: sparse weights that meet sparse inputs without waste.

The outputs are split into banks of S = 1 / density. Every input has exactly one target in every bank:

    y[g S + target[j, g]] += w[j, g] x_j        for every input j and every bank g

so the S sparse rows of a bank are pairwise disjoint and fill one dense row (K. Hunter, L. Spracklen, S.
Ahmad 2022, "Two sparsities are better than one", Neuromorphic Computing and Engineering 2, 034004, seen
from the input side). An input costs density x out_features multiply-adds and a silent input costs none:
with a share a of active inputs the work is a x density of the dense product. Within a bank the targets
are a balanced random permutation, so fan-in is equal too (to one input, where in_features is no multiple
of S).
"""

import torch
from torch import Tensor, nn


def bank_size(density: float, out_features: int) -> int:
    """Outputs per bank, S = 1 / density. Raises ValueError unless S is whole and divides out_features."""
    size = round(1.0 / density) if 0.0 < density <= 1.0 else 0
    if size == 0 or abs(size * density - 1.0) > 1e-6 or out_features % size:
        raise ValueError(
            f"a packed projection needs 1 / density whole and a divisor of out_features, but density is "
            f"{density} and out_features is {out_features}; try density 1/16 with a multiple of 16 outputs"
        )
    return size


def packed_targets(in_features: int, out_features: int, density: float, generator: torch.Generator) -> Tensor:
    """Target output of every input in every bank: (in_features, banks) int64, drawn as balanced permutations.

    Raises ValueError unless 1 / density is whole and divides out_features.
    """
    size = bank_size(density, out_features)
    banks = out_features // size
    places = [torch.randperm(in_features, generator=generator) % size for _ in range(banks)]
    return torch.stack(places, dim=1) + size * torch.arange(banks)


def dense_weight(weight: Tensor, targets: Tensor, out_features: int) -> Tensor:
    """The same projection as a plain matrix (in_features, out_features): y = x @ matrix. The reference."""
    empty = weight.new_zeros(weight.shape[0], out_features)
    return empty.scatter(1, targets, weight)


def project_compact(indices: Tensor, values: Tensor, weight: Tensor, targets: Tensor, out_features: int) -> Tensor:
    """Project inputs of which only the active ones are listed.

    indices : (..., k) int, the active inputs; values : (..., k), their strength; weight, targets :
    (in_features, banks). Returns (..., out_features). Only k x banks products are formed.
    """
    rows = indices.long()
    products = values.unsqueeze(-1) * weight[rows]
    empty = products.new_zeros(*rows.shape[:-1], out_features)
    return empty.scatter_add(-1, targets[rows].flatten(-2), products.flatten(-2))


class PackedProjection(nn.Module):
    """A linear layer with the packed mask; the mask is a fixed function of the seed, the weights can learn.

    in_features, out_features : widths. density : share of weights that exist, 1 / whole number. seed :
    of mask and weights. Raises ValueError unless 1 / density is whole and divides out_features.
    """

    targets: Tensor

    def __init__(self, in_features: int, out_features: int, density: float, seed: int = 0) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(seed)
        self.in_features, self.out_features, self.density = in_features, out_features, density
        self.register_buffer("targets", packed_targets(in_features, out_features, density, generator))
        fan_in = max(1.0, in_features * density)
        self.weight = nn.Parameter(torch.randn(self.targets.shape, generator=generator) / fan_in**0.5)

    def forward(self, x: Tensor) -> Tensor:
        """x : (..., in_features), dense. Returns (..., out_features)."""
        return x @ self.dense()

    def compact(self, indices: Tensor, values: Tensor) -> Tensor:
        """indices, values : (..., k), active inputs. Returns (..., out_features), as for the dense one."""
        return project_compact(indices, values, self.weight, self.targets, self.out_features)

    def dense(self) -> Tensor:
        """The weights as a plain matrix, (in_features, out_features)."""
        return dense_weight(self.weight, self.targets, self.out_features)
