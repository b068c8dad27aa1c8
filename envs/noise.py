"""Sensor noise. Every channel derives from the noisy record, so that nothing leaks the clean one.

With independent standard normals, one draw a reading:

    location   p' = p + 2 mm e                               frame  F' = Q F, Q = exp[2 degrees e]
    hue        h' = h + 0.1 e (mod 1)       saturation, value  s' = clip(s + 0.1 e)
    curvature  l' = l + 0.1 e, where l = sign(k) ln(1 + |k| x 1 m)

What a patch looks like (hue, saturation, value, curvature) may be disturbed `look` times as much: e' = look e.

A patch moves with its reading: its points turn and shift rigidly, x' = p' + Q (x - p); their heights over
the tangent plane change by the change of the quadric, -((k1' - k1) u^2 + (k2' - k2) v^2) / 2 (curvature is
positive where convex); its pixels get the same offsets of hue, saturation and value.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numba
import numpy as np

from cortical.configs.schema import Condition

from .record import Images, Record

LOCATION = 0.002
"""Standard deviation in metres, an axis."""
ANGLE = math.radians(2.0)
"""Standard deviation of the rotation vector, an axis."""
COLOUR = 0.1
"""Standard deviation of hue (in turns), saturation and value."""
LOG_CURVATURE = 0.1
DEPTH = 0.001
"""Standard deviation in metres of a depth pixel under `rawnoise`."""
LOOK = slice(6, 11)
"""Draws of a reading that disturb what it looks like: hue, saturation, value and both log curvatures."""
LOST, STRAY = 0.2, 0.05
"""Probabilities under `dropout`: a reading is lost; it takes the features of another object."""


@dataclass(frozen=True, slots=True)
class Bank:
    """Readings of random surface points, from which stray features are taken.

    record : m readings, all made from the origin with the sensor's axes along the world's
    owner : (m,) int, which object each reading is of
    """

    record: Record
    owner: np.ndarray


def perturb_images(images: Images, condition: Condition, random: np.random.Generator) -> Images:
    """Noise on each depth pixel that hit something, under `rawnoise`; otherwise the images as they are."""
    return perturb_all_images(images, condition, (random,))


def perturb_all_images(images: Images, condition: Condition, randoms: Sequence[np.random.Generator]) -> Images:
    """`perturb_images` of several eyes with as many patches each, every eye with a generator of its own."""
    if condition != "rawnoise":
        return images
    shape = (len(images.depth) // len(randoms), *images.depth.shape[1:])
    error = np.concatenate([random.standard_normal(shape, dtype=np.float32) for random in randoms])
    noisy = np.maximum(images.depth + error * np.float32(DEPTH), np.float32(1e-6))
    return replace(images, depth=np.where(images.depth > 0, noisy, images.depth))


def perturb(
    record: Record,
    condition: Condition,
    random: np.random.Generator,
    sensor_position: np.ndarray,
    sensor_rotation: np.ndarray,
    bank: Bank | None = None,
    owner: int = -1,
    look: float = 1.0,
) -> Record:
    """The record of b patches as a noisy sensor gives it; a new record, except for `clean`.

    sensor_position : (b, 3) metres; sensor_rotation : (b, 3, 3) world_from_sensor
    bank, owner : for `dropout`, stray features and which object they must not be of; without any other object
        in the bank nothing goes astray
    look : so many times the noise of colour and curvature
    """
    return perturb_all(record, condition, (random,), sensor_position, sensor_rotation, bank, (owner,), look)


def perturb_all(
    record: Record,
    condition: Condition,
    randoms: Sequence[np.random.Generator],
    sensor_position: np.ndarray,
    sensor_rotation: np.ndarray,
    bank: Bank | None = None,
    owners: Sequence[int] = (),
    look: float = 1.0,
    times: np.ndarray | float = 1.0,
) -> Record:
    """`perturb` of several eyes with as many patches each, one after the other, every eye with a generator (and, given
    a bank, an owner) of its own: to the bit what each would read alone; each patch of an eye with so many `times` the
    noise, (c,)."""
    if condition == "clean":
        return record
    dropout, each = condition == "dropout", len(record.location) // len(randoms)
    fates, draws = np.ones((len(randoms), each)), np.empty((len(randoms), each, 11))
    stray, chosen = [], []
    for k, random in enumerate(randoms):
        if dropout:
            random.random(out=fates[k])
        if dropout and bank is not None:
            met = record.on_object[k * each : (k + 1) * each]
            at = np.flatnonzero((fates[k] >= LOST) & (fates[k] < LOST + STRAY) & met)
            others = np.flatnonzero(bank.owner != owners[k]) if len(at) else at
            if len(others):
                chosen.append(others[random.integers(len(others), size=len(at))])
                stray.append(k * each + at)
        random.standard_normal(out=draws[k])
    if bank is not None and stray:
        at, taken = np.concatenate(stray), np.concatenate(chosen)
        record = _astray(record, at, bank.record, taken, sensor_position, sensor_rotation)
    if look != 1.0:
        draws[..., LOOK] *= look
    draws *= np.reshape(times, (-1, 1))
    noisy = _noisy(record, draws.reshape(-1, 11), sensor_position, sensor_rotation)
    if dropout:
        _lose(noisy, fates.ravel() < LOST)
    return noisy


def _noisy(record: Record, draws: np.ndarray, position: np.ndarray, rotation: np.ndarray) -> Record:
    location, normal, directions = record.location.copy(), record.normal.copy(), record.directions.copy()
    curvature, rgb, hsv = record.curvature.copy(), record.rgb.copy(), record.hsv.copy()
    patch = record.patch.copy()
    sound = record.valid & record.on_object
    _noise_kernel(
        draws,
        position,
        rotation,
        record.on_object,
        sound,
        location,
        normal,
        directions,
        curvature,
        rgb,
        hsv,
        patch,
    )
    return Record(
        location,
        normal,
        directions,
        curvature,
        rgb,
        hsv,
        record.on_object.copy(),
        record.valid.copy(),
        record.confidence.copy(),
        patch,
    )


def _astray(
    record: Record,
    at: np.ndarray,
    bank: Record,
    chosen: np.ndarray,
    position: np.ndarray,
    rotation: np.ndarray,
) -> Record:
    """Readings `at` keep their location and take the rest from the bank, turned as this sensor sees it."""
    fields = {name: getattr(record, name).copy() for name in Record.__dataclass_fields__}
    turn = rotation[at]
    fields["normal"][at] = np.einsum("bij,bj->bi", turn, bank.normal[chosen])
    fields["directions"][at] = np.einsum("bij,bkj->bki", turn, bank.directions[chosen])
    for name in ("curvature", "rgb", "hsv", "valid", "confidence"):
        fields[name][at] = getattr(bank, name)[chosen]
    patch = bank.patch[chosen]
    here = np.einsum("bji,bj->bi", turn, record.location[at] - position[at])
    seen = (patch[..., 3:] != 0).any(axis=-1, keepdims=True)
    patch[..., 3:] += np.where(seen, (here - bank.location[chosen])[:, None, None], 0)
    fields["patch"][at] = patch
    return Record(**fields)


def _lose(record: Record, lost: np.ndarray) -> None:
    """A lost reading tells nothing but that it is lost."""
    for name in Record.__dataclass_fields__:
        getattr(record, name)[lost] = 0


@numba.njit(cache=True)
def rgb_from_hsv(hue: float, saturation: float, value: float) -> tuple[float, float, float]:
    """Red, green, blue in 0 ... 1 from hue (in turns), saturation, value in 0 ... 1."""
    red = value - value * saturation * max(0.0, min(1.0, min((5 + 6 * hue) % 6, 4 - (5 + 6 * hue) % 6)))
    green = value - value * saturation * max(0.0, min(1.0, min((3 + 6 * hue) % 6, 4 - (3 + 6 * hue) % 6)))
    blue = value - value * saturation * max(0.0, min(1.0, min((1 + 6 * hue) % 6, 4 - (1 + 6 * hue) % 6)))
    return red, green, blue


@numba.njit(cache=True)
def hsv_from_rgb(red: float, green: float, blue: float) -> tuple[float, float, float]:
    """Hue (in turns), saturation and value from red, green, blue, all in 0 ... 1; a grey has hue 0."""
    value = max(red, green, blue)
    chroma = value - min(red, green, blue)
    if chroma <= 0.0:
        return 0.0, 0.0, value
    if value == red:
        hue = (green - blue) / chroma
    elif value == green:
        hue = 2.0 + (blue - red) / chroma
    else:
        hue = 4.0 + (red - green) / chroma
    return (hue / 6.0) % 1.0, chroma / value, value


@numba.njit(cache=True)
def _shifted_colour(hue, saturation, value, draw):
    hue = (hue + COLOUR * draw[6]) % 1.0
    saturation = min(1.0, max(0.0, saturation + COLOUR * draw[7]))
    value = min(1.0, max(0.0, value + COLOUR * draw[8]))
    return hue, saturation, value


@numba.njit(cache=True)
def _rotation(x, y, z):
    """The (3, 3) rotation by the rotation vector (x, y, z), by Rodrigues' formula."""
    angle = math.sqrt(x * x + y * y + z * z)
    s = 1.0 if angle < 1e-9 else math.sin(angle) / angle
    c = 0.5 if angle < 1e-9 else (1.0 - math.cos(angle)) / (angle * angle)
    turn = np.empty((3, 3))
    turn[0, 0], turn[0, 1], turn[0, 2] = 1 - c * (y * y + z * z), c * x * y - s * z, c * x * z + s * y
    turn[1, 0], turn[1, 1], turn[1, 2] = c * x * y + s * z, 1 - c * (x * x + z * z), c * y * z - s * x
    turn[2, 0], turn[2, 1], turn[2, 2] = c * x * z - s * y, c * y * z + s * x, 1 - c * (x * x + y * y)
    return turn


@numba.njit(cache=True)
def _noisy_curvature(curvature, draw):
    log = math.copysign(math.log1p(abs(curvature)), curvature) + LOG_CURVATURE * draw
    return math.copysign(math.expm1(abs(log)), log)


@numba.njit(cache=True)
def _move_patch(patch, anchor, moved, turn, frame, bend, draw):
    """In the sensor's frame: patch (n, n, 6), anchor, moved (3,), turn (3, 3), frame rows d1, d2, normal."""
    for i in range(patch.shape[0]):
        for j in range(patch.shape[1]):
            pixel = patch[i, j]
            x, y, z = pixel[3] - anchor[0], pixel[4] - anchor[1], pixel[5] - anchor[2]
            if pixel[5] == 0.0:
                continue
            u = frame[0, 0] * x + frame[0, 1] * y + frame[0, 2] * z
            v = frame[1, 0] * x + frame[1, 1] * y + frame[1, 2] * z
            rise = -0.5 * (bend[0] * u * u + bend[1] * v * v)
            x, y, z = x + rise * frame[2, 0], y + rise * frame[2, 1], z + rise * frame[2, 2]
            for k in range(3):
                pixel[3 + k] = moved[k] + turn[k, 0] * x + turn[k, 1] * y + turn[k, 2] * z
            hue, saturation, value = hsv_from_rgb(pixel[0], pixel[1], pixel[2])
            hue, saturation, value = _shifted_colour(hue, saturation, value, draw)
            pixel[0], pixel[1], pixel[2] = rgb_from_hsv(hue, saturation, value)


@numba.njit(cache=True)
def _patch_middle(patch):
    middle, seen = np.zeros(3), 0
    for i in range(patch.shape[0]):
        for j in range(patch.shape[1]):
            if patch[i, j, 5] != 0.0:
                seen += 1
                for k in range(3):
                    middle[k] += patch[i, j, 3 + k]
    return middle / max(seen, 1)


@numba.njit(cache=True)
def _noise_kernel(
    draws, position, rotation, on_object, sound, location, normal, directions, curvature, rgb, hsv, patch
):
    """Noise on b readings, in place. Off the object there is only the location of the table to disturb."""
    for b in range(len(draws)):
        draw, world = draws[b], rotation[b]
        turn = _rotation(ANGLE * draw[3], ANGLE * draw[4], ANGLE * draw[5])
        frame, bend, shift = np.zeros((3, 3)), np.zeros(2), LOCATION * draw[:3]
        anchor = _patch_middle(patch[b])
        if sound[b]:
            anchor = world.T @ (location[b] - position[b])
            frame[:2], frame[2] = directions[b], normal[b]
            turned = frame @ turn.T
            normal[b], directions[b] = turned[2], turned[:2]
            for k in range(2):
                noisy = _noisy_curvature(curvature[b, k], draw[9 + k])
                bend[k], curvature[b, k] = noisy - curvature[b, k], noisy
            if curvature[b, 0] < curvature[b, 1]:
                curvature[b, 0], curvature[b, 1] = curvature[b, 1], curvature[b, 0]
                directions[b, 0], directions[b, 1] = turned[1], -turned[0]
        if location[b, 0] != 0.0 or location[b, 1] != 0.0 or location[b, 2] != 0.0:
            location[b] += shift
        if on_object[b]:
            h, s, v = _shifted_colour(hsv[b, 0], hsv[b, 1], hsv[b, 2], draw)
            hsv[b, 0], hsv[b, 1], hsv[b, 2] = h, s, v
            rgb[b, 0], rgb[b, 1], rgb[b, 2] = rgb_from_hsv(h, s, v)
        moved = anchor + world.T @ shift
        _move_patch(patch[b], anchor, moved, world.T @ turn @ world, frame @ world, bend, draw)
