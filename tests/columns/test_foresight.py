"""What movements are worth, against what a column really finds in sensations drawn from the true surfaces."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.stats import spearmanr
from torch.nn.functional import normalize

from cortical.columns.evidence import goals
from cortical.columns.evidence.column import EvidenceColumn
from cortical.columns.evidence.compiled import goals as compiled
from cortical.columns.evidence.hypotheses import Hypotheses
from cortical.columns.evidence.memory import HIT
from cortical.columns.foresight import FLATTENED, Foresight, information, odds_of_object, worth
from cortical.columns.geometry import rotation_from_vector
from cortical.columns.messages import Pose, Sensation

from .shapes import SCHEMAS, SHAPES, learnt, pose_of

DRAWS, PLACES = 200, 60
SURFACES = [shape(200_000, 1) for shape in SHAPES]


@pytest.fixture(scope="module", params=["surface", "shape", "both"])
def column(request):
    schema = SCHEMAS[request.param]
    return EvidenceColumn(learnt(schema), schema)


def ballot_of(count=8, seed=0, sd=(0.004, 0.0003)):
    """Hypotheses about two objects, some near each other, one group."""
    g, pose = torch.Generator().manual_seed(seed), pose_of(seed)
    rotation = rotation_from_vector(0.5 * torch.randn(count, 3, generator=g)) @ pose.rotation
    location = pose.location + 0.008 * torch.randn(count, 3, generator=g)
    evidence = 1.5 * torch.randn(count, generator=g)
    sds = (torch.full((count,), x) for x in sd)
    fields = (torch.arange(count) % 2, rotation, location, evidence, *sds)
    return Hypotheses(*(x[None] for x in fields), pivot=pose.location[None])


def places(column, ballot, seed=1):
    """Places 15 cm around the object: half of them look at what a hypothesis holds to be surface, as movements are
    proposed, half anywhere near. Origin, gaze (PLACES, 3)."""
    random, half = np.random.default_rng(seed), PLACES // 2
    which = random.integers(len(ballot), size=half)
    surface, normal = column.recall(ballot, which, random.random(half))
    middle = ballot.pivot.double().numpy()
    target = np.concatenate([surface, middle + random.normal(0, 0.03, (PLACES - half, 3))])
    bearing = np.concatenate([normal + random.normal(0, 0.3, (half, 3)), random.normal(size=(PLACES - half, 3))])
    origin = middle + 0.15 * bearing / np.linalg.norm(bearing, axis=1, keepdims=True)
    origin, target = torch.from_numpy(origin).float(), torch.from_numpy(target).float()
    return origin, normalize(target - origin, dim=1)


def first_met(surface, pose, origin, gaze):
    """Which point of a densely sampled surface a ray meets first; None if it passes by."""
    start, ray = pose.rotation.T @ (origin - pose.location), pose.rotation.T @ gaze
    along = (surface.point - start) @ ray
    aside = (surface.point - start - along[:, None] * ray).norm(dim=1)
    depth = torch.where((aside < 0.0012) & (surface.normal @ ray < 0), along, torch.inf)
    return None if bool(depth.isinf().all()) else int(depth.argmin())


def drawn(schema, surface, pose, origin, gaze, g):
    """DRAWS sensations (DRAWS, 1) with the sensor's noise at one place, from the true surface at a pose."""
    at = first_met(surface, pose, origin, gaze)
    point = at if at is not None else 0

    def noise(size, sd):
        return sd * torch.randn(DRAWS, size, generator=g)

    tilt = rotation_from_vector(noise(3, schema.normal_sd)) @ pose.rotation
    location = pose.apply(surface.point[point]) + noise(3, schema.location_sd)
    curvature = surface.curvature[point] + noise(2, schema.curvature_sd)
    hue = (surface.hsv[point, :1] + noise(1, schema.hue_sd / (2 * math.pi))) % 1.0
    light = (surface.hsv[point, 1:] + noise(2, schema.saturation_sd)).clamp(0, 1)
    normal, direction = (tilt @ x[point] for x in (surface.normal, surface.direction))
    code = surface.code[point].expand(DRAWS, -1) if schema.code_bits else torch.zeros(DRAWS, 0, dtype=torch.int64)
    met, valid = torch.full((DRAWS,), at is not None), torch.ones(DRAWS, dtype=torch.bool)
    ways = origin.expand(DRAWS, 3), gaze.expand(DRAWS, 3)
    parts = *ways, location, normal, direction, curvature, torch.cat([hue, light], 1), code, met, valid
    return Sensation(*(x[:, None] for x in parts))


def found(column, ballot, origin, gaze):
    """(DRAWS, h, h) for one place: the evidence that each draw under i really gives j."""
    g, count = torch.Generator().manual_seed(3), len(ballot)
    many = {f: getattr(ballot, f).expand(DRAWS, *getattr(ballot, f).shape[1:]).contiguous()
            for f in Hypotheses.__dataclass_fields__}  # fmt: skip
    rows = []
    for true in range(count):
        pose = Pose(ballot.location[0, true], ballot.rotation[0, true])
        sensation = drawn(column.schema, SURFACES[int(ballot.obj[0, true])], pose, origin, gaze, g)
        memory = column.sense(column.begin(DRAWS), sensation)
        rows.append(column.vote(memory, Hypotheses(**many), curved=False).log_evidence[:, 0])
    return torch.stack(rows, 1)


@pytest.fixture(scope="module")
def case(column):
    ballot = ballot_of()
    origin, gaze = places(column, ballot)
    drawn = torch.stack([found(column, ballot, o, w) for o, w in zip(origin, gaze, strict=True)])
    return ballot, column.foresee(ballot, origin, gaze), drawn


def agreement(a, b):
    return spearmanr(a.numpy(), b.numpy()).statistic


def test_expected_information_is_that_of_sensations_drawn(case):
    ballot, seen, found = case
    evidence, obj = ballot.log_evidence[0], ballot.obj[0]
    weights = (FLATTENED * (evidence - evidence.amax())).softmax(0)
    mine = torch.diagonal(found, dim1=2, dim2=3)
    exact = ((mine - (found + weights.log()).logsumexp(-1)).mean(1)) @ weights
    gain = worth(seen, evidence, obj, 1.0, "information")
    assert float(exact.max() - exact.min()) > 0.3, "the places differ"
    assert agreement(gain, exact) >= 0.95


def test_expected_odds_are_those_of_sensations_drawn(case):
    ballot, seen, found = case
    evidence, obj = ballot.log_evidence[0], ballot.obj[0]
    weights = (FLATTENED * (evidence - evidence.amax())).softmax(0)
    flat = found.flatten(0, 1)
    exact = odds_of_object(flat, evidence, obj, 0.45).unflatten(0, found.shape[:2]).mean(1) @ weights
    gain = worth(seen, evidence, obj, 0.45, "odds", "identity")
    assert agreement(gain, exact) >= 0.95


def simple(difference, count=3):
    """Foresight at one place where each hypothesis expects `difference` nats less for any other."""
    return Foresight(-difference * (1 - torch.eye(count))[None], torch.ones(1, count))


@pytest.mark.parametrize("count", [2, 3, 7])
def test_information_runs_from_nothing_to_all_there_is(count):
    weights = torch.full((count,), 1 / count)
    assert float(information(simple(0.0, count).evidence, weights)) == pytest.approx(0.0, abs=1e-6)
    assert float(information(simple(80.0, count).evidence, weights)) == pytest.approx(math.log(count), rel=1e-5)
    some = [float(information(simple(d, count).evidence, weights)) for d in (0.1, 0.5, 1.0, 3.0)]
    assert some == sorted(some)


def test_what_tells_poses_apart_says_nothing_of_the_object():
    evidence, one, two = torch.zeros(2), torch.tensor([0, 0]), torch.tensor([0, 1])
    for obj, of_object, of_pose in ((one, 0.0, math.log(2)), (two, math.log(2), 0.0)):
        values = [float(worth(simple(80.0, 2), evidence, obj, 1.0, "information", aim)) for aim in ("identity", "pose")]
        assert values == pytest.approx([of_object, of_pose], abs=1e-5)
        both = float(worth(simple(80.0, 2), evidence, obj, 1.0, "information", "both"))
        assert both == pytest.approx(sum(values), abs=1e-6)


def test_odds_grow_without_end_where_information_is_used_up():
    evidence, obj = torch.tensor([30.0, 0.0]), torch.tensor([0, 1])
    seen = Foresight(torch.tensor([[[4.0, -4.0], [-4.0, 4.0]]]), torch.ones(1, 2))
    assert float(worth(seen, evidence, obj, 1.0, "information")) < 1e-3
    assert float(worth(seen, evidence, obj, 1.0, "odds", "identity")) == pytest.approx(14 / 3, abs=0.1)


def test_evidence_of_two_columns_adds_up():
    evidence, obj = torch.tensor([1.0, 0.0, -1.0]), torch.tensor([0, 1, 2])
    twice = worth(simple(1.0) + simple(1.0), evidence, obj, 1.0)
    torch.testing.assert_close(twice, worth(simple(2.0), evidence, obj, 1.0))
    half = Foresight(simple(1.0).evidence, torch.full((1, 3), 0.5))
    assert torch.equal((half + half).meets, torch.full((1, 3), 0.75))


def test_free_energy_is_information_and_a_preference():
    evidence, obj = torch.tensor([1.0, 0.0, -1.0]), torch.tensor([0, 1, 2])
    seen = Foresight(torch.cat([simple(1.0).evidence] * 2), torch.tensor([[1.0, 1.0, 1.0], [0.0, 0.0, 0.0]]))
    plain = worth(seen, evidence, obj, 1.0, "information")
    torch.testing.assert_close(worth(seen, evidence, obj, 1.0, "free_energy"), plain)
    liked = worth(seen, evidence, obj, 1.0, "free_energy", preference=2.0)
    torch.testing.assert_close(liked - plain, torch.tensor([2.0, 0.0]))


def test_hundreds_of_places_and_hypotheses_in_one_pass(column):
    ballot = ballot_of(128)
    origin, gaze = (x.repeat(8, 1) for x in places(column, ballot))
    gain = worth(column.foresee(ballot, origin, gaze), ballot.log_evidence[0], ballot.obj[0], 0.45)
    assert gain.shape == (8 * PLACES,) and bool(torch.isfinite(gain).all())
    alone = worth(column.foresee(ballot, origin[:1], gaze[:1]), ballot.log_evidence[0], ballot.obj[0], 0.45)
    torch.testing.assert_close(gain[:1], alone, rtol=1e-4, atol=1e-4)


def test_an_object_out_of_sight_promises_nothing(column):
    ballot = replace(ballot_of(), location=ballot_of().location + 5.0)
    origin, gaze = places(column, ballot_of())
    gain = worth(column.foresee(ballot, origin, gaze), ballot.log_evidence[0], ballot.obj[0], 1.0, "information")
    assert float(gain.abs().max()) < 1e-4


def test_compiled_and_plain_imagine_the_same(column):
    ballot = ballot_of(32)
    ways = places(column, ballot)
    plain, fast = (x.imagine(column.atlas, ballot, *ways) for x in (goals, compiled))
    met = plain[1] == HIT
    assert 0.3 < float(met.double().mean()) < 1.0
    assert float((fast[1] == plain[1]).double().mean()) > 0.998, "a ray may graze the border of two voxels"
    same = (fast[3] == plain[3]).flatten() & met & (fast[1] == HIT)
    assert float(same.double().mean()) > 0.99 * float(met.double().mean())
    torch.testing.assert_close(fast[0][same], plain[0][same], rtol=1e-3, atol=1e-4)
    torch.testing.assert_close(fast[2].flatten()[same], plain[2].flatten()[same], rtol=1e-3, atol=1e-5)
