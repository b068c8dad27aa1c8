"""Numbers as PyBullet takes them: tuples and lists of plain ones."""

from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.spatial import ConvexHull
from scipy.spatial.transform import Rotation

from .paths import Point

if TYPE_CHECKING:
    from .mesh import Mesh


def floats(vector: Any) -> Point:
    """A vector as three plain numbers."""
    x, y, z = vector
    return float(x), float(y), float(z)


def quaternion(rotation: np.ndarray) -> tuple[float, ...]:
    """Of a rotation (3, 3): x, y, z, w."""
    return tuple(Rotation.from_matrix(rotation).as_quat().tolist())


def box_inertia(vertices: np.ndarray, mass: float) -> list[float]:
    """Moments of inertia of the box around `vertices` (v, 3) metres, `mass` in kilograms."""
    squares = np.ptp(vertices, axis=0) ** 2
    return (mass / 12.0 * (squares.sum() - squares)).tolist()


# PyBullet never lets go of the lists it is given: each is made once a mesh, or every new shape would cost its memory
@cache
def triangles(mesh: "Mesh") -> dict[str, Any]:
    """The true surface."""
    return {"vertices": mesh.vertices.tolist(), "indices": mesh.faces.ravel().tolist()}


@cache
def hull(mesh: "Mesh") -> dict[str, Any]:
    """Of the many vertices only those of the hull matter to physics, and every one costs time at every step."""
    return {"vertices": mesh.vertices[ConvexHull(mesh.vertices).vertices].tolist()}
