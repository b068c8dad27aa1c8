"""Sparse convolutions against torch's own of the same kernels: values, gradients, connectivity, bad input."""

import pytest
import torch
from torch.nn import functional as F

from cortical.columns.layers import rewiring
from cortical.columns.layers.conv import SparseConv2d
from cortical.columns.layers.counters import counting

FORMATS = ["auto", "dense", "packed"]


def normal(*shape, seed=0, dtype=torch.float64):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def make(format, mask="packed", **more):
    layer = SparseConv2d(3, 12, 4, 0.25, format, mask=mask, **more).double()
    assert layer.kernel.bias is not None
    layer.kernel.bias.data.uniform_()
    return layer


@pytest.mark.parametrize("mask", ["packed", "random"])
@pytest.mark.parametrize(("stride", "padding"), [(1, 0), (2, 1), (3, 2)])
@pytest.mark.parametrize("format", FORMATS)
def test_it_is_the_dense_convolution_of_its_kernels(format, stride, padding, mask):
    layer, x = make(format, mask, stride=stride, padding=padding), normal(2, 3, 9, 8).requires_grad_()
    weight = layer.weight().detach().requires_grad_()
    assert (weight != 0).double().mean() == pytest.approx(0.25)
    expected = F.conv2d(x, weight, layer.kernel.bias, stride, padding)
    y = layer(x)
    torch.testing.assert_close(y, expected)
    with torch.no_grad():
        for _ in range(2):
            torch.testing.assert_close(layer(x), expected)
    slope = normal(*y.shape, seed=1)
    bias = layer.kernel.bias
    assert bias is not None
    ours = torch.autograd.grad((y * slope).sum(), (x, layer.kernel.weight, bias))
    plain = torch.autograd.grad((expected * slope).sum(), (x, weight, bias))
    torch.testing.assert_close(ours[0], plain[0])
    where = layer.kernel.mask.dense()
    torch.testing.assert_close(ours[1], plain[1].flatten(1).mT[where])
    torch.testing.assert_close(ours[2], plain[2])


@pytest.mark.parametrize("format", ["dense", "packed"])
def test_gradients_by_differences(format):
    layer, x = make(format, padding=1), normal(1, 3, 4, 4).requires_grad_()

    def of(x, weight):
        return torch.func.functional_call(layer, {"kernel.weight": weight}, (x,))

    weight = layer.kernel.weight.detach().clone().requires_grad_()
    assert torch.autograd.gradcheck(of, (x, weight))


@pytest.mark.parametrize("format", FORMATS)
def test_connectivity_is_learnt_like_that_of_a_linear_layer(format):
    layer, x = make(format, "random", stride=2, padding=1), normal(2, 3, 8, 8)
    weight = layer.weight().detach().requires_grad_()
    F.conv2d(x, weight, layer.kernel.bias, 2, 1).sin().sum().backward()
    with rewiring.watching(layer) as seen:
        layer(x).sin().sum().backward()
    assert weight.grad is not None
    torch.testing.assert_close(seen.gradient(), weight.grad.flatten(1).mT)
    change = rewiring.rigl(layer.kernel, seen.gradient(), 0.25)
    assert change.grown == round(0.25 * 12 * 12)
    with torch.no_grad():
        torch.testing.assert_close(layer(x), F.conv2d(x, layer.weight(), layer.kernel.bias, 2, 1))


def test_counters_tell_sparse_kernels_from_dense_ones():
    x = normal(2, 3, 8, 8)
    for format, share in (("dense", 1.0), ("packed", 0.25)):
        with counting() as counts:
            make(format)(x)
        assert counts.multiply_adds == 2 * 25 * 48 * 12 * share
        assert counts.active_fraction == 1.0


def test_what_does_not_fit_is_refused():
    with pytest.raises(ValueError, match=r"formats are auto, dense, packed"):
        SparseConv2d(1, 8, 5, 0.2, "gather")
    with pytest.raises(ValueError, match="no block mask"):
        SparseConv2d(2, 32, 4, 1.0, mask="block")
    with pytest.raises(ValueError, match="nearly whole"):
        SparseConv2d(1, 8, 5, 0.06)
    layer = make("dense")
    for shape in ((2, 4, 8, 8), (3, 8, 8), (2, 3, 3, 8)):
        with pytest.raises(ValueError, match=r"shape \(.*kernels \(3, 4, 4\)"):
            layer(torch.zeros(shape, dtype=torch.float64))
