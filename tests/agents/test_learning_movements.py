"""Movements while learning: within the limits, the same twice, to where the map is empty, thin or surprising."""

import math
import sys
from dataclasses import replace
from pathlib import Path
from runpy import run_path

import numpy as np
import pytest
import torch

from cortical.agents.learning import Learner, learn_objects, learning_eye
from cortical.agents.learning_movements import WEIGHED, Coverage, RandomWalk, candidates, glances, make_mover
from cortical.agents.learning_space import Space, gain, sensed, value
from cortical.agents.policies.policy import DISTANCE
from cortical.agents.records import RunError, RunFolder, learning_settings
from cortical.agents.sensing import Senses
from cortical.columns.messages import Sensation
from cortical.configs.load import ConfigError, from_dict, load, to_dict, validate
from cortical.configs.schema import Experiment, LearnConfig, Learning, WorldConfig
from cortical.envs.bodies import Eye, Limits, looking
from cortical.envs.explore import ObjectExploreEnv

BENCHMARK = Path(__file__).parents[2] / "benchmarks" / "movement_learning.py"
sys.path.insert(0, str(BENCHMARK.parent))
MOVERS: tuple[Learning, ...] = ("coverage", "random_walk")
HERE = Eye(np.array([0.0, 0.0, DISTANCE]), looking(np.array([0.0, 0.0, -1.0])))


def freely(movement: Learning = "coverage", count=12, seed=0) -> Experiment:
    learn = LearnConfig(movement=movement, glances=count)
    return replace(load(), world=WorldConfig(objects="solids"), learn=learn, seed=seed)


@pytest.fixture(scope="module")
def env():
    env = ObjectExploreEnv.from_config(WorldConfig(objects="solids"), learning_eye(freely()))
    yield env
    env.close()


def flat_glance(x: float, normal=(0.0, 0.0, 1.0)) -> Sensation:
    """Nine readings of a plane at z = 0, seen from straight above, 5 mm apart about (x, 0)."""
    grid = torch.stack(torch.meshgrid(*[torch.arange(-1.0, 2.0) * 0.005] * 2, indexing="ij"), -1).reshape(-1, 2)
    location = torch.cat([grid + torch.tensor([x, 0.0]), torch.zeros(9, 1)], 1)[None]
    origin, yes = location + torch.tensor([0.0, 0.0, DISTANCE]), torch.ones(1, 9, dtype=torch.bool)

    def same(vector):
        return torch.tensor(vector).expand(1, 9, len(vector))

    return Sensation(
        origin, same((0.0, 0.0, -1.0)), location, same(tuple(normal)), same((1.0, 0.0, 0.0)), same((0.0, 0.0)),
        same((0.5, 0.5, 0.5)), torch.zeros(1, 9, 0, dtype=torch.int64), yes, yes,
    )  # fmt: skip


def down(*x: float) -> tuple[np.ndarray, np.ndarray]:
    """Rays straight down at these x."""
    origin = np.array([(a, 0.0, DISTANCE) for a in x])
    return origin, np.tile([0.0, 0.0, -1.0], (len(x), 1))


@pytest.mark.parametrize("name", ["torus", "box", "cone"])
def test_coverage_sees_more_of_a_surface_than_the_random_walk(name):
    nodes = {}
    for movement in MOVERS:
        learner = Learner(freely(movement))
        nodes[movement] = [len(m) for m in learner.growing(name, (6, 24))]
        learner.env.close()
    assert nodes["coverage"][1] > 1.3 * nodes["random_walk"][1]


@pytest.mark.parametrize("movement", MOVERS)
def test_movements_keep_the_limits(env, movement):
    mover, eye = make_mover(movement, env, np.random.default_rng(1)), None
    seen = glances(env, Senses(coded=False), "box", mover, 15, 3)
    for _ in seen:
        if eye is not None:
            went = np.linalg.norm(env.eye.position - eye.position)
            turned = math.acos(min(1.0, float(env.eye.rotation[:, 2] @ eye.rotation[:, 2])))
            assert went <= env.limits.max_path + 1e-6 and turned <= env.limits.max_turn + 1e-6
            assert np.linalg.norm(env.eye.position) == pytest.approx(DISTANCE, abs=0.002)
        eye = env.eye


@pytest.mark.parametrize("movement", MOVERS)
def test_what_is_asked_for_is_within_tight_limits(env, movement):
    tight = Limits(max_path=0.03, max_turn=math.radians(8.0))
    mover = make_mover(movement, env, np.random.default_rng(0))
    mover.see(flat_glance(0.0))
    for _ in range(20):
        origin, gaze = mover.next(HERE, tight)
        assert np.linalg.norm(origin - HERE.position) <= tight.max_path + 1e-9
        assert gaze @ HERE.rotation[:, 2] / np.linalg.norm(gaze) >= math.cos(tight.max_turn) - 1e-9


@pytest.mark.parametrize("movement", MOVERS)
def test_same_seed_same_bits_and_another_seed_another_map(movement):
    maps = []
    for seed in (5, 5, 6):
        learner = Learner(freely(movement, 6, seed))
        maps.append(learner.learn("capsule"))
        assert learner.readings == 6 * 25
        learner.env.close()
    assert torch.equal(maps[0].keys, maps[1].keys) and torch.equal(maps[0].sums, maps[1].sums)
    assert not torch.equal(maps[0].keys, maps[2].keys)


def test_the_map_grows_from_the_same_glances_whatever_the_budgets():
    learner = Learner(freely())
    whole, (_, parts) = learner.learn("torus"), learner.growing("torus", (5, 12))
    learner.env.close()
    assert torch.equal(whole.keys, parts.keys)
    torch.testing.assert_close(whole.sums, parts.sums)


def test_beside_what_is_known_is_worth_more_than_what_is_known_and_nothing_is_hoped_for_far_off():
    known, beside, far = gain(sensed(Space.empty(), flat_glance(0.0)), *down(0.0, 0.016, 0.1))
    assert beside > 1.3 * known and far == 0.0


def test_a_thin_place_is_worth_more_than_one_sensed_often():
    space = sensed(Space.empty(), flat_glance(-0.02))
    for _ in range(4):
        space = sensed(space, flat_glance(0.02))
    thin, often = gain(space, *down(-0.02, 0.02))
    assert thin > 2 * often > 0
    assert value(np.zeros(1)) == 1.0


def test_a_place_where_surface_was_not_as_foreseen_is_worth_more():
    """The same readings, in one place after others that foresee them, in the other after such that foresee a wall."""
    after = [sensed(Space.empty(), flat_glance(0.0, normal)) for normal in ((0.0, 0.0, 1.0), (1.0, 0.0, 0.0))]
    foreseen, surprising = (sensed(space, flat_glance(0.0)) for space in after)
    new = [
        space.known[:, 2].sum() - before.known[:, 2].sum()
        for space, before in zip((foreseen, surprising), after, strict=True)
    ]
    assert new[1] < 0.7 * new[0]
    assert gain(surprising, *down(0.0))[0] > 2 * gain(foreseen, *down(0.0))[0]


def test_rays_that_passed_end_the_hope():
    space = sensed(Space.empty(), flat_glance(0.0))
    missed = replace(flat_glance(0.02), on_object=torch.zeros(1, 9, dtype=torch.bool))
    hoped = gain(space, *down(0.02))[0]
    assert 0 < gain(sensed(space, missed), *down(0.02))[0] < 0.5 * hoped
    lost = replace(missed, valid=torch.zeros(1, 9, dtype=torch.bool))
    assert gain(sensed(space, lost), *down(0.02))[0] == hoped


def test_what_is_known_hides_what_lies_behind():
    space = sensed(Space.empty(), flat_glance(0.0))
    up = np.array([[0.0, 0.0, -DISTANCE]]), np.array([[0.0, 0.0, 1.0]])
    assert gain(space, *up)[0] == 0.0  # the back of a surface teaches nothing


def test_sensing_leaves_the_space_before_it_as_it_was():
    before = sensed(Space.empty(), flat_glance(0.0))
    kept = before.known.copy(), before.hope.copy(), before.passed.copy()
    sensed(before, flat_glance(0.02))
    for now, then in zip((before.known, before.hope, before.passed), kept, strict=True):
        np.testing.assert_array_equal(now, then)


def test_candidates_are_within_the_limits_and_none_without_hope():
    limits, random = Limits(max_path=0.05), np.random.default_rng(0)
    assert candidates(Space.empty(), HERE, limits, random) is None
    found = candidates(sensed(Space.empty(), flat_glance(0.0)), HERE, limits, random)
    assert found is not None and 0 < len(found[0]) <= WEIGHED
    assert np.linalg.norm(found[0] - HERE.position, axis=1).max() <= limits.max_path


def test_with_nothing_seen_the_eye_searches(env):
    for mover in (make_mover(name, env, np.random.default_rng(0)) for name in MOVERS):
        nothing = flat_glance(0.0)
        mover.see(replace(nothing, on_object=torch.zeros(1, 9, dtype=torch.bool)))
        origin, gaze = mover.next(HERE, env.limits)
        assert np.isfinite(origin).all() and np.linalg.norm(gaze) > 0


def test_movers_by_name(env):
    random = np.random.default_rng(0)
    assert isinstance(make_mover("coverage", env, random), Coverage)
    assert isinstance(make_mover("random_walk", env, random), RandomWalk)
    with pytest.raises(ValueError, match="choose coverage or random_walk"):
        make_mover("views", env, random)


def test_bad_settings_are_refused():
    with pytest.raises(ConfigError, match=r"did you mean 'coverage'.*one of views, coverage, random_walk"):
        from_dict({"learn": {"movement": "coverags"}})
    with pytest.raises(ConfigError, match=r"learn\.glances = 0, but it must be from 1"):
        validate(freely(count=0))


def test_settings_survive_the_round_trip():
    assert from_dict(to_dict(freely("random_walk", 7))) == freely("random_walk", 7)


def test_maps_from_views_are_what_they_were_before_there_was_a_choice():
    plain = learning_settings(load())
    assert set(plain) & {"movement", "glances", "seed"} == set()
    assert plain == learning_settings(replace(load(), seed=3, learn=LearnConfig(glances=7)))
    moved = learning_settings(freely())
    assert {"movement": "coverage", "glances": 12, "seed": 0}.items() <= moved.items()


def test_learning_goes_on_with_the_same_settings_alone(tmp_path):
    def learnt(experiment):
        told = []
        folder = RunFolder.for_maps(tmp_path, experiment)
        learn_objects(experiment, ("box",), folder, lambda name, readings: told.append(readings))
        return told

    assert learnt(freely(count=2)) == [50]
    assert learnt(freely(count=2)) == [0]
    for other in (freely(count=3), freely("random_walk", 2), freely(count=2, seed=1)):
        with pytest.raises(RunError, match="learnt with other settings"):
            learnt(other)


def test_glances_needed_are_read_off_a_monotone_curve_in_the_logarithm():
    crossing = run_path(str(BENCHMARK))["crossing"]
    assert crossing((10, 40), np.array([0.98, 1.0])) == pytest.approx(20.0)
    dip = crossing((10, 20, 40, 80), np.array([0.9, 0.99, 0.97, 1.0]))  # 99 % once is not yet 99 %
    assert dip == pytest.approx(math.exp(math.log(40) + 0.5 * math.log(2)))
    assert crossing((10, 20), np.array([0.9, 0.98])) == math.inf
    assert crossing((10, 20), np.array([1.0, 1.0])) == 10


def test_figures_without_a_result_say_what_to_run(tmp_path):
    figures = run_path(str(BENCHMARK))["figures"]
    figures.__globals__["RESULT"] = tmp_path / "none.json"
    with pytest.raises(RuntimeError, match=r"run `python benchmarks/movement_learning\.py` first"):
        figures()
