"""Triton kernels against their references, on a GPU where there is one, else in Triton's interpreter."""

import os

import pytest
import torch

if not torch.cuda.is_available():
    os.environ["TRITON_INTERPRET"] = "1"

pytest.importorskip("triton", reason="Triton is not installed: pip install 'cortical-columns[gpu]'")

from cortical.columns.layers import products, triton_kernels, winners
from cortical.columns.layers.masks import packed_mask, random_mask

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed)).to(DEVICE)


@pytest.mark.parametrize(("n", "k"), [(1, 1), (7, 3), (64, 64), (100, 5), (1000, 20)])
@pytest.mark.parametrize("floor", [float("-inf"), 0.0, 0.7])
def test_winners_are_those_of_the_reference(n, k, floor):
    x = normal(3, 2, n)
    ours, plain = triton_kernels.select(x, k, floor), winners.select(x, k, floor)
    assert torch.equal(ours.indices, plain.indices)
    assert torch.equal(ours.values, plain.values)


@pytest.mark.parametrize("floor", [float("-inf"), 0.0])
def test_among_equals_the_first_win_whatever_the_values(floor):
    inf = float("inf")
    x = torch.tensor([
        [0.0, -0.0, 0.0, -0.0, 0.0, 1e-45], [-1.0, -1.0, -2.0, -1.0, -1.0, -3.0], [inf, -inf, -inf, inf, 1.0, -inf],
        [2.0] * 6, [-inf] * 6,
    ], device=DEVICE)  # fmt: skip
    for k in (1, 3, 6):
        ours, plain = triton_kernels.select(x, k, floor), winners.select(x, k, floor)
        if floor == 0.0:
            assert torch.equal(ours.indices, plain.indices)
        reference = winners.winner_mask(x, k) & ((x > floor) if floor == 0.0 else True)
        mask = torch.zeros(5, 7, dtype=torch.bool, device=DEVICE)
        mask.scatter_(1, torch.where(ours.indices < 0, 6, ours.indices.long()), True)
        assert torch.equal(mask[:, :6], reference)


@pytest.mark.parametrize("columns", [None, 3])
@pytest.mark.parametrize("outputs", [5, 130])
def test_gather_is_that_of_the_reference(columns, outputs):
    lead = () if columns is None else (columns,)
    active = winners.select(normal(4, *lead, 50), 19, floor=0.3)
    assert (active.indices < 0).any()
    matrix, bias = normal(*lead, 50, outputs, seed=1), normal(*lead, outputs, seed=2)
    for shift in (None, bias):
        ours = triton_kernels.gather_product(active, matrix, shift)
        torch.testing.assert_close(ours, products.gather_product(active, matrix, shift))


@pytest.mark.parametrize("columns", [None, 3])
@pytest.mark.parametrize(("outputs", "density"), [(36, 0.25), (140, 0.1), (660, 0.2)])
def test_packed_is_that_of_the_reference(columns, outputs, density):
    lead = () if columns is None else (columns,)
    mask = packed_mask(50, outputs, density, torch.Generator().manual_seed(0))
    active = winners.select(normal(2, *lead, 50), 9, floor=1.2)
    assert (active.indices < 0).any()
    weight, bias = normal(*lead, len(mask.targets), seed=1), normal(*lead, outputs, seed=2)
    for shift in (None, bias):
        ours = triton_kernels.packed_product(active, weight, mask, shift)
        torch.testing.assert_close(ours, products.scatter_product(active, weight, mask, shift))


def test_what_kernels_cannot_take_is_refused():
    active = winners.select(normal(2, 50), 5)
    with pytest.raises(ValueError, match=r"float64.*\(2, 50\)"):
        triton_kernels.select(normal(2, 50).double(), 5)
    with pytest.raises(ValueError, match=r"NaN.*\(2, 50\)"):
        triton_kernels.select(normal(2, 50) * float("nan"), 5)
    with pytest.raises(ValueError, match=r"k is 0.*\(2, 50\)"):
        triton_kernels.select(normal(2, 50), 0)
    with pytest.raises(ValueError, match=r"50, shape \(2, 5\).*40 inputs"):
        triton_kernels.gather_product(active, normal(40, 8))
    for mask in (random_mask(50, 40, 0.1, torch.Generator()), packed_mask(50, 33, 0.125, torch.Generator())):
        with pytest.raises(ValueError, match="packed mask with banks of one size"):
            triton_kernels.packed_product(active, normal(len(mask.targets)), mask)
