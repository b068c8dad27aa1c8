import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from cortical.envs.bodies import Eye, Limits, decode, encode, looking, move, turned
from cortical.envs.placing import random_rotations

LIMITS = Limits(max_path=0.2, max_turn=math.radians(30))
components = st.floats(-1, 1, width=32)
actions = arrays(np.float32, 5, elements=components)
seeds = st.integers(0, 2**32 - 1)


def eye_from(seed: int) -> Eye:
    random = np.random.default_rng(seed)
    return Eye(random.uniform(-0.2, 0.2, 3), random_rotations(1, random)[0])


def everything_free(start, end, radius):
    return math.dist(start, end)


@given(actions, seeds)
def test_an_action_moves_and_turns_by_what_it_says(action, seed):
    eye = eye_from(seed)
    after, went, blocked = move(eye, action, LIMITS, everything_free)
    assert not blocked
    path = min(1.0, np.linalg.norm(action[:3])) * 0.2
    assert went == pytest.approx(path, abs=1e-7)
    assert np.linalg.norm(after.position - eye.position) == pytest.approx(path, abs=1e-7)
    angle = min(1.0, math.hypot(*action[3:])) * LIMITS.max_turn
    gaze = eye.rotation.T @ after.rotation[:, 2]
    assert math.atan2(math.hypot(gaze[0], gaze[1]), gaze[2]) == pytest.approx(angle, abs=1e-6)
    np.testing.assert_allclose(after.rotation @ after.rotation.T, np.eye(3), atol=1e-12)


@given(actions, seeds)
def test_encoding_undoes_decoding(action, seed):
    eye = eye_from(seed)
    wanted, *_ = move(eye, action, LIMITS, everything_free)
    again, exact = encode(eye, wanted.position, wanted.rotation[:, 2], LIMITS)
    assert exact
    reached, *_ = move(eye, again, LIMITS, everything_free)
    np.testing.assert_allclose(reached.position, wanted.position, atol=1e-7)
    np.testing.assert_allclose(reached.rotation[:, 2], wanted.rotation[:, 2], atol=1e-6)


def test_axes_of_an_action():
    eye = Eye(np.zeros(3), looking(np.array([1.0, 0.0, 0.0])))
    np.testing.assert_allclose(eye.rotation[:, 0], [0, -1, 0], atol=1e-12)
    np.testing.assert_allclose(eye.rotation[:, 1], [0, 0, -1], atol=1e-12)
    ahead, *_ = move(eye, np.float32([0, 0, 0.5, 0, 0]), LIMITS, everything_free)
    np.testing.assert_allclose(ahead.position, [0.1, 0, 0], atol=1e-12)
    right, *_ = move(eye, np.float32([0, 0, 0, 1, 0]), LIMITS, everything_free)
    np.testing.assert_allclose(right.rotation[:, 2], [math.cos(math.pi / 6), -0.5, 0], atol=1e-12)
    down, *_ = move(eye, np.float32([0, 0, 0, 0, 1]), LIMITS, everything_free)
    np.testing.assert_allclose(down.rotation[:, 2], [math.cos(math.pi / 6), 0, -0.5], atol=1e-12)


def test_too_much_is_scaled_back():
    displacement, turn = decode(np.array([3.0, 4.0, 0.0, 0.0, -2.0]), LIMITS)
    np.testing.assert_allclose(displacement, [0.12, 0.16, 0.0])
    assert turn == pytest.approx((0.0, -LIMITS.max_turn))


def test_encoding_says_what_is_out_of_reach():
    eye = Eye(np.zeros(3), np.eye(3))
    action, exact = encode(eye, np.array([0.5, 0, 0]), np.array([0, 0, 1.0]), LIMITS)
    assert not exact and np.abs(action).max() <= 1.0
    action, exact = encode(eye, np.zeros(3), np.array([0, 0, -1.0]), LIMITS)
    assert not exact
    np.testing.assert_allclose(action, [0, 0, 0, 1, 0])


def test_the_eye_stops_before_an_obstacle_and_still_turns():
    eye = Eye(np.zeros(3), np.eye(3))
    after, went, blocked = move(eye, np.float32([0, 0, 1, 1, 0]), LIMITS, lambda *_: 0.05)
    assert blocked and went == pytest.approx(0.05)
    np.testing.assert_allclose(after.position, [0, 0, 0.05])
    np.testing.assert_allclose(after.rotation, turned(np.eye(3), math.radians(30), 0.0))


def test_the_eye_stays_within_reach():
    eye = Eye(np.array([0, 0, 0.95]), np.eye(3))
    after, went, blocked = move(eye, np.float32([0, 0, 1, 0, 0]), LIMITS, everything_free)
    assert blocked and went == pytest.approx(0.05)
    back, went, blocked = move(after, np.float32([0, 0, -1, 0, 0]), LIMITS, everything_free)
    assert not blocked and back.position[2] == pytest.approx(0.8)


@pytest.mark.parametrize("wrong", [np.zeros(4), np.zeros((5, 1)), np.full(5, np.nan), [0, 0, np.inf, 0, 0]])
def test_wrong_actions(wrong):
    with pytest.raises(ValueError, match="5 finite numbers"):
        decode(wrong, LIMITS)


@pytest.mark.parametrize("direction", [(0, 0, 1), (0, 0, -2), (1, 2, 3)])
def test_looking(direction):
    rotation = looking(np.array(direction))
    np.testing.assert_allclose(rotation[:, 2], np.array(direction) / np.linalg.norm(direction))
    assert np.linalg.det(rotation) == pytest.approx(1.0)
    assert rotation[2, 0] == pytest.approx(0.0)


def test_looking_nowhere():
    with pytest.raises(ValueError, match="direction"):
        looking(np.zeros(3))
