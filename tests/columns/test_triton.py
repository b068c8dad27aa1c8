"""Triton kernels against their references, on a GPU where there is one, else in Triton's interpreter."""

import os
import subprocess
import sys
import warnings
from pathlib import Path

import pytest
import torch

if not torch.cuda.is_available():
    os.environ["TRITON_INTERPRET"] = "1"

pytest.importorskip("triton", reason="Triton is not installed: pip install 'cortical-columns[gpu]'")

from cortical.columns.layers import kernels, products, triton_kernels, winners
from cortical.columns.layers.linear import SparseLinear
from cortical.columns.layers.masks import packed_mask, random_mask
from cortical.columns.layers.winners import Active

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
COLUMNS = [None, 3]


@pytest.fixture(autouse=True)
def interpreter(monkeypatch):
    if DEVICE == "cpu":
        monkeypatch.setenv("TRITON_INTERPRET", "1")


def normal(*shape, seed=0, dtype=torch.float32):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed)).to(DEVICE, dtype)


def packed(columns, inputs, outputs, density, dtype=torch.float32, rows=2, k=9):
    """A packed mask, weights, bias and winners, some slots of which are empty; all want a gradient."""
    lead = () if columns is None else (columns,)
    mask = packed_mask(inputs, outputs, density, torch.Generator().manual_seed(0))
    mask = type(mask)(mask.targets.to(DEVICE), mask.starts.to(DEVICE), outputs, mask.kind)
    held = winners.select(normal(rows, *lead, inputs), k, floor=1.0)
    assert (held.indices < 0).any()
    active = Active(held.indices, held.values.to(dtype).requires_grad_(), inputs)
    weight = normal(*lead, len(mask.targets), seed=1, dtype=dtype).requires_grad_()
    return mask, weight, normal(*lead, outputs, seed=2, dtype=dtype).requires_grad_(), active


def slopes(y, active, *others):
    """Gradients of a weighted sum of y, those of empty slots left out."""
    slope = normal(*y.shape, seed=3, dtype=y.dtype)
    first, *rest = torch.autograd.grad(y, (active.values, *others), slope)
    return first.masked_fill(active.indices < 0, 0), *rest


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


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_and_a_boosted_drive_select_the_same(dtype):
    x, boost = normal(3, 50, dtype=dtype), normal(50, seed=1, dtype=dtype).abs()
    for drive in (x, x * boost):
        ours, plain = triton_kernels.select(x, 7, 0.0, drive), winners._reference(drive, 7, 0.0)
        assert torch.equal(ours.indices, plain)
        assert torch.equal(ours.values, winners._Values.of(x, plain))


def test_the_gradient_of_selection_reaches_winners_only():
    x = normal(3, 2, 40).requires_grad_()
    ours, plain = triton_kernels.select(x, 6, 1.2), winners.select(x, 6, 1.2)
    assert (ours.indices < 0).any()
    slope = normal(3, 2, 6, seed=1)
    got, expected = (torch.autograd.grad(active.values, x, slope)[0] for active in (ours, plain))
    assert torch.equal(got, expected)
    assert torch.equal(got != 0, winners.winner_mask(x, 6) & (x > 1.2))


@pytest.mark.parametrize("columns", COLUMNS)
@pytest.mark.parametrize("outputs", [5, 130])
@pytest.mark.parametrize("biased", [False, True])
def test_gather_and_its_gradients_are_those_of_the_reference(columns, outputs, biased):
    lead = () if columns is None else (columns,)
    active = packed(columns, 50, 20, 0.25, rows=3, k=19)[3]
    matrix = normal(*lead, 50, outputs, seed=1).requires_grad_()
    others = (matrix, normal(*lead, outputs, seed=2).requires_grad_()) if biased else (matrix,)
    ours = triton_kernels.gather_product(active, *others)
    plain = products.dense_product(active.dense(), *others)
    torch.testing.assert_close(ours, plain)
    torch.testing.assert_close(slopes(ours, active, *others), slopes(plain, active, *others))


@pytest.mark.parametrize("columns", COLUMNS)
@pytest.mark.parametrize(("outputs", "density"), [(36, 0.25), (33, 0.125), (140, 0.1), (320, 0.2), (7, 1.0)])
@pytest.mark.parametrize("biased", [False, True])
def test_packed_and_its_gradients_are_those_of_the_reference(columns, outputs, density, biased):
    mask, weight, bias, active = packed(columns, 50, outputs, density)
    shift, others = (bias, (weight, bias)) if biased else (None, (weight,))
    ours = triton_kernels.packed_product(active, weight, mask, shift)
    plain = products.dense_product(active.dense(), products.dense_matrix(weight, mask), shift)
    torch.testing.assert_close(ours, plain)
    torch.testing.assert_close(slopes(ours, active, *others), slopes(plain, active, *others))


def test_gradients_by_differences_in_float64():
    mask, weight, _, active = packed(2, 7, 6, 0.5, torch.float64, rows=2, k=3)
    matrix = products.dense_matrix(weight.detach(), mask).requires_grad_()

    def of_packed(values, weight):
        return triton_kernels.packed_product(Active(active.indices, values, 7), weight, mask)

    def of_matrix(values, matrix):
        return triton_kernels.gather_product(Active(active.indices, values, 7), matrix)

    assert torch.autograd.gradcheck(of_packed, (active.values, weight), fast_mode=True)
    assert torch.autograd.gradcheck(of_matrix, (active.values, matrix), fast_mode=True)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_sums_in_float32(dtype):
    mask, weight, bias, active = packed(3, 50, 33, 0.125, dtype)
    ours = triton_kernels.packed_product(active, weight, mask, bias)
    exact = [t.detach().float().requires_grad_() for t in (active.values, weight, bias)]
    wide = Active(active.indices, exact[0], 50)
    plain = products.dense_product(wide.dense(), products.dense_matrix(exact[1], mask), exact[2])
    assert ours.dtype == dtype
    torch.testing.assert_close(ours.float(), plain, rtol=torch.finfo(dtype).eps, atol=1e-3)
    for got, expected in zip(slopes(ours, active, weight, bias), slopes(plain, wide, *exact[1:]), strict=True):
        torch.testing.assert_close(got.float(), expected, rtol=2e-2, atol=2e-2)


def test_an_input_listed_twice_counts_twice():
    twice = Active(torch.tensor([[2, 2, 4]], dtype=torch.int32, device=DEVICE), normal(1, 3).requires_grad_(), 5)
    matrix = normal(5, 8, seed=1).requires_grad_()
    ours, plain = triton_kernels.gather_product(twice, matrix), products.dense_product(twice.dense(), matrix)
    torch.testing.assert_close(ours, plain)
    torch.testing.assert_close(slopes(ours, twice, matrix), slopes(plain, twice, matrix))


@pytest.mark.parametrize("columns", COLUMNS)
@pytest.mark.parametrize("format", ["packed", "gather"])
def test_a_layer_takes_the_kernels_and_learns_through_them(format, columns, monkeypatch):
    # float32 on a CPU has kernels of its own: there the interpreter gets bfloat16
    dtype = torch.bfloat16 if DEVICE == "cpu" else torch.float32
    layer = SparseLinear(60, 32, 0.125, format, mask="packed", columns=columns).to(DEVICE, dtype)
    lead = () if columns is None else (columns,)
    x = normal(4, *lead, 60, dtype=dtype).requires_grad_()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        y = layer(winners.select(x, 12))
        y.float().square().sum().backward()
    plain = products.dense_product(winners.keep_winners(x.detach(), 12), layer.dense(), layer.bias)
    torch.testing.assert_close(y, plain, rtol=2e-2, atol=2e-2)
    got = layer.weight.grad
    assert got is not None
    slope = torch.autograd.grad(plain.float().square().sum(), layer.weight)[0]
    torch.testing.assert_close(got, slope, rtol=5e-2, atol=5e-2)
    assert (x.grad != 0).sum() == 4 * 12 * (columns or 1)


def test_what_no_kernel_takes_falls_back_and_says_so_once(monkeypatch):
    monkeypatch.setattr(kernels, "_warned", set())
    mask = random_mask(50, 40, 0.1, torch.Generator())
    active = winners.select(normal(2, 50), 5)
    half = Active(active.indices, active.values.half(), 50)
    weight = normal(len(mask.targets)).half()
    for device_mask in [type(mask)(mask.targets.to(DEVICE), mask.starts.to(DEVICE), 40, mask.kind)]:
        with pytest.warns(UserWarning, match=rf"scatter on {DEVICE} in torch.float16, shape \(2, 5\)"):
            y = products.scatter_product(half, weight, device_mask)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            again = products.scatter_product(half, weight, device_mask)
        plain = products.dense_product(half.dense(), products.dense_matrix(weight, device_mask))
    assert torch.equal(y, again)
    torch.testing.assert_close(y, plain, rtol=1e-2, atol=1e-2)


def test_kernels_compile_for_a_graphics_card():
    """To machine code and without registers spilt, which needs no card; not in the interpreter, so in a process."""
    environment = {name: value for name, value in os.environ.items() if name != "TRITON_INTERPRET"}
    program = [sys.executable, str(Path(__file__).with_name("compile_triton.py")), "90"]
    done = subprocess.run(program, env=environment, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    assert set(done.stdout.split()) == {"select", "spread", "gather", "packed", "slope_of_values", "slope_of_weights"}


def test_what_kernels_cannot_take_is_refused():
    active = winners.select(normal(2, 50), 5)
    with pytest.raises(ValueError, match=r"float64 on .*\(2, 50\)"):
        triton_kernels.select(normal(2, 50).double(), 5)
    with pytest.raises(ValueError, match=r"NaN.*\(2, 50\)"):
        triton_kernels.select(normal(2, 50) * float("nan"), 5)
    with pytest.raises(ValueError, match=r"k is 0.*\(2, 50\)"):
        triton_kernels.select(normal(2, 50), 0)
    with pytest.raises(ValueError, match=r"50, shape \(2, 5\).*40 inputs"):
        triton_kernels.gather_product(active, normal(40, 8))
    for mask in (random_mask(50, 40, 0.1, torch.Generator()), packed_mask(50, 600, 0.0034, torch.Generator())):
        with pytest.raises(ValueError, match="packed mask with banks of at most 256"):
            triton_kernels.packed_product(active, normal(len(mask.targets)), mask)
    with pytest.raises(ValueError, match=r"bias of shape \(7,\).*8 outputs"):
        triton_kernels.gather_product(active, normal(50, 8), normal(7))
    with pytest.raises(ValueError, match=r"float32 on .*float64.*convert"):
        triton_kernels.gather_product(active, normal(50, 8, dtype=torch.float64))
