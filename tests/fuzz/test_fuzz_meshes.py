"""A mesh file that is damaged or malicious is refused with a ValueError that names it, or becomes a mesh that can be
seen, touched and drawn; what it names is only read."""

import warnings

import numpy as np
import pytest
import trimesh
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from spoiling import TEXTS, spoilt

from cortical.envs.mesh import Mesh, read_mesh
from cortical.envs.objects import open_catalogue
from cortical.envs.retina import Retina
from cortical.envs.simulation import Simulation
from cortical.envs.urdf import read_urdf

FUZZ = settings(settings.get_profile("fuzz"))
BOX = trimesh.creation.box(extents=(0.1, 0.07, 0.04))
OBJ = (
    "mtllib box.mtl\nusemtl skin\n" + "".join(f"v {x} {y} {z}\n" for x, y, z in BOX.vertices)
    + "vt 0 0\nvt 1 0\nvt 0.5 1\n" + "".join(f"f {a}/1 {b}/2 {c}/3\n" for a, b, c in BOX.faces + 1)
).encode()  # fmt: skip
FILES = {
    ".obj": OBJ,
    ".stl": BOX.export(file_type="stl"),
    ".ply": BOX.export(file_type="ply"),
}
ASCII = {".stl": BOX.export(file_type="stl_ascii").encode(), ".ply": BOX.export(file_type="ply", encoding="ascii")}
MTL = b"newmtl skin\nKd 0.8 0.2 0.1\nmap_Kd skin.png\n"
URDF = b"""<?xml version="1.0"?><robot name="r"><material name="red"><color rgba="0.8 0.1 0.1 1"/></material>
<link name="a"><visual><origin xyz="0 0 0.1" rpy="0 0.5 0"/><geometry><box size="0.1 0.1 0.05"/></geometry>
<material name="red"/></visual></link><link name="b"><visual>
<geometry><mesh filename="box.obj" scale="1 1 2"/></geometry>
</visual></link><joint name="j" type="fixed">
<parent link="a"/><child link="b"/><origin xyz="0.1 0 0"/></joint></robot>"""
URDF_NUMBERS = [b"0 0 0.1", b"0 0.5 0", b"0.1 0.1 0.05", b"1 1 2", b"0.8 0.1 0.1 1", b"0.1 0 0"]
URDF_WORDS = [b"a", b"b", b"box", b"mesh", b"sphere", b"link", b"box.obj", b".."]
NUMBER = st.one_of(
    st.floats(-0.1, 0.1).map(str), st.floats().map(str), st.integers(-5, 40).map(str),
    st.sampled_from(["1e999", "-1e300", "1e-320", "nan", "inf", "9" * 20, "0x10", "1/2/3", "//", "-1", "1e39"]),
)  # fmt: skip
OBJ_LINES = st.one_of(
    st.tuples(
        st.sampled_from(["v", "vt", "vn", "f", "f", "f", "l", "g", "s", "Kd", "usemtl"]), st.lists(NUMBER, max_size=6)
    ).map(lambda line: " ".join([line[0], *line[1]])),
    st.tuples(st.sampled_from(["mtllib", "usemtl", "o", "map_Kd", "newmtl"]), TEXTS).map(" ".join),
)
BOMB = b'<!DOCTYPE r [<!ENTITY a "' + b"A" * 1000 + b'">' + b"".join(
    b'<!ENTITY a%d "%s">' % (i, b"&a%d;" % (i - 1) * 10 if i else b"&a;" * 10) for i in range(9)
) + b']><robot name="&a8;"/>'  # fmt: skip
OUTSIDE = b'<!DOCTYPE r [<!ENTITY a SYSTEM "file:///etc/passwd">]><robot name="r"><link name="&a;"/></robot>'


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    made = tmp_path_factory.mktemp("meshes")
    Image.fromarray(np.arange(48, dtype=np.uint8).reshape(4, 4, 3)).save(made / "skin.png")
    (made / "box.mtl").write_bytes(MTL)
    for suffix, data in FILES.items():
        (made / f"box{suffix}").write_bytes(data)
        read_mesh(made / f"box{suffix}")  # what is imported lazily is imported now
    (made / "robot.urdf").write_bytes(URDF)
    read_urdf(made / "robot.urdf", "robot")
    return made


def check(path, reading, read=read_mesh) -> Mesh | None:
    """Read a file; None if it was refused. Anything but a ValueError that names it or a usable mesh is a fault."""
    with reading(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # missing materials are told by warnings
        try:
            mesh = read(path)
        except ValueError as error:
            assert str(path) in str(error)
            return None
    check_mesh(mesh)
    return mesh


def check_mesh(mesh: Mesh) -> None:
    """What the docstring of Mesh promises."""
    vertices, faces = mesh.vertices, mesh.faces
    assert (
        vertices.dtype == np.float64 and vertices.ndim == 2 and vertices.shape[1] == 3 and np.isfinite(vertices).all()
    )
    assert faces.dtype == np.int32 and faces.ndim == 2 and faces.shape[1] == 3 and len(faces) > 0
    assert faces.min() >= 0 and faces.max() < len(vertices)
    assert np.isfinite(vertices.astype(np.float32)).all() and 0 < np.ptp(vertices, axis=0).max() <= 1000.0
    assert mesh.face_uv.shape == (len(faces), 3, 2) and mesh.face_uv.dtype == np.float32
    plain = np.isnan(mesh.face_uv)
    assert (plain.all((1, 2)) == plain.any((1, 2))).all() and not np.isinf(mesh.face_uv).any()
    colour = mesh.face_colour
    assert colour.shape == (len(faces), 3) and colour.dtype == np.float32 and ((colour >= 0) & (colour <= 1)).all()
    if mesh.texture is not None:
        assert mesh.texture.dtype == np.uint8 and mesh.texture.ndim == 3 and mesh.texture.shape[2] == 3
        assert mesh.texture.size > 0
    else:
        assert plain.all()


def use(mesh: Mesh) -> None:
    """See a mesh and put it into PyBullet: neither may end the process."""
    retina = Retina([mesh], 4, 0.1)
    half = np.eye(3)[None]
    images = retina.sense_images(np.zeros(1), np.zeros((1, 3)), half, np.array([[0.0, 0.0, -0.2]]), half)
    assert np.isfinite(images.depth).all() and np.isfinite(images.rgb).all()
    with Simulation() as simulation:
        simulation.add_mesh("object", mesh, np.zeros(3), np.eye(3))
        free = simulation.free_length(np.array([0.0, 0.0, 0.2]), np.zeros(3), 0.01)
        assert 0.0 <= free <= 0.2 + 1e-9


@FUZZ
@given(data=st.data())
def test_spoilt_bytes(folder, reading, data):
    suffix = data.draw(st.sampled_from([".obj", ".stl", ".ply"]))
    whole = data.draw(st.sampled_from([FILES[suffix], ASCII.get(suffix, OBJ)]))
    path = folder / f"spoilt{suffix}"
    path.write_bytes(data.draw(st.one_of(spoilt(whole), st.binary(max_size=200))))
    check(path, reading)


@FUZZ
@given(lines=st.lists(OBJ_LINES, max_size=14), whole=st.booleans())
def test_lines_of_an_obj(folder, reading, lines, whole):
    path = folder / "lines.obj"
    path.write_bytes(OBJ * whole + "\n".join(lines).encode("utf-8", "surrogatepass"))
    check(path, reading)


@FUZZ
@given(data=st.data())
def test_materials_and_pictures(folder, reading, data):
    path, png = folder / "box.obj", (folder / "skin.png").read_bytes()
    lines = st.lists(OBJ_LINES, max_size=6).map(lambda some: MTL + "\n".join(some).encode("utf-8", "surrogatepass"))
    try:
        (folder / "box.mtl").write_bytes(data.draw(st.one_of(spoilt(MTL), lines)))
        (folder / "skin.png").write_bytes(data.draw(st.one_of(spoilt(png), st.just(png))))
        check(path, reading)
    finally:
        (folder / "box.mtl").write_bytes(MTL)
        (folder / "skin.png").write_bytes(png)


@FUZZ
@given(data=st.data())
def test_robots(folder, reading, data):
    whole, path = URDF, folder / "spoilt.urdf"
    if data.draw(st.booleans()):
        numbers = data.draw(st.lists(NUMBER, max_size=4).map(" ".join)).encode()
        whole = whole.replace(data.draw(st.sampled_from(URDF_NUMBERS)), numbers)
    if data.draw(st.booleans()):
        old, new = data.draw(st.tuples(st.sampled_from(URDF_WORDS), st.sampled_from(URDF_WORDS)))
        whole = whole.replace(b'"' + old + b'"', b'"' + new + b'"').replace(b"<" + old + b" ", b"<" + new + b" ")
    path.write_bytes(data.draw(st.one_of(st.just(whole), spoilt(whole, most=2))))
    check(path, reading, lambda file: read_urdf(file, "robot"))


@settings(FUZZ, max_examples=max(20, FUZZ.max_examples // 10))
@given(lines=st.lists(OBJ_LINES, max_size=8), place=st.integers(0, len(OBJ)))
def test_what_is_accepted_can_be_seen_and_touched(folder, reading, lines, place):
    path = folder / "used.obj"
    path.write_bytes(OBJ + "\n".join(lines).encode("utf-8", "surrogatepass"))
    mesh = check(path, reading)
    if mesh is not None:
        use(mesh)


@pytest.mark.parametrize("data", [BOMB, OUTSIDE], ids=["bomb", "outside"])
def test_entities_are_refused(folder, reading, data):
    path = folder / "evil.urdf"
    path.write_bytes(data)
    assert check(path, reading, lambda file: read_urdf(file, "robot")) is None


ODD_SOURCES = ["#", "/#/", "~nobody/x", "a" * 5000, "x.urdf", "\ud800"]


@FUZZ
@given(text=st.one_of(TEXTS, st.text(max_size=30), st.sampled_from(ODD_SOURCES)))
def test_sources(reading, text):
    with reading():
        try:
            catalogue = open_catalogue(text)
        except ValueError:
            return
    assert len(catalogue) > 0


def test_whole_files_are_accepted(folder, reading):
    for suffix in FILES:
        mesh = check(folder / f"box{suffix}", reading)
        assert mesh is not None
        use(mesh)
    assert check(folder / "robot.urdf", reading, lambda file: read_urdf(file, "robot")) is not None


@pytest.mark.parametrize(
    "name, data, complaint",
    [
        ("far.ply", ASCII[".ply"].replace(b"\n3 ", b"\n3 9", 1), "vertices that are not there"),
        ("short.obj", OBJ + b"vt 0.5\n", "not pairs"),
        ("huge.obj", b"v 0 0 0\nv 1e6 0 0\nv 0 1e6 0\nf 1 2 3\n", "is it in metres"),
        ("nowhere.obj", b"v 0 0 0\nv nan 0 0\nv 0 1 0\nf 1 2 3\n", "not finite"),
    ],
)
def test_what_was_found_is_refused_in_words(folder, name, data, complaint):
    (folder / name).write_bytes(data)
    with pytest.raises(ValueError, match=complaint), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        read_mesh(folder / name)


@pytest.mark.parametrize(
    "old, new, complaint",
    [
        (b"0.8 0.1 0.1 1", b"0.8 0.1", "expected 3 or 4 finite numbers"),
        (b"0.8 0.1 0.1 1", b"8 1 1 1", "colours outside 0 ... 1"),
        (b"0.1 0 0", b"nan 0 0", "expected 3 finite numbers"),
    ],
)
def test_what_was_found_in_robots_is_refused_in_words(folder, old, new, complaint):
    (folder / "found.urdf").write_bytes(URDF.replace(old, new))
    with pytest.raises(ValueError, match=complaint):
        read_urdf(folder / "found.urdf", "robot")
