"""The surface of an object as points: how far a pose is from another, and which part of it a look falls on.

How far is told by the shape alone (ADD-S; Hinterstoisser et al., ACCV 2012): the mean distance from points of the
object at its true pose to the nearest points of it at the other. A turn that brings the shape onto itself costs
nothing, so no table of symmetries is needed; a texture isn't looked at.
"""

from functools import lru_cache

import numpy as np
import trimesh
from scipy.spatial import KDTree

from .sensors import shared_catalogue

PROBES, DENSE = 256, 8192
"""Points of the true object, and of the other one among which their nearest are sought."""
CELLS = 64
"""Nearly equal parts of a surface, by place and facing."""
FACING = 0.02
"""Metres that a unit of difference between normals counts for: both sides of a thin wall are cells apart."""
CANDIDATES = 2048

Pose = tuple[np.ndarray, np.ndarray]
"""Position (3,) in metres and rotation (3, 3) world_from_object."""


class Shape:
    """One object. Its points are drawn by a fixed seed, so they are always the same.

    diameter : metres, the diagonal of its bounding box; normals : (f, 3) unit, of its faces, object frame
    """

    def __init__(self, vertices: np.ndarray, faces: np.ndarray) -> None:
        mesh = trimesh.Trimesh(vertices, faces, process=False)
        drawn, triangles = trimesh.sample.sample_surface(mesh, DENSE + PROBES, seed=0)[:2]
        points = np.asarray(drawn)
        self.diameter = float(np.linalg.norm(np.ptp(vertices, axis=0)))
        self.normals = _normals(vertices[faces])
        self._probes, self._near = points[:PROBES], KDTree(points[PROBES:])
        faced = np.concatenate([points, FACING * self.normals[triangles]], axis=1)
        self._cells = KDTree(_spread(faced[:CANDIDATES], CELLS))

    def distance(self, true: Pose, other: Pose) -> float:
        """ADD-S in metres between two poses; about a millimetre where a symmetry makes them look the same."""
        (position, rotation), (at, turn) = true, other
        points = (self._probes @ rotation.T + position - at) @ turn
        return float(self._near.query(points)[0].mean())

    def cells(self, points: np.ndarray, faces: np.ndarray) -> np.ndarray:
        """Which of the `CELLS` parts points (m, 3), metres, object frame, on faces (m,) lie in: (m,) int."""
        return np.asarray(self._cells.query(np.concatenate([points, FACING * self.normals[faces]], axis=1))[1])


@lru_cache(maxsize=256)
def shared_shape(source: str, index: int) -> Shape:
    """The shape of the `index`-th object of a catalogue, made once a process."""
    catalogue = shared_catalogue(source)
    mesh = catalogue.mesh(catalogue.names[index])
    return Shape(mesh.vertices, mesh.faces)


def _normals(corners: np.ndarray) -> np.ndarray:
    """(f, 3) unit normals of triangles (f, 3, 3); zeros where one has no area."""
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    return normals / np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-300)


def _spread(points: np.ndarray, count: int) -> np.ndarray:
    """`count` of the points, each as far as can be from those before it, so that all have like shares around them."""
    chosen = [0]
    nearest = ((points - points[0]) ** 2).sum(axis=1)
    for _ in range(count - 1):
        chosen.append(int(nearest.argmax()))
        nearest = np.minimum(nearest, ((points - points[chosen[-1]]) ** 2).sum(axis=1))
    return points[chosen]
