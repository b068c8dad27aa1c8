"""An arm as the body of the world: what a floating eye and finger do, within its joints and without collision."""

import math

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.error import ResetNeeded

import cortical.envs  # noqa: F401
from cortical.configs.load import ConfigError, from_dict, load
from cortical.envs.bodies import encode
from cortical.envs.explore import ObjectExploreEnv
from cortical.envs.testing import check_env_contract
from cortical.envs.touch import RADIUS

pytest.importorskip("pybullet", reason="PyBullet is not installed")
NAME = "cortical/ObjectExplore-v0"
UP = np.array([0.0, 0.0, 1.0])


def arm_env(**settings):
    return ObjectExploreEnv(**{"objects": "solids", "scene": "table", "body": "arm", "fingers": 1, **settings})


def wish(env, random):
    """Look at the object and touch it from somewhere above."""
    centre = env.truth()["position"]
    parts = []
    for (body, limits), far in zip(env.bodies, (0.2, 0.06), strict=False):
        out = body.position - centre + random.uniform(-0.05, 0.05, 3)
        out = np.array([*out[:2], abs(out[2]) + 0.02])
        out /= np.linalg.norm(out)
        parts.append(encode(body, centre + far * out, -out, limits)[0])
    return np.concatenate(parts)


@pytest.mark.parametrize(
    "settings",
    [{"scene": "table", "fingers": 1, "noise": "noise"}, {"columns": 5, "noise": "dropout"}],
    ids=str,
)
def test_contract(settings):
    check_env_contract(gym.make(NAME, objects="solids", body="arm", **settings), steps=3)


@pytest.mark.parametrize("scene", ["held", "table"])
def test_it_keeps_within_its_joints_and_touches_nothing_but_with_its_fingertip(scene):
    env, random = arm_env(scene=scene), np.random.default_rng(0)
    felt = 0
    for seed in range(2):
        observation, _ = env.reset(seed=seed)
        arm = env._body._arm
        went = arm.robot.set_joints
        stood = []

        def watched(angles, went=went, stood=stood, arm=arm):
            went(angles)
            stood.append(arm.robot.joints)

        for _ in range(4):
            arm.robot.set_joints = watched
            observation, *_ = env.step(wish(env, random))
            arm.robot.set_joints = went
            assert not arm.blocked()
            felt += observation["on_object"][1] > 0
            near = env.world.simulation.nearest(arm.tip.position, RADIUS, 0.001, "object")
            assert near is None or near.distance > 0.0
        joints = np.array(stood)
        assert (joints >= arm.robot.lower - 1e-9).all() and (joints <= arm.robot.upper + 1e-9).all()
    assert felt >= 2
    env.close()


def test_eye_and_fingertip_are_where_the_observation_says():
    env, random = arm_env(noise="clean"), np.random.default_rng(1)
    observation, info = env.reset(seed=3, options={"object": "sphere"})
    touched = looked = 0
    for _ in range(6):
        arm, truth = env._body._arm, info["truth"]
        np.testing.assert_allclose(observation["eye_position"], arm.eye.position, atol=1e-6)
        np.testing.assert_allclose(observation["eye_rotation"], arm.eye.rotation, atol=1e-6)
        np.testing.assert_allclose(observation["finger_position"][0], arm.tip.position, atol=1e-6)
        np.testing.assert_allclose(observation["sensor_position"][1], arm.tip.position, atol=1e-6)
        for k in np.flatnonzero(observation["on_object"]):
            away = observation["location"][k] - truth["position"]
            assert np.linalg.norm(away) == pytest.approx(0.05, abs=3e-4)
        if observation["on_object"][1]:
            touched += 1
            reach = math.dist(observation["location"][1], observation["finger_position"][0])
            assert reach == pytest.approx(RADIUS, abs=4e-4), "the fingertip is at the surface"
        looked += observation["on_object"][0] > 0
        observation, *_, info = env.step(wish(env, random))
    assert touched >= 3 and looked >= 4
    env.close()


def test_the_eye_looks_from_where_it_was_sent_and_ends_beside_the_fingertip():
    env = arm_env()
    env.reset(seed=3, options={"object": "sphere"})
    centre = env.truth()["position"]
    (eye, limits), (finger, far) = env.bodies
    there = centre + np.array([0.0, -0.05, 0.19])
    look = encode(eye, there, centre - there, limits)
    push = encode(finger, centre + 0.065 * UP, -UP, far)
    observation, *_, info = env.step(np.concatenate([look[0], push[0]]))
    assert not info["blocked"] and info["path_length"] > 0.1
    assert observation["on_object"].all()
    if look[1]:
        np.testing.assert_allclose(observation["sensor_position"][0], there, atol=1e-3)
    np.testing.assert_allclose(observation["location"][1], centre + 0.05 * UP, atol=1e-3)
    beside = observation["eye_position"] - observation["finger_position"][0]
    assert np.linalg.norm(beside) == pytest.approx(math.hypot(0.05, 0.082), abs=1e-5)
    env.close()


def test_what_is_out_of_reach_blocks_it():
    env = arm_env(fingers=0, max_path=0.9)
    env.reset(seed=0)
    before = env.eye
    action, _ = encode(env.eye, np.array([0.9, 0.0, 0.0]), env.eye.rotation[:, 2], env.limits)
    *_, info = env.step(action)
    assert info["blocked"]
    np.testing.assert_array_equal(env.eye.position, before.position)
    assert env.free_length(np.array([0.9, 0.0, 0.0])) == 0.0 < env.free_length(before.position + 0.01 * UP)
    with pytest.raises(ValueError, match="can't hold its eye"):
        env.reset(options={"eye_position": (0.95, 0.0, 0.0), "gaze": (-1.0, 0.0, 0.0)})
    env.close()


def test_an_object_that_is_pushed_into_the_arm_finds_it_gone():
    env = arm_env()
    env.reset(seed=3, options={"object": "sphere"})
    centre, tip = env.truth()["position"], env.bodies[1][0]
    assert tip.touching
    way = np.array([*(tip.position - centre)[:2], 0.0])
    way /= np.linalg.norm(way)
    assert env.push(centre - 0.15 * way, centre)
    assert not env._body._arm.blocked()
    observation, *_, info = env.step(np.zeros(10, np.float32))
    assert not info["blocked"] and not observation["on_object"][1]
    env.close()


def test_an_arm_sees_what_the_camera_sees():
    rays, camera = (arm_env(fingers=0, backend=backend).reset(seed=5)[0] for backend in ("rays", "camera"))
    np.testing.assert_allclose(rays["location"], camera["location"], atol=1e-4)
    assert rays["on_object"].all()


def test_a_picture_shows_the_arm():
    env = arm_env(render_mode="rgb_array")
    env.reset(seed=0)
    picture = env.render()
    white = (picture.min(axis=-1) > 90) & (np.ptp(picture, axis=-1) < 12)
    assert picture.shape == (240, 320, 3) and picture.dtype == np.uint8 and white.mean() > 0.03
    env.close()


def test_an_arm_may_feel_without_seeing():
    env = arm_env(columns=0, objects="solids", render_mode="rgb_array")
    with pytest.raises(ResetNeeded):
        env.step(np.zeros(5, np.float32))
    observation, _ = env.reset(seed=1, options={"object": "sphere"})
    assert observation["on_object"].shape == (1,) and observation["on_object"][0] and "eye_position" not in observation
    again, *_ = env.step(np.zeros(5, np.float32))
    np.testing.assert_array_equal(again["finger_position"], observation["finger_position"])
    env.close()


def test_one_fingertip_and_no_vectors():
    with pytest.raises(ValueError, match="an arm has one fingertip"):
        arm_env(fingers=2)
    with pytest.raises(ValueError, match="body must be one of"):
        ObjectExploreEnv(body="leg")
    with pytest.raises(ValueError, match="an eye that floats"):
        gym.make_vec(NAME, num_envs=2, objects="solids", body="arm")
    with pytest.raises(ConfigError, match=r"touch.fingers = 2, but an arm has one"):
        from_dict({"world": {"body": "arm"}, "touch": {"fingers": 2}})
    arm = load("arm")
    assert (arm.world.body, arm.world.scene, arm.eye.columns, arm.touch.fingers) == ("arm", "table", 1, 1)
