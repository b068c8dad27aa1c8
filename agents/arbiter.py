"""Many goals, one movement a body: the goal that promises most for what it costs, of those that the body can do.

    rate = gain / (1 + path / A_SENSATION)

nats a sensation's worth of effort: sensing costs one, and so does a path of A_SENSATION metres. A goal that the body
can't reach, since something is in its way, gives way to the next; if there is none, the body goes as far as it can.

Bodies that move each by itself are served in the order of what their best goals promise. A later one

    - keeps APART from the ways of those before, and these from where it stands: nobody runs into anybody
    - finds a place that another is about to sense worth up to SHARED less: two need not learn the same

and stays where it is if all its goals would take it too close.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import torch

from cortical.columns.messages import Goal
from cortical.envs.bodies import Body

A_SENSATION = 2.0
"""Metres of path that cost as much as one sensation."""
ASKED = 12
"""Goals whose way is looked at before the best is taken as it is: the body then goes as far as it can."""
APART = 0.03
"""Metres between the middles of two bodies: the larger is 2 cm wide, the smaller 8 mm."""
PRESSED = 0.035
"""Metres beyond its goal that a body may come by pressing."""
SAMPLES = 24
"""Points of a way that are held against those of others."""
SHARED, SAME = 0.5, 0.015
"""Share of a goal's gain that is lost if another body senses the same place, and metres around it that are the same."""

Reachable = Callable[[np.ndarray, np.ndarray], bool]


class Choice(NamedTuple):
    """Where to go, (3,) metres, the direction (3,) to look along from there, what it is expected to teach, nats, that
    for its cost, and why."""

    position: np.ndarray
    gaze: np.ndarray
    gain: float
    rate: float
    reason: str


class Wish(NamedTuple):
    """The goals of a body's columns.

    reachable : whether the body can go to a place (3,) and look along a gaze (3,); None: anywhere
    presses : whether it goes on along its gaze when it is there
    """

    goals: list[Goal]
    body: Body
    reachable: Reachable | None = None
    presses: bool = False


def choose(wish: Wish) -> Choice:
    """The best goal for its cost, of a body that is alone. Raises ValueError if there is no goal at all."""
    return arrange([wish])[0]


def arrange(wishes: Sequence[Wish]) -> list[Choice]:
    """A movement for each of several bodies that move by themselves, in their order.

    Raises ValueError for one without any goal.
    """
    ranked = [_ranked(wish) for wish in wishes]
    chosen: dict[int, Choice] = {}
    for k in sorted(range(len(wishes)), key=lambda k: -float(ranked[k].rate.max())):
        others = [_way(wishes[i], chosen[i]) for i in chosen]
        others += [wish.body.position[None] for i, wish in enumerate(wishes) if i != k and i not in chosen]
        sensed = [choice.position + choice.gaze for choice in chosen.values()]
        chosen[k] = _best(_shared(ranked[k], sensed), wishes[k], others)
    return [chosen[k] for k in range(len(wishes))]


@dataclass(frozen=True, slots=True)
class _Ranked:
    """Goals of one body: (n, 3) metres, (n,) nats, (n,) nats for their cost, and why."""

    origin: np.ndarray
    target: np.ndarray
    gain: np.ndarray
    rate: np.ndarray
    reasons: list[str]


def _ranked(wish: Wish) -> _Ranked:
    goals = [goal for goal in wish.goals if len(goal.gain)]
    if not goals:
        raise ValueError("no column proposed a movement: a policy must return at least one goal")
    names = ("origin", "target", "gain")
    origin, target, gain = (torch.cat([getattr(goal, n).double().cpu() for goal in goals]).numpy() for n in names)
    effort = 1 + np.linalg.norm(origin - wish.body.position, axis=1) / A_SENSATION
    rate = np.where(gain > 0, gain / effort, gain * effort)
    return _Ranked(origin, target, gain, rate, [goal.reason for goal in goals for _ in goal.gain])


def _shared(ranked: _Ranked, sensed: list[np.ndarray]) -> _Ranked:
    """With less to gain at places (3,) that others are about to sense."""
    if not sensed:
        return ranked
    away = np.linalg.norm(ranked.target[:, None] - np.stack(sensed), axis=2).min(1)
    left = np.where(ranked.gain > 0, 1 - SHARED * np.exp(-0.5 * (away / SAME) ** 2), 1.0)
    return replace(ranked, gain=ranked.gain * left, rate=ranked.rate * left)


def _best(ranked: _Ranked, wish: Wish, others: list[np.ndarray]) -> Choice:
    """The best goal whose way keeps apart from the points (m, 3) of each other body's."""
    order = np.argsort(-ranked.rate, kind="stable")
    choices = [
        Choice(ranked.origin[i], ranked.target[i] - ranked.origin[i], float(ranked.gain[i]), float(ranked.rate[i]),
               ranked.reasons[i])
        for i in order
    ]  # fmt: skip
    if others:
        there = np.concatenate(others)
        # what is nearer already may go away
        near = min(APART, _nearest(wish.body.position[None], there))
        choices = [choice for choice in choices if _nearest(_way(wish, choice), there) >= near]
    if not choices:
        return Choice(wish.body.position, wish.body.rotation[:, 2], 0.0, 0.0, "to keep out of another's way")
    can = wish.reachable or (lambda place, gaze: True)
    return next((choice for choice in choices[:ASKED] if can(choice.position, choice.gaze)), choices[0])


def _way(wish: Wish, choice: Choice) -> np.ndarray:
    """Points (m, 3) along the way of a body, pressing included."""
    share = np.linspace(0.0, 1.0, SAMPLES)[:, None]
    way = wish.body.position + share * (choice.position - wish.body.position)
    if not wish.presses:
        return way
    pressed = choice.position + share * PRESSED * choice.gaze / np.linalg.norm(choice.gaze)
    return np.concatenate([way, pressed])


def _nearest(one: np.ndarray, other: np.ndarray) -> float:
    """Metres between the nearest of points (m, 3) and (k, 3)."""
    return float(np.linalg.norm(one[:, None] - other, axis=2).min())
