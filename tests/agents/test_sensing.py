"""From an observation to a sensation; what is not a number is neither believed nor learnt."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from cortical.agents.brain import build_region
from cortical.agents.learning import Learner
from cortical.agents.rollout import make_agent, play
from cortical.agents.sensing import CODE, Senses, feature_schema
from cortical.configs.schema import DecisionConfig, EyeConfig, WorldConfig
from cortical.envs.explore import ObjectExploreEnv

COLUMNS = 5
SPOILT = {"location": math.nan, "normal": math.inf, "curvature": -math.inf, "hsv": math.nan}


def observed(obs_mode):
    env = ObjectExploreEnv.from_config(
        WorldConfig(objects="solids"), EyeConfig(columns=COLUMNS, noise="clean"), obs_mode=obs_mode
    )
    observation, _ = env.reset(seed=1, options={"object": "torus"})
    env.close()
    return observation


@pytest.fixture(scope="module")
def observation():
    return observed("features")


def test_a_sensation_has_one_group_and_a_reading_a_column(observation):
    sensation = Senses(coded=False)(observation)
    shapes = {
        "origin": (3,), "gaze": (3,), "location": (3,), "normal": (3,), "direction": (3,), "curvature": (2,),
        "hsv": (3,), "code": (0,), "on_object": (), "valid": (),
    }  # fmt: skip
    assert {name: tuple(getattr(sensation, name).shape) for name in shapes} == {
        name: (1, COLUMNS, *shape) for name, shape in shapes.items()
    }
    assert sensation.on_object.dtype == sensation.valid.dtype == torch.bool
    assert sensation.on_object[0].tolist() == (observation["on_object"] > 0.5).tolist()
    torch.testing.assert_close(sensation.location[0], torch.from_numpy(observation["location"]))


def test_the_gaze_meets_the_sensed_point(observation):
    s = Senses(coded=False)(observation)
    on = s.on_object[0]
    assert on.any()
    way = torch.nn.functional.normalize((s.location - s.origin)[0], dim=1)
    torch.testing.assert_close(way[on], s.gaze[0][on], atol=2e-3, rtol=0.0)


def test_curvature_is_logarithmic_and_keeps_its_sign(observation):
    raw = np.zeros((COLUMNS, 2), np.float32)
    raw[:3] = [(1.0, -1.0), (99.0, 0.0), (math.e - 1, -999.0)]
    sensation = Senses(coded=False)({**observation, "curvature": raw})
    expected = [[math.log(2), -math.log(2)], [math.log(100), 0.0], [1.0, -math.log(1000)]]
    torch.testing.assert_close(sensation.curvature[0, :3], torch.tensor(expected))


def test_codes_are_ascending_active_bits():
    sensation = Senses(coded=True)(observed("both"))
    code = sensation.code[0][sensation.on_object[0]]
    assert code.shape[1] == CODE.active and code.dtype == torch.int64
    assert (code.diff(dim=1) > 0).all()
    assert int(code.min()) >= 0 and int(code.max()) < CODE.units


def test_the_world_delivers_what_the_senses_need():
    assert Senses(coded=False).obs_mode == "features"
    assert Senses(coded=True).obs_mode == "both"


@pytest.mark.parametrize("features, surface, coded", [("surface", 1, 0), ("sdr", 0, 1), ("both", 1, 1)])
def test_the_schema_says_which_features_are_compared(features, surface, coded):
    schema = feature_schema(features)
    assert (schema.surface, schema.code_bits) == (bool(surface), coded * CODE.units)


def test_a_schema_of_a_worse_sensor_trusts_it_less():
    clean, noise, raw = (feature_schema("surface", condition) for condition in ("clean", "noise", "rawnoise"))
    assert clean.location_sd < noise.location_sd and clean.normal_sd < noise.normal_sd < raw.normal_sd


# ---- what is not a number


@pytest.mark.parametrize("name", SPOILT)
def test_what_is_not_a_number_is_not_valid(observation, name):
    spoilt = {key: value.copy() for key, value in observation.items()}
    spoilt[name][2, ..., 0] = SPOILT[name]
    sensation = Senses(coded=False)(spoilt).checked()
    assert sensation.valid[0].tolist() == [True, True, False, True, True]
    for field in ("location", "normal", "direction", "curvature", "hsv"):
        assert torch.isfinite(getattr(sensation, field)).all()


@pytest.mark.parametrize("name", SPOILT)
def test_what_is_not_a_number_is_not_evidence(learnt, observation, name):
    experiment = replace(learnt.experiment, eye=replace(learnt.experiment.eye, columns=COLUMNS))
    region = build_region(experiment, learnt.maps)
    senses = Senses(coded=False)
    before = region.step(region.begin(), senses(observation))
    spoilt = {**observation, name: np.full_like(observation[name], SPOILT[name])}
    belief = region.step(before, senses(spoilt))
    (kind,), (memory,), (with_more,) = region.kinds, before.memories, belief.memories
    for part in ("log_evidence", "slope", "information"):
        said, later = (getattr(kind.vote(m, before.ballot), part) for m in (memory, with_more))
        assert torch.equal(said, later)
    assert torch.isfinite(belief.consensus.log_posterior).all()
    assert torch.isfinite(belief.ballot.location).all()


class Spoiling:
    """Steps of an environment in which readings of some patches are spoilt every other time."""

    def __init__(self, env, patches):
        self.env, self.patches, self.steps, self.step_of = env, patches, 0, env.step

    def __call__(self, action):
        observation, *rest = self.step_of(action)
        self.steps += 1
        if self.steps % 2:
            value = list(SPOILT.values())[self.steps // 2 % len(SPOILT)]
            name = list(SPOILT)[self.steps // 2 % len(SPOILT)]
            observation[name][self.patches] = value
        return observation, *rest


def test_what_is_not_a_number_is_not_learnt(learnt, monkeypatch):
    """Patches whose readings are spoilt and patches that are lost leave the same map."""
    experiment, maps = learnt.experiment, []
    for lost in (False, True):
        learner = Learner(experiment)
        spoiling = Spoiling(learner.env, slice(3, 9))

        def step(action, spoiling=spoiling, lost=lost):
            observation, *rest = spoiling(action)
            if lost and spoiling.steps % 2:
                observation = {name: np.nan_to_num(value, posinf=0, neginf=0) for name, value in observation.items()}
                observation["valid"][spoiling.patches] = 0.0
            return observation, *rest

        monkeypatch.setattr(learner.env, "step", step)
        maps.append(learner.learn("torus"))
        learner.env.close()
    assert torch.isfinite(maps[0].sums).all()
    assert torch.equal(maps[0].keys, maps[1].keys)
    assert torch.equal(maps[0].sums, maps[1].sums)
    assert float(maps[0].sums[:, 0].sum()) < float(learnt.maps["torus"].sums[:, 0].sum())


@pytest.mark.parametrize("policy", ["saccade", "information_gain"])
def test_an_episode_outlives_readings_that_are_no_numbers(learnt, monkeypatch, policy):
    experiment = replace(learnt.experiment, policy=replace(learnt.experiment.policy, name=policy))
    experiment = replace(experiment, decision=DecisionConfig(odds=1e12))
    agent = make_agent(experiment, build_region(experiment, learnt.maps))
    monkeypatch.setattr(agent.env, "step", Spoiling(agent.env, slice(None)))
    record = play(agent, "torus", seed=0)
    agent.env.close()
    assert record.answer == "torus"
    assert all(math.isfinite(x) for step in record.trace for point in step.location for x in point)
