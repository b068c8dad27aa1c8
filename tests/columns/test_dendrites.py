"""Active dendrites against a loop over rows, units and segments; who learns, and how often segments are taken."""

import pytest
import torch

from cortical.columns.layers.counters import counting
from cortical.columns.layers.dendrites import ActiveDendrites, Gate, distinct, learn_locally, recognise
from cortical.columns.layers.winners import keep_winners


def normal(*shape, seed=0, dtype=torch.float64):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def plain(drive, segments, contexts):
    """Unit by unit, as the formula says."""
    y, chosen = torch.empty_like(drive), torch.empty(drive.shape, dtype=torch.int64)
    for r, c in enumerate(contexts):
        for i, own in enumerate(segments):
            answers = [float(torch.dot(u, c)) for u in own]
            chosen[r, i] = max(range(len(own)), key=lambda s: abs(answers[s]))
            y[r, i] = drive[r, i] / (1.0 + torch.exp(torch.tensor(-answers[chosen[r, i]], dtype=drive.dtype)))
    return y, chosen


def test_gates_are_those_of_the_formula():
    layer = ActiveDendrites(6, 5, 4).double()
    drive, contexts = normal(7, 6), normal(7, 5, seed=1)
    contexts[4:] = contexts[:3]
    expected, chosen = plain(drive, layer.segments.detach(), contexts)
    torch.testing.assert_close(layer(drive, contexts), expected)
    assert torch.equal(recognise(layer.segments, contexts).segment, chosen)
    torch.testing.assert_close(layer(drive, contexts[:4], torch.tensor([0, 1, 2, 3, 0, 1, 2])), expected)
    torch.testing.assert_close(
        layer(drive, contexts[0]), plain(drive, layer.segments.detach(), contexts[:1].expand(7, -1))[0]
    )


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_the_strongest_answer_keeps_its_sign(sign):
    segments = torch.tensor([[[0.1], [-2.0], [2.0], [1.0]]])
    gate = recognise(segments, torch.tensor([[sign]]))
    assert gate.segment.item() == 1  # of two equals the first
    assert gate.factor.item() == pytest.approx(1.0 / (1.0 + torch.e ** (2.0 * sign)))


def test_gradients_by_differences():
    drive, contexts = normal(4, 3).requires_grad_(), normal(4, 5, seed=1).requires_grad_()
    segments = normal(3, 4, 5, seed=2).requires_grad_()
    which = torch.tensor([0, 2, 2, 3])

    def of(drive, contexts, segments):
        return drive * recognise(segments, contexts).factor[which]

    assert torch.autograd.gradcheck(of, (drive, contexts, segments))


def test_contexts_with_gradients_get_their_own():
    layer, drive = ActiveDendrites(3, 5, 4).double(), normal(4, 3)
    repeated = normal(1, 5, seed=1).repeat(4, 1).requires_grad_()

    def of(contexts):
        return layer(drive, contexts)

    assert torch.autograd.gradcheck(of, (repeated,))


def test_only_the_winning_segment_of_units_that_win_gets_a_gradient():
    layer = ActiveDendrites(8, 5, 4).double()
    drive, context = normal(2, 8), normal(5, seed=1)
    keep_winners(layer(drive, context), 2).square().sum().backward()
    won = (keep_winners(layer(drive, context), 2) != 0).any(0)
    segment = recognise(layer.segments, context.unsqueeze(0)).segment[0]
    assert layer.segments.grad is not None
    moved = (layer.segments.grad != 0).any(-1)
    expected = torch.nn.functional.one_hot(segment, 4).bool() & won.unsqueeze(-1)
    assert torch.equal(moved, expected)
    assert 0 < moved.sum() < 8


def test_a_step_of_descent_leaves_what_other_contexts_know():
    layer, drive = ActiveDendrites(8, 20, 6, seed=3).double(), normal(1, 8)
    one, other = torch.eye(20, dtype=torch.float64)[:2] * 3.0
    before = recognise(layer.segments, other.unsqueeze(0))
    layer(drive, one).sum().backward()
    torch.optim.SGD(layer.parameters(), lr=0.1).step()
    after = recognise(layer.segments, other.unsqueeze(0))
    mine = recognise(layer.segments, one.unsqueeze(0)).segment
    apart = mine != before.segment
    assert apart.any()
    assert torch.equal(after.factor[apart], before.factor[apart])


def test_the_local_rule_moves_the_winning_segment_of_winners_and_nothing_else():
    layer = ActiveDendrites(6, 5, 3).double()
    contexts, before = normal(4, 5, seed=1), layer.segments.detach().clone()
    gate = recognise(layer.segments, contexts)
    wins = torch.zeros(4, 6, dtype=torch.float64)
    wins[1, [0, 3]] = 1.0
    layer.learn(contexts, wins, rate=0.25)
    for unit in range(6):
        for s in range(3):
            old, new = before[unit, s], layer.segments[unit, s]
            learns = unit in (0, 3) and s == int(gate.segment[1, unit])
            torch.testing.assert_close(new, old + 0.25 * (contexts[1] - old) if learns else old)


def test_changes_of_several_contexts_add_up_to_their_mean_at_most():
    segments = normal(1, 2, 3)
    contexts = normal(3, 3, seed=1)
    gate = Gate(torch.ones(3, 1), torch.zeros(3, 1, dtype=torch.int64))
    small = learn_locally(segments, contexts, gate, torch.ones(3, 1), 0.1)
    torch.testing.assert_close(small[0, 0], segments[0, 0] + 0.1 * (contexts - segments[0, 0]).sum(0))
    torch.testing.assert_close(small[0, 1], segments[0, 1])
    large = learn_locally(segments, contexts, gate, 50 * torch.ones(3, 1), 0.5)
    torch.testing.assert_close(large[0, 0], contexts.mean(0))


def test_the_local_rule_learns_to_tell_contexts_apart():
    layer = ActiveDendrites(32, 40, 4, seed=1)
    contexts = torch.nn.functional.normalize(normal(4, 40, dtype=torch.float32), dim=1) * 4.0
    drive = normal(1, 32, seed=2, dtype=torch.float32).abs().expand(4, -1)
    for _ in range(30):
        wins = (keep_winners(layer(drive, contexts), 8) != 0).float()
        layer.learn(contexts, wins, rate=0.2)
    factor = recognise(layer.segments, contexts).factor
    won = keep_winners(layer(drive, contexts), 8) != 0
    assert bool((factor[won] > 0.95).all())
    overlap = (won.float() @ won.float().T)[~torch.eye(4, dtype=torch.bool)]
    assert overlap.mean() < 7.0


def test_segments_are_taken_once_for_each_distinct_context():
    layer, contexts = ActiveDendrites(6, 5, 4), normal(3, 5, dtype=torch.float32)
    for rows, number in ((contexts[[0, 1, 0, 2, 2, 1, 0]], 3), (contexts[[1] * 7], 1), (contexts[0], 1)):
        with counting() as counts:
            layer(torch.ones(7, 6), rows)
        assert counts.work["dendrites"].multiply_adds == number * 6 * 4 * 5
    rows, which = distinct(contexts[[2, 0, 2, 1]])
    assert torch.equal(rows[which], contexts[[2, 0, 2, 1]])


def test_what_does_not_fit_is_refused():
    layer, contexts = ActiveDendrites(6, 5, 4), torch.zeros(3, 5)
    with pytest.raises(ValueError, match=r"\(6, 4, 5\) and \(1, 4\)"):
        layer(torch.zeros(3, 6), contexts[:, :4])
    with pytest.raises(ValueError, match=r"\(2, 6\).*6 units.*3 rows"):
        layer(torch.zeros(2, 6), contexts)
    with pytest.raises(ValueError, match=r"wins of shape \(1, 6\).*\(1, 4\)"):
        layer.learn(contexts, torch.ones(3, 4))
    with pytest.raises(ValueError, match=r"rate is 0"):
        layer.learn(contexts, torch.ones(3, 6), rate=0.0)
    with pytest.raises(ValueError, match=r"\(6, 0, 4\)"):
        ActiveDendrites(6, 0, 4)
