"""Chances of sparse codes against simulation and published figures; encoders; the spatial pooler."""

import pytest
import torch

from cortical.columns.layers import boosting, pooler
from cortical.columns.layers.codes import paired_overlap, union
from cortical.columns.layers.encoders import CoordinateEncoder, ScalarEncoder
from cortical.columns.layers.sdr import (
    at_least,
    diagnose,
    false_match,
    union_density,
    union_false_match,
)


def random_codes(count, n, k, seed=0):
    return torch.rand(count, n, generator=torch.Generator().manual_seed(seed)).topk(k).indices


@pytest.mark.parametrize(("threshold", "chance"), [(4, 0.144691), (5, 0.00282648), (6, 2.0365e-5), (7, 3.1235e-8)])
def test_false_matches_are_as_published(threshold, chance):
    assert 500 * false_match(100, 7, 7, threshold) == pytest.approx(chance, rel=1e-4)


def test_false_matches_of_known_designs():
    assert false_match(2048, 40, 20, 13) == pytest.approx(5.0e-19, rel=0.05)
    assert false_match(2400, 20, 20, 13) == pytest.approx(4.3e-25, rel=0.05)
    assert false_match(2400, 20, 10, 5) == pytest.approx(5.8e-9, rel=0.05)


def test_false_matches_are_as_often_as_counted():
    codes = random_codes(200_000, 60, 10)
    stored = torch.zeros(60, dtype=torch.bool)
    stored[:8] = True
    counted = (stored[codes].sum(1) >= 4).double().mean()
    assert float(counted) == pytest.approx(false_match(60, 10, 8, 4), rel=0.1)


def test_a_union_matches_as_often_as_counted():
    n, k, stored, threshold = 400, 12, 20, 9
    hits = []
    for seed in range(40):
        on = union(random_codes(stored, n, k, seed), n)
        hits.append((on[random_codes(2000, n, k, 1000 + seed)].sum(1) >= threshold).double().mean())
    assert float(torch.stack(hits).mean()) == pytest.approx(union_false_match(n, k, stored, threshold), rel=0.15)
    density = torch.stack([union(random_codes(stored, n, k, seed), n).double().mean() for seed in range(40)]).mean()
    assert float(density) == pytest.approx(union_density(n, k, stored), rel=0.02)


def test_noise_is_survived_as_published():
    assert [round(at_least(20, 1 - noise, 13), 2) for noise in (0.4, 0.5, 0.6)] == [0.42, 0.13, 0.02]
    assert at_least(5, 0.3, 0) == pytest.approx(1.0)


def test_a_diagnosis_says_what_is_wrong():
    fine = diagnose(2048, 40, 20, 11)
    assert fine.warnings == ()
    assert fine.survives[0.0] == 1.0
    assert fine.stored_codes > 5
    assert "random code" in str(fine)
    assert any("never reached" in line for line in diagnose(2048, 4, 20, 13).warnings)
    assert any("raise the threshold" in line for line in diagnose(100, 7, 7, 4).warnings)
    assert any("20 % noise" in line for line in diagnose(2048, 40, 20, 18).warnings)
    assert any("not sparse" in line for line in diagnose(100, 40, 20, 19).warnings)
    for wrong in ((10, 11, 5, 3), (10, 5, 5, 6), (10, 5, 5, 0), (10, 0, 5, 3)):
        with pytest.raises(ValueError, match=f"n is {wrong[0]}, active {wrong[1]}"):
            diagnose(*wrong)


def test_near_numbers_share_units_and_far_ones_hardly_any():
    encode = ScalarEncoder(2000, 40, resolution=0.5)
    x = torch.arange(-500, 500) * 0.5 + 0.25
    codes = encode(x)
    assert codes.shape == (1000, 40)
    assert (codes.diff(dim=-1) > 0).all()
    shared = {step: paired_overlap(codes[step:], codes[:-step], 2000).float().mean() for step in (1, 10, 60)}
    assert shared[1] == pytest.approx(39, abs=1.0)
    assert shared[10] == pytest.approx(30, abs=2.0)
    assert shared[60] < 3.0
    assert torch.equal(encode(torch.tensor(0.26)), encode(torch.tensor(0.49)))
    assert not torch.equal(encode(x), ScalarEncoder(2000, 40, 0.5, seed=1)(x))


@pytest.mark.parametrize("dimensions", [1, 2, 3])
def test_near_places_share_units_and_far_ones_hardly_any(dimensions):
    encode = CoordinateEncoder(1000, 7, cell=0.01, radius=3)
    x = torch.rand(300, dimensions, generator=torch.Generator().manual_seed(0))
    step = torch.zeros(dimensions)
    step[0] = 0.01
    shared = [float(paired_overlap(encode(x), encode(x + k * step), 1000).float().mean()) for k in (0, 1, 2, 10)]
    assert shared[0] == 7.0
    assert shared[0] > shared[1] > shared[2] > 4 * shared[3]
    assert shared[1] > 3.5


def test_encoders_refuse_what_has_no_code():
    for wrong in ((0, 1.0), (60, 1.0), (5, 0.0)):
        with pytest.raises(ValueError, match="n is 100"):
            ScalarEncoder(100, *wrong)
    with pytest.raises(ValueError, match=r"shape \(2,\) are finite"):
        ScalarEncoder(100, 5, 1.0)(torch.tensor([1.0, float("nan")]))
    with pytest.raises(ValueError, match=r"3 cells .* 5 active units; x has shape \(4, 1\)"):
        CoordinateEncoder(100, 5, 1.0, radius=1)(torch.zeros(4, 1))
    with pytest.raises(ValueError, match="radius"):
        CoordinateEncoder(100, 5, 1.0, radius=-1)


def learnt(strength, epochs=30):
    """A pooler that learnt 40 patterns of 20 of 100 inputs, and the patterns."""
    config = pooler.PoolerConfig(100, 200, 8, strength=strength)
    generator = torch.Generator().manual_seed(0)
    patterns = torch.zeros(40, 100).scatter_(1, random_codes(40, 100, 20), 1.0)
    state = pooler.begin(config, generator)
    for _ in range(epochs):
        for rows in torch.randperm(40, generator=generator).split(8):
            _, state = pooler.learn(config, state, patterns[rows])
    return config, state, patterns


def noisy(patterns, flips, seed=1):
    """As many inputs turned off as on."""
    generator = torch.Generator().manual_seed(seed)
    rank = torch.rand(patterns.shape, generator=generator)
    off = (rank - 2 * (1 - patterns)).topk(flips).indices
    on = (rank - 2 * patterns).topk(flips).indices
    return patterns.scatter(1, off, 0.0).scatter(1, on, 1.0)


def test_the_pooler_learns_codes_that_stand_noise():
    config, state, patterns = learnt(5.0)
    fresh = pooler.begin(config, torch.Generator().manual_seed(0))
    kept = [
        paired_overlap(
            pooler.encode(config, of, patterns).indices, pooler.encode(config, of, noisy(patterns, 6)).indices, 200
        ).float().mean()
        for of in (fresh, state)
    ]  # fmt: skip
    assert kept[1] > kept[0] + 1.0
    codes = pooler.encode(config, state, patterns)
    assert (codes.counts() == 8).all()
    apart = paired_overlap(codes.indices[1:], codes.indices[:-1], 200).float().mean()
    assert apart < 2.0
    assert state.permanence.min() >= 0.0
    assert state.permanence.max() <= 1.0


def test_boosting_spreads_the_poolers_wins():
    entropies = [boosting.duty_entropy(learnt(strength)[1].won) for strength in (0.0, 20.0)]
    assert entropies[1] > entropies[0] + 0.05


def test_only_winners_learn():
    config, state, patterns = learnt(0.0, epochs=0)
    won, after = pooler.learn(config, state, patterns[:1])
    changed = (after.permanence != state.permanence).any(1).nonzero().flatten()
    assert set(changed.tolist()) <= set(won.indices.flatten().tolist())
    on = patterns[0][state.pool[changed]] > 0
    rise = (after.permanence - state.permanence)[changed]
    assert (rise[on] >= 0).all()
    assert (rise[~on] <= 0).all()
    assert state.won.seen == 0


def test_the_pooler_refuses_what_does_not_fit():
    config, state, _ = learnt(0.0, epochs=0)
    with pytest.raises(ValueError, match=r"\(3, 99\).*100 inputs"):
        pooler.encode(config, state, torch.zeros(3, 99))
    with pytest.raises(ValueError, match="active is 9"):
        pooler.begin(pooler.PoolerConfig(10, 8, 9), torch.Generator())
