"""Rays cast on the meshes at the poses they have in the world: what patches of an eye see.

Embree finds the triangle a ray meets. It works in single precision and has no instances, so all meshes
stand still in one scene, each at its own point of a lattice; rays are brought into the frame of their
object and cut to the sphere around it, so that neighbours are never met. Distance and colour are then
worked out from the triangle itself in double precision.
"""

from collections.abc import Sequence

import numpy as np
from numba import njit

from .embree import DIRECTION, FAR, FILLED, ORIGIN, TRIANGLE, Triangles, meet, query
from .objects import Mesh
from .record import Images, ray_directions

TABLE_GREY = 0.5


class Retina:
    """Patches of pixels x pixels rays over a set of meshes.

    meshes : the objects that can be met; `mesh_index` below counts them
    pixels : rays along each edge of a patch
    field_of_view : width of a patch in radians

    Raises ImportError where embreex is missing, ValueError for settings out of range.
    """

    def __init__(self, meshes: Sequence[Mesh], pixels: int, field_of_view: float):
        if pixels < 1 or not 0.0 < field_of_view < np.pi:
            raise ValueError(f"need pixels >= 1 and 0 < field_of_view < pi, got {pixels} and {field_of_view}")
        if not meshes:
            raise ValueError("a retina needs at least one mesh")
        self.pixels = pixels
        self.field_of_view = field_of_view
        self._rays = ray_directions(pixels, field_of_view).reshape(-1, 3)
        corners = [mesh.vertices[mesh.faces] for mesh in meshes]
        self._first = np.cumsum([0] + [len(mesh.faces) for mesh in meshes]).astype(np.int64)
        self._radius = np.array([1.001 * np.linalg.norm(c, axis=-1).max() + 1e-6 for c in corners])
        self._place = _lattice(len(meshes), max(1.0, 2.2 * self._radius.max()))
        self._corners = np.concatenate(corners).astype(np.float32)
        self._uv = np.concatenate([mesh.face_uv for mesh in meshes])
        self._colour = np.concatenate([mesh.face_colour for mesh in meshes])
        self._texels, self._texture = _flat_textures(meshes)
        self._scene = Triangles(np.concatenate([c + p for c, p in zip(corners, self._place, strict=True)]))
        self._order, self._near, self._apart = _order(pixels), query(coherent=True), query(coherent=False)

    def sense_images(
        self,
        mesh_index: np.ndarray,
        object_position: np.ndarray,
        object_rotation: np.ndarray,
        sensor_position: np.ndarray,
        sensor_rotation: np.ndarray,
        table_height: float | None = None,
    ) -> Images:
        """What b patches see, each of one object.

        mesh_index : (b,) int, which mesh the patch looks at
        object_position, object_rotation : (b, 3) metres, (b, 3, 3) world_from_object
        sensor_position, sensor_rotation : (b, 3) metres, (b, 3, 3) world_from_sensor
        table_height : z of an endless table in the world, which hides what lies behind it; None: no table

        Raises IndexError for a mesh index out of range, ValueError where shapes don't agree.
        """
        index = np.ascontiguousarray(mesh_index, np.int64)
        poses = (
            _as(object_position, index, (3,)),
            _as(object_rotation, index, (3, 3)),
            _as(sensor_position, index, (3,)),
            _as(sensor_rotation, index, (3, 3)),
        )
        count, n = len(index), self.pixels
        images = Images(
            np.empty((count, n, n), np.float32),
            np.empty((count, n, n, 3), np.float32),
            np.empty((count, n, n), np.bool_),
        )
        height = -np.inf if table_height is None else float(table_height)
        surface = (self._corners, self._uv, self._colour, self._texels, self._texture)
        if not _see(
            *(self._scene.handle, self._near, self._scene.packet(), self._order, self._rays),
            *((self._radius, self._place), surface, height, (index, *poses)),
            (images.depth, images.rgb, images.on_object),
        ):
            raise IndexError(f"mesh_index must lie in 0 ... {len(self._radius) - 1}")
        return images

    def cast(
        self, mesh_index: np.ndarray, origins: np.ndarray, directions: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Rays in the frames of their objects.

        mesh_index : (m,) int; origins : (m, 3) metres; directions : (m, 3) of any length

        Returns depth : (m,) float64, in lengths of `directions`, inf where nothing is met; and
        triangle : (m,) int64, the face of the mesh that is met, -1 where none is.
        Raises IndexError for a mesh index out of range.
        """
        index = np.ascontiguousarray(mesh_index, np.int64)
        origins, directions = _as(origins, index, (3,)), _as(directions, index, (3,))
        depth, triangle = np.empty(len(index)), np.empty(len(index), np.int64)
        if not _cast(
            *(self._scene.handle, self._apart, self._scene.packet(), index, origins, directions),
            *(self._radius, self._place, self._corners, depth, triangle),
        ):
            raise IndexError(f"mesh_index must lie in 0 ... {len(self._radius) - 1}")
        return depth, np.where(triangle >= 0, triangle - self._first[index], -1)


def _as(array: np.ndarray, index: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    array = np.ascontiguousarray(array, np.float64)
    if index.ndim != 1 or array.shape != (len(index), *shape):
        raise ValueError(f"expected ({len(index)}, {', '.join(map(str, shape))}), got {array.shape}")
    return array


def _lattice(count: int, pitch: float) -> np.ndarray:
    """(count, 3) points of a cubic lattice around the origin, where single precision is finest."""
    side = int(np.ceil(round(count ** (1 / 3), 9)))
    points = np.stack(np.unravel_index(np.arange(count), (side, side, side)), axis=-1)
    return pitch * (points - side // 2).astype(np.float64)


def _flat_textures(meshes: Sequence[Mesh]) -> tuple[np.ndarray, np.ndarray]:
    """All texels in one row, and (start, height, width) of each mesh; height 0 without a texture."""
    images = [np.zeros((0, 0, 3), np.uint8) if m.texture is None else m.texture for m in meshes]
    starts = np.cumsum([0] + [image.shape[0] * image.shape[1] for image in images[:-1]])
    shapes = [(start, *image.shape[:2]) for start, image in zip(starts, images, strict=True)]
    return np.concatenate([image.reshape(-1, 3) for image in images]), np.array(shapes, np.int64)


def _order(pixels: int) -> np.ndarray:
    """The pixels of a patch so that those close in the row are close in the patch (Morton's curve)."""
    row, column = np.divmod(np.arange(pixels**2), pixels)
    key = sum(((row >> bit & 1) << 2 * bit + 1) + ((column >> bit & 1) << 2 * bit) for bit in range(16))
    return np.argsort(key)


@njit(cache=True, nogil=True, error_model="numpy")
def _sphere(ox, oy, oz, dx, dy, dz, radius):
    """Where a ray enters a sphere around the origin, and how far it stays inside (-1 where it misses)."""
    a = dx * dx + dy * dy + dz * dz
    b = ox * dx + oy * dy + oz * dz
    c = ox * ox + oy * oy + oz * oz - radius * radius
    inside = b * b - a * c
    if not inside > 0.0:
        return 0.0, -1.0
    root = np.sqrt(inside)
    enter = max((-b - root) / a, 0.0)
    return enter, (-b + root) / a - enter


@njit(cache=True, nogil=True, error_model="numpy")
def _start(packet, rays, lane, ox, oy, oz, dx, dy, dz, radius, wx, wy, wz):
    """Put a ray into a lane of a packet, cut to the sphere around its object."""
    enter, length = _sphere(ox, oy, oz, dx, dy, dz, radius)
    rays[ORIGIN, lane] = ox + enter * dx + wx
    rays[ORIGIN + 1, lane] = oy + enter * dy + wy
    rays[ORIGIN + 2, lane] = oz + enter * dz + wz
    rays[DIRECTION, lane], rays[DIRECTION + 1, lane], rays[DIRECTION + 2, lane] = dx, dy, dz
    rays[FAR, lane] = length
    packet[FILLED, lane] = -1 if length > 0.0 else 0


@njit(cache=True, nogil=True, error_model="numpy")
def _cast(scene, query, packet, index, origins, directions, radius, place, corners, depth, triangles):
    rays, width = packet.view(np.float32), packet.shape[1]
    for first in range(0, index.size, width):
        packet[FILLED] = 0
        last = min(first + width, index.size)
        for k in range(first, last):
            m = index[k]
            if m < 0 or m >= radius.size:
                return False
            ox, oy, oz = origins[k]
            dx, dy, dz = directions[k]
            _start(packet, rays, k - first, ox, oy, oz, dx, dy, dz, radius[m], place[m, 0], place[m, 1], place[m, 2])
        meet(scene, query, packet)
        for k in range(first, last):
            triangle = packet[TRIANGLE, k - first]
            triangles[k], depth[k] = triangle, np.inf
            if triangle >= 0:
                ox, oy, oz = origins[k]
                dx, dy, dz = directions[k]
                depth[k], _, _ = _on_triangle(corners, triangle, ox, oy, oz, dx, dy, dz)
    return True


@njit(cache=True, nogil=True, error_model="numpy")
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


@njit(cache=True, nogil=True, error_model="numpy")
def _on_triangle(corner, t, ox, oy, oz, dx, dy, dz):
    """Distance along a ray to the triangle it meets, and the weights of its corners 1 and 2.

    The weights are kept within the triangle: single precision also lets in rays that just miss it.
    """
    ax, ay, az = np.float64(corner[t, 0, 0]), np.float64(corner[t, 0, 1]), np.float64(corner[t, 0, 2])
    bx, by, bz = corner[t, 1, 0] - ax, corner[t, 1, 1] - ay, corner[t, 1, 2] - az
    cx, cy, cz = corner[t, 2, 0] - ax, corner[t, 2, 1] - ay, corner[t, 2, 2] - az
    px, py, pz = dy * cz - dz * cy, dz * cx - dx * cz, dx * cy - dy * cx
    sx, sy, sz = ox - ax, oy - ay, oz - az
    qx, qy, qz = sy * bz - sz * by, sz * bx - sx * bz, sx * by - sy * bx
    area = bx * px + by * py + bz * pz
    u = v = 0.0
    if area != 0.0:
        u = min(max((sx * px + sy * py + sz * pz) / area, 0.0), 1.0)
        v = min(max((dx * qx + dy * qy + dz * qz) / area, 0.0), 1.0 - u)
    hx, hy, hz = u * bx + v * cx - sx, u * by + v * cy - sy, u * bz + v * cz - sz
    return (hx * dx + hy * dy + hz * dz) / (dx * dx + dy * dy + dz * dz), u, v


@njit(cache=True, nogil=True, error_model="numpy")
def _paint(triangle, u, v, uv, colour, texels, start, height, width, rgb, patch, i, j):
    """Colour of a point of a triangle: the nearest texel, or the colour of the face."""
    s = (1.0 - u - v) * uv[triangle, 0, 0] + u * uv[triangle, 1, 0] + v * uv[triangle, 2, 0]
    t = (1.0 - u - v) * uv[triangle, 0, 1] + u * uv[triangle, 1, 1] + v * uv[triangle, 2, 1]
    if height == 0 or not (np.isfinite(s) and np.isfinite(t)):
        for c in range(3):
            rgb[patch, i, j, c] = colour[triangle, c]
        return
    column = min(int((s - np.floor(s)) * width), width - 1)
    row = height - 1 - min(int((t - np.floor(t)) * height), height - 1)
    texel = start + row * width + column
    for c in range(3):
        rgb[patch, i, j, c] = texels[texel, c] / 255.0


@njit(cache=True, nogil=True, error_model="numpy")
def _see(scene, query, packet, order, rays, objects, surface, height, poses, images):
    index, op, orot, sp, srot = poses
    radius, place = objects
    corners, uv, colour, texels, texture = surface
    depth, rgb, on_object = images
    floats, width, n = packet.view(np.float32), packet.shape[1], depth.shape[1]
    turn, origin, course = np.empty((3, 3)), np.empty(3), np.empty((3, width))
    for patch in range(index.size):
        m = index[patch]
        if m < 0 or m >= radius.size:
            return False
        _view(op[patch], orot[patch], sp[patch], srot[patch], turn, origin)
        ox, oy, oz = origin
        above = sp[patch, 2] - height
        down = srot[patch, 2]
        start, high, wide = texture[m]
        wx, wy, wz, far = place[m, 0], place[m, 1], place[m, 2], radius[m]
        for first in range(0, order.size, width):
            lanes = min(width, order.size - first)
            packet[FILLED] = 0
            for lane in range(lanes):
                p = order[first + lane]
                x, y, z = rays[p, 0], rays[p, 1], rays[p, 2]
                dx = turn[0, 0] * x + turn[0, 1] * y + turn[0, 2] * z
                dy = turn[1, 0] * x + turn[1, 1] * y + turn[1, 2] * z
                dz = turn[2, 0] * x + turn[2, 1] * y + turn[2, 2] * z
                course[0, lane], course[1, lane], course[2, lane] = dx, dy, dz
                _start(packet, floats, lane, ox, oy, oz, dx, dy, dz, far, wx, wy, wz)
            meet(scene, query, packet)
            for lane in range(lanes):
                p = order[first + lane]
                i, j = p // n, p % n
                triangle = packet[TRIANGLE, lane]
                nearest, u, v = np.inf, 0.0, 0.0
                if triangle >= 0:
                    dx, dy, dz = course[0, lane], course[1, lane], course[2, lane]
                    nearest, u, v = _on_triangle(corners, triangle, ox, oy, oz, dx, dy, dz)
                fall = -(down[0] * rays[p, 0] + down[1] * rays[p, 1] + down[2] * rays[p, 2])
                table = above / fall if above * fall > 0.0 else np.inf
                on_object[patch, i, j] = nearest < np.inf and nearest <= table
                if on_object[patch, i, j]:
                    depth[patch, i, j] = nearest
                    _paint(triangle, u, v, uv, colour, texels, start, high, wide, rgb, patch, i, j)
                else:
                    met = table < np.inf
                    depth[patch, i, j] = table if met else 0.0
                    for c in range(3):
                        rgb[patch, i, j, c] = TABLE_GREY if met else 0.0
    return True
