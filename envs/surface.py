"""From the depth image of a patch to the features of the surface that its gaze meets.

A quadric is fitted to the points of the pixels (`quadric`). Its scale, sigma, is metric, so that curvature
does not depend on how far away or how slanted the surface is seen, unless pixels are further apart than
sigma. Only points take part that pixels without a jump in depth join to the gaze.
"""

from functools import lru_cache

import numpy as np
from numba import njit

from .quadric import face_sensor, fit_surface
from .record import Images, Record, ray_directions
from .retina import Retina

RESIDUAL = 0.0005
"""Metres of rms residual at which confidence falls to 1/e."""
PAD = 3
"""Pixels without depth around an image, one before and two behind, so that each pixel has neighbours."""


def fit(
    images: Images,
    pixels: int,
    field_of_view: float,
    sensor_position: np.ndarray,
    sensor_rotation: np.ndarray,
    footprint: float = 0.003,
    depth_noise: float = 0.0,
) -> Record:
    """Features of b patches.

    images : what the patches saw, (b, pixels, pixels) each
    field_of_view : width of a patch in radians
    sensor_position, sensor_rotation : (b, 3) metres, (b, 3, 3) world_from_sensor
    footprint : sigma of the fit in metres; colour is averaged over half of it. Where pixels are further
        apart, their spacing takes its place
    depth_noise : standard deviation of the depth of a pixel in metres. The fit then counts errors along the rays
        and leaves out what lies on other surfaces (`settling`), and the location is moved along the gaze onto the
        fitted surface, by 3 depth_noise at most; with 0 it is the very point that the gaze ray met

    A gaze that met nothing, or the table, gives an empty reading: valid, not on the object, black,
    confidence 0, normal towards the sensor. A reading is invalid if its depth is not finite, or if too few
    points surround it even for a plane.
    Raises ValueError where shapes don't agree.
    """
    depth = np.ascontiguousarray(images.depth, np.float32)
    position = np.ascontiguousarray(sensor_position, np.float64)
    rotation = np.ascontiguousarray(sensor_rotation, np.float64)
    count = len(depth)
    if (
        depth.shape != (count, pixels, pixels)
        or position.shape != (count, 3)
        or rotation.shape != (count, 3, 3)
    ):
        raise ValueError(
            f"expected depth ({count}, {pixels}, {pixels}), sensor_position ({count}, 3) and sensor_rotation "
            f"({count}, 3, 3), got {depth.shape}, {position.shape} and {rotation.shape}"
        )
    single = np.zeros((count, 21), np.float32)
    flags = np.zeros((count, 2), np.bool_)
    patch = np.zeros((count, pixels, pixels, 6), np.float32)
    _fit(
        depth,
        np.ascontiguousarray(images.rgb, np.float32),
        np.ascontiguousarray(images.on_object, np.bool_),
        _rays(pixels, float(field_of_view)),
        2.0 * np.tan(field_of_view / 2.0) / pixels,
        position,
        rotation,
        float(footprint),
        float(depth_noise),
        single,
        flags,
        patch,
    )
    return Record(
        location=single[:, 0:3],
        normal=single[:, 3:6],
        directions=single[:, 6:12].reshape(count, 2, 3),
        curvature=single[:, 12:14],
        rgb=single[:, 14:17],
        hsv=single[:, 17:20],
        on_object=flags[:, 0],
        valid=flags[:, 1],
        confidence=single[:, 20],
        patch=patch,
    )


def sense(
    retina: Retina,
    mesh_index: np.ndarray,
    object_position: np.ndarray,
    object_rotation: np.ndarray,
    sensor_position: np.ndarray,
    sensor_rotation: np.ndarray,
    table_height: float | None = None,
    footprint: float = 0.003,
) -> Record:
    """`Retina.sense_images`, then `fit`: what b patches sense."""
    images = retina.sense_images(
        mesh_index, object_position, object_rotation, sensor_position, sensor_rotation, table_height
    )
    return fit(images, retina.pixels, retina.field_of_view, sensor_position, sensor_rotation, footprint)


@lru_cache(maxsize=32)
def _rays(pixels: int, field_of_view: float) -> np.ndarray:
    return ray_directions(pixels, field_of_view)


@njit(cache=True, nogil=True)
def _fit(depth, rgb, on_object, rays, step, position, rotation, footprint, depth_noise, single, flags, patch):
    n = depth.shape[1]
    edge = n + PAD
    middle = (n // 2 + 1) * edge + n // 2 + 1
    reach = np.full(edge * edge, np.nan)
    across, down = np.zeros(edge * edge, np.bool_), np.zeros(edge * edge, np.bool_)
    members, met = np.empty(n * n, np.int64), np.empty(edge * edge, np.bool_)
    cloud, frame = np.empty((3, n * n)), np.empty((4, 3))
    for k in range(depth.shape[0]):
        out = single[k]
        _unproject(depth[k], rgb[k], on_object[k], rays, reach, patch[k])
        gaze = np.float64(depth[k, n // 2, n // 2])
        flags[k, 0] = reach[middle] > 0.0
        flags[k, 1] = np.isfinite(gaze)
        face_sensor(frame, gaze)
        if flags[k, 0]:
            _links(reach, 1, step, depth_noise, across)
            _links(reach, edge, step, depth_noise, down)
            count = _joined(edge, middle, across, down, met, members)
            _gather(members, count, reach, rays, cloud)
            sigma = max(footprint, step * gaze)
            residual, sigma, unknowns = fit_surface(cloud, count, sigma, depth_noise, frame, out[12:14])
            flags[k, 1] = unknowns > 0
            if unknowns > 0:
                out[20] = (1.0 if unknowns == 6 else 0.5) * np.exp(-residual / RESIDUAL)
            _colour(cloud, members, count, rgb[k], frame, sigma, out)
        _to_world(frame, position[k], rotation[k], gaze > 0.0 and np.isfinite(gaze), out)
        _hsv(out)
        for c in range(21):
            if not np.isfinite(out[c]):
                out[:] = 0.0
                out[5], out[6], out[10] = -1.0, 1.0, -1.0
                flags[k, 1] = False


@njit(cache=True, nogil=True)
def _unproject(depth, rgb, on_object, rays, reach, patch):
    """Fill in the patch of the record; `reach` is the depth of the pixels on the object, NaN elsewhere."""
    n = depth.shape[0]
    for i in range(n):
        for j in range(n):
            p = (i + 1) * (n + PAD) + j + 1
            there = np.float64(depth[i, j])
            reach[p] = there if on_object[i, j] and 0.0 < there < np.inf else np.nan
            if reach[p] > 0.0:
                for c in range(3):
                    patch[i, j, c] = rgb[i, j, c]
                    patch[i, j, 3 + c] = there * rays[i, j, c]


@njit(cache=True, nogil=True)
def _links(reach, stride, step, depth_noise, linked):
    """Tell for every pixel whether the surface goes on to the pixel `stride` further along its line.

    A step between neighbours is a jump where it exceeds what a surface slanted by 63 degrees gives, by more
    than twice the smaller of the steps before and after it (a slanted surface has many large ones).
    """
    for p in range(stride, reach.size - 2 * stride):
        here, there = reach[p], reach[p + stride]
        before, after = abs(here - reach[p - stride]), abs(reach[p + 2 * stride] - there)
        around = before if before < np.inf else 0.0
        if after < around or not before < np.inf:
            around = after if after < np.inf else 0.0
        limit = 2.0 * step * min(here, there) + 2.0 * around + 4.0 * depth_noise
        linked[p] = abs(here - there) <= limit


@njit(cache=True, nogil=True)
def _joined(edge, middle, across, down, met, members):
    """Put the pixels that links join to the middle one into `members`, it first; returns how many."""
    met[:] = False
    met[middle] = True
    members[0], count, done = middle, 1, 0
    while done < count:
        p = members[done]
        done += 1
        for q, linked in (
            (p + 1, across[p]),
            (p - 1, across[p - 1]),
            (p + edge, down[p]),
            (p - edge, down[p - edge]),
        ):
            if linked and not met[q]:
                met[q] = True
                members[count] = q
                count += 1
    return count


@njit(cache=True, nogil=True)
def _gather(members, count, reach, rays, cloud):
    """Points of the members in the frame of the sensor; `members` become numbers of pixels."""
    n = rays.shape[0]
    for k in range(count):
        p = members[k]
        i, j = p // (n + PAD) - 1, p % (n + PAD) - 1
        members[k] = i * n + j
        for c in range(3):
            cloud[c, k] = reach[p] * rays[i, j, c]


@njit(cache=True, nogil=True)
def _colour(cloud, members, count, rgb, frame, sigma, out):
    """Mean colour around the gaze point, weighted by a Gaussian of half of sigma."""
    total = 0.0
    colours = rgb.reshape(-1, 3)
    for k in range(count):
        x, y, z = cloud[0, k] - frame[0, 0], cloud[1, k] - frame[0, 1], cloud[2, k] - frame[0, 2]
        distance = (x * x + y * y + z * z) / (sigma * sigma)
        if distance < 3.0:
            weight = np.exp(-2.0 * distance)
            total += weight
            for c in range(3):
                out[14 + c] += weight * colours[members[k], c]
    for c in range(3):
        out[14 + c] = min(max(out[14 + c] / total, 0.0), 1.0) if total > 0.0 else 0.0


@njit(cache=True, nogil=True)
def _to_world(frame, position, rotation, located, out):
    for i in range(3):
        out[i] = position[i] if located else 0.0
        for k in range(3):
            if located:
                out[i] += rotation[i, k] * frame[0, k]
            for row in range(1, 4):
                out[3 * row + i] += rotation[i, k] * frame[row, k]


@njit(cache=True, nogil=True)
def _hsv(out):
    """Hue, saturation and value as `colorsys.rgb_to_hsv` has them."""
    r, g, b = out[14], out[15], out[16]
    value, low = max(r, g, b), min(r, g, b)
    chroma = value - low
    out[17], out[18], out[19] = 0.0, 0.0, value
    if chroma > 0.0:
        out[18] = chroma / value
        if r == value:
            hue = (g - b) / chroma
        elif g == value:
            hue = 2.0 + (b - r) / chroma
        else:
            hue = 4.0 + (r - g) / chroma
        out[17] = (hue / 6.0) % 1.0
