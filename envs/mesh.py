"""Meshes read from files: triangles in an object frame, with one texture for all their materials."""

import io
import warnings
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import trimesh
import trimesh.resolvers
from PIL import Image

GREY = 0.7
SMALLEST, LARGEST = 1e-5, 1000.0
"""Bounds of an object's longest edge in metres."""


@dataclass(frozen=True, eq=False)
class Mesh:
    """One object as triangles, in its own frame.

    vertices : (v, 3) float64, metres, object frame: the origin is the centre of the bounding box
    faces : (f, 3) int32
    face_uv : (f, 3, 2) float32, texture coordinates of each face's corners, (0, 0) = lower left, repeating;
        NaN where a face has no texture
    face_colour : (f, 3) float32 in 0 ... 1, the colour of a face without texture
    texture : (h, w, 3) uint8, first row at the top, or None
    path : the file, or None where there is no single one
    scale, origin : vertices = (vertices of the file - origin) * scale
    """

    name: str
    vertices: np.ndarray
    faces: np.ndarray
    face_uv: np.ndarray
    face_colour: np.ndarray
    texture: np.ndarray | None = None
    path: Path | None = None
    scale: float = 1.0
    origin: np.ndarray = field(default_factory=lambda: np.zeros(3))


@dataclass(frozen=True)
class Part:
    """Faces that share one material. uv is None or image is None: coloured by `colour`, (3,) or (f, 3)."""

    vertices: np.ndarray
    faces: np.ndarray
    uv: np.ndarray | None
    image: np.ndarray | None
    colour: np.ndarray


def read_mesh(
    path: str | Path,
    name: str | None = None,
    longest_edge: float | None = None,
    colour: tuple[float, ...] | None = None,
) -> Mesh:
    """One OBJ, STL or PLY file as a `Mesh`.

    longest_edge : metres to which the longest edge of the bounding box is scaled; None keeps the file's size
    colour : one flat colour instead of the file's materials

    Raises ValueError for a file that cannot be read, has no faces, values that are not finite, colours outside
    0 ... 1 or no sensible size; warns of missing materials and textures, which turn grey.
    """
    path = Path(path)
    parts = read_parts(path, None if colour is None else np.asarray(colour))
    corners = np.concatenate([part.vertices[part.faces].reshape(-1, 3) for part in parts])
    origin = (corners.min(0) + corners.max(0)) / 2.0
    extent = float(np.ptp(corners, axis=0).max())
    if extent <= 0.0:
        raise ValueError(f"{path} has no extent: all its vertices are one point; export it again")
    scale = 1.0 if longest_edge is None else longest_edge / extent
    return checked(assemble(name or path.stem, parts, origin, scale, path), path)


def checked(mesh: Mesh, path: Path) -> Mesh:
    """The mesh itself, if it can be seen and touched. Raises ValueError, naming the file it came from."""
    size = float(np.ptp(mesh.vertices, axis=0).max())
    if not SMALLEST <= size <= LARGEST:
        raise ValueError(f"{path} is {size:g} m long, not {SMALLEST:g} ... {LARGEST:g}: is it in metres?")
    plain = np.isnan(mesh.face_uv)
    if np.isinf(mesh.face_uv).any() or (plain.any((1, 2)) != plain.all((1, 2))).any():
        raise ValueError(f"{path} has texture coordinates that are not finite numbers: export it again")
    if not ((mesh.face_colour >= 0.0) & (mesh.face_colour <= 1.0)).all():
        raise ValueError(f"{path} has colours outside 0 ... 1: mend its materials, or export it again")
    return mesh


def assemble(name: str, parts: list[Part], origin, scale: float, path: Path | None) -> Mesh:
    vertices = np.concatenate([part.vertices for part in parts])
    starts = np.cumsum([0] + [len(part.vertices) for part in parts[:-1]])
    faces = np.concatenate([part.faces + start for part, start in zip(parts, starts, strict=True)])
    used, faces = np.unique(faces, return_inverse=True)
    texture, uv = _one_texture(parts)
    colour = np.concatenate([np.broadcast_to(part.colour, (len(part.faces), 3)) for part in parts])
    return Mesh(
        name=name,
        vertices=np.ascontiguousarray((vertices[used] - origin) * scale, np.float64),
        faces=faces.reshape(-1, 3).astype(np.int32),
        face_uv=uv,
        face_colour=np.ascontiguousarray(colour, np.float32),
        texture=texture,
        path=path,
        scale=float(scale),
        origin=np.asarray(origin, np.float64),
    )


def _one_texture(parts: list[Part]) -> tuple[np.ndarray | None, np.ndarray]:
    """Stack the different images of `parts` into one, and move their texture coordinates along."""
    uv = [
        np.full((len(part.faces), 3, 2), np.nan)
        if part.uv is None or part.image is None
        else np.asarray(part.uv, np.float64)
        for part in parts
    ]
    images = {part.image.tobytes(): part.image for part in parts if part.image is not None}
    if len(images) > 1:
        return _stack_images(parts, uv)
    texture = next(iter(images.values()), None)
    return texture, np.concatenate(uv).astype(np.float32)


def _stack_images(parts: list[Part], uv: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    tiles = []
    for index, part in enumerate(parts):
        if part.image is None or part.uv is None:
            continue
        uv[index] = uv[index] - np.floor(uv[index].min(1, keepdims=True))
        repeat = np.maximum(1, np.ceil(uv[index].max((0, 1)))).astype(int)
        if repeat.max() > 8:
            raise ValueError("a texture repeats more than 8 times within a face: bake the textures into one")
        uv[index] *= part.image.shape[1::-1]
        tiles.append((index, np.tile(part.image, (repeat[1], repeat[0], 1))))
    height, width = sum(len(tile) for _, tile in tiles), max(tile.shape[1] for _, tile in tiles)
    texture = np.zeros((height, width, 3), np.uint8)
    top = 0
    for index, tile in tiles:
        h, w = tile.shape[:2]
        texture[top : top + h, :w] = tile
        uv[index] = (uv[index] + (0, height - top - h)) / (width, height)
        top += h
    return texture, np.concatenate(uv).astype(np.float32)


class _Beside(trimesh.resolvers.Resolver):
    """Files beside a mesh, ../ ones too, which trimesh's own resolver refuses. A missing image is grey."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.missing: list[str] = []

    def get(self, key: str) -> bytes:
        path = self.folder / key.strip().replace("\\", "/")
        if not path.is_file():
            self.missing.append(key.strip())
            if path.suffix.lower() == ".mtl":
                raise FileNotFoundError(str(path))
            return _grey_png()
        return path.read_bytes()

    def keys(self):
        return [path.name for path in self.folder.iterdir()]

    def write(self, name: str, data):
        raise NotImplementedError

    def namespaced(self, namespace: str):
        return _Beside(self.folder / namespace)


def _grey_png() -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (1, 1), (round(255 * GREY),) * 3).save(buffer, "png")
    return buffer.getvalue()


def read_parts(path: Path, colour: np.ndarray | None = None) -> list[Part]:
    resolver = _Beside(path.parent)
    try:
        scene = trimesh.load_scene(
            io.BytesIO(path.read_bytes()),
            file_type=path.suffix[1:].lower(),
            resolver=resolver,
            process=False,
            skip_materials=colour is not None,
        )
        placed = [scene.graph.get(node) for node in scene.graph.nodes_geometry]
        shapes = [(scene.geometry[key], pose) for pose, key in placed]
        parts = [_part(shape, pose, colour) for shape, pose in shapes if len(getattr(shape, "faces", ()))]
    except Exception as error:
        raise ValueError(f"cannot read {path}: {error}; give a .obj, .stl or .ply file") from error
    if not parts:
        raise ValueError(f"{path} has no faces: export it again as a triangle mesh")
    if not all(np.isfinite(part.vertices).all() for part in parts):
        raise ValueError(f"{path} has vertices that are not finite numbers: export it again")
    if not all(part.faces.min() >= 0 and part.faces.max() < len(part.vertices) for part in parts):
        raise ValueError(f"{path} has faces of vertices that are not there: export it again")
    if not all(part.uv is None or part.uv.shape[1:] == (3, 2) for part in parts):
        raise ValueError(f"{path} has texture coordinates that are not pairs: export it again")
    if resolver.missing and colour is None:
        warnings.warn(f"{path}: {', '.join(resolver.missing)} missing, grey instead", stacklevel=2)
    return parts


def _part(shape: trimesh.Trimesh, pose: np.ndarray, colour: np.ndarray | None) -> Part:
    faces = np.asarray(shape.faces)
    vertices = trimesh.transform_points(shape.vertices, pose)
    uv = image = None
    if colour is None:
        visual: Any = shape.visual
        colour = np.full(3, GREY)
        if hasattr(visual, "material"):
            uv, image, colour = _material(visual.material, visual.uv, faces)
        elif visual.kind is not None:
            colour = np.asarray(visual.face_colors)[:, :3] / 255.0
    return Part(vertices, faces, uv, image, colour)


def _material(material, uv: np.ndarray | None, faces: np.ndarray):
    """uv, image and colour of one material. As in PyBullet, a texture is not multiplied by Kd."""
    if hasattr(material, "to_simple"):
        material = material.to_simple()
    known = material.kwargs
    image = None if material.image is None else np.asarray(material.image.convert("RGB"))
    colour = np.asarray(known["kd"], np.float64)[:3] if "kd" in known else np.full(3, GREY)
    return (None if uv is None else np.asarray(uv)[faces]), image, colour
