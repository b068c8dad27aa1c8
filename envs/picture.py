"""Pictures of a scene for people: from behind and above the eye, with a cross where it looks, or from aside."""

import math
from collections.abc import Sequence
from functools import lru_cache

import numpy as np

from .bodies import Eye, looking
from .mesh import Mesh
from .retina import Retina

HEIGHT, WIDTH = 240, 320
FIELD_OF_VIEW = math.radians(50.0)
SKY = np.array([236, 240, 244], np.float32)


def over_the_shoulder(
    mesh: Mesh, position: np.ndarray, rotation: np.ndarray, eye: Eye, table_height: float | None
) -> np.ndarray:
    """(240, 320, 3) uint8. position, rotation : pose of the object; table_height : metres, or None."""
    retina, zero = _wide(mesh), np.zeros(1, dtype=int)
    back = eye.position - 0.12 * eye.rotation[:, 2] + [0.0, 0.0, 0.08]
    view = looking(position - back)
    images = retina.sense_images(zero, position[None], rotation[None], back[None], view[None], table_height)
    depth, seen = images.depth[0], images.on_object[0]
    light = np.where(seen, _facing(depth), 1.0)[..., None]
    picture = np.where(depth[..., None] > 0, images.rgb[0] * light * 255.0, SKY)
    origin, gaze = rotation.T @ (eye.position - position), rotation.T @ eye.rotation[:, 2]
    distance = float(retina.cast(zero, origin[None], gaze[None])[0][0])
    if math.isfinite(distance):
        _mark(picture, view.T @ (eye.position + distance * eye.rotation[:, 2] - back))
    margin = (WIDTH - HEIGHT) // 2
    return picture[margin : WIDTH - margin].astype(np.uint8)


def from_aside(
    parts: Sequence[tuple[Mesh, np.ndarray, np.ndarray]],
    from_there: np.ndarray,
    gaze: np.ndarray,
    table_height: float | None,
) -> np.ndarray:
    """(240, 320, 3) uint8: whatever there is, say the links of an arm and an object.

    parts : meshes with positions (3,) and rotations (3, 3); from_there : (3,) metres; gaze : (3,) direction
    """
    depth = np.zeros((WIDTH, WIDTH), np.float32)
    picture, view = np.broadcast_to(SKY, (WIDTH, WIDTH, 3)), looking(gaze)
    for mesh, position, rotation in parts:
        images = _wide(mesh).sense_images(
            np.zeros(1, dtype=int), position[None], rotation[None], from_there[None], view[None], table_height
        )
        there = images.depth[0]
        light = np.where(images.on_object[0], _facing(there), 1.0)[..., None]
        nearer = (there > 0) & ((depth == 0) | (there < depth))
        picture = np.where(nearer[..., None], images.rgb[0] * light * 255.0, picture)
        depth = np.where(nearer, there, depth)
    margin = (WIDTH - HEIGHT) // 2
    return picture[margin : WIDTH - margin].astype(np.uint8)


@lru_cache(maxsize=24)
def _wide(mesh: Mesh) -> Retina:
    return Retina([mesh], WIDTH, FIELD_OF_VIEW)


def _facing(depth: np.ndarray) -> np.ndarray:
    """Shade by how squarely a surface is seen, from differences of depth: shape shows without any lamp."""
    across = 2.0 * math.tan(FIELD_OF_VIEW / 2) / WIDTH * np.maximum(depth, 1e-3)
    slope = np.hypot(*np.gradient(depth)) / across
    return 0.35 + 0.65 / np.sqrt(1.0 + slope * slope)


def _mark(picture: np.ndarray, point: np.ndarray) -> None:
    """A red cross at a point (3,) in the frame of the view, if it is in the picture."""
    if point[2] <= 0:
        return
    scale = WIDTH / (2.0 * math.tan(FIELD_OF_VIEW / 2))
    column, row = (round(WIDTH // 2 + scale * float(c / point[2])) for c in point[:2])
    if 5 <= column < WIDTH - 5 and 5 <= row < WIDTH - 5:
        picture[row - 5 : row + 6, column] = picture[row, column - 5 : column + 6] = (220, 30, 30)
