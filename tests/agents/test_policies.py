"""Policies keep within the limits of the body, choose by the generator alone, and look where hypotheses differ."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from cortical.agents.brain import build_region
from cortical.agents.policies import (
    Disagreement,
    InformationGain,
    Saccade,
    Salience,
    Situation,
    SurfaceFollow,
    make_policy,
)
from cortical.agents.testing import check_policy
from cortical.columns.evidence.hypotheses import Hypotheses
from cortical.columns.foresight import worth
from cortical.columns.messages import Goal
from cortical.configs.schema import PolicyConfig
from cortical.envs.bodies import Eye, Limits, looking

POLICIES = {
    "saccade": Saccade(), "information_gain": InformationGain(32, 16), "surface_follow": SurfaceFollow(),
    "salience": Salience(), "disagreement": Disagreement(),
}  # fmt: skip
LIMITS = Limits()


def situations(agent, name="torus", steps=4):
    """What a policy is shown in the first steps of an episode."""
    found, random = [], np.random.default_rng(0)
    for step in agent.episode(random, {"object": name}, 0):
        sensation = step.sensation
        on = (sensation.on_object & sensation.valid)[0].numpy()
        points = sensation.location[0].double().numpy()[on], sensation.gaze[0].double().numpy()[on]
        known = agent.region.kinds, agent.region, step.belief, *points, sensation
        found.append(Situation(agent.env.eye, agent.env.limits, *known))
        if len(found) == steps:
            break
    return found


@pytest.mark.parametrize("name", POLICIES)
def test_policies_keep_their_promises_in_an_episode(agent, name):
    seen = situations(agent)
    assert len(seen) >= 2
    for situation in seen:
        for seed in range(10):
            check_policy(POLICIES[name], situation, seed)


@pytest.mark.parametrize("name", POLICIES)
def test_policies_have_a_goal_before_anything_is_sensed(learnt, name):
    region = build_region(learnt.experiment, learnt.maps)
    eye = Eye(np.array([0.0, 0.0, 0.2]), looking(np.array([0.0, 0.0, -1.0])))
    nothing = np.zeros((0, 3))
    check_policy(POLICIES[name], Situation(eye, LIMITS, region.kinds, region, region.begin(), nothing, nothing))


@pytest.mark.parametrize(
    "limits",
    [
        pytest.param(Limits(max_path=0.02), id="short-path"),
        pytest.param(Limits(max_turn=math.radians(4)), id="small-turn"),
        pytest.param(Limits(0.02, math.radians(6)), id="both"),
    ],
)
@pytest.mark.parametrize("name", POLICIES)
def test_policies_keep_within_tight_limits(agent, name, limits):
    for situation in situations(agent):
        for seed in range(10):
            check_policy(POLICIES[name], replace(situation, limits=limits), seed)


@pytest.mark.parametrize("name", POLICIES)
def test_another_generator_gives_other_goals(agent, name):
    situation = situations(agent, steps=2)[-1]
    one, other = (POLICIES[name].goals(situation, np.random.default_rng(seed))[0] for seed in (0, 1))
    assert one.origin.shape != other.origin.shape or not torch.equal(one.origin, other.origin)


def test_a_random_glance_promises_nothing_and_stays_near_what_was_sensed(agent):
    situation = situations(agent)[-1]
    for seed in range(20):
        (goal,) = Saccade().goals(situation, np.random.default_rng(seed))
        assert len(goal.gain) == 1 and float(goal.gain) == 0.0
        near = np.linalg.norm(situation.locations - goal.target.numpy(), axis=1).min()
        assert near < 0.12


def test_a_random_glance_searches_further_while_nothing_was_sensed(agent):
    seen = situations(agent)[-1]
    nothing = replace(seen, locations=np.zeros((0, 3)), gazes=np.zeros((0, 3)))
    spread = []
    for situation in (replace(seen, locations=np.zeros((1, 3)), gazes=np.zeros((1, 3))), nothing):
        goals = [Saccade().goals(situation, np.random.default_rng(seed))[0] for seed in range(40)]
        spread.append(np.std([goal.target.numpy() for goal in goals]))
    assert spread[1] > 1.3 * spread[0]


# ---- information


@pytest.fixture
def two_cylinders(learnt):
    """An eye beside a cylinder that either stands at the origin or 3 cm higher: between, both have the same side."""
    region = build_region(learnt.experiment, learnt.maps)
    location = torch.tensor([[[0.0, 0.0, 0.0], [0.0, 0.0, 0.03]]])
    rotation = torch.eye(3).expand(1, 2, 3, 3).contiguous()
    here = torch.full((1, 2), region.objects.index("cylinder"))
    sd = torch.full((1, 2), 0.05), torch.full((1, 2), 0.002)
    ballot = Hypotheses(here, rotation, location, torch.zeros(1, 2), *sd, torch.zeros(1, 3))
    belief = replace(region.begin(), ballot=ballot, steps=3)
    eye = Eye(np.array([0.20, 0.0, 0.015]), looking(np.array([-1.0, 0.0, 0.0])))
    sensed, gazes = np.array([[0.03, 0.0, 0.015]]), np.array([[-1.0, 0.0, 0.0]])
    return Situation(eye, LIMITS, region.kinds, region, belief, sensed, gazes)


def look(situation, heights):
    """Expected information of looking at the cylinder's side at these heights, from where the eye is."""
    target = torch.tensor([[0.03, 0.0, z] for z in heights])
    origin = torch.from_numpy(situation.body.position).float().expand(len(heights), 3).contiguous()
    gaze = torch.nn.functional.normalize(target - origin, dim=1)
    ballot = situation.belief.ballot
    seen = situation.region.kinds[0].foresee(ballot, origin, gaze)
    return worth(seen, ballot.log_evidence[0], ballot.obj[0], 1.0, "information")


def test_a_place_where_hypotheses_differ_promises_more(two_cylinders):
    agree, above, below = look(two_cylinders, (0.015, 0.065, -0.035)).tolist()
    assert agree < 0.1
    assert above > agree + 0.3 and below > agree + 0.3
    assert max(above, below) <= math.log(2) + 1e-5  # no more than there is to know


def test_the_most_promising_goal_shows_where_hypotheses_differ(two_cylinders):
    """From -2 to 5 cm, less the rounding of the edges, the sides of both cylinders are the same."""
    for seed in range(5):
        (goal,) = InformationGain(64, 16, "information").goals(two_cylinders, np.random.default_rng(seed))
        same = (goal.target[:, 2] > -0.010) & (goal.target[:, 2] < 0.040)
        best = int(goal.gain.argmax())
        assert not bool(same[best])
        assert bool(same.any())
        assert float(goal.gain[best]) > 3 * float(goal.gain[same].median())


def test_where_all_is_known_there_is_nothing_to_learn(two_cylinders):
    ballot = two_cylinders.belief.ballot
    sure = replace(ballot, log_evidence=torch.tensor([[0.0, -200.0]]))
    situation = replace(two_cylinders, belief=replace(two_cylinders.belief, ballot=sure))
    assert float(look(situation, (0.015, 0.065, -0.035)).max()) < 1e-3


def test_policies_by_name():
    assert isinstance(make_policy(PolicyConfig("saccade")), Saccade)
    gain = make_policy(PolicyConfig("information_gain", 7, 3))
    assert isinstance(gain, InformationGain) and (gain.candidates, gain.hypotheses) == (7, 3)
    with pytest.raises(ValueError, match=r"did you mean 'saccade'\? there are saccade, information_gain, learned"):
        make_policy(PolicyConfig("sacade"))


# ---- the checks find fault


class Fixed:
    """Always the same goal."""

    def __init__(self, origin, target, gain=0.0, reason="for a reason"):
        self.goal = Goal(torch.tensor([origin]), torch.tensor([target]), torch.tensor([gain]), reason)

    def goals(self, situation, random):
        return [self.goal]


class Whimsical(Fixed):
    def goals(self, situation, random):
        return [replace(self.goal, target=self.goal.target + 1e-3 * torch.rand(1, 3))]


class Meddling(Fixed):
    def goals(self, situation, random):
        situation.locations[:] = 0.0
        return [self.goal]


HERE, THERE = (0.2, 0.0, 0.015), (0.03, 0.0, 0.02)


class Silent(Fixed):
    def goals(self, situation, random):
        return []


@pytest.mark.parametrize(
    "policy, complaint",
    [
        (Fixed((0.2, 0.0, 0.5), THERE), "out of reach"),
        (Fixed(HERE, (0.2, 0.3, 0.015)), "out of reach"),
        (Fixed(HERE, HERE), "where the eye would be"),
        (Fixed(HERE, THERE, math.nan), "isn't finite"),
        (Fixed(HERE, THERE, reason=""), "reason"),
        (Silent(HERE, THERE), "at least one goal"),
        (Whimsical(HERE, THERE), "generator is the same"),
        (Meddling(HERE, THERE), "changed what it was shown"),
    ],
)
def test_a_policy_that_breaks_a_promise_is_found_out(two_cylinders, policy, complaint):
    check_policy(Fixed(HERE, THERE), two_cylinders)
    with pytest.raises(AssertionError, match=complaint):
        check_policy(policy, two_cylinders)
