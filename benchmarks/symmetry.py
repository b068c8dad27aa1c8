"""The symmetry group of every object: the rotations after which it looks the same, within a tolerance.

    python benchmarks/symmetry.py
    python benchmarks/symmetry.py --objects FOLDER --output FOLDER/symmetry.json

A rotation R belongs to the group if, with its best translation, the root mean square over 4,000 surface
points of the distance to the turned surface is < 2 mm, of the angle between normals < 10 degrees and of the
difference in colour < 0.1, each times the tolerance. Both R and its inverse have to pass, as in a group.

Points are drawn uniformly by area. Two samples of 4,000 points lie about 2 mm apart even on the same surface,
so the other side of the comparison isn't a sample: of 50,000 reference points the nearest (in position / 2 mm
and normal / 10 degrees together, which keeps edges and the two sides of a thin wall apart) names a triangle,
and distance, normal and colour are those of the closest point of it. Normals have no sign, since an eye sees
them turned towards itself. Colour is (saturation cos hue, saturation sin hue, value), as in the maps.

The search weighs a grid of one rotation per (5 degrees)^3 of SO(3) on a table of voxels, refines the local
minima by Levenberg-Marquardt, scans the axes found and the principal axes in steps of 2 degrees, and adds the
products of what it has found. Around every element lies a cloud of rotations that pass too; only its best one
is kept: another within 15 degrees counts if the rotation half-way between them is worse than both. An axis of
revolution is an axis about which 36 irregular angles pass.
"""

import argparse
import hashlib
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path

import numpy as np
import trimesh
from rich.console import Console
from rich.progress import track
from rich.table import Table
from scipy.optimize import minimize
from scipy.spatial import KDTree
from scipy.spatial.transform import Rotation

from cortical.envs.objects import Catalogue, Mesh, open_catalogue

UNITS = np.array([0.002, np.radians(10.0), 0.1])
"""Distance in metres, angle in radians, colour: the bars at tolerance 1."""
TOLERANCES = (0.5, 1.0, 2.0)
SAME = np.radians(4.0)
"""Rotations closer than this are one element."""
BLURS = (64, 12)
"""Reference points over which colours are averaged while searching, coarse and fine."""
COMMITTED = Path(__file__).parents[1] / "agents" / "symmetry.json"


@dataclass(frozen=True)
class Effort:
    """How much is spent on one object."""

    grid: int = 118_000
    """Rotations of the grid: the volume of SO(3), 8 pi^2, over (5 degrees)^3."""
    points: int = 4_000
    reference: int = 50_000
    coarse_points: int = 200
    fine_points: int = 600
    minima: int = 60
    """Local minima of the grid that are refined."""
    axes: int = 10
    angles: int = 36
    products: int = 300


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
        self.mesh = mesh
        self.corners = mesh.vertices[mesh.faces]
        cross = np.cross(self.corners[:, 1] - self.corners[:, 0], self.corners[:, 2] - self.corners[:, 0])
        self.area = np.linalg.norm(cross, axis=1)
        self.face_normal = cross / np.maximum(self.area, 1e-300)[:, None]
        self.reference = self._sample(effort.reference, rng)
        self.query = self._sample(effort.points, rng)
        self.centre = self.reference.point.mean(0)
        self.painted = bool(np.ptp(self.reference.colour, axis=0).max() > 0.02)
        self.tree = self._tree(self.reference)
        self.rough = self._tree(self.reference.first(effort.reference // 10))
        self.blurred = [self._blur(count) for count in BLURS]

    def _sample(self, count: int, rng: np.random.Generator) -> Sample:
        """Points uniform by area, one in each of `count` equal shares of it."""
        ladder = np.cumsum(self.area)
        at = (np.arange(count) + rng.random(count)) / count * ladder[-1]
        face = rng.permutation(np.minimum(np.searchsorted(ladder, at), len(ladder) - 1))
        root, v = np.sqrt(rng.random(count)), rng.random(count)
        weight = np.stack([1 - root, root * (1 - v), root * v], axis=1)
        point = np.einsum("nk,nkj->nj", weight, self.corners[face])
        return Sample(point, self.face_normal[face], paint(self.mesh, face, weight), face)

    @staticmethod
    def _joint(point: np.ndarray, normal: np.ndarray) -> np.ndarray:
        return np.concatenate([point / UNITS[0], normal / UNITS[1]], axis=1)

    def _tree(self, sample: Sample) -> KDTree:
        joint = [self._joint(sample.point, sign * sample.normal) for sign in (1.0, -1.0)]
        return KDTree(np.concatenate(joint))

    def _blur(self, count: int) -> np.ndarray:
        if not self.painted:
            return self.reference.colour
        near = KDTree(self.reference.point).query(self.reference.point, k=count)[1]
        return self.reference.colour[near].mean(1)

    def compare(self, point: np.ndarray, normal: np.ndarray, rough: bool = False):
        """Closest point (n, 3), its normal (n, 3) on the side of `normal`, and the reference point (n,) used.

        rough : ask a tenth of the reference, and for a point at most half as far again as the nearest
        """
        tree = self.rough if rough else self.tree
        index = tree.query(self._joint(point, normal), eps=0.5 * rough)[1] % (tree.n // 2)
        face = self.reference.face[index]
        closest = trimesh.triangles.closest_point(self.corners[face], point)
        found = self.face_normal[face]
        return closest, found * np.where(np.sum(found * normal, 1) < 0, -1.0, 1.0)[:, None], index

    def residuals(
        self, turn: np.ndarray, shift: np.ndarray, sample: Sample, colour: np.ndarray, blur: int, rough=False
    ):
        """Differences over their bars, (n, 9), of a sample turned about the centre and moved."""
        point = (sample.point - self.centre) @ turn.T + self.centre + shift
        normal = sample.normal @ turn.T
        closest, found, index = self.compare(point, normal, rough)
        parts = [(point - closest) / UNITS[0], (normal - found) / UNITS[1]]
        if self.painted:
            parts.append((colour - self.blurred[blur][index]) / UNITS[2])
        return np.concatenate(parts, axis=1)

    def deviation(self, turn: np.ndarray, shift: np.ndarray, count: int | None = None) -> float:
        """The largest of the three root mean squares over their bars, one way."""
        sample = self.query if count is None else self.query.first(count)
        point = (sample.point - self.centre) @ turn.T + self.centre + shift
        normal = sample.normal @ turn.T
        closest, found, index = self.compare(point, normal, count is not None)
        face = self.reference.face[index]
        chord = np.linalg.norm(normal - found, axis=1)
        angle = 2 * np.arcsin(np.clip(chord / 2, 0, 1))
        off = [np.linalg.norm(point - closest, axis=1), angle]
        if self.painted:
            weight = trimesh.triangles.points_to_barycentric(self.corners[face], closest)
            off.append(np.linalg.norm(paint(self.mesh, face, weight) - sample.colour, axis=1))
        return max(float(np.sqrt(np.mean(o**2))) / unit for o, unit in zip(off, UNITS, strict=False))

    def score(self, turn: np.ndarray, shift: np.ndarray) -> float:
        """`deviation` both ways: the smallest tolerance at which the rotation and its inverse pass."""
        return max(self.deviation(turn, shift), self.deviation(turn.T, -turn.T @ shift))


def paint(mesh: Mesh, face: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Colour (n, 3) of points of faces (n,) with barycentric weights (n, 3): chroma plane and value."""
    rgb = mesh.face_colour[face].astype(np.float64)
    uv = np.einsum("nk,nkj->nj", weight, mesh.face_uv[face])
    has = np.isfinite(uv).all(1)
    if mesh.texture is not None and has.any():
        height, width = mesh.texture.shape[:2]
        u, v = (uv[has] - np.floor(uv[has])).T
        column = np.minimum((u * width).astype(int), width - 1)
        row = height - 1 - np.minimum((v * height).astype(int), height - 1)
        rgb[has] = mesh.texture[row, column] / 255.0
    value, low = rgb.max(1), rgb.min(1)
    around: np.ndarray = rgb @ np.exp(2j * np.pi * np.arange(3) / 3)
    length = np.abs(around)
    saturation = np.where(value > 0, (value - low) / np.where(value > 0, value, 1.0), 0.0)
    chroma = saturation * np.where(length > 1e-9, around / np.where(length > 1e-9, length, 1.0), 0.0)
    return np.stack([np.real(chroma), np.imag(chroma), value], axis=1)


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
    near = KDTree(surface.reference.point).query(sample.point)[1]
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


def _grid_minima(surface: Surface, effort: Effort) -> np.ndarray:
    """Rotations (m, 3, 3) of the grid that none of their 26 neighbours betters, the best first."""
    quaternions = rotation_grid(effort.grid)
    turns = Rotation.from_quat(quaternions).as_matrix()
    scores = _grid_scores(surface, turns, effort)
    best = np.argsort(scores)[: max(4_000, effort.grid // 20)]
    tree = KDTree(np.concatenate([quaternions, -quaternions]))
    near = tree.query(quaternions[best], k=27)[1] % effort.grid
    lowest = scores[best] <= scores[near].min(1)
    return turns[best[lowest]][: effort.minima]


@dataclass
class Search:
    """The elements found for one surface, the identity first, and the smallest tolerance each passes at."""

    surface: Surface
    effort: Effort
    turns: list[np.ndarray] = field(default_factory=lambda: [np.eye(3)])
    shifts: list[np.ndarray] = field(default_factory=lambda: [np.zeros(3)])
    scores: list[float] = field(default_factory=lambda: [0.0])

    def refine(self, turn: np.ndarray, free: np.ndarray | None = None, limit: float = 3.0):
        """(turn, shift) of least squares near `turn`: Levenberg-Marquardt with difference quotients.

        free : (k, 6) directions (rotation vector, translation in units of 10 cm) that may change; default all
        limit : mean square residual above which it is given up
        """
        surface, free = self.surface, np.eye(6) if free is None else free
        sample, shift = surface.query.first(self.effort.fine_points), np.zeros(3)
        nearest = KDTree(surface.reference.point).query(sample.point)[1] if surface.painted else None
        for stage in (0, 1):
            rough = stage == 0
            colour = sample.colour if nearest is None else surface.blurred[stage][nearest]
            damping, step = 1e-2, np.radians((1.0, 0.4)[stage])
            old = surface.residuals(turn, shift, sample, colour, stage, rough)
            for trial in range(6):
                if np.mean(old**2) > limit * (5.0 - trial if rough else 1.0):
                    return turn, shift
                moved = [self._moved(turn, shift, step * way) for way in free]
                slope = [(surface.residuals(*m, sample, colour, stage, rough) - old).ravel() / step for m in moved]
                jacobian = np.stack(slope, axis=1)
                square, pull = jacobian.T @ jacobian, jacobian.T @ old.ravel()
                change = -np.linalg.solve(square + damping * np.diag(np.diag(square) + 1e-9), pull)
                change *= min(1.0, 0.1 / max(float(np.linalg.norm(change)), 1e-12))
                new_turn, new_shift = self._moved(turn, shift, change @ free)
                new = surface.residuals(new_turn, new_shift, sample, colour, stage, rough)
                if np.sum(new**2) < np.sum(old**2):
                    gain = 1 - np.sum(new**2) / np.sum(old**2)
                    turn, shift, old, damping = new_turn, new_shift, new, damping / 5
                    if gain < 1e-3:
                        break
                else:
                    damping *= 20
                    if damping > 1e3:
                        break
        return turn, shift

    @staticmethod
    def _moved(turn: np.ndarray, shift: np.ndarray, change: np.ndarray):
        return Rotation.from_rotvec(change[:3]).as_matrix() @ turn, shift + 0.1 * change[3:]

    def knows(self, turn: np.ndarray, within: float = SAME) -> bool:
        return bool((angles(np.array(self.turns), turn) < within).any())

    def consider(self, turn: np.ndarray) -> bool:
        """Refine a rotation; keep it if it passes at the largest tolerance and is new."""
        if self.knows(turn):
            return False
        turn, shift = self.refine(turn)
        if self.surface.deviation(turn, shift, self.effort.fine_points) > 1.5 * max(TOLERANCES):
            return False
        score = self.surface.score(turn, shift)
        if score >= max(TOLERANCES):
            return False
        close = np.flatnonzero(angles(np.array(self.turns), turn) < SAME)
        if len(close):
            if score < self.scores[close[0]]:
                self.turns[close[0]], self.shifts[close[0]], self.scores[close[0]] = turn, shift, score
            return False
        self._add(turn, shift, score)
        return True

    def _add(self, turn: np.ndarray, shift: np.ndarray, score: float) -> None:
        self.turns.append(turn)
        self.shifts.append(shift)
        self.scores.append(score)

    def scan(self, axis: np.ndarray) -> None:
        """Refine the local minima of the rotations about an axis."""
        steps = np.radians(np.arange(0, 360, 2.0))
        turns = Rotation.from_rotvec(steps[:, None] * axis).as_matrix()
        off = np.array([self.surface.deviation(turn, np.zeros(3), 300) for turn in turns])
        low = (off <= np.roll(off, 1)) & (off <= np.roll(off, -1)) & (off < 3 * max(TOLERANCES))
        for turn in turns[low]:
            self.consider(turn)

    def revolution(self, axis: np.ndarray) -> tuple[np.ndarray, float]:
        """The axis refined, and the smallest tolerance at which all angles about it pass (or inf)."""
        golden = 2 * np.pi * ((np.arange(1, self.effort.angles + 1) * 0.6180339887498949) % 1.0)
        turns = Rotation.from_rotvec(golden[:, None] * axis).as_matrix()
        rough = [self.surface.deviation(turn, np.zeros(3), 300) for turn in turns]
        if np.median(rough) > 2 * max(TOLERANCES):
            return axis, np.inf
        across = np.linalg.svd(axis[None])[2][1:]
        free = np.zeros((5, 6))
        free[:2, :3], free[2:, 3:] = across, np.eye(3)
        worst, refined = 0.0, []
        for turn in turns:
            turn, shift = self.refine(turn, free)
            worst = max(worst, self.surface.score(turn, shift))
            if worst >= max(TOLERANCES):
                return axis, np.inf
            vector = Rotation.from_matrix(turn).as_rotvec()
            refined.append(vector * np.sign(vector @ axis))
        mean = np.sum(refined, axis=0)
        return mean / np.linalg.norm(mean), worst

    def sharpen(self, axis: np.ndarray, bar: float) -> np.ndarray:
        """The mean axis of the elements that turn about nearly the same axis and pass more easily, if any do."""
        scores = np.array(self.scores)
        vectors = Rotation.from_matrix(np.array(self.turns)[scores < bar]).as_rotvec()
        weight = np.maximum(scores[scores < bar], 0.01) ** -2
        along = vectors @ axis
        near = np.abs(along) > np.maximum(SAME, np.cos(np.radians(10.0)) * np.linalg.norm(vectors, axis=1))
        if not near.any():
            return axis
        mean = np.sum(vectors[near] * (weight * np.sign(along))[near, None], axis=0)
        return mean / np.linalg.norm(mean)

    def sphere(self) -> float:
        """The smallest tolerance at which rotations from all over SO(3) pass (or inf)."""
        turns = Rotation.from_quat(rotation_grid(self.effort.angles)).as_matrix()
        worst = 0.0
        for turn in turns:
            if self.surface.deviation(turn, np.zeros(3), 300) > 2 * max(TOLERANCES):
                return np.inf
            worst = max(worst, self.surface.score(*self.refine(turn, np.eye(6)[3:])))
            if worst >= max(TOLERANCES):
                return np.inf
        return worst

    def axes(self) -> np.ndarray:
        """Principal axes of the surface and axes of the elements found, (k, 3), each once."""
        points = self.surface.reference.point - self.surface.centre
        candidates = list(np.linalg.svd(points.T @ points)[0].T)
        order = np.argsort(self.scores)
        found = Rotation.from_matrix(np.array(self.turns)[order]).as_rotvec()
        candidates += [v / np.linalg.norm(v) for v in found if np.linalg.norm(v) > SAME]
        kept: list[np.ndarray] = []
        for axis in candidates:
            if all(abs(axis @ other) < np.cos(SAME) for other in kept):
                kept.append(axis)
        return np.array(kept[: self.effort.axes])

    def multiply(self) -> None:
        """Add products of elements until there are no new ones."""
        left, done = self.effort.products, 0
        while done < len(self.turns) and left > 0:
            first = self.turns[done]
            for second in list(self.turns):
                for product in (first @ second, second @ first):
                    if left > 0 and not self.knows(product):
                        left -= 1
                        self.consider(product)
            done += 1

    def settle(self) -> None:
        """Drop elements from which a better one lies within 15 degrees with no worse rotation half-way."""
        found = sorted(zip(self.scores, self.turns, self.shifts, strict=True), key=lambda row: row[0])
        self.turns, self.shifts, self.scores = [], [], []
        for score, turn, shift in found:
            if not any(self._slopes(turn, score, better) for better in self.turns):
                self._add(turn, shift, score)

    def polish(self) -> None:
        """Improve the elements that just miss a tolerance, then give each pair of inverses its better half.

        What passes or not is the largest of three deviations, but least squares weigh their sum: the simplex
        method (Nelder and Mead, 1965) goes on from there with the largest itself. It goes on from farther off
        where there are colours, whose sharp edges least squares find hard.
        """
        for turn, shift, score in list(zip(self.turns, self.shifts, self.scores, strict=True)):
            if not self.knows(turn.T, 2 * SAME):
                self._add(turn.T, -turn.T @ shift, score)
        self._share()
        reach = 2.0 if self.surface.painted else 1.25
        for k, score in enumerate(self.scores):
            if any(t <= score < reach * t for t in TOLERANCES[:-1]) and score <= self.scores[self._inverse(k)]:
                self._improve(k)
                self._share(k)

    def _improve(self, k: int) -> None:
        turn, shift = self.turns[k], self.shifts[k]
        simplex = np.concatenate([np.zeros((1, 6)), (0.012 if self.surface.painted else 0.005) * np.eye(6)])
        best = minimize(
            lambda x: self.surface.deviation(*self._moved(turn, shift, x)),
            np.zeros(6),
            method="Nelder-Mead",
            options={"initial_simplex": simplex, "maxfev": 120 if self.surface.painted else 70},
        )
        turn, shift = self._moved(turn, shift, best.x)
        score = self.surface.score(turn, shift)
        if score < self.scores[k]:
            self.turns[k], self.shifts[k], self.scores[k] = turn, shift, score

    def _inverse(self, k: int) -> int:
        """Which element is the inverse of element k; k itself where there is none."""
        off = angles(np.array(self.turns), self.turns[k].T)
        return int(off.argmin()) if off.min() < 2 * SAME else k

    def _share(self, only: int | None = None) -> None:
        for k in range(len(self.turns)) if only is None else [only]:
            other = self._inverse(k)
            if self.scores[k] < self.scores[other]:
                turn, shift = self.turns[k], self.shifts[k]
                self.turns[other], self.shifts[other] = turn.T, -turn.T @ shift
                self.scores[other] = self.scores[k]

    def _slopes(self, turn: np.ndarray, score: float, better: np.ndarray) -> bool:
        way = Rotation.from_matrix(better @ turn.T).as_rotvec()
        if np.linalg.norm(way) > np.radians(15.0):
            return False
        middle = Rotation.from_rotvec(way / 2).as_matrix() @ turn
        return self.surface.deviation(middle, np.zeros(3)) < score


def angles(turns: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Angles in radians between rotations (n, 3, 3) and one (3, 3)."""
    chord = np.linalg.norm(turns - other, axis=(1, 2)) / np.sqrt(8.0)
    return 2 * np.arcsin(np.clip(chord, 0.0, 1.0))


def symmetry_groups(
    mesh: Mesh, effort: Effort | None = None, tolerances: Sequence[float] = TOLERANCES
) -> dict[float, dict]:
    """The group of a mesh at each tolerance (2 at most): {"rotations", "axis", "full", "closed"}.

    rotations : quaternions of R, so that x -> R x leaves the object as it is; the identity first
    axis : unit vector; every rotation about it, after each of `rotations`, belongs to the group too; or None
    full : all rotations belong to the group
    closed : every product of two rotations is one of them again (within 8 degrees). A bar that some of the
        rotations pass and others just miss can leave a set that is no group; it is kept as the rule has it
    """
    effort = effort or Effort()
    search = Search(Surface(mesh, effort), effort)
    sphere = search.sphere()
    if sphere < min(tolerances):
        return {t: _group(search, t, None, True) for t in tolerances}
    for turn in _grid_minima(search.surface, effort):
        search.consider(turn)
    axis, bar = np.zeros(3), np.inf
    for candidate in search.axes():
        refined, worst = search.revolution(candidate)
        if worst < bar:
            axis, bar = refined, worst
        if bar < min(tolerances):
            break
        search.scan(candidate)
    if bar == np.inf:
        search.multiply()
    search.settle()
    search.polish()
    axis = search.sharpen(axis, bar) if bar < np.inf else axis
    return {t: _group(search, t, axis if bar < t else None, sphere < t) for t in tolerances}


def _group(search: Search, tolerance: float, axis: np.ndarray | None, full: bool) -> dict:
    turns = [turn for turn, score in zip(search.turns, search.scores, strict=True) if score < tolerance]
    if full:
        turns, axis = turns[:1], None
    if axis is not None:
        turned_over = [t for t in turns if axis @ t @ axis < -np.cos(np.radians(15.0))]
        turns = [np.eye(3), *turned_over[:1]]
    quaternions = Rotation.from_matrix(np.array(turns)).as_quat(canonical=True)
    order = [0, *(1 + np.argsort([-q[3] for q in quaternions[1:]], kind="stable"))]
    return {
        "rotations": [[round(float(x), 5) + 0.0 for x in quaternions[i]] for i in order],
        "axis": None if axis is None else [round(float(x), 5) + 0.0 for x in axis],
        "full": bool(full),
        "closed": axis is not None or full or _closed(np.array(turns)),
    }


def _closed(turns: np.ndarray) -> bool:
    return all((angles(turns, a @ b) < 2 * SAME).any() for a in turns for b in turns)


def digest(mesh: Mesh) -> str:
    """SHA-256 of the file of a mesh, or of its arrays where it has none."""
    if mesh.path is not None:
        return hashlib.sha256(mesh.path.read_bytes()).hexdigest()
    return hashlib.sha256(mesh.vertices.tobytes() + mesh.faces.tobytes()).hexdigest()


def survey(catalogue: Catalogue, tolerances: Sequence[float], known: dict) -> dict:
    """The groups of all objects; those in `known` for the same mesh and tolerances are taken from there."""
    objects = {}
    keys = [str(t) for t in tolerances]
    for name in track(catalogue.names, "symmetry", console=Console(stderr=True)):
        mesh = catalogue.mesh(name)
        sha = digest(mesh)
        old = known.get(name, {})
        if old.get("sha256") == sha and list(old["tolerance"]) == keys:
            objects[name] = old
            continue
        groups = symmetry_groups(mesh, tolerances=tolerances)
        objects[name] = {"sha256": sha, "tolerance": {str(t): groups[t] for t in tolerances}}
    return objects


def show(objects: dict) -> None:
    table = Table("object", *next(iter(objects.values()))["tolerance"])
    for name, row in objects.items():
        cells = []
        for group in row["tolerance"].values():
            axis = "" if group["axis"] is None else f" axis {np.round(group['axis'], 2)}"
            cells.append("full" if group["full"] else f"{len(group['rotations'])}{axis}")
        table.add_row(name, *cells)
    Console().print(table)


def main() -> None:
    parser = argparse.ArgumentParser(description="Symmetry groups of the objects of a catalogue.")
    parser.add_argument("--objects", default="default-hard", help="catalogue: default-hard, or a folder of meshes")
    parser.add_argument("--tolerance", type=float, nargs="+", default=list(TOLERANCES), help="times the bars, <= 2")
    parser.add_argument("--output", type=Path, help="result file; what it holds already isn't computed again")
    parser.add_argument("--again", action="store_true", help="compute everything again")
    options = parser.parse_args()
    if not 0 < min(options.tolerance) <= max(options.tolerance) <= max(TOLERANCES):
        parser.error(f"--tolerance must lie in 0 ... {max(TOLERANCES)}")
    if options.output is None and options.objects != "default-hard":
        parser.error("--output FILE is needed for objects other than default-hard")
    path = options.output or COMMITTED
    known = json.loads(path.read_text())["objects"] if path.is_file() and not options.again else {}
    objects = survey(open_catalogue(options.objects), sorted(options.tolerance), known)
    result = {
        "command": f"python benchmarks/symmetry.py {' '.join(sys.argv[1:])}".strip(),
        "bars": {"distance_m": 0.002, "normal_deg": 10.0, "colour": 0.1},
        "versions": {name: version(name) for name in ("numpy", "scipy", "trimesh")},
        "objects": objects,
    }
    path.write_text(json.dumps(result, indent=None).replace('{"sha256"', '\n{"sha256"') + "\n")
    show(objects)


if __name__ == "__main__":
    main()
