"""The sensors an eye carries: one patch per column at fixed angles around the gaze, each of its own width, all with
the same noise.

images (rays or camera) -> noise on the depth pixels -> surface fit, or another sensor -> noise on the record
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import fields
from functools import lru_cache
from typing import Protocol, TypeVar

import numpy as np

from cortical.configs.plugins import load_plugin
from cortical.configs.schema import Condition, EyeConfig

from .bodies import Eye, gaze_turn
from .layouts import patch_angles, patch_noises, patch_widths
from .noise import DEPTH, Bank, perturb_all, perturb_all_images
from .objects import Catalogue, open_catalogue
from .placing import random_rotations
from .record import Images, Record
from .retina import Retina
from .surface import fit

FOOTPRINT = 0.005
"""Metres: how wide the surface fit looks."""
NOISY_FOOTPRINT = 0.006
"""The same under `rawnoise`: a wider fit is less noisy, but near edges and creases its normals are not the maps'."""
BANK_VIEWS = 64
"""Readings of each object from which stray features are drawn."""

Rows = slice | np.ndarray
Rowwise = TypeVar("Rowwise", Images, Record)
See = Callable[[np.ndarray, np.ndarray, float, Rows], Images]
"""sensor positions (b, 3) and rotations (b, 3, 3), how wide they are in radians, which of all sensors they are -> what
they see"""


class Sensor(Protocol):
    """What reads the images of b patches; noise on the record comes afterwards. A plug-in of the group
    cortical.sensors is one, or `surface.fit` itself."""

    def __call__(
        self,
        images: Images,
        pixels: int,
        field_of_view: float,
        sensor_position: np.ndarray,
        sensor_rotation: np.ndarray,
        footprint: float = 0.003,
        depth_noise: float = 0.0,
        /,
    ) -> Record:
        """The record; arguments as those of `surface.fit`. Each patch is read by itself, without a random draw, and
        the images stay as they are: so many worlds at once give what each gives alone."""
        ...


def sensor_of(name: str) -> Sensor:
    """The sensor of that name: "surface", or a plug-in's. Raises `plugins.PluginError` for an unknown one."""
    return fit if name == "surface" else load_plugin("sensors", name)


def patch_rotations(columns: int, spread: float, layout: str = "grid") -> np.ndarray:
    """eye_from_sensor of every patch, (columns, 3, 3), for `layouts.patch_angles`."""
    angles = patch_angles(columns, spread, layout)
    return np.array([gaze_turn(right, down) for right, down in angles]).reshape(-1, 3, 3)


class Sensors:
    """The patches of one eye.

    Raises ValueError for a patch wider than 12 degrees, for negative noise, and for a sensor that there isn't.
    """

    def __init__(self, config: EyeConfig) -> None:
        self.widths = patch_widths(config.columns, config.field_of_view, config.layout)
        self.times = patch_noises(config.columns, config.layout)
        self._different = np.unique(self.widths).tolist()
        if not 0.0 <= config.patch_noise < math.inf:
            raise ValueError(f"eye.patch_noise multiplies the noise, 0 or more, but is {config.patch_noise}")
        self.pixels = config.pixels
        self.field_of_view = math.radians(config.field_of_view)
        self.condition: Condition = config.noise
        self.look = config.patch_noise
        self.name, self.read = config.sensor, sensor_of(config.sensor)
        self.eye_from_sensor = patch_rotations(config.columns, config.spread, config.layout)

    def __len__(self) -> int:
        return len(self.eye_from_sensor)

    def sense(
        self, eye: Eye, see: See, random: np.random.Generator, bank: Bank | None = None, owner: int = -1
    ) -> tuple[Record, np.ndarray, np.ndarray]:
        """One reading of every patch; the record, and the positions and rotations of the sensors.

        see : what a batch of sensors sees; bank, owner : as for `noise.perturb`
        """
        return self.sense_all(eye.position[None], eye.rotation[None], see, (random,), bank, (owner,))

    def sense_all(
        self,
        position: np.ndarray,
        rotation: np.ndarray,
        see: See,
        randoms: Sequence[np.random.Generator],
        bank: Bank | None = None,
        owners: Sequence[int] = (),
    ) -> tuple[Record, np.ndarray, np.ndarray]:
        """`sense` of k such eyes at position (k, 3) with rotation (k, 3, 3), each with a generator and an owner of its
        own: the k c readings of all, one eye after the other, to the bit those that each would have alone."""
        at = np.repeat(position, len(self), axis=0)
        turn = (rotation[:, None] @ self.eye_from_sensor).reshape(-1, 3, 3)
        groups = self._by_width(len(position))
        seen = [see(at[rows], turn[rows], width, rows) for width, rows in groups]
        images = perturb_all_images(_in_order(seen, groups), self.condition, randoms)
        depth_noise = DEPTH if self.condition == "rawnoise" else 0.0
        footprint = NOISY_FOOTPRINT if depth_noise else FOOTPRINT
        read = [
            self.read(_of(images, rows), self.pixels, width, at[rows], turn[rows], footprint, depth_noise)
            for width, rows in groups
        ]
        record = _in_order(read, groups)
        return perturb_all(record, self.condition, randoms, at, turn, bank, owners, self.look, self.times), at, turn

    def _by_width(self, eyes: int) -> list[tuple[float, Rows]]:
        """Patches of one width are sensed in one call: the width, radians, and which rows of all eyes' patches they
        are."""
        if len(self._different) == 1:
            return [(self._different[0], slice(None))]
        every = np.tile(self.widths, eyes)
        return [(width, np.flatnonzero(every == width)) for width in self._different]

    def bank(self, source: str) -> Bank | None:
        """Readings of other objects of a catalogue, which `dropout` needs, all by patches as wide as `field_of_view`;
        None for other noise."""
        if self.condition != "dropout":
            return None
        return shared_bank(source, self.pixels, self.field_of_view, self.name)


def _of(whole: Rowwise, rows: Rows) -> Rowwise:
    if isinstance(rows, slice):
        return whole
    return type(whole)(*(getattr(whole, part.name)[rows] for part in fields(whole)))


def _in_order(parts: list[Rowwise], groups: list[tuple[float, Rows]]) -> Rowwise:
    """The parts of all groups, each row where it belongs."""
    if len(parts) == 1:
        return parts[0]
    order = np.concatenate([rows for _, rows in groups if isinstance(rows, np.ndarray)]).argsort()
    whole = (np.concatenate([getattr(part, f.name) for part in parts])[order] for f in fields(parts[0]))
    return type(parts[0])(*whole)


@lru_cache(maxsize=4)
def shared_catalogue(source: str) -> Catalogue:
    """The catalogue of `source`, opened once a process."""
    return open_catalogue(source)


@lru_cache(maxsize=8)
def shared_retina(source: str, pixels: int, field_of_view: float) -> Retina:
    """The retina over all objects of `source`, made once a process; `field_of_view` in radians."""
    catalogue = shared_catalogue(source)
    return Retina([catalogue.mesh(name) for name in catalogue.names], pixels, field_of_view)


@lru_cache(maxsize=8)
def shared_bank(source: str, pixels: int, field_of_view: float, sensor: str = "surface") -> Bank:
    """Readings of random surface points of every object of `source`, the same in every process."""
    retina = shared_retina(source, pixels, field_of_view)
    random = np.random.default_rng(0)
    owner = np.repeat(np.arange(len(shared_catalogue(source))), BANK_VIEWS)
    count = len(owner)
    turn = random_rotations(count, random)
    # the eye stands at the origin and looks along z: turn and shift the object until a point of it is met
    position = np.tile([0.0, 0.0, 0.2], (count, 1))
    for _ in range(64):
        origins = np.einsum("bji,bj->bi", turn, -position)
        depth, _ = retina.cast(owner, origins, turn[:, 2, :])
        missed = ~np.isfinite(depth)
        if not missed.any():
            break
        position[missed, :2] = random.uniform(-0.06, 0.06, (int(missed.sum()), 2))
        turn[missed] = random_rotations(int(missed.sum()), random)
    here, straight = np.zeros((count, 3)), np.tile(np.eye(3), (count, 1, 1))
    images = retina.sense_images(owner, position, turn, here, straight)
    record = sensor_of(sensor)(images, pixels, field_of_view, here, straight)
    met = record.on_object & record.valid
    return Bank(
        Record(**{name: getattr(record, name)[met] for name in Record.__dataclass_fields__}), owner[met]
    )
