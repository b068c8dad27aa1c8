"""Every source of objects gives meshes of the same shape, and bad input is told in one sentence."""

import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cortical.envs.objects import open_catalogue, read_mesh

needs_data = pytest.mark.skipif(
    importlib.util.find_spec("pybullet_data") is None, reason="pybullet_data is not installed"
)

TETRAHEDRON = "v 0 0 0\nv 1 0 0\nv 0 1 0\nv 0 0 2\n"
FACES = "f 1 3 2\nf 1 2 4\nf 1 4 3\nf 2 3 4\n"


def check(mesh) -> None:
    v, f = len(mesh.vertices), len(mesh.faces)
    assert mesh.vertices.shape == (v, 3) and mesh.vertices.dtype == np.float64
    assert mesh.faces.shape == (f, 3) and mesh.faces.dtype == np.int32
    assert mesh.face_uv.shape == (f, 3, 2) and mesh.face_uv.dtype == np.float32
    assert mesh.face_colour.shape == (f, 3) and mesh.face_colour.dtype == np.float32
    assert np.isfinite(mesh.vertices).all() and mesh.faces.min() == 0 and mesh.faces.max() == v - 1
    assert mesh.face_colour.min() >= 0 and mesh.face_colour.max() <= 1
    np.testing.assert_allclose(mesh.vertices.max(0), -mesh.vertices.min(0), atol=1e-9)
    if mesh.texture is None:
        assert np.isnan(mesh.face_uv).all()
    else:
        assert mesh.texture.dtype == np.uint8 and mesh.texture.shape[2] == 3


@needs_data
@pytest.mark.parametrize(("source", "count"), [("default", 24), ("default-hard", 26)])
def test_default_set_has_its_checksums_and_size(source, count):
    catalogue = open_catalogue(source)
    assert len(catalogue) == len(set(catalogue.names)) == count
    for name in catalogue:
        mesh = catalogue.mesh(name)
        check(mesh)
        assert np.ptp(mesh.vertices, axis=0).max() == pytest.approx(0.12)
        assert mesh is catalogue.mesh(name)


@needs_data
def test_scale_and_origin_lead_back_to_the_file():
    mesh = open_catalogue("default").mesh("duck")
    lines = Path(mesh.path).read_text().splitlines()
    file = np.array([line.split()[1:4] for line in lines if line.startswith("v ")], float)
    ours = {tuple(row) for row in np.round((file - mesh.origin) * mesh.scale, 6)}
    assert {tuple(row) for row in np.round(mesh.vertices, 6)} == ours


@needs_data
def test_objects_with_several_materials_keep_them():
    hand = open_catalogue("default").mesh("panda_hand")
    bare = np.isnan(hand.face_uv[:, 0, 0])
    assert hand.texture is not None and 0 < bare.sum() < len(bare)
    np.testing.assert_allclose(
        hand.face_colour[bare], [[0.901961, 0.921569, 0.929412]] * bare.sum(), atol=1e-5
    )


@needs_data
def test_changed_file_is_refused(monkeypatch, tmp_path):
    (tmp_path / "duck.obj").write_text(TETRAHEDRON + FACES)
    spec = importlib.util.spec_from_file_location("pybullet_data", tmp_path / "__init__.py")
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: spec)
    with pytest.raises(ValueError, match=r"pybullet==3\.2\.7"):
        open_catalogue("default").mesh("duck")


def test_solids():
    catalogue = open_catalogue("solids")
    for name in catalogue:
        check(catalogue.mesh(name))
    radius = np.linalg.norm(catalogue.mesh("sphere").vertices, axis=1)
    np.testing.assert_allclose(radius, 0.05, atol=1e-12)


def test_unknown_name_is_told_with_a_guess():
    with pytest.raises(KeyError, match="did you mean 'torus'"):
        open_catalogue("solids").mesh("torsu")


def write(folder: Path, name: str, body: str) -> Path:
    (folder / name).mkdir(parents=True)
    path = folder / name / "model.obj"
    path.write_text(body)
    return path


def test_folder_and_set(tmp_path):
    write(tmp_path, "b_thing", TETRAHEDRON + FACES)
    write(tmp_path, "a_thing", TETRAHEDRON + FACES)
    (tmp_path / "notes").mkdir()
    assert open_catalogue(str(tmp_path)).names == ("a_thing", "b_thing")
    mesh = open_catalogue(str(tmp_path)).mesh("b_thing")
    check(mesh)
    np.testing.assert_allclose(np.ptp(mesh.vertices, axis=0), [1, 1, 2])
    (tmp_path / "objects.json").write_text(json.dumps({"sets": {"mine": ["b_thing"], "bad": ["c_thing"]}}))
    assert open_catalogue(f"{tmp_path}#mine").names == ("b_thing",)
    with pytest.raises(ValueError, match="did you mean 'mine'"):
        open_catalogue(f"{tmp_path}#mime")
    with pytest.raises(ValueError, match="lacks c_thing"):
        open_catalogue(f"{tmp_path}#bad")


def test_two_textures_become_one(tmp_path):
    uv = "vt 0 0\nvt 1 0\nvt 0 1\nvt 2 1\n"
    body = "mtllib m.mtl\n" + TETRAHEDRON + uv
    body += "usemtl one\nf 1/1 3/2 2/3\nusemtl two\nf 1/1 2/4 4/3\nusemtl flat\nf 1/1 4/2 3/3\n"
    path = write(tmp_path, "thing", body)
    mtl = "newmtl one\nmap_Kd one.png\nnewmtl two\nmap_Kd ../two.png\nnewmtl flat\nKd 0.1 0.2 0.3\n"
    (path.parent / "m.mtl").write_text(mtl)
    one, two = np.zeros((4, 6, 3), np.uint8), np.zeros((2, 2, 3), np.uint8)
    one[:], two[:, :] = (10, 20, 30), [[(1, 2, 3)], [(4, 5, 6)]]
    Image.fromarray(one).save(path.parent / "one.png")
    Image.fromarray(two).save(tmp_path / "two.png")
    mesh = read_mesh(path)
    check(mesh)
    seen = set()
    for uv_face, colour in zip(mesh.face_uv, mesh.face_colour, strict=True):
        if np.isnan(uv_face).any():
            np.testing.assert_allclose(colour, [0.1, 0.2, 0.3], atol=1e-6)
            continue
        weights = np.random.default_rng(0).dirichlet(np.ones(3), 50) @ uv_face
        rows = ((1 - weights[:, 1]) * mesh.texture.shape[0]).astype(int)
        columns = (weights[:, 0] * mesh.texture.shape[1]).astype(int)
        seen |= {frozenset(map(tuple, mesh.texture[rows, columns].tolist()))}
    assert seen == {frozenset({(10, 20, 30)}), frozenset({(1, 2, 3), (4, 5, 6)})}


def test_missing_texture_warns_and_turns_grey(tmp_path):
    body = "mtllib m.mtl\n" + TETRAHEDRON + "vt 0 0\nusemtl one\nf 1/1 3/1 2/1\nf 1/1 2/1 4/1\n"
    path = write(tmp_path, "thing", body)
    (path.parent / "m.mtl").write_text("newmtl one\nKd 1 1 1\nmap_Kd gone.png\n")
    with pytest.warns(UserWarning, match=r"gone\.png missing"):
        mesh = read_mesh(path)
    assert mesh.texture is not None
    np.testing.assert_allclose(mesh.texture / 255, 0.7, atol=0.002)


@pytest.mark.parametrize(
    ("body", "complaint"),
    [
        (TETRAHEDRON, "no faces"),
        ("", "no faces|cannot read"),
        (TETRAHEDRON.replace("2", "nan") + FACES, "not finite"),
        ("v 1 1 1\nf 1 1 1\n", "no extent"),
    ],
)
def test_bad_mesh_is_named(tmp_path, body, complaint):
    write(tmp_path, "thing", body)
    with pytest.raises(ValueError, match=complaint) as error:
        open_catalogue(str(tmp_path)).mesh("thing")
    assert str(tmp_path / "thing" / "model.obj") in str(error.value)


def test_bad_folders_are_named(tmp_path):
    with pytest.raises(ValueError, match="no folder"):
        open_catalogue(str(tmp_path / "nowhere"))
    with pytest.raises(ValueError, match="no meshes in"):
        open_catalogue(str(tmp_path))
    with pytest.raises(ValueError, match="no URDF file"):
        open_catalogue(str(tmp_path / "none.urdf"))
    write(tmp_path, "thing", TETRAHEDRON).rename(tmp_path / "thing" / "a.obj")
    (tmp_path / "thing" / "b.obj").write_text(TETRAHEDRON)
    with pytest.raises(ValueError, match="holds 2 meshes"):
        open_catalogue(str(tmp_path))


URDF = """<robot name="r">
<material name="red"><color rgba="1 0 0 1"/></material>
<link name="base"><visual><geometry><box size="0.2 0.2 0.2"/></geometry><material name="red"/></visual></link>
<link name="arm"><visual><origin xyz="0 0 1" rpy="0 1.5707963267948966 0"/>
  <geometry><mesh filename="package://some/tetra.obj" scale="0.1 0.1 0.1"/></geometry></visual></link>
<joint name="j" type="revolute"><parent link="base"/><child link="arm"/><origin xyz="1 0 0"/></joint>
</robot>"""


def test_urdf_joins_its_links(tmp_path):
    (tmp_path / "tetra.obj").write_text(TETRAHEDRON + FACES)
    path = tmp_path / "two.urdf"
    path.write_text(URDF)
    mesh = open_catalogue(str(path)).mesh("two")
    check(mesh)
    low, high = [-0.1, -0.1, -0.1], [1.2, 0.1, 1.0]
    np.testing.assert_allclose(np.ptp(mesh.vertices, axis=0), np.subtract(high, low), atol=1e-9)
    np.testing.assert_allclose(mesh.origin, np.add(high, low) / 2, atol=1e-9)
    assert (mesh.face_colour == [1, 0, 0]).all(1).sum() == 12


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (("tetra.obj", "gone.obj"), "put it beside"),
        (("</robot>", ""), "not XML"),
        (("<box", "<blob"), "unknown shape"),
        (('<parent link="base"/>', ""), "no <parent"),
        (('xyz="1 0 0"', 'xyz="${x} 0 0"'), "expand macros"),
        (('<parent link="base"/>', '<parent link="x"/>'), "no root"),
    ],
)
def test_bad_urdf_is_named(tmp_path, change, complaint):
    (tmp_path / "tetra.obj").write_text(TETRAHEDRON + FACES)
    path = tmp_path / "two.urdf"
    path.write_text(URDF.replace(*change))
    with pytest.raises(ValueError, match=complaint) as error:
        open_catalogue(str(path)).mesh("two")
    assert str(path) in str(error.value)
