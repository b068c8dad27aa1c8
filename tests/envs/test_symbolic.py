"""The world of symbols as an environment: its contract, and that it is the world the ideal observer knows."""

import pickle
import subprocess
import sys
import warnings

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium.envs.registration import EnvSpec
from gymnasium.error import ClosedEnvironmentError, ResetNeeded
from gymnasium.utils.env_checker import check_env

import cortical.envs  # noqa: F401
from cortical.columns.symbolic import SymbolMaps
from cortical.columns.symbolic_policies import MostInformative, RandomTouches, play, touching
from cortical.envs.symbolic import SymbolicObjectsEnv

NAME = "cortical/SymbolicObjects-v0"


def make(**settings):
    return gym.make(NAME, **settings)


def raw(**settings):
    """Without gymnasium's own checks of actions."""
    return make(disable_env_checker=True, **settings).unwrapped


def touch(*points, answer=0):
    return {"move": np.array(points), "answer": answer}


@pytest.mark.parametrize("action_mode", ["dict", "flat"])
@pytest.mark.parametrize("render_mode", [None, "ansi"])
@pytest.mark.parametrize("settings", [{}, {"columns": 3, "noise": 0.2, "repeats": False}, {"objects": 1, "points": 1}])
def test_checked_without_a_warning(action_mode, render_mode, settings):
    env = make(action_mode=action_mode, render_mode=render_mode, **settings)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_env(env.unwrapped)


def test_an_episode():
    env = raw(objects=7, points=4, features=3, columns=2)
    observation, info = env.reset(seed=1, options={"object": 5})
    assert observation["location"].tolist() == [4, 4] and observation["feature"].tolist() == [3, 3]
    assert info == {"truth": {"object": 5}, "touches": 0}
    for k, points in enumerate(((0, 2), (3, 1), (2, 2)), start=1):
        observation, reward, ended, cut, info = env.step(touch(*points))
        assert observation["location"].tolist() == list(points)
        assert observation["feature"].tolist() == env.table[5, list(points)].tolist()
        assert all(part.dtype == np.int64 for part in observation.values())
        assert (reward, ended, cut) == (-0.05, False, False) and info == {"truth": {"object": 5}, "touches": k}
    last, reward, ended, cut, info = env.step(touch(0, 0, answer=6))
    assert (reward, ended, cut) == (1.0, True, False) and info["touches"] == 3, "an answer touches nothing"
    assert info["result"] == {"answer": 5, "right": True} and last["location"].tolist() == [2, 2]
    with pytest.raises(ResetNeeded):
        env.step(touch(0, 0))
    env.reset(seed=1, options={"object": 5})
    *_, reward, ended, _, info = env.step(touch(0, 0, answer=7))
    assert reward == -1.0 and ended and info["result"] == {"answer": 6, "right": False}


def test_flat_actions_say_the_same():
    flat, apart = raw(action_mode="flat", columns=2, noise=0.3), raw(columns=2, noise=0.3)
    for env in (flat, apart):
        env.reset(seed=4)
    for points, answer in (((0, 1), 0), ((9, 3), 0), ((2, 2), 17)):
        first, second = flat.step(np.array([*points, answer])), apart.step(touch(*points, answer=answer))
        assert all(np.array_equal(value, second[0][name]) for name, value in first[0].items())
        assert first[1:] == second[1:]
    assert sum(flat.sizes.values()) == flat.action_space.shape[0]


def test_seeds():
    one, same, other = raw(world_seed=3), raw(world_seed=3), raw(world_seed=4)
    assert np.array_equal(one.table, same.table) and not np.array_equal(one.table, other.table)
    drawn = [one.reset(seed=s)[1]["truth"]["object"] for s in range(300)]
    assert drawn == [same.reset(seed=s)[1]["truth"]["object"] for s in range(300)] and len(set(drawn)) > 80
    assert len({one.reset()[1]["truth"]["object"] for _ in range(20)}) > 5, "the generator goes on"
    plain, chosen = raw(noise=0.5), raw(noise=0.5)
    plain.reset(seed=2)
    chosen.reset(seed=2, options={"object": plain.reset(seed=2)[1]["truth"]["object"]})
    for k in range(10):
        assert plain.step(touch(k))[0]["feature"] == chosen.step(touch(k))[0]["feature"], "noise is the episode's"


def test_symbols_are_uniform():
    table = raw(objects=2000, features=4).table
    assert table.shape == (2000, 10) and not table.flags.writeable
    share = np.stack([np.bincount(column, minlength=4) for column in table.T]) / 2000
    assert np.abs(share - 0.25).max() < 0.05


def test_noise_replaces_symbols():
    env = raw(noise=0.4, features=4, columns=10, objects=3)
    env.reset(seed=0, options={"object": 1})
    felt = np.stack([env.step(touch(*range(10)))[0]["feature"] for _ in range(2000)])
    assert np.abs((felt == env.table[1]).mean(axis=0) - (0.6 + 0.4 / 4)).max() < 0.04
    wrong = (env.table[1, 0] + 1) % 4
    assert abs((felt[:, 0] == wrong).mean() - 0.1) < 0.03
    both = (felt[:, 0] != env.table[1, 0]) & (felt[:, 1] != env.table[1, 1])
    assert abs(both.mean() - 0.3**2) < 0.03, "columns err independently"


def test_without_repeats_a_point_is_felt_once():
    env = raw(repeats=False, columns=2, features=5, render_mode="ansi")
    env.reset(seed=0, options={"object": 2})
    row = env.table[2]
    assert env.step(touch(4, 4))[0]["feature"].tolist() == [row[4], row[4]]
    assert env.step(touch(4, 7))[0]["feature"].tolist() == [5, row[7]]
    assert env.step(touch(7, 4))[0]["feature"].tolist() == [5, 5]
    assert env.render() == f"touch 3: . . . . {row[4]} . . {row[7]} . ."
    env.reset(seed=0, options={"object": 2})
    assert env.step(touch(4, 7))[0]["feature"].tolist() == [row[4], row[7]]
    assert raw().render() is None


@pytest.mark.parametrize("mode", ["sync", "async"])
def test_worlds_side_by_side(mode):
    settings = {"columns": 2, "noise": 0.3}
    worlds = gym.make_vec(NAME, 3, vectorization_mode=mode, **settings)
    singles = [make(**settings) for _ in range(3)]
    try:
        many, info = worlds.reset(seed=5)
        alone = [env.reset(seed=5 + k) for k, env in enumerate(singles)]
        assert info["truth"]["object"].tolist() == [i["truth"]["object"] for _, i in alone]
        for step in range(4):
            points, answers = np.random.default_rng(step).integers(10, size=(3, 2)), np.array([0, 0, 9 * (step == 3)])
            many, rewards, ended, *_ = worlds.step({"move": points, "answer": answers})
            for k, env in enumerate(singles):
                one, reward, over, *_ = env.step({"move": points[k], "answer": answers[k]})
                assert all(np.array_equal(many[name][k], one[name]) for name in one)
                assert (rewards[k], ended[k]) == (reward, over)
        assert worlds.observation_space.contains(many) and ended.tolist() == [False, False, True]
    finally:
        worlds.close()


def test_it_is_truncated():
    env = gym.make(NAME, max_episode_steps=3)
    env.reset(seed=0)
    assert [env.step(touch(k))[3] for k in range(3)] == [False, False, True]
    assert gym.spec(NAME).max_episode_steps == 500


def test_a_spec_survives_json_and_pickling():
    env = make(features=5, columns=3, noise=0.1, repeats=False, world_seed=9)
    again = EnvSpec.from_json(env.spec.to_json())
    assert again.kwargs == env.spec.kwargs == pickle.loads(pickle.dumps(env.spec)).kwargs
    assert np.array_equal(gym.make(again).unwrapped.table, env.unwrapped.table)


@pytest.mark.parametrize(("columns", "made"), [(1, MostInformative), (3, lambda _: RandomTouches(10, 3, True))])
def test_the_ideal_observer_touches_as_on_the_table(columns, made):
    """Same seed, same worlds: the same touches to the last, and every certain answer is right."""
    worlds = gym.make_vec(NAME, 60, vectorization_mode="sync", features=5, columns=columns, world_seed=2)
    _, info = worlds.reset(seed=3)
    maps = SymbolMaps(torch.from_numpy(worlds.envs[0].unwrapped.table.copy())[None], 5)

    def feel(points):
        action = {"move": points[0].numpy(), "answer": np.zeros(60, np.int64)}
        return torch.from_numpy(worlds.step(action)[0]["feature"])[None]

    target = torch.from_numpy(info["truth"]["object"])[None]
    first, second = (
        play(maps, 60, way, made(maps), torch.Generator().manual_seed(1))
        for way in (feel, touching(maps, target, torch.Generator()))
    )
    assert torch.equal(first.points, second.points) and torch.equal(first.touches, second.touches)
    assert bool(first.certain.all()) and len(first.points) > 2 - (columns > 1)
    said = {"move": np.zeros((60, columns), np.int64), "answer": 1 + first.answer[0].numpy()}
    _, rewards, ended, _, info = worlds.step(said)
    assert ended.all() and (rewards == 1.0).all() and info["result"]["right"].all()


def test_it_needs_no_simulator(tmp_path):
    code = (
        "import sys\n"
        "for name in ('pybullet', 'embreex', 'numba', 'trimesh', 'torch'): sys.modules[name] = None\n"
        "import gymnasium, cortical.envs\n"
        f"print(gymnasium.make({NAME!r}).reset(seed=0)[1]['touches'])"
    )
    command = [sys.executable, "-I", "-c", code]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0 and done.stdout.strip() == "0", done.stderr


@pytest.mark.parametrize(
    ("action", "message"),
    [
        (touch(10), "point of 0 ... 9"),
        (touch(-1), "point of 0 ... 9"),
        (touch(0.5), "move must be 1 whole"),
        (touch(1, 2), "move must be 1 whole"),
        (touch(np.nan), "move must be 1 whole"),
        (touch(0, answer=101), "answer is 0"),
        (touch(0, answer=-1), "answer is 0"),
        (touch(0, answer=1.0), "whole number"),
        (touch(0, answer="mug"), "whole number"),
        (touch(0, answer=np.uint64(2**64 - 1)), "answer is 0"),
        ({"move": None, "answer": 0}, "move must be"),
        ({"move": [[1], [1, 2]], "answer": 0}, "move must be"),
        ({"move": np.array([1])}, "dict of move, answer"),
        (np.array([1, 0]), "dict of move, answer"),
        (None, "dict of move, answer"),
    ],
)
def test_wrong_actions(action, message):
    env = raw()
    env.reset(seed=0)
    with pytest.raises(ValueError, match=message):
        env.step(action)
    assert env.step(touch(0))[4]["touches"] == 1, "and nothing was touched"


def test_wrong_flat_actions():
    env = raw(action_mode="flat", columns=2)
    env.reset(seed=0)
    for wrong, message in (
        (np.zeros(2, int), "3 whole numbers"),
        (np.zeros(3), "3 whole numbers"),
        ({}, "flat action"),
        (np.array([0, 10, 0]), "point of"),
        (np.array([0, 0, 101]), "answer is"),
    ):
        with pytest.raises(ValueError, match=message):
            env.step(wrong)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"objects": 0}, "objects must be a whole number of at least 1"),
        ({"objects": "solids"}, "objects must be a whole number"),
        ({"points": 2.5}, "points must be"),
        ({"features": True}, "features must be"),
        ({"columns": 11}, "give more points"),
        ({"noise": -0.1}, "probability"),
        ({"noise": "noise"}, "probability"),
        ({"noise": float("nan")}, "probability"),
        ({"cost": float("inf")}, "cost must be"),
        ({"world_seed": -1}, "world_seed must be"),
        ({"action_mode": "both"}, "must be one of 'dict', 'flat'"),
        ({"render_mode": "rgb_array"}, "must be one of None, 'ansi'"),
    ],
)
def test_wrong_settings(settings, message):
    with pytest.raises(ValueError, match=message):
        SymbolicObjectsEnv(**settings)


def test_wrong_options_and_order():
    env = raw()
    with pytest.raises(ResetNeeded):
        env.step(touch(0))
    for options, message in (
        ({"objct": 1}, "did you mean 'object'"),
        ({"gaze": 1}, "there is: object"),
        ({"object": 100}, "0 ... 99"),
        ({"object": "mug"}, "whole number"),
    ):
        with pytest.raises(ValueError, match=message):
            env.reset(options=options)
    env.close()
    env.close()
    for call in (env.reset, lambda: env.step(touch(0))):
        with pytest.raises(ClosedEnvironmentError):
            call()
