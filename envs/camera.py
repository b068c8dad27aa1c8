"""What makes PyBullet's camera sample the very rays of `record.ray_directions`, and see a mesh's texture.

Its software renderer samples a pixel at its left and lower edge, not at its middle, so the frustum is shifted
by that. The z-buffer b holds z = FAR NEAR / (FAR - (FAR - NEAR) b) along the gaze.
"""

import math
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from .record import Images, ray_directions

if TYPE_CHECKING:
    from .mesh import Mesh

NEAR, FAR = 0.005, 4.0
"""Clipping planes in metres."""
_numbers = count()


def view_matrix(position: np.ndarray, rotation: np.ndarray) -> list[float]:
    """OpenGL looks along -z with y up, a sensor along +z with y down; 16 numbers, column-major."""
    view = np.eye(4)
    view[:3, :3] = (np.asarray(rotation, dtype=float) * [1.0, -1.0, -1.0]).T
    view[:3, 3] = -view[:3, :3] @ np.asarray(position, dtype=float)
    return view.T.ravel().tolist()


def frustum(pixels: int, field_of_view: float) -> list[float]:
    """The off-centre projection of a patch (`field_of_view` in radians); 16 numbers, column-major."""
    step = 2.0 * math.tan(field_of_view / 2.0) / pixels * NEAR
    left, top, width = -step * (pixels // 2), step * (pixels // 2 + 1), step * pixels
    matrix = np.zeros((4, 4))
    matrix[0, 0] = matrix[1, 1] = 2.0 * NEAR / width
    matrix[0, 2] = (2.0 * left + width) / width
    matrix[1, 2] = (2.0 * top - width) / width
    matrix[2, 2], matrix[2, 3] = -(FAR + NEAR) / (FAR - NEAR), -2.0 * FAR * NEAR / (FAR - NEAR)
    matrix[3, 2] = -1.0
    return matrix.T.ravel().tolist()


def images(
    rgba: Any, depth: Any, mask: Any, pixels: int, field_of_view: float, objects: list[int | None]
) -> Images:
    """PyBullet's buffers (arrays, or tuples where it was built without numpy) as Images of one patch.

    The mask decides what was hit: an empty pixel's depth can be below 1.
    """
    seen = np.asarray(mask).reshape(pixels, pixels)
    hit = seen >= 0
    buffer = np.asarray(depth, dtype=np.float64).reshape(pixels, pixels)
    along_gaze = FAR * NEAR / (FAR - (FAR - NEAR) * buffer)
    along_ray = along_gaze / ray_directions(pixels, field_of_view)[..., 2]
    colour = np.asarray(rgba, dtype=np.float32).reshape(pixels, pixels, 4)[..., :3] / np.float32(255.0)
    return Images(
        depth=np.where(hit, along_ray, 0.0).astype(np.float32)[None],
        rgb=np.where(hit[..., None], colour, np.float32(0.0))[None],
        on_object=np.isin(seen, [number for number in objects if number is not None])[None],
    )


def write_shape(mesh: "Mesh", folder: Path) -> str:
    """Write the bare surface as an OBJ file. Returns its name, always a new one: PyBullet caches by name."""
    file = folder / f"{next(_numbers)}.obj"
    file.write_text(_vertices(mesh) + "".join(f"f {a} {b} {c}\n" for a, b, c in (mesh.faces + 1).tolist()))
    return str(file)


def write_picture(mesh: "Mesh", folder: Path) -> str:
    """Write the surface with its colours, as an OBJ file with a texture. Returns its name, always new."""
    texture, uv = _painted(mesh)
    file = folder / f"{next(_numbers)}.obj"
    Image.fromarray(texture).save(file.with_suffix(".png"))
    file.with_suffix(".mtl").write_text(f"newmtl skin\nKd 1 1 1\nmap_Kd {file.stem}.png\n")
    corners = "".join(f"vt {u:.9g} {v:.9g}\n" for u, v in uv.reshape(-1, 2).tolist())
    faces = "".join(
        f"f {a}/{3 * k + 1} {b}/{3 * k + 2} {c}/{3 * k + 3}\n"
        for k, (a, b, c) in enumerate((mesh.faces + 1).tolist())
    )
    file.write_text(f"mtllib {file.stem}.mtl\n{_vertices(mesh)}{corners}usemtl skin\n{faces}")
    return str(file)


def _painted(mesh: "Mesh") -> tuple[np.ndarray, np.ndarray]:
    """Texture (h, w, 3) uint8 and uv (f, 3, 2), the plain colours of faces as one more row at the bottom."""
    plain = np.isnan(mesh.face_uv.sum(axis=(1, 2))) | (mesh.texture is None)
    if mesh.texture is not None and not plain.any():
        return mesh.texture, mesh.face_uv
    colours, which = np.unique(np.rint(mesh.face_colour[plain] * 255), axis=0, return_inverse=True)
    above = np.zeros((0, len(colours), 3), np.uint8) if mesh.texture is None else mesh.texture
    height, width = above.shape[0], max(above.shape[1], len(colours))
    texture = np.zeros((height + 1, width, 3), np.uint8)
    texture[:height, : above.shape[1]] = above
    texture[height, : len(colours)] = colours
    uv = mesh.face_uv.astype(float)
    uv -= np.floor(uv.min(axis=1, keepdims=True))
    uv = (uv * [above.shape[1], height] + [0, 1]) / [width, height + 1]
    column = (which.reshape(-1, 1) + 0.5) / width
    uv[plain] = np.stack([column, np.full_like(column, 0.5 / (height + 1))], axis=-1)
    return texture, uv


def _vertices(mesh: "Mesh") -> str:
    return "".join(f"v {x:.9g} {y:.9g} {z:.9g}\n" for x, y, z in mesh.vertices.tolist())
