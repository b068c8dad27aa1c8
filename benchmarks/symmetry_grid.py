"""A grid of rotations, weighed on a table of voxels: where to look for those after which a surface looks the same."""

import numpy as np
from scipy.spatial import KDTree
from scipy.spatial.transform import Rotation
from symmetry_surface import UNITS, Effort, Surface


def rotation_grid(count: int) -> np.ndarray:
    """(count, 4) unit quaternions spread evenly (super-Fibonacci spirals: Alexa, CVPR 2022)."""
    s = np.arange(count) + 0.5
    r, rest = np.sqrt(s / count), np.sqrt(1 - s / count)
    a, b = 2 * np.pi * s / np.sqrt(2.0), 2 * np.pi * s / 1.533751168755204288118041
    return np.stack([r * np.sin(a), r * np.cos(a), rest * np.sin(b), rest * np.cos(b)], axis=1)


def _table(surface: Surface, pitch: float = 0.004) -> tuple[np.ndarray, float, int]:
    """For each voxel of a cube around the centre the nearest reference point, its normal and colour."""
    radius = np.linalg.norm(surface.reference.point - surface.centre, axis=1).max() + pitch
    pitch = max(pitch, radius / 30)
    side = int(np.ceil(2 * radius / pitch))
    axis = (np.arange(side) + 0.5) * pitch - side * pitch / 2
    voxel = np.stack(np.meshgrid(axis, axis, axis, indexing="ij"), axis=-1).reshape(-1, 3)
    near = KDTree(surface.reference.point - surface.centre).query(voxel, eps=0.1)[1]
    reference = surface.reference
    rows = [reference.point[near] - surface.centre, reference.normal[near], surface.blurred[0][near]]
    return np.concatenate(rows, axis=1).astype(np.float32), pitch, side


def _grid_scores(surface: Surface, turns: np.ndarray, effort: Effort) -> np.ndarray:
    """Rough mean square deviation of every rotation (n, 3, 3), from the table of voxels."""
    rows, pitch, side = _table(surface)
    sample = surface.query.first(effort.coarse_points)
    near = surface.places.query(sample.point)[1]
    colour = surface.blurred[0][near].astype(np.float32)
    start = (sample.point - surface.centre).astype(np.float32)
    normals, turns = sample.normal.astype(np.float32), turns.astype(np.float32)
    scores = np.empty(len(turns), np.float32)
    for part in range(0, len(turns), 1000):
        turn = turns[part : part + 1000]
        point = start @ turn.transpose(0, 2, 1)
        cell = np.clip(((point + side * pitch / 2) / pitch).astype(np.int32), 0, side - 1)
        row = rows[(cell[..., 0] * side + cell[..., 1]) * side + cell[..., 2]]
        off = np.minimum(np.square(point - row[..., :3]).sum(-1) / UNITS[0] ** 2, 50.0)
        cosine = np.einsum("rnj,rnj->rn", normals @ turn.transpose(0, 2, 1), row[..., 3:6])
        off += np.minimum((1 - cosine**2) / UNITS[1] ** 2, 10.0)
        if surface.painted:
            off += np.square(colour - row[..., 6:]).sum(-1) / UNITS[2] ** 2
        scores[part : part + 1000] = off.mean(-1)
    return scores


def grid_minima(surface: Surface, effort: Effort) -> np.ndarray:
    """Rotations (m, 3, 3) of the grid that none of their 26 neighbours betters, the best first."""
    quaternions = rotation_grid(effort.grid)
    turns = Rotation.from_quat(quaternions).as_matrix()
    scores = _grid_scores(surface, turns, effort)
    best = np.argsort(scores)[: max(4_000, effort.grid // 20)]
    tree = KDTree(np.concatenate([quaternions, -quaternions]))
    near = tree.query(quaternions[best], k=27)[1] % effort.grid
    lowest = scores[best] <= scores[near].min(1)
    return turns[best[lowest]][: effort.minima]
