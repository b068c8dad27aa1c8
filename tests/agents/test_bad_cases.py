"""What goes wrong in a real world: nothing in view, nothing there, no way, thin edges, insides, a push, a crowd."""

import math
from dataclasses import replace

import numpy as np
import pytest

from cortical.agents.brain import build_region
from cortical.agents.metrics import NOTHING, summarise
from cortical.agents.rollout import make_agent, play
from cortical.agents.story import ending, episode_table, tell

from .conftest import NAMES

AWAY = {"eye_position": np.array([0.0, 0.18, 0.1]), "gaze": np.array([0.3, 1.0, 0.2])}
"""An eye with its back to the object."""
OUT_OF_REACH = np.array([0.0, 0.0, -0.95]), np.eye(3)
"""Where an object is that a search about the origin doesn't meet."""


def agent_of(learnt, maps=None, **changes):
    """An agent of the solids' experiment with some tables of settings changed: eye={"columns": 5}, ..."""
    tables = {name: replace(getattr(learnt.experiment, name), **values) for name, values in changes.items()}
    experiment = replace(learnt.experiment, **tables)
    return make_agent(experiment, build_region(experiment, maps or learnt.maps))


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
