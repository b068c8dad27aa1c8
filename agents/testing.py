"""What every motor policy must keep, as plain functions to call from your own tests.

Each raises AssertionError with what is wrong, and returns nothing.
"""

import numpy as np
import torch

from cortical.columns.messages import Goal
from cortical.envs.bodies import encode

from .policies.policy import Policy, Situation, feasible


def check_policy(policy: Policy, situation: Situation, seed: int = 0) -> None:
    """Check what a policy proposes in a situation.

    One goal at least, all finite, with a gain and a direction to look in, that one movement reaches within the limits
    of the body; the same generator gives the same goals, whatever the global generators of numpy and torch; the
    policy leaves what it was shown as it was.
    """
    shown = situation.locations.copy(), situation.gazes.copy(), situation.body.position.copy()
    goals = policy.goals(situation, np.random.default_rng(seed))
    assert goals, "a policy must return at least one goal"
    for goal in goals:
        check_goal(goal)
        origin, target = goal.origin.double().cpu().numpy(), goal.target.double().cpu().numpy()
        for i in np.flatnonzero(~feasible(situation, origin, target)):
            # single precision may put a goal at the very limit a hair beyond it
            _, arrives = encode(situation.body, origin[i], target[i] - origin[i], situation.limits)
            assert arrives, f"goal {i}, to {origin[i]} looking at {target[i]}, is out of reach of {situation.limits}"
    _stir()
    again = policy.goals(situation, np.random.default_rng(seed))
    assert len(again) == len(goals), "another number of goals though the generator is the same"
    for one, other in zip(goals, again, strict=True):
        for name in ("origin", "target", "gain"):
            same = torch.equal(getattr(one, name), getattr(other, name))
            assert same, f"{name} differs though the generator is the same"
    kept = situation.locations, situation.gazes, situation.body.position
    assert all(np.array_equal(a, b) for a, b in zip(shown, kept, strict=True)), "the policy changed what it was shown"


def check_goal(goal: Goal) -> None:
    """Check shapes and numbers: origin and target (n, 3), gain (n,), n at least 1, finite, no gaze of length zero."""
    count = len(goal.gain)
    assert count >= 1, "a policy must return at least one goal"
    shapes = {"origin": (count, 3), "target": (count, 3), "gain": (count,)}
    for name, shape in shapes.items():
        value = getattr(goal, name)
        assert tuple(value.shape) == shape, f"{name} has shape {tuple(value.shape)}, not {shape}"
        assert bool(torch.isfinite(value).all()), f"{name} isn't finite: {value}"
    assert bool(((goal.target - goal.origin).norm(dim=1) > 1e-6).all()), "a target lies where the eye would be"
    assert isinstance(goal.reason, str) and goal.reason, "a goal needs a reason, in words"


def _stir() -> None:
    """Draw from the global generators, which a policy must not use."""
    torch.rand(7)
    np.random.random(7)  # noqa: NPY002 (the legacy global state is what is meant)
