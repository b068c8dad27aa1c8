"""The visual shapes of a URDF file as one mesh, all joints at zero."""

import xml.etree.ElementTree as ElementTree
from pathlib import Path

import numpy as np
import trimesh
from scipy.spatial.transform import Rotation

from .mesh import GREY, Mesh, Part, assemble, checked, read_parts


def read_urdf(path: Path, name: str) -> Mesh:
    """All visual shapes of a URDF file, joints at zero. Raises ValueError, naming the file, for a bad one."""
    try:
        robot = ElementTree.parse(path).getroot()
        parts = _visual_parts(robot, path)
    except ElementTree.ParseError as error:
        raise ValueError(f"{path} is not XML: {error}") from error
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
    corners = np.concatenate([part.vertices[part.faces].reshape(-1, 3) for part in parts])
    return checked(assemble(name, parts, (corners.min(0) + corners.max(0)) / 2.0, 1.0, None), path)


def _visual_parts(robot: ElementTree.Element, path: Path) -> list[Part]:
    colours = {item.get("name"): _rgba(item) for item in robot.findall("material")}
    poses = _link_poses(robot)
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
        raise ValueError("no visual shapes: give a URDF with <visual><geometry>")
    return parts


def _link_poses(robot: ElementTree.Element) -> dict[str, np.ndarray]:
    """World from link, (4, 4), by following the joints from the root links."""
    joints = [
        (_named(joint, "parent"), _named(joint, "child"), _pose(joint.find("origin")))
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
        raise ValueError(f"links {', '.join(lost)} hang on no root: check the joints' parents")
    return poses


def _named(joint: ElementTree.Element, tag: str) -> str:
    element = joint.find(tag)
    if element is None or "link" not in element.attrib:
        raise ValueError(f"joint {joint.get('name')!r} has no <{tag} link=...>")
    return element.attrib["link"]


def _numbers(text: str | None, default: str, counts: tuple[int, ...] = (3,)) -> np.ndarray:
    """As many finite numbers as one of `counts`."""
    try:
        numbers = np.array([float(word) for word in (text or default).split()])
    except ValueError as error:
        raise ValueError(f"expected numbers, got {text!r}: expand macros first") from error
    if len(numbers) not in counts or not np.isfinite(numbers).all():
        raise ValueError(f"expected {' or '.join(map(str, counts))} finite numbers, got {text!r}: mend the file")
    return numbers


def _pose(origin: ElementTree.Element | None) -> np.ndarray:
    pose = np.eye(4)
    if origin is not None:
        pose[:3, :3] = Rotation.from_euler("xyz", _numbers(origin.get("rpy"), "0 0 0")).as_matrix()
        pose[:3, 3] = _numbers(origin.get("xyz"), "0 0 0")
    return pose


def _rgba(material: ElementTree.Element) -> np.ndarray | None:
    colour = material.find("color")
    return None if colour is None else _numbers(colour.get("rgba"), f"{GREY} {GREY} {GREY} 1", (3, 4))[:3]


def _moved(part: Part, pose: np.ndarray) -> Part:
    return Part(trimesh.transform_points(part.vertices, pose), part.faces, part.uv, part.image, part.colour)


def _shape_parts(geometry: ElementTree.Element | None, path: Path, colour: np.ndarray | None) -> list[Part]:
    shape = None if geometry is None or len(geometry) == 0 else geometry[0]
    if shape is None:
        raise ValueError("a <visual> without <geometry>")
    if shape.tag == "mesh":
        parts = read_parts(_beside_urdf(path, shape.get("filename", "")))
        scale = np.diag([*np.broadcast_to(_numbers(shape.get("scale"), "1 1 1", (1, 3)), 3), 1.0])
        return [_moved(_painted(part, colour), scale) for part in parts]
    radius, length = (float(_numbers(shape.get(key), "0", (1,))[0]) for key in ("radius", "length"))
    if shape.tag == "box":
        made = trimesh.creation.box(extents=_numbers(shape.get("size"), "0 0 0"))
    elif shape.tag == "sphere":
        made = trimesh.creation.icosphere(subdivisions=4, radius=radius)
    elif shape.tag == "cylinder":
        made = trimesh.creation.cylinder(radius=radius, height=length, sections=64)
    elif shape.tag == "capsule":
        made = trimesh.creation.capsule(radius=radius, height=length)
    else:
        raise ValueError(f"unknown shape <{shape.tag}>: use mesh, box, sphere, cylinder or capsule")
    colour = np.full(3, GREY) if colour is None else colour
    return [Part(np.asarray(made.vertices), np.asarray(made.faces), None, None, colour)]


def _painted(part: Part, colour: np.ndarray | None) -> Part:
    """A part without texture takes the colour that the URDF gives, if it gives one."""
    if part.image is not None or colour is None:
        return part
    return Part(part.vertices, part.faces, part.uv, part.image, colour)


def _beside_urdf(path: Path, filename: str) -> Path:
    """A mesh of a URDF: relative to it, or package://... looked for in its folder and those above."""
    name = filename.removeprefix("package://").removeprefix("file://")
    for folder in (path.parent, *path.resolve().parents):
        for tail in (name, name.partition("/")[2]):
            if tail and (folder / tail).is_file():
                return folder / tail
    raise ValueError(f"the mesh {filename!r} is not there: put it beside the URDF")
