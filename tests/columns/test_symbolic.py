"""The ideal observer of symbols, held against enumeration."""

import itertools
import math

import pytest
import torch

from cortical.columns.symbolic import (
    SymbolMaps,
    added,
    begin,
    evidence,
    information,
    passive_touches,
    point_sets,
    posterior,
    predictions,
    random_maps,
    update,
)
from cortical.columns.symbolic_policies import (
    FewestLeft,
    MostInformative,
    RandomTouches,
    TwoAhead,
    play,
    touching,
)

EXACT = {
    5: (3.717, 2.395, 1.606, 1.155, 1.033, 1.007),
    10: (2.735, 1.692, 1.098, 1.010),
    20: (2.226, 1.230, 1.013),
    30: (2.073, 1.108, 1.004),
}
"""Of 100 objects with 10 points, by features and, in order, 1, 2 ... columns."""
POLICIES = (MostInformative, TwoAhead, FewestLeft)


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def worlds(count=3, objects=6, points=4, features=3, noise=0.0, seed=0):
    return random_maps(count, objects, points, features, seeded(seed), noise)


def chance(maps, world, obj, point, symbol):
    """P(s | o, x), in plain numbers."""
    same = int(maps.table[world, obj, point]) == symbol
    return (1 - maps.noise) * same + maps.noise / maps.features


def entropy(chances):
    return -sum(p * math.log(p) for p in chances if p > 0)


@pytest.mark.parametrize("features", EXACT)
def test_exact_means_are_those_known(features):
    for columns, mean in enumerate(EXACT[features], start=1):
        found = passive_touches(100, 10, features, columns, repeats=columns > 1)
        assert round(found, 3) == pytest.approx(mean, abs=1e-9), columns


def touches_by_enumeration(table, target, columns, repeats, touched=frozenset()):
    """Mean touches from here, over all next sets of points; a set that brings nothing new leads back here."""
    points = range(len(table[0]))
    alike = sum(all(row[x] == target[x] for x in touched) for row in table)
    if alike == 1 or len(touched) == len(points):
        return 0.0
    new = [x for x in points if x not in touched]
    pool = points if repeats else new
    sets = list(itertools.combinations(pool, min(columns, len(pool))))
    ways = [touched | frozenset(chosen) for chosen in sets]
    back = sum(way == touched for way in ways) / len(ways)
    onward = sum(touches_by_enumeration(table, target, columns, repeats, way) for way in ways if way != touched) / len(
        ways
    )
    return (1.0 + onward) / (1.0 - back)


@pytest.mark.parametrize(("columns", "repeats"), [(1, False), (1, True), (2, True), (2, False), (3, True)])
def test_exact_means_by_enumeration(columns, repeats):
    """Over all worlds of three objects with three points and two symbols."""
    rows = list(itertools.product(range(2), repeat=3))
    means = [touches_by_enumeration(table, table[0], columns, repeats) for table in itertools.product(rows, repeat=3)]
    exact = passive_touches(3, 3, 2, columns, repeats)
    assert exact == pytest.approx(sum(means) / len(means), rel=1e-12)


def test_exact_means_at_the_ends():
    assert passive_touches(1, 5, 3) == 0.0
    assert passive_touches(50, 5, 1) == pytest.approx(5.0), "alike in all: everything is touched"
    assert passive_touches(50, 5, 3, 5) == pytest.approx(1.0)
    with pytest.raises(ValueError, match="can't touch"):
        passive_touches(50, 5, 3, 6)


@pytest.mark.parametrize(("features", "columns"), [(5, 1), (5, 3), (10, 2), (30, 1)])
def test_simulated_touches_have_the_exact_mean(features, columns):
    maps = random_maps(60, 100, 10, features, seeded(features))
    target = torch.arange(100).expand(60, 100)
    random = RandomTouches(10, columns, repeats=columns > 1)
    played = play(maps, 100, touching(maps, target, seeded(1)), random, seeded(2))
    assert torch.equal(played.answer[played.certain], target[played.certain])
    mean = played.touches.double().mean(1)
    off = float(mean.mean()) - passive_touches(100, 10, features, columns, columns > 1)
    assert abs(off) < 3.5 * float(mean.std()) / math.sqrt(60)


@pytest.mark.parametrize("noise", [0.0, 0.3])
def test_posterior_is_bayes_rule(noise):
    maps, columns = worlds(noise=noise), 2
    belief, told = begin(maps, 2, columns), []
    target = torch.tensor([[0, 1], [2, 3], [4, 5]])
    feel, policy, random = touching(maps, target, seeded(5)), RandomTouches(4, columns, True), seeded(6)
    for _ in range(3):
        luck = torch.rand((3, 2, policy.choices), generator=random, dtype=torch.float64)
        points = policy(posterior(belief), belief.touched, luck)
        symbols = feel(points)
        told.append((points, symbols))
        belief = update(maps, belief, points, symbols)
        for w, e in itertools.product(range(3), range(2)):
            likely = [
                math.prod(chance(maps, w, o, int(p[w, e, c]), int(s[w, e, c])) for p, s in told for c in range(columns))
                for o in range(6)
            ]
            wanted = torch.tensor(likely, dtype=torch.float64) / sum(likely)
            torch.testing.assert_close(posterior(belief)[w, e], wanted)
    assert bool((belief.touches == 3).all())
    assert belief.touched[0, 0].nonzero()[:, 0].tolist() == sorted({int(x) for p, _ in told for x in p[0, 0]})


@pytest.mark.parametrize("features", [2, 3])
@pytest.mark.parametrize("columns", [1, 2, 3])
@pytest.mark.parametrize("noise", [0.0, 0.2])
def test_information_by_enumeration(features, columns, noise):
    """The mutual information between object and symbols, from the table of their joint probabilities."""
    maps = worlds(2, objects=5, features=features, noise=noise)
    weights = torch.rand(2, 3, 5, generator=seeded(), dtype=torch.float64) ** 4
    weights /= weights.sum(-1, keepdim=True)
    sets = point_sets(4, columns)
    found = information(weights, predictions(maps, sets))
    for w, e, k in itertools.product(range(2), range(3), range(len(sets))):
        joint = [
            [
                float(weights[w, e, o])
                * math.prod(chance(maps, w, o, int(x), s) for x, s in zip(sets[k], symbols, strict=True))
                for symbols in itertools.product(range(features), repeat=columns)
            ]
            for o in range(5)
        ]
        objects, symbols = [sum(row) for row in joint], [sum(column) for column in zip(*joint, strict=True)]
        mutual = entropy(objects) + entropy(symbols) - entropy(p for row in joint for p in row)
        assert float(found[w, e, k]) == pytest.approx(mutual, abs=1e-12)


def test_outcomes_are_probabilities_and_those_of_many_columns_are_counted_by_object():
    few, many = worlds(features=2, noise=0.1), worlds(objects=3, features=5)
    for maps, columns, outcomes in ((few, 3, 8), (many, 1, 3), (many, 3, 3), (worlds(objects=9, features=2), 3, 8)):
        predicted = predictions(maps, point_sets(4, columns))
        assert predicted.shape[-1] == outcomes
        torch.testing.assert_close(predicted.sum(-1), torch.ones(predicted.shape[:-1], dtype=torch.float64))


@pytest.mark.parametrize("made", [RandomTouches, *POLICIES])
def test_a_batch_touches_as_single_episodes_do(made):
    maps = worlds(3, objects=12, points=5, features=3)
    policy = made(5) if made is RandomTouches else made(maps)
    random, target = seeded(3), torch.arange(12).expand(3, 12)
    belief, feel = begin(maps, 12), touching(maps, target, seeded())
    for _ in range(3):
        luck = torch.rand((3, 12, policy.choices), generator=random, dtype=torch.float64)
        points = policy(posterior(belief), belief.touched, luck)
        for w, e in itertools.product(range(3), range(0, 12, 5)):
            alone = SymbolMaps(maps.table[w : w + 1], 3)
            one = made(5) if made is RandomTouches else made(alone)
            at = (slice(w, w + 1), slice(e, e + 1))
            assert torch.equal(one(posterior(belief)[at], belief.touched[at], luck[at]), points[at])
        belief = update(maps, belief, points, feel(points))


def test_random_touches():
    policy, touched = RandomTouches(6, 2), torch.zeros(1, 5000, 6, dtype=torch.bool)
    luck = torch.rand((3, 1, 5000, 6), generator=seeded(), dtype=torch.float64)
    none = torch.zeros(1, 5000, 1)
    for k in range(3):
        points = policy(none, touched, luck[k])
        assert not bool(touched.gather(2, points).any()) and bool((points[..., 0] != points[..., 1]).all())
        touched = touched.scatter(2, points, True)
    assert bool(touched.all())
    again = RandomTouches(6, 2, repeats=True)(none, touched, luck[0])
    share = torch.bincount(again.flatten(), minlength=6) / 10000
    assert float((share - 1 / 6).abs().max()) < 0.02
    assert bool((policy(none, touched, luck[0]) < 6).all()), "all touched: any point"


def test_greedy_takes_the_most_informative_and_luck_decides_between_equals():
    # points 0 and 1 split four objects in halves, point 2 says nothing, point 3 splits one from three
    table = torch.tensor([[[0, 0, 0, 1], [0, 1, 0, 0], [1, 0, 0, 0], [1, 1, 0, 0]]])
    maps = SymbolMaps(table, 2)
    policy, weights = MostInformative(maps), torch.full((1, 4000, 4), 0.25, dtype=torch.float64)
    torch.testing.assert_close(policy.score(weights)[0, 0, :3], torch.tensor([2.0, 2.0, 1.0]).double().log())
    luck = torch.rand((1, 4000, 4), generator=seeded(), dtype=torch.float64)
    chosen = policy(weights, torch.zeros(1, 4000, 4, dtype=torch.bool), luck)
    share = torch.bincount(chosen.flatten(), minlength=4) / 4000
    assert share[2] == share[3] == 0 and abs(float(share[0]) - 0.5) < 0.03
    two = MostInformative(maps, columns=2)
    assert two(weights[:, :1], torch.zeros(1, 1, 4, dtype=torch.bool), torch.zeros(1, 1, 6)).tolist() == [[[0, 1]]]


@pytest.mark.parametrize("noise", [0.0, 0.25])
def test_two_ahead_by_enumeration(noise):
    maps = worlds(1, objects=5, points=3, features=3, noise=noise)
    weights = torch.tensor([[[0.4, 0.3, 0.1, 0.15, 0.05]]], dtype=torch.float64)
    predicted = predictions(maps, point_sets(3, 1))
    first = information(weights, predicted)[0, 0]
    for x, score in enumerate(TwoAhead(maps).score(weights)[0, 0]):
        wanted = float(first[x])
        for s in range(3):
            likely = torch.tensor([chance(maps, 0, o, x, s) for o in range(5)], dtype=torch.float64)
            joint = weights[0, 0] * likely
            if joint.sum() > 0:
                then = information((joint / joint.sum())[None, None], predicted).max()
                wanted += float(joint.sum() * then)
        assert float(score) == pytest.approx(wanted, rel=1e-5)


def test_two_ahead_finds_what_greedy_misses():
    """Sixteen objects on a square: row and column tell all of them apart. Its quarters, with a fifth part taken from
    three of them, teach more at once, but leave pairs that neither row nor column parts alone."""
    square = list(itertools.product(range(4), range(4)))
    part = [4 if cell in ((0, 2), (2, 0), (3, 3)) else 2 * (cell[0] // 2) + cell[1] // 2 for cell in square]
    maps = SymbolMaps(torch.tensor([[(p, *cell) for p, cell in zip(part, square, strict=True)]]), 5)
    target, total = torch.arange(16)[None], {}
    for made in (MostInformative, TwoAhead):
        played = play(maps, 16, touching(maps, target, seeded()), made(maps), seeded())
        assert torch.equal(played.answer, target) and bool(played.certain.all())
        total[made] = int(played.touches.sum())
        assert set(played.points[0].flatten().tolist()) <= ({0} if made is MostInformative else {1, 2})
    assert total[TwoAhead] == 2 * 16 and total[MostInformative] >= 36


def test_touches_left():
    maps = worlds(2, objects=4, points=3, features=4)
    left = FewestLeft(maps).left.tolist()
    assert left[:3] == pytest.approx([0.0, 0.0, 4 / 3])
    # three objects: both others go with (3/4)^2, one of them with 2 (3/4)(1/4), none with 1/16
    assert left[3] == pytest.approx((1 + 2 * 3 / 16 * 4 / 3) / (1 - 1 / 16))
    score = FewestLeft(maps).score(torch.full((2, 1, 4), 0.25, dtype=torch.float64))
    for w, x in itertools.product(range(2), range(3)):
        counts = torch.bincount(maps.table[w, :, x]).tolist()
        assert float(score[w, 0, x]) == pytest.approx(-sum(n / 4 * left[n] for n in counts))
    for wrong in (worlds(noise=0.1), worlds(features=1)):
        with pytest.raises(ValueError, match="MostInformative"):
            FewestLeft(wrong)


def test_moving_to_learn_saves_touches():
    maps, means = random_maps(40, 100, 10, 5, seeded(9)), {}
    target = torch.arange(100).expand(40, 100)
    for policy in (RandomTouches(10), *(made(maps) for made in POLICIES)):
        played = play(maps, 100, touching(maps, target, seeded()), policy, seeded(1))
        assert torch.equal(played.answer[played.certain], target[played.certain])
        means[type(policy)] = float(played.touches.double().mean())
    assert means[TwoAhead] < means[MostInformative] < 3.2 < 3.6 < means[RandomTouches]
    assert means[FewestLeft] < 3.2


def test_with_noise_the_posterior_means_what_it_says():
    maps = random_maps(40, 20, 10, 4, seeded(4), noise=0.3)
    target = torch.arange(20).expand(40, 20)
    for policy in (RandomTouches(10, 2, repeats=True), MostInformative(maps)):
        played = play(maps, 20, touching(maps, target, seeded(5)), policy, seeded(6), sure=0.8)
        right = float((played.answer == target).double().mean())
        assert bool(played.certain.all()) and 0.8 < right < 0.97, "sure of at least 0.8, and not of much more"
        belief, feel, random = begin(maps, 20, policy.columns), touching(maps, target, seeded(7)), seeded(8)
        for _ in range(3):
            luck = torch.rand((40, 20, policy.choices), generator=random, dtype=torch.float64)
            points = policy(posterior(belief), belief.touched, luck)
            belief = update(maps, belief, points, feel(points))
        best = posterior(belief).max(-1)
        gap = (best.values - (best.indices == target).double()).mean(1)
        assert abs(float(gap.mean())) < 3.5 * float(gap.std()) / math.sqrt(40), "calibrated"
    few = play(maps, 20, touching(maps, target, seeded(5)), RandomTouches(10), seeded(6), most=2)
    assert int(few.touches.max()) == 2


def test_votes():
    maps = random_maps(20, 30, 6, 4, seeded(4), noise=0.3)
    target, policy = torch.arange(30).expand(20, 30), RandomTouches(6, 3, repeats=True)

    def touches(**how):
        return play(maps, 30, touching(maps, target, seeded(5)), policy, seeded(6), **how).touches.double().mean()

    assert touches() == touches(vote=added)
    assert touches() < 0.6 * touches(vote=lambda by_column: by_column.mean(2)), "columns that don't vote take longer"


def test_what_is_not_felt_says_nothing_and_what_cannot_be_is_nobody():
    maps = SymbolMaps(torch.tensor([[[0, 1], [1, 1]]]), 3)
    point, told = torch.tensor([[[0]]]), []
    for symbol in (3, 0, 2):
        told.append(posterior(update(maps, begin(maps, 1), point, torch.tensor([[[symbol]]])))[0, 0].tolist())
    assert told == [[0.5, 0.5], [1.0, 0.0], [0.0, 0.0]]


def test_twins_are_touched_all_over():
    maps = SymbolMaps(torch.tensor([[[0, 1, 2], [0, 1, 2], [2, 1, 0]]]), 3)
    target = torch.tensor([[0, 1, 2]])
    played = play(maps, 3, touching(maps, target, seeded()), RandomTouches(3), seeded())
    assert played.certain.tolist() == [[False, False, True]] and played.touches[0, :2].tolist() == [3, 3]
    touched = (played.points[:, 0, :, 0] >= 0).sum(0)
    assert torch.equal(touched, played.touches[0])
    alone = SymbolMaps(torch.tensor([[[0, 1, 2]]]), 3)
    nothing = play(alone, 1, touching(alone, torch.tensor([[0]]), seeded()), RandomTouches(3), seeded())
    assert nothing.points.shape == (0, 1, 1, 1) and bool(nothing.certain.all())


@pytest.mark.parametrize("noise", [0.0, 0.4])
def test_same_seed_same_touches(noise):
    maps = worlds(4, objects=20, points=6, noise=noise)
    target = torch.arange(20).expand(4, 20)

    def played(seed):
        return play(maps, 20, touching(maps, target, seeded(seed)), MostInformative(maps, 2), seeded(seed))

    assert torch.equal(played(1).points, played(1).points)
    assert not torch.equal(played(1).points[:2], played(2).points[:2])


def test_errors():
    table = torch.zeros(1, 2, 3, dtype=torch.int64)
    for wrong, message in (
        (lambda: SymbolMaps(table[0], 2), "worlds, objects, points"),
        (lambda: SymbolMaps(table.float(), 2), "int64"),
        (lambda: SymbolMaps(table + 2, 2), "symbols are 0 ... 1"),
        (lambda: SymbolMaps(table, 2, noise=1.5), "probability"),
        (lambda: evidence(SymbolMaps(table, 2), torch.tensor([[[3]]]), torch.tensor([[[0]]])), "points are 0 ... 2"),
        (lambda: evidence(SymbolMaps(table, 2), torch.tensor([[[0]]]), torch.tensor([[[3]]])), "symbols are 0 ... 2"),
        (lambda: RandomTouches(3, 4), "can't touch"),
        (lambda: MostInformative(SymbolMaps(table, 2), 4), "can't touch"),
        (lambda: MostInformative(worlds(points=12, features=30, noise=0.1), 6), "fewer columns"),
    ):
        with pytest.raises(ValueError, match=message):
            wrong()
