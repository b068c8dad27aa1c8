"""What is drawn of one step in space, as points and lines: one description for every 3-D viewer.

    the map of each object that columns vote for or agree on, at its strongest pose, in the object's colour
    the poses that survive, each as a pale copy of its map; the paler, the less it is believed
    its name above it, and a line there from what each column met that votes for it
    the eye, the way it came, what it met, and, dashed, where it goes next

Metres, world frame, z up; rotations are quaternions xyzw, as everywhere at the edges.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Protocol

import numpy as np
from matplotlib.colors import to_rgb
from scipy.spatial.transform import Rotation

from cortical.columns.object_map import ObjectMap
from cortical.envs.bodies import looking
from cortical.envs.mesh import Mesh

from .camera import lit
from .episode import PoseTrace, StepTrace
from .panels import INK, UNSURE

GHOST = 70
"""Points of a pale copy of a map."""
LEVELS = 5
"""Steps of paleness of a map, so that a recording holds few copies of it."""
DASH = 0.006
DOT = 0.003
"""Metres: the length of a dash, the width of a point that was sensed."""
ABOVE = 1.15
"""Radii above the middle of an object that its name stands."""
SAME_PLACE, SAME_TURN = 0.01, 0.25
"""Metres, radians: poses this near to one that is drawn aren't drawn."""
SENSED, BEFORE = "#000000", "#555555"


@dataclass(frozen=True)
class Cloud:
    """Points (n, 3) with colours (n, 3) uint8 and a width in metres, in a frame at `location` (3,), `rotation` (4,)."""

    points: np.ndarray
    colours: np.ndarray
    width: float
    location: np.ndarray = field(default_factory=lambda: np.zeros(3))
    rotation: np.ndarray = field(default_factory=lambda: np.array([0.0, 0.0, 0.0, 1.0]))


@dataclass(frozen=True)
class Lines:
    """Segments (n, 2, 3) with colours (n, 3) uint8 and a width in metres."""

    segments: np.ndarray
    colours: np.ndarray
    width: float


@dataclass(frozen=True)
class Snapshot:
    """All that is drawn of one step; the same names come back at every step, as far as there is something to draw.

    eye : its place (3,) and rotation (4,) world_from_eye, z the gaze, y down
    view : (radians) width of what all its patches see
    labels : words at places (3,)
    """

    clouds: Mapping[str, Cloud]
    lines: Mapping[str, Lines]
    eye: tuple[np.ndarray, np.ndarray]
    view: float
    labels: Mapping[str, np.ndarray]


class Viewer(Protocol):
    """Where snapshots go: a page, a recording, another program."""

    def place(self, mesh: Mesh, position: np.ndarray, rotation: np.ndarray) -> None:
        """Show the object itself at its true pose: position (3,), rotation (3, 3)."""
        ...

    def log(self, step: int, snapshot: Snapshot) -> None:
        """Show step number `step`, counted from 0, in place of what was shown before."""
        ...


def snapshot(
    steps: Sequence[StepTrace],
    maps: Mapping[str, ObjectMap],
    colours: Mapping[str, str],
    view: float,
    goal: Sequence[Sequence[float]] = (),
    body: str = "eye",
) -> Snapshot:
    """What is drawn of the last of `steps`.

    steps : from the first sensation on
    maps : learnt maps by name; an object without one is drawn as its lines alone
    colours : of objects by name; grey for others
    view : radians, the width of what the eye's patches see together
    body : what the first body is called
    goal : place and point that the next movement is to look from and at; empty where there is none
    """
    step = steps[-1]
    agreed = [at for at, pose in enumerate(step.hypotheses) if pose.object == step.best][:1]
    voted = sorted({column.vote for column in step.columns if column.vote >= 0}.union(agreed))
    clouds = {
        f"map/{place}": _map(step, step.hypotheses[at], maps, colours)
        for place, at in enumerate(voted)
        if step.hypotheses[at].object in maps
    }
    drawn = [step.hypotheses[at] for at in voted]
    others = [pose for pose in step.hypotheses if pose.object in maps and not any(_same(pose, one) for one in drawn)]
    if others:
        clouds["hypotheses"] = _ghosts(others, maps, colours)
    if any(point for one in steps for point in one.location):
        clouds["sensed"] = _sensed(steps)
    signs = {at: _above(step.hypotheses[at], place, maps) for place, at in enumerate(voted)}
    lines = {"rays": _rays(step), "votes": _votes(steps, signs, colours), "way": _way(steps)}
    labels = {_sign(step, at): place for at, place in signs.items()}
    labels[f"{body} {len(steps)}"] = np.asarray(step.eye, float)
    if len(goal) == 2:
        lines["goal"] = _goal(step, np.asarray(goal, float))
        labels["next"] = np.asarray(goal[0], float)
    turn = Rotation.from_matrix(looking(np.asarray(step.gaze))).as_quat()
    lines = {name: part for name, part in lines.items() if len(part.segments)}
    return Snapshot(clouds, lines, (np.asarray(step.eye, float), turn), view, labels)


def _same(a: PoseTrace, b: PoseTrace) -> bool:
    """So near to each other that one drawing does for both."""
    near = float(np.linalg.norm(np.subtract(a.location, b.location))) < SAME_PLACE
    return a.object == b.object and near and abs(float(np.dot(a.rotation, b.rotation))) > np.cos(SAME_TURN / 2)


def _map(step: StepTrace, pose: PoseTrace, maps: Mapping[str, ObjectMap], colours: Mapping[str, str]) -> Cloud:
    known = maps[pose.object]
    rows = known.rows()[0].double().numpy()
    # shaded as if the lamp stood still beside the object: a map is then the same bytes at every pose
    light = lit(rows[:, 3:6])[:, None]
    strength = max(1, round(LEVELS * step.posterior.get(pose.object, 0.0) ** 0.5)) / LEVELS
    shade = np.clip(rgb(colours.get(pose.object, UNSURE)) * light, 0, 1)
    tint = byte(pale(shade, 0.25 + 0.75 * strength))
    return Cloud(rows[:, :3], tint, 0.28 * known.spacing, np.asarray(pose.location), np.asarray(pose.rotation))


def _ghosts(poses: Sequence[PoseTrace], maps: Mapping[str, ObjectMap], colours: Mapping[str, str]) -> Cloud:
    strongest = max(1e-9, max(pose.weight for pose in poses))
    points, tints = [], []
    for pose in poses:
        rows = maps[pose.object].rows()[0].double().numpy()
        nodes = rows[:: max(1, len(rows) // GHOST), :3]
        points.append(Rotation.from_quat(pose.rotation).apply(nodes) + np.asarray(pose.location))
        strength = np.sqrt(pose.weight) * (0.3 + 0.5 * pose.weight / strongest)
        tints.append(np.tile(pale(rgb(colours.get(pose.object, UNSURE)), 0.15 + 0.6 * strength), (len(nodes), 1)))
    return Cloud(np.concatenate(points), byte(np.concatenate(tints)), 0.0014)


def _sensed(steps: Sequence[StepTrace]) -> Cloud:
    """All points met so far, the newest darkest."""
    found = [(point, one is steps[-1]) for one in steps for point in one.location if point]
    tints = np.array([rgb(SENSED if new else BEFORE) for _, new in found])
    return Cloud(np.array([point for point, _ in found], float), byte(tints), DOT)


def _rays(step: StepTrace) -> Lines:
    """From each sensor to what it met."""
    segments = [[_origin(step, i), point] for i, point in enumerate(step.location) if point]
    return Lines(np.array(segments, float).reshape(-1, 2, 3), _all("#777777", len(segments)), 0.0006)


def _origin(step: StepTrace, column: int) -> list[float]:
    return step.origin[column] if step.origin else step.eye


def _all(colour: str, count: int) -> np.ndarray:
    return byte(np.tile(rgb(colour), (count, 1)))


def _above(pose: PoseTrace, place: int, maps: Mapping[str, ObjectMap]) -> np.ndarray:
    """Where the name of an object stands, (3,): the `place`-th of several."""
    known = maps.get(pose.object)
    radius = 0.08 if known is None else float(known.rows()[0][:, :3].norm(dim=1).max())
    return np.asarray(pose.location) + np.array([0.0, 0.0, ABOVE * radius + 0.025 * place])


def _sign(step: StepTrace, at: int) -> str:
    name = step.hypotheses[at].object
    share = step.posterior.get(name, 0.0)
    return f"{name} {'> 99' if share > 0.995 else f'{100 * share:.0f}'} %"


def _votes(steps: Sequence[StepTrace], signs: Mapping[int, np.ndarray], colours: Mapping[str, str]) -> Lines:
    """From the last point each column met to the name of what it votes for."""
    segments, tints = [], []
    for index, column in enumerate(steps[-1].columns):
        met = [one.location[index] for one in steps if one.location[index]]
        if met and column.vote >= 0:
            segments.append([met[-1], signs[column.vote]])
            tints.append(rgb(colours.get(steps[-1].hypotheses[column.vote].object, UNSURE)))
    return Lines(np.array(segments, float).reshape(-1, 2, 3), byte(np.array(tints).reshape(-1, 3)), 0.0016)


def _way(steps: Sequence[StepTrace]) -> Lines:
    """Of every body; columns on one body go the same way."""
    ways = {tuple(tuple(_origin(one, column)) for one in steps) for column in range(len(steps[-1].columns))}
    segments = np.array([pair for way in sorted(ways) for pair in pairwise(way)], float).reshape(-1, 2, 3)
    return Lines(segments, _all(INK, len(segments)), 0.0018)


def _goal(step: StepTrace, goal: np.ndarray) -> Lines:
    """Dashes from the eye to where it goes, and from there to what it will look at."""
    corners = np.array([np.asarray(step.eye, float), *goal])
    segments = np.concatenate([_dashes(*pair) for pair in pairwise(corners)])
    return Lines(segments, _all(INK, len(segments)), 0.0012)


def _dashes(start: np.ndarray, end: np.ndarray) -> np.ndarray:
    count = max(1, round(float(np.linalg.norm(end - start)) / (2 * DASH)))
    at = (np.arange(count)[:, None] + np.array([[0.0, 0.5]])) / count
    return start + at[..., None] * (end - start)


def rgb(colour: str) -> np.ndarray:
    """(3,) in 0 ... 1."""
    return np.array(to_rgb(colour))


def pale(colour: np.ndarray, strength: float) -> np.ndarray:
    """Colours (..., 3) mixed with the white of the background; strength 1: not at all."""
    return 1.0 + (colour - 1.0) * strength


def byte(colour: np.ndarray) -> np.ndarray:
    """Colours in 0 ... 1 as uint8."""
    return np.clip(np.round(255 * colour), 0, 255).astype(np.uint8)
