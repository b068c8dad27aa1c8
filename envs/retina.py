"""Rays cast on the same meshes at the poses they have in the world: what patches of an eye see.

Embree has no cheap instances, so all meshes stand still in one scene, each at its own point of a lattice;
rays are brought into the frame of their object and cut to the sphere around it, so that neighbours are
never met. `tracing` does the work, a patch at a time, in packets of neighbouring pixels.
"""

from collections.abc import Sequence
from copy import copy

import numpy as np

from .embree import Triangles, query
from .objects import Mesh
from .record import Images, ray_directions
from .tracing import LANES, cast, see


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
        self._order = _curve(pixels)
        self._rays = self._packed_rays()
        corners = [mesh.vertices[mesh.faces] for mesh in meshes]
        radius = np.array([1.001 * np.linalg.norm(c, axis=-1).max() + 1e-6 for c in corners])
        place = _lattice(len(meshes), max(1.0, 2.2 * radius.max()))
        texels, texture = _flat_textures(meshes)
        uv = np.concatenate([mesh.face_uv for mesh in meshes])
        rows = (np.concatenate(corners).reshape(-1, 9), uv.reshape(-1, 6), np.zeros((len(uv), 1)))
        self._faces = np.concatenate(rows, axis=1, dtype=np.float32)  # 64 bytes a face: one line of the cache
        self._colour = np.concatenate([mesh.face_colour for mesh in meshes])
        self._meshes, self._surface = (radius, place, texture), (self._faces, self._colour, texels)
        self._first = np.cumsum([0] + [len(mesh.faces) for mesh in meshes]).astype(np.int64)
        self._scene = Triangles(np.concatenate([c + p for c, p in zip(corners, place, strict=True)]))
        self._near, self._apart = query(coherent=True), query(coherent=False)

    def as_wide(self, field_of_view: float) -> "Retina":
        """The same meshes seen by patches of another width, radians; nothing is built anew but the rays."""
        if field_of_view == self.field_of_view:
            return self
        other = copy(self)
        other.field_of_view = field_of_view
        other._rays = other._packed_rays()
        return other

    def _packed_rays(self) -> np.ndarray:
        padded = np.pad(self._order, (0, -(self.pixels**2) % LANES), "edge")
        rays = ray_directions(self.pixels, self.field_of_view).reshape(-1, 3)
        return np.ascontiguousarray(rays[padded].T)

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
        flat = (
            images.depth.reshape(count, n * n),
            images.rgb.reshape(count, n * n, 3),
            images.on_object.reshape(count, n * n),
        )
        table = -np.inf if table_height is None else float(table_height)
        scene = (self._scene.handle, self._near, self._scene.packet(), self._order, self._rays)
        if not see(*scene, table, self._meshes, self._surface, (index, *poses), flat):
            raise self._no_mesh()
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
        scene = (self._scene.handle, self._apart, self._scene.packet())
        radius, place, _ = self._meshes
        if not cast(*scene, index, origins, directions, radius, place, self._faces, depth, triangle):
            raise self._no_mesh()
        return depth, np.where(triangle >= 0, triangle - self._first[index], -1)

    def _no_mesh(self) -> IndexError:
        return IndexError(f"mesh_index must lie in 0 ... {len(self._first) - 2}")


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


def _curve(pixels: int) -> np.ndarray:
    """The pixels of a patch so that those close in the row are close in the patch (Morton's curve)."""
    row, column = np.divmod(np.arange(pixels**2), pixels)
    key = sum(((row >> bit & 1) << 2 * bit + 1) + ((column >> bit & 1) << 2 * bit) for bit in range(16))
    return np.argsort(key)
