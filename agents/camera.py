"""A small camera for pictures of an episode: an object at its pose, shaded, and points in front of and behind it.

The object is drawn by casting a ray for every pixel, so that textures are sharp and it is known which points it hides.
A camera is a pinhole; a point (x right, y down, z ahead of it) falls on the picture at (x / z, y / z).
"""

import math
from dataclasses import dataclass

import numpy as np

from cortical.envs.bodies import looking
from cortical.envs.mesh import Mesh
from cortical.envs.record import ray_directions
from cortical.envs.retina import Retina

PIXELS = 1200
AWAY = 0.9
"""Metres from the camera to the middle of the object."""
MANY = 40
"""Points at most for which it is tried from where they are in sight."""
LIGHT = np.array([-0.45, -0.65, -0.75])
"""Towards the lamp, camera frame: from the upper left, behind the viewer."""


@dataclass(frozen=True)
class Camera:
    """position : (3,) metres; rotation : (3, 3) world_from_camera."""

    position: np.ndarray
    rotation: np.ndarray

    def project(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Points (n, 3), metres, world frame -> places on the picture (n, 2) and distances ahead (n,)."""
        seen = (np.asarray(points, float).reshape(-1, 3) - self.position) @ self.rotation
        return seen[:, :2] / seen[:, 2:], seen[:, 2]


@dataclass(frozen=True)
class View:
    """What a camera sees of an object.

    pixels : (n, n, 4) float in 0 ... 1, colour and cover; half : half its width on the picture
    ahead : (2 n, 2 n) metres ahead of the camera, inf beside the object
    """

    pixels: np.ndarray
    ahead: np.ndarray
    half: float

    def hides(self, places: np.ndarray, distances: np.ndarray, slack: float = 0.004) -> np.ndarray:
        """Which points, projected to `places` (n, 2) and `distances` (n,), lie behind the object: (n,) bool."""
        size = len(self.ahead)
        column, row = np.clip((places / self.half + 1.0) * size / 2, 0, size - 1).astype(int).T
        inside = (np.abs(places) < self.half).all(1)
        return inside & (self.ahead[row, column] < distances - slack)


def best_camera(mesh: Mesh, position: np.ndarray, rotation: np.ndarray, eyes: np.ndarray, rays: np.ndarray) -> Camera:
    """From where most of what was sensed is in sight and the eyes that saw it stand aside.

    position, rotation : pose of the object; eyes : (n, 3) metres, world frame
    rays : (m, 2, 3), from where and to where each point was sensed, metres, world frame
    """
    bearings = _bearings()
    rays = rays[:: max(1, len(rays) // MANY)]
    out = unit(eyes - position) @ bearings.T
    across = unit(np.cross(bearings, (0.0, 0.0, 1.0))) @ unit(eyes - position).mean(0)
    worth = 0.6 * np.sqrt(1.0 - np.clip(out, -1, 1) ** 2).mean(0) + 0.3 * np.abs(across) + 0.1 * bearings[:, 2]
    if len(rays):
        starts = (off_surface(rays) - position) @ rotation
        origins, ways = np.repeat(starts, len(bearings), 0), np.tile(bearings @ rotation, (len(rays), 1))
        met = Retina([mesh], 1, 0.1).cast(np.zeros(len(origins), int), origins, ways)[0]
        facing = np.clip(unit(rays[:, 0] - rays[:, 1]) @ bearings.T, 0, 1)
        worth = worth + np.isinf(met).reshape(len(rays), -1).mean(0) + 0.6 * facing.mean(0)
    best = bearings[int(np.argmax(worth))]
    return Camera(position + AWAY * best, looking(-best))


def off_surface(rays: np.ndarray) -> np.ndarray:
    """Sensed points, (m, 3), moved 3 mm towards the eye: noise puts some a little below the surface they lie on."""
    return rays[:, 1] + 0.003 * unit(rays[:, 0] - rays[:, 1])


def view(mesh: Mesh, position: np.ndarray, rotation: np.ndarray, camera: Camera, pixels: int = PIXELS) -> View:
    """An object at a pose, shaded by one lamp; four rays a pixel, two pixels along each edge."""
    radius = float(np.linalg.norm(mesh.vertices, axis=1).max())
    half = 1.03 * radius / math.sqrt(AWAY**2 - radius**2)
    field = 2.0 * math.atan(half)
    pose = position[None], rotation[None], camera.position[None], camera.rotation[None]
    seen = Retina([mesh], pixels, field).sense_images(np.zeros(1, int), *pose)
    on = seen.on_object[0]
    points = seen.depth[0][..., None] * ray_directions(pixels, field)
    colour = np.clip(seen.rgb[0] * _shade(points)[..., None], 0.0, 1.0) * on[..., None]
    full = np.concatenate([colour, on[..., None]], -1)
    small = full.reshape(pixels // 2, 2, pixels // 2, 2, 4).mean((1, 3))
    small[..., :3] /= np.maximum(small[..., 3:], 1e-6)
    return View(np.clip(small, 0, 1), np.where(on, points[..., 2], np.inf), half)


def lit(normals: np.ndarray) -> np.ndarray:
    """Brightness in 0.35 ... 1.1 of surfaces with these unit normals (..., 3), camera frame."""
    return 0.45 + 0.65 * np.clip(normals @ unit(LIGHT), 0.0, 1.0)


def _shade(points: np.ndarray) -> np.ndarray:
    down, across = np.gradient(points, axis=(0, 1))
    normal = np.cross(across, down)
    normal *= -np.sign((normal * points).sum(-1, keepdims=True))
    return lit(unit(normal))


def unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-12)


def _bearings(count: int = 240) -> np.ndarray:
    """Directions all around, but for the steepest, (count, 3)."""
    turn = np.arange(count) * math.pi * (3.0 - math.sqrt(5.0))
    height = np.linspace(-0.7, 0.8, count)
    flat = np.sqrt(1.0 - height**2)
    return np.stack([flat * np.cos(turn), flat * np.sin(turn), height], axis=1)
