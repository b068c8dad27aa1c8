"""Compact winners, exact, by a warm cut and local, and boosting, against plain references."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from cortical.columns.layers import boosting
from cortical.columns.layers.winners import (
    NOTHING,
    Active,
    k_winners,
    local_winners,
    select,
    warm_winners,
    winner_mask,
)


def rows(n, count=6, seed=0, dtype=torch.float32):
    return torch.randn(count, n, generator=torch.Generator().manual_seed(seed), dtype=dtype)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
@pytest.mark.parametrize(("n", "k"), [(1, 1), (5, 2), (40, 3), (40, 40), (129, 7), (1000, 20), (1000, 300)])
@pytest.mark.parametrize("ties", [False, True])
def test_selection_equals_the_reference(n, k, ties, dtype):
    x = rows(n, seed=n + k).to(dtype)
    x = x.round() if ties else x
    won = select(x, k)
    assert torch.equal(won.dense(), x * winner_mask(x, k))
    assert (won.indices.diff(dim=-1) > 0).all()
    assert won.indices.dtype == torch.int32


@settings(max_examples=150, deadline=None)
@given(
    st.lists(
        st.one_of(st.floats(width=32, allow_nan=False), st.sampled_from([0.0, -0.0, 1.0])), min_size=1, max_size=80
    ),
    st.data(),
)
def test_any_floats_are_selected_as_sorted(values, data):
    k = data.draw(st.integers(1, len(values)))
    x = torch.tensor(values, dtype=torch.float32)
    ranked = sorted(range(len(values)), key=lambda unit: (-x[unit].item(), unit))[:k]
    assert select(x, k).indices.tolist() == sorted(ranked)


def test_zeros_behind_a_relu_do_not_win():
    x = torch.tensor([[0.0, 2.0, 0.0, 1.0], [-1.0, -2.0, -3.0, -4.0]])
    won = select(x, 3, floor=0.0)
    assert won.indices.tolist() == [[1, 3, NOTHING], [NOTHING] * 3]
    assert won.values.tolist() == [[2.0, 1.0, 0.0], [0.0, 0.0, 0.0]]
    assert won.counts().tolist() == [2, 0]
    assert select(x.double(), 3, floor=0.0).indices.tolist() == won.indices.tolist()


def test_gradient_reaches_winners_only_and_no_empty_slot():
    x = torch.tensor([[3.0, -1.0, 2.0, 1.0]], requires_grad=True)
    won = select(x, 4, floor=0.0)
    won.values.backward(torch.tensor([[5.0, 6.0, 7.0, 8.0]]))
    assert x.grad is not None
    assert x.grad.tolist() == [[5.0, 0.0, 6.0, 7.0]]
    y = rows(12, dtype=torch.float64).requires_grad_()
    assert torch.autograd.gradcheck(lambda v: select(v, 3).values, (y,))


def test_leading_shape_and_no_rows():
    x = rows(24).view(2, 3, 24)
    assert torch.equal(select(x, 4).indices.view(6, 4), select(x.view(6, 24), 4).indices)
    assert select(x[:0], 4).indices.shape == (0, 3, 4)
    assert select(x[0, 0], 4).values.shape == (4,)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("place", [0, 30, 33])
def test_nan_is_refused_with_its_shape(place, dtype):
    x = rows(34).to(dtype)
    x[2, place] = float("nan")
    for choose in (lambda: select(x, 5), lambda: k_winners(x, 5), lambda: warm_winners(x, 5, torch.zeros(()))):
        with pytest.raises(ValueError, match=r"NaN .*34"):
            choose()


@pytest.mark.parametrize("k", [0, 9])
def test_impossible_numbers_are_refused(k):
    for choose in (select, lambda x, k: local_winners(x, k, 4), lambda x, k: warm_winners(x, k, torch.zeros(()))):
        with pytest.raises(ValueError, match=r"1 <= k <= n.*shape"):
            choose(rows(8), k)
    with pytest.raises(ValueError, match=r"tiles of 3 .*\(6, 8\)"):
        local_winners(rows(8), 1, 3)


def test_local_winners_are_those_of_each_tile():
    x = rows(32)
    won = local_winners(x, 2, 8)
    tiles = torch.cat([part * winner_mask(part, 2) for part in x.split(8, dim=-1)], dim=-1)
    assert torch.equal(won.dense(), tiles)
    quiet = local_winners(x - 1.0, 3, 8, floor=0.0)
    filled = quiet.indices >= 0
    assert (filled.long().diff(dim=-1) <= 0).all()
    assert (quiet.values[filled] > 0).all()


def test_warm_cut_follows_the_drive():
    generator, cut, counts = torch.Generator().manual_seed(0), torch.zeros(()), []
    for step in range(60):
        x = torch.randn(2000, generator=generator) + (3.0 if step >= 30 else 0.0)
        won, cut = warm_winners(x, 40, cut)
        assert torch.equal(won.indices[: int(won.counts())].long(), won.dense().nonzero().flatten())
        assert won.values[won.indices >= 0].min() >= x[won.dense() == 0].max()
        counts.append(int(won.counts()))
    assert all(20 <= count <= 80 for count in counts)
    late = torch.tensor(counts[40:], dtype=torch.float64)
    assert late.mean() == pytest.approx(40, rel=0.15)


def test_warm_state_is_one_cut_a_row():
    x = rows(500, count=4) * torch.tensor([[1.0], [2.0], [3.0], [0.0]])
    cut = torch.full((4,), 10.0)
    for _ in range(30):
        won, cut = warm_winners(x, 10, cut)
    assert cut.shape == (4,)
    assert won.counts()[:3].tolist() == pytest.approx([10] * 3, abs=3)
    assert won.counts()[3] >= 5  # all equal: any cut lets all or none win, so k are selected


def test_duty_is_a_running_mean_of_wins():
    duty = boosting.Duty.begin(4)
    for seed in range(5):
        duty = boosting.update_duty(duty, select(rows(4, count=3, seed=seed), 2), period=1000)
    wins = torch.cat([winner_mask(rows(4, count=3, seed=seed), 2) for seed in range(5)])
    torch.testing.assert_close(duty.share, wins.float().mean(0))
    assert duty.seen == 15
    with pytest.raises(ValueError, match="5 units"):
        boosting.update_duty(duty, select(rows(5), 2))


def test_boosting_lets_every_unit_win():
    generator, lean = torch.Generator().manual_seed(0), torch.linspace(0.5, 2.0, 50)
    entropies = []
    for strength in (0.0, 20.0):
        duty = boosting.Duty.begin(50)
        for _ in range(200):
            x = torch.rand(10, 50, generator=generator) * lean
            won = select(x, 5, floor=0.0, boost=boosting.boost_factors(duty, 5, strength))
            assert torch.equal(won.dense(), x * (won.dense() > 0))  # outputs are not boosted
            duty = boosting.update_duty(duty, won, period=300)
        entropies.append(boosting.duty_entropy(duty))
    assert entropies[1] > 0.97 > 0.9 > entropies[0]
    assert boosting.duty_entropy(boosting.Duty(torch.full((8,), 0.25), 1)) == pytest.approx(1.0)


def test_active_holds_what_it_says():
    active = Active(torch.tensor([[1, 3, NOTHING]], dtype=torch.int32), torch.tensor([[2.0, 4.0, 0.0]]), 5)
    assert active.dense().tolist() == [[0.0, 2.0, 0.0, 4.0, 0.0]]


def test_a_room_is_filled_anew():
    room = torch.full((6, 40), 7.0)
    won = select(rows(40), 5)
    assert won.dense(room) is room
    assert torch.equal(room, rows(40) * winner_mask(rows(40), 5))
    assert torch.equal(won.dense(torch.ones(6, 41)), room)
