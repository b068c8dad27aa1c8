"""The goal that promises most, less what it costs to get there."""

import numpy as np
import pytest
import torch

from cortical.agents.arbiter import A_SENSATION, choose
from cortical.columns.messages import Goal
from cortical.envs.bodies import Eye

EYE = Eye(np.array([0.0, 0.0, 0.2]), np.diag([1.0, -1.0, -1.0]))


def goal(gains, x, reason=""):
    """Goals beside the eye, x metres to its side each, looking at the origin."""
    origin = torch.tensor([[along, 0.0, 0.2] for along in x], dtype=torch.float32).reshape(-1, 3)
    return Goal(origin, torch.zeros(len(x), 3), torch.tensor(gains, dtype=torch.float32), reason)


def test_the_best_gain_is_chosen():
    position, gaze, gain, _, reason = choose([goal([0.1, 0.9, 0.5], [0.01, 0.01, 0.01], "to know")], EYE)
    assert gain == pytest.approx(0.9) and reason == "to know"
    np.testing.assert_allclose(position, [0.01, 0.0, 0.2], atol=1e-7)
    np.testing.assert_allclose(gaze, [-0.01, 0.0, -0.2], atol=1e-7)


def test_the_best_of_many_proposals_is_chosen():
    few = [goal([0.1], [0.0], "a"), goal([0.3, 0.7], [0.0, 0.0], "b"), goal([0.5], [0.0], "c")]
    assert choose(few, EYE)[2:] == (pytest.approx(0.7), pytest.approx(0.7), "b")
    assert choose(few[::-1], EYE)[2:] == (pytest.approx(0.7), pytest.approx(0.7), "b")


def test_of_goals_that_teach_alike_the_nearer_is_chosen():
    assert choose([goal([0.5, 0.5], [0.1, 0.02])], EYE)[0][0] == pytest.approx(0.02)
    assert choose([goal([0.5], [0.1]), goal([0.5], [0.02])], EYE)[0][0] == pytest.approx(0.02)


def test_a_longer_way_must_pay():
    more = 0.5 * 0.1 / A_SENSATION
    assert choose([goal([0.5 + 0.9 * more, 0.5], [0.1, 0.0])], EYE).position[0] == 0.0
    longer = choose([goal([0.5 + 1.1 * more, 0.5], [0.1, 0.0])], EYE)
    assert longer.position[0] == pytest.approx(0.1) and longer.rate == pytest.approx(0.5, rel=0.01)


def test_of_goals_that_promise_a_loss_the_nearer_is_chosen():
    assert choose([goal([-0.5, -0.5], [0.1, 0.02])], EYE).position[0] == pytest.approx(0.02)


def test_a_goal_out_of_reach_gives_way_to_the_next():
    some = [goal([0.9, 0.8, 0.7], [0.1, 0.05, 0.02])]
    assert choose(some, EYE, lambda place: place[0] < 0.06).gain == pytest.approx(0.8)
    assert choose(some, EYE, lambda place: False).gain == pytest.approx(0.9), "none can be reached: as far as it goes"


@pytest.mark.parametrize("goals", [[], [goal([], [])]])
def test_without_a_goal_there_is_nothing_to_do(goals):
    with pytest.raises(ValueError, match="at least one goal"):
        choose(goals, EYE)


def test_a_proposal_without_goals_leaves_the_choice_to_others():
    assert choose([goal([], []), goal([0.0], [0.01], "b")], EYE).reason == "b"
