"""Fingers as bodies of the world."""

import gymnasium as gym
import numpy as np
import pytest

import cortical.envs  # noqa: F401
from cortical.envs.explore import ObjectExploreEnv
from cortical.envs.testing import check_env_contract

pytest.importorskip("pybullet", reason="PyBullet is not installed")
NAME = "cortical/ObjectExplore-v0"


@pytest.mark.parametrize(
    "settings",
    [
        {"columns": 0, "fingers": 1},
        {"columns": 1, "fingers": 2, "noise": "noise"},
        {"columns": 4, "fingers": 1, "noise": "dropout", "scene": "table", "obs_mode": "both"},
        {"columns": 0, "fingers": 1, "noise": "rawnoise", "obs_mode": "patch"},
    ],
    ids=str,
)
def test_contract(settings):
    if settings.get("obs_mode") == "patch":
        env = gym.make(NAME, objects="solids", **settings)
        observation, _ = env.reset(seed=0)
        assert not observation["patch"].any()
        env.close()
    else:
        check_env_contract(gym.make(NAME, objects="solids", **settings))


def test_an_action_has_five_numbers_a_body():
    env = ObjectExploreEnv(objects="solids", columns=1, fingers=2)
    env.reset(seed=0)
    assert env.action_space.shape == (15,) and len(env.bodies) == 3
    with pytest.raises(ValueError, match="15 finite numbers"):
        env.step(np.zeros(10, np.float32))
    env.close()


def test_every_body_moves_by_its_own_numbers():
    env = ObjectExploreEnv(objects="solids", columns=1, fingers=2)
    before, _ = env.reset(seed=0, options={"object": "sphere"})
    action = np.zeros(15, np.float32)
    action[5:7] = 0.05
    after = env.step(action)[0]
    assert np.array_equal(before["eye_position"], after["eye_position"])
    moved = np.linalg.norm(after["finger_position"] - before["finger_position"], axis=1)
    assert moved[0] > 0.005 and moved[1] < 1e-4
    env.close()


def test_a_finger_feels_the_sphere_it_follows():
    env = ObjectExploreEnv(objects="solids", columns=0, fingers=1)
    observation, info = env.reset(seed=2, options={"object": "sphere"})
    random, felt = np.random.default_rng(0), 0
    for _ in range(40):
        centre = info["truth"]["position"]
        if observation["on_object"][0]:
            felt += 1
            away = observation["location"][0] - centre
            assert np.linalg.norm(away) == pytest.approx(0.05, abs=2e-4)
            assert away @ observation["normal"][0] > 0.99 * 0.05
            assert np.allclose(observation["curvature"][0], 20.0, atol=3.0)
            assert not observation["rgb"].any() and not observation["hsv"].any()
        action = np.zeros(5, np.float32)
        action[:2] = random.uniform(-0.08, 0.08, 2)
        observation, *_, info = env.step(action)
    assert felt >= 38
    env.close()


def test_an_eye_sees_the_same_whether_or_not_there_is_a_finger():
    alone, both = (ObjectExploreEnv(objects="solids", fingers=f) for f in (0, 1))
    one, two = alone.reset(seed=5)[0], both.reset(seed=5)[0]
    for name in ("location", "normal", "rgb"):
        assert np.array_equal(one[name][0], two[name][0])
    alone.close(), both.close()


def test_what_is_pushed_moves_and_is_sensed_where_it_then_is():
    env = ObjectExploreEnv(objects="solids", scene="table")
    before, info = env.reset(seed=1, options={"object": "box"})
    x, y, z = info["truth"]["position"]
    assert env.push(np.array([x - 0.15, y, z]), np.array([x, y, z]))
    after, *_, info = env.step(np.zeros(5, np.float32))
    assert info["truth"]["position"][0] > x + 0.02
    assert not np.array_equal(before["location"], after["location"])
    assert not env.push(np.array([0.5, 0.5, z]), np.array([0.6, 0.5, z]))
    env.close()
    held = ObjectExploreEnv(objects="solids")
    held.reset(seed=1)
    with pytest.raises(ValueError, match="table"):
        held.push(np.zeros(3), np.ones(3))
    held.close()
