"""Where objects come from: PyBullet's own data, folders of meshes, URDF files, solids of known curvature."""

import hashlib
import importlib.util
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from difflib import get_close_matches
from functools import partial
from pathlib import Path

import numpy as np
import trimesh

from cortical.configs.plugins import call_plugin, choices, plugin_names

from .mesh import Mesh, Part, assemble, read_mesh
from .urdf import read_urdf

__all__ = ["Catalogue", "Mesh", "open_catalogue", "read_mesh", "solid"]

_SUFFIXES = (".obj", ".stl", ".ply")
_COLOURS = ((0.8, 0.25, 0.2), (0.75, 0.75, 0.72), (0.25, 0.45, 0.75), (0.85, 0.7, 0.2))


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

    def index(self, name: str) -> int:
        """Where `name` stands among the names. KeyError, with a suggestion, for an unknown one."""
        if name not in self._readers:
            raise KeyError(f"no object {name!r} in this catalogue{_did_you_mean(name, self.names)}")
        return self.names.index(name)

    def mesh(self, name: str) -> Mesh:
        """The object called `name`. KeyError for an unknown name, ValueError for an unusable file."""
        self.index(name)
        if name not in self._meshes:
            self._meshes[name] = self._readers[name](name)
        return self._meshes[name]


def open_catalogue(source: str) -> Catalogue:
    """Objects from `source`.

    "default", "default-hard" : meshes of the installed pybullet_data, longest edge 12 cm
    "solids" : sphere, cylinder, torus, ... of known curvature, made in code
    the name of a plug-in : what a package adds as an entry point of the group cortical.objects, a function without
        arguments that gives a Catalogue; a folder of the same name is "./NAME"
    a folder : DIR/{name}/model.obj (or any one mesh in there), metres; "DIR#set" takes the names that
        DIR/objects.json lists under "sets"
    a .urdf file : its visual shapes at zero joint angles, as one object

    Raises ValueError where there is nothing to read, naming the remedy.
    """
    if source in ("default", "default-hard"):
        return _open_default(24 if source == "default" else 26)
    if source == "solids":
        return Catalogue(dict.fromkeys(_SOLIDS, _solid))
    if source in plugin_names("objects"):
        return call_plugin("objects", source, Catalogue)
    try:
        path = Path(source).expanduser()
        path.is_dir()
    except (OSError, RuntimeError) as error:  # a name too long; ~ of nobody
        raise ValueError(f"{source[:80]!r} is no path: {error}; give the path of an existing folder") from error
    if path.suffix.lower() == ".urdf":
        if not path.is_file():
            raise ValueError(f"no URDF file {path}: give the path of an existing one")
        return Catalogue({path.stem: partial(read_urdf, path)})
    if path.is_dir() or "#" not in source:
        return _open_folder(path, None)
    folder, _, chosen = source.rpartition("#")
    return _open_folder(Path(folder).expanduser(), chosen)


def _did_you_mean(name: str, names: Iterable[str]) -> str:
    close = get_close_matches(name, list(names), n=1)
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
            f"no folder {folder}: give a .urdf file, a folder with one sub-folder an object, or a name; "
            f"{choices('objects', str(folder))}"
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


def solid(name: str, shape: trimesh.Trimesh, colour: tuple[float, float, float]) -> Mesh:
    """An object made in code: a shape in metres, wherever it lies, in one colour (red, green, blue in 0 ... 1)."""
    part = Part(np.asarray(shape.vertices), np.asarray(shape.faces), None, None, np.asarray(colour))
    return assemble(name, [part], shape.bounds.mean(0), 1.0, None)


def _solid(name: str) -> Mesh:
    return solid(name, _SOLIDS[name](), _COLOURS[list(_SOLIDS).index(name) % len(_COLOURS)])


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
