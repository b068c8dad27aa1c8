"""The least-squares quadric through a cloud of points around one of them, and its curvatures.

In the tangent frame of the centre, z along the normal, the surface is fitted as

    z = a + b x + c y + s (d x^2 + e x y + f y^2),   s = (x^2 + y^2 + z^2) / (x^2 + y^2),

by least squares with the weights (1 - r^2 / (16 sigma^2))^8 of the distance r in space: nearly the
Gaussian exp(-r^2 / (2 sigma^2)), but they end. The factor s makes a ball an exact solution: without it
the curvature of a ball of radius R is off by about 3 (sigma / R)^2. Normal and principal curvatures
follow from the fundamental forms (M. do Carmo, Differential Geometry of Curves and Surfaces, section 3-3).

A `frame` is (4, 3) float64: centre, normal, first and second direction, in the frame of the points, in
which +z is the gaze. A `cloud` is (3, n) float64, the points' x, y and z in metres.
"""

import numpy as np
from numba import njit

from .settling import settle

MAX_CURVATURE = 1000.0
"""Curvatures are clipped to this, 1/m: no patch resolves a radius below 1 mm."""
REACH = 16.0
"""Squared distance, in units of sigma, at which the weights of the fit end; half of it is their exponent."""
BLOCK = 64
"""Points taken at a time: a fixed number, so that the compiler can work on several at once."""


@njit(cache=True, nogil=True)
def fit_surface(cloud, count, sigma, depth_noise, frame, curvature):
    """Fit the first `count` points of a cloud around its first one, the gaze; fill `frame` and `curvature`.

    Falls back on twice the sigma, then on a plane. Returns the rms residual in metres, the sigma used, and
    how many unknowns were found: 6, 3 for a plane, 0 (and NaN metres) for too few points even for that.
    """
    reach = cloud[2, 0]
    solution, normals, rows = np.zeros(6), np.empty((7, 7)), np.empty(7 * BLOCK)
    unknowns = 6
    found = _quadric(cloud, count, reach, sigma, depth_noise, rows, normals, solution, frame, curvature)
    if not found:
        sigma *= 2.0
        found = _quadric(cloud, count, reach, sigma, depth_noise, rows, normals, solution, frame, curvature)
    if not found:
        unknowns = 3
        face_sensor(frame, reach)
        found = _plane(cloud, count, sigma, rows, normals, solution, frame)
    if not found:
        face_sensor(frame, reach)
        return np.nan, sigma, 0
    return sigma * np.sqrt(max(normals[6, 6], 0.0)) / normals[0, 0], sigma, unknowns


@njit(cache=True, nogil=True)
def face_sensor(frame, reach):
    """The frame of a point on the gaze whose normal is unknown: it looks back."""
    frame[:] = 0.0
    frame[0, 2], frame[1, 2], frame[2, 0], frame[3, 1] = reach, -1.0, 1.0, -1.0


@njit(cache=True, nogil=True)
def _quadric(cloud, count, reach, sigma, depth_noise, rows, normals, solution, frame, curvature):
    """Fit a plane, then twice a quadric, each in the tangent frame that the last fit gave, the last without outliers
    where depth is noisy."""
    face_sensor(frame, reach)
    if not _plane(cloud, count, sigma, rows, normals, solution, frame):
        return False
    for turn in range(2):
        if turn == 1 and depth_noise > 0.0:
            cloud, count = settle(cloud, count, sigma, depth_noise, frame, solution)
        if _moments(cloud, count, frame, sigma, 6, rows, normals) < 6 or not _solve(normals, 6, solution):
            return False
        if depth_noise > 0.0:
            moved = frame[0, 2] + sigma * _along_gaze(frame, solution)
            frame[0, 2] = min(max(moved, reach - 3.0 * depth_noise), reach + 3.0 * depth_noise)
        if turn == 1:
            _curvatures(solution, sigma, frame, curvature)
        else:
            _tilt(solution, frame)
    return True


@njit(cache=True, nogil=True)
def _plane(cloud, count, sigma, rows, normals, solution, frame):
    if _moments(cloud, count, frame, sigma, 3, rows, normals) < 3 or not _solve(normals, 3, solution):
        return False
    _tilt(solution, frame)
    return True


@njit(cache=True, nogil=True, error_model="numpy", fastmath={"reassoc", "contract"})
def _moments(cloud, count, frame, sigma, size, rows, normals):
    """Normal equations of the weighted fit with `size` unknowns, lengths in units of sigma.

    rows : weighted 1, x, y, s x x, s x y, s y y and z of BLOCK points, one after the other

    Returns how many points took part.
    """
    scale = 1.0 / sigma
    cx, cy, cz = frame[0]
    nx, ny, nz = frame[1]
    ux, uy, uz = frame[2]
    vx, vy, vz = frame[3]
    normals[:] = 0.0
    took_part = 0
    for first in range(0, count, BLOCK):
        size_of_block = min(BLOCK, count - first)
        for k in range(size_of_block):
            p = first + k
            ax, ay, az = scale * (cloud[0, p] - cx), scale * (cloud[1, p] - cy), scale * (cloud[2, p] - cz)
            x, y, z = ux * ax + uy * ay + uz * az, vx * ax + vy * ay + vz * az, nx * ax + ny * ay + nz * az
            flat = x * x + y * y
            weight = max(1.0 - (flat + z * z) / REACH, 0.0)
            took_part += weight > 0.0
            weight = weight * weight
            weight = weight * weight
            s = weight * (1.0 + z * z / max(flat, 1e-30))
            rows[k], rows[k + BLOCK], rows[k + 2 * BLOCK] = weight, weight * x, weight * y
            rows[k + 3 * BLOCK], rows[k + 4 * BLOCK] = s * x * x, s * x * y
            rows[k + 5 * BLOCK], rows[k + 6 * BLOCK] = s * y * y, weight * z
        for i in range(7):
            for j in range(i, 7):
                if (i < size or i == 6) and (j < size or j == 6):
                    total = 0.0
                    for k in range(size_of_block):
                        total += rows[k + i * BLOCK] * rows[k + j * BLOCK]
                    normals[i, j] += total
    return took_part


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
def _along_gaze(frame, solution):
    """How far along the gaze (the sensor's z) the fitted surface lies, in units of sigma."""
    gx, gy, gz = frame[2, 2], frame[3, 2], frame[1, 2]
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
def _tilt(solution, frame):
    """Turn the tangent frame with the slope (b, c) of the fit, unless the normal would face away."""
    b, c = solution[1], solution[2]
    long, wide = np.sqrt(1.0 + b * b + c * c), np.sqrt(1.0 + b * b)
    if not (frame[1, 2] - b * frame[2, 2] - c * frame[3, 2]) / long < -1e-3:
        return
    for i in range(3):
        first, second, normal = frame[2, i], frame[3, i], frame[1, i]
        frame[1, i] = (normal - b * first - c * second) / long
        frame[2, i] = (first + b * normal) / wide
        frame[3, i] = (c * normal - b * c * first + wide * wide * second) / (wide * long)


@njit(cache=True, nogil=True)
def _curvatures(solution, sigma, frame, curvature):
    """Principal curvatures and directions of the fitted quadric at the gaze point."""
    _, b, c, d, e, f = solution
    w = np.sqrt(1.0 + b * b + c * c)
    ee, ff = 1.0 + b * b, b * c  # E and F of the first fundamental form
    ll, mm, nn = 2.0 * d / (sigma * w), e / (sigma * w), 2.0 * f / (sigma * w)  # L, M, N of the second
    s11 = -ll / ee
    s12 = (ff * ll - ee * mm) / (ee * w)
    s22 = -(ff * ff * ll - 2.0 * ff * ee * mm + ee * ee * nn) / (ee * w * w)
    _tilt(solution, frame)
    mean, spread = 0.5 * (s11 + s22), np.hypot(0.5 * (s11 - s22), s12)
    curvature[0] = min(max(mean + spread, -MAX_CURVATURE), MAX_CURVATURE)
    curvature[1] = min(max(mean - spread, -MAX_CURVATURE), MAX_CURVATURE)
    angle = 0.5 * np.arctan2(2.0 * s12, s11 - s22)
    cosine, sine = np.cos(angle), np.sin(angle)
    for i in range(3):
        first, second = frame[2, i], frame[3, i]
        frame[2, i] = cosine * first + sine * second
        frame[3, i] = cosine * second - sine * first
