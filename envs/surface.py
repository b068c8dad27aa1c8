"""From the depth image of a patch to the features of the surface that its gaze meets.

In the tangent frame of the gaze point, z along the normal, the surface is fitted as the quadric

    z = a + b x + c y + s (d x^2 + e x y + f y^2),   s = (x^2 + y^2 + z^2) / (x^2 + y^2),

by least squares with the weights (1 - r^2 / (16 sigma^2))^8 of the distance r in space: nearly the
Gaussian exp(-r^2 / (2 sigma^2)), but they end. sigma is metric, so that curvature does not depend on
how far away or how slanted the surface is seen, unless pixels are further apart than sigma. The factor
s makes a ball an exact solution: without it the curvature of a ball of radius R is off by about 3
(sigma / R)^2. Points behind a jump in depth are left out. Normal and principal curvatures follow from
the fundamental forms (M. do Carmo, Differential Geometry of Curves and Surfaces, section 3-3).
"""

from functools import lru_cache

import numpy as np
from numba import njit

from .record import Images, Record, ray_directions
from .retina import Retina

MAX_CURVATURE = 1000.0
"""Curvatures are clipped to this, 1/m: no patch resolves a radius below 1 mm."""
REACH = 16.0
"""Squared distance, in units of sigma, at which the weights of the fit end; half of it is their exponent."""
RESIDUAL = 0.0005
"""Metres of rms residual at which confidence falls to 1/e."""


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
    depth_noise : standard deviation of the depth of a pixel in metres. The location is moved along the gaze
        onto the fitted surface, by 3 depth_noise at most; with 0 it is the very point that the gaze ray met

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
    middle = (n // 2) * n + n // 2
    reach = np.empty(n * n)
    points = np.empty((n * n, 3))
    across, down, mask = np.empty(n * n, np.bool_), np.empty(n * n, np.bool_), np.empty(n * n, np.bool_)
    local = np.empty((4, 3))  # location, normal, first and second direction in the sensor's frame
    design, normals = np.empty((n * n, 7)), np.empty((7, 7))
    for k in range(depth.shape[0]):
        out = single[k]
        _unproject(depth[k], rgb[k], on_object[k], rays, reach, points, patch[k])
        gaze = np.float64(depth[k, n // 2, n // 2])
        flags[k, 0] = reach[middle] > 0.0
        flags[k, 1] = np.isfinite(gaze)
        _face_sensor(local, gaze)
        if flags[k, 0]:
            _links(reach, n, 1, step, depth_noise, across)
            _links(reach, n, n, step, depth_noise, down)
            _connect(n, across, down, mask)
            sigma = max(footprint, step * gaze)
            flags[k, 1] = _surface(
                points, mask, patch[k], middle, sigma, depth_noise, design, normals, local, out
            )
        _to_world(local, position[k], rotation[k], gaze > 0.0 and np.isfinite(gaze), out)
        _hsv(out)
        for c in range(21):
            if not np.isfinite(out[c]):
                out[:] = 0.0
                out[5], out[6], out[10] = -1.0, 1.0, -1.0
                flags[k, 1] = False


@njit(cache=True, nogil=True)
def _unproject(depth, rgb, on_object, rays, reach, points, patch):
    """Points of the pixels on the object; `reach` is their depth, NaN elsewhere."""
    n = depth.shape[0]
    for i in range(n):
        for j in range(n):
            p = i * n + j
            reach[p] = depth[i, j] if on_object[i, j] and 0.0 < depth[i, j] < np.inf else np.nan
            if reach[p] > 0.0:
                for c in range(3):
                    points[p, c] = reach[p] * rays[i, j, c]
                    patch[i, j, c] = rgb[i, j, c]
                    patch[i, j, 3 + c] = points[p, c]


@njit(cache=True, nogil=True)
def _links(reach, n, stride, step, depth_noise, linked):
    """Tell for every pixel whether the surface goes on to the pixel `stride` further along its line.

    A step between neighbours is a jump where it exceeds what a surface slanted by 63 degrees gives, by more
    than twice the smaller of the steps before and after it (a slanted surface has many large ones).
    """
    lines = n if stride == 1 else 1
    for line in range(n):
        first = line * lines
        for k in range(n - 1):
            p = first + k * stride
            here, there = reach[p], reach[p + stride]
            around = np.inf
            if k > 0 and abs(here - reach[p - stride]) < around:
                around = abs(here - reach[p - stride])
            if k < n - 2 and abs(reach[p + 2 * stride] - there) < around:
                around = abs(reach[p + 2 * stride] - there)
            slack = 2.0 * around if around < np.inf else 0.0
            linked[p] = abs(here - there) <= 2.0 * step * min(here, there) + slack + 4.0 * depth_noise


@njit(cache=True, nogil=True)
def _connect(n, across, down, mask):
    """Mark the pixels that links join to the middle one, by sweeps to and fro."""
    mask[:] = False
    mask[(n // 2) * n + n // 2] = True
    found = True
    while found:
        found = False
        for p in range(n * n):
            if not mask[p] and (
                (p % n > 0 and mask[p - 1] and across[p - 1]) or (p >= n and mask[p - n] and down[p - n])
            ):
                mask[p] = found = True
        for p in range(n * n - 1, -1, -1):
            if not mask[p] and (
                (p % n < n - 1 and mask[p + 1] and across[p]) or (p < n * n - n and mask[p + n] and down[p])
            ):
                mask[p] = found = True


@njit(cache=True, nogil=True)
def _surface(points, mask, patch, middle, sigma, depth_noise, design, normals, local, out):
    """Fit the masked points around the gaze; fill `local` and the curvature, colour and confidence of `out`.

    False where the points don't determine even a plane.
    """
    reach = points[middle, 2]
    solution = np.zeros(6)
    sure = 1.0
    found = _quadric(points, mask, reach, sigma, depth_noise, design, normals, solution, local, out)
    if not found:
        sigma *= 2.0
        found = _quadric(points, mask, reach, sigma, depth_noise, design, normals, solution, local, out)
    if not found:
        sure = 0.5
        _face_sensor(local, reach)
        found = _plane(points, mask, sigma, design, normals, solution, local)
    if found:
        residual = sigma * np.sqrt(max(normals[6, 6], 0.0)) / normals[0, 0]
        out[20] = sure * np.exp(-residual / RESIDUAL)
    else:
        _face_sensor(local, reach)
    _colour(points, mask, patch, local, sigma, out)
    return found


@njit(cache=True, nogil=True)
def _face_sensor(local, reach):
    local[:] = 0.0
    local[0, 2], local[1, 2], local[2, 0], local[3, 1] = reach, -1.0, 1.0, -1.0


@njit(cache=True, nogil=True)
def _quadric(points, mask, reach, sigma, depth_noise, design, normals, solution, local, out):
    """Fit a plane, then twice a quadric, each in the tangent frame that the last fit gave."""
    _face_sensor(local, reach)
    if not _plane(points, mask, sigma, design, normals, solution, local):
        return False
    for turn in range(2):
        if _moments(points, mask, local, sigma, 6, design, normals) < 6 or not _solve(normals, 6, solution):
            return False
        if depth_noise > 0.0:
            moved = local[0, 2] + sigma * _along_gaze(local, solution)
            local[0, 2] = min(max(moved, reach - 3.0 * depth_noise), reach + 3.0 * depth_noise)
        if turn == 1:
            _curvatures(solution, sigma, local, out)
        else:
            _tilt(solution, local)
    return True


@njit(cache=True, nogil=True)
def _plane(points, mask, sigma, design, normals, solution, local):
    if _moments(points, mask, local, sigma, 3, design, normals) < 3 or not _solve(normals, 3, solution):
        return False
    _tilt(solution, local)
    return True


@njit(cache=True, nogil=True)
def _moments(points, mask, local, sigma, size, design, normals):
    """Normal equations of the weighted fit with `size` unknowns, lengths in units of sigma.

    Returns how many points took part.
    """
    count = 0
    for p in range(mask.size):
        if not mask[p]:
            continue
        x, y, z = _in_frame(points, p, local, sigma)
        flat = x * x + y * y
        weight = 1.0 - (flat + z * z) / REACH
        if weight <= 0.0:
            continue
        row = design[count]
        count += 1
        weight = weight * weight
        weight = weight * weight
        s = weight * (flat + z * z) / flat if flat > 0.0 else weight
        row[0], row[1], row[2], row[6] = weight, weight * x, weight * y, weight * z
        row[3], row[4], row[5] = s * x * x, s * x * y, s * y * y
    for i in range(7):
        for j in range(i, 7):
            if (i < size or i == 6) and (j < size or j == 6):
                total = 0.0
                for p in range(count):
                    total += design[p, i] * design[p, j]
                normals[i, j] = total
    return count


@njit(cache=True, nogil=True)
def _in_frame(points, p, local, sigma):
    """Point p from the gaze point, along first direction, second direction and normal, in units of sigma."""
    ax = (points[p, 0] - local[0, 0]) / sigma
    ay = (points[p, 1] - local[0, 1]) / sigma
    az = (points[p, 2] - local[0, 2]) / sigma
    return (
        ax * local[2, 0] + ay * local[2, 1] + az * local[2, 2],
        ax * local[3, 0] + ay * local[3, 1] + az * local[3, 2],
        ax * local[1, 0] + ay * local[1, 1] + az * local[1, 2],
    )


@njit(cache=True, nogil=True)
def _solve(normals, size, solution):
    """Solve the first `size` normal equations by Cholesky's method; False where they are singular.

    Leaves the factor in place, and the weighted sum of squared residuals in normals[6, 6].
    """
    for i in range(size):
        floor = 1e-6 * normals[i, i]
        for k in range(i):
            normals[i, i] -= normals[k, i] * normals[k, i]
        if not normals[i, i] > max(floor, 1e-200):
            return False
        normals[i, i] = np.sqrt(normals[i, i])
        for j in range(i + 1, 7):
            for k in range(i):
                normals[i, j] -= normals[k, i] * normals[k, j]
            normals[i, j] /= normals[i, i]
        normals[6, 6] -= normals[i, 6] * normals[i, 6]
    solution[:] = 0.0
    for i in range(size - 1, -1, -1):
        rest = normals[i, 6]
        for j in range(i + 1, size):
            rest -= normals[i, j] * solution[j]
        solution[i] = rest / normals[i, i]
    return True


@njit(cache=True, nogil=True)
def _along_gaze(local, solution):
    """How far along the gaze (the sensor's z) the fitted surface lies, in units of sigma."""
    gx, gy, gz = local[2, 2], local[3, 2], local[1, 2]
    a, b, c, d, e, f = solution
    t = 0.0
    for _ in range(3):
        x, y = t * gx, t * gy
        miss = a + b * x + c * y + d * x * x + e * x * y + f * y * y - t * gz
        slope = (b + 2.0 * d * x + e * y) * gx + (c + e * x + 2.0 * f * y) * gy - gz
        if not slope > 0.05:
            return 0.0
        t -= miss / slope
    return t


@njit(cache=True, nogil=True)
def _tilt(solution, local):
    """Turn the tangent frame with the slope (b, c) of the fit, unless the normal would face away."""
    b, c = solution[1], solution[2]
    long, wide = np.sqrt(1.0 + b * b + c * c), np.sqrt(1.0 + b * b)
    if not (local[1, 2] - b * local[2, 2] - c * local[3, 2]) / long < -1e-3:
        return
    for i in range(3):
        first, second, normal = local[2, i], local[3, i], local[1, i]
        local[1, i] = (normal - b * first - c * second) / long
        local[2, i] = (first + b * normal) / wide
        local[3, i] = (c * normal - b * c * first + wide * wide * second) / (wide * long)


@njit(cache=True, nogil=True)
def _curvatures(solution, sigma, local, out):
    """Principal curvatures and directions of the fitted quadric at the gaze point."""
    _, b, c, d, e, f = solution
    w = np.sqrt(1.0 + b * b + c * c)
    ee, ff = 1.0 + b * b, b * c  # E and F of the first fundamental form
    ll, mm, nn = 2.0 * d / (sigma * w), e / (sigma * w), 2.0 * f / (sigma * w)  # L, M, N of the second
    s11 = -ll / ee
    s12 = (ff * ll - ee * mm) / (ee * w)
    s22 = -(ff * ff * ll - 2.0 * ff * ee * mm + ee * ee * nn) / (ee * w * w)
    _tilt(solution, local)
    mean, spread = 0.5 * (s11 + s22), np.hypot(0.5 * (s11 - s22), s12)
    out[12] = min(max(mean + spread, -MAX_CURVATURE), MAX_CURVATURE)
    out[13] = min(max(mean - spread, -MAX_CURVATURE), MAX_CURVATURE)
    angle = 0.5 * np.arctan2(2.0 * s12, s11 - s22)
    cosine, sine = np.cos(angle), np.sin(angle)
    for i in range(3):
        first, second = local[2, i], local[3, i]
        local[2, i] = cosine * first + sine * second
        local[3, i] = cosine * second - sine * first


@njit(cache=True, nogil=True)
def _colour(points, mask, patch, local, sigma, out):
    """Mean colour around the gaze point, weighted by a Gaussian of half of sigma."""
    total = 0.0
    colours = patch.reshape(mask.size, 6)
    for p in range(mask.size):
        if mask[p]:
            x, y, z = _in_frame(points, p, local, sigma)
            distance = x * x + y * y + z * z
            if distance < 3.0:
                weight = np.exp(-2.0 * distance)
                total += weight
                for i in range(3):
                    out[14 + i] += weight * colours[p, i]
    for i in range(3):
        out[14 + i] = min(max(out[14 + i] / total, 0.0), 1.0) if total > 0.0 else 0.0


@njit(cache=True, nogil=True)
def _to_world(local, position, rotation, located, out):
    for i in range(3):
        out[i] = position[i] if located else 0.0
        for k in range(3):
            if located:
                out[i] += rotation[i, k] * local[0, k]
            for row in range(1, 4):
                out[3 * row + i] += rotation[i, k] * local[row, k]


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
