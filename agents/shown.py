"""Which episode of a run is shown, and what belongs to it: its maps, the colours of its objects, where it is seen from.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from cortical.columns.object_map import ObjectMap
from cortical.columns.storage import load_maps
from cortical.configs.schema import Experiment
from cortical.envs.layouts import patch_angles
from cortical.envs.mesh import Mesh
from cortical.envs.sensors import shared_catalogue

from .camera import best_camera
from .episode import EpisodeRecord
from .metrics import UNKNOWN
from .panels import colours_of, ranked
from .records import RunError, RunFolder, episodes_in, experiment_of
from .scene3d import ABOVE, Snapshot, snapshot
from .story import worth_telling

TALL, LEAST = 0.5, 0.3
"""Shares of the height of the picture: what the object fills if nothing else is to be seen, and at least."""
MOST = 40
"""Episodes to choose from in the live page."""
ROOM = 1.25
"""What is to be seen takes so much room, with its margin."""


@dataclass(frozen=True)
class Shown:
    """An episode with all that is needed to draw it.

    label : under which the run keeps it
    maps : those of the objects that were ever held possible, as far as they are there
    """

    label: str
    record: EpisodeRecord
    experiment: Experiment
    mesh: Mesh
    maps: Mapping[str, ObjectMap]
    colours: Mapping[str, str]

    def snapshot(self, step: int) -> Snapshot:
        """What is drawn of a step, counted from 0."""
        trace = self.record.trace
        goal = trace[step + 1].goal if step + 1 < len(trace) else ()
        view, body = view_of(self.experiment), body_of(self.experiment)
        return snapshot(trace[: step + 1], self.maps, self.colours, view, goal, body)

    def camera(self, field_of_view: float, aspect: float = 1.4) -> tuple[np.ndarray, np.ndarray]:
        """From where (3,) to look at what (3,): as much as possible of what was sensed is in sight. See `stand`."""
        position, rotation = np.asarray(self.record.position), np.asarray(self.record.rotation)
        eyes = np.array([step.eye for step in self.record.trace] + [s.goal[0] for s in self.record.trace if s.goal])
        rays = [(step.eye, point) for step in self.record.trace for point in step.location if point]
        camera = best_camera(self.mesh, position, rotation, eyes, np.array(rays, float).reshape(-1, 2, 3))
        solid = self.mesh.vertices @ rotation.T + position
        sign = position + np.array([0.0, 0.0, ABOVE * np.linalg.norm(self.mesh.vertices, axis=1).max()])
        return stand(solid, np.concatenate([eyes, sign[None]]), camera.position - position, field_of_view, aspect)


def stand(
    solid: np.ndarray, others: np.ndarray, bearing: np.ndarray, field_of_view: float, aspect: float = 1.4
) -> tuple[np.ndarray, np.ndarray]:
    """Where a camera stands (3,) and what it looks at (3,), on this `bearing` (3,) from the object: so near that the
    object fills a good part of the picture, so far that the others are in it too if that leaves the object large.

    solid : (n, 3) points of the object; others : (m, 3) points; metres, world frame
    field_of_view : of the camera from top to bottom, radians; aspect : width over height of its picture
    """
    ahead = -bearing / np.linalg.norm(bearing)
    right = np.cross(ahead, (0.0, 0.0, 1.0))
    right /= np.linalg.norm(right)
    axes = np.stack([right, np.cross(right, ahead), ahead], axis=1)  # to the right, upwards, ahead
    middle = (solid.max(0) + solid.min(0)) / 2
    own, every = (solid - middle) @ axes, (np.concatenate([solid, others]) - middle) @ axes
    picture = field_of_view / ROOM * np.array([aspect, 1.0])

    def fits(distance: float) -> bool:
        return bool((np.ptp(_bounds(every, distance), axis=0) < picture).all())

    nearest = float(own[:, 2].max() - own[:, 2].min())
    near, far = (
        _least(lambda d, share=share: np.ptp(_bounds(own, d)[:, 1]) < share * field_of_view, nearest, 20.0)
        for share in (TALL, LEAST)
    )
    distance = _least(fits, near, far)
    box, all_of = _bounds(own, distance), _bounds(every, distance)
    low, high = box[1] - picture / 2, box[0] + picture / 2  # between these the object itself stays in the picture
    aim = np.where(low < high, np.clip(all_of.mean(0), low, high), box.mean(0))
    turned = np.array([math.sin(aim[0]) * math.cos(aim[1]), math.sin(aim[1]), math.cos(aim[0]) * math.cos(aim[1])])
    position = middle - distance * ahead
    return position, position + distance * (axes @ turned)


def _bounds(points: np.ndarray, distance: float) -> np.ndarray:
    """(2, 2) lowest and highest angles, aside and upwards, at which points (n, 3) stand for an eye at this distance."""
    x, y, z = points.T
    ahead = np.maximum(z + distance, 0.02)
    angles = np.stack([np.arctan2(x, ahead), np.arctan2(y, np.hypot(x, ahead))], axis=1)
    return np.stack([angles.min(0), angles.max(0)])


def _least(enough: Callable[[float], Any], low: float, high: float) -> float:
    """The least distance between two that is enough, or the higher one."""
    for _ in range(24):
        middle = (low + high) / 2
        low, high = (low, middle) if enough(middle) else (middle, high)
    return high


def view_of(experiment: Experiment) -> float:
    """Radians: the width of what all patches of the eye see together."""
    eye = experiment.eye
    across = 1 if eye.columns <= 1 else 3 if eye.columns <= 9 else math.ceil(math.sqrt(eye.columns))
    aside = eye.spread * (across - 1)
    if eye.layout != "grid":
        aside = math.degrees(float(np.ptp(patch_angles(eye.columns, eye.spread, eye.layout), axis=0).max()))
    return math.radians(min(90.0, eye.field_of_view + aside))


def body_of(experiment: Experiment) -> str:
    """What the first body is called."""
    return "eye" if experiment.eye.columns else "finger"


def choose(run: Path, number: int | None = None, name: str | None = None) -> tuple[str, EpisodeRecord]:
    """An episode of a run folder, and its label: the `number`-th, counted from 1; or, of those of the object `name` or
    of all, the one that tells best among those with the most columns.

    Raises RunError where there is none.
    """
    done = [(label, record) for label, records in episodes_in(run).items() for record in records.values()]
    traced = [pair for pair in done if pair[1].trace]
    if not traced:
        why = "its episodes were recorded without traces" if done else "it holds no episode"
        raise RunError(f"{run}: {why}. Make some: cortical recognise --maps {run} --out runs/recognise")
    if number is not None:
        return _numbered(run, done, number)
    found = [pair for pair in traced if name in (None, pair[1].object)]
    if not found:
        there = sorted({record.object for _, record in traced})
        raise RunError(f"{run} has no episode of {name!r}: choose {', '.join(there)}")
    most = max(len(record.trace[0].columns) for _, record in found)
    best = worth_telling(record for _, record in found if len(record.trace[0].columns) == most)
    return next(pair for pair in found if pair[1] is best)


def _numbered(run: Path, done: list[tuple[str, EpisodeRecord]], number: int) -> tuple[str, EpisodeRecord]:
    if not 1 <= number <= len(done):
        raise RunError(f"{run} has episodes 1 to {len(done)}, none of number {number}")
    if not done[number - 1][1].trace:
        raise RunError(f"episode {number} of {run} was recorded without a trace: choose another with --episode")
    return done[number - 1]


def shown(run: Path, number: int | None = None, name: str | None = None, maps: Path | None = None) -> Shown:
    """An episode of a run, see `choose`, ready to be drawn. maps : a run folder that holds them, if `run` doesn't.

    Raises RunError where there is no such episode or run.
    """
    return _with_maps(run, [choose(run, number, name)], maps)[0]


def episodes_shown(
    run: Path, number: int | None = None, name: str | None = None, maps: Path | None = None
) -> list[Shown]:
    """The one asked for, or the first MOST with a trace, the most columns first; none where a run has none."""
    if number is not None or name is not None:
        return [shown(run, number, name, maps)]
    done = [(label, record) for label, records in episodes_in(run).items() for record in records.values()]
    traced = sorted((one for one in done if one[1].trace), key=lambda one: -len(one[1].trace[0].columns))
    return _with_maps(run, traced[:MOST], maps)


def _with_maps(run: Path, episodes: list[tuple[str, EpisodeRecord]], maps: Path | None) -> list[Shown]:
    experiment = experiment_of(run)
    folder = RunFolder.to_read(run if maps is None else maps, experiment)
    steps = [step for _, record in episodes for step in record.trace]
    names = {pose.object for step in steps for pose in step.hypotheses}.union(*(step.posterior for step in steps))
    known = read_maps(folder, names - {UNKNOWN})
    catalogue = shared_catalogue(experiment.world.objects)

    def one(label: str, record: EpisodeRecord) -> Shown:
        top = ranked(record.trace)
        colours = dict(zip(top, colours_of(top), strict=True))
        return Shown(label, record, experiment, catalogue.mesh(record.object), known, colours)

    return [one(*episode) for episode in episodes]


def read_maps(folder: RunFolder, names: set[str]) -> dict[str, ObjectMap]:
    """Maps to look at, as far as they are there, whatever they were learnt with."""
    files = {name: folder.map_file(name) for name in sorted(names)}
    return {name: load_maps(file)[0][name] for name, file in files.items() if file.exists()}
