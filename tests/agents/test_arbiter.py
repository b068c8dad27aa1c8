"""The goal that promises most, less what it costs to get there; and bodies that keep out of each other's way."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from cortical.agents.arbiter import A_SENSATION, Wish, arrange, choose
from cortical.columns.messages import Goal
from cortical.envs.bodies import Eye
from cortical.envs.finger import Finger

EYE = Eye(np.array([0.0, 0.0, 0.2]), np.diag([1.0, -1.0, -1.0]))


def goal(gains, x, reason=""):
    """Goals beside the eye, x metres to its side each, looking at the origin."""
    origin = torch.tensor([[along, 0.0, 0.2] for along in x], dtype=torch.float32).reshape(-1, 3)
    return Goal(origin, torch.zeros(len(x), 3), torch.tensor(gains, dtype=torch.float32), reason)


def test_the_best_gain_is_chosen():
    position, gaze, gain, _, reason = choose(Wish([goal([0.1, 0.9, 0.5], [0.01, 0.01, 0.01], "to know")], EYE))
    assert gain == pytest.approx(0.9) and reason == "to know"
    np.testing.assert_allclose(position, [0.01, 0.0, 0.2], atol=1e-7)
    np.testing.assert_allclose(gaze, [-0.01, 0.0, -0.2], atol=1e-7)


def test_the_best_of_many_proposals_is_chosen():
    few = [goal([0.1], [0.0], "a"), goal([0.3, 0.7], [0.0, 0.0], "b"), goal([0.5], [0.0], "c")]
    assert choose(Wish(few, EYE))[2:] == (pytest.approx(0.7), pytest.approx(0.7), "b")
    assert choose(Wish(few[::-1], EYE))[2:] == (pytest.approx(0.7), pytest.approx(0.7), "b")


def test_of_goals_that_teach_alike_the_nearer_is_chosen():
    assert choose(Wish([goal([0.5, 0.5], [0.1, 0.02])], EYE))[0][0] == pytest.approx(0.02)
    assert choose(Wish([goal([0.5], [0.1]), goal([0.5], [0.02])], EYE))[0][0] == pytest.approx(0.02)


def test_a_longer_way_must_pay():
    more = 0.5 * 0.1 / A_SENSATION
    assert choose(Wish([goal([0.5 + 0.9 * more, 0.5], [0.1, 0.0])], EYE)).position[0] == 0.0
    longer = choose(Wish([goal([0.5 + 1.1 * more, 0.5], [0.1, 0.0])], EYE))
    assert longer.position[0] == pytest.approx(0.1) and longer.rate == pytest.approx(0.5, rel=0.01)


def test_of_goals_that_promise_a_loss_the_nearer_is_chosen():
    assert choose(Wish([goal([-0.5, -0.5], [0.1, 0.02])], EYE)).position[0] == pytest.approx(0.02)


def test_a_goal_out_of_reach_gives_way_to_the_next():
    some = [goal([0.9, 0.8, 0.7], [0.1, 0.05, 0.02])]
    assert choose(Wish(some, EYE, lambda place, gaze: place[0] < 0.06)).gain == pytest.approx(0.8)
    as_far_as_it_goes = choose(Wish(some, EYE, lambda place, gaze: False))
    assert as_far_as_it_goes.gain == pytest.approx(0.9), "none can be reached"


@pytest.mark.parametrize("goals", [[], [goal([], [])]])
def test_without_a_goal_there_is_nothing_to_do(goals):
    with pytest.raises(ValueError, match="at least one goal"):
        choose(Wish(goals, EYE))


def test_a_proposal_without_goals_leaves_the_choice_to_others():
    assert choose(Wish([goal([], []), goal([0.0], [0.01], "b")], EYE)).reason == "b"


# ---- several bodies

TIP = Finger(np.array([0.0, 0.0, 0.06]), np.diag([1.0, -1.0, -1.0]))
OTHER = Finger(np.array([0.08, 0.0, 0.06]), np.diag([1.0, -1.0, -1.0]))


def touch(gains, x, reason=""):
    """Goals at x metres along the x axis, 6 cm up, to press down there."""
    origin = torch.tensor([[along, 0.0, 0.06] for along in x])
    return Goal(origin, origin - torch.tensor([0.0, 0.0, 0.01]), torch.tensor(gains), reason)


def test_bodies_move_by_the_goals_of_their_own_columns():
    seen, felt = goal([0.5, 0.2], [0.1, 0.0], "to see"), touch([0.9], [0.01], "to feel")
    wishes = [Wish([seen], EYE), Wish([felt], TIP, None, True)]
    eye, tip = arrange(wishes)
    assert (eye.reason, tip.reason) == ("to see", "to feel")
    assert eye.position[0] == pytest.approx(0.1) and tip.position[0] == pytest.approx(0.01)
    assert [choice.reason for choice in arrange(wishes[::-1])] == ["to feel", "to see"], "in the order of the bodies"


def test_alone_or_far_from_others_a_body_does_the_same():
    far = Finger(np.array([0.0, 0.5, 0.0]), np.eye(3))
    goals = [goal([0.1, 0.9, 0.5], [0.01, 0.02, 0.03])]
    together, _ = arrange([Wish(goals, EYE), Wish([touch([0.1], [0.05])], replace(far), None, True)])
    alone = choose(Wish(goals, EYE))
    assert together.gain == alone.gain and np.array_equal(together.position, alone.position)


def test_who_gains_less_keeps_out_of_the_way_of_who_gains_more():
    """Two fingers wish to meet at 4 cm; the one that gains less takes its next best."""
    for more, less in ((0, 1), (1, 0)):
        gains = [0.9, 0.9]
        gains[less] = 0.8
        wishes = [
            Wish([touch([gains[0], 0.1], [0.04, -0.02], "left")], TIP, None, True),
            Wish([touch([gains[1], 0.1], [0.04, 0.1], "right")], OTHER, None, True),
        ]
        chosen = arrange(wishes)
        assert chosen[more].position[0] == pytest.approx(0.04)
        assert chosen[less].position[0] == pytest.approx((-0.02, 0.1)[less])


def test_nobody_goes_through_another():
    across = Wish([touch([0.9, 0.1], [0.12, -0.03])], TIP, None, True)
    chosen, still = arrange([across, Wish([touch([0.0], [0.08])], OTHER, None, True)])
    assert chosen.position[0] == pytest.approx(-0.03), "the other stands on the way"
    np.testing.assert_allclose(still.position, OTHER.position, atol=1e-7)


def test_who_has_nowhere_to_go_stays():
    wishes = [Wish([touch([0.9], [0.04])], TIP, None, True), Wish([touch([0.8], [0.03])], OTHER, None, True)]
    _, stays = arrange(wishes)
    assert np.array_equal(stays.position, OTHER.position) and stays.gain == 0.0
    assert stays.reason == "to keep out of another's way"


def test_bodies_that_are_too_close_can_part():
    close = replace(OTHER, position=TIP.position + np.array([0.01, 0.0, 0.0]))
    wishes = [Wish([touch([0.9], [-0.05])], TIP, None, True), Wish([touch([0.8], [0.06])], close, None, True)]
    assert [choice.position[0] for choice in arrange(wishes)] == [pytest.approx(-0.05), pytest.approx(0.06)]


def test_two_bodies_need_not_sense_the_same_place():
    """The eye could look where the finger will press, or beside it, for nearly as much."""
    pressed = Wish([touch([0.9], [0.0])], TIP, None, True)
    target = torch.tensor([[0.0, 0.0, 0.05], [0.04, 0.0, 0.05]])
    looks = Goal(torch.tensor([[0.0, 0.0, 0.2]]).expand(2, 3), target, torch.tensor([0.5, 0.4]), "")
    alone = choose(Wish([looks], EYE))
    assert alone.gaze[0] == 0.0
    eye, _ = arrange([Wish([looks], EYE), pressed])
    assert eye.gaze[0] == pytest.approx(0.04) and eye.gain == pytest.approx(0.4, rel=0.02)


def test_of_several_bodies_too_one_takes_its_next_best_where_it_cannot_go():
    eye, _ = arrange([
        Wish([goal([0.9, 0.8], [0.1, 0.02])], EYE, lambda place, gaze: place[0] < 0.05),
        Wish([touch([0.1], [0.0])], TIP, None, True),
    ])  # fmt: skip
    assert eye.gain == pytest.approx(0.8)


def test_every_body_needs_a_goal():
    with pytest.raises(ValueError, match="at least one goal"):
        arrange([Wish([goal([0.5], [0.1])], EYE), Wish([], TIP, None, True)])
