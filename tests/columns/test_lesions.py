"""Lesions strike the columns drawn and no others, and pooling that heeds the sound ones isn't swayed by liars."""

from dataclasses import replace

import pytest
import torch

from cortical.columns import lesions
from cortical.columns.evidence.atlas import Atlas
from cortical.columns.evidence.column import EvidenceColumn
from cortical.columns.evidence.hypotheses import nothing
from cortical.columns.geometry import random_rotations
from cortical.columns.lateral import Lateral
from cortical.columns.lesions import CONFIDENT, LEAD, draw, lesioned
from cortical.columns.messages import FeatureSchema, Pose, Sensation
from cortical.columns.object_map import ObjectMap
from cortical.columns.region import Region
from cortical.columns.robust import heeded
from cortical.columns.testing import check_column
from cortical.columns.topology import topology

SHAPES = {"egg": (0.050, 0.035, 0.026), "pebble": (0.030, 0.028, 0.018)}


def readings(name, count, seed, pose=None):
    """Readings (count,) of an ellipsoid at a pose, its colour running along its axes."""
    g = torch.Generator().manual_seed(seed)
    axes = torch.tensor(SHAPES[name])
    point = axes * torch.nn.functional.normalize(torch.randn(count, 3, generator=g), dim=1)
    normal = torch.nn.functional.normalize(point / axes**2, dim=1)
    direction = torch.nn.functional.normalize(torch.linalg.cross(normal, torch.eye(3)[2].expand_as(normal)), dim=1)
    hsv = torch.stack([0.2 + 2 * point[:, 0], 0.6 + 4 * point[:, 1], 0.5 + 4 * point[:, 2]], 1)
    pose = pose or Pose(torch.zeros(3), torch.eye(3))
    location = pose.apply(point)
    normal, direction = ((pose.rotation @ v[..., None])[..., 0] for v in (normal, direction))
    yes = torch.ones(count, dtype=torch.bool)
    curvature, code = torch.full((count, 2), 3.0), torch.zeros(count, 0, dtype=torch.int64)
    return Sensation(location + 0.15 * normal, -normal, location, normal, direction, curvature, hsv, code, yes, yes)


@pytest.fixture(scope="module")
def atlas():
    maps = {}
    for name in SHAPES:
        r = readings(name, 3000, 0)
        maps[name] = ObjectMap.empty(0.004, 0).insert(r.location, r.normal, r.direction, r.curvature, r.hsv, r.code, 0)
    return Atlas.pack(maps, FeatureSchema())


def region_of(atlas, columns, **more):
    lateral = Lateral.over(topology("all-to-all", columns))
    return Region((EvidenceColumn(atlas, FeatureSchema(), columns),), lateral, tuple(SHAPES), **more)


def after(region, sensation, columns):
    belief = region.begin()
    for i in range(0, len(sensation.valid), columns):
        belief = region.step(belief, sensation[None, i : i + columns])
    assert belief.consensus is not None
    return belief


POSE = Pose(torch.tensor([0.02, 0.0, -0.01]), random_rotations(1, torch.Generator().manual_seed(3))[0])


def lesion(kind, share=0.5, columns=4, at=0, seed=0, truth=0):
    return draw(kind, share, columns, 2, torch.Generator().manual_seed(seed), at, truth)


@pytest.mark.parametrize("kind", ["kill", "freeze", "collude", "conspire"])
def test_a_lesion_of_nobody_changes_no_bit(atlas, kind):
    region, sensed = region_of(atlas, 4), readings("egg", 12, 5, POSE)
    plain, struck = after(region, sensed, 4), after(lesioned(region, lesion(kind, 0.0)), sensed, 4)
    assert torch.equal(plain.ballot.log_evidence, struck.ballot.log_evidence)
    assert torch.equal(plain.consensus.log_posterior, struck.consensus.log_posterior)


@pytest.mark.parametrize("kind, at", [("kill", 0), ("freeze", 0), ("freeze", 1)])
def test_columns_that_lie_to_nobody_keep_the_protocol(atlas, kind, at):
    sensed = readings("egg", 12, 5, POSE)
    hit = lesioned(region_of(atlas, 3), lesion(kind, 0.0, 3, at)).kinds[0]
    check_column(hit, [sensed[None, i : i + 3] for i in range(0, 12, 3)], len(SHAPES))


def test_the_dead_are_as_good_as_lost_readings(atlas):
    region, sensed = region_of(atlas, 4), readings("egg", 12, 5, POSE)
    hit = lesion("kill")
    lost = replace(sensed, valid=sensed.valid & ~hit.struck.repeat(3))
    dead, silent = after(lesioned(region, hit), sensed, 4), after(region, lost, 4)
    assert torch.equal(dead.ballot.log_evidence, silent.ballot.log_evidence)
    assert region.met(silent).tolist() == lesioned(region, hit).met(dead).tolist()
    assert (lesioned(region, hit).met(dead)[0] > 0).tolist() == (~hit.struck).tolist()


def test_columns_die_with_all_they_knew(atlas):
    sensed, hit = readings("egg", 12, 5, POSE), lesion("kill", at=2)
    region = lesioned(region_of(atlas, 4), hit)
    before, then = after(region, sensed[:8], 4), after(region, sensed, 4)
    assert bool((region.met(before) == 2).all())
    assert region.met(then)[0, hit.struck].tolist() == [0.0, 0.0]
    assert bool((region.vote(then, then.ballot).log_evidence[0, hit.struck] == 0).all())


def test_the_frozen_keep_voting_what_they_believed(atlas):
    sensed, hit = readings("egg", 16, 5, POSE), lesion("freeze", at=2)
    region = lesioned(region_of(atlas, 4), hit)
    before, then = after(region, sensed[:8], 4), after(region, sensed, 4)
    said = [region.vote(belief, then.ballot).log_evidence[0] for belief in (before, then)]
    assert torch.equal(said[0][hit.struck], said[1][hit.struck])
    assert bool((said[0][~hit.struck] != said[1][~hit.struck]).any())


@pytest.mark.parametrize("kind", ["collude", "conspire"])
def test_liars_agree_on_one_wrong_object(atlas, kind):
    sensed, hit = readings("egg", 12, 5, POSE), lesion(kind, at=1)
    region = lesioned(region_of(atlas, 4), hit)
    belief = after(region, sensed, 4)
    said = region.vote(belief, belief.ballot).log_evidence[0, hit.struck]
    assert hit.claim == 1 and bool((said == said[0]).all())
    assert said[0].unique().tolist() == [2 * (CONFIDENT - LEAD), 2 * CONFIDENT]
    claimed = belief.ballot.obj[0] == hit.claim
    assert bool(claimed.any())
    right = claimed if kind == "collude" else said[0] == said[0].max()
    assert torch.equal(said[0] == 2 * CONFIDENT, right)
    assert int((said[0] == 2 * CONFIDENT).sum()) == (int(claimed.sum()) if kind == "collude" else 1)


def test_liars_are_no_surer_than_they_can_be_at_once(atlas):
    """By its newest sensation alone, a liar lies by one."""
    hit = lesion("collude")
    region = lesioned(region_of(atlas, 4), hit)
    belief = after(region, readings("egg", 12, 5, POSE), 4)
    said = region.vote(belief, belief.ballot, newest=True).log_evidence[0, hit.struck]
    assert float(said.max()) == CONFIDENT


def test_the_same_seed_strikes_the_same_columns():
    draws = [lesion("collude", 0.25, 64, seed=seed) for seed in (1, 1, 2)]
    assert torch.equal(draws[0].struck, draws[1].struck) and torch.equal(draws[0].turns, draws[1].turns)
    assert not torch.equal(draws[0].struck, draws[2].struck)
    assert all(int(drawn.struck.sum()) == 16 for drawn in draws)


def test_no_liar_claims_the_truth():
    for truth in range(4):
        claims = {draw("collude", 0.5, 4, 4, torch.Generator().manual_seed(s), 0, truth).claim for s in range(60)}
        assert claims == set(range(4)) - {truth}


def test_what_is_no_lesion_is_refused(atlas):
    with pytest.raises(ValueError, match=r"0 \.\.\. 1"):
        lesion("kill", 1.5)
    with pytest.raises(ValueError, match="choose kill"):
        lesions.Lesion("maim", torch.ones(2, dtype=torch.bool))
    with pytest.raises(ValueError, match="0 sensations or more"):
        lesion("kill", at=-1)
    with pytest.raises(ValueError, match="wrong object"):
        draw("collude", 0.5, 4, 1, torch.Generator())
    with pytest.raises(ValueError, match="the lesion is of 4 columns, but the region has 3"):
        lesioned(region_of(atlas, 3), lesion("kill"))


def test_all_dead_know_nothing(atlas):
    region = lesioned(region_of(atlas, 4), lesion("kill", 1.0))
    belief = after(region, readings("egg", 8, 5, POSE), 4)
    assert int(belief.consensus.object_index[0]) == -1 or float(belief.consensus.log_odds[0]) < 1.0
    assert not bool(region.met(belief).any())


# ---- whom to heed


def made_up_votes(columns=10, objects=4, poses=6, seed=0):
    """Columns that find object 0 by 3 nats on average, each in its own way, on a ballot of all poses."""
    g = torch.Generator().manual_seed(seed)
    ballot = nothing(1, "cpu", objects * poses)
    obj = torch.arange(objects).repeat_interleave(poses)[None]
    votes = 4 * torch.randn(1, columns, objects * poses, generator=g) + 3 * (obj == 0)[:, None]
    return votes, replace(ballot, obj=obj, log_evidence=torch.zeros(1, objects * poses))


@pytest.mark.parametrize("one_pose", [False, True])
def test_a_minority_that_is_sure_of_nonsense_is_not_heeded(one_pose):
    caught = 0
    for seed in range(20):
        votes, ballot = made_up_votes(seed=seed)
        claimed = ballot.obj[0] == 2
        if one_pose:
            claimed = torch.arange(len(claimed)) == 13
        votes[0, :2] = torch.where(claimed, CONFIDENT, CONFIDENT - 2 * LEAD)
        heed = heeded(votes, ballot, torch.ones(1, 10), 4)
        caught += int((heed[0, :2] == 0).sum())
        assert int((heed[0, 2:] > 0).sum()) >= 4, "sound columns remain"
    assert caught >= 36, "of 40"


def test_columns_that_met_nothing_are_heeded_and_few_are_no_majority():
    votes, ballot = made_up_votes()
    votes[0, 0] = 0.0
    met = torch.ones(1, 10)
    met[0, 0] = 0
    assert heeded(votes, ballot, met, 4)[0, 0] == 1
    assert heeded(votes[:, :2], ballot, met[:, :2], 4).tolist() == [[1.0, 1.0]]
    assert heeded(votes[..., :0], nothing(1), met, 4).tolist() == [[1.0] * 10]


def test_heeding_does_not_depend_on_the_order_of_columns():
    votes, ballot = made_up_votes(seed=4)
    votes[0, 3] = torch.where(ballot.obj[0] == 1, CONFIDENT, -CONFIDENT)
    order = torch.randperm(10, generator=torch.Generator().manual_seed(1))
    met = torch.ones(1, 10)
    assert torch.equal(heeded(votes, ballot, met, 4)[:, order], heeded(votes[:, order], ballot, met, 4))


def test_a_robust_region_of_sound_columns_finds_what_a_plain_one_does(atlas):
    sensed = readings("egg", 16, 5, POSE)
    plain, robust = (after(region_of(atlas, 4, robust=flag), sensed, 4) for flag in (False, True))
    assert plain.consensus.object_index.tolist() == robust.consensus.object_index.tolist() == [0]
    assert (plain.consensus.pose.location - robust.consensus.pose.location).norm() < 0.002


def test_a_robust_region_is_not_swayed_by_liars(atlas):
    """Two of eight, sure of the other object."""
    plain, robust = 0, 0
    for seed in range(6):
        sensed, hit = readings("egg", 8, seed, POSE), lesion("collude", 0.25, 8, seed=seed)
        for flag in (False, True):
            region = lesioned(region_of(atlas, 8, robust=flag), hit)
            right = int(after(region, sensed, 8).consensus.object_index[0]) == 0
            plain, robust = plain + (right and not flag), robust + (right and flag)
    assert robust >= plain and robust >= 5


def test_whoever_is_not_heeded_counts_for_nothing(atlas):
    """What it says for poses, what it met, and what that would be worth were it of an object that isn't known."""
    region = region_of(atlas, 4)
    belief = after(region, readings("egg", 8, 5, POSE), 4)
    part = replace(belief, heed=torch.tensor([[1.0, 1.0, 0.0, 1.0]]))
    for said in (region.met, region.unknown, lambda b: region.vote(b, b.ballot).log_evidence):
        assert bool((said(belief)[:, 2] != 0).all())
        assert bool((said(part)[:, 2] == 0).all())
        assert torch.equal(said(part)[:, [0, 1, 3]], said(belief)[:, [0, 1, 3]])
