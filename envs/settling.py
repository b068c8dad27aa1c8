"""Noise of depth lies along the ray of its pixel: taken out sideways before a fit, and told from other surface.

A reading that is off by t along its ray is off in the tangent plane too, the more the more slanted the surface is.
Given a first fit, each point goes back along its ray onto that surface and then by t's share along its normal: what is
left for the next fit is the error along the ray alone, at a place that the noise does not move. Points further off than
noise and a quadric can explain belong to another surface, beyond an edge or a crease, and are left out.
"""

import numpy as np
from numba import njit

OUTLIER, UNEXPLAINED = 4.0, 0.002
"""Standard deviations of depth that noise, and metres that a quadric, may leave between a point and its surface."""


@njit(cache=True, nogil=True, error_model="numpy")
def settle(cloud, count, sigma, depth_noise, frame, solution):
    """The first `count` points of a cloud as above, (3, n) metres, and how many of them are left.

    frame, solution : the fitted quadric (`quadric`); its a, b and c count as 0

    A point whose ray passes the quadric stays as it is.
    """
    d, e, f = solution[3] / sigma, solution[4] / sigma, solution[5] / sigma
    cx, cy, cz = frame[0]
    nx, ny, nz = frame[1]
    ux, uy, uz = frame[2]
    vx, vy, vz = frame[3]
    settled, kept, limit = np.empty((3, count)), 0, np.hypot(OUTLIER * depth_noise, UNEXPLAINED)
    for p in range(count):
        px, py, pz = cloud[0, p], cloud[1, p], cloud[2, p]
        long = 1.0 / np.sqrt(px * px + py * py + pz * pz)
        gx, gy, gz = ux * px + uy * py + uz * pz, vx * px + vy * py + vz * pz, nx * px + ny * py + nz * pz
        gx, gy, gz = gx * long, gy * long, gz * long
        ax, ay, az = px - cx, py - cy, pz - cz
        x, y, z = ux * ax + uy * ay + uz * az, vx * ax + vy * ay + vz * az, nx * ax + ny * ay + nz * az
        miss, slope, sx, sy = 0.0, gz, 0.0, 0.0
        for _ in range(2):
            u, v, w = x - miss * gx, y - miss * gy, z - miss * gz
            sx, sy = 2.0 * d * u + e * v, e * u + 2.0 * f * v
            slope = gz - sx * gx - sy * gy
            s = 1.0 + w * w / max(u * u + v * v, 1e-30)
            miss += (w - 0.5 * s * (sx * u + sy * v)) / slope
        meets = slope < -0.1
        if meets and abs(miss) > limit:
            continue
        rise = slope / (1.0 + sx * sx + sy * sy)
        rise = miss * rise if meets else 0.0
        miss = miss if meets else 0.0
        x, y, z = -rise * sx - miss * gx, -rise * sy - miss * gy, rise - miss * gz
        settled[0, kept] = px + x * ux + y * vx + z * nx
        settled[1, kept] = py + x * uy + y * vy + z * ny
        settled[2, kept] = pz + x * uz + y * vz + z * nz
        kept += 1
    return settled, kept
