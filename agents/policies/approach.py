"""Where to look at points of a surface from: straight against the normal, or as nearly as one movement allows."""

import math

import numpy as np

from .policy import Situation, feasible, stances

STEPS = np.radians([28.0, 18.0, 9.0, 4.0, 0.0])  # round the object, the boldest first
SLANTED = math.cos(math.radians(75.0))  # a surface seen more obliquely counts as hidden


def approach(situation: Situation, target: np.ndarray, normal: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Places to look from at points of a surface, (n, 3) metres, with these normals: the nearest to straight above
    each that one movement reaches, at worst where the body is. Returns origin (n, 3), metres, and (n,) bool whether
    the point can be looked at from there."""
    origin = np.broadcast_to(situation.body.position, target.shape).copy()
    found = np.zeros(len(target), bool)
    for step in STEPS[:1] if situation.touches else STEPS:
        place = stances(situation, target, normal, np.full(len(target), step))
        better = feasible(situation, place, target) & ~found
        origin[better] = place[better]
        found |= better
    return origin, found | feasible(situation, origin, target)


def faces(origin: np.ndarray, target: np.ndarray, normal: np.ndarray) -> np.ndarray:
    """(n,) bool: the surface at `target` (n, 3) with this normal turns its outside to `origin` (n, 3), and not too
    much on the slant."""
    way = origin - target
    return (way * normal).sum(1) > SLANTED * np.linalg.norm(way, axis=1)
