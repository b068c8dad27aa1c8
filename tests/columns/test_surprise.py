"""What fails to come as predicted tells a region that the object was moved."""

import math

import pytest
import torch

from cortical.columns.evidence.column import EvidenceColumn
from cortical.columns.geometry import rotation_angle
from cortical.columns.lateral import Lateral, topology
from cortical.columns.messages import Pose
from cortical.columns.region import Region

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
