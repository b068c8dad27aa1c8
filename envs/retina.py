"""Rays cast on the meshes at the poses they have in the world: what patches of an eye see.

Embree finds the triangle a ray meets. It works in single precision and has no instances, so all meshes
stand still in one scene, each at its own point of a lattice; rays are brought into the frame of their
object and cut to the sphere around it, so that neighbours are never met. Distance and colour are then
worked out from the triangle itself in double precision.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numba import njit

from .objects import Mesh
from .record import Images, ray_directions

TABLE_GREY = 0.5
CHUNK = 8192
"""Rays cast at a time."""


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
        self._scene = _scene(np.concatenate([c + p for c, p in zip(corners, self._place, strict=True)]))

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
        step = max(1, CHUNK // n**2)
        for start in range(0, count, step):
            self._sense(index, *poses, height, images, slice(start, start + step))
        return images

    def _sense(self, index, op, orot, sp, srot, height: float, images: Images, part: slice) -> None:
        """Some of the patches, few enough for their rays to stay in the processor's cache."""
        poses = (index[part], op[part], orot[part], sp[part], srot[part])
        rays = len(poses[0]) * self.pixels**2
        origins, directions = np.empty((rays, 3), np.float32), np.empty((rays, 3), np.float32)
        reach = np.empty(rays, np.float32)
        if not _aim(*poses, self._rays, self._radius, self._place, origins, directions, reach):
            raise IndexError(f"mesh_index must lie in 0 ... {len(self._radius) - 1}")
        triangles = self._meet(origins, directions, reach)
        surface = (self._corners, self._uv, self._colour, self._texels, self._texture)
        seen = (images.depth[part], images.rgb[part], images.on_object[part])
        _shade(*poses, self._rays, triangles, *surface, height, *seen)

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
        if not len(index):
            return np.empty(0), np.empty(0, np.int64)
        starts = np.empty((len(index), 3), np.float32)
        courses = np.empty((len(index), 3), np.float32)
        reach = np.empty(len(index), np.float32)
        if not _cut(index, origins, directions, self._radius, self._place, starts, courses, reach):
            raise IndexError(f"mesh_index must lie in 0 ... {len(self._radius) - 1}")
        triangles = self._meet(starts, courses, reach).astype(np.int64)
        depth = np.empty(len(index))
        _measure(origins, directions, triangles, self._corners, depth)
        return depth, np.where(triangles >= 0, triangles - self._first[index], -1)

    def _meet(self, origins: np.ndarray, directions: np.ndarray, reach: np.ndarray) -> np.ndarray:
        return self._scene.run(origins, directions, dists=reach, query="INTERSECT")


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


def _scene(corners: np.ndarray) -> Any:
    try:
        from embreex.mesh_construction import TriangleMesh
        from embreex.rtcore_scene import EmbreeScene
    except ImportError as error:
        raise ImportError("ray casting needs Embree: pip install embreex (x86-64 machines)") from error
    scene = EmbreeScene(robust=True)
    faces = np.arange(3 * len(corners), dtype=np.int32).reshape(-1, 3)
    TriangleMesh(scene, np.ascontiguousarray(corners.reshape(-1, 3), np.float32), faces)
    return scene


@njit(cache=True, nogil=True)
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


@njit(cache=True, nogil=True)
def _cut(index, origins, directions, radius, place, starts, courses, reach):
    for k in range(index.size):
        m = index[k]
        if m < 0 or m >= radius.size:
            return False
        ox, oy, oz = origins[k]
        dx, dy, dz = directions[k]
        enter, length = _sphere(ox, oy, oz, dx, dy, dz, radius[m])
        starts[k, 0] = ox + enter * dx + place[m, 0]
        starts[k, 1] = oy + enter * dy + place[m, 1]
        starts[k, 2] = oz + enter * dz + place[m, 2]
        courses[k, 0], courses[k, 1], courses[k, 2] = dx, dy, dz
        reach[k] = length
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
def _turned(turn, rays, p):
    x, y, z = rays[p, 0], rays[p, 1], rays[p, 2]
    return (
        turn[0, 0] * x + turn[0, 1] * y + turn[0, 2] * z,
        turn[1, 0] * x + turn[1, 1] * y + turn[1, 2] * z,
        turn[2, 0] * x + turn[2, 1] * y + turn[2, 2] * z,
    )


@njit(cache=True, nogil=True)
def _aim(index, op, orot, sp, srot, rays, radius, place, starts, courses, reach):
    turn, origin = np.empty((3, 3)), np.empty(3)
    k = 0
    for patch in range(index.size):
        m = index[patch]
        if m < 0 or m >= radius.size:
            return False
        _view(op[patch], orot[patch], sp[patch], srot[patch], turn, origin)
        ox, oy, oz = origin
        for p in range(rays.shape[0]):
            dx, dy, dz = _turned(turn, rays, p)
            enter, length = _sphere(ox, oy, oz, dx, dy, dz, radius[m])
            starts[k, 0] = ox + enter * dx + place[m, 0]
            starts[k, 1] = oy + enter * dy + place[m, 1]
            starts[k, 2] = oz + enter * dz + place[m, 2]
            courses[k, 0], courses[k, 1], courses[k, 2] = dx, dy, dz
            reach[k] = length
            k += 1
    return True


@njit(cache=True, nogil=True)
def _on_triangle(corner, ox, oy, oz, dx, dy, dz):
    """Distance along a ray to the triangle it meets, and the weights of its corners 1 and 2.

    The weights are kept within the triangle: single precision also lets in rays that just miss it.
    """
    ax, ay, az = np.float64(corner[0, 0]), np.float64(corner[0, 1]), np.float64(corner[0, 2])
    bx, by, bz = corner[1, 0] - ax, corner[1, 1] - ay, corner[1, 2] - az
    cx, cy, cz = corner[2, 0] - ax, corner[2, 1] - ay, corner[2, 2] - az
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


@njit(cache=True, nogil=True)
def _measure(origins, directions, triangles, corners, depth):
    for k in range(triangles.size):
        depth[k] = np.inf
        if triangles[k] >= 0:
            ox, oy, oz = origins[k]
            dx, dy, dz = directions[k]
            depth[k], _, _ = _on_triangle(corners[triangles[k]], ox, oy, oz, dx, dy, dz)


@njit(cache=True, nogil=True)
def _paint(triangle, u, v, uv, colour, texels, texture, rgb):
    """Colour of a point of a triangle: the nearest texel, or the colour of the face."""
    s = (1.0 - u - v) * uv[triangle, 0, 0] + u * uv[triangle, 1, 0] + v * uv[triangle, 2, 0]
    t = (1.0 - u - v) * uv[triangle, 0, 1] + u * uv[triangle, 1, 1] + v * uv[triangle, 2, 1]
    start, height, width = texture[0], texture[1], texture[2]
    if height == 0 or not (np.isfinite(s) and np.isfinite(t)):
        for c in range(3):
            rgb[c] = colour[triangle, c]
        return
    column = min(int((s - np.floor(s)) * width), width - 1)
    row = height - 1 - min(int((t - np.floor(t)) * height), height - 1)
    texel = start + row * width + column
    for c in range(3):
        rgb[c] = texels[texel, c] / 255.0


@njit(cache=True, nogil=True)
def _shade(
    index,
    op,
    orot,
    sp,
    srot,
    rays,
    triangles,
    corners,
    uv,
    colour,
    texels,
    texture,
    height,
    depth,
    rgb,
    on_object,
):
    turn, origin = np.empty((3, 3)), np.empty(3)
    n = depth.shape[1]
    for patch in range(index.size):
        _view(op[patch], orot[patch], sp[patch], srot[patch], turn, origin)
        ox, oy, oz = origin
        above = sp[patch, 2] - height
        down = srot[patch, 2]
        for p in range(rays.shape[0]):
            i, j = p // n, p % n
            triangle = triangles[patch * n * n + p]
            nearest, u, v = np.inf, 0.0, 0.0
            if triangle >= 0:
                dx, dy, dz = _turned(turn, rays, p)
                nearest, u, v = _on_triangle(corners[triangle], ox, oy, oz, dx, dy, dz)
            fall = -(down[0] * rays[p, 0] + down[1] * rays[p, 1] + down[2] * rays[p, 2])
            table = above / fall if above * fall > 0.0 else np.inf
            if table < nearest:
                depth[patch, i, j] = table
                rgb[patch, i, j] = TABLE_GREY
                on_object[patch, i, j] = False
            elif nearest < np.inf:
                depth[patch, i, j] = nearest
                on_object[patch, i, j] = True
                _paint(triangle, u, v, uv, colour, texels, texture[index[patch]], rgb[patch, i, j])
            else:
                depth[patch, i, j] = 0.0
                rgb[patch, i, j] = 0.0
                on_object[patch, i, j] = False
