"""Many goals, one movement a body: the goal that promises most for what it costs, of those that the body can do.

    rate = gain / (1 + path / A_SENSATION)

nats a sensation's worth of effort: sensing costs one, and so does a path of A_SENSATION metres. A goal that the body
can't reach, since something is in its way, gives way to the next.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch

from cortical.columns.messages import Goal
from cortical.envs.bodies import Body

A_SENSATION = 2.0
"""Metres of path that cost as much as one sensation."""
ASKED = 12
"""Goals whose way is looked at before the best is taken as it is: the body then goes as far as it can."""


class Choice(NamedTuple):
    """Where to go, (3,) metres, the direction (3,) to look along from there, what it is expected to teach, nats, that
    for its cost, and why."""

    position: np.ndarray
    gaze: np.ndarray
    gain: float
    rate: float
    reason: str


def choose(goals: list[Goal], body: Body, reachable: Callable[[np.ndarray], bool] | None = None) -> Choice:
    """The best goal for its cost.

    reachable : whether the body can go to a place (3,); None: anywhere
    Raises ValueError if there is no goal at all.
    """
    goals = [goal for goal in goals if len(goal.gain)]
    if not goals:
        raise ValueError("no column proposed a movement: a policy must return at least one goal")
    names = ("origin", "target", "gain")
    origin, target, gain = (torch.cat([getattr(goal, n).double().cpu() for goal in goals]).numpy() for n in names)
    reasons = [goal.reason for goal in goals for _ in goal.gain]
    effort = 1 + np.linalg.norm(origin - body.position, axis=1) / A_SENSATION
    rate = np.where(gain > 0, gain / effort, gain * effort)
    order = np.argsort(-rate, kind="stable")
    can = reachable or (lambda place: True)
    best = next((i for i in order[:ASKED] if can(origin[i])), order[0])
    return Choice(origin[best], target[best] - origin[best], float(gain[best]), float(rate[best]), reasons[best])
