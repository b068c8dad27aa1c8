"""A region of columns: votes add up whatever the topology, and what is unknown is called so."""

import math
from dataclasses import fields, replace

import networkx as nx
import pytest
import torch
from torch.nn.functional import normalize

from cortical.columns.column import Column
from cortical.columns.evidence.atlas import Atlas
from cortical.columns.evidence.column import EvidenceColumn
from cortical.columns.geometry import random_rotations, rotation_angle, rotation_from_vector
from cortical.columns.judging import answers
from cortical.columns.lateral import Lateral
from cortical.columns.messages import FeatureSchema, Movement, Pose, Sensation
from cortical.columns.object_map import ObjectMap
from cortical.columns.posterior import log_posterior
from cortical.columns.region import Region
from cortical.columns.testing import check_column, check_hypotheses
from cortical.columns.topology import TOPOLOGIES, topology
from cortical.columns.widening import FITTING

BITS, WINNERS = 64, 4
SCHEMAS = {
    "surface": FeatureSchema(),
    "sdr": FeatureSchema(surface=False, colour=False, code_bits=BITS, code_winners=WINNERS),
    "shape": FeatureSchema(colour=False),
    "both": FeatureSchema(code_bits=BITS, code_winners=WINNERS),
}
SCHEMA = SCHEMAS["surface"]
SHAPES = {"egg": ((0.050, 0.035, 0.026), 0.1), "pebble": ((0.030, 0.028, 0.018), 0.2)}
EVERYTHING = 10**6


def readings(name, count, seed, pose=None, schema=SCHEMA, noise=0.5):
    """Readings (count,) of an ellipsoid whose colour runs along its axis, at a pose, world frame."""
    g = torch.Generator().manual_seed(seed)
    radii, hue = SHAPES[name]
    axes = torch.tensor(radii, dtype=torch.float64)
    point = axes * normalize(torch.randn(count, 3, generator=g, dtype=torch.float64), dim=1)
    gradient = point / axes**2
    normal = normalize(gradient, dim=1)
    project = torch.eye(3, dtype=torch.float64) - normal[:, :, None] * normal[:, None, :]
    bend = project @ torch.diag(1 / axes**2) @ project / gradient.norm(dim=1)[:, None, None]
    values, vectors = torch.linalg.eigh(bend)  # the smallest belongs to the normal
    curvature = values[:, [2, 1]].log1p()
    hsv = torch.stack([hue + 2 * point[:, 0], 0.6 + 4 * point[:, 1], 0.5 + 4 * point[:, 2]], 1)
    code = torch.zeros(count, schema.code_winners, dtype=torch.int64)
    if schema.code_bits:
        weights = torch.randn(5, BITS, generator=torch.Generator().manual_seed(9), dtype=torch.float64)
        code = (torch.cat([curvature / 4, hsv], 1) @ weights).topk(WINNERS).indices.sort().values
    pose = pose or Pose(torch.zeros(3), torch.eye(3))
    point, normal, direction, curvature, hsv = (x.float() for x in (point, normal, vectors[:, :, 2], curvature, hsv))
    tilt = rotation_from_vector(noise * schema.normal_sd * torch.randn(count, 3, generator=g)) @ pose.rotation
    normal, direction = ((tilt @ v[..., None])[..., 0] for v in (normal, direction))
    location = pose.apply(point) + noise * schema.location_sd * torch.randn(count, 3, generator=g)
    curvature = curvature + noise * schema.curvature_sd * torch.randn(count, 2, generator=g)
    gaze = normalize(-normal + 0.3 * torch.randn(count, 3, generator=g), dim=1)
    yes = torch.ones(count, dtype=torch.bool)
    return Sensation(location - 0.15 * gaze, gaze, location, normal, direction, curvature, hsv, code, yes, yes)


def pose_of(seed):
    g = torch.Generator().manual_seed(seed)
    return Pose(0.05 * torch.randn(3, generator=g), random_rotations(1, g)[0])


def learnt(schema):
    maps = {}
    for name in SHAPES:
        r = readings(name, 3000, 0, schema=schema, noise=0.0)
        empty = ObjectMap.empty(0.004, 2 * WINNERS if schema.code_bits else 0)
        maps[name] = empty.insert(r.location, r.normal, r.direction, r.curvature, r.hsv, r.code, schema.code_bits)
    return Atlas.pack(maps, schema)


@pytest.fixture(scope="module")
def atlases():
    return {name: learnt(schema) for name, schema in SCHEMAS.items()}


@pytest.fixture(scope="module")
def atlas(atlases):
    return atlases["surface"]


def region_of(atlas, columns, name="all-to-all", **more):
    lateral = Lateral.over(topology(name, columns))
    return Region((EvidenceColumn(atlas, SCHEMA, columns),), lateral, tuple(SHAPES), **more)


def after(region, sensation):
    """The belief of one group after readings (count,), dealt to the columns in turn."""
    belief, columns = region.begin(), sum(k.columns for k in region.kinds)
    for i in range(0, len(sensation.valid), columns):
        belief = region.step(belief, sensation[None, i : i + columns])
    return belief


# ---- the protocol


@pytest.mark.parametrize("columns", [1, 3])
@pytest.mark.parametrize("features", SCHEMAS)
def test_the_evidence_column_keeps_the_protocol(atlases, features, columns):
    schema = SCHEMAS[features]
    r = readings("egg", 4 * columns, 3, pose_of(3), schema)
    sensations = [r[None, i : i + columns] for i in range(0, 4 * columns, columns)]
    check_column(EvidenceColumn(atlases[features], schema, columns), sensations, len(SHAPES))


class Spoilt(EvidenceColumn):
    """Breaks one promise."""

    __slots__ = ()
    heard = 0


class Remembering(Spoilt):
    def sense(self, memory, sensation, movement=None):
        type(self).heard += 1
        return super().sense(memory, sensation, movement)

    def vote(self, memory, ballot, curved=True, misses=True):
        vote = super().vote(memory, ballot, curved, misses)
        return replace(vote, log_evidence=vote.log_evidence + self.heard)


class Talkative(Spoilt):
    def vote(self, memory, ballot, curved=True, misses=True):
        vote = super().vote(memory, ballot, curved, misses)
        return replace(vote, log_evidence=vote.log_evidence + 1.0)


class Credulous(Spoilt):
    def sense(self, memory, sensation, movement=None):
        return super().sense(memory, replace(sensation, valid=torch.ones_like(sensation.valid)), movement)


class Deaf(Spoilt):
    def sense(self, memory, sensation, movement=None):
        return super().sense(memory, sensation)


class Gossiping(Spoilt):
    def vote(self, memory, ballot, curved=True, misses=True):
        vote = super().vote(memory, ballot, curved, misses)
        mean = vote.log_evidence.mean(1, keepdim=True)
        return replace(vote, log_evidence=mean.expand_as(vote.log_evidence).contiguous())


class Generous(Spoilt):
    def nominate(self, memory, limit, prior=None):
        return super().nominate(memory, 2 * limit, prior)


@pytest.mark.parametrize(
    "kind, complaint",
    [
        (Remembering, "the same|otherwise|changes"),
        (Talkative, "before it has sensed|'none'"),
        (Credulous, "lost|NaN|infinite"),
        (Deaf, "object that moves"),
        (Gossiping, "others|column 0 votes"),
        (Generous, "not 1 to"),
    ],
)
def test_a_column_that_breaks_a_promise_is_found_out(atlas, kind, complaint):
    kind.heard = 0
    r = readings("egg", 6, 3, pose_of(3))
    with pytest.raises(AssertionError, match=complaint):
        check_column(kind(atlas, SCHEMA, 2), [r[None, i : i + 2] for i in range(0, 6, 2)], len(SHAPES))


def test_what_is_no_column_is_told_what_it_lacks():
    class Stone:
        columns = 1

    with pytest.raises(AssertionError, match="nominate"):
        check_column(Stone(), [], 1)  # type: ignore[arg-type]


# ---- voting


def test_four_columns_with_a_sensation_each_are_one_column_with_four(atlas):
    """On the same ballot, nothing pruned."""
    sensation = readings("egg", 4, 1, pose_of(1))
    belief = after(region_of(atlas, 4, first_cap=EVERYTHING, keep=EVERYTHING), sensation)
    ballot = belief.ballot
    many, single = EvidenceColumn(atlas, SCHEMA, 4), EvidenceColumn(atlas, SCHEMA, 1)
    memory = single.begin()
    for i in range(4):
        memory = single.sense(memory, sensation[None, i : i + 1])
    one = single.vote(memory, ballot)
    voting = Lateral.over(topology("all-to-all", 4))
    four = voting.pool(many.vote(many.sense(many.begin(), sensation[None]), ballot))
    for name in ("log_evidence", "slope", "information"):
        torch.testing.assert_close(getattr(four, name), getattr(one, name)[:, 0], rtol=1e-4, atol=1e-2)
    posteriors = [log_posterior(e, ballot.obj, 2) for e in (four.log_evidence, one.log_evidence[:, 0])]
    torch.testing.assert_close(*posteriors, atol=1e-3, rtol=1e-4)


def test_four_columns_at_once_find_what_one_finds_in_four_steps(atlas):
    pose = pose_of(2)
    sensation = readings("egg", 12, 2, pose)
    for columns in (1, 4):
        agreed = after(region_of(atlas, columns), sensation).consensus
        assert int(agreed.object_index) == 0
        assert float(agreed.log_odds) > math.log(100)
        assert float((agreed.pose.location - pose.location).norm()) < 0.006
        # an ellipsoid looks the same after half a turn about an axis
        same = torch.diag_embed(torch.tensor([[1.0, 1, 1], [1, -1, -1], [-1, 1, -1], [-1, -1, 1]]))
        turned = rotation_angle(agreed.pose.rotation, pose.rotation @ same).min()
        assert float(turned) < math.radians(12)


def test_the_consensus_is_the_posterior_of_the_summed_evidence(atlas):
    region = region_of(atlas, 3, trust=0.5)
    belief = after(region, readings("pebble", 9, 4, pose_of(4)))
    ballot = belief.ballot
    expected = log_posterior(ballot.log_evidence, ballot.obj, 2, region.share(belief.steps))
    among_known = [posterior[:, :-1].log_softmax(-1) for posterior in (belief.consensus.log_posterior, expected)]
    torch.testing.assert_close(*among_known)
    torch.testing.assert_close(belief.consensus.log_posterior.exp().sum(), torch.ones((), dtype=torch.float64))
    check_hypotheses(ballot, 1, 2)


@pytest.mark.parametrize("name", [name for name in TOPOLOGIES if name != "none"])
def test_every_connected_topology_comes_to_the_same_consensus(atlas, name):
    sensation = readings("egg", 10, 5, pose_of(5))
    usual = after(region_of(atlas, 5), sensation).consensus
    agreed = after(region_of(atlas, 5, name), sensation).consensus
    torch.testing.assert_close(agreed.log_posterior, usual.log_posterior, atol=0.1, rtol=0.01)
    torch.testing.assert_close(agreed.pose.rotation, usual.pose.rotation, atol=1e-3, rtol=0.0)
    assert torch.equal(agreed.object_index, usual.object_index)
    # after the exchange each column believes what all do
    assert float(agreed.agreement) == 1.0
    assert set(agreed.column_log_posterior.argmax(-1).flatten().tolist()) == {int(usual.object_index)}


def in_the_dark(atlas, name):
    """The consensus where two columns sense an egg, and a third nothing at all."""
    sensation = readings("egg", 9, 6, pose_of(6))
    return after(region_of(atlas, 3, name), replace(sensation, valid=torch.arange(9) % 3 != 2)).consensus


def test_without_a_topology_each_column_believes_its_own_evidence(atlas):
    joined, apart = (in_the_dark(atlas, name).column_log_posterior[0] for name in ("all-to-all", "none"))
    assert joined.argmax(1).tolist() == [0, 0, 0]
    torch.testing.assert_close(joined, joined[:1].expand(3, -1), atol=0.1, rtol=0.01)
    assert apart.argmax(1).tolist()[:2] == [0, 0]
    assert float(apart[2, 0]) < float(apart[:2, 0].min()) - 0.5  # nobody told it


def test_without_a_topology_a_region_is_no_surer_than_its_columns(atlas):
    sensation = readings("egg", 10, 5, pose_of(5))
    voting, apart = (after(region_of(atlas, 5, name), sensation).consensus for name in ("all-to-all", "none"))
    assert int(voting.object_index) == int(apart.object_index) == 0
    assert float(apart.log_odds) < 0.5 * float(voting.log_odds)
    own = apart.column_log_posterior[0]
    assert float(own[:, 0].min()) - 1.0 < float(apart.log_posterior[0, 0]) < float(own[:, 0].max()) + 1.0


def test_a_pose_that_explains_all_fits_whatever_the_topology(atlas):
    """Or else new poses are looked for at every step."""
    sensation = readings("egg", 20, 5, pose_of(5))
    voting, apart = (after(region_of(atlas, 5, name), sensation).fit for name in ("all-to-all", "none"))
    assert float(voting) > FITTING
    assert float(apart) > FITTING


def test_parts_that_hear_nothing_of_each_other_answer_for_themselves(atlas):
    graph = nx.disjoint_union(nx.complete_graph(2), nx.complete_graph(2))
    region = Region((EvidenceColumn(atlas, SCHEMA, 4),), Lateral.over(graph), tuple(SHAPES))
    egg, pebble = (readings(name, 12, seed, pose_of(seed)) for name, seed in (("egg", 1), ("pebble", 2)))
    belief = region.begin()
    for t in range(0, 12, 2):
        both = {f.name: torch.cat([getattr(x, f.name)[t : t + 2] for x in (egg, pebble)])[None] for f in fields(egg)}
        belief = region.step(belief, Sensation(**both))
    found = answers(region, belief)
    assert [answer.columns for answer in found] == [(0, 1), (2, 3)]
    assert [tuple(SHAPES)[answer.object_index] for answer in found] == ["egg", "pebble"]
    whole = region_of(atlas, 4)
    (one,) = answers(whole, after(whole, readings("egg", 12, 1, pose_of(1))))
    assert one.columns == (0, 1, 2, 3)


def test_a_region_without_columns_or_of_others_than_its_graph_is_refused(atlas):
    with pytest.raises(ValueError, match="one column or more"):
        Region((), Lateral.all_to_all(1), tuple(SHAPES))
    with pytest.raises(ValueError, match="2 columns, but the graph joins 3"):
        Region((EvidenceColumn(atlas, SCHEMA, 2),), Lateral.all_to_all(3), tuple(SHAPES))


def test_a_vote_that_is_no_number_is_refused(atlas, monkeypatch):
    region = region_of(atlas, 2)
    true = EvidenceColumn.vote

    def broken(*given, **more):
        vote = true(*given, **more)
        vote.log_evidence[:, 1] = math.nan
        return vote

    monkeypatch.setattr(EvidenceColumn, "vote", broken)
    with pytest.raises(ValueError, match="EvidenceColumn votes NaN"):
        after(region, readings("egg", 2, 1, pose_of(1)))


@pytest.mark.parametrize("when", ["column_log_posterior", "alone_log_posterior"])
def test_a_column_in_the_dark_has_no_opinion(atlas, when):
    own = getattr(in_the_dark(atlas, "none"), when)[0, 2].exp()
    torch.testing.assert_close(own, torch.full_like(own, 1 / 3), atol=0.1, rtol=0.0)


def test_kinds_of_columns_are_dealt_the_patches_in_their_order(atlases):
    pose = pose_of(8)
    r = readings("egg", 9, 8, pose, SCHEMAS["both"])
    kinds = (
        EvidenceColumn(atlases["both"], SCHEMAS["both"], 2),
        EvidenceColumn(atlases["sdr"], SCHEMAS["sdr"], 1),
    )
    region = Region(kinds, Lateral.over(topology("all-to-all", 3)), tuple(SHAPES))
    belief = after(region, r)
    assert belief.consensus.column_log_posterior.shape == (1, 3, 3)
    assert [memory.kind.shape[1] for memory in belief.memories] == [2, 1]
    torch.testing.assert_close(belief.memories[1].numbers[0, 0, :, 6:9], r.location[2::3])
    assert int(belief.consensus.object_index) == 0


@pytest.mark.parametrize("given", [1, 4])
def test_a_sensation_of_another_number_of_columns_is_refused(atlas, given):
    region = region_of(atlas, 3)
    with pytest.raises(ValueError, match=f"3 columns but the sensation {given}"):
        region.step(region.begin(), readings("egg", given, 0)[None])


@pytest.fixture(scope="module")
def two_groups(atlas):
    """The consensus of two episodes at once: an egg, and a pebble of which nothing was sensed yet."""
    region = region_of(atlas, 2)
    egg, pebble = readings("egg", 8, 9, pose_of(9)), readings("pebble", 8, 9, pose_of(9))
    dark = replace(pebble, valid=torch.zeros(8, dtype=torch.bool))
    belief = region.begin(2)
    for i in range(0, 8, 2):
        pair = [r[i : i + 2] for r in (egg, dark)]
        both = {n: torch.stack([getattr(r, n) for r in pair]) for n in Sensation.__dataclass_fields__}
        belief = region.step(belief, Sensation(**both))
    return belief.consensus, after(region_of(atlas, 2), egg).consensus


def test_a_group_thinks_as_it_would_alone(two_groups):
    both, alone = two_groups
    assert int(both.object_index[0]) == 0
    torch.testing.assert_close(both.log_posterior[0], alone.log_posterior[0], atol=1.0, rtol=0.05)
    torch.testing.assert_close(both.pose.location[0], alone.pose.location[0], atol=2e-3, rtol=0.0)


def test_a_group_that_has_met_nothing_has_no_opinion(two_groups):
    both, _ = two_groups
    torch.testing.assert_close(both.log_posterior[1].exp(), torch.full((3,), 1 / 3, dtype=torch.float64))


# ---- doubt


def garbage(count):
    """Readings of no surface at all."""
    g = torch.Generator().manual_seed(0)

    def unit():
        return normalize(torch.randn(count, 3, generator=g), dim=1)

    normal, gaze = unit(), unit()
    direction = normalize(torch.linalg.cross(normal, unit()), dim=1)
    location = 0.06 * torch.randn(count, 3, generator=g)
    curvature = (4 * torch.randn(count, 2, generator=g)).sort(descending=True).values
    code, yes = torch.zeros(count, 0, dtype=torch.int64), torch.ones(count, dtype=torch.bool)
    hsv = torch.rand(count, 3, generator=g)
    return Sensation(location - 0.15 * gaze, gaze, location, normal, direction, curvature, hsv, code, yes, yes)


@pytest.mark.parametrize("columns", [1, 4])
def test_readings_that_fit_nothing_known_are_of_something_unknown(atlas, columns):
    agreed = after(region_of(atlas, columns), garbage(40)).consensus
    assert int(agreed.object_index) == -1
    assert float(agreed.log_posterior[0, -1].exp()) > 0.99


@pytest.mark.parametrize("columns", [1, 4])
@pytest.mark.parametrize("radii, hue", [((0.060, 0.055, 0.012), 0.6), ((0.060, 0.055, 0.012), 0.1)])
def test_an_object_of_another_shape_or_colour_is_unknown(atlas, columns, radii, hue, monkeypatch):
    monkeypatch.setitem(SHAPES, "stranger", (radii, hue))
    stranger = readings("stranger", 32 * columns, 3, pose_of(3))
    monkeypatch.undo()
    agreed = after(region_of(atlas, columns), stranger).consensus
    assert int(agreed.object_index) == -1
    assert float(agreed.log_odds) > math.log(300)


def test_before_anything_is_met_all_objects_and_none_are_equally_probable(atlas):
    lost = replace(readings("egg", 2, 0), valid=torch.zeros(2, dtype=torch.bool))
    agreed = after(region_of(atlas, 2), lost).consensus
    torch.testing.assert_close(agreed.log_posterior.exp(), torch.full((1, 3), 1 / 3, dtype=torch.float64))


def test_lost_and_spoilt_readings_change_no_belief(atlas):
    region = region_of(atlas, 2)
    belief = after(region, readings("egg", 8, 10, pose_of(10)))
    spoilt = readings("pebble", 2, 1)
    spoilt.location[0], spoilt.curvature[1] = torch.nan, torch.inf
    later = region.step(belief, spoilt[None])
    torch.testing.assert_close(later.consensus.log_posterior, belief.consensus.log_posterior, atol=0.5, rtol=0.05)
    assert torch.isfinite(later.ballot.location).all()
    assert int(later.consensus.object_index) == int(belief.consensus.object_index) == 0
    for memory in later.memories:
        assert not memory.kind[0, :, -1].any()


def test_a_belief_goes_along_with_an_object_that_moves(atlas):
    region, pose, motion = region_of(atlas, 2), pose_of(11), pose_of(12)
    belief = after(region, readings("egg", 8, 11, pose))
    there = motion @ pose
    moved = region.step(belief, readings("egg", 2, 13, there)[None], Movement(motion))
    assert int(moved.consensus.object_index) == 0
    assert float((moved.consensus.pose.location - there.location).norm()) < 0.006


# ---- state and place


def test_a_region_has_no_state(atlas):
    region, sensation = region_of(atlas, 2), readings("egg", 6, 14, pose_of(14))
    first = after(region, sensation)
    after(region, readings("pebble", 6, 15, pose_of(15)))
    again = after(region, sensation)
    for name in ("obj", "rotation", "location", "log_evidence"):
        assert torch.equal(getattr(first.ballot, name), getattr(again.ballot, name))
    assert torch.equal(first.consensus.log_posterior, again.consensus.log_posterior)


def test_all_that_a_region_makes_is_where_its_columns_are(atlas):
    region = region_of(atlas.to("cpu"), 2)
    assert isinstance(region.kinds[0], Column)
    assert region.kinds[0].device == torch.device("cpu")
    belief = after(region, readings("egg", 4, 16, pose_of(16)))
    tensors = [belief.ballot.location, belief.consensus.log_posterior, belief.memories[0].numbers, belief.fit]
    assert {tensor.device.type for tensor in tensors} == {"cpu"}


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_a_region_on_a_gpu_believes_the_same(atlas):
    sensation = readings("egg", 12, 2, pose_of(2))
    here, there = after(region_of(atlas, 2), sensation), after(region_of(atlas.to("cuda"), 2), sensation)
    assert there.consensus.log_posterior.device.type == "cuda"
    assert torch.equal(there.consensus.object_index.cpu(), here.consensus.object_index)
