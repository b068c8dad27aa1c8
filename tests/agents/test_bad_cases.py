"""What goes wrong in a real world: nothing in view, nothing there, no way, thin edges, insides, a push, a crowd."""

import math
import subprocess
import sys
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from cortical.agents.agent import START
from cortical.agents.brain import build_region
from cortical.agents.learning import learn_objects
from cortical.agents.metrics import NOTHING, summarise
from cortical.agents.records import RunFolder
from cortical.agents.rollout import make_agent, play
from cortical.agents.story import ending, episode_table, tell
from cortical.envs.touch import RADIUS

from .conftest import NAMES

AWAY = {"eye_position": np.array([0.0, 0.18, 0.1]), "gaze": np.array([0.3, 1.0, 0.2])}
"""An eye with its back to the object."""
OUT_OF_REACH = np.array([0.0, 0.0, -0.95]), np.eye(3)
"""Where an object is that a search about the origin doesn't meet."""


def agent_of(learnt, **changes):
    """An agent of the solids' experiment with some tables of settings changed: eye={"columns": 5}, ..."""
    tables = {name: replace(getattr(learnt.experiment, name), **values) for name, values in changes.items()}
    experiment = replace(learnt.experiment, **tables)
    return make_agent(experiment, build_region(experiment, learnt.maps))


# ---- nothing in view


@pytest.mark.parametrize("name", NAMES)
def test_an_object_behind_the_eye_is_searched_and_found(agent, name):
    record = play(agent, name, 0, start=AWAY)
    met = [bool(step.location[0]) for step in record.trace]
    assert not any(met[:4]) and any(met[:30]), "the eye has to turn round first"
    assert record.correct and record.ended == "decided"


def test_an_object_far_away_is_gone_to(agent):
    start = {"eye_position": np.array([0.0, 0.85, 0.2]), "gaze": np.array([1.0, 0.0, 0.0])}
    record = play(agent, "torus", 0, start=start)
    assert record.correct
    assert math.dist(record.trace[-1].eye, record.position) < 0.35


@pytest.mark.parametrize("policy", ["saccade", "surface_follow", "salience", "disagreement", "information_gain"])
def test_every_policy_searches(learnt, policy):
    agent = agent_of(learnt, policy={"name": policy}, decision={"max_sensations": 30, "odds": 1e300})
    record = play(agent, "torus", 1, start=AWAY)
    agent.env.close()
    assert any(bool(step.location[0]) for step in record.trace)


def test_a_finger_that_begins_in_the_air_searches(learnt):
    agent = agent_of(learnt, eye={"columns": 0}, touch={"fingers": 1})
    found = play(agent, "torus", 0, start=AWAY)
    lost = play(agent, "torus", 0, pose=OUT_OF_REACH, start=AWAY)
    agent.env.close()
    assert not found.trace[0].location[0] and found.correct
    assert lost.answer == NOTHING


def test_where_there_is_nothing_the_search_ends_and_says_so(agent):
    record = play(agent, "torus", 0, pose=OUT_OF_REACH, start=AWAY)
    assert record.answer == NOTHING == "nothing here" and not record.correct
    assert record.sensations == agent.decision.search == 60
    assert record.ended == "decided"
    assert ending(record) == tell(record)[-1].split(". ")[-1] == "Decided: nothing here, wrong: there is a torus."
    summary = summarise([record])
    assert (summary["nothing"], summary["unknown"], summary["undecided"], summary["correct"]) == (1.0, 0.0, 0.0, 0.0)
    assert summary["calibration"] == [], "no odds stand behind it"
    assert episode_table([record]).columns[1]._cells == ["[red]nothing here[/red]"]


def test_the_search_covers_where_objects_may_be(agent):
    """Of the ball of 17 cm that objects' centres lie in, next to all is passed within 3 cm by a look."""
    record = play(agent, "torus", 0, pose=OUT_OF_REACH, start=AWAY)
    eye, gaze = (np.array([getattr(step, name) for step in record.trace]) for name in ("eye", "gaze"))
    axis = np.linspace(-0.085, 0.085, 9)
    points = np.stack(np.meshgrid(axis, axis, axis), -1).reshape(-1, 3)
    way = points[:, None] - eye
    ahead = np.maximum((way * gaze).sum(-1), 0.0)
    beside = np.linalg.norm(way - ahead[..., None] * gaze, axis=-1).min(1)
    inside = np.linalg.norm(points, axis=1) < 0.085
    assert np.mean(beside[inside] < 0.03) > 0.97


def test_a_shorter_search_is_given_up_sooner(learnt):
    agent = agent_of(learnt, decision={"search": 5})
    record = play(agent, "torus", 0, pose=OUT_OF_REACH, start=AWAY)
    agent.env.close()
    assert record.sensations == 5 and record.answer == NOTHING


# ---- no way to the goal


def test_where_no_goal_can_be_reached_the_body_goes_as_far_as_it_can(learnt):
    """The eye stands in a ring that is too narrow to leave."""
    agent = agent_of(learnt, decision={"max_sensations": 12, "odds": 1e300})
    table = agent_of(learnt, world={"scene": "table"}, decision={"max_sensations": 12, "odds": 1e300})
    low = {"eye_position": np.array([0.0, 0.2, -0.035]), "gaze": np.array([0.0, -1.0, 0.0])}
    for each, start in ((agent, {"eye_position": np.zeros(3), "gaze": np.array([1.0, 0.0, 0.0])}), (table, low)):
        record = play(each, "torus", 0, pose=(np.zeros(3), np.eye(3)), start=start)
        each.env.close()
        assert record.sensations == 12 and record.best_guess == "torus"
    heights = [step.eye[2] for step in record.trace]
    assert min(heights) >= -0.05 + 0.01 - 1e-6, "the eye stays above the table"


def test_an_arm_whose_joints_end_touches_where_it_can(learnt):
    agent = agent_of(
        learnt, world={"body": "arm", "scene": "table"}, touch={"fingers": 1}, decision={"max_sensations": 15}
    )
    place = np.array([0.15, 0.15, 0.0])  # off the middle: some sides are beyond the joints
    record = play(agent, "torus", 0, pose=(place, np.eye(3)))
    tip = agent.env.bodies[1][0]
    assert not agent.env.touchable(tip.position - np.array([0.0, 0.0, 0.15]), -tip.rotation[:, 2]), "below the table"
    agent.env.close()
    assert record.best_guess == "torus"
    felt = [bool(step.location[1]) for step in record.trace]
    assert sum(felt) >= 0.6 * len(felt), "the best goals are often beyond the joints, the next best are not"


# ---- thin edges, insides


@pytest.fixture(scope="module")
def household(learnt, tmp_path_factory):
    """The same with things of the house: two thin ones, one hollow, one neither."""
    experiment = replace(learnt.experiment, world=replace(learnt.experiment.world, objects="default"))
    folder = RunFolder(tmp_path_factory.mktemp("household"), experiment, "learn")
    maps = learn_objects(experiment, ("domino", "tray", "mug", "duck"), folder, lambda name, readings: None)
    return replace(learnt, experiment=experiment, maps=maps)


@pytest.mark.parametrize(("name", "edge"), [("domino", (0, 0, 1)), ("domino", (1, 0, 0)), ("tray", (0, 1, 0))])
def test_a_thin_thing_seen_on_its_edge_is_recognised(household, name, edge):
    """By name at the odds that decide; where it lies is settled at stricter ones."""
    eye = 0.2 * np.array(edge, float)
    for odds in (1_000.0, 1e7):
        agent = agent_of(household, decision={"odds": odds})
        record = play(agent, name, 0, pose=(np.zeros(3), np.eye(3)), start={"eye_position": eye, "gaze": -eye})
        agent.env.close()
        assert record.correct
    assert math.dist(record.estimated_position, (0.0, 0.0, 0.0)) < 0.02


INTO, IN = np.array([0.0, 0.0, 0.2]), np.array([0.0, 0.0, 0.02])
DOWN = np.array([0.0, 0.0, -1.0])


def in_the_mug(place):
    """Whether a place (3,) lies in the mug, whose axis is z."""
    return math.hypot(*place[:2]) < 0.035 and -0.05 < place[2] < 0.049


@pytest.mark.parametrize("eye", [INTO, IN])
def test_a_look_into_a_mug_is_no_trap(household, eye):
    agent = agent_of(household)
    record = play(agent, "mug", 0, pose=(np.zeros(3), np.eye(3)), start={"eye_position": eye, "gaze": DOWN})
    agent.env.close()
    first = np.array(record.trace[0].location[0])
    assert in_the_mug(first + 0.01 * np.array([0.0, 0.0, 1.0])), "its floor from above"
    assert record.correct and not in_the_mug(record.trace[-1].eye)


def test_a_finger_in_a_mug_comes_out(household):
    decision = {"odds": 1e300, "max_sensations": 15}
    agent = agent_of(household, eye={"columns": 0}, touch={"fingers": 1}, decision=decision)
    record = play(agent, "mug", 0, pose=(np.zeros(3), np.eye(3)), start={"eye_position": INTO, "gaze": DOWN})
    agent.env.close()
    inside = [in_the_mug(step.eye) for step in record.trace]
    assert inside[0] and not all(inside)
    assert record.best_guess == "mug"


# ---- an object that moves


def looks(agent, count, moved_after, move):
    """Beliefs over `count` looks at the duck on the table; `move` is called once on the way."""
    observation, info = agent.begin({"object": "duck"}, 3)
    belief, plan, random, found = agent.region.begin(), START, np.random.default_rng(3), []
    for look in range(count):
        step = agent.turn(belief, observation, info, plan)
        belief, plan = step.belief, agent.act(step.belief, step.sensation, random)
        found.append(belief)
        if agent.nothing_here(belief):
            break
        if look == moved_after:
            move(agent.env)
        observation, _, _, _, info = agent.env.step(plan.action)
    return found


def off(agent, belief):
    """Metres by which the duck is held to be where it isn't."""
    return float(np.linalg.norm(belief.consensus.pose.location[0].numpy() - agent.env.truth()["position"]))


@pytest.fixture
def watchful(household):
    agent = agent_of(
        household, world={"scene": "table"}, eye={"columns": 5}, column={"watchful": True}, decision={"search": 25}
    )
    yield agent
    agent.env.close()


def test_a_push_is_noticed_and_the_object_found_again(watchful):
    def push(env):
        middle = env.truth()["position"]
        assert env.push(middle + np.array([-0.15, 0.0, 0.0]), middle + np.array([0.03, 0.0, 0.0]))
        assert math.dist(middle, env.truth()["position"]) > 0.03

    beliefs = looks(watchful, 26, 9, push)
    assert [k for k, belief in enumerate(beliefs) if k and belief.steps == 1], "it was not expected"
    assert off(watchful, beliefs[9]) > 0.03, "it is not where it was"
    assert off(watchful, beliefs[-1]) < 0.005
    assert int(beliefs[-1].consensus.object_index[0]) == watchful.region.objects.index("duck")


def test_an_object_that_is_taken_away_is_searched_and_given_up(watchful):
    def take_away(env):
        env.world.simulation.move(env.world.body, np.array([0.0, 0.0, -5.0]), np.eye(3))
        env.world.follow()

    beliefs = looks(watchful, 80, 9, take_away)
    assert len(beliefs) < 60 and watchful.nothing_here(beliefs[-1])


# ---- bodies in each other's way


def ways(agent, name, seed):
    """Where all bodies are (b, 3), after every look."""
    return [
        np.array([body.position for body, _ in agent.env.bodies])
        for _ in agent.episode(np.random.default_rng(seed), {"object": name}, seed)
    ]


def test_bodies_keep_apart_and_go_their_own_ways(learnt):
    agent = agent_of(learnt, touch={"fingers": 2}, decision={"max_sensations": 12, "odds": 1e300})
    for seed, name in enumerate(NAMES):
        places = ways(agent, name, seed)
        for before, after in pairwise(places):
            for i in range(3):
                share = np.linspace(0.0, 1.0, 50)[:, None]
                way = before[i] + share * (after[i] - before[i])
                others = np.concatenate([after[:i], before[i + 1 :]])  # they move one after the other
                assert np.linalg.norm(way[:, None] - others, axis=2).min() > 2 * RADIUS
            tips = after[1:] - before[1:]
            assert np.linalg.norm(tips[0] - tips[1]) > 0.001, "each by its own goals"
    agent.env.close()


# ---- what is not worth its price


def test_an_episode_ends_when_nothing_is_worth_its_price(learnt):
    cheap, dear = (agent_of(learnt, decision={"price": price, "odds": 1e30}) for price in (0.0, 1e3))
    free, priced = (play(agent, "torus", 0) for agent in (cheap, dear))
    for agent in (cheap, dear):
        agent.env.close()
    assert free.ended == "decided" and free.sensations > priced.sensations
    assert priced.answer is None and priced.ended == "price" and not priced.correct
    assert priced.best_guess == priced.trace[-1].best
    assert ending(priced).startswith("Undecided, for nothing more is worth a look: the best guess, ")
    assert summarise([priced])["undecided"] == 1.0


def test_a_price_of_nothing_changes_nothing(learnt):
    """Not even where all movements promise a loss."""
    agents = [
        agent_of(learnt, policy={"weary": weary}, decision={"max_sensations": 20, "odds": 1e300})
        for weary in (8.0, 2000.0)
    ]
    records = [play(agent, "torus", 0) for agent in agents]
    for agent in agents:
        agent.env.close()
    assert [record.ended for record in records] == ["sensations", "sensations"]
    assert any(step.expected_nats < 0 for step in records[1].trace), "a loss"


def test_a_random_glance_has_no_price(learnt):
    agent = agent_of(learnt, policy={"name": "saccade"}, decision={"price": 1e3})
    record = play(agent, "torus", 0)
    agent.env.close()
    assert record.correct


def test_the_settings_are_in_the_help():
    done = subprocess.run(
        [sys.executable, "-m", "cortical.agents.cli", "recognise", "--help"], capture_output=True, text=True, check=True
    )
    assert "--decision.price" in done.stdout and "--decision.search" in done.stdout
