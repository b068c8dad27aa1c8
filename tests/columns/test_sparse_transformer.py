"""The sparse transformer block: equal to a dense one with masked weights, causal, counted, rewired, seeded."""

import math

import pytest
import torch

from cortical.columns.layers import rewiring
from cortical.columns.layers.counters import counting
from cortical.columns.layers.transformer import (
    PARTS,
    SparseTransformerBlock,
    attend,
    block_shapes,
    erdos_renyi,
    fire,
)
from cortical.columns.layers.winners import Active, winner_mask

FORMATS = [("auto", None), ("dense", "random"), ("packed", "packed"), ("packed", "random"), ("block", "block")]


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def block_of(format="auto", mask=None, width=64, hidden=128, density=0.5, **more):
    """Small, in float64, with biases that aren't 0. Blocks of 32 units fit it."""
    block = SparseTransformerBlock(width, 4, hidden, density, format, mask=mask, **more).double()
    for place, layer in enumerate(block.sparse_layers().values()):
        assert layer.bias is not None
        layer.bias.data = 0.1 * normal(layer.out_features, seed=place)
    return block


def reference(block, x, matrices):
    """The same by plain matrices (inputs, outputs), one head and one row after the other."""

    def linear(name, given):
        return given @ matrices[name] + getattr(block, name).bias

    def norm(given, scale):
        spread = (given.var(-1, unbiased=False, keepdim=True) + scale.eps).sqrt()
        return (given - given.mean(-1, keepdim=True)) / spread * scale.weight + scale.bias

    given = norm(x, block.before_attention)
    q, k, v = (linear(name, given).chunk(block.heads, -1) for name in ("q", "k", "v"))
    mixed = []
    for one, two, three in zip(q, k, v, strict=True):
        score = one @ two.mT / math.sqrt(one.shape[-1])
        if block.causal:
            score = score.masked_fill(torch.ones_like(score, dtype=torch.bool).triu(1), float("-inf"))
        mixed.append(score.softmax(-1) @ three)
    h = x + linear("out", torch.cat(mixed, -1))
    drive = linear("up", norm(h, block.before_feed))
    won = torch.ones_like(drive) if block.winners is None else winner_mask(drive, block.winners)
    return h + linear("down", drive.relu() * won)


@pytest.mark.parametrize("winners", [None, 9])
@pytest.mark.parametrize("causal", [True, False])
@pytest.mark.parametrize(("format", "mask"), FORMATS)
def test_it_is_the_dense_block_with_masked_weights(format, mask, causal, winners):
    block, x = block_of(format, mask, winners=winners, causal=causal), normal(3, 7, 64)
    matrices = {name: layer.dense().detach() for name, layer in block.sparse_layers().items()}
    for name, matrix in matrices.items():
        assert (matrix != 0).double().mean() == pytest.approx(getattr(block, name).density)
    torch.testing.assert_close(block(x), reference(block, x, matrices))
    with torch.no_grad():
        torch.testing.assert_close(block(x), reference(block, x, matrices))


@pytest.mark.parametrize("winners", [None, 9])
@pytest.mark.parametrize(("format", "mask"), FORMATS)
def test_gradients_are_those_of_the_weights_that_exist(format, mask, winners):
    block, x = block_of(format, mask, winners=winners), normal(2, 6, 64).requires_grad_()
    layers = block.sparse_layers()
    block(x).sin().sum().backward()
    matrices = {name: layer.dense().detach().requires_grad_() for name, layer in layers.items()}
    expected = torch.autograd.grad(reference(block, x, matrices).sin().sum(), (x, *matrices.values()))
    torch.testing.assert_close(x.grad, expected[0])
    for (name, layer), full in zip(layers.items(), expected[1:], strict=True):
        assert layer.weight.grad is not None, name
        (own,) = torch.autograd.grad(layer.dense(), layer.weight, full)
        torch.testing.assert_close(layer.weight.grad, own)


def test_numerical_gradients_agree():
    block = block_of("packed", width=8, hidden=12, density=0.5, winners=4)
    assert torch.autograd.gradcheck(block, (normal(1, 3, 8).requires_grad_(),))


def test_the_future_is_not_seen_unless_it_may_be():
    x = normal(2, 9, 64)
    changed = x.clone()
    changed[:, 5:] = normal(2, 4, 64, seed=1)
    for causal in (True, False):
        block = block_of(winners=9, causal=causal)
        one, two = block(x), block(changed)
        assert torch.equal(one[:, :5], two[:, :5]) == causal
        assert not torch.isclose(one[:, 5:], two[:, 5:]).all()
        if causal:
            torch.testing.assert_close(block(x[:, :5]), one[:, :5])


def test_what_it_multiplies_is_counted():
    x, rows = normal(2, 8, 64), 16
    attention = 2 * rows * 8 * 64
    for winners in (None, 9):
        block = block_of("packed", density=0.25, winners=winners)
        with torch.no_grad():
            active = fire(block.up(block.before_feed(block_to_feed(block, x))), winners)
        with counting() as counts, torch.no_grad():
            block(x)
        assert counts.work["attention"].multiply_adds == attention
        exist = sum(len(getattr(block, name).weight) for name in PARTS[:-1])
        won = int(active.counts().sum() if isinstance(active, Active) else (active != 0).sum())
        assert won < rows * 128
        fan_out = len(block.down.weight) // 128  # a packed mask gives every input as many
        assert counts.multiply_adds == rows * exist + won * fan_out + attention
        assert counts.comparisons == (0 if winners is None else rows * 128)


def block_to_feed(block, x):
    given = block.before_attention(x)
    return x + block.out(attend(block.q(given), block.k(given), block.v(given), block.heads))


def test_dense_products_are_counted_whole():
    block = block_of("dense", density=0.25)
    with counting() as counts, torch.no_grad():
        block(normal(1, 5, 64))
    assert counts.work["dense"].multiply_adds == 5 * (4 * 64 * 64 + 2 * 64 * 128)
    assert block.density == pytest.approx(0.25)


@pytest.mark.parametrize("mask", ["packed", "random"])
def test_connectivity_is_learnt_in_all_its_layers(mask):
    block, x = block_of("auto", mask, density=0.25, winners=9), normal(2, 6, 64)
    optimizer = torch.optim.Adam(block.parameters())
    layers, generator = block.sparse_layers(), torch.Generator().manual_seed(0)
    for name, layer in layers.items():
        with rewiring.watching(layer) as seen:
            block(x).sin().sum().backward()
        matrices = {name: layer.dense().detach().requires_grad_() for name, layer in layers.items()}
        (expected,) = torch.autograd.grad(reference(block, x, matrices).sin().sum(), matrices[name])
        torch.testing.assert_close(seen.gradient(), expected)
        optimizer.step()
        weights = len(layer.weight)
        assert rewiring.rigl(layer, seen.gradient(), 0.3, optimizer).grown == round(0.3 * weights)
        assert rewiring.evolve_random(layer, generator, 0.1, optimizer).grown > 0
        assert len(layer.weight) == weights
        optimizer.zero_grad()
    matrices = {name: layer.dense().detach() for name, layer in layers.items()}
    torch.testing.assert_close(block(x), reference(block, x, matrices))
    for layer in layers.values():
        rewiring.prune(layer, 0.05, optimizer)
    assert block.density == pytest.approx(0.05, abs=0.001)


def test_it_learns_to_copy_what_came_before():
    """Each of 8 symbols is answered by the one two places earlier: attention has to find it."""
    generator = torch.Generator().manual_seed(3)
    symbols, places = torch.eye(8, 32), 0.5 * torch.randn(6, 32, generator=generator)
    block = SparseTransformerBlock(32, 2, 64, 0.5, winners=16)
    optimizer = torch.optim.Adam(block.parameters(), 0.01)
    right = torch.zeros(())
    for _ in range(250):
        told = torch.randint(8, (32, 6), generator=generator)
        answer = (block(symbols[told] + places) @ symbols.mT)[:, 2:]
        loss = torch.nn.functional.cross_entropy(answer.flatten(0, 1), told[:, :-2].flatten())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        right = (answer.argmax(-1) == told[:, :-2]).float().mean()
    assert right > 0.9


def test_the_seed_is_all_there_is_to_chance():
    one, same, other = (SparseTransformerBlock(64, 4, 128, 0.25, seed=seed) for seed in (0, 0, 1))
    for name, layer in one.sparse_layers().items():
        assert torch.equal(layer.dense(), getattr(same, name).dense())
        assert not torch.equal(layer.dense(), getattr(other, name).dense())
    masks = [layer.mask.dense() for block in (one, other) for layer in (block.q, block.k, block.v, block.out)]
    assert all(not torch.equal(a, b) for i, a in enumerate(masks) for b in masks[:i])
    x = normal(1, 4, 64).float()
    assert torch.equal(one(x), same(x))


def test_densities_of_unequal_layers_add_up():
    shapes = block_shapes(160, 640)
    found = erdos_renyi(shapes, 0.1)
    exist = sum(found[name] * a * b for name, (a, b) in shapes.items())
    assert exist == pytest.approx(0.1 * sum(a * b for a, b in shapes.values()))
    assert found["q"] / found["up"] == pytest.approx((320 / 160**2) / (800 / (160 * 640)))
    tight = erdos_renyi({"small": (4, 4), "large": (100, 100)}, 0.3)
    assert tight["small"] == 1.0
    assert tight["large"] == pytest.approx((0.3 * 10016 - 16) / 10000)
    assert set(erdos_renyi(shapes, 1.0).values()) == {1.0}
    block = SparseTransformerBlock(160, 4, 640, found, mask="random")
    assert block.density == pytest.approx(0.1, rel=0.02)
    assert block.q.density == pytest.approx(found["q"], rel=0.05)


def test_what_does_not_fit_is_refused():
    block = block_of()
    with pytest.raises(ValueError, match=r"\(batch, time, 64\), but x is \(2, 5, 32\)"):
        block(normal(2, 5, 32))
    with pytest.raises(ValueError, match=r"but x is \(5, 64\)"):
        block(normal(5, 64))
    with pytest.raises(ValueError, match=r"but x is \(2, 0, 64\)"):
        block(normal(2, 0, 64))
    with pytest.raises(ValueError, match=r"64, 66, 128, 4.*inner=68"):
        SparseTransformerBlock(64, 4, 128, 0.5, inner=66)
    with pytest.raises(ValueError, match=r"64, 64, 128, 0"):
        SparseTransformerBlock(64, 0, 128, 0.5)
    with pytest.raises(ValueError, match=r"1 \.\.\. 128.*129"):
        SparseTransformerBlock(64, 4, 128, 0.5, winners=129)
    with pytest.raises(ValueError, match=r"must name q, k.*\(64, 64\).*name q, up"):
        SparseTransformerBlock(64, 4, 128, {"q": 0.5, "up": 0.5})
    with pytest.raises(ValueError, match=r"0\.001 is 0\.064.*\(64, 64\)"):
        SparseTransformerBlock(64, 4, 128, 0.001)
    with pytest.raises(ValueError, match=r"\(0, 1\], but is 1\.5.*\(64, 64\)"):
        erdos_renyi(block_shapes(64, 128), 1.5)
    with pytest.raises(ValueError, match=r"3 heads .*\(2, 5, 64\)"):
        attend(normal(2, 5, 64), normal(2, 5, 64), normal(2, 5, 64), 3)
    with pytest.raises(ValueError, match=r"\(2, 5, 64\), \(2, 4, 64\)"):
        attend(normal(2, 5, 64), normal(2, 4, 64), normal(2, 5, 64), 4)
