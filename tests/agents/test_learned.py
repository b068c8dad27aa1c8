"""A learned policy comes back from its file as it was and keeps a policy's promises; damaged files are refused."""

import json
import warnings
from dataclasses import replace
from itertools import pairwise

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium.wrappers import FilterObservation, FlattenObservation
from safetensors.torch import load, save

from cortical.agents.brain import build_region
from cortical.agents.policies import Learned, PolicyFileError, Situation, make_policy
from cortical.agents.policies.learned import PolicyNetwork, load_policy, network_of, save_policy
from cortical.agents.policies.summary import FIELDS, summary_sizes
from cortical.agents.rollout import make_agent, play
from cortical.agents.testing import check_policy
from cortical.configs.schema import PolicyConfig
from cortical.envs.bodies import Eye, Limits, looking

ID = "cortical.agents:cortical/ActiveRecognition-v0"


def network(fields=None, mode="orbit", seed=0, spread=0.5):
    """A network of random weights."""
    fields = fields or {name: size for name, (size, _) in FIELDS.items()}
    random, widths = torch.Generator().manual_seed(seed), [sum(fields.values()), 16, 5]
    layers = tuple(
        (spread * torch.randn(b, a, generator=random), spread * torch.randn(b, generator=random))
        for a, b in pairwise(widths)
    )
    return PolicyNetwork(layers, torch.full((5,), -0.5), fields, mode, extra={"seed": seed})


def situations(agent, steps=3):
    random, agent.policy = np.random.default_rng(0), Learned(network())
    for step in agent.episode(random, {"object": "torus"}, 0):
        agent._seen.clear()
        yield agent.situations(step.belief, step.sensation)[0]
        if step.belief.steps == steps:
            return


# ---- what is kept


def test_a_network_comes_back_as_it_was(tmp_path):
    made = network({"doubt": 3, "visited": 17}, "body", 4)
    save_policy(tmp_path / "p.safetensors", made)
    back = load_policy(tmp_path / "p.safetensors")
    assert (back.fields, list(back.fields), back.action_mode) == (made.fields, list(made.fields), "body")
    assert back.activation == "tanh" and back.extra == {"seed": 4}
    random = np.random.default_rng(1)
    summary = {name: random.uniform(-1, 1, size).astype(np.float32) for name, size in summary_sizes(3).items()}
    assert np.array_equal(made(summary), back(summary))
    drawn = [one(summary, np.random.default_rng(7)) for one in (made, back)]
    assert np.array_equal(*drawn) and not np.array_equal(drawn[0], made(summary))
    assert np.abs(drawn).max() <= 1.0


@pytest.fixture(scope="module")
def trained(learnt, tmp_path_factory):
    """A few hundred steps of PPO on two objects: the model, its environment and its file."""
    ppo = pytest.importorskip("stable_baselines3", reason="needs the extra rl").PPO
    env = gym.make(ID, experiment=learnt.experiment, maps=learnt.folder, objects=["torus", "box"], max_episode_steps=40)
    shown = FilterObservation(env, list(FIELDS))
    fields = {name: box.shape[0] for name, box in shown.observation_space.items()}
    model = ppo("MlpPolicy", FlattenObservation(shown), n_steps=128, batch_size=64, seed=1, device="cpu")
    before = [p.detach().clone() for p in model.policy.parameters()]
    model.learn(256)
    assert any(not torch.equal(a, b) for a, b in zip(before, model.policy.parameters(), strict=True))
    file = tmp_path_factory.mktemp("policy") / "p.safetensors"
    save_policy(file, network_of(model, fields))
    yield model, shown, file
    env.close()


def test_what_was_trained_acts_the_same_from_its_file(trained):
    model, shown, file = trained
    policy, flat = load_policy(file), FlattenObservation(shown)
    for seed in range(5):
        observation, _ = shown.reset(seed=seed)
        action, _ = model.predict(flat.observation(observation), deterministic=True)
        assert np.allclose(policy(observation), action, atol=1e-5)
    assert np.allclose(policy.log_std.numpy(), model.policy.log_std.detach().numpy())


def test_it_can_be_named_in_a_configuration_whatever_the_objects(trained, learnt):
    """Trained with two objects, used with three, since it wasn't shown the posterior."""
    _, _, file = trained
    moves = replace(learnt.experiment.policy, name="learned", file=str(file))
    agent = make_agent(replace(learnt.experiment, policy=moves), build_region(learnt.experiment, learnt.maps))
    record, again = (play(agent, "cylinder", 100, traced=True) for _ in range(2))
    assert record.answer == "cylinder" and record.sensations == again.sensations
    assert {step.reason for step in record.trace[1:]} == {"as was learnt"}
    agent.env.close()


def test_other_networks_of_stable_baselines_are_refused():
    class Deterministic:
        policy = torch.nn.Linear(3, 5)

    with pytest.raises(ValueError, match="not the network of a PPO"):
        network_of(Deterministic(), {"doubt": 3})


# ---- a policy's promises


@pytest.mark.parametrize("mode", ["orbit", "body"])
def test_it_keeps_a_policys_promises(agent, mode):
    for situation in situations(agent):
        for limits in (situation.limits, Limits(0.02, 0.1)):
            for seed in range(5):
                check_policy(Learned(network(mode=mode, seed=seed)), replace(situation, limits=limits), seed)


def test_it_has_a_goal_before_anything_is_sensed(agent):
    eye = Eye(np.array([0.0, 0.0, 0.2]), looking(np.array([0.0, 0.0, -1.0])))
    nothing = np.zeros((0, 3))
    region = agent.region
    situation = Situation(eye, Limits(), region.kinds, region, region.begin(), nothing, nothing)
    for mode in ("orbit", "body"):
        check_policy(Learned(network(mode=mode)), situation)


def test_one_that_was_shown_the_posterior_is_bound_to_the_objects(agent):
    (situation,) = list(situations(agent, 1))
    policy = Learned(network({"posterior": 10, "doubt": 3}))
    with pytest.raises(PolicyFileError, match="trained with 9 objects, but 3 are known here"):
        policy.goals(situation, np.random.default_rng(0))


def test_one_comes_with_the_package():
    policy = make_policy(PolicyConfig("learned"))
    assert isinstance(policy, Learned)
    assert policy.network.action_mode == "orbit" and "posterior" not in policy.network.fields


# ---- files that are none


def _changed(data: bytes, **changes) -> bytes:
    """The file with other entries in its JSON."""
    length = int.from_bytes(data[:8], "little")
    content = json.loads(json.loads(data[8 : 8 + length])["__metadata__"]["cortical"])
    return save(load(data), {"cortical": json.dumps(content | changes)})


DAMAGES = {
    "cut short": lambda data: data[:-20],
    "empty": lambda data: b"",
    "a pickle": lambda data: b"\x80\x04\x95" + data,
    "not a policy": lambda data: save({"x": torch.zeros(1)}),
    "a bit turned": lambda data: data[:-7] + bytes([data[-7] ^ 1]) + data[-6:],
    "of tomorrow": lambda data: _changed(data, version=2),
    "of another kind": lambda data: _changed(data, format="cortical-maps"),
    "other fields": lambda data: _changed(data, fields={"doubt": 3}),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_file_is_refused(tmp_path, damage):
    file = tmp_path / "p.safetensors"
    save_policy(file, network())
    file.write_bytes(DAMAGES[damage](file.read_bytes()))
    with pytest.raises(PolicyFileError, match=r"p\.safetensors.*train_policy"), warnings.catch_warnings():
        warnings.simplefilter("error")
        load_policy(file)


def test_no_file_is_told(tmp_path):
    with pytest.raises(PolicyFileError, match="nowhere"):
        make_policy(PolicyConfig("learned", file=str(tmp_path / "nowhere")))


@pytest.mark.parametrize(
    "parts, complaint",
    [
        ({"layers": ()}, "other than five"),
        ({"layers": ((torch.zeros(5, 3), torch.zeros(5)),)}, "a layer"),
        ({"log_std": torch.zeros(2)}, "other than five"),
        ({"log_std": torch.full((5,), torch.nan)}, "finite"),
        ({"activation": "sigmoid"}, "sigmoid"),
        ({"action_mode": "fly"}, "fly"),
        ({"fields": {"doubt": 3, "colours": 57}}, "fields that a summary"),
    ],
)
def test_parts_that_do_not_fit_are_refused(tmp_path, parts, complaint):
    file = tmp_path / "p.safetensors"
    save_policy(file, replace(network(), **parts))
    with pytest.raises(PolicyFileError, match=complaint):
        load_policy(file)
