"""A map is a sum: independent of order, with the means and variances that numpy finds."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from cortical.columns.object_map import ROW, SPREAD, ObjectMap

SPACING, BITS, WINNERS, SLOTS = 0.01, 32, 4, 8
seeds = st.integers(0, 2**31)
splits = st.integers(0, 60)


def readings(count=60, seed=0):
    """On a small ball, so that nodes hold several: location, normal, direction, curvature, hsv, code."""
    g = torch.Generator().manual_seed(seed)
    normal = torch.nn.functional.normalize(torch.randn(count, 3, generator=g), dim=1)
    helper = torch.nn.functional.normalize(torch.randn(count, 3, generator=g), dim=1)
    direction = torch.nn.functional.normalize(torch.linalg.cross(normal, helper), dim=1)
    location = 0.01 * normal + 0.001 * torch.randn(count, 3, generator=g)
    curvature, hsv = 3.0 + torch.randn(count, 2, generator=g), torch.rand(count, 3, generator=g)
    code = torch.rand(count, BITS, generator=g).topk(WINNERS).indices.sort().values
    return location, normal, direction, curvature, hsv, code


def part(values, index):
    return tuple(value[index] for value in values)


def at_once(values, slots=0):
    return ObjectMap.empty(SPACING, slots).insert(*values, code_bits=BITS)


def alike(a, b):
    return torch.equal(a.keys, b.keys) and torch.allclose(a.sums, b.sums, rtol=1e-12, atol=1e-12)


@settings(deadline=None, max_examples=30)
@given(seeds, splits)
def test_order_and_batches_do_not_matter(seed, split):
    everything = readings(seed=seed)
    a, b = part(everything, slice(0, split)), part(everything, slice(split, None))
    whole = at_once(everything)
    assert alike(at_once(a).insert(*b), whole)
    assert alike(at_once(b).insert(*a), whole)
    shuffled = torch.randperm(60, generator=torch.Generator().manual_seed(seed))
    assert alike(at_once(part(everything, shuffled)), whole)


@settings(deadline=None, max_examples=20)
@given(seeds, splits)
def test_order_does_not_matter_for_codes_while_no_slot_overflows(seed, split):
    everything = readings(seed=seed)
    a, b = part(everything, slice(0, split)), part(everything, slice(split, None))
    first, second = at_once(a, BITS).insert(*b, code_bits=BITS), at_once(b, BITS).insert(*a, code_bits=BITS)
    assert torch.equal(first.bits, second.bits)
    assert torch.equal(first.bit_counts, second.bit_counts)
    assert torch.equal(first.bits, at_once(everything, BITS).bits)


def test_nothing_is_lost_and_inserting_makes_a_new_map():
    empty = ObjectMap.empty(SPACING)
    grown = empty.insert(*readings(500))
    assert len(empty) == 0
    assert float(grown.sums[:, 0].sum()) == 500
    assert (grown.keys.diff() > 0).all()
    rows, spread = empty.rows()
    assert rows.shape == (0, ROW) and spread.shape == (0, SPREAD)


def test_means_are_those_of_numpy():
    everything = readings(40)
    location, normal, direction, curvature, hsv, _ = (x.double().numpy() for x in everything)
    rows, _ = at_once(everything).rows()
    node = nodes_of(everything)
    for i in range(len(rows)):
        mine = node == i
        chroma = hsv[mine, 1] * np.exp(2j * np.pi * hsv[mine, 0])
        mean_normal = normal[mine].mean(0)
        expected = [
            *location[mine].mean(0), *(mean_normal / np.linalg.norm(mean_normal)), *curvature[mine].mean(0),
            *hsv[mine, 1:].mean(0), np.cos(np.angle(chroma.mean())), np.sin(np.angle(chroma.mean())),
            mine.sum(),
        ]  # fmt: skip
        np.testing.assert_allclose(np.delete(rows[i].numpy(), [6, 7, 8]), expected, atol=1e-5)
        assert abs(rows[i, 6:9].norm() - 1) < 1e-5
        assert abs((rows[i, 6:9] * rows[i, 3:6]).sum()) < 1e-5
        if mine.sum() == 1:
            assert abs(float(rows[i, 6:9].double() @ torch.from_numpy(direction[mine][0]))) > 0.999


def nodes_of(values):
    """Which node each reading fell into, found by inserting it alone."""
    keys = at_once(values).keys
    alone = [at_once(part(values, slice(i, i + 1))).keys for i in range(len(values[0]))]
    return torch.searchsorted(keys, torch.cat(alone)).numpy()


def test_variances_are_those_of_numpy_with_many_readings():
    count = 50_000
    g = torch.Generator().manual_seed(3)
    normal = torch.tensor([0.0, 0.0, 1.0]).expand(count, 3)
    tilted = torch.nn.functional.normalize(normal + 0.1 * torch.randn(count, 3, generator=g), dim=1)
    turn = 0.2 * torch.randn(count, generator=g)
    direction = torch.stack([turn.cos(), turn.sin(), torch.zeros(count)], 1)
    location = torch.tensor([0.005, 0.005, 0.005]) + 0.001 * (torch.rand(count, 3, generator=g) - 0.5)
    curvature = torch.tensor([3.0, -1.0]) + torch.tensor([0.3, 0.6]) * torch.randn(count, 2, generator=g)
    hue = (0.99 + 0.02 * torch.randn(count, 1, generator=g)) % 1.0  # around red, across the seam
    hsv = torch.cat([hue, 0.5 + 0.1 * torch.rand(count, 2, generator=g)], 1)
    known = at_once((location, tilted, direction, curvature, hsv, torch.zeros(count, 0).long()))
    assert len(known) == 1
    (row,), (spread,) = known.rows()
    expected = [location[:, 2].std(), 0.1, 0.2, *curvature.std(0), *hsv[:, 1:].std(0), 2 * math.pi * 0.02]
    np.testing.assert_allclose(spread, expected, rtol=0.12)
    assert math.atan2(row[14], row[13]) == pytest.approx(-2 * math.pi * 0.01, abs=0.01)
    assert abs(row[6]) == pytest.approx(1.0, abs=1e-3)


def test_few_readings_are_not_believed_to_be_exact():
    _, spread = at_once(part(readings(), slice(0, 1))).rows()
    assert (spread > 0).all()


def test_sign_of_a_direction_means_nothing():
    location, normal, direction, *rest = readings()
    flipped = direction * torch.where(torch.arange(60) % 2 == 0, 1.0, -1.0)[:, None]
    assert alike(at_once((location, normal, direction, *rest)), at_once((location, normal, flipped, *rest)))


def test_a_thin_wall_keeps_its_two_sides():
    z = torch.tensor([[0.0, 0.0, 1.0]]).expand(10, 3)
    flat = torch.full((10, 3), 0.005)
    x, features = z.roll(1, 1), (torch.zeros(10, 2), torch.rand(10, 3), torch.zeros(10, 0).long())
    known = at_once((flat, z, x, *features)).insert(flat - 0.0005 * z, -z, x, *features)
    rows, _ = known.rows()
    assert len(known) == 2
    assert sorted(rows[:, 5].tolist()) == [-1.0, 1.0]
    assert rows[:, 15].tolist() == [10.0, 10.0]


def test_codes_are_the_most_frequent_bits():
    values = list(part(readings(), slice(0, 1)))
    values[-1] = torch.tensor([[0, 1, 2, 3]])
    known = at_once(values, SLOTS)
    for code, times in (([1, 2, 3, 9], 3), ([2, 3, 9, 10], 5)):
        values[-1] = torch.tensor([code])
        for _ in range(times):
            known = known.insert(*values, code_bits=BITS)
    bits, share = known.codes(WINNERS)
    assert set(bits[0, :2].tolist()) == {2, 3}
    assert set(bits[0, 2:].tolist()) == {9, 10} or set(bits[0, 2:].tolist()) == {9, 1}
    torch.testing.assert_close(share[0, :3], torch.tensor([1.0, 1.0, 8 / 9]))
    assert bits.shape == share.shape == (1, WINNERS)


def test_networkx_graph_has_the_features_and_the_neighbours():
    known = at_once(readings(200))
    rows, spread = known.rows()
    graph = known.to_networkx()
    assert graph.number_of_nodes() == len(known)
    assert graph.graph == {"spacing": SPACING}
    for i, node in graph.nodes(data=True):
        names = ("location", "normal", "direction", "log_curvature")
        numbers = [x for name in names for x in node[name]] + [
            node["saturation"],
            node["value"],
            *node["hue"],
        ]
        assert numbers == rows[i, :15].tolist()
        assert node["count"] == int(rows[i, 15]) and node["spread"] == spread[i].tolist()
    gap = torch.cdist(rows[:, :3].double(), rows[:, :3].double())
    for i, j, edge in graph.edges(data=True):
        assert edge["length"] == pytest.approx(float(gap[i, j]), abs=1e-4)
        assert edge["length"] < 2 * SPACING
    closest = gap.fill_diagonal_(1.0).argmin(1)
    assert all(graph.has_edge(i, int(j)) for i, j in enumerate(closest) if gap[i, j] < SPACING)


def test_a_location_that_cannot_be_metres_is_refused():
    location, *rest = readings(1)
    with pytest.raises(ValueError, match="is it in metres"):
        at_once((location + 10_000.0, *rest))
