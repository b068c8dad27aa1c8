"""A surface to compare turned points with: samples of it, and how far a turned one is off.

Points are drawn uniformly by area. Two samples of 4,000 points lie about 2 mm apart even on the same surface,
so the other side of the comparison isn't a sample: of 50,000 reference points the nearest (in position / 2 mm
and normal / 10 degrees together, which keeps edges and the two sides of a thin wall apart) names a triangle,
and distance, normal and colour are those of the closest point of it. Normals have no sign, since an eye sees
them turned towards itself. Colour is (saturation cos hue, saturation sin hue, value), as in the maps.
"""

from dataclasses import dataclass

import numpy as np
from scipy.spatial import KDTree
from symmetry_nearest import Nearest, closest

from cortical.envs.objects import Mesh

UNITS = np.array([0.002, np.radians(10.0), 0.1])
"""Distance in metres, angle in radians, colour: the bars at tolerance 1."""
BLURS = (64, 12)
"""Reference points over which colours are averaged while searching, coarse and fine."""


@dataclass(frozen=True)
class Effort:
    """How much is spent on one object."""

    grid: int = 118_000
    """Rotations of the grid: the volume of SO(3), 8 pi^2, over (5 degrees)^3."""
    points: int = 4_000
    reference: int = 50_000
    dense: float = 4e6
    """Reference points a square metre that are enough: small objects take fewer."""
    coarse_points: int = 200
    fine_points: int = 600
    minima: int = 60
    """Local minima of the grid that are refined."""
    axes: int = 10
    angles: int = 36
    products: int = 300
    polished: int = 100
    """Elements that just miss a tolerance and are improved, the best first."""


@dataclass
class Sample:
    """Points of a surface: where, normal, colour. Each (n, 3)."""

    point: np.ndarray
    normal: np.ndarray
    colour: np.ndarray
    face: np.ndarray

    def first(self, count: int) -> "Sample":
        return Sample(self.point[:count], self.normal[:count], self.colour[:count], self.face[:count])


class Surface:
    """A mesh to compare turned points with."""

    def __init__(self, mesh: Mesh, effort: Effort, seed: int = 0):
        rng = np.random.default_rng(seed)
        self.paint = Paint(mesh)
        self.corners = mesh.vertices[mesh.faces]
        cross = np.cross(self.corners[:, 1] - self.corners[:, 0], self.corners[:, 2] - self.corners[:, 0])
        self.area = np.linalg.norm(cross, axis=1)
        self.face_normal = cross / np.maximum(self.area, 1e-300)[:, None]
        count = int(min(effort.reference, max(effort.points, effort.dense * self.area.sum() / 2)))
        self.reference = self._sample(count, rng)
        self.query = self._sample(effort.points, rng)
        self.centre = self.reference.point.mean(0)
        self.painted = bool(np.ptp(self.reference.colour, axis=0).max() > 0.02)
        self.places = KDTree(self.reference.point)
        self.nearest = self._nearest(self.reference)
        self.rough = self._nearest(self.reference.first(count // 10))
        self.blurred = [self._blur(count) for count in BLURS]

    def _sample(self, count: int, rng: np.random.Generator) -> Sample:
        """Points uniform by area, one in each of `count` equal shares of it."""
        ladder = np.cumsum(self.area)
        at = (np.arange(count) + rng.random(count)) / count * ladder[-1]
        face = rng.permutation(np.minimum(np.searchsorted(ladder, at), len(ladder) - 1))
        root, v = np.sqrt(rng.random(count)), rng.random(count)
        weight = np.stack([1 - root, root * (1 - v), root * v], axis=1)
        point = np.einsum("nk,nkj->nj", weight, self.corners[face])
        return Sample(point, self.face_normal[face], self.paint(face, weight), face)

    @staticmethod
    def _nearest(sample: Sample) -> Nearest:
        return Nearest(sample.point, sample.normal, (UNITS[0], UNITS[1]))

    def _blur(self, count: int) -> np.ndarray:
        if not self.painted:
            return self.reference.colour
        near = self.places.query(self.reference.point, k=count)[1]
        return self.reference.colour[near].mean(1)

    def compare(self, point: np.ndarray, normal: np.ndarray, rough: bool = False):
        """Of every point the closest one (n, 3), its normal (n, 3) on the side of `normal`, the reference point (n,)
        used and the barycentric weights (n, 3).

        rough : ask a tenth of the reference
        """
        index = (self.rough if rough else self.nearest)(point, normal)
        face = self.reference.face[index]
        where, weight = closest(self.corners, face, point)
        found = self.face_normal[face]
        return where, found * np.where(np.sum(found * normal, 1) < 0, -1.0, 1.0)[:, None], index, weight

    def residuals(
        self, turn: np.ndarray, shift: np.ndarray, sample: Sample, colour: np.ndarray, blur: int, rough=False
    ):
        """Differences over their bars, (n, 9), of a sample turned about the centre and moved."""
        point = (sample.point - self.centre) @ turn.T + self.centre + shift
        normal = sample.normal @ turn.T
        where, found, index, _ = self.compare(point, normal, rough)
        parts = [(point - where) / UNITS[0], (normal - found) / UNITS[1]]
        if self.painted:
            parts.append((colour - self.blurred[blur][index]) / UNITS[2])
        return np.concatenate(parts, axis=1)

    def deviation(
        self, turn: np.ndarray, shift: np.ndarray, count: int | None = None, rough: bool | None = None
    ) -> float:
        """The largest of the three root mean squares over their bars, one way.

        count : how many points; rough : ask a tenth of the reference (default: if not all points)
        """
        rough = count is not None if rough is None else rough
        sample = self.query if count is None else self.query.first(count)
        point = (sample.point - self.centre) @ turn.T + self.centre + shift
        normal = sample.normal @ turn.T
        where, found, index, weight = self.compare(point, normal, rough)
        face = self.reference.face[index]
        chord = np.linalg.norm(normal - found, axis=1)
        angle = 2 * np.arcsin(np.clip(chord / 2, 0, 1))
        off = [np.linalg.norm(point - where, axis=1), angle]
        if self.painted:
            off.append(np.linalg.norm(self.paint(face, weight) - sample.colour, axis=1))
        return max(float(np.sqrt(np.mean(o**2))) / unit for o, unit in zip(off, UNITS, strict=False))

    def score(self, turn: np.ndarray, shift: np.ndarray, enough: float = np.inf) -> float:
        """`deviation` both ways: the smallest tolerance at which the rotation and its inverse pass.

        enough : one way that is at least so bad is not gone back
        """
        there = self.deviation(turn, shift)
        return there if there >= enough else max(there, self.deviation(turn.T, -turn.T @ shift))


class Paint:
    """Colours of points on the faces of a mesh."""

    def __init__(self, mesh: Mesh):
        self.uv, self.texture = mesh.face_uv, mesh.texture
        self.plain = chroma(mesh.face_colour.astype(np.float64))
        self.textured = mesh.texture is not None and bool(np.isfinite(mesh.face_uv).any())
        if mesh.texture is not None:
            self.texels = chroma(mesh.texture.reshape(-1, 3) / 255.0)

    def __call__(self, face: np.ndarray, weight: np.ndarray) -> np.ndarray:
        """Colour (n, 3) of points of faces (n,) with barycentric weights (n, 3): chroma plane and value."""
        colour = self.plain[face]
        if self.texture is None or not self.textured:
            return colour
        uv = np.einsum("nk,nkj->nj", weight, self.uv[face])
        has = np.isfinite(uv).all(1)
        height, width = self.texture.shape[:2]
        u, v = (uv[has] - np.floor(uv[has])).T
        column = np.minimum((u * width).astype(int), width - 1)
        row = height - 1 - np.minimum((v * height).astype(int), height - 1)
        colour[has] = self.texels[row * width + column]
        return colour


def chroma(rgb: np.ndarray) -> np.ndarray:
    """(saturation cos hue, saturation sin hue, value) of colours (n, 3) in 0 ... 1."""
    value, low = rgb.max(1), rgb.min(1)
    around: np.ndarray = rgb @ np.exp(2j * np.pi * np.arange(3) / 3)
    length = np.abs(around)
    saturation = np.where(value > 0, (value - low) / np.where(value > 0, value, 1.0), 0.0)
    plane = saturation * np.where(length > 1e-9, around / np.where(length > 1e-9, length, 1.0), 0.0)
    return np.stack([np.real(plane), np.imag(plane), value], axis=1)
