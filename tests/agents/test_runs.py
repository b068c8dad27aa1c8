"""Episodes from plain data to plain data, as a pool of processes would run them."""

import pickle

import numpy as np

from cortical.agents.runs import run_episode


def test_an_episode_needs_only_plain_data(learnt, tmp_path):
    pose = np.array([0.01, -0.02, 0.0]), np.eye(3)
    first, again = (run_episode(learnt.experiment, "torus", pose, seed=3, maps=learnt.folder) for _ in range(2))
    np.testing.assert_allclose(first.position, pose[0], atol=1e-6)
    np.testing.assert_allclose(first.rotation, pose[1], atol=1e-6)
    assert first.answer == "torus"
    copy = pickle.loads(pickle.dumps(first))
    assert copy == first
    assert again.estimated_rotation == first.estimated_rotation and again.odds_log == first.odds_log
