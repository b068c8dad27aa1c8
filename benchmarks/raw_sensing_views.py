"""What the measurement of raw sensing looks at: shapes of exact form and the objects of a catalogue.

A shape is a signed distance with known normals and curvatures; its depth images are found by walking along each ray by
the distance until the surface is within 0.1 nm.
"""

from dataclasses import dataclass

import numpy as np

from cortical.envs.placing import random_rotations
from cortical.envs.record import Images, ray_directions
from cortical.envs.sensors import shared_catalogue, shared_retina

BALL, TUBE, RING, THICK = 0.05, 0.03, 0.05, 0.02
"""Radii in metres: of the ball, of the cylinder, of the torus's circle and of its tube."""
SHAPES = ("ball", "cylinder", "torus")
LYING = "torus on a plane"
DISTANCE, SLANT = 0.2, np.radians(60)
JUMP = 0.01


@dataclass(frozen=True, slots=True)
class View:
    """b views of a shape, and what is true where their gazes meet it, in the frame of the shape.

    depth : (b, n, n) metres along the rays, 0 where they pass; field_of_view : radians
    position, rotation : (b, 3), (b, 3, 3) world_from_sensor
    normal, direction : (b, 3), the second that of the smaller curvature; curvature : (b, 2) 1/m, larger first
    """

    depth: np.ndarray
    field_of_view: float
    position: np.ndarray
    rotation: np.ndarray
    normal: np.ndarray
    direction: np.ndarray
    curvature: np.ndarray


def distance(shape: str, p: np.ndarray) -> np.ndarray:
    if shape == "ball":
        return np.linalg.norm(p, axis=-1) - BALL
    around = np.hypot(p[..., 0], p[..., 1])
    if shape == "cylinder":
        return around - TUBE
    ring = np.hypot(around - RING, p[..., 2]) - THICK
    return np.minimum(ring, p[..., 2] + THICK) if shape == LYING else ring


def truth(shape: str, p: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Normals, directions of the smaller curvature (any on a ball) and curvatures at points (b, 3) of a surface."""
    flat = p * [1.0, 1.0, 0.0]
    around = np.linalg.norm(flat, axis=1, keepdims=True)
    up = np.tile([0.0, 0.0, 1.0], (len(p), 1))
    along = np.cross(up, flat / around)
    if shape == "ball":
        return p / BALL, along, np.full((len(p), 2), 1.0 / BALL)
    if shape == "cylinder":
        return flat / TUBE, up, np.tile([1.0 / TUBE, 0.0], (len(p), 1))
    second = (around[:, 0] - RING) / (THICK * around[:, 0])
    return (p - RING * flat / around) / THICK, along, np.stack([np.full(len(p), 1.0 / THICK), second], axis=1)


def points(shape: str, count: int, random: np.random.Generator) -> np.ndarray:
    """Random points of a surface, (count, 3), as dense everywhere; of the cylinder, around its middle."""
    turn, turn2 = random.uniform(0, 2 * np.pi, (2, count))
    if shape == "ball":
        p = random.normal(size=(count, 3))
        return BALL * p / np.linalg.norm(p, axis=1, keepdims=True)
    if shape == "cylinder":
        return np.stack([TUBE * np.cos(turn), TUBE * np.sin(turn), 0 * turn], axis=1)
    for k in range(count):  # by rejection: the inside of a torus is smaller
        while random.uniform() > (RING + THICK * np.cos(turn2[k])) / (RING + THICK):
            turn2[k] = random.uniform(0, 2 * np.pi)
    around = RING + THICK * np.cos(turn2)
    return np.stack([around * np.cos(turn), around * np.sin(turn), THICK * np.sin(turn2)], axis=1)


def march(shape: str, eyes: np.ndarray, rays: np.ndarray) -> np.ndarray:
    """Distance along unit rays (b, ..., 3) from eyes (b, 3) to the surface; 0 where they pass it."""
    origins = np.broadcast_to(eyes.reshape(len(eyes), *[1] * (rays.ndim - 2), 3), rays.shape).reshape(-1, 3)
    directions, t = rays.reshape(-1, 3), np.zeros(rays[..., 0].size)
    going, met = np.arange(t.size), np.zeros(t.size, bool)
    for _ in range(400):
        step = distance(shape, origins[going] + t[going, None] * directions[going])
        t[going] += step
        met[going] = np.abs(step) < 1e-10
        going = going[~met[going] & (t[going] < 0.5)]
    return np.where(met, t, 0.0).reshape(rays.shape[:-1])


def views(shape: str, pixels: int, width: float, count: int, seed: int) -> View:
    """Random points seen from `DISTANCE` at up to `SLANT` off the normal, in patches `width` metres wide there."""
    random = np.random.default_rng(seed)
    aims = points(shape, 4 * count, random)
    normal = truth(shape, aims)[0]
    side = _unit(np.cross(normal, random.normal(size=aims.shape)))
    tilt = random.uniform(0, SLANT, (len(aims), 1))
    z = -(np.cos(tilt) * normal + np.sin(tilt) * side)
    eyes = aims - DISTANCE * z
    free = distance(shape, eyes) > 0
    seen = np.flatnonzero(free & (np.abs(march(shape, eyes, z) - DISTANCE) < 1e-6))[:count]
    aims, eyes, z = aims[seen], eyes[seen], z[seen]
    x = _unit(np.cross(z, random.normal(size=z.shape)))
    rotation = np.stack([x, np.cross(z, x), z], axis=2)
    field = 2.0 * np.arctan(width / 2 / DISTANCE)
    rays = np.einsum("bij,nmj->bnmi", rotation, ray_directions(pixels, field))
    return View(march(shape, eyes, rays), field, eyes, rotation, *truth(shape, aims))


def jumps(view: View) -> np.ndarray:
    """(b,) bool: neighbouring pixels of the patch both hit something, more than `JUMP` apart in depth."""
    found = np.zeros(len(view.depth), bool)
    for axis in (1, 2):
        apart = np.abs(np.diff(view.depth, axis=axis)) > JUMP
        both = np.minimum(np.delete(view.depth, 0, axis), np.delete(view.depth, -1, axis)) > 0
        found |= (apart & both).any(axis=(1, 2))
    return found


def catalogue_images(source: str, pixels: int, field_of_view: float, each: int, seed: int) -> Images:
    """Every object of a catalogue from `each` random sides, 20 cm away, the gaze on it; sensors stand at the origin."""
    retina, random = shared_retina(source, pixels, field_of_view), np.random.default_rng(seed)
    owner = np.repeat(np.arange(len(shared_catalogue(source))), each)
    count = len(owner)
    turn, position = random_rotations(count, random), np.tile([0.0, 0.0, DISTANCE], (count, 1))
    for _ in range(200):
        missed = ~np.isfinite(retina.cast(owner, np.einsum("bji,bj->bi", turn, -position), turn[:, 2, :])[0])
        if not missed.any():
            break
        position[missed, :2] = random.uniform(-0.06, 0.06, (int(missed.sum()), 2))
        turn[missed] = random_rotations(int(missed.sum()), random)
    return retina.sense_images(owner, position, turn, np.zeros((count, 3)), np.tile(np.eye(3), (count, 1, 1)))


def log_curvature(curvature: np.ndarray) -> np.ndarray:
    """What columns compare, sign(k) ln(1 + |k| x 1 m)."""
    return np.sign(curvature) * np.log1p(np.abs(curvature))


def _unit(a: np.ndarray) -> np.ndarray:
    return a / np.linalg.norm(a, axis=-1, keepdims=True)
