"""Sparse products and masks against the dense product of the same weights: values, gradients, bad input."""

import warnings

import pytest
import torch

from cortical.columns.layers.kernels import way
from cortical.columns.layers.masks import block_mask, packed_mask, random_mask
from cortical.columns.layers.products import (
    block_product,
    dense_matrix,
    dense_product,
    gather_product,
    lanes_product,
    scatter_product,
)
from cortical.columns.layers.winners import Active, select

COLUMNS = [None, 3]


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def normal(*shape, seed=0, dtype=torch.float64):
    return torch.randn(*shape, generator=seeded(seed), dtype=dtype)


def make(kind, columns, dtype=torch.float64, inputs=40, outputs=36, density=0.25):
    """A mask, weights, bias and winners of 5 rows with an empty slot each."""
    mask = {"random": random_mask, "packed": packed_mask}[kind](inputs, outputs, density, seeded(1))
    lead = () if columns is None else (columns,)
    weight = normal(*lead, len(mask.targets), seed=2, dtype=dtype).requires_grad_()
    bias = normal(*lead, outputs, seed=3, dtype=dtype).requires_grad_()
    x = normal(5, *lead, inputs, seed=4, dtype=dtype)
    x[..., 7:] -= 4.0
    return mask, weight, bias, select(x, 8, floor=0.0)


@pytest.mark.parametrize("kind", ["random", "packed"])
@pytest.mark.parametrize(
    ("inputs", "outputs", "density"), [(40, 36, 0.25), (100, 64, 0.05), (7, 6, 1.0), (30, 999, 0.1)]
)
def test_masks_are_of_equal_fan_in_and_the_density(kind, inputs, outputs, density):
    mask = {"random": random_mask, "packed": packed_mask}[kind](inputs, outputs, density, seeded())
    dense, fan_in = mask.dense(), mask.fan_in()
    assert dense.sum() == len(mask.targets) == fan_in.sum()
    assert torch.equal(dense.sum(0), fan_in)
    assert mask.density == pytest.approx(density, rel=0.1)
    assert torch.equal(dense.nonzero(), torch.stack((mask.sources(), mask.targets.long()), dim=1))
    if kind == "random":
        assert fan_in.min() == fan_in.max()
    else:
        assert dense.sum(1).min() == dense.sum(1).max()
        assert fan_in.float().std() <= fan_in.float().mean() * 0.05 + 1


def test_banks_of_a_packed_mask_are_disjoint_and_full():
    mask = packed_mask(50, 33, 0.125, seeded())
    banks = mask.targets.view(50, 4).long()
    for bank in range(4):
        low, high = bank * 33 // 4, (bank + 1) * 33 // 4
        assert banks[:, bank].min() >= low
        assert banks[:, bank].max() < high


def test_block_masks_are_of_equal_fan_in():
    mask = block_mask(64, 96, 0.25, 8, seeded())
    dense = mask.dense()
    assert dense.shape == (64, 96)
    assert torch.equal(dense.sum(0), mask.fan_in())
    assert mask.density == 0.25
    tiles = dense.unflatten(0, (-1, 8)).unflatten(-1, (-1, 8)).sum((1, 3))
    assert set(tiles.unique().tolist()) == {0, 64}


@pytest.mark.parametrize("draw", [random_mask, packed_mask])
def test_a_mask_is_a_function_of_the_generator(draw):
    one, same, other = (draw(40, 40, 0.1, seeded(seed)).dense() for seed in (0, 0, 1))
    assert torch.equal(one, same)
    assert not torch.equal(one, other)


@pytest.mark.parametrize("density", [0.0, -1.0, 1.5, float("nan"), 0.03])
def test_densities_that_do_not_fit_are_refused(density):
    for draw in (random_mask, packed_mask, lambda *a: block_mask(*a[:3], 4, a[3])):
        with pytest.raises(ValueError, match=r"density.*\(20, 20\)"):
            draw(20, 20, density, seeded())
    with pytest.raises(ValueError, match=r"blocks of 3 .*\(20, 20\)"):
        block_mask(20, 20, 0.5, 3, seeded())


@pytest.mark.parametrize("columns", COLUMNS)
@pytest.mark.parametrize("kind", ["random", "packed"])
@pytest.mark.parametrize("product", [scatter_product, lanes_product])
def test_sparse_products_equal_the_dense_one(product, kind, columns):
    mask, weight, bias, active = make(kind, columns)
    expected = dense_product(active.dense(), dense_matrix(weight, mask), bias)
    y = product(active, weight, mask, bias)
    torch.testing.assert_close(y, expected)
    slope = normal(*y.shape, seed=9)
    for ours, plain in zip(
        torch.autograd.grad((y * slope).sum(), (weight, bias)),
        torch.autograd.grad((expected * slope).sum(), (weight, bias)),
        strict=True,
    ):
        torch.testing.assert_close(ours, plain)


@pytest.mark.parametrize("columns", COLUMNS)
@pytest.mark.parametrize("product", [scatter_product, lanes_product])
def test_gradients_of_sparse_products_by_differences(product, columns):
    mask, weight, bias, active = make("packed", columns, inputs=10, outputs=8)
    values = active.values.clone().requires_grad_()

    def of(values, weight, bias):
        return product(Active(active.indices, values, 10), weight, mask, bias)

    assert torch.autograd.gradcheck(of, (values, weight, bias))


@pytest.mark.parametrize("columns", COLUMNS)
@pytest.mark.parametrize("outputs", [5, 16, 40])
def test_gather_equals_the_dense_product_and_its_gradients(columns, outputs):
    active, lead = make("packed", columns)[3], () if columns is None else (columns,)
    matrix = normal(*lead, 40, outputs, seed=5).requires_grad_()
    torch.testing.assert_close(gather_product(active, matrix), dense_product(active.dense(), matrix))
    values = active.values[:2].clone().requires_grad_()

    def of(values, matrix):
        return gather_product(Active(active.indices[:2], values, 40), matrix)

    assert torch.autograd.gradcheck(of, (values, matrix))


@pytest.mark.parametrize("rows", [1, 15, 33, 70, 130])
@pytest.mark.parametrize("kind", ["random", "packed"])
def test_lanes_take_any_number_of_samples(kind, rows):
    mask = {"random": random_mask, "packed": packed_mask}[kind](90, 1000, 0.1, seeded())
    x = normal(rows, 90, seed=1).relu().requires_grad_()
    weight = normal(len(mask.targets), seed=2).requires_grad_()
    slope = normal(rows, 1000, seed=3)
    expected = dense_product(x, dense_matrix(weight, mask))
    y = lanes_product(x, weight, mask)
    torch.testing.assert_close(y, expected)
    ours = torch.autograd.grad((y * slope).sum(), (x, weight))
    for one, plain in zip(ours, torch.autograd.grad((expected * slope).sum(), (x, weight)), strict=True):
        torch.testing.assert_close(one, plain)


@pytest.mark.parametrize("columns", COLUMNS)
@pytest.mark.parametrize("size", [4, 16])
@pytest.mark.parametrize("rows", [1, 9])
def test_blocks_equal_the_dense_product(rows, size, columns):
    mask, lead = block_mask(64, 32, 0.25, size, seeded()), () if columns is None else (columns,)
    weight = normal(*lead, 32 // size, 16, size, seed=2).requires_grad_()
    bias = normal(*lead, 32, seed=3)
    x = normal(rows, *lead, 64, seed=1).relu()
    expected = dense_product(x, dense_matrix(weight, mask), bias)
    torch.testing.assert_close(block_product(x, weight, mask, bias), expected)
    with torch.no_grad():
        torch.testing.assert_close(block_product(x, weight, mask, bias), expected)
    matrix = dense_matrix(weight, mask)
    assert torch.equal(matrix != 0, mask.dense().expand(matrix.shape))
    torch.testing.assert_close(
        *(torch.autograd.grad(y.square().sum(), weight)[0] for y in (block_product(x, weight, mask, bias), expected))
    )


@pytest.mark.parametrize("kind", ["random", "packed"])
def test_float32_is_as_exact_as_torch(kind):
    mask, weight, bias, active = make(kind, None, torch.float32, 512, 256, 0.1)
    exact = dense_product(active.dense().double(), dense_matrix(weight, mask).double(), bias.double())
    for y in (scatter_product(active, weight, mask, bias), lanes_product(active, weight, mask, bias)):
        torch.testing.assert_close(y.double(), exact, rtol=1e-5, atol=1e-5)


def test_types_without_a_kernel_fall_back_and_say_so_once(monkeypatch):
    monkeypatch.delenv("TRITON_INTERPRET", raising=False)
    mask, weight, bias, active = make("packed", None, torch.float32)
    half = Active(active.indices, active.values.bfloat16(), active.size)
    with pytest.warns(UserWarning, match=r"scatter on cpu in torch.bfloat16, shape \(5, 8\)"):
        y = scatter_product(half, weight.bfloat16(), mask, bias.bfloat16())
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert way(half.values, "scatter") == "plain"
    torch.testing.assert_close(y.float(), scatter_product(active, weight, mask, bias), rtol=0.05, atol=0.1)


def test_shapes_that_do_not_fit_are_refused():
    mask, weight, bias, active = make("packed", 3)
    flat = Active(active.indices[:, 0], active.values[:, 0], 40)
    for product in (scatter_product, lanes_product):
        with pytest.raises(ValueError, match=r"\(5, (8|40)\).*\(\.\.\., 3, 40\)"):
            product(flat, weight, mask, bias)
        with pytest.raises(ValueError, match=r"\(3, 7\).*mask of 360"):
            product(active, weight[:, :7], mask, bias)
    with pytest.raises(ValueError, match=r"\(3, 5\).*36 outputs"):
        scatter_product(active, weight, mask, bias[:, :5])
    with pytest.raises(ValueError, match=r"float64 on cpu, shape \(5, 3, 8\).*float32"):
        scatter_product(active, weight.float(), mask)
    with pytest.raises(ValueError, match=r"float32, doesn't fit 36 outputs of torch\.float64"):
        scatter_product(active, weight, mask, bias.float())
    with pytest.raises(ValueError, match="40 units"):
        gather_product(flat, torch.zeros(41, 3, dtype=torch.float64))
