"""Private names: what is counted together becomes a translation, and a translated vote is the vote itself."""

from dataclasses import replace

import pytest
import torch
from torch.nn.functional import normalize

from cortical.columns.evidence.atlas import Atlas
from cortical.columns.evidence.column import EvidenceColumn
from cortical.columns.geometry import random_rotations, rotation_angle, rotation_from_vector
from cortical.columns.lateral import Lateral
from cortical.columns.messages import Consensus, FeatureSchema, Pose, Sensation
from cortical.columns.naming import KEPT, SAME_SHIFT, Naming, mean_motion, nearest_rotation
from cortical.columns.object_map import ObjectMap
from cortical.columns.region import Region
from cortical.columns.topology import topology
from cortical.columns.translated import Translated, together

SCHEMA = FeatureSchema()
SHAPES = {"egg": (0.050, 0.035, 0.026), "pebble": (0.030, 0.028, 0.018), "disc": (0.045, 0.044, 0.010)}
YOURS = ("one", "two", "three")  # my egg, pebble and disc are your three, one and two
PLACE = torch.tensor([2, 0, 1])


def generator(seed):
    return torch.Generator().manual_seed(seed)


def poses(count, seed, far=0.05):
    g = generator(seed)
    return Pose(far * torch.randn(count, 3, generator=g), random_rotations(count, g))


FRAME = poses(3, 50)  # mine_from_yours, in my order


def readings(name, count, seed, pose=None):
    """Readings (1, count) of an ellipsoid at a pose, its colour changing along its axes."""
    g, axes = generator(seed), torch.tensor(SHAPES[name])
    point = axes * normalize(torch.randn(count, 3, generator=g), dim=1)
    gradient = point / axes**2
    normal = normalize(gradient, dim=1)
    square = torch.eye(3) - normal[:, :, None] * normal[:, None, :]
    bend = square @ torch.diag(1 / axes**2) @ square / gradient.norm(dim=1)[:, None, None]
    values, vectors = torch.linalg.eigh(bend)
    hsv = torch.stack([0.2 + 3 * point[:, 0], 0.6 + 4 * point[:, 1], 0.5 + 4 * point[:, 2]], 1)
    pose = pose or Pose(torch.zeros(3), torch.eye(3))
    normal, direction = (v @ pose.rotation.T for v in (normal, vectors[:, :, 2]))
    gaze = normalize(-normal + 0.3 * torch.randn(count, 3, generator=g), dim=1)
    location, yes = pose.apply(point), torch.ones(count, dtype=torch.bool)
    code = torch.zeros(count, 0, dtype=torch.int64)
    curvature = values[:, [2, 1]].clamp(min=0).log1p()
    sensed = location - 0.15 * gaze, gaze, location, normal, direction, curvature, hsv, code, yes, yes
    return Sensation(*(part[None] for part in sensed))


def region_of(frames, names, order, seed, columns=1):
    """A region that learnt the shapes in `order`, each in its frame, map_from_object."""
    maps = {}
    for k, name in enumerate(order):
        r = readings(name, 3000, seed + k, Pose(frames.location[k], frames.rotation[k]))
        parts = (getattr(r, part)[0] for part in ("location", "normal", "direction", "curvature", "hsv", "code"))
        maps[names[k]] = ObjectMap.empty(0.004).insert(*parts)
    kind = EvidenceColumn(Atlas.pack(maps, SCHEMA), SCHEMA, columns)
    return Region((kind,), Lateral.over(topology("all-to-all", columns)), tuple(names))


@pytest.fixture(scope="module")
def mine():
    unturned = Pose(torch.zeros(3, 3), torch.eye(3).expand(3, 3, 3))
    return region_of(unturned, tuple(SHAPES), tuple(SHAPES), 0)


@pytest.fixture(scope="module")
def yours():
    order = [list(SHAPES)[PLACE.tolist().index(j)] for j in range(3)]
    back = FRAME.inverse()  # yours_from_mine, and my frames are the objects'
    frames = Pose(*(part[[list(SHAPES).index(name) for name in order]] for part in (back.location, back.rotation)))
    return region_of(frames, YOURS, order, 100)


@pytest.fixture(scope="module")
def told():
    return Naming.given(PLACE, FRAME, 3)


def belief(best, objects, pose, sure=0.98):
    """What a region believes that takes the g objects `best` to be at these poses."""
    rest = (1 - sure) / objects
    posterior = torch.full((len(best), objects + 1), rest).scatter(1, best[:, None], sure).log()
    odds = torch.zeros(len(best))
    return Consensus(best, odds, posterior, pose, posterior[:, None], posterior[:, None], odds + 1)


def episodes(count, seed, slip=0.0):
    """Beliefs of two that sense the same things: each is an object at a pose, known with some error."""
    g = generator(seed)
    obj, held = torch.randint(3, (count,), generator=g), poses(count, seed + 1)
    theirs = held @ Pose(FRAME.location[obj], FRAME.rotation[obj])
    wobble = rotation_from_vector(0.03 * torch.randn(count, 3, generator=g))
    theirs = Pose(theirs.location + 0.001 * torch.randn(count, 3, generator=g), theirs.rotation @ wobble)
    wrong = torch.rand(count, generator=g) < slip
    heard = torch.where(wrong, torch.randint(3, (count,), generator=g), PLACE[obj])
    astray = poses(count, seed + 2)
    theirs = Pose(*(torch.where(wrong.view(-1, *[1] * (a.ndim - 1)), a, b) for a, b in (
        (astray.location, theirs.location), (astray.rotation, theirs.rotation))))  # fmt: skip
    return belief(obj, 3, held), belief(heard, 3, theirs)


def test_nothing_heard_says_nothing():
    naming = Naming.begin(4, 6)
    torch.testing.assert_close(naming.log_yours().exp(), torch.full((5, 7), 1 / 7, dtype=torch.float64))
    torch.testing.assert_close(naming.log_mine().exp(), torch.full((7, 5), 1 / 5, dtype=torch.float64))
    assert not bool((naming.dictionary().sure > 0).any())


@pytest.mark.parametrize("slip", [0.0, 0.25])
def test_names_and_frames_are_learnt_from_what_is_sensed_together(slip):
    naming = Naming.begin(3, 3).met(*episodes(60, 1, slip))
    assert naming.log_yours()[:3, :3].argmax(1).equal(PLACE)
    for table in (naming.log_yours(), naming.log_mine()):
        torch.testing.assert_close(table.exp().sum(1), torch.ones(4, dtype=torch.float64))
    found = naming.dictionary()
    assert found.candidate[:, 0].equal(PLACE) and bool((found.sure[:, 0] > 0.9).all())
    # the mean of five or more motions that are 0.05 rad off each
    assert float(rotation_angle(found.frame.rotation[:, 0], FRAME.rotation).max()) < 0.07
    assert float((found.frame.location[:, 0] - FRAME.location).norm(dim=1).max()) < 0.004


def test_learning_is_the_same_one_by_one_and_at_once():
    both = episodes(12, 3)
    at_once, one_by_one = Naming.begin(3, 3).met(*both), Naming.begin(3, 3)
    for g in range(12):
        few = (
            replace(c, log_posterior=c.log_posterior[[g]], pose=Pose(c.pose.location[[g]], c.pose.rotation[[g]]))
            for c in both
        )
        one_by_one = one_by_one.met(*few)
    torch.testing.assert_close(at_once.counts, one_by_one.counts)
    assert at_once.seen.equal(one_by_one.seen) and at_once.motion.rotation.equal(one_by_one.motion.rotation)


def test_what_has_a_name_is_hardly_called_another():
    first = torch.tensor([0] * 10 + [1] * 10)
    naming = Naming.begin(3, 3).met(belief(first, 3, poses(20, 5)), belief(first, 3, poses(20, 6)))
    of_third = naming.log_yours()[2, :3].exp()
    assert float(of_third[2]) > 3 * float(of_third[:2].max()), "the one left over is the likeliest"


def test_two_of_mine_may_be_one_of_yours():
    obj = torch.arange(2).repeat(20)
    naming = Naming.begin(2, 1).met(belief(obj, 2, poses(40, 7)), belief(obj * 0, 1, poses(40, 8)))
    assert bool((naming.log_yours()[:2, 0].exp() > 0.9).all())
    torch.testing.assert_close(naming.log_mine()[0, :2].exp(), torch.full((2,), 0.5, dtype=torch.float64), atol=0.05,
                               rtol=0)  # fmt: skip


def test_the_mean_motion_is_of_the_largest_group():
    true, astray = poses(1, 9), poses(3, 10)
    g = generator(11)
    near = Pose(
        true.location + SAME_SHIFT / 8 * torch.randn(5, 3, generator=g),
        true.rotation @ rotation_from_vector(0.02 * torch.randn(5, 3, generator=g)),
    )
    order = torch.randperm(8, generator=g)
    all_of = Pose(*(torch.cat(p)[order] for p in ((astray.location, near.location), (astray.rotation, near.rotation))))
    mean, agreeing, turn_sd, shift_sd = mean_motion(all_of, torch.tensor(8))
    assert 0.01 < float(turn_sd) < 0.06 and 0.0005 < float(shift_sd) < 0.003
    assert float(agreeing) == 5
    torch.testing.assert_close(mean.location, near.location.mean(0))
    torch.testing.assert_close(mean.rotation, nearest_rotation(near.rotation.mean(0)))
    nothing, count, *_ = mean_motion(all_of, torch.tensor(0))
    assert float(count) == 0 and nothing.rotation.equal(torch.eye(3))


def test_of_a_symmetric_object_one_of_its_frames_is_taken():
    half = Pose(torch.zeros(2, 3), torch.stack([torch.eye(3), torch.diag(torch.tensor([-1.0, -1.0, 1.0]))]))
    true = poses(1, 12)
    which = torch.tensor([0, 1, 1, 0, 1, 1, 0, 1])
    seen = true @ Pose(half.location[which], half.rotation[which])
    mean, agreeing, *_ = mean_motion(seen, torch.tensor(KEPT))
    assert float(agreeing) == 5
    torch.testing.assert_close(mean.rotation, (true.rotation @ half.rotation[1])[0], atol=1e-5, rtol=0)


def sensed(column, sensations):
    memory = column.begin()
    for sensation in sensations:
        memory = column.sense(memory, sensation)
    return memory


def test_a_translated_vote_is_the_vote_in_the_others_names(mine, yours, told):
    pose = poses(1, 20)
    seen = [readings("pebble", 1, 200 + k, Pose(pose.location[0], pose.rotation[0])) for k in range(3)]
    column = Translated(yours, told)
    memory, own = sensed(column, seen), sensed(yours.kinds[0], seen)
    belief_of_mine = mine.begin()
    for sensation in seen:
        belief_of_mine = mine.step(belief_of_mine, sensation)
    ballot = belief_of_mine.ballot
    there = Pose(ballot.location, ballot.rotation) @ Pose(FRAME.location[ballot.obj], FRAME.rotation[ballot.obj])
    theirs = replace(ballot, obj=PLACE[ballot.obj], location=there.location, rotation=there.rotation.contiguous())
    off = column.dictionary  # the frames are that uncertain, so the poses are
    theirs = replace(
        theirs, turn_sd=torch.hypot(ballot.turn_sd, off.turn_sd[ballot.obj, 0]),
        shift_sd=torch.hypot(ballot.shift_sd, off.shift_sd[ballot.obj, 0]),
    )  # fmt: skip
    plain, vote = yours.kinds[0].vote(own, theirs), column.vote(memory, ballot)
    fits = plain.log_evidence[0, 0] > plain.log_evidence.max() - 3.0
    assert bool(fits.any())
    for name in ("log_evidence", "slope", "information"):
        said, meant = (getattr(v, name)[0, 0][fits] for v in (vote, plain))
        torch.testing.assert_close(said, meant, rtol=0.02, atol=0.02 * float(meant.abs().max()))


def test_where_nothing_is_known_a_vote_says_the_same_of_everything(mine, yours):
    pose = poses(1, 21)
    seen = [readings("egg", 1, 300 + k, Pose(pose.location[0], pose.rotation[0])) for k in range(3)]
    column = Translated(yours, Naming.begin(3, 3))
    own = mine.begin()
    for sensation in seen:
        own = mine.step(own, sensation)
    vote = column.vote(sensed(column, seen), own.ballot)
    assert float(vote.log_evidence.max() - vote.log_evidence.min()) < 1e-3
    assert float(vote.slope.abs().max()) == 0 and bool(torch.isfinite(vote.log_evidence).all())
    assert len(column.nominate(sensed(column, seen), 50)) == 0


def test_regions_with_names_of_their_own_agree(mine, yours, told):
    region = together(mine, [(yours, told)])
    for name in SHAPES:
        pose = Pose(*(part[0] for part in (poses(1, 30).location, poses(1, 30).rotation)))
        held = region.begin()
        for k in range(4):
            held = region.step(held, readings(name, 2, 400 + k, pose))
        consensus = region.polish(held).consensus
        assert consensus is not None
        assert region.objects[int(consensus.object_index)] == name and float(consensus.agreement) == 1.0
        assert float((consensus.pose.location[0] - pose.location).norm()) < 0.004


def test_what_makes_no_sense_is_refused(yours):
    with pytest.raises(ValueError, match="an object each"):
        Naming.begin(0, 3)
    with pytest.raises(ValueError, match="beliefs must be"):
        Naming.begin(4, 3).met(*episodes(5, 1))
    bad, good = episodes(5, 1)
    with pytest.raises(ValueError, match="no number"):
        Naming.begin(3, 3).met(replace(bad, log_posterior=bad.log_posterior * torch.nan), good)
    with pytest.raises(ValueError, match="knows 3"):
        Translated(yours, Naming.begin(3, 4))
