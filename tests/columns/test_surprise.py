"""What fails to come as predicted tells a region that the object was moved."""

import math
from dataclasses import replace

import pytest
import torch

from cortical.columns.evidence.column import EvidenceColumn
from cortical.columns.geometry import rotation_angle
from cortical.columns.lateral import Lateral
from cortical.columns.messages import Pose
from cortical.columns.region import Region
from cortical.columns.topology import topology

from .test_region import SCHEMA, SHAPES, learnt, pose_of, readings


@pytest.fixture(scope="module")
def region():
    column = EvidenceColumn(learnt(SCHEMA), SCHEMA, 1)
    return Region((column,), Lateral.over(topology("all-to-all", 1)), tuple(SHAPES), watchful=True)


def told(region, belief, sensations):
    """Beliefs after each of the readings (count,), and at which of them the region began anew."""
    anew = []
    for i in range(len(sensations.valid)):
        steps = belief.steps
        belief = region.step(belief, sensations[None, i : i + 1])
        if belief.steps <= steps:
            anew.append(i)
    return belief, anew


def missed(belief, pose):
    """Metres and radians between the best pose and the true one."""
    found = belief.consensus.pose
    away = float((found.location[0] - pose.location).norm())
    return away, float(rotation_angle(found.rotation[0], pose.rotation))


def test_a_resting_object_never_surprises(region):
    for seed in range(5):
        _, anew = told(region, region.begin(), readings("egg", 40, seed, pose_of(seed), noise=1.0))
        assert anew == []


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_an_object_that_was_moved_is_found_anew(region, seed):
    first, then = pose_of(seed), pose_of(seed + 100)
    belief, _ = told(region, region.begin(), readings("egg", 15, seed, first))
    assert missed(belief, first)[0] < 0.003
    belief, anew = told(region, belief, readings("egg", 20, seed + 1, then))
    assert len(anew) == 1 and anew[0] < 8
    assert missed(belief, then)[0] < 0.004
    assert int(belief.consensus.object_index[0]) == region.objects.index("egg")


def test_what_it_was_is_kept_but_not_for_certain(region):
    belief, _ = told(region, region.begin(), readings("egg", 15, 1, pose_of(1)))
    belief, anew = told(region, belief, readings("egg", 5, 2, pose_of(50)))
    assert anew and belief.prior is not None
    assert float(belief.prior[0].max()) == 0.0 and float(belief.prior[0].min()) >= -4.0
    belief, _ = told(region, belief, readings("pebble", 25, 3, Pose(torch.tensor([0.1, 0.0, 0.0]), torch.eye(3))))
    assert int(belief.consensus.object_index[0]) == region.objects.index("pebble")


def test_who_does_not_watch_out_notices_nothing(region):
    blind = Region(region.kinds, region.lateral, region.objects)
    belief, _ = told(blind, blind.begin(), readings("egg", 15, 1, pose_of(1)))
    belief, anew = told(blind, belief, readings("egg", 8, 2, pose_of(50)))
    assert anew == [] and belief.doubt is None and belief.prior is None
    assert math.isfinite(float(belief.consensus.log_odds[0]))


def missed_by(sensations, aside=0.0):
    """The same looks, `aside` metres along x, meeting nothing."""
    shift = torch.tensor([aside, 0.0, 0.0])
    gone = torch.zeros_like(sensations.on_object)
    return replace(sensations, origin=sensations.origin + shift, on_object=gone)


@pytest.mark.parametrize("empty", [5, 8])
def test_an_object_that_is_gone_is_missed_and_found_where_it_is_met_again(region, empty):
    first, then = pose_of(3), pose_of(70)
    belief, _ = told(region, region.begin(), readings("egg", 15, 3, first))
    belief, anew = told(region, belief, missed_by(readings("egg", empty, 4, first)))
    assert len(anew) == 1 and anew[0] <= 4, "where surface is expected, a few misses say that it is gone"
    assert not bool((belief.ballot.log_evidence > -math.inf).any()) and region.polish(belief) is belief
    assert int(belief.consensus.object_index[0]) == region.objects.index("egg"), "it's still what it was"
    belief, anew = told(region, belief, readings("egg", 12, 5, then))
    assert anew == [] and missed(belief, then)[0] < 0.004


def test_looks_past_the_edge_surprise_nobody(region):
    pose = pose_of(3)
    belief, _ = told(region, region.begin(), readings("egg", 15, 3, pose))
    belief, anew = told(region, belief, missed_by(readings("egg", 40, 4, pose), aside=0.15))
    assert anew == [] and float(belief.doubt[0]) == 0.0
