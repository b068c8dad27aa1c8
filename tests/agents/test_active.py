"""The environment with the columns inside keeps Gymnasium's contract, pays what it says, and shows the same wherever
the object is; a policy trained in it comes back from its file as it was."""

import json
import math
from dataclasses import replace

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium.envs.registration import EnvSpec
from gymnasium.utils.env_checker import check_env
from gymnasium.utils.seeding import np_random
from gymnasium.wrappers import FilterObservation, FlattenObservation
from scipy.spatial.transform import Rotation

from cortical.agents.active import ActiveRecognitionEnv
from cortical.agents.brain import stored_schema
from cortical.agents.policies import Learned
from cortical.agents.policies.learned import PolicyNetwork
from cortical.agents.policies.orbit import orbit_action, orbit_frame, pose_after
from cortical.agents.policies.policy import DISTANCE
from cortical.agents.policies.summary import FIELDS, belief_summary, summary_sizes
from cortical.agents.records import RunFolder
from cortical.columns.messages import Sensation
from cortical.columns.posterior import odds_of
from cortical.configs.load import to_dict

from .conftest import NAMES

ID = "cortical.agents:cortical/ActiveRecognition-v0"


@pytest.fixture(scope="module")
def settings(learnt):
    """Arguments that go through JSON."""
    return {"experiment": to_dict(learnt.experiment), "maps": str(learnt.folder), "objects": list(NAMES)}


@pytest.fixture
def env(settings):
    made = ActiveRecognitionEnv(**settings)
    yield made
    made.close()


def walk(env, seed, steps=6, action_seed=0):
    """Observations, rewards and ends of random actions."""
    random, (seen, _) = np.random.default_rng(action_seed), env.reset(seed=seed)
    rows = [seen]
    for _ in range(steps):
        seen, reward, terminated, truncated, _ = env.step(random.uniform(-1, 1, 5).astype(np.float32))
        rows += [seen, reward, terminated, truncated]
        if terminated or truncated:
            break
    return rows


# ---- the contract


@pytest.mark.parametrize("mode", ["orbit", "body"])
@pytest.mark.parametrize("reward", ["information", "sparse", "none"])
def test_gymnasium_has_nothing_to_complain_of(settings, mode, reward):
    made = gym.make(ID, **settings, action_mode=mode, reward_mode=reward, render_mode="rgb_array")
    assert made.spec is not None and made.spec.max_episode_steps == 500
    check_env(made.unwrapped)
    made.close()


def test_a_seed_gives_the_same_episode_again(env, settings):
    first, again, other = walk(env, 3), walk(env, 3), walk(env, 4)
    for a, b in zip(first, again, strict=True):
        if isinstance(a, dict):
            assert all(np.array_equal(a[name], b[name]) for name in a)
        else:
            assert a == b
    assert not np.array_equal(first[0]["newest"], other[0]["newest"])
    with_another = ActiveRecognitionEnv(**settings)
    assert np.array_equal(walk(with_another, 3)[-4]["visited"], first[-4]["visited"])
    with_another.close()


def test_the_specification_goes_through_json(settings):
    made = gym.make(ID, **settings, cost=0.02)
    assert made.spec is not None
    text = made.spec.to_json()
    json.loads(text)
    again = gym.make(EnvSpec.from_json(text))
    assert [row for row in walk(again, 5) if not isinstance(row, dict)] == [
        row for row in walk(made, 5) if not isinstance(row, dict)
    ]
    assert again.unwrapped.cost == 0.02
    made.close()
    again.close()


@pytest.mark.parametrize("mode", ["sync", "async"])
def test_many_side_by_side(settings, mode):
    worlds = gym.make_vec(ID, num_envs=2, vectorization_mode=mode, **settings)
    seen, _ = worlds.reset(seed=1)
    assert seen["posterior"].shape == (2, len(NAMES) + 1)
    for _ in range(3):
        seen, rewards, *_ = worlds.step(np.zeros((2, 5), np.float32))
    assert rewards.shape == (2,) and all(np.isfinite(x).all() for x in seen.values())
    worlds.close()


@pytest.mark.parametrize(
    "more, complaint",
    [
        ({"action_mode": "orbits"}, "action_mode must be one of 'orbit', 'body'"),
        ({"reward_mode": "dense"}, "reward_mode must be one of"),
        ({"cost": -1.0}, "at least 0"),
        ({"cost": math.nan}, "at least 0"),
        ({"objects": ["box", "box"]}, "different names"),
        ({"objects": []}, "at least one"),
        ({"objects": "box"}, "list of names"),
        ({"objects": ["bocks"]}, "bocks"),
        ({"experiment": "fivee"}, "did you mean 'five'"),
        ({"experiment": {"eyes": {}}}, "unknown table 'eyes'"),
        ({"render_mode": "human"}, "render_mode"),
    ],
)
def test_settings_that_make_no_sense_are_refused(settings, more, complaint):
    with pytest.raises((ValueError, KeyError), match=complaint):
        ActiveRecognitionEnv(**{**settings, **more})


def test_actions_and_options_that_make_no_sense_are_refused(env):
    with pytest.raises(gym.error.ResetNeeded):
        env.step(np.zeros(5, np.float32))
    with pytest.raises(ValueError, match="choose one of cylinder, torus, box"):
        env.reset(options={"object": "mug"})
    env.reset(seed=0)
    for action in (np.zeros(4), np.full(5, np.nan)):
        with pytest.raises(ValueError, match="5 finite numbers"):
            env.step(action)
    env.close()
    with pytest.raises(gym.error.ClosedEnvironmentError):
        env.reset()


def test_a_map_file_will_do(settings, learnt, tmp_path):
    file = next((learnt.folder / "maps").glob("box*.safetensors"))
    made = ActiveRecognitionEnv(learnt.experiment, file, ["box"])
    assert made.reset(seed=0)[0]["posterior"].shape == (2,)
    made.close()
    with pytest.raises(ValueError, match="has no map of torus"):
        ActiveRecognitionEnv(learnt.experiment, file, ["torus"])


# ---- what it says and pays


def episode(env, name, seed, limit=80):
    """Rewards, infos and observations until the decision, by a steady way round the object."""
    random, (seen, info) = np.random.default_rng(seed), env.reset(seed=seed, options={"object": name})
    rewards, infos, shown = [], [info], [seen]
    for _ in range(limit):
        look = random.uniform(-0.5, 0.5, 2)
        seen, reward, terminated, _, info = env.step(np.array([0.0, 1.0, *look, 0.0], np.float32))
        rewards.append(reward)
        infos.append(info)
        shown.append(seen)
        if terminated:
            return rewards, infos, shown
    raise AssertionError("nothing was decided")


@pytest.mark.parametrize("name", NAMES)
def test_an_episode_ends_with_the_decision_and_pays_for_information(env, name):
    rewards, infos, shown = episode(env, name, 1)
    assert [info["decided"] for info in infos] == [False] * (len(infos) - 1) + [True]
    assert infos[-1]["right"] and infos[-1]["best"] == name == infos[-1]["truth"]["object"]
    assert [info["sensations"] for info in infos] == list(range(1, len(infos) + 1))
    # what is paid adds up to what was learnt of the truth: all that decides, less what was known at first
    first = torch.from_numpy(shown[0]["posterior"]).double().clamp(min=1e-300).log()
    known = float(odds_of(first, torch.tensor(NAMES.index(name)))) / math.log(1000)
    assert sum(rewards) == pytest.approx(1.0 - known - env.cost * len(rewards), abs=1e-3)
    assert shown[-1]["doubt"][0] < 0.02 < shown[0]["doubt"][0]


def test_the_other_rewards(settings):
    for mode, last, before in (("sparse", 1.0 - 0.05, -0.05), ("none", 0.0, 0.0)):
        made = ActiveRecognitionEnv(**settings, reward_mode=mode)
        rewards, *_ = episode(made, "torus", 1)
        assert rewards == pytest.approx([before] * (len(rewards) - 1) + [last])
        made.close()


def test_a_wrong_decision_costs(learnt, tmp_path):
    """Columns that were told that boxes are tori, and tori boxes, are wrong."""
    folder = RunFolder(tmp_path, learnt.experiment, "learn")
    for name, other in (("box", "torus"), ("torus", "box")):
        folder.save_map(name, learnt.maps[other], stored_schema(learnt.experiment))
    for mode, paid in (("sparse", -1.05), ("information", None)):
        made = ActiveRecognitionEnv(learnt.experiment, tmp_path, ["box", "torus"], reward_mode=mode)
        rewards, infos, _ = episode(made, "box", 1)
        assert infos[-1]["decided"] and not infos[-1]["right"] and infos[-1]["best"] == "torus"
        assert sum(rewards) < -0.5 and (paid is None or rewards[-1] == pytest.approx(paid))
        made.close()


def test_sensations_run_out(learnt, settings):
    short = replace(learnt.experiment, decision=replace(learnt.experiment.decision, max_sensations=3, odds=1e200))
    made = ActiveRecognitionEnv(short, settings["maps"], NAMES)
    rows = walk(made, 0)
    assert rows[3::4] == [False, False] and rows[4::4] == [False, True]
    made.close()


def test_a_belief_that_began_anew_does_not_set_the_count_back(env):
    situation = situation_of(env)
    env._situation = replace(situation, belief=replace(situation.belief, steps=1))
    *_, info = env.step(np.zeros(5, np.float32))
    assert info["sensations"] == 5


# ---- the summary


def situation_of(env, seed=2, steps=3):
    env.reset(seed=seed)
    for _ in range(steps):
        env.step(np.array([0.2, 0.5, 0.3, -0.3, 0.0], np.float32))
    return env._situation


def turned_round(situation, rotation):
    """The same situation with the whole world turned about its origin."""
    turn = torch.from_numpy(rotation).float()
    vectors = {
        name: getattr(situation.newest, name) @ turn.T for name in ("origin", "gaze", "location", "normal", "direction")
    }
    ballot = situation.belief.ballot
    ballot = replace(ballot, rotation=turn @ ballot.rotation, location=ballot.location @ turn.T)
    body = replace(
        situation.body, position=rotation @ situation.body.position, rotation=rotation @ situation.body.rotation
    )
    newest: Sensation = replace(situation.newest, **vectors)
    belief = replace(situation.belief, ballot=ballot)
    points = {"locations": situation.locations @ rotation.T, "gazes": situation.gazes @ rotation.T}
    return replace(situation, body=body, belief=belief, newest=newest, **points)


@pytest.mark.parametrize("seed", range(4))
def test_the_summary_and_the_way_do_not_depend_on_where_the_world_is_turned(env, seed):
    situation = situation_of(env, seed)
    other = turned_round(situation, Rotation.random(random_state=seed).as_matrix())
    one, same = belief_summary(situation), belief_summary(other)
    for name, value in one.items():
        assert np.allclose(value, same[name], atol=1e-3), name
    wish = np.random.default_rng(seed).uniform(-1, 1, 5)
    assert np.allclose(orbit_action(situation, wish), orbit_action(other, wish), atol=1e-4)


def test_the_summary_has_its_sizes_and_limits(env):
    for steps in range(4):
        found = belief_summary(situation_of(env, steps, steps))
        assert {name: len(value) for name, value in found.items()} == summary_sizes(len(NAMES))
        assert all(np.isfinite(x).all() and np.abs(x).max() <= 1 and x.dtype == np.float32 for x in found.values())
        assert found["posterior"].sum() == pytest.approx(1.0, abs=1e-5)
        assert np.all(np.diff(found["likeliest"]) <= 0)
    assert found["visited"][0] > 0.3  # here, from where the newest reading was


def test_before_any_sensation_there_is_nothing_to_sum_up(env):
    situation = situation_of(env)
    with pytest.raises(ValueError, match="nothing was sensed"):
        belief_summary(replace(situation, newest=None))


@pytest.mark.parametrize("heading", [0.0, 0.5, -0.5, 1.0])
def test_an_orbit_step_goes_where_it_says(env, heading):
    situation = situation_of(env)
    frame = orbit_frame(situation)
    position, gaze = pose_after(situation, orbit_action(situation, np.array([heading, 0.0, 0.0, 0.0, 0.0])))
    out = (position - frame.centre) / np.linalg.norm(position - frame.centre)
    way = frame.axes @ out
    assert math.degrees(math.atan2(way[1], way[0])) == pytest.approx(180 * heading, abs=1) or heading == 1.0
    if heading == 1.0:
        assert way[0] < 0 and abs(way[1]) < 1e-3
    assert 20 < math.degrees(math.acos(way[2])) < 22  # three quarters of a stride
    assert np.linalg.norm(position - frame.centre) == pytest.approx(DISTANCE, abs=1e-4)
    assert math.degrees(math.acos(min(1.0, gaze @ -out))) < 3  # looks at the middle


def test_ahead_leads_away_from_what_was_seen(env):
    situation = situation_of(env, steps=1)
    frame = orbit_frame(situation)
    assert (-situation.gazes[0]) @ frame.ahead < 0


def test_an_eye_that_stands_in_the_middle_still_has_a_frame(env):
    situation = situation_of(env)
    inside = replace(situation, body=replace(situation.body, position=orbit_frame(situation).centre))
    frame = orbit_frame(inside)
    assert np.allclose(frame.axes @ frame.axes.T, np.eye(3), atol=1e-9)


# ---- stable-baselines


def test_a_flat_observation_has_the_fields_in_the_order_of_the_space(settings):
    shown = FilterObservation(gym.make(ID, **settings), list(FIELDS))
    seen, _ = FlattenObservation(shown).reset(seed=0)
    parts = belief_summary(shown.unwrapped._situation)
    assert np.array_equal(seen, np.concatenate([parts[name] for name in shown.observation_space]))
    shown.close()


def test_the_loop_inside_is_the_loop_outside(env):
    """The environment, told what a policy would do, goes the way that an agent with this policy goes."""
    random = torch.Generator().manual_seed(0)
    sizes = {name: size for name, (size, _) in FIELDS.items()}
    weight = 0.3 * torch.randn(5, sum(sizes.values()), generator=random)
    network = PolicyNetwork(((weight, torch.zeros(5)),), torch.zeros(5), sizes)
    seen, _ = env.reset(seed=3, options={"object": "torus"})
    way = [env.agent.env.eye.position]
    for _ in range(4):
        seen, _, terminated, _, _ = env.step(network(seen))
        way.append(env.agent.env.eye.position)
        if terminated:
            break
    generator, _ = np_random(3)
    generator.integers(len(NAMES))
    env.agent.policy = Learned(network, mean=True)
    steps = env.agent.episode(np.random.default_rng(0), {"object": "torus"}, int(generator.integers(2**31)))
    for expected, step in zip(way, steps, strict=False):
        assert np.allclose(step.eye[0], expected, atol=1e-6)
