"""The products that `sparse_gpu.py` measures, on columns drawn at random, and whether they are right."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from cortical.columns.layers import triton_kernels
from cortical.columns.layers.masks import Mask, packed_mask
from cortical.columns.layers.products import dense_matrix, dense_product, gather_product, scatter_product
from cortical.columns.layers.two_of_four import can_compress, compress, compressed_product, two_of_four_mask
from cortical.columns.layers.winners import Active

CASES = {"gather_2": (0.02, 1.0), "packed_10x10": (0.1, 0.1), "packed_5x5": (0.05, 0.05)}
"""Shares of active inputs and of weights."""
NAMES = ("dense", *CASES, "two_of_four")
FEW, MANY = 8, 64
"""Different inputs in a graph: few where all weights are read anyway, else so many that they meet most weights."""


@dataclass(frozen=True)
class Row:
    """A product to measure.

    call : the result for input set i, (columns, units); selected : the same from drives, selection included
    exact : the same in float64 of one column, (units,); bytes : from and to memory; held : of all weights together
    """

    call: Callable[[int], Tensor]
    selected: Callable[[int], Tensor] | None
    exact: Callable[[int, int], Tensor]
    bytes: int
    sets: int
    held: int


@dataclass(frozen=True)
class Setting:
    """Size of the columns, where and from what they are drawn; few, many : different inputs, as FEW and MANY."""

    columns: int
    units: int
    device: torch.device
    generator: torch.Generator
    few: int = FEW
    many: int = MANY

    def normal(self, *shape: int, scale: float = 1.0) -> Tensor:
        """bfloat16, drawn a column at a time so that no larger float32 copy is ever there."""
        full = torch.empty(shape, device=self.device, dtype=torch.bfloat16)
        for part in full:
            part.copy_(torch.randn(shape[1:], device=self.device, generator=self.generator) * scale)
        return full


def rows(setting: Setting, names: tuple[str, ...] = NAMES) -> dict[str, Row]:
    """The rows of these names; those with dense weights share them."""
    scale = setting.units**-0.5
    dense = setting.normal(setting.columns, setting.units, setting.units, scale=scale)
    made: dict[str, Row] = {}
    for name in names:
        if name == "dense":
            made |= dense_rows(setting, dense)
        elif name == "two_of_four":
            made[name] = two_of_four_row(setting, dense)
        else:
            made[name] = sparse_row(setting, dense, *CASES[name])
    return made


def dense_rows(setting: Setting, matrix: Tensor) -> dict[str, Row]:
    """Both layouts of the weights: (columns, inputs, outputs) and its transpose."""
    x = setting.normal(setting.few, setting.columns, setting.units)
    turned = matrix.mT.contiguous()

    def exact(i: int, c: int) -> Tensor:
        return x[i, c].double() @ matrix[c].double()

    size = 2 * (matrix.numel() + 2 * setting.columns * setting.units)
    return {
        "dense": Row(lambda i: torch.bmm(x[i].unsqueeze(1), matrix).squeeze(1), None, exact, size, len(x), size),
        "dense_turned": Row(lambda i: torch.bmm(turned, x[i].unsqueeze(2)).squeeze(2), None, exact, size, len(x), size),
    }


def sparse_row(setting: Setting, matrix: Tensor, active: float, density: float) -> Row:
    """Gather where all weights are there, else packed weights."""
    columns, units = setting.columns, setting.units
    k, mask = max(round(active * units), 1), None
    weight = matrix
    if density < 1.0:
        mask = on(packed_mask(units, units, density, torch.Generator().manual_seed(0)), setting.device)
        weight = setting.normal(columns, len(mask.targets), scale=(density * units) ** -0.5)
    drives = setting.normal(setting.many, columns, units)
    won = [triton_kernels.select(drive, k) for drive in drives]

    def product(chosen: Active) -> Tensor:
        return gather_product(chosen, weight) if mask is None else scatter_product(chosen, weight, mask)

    def exact(i: int, c: int) -> Tensor:
        whole = weight[c] if mask is None else dense_matrix(weight[c], mask)
        return won[i].dense()[c].double() @ whole.double()

    fan_out = units if mask is None else len(mask.targets) // units
    index = 0 if mask is None else fan_out * int(won[0].indices.unique().numel())
    size = 2 * columns * k * fan_out + index + columns * (6 * k + 2 * units)
    return Row(
        lambda i: product(won[i]),
        lambda i: product(triton_kernels.select(drives[i], k, checked=False)),
        exact, size, setting.many, 2 * weight.numel(),
    )  # fmt: skip


def two_of_four_row(setting: Setting, matrix: Tensor) -> Row:
    """Compressed weights of every column; a plain matrix where the card has no such tensor cores."""
    columns, units = setting.columns, setting.units
    mask = on(two_of_four_mask(units, units, torch.Generator().manual_seed(0)), setting.device).dense()
    x = setting.normal(setting.few, columns, units)

    def exact(i: int, c: int) -> Tensor:
        return x[i, c].double() @ (matrix[c] * mask).double()

    if can_compress(matrix, units, units):
        held = tuple(compress(one * mask)[0] for one in matrix)
        size = columns * (units * units * 9 // 8 + 4 * units)
        return Row(lambda i: compressed_product(x[i], held, True), None, exact, size, len(x), size)
    plain = matrix * mask
    size = 2 * columns * units * (units + 2)
    return Row(lambda i: dense_product(x[i], plain), None, exact, size, len(x), size)


def on(mask: Mask, device: torch.device) -> Mask:
    """The mask on another device."""
    return Mask(mask.targets.to(device), mask.starts.to(device), mask.outputs, mask.kind)


def errors(made: dict[str, Row], columns: int) -> dict[str, float]:
    """Largest error of each row over the largest result, against float64, for a few inputs and columns.

    Raises ValueError where one is larger than bfloat16 explains.
    """
    found = {}
    for name, row in made.items():
        calls = (row.call,) if row.selected is None else (row.call, row.selected)
        for call in calls:
            for i in (0, row.sets - 1):
                y = call(i).double()
                for c in {0, columns - 1}:
                    exact = row.exact(i, c)
                    wrong = float((y[c] - exact).abs().max() / exact.abs().max())
                    found[name] = max(wrong, found.get(name, 0.0))
        if not found[name] < 0.01:
            raise ValueError(f"{name} is off by {found[name]:.3g} of the largest result; its times would mean nothing")
    return found
