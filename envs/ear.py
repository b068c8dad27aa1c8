"""An ear: patches that move over the surface of a sound and sense what an eye senses, in the same arrays.

With height z(x, y) over time x and frequency y (see `sound`), a reading at one spot is

    normal        n = (-z_x, -z_y, 1) / |.|          how fast it gets louder, in time and towards higher bands
    directions    d1 = (1, 0, z_x) / |.|, d2 = n x d1    the first is always the arrow of time
    curvature     k1 = -z_xx, k2 = -z_yy              onsets and formants are ridges
    "colour"      (saturation, hue) = slope over a wider patch, its strength and angle; value = level above surroundings

none of which says how loud the whole is. Since the arrow of time is sensed, one reading fixes the rotation but for two
turns, and where the relief is flat the right one is upright.
Where it is quiet the ear meets nothing.
"""

from dataclasses import dataclass, field

import numpy as np
from scipy.ndimage import gaussian_filter

from .sound import BAND, BANDS, HOP, SECOND, Sound

WIDE, SURROUNDINGS = (3.0, 2.5), (6.0, 5.0)  # frames, bands
STEEP, LOUD = 6.0, 40.0  # decibels a cell and decibels: what counts as 1
ABOVE = 0.05  # metres over the loudest, from where the ear looks down


@dataclass(frozen=True)
class Ear:
    """A row of patches, one for each column; each hears its own share of the bands.

    columns : how many patches, at most a band each; ValueError for another number
    sharpness : chances to listen to a band are its level above the quietest to this power; 0: all bands alike
    """

    columns: int = 1
    sharpness: float = 1.0

    def __post_init__(self) -> None:
        if not 1 <= self.columns <= BANDS:
            raise ValueError(f"an ear has 1 to {BANDS} columns, a band or more for each, not {self.columns}")

    def walk(self, sound: Sound, steps: int, random: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Where to listen: frames, ascending, (s,), and bands (s, C). Time only goes on; between sensations it goes on
        by a chance step, and each patch turns to a band of its share, loud ones more often."""
        frame = np.sort(random.choice(len(sound), steps, replace=len(sound) < steps))
        loud = np.maximum(sound.level[frame] - sound.level.min(), 1e-3) ** self.sharpness
        shares = np.array_split(np.arange(BANDS), self.columns)
        return frame, np.stack([_drawn(loud[:, share], random) + share[0] for share in shares], axis=1)


def _drawn(weight: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """An index of each row of weights (s, n), in proportion to them."""
    edge = np.cumsum(weight, axis=1)
    return (random.random((len(weight), 1)) * edge[:, -1:] > edge).sum(axis=1)


@dataclass(frozen=True)
class Surface:
    """All that can be sensed of a sound, worked out once. Arrays are (t, BANDS, ...)."""

    sound: Sound
    parts: dict[str, np.ndarray] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "parts", _shape(self.sound.height) | {"hsv": _colour(self.sound.level)})

    def spots(self) -> tuple[np.ndarray, np.ndarray]:
        """Frames and bands of all that is audible, (n,) each."""
        frame, band = np.nonzero(self.sound.audible)
        return frame, band

    def observed(self, frame: np.ndarray, band: np.ndarray, start: np.ndarray) -> dict[str, np.ndarray]:
        """The observation of n sensors at frames and bands, (n,) each; where it is quiet it says only that."""
        count, on = len(frame), self.sound.audible[frame, band]
        place = np.stack([frame * SECOND * HOP, band * BAND, self.sound.height[frame, band]], axis=1) + start
        found = {name: np.where(_like(on, part), part[frame, band], 0.0) for name, part in self.parts.items()}
        down = np.diag([1.0, -1.0, -1.0])
        return {
            **found,
            "location": np.where(on[:, None], place, 0.0),
            "sensor_position": np.stack([place[:, 0], place[:, 1], np.full(count, start[2] + ABOVE)], axis=1),
            "sensor_rotation": np.broadcast_to(down, (count, 3, 3)),
            "on_object": on.astype(np.float32),
            "valid": np.ones(count, np.float32),
        }


def _like(on: np.ndarray, part: np.ndarray) -> np.ndarray:
    return on.reshape(-1, *[1] * (part.ndim - 2))


def _shape(height: np.ndarray) -> dict[str, np.ndarray]:
    x, y = np.gradient(height, SECOND * HOP, BAND)
    one, zero = np.ones_like(x), np.zeros_like(x)
    normal, forward = _unit(np.stack([-x, -y, one], -1)), _unit(np.stack([one, zero, x], -1))
    bend = np.stack([-np.gradient(x, SECOND * HOP, axis=0), -np.gradient(y, BAND, axis=1)], -1)
    return {
        "normal": normal, "directions": np.stack([forward, np.cross(normal, forward)], -2), "curvature": bend
    }  # fmt: skip


def _unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)


def _colour(level: np.ndarray) -> np.ndarray:
    later, higher = np.gradient(gaussian_filter(level, WIDE))
    strength = np.clip(np.hypot(later, higher) / STEEP, 0, 1)
    angle = np.arctan2(higher, later) / (2 * np.pi) % 1
    above = np.clip(0.5 + (level - gaussian_filter(level, SURROUNDINGS)) / LOUD, 0, 1)
    return np.stack([angle, strength, above], -1)
