"""Many goals, one movement: the goal that promises most, less what it costs to get there."""

import numpy as np

from cortical.columns.messages import Goal
from cortical.envs.bodies import Body

PATH_COST = 0.3  # nats a metre: of two goals that teach alike, the nearer one


def choose(goals: list[Goal], body: Body) -> tuple[np.ndarray, np.ndarray, float, str]:
    """The place (3,) to go to, the direction (3,) to look along from there, the expected gain in nats and the reason.

    Raises ValueError if there is no goal at all.
    """
    best: tuple[float, np.ndarray, np.ndarray, float, str] | None = None
    for goal in goals:
        origin, target, gain = (x.double().cpu().numpy() for x in (goal.origin, goal.target, goal.gain))
        if len(gain) == 0:
            continue
        worth = gain - PATH_COST * np.linalg.norm(origin - body.position, axis=1)
        i = int(worth.argmax())
        if best is None or worth[i] > best[0]:
            best = float(worth[i]), origin[i], target[i] - origin[i], float(gain[i]), goal.reason
    if best is None:
        raise ValueError("no column proposed a movement: a policy must return at least one goal")
    return best[1:]
