"""What a sensation costs as more and more objects are known, and whether the right one is still found.

Objects beyond those learnt are scaled, bent and recoloured copies of them (thinking_copies.py). An episode's truth is
any object known. What is sensed of it are readings of the original's scan from 20 cm, as the eye makes them, not of
its map; the copy's change carries them as it carried the map, and then they get a random pose and the protocol's
noise. The eye looks at the surface from anywhere, of a few places at random at the one furthest from all before: a
movement that costs nothing here and is the same however many objects are known.
"""

import math
import time
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
import trimesh
from rich.progress import track
from thinking_copies import SAME, Change, carried, copied, draw_change, recoloured

from cortical.agents.brain import build_region
from cortical.agents.sensing import Senses
from cortical.columns.belief import Belief
from cortical.columns.messages import Sensation
from cortical.columns.object_map import ObjectMap
from cortical.columns.region import Region
from cortical.configs.schema import Experiment, EyeConfig
from cortical.envs.bodies import looking
from cortical.envs.noise import perturb
from cortical.envs.observation import observe
from cortical.envs.placing import random_rotations
from cortical.envs.record import Images, Record
from cortical.envs.sensors import Rows, Sensors, shared_catalogue, shared_retina

SIZES = (10, 20, 40, 77, 200, 1000)
EPISODES, TIMED, LONGEST = 100, 12, 60
"""Episodes a size; sensations of each that are timed, decided or not; and after how many it is undecided."""
SETTLED = 3
"""Sensations after which the cost of a step is that of a later one."""
DISTANCE, NEAREST = 0.2, 0.05
"""Metres from the eye to the middle of the object, and to what it looks at at least."""
CHOICE = 4
"""Places of which the furthest from all before is looked at."""


@dataclass(frozen=True, slots=True)
class Known:
    """One known object: the original's name, how it differs from that, and its map."""

    original: str
    change: Change
    map: ObjectMap


def objects(maps: dict[str, ObjectMap], count: int, seed: int = 0) -> dict[str, Known]:
    """So many objects by name, the originals first in a random order, then their copies in the same order, round by
    round: the first so many of a longer list are the same."""
    random = np.random.default_rng(seed)
    names = [str(name) for name in random.permutation(sorted(maps))]
    found = {name: Known(name, SAME, maps[name]) for name in names[:count]}
    for k in range(len(names), count):
        name, change = names[k % len(names)], draw_change(random, k // len(names))
        found[f"{name}, copy {k // len(names)}"] = Known(name, change, copied(maps[name], change))
    return found


class Looks:
    """Clean readings of the scans of a catalogue from random places, in the objects' own frames."""

    def __init__(self, source: str, eye: EyeConfig, seed: int = 0) -> None:
        self.catalogue, self.seed = shared_catalogue(source), seed
        self.sensors = Sensors(eye)
        self.retina = shared_retina(source, eye.pixels, self.sensors.field_of_view)
        self._kept: dict[str, tuple[Record, np.ndarray]] = {}

    def of(self, name: str) -> tuple[Record, np.ndarray]:
        """Readings of one object and their gazes (n, 3)."""
        if name not in self._kept:
            self._kept[name] = self._look(name)
        return self._kept[name]

    def _look(self, name: str) -> tuple[Record, np.ndarray]:
        index, mesh = self.catalogue.index(name), self.catalogue.mesh(name)
        random = np.random.default_rng([self.seed, index])
        count = 8 * LONGEST
        point = trimesh.sample.sample_surface(trimesh.Trimesh(mesh.vertices, mesh.faces), count, seed=random)[0]
        bearing = random.standard_normal((count, 3))
        eye = DISTANCE * bearing / np.linalg.norm(bearing, axis=1, keepdims=True)
        turn = np.array([looking(way) for way in point - eye])

        def see(position: np.ndarray, rotation: np.ndarray, width: float, rows: Rows) -> Images:
            here, unturned = np.zeros((count, 3)), np.tile(np.eye(3), (count, 1, 1))
            return self.retina.sense_images(np.full(count, index), here, unturned, position, rotation)

        record, _, _ = self.sensors.sense_all(eye, turn, see, (random,) * count)
        far = np.linalg.norm(record.location - eye, axis=1) > NEAREST
        good = record.on_object & record.valid & far
        if good.sum() < LONGEST:
            raise SystemExit(f"only {good.sum()} of {count} looks met {name}: is the scan whole, and at the origin?")
        return Record(**{key: getattr(record, key)[good] for key in Record.__dataclass_fields__}), turn[good, :, 2]


def shown(looks: Looks, known: Known, random: np.random.Generator) -> list[Sensation]:
    """An episode's sensations, (1, 1) each: random readings of the object at a random pose, with noise."""
    record, gaze = looks.of(known.original)
    some = spread_out(record.location, random)
    turn, place = random_rotations(1, random)[0], random.uniform(-0.05, 0.05, 3)
    numbers = (torch.from_numpy(np.asarray(x[some], float)) for x in _parts(record))
    point, normal, direction, curvature, hsv = numbers
    point, normal, direction, curvature = carried(known.change, point, normal, direction, curvature)
    normal, direction = (x.numpy() @ turn.T for x in (normal, direction))
    curvature = (curvature.sign() * curvature.abs().expm1()).numpy()
    frame = np.stack([direction, np.cross(normal, direction)], 1)
    copy = _record(point.numpy() @ turn.T + place, normal, frame, curvature, recoloured(known.change, hsv).numpy())
    rotation = np.array([looking(way) for way in gaze[some] @ turn.T])
    eye = copy.location - DISTANCE * rotation[:, :, 2]
    noisy = perturb(copy, "noise", random, eye, rotation)
    sensed = Senses(coded=False)(observe(noisy, eye, rotation, "features"))
    return [sensed[:, t : t + 1] for t in range(len(some))]


def spread_out(location: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """LONGEST places of (n, 3), in the order in which they are looked at."""
    left = list(random.permutation(len(location)))
    order, apart = [left.pop()], np.full(len(location), np.inf)
    while len(order) < LONGEST:
        apart = np.minimum(apart, np.linalg.norm(location - location[order[-1]], axis=1))
        best = max(left[-CHOICE:], key=lambda place: apart[place])
        left.remove(best)
        order.append(best)
        random.shuffle(left)
    return np.array(order)


def _parts(record: Record) -> tuple[np.ndarray, ...]:
    curvature = np.sign(record.curvature) * np.log1p(np.abs(record.curvature))
    return record.location, record.normal, record.directions[:, 0], curvature, record.hsv


def _record(location: np.ndarray, normal: np.ndarray, directions: np.ndarray, curvature: np.ndarray, hsv: np.ndarray):
    count = len(location)
    yes, single = np.ones(count, bool), np.float32
    return Record(
        location.astype(single), normal.astype(single), directions.astype(single), curvature.astype(single),
        np.zeros((count, 3), single), hsv.astype(single), yes, yes, np.ones(count, single),
        np.zeros((count, 1, 1, 6), single),
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Thought:
    """An episode: milliseconds of its sensations; the answer, None for none of those known; whether it was decided;
    after how many sensations."""

    ms: list[float]
    answer: str | None
    decided: bool
    sensations: int


def episode(region: Region, seen: list[Sensation], odds: float) -> Thought:
    """Think until the odds decide, and until enough sensations are timed, whichever is later."""
    belief, spent, decided = region.begin(), [], None
    for t, sensation in enumerate(seen):
        began = time.thread_time()
        belief = region.step(belief, sensation)
        spent.append(1e3 * (time.thread_time() - began))
        if decided is None and sure(belief, odds):
            decided = t + 1, named(region, belief)
        if decided and t + 1 >= TIMED:
            break
    count, answer = decided or (len(seen), named(region, belief))
    return Thought(spent, answer, decided is not None, count)


def sure(belief: Belief, odds: float) -> bool:
    """Whether the best object's odds exceed these."""
    return belief.consensus is not None and float(belief.consensus.log_odds[0]) > math.log(odds)


def named(region: Region, belief: Belief) -> str | None:
    """The best object, None for none of those known."""
    best = int(belief.consensus.object_index[0]) if belief.consensus else -1
    return region.objects[best] if best >= 0 else None


def growth(maps: dict[str, ObjectMap], experiment: Experiment, sizes: tuple[int, ...] = SIZES) -> list[dict[str, Any]]:
    """One row for every number of objects."""
    known = objects(maps, max(sizes))
    looks = Looks(experiment.world.objects, EyeConfig(noise="clean", pixels=experiment.eye.pixels))
    return [_row(dict(list(known.items())[:size]), looks, experiment) for size in sizes]


def _row(known: dict[str, Known], looks: Looks, experiment: Experiment) -> dict[str, Any]:
    plain = replace(experiment, column=replace(experiment.column, texture=False))  # copies have no pixels
    region = build_region(plain, {name: one.map for name, one in known.items()})
    truths, done = _truths(list(known)), []
    for k, name in enumerate(track(truths, f"{len(known):>5} objects")):
        seen = shown(looks, known[name], np.random.default_rng([len(known), k]))
        if k == 0:
            episode(region, seen, experiment.decision.odds)  # compiled and warm
        done.append(episode(region, seen, experiment.decision.odds))
    later = np.array([ms for one in done for ms in one.ms[SETTLED:TIMED]])
    pairs = list(zip(done, truths, strict=True))
    return {
        "objects": len(known), "nodes": sum(len(one.map) for one in known.values()), "episodes": len(done),
        "first_ms": float(np.median([one.ms[0] for one in done])),
        "second_third_ms": float(np.mean([one.ms[1:SETTLED] for one in done])),
        "later_ms_mean": float(later.mean()), "later_ms_median": float(np.median(later)),
        "later_ms_p95": float(np.percentile(later, 95)),
        "correct": float(np.mean([one.decided and one.answer == name for one, name in pairs])),
        "undecided": float(np.mean([not one.decided for one in done])),
        "sensations_median": float(np.median([one.sensations for one in done])),
        "not_correct": [[name, one.answer, one.decided, one.sensations] for one, name in pairs
                        if not one.decided or one.answer != name],
    }  # fmt: skip


def _truths(names: list[str]) -> list[str]:
    """As many as there are episodes, each object as often as any other, give or take one."""
    random = np.random.default_rng(len(names))
    rounds = [random.permutation(len(names)) for _ in range(-(-EPISODES // len(names)))]
    return [names[k] for k in np.concatenate(rounds)[:EPISODES]]
