"""The evidence column: slopes against differences, and laws that hold for any numbers."""

import math
from dataclasses import replace

import pytest
import torch
from torch.nn.functional import normalize

from cortical.columns.evidence import likelihood
from cortical.columns.evidence.atlas import NOTHING, Atlas
from cortical.columns.evidence.column import EvidenceColumn
from cortical.columns.evidence.hypotheses import Hypotheses, move, prune
from cortical.columns.evidence.memory import LOST, Memory
from cortical.columns.geometry import rotation_angle, rotation_from_vector
from cortical.columns.lateral import Lateral
from cortical.columns.messages import Movement, Sensation
from cortical.columns.object_map import ObjectMap
from cortical.columns.region import Region
from cortical.columns.topology import topology

from .shapes import (
    NAMES,
    SCHEMAS,
    SHAPES,
    SPACING,
    SURFACE,
    agree,
    egg,
    gazing_past,
    guesses,
    joined,
    mixed,
    pose_of,
    remembered,
    sensed,
)


def test_rays_meet_the_surface_where_it_is(atlas):
    """Rays at spots of the true surface, from outside and not at too steep a slant."""
    for obj, shape in enumerate(SHAPES):
        spots = shape(400, 5)
        g = torch.Generator().manual_seed(obj)
        ray = normalize(-spots.normal + 0.3 * torch.randn(400, 3, generator=g), dim=1)
        aside, depth, node = likelihood.meet(atlas, torch.full((400,), obj), spots.point - 0.02 * ray, ray)
        assert (aside < likelihood.CERTAIN).double().mean() > 0.9
        assert (depth - 0.02).abs().median() < 0.0005
        assert ((atlas.rows[node, 3:6] * spots.normal).sum(1) > 0.9).double().mean() > 0.95


def test_a_ray_that_passes_by_meets_less_and_less(atlas):
    """A ray at right angles to the ring's axis, above the ring by more and more."""
    height = torch.linspace(0.010, 0.021, 12)
    origin = torch.stack([torch.full_like(height, -0.2), torch.zeros_like(height), height], 1)
    ray = torch.tensor([1.0, 0.0, 0.0]).expand(12, 3)
    aside, _, _ = likelihood.meet(atlas, torch.ones(12, dtype=torch.int64), origin, ray)
    speaks = likelihood.missed(aside, torch.zeros(()), torch.zeros(()))
    assert (aside[height < 0.0125] < likelihood.CERTAIN).all() and (speaks[height < 0.0125] < -0.5).all()
    assert (aside[height > 0.018] == likelihood.NOWHERE).all() and (speaks[height > 0.018] > 1.0).all()




@pytest.mark.parametrize("count", [0, 1, 11, 12, 13, 64])
def test_readings_that_seeds_are_tested_against_are_few_and_spread_out(count):
    which = likelihood.spread_out(count)
    assert len(which) == len(set(which.tolist())) == min(count, likelihood.TESTED)
    if count:
        assert which[0] == 0 and which[-1] == count - 1
        assert int((which[1:] - which[:-1]).max(initial=0)) <= max(1, -(-count // likelihood.TESTED) + 1)


# ---- slopes


def test_slope_is_the_derivative_of_the_evidence(atlas):
    """Each reading is its own group; near the edge of a voxel evidence jumps, which is left out."""
    count, column = 80, EvidenceColumn(atlas, SURFACE)
    pose = pose_of(1)
    reading = sensed(egg, pose, count, 1)
    memory = column.sense(column.begin(count), reading[:, None])
    g = torch.Generator().manual_seed(2)
    rotation = rotation_from_vector(0.02 * torch.randn(count, 1, 3, generator=g)) @ pose.rotation
    location = pose.location + 0.001 * torch.randn(count, 1, 3, generator=g)
    sd = torch.full((count, 1), 0.02), torch.full((count, 1), 0.001)
    pivot = pose.location + 0.01 * torch.randn(count, 3, generator=g)
    obj = torch.zeros(count, 1, dtype=torch.int64)
    there = Hypotheses(obj, rotation, location, torch.zeros(count, 1), *sd, pivot)

    def evidence(hypotheses):
        return likelihood.weigh(atlas, memory, hypotheses, column.tolerance).log_evidence[:, 0, 0]

    def moved(turn, shift):
        rotate = rotation_from_vector(turn)
        around = there.location - pivot[:, None]
        return replace(
            there,
            rotation=rotate @ there.rotation,
            location=pivot[:, None] + (rotate @ around[..., None])[..., 0] + shift,
        )

    numeric, rough = torch.zeros(count, 6), torch.zeros(count, 6)
    for i in range(6):
        for estimate, factor in ((numeric, 1.0), (rough, 2.0)):
            step = torch.zeros(6)
            step[i] = factor * (5e-4 if i < 3 else 2e-5)
            rise = evidence(moved(step[:3], step[3:])) - evidence(moved(-step[:3], -step[3:]))
            estimate[:, i] = rise / (2 * float(step[i]))
    scale = torch.tensor([0.05] * 3 + [0.002] * 3)  # radians and metres made comparable
    numeric, rough = numeric * scale, rough * scale
    slope = likelihood.weigh(atlas, memory, there, column.tolerance).slope[:, 0, 0] * scale
    smooth = (numeric - rough).norm(dim=1) < 0.05 * (numeric.norm(dim=1) + 0.1)
    assert smooth.double().mean() > 0.5
    off = (slope - numeric).norm(dim=1)[smooth] / (numeric.norm(dim=1)[smooth] + 0.1)
    assert off.median() < 0.15
    overall = torch.nn.functional.cosine_similarity(slope[smooth].flatten(), numeric[smooth].flatten(), dim=0)
    assert overall > 0.9


def test_information_is_a_curvature(atlas):
    column, memory, pose = mixed(atlas, SURFACE)
    information = column.vote(memory, guesses(pose, 50)).information
    torch.testing.assert_close(information, information.mT)
    assert (torch.linalg.eigvalsh(information.double()) > -1e-2).all()


# ---- laws


@pytest.mark.parametrize("features", SCHEMAS)
def test_turning_world_and_object_together_changes_nothing(atlases, features):
    column, memory, pose = mixed(atlases[features], SCHEMAS[features])
    ballot, motion = guesses(pose, 100), pose_of(7)
    carried = replace(move(ballot, motion), pivot=motion.apply(ballot.pivot))
    before = column.vote(memory, ballot).log_evidence
    after = column.vote(memory.moved(motion), carried).log_evidence
    assert agree(after[..., None], before[..., None], relative=1e-3)


def test_the_right_pose_has_the_most_evidence(atlases):
    for features, schema in SCHEMAS.items():
        column, memory, pose = mixed(atlases[features], schema)
        ballot = guesses(pose, 100, turn=0.5, shift=0.02)
        assert int(column.vote(memory, ballot).log_evidence[0, 0].argmax()) == 0


@pytest.mark.parametrize("features", SCHEMAS)
def test_four_columns_with_a_sensation_each_are_one_column_with_four(atlases, features):
    schema, pose = SCHEMAS[features], pose_of(3)
    four, one = (EvidenceColumn(atlases[features], schema, columns=n) for n in (4, 1))
    reading = joined(sensed(egg, pose, 3, 3, schema), gazing_past(pose, 1, 3, schema))
    ballot = guesses(pose, 100)
    side_by_side = four.vote(remembered(four, reading, columns=4), ballot)
    in_turn = one.vote(remembered(one, reading), ballot)
    for name in ("log_evidence", "slope", "information"):
        summed, alone = getattr(side_by_side, name).sum(1), getattr(in_turn, name)[:, 0]
        torch.testing.assert_close(summed, alone, rtol=1e-4, atol=1e-4 * float(alone.abs().max()))


@pytest.mark.parametrize("field", ["location", "normal", "curvature", "hsv", "gaze"])
@pytest.mark.parametrize("number", [math.nan, math.inf])
def test_a_reading_with_a_nan_is_marked_invalid_and_changes_nothing(atlas, field, number):
    column, memory, pose = mixed(atlas, SURFACE)
    value = getattr(good := sensed(egg, pose, 1, 5), field).clone()
    value[..., 0] = number
    bad = replace(good, **{field: value})
    checked = joined(good, bad).checked()
    assert checked.valid.tolist() == [True, False]
    assert all(getattr(checked, n).isfinite().all() for n in Sensation.__dataclass_fields__)
    after = column.sense(memory, bad[None])
    assert after.kind[..., -1].tolist() == [[LOST]]
    ballot = guesses(pose, 50)
    assert torch.equal(column.vote(after, ballot).log_evidence, column.vote(memory, ballot).log_evidence)


def test_a_memory_keeps_the_newest_and_follows_a_moving_object(atlas):
    pose, motion = pose_of(4), pose_of(5)
    column = EvidenceColumn(atlas, SURFACE, remember=5)
    reading = sensed(egg, pose, 8, 4)
    memory = remembered(column, reading)
    assert len(memory) == 5 and memory.steps == 8
    torch.testing.assert_close(memory.numbers[0, 0, :, 6:9], reading.location[-5:])
    torch.testing.assert_close(memory.pivot()[0], reading.location[-5:].mean(0))
    followed = column.sense(memory, reading[None, :1], Movement(motion))
    torch.testing.assert_close(followed.numbers[0, 0, :-1, 6:9], motion.apply(reading.location[-4:]))
    assert torch.equal(followed.numbers[0, 0, -1], remembered(column, reading[:1]).numbers[0, 0, 0])
    assert Memory.empty(2, 3, SURFACE).pivot().tolist() == [[0.0] * 3] * 2


# ---- look-up and selection


def test_look_up_finds_a_near_node_of_that_facing(atlas):
    for o, shape in enumerate(SHAPES):
        s = shape(500, 11)
        obj = torch.full((500,), o)
        node = atlas.nearest_node(obj, s.point, s.normal)
        assert (node >= 0).all()
        assert (atlas.owner[node] == o).all()
        gap = (atlas.rows[node, :3] - s.point).norm(dim=1)
        own = (atlas.owner == o).nonzero()[:, 0]
        alike = atlas.rows[own, 3:6] @ s.normal.T > 0.25
        best = torch.cdist(s.point, atlas.rows[own, :3]).masked_fill(~alike.T, torch.inf).amin(1)
        assert (gap - best).max() < SPACING * math.sqrt(3)
        assert (gap - best).median() < 0.2 * SPACING
        outside = normalize(s.point, dim=1)
        assert (atlas.nearest_node(obj, 0.07 * outside, s.normal) == NOTHING).all()


def test_an_atlas_of_nothing_is_refused():
    with pytest.raises(ValueError, match="learn before recognising"):
        Atlas.pack({}, SURFACE)
    with pytest.raises(ValueError, match="nothing learnt of cup"):
        Atlas.pack({"cup": ObjectMap.empty(SPACING)}, SURFACE)


def test_pruning_keeps_the_strongest_and_spares_rivals():
    count = 40
    obj = torch.tensor([0] * 36 + [1] * 4)
    location = 0.1 * torch.arange(count)[:, None].expand(count, 3)
    evidence = torch.arange(count, 0, -1.0)
    eye, one = torch.eye(3).expand(count, 3, 3), torch.ones(count)
    some = Hypotheses(*(x[None] for x in (obj, eye, location, evidence, one, one)), pivot=torch.zeros(1, 3))
    assert prune(some, 10).log_evidence[0].tolist() == list(range(40, 30, -1))
    fair = prune(some, 10, objects=2)
    assert len(fair) == 10 and set(fair.obj[0].tolist()) == {0, 1}
    assert float(fair.log_evidence[0, 0]) == 40
    assert (fair.log_evidence[0].diff() < 0).all()


# ---- regions


def region(atlas, columns=1, schema=SURFACE, lateral="all-to-all", **settings):
    column = EvidenceColumn(atlas, schema, columns)
    return Region((column,), Lateral.over(topology(lateral, columns)), NAMES, **settings)


def after(region, shape, pose, steps, columns, schema=SURFACE, seed=0):
    """The belief after sensations of an object."""
    reading = sensed(shape, pose, steps * columns, seed, schema)
    belief = region.begin()
    for i in range(steps):
        belief = region.step(belief, reading[None, i * columns : (i + 1) * columns])
    return belief


@pytest.mark.parametrize("columns, steps", [(1, 8), (4, 3)])
@pytest.mark.parametrize("features", SCHEMAS)
@pytest.mark.parametrize("known", range(len(SHAPES)), ids=NAMES)
def test_a_region_names_the_object_and_finds_its_pose(atlases, features, known, columns, steps):
    schema, pose = SCHEMAS[features], pose_of(20 + known)
    belief = after(region(atlases[features], columns, schema), SHAPES[known], pose, steps, columns, schema)
    agreed = belief.consensus
    assert agreed is not None
    assert int(agreed.object_index) == known
    assert float(agreed.log_odds) > 0
    assert (agreed.pose.location[0] - pose.location).norm() < 0.01
    if known == NAMES.index("egg") and features != "shape":  # its half-turns look alike but for the colour
        assert rotation_angle(agreed.pose.rotation[0], pose.rotation) < 0.3
    assert belief.steps == steps
    assert agreed.column_log_posterior.shape == (1, columns, len(NAMES) + 1)


def test_groups_think_as_if_they_were_alone(atlas):
    """One group senses the egg, the other the ring, so that they keep different numbers of poses."""
    both, reading = region(atlas, keep=32), [sensed(s, pose_of(30), 6, 0) for s in SHAPES]
    belief, alone = both.begin(groups=2), [both.begin(), both.begin()]
    for i in range(6):
        now = [r[None, i : i + 1] for r in reading]
        belief = both.step(belief, joined(*now))
        alone = [both.step(b, n) for b, n in zip(alone, now, strict=True)]
    together = belief.consensus
    assert together is not None
    assert together.object_index.tolist() == [0, 1]
    for g, one in enumerate(alone):
        assert one.consensus is not None
        assert float((together.log_odds[g] - one.consensus.log_odds[0]).abs()) < 0.5 + 0.02 * float(
            together.log_odds[g]
        )
        assert (together.pose.location[g] - one.consensus.pose.location[0]).norm() < 0.002


def test_a_group_that_sees_nothing_does_not_blind_the_others(atlas):
    both, pose = region(atlas), pose_of(1)
    hits, misses = sensed(egg, pose, 6, 0), gazing_past(pose, 6, 0)
    belief = both.begin(groups=2)
    for i in range(6):
        belief = both.step(belief, joined(hits[i : i + 1], misses[i : i + 1])[:, None])
    assert belief.consensus is not None
    assert belief.consensus.object_index.tolist() == [0, -1]


def test_nothing_valid_sensed_is_nothing_known(atlas):
    blind = region(atlas)
    reading = sensed(egg, pose_of(0), 1, 0)
    belief = blind.step(blind.begin(), replace(reading, location=reading.location * math.nan)[None])
    agreed = belief.consensus
    assert agreed is not None
    assert agreed.object_index.tolist() == [-1]
    assert agreed.log_posterior.exp().sum().item() == pytest.approx(1.0)


def test_a_region_refuses_an_eye_of_another_size(atlas):
    with pytest.raises(ValueError, match="4 columns but the sensation 3"):
        region(atlas, 4).step(region(atlas, 4).begin(), sensed(egg, pose_of(0), 3, 0)[None])
