"""The inner loops of the retina: packets of rays, where they meet their triangles, and the colours there.

Embree works in single precision: it only says which triangle a ray meets. Distance and colour are then
worked out from the triangle itself in double precision.

The rays of a packet are numbers in one row after the other, LANES apart in one array: distances that the
compiler knows, so that it works on several rays at once.
"""

import numpy as np
from numba import njit

from .embree import DIRECTION, FAR, FILLED, ORIGIN, TRIANGLE, meet

LANES = 16
ROWS = 33
START, COURSE, RADIUS, PLACE, ENTRY, LENGTH, U, V, TEXEL, FACE = (
    LANES * row for row in (0, 3, 6, 7, 10, 13, 14, 15, 16, 17)
)
"""Set by the caller: START and COURSE (3 rows each) of the ray, in the frame of its object; RADIUS of the
sphere around the object, negative where there is no ray; PLACE of the object in the scene. Answers, where
packet[TRIANGLE] >= 0: LENGTH of the ray in lengths of COURSE, weights U and V of corners 1 and 2, TEXEL."""

TABLE_GREY = 0.5
SHADES = (np.arange(256) / 255.0).astype(np.float32)


@njit(cache=True, nogil=True)
def cast(scene, query, packet, index, origins, directions, radius, place, faces, depth, triangles):
    """Any rays, each in the frame of its mesh; False where a mesh index is out of range."""
    rays, width = np.ones(ROWS * LANES), packet.shape[1]
    for first in range(0, index.size, width):
        lanes = min(width, index.size - first)
        for k in range(width):
            rays[RADIUS + k] = -1.0
        for k in range(lanes):
            m = index[first + k]
            if m < 0 or m >= radius.size:
                return False
            rays[RADIUS + k] = radius[m]
            for c in range(3):
                rays[START + c * LANES + k] = origins[first + k, c]
                rays[COURSE + c * LANES + k] = directions[first + k, c]
                rays[PLACE + c * LANES + k] = place[m, c]
        _trace(scene, query, packet, rays, faces)
        for k in range(lanes):
            triangles[first + k] = packet[TRIANGLE, k]
            depth[first + k] = rays[LENGTH + k] if packet[TRIANGLE, k] >= 0 else np.inf
    return True


@njit(cache=True, nogil=True)
def see(scene, query, packet, order, sensor_rays, table, meshes, surface, poses, images):
    """All rays of all patches, pixels in `order`; False where a mesh index is out of range."""
    index, object_position, object_rotation, sensor_position, sensor_rotation = poses
    radius, place, texture = meshes
    faces, colour, texels = surface
    depth, rgb, on_object = images
    turn, origin = np.empty((3, 3)), np.empty(3)
    rays, width = np.ones(ROWS * LANES), packet.shape[1]
    for b in range(index.size):
        m = index[b]
        if m < 0 or m >= radius.size:
            return False
        _view(object_position[b], object_rotation[b], sensor_position[b], sensor_rotation[b], turn, origin)
        for k in range(width):
            for c in range(3):
                rays[START + c * LANES + k], rays[PLACE + c * LANES + k] = origin[c], place[m, c]
        for first in range(0, order.size, width):
            lanes = min(width, order.size - first)
            _aim(rays, width, lanes, sensor_rays, first, turn, radius[m])
            _trace(scene, query, packet, rays, faces)
            _find_texels(rays, width, texture[m, 1], texture[m, 2])
            for k in range(lanes):
                p, triangle = order[first + k], packet[TRIANGLE, k]
                on_object[b, p] = triangle >= 0
                depth[b, p] = rays[LENGTH + k] if triangle >= 0 else 0.0
                texel = rays[TEXEL + k]
                if triangle < 0:
                    rgb[b, p, 0] = rgb[b, p, 1] = rgb[b, p, 2] = 0.0
                elif texel >= 0.0:
                    at = texture[m, 0] + int(texel)
                    for c in range(3):
                        rgb[b, p, c] = SHADES[texels[at, c]]
                else:
                    for c in range(3):
                        rgb[b, p, c] = colour[triangle, c]
        if table > -np.inf:
            above = sensor_position[b, 2] - table
            _lay_table(above, sensor_rotation[b, 2], order, sensor_rays, depth[b], rgb[b], on_object[b])
    return True


@njit(cache=True, nogil=True)
def _view(object_position, object_rotation, sensor_position, sensor_rotation, turn, origin):
    """Rotation and position of a sensor in the frame of its object."""
    for i in range(3):
        origin[i] = 0.0
        for k in range(3):
            origin[i] += object_rotation[k, i] * (sensor_position[k] - object_position[k])
        for j in range(3):
            turn[i, j] = 0.0
            for k in range(3):
                turn[i, j] += object_rotation[k, i] * sensor_rotation[k, j]


@njit(cache=True, nogil=True)
def _aim(rays, width, lanes, sensor_rays, first, turn, radius):
    for c in range(3):
        tx, ty, tz = turn[c, 0], turn[c, 1], turn[c, 2]
        for k in range(width):
            x, y, z = sensor_rays[0, first + k], sensor_rays[1, first + k], sensor_rays[2, first + k]
            rays[COURSE + c * LANES + k] = tx * x + ty * y + tz * z
    for k in range(width):
        rays[RADIUS + k] = radius if k < lanes else -1.0


@njit(cache=True, nogil=True)
def _trace(scene, query, packet, rays, faces):
    """Find the triangles that a packet of rays meets, and where."""
    single, width = packet.view(np.float32), packet.shape[1]
    _cut(rays, width)
    for c in range(3):
        for k in range(width):
            single[ORIGIN + c, k] = rays[ENTRY + c * LANES + k]
            course = rays[COURSE + c * LANES + k]
            # Embree loses whole packets to components between 0 and 1e-18, which turning a sensor leaves over
            single[DIRECTION + c, k] = course if abs(course) > 1e-15 else 0.0
    for k in range(width):
        single[FAR, k] = rays[LENGTH + k]
        packet[FILLED, k] = -1 if rays[LENGTH + k] > 0.0 else 0
    meet(scene, query, packet)
    for k in range(width):
        triangle = max(packet[TRIANGLE, k], 0)
        for c in range(faces.shape[1]):
            rays[FACE + c * LANES + k] = faces[triangle, c]
    _measure(rays, width)


@njit(cache=True, nogil=True, error_model="numpy")
def _cut(rays, width):
    """Cut the rays to the spheres around their objects, so that neighbours in the scene are never met."""
    for k in range(width):
        ox, oy, oz = rays[START + k], rays[START + LANES + k], rays[START + 2 * LANES + k]
        dx, dy, dz = rays[COURSE + k], rays[COURSE + LANES + k], rays[COURSE + 2 * LANES + k]
        radius = rays[RADIUS + k]
        a = dx * dx + dy * dy + dz * dz
        b = ox * dx + oy * dy + oz * dz
        inside = b * b - a * (ox * ox + oy * oy + oz * oz - radius * radius)
        root = np.sqrt(max(inside, 0.0))
        enter = max((-b - root) / a, 0.0)
        rays[LENGTH + k] = (root - b) / a - enter if inside > 0.0 and radius > 0.0 else -1.0
        rays[ENTRY + k] = ox + enter * dx + rays[PLACE + k]
        rays[ENTRY + LANES + k] = oy + enter * dy + rays[PLACE + LANES + k]
        rays[ENTRY + 2 * LANES + k] = oz + enter * dz + rays[PLACE + 2 * LANES + k]


@njit(cache=True, nogil=True, error_model="numpy")
def _measure(rays, width):
    """Where the rays meet their triangles (T. Moeller and B. Trumbore, 1997).

    The weights are kept within the triangle: single precision also lets in rays that just miss it.
    """
    for k in range(width):
        dx, dy, dz = rays[COURSE + k], rays[COURSE + LANES + k], rays[COURSE + 2 * LANES + k]
        ax, ay, az = rays[FACE + k], rays[FACE + LANES + k], rays[FACE + 2 * LANES + k]
        bx = rays[FACE + 3 * LANES + k] - ax
        by = rays[FACE + 4 * LANES + k] - ay
        bz = rays[FACE + 5 * LANES + k] - az
        cx = rays[FACE + 6 * LANES + k] - ax
        cy = rays[FACE + 7 * LANES + k] - ay
        cz = rays[FACE + 8 * LANES + k] - az
        px, py, pz = dy * cz - dz * cy, dz * cx - dx * cz, dx * cy - dy * cx
        sx, sy, sz = rays[START + k] - ax, rays[START + LANES + k] - ay, rays[START + 2 * LANES + k] - az
        qx, qy, qz = sy * bz - sz * by, sz * bx - sx * bz, sx * by - sy * bx
        area = bx * px + by * py + bz * pz
        inverse = 1.0 / area
        inverse = inverse if area != 0.0 else 0.0
        u = min(max((sx * px + sy * py + sz * pz) * inverse, 0.0), 1.0)
        v = min(max((dx * qx + dy * qy + dz * qz) * inverse, 0.0), 1.0 - u)
        hx, hy, hz = u * bx + v * cx - sx, u * by + v * cy - sy, u * bz + v * cz - sz
        rays[LENGTH + k] = (hx * dx + hy * dy + hz * dz) / (dx * dx + dy * dy + dz * dz)
        rays[U + k], rays[V + k] = u, v


@njit(cache=True, nogil=True, error_model="numpy")
def _find_texels(rays, width, high, wide):
    """The nearest texel, counted from the start of the texture; not a number where a face has none."""
    for k in range(width):
        u, v = rays[U + k], rays[V + k]
        w, at = 1.0 - u - v, FACE + 9 * LANES + k
        s = w * rays[at] + u * rays[at + 2 * LANES] + v * rays[at + 4 * LANES]
        t = w * rays[at + LANES] + u * rays[at + 3 * LANES] + v * rays[at + 5 * LANES]
        column = min(np.floor((s - np.floor(s)) * wide), wide - 1.0)
        row = high - 1.0 - min(np.floor((t - np.floor(t)) * high), high - 1.0)
        rays[TEXEL + k] = row * wide + column + 0.0 * (s + t) if high > 0 else np.nan


@njit(cache=True, nogil=True)
def _lay_table(above, down, order, sensor_rays, depth, rgb, on_object):
    """Put an endless grey table before what lies behind it."""
    for k in range(order.size):
        p = order[k]
        fall = 0.0
        for c in range(3):
            fall -= down[c] * sensor_rays[c, k]
        if above * fall > 0.0 and (not on_object[p] or above / fall < depth[p]):
            depth[p], on_object[p] = above / fall, False
            rgb[p, 0] = rgb[p, 1] = rgb[p, 2] = TABLE_GREY
