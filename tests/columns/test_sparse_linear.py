"""SparseLinear in all formats, its checkpoints, the cost model, the step and the counters."""

import math

import pytest
import torch

from cortical.columns.layers import cost
from cortical.columns.layers.counters import EnergyModel, counting
from cortical.columns.layers.linear import FORMATS, SparseLinear, active_units
from cortical.columns.layers.winners import NOTHING, Active, select


def drive(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


DENSITY = {"two_of_four": 0.5}
LAYERS = [(name, mask) for name, masks in FORMATS.items() for mask in masks]


@pytest.mark.parametrize(("name", "mask"), LAYERS)
@pytest.mark.parametrize("columns", [None, 2])
def test_every_format_is_the_same_linear_layer(name, mask, columns):
    layer = SparseLinear(64, 96, DENSITY.get(mask, 0.25), name, mask=mask, columns=columns, block=16)
    lead = () if columns is None else (columns,)
    x = drive(3, *lead, 64).relu()
    expected = torch.einsum("...i,...io->...o", x, layer.dense())
    assert layer.bias is not None
    layer.bias.data.uniform_()
    for given in (x, active_units(x), select(x, 32, floor=0.0)):
        expected = torch.einsum("...ci,cio->...co" if columns else "...i,io->...o", _full(given), layer.dense())
        torch.testing.assert_close(layer(given), expected + layer.bias)
        with torch.no_grad():
            torch.testing.assert_close(layer(given), expected + layer.bias)
    assert (layer.dense() != 0).float().mean() == pytest.approx(layer.density)


def _full(x):
    return x.dense() if isinstance(x, Active) else x


@pytest.mark.parametrize(("name", "mask"), LAYERS)
def test_every_format_learns_like_a_linear_layer(name, mask):
    layer = SparseLinear(32, 32, DENSITY.get(mask, 0.25), name, mask=mask, block=8).double()
    x, goal = drive(5, 32).double(), drive(5, 32, seed=1).double()
    (ours,) = torch.autograd.grad((layer(select(x, 8)) - goal).square().sum(), layer.weight)
    y = select(x, 8).dense() @ layer.dense() + layer.bias
    torch.testing.assert_close(ours, torch.autograd.grad((y - goal).square().sum(), layer.weight)[0])




def test_a_kept_matrix_follows_the_weights():
    layer, x = SparseLinear(16, 16, 0.25, "dense"), drive(2, 16)
    with torch.no_grad():
        first = layer(x)
        assert torch.equal(layer(x), first)
        layer.weight.mul_(2.0)
        for _ in range(3):
            torch.testing.assert_close(layer(x), 2.0 * first)
        layer.weight.data = layer.weight.data / 2.0
        layer.weight.add_(0.0)
        torch.testing.assert_close(layer(x), first)
        layer.weight = torch.nn.Parameter(3.0 * layer.weight)
        torch.testing.assert_close(layer(x), 3.0 * first)
        torch.testing.assert_close(layer.double()(x.double()).float(), 3.0 * first)
    assert layer(x.double()).requires_grad


def test_active_units_list_what_is_not_zero():
    x = torch.tensor([[0.0, 3.0, 0.0, -1.0], [0.0, 0.0, 0.0, 2.0]], requires_grad=True)
    active = active_units(x)
    assert active.indices.tolist() == [[1, 3], [3, NOTHING]]
    assert active.values.tolist() == [[3.0, -1.0], [2.0, 0.0]]
    active.values.sum().backward()
    assert x.grad is not None
    assert x.grad.tolist() == [[0.0, 1.0, 0.0, 1.0], [0.0, 0.0, 0.0, 1.0]]


def test_checkpoints_carry_their_mask():
    layer, same, other = (SparseLinear(32, 32, 0.25, seed=seed) for seed in (0, 0, 1))
    layer.weight.data.normal_()
    same.load_state_dict(layer.state_dict())
    assert torch.equal(same.dense(), layer.dense())
    with pytest.raises(RuntimeError, match=r"another mask: targets of shape \(256,\) against \(256,\)"):
        other.load_state_dict(layer.state_dict())
    sparser = SparseLinear(32, 32, 0.125)
    with pytest.raises(RuntimeError, match=r"another mask: targets of shape \(256,\) against \(128,\).*32 -> 32"):
        sparser.load_state_dict(layer.state_dict())


def test_layers_that_make_no_sense_are_refused():
    with pytest.raises(ValueError, match="formats are auto"):
        SparseLinear(8, 8, 0.5, "csr")
    with pytest.raises(ValueError, match="can't work with a mask 'packed'"):
        SparseLinear(32, 32, 0.5, "block", mask="packed")
    with pytest.raises(ValueError, match=r"density.*\(8, 8\)"):
        SparseLinear(8, 8, 0.0)
    with pytest.raises(ValueError, match=r"blocks of 32 .*\(40, 64\)"):
        SparseLinear(40, 64, 0.5, "block")
    with pytest.raises(ValueError, match=r"density of 0\.5, but 0\.25.*\(8, 8\)"):
        SparseLinear(8, 8, 0.25, "two_of_four")
    with pytest.raises(ValueError, match=r"groups of 4 inputs.*\(6, 8\)"):
        SparseLinear(6, 8, 0.5, "two_of_four")
    with pytest.raises(ValueError, match=r"9 units.*\(\.\.\., 8\)"):
        SparseLinear(8, 8, 0.5, "packed")(drive(2, 9))
    with pytest.raises(ValueError, match="one column"):
        SparseLinear(8, 8, 0.5, columns=2).step(2)


@pytest.mark.parametrize("mask", ["packed", "random"])
@pytest.mark.parametrize(("n", "k"), [(20, 3), (64, 64), (256, 9)])
def test_a_step_is_selection_and_product(n, k, mask):
    layer = SparseLinear(n, 96, 0.25, "packed", mask=mask)
    assert layer.bias is not None
    layer.bias.data.uniform_()
    step, kept = layer.step(k), layer.step(k, floor=0.5)
    with torch.no_grad():
        for x in drive(5, n):
            torch.testing.assert_close(step(x), layer(select(x, k)))
            torch.testing.assert_close(kept(x), layer(select(x, k, floor=0.5)))
        layer.weight.mul_(2.0)
        torch.testing.assert_close(step(x), layer(select(x, k)))


def test_a_step_refuses_what_it_cannot_take():
    step = SparseLinear(16, 16, 0.25).step(3)
    for x in (drive(15), drive(16).double(), drive(16, 2)[:, 0]):
        with pytest.raises(ValueError, match=r"row of 16 .*shape \("):
            step(x)
    with pytest.raises(ValueError, match=r"NaN.*\(16,\)"):
        step(torch.full((16,), float("nan")))
    with pytest.raises(ValueError, match=r"float32 weights.*torch.float64"):
        SparseLinear(16, 16, 0.25).double().step(3)
    with pytest.raises(ValueError, match="1 <= k <= n"):
        SparseLinear(16, 16, 0.25).step(17)


@pytest.mark.parametrize("rows", [1, 8, 256])
def test_auto_takes_the_cheapest_by_the_model(rows):
    layer, x = SparseLinear(512, 512, 0.1), select(drive(rows, 512), 10)
    shape = (rows, 10, 512, 512)
    with torch.no_grad():
        chosen = layer.method(x)
    predicted = {name: cost.costs().predict(name, shape, len(layer.weight)) for name in cost.METHODS}
    best = min(predicted.values())
    assert predicted[chosen] == (best if best * cost.MARGIN <= predicted["dense"] else predicted["dense"])
    assert layer.method(drive(rows, 512)) in ("dense", "lanes")


def test_costs_grow_with_the_work():
    costs = cost.costs()
    for method in cost.METHODS:
        few, many = (costs.predict(method, (rows, 40, 2048, 2048), 40 * 2048) for rows in (1, 256))
        assert 0 < few < many
    assert cost.units("lanes", 1, 8, 8, 8, 100) == 1600
    with pytest.raises(ValueError, match="methods are dense"):
        cost.units("csr", 1, 1, 1, 1, 1)


def test_constants_fitted_here_are_used(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cost.cache_file() == tmp_path / "cortical" / "sparse_costs.json"
    fitted = cost.costs()
    cost.cache_file().parent.mkdir()
    cost.cache_file().write_text(cost.SHIPPED.read_text().replace(fitted.machine, "another machine"))
    cost.costs.cache_clear()
    try:
        assert cost.costs().machine == "another machine"
    finally:
        cost.costs.cache_clear()


def test_counters_count_what_is_read():
    layer = SparseLinear(100, 200, 0.1, "packed")
    x = drive(3, 100)
    with counting() as counts:
        layer(select(x, 10))
        with counting() as inner:
            layer(select(x.relu(), 100, floor=0.0))
    work = counts.work["scatter"]
    positive = int((x > 0).sum())
    assert inner.multiply_adds == positive * 20
    assert work.multiply_adds == 3 * 10 * 20 + positive * 20
    assert counts.comparisons == 2 * 3 * 100
    assert counts.active_fraction == (30 + positive) / 600
    assert work.bytes == work.multiply_adds * (4 + 2) + (30 + positive) * 8 + 2 * 3 * 200 * 4
    model = EnergyModel(multiply_add=1.0, comparison=10.0, byte=0.0)
    assert counts.energy(model) == work.multiply_adds + 6000.0
    with counting() as none:
        pass
    assert none.energy() == 0.0
    assert math.isnan(none.active_fraction)


@pytest.mark.parametrize(("name", "products"), [("dense", 100 * 64), ("gather", 7 * 64), ("block", 32 * 64)])
def test_counters_tell_formats_apart(name, products):
    inputs = 128 if name == "block" else 100
    layer = SparseLinear(inputs, 64, 0.25, name)
    with counting() as counts:
        layer(select(drive(inputs), 7))
    assert counts.work[name].multiply_adds == products


def test_a_step_counts_its_selection_too():
    layer = SparseLinear(64, 64, 0.25)
    step, x = layer.step(5), drive(64)
    with counting() as counts:
        step(x)
    assert counts.multiply_adds == 5 * 16
    assert counts.comparisons == 64


def test_weights_changed_behind_torchs_back_count_once_copies_are_dropped():
    layer, x = SparseLinear(32, 16, 0.25, "dense"), torch.randn(4, 32, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        before = layer(x)
        layer.weight.data.mul_(2)
        layer.bias.data.mul_(2)
        layer.forget()
        torch.testing.assert_close(layer(x), 2 * before)
