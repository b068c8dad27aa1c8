"""Winners, packed projections and sparse codes against plain references."""

from itertools import combinations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from cortical.columns.layers import (
    PackedProjection,
    false_match,
    k_winners,
    keep_winners,
    overlap,
    paired_overlap,
    to_dense,
)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(-3, 3), min_size=1, max_size=20), st.data())
def test_winners_are_the_largest_and_the_first_among_equals(drives, data):
    k = data.draw(st.integers(1, len(drives)))
    ranked = sorted(range(len(drives)), key=lambda unit: (-drives[unit], unit))
    x = torch.tensor([drives, drives], dtype=torch.float32)
    indices, values = k_winners(x, k)
    assert indices.tolist() == [sorted(ranked[:k])] * 2
    assert torch.equal(values, x.gather(1, indices))


def test_winners_keep_leading_shape():
    indices, values = k_winners(torch.randn(2, 3, 10, generator=torch.Generator().manual_seed(0)), 4)
    assert indices.shape == values.shape == (2, 3, 4)
    assert (indices.diff(dim=-1) > 0).all()
    assert k_winners(torch.arange(5.0), 2)[0].tolist() == [3, 4]


@pytest.mark.parametrize("k", [0, 6])
def test_winners_refuse_an_impossible_number(k):
    with pytest.raises(ValueError, match="1 <= k <= n"):
        k_winners(torch.zeros(2, 5), k)


@pytest.mark.parametrize("binary", [False, True])
def test_only_winners_learn(binary):
    x = torch.tensor([[3.0, 1.0, 2.0, 1.0]], requires_grad=True)
    y = keep_winners(x, 2, binary=binary)
    assert y.tolist() == ([[1.0, 0.0, 1.0, 0.0]] if binary else [[3.0, 0.0, 2.0, 0.0]])
    y.backward(torch.tensor([[5.0, 6.0, 7.0, 8.0]]))
    assert x.grad is not None
    assert x.grad.tolist() == [[5.0, 0.0, 7.0, 0.0]]


@pytest.mark.parametrize(("inputs", "outputs", "density"), [(32, 64, 1 / 8), (30, 24, 1 / 8), (7, 6, 1.0)])
def test_packed_mask_meets_every_bank_once(inputs, outputs, density):
    layer = PackedProjection(inputs, outputs, density, seed=3)
    size = round(1 / density)
    banks = layer.targets // size
    assert torch.equal(banks, torch.arange(outputs // size).expand(inputs, -1))
    fan_in = torch.bincount(layer.targets.flatten(), minlength=outputs)
    assert fan_in.max() - fan_in.min() <= (0 if inputs % size == 0 else 1)
    assert (layer.dense() != 0).sum() == inputs * outputs * density


def plain_projection(x, weight, targets, outputs):
    rows = []
    for row in x:
        y = [torch.zeros((), dtype=x.dtype)] * outputs
        for j, drive in enumerate(row):
            for g, target in enumerate(targets[j].tolist()):
                y[target] = y[target] + weight[j, g] * drive
        rows.append(torch.stack(y))
    return torch.stack(rows)


def test_packed_forward_and_gradient_equal_the_plain_sum():
    layer = PackedProjection(12, 16, 1 / 4, seed=1).double()
    x = torch.randn(3, 12, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    indices, values = k_winners(x, 5)
    sparse = torch.zeros_like(x).scatter(1, indices, values)
    plain = plain_projection(sparse, layer.weight, layer.targets, 16)
    (expected,) = torch.autograd.grad(plain.square().sum(), layer.weight)
    for y in (layer(sparse), layer.compact(indices, values)):
        torch.testing.assert_close(y, plain)
        torch.testing.assert_close(torch.autograd.grad(y.square().sum(), layer.weight)[0], expected)


def test_packed_gradients_reach_the_inputs():
    layer = PackedProjection(8, 8, 1 / 2, seed=1).double()
    indices = torch.tensor([[0, 3, 5]])
    values = torch.tensor([[1.0, -2.0, 0.5]], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda v: layer.compact(indices, v), (values,))


def test_packed_is_a_function_of_the_seed():
    a, b, c = (PackedProjection(64, 64, 1 / 8, seed=seed).dense() for seed in (5, 5, 6))
    assert torch.equal(a, b)
    assert not torch.equal(a, c)


@pytest.mark.parametrize(("outputs", "density"), [(64, 0.3), (60, 1 / 8), (64, 0.0), (64, 2.0)])
def test_packed_refuses_a_density_that_leaves_a_rest(outputs, density):
    with pytest.raises(ValueError, match="density"):
        PackedProjection(8, outputs, density)


def test_overlap_counts_shared_units():
    a = torch.tensor([[0, 1, 2], [3, 4, 5]], dtype=torch.int16)
    b = torch.tensor([[1, 2, 3], [7, 8, 9]], dtype=torch.int16)
    assert overlap(a, b, 10).tolist() == [[2, 0], [1, 0]]
    assert paired_overlap(a, b, 10).tolist() == [2, 0]
    assert to_dense(a, 10).sum(-1).tolist() == [3, 3]
    with pytest.raises(ValueError, match="paired_overlap"):
        overlap(a[0], b, 10)


@pytest.mark.parametrize("threshold", range(1, 4))
def test_a_false_match_counts_all_codes(threshold):
    n, k = 8, 3
    codes = [set(code) for code in combinations(range(n), k)]
    share = sum(len(codes[0] & code) >= threshold for code in codes) / len(codes)
    assert false_match(n, k, k, threshold) == pytest.approx(share)


def test_a_false_match_of_the_default_code():
    assert false_match(1024, 32, 32, 10) < 1e-8
    with pytest.raises(ValueError, match="1 <= active <= n"):
        false_match(8, 9, 9, 1)
