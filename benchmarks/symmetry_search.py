"""The search for the rotations after which a surface looks the same.

A grid of one rotation per (5 degrees)^3 of SO(3) is weighed on a table of voxels. Its local minima are refined by
Levenberg-Marquardt, the axes found and the principal axes are scanned in steps of 2 degrees, and the products of
what was found are added. Around every element lies a cloud of rotations that pass too; only its best one is kept:
another within 15 degrees counts if the rotation half-way between them is worse than both. An axis of revolution is
an axis about which 36 irregular angles pass.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from scipy.optimize import minimize
from scipy.spatial.transform import Rotation
from symmetry_grid import grid_minima, rotation_grid
from symmetry_surface import Effort, Surface

from cortical.envs.objects import Mesh

TOLERANCES = (0.5, 1.0, 2.0)
SAME = np.radians(4.0)
"""Rotations closer than this are one element."""


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
        nearest = surface.places.query(sample.point)[1] if surface.painted else None
        for stage in (0, 1):
            rough = stage == 0
            colour = sample.colour if nearest is None else surface.blurred[stage][nearest]
            damping, step = 1e-2, np.radians((1.0, 0.4)[stage])
            old = surface.residuals(turn, shift, sample, colour, stage, rough)
            if stage and np.mean(np.sum(old[:, 6:] ** 2, axis=1)) > (1.25 * max(TOLERANCES)) ** 2:
                return turn, shift  # even colours averaged are too far off
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
        score = self.surface.score(turn, shift, max(TOLERANCES))
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
            worst = max(worst, self.surface.score(turn, shift, max(TOLERANCES)))
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
            worst = max(worst, self.surface.score(*self.refine(turn, np.eye(6)[3:]), max(TOLERANCES)))
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

    def passing(self, tolerance: float) -> list[np.ndarray]:
        """The elements that pass, the best first; of those that polishing moved together the best one."""
        kept: list[np.ndarray] = []
        for k in np.argsort(self.scores, kind="stable"):
            if self.scores[k] < tolerance and not (kept and (angles(np.array(kept), self.turns[k]) < SAME).any()):
                kept.append(self.turns[k])
        return kept

    def polish(self, bars: Sequence[float]) -> None:
        """Improve the elements that just miss a bar, then give each pair of inverses its better half.

        What passes or not is the largest of three deviations, but least squares weigh their sum: the simplex
        method (Nelder and Mead, 1965) goes on from there with the largest itself. It goes on from farther off
        where there are colours, whose sharp edges least squares find hard.
        """
        for turn, shift, score in list(zip(self.turns, self.shifts, self.scores, strict=True)):
            if not self.knows(turn.T, 2 * SAME):
                self._add(turn.T, -turn.T @ shift, score)
        self._share()
        reach = 2.0 if self.surface.painted else 1.25
        tried = 0
        for k in np.argsort(self.scores, kind="stable"):
            score = self.scores[k]
            missed = [bar for bar in bars if bar <= score < reach * bar]
            if not missed or tried >= self.effort.polished:
                continue
            tried += 1
            if score <= self.scores[self._inverse(k)] and self._promises(k, max(missed)):
                self._improve(k)
                self._share(k)

    def _descend(self, k: int, count: int | None, trials: int):
        """The simplex method from element k, over `count` points: where it ends."""
        turn, shift = self.turns[k], self.shifts[k]
        simplex = np.concatenate([np.zeros((1, 6)), (0.012 if self.surface.painted else 0.005) * np.eye(6)])
        return minimize(
            lambda x: self.surface.deviation(*self._moved(turn, shift, x), count, False),
            np.zeros(6),
            method="Nelder-Mead",
            options={"initial_simplex": simplex, "maxfev": trials},
        )

    def _promises(self, k: int, bar: float) -> bool:
        """Whether a quarter of the points get near the bar at all: most elements that miss it don't."""
        return self._descend(k, self.effort.points // 4, 40).fun < 1.2 * bar

    def _improve(self, k: int) -> None:
        best = self._descend(k, None, 120 if self.surface.painted else 70)
        turn, shift = self._moved(self.turns[k], self.shifts[k], best.x)
        score = self.surface.score(turn, shift, self.scores[k])
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
    for turn in grid_minima(search.surface, effort):
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
    search.polish([t for t in TOLERANCES[:-1] if t <= sphere])
    axis = search.sharpen(axis, bar) if bar < np.inf else axis
    return {t: _group(search, t, axis if bar < t else None, sphere < t) for t in tolerances}


def _group(search: Search, tolerance: float, axis: np.ndarray | None, full: bool) -> dict:
    turns = search.passing(tolerance)
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
        "closed": bool(axis is not None or full or _closed(np.array(turns))),
    }


def _closed(turns: np.ndarray) -> bool:
    return all((angles(turns, a @ b) < 2 * SAME).any() for a in turns for b in turns)
