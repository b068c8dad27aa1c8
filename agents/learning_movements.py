"""Movements while learning: go where the map is empty, thin or surprising.

Candidates are random movements within the eye's limits, aimed at places worth sensing; the one whose rays should teach
most is taken (see `learning_space`). Nothing is remembered but what was sensed: a place that was, or that was seen to
be empty, is worth less, so the eye does not return. The random walk that coverage is compared with makes the same
movements, aimed near what was sensed.
"""

import math
from collections.abc import Iterator
from typing import Protocol

import numpy as np

from cortical.columns.messages import Sensation
from cortical.envs.bodies import Eye, Limits, encode
from cortical.envs.explore import ObjectExploreEnv

from .learning_space import Space, gain, places, readings, sensed
from .policies.policy import around, within
from .policies.saccade import SEARCH, SPREAD, STEP, TRIES
from .sensing import Senses

AIMED, WEIGHED = 512, 128  # movements drawn, and of those within the limits weighed


class Mover(Protocol):
    """What moves the eye while an object is learnt: sees each glance (1, m), then says where the eye goes, (3,) metres,
    and along what it looks, (3,) of any length, both within the limits."""

    def see(self, sensation: Sensation) -> None: ...

    def next(self, eye: Eye, limits: Limits) -> tuple[np.ndarray, np.ndarray]: ...


def glances(
    env: ObjectExploreEnv, senses: Senses, name: str, mover: Mover, count: int, seed: int
) -> Iterator[Sensation]:
    """`count` glances at an object, moved by `mover`; the first from a random bearing, drawn from `seed`."""
    observation, _ = env.reset(seed=seed, options={"object": name, "position": np.zeros(3), "rotation": np.eye(3)})
    for left in reversed(range(count)):
        sensation = senses(observation)
        yield sensation
        if left:
            mover.see(sensation)
            action, _ = encode(env.eye, *mover.next(env.eye, env.limits), env.limits)
            observation = env.step(action)[0]


def make_mover(name: str, env: ObjectExploreEnv, random: np.random.Generator) -> Mover:
    """The mover of this name, "coverage" or "random_walk". Raises ValueError for any other."""
    if name == "coverage":
        return Coverage(env.sensors.eye_from_sensor[:, :, 2], random)
    if name == "random_walk":
        return RandomWalk(random)
    raise ValueError(f"learn.movement = {name!r} moves nothing: choose coverage or random_walk")


class RandomWalk:
    """Random steps round the object, and random looks near what was sensed."""

    def __init__(self, random: np.random.Generator) -> None:
        self.random, self.met = random, np.zeros((0, 3))

    def see(self, sensation: Sensation) -> None:
        self.met = np.concatenate([self.met, readings(sensation)[0]])

    def next(self, eye: Eye, limits: Limits) -> tuple[np.ndarray, np.ndarray]:
        random = self.random
        about, spread = (self.met, SPREAD) if len(self.met) else (np.zeros((1, 3)), SEARCH)
        target = about[random.integers(len(about), size=TRIES)] + random.normal(0, spread, (TRIES, 3))
        origin = around(eye.position, random.normal(size=(TRIES, 3)), np.zeros(3), random.uniform(0, STEP, TRIES))
        good = np.flatnonzero(within(eye, limits, origin, target))[:1]
        if len(good):
            return origin[good[0]], (target - origin)[good[0]]
        right, down = np.tan(random.uniform(-0.5, 0.5, 2) * min(limits.max_turn, 1.0))
        return eye.position, eye.rotation @ np.array([right, down, 1.0])


class Coverage:
    """The movement whose glance should teach most. rays : (m, 3) directions of the patches, eye frame"""

    def __init__(self, rays: np.ndarray, random: np.random.Generator) -> None:
        side = math.isqrt(len(rays))  # every second patch of the square stands for its neighbours
        self.rays = rays[np.arange(side * side).reshape(side, side)[::2, ::2].ravel()]
        self.random, self.space, self.walk = random, Space.empty(), RandomWalk(random)

    def see(self, sensation: Sensation) -> None:
        self.space = sensed(self.space, sensation)
        self.walk.see(sensation)

    def next(self, eye: Eye, limits: Limits) -> tuple[np.ndarray, np.ndarray]:
        found = candidates(self.space, eye, limits, self.random)
        if found is None:
            return self.walk.next(eye, limits)
        origin, target = found
        gaze = target - origin
        gaze /= np.linalg.norm(gaze, axis=1, keepdims=True)
        ways = np.einsum("cij,pj->cpi", _looking(eye, gaze), self.rays)
        worth = gain(self.space, np.repeat(origin, len(self.rays), 0), ways.reshape(-1, 3))
        best = int(worth.reshape(len(origin), -1).mean(1).argmax())
        return origin[best], gaze[best]


def candidates(
    space: Space, eye: Eye, limits: Limits, random: np.random.Generator
) -> tuple[np.ndarray, np.ndarray] | None:
    """Movements within the limits: places to look from and points to look at, (c, 3) metres each, the latter drawn by
    their worth. None if nothing was sensed yet or none of them can be looked at."""
    target = places(space, AIMED, random)
    if target is None:
        return None
    aside = random.normal(size=(AIMED, 3)) * random.choice([0.3, 2.0], size=(AIMED, 1))
    bearing = target / np.linalg.norm(target, axis=1, keepdims=True) + aside
    origin = around(eye.position, bearing, np.zeros(3), random.uniform(0, STEP, AIMED))
    good = np.flatnonzero(within(eye, limits, origin, target))[:WEIGHED]
    return (origin[good], target[good]) if len(good) else None


def _looking(eye: Eye, gaze: np.ndarray) -> np.ndarray:
    """world_from_eye (c, 3, 3) of an eye that turned to these gazes, its x still about where it was."""
    right = np.cross(eye.rotation[:, 1], gaze)
    right /= np.linalg.norm(right, axis=1, keepdims=True)
    return np.stack([right, np.cross(gaze, right), gaze], 2)
