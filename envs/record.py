"""What a patch of the retina delivers: the image it saw, and the record of features made from it.

Sensor frame: +z is the gaze, +x right, +y down, metres. Pixel (i, j) of an n x n patch looks along
(w (j - n//2), w (i - n//2), 1) with w = 2 tan(field_of_view / 2) / n, so pixel (n//2, n//2) is the gaze itself.
Both backends (rays and camera) sample these very rays.
"""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, slots=True)
class Images:
    """RGB-D images of b patches.

    depth : (b, n, n) float32, metres along the ray (not along the gaze); 0 where no ray met anything
    rgb : (b, n, n, 3) float32 in 0 ... 1
    on_object : (b, n, n) bool, the ray met the object (and not, say, the table)
    """

    depth: np.ndarray
    rgb: np.ndarray
    on_object: np.ndarray


@dataclass(frozen=True, slots=True)
class Record:
    """Features of b patches, each at the point where its gaze meets the surface. All float32 or bool, all finite.

    location : (b, 3) metres, world frame; zeros where the gaze met nothing
    normal : (b, 3) unit, world frame, towards the sensor's side of the surface
    directions : (b, 2, 3) unit principal directions, world frame; directions[:, 1] = normal x directions[:, 0]
    curvature : (b, 2) principal curvatures in 1/m, curvature[:, 0] >= curvature[:, 1], positive where convex
        (a ball of radius r seen from outside has 1/r twice)
    rgb, hsv : (b, 3) in 0 ... 1
    on_object : (b,) bool, the gaze met the object
    valid : (b,) bool, the reading arrived and could be made sense of; an empty reading is valid
    confidence : (b,) 0 ... 1, from the residual of the surface fit
    patch : (b, n, n, 6) red, green, blue and x, y, z (metres, sensor frame) of every pixel; zeros off the object
    """

    location: np.ndarray
    normal: np.ndarray
    directions: np.ndarray
    curvature: np.ndarray
    rgb: np.ndarray
    hsv: np.ndarray
    on_object: np.ndarray
    valid: np.ndarray
    confidence: np.ndarray
    patch: np.ndarray


def ray_directions(pixels: int, field_of_view: float) -> np.ndarray:
    """Unit directions of a patch's rays, (n, n, 3) float64, sensor frame. `field_of_view` in radians."""
    step = 2.0 * np.tan(field_of_view / 2.0) / pixels
    offsets = step * (np.arange(pixels) - pixels // 2)
    grid = np.stack([*np.meshgrid(offsets, offsets), np.ones((pixels, pixels))], axis=-1)
    return grid / np.linalg.norm(grid, axis=-1, keepdims=True)
