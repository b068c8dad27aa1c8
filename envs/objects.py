"""Where objects come from: PyBullet's own data, folders of meshes, URDF files, and solids of known curvature.

Every object becomes one `Mesh`: triangles in the object frame, whose origin is the centre of the bounding box
(origins of scans are not centres), with one texture for all its materials.
"""

import hashlib
import importlib.util
import io
import json
import warnings
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from functools import partial
from pathlib import Path

import numpy as np
import trimesh
from scipy.spatial.transform import Rotation

GREY = 0.7
_SUFFIXES = (".obj", ".stl", ".ply")
_COLOURS = ((0.8, 0.25, 0.2), (0.75, 0.75, 0.72), (0.25, 0.45, 0.75), (0.85, 0.7, 0.2))


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


class Catalogue:
    """Objects by name; each is read when first asked for and then kept.

    names : all names, in a fixed order
    """

    def __init__(self, readers: Mapping[str, Callable[[str], Mesh]]):
        self.names = tuple(readers)
        self._readers = dict(readers)
        self._meshes: dict[str, Mesh] = {}

    def __len__(self) -> int:
        return len(self.names)

    def __iter__(self) -> Iterator[str]:
        return iter(self.names)

    def mesh(self, name: str) -> Mesh:
        """The object called `name`. KeyError for an unknown name, ValueError for an unusable file."""
        if name not in self._readers:
            raise KeyError(f"no object {name!r} in this catalogue{_did_you_mean(name, self.names)}")
        if name not in self._meshes:
            self._meshes[name] = self._readers[name](name)
        return self._meshes[name]


def open_catalogue(source: str) -> Catalogue:
    """Objects from `source`.

    "default", "default-hard" : meshes of the installed pybullet_data, longest edge 12 cm
    "solids" : sphere, cylinder, torus, ... of known curvature, made in code
    a folder : DIR/{name}/model.obj (or any one mesh in there), metres; "DIR#set" takes the names that
        DIR/objects.json lists under "sets"
    a .urdf file : its visual shapes at zero joint angles, as one object

    Raises ValueError where there is nothing to read, naming the remedy.
    """
    if source in ("default", "default-hard"):
        return _open_default(24 if source == "default" else 26)
    if source == "solids":
        return Catalogue(dict.fromkeys(_SOLIDS, _solid))
    path = Path(source).expanduser()
    if path.suffix.lower() == ".urdf":
        if not path.is_file():
            raise ValueError(f"no URDF file {path}: give the path of an existing one")
        return Catalogue({path.stem: partial(_read_urdf, path)})
    if path.is_dir() or "#" not in source:
        return _open_folder(path, None)
    folder, _, chosen = source.rpartition("#")
    return _open_folder(Path(folder).expanduser(), chosen)


def _did_you_mean(name: str, names) -> str:
    close = get_close_matches(name, names, n=1)
    return f"; did you mean {close[0]!r}?" if close else f"; there are: {', '.join(names)}"


def _open_default(count: int) -> Catalogue:
    spec = importlib.util.find_spec("pybullet_data")
    if spec is None or spec.origin is None:
        raise ValueError("the default objects are part of PyBullet: pip install pybullet (Python 3.11)")
    table = json.loads(Path(__file__).with_name("default_objects.json").read_text())
    folder = Path(spec.origin).parent

    def read(name: str) -> Mesh:
        row = next(row for row in table["objects"] if row["name"] == name)
        path = folder / row["path"]
        if not path.is_file() or hashlib.sha256(path.read_bytes()).hexdigest() != row["sha256"]:
            raise ValueError(f"{path} is not the file of the default set: pip install pybullet==3.2.7")
        own = isinstance(row["colour"], str)
        colour = None if own else tuple(table["colours"][row["colour"]])
        return read_mesh(path, name, longest_edge=0.12, colour=colour)

    return Catalogue({row["name"]: read for row in table["objects"][:count]})


def _open_folder(folder: Path, chosen: str | None) -> Catalogue:
    if not folder.is_dir():
        raise ValueError(
            f"no folder {folder}: give default, default-hard, solids, a .urdf file or a folder with one "
            "sub-folder an object"
        )
    paths = {sub.name: path for sub in sorted(folder.iterdir()) if (path := _mesh_file(sub)) is not None}
    if not paths:
        raise ValueError(f"no meshes in {folder}: expected NAME/model.obj in it (or one .obj, .stl or .ply)")
    names = tuple(paths) if chosen is None else _names_of_set(folder, chosen)
    for name in names:
        if name not in paths:
            raise ValueError(f"{folder} lacks {name} of the set {chosen}{_did_you_mean(name, paths)}")
    return Catalogue({name: partial(read_mesh, paths[name]) for name in names})


def _mesh_file(folder: Path) -> Path | None:
    if not folder.is_dir():
        return None
    if (folder / "model.obj").is_file():
        return folder / "model.obj"
    found = [path for path in sorted(folder.iterdir()) if path.suffix.lower() in _SUFFIXES]
    if len(found) > 1:
        raise ValueError(f"{folder} holds {len(found)} meshes: keep one, or call one model.obj")
    return found[0] if found else None


def _names_of_set(folder: Path, chosen: str) -> tuple[str, ...]:
    path = folder / "objects.json"
    if not path.is_file():
        raise ValueError(f"the set {chosen!r} needs {path}, which is missing: leave out '#{chosen}'")
    sets = json.loads(path.read_text()).get("sets", {})
    if chosen not in sets:
        raise ValueError(f"no set {chosen!r} in {path}{_did_you_mean(chosen, sets)}")
    return tuple(sets[chosen])


@dataclass(frozen=True)
class _Part:
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

    Raises ValueError for a file that cannot be read or has no faces or values that are not finite; warns of
    missing materials and textures, which turn grey.
    """
    path = Path(path)
    parts = _read_parts(path, None if colour is None else np.asarray(colour))
    corners = np.concatenate([part.vertices[part.faces].reshape(-1, 3) for part in parts])
    origin = (corners.min(0) + corners.max(0)) / 2.0
    extent = float(np.ptp(corners, axis=0).max())
    if extent <= 0.0:
        raise ValueError(f"{path} has no extent: all its vertices are one point; export it again")
    scale = 1.0 if longest_edge is None else longest_edge / extent
    return _assemble(name or path.stem, parts, origin, scale, path)


def _assemble(name: str, parts: list[_Part], origin, scale: float, path: Path | None) -> Mesh:
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


def _one_texture(parts: list[_Part]) -> tuple[np.ndarray | None, np.ndarray]:
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


def _stack_images(parts: list[_Part], uv: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
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
    """Files beside a mesh, ../ ones too, which trimesh's own resolver refuses; remembers what was missing."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.missing: list[str] = []

    def get(self, name: str) -> bytes:
        path = self.folder / name.strip().replace("\\", "/")
        if not path.is_file():
            self.missing.append(name.strip())
            raise FileNotFoundError(str(path))
        return path.read_bytes()

    def keys(self):
        return [path.name for path in self.folder.iterdir()]

    def write(self, name: str, data):
        raise NotImplementedError

    def namespaced(self, namespace: str):
        return _Beside(self.folder / namespace)


def _read_parts(path: Path, colour: np.ndarray | None = None) -> list[_Part]:
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
    if resolver.missing and colour is None:
        warnings.warn(f"{path}: {', '.join(resolver.missing)} missing, grey instead", stacklevel=2)
    return parts


def _part(shape: trimesh.Trimesh, pose: np.ndarray, colour: np.ndarray | None) -> _Part:
    faces = np.asarray(shape.faces)
    vertices = trimesh.transform_points(shape.vertices, pose)
    uv = image = None
    if colour is None:
        visual, colour = shape.visual, np.full(3, GREY)
        material = getattr(visual, "material", None)
        if material is not None:
            uv, image, colour = _material(material, getattr(visual, "uv", None), faces)
        elif visual.kind is not None:
            colour = np.asarray(visual.face_colors)[:, :3] / 255.0  # pyright: ignore[reportAttributeAccessIssue]
    return _Part(vertices, faces, uv, image, colour)


def _material(material, uv: np.ndarray | None, faces: np.ndarray):
    """uv, image and colour of one material. As in PyBullet, a texture is not multiplied by Kd."""
    if hasattr(material, "to_simple"):
        material = material.to_simple()
    known = material.kwargs
    image = None if material.image is None else np.asarray(material.image.convert("RGB"))
    grey = "kd" not in known or (image is None and "map_kd" in known)
    colour = np.full(3, GREY) if grey else np.asarray(known["kd"], np.float64)[:3]
    return (None if uv is None else np.asarray(uv)[faces]), image, colour


def _solid(name: str) -> Mesh:
    shape = _SOLIDS[name]()
    colour = np.asarray(_COLOURS[list(_SOLIDS).index(name) % len(_COLOURS)])
    part = _Part(np.asarray(shape.vertices), np.asarray(shape.faces), None, None, colour)
    return _assemble(name, [part], shape.bounds.mean(0), 1.0, None)


def _ellipsoid() -> trimesh.Trimesh:
    shape = trimesh.creation.icosphere(subdivisions=5, radius=1.0)
    return shape.apply_scale([0.06, 0.04, 0.03])


_SOLIDS: dict[str, Callable[[], trimesh.Trimesh]] = {
    "sphere": lambda: trimesh.creation.icosphere(subdivisions=5, radius=0.05),
    "cylinder": lambda: trimesh.creation.cylinder(radius=0.03, height=0.10, sections=256),
    "torus": lambda: trimesh.creation.torus(0.05, 0.02, major_sections=192, minor_sections=96),
    "ellipsoid": _ellipsoid,
    "box": lambda: trimesh.creation.box(extents=[0.10, 0.07, 0.04]),
    "cone": lambda: trimesh.creation.cone(radius=0.04, height=0.10, sections=256),
    "capsule": lambda: trimesh.creation.capsule(height=0.06, radius=0.025, count=[128, 128]),
}


def _read_urdf(path: Path, name: str) -> Mesh:
    """All visual shapes of a URDF file, joints at zero."""
    try:
        robot = ElementTree.parse(path).getroot()
    except ElementTree.ParseError as error:
        raise ValueError(f"{path} is not XML: {error}") from error
    colours = {item.get("name"): _rgba(item) for item in robot.findall("material")}
    poses = _link_poses(robot, path)
    parts = []
    for link in robot.findall("link"):
        for visual in link.findall("visual"):
            pose = poses[link.get("name", "")] @ _pose(visual.find("origin"))
            material = visual.find("material")
            colour = None if material is None else _rgba(material)
            if colour is None and material is not None:
                colour = colours.get(material.get("name"))
            parts += [_moved(part, pose) for part in _shape_parts(visual.find("geometry"), path, colour)]
    if not parts:
        raise ValueError(f"{path} has no visual shapes: give a URDF with <visual><geometry>")
    corners = np.concatenate([part.vertices[part.faces].reshape(-1, 3) for part in parts])
    return _assemble(name, parts, (corners.min(0) + corners.max(0)) / 2.0, 1.0, None)


def _link_poses(robot: ElementTree.Element, path: Path) -> dict[str, np.ndarray]:
    """World from link, (4, 4), by following the joints from the root links."""
    joints = [
        (_named(joint, "parent", path), _named(joint, "child", path), _pose(joint.find("origin")))
        for joint in robot.findall("joint")
    ]
    children = {child for _, child, _ in joints}
    links = [link.get("name", "") for link in robot.findall("link")]
    poses = {link: np.eye(4) for link in links if link not in children}
    for _ in joints:
        for parent, child, pose in joints:
            if parent in poses and child not in poses:
                poses[child] = poses[parent] @ pose
    if lost := [link for link in links if link not in poses]:
        raise ValueError(f"{path}: links {', '.join(lost)} hang on no root: check the joints' parents")
    return poses


def _named(joint: ElementTree.Element, tag: str, path: Path) -> str:
    element = joint.find(tag)
    if element is None or "link" not in element.attrib:
        raise ValueError(f"{path}: joint {joint.get('name')!r} has no <{tag} link=...>")
    return element.attrib["link"]


def _numbers(text: str | None, default: str) -> np.ndarray:
    return np.array([float(word) for word in (text or default).split()])


def _pose(origin: ElementTree.Element | None) -> np.ndarray:
    pose = np.eye(4)
    if origin is not None:
        pose[:3, :3] = Rotation.from_euler("xyz", _numbers(origin.get("rpy"), "0 0 0")).as_matrix()
        pose[:3, 3] = _numbers(origin.get("xyz"), "0 0 0")
    return pose


def _rgba(material: ElementTree.Element) -> np.ndarray | None:
    colour = material.find("color")
    return None if colour is None else _numbers(colour.get("rgba"), f"{GREY} {GREY} {GREY} 1")[:3]


def _moved(part: _Part, pose: np.ndarray) -> _Part:
    return _Part(trimesh.transform_points(part.vertices, pose), part.faces, part.uv, part.image, part.colour)


def _shape_parts(geometry: ElementTree.Element | None, path: Path, colour: np.ndarray | None) -> list[_Part]:
    shape = None if geometry is None or len(geometry) == 0 else geometry[0]
    if shape is None:
        raise ValueError(f"{path}: a <visual> without <geometry>")
    if shape.tag == "mesh":
        parts = _read_parts(_beside_urdf(path, shape.get("filename", "")))
        scale = np.diag([*np.broadcast_to(_numbers(shape.get("scale"), "1 1 1"), 3), 1.0])
        bare = [part.image is None and colour is not None for part in parts]
        return [
            _moved(_Part(part.vertices, part.faces, part.uv, part.image, colour) if plain else part, scale)
            for part, plain in zip(parts, bare, strict=True)
        ]
    size = {key: _numbers(shape.get(key), "0") for key in ("size", "radius", "length")}
    radius, length = float(size["radius"][0]), float(size["length"][0])
    if shape.tag == "box":
        made = trimesh.creation.box(extents=size["size"])
    elif shape.tag == "sphere":
        made = trimesh.creation.icosphere(subdivisions=4, radius=radius)
    elif shape.tag == "cylinder":
        made = trimesh.creation.cylinder(radius=radius, height=length, sections=64)
    elif shape.tag == "capsule":
        made = trimesh.creation.capsule(radius=radius, height=length)
    else:
        raise ValueError(f"{path}: unknown shape <{shape.tag}>: use mesh, box, sphere, cylinder or capsule")
    colour = np.full(3, GREY) if colour is None else colour
    return [_Part(np.asarray(made.vertices), np.asarray(made.faces), None, None, colour)]


def _beside_urdf(path: Path, filename: str) -> Path:
    """A mesh of a URDF: relative to it, or package://... looked for in its folder and those above."""
    name = filename.removeprefix("package://").removeprefix("file://")
    for folder in (path.parent, *path.resolve().parents):
        for tail in (name, name.partition("/")[2]):
            if tail and (folder / tail).is_file():
                return folder / tail
    raise ValueError(f"{path} names the mesh {filename!r}, which is not there: put it beside the URDF")
