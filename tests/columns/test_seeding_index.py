"""Finding where a reading may lie: the search by an index against a look at every node, bit for bit."""

import math

import numpy as np
import pytest
import torch
from torch.nn.functional import normalize

from cortical.columns.evidence.atlas import TURNS, Atlas
from cortical.columns.evidence.column import EvidenceColumn
from cortical.columns.evidence.compiled import likelihood as compiled
from cortical.columns.evidence.compiled import ranking, shortlist, sieving
from cortical.columns.evidence.compiled.seeding import match_nodes
from cortical.columns.evidence.feature_index import GROUP, WIDTH, FeatureIndex
from cortical.columns.evidence.hypotheses import turn_angle
from cortical.columns.messages import FeatureSchema, Sensation
from cortical.columns.object_map import ObjectMap

OBJECTS, READINGS = 12, 900
SCHEMAS = {
    "surface": FeatureSchema(),
    "shape": FeatureSchema(colour=False),
    "colour": FeatureSchema(surface=False),
}
FAVOURS = {
    "none": np.zeros(OBJECTS),
    "one": np.where(np.arange(OBJECTS) == 5, 0.0, -4.0),
    "all but one": np.where(np.arange(OBJECTS) == 5, -4.0, 0.0),
    "any": np.random.default_rng(3).uniform(-4.0, 0.0, OBJECTS),
}
EVERYTHING = 10**6


def readings(count, seed, centre):
    """Readings of a bumpy ball of uneven colour, object frame."""
    g = torch.Generator().manual_seed(seed)
    normal = normalize(torch.randn(count, 3, generator=g), dim=1)
    point = 0.04 * normal * (1 + 0.1 * (5 * normal[:, :1]).sin())
    direction = normalize(torch.linalg.cross(normal, torch.randn(count, 3, generator=g)), dim=1)
    curvature = centre[:2] * 4 + normal[:, :2] + 0.3 * torch.randn(count, 2, generator=g)
    hsv = (centre[2:] + 0.2 * normal + 0.03 * torch.randn(count, 3, generator=g)).clamp(0.01, 0.99)
    code, yes = torch.zeros(count, 0, dtype=torch.int64), torch.ones(count, dtype=torch.bool)
    return Sensation(point + 0.15 * normal, -normal, point, normal, direction, curvature, hsv, code, yes, yes)


@pytest.fixture(scope="module")
def centres():
    return torch.rand(OBJECTS, 5, generator=torch.Generator().manual_seed(1))


@pytest.fixture(scope="module")
def atlases(centres):
    maps = {}
    for k, centre in enumerate(centres):
        r, empty = readings(READINGS, k, centre), ObjectMap.empty(0.004, 0)
        maps[f"ball {k}"] = empty.insert(r.location, r.normal, r.direction, r.curvature, r.hsv, r.code, 0)
    return {name: Atlas.pack(maps, schema) for name, schema in SCHEMAS.items()}


def remembered(atlas, schema, centre, count=8):
    column = EvidenceColumn(atlas, schema)
    memory = column.begin()
    for k in range(count):
        memory = column.sense(memory, readings(count, 99, centre)[None, k : k + 1])
    return column, memory


@pytest.mark.parametrize("tests", [48, 3000, EVERYTHING])
@pytest.mark.parametrize("favour", FAVOURS)
@pytest.mark.parametrize("features", SCHEMAS)
def test_the_index_finds_the_nodes_that_a_look_at_all_finds(atlases, centres, features, favour, tests):
    atlas, opinion = atlases[features], torch.from_numpy(FAVOURS[favour]).float()
    assert len(atlas.rows) > 4 * WIDTH * GROUP
    for centre in centres[::4]:
        column, memory = remembered(atlas, SCHEMAS[features], centre)
        given = memory.numbers[0, 0, 2].numpy(), np.zeros(0, np.uint8), tests, column.tolerance, opinion
        (node, match), (every, plain) = compiled.fitting(atlas, *given), compiled.fitting_of_all(atlas, *given)
        assert len(node) == (len(atlas.rows) if tests == EVERYTHING else len(every)) > 0
        assert np.array_equal(node, every) and np.array_equal(match, plain) and match.dtype == plain.dtype


def test_nodes_alike_come_in_their_order(atlases):
    """Where features say nothing, all nodes are as good as any."""
    atlas = atlases["shape"]
    column, memory = remembered(atlas, SCHEMAS["shape"], torch.full((5,), 90.0))
    at = memory.numbers[0, 0, 0].numpy()
    node, match = compiled.fitting(atlas, at, np.zeros(0), 1000, column.tolerance, torch.zeros(OBJECTS))
    assert len(set(match.tolist())) == 1
    assert np.array_equal(node, np.arange(len(node)))


@pytest.mark.parametrize("features", SCHEMAS)
def test_bounds_hold_for_every_node(atlases, centres, features):
    atlas, tol = atlases[features], EvidenceColumn(atlases[features], SCHEMAS[features]).tolerance
    index, rows = atlas.index, atlas.table.numpy()
    _, memory = remembered(atlas, SCHEMAS[features], centres[0])
    floor, match = math.log(tol.outlier_feature), np.empty(len(rows), np.float32)
    tightness = []
    for s in memory.numbers[0, 0].numpy():
        none = np.zeros((len(rows), 0), np.int64), np.zeros((len(rows), 0), np.float32)
        numbers = np.array([0, 0, 0, tol.outlier_feature, 0, 0.0])
        match_nodes(rows, *none, s, np.zeros(0, np.uint8), numbers, tol.surface, tol.colour, 0, match)
        for boxes, width in ((index.boxes, WIDTH), (index.group_boxes, WIDTH * GROUP)):
            bounds = np.array([shortlist.bound(box, s, floor, tol.surface, tol.colour) for box in boxes])
            best = np.maximum.reduceat(match[index.node.ravel()[: len(rows)]], np.arange(0, len(rows), width))
            assert (bounds >= best).all()
        tightness.append(np.median(bounds - best))
    assert np.median(tightness) < 5.0


@pytest.mark.parametrize("count", [1, WIDTH, WIDTH + 1, WIDTH * GROUP + 5, 3 * WIDTH * GROUP - 1])
def test_every_node_is_in_one_block(atlases, count):
    atlas = atlases["surface"]
    table, owner, turns = (x[:count].numpy() for x in (atlas.table, atlas.owner, atlas.turns))
    index = FeatureIndex.of(table, owner, turns)
    used = index.numbers[:, 11] > -np.inf
    node = index.node[used]
    assert sorted(node.tolist()) == list(range(count))
    assert used[:-1].all() and len(index.boxes) == -(-count // WIDTH)
    assert np.array_equal(index.owner[used], owner[node]) and np.array_equal(index.turns[used], turns[node])
    assert np.array_equal(index.numbers[:, 0][used], table[node, 14])


def test_codes_are_matched_by_a_look_at_all(centres):
    r = readings(200, 0, centres[0])
    code = torch.arange(200)[:, None] % 4
    known = ObjectMap.empty(0.004, 2).insert(r.location, r.normal, r.direction, r.curvature, r.hsv, code, 8)
    assert Atlas.pack({"ball": known}, FeatureSchema(code_bits=8, code_winners=1)).index is None


@pytest.mark.parametrize("sensed, limit", [(2, 40), (3, 200), (8, 5)])
def test_few_seeds_are_the_best_of_many(atlases, centres, sensed, limit):
    """Giving up what can't be among the best loses none of them, and changes no order."""
    column, memory = remembered(atlases["surface"], SCHEMAS["surface"], centres[1], sensed)
    given = column.atlas, memory, 0, 0, 4000
    rest = column.tolerance, torch.zeros(OBJECTS)
    few, all_ = compiled.sieve(*given, limit, *rest), compiled.sieve(*given, EVERYTHING, *rest)
    assert len(few[0]) == min(limit, len(all_[0])) > 0
    for a, b in zip(few, all_, strict=True):
        assert torch.equal(a, b[: len(a)])


def test_too_few_tests_for_any_node_lay_nothing(atlases, centres):
    column, memory = remembered(atlases["surface"], SCHEMAS["surface"], centres[1])
    found = compiled.sieve(column.atlas, memory, 0, 0, 1, 10, column.tolerance, torch.zeros(OBJECTS))
    assert [len(part) for part in found] == [0, 0, 0]


def test_bits_say_where_nodes_are_near(atlases):
    atlas = atlases["surface"]
    bits = np.unpackbits(atlas.near.numpy(), bitorder="little")[: len(atlas.entry)]
    assert 0.05 < bits.mean() < 0.95
    assert np.array_equal(bits == 1, (atlas.entry >= 0).numpy())


@pytest.mark.parametrize("tried", [2, 6, TURNS])
def test_turns_are_those_of_the_hypotheses(tried):
    angle, cos, sin, start = sieving._all_turns()
    some = slice(start[tried], start[tried] + tried)
    plain = turn_angle(torch.arange(tried), torch.full((tried,), tried)).double().numpy()
    np.testing.assert_allclose(angle[some], plain, atol=1e-6)
    np.testing.assert_allclose(np.stack([cos[some], sin[some]]), [np.cos(plain), np.sin(plain)], atol=1e-6)


def test_the_bar_rises_to_the_best_and_never_above():
    random = np.random.default_rng(0)
    scores, weights = random.normal(0, 20, 3000), random.integers(1, 25, 3000)
    ranked, top, enough, above = ranking.ranking(), float(scores.max()), 700, 0
    for k, score in enumerate(scores, 1):
        ranking.note(ranked, top, score, weights[k - 1], enough)
        bar = ranking.bar_of(ranked, top)
        above = weights[:k][scores[:k] >= bar].sum()
        assert above >= min(enough, weights[:k].sum())
    assert above < enough + 500
    order = ranking.about_in_order(scores, top)
    assert sorted(order.tolist()) == list(range(len(scores)))
    assert (np.diff(scores[order])[scores[order][1:] > top - 60] < 1 / ranking.FINE).all()
