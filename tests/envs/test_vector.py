import pickle
import warnings

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.envs.registration import EnvSpec
from gymnasium.error import ClosedEnvironmentError, ResetNeeded
from gymnasium.utils.env_checker import check_env
from gymnasium.vector import AutoresetMode, SyncVectorEnv

import cortical.envs  # noqa: F401
from cortical.envs.bodies import RADIUS, Eye, Limits, move
from cortical.envs.clearance import Clearance
from cortical.envs.flock import move_all
from cortical.envs.placing import random_rotations
from cortical.envs.sensors import shared_catalogue
from cortical.envs.simulation import Simulation
from cortical.envs.vector import ObjectVectorEnv

pytest.importorskip("pybullet", reason="PyBullet is not installed")
pytest.importorskip("embreex", reason="embreex is not installed")

EXPLORE, RECOGNISE = "cortical/ObjectExplore-v0", "cortical/ObjectRecognition-v0"
IDS = sorted(spec.id for spec in gym.registry.values() if "cortical.envs" in str(spec.vector_entry_point))


def make(name=EXPLORE, count=3, **settings):
    return gym.make_vec(name, count, **{"objects": "solids", **settings})


def sync(name=EXPLORE, count=3, autoreset_mode="NextStep", **settings):
    kinds = {"vectorization_mode": "sync", "vector_kwargs": {"autoreset_mode": autoreset_mode}}
    return gym.make_vec(name, count, **kinds, **{"objects": "solids", **settings})


def same(first, second, at="", exact=True):
    """Hold two nested results against each other, to the bit: dicts, arrays, arrays of dicts."""
    if isinstance(first, dict):
        assert isinstance(second, dict) and set(first) == set(second), (at, set(first) ^ set(second))
        for key in first:
            same(first[key], second[key], f"{at}/{key}", exact)
    elif isinstance(first, np.ndarray) and first.dtype == object:
        assert isinstance(second, np.ndarray) and len(first) == len(second), at
        for k, (a, b) in enumerate(zip(first, second, strict=True)):
            same(a, b, f"{at}[{k}]", exact)
    elif isinstance(first, np.ndarray):
        assert first.dtype == second.dtype and first.shape == second.shape, (at, first.dtype, second.dtype)
        assert np.array_equal(first, second) or not exact, (at, first, second)
        np.testing.assert_allclose(first, second, atol=1e-12, err_msg=at)
    else:
        assert first == second, at


def actions_for(worlds, step, reach=0.3):
    """Small moves, so that gazes stay on their objects, and now and then large ones, which meet them."""
    random = np.random.default_rng(step)
    size = 1.0 if step % 5 == 4 else reach
    drawn = random.uniform(-size, size, (worlds.num_envs, 5)).astype(np.float32)
    space = worlds.single_action_space
    if isinstance(space, gym.spaces.Dict):
        said = np.where(random.random(worlds.num_envs) < 0.2, random.integers(0, 8, worlds.num_envs), 0)
        pose = {
            "position": random.uniform(-0.05, 0.05, (worlds.num_envs, 3)).astype(np.float32),
            "rotation": random.uniform(-1, 1, (worlds.num_envs, 6)).astype(np.float32),
        }
        return {"move": drawn, "answer": said.astype(np.int64), "pose": pose}
    rest = random.uniform(-1, 1, (worlds.num_envs, space.shape[0] - 5)).astype(np.float32)
    if rest.shape[1]:
        rest[:, 0] = np.where(random.random(worlds.num_envs) < 0.8, 1.0, -1.0)
    return np.concatenate([drawn, rest], axis=1)


CASES = [
    (EXPLORE, {}),
    (EXPLORE, {"noise": "noise", "columns": 5, "obs_mode": "both", "pixels": 6}),
    (EXPLORE, {"noise": "dropout", "columns": 9, "obs_mode": "both", "scene": "table", "objects": "default"}),
    (EXPLORE, {"noise": "rawnoise", "columns": 4, "obs_mode": "patch", "scene": "table"}),
    (EXPLORE, {"noise": "dropout", "columns": 2, "obs_mode": "features", "objects": "default"}),
    (RECOGNISE, {"noise": "noise", "reward_mode": "information", "scene": "table"}),
    (RECOGNISE, {"noise": "clean", "reward_mode": "sparse", "action_mode": "flat", "obs_mode": "patch"}),
    (RECOGNISE, {"noise": "dropout", "columns": 4, "reward_mode": "none", "action_mode": "flat"}),
]


@pytest.mark.parametrize("mode", ["NextStep", "SameStep"])
@pytest.mark.parametrize(("name", "settings"), CASES, ids=str)
def test_equal_to_the_single_environments_to_the_bit(name, settings, mode):
    ours = make(name, autoreset_mode=mode, max_episode_steps=7, **settings)
    theirs = sync(name, autoreset_mode=mode, max_episode_steps=7, **settings)
    assert isinstance(ours, ObjectVectorEnv) and isinstance(theirs, SyncVectorEnv)
    assert ours.metadata["autoreset_mode"] == theirs.metadata["autoreset_mode"] == AutoresetMode(mode)
    assert ours.observation_space == theirs.observation_space and ours.action_space == theirs.action_space
    try:
        for a, b in zip(ours.reset(seed=5), theirs.reset(seed=5), strict=True):
            same(a, b)
        ends = 0
        for step in range(18):
            action = actions_for(ours, step)
            mine, single = ours.step(action), theirs.step(action)
            for a, b in zip(mine, single, strict=True):
                same(a, b, f"step {step}", exact=name == EXPLORE)
            assert ours.observation_space.contains(mine[0])
            ends += int(mine[2].sum() + mine[3].sum())
        assert ends > 5, "episodes must end for this to try anything"
    finally:
        ours.close()
        theirs.close()


def test_worlds_reset_by_mask_when_nothing_resets_by_itself():
    ours, theirs = (
        make(autoreset_mode="Disabled", max_episode_steps=4),
        sync(autoreset_mode="Disabled", max_episode_steps=4),
    )
    for a, b in zip(ours.reset(seed=[1, 2, 3]), theirs.reset(seed=[1, 2, 3]), strict=True):
        same(a, b)
    mask = np.array([False, True, False])
    for step in range(10):
        action = actions_for(ours, step)
        mine, single = ours.step(action), theirs.step(action)
        for a, b in zip(mine, single, strict=True):
            same(a, b)
        mask = mine[3] if mine[3].any() else np.array([False, step == 1, False])
        if mask.any():
            if mine[3].any():
                with pytest.raises(ResetNeeded, match="reset_mask"):
                    ours.step(action)
            for a, b in zip(
                ours.reset(options={"reset_mask": mask, "object": "torus"}),
                theirs.reset(options={"reset_mask": mask.copy(), "object": "torus"}),
                strict=True,
            ):
                same(a, b)


def test_made_by_gymnasium_without_a_warning():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for name in (EXPLORE, RECOGNISE):
            worlds = make(name, 64)
            assert isinstance(worlds, ObjectVectorEnv) and worlds.spec.max_episode_steps == 500
            observation, info = worlds.reset(seed=0)
            assert observation["location"].shape == (64, 1, 3) and len(set(info["truth"]["object"])) > 4
            worlds.step(actions_for(worlds, 0))
            spec = EnvSpec.from_json(worlds.spec.to_json())
            assert spec.kwargs == worlds.spec.kwargs == pickle.loads(pickle.dumps(worlds.spec)).kwargs
            worlds.close()
            worlds.close()
            for use in (lambda w=worlds: w.step(actions_for(w, 0)), worlds.reset):
                with pytest.raises(ClosedEnvironmentError):
                    use()


def test_gymnasium_wrappers_for_vectors_work():
    worlds = gym.wrappers.vector.RecordEpisodeStatistics(make(RECOGNISE, action_mode="flat", max_episode_steps=3))
    worlds.reset(seed=0)
    for step in range(4):
        *_, info = worlds.step(actions_for(worlds, 4 * step))
        if "episode" in info:
            break
    assert info["episode"]["l"].max() >= 1
    lists = gym.wrappers.vector.DictInfoToList(make())
    _, infos = lists.reset(seed=0)
    assert [set(info) for info in infos] == [{"truth", "path_length", "blocked"}] * 3


@pytest.mark.parametrize("name", IDS)
def test_every_registered_world(name):
    """Gymnasium's own checker, and its vectors, without a warning."""
    assert {EXPLORE, RECOGNISE} <= set(IDS)
    env = gym.make(name, objects="solids", render_mode="rgb_array")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_env(env.unwrapped)
        for mode in ("sync", "async"):
            worlds = gym.make_vec(name, 2, vectorization_mode=mode, objects="solids")
            try:
                worlds.reset(seed=1)
                worlds.action_space.seed(0)
                for _ in range(2):
                    observation = worlds.step(worlds.action_space.sample())[0]
                assert worlds.observation_space.contains(observation)
            finally:
                worlds.close()


def test_seeds():
    worlds = make()
    first = worlds.reset(seed=3)[0]
    assert worlds.np_random_seed == (3, 4, 5) and len(worlds.np_random) == 3
    again = worlds.reset()[0]
    assert not np.array_equal(first["eye_position"], again["eye_position"]), "generators go on"
    listed = worlds.reset(seed=[3, None, 5])[0]
    for k, alike in enumerate((True, False, True)):
        assert np.array_equal(first["eye_position"][k], listed["eye_position"][k]) == alike


def test_pictures():
    worlds = make(render_mode="rgb_array", scene="table")
    worlds.reset(seed=0)
    single = gym.make(EXPLORE, objects="solids", render_mode="rgb_array", scene="table")
    single.reset(seed=1)
    pictures = worlds.render()
    assert len(pictures) == 3 and np.array_equal(pictures[1], single.render())
    assert make().render() is None


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"backend": "camera"}, "vectorization_mode"),
        ({"fingers": 1}, "vectorization_mode"),
        ({"body": "arm"}, "vectorization_mode"),
        ({"count": 0}, "at least 1"),
        ({"autoreset_mode": "Sometimes"}, "Sometimes"),
        ({"noise": "loud"}, "noise must be one of"),
        ({"name": RECOGNISE, "action_mode": "both"}, "action_mode"),
        ({"name": RECOGNISE, "reward_mode": "much"}, "reward_mode"),
    ],
)
def test_wrong_settings(settings, message):
    with pytest.raises(ValueError, match=message):
        make(**settings)


def test_wrong_calls():
    worlds = make()
    with pytest.raises(ResetNeeded):
        worlds.step(np.zeros((3, 5)))
    mask = np.array([True, False, False])
    with pytest.raises(ResetNeeded):
        worlds.reset(options={"reset_mask": mask})
    worlds.reset(seed=0)
    for wrong in (np.zeros(5), np.zeros((2, 5)), np.full((3, 5), np.nan), np.full((3, 5), 1e200), [["a"] * 5] * 3):
        with pytest.raises(ValueError, match="5 finite numbers"):
            worlds.step(wrong)
    for wrong in (mask[:2], mask & False, mask.astype(int)):
        with pytest.raises(ValueError, match="reset_mask"):
            worlds.reset(options={"reset_mask": wrong})
    with pytest.raises(ValueError, match="3 in a list"):
        worlds.reset(seed=[1, 2])
    with pytest.raises(ValueError, match="did you mean 'torus'"):
        worlds.reset(options={"object": "torsu"})
    worlds.step(np.zeros((3, 5)))


def test_eyes_move_together_as_one_by_one():
    random = np.random.default_rng(0)
    limits = Limits(reach=0.4)
    position, rotation = random.uniform(-0.3, 0.3, (300, 3)), random_rotations(300, random)
    actions = random.uniform(-1.2, 1.2, (300, 5)) * random.choice([0.0, 1e-13, 0.1, 1.0], (300, 1))
    free = random.uniform(0.0, 0.3, 300)
    moved = move_all(position, rotation, actions, limits, lambda start, end, radius: free)
    for k in range(300):
        eye, went, blocked = move(Eye(position[k], rotation[k]), actions[k], limits, lambda *_, k=k: free[k])
        assert np.array_equal(eye.position, moved[0][k]) and np.array_equal(eye.rotation, moved[1][k])
        assert went == moved[2][k] and blocked == moved[3][k]


@pytest.mark.parametrize("name", ["torus", "cone", "box"])
def test_what_a_grid_calls_free_is_free(name):
    catalogue, random, clearance = shared_catalogue("solids"), np.random.default_rng(0), Clearance("solids")
    slot = clearance.slot(catalogue.index(name))
    count, sure = 1500, 0
    turns, places = random_rotations(count, random), random.uniform(-0.05, 0.05, (count, 3))
    starts, ways = random.uniform(-0.15, 0.15, (count, 3)), random.standard_normal((count, 3))
    ways /= np.linalg.norm(ways, axis=1, keepdims=True)
    ends = starts + random.uniform(0.01, 0.2, (count, 1)) * ways
    lengths, free = clearance.free(np.full(count, slot), places, turns, starts, ends, RADIUS)
    with Simulation() as simulation:
        simulation.add_mesh(name, catalogue.mesh(name), places[0], turns[0])
        for k in range(count):
            simulation.move(name, places[k], turns[k])
            exact = simulation.free_length(starts[k], ends[k], RADIUS)
            assert exact >= min(free[k], lengths[k]) - 1e-9, (k, free[k], exact)
            told = simulation.free_length(starts[k], ends[k], RADIUS, name, min(free[k], 9.0))
            assert told == exact
            sure += np.isinf(free[k])
    assert sure > 0.4 * count, "most paths need no collision test"
