import warnings

import gymnasium as gym
import numpy as np
import pytest

pytest.importorskip("stable_baselines3", reason="the extra rl is not installed")
pytest.importorskip("pybullet", reason="PyBullet is not installed")

from stable_baselines3 import PPO
from stable_baselines3.common.env_checker import check_env
from stable_baselines3.common.vec_env import DummyVecEnv, VecMonitor

import cortical.envs  # noqa: F401
from cortical.agents.rl import StableWorlds, infos_of, stable_worlds
from cortical.envs.vector import ObjectVectorEnv

NAME = "cortical/ObjectRecognition-v0"


def make(count=3, name=NAME, **settings):
    return stable_worlds(name, count, **{"objects": "solids", "action_mode": "flat", **settings})


def test_stable_baselines_own_checker():
    """Its only complaints: matrices are no vectors, those of three axes it takes for images. Flattened it has none."""
    env = gym.make(NAME, objects="solids", action_mode="flat")
    with warnings.catch_warnings(record=True) as met:
        warnings.simplefilter("always")
        check_env(env.unwrapped, skip_render_check=True)
    said = [str(warning.message) for warning in met]
    assert said and all("flatten" in text or "image" in text for text in said), said
    check_env(gym.wrappers.FlattenObservation(env), skip_render_check=True)


def test_same_as_stable_baselines_own_worlds():
    ours = make(max_episode_steps=6, reward_mode="information")
    theirs = DummyVecEnv(
        [lambda: gym.make(NAME, objects="solids", action_mode="flat", max_episode_steps=6, reward_mode="information")]
        * 3
    )
    assert isinstance(ours.worlds, ObjectVectorEnv)
    assert ours.observation_space == theirs.observation_space and ours.action_space == theirs.action_space
    for worlds in (ours, theirs):
        worlds.seed(7)
    first, second = ours.reset(), theirs.reset()
    ours.action_space.seed(0)
    ends = set()
    for _ in range(25):
        for name in first:
            np.testing.assert_array_equal(first[name], second[name], err_msg=name)
        for mine, single in zip(ours.reset_infos, theirs.reset_infos, strict=True):
            told_the_same(mine, single)
        actions = np.stack([ours.action_space.sample() for _ in range(3)])
        actions[:, 5] = np.where(np.random.default_rng(len(ends)).random(3) < 0.9, 1.0, actions[:, 5])
        first, rewards, dones, infos = ours.step(actions)
        second, paid, ended, told = theirs.step(actions)
        np.testing.assert_allclose(rewards, paid, atol=1e-6)
        assert rewards.dtype == np.float32 and np.array_equal(dones, ended)
        for mine, single, done in zip(infos, told, dones, strict=True):
            told_the_same(mine, single)
            if done:
                ends.add("result" if "result" in mine else "time")
                assert mine["TimeLimit.truncated"] == ("result" not in mine)
    assert ends == {"result", "time"}
    ours.close()
    theirs.close()


def told_the_same(first, second):
    assert set(first) == set(second)
    for key, value in first.items():
        if isinstance(value, dict):
            told_the_same(value, second[key])
        else:
            assert np.array_equal(value, second[key]), key


def test_ppo_learns_a_few_steps():
    worlds = VecMonitor(make(4, max_episode_steps=8, reward_mode="information"))
    model = PPO("MultiInputPolicy", worlds, n_steps=16, batch_size=32, n_epochs=2, seed=0, device="cpu")
    before = [parameter.detach().clone() for parameter in model.policy.parameters()]
    model.learn(128)
    assert model.num_timesteps == 128 and len(model.ep_info_buffer) > 4
    changed = [
        not np.array_equal(a.numpy(), b.detach().numpy())
        for a, b in zip(before, model.policy.parameters(), strict=True)
    ]
    assert all(changed)
    assert np.isfinite([float(parameter.detach().abs().sum()) for parameter in model.policy.parameters()]).all()
    action, _ = model.predict(worlds.reset(), deterministic=True)
    assert action.shape == (4, *worlds.action_space.shape)
    worlds.close()


def test_worlds_without_a_native_vector():
    gym.register("cortical-test/Alone-v0", "cortical.envs.explore:ObjectExploreEnv", max_episode_steps=2)
    try:
        worlds = stable_worlds("cortical-test/Alone-v0", 2, objects="solids")
        worlds.reset()
        worlds.step(np.zeros((2, 5), np.float32))
        *_, dones, infos = worlds.step(np.zeros((2, 5), np.float32))
        assert dones.all() and all(info["TimeLimit.truncated"] for info in infos)
        assert worlds.get_attr("objects")[1][0] == "sphere"
        assert len(worlds.env_method("truth")) == 2 and "object" in worlds.env_method("truth", indices=1)[0]
        worlds.close()
    finally:
        del gym.registry["cortical-test/Alone-v0"]


def test_what_else_it_can_and_can_not():
    worlds = make(render_mode="rgb_array", max_episode_steps=3)
    worlds.set_options({"object": "torus"})
    worlds.reset()
    assert [info["truth"]["object"] for info in worlds.reset_infos] == ["torus"] * 3
    worlds.set_options([{"object": "torus"}, {}, {}])
    with pytest.raises(ValueError, match="same options"):
        worlds.reset()
    worlds.set_options()
    worlds.reset()
    assert worlds.render().shape[2] == 3 and worlds.get_attr("render_mode") == ["rgb_array"] * 3
    assert worlds.env_is_wrapped(gym.Wrapper) == [False] * 3 and worlds.has_attr("objects")
    for use in (lambda: worlds.set_attr("objects", ()), lambda: worlds.env_method("truth")):
        with pytest.raises(AttributeError):
            use()
    with pytest.raises(ValueError, match="SameStep"):
        StableWorlds(gym.make_vec(NAME, 2, objects="solids"))
    worlds.close()


def test_infos_hold_for_whom_their_masks_say():
    mask = np.array([True, False])
    info = {"a": np.array([1, 0]), "_a": mask, "b": {"c": np.array([2, 3]), "_c": ~mask}, "_b": ~mask}
    assert infos_of(info, 2) == [{"a": 1}, {"b": {"c": 3}}]
