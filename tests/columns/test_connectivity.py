"""Learned connectivity: who is dropped and grown, in plain masks and in banks, and what optimisers remember."""

import math
from itertools import pairwise

import pytest
import torch
from torch.nn import functional as F

from cortical.columns.layers import rewiring
from cortical.columns.layers.connectivity import (
    cosine_share,
    grow_random,
    grow_strongest,
    keep_strongest,
    places,
    prune,
    pruning_density,
    replace_by_gradient,
    replace_crossed,
    replace_random,
    rewire,
)
from cortical.columns.layers.linear import SparseLinear
from cortical.columns.layers.masks import packed_mask, random_mask
from cortical.columns.layers.winners import Active, select

DRAW = {"random": random_mask, "packed": packed_mask}
KINDS = list(DRAW)


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=seeded(seed))


def bank_counts(mask, banks):
    """Weights of every input in every bank."""
    edges = torch.arange(banks + 1) * mask.outputs // banks
    return torch.stack([mask.dense()[:, a:b].sum(1) for a, b in pairwise(edges.tolist())], 1)


def changes(kind, inputs=30, outputs=33, density=0.125, share=0.3):
    """A mask, its weights, and what SET and RigL make of it."""
    mask = DRAW[kind](inputs, outputs, density, seeded())
    weight, gradient = normal(len(mask.targets), seed=1), normal(inputs, outputs, seed=2)
    yield mask, weight, gradient, replace_random(mask, weight, share, seeded(3))
    yield mask, weight, gradient, replace_by_gradient(mask, weight, share, gradient)


@pytest.mark.parametrize("kind", KINDS)
def test_the_weakest_go_and_as_many_come(kind):
    for mask, weight, _, change in changes(kind):
        number = round(0.3 * len(weight))
        assert (change.dropped, change.grown) == (number, number)
        assert change.turnover == pytest.approx(number / len(weight))
        stayed = change.source[change.source >= 0]
        gone = torch.ones(len(weight), dtype=torch.bool)
        gone[stayed] = False
        assert weight[gone].abs().max() < weight[stayed].abs().min()
        before, after = mask.dense(), change.mask.dense()
        assert after.sum() == before.sum() == len(change.mask.targets)
        assert int((before & ~after).sum()) == number
        old = torch.zeros(before.shape).masked_scatter(before, weight)
        new = torch.zeros(after.shape).masked_scatter(after, change.carry(weight))
        assert torch.equal(new, old * (before & after))


def test_packed_masks_stay_packed():
    for _, _, _, change in changes("packed"):
        assert change.mask.kind == "packed"
        assert torch.equal(bank_counts(change.mask, 4), torch.ones(30, 4, dtype=torch.int64))
        assert torch.equal(change.mask.starts, torch.arange(31, dtype=torch.int32) * 4)


def test_gradient_grows_the_strongest_place_of_all_or_of_the_bank():
    for kind in KINDS:
        mask, weight, gradient, change = list(changes(kind))[1]
        before, grown = mask.dense(), change.mask.dense() & ~mask.dense()
        rest = gradient.abs().masked_fill(before, -1.0)
        if kind == "random":
            assert rest[grown].min() >= rest[~grown & ~before].max()
            continue
        keep = keep_strongest(weight, len(weight) - change.dropped)
        edges = torch.arange(5) * 33 // 4
        expected = set()
        for slot in (~keep).nonzero().flatten().tolist():
            j, bank = divmod(slot, 4)
            inside = rest[j, edges[bank] : edges[bank + 1]]
            expected.add((j, int(edges[bank]) + int(inside.argmax())))
        assert {tuple(pair) for pair in grown.nonzero().tolist()} == expected


@pytest.mark.parametrize("kind", KINDS)
def test_random_growth_reaches_every_free_place_and_is_a_function_of_the_generator(kind):
    mask = DRAW[kind](8, 8, 0.25, seeded())
    keep = torch.zeros(len(mask.targets), dtype=torch.bool)
    seen = torch.zeros(8, 8, dtype=torch.int64)
    for seed in range(200):
        grown = grow_random(mask, keep, seeded(seed))
        assert torch.equal(grown, grow_random(mask, keep, seeded(seed)))
        seen.view(-1)[grown] += 1
    assert (seen[mask.dense()] == 0).all()
    free = seen[~mask.dense()].float()
    assert free.min() > 0.7 * 200 / 3
    assert free.max() < 1.3 * 200 / 3


def test_columns_share_a_mask_by_the_sum_of_their_weights():
    weight = torch.tensor([[1.0, 0.1, -3.0], [1.0, 2.5, 0.1]])
    assert keep_strongest(weight, 2).tolist() == [False, True, True]
    assert keep_strongest(weight[0], 1).tolist() == [False, False, True]


def test_pruning_keeps_the_strongest_and_forgets_banks():
    mask = packed_mask(30, 33, 0.25, seeded())
    weight = normal(len(mask.targets))
    change = prune(mask, weight, 0.1)
    assert change.mask.kind == "random"
    assert len(change.mask.targets) == round(0.1 * 30 * 33)
    assert (change.grown, change.dropped) == (0, len(weight) - 99)
    assert torch.equal(change.carry(weight).abs().sort().values, weight.abs().sort().values[-99:])
    assert prune(change.mask, change.carry(weight), 0.5).turnover == 0.0


def test_schedules_start_and_end_where_they_should():
    assert [pruning_density(t, 10, 0.1) for t in (0, 5, 10, 99)] == pytest.approx([1.0, 0.1 + 0.9 / 8, 0.1, 0.1])
    assert [cosine_share(t, 10, 0.3) for t in (0, 5, 10, 99)] == pytest.approx([0.3, 0.15, 0.0, 0.0])


def test_deep_rewiring_replaces_what_changed_its_sign():
    mask = random_mask(20, 20, 0.1, seeded())
    weight = normal(len(mask.targets))
    signs = weight.sign()
    signs[[3, 8, 11]] *= -1.0
    change = replace_crossed(mask, weight, signs, seeded(1))
    assert change.dropped == change.grown == 3
    stayed = change.source[change.source >= 0].tolist()
    assert sorted(stayed) == [i for i in range(len(weight)) if i not in (3, 8, 11)]


def test_without_room_nothing_is_lost():
    mask = random_mask(5, 4, 1.0, seeded())
    change = replace_random(mask, normal(20), 0.3, seeded())
    assert (change.dropped, change.grown, change.turnover) == (0, 0, 0.0)
    nearly = prune(mask, normal(20), 0.9)  # two places are free
    change = replace_by_gradient(nearly.mask, normal(18), 0.5, normal(5, 4))
    assert (change.dropped, change.grown) == (2, 2)


def _bias(layer):
    assert layer.bias is not None
    return layer.bias


def layer_of(kind, format="packed", **more):
    return SparseLinear(24, 32, 0.125, format, mask=kind, **more)


@pytest.mark.parametrize("format", ["packed", "dense", "gather", "auto"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_rewired_layer_is_still_the_linear_layer_of_its_weights(kind, format):
    layer, x = layer_of(kind, format), normal(5, 24)
    with torch.no_grad():
        for _ in range(2):
            layer(x)
        rewiring.evolve_random(layer, seeded())
        layer.weight.normal_(generator=seeded(4))
        torch.testing.assert_close(layer(x), x @ layer.dense() + _bias(layer))
        assert torch.equal(layer.dense() != 0, layer.mask.dense())
    rewiring.prune(layer, 0.05)
    torch.testing.assert_close(layer(select(x, 6)), select(x, 6).dense() @ layer.dense() + _bias(layer))
    assert layer.density == pytest.approx(0.05, abs=0.001)


@pytest.mark.parametrize("make", [
    lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9), lambda p: torch.optim.Adam(p, amsgrad=True),
])  # fmt: skip
@pytest.mark.parametrize("kind", KINDS)
def test_optimisers_forget_what_was_dropped_and_keep_the_rest(kind, make):
    layer = layer_of(kind)
    optimizer = make(layer.parameters())
    layer(normal(9, 24)).square().sum().backward()
    optimizer.step()
    weight = layer.weight
    before = {name: part.clone() for name, part in optimizer.state[weight].items() if part.shape == weight.shape}
    assert before
    change = rewiring.evolve_random(layer, seeded(), 0.4, optimizer)
    assert layer.weight is weight
    assert weight.grad is None
    new = change.source < 0
    assert int(new.sum()) == change.grown > 0
    assert (weight[new] == 0).all()
    for name, part in before.items():
        now = optimizer.state[weight][name]
        assert (now[new] == 0).all()
        assert torch.equal(now[~new], part[change.source[~new]])
    rewiring.prune(layer, 0.06, optimizer)
    for part in optimizer.state[weight].values():
        assert part.shape in ((), weight.shape)
    layer(normal(9, 24)).square().sum().backward()
    optimizer.step()


@pytest.mark.parametrize("columns", [None, 3])
@pytest.mark.parametrize("sparse", [False, True])
def test_watching_gives_the_gradient_of_the_dense_matrix(columns, sparse):
    layer = layer_of("packed", columns=columns).double()
    x = normal(7, *(() if columns is None else (columns,)), 24).double()
    given = select(x, 5) if sparse else x
    full = given.dense() if isinstance(given, Active) else x
    matrix = layer.dense().detach().requires_grad_()
    y = torch.einsum("...ci,cio->...co", full, matrix) if columns else full @ matrix
    (expected,) = torch.autograd.grad(y.sin().sum(), matrix)
    with rewiring.watching(layer) as seen:
        layer(given).sin().sum().backward()
    torch.testing.assert_close(seen.gradient(), expected)
    layer(given).sin().sum().backward()
    torch.testing.assert_close(seen.gradient(), expected)
    rewiring.rigl(layer, seen.gradient(), 0.2)


def test_rigl_finds_the_inputs_that_matter():
    """Of 60 inputs three decide; a layer of three weights an output must find them."""
    x, layer = normal(512, 60), SparseLinear(60, 4, 0.05, "packed", mask="random")
    goal = x[:, [7, 20, 41]] @ normal(3, 4, seed=5)
    optimizer = torch.optim.SGD(layer.parameters(), lr=0.2, momentum=0.9)
    turnovers, loss = [], torch.zeros(())
    for step in range(60):
        optimizer.zero_grad()
        with rewiring.watching(layer) as seen:
            loss = F.mse_loss(layer(x), goal)
            loss.backward()
        optimizer.step()
        if step % 5 == 4:
            turnovers.append(rewiring.rigl(layer, seen.gradient(), cosine_share(step, 55, 0.6), optimizer).turnover)
    assert layer.mask.dense().any(1).nonzero().flatten().tolist() == [7, 20, 41]
    assert loss.item() < 0.01
    assert turnovers[0] > turnovers[-1] == 0.0


def test_deep_rewiring_keeps_the_number_of_weights_and_their_signs():
    x, layer = normal(256, 60), SparseLinear(60, 4, 0.05, "packed", mask="random")
    goal = x[:, [7, 20, 41]] @ normal(3, 4, seed=5)
    optimizer = torch.optim.SGD(layer.parameters(), lr=0.3)
    signs, generator = layer.weight.detach().sign(), seeded(2)
    replaced, loss = 0, torch.zeros(())
    for _ in range(400):
        optimizer.zero_grad()
        loss = F.mse_loss(layer(x), goal)
        loss.backward()
        optimizer.step()
        change, signs = rewiring.deep_rewire(layer, signs, 0.3, generator, pull=0.1, optimizer=optimizer)
        replaced += change.dropped
        assert len(layer.weight) == 12
        assert torch.equal(layer.weight.detach().sign(), signs)
    assert replaced > 20
    assert loss.item() < 0.2 * goal.square().mean().item()


def test_deep_rewiring_is_pulled_and_shaken_as_told():
    layer = layer_of("random")
    before, signs = layer.weight.detach().clone(), layer.weight.detach().sign()
    change, _ = rewiring.deep_rewire(layer, signs, 0.5, seeded(), pull=0.01)
    stayed = change.source >= 0
    expected = (before - 0.005 * signs)[change.source[stayed]]
    torch.testing.assert_close(layer.weight.detach()[stayed], expected)
    shaken = layer_of("random")
    rewiring.deep_rewire(shaken, signs, 0.5, seeded(), pull=0.0, temperature=1e-6)
    moved = shaken.dense()[shaken.mask.dense() & layer_of("random").mask.dense()]
    still = layer_of("random").dense()[shaken.mask.dense() & layer_of("random").mask.dense()]
    assert (moved - still).std().item() == pytest.approx(math.sqrt(2 * 0.5 * 1e-6), rel=0.3)


def test_steps_made_before_stay_what_they_were():
    layer, x = layer_of("packed"), normal(24)
    step = layer.step(5)
    before = step(x).clone()
    rewiring.evolve_random(layer, seeded())
    with torch.no_grad():
        layer.weight.normal_()
    assert torch.equal(step(x), before)
    torch.testing.assert_close(layer.step(5)(x), layer(select(x, 5)).detach())


def test_checkpoints_of_learnt_masks_are_adopted():
    layer, other = layer_of("packed"), layer_of("packed")
    rewiring.evolve_random(layer, seeded())
    state = {f"hidden.{name}": part for name, part in layer.state_dict().items()}
    with pytest.raises(RuntimeError, match="another mask"):
        other.load_state_dict(layer.state_dict())
    rewiring.adopt(other, state, "hidden.")
    other.load_state_dict(layer.state_dict())
    assert torch.equal(other.dense(), layer.dense())
    pruned = layer_of("random")
    rewiring.prune(pruned, 0.05)
    again = layer_of("random")
    rewiring.adopt(again, pruned.state_dict())
    assert torch.equal(again.dense(), pruned.dense())


def test_what_does_not_fit_is_refused():
    mask = random_mask(5, 4, 0.4, seeded())
    keep = torch.ones(8, dtype=torch.bool)
    with pytest.raises(ValueError, match=r"1 places for a mask of 5 x 4"):
        rewire(mask, keep, places(mask)[:1])
    with pytest.raises(ValueError, match=r"share .* 1.5"):
        replace_random(mask, torch.zeros(8), 1.5, seeded())
    with pytest.raises(ValueError, match=r"\(4, 5\).*5 x 4"):
        grow_strongest(mask, keep, torch.zeros(4, 5))
    with pytest.raises(ValueError, match=r"density .* 0.0, .* 5 x 4"):
        prune(mask, torch.zeros(8), 0.0)
    with pytest.raises(ValueError, match="can't keep 9 of 8"):
        keep_strongest(torch.zeros(8), 9)
    with pytest.raises(ValueError, match=r"banks of one output.*4 x 4.*1 / 2"):
        replace_random(packed_mask(4, 4, 1.0, seeded()), torch.zeros(16), 0.5, seeded())
    with pytest.raises(ValueError, match=r"\(2, 8\) and \(8,\)"):
        replace_crossed(mask, torch.zeros(2, 8), torch.ones(8), seeded())
    with pytest.raises(ValueError, match="blocks don't grow"):
        rewiring.evolve_random(SparseLinear(64, 64, 0.5, "block"), seeded())
    with pytest.raises(ValueError, match=r"5 x 4 .*\(8,\).*24 -> 32"):
        layer_of("random").reconnect(mask, torch.zeros(8))
    with rewiring.watching(layer_of("random")) as seen, pytest.raises(ValueError, match="no gradient was seen"):
        seen.gradient()
