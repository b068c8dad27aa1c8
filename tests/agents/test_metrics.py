import dataclasses
import hashlib
import importlib
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import trimesh
from numpy.testing import assert_allclose
from scipy.spatial.transform import Rotation

from cortical.agents import metrics
from cortical.agents.episode import EpisodeRecord
from cortical.agents.metrics import Symmetry, rotation_error
from cortical.envs.mesh import Part, assemble

SCRIPTS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture(scope="module")
def scripts():
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(SCRIPTS))  # as for a script, whose own folder is on the path
        yield importlib.import_module


@pytest.fixture(scope="module")
def search(scripts):
    return scripts("symmetry_search")


def mesh_of(shape, colours=None):
    colour = np.full(3, 0.5) if colours is None else np.asarray(colours)
    part = Part(np.asarray(shape.vertices), np.asarray(shape.faces), None, None, colour)
    return assemble("shape", [part], shape.bounds.mean(0), 1.0, None)


def groups_of(search, shape, colours=None):
    counts = {"coarse_points": 60, "fine_points": 150, "minima": 30, "axes": 5, "angles": 12}
    effort = search.Effort(grid=15_000, points=500, reference=10_000, **counts)
    return search.symmetry_groups(mesh_of(shape, colours), effort)


@pytest.mark.parametrize("extents, order", [((0.1, 0.07, 0.04), 4), ((0.06, 0.06, 0.12), 8), ((0.1,) * 3, 24)])
def test_boxes_have_their_rotations(search, extents, order):
    for group in groups_of(search, trimesh.creation.box(extents=extents)).values():
        assert len(group["rotations"]) == order and group["closed"] and group["axis"] is None
        turns = Rotation.from_quat(group["rotations"]).as_matrix()
        assert_allclose(turns[0], np.eye(3))
        assert_allclose(np.abs(turns).max(-1), 1.0, atol=0.02)  # signed permutations of the axes


def test_colour_breaks_symmetry(search):
    box = trimesh.creation.box(extents=(0.10, 0.07, 0.04))
    top = box.face_normals[:, 2:] > 0.5
    group = groups_of(search, box, np.where(top, (0.9, 0.1, 0.1), (0.1, 0.1, 0.9)))[1.0]
    assert len(group["rotations"]) == 2
    assert_allclose(np.abs(group["rotations"][1]), [0, 0, 1, 0], atol=0.02)


def test_a_cylinder_has_an_axis_and_turns_over(search):
    shape = trimesh.creation.cylinder(radius=0.03, height=0.10, sections=128)
    group = groups_of(search, shape)[1.0]
    assert_allclose(np.abs(group["axis"]), [0, 0, 1], atol=0.02)
    assert len(group["rotations"]) == 2 and not group["full"]
    turn = Rotation.from_quat(group["rotations"][1]).as_matrix()
    assert_allclose(turn[2, 2], -1, atol=0.02)


def test_a_sphere_has_all_rotations(search):
    group = groups_of(search, trimesh.creation.icosphere(subdivisions=4, radius=0.05))[0.5]
    assert group["full"]


def test_the_nearest_is_that_of_a_search_through_all(scripts):
    rng = np.random.default_rng(0)
    known, asked = rng.uniform(-0.02, 0.02, (2000, 3)), rng.uniform(-0.04, 0.04, (300, 3))
    normals, sides = (n / np.linalg.norm(n, axis=1)[:, None] for n in rng.normal(size=(2, 2000, 3)))
    found = scripts("symmetry_nearest").Nearest(known, normals, (0.002, 0.2))(asked, sides[:300])
    along = np.abs(sides[:300] @ normals.T)
    away = ((asked[:, None] - known) ** 2).sum(-1) / 0.002**2 + 2 * (1 - along) / 0.2**2
    assert (found == away.argmin(1)).all()


def test_the_closest_point_of_a_triangle(scripts):
    rng = np.random.default_rng(1)
    corners, points = rng.normal(size=(500, 3, 3)), rng.normal(size=(500, 3)) * 2
    where, weight = scripts("symmetry_nearest").closest(corners, np.arange(500), points)
    assert_allclose(where, trimesh.triangles.closest_point(corners, points), atol=1e-9)
    assert_allclose(np.einsum("nk,nkj->nj", weight, corners), where, atol=1e-12)


def test_groups_found_once_are_kept(scripts, tmp_path):
    symmetry = scripts("symmetry")
    folder = folder_of(tmp_path, "sheet")
    old = entry_of(folder / "sheet" / "model.obj", [STILL])
    assert list(symmetry.survey(str(folder), [0.5, 1.0, 2.0], {"sheet": old})) == [("sheet", old)]
    for name in ("sheet", "other"):
        known = metrics.load_symmetry("", path=path) if (path := tmp_path / "groups.json").is_file() else {}
        symmetry.save(path, name, dict.fromkeys([*known, name], old))
    assert list(metrics.load_symmetry("", path=path)) == ["sheet", "other"]


def test_a_result_is_scored_again_from_its_rows(scripts):
    over = Rotation.from_rotvec([np.pi, 0, 0]).as_matrix()
    turns = Rotation.from_quat(shipped("lego")["tolerance"]["1.0"]["rotations"]).as_matrix()
    rows = [row(object="lego", answer="lego", estimated_rotation=turn.tolist()) for turn in (turns[1], over)]
    result = {"kept": 1, "rows": [dataclasses.asdict(r) for r in rows], "summary": {"add_s_median_mm": 1.5}}
    new = scripts("rescore").rescore(result, "default")
    assert new["kept"] == 1 and new["rows"][0]["think_ms"] == [1.0, 3.0]
    first, second = (EpisodeRecord(**r) for r in new["rows"])
    assert first.rotation_error_deg < 0.01 and first.rotation_error_plain_deg > 89
    assert second.rotation_error_deg > 170 and second.rotation_error_plain_deg == 180.0
    summary = new["summary"]
    assert (summary["within_10deg"], summary["within_10deg_plain"], summary["add_s_median_mm"]) == (0.5, 0.0, 1.5)
    assert_allclose(summary["rotation_error_median_deg"], second.rotation_error_deg / 2, atol=0.01)


def test_rotation_error_takes_the_least_over_the_group():
    true = Rotation.from_rotvec([0.3, -0.8, 0.5]).as_matrix()
    half = Rotation.from_rotvec([0, 0, np.pi]).as_matrix()
    off = Rotation.from_rotvec([0.1, 0, 0]).as_matrix()
    assert_allclose(rotation_error(true @ half @ off, true), np.pi, atol=0.01)
    assert_allclose(rotation_error(true @ half @ off, true, Symmetry(np.stack([np.eye(3), half]))), 0.1)
    assert rotation_error(true, half, Symmetry(full=True)) == 0.0


def test_rotation_error_about_an_axis_is_the_least_over_all_angles():
    rng = np.random.default_rng(0)
    flip = Rotation.from_rotvec([np.pi, 0, 0]).as_matrix()
    axis = np.array([0.0, 0.0, 1.0])
    symmetry = Symmetry(np.stack([np.eye(3), flip]), axis)
    spins = Rotation.from_rotvec(np.radians(np.arange(0, 360, 0.25))[:, None] * axis).as_matrix()
    for a, b in Rotation.random(20, rng=rng).as_matrix().reshape(10, 2, 3, 3):
        tried = min(metrics.rotation_angle(a, b @ spins @ d).min() for d in (np.eye(3), flip))
        assert rotation_error(a, b, symmetry) <= tried + 1e-12
        assert_allclose(rotation_error(a, b, symmetry), tried, atol=5e-3)
        assert rotation_error(b @ spins[77] @ flip, b, symmetry) < 1e-7
    tilt = Rotation.from_rotvec([0.2, 0, 0]).as_matrix()
    assert_allclose(rotation_error(spins[300] @ tilt, np.eye(3), symmetry), 0.2)


def test_an_oblique_axis_needs_no_special_frame():
    axis = np.array([1.0, 2.0, -2.0]) / 3
    spin = Rotation.from_rotvec(1.234 * axis).as_matrix()
    true = Rotation.from_rotvec([0.4, 0.1, -0.9]).as_matrix()
    assert rotation_error(true @ spin, true, Symmetry(axis=axis)) < 1e-7


def test_add_s_by_hand():
    points = np.array([[0.0, 0, 0], [1, 0, 0]])
    half = Rotation.from_rotvec([0, 0, np.pi]).as_matrix()
    still = (np.eye(3), np.zeros(3))
    assert metrics.add_s(still, still, points) == 0.0
    assert_allclose(metrics.add_s((half, np.array([1.0, 0, 0])), still, points), 0.0, atol=1e-12)
    assert_allclose(metrics.add_s((half, np.zeros(3)), still, points), 0.5)  # (0 + 1) / 2


def test_wilson_by_hand():
    assert_allclose(metrics.wilson(8, 10), (0.4902, 0.9433), atol=1e-4)
    assert_allclose(metrics.wilson(0, 10), (0.0, 0.2775), atol=1e-4)
    assert metrics.wilson(0, 0) == (0.0, 1.0)
    with pytest.raises(ValueError, match="successes"):
        metrics.wilson(3, 2)


TURN = [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]]


def row(**changed) -> EpisodeRecord:
    plain = {
        "object": "mug", "answer": "mug", "best_guess": "mug", "odds_log": np.log(400.0), "sensations": 4,
        "path_m": 0.2, "rotation_error_deg": 2.0, "rotation_error_half_deg": 3.0,
        "rotation_error_double_deg": 1.0, "rotation_error_plain_deg": 90.0, "add_s_mm": 1.5,
        "think_ms": [1.0, 3.0], "best_guess_per_step": ["duck", "mug"], "seed": 0, "rotation_index": 0,
        "position": [0.0] * 3, "rotation": TURN, "estimated_position": [0.0] * 3, "estimated_rotation": TURN,
    }  # fmt: skip
    return EpisodeRecord(**(plain | changed))


def test_summary_by_hand():
    rows = [
        row(),
        row(sensations=8, rotation_error_deg=20.0, think_ms=[5.0]),
        row(answer=None, sensations=500, rotation_error_deg=170.0, odds_log=1.0),
        row(answer="unknown", best_guess="duck", rotation_error_deg=170.0, best_guess_per_step=["duck"]),
        row(answer="duck", best_guess="duck", rotation_error_deg=170.0, best_guess_per_step=["mug", "duck"]),
    ]
    summary = metrics.summarise(rows)
    assert summary["episodes"] == 5
    assert (summary["correct"], summary["undecided"], summary["unknown"]) == (0.4, 0.2, 0.2)
    assert summary["correct_interval"] == metrics.wilson(2, 5)
    assert summary["best_guess_when_undecided"] == 1.0
    assert summary["sensations_median"] == 4 and summary["sensations_mean"] == 104
    assert summary["rotation_error_median_deg"] == summary["rotation_error_mean_deg"] == 11.0
    assert summary["within_10deg"] == 0.5
    assert (summary["within_10deg_half"], summary["within_10deg_double"], summary["within_10deg_plain"]) == (1, 1, 0)
    assert summary["rotation_error_half_median_deg"] == 3.0 and summary["add_s_median_mm"] == 1.5
    assert summary["think_ms_episode_median"] == 4.0 and summary["think_ms_median"] == 3.0
    assert_allclose(summary["accuracy_curve"][:2], [0.2, 0.6])
    assert len(summary["accuracy_curve"]) == 50 and summary["accuracy_curve"][-1] == 0.6
    (bin_,) = summary["calibration"]
    assert (bin_["from"], bin_["to"], bin_["decisions"], bin_["right"]) == (300.0, 1e3, 4, 0.5)
    assert_allclose(bin_["stated"], 400 / 401)
    json.dumps(summary)


def test_a_summary_without_a_correct_episode():
    summary = metrics.summarise([row(answer=None, best_guess="duck")])
    assert summary["correct"] == 0.0 and summary["rotation_error_median_deg"] is None
    assert summary["calibration"] == [] and summary["best_guess_when_undecided"] == 0.0
    with pytest.raises(ValueError, match="no episodes"):
        metrics.summarise([])


def test_the_shipped_table_has_the_default_objects():
    from cortical.envs.objects import open_catalogue

    assert not any(name.startswith("0") for name in metrics.load_symmetry("default"))  # nor the scans
    for tolerance in (0.5, 1, 2):
        table = metrics.load_symmetry("default-hard", tolerance)
        assert set(table) == set(open_catalogue("default-hard").names)
        for symmetry in table.values():
            assert symmetry.known and rotation_error(np.eye(3), np.eye(3), symmetry) < 1e-6
    assert len(metrics.load_symmetry("default")["lego"].rotations) == 4
    with pytest.raises(ValueError, match="tolerance"):
        metrics.load_symmetry("default", 0.7)


def folder_of(path: Path, name: str, text: str = "v 0 0 0\nv 1 0 0\nv 0 1 0\nf 1 2 3\n") -> Path:
    (path / name).mkdir(parents=True)
    (path / name / "model.obj").write_text(text)
    return path


def entry_of(mesh: Path, quaternions: list[list[float]]) -> dict:
    group = {"rotations": quaternions, "axis": None, "full": False, "closed": True}
    return {"sha256": hashlib.sha256(mesh.read_bytes()).hexdigest(), "tolerance": dict.fromkeys(BARS, group)}


BARS = ("0.5", "1.0", "2.0")
STILL, HALF = [0.0, 0.0, 0.0, 1.0], [0.0, 0.0, 1.0, 0.0]


def shipped(name: str) -> dict:
    text = metrics.files("cortical.agents").joinpath("symmetry.json").read_text()
    return json.loads(text)["objects"][name]


def test_a_mesh_of_the_shipped_table_is_found_wherever_it_lies(tmp_path):
    from cortical.envs.objects import open_catalogue

    lego = open_catalogue("default").mesh("lego").path
    assert lego is not None and shipped("lego")["sha256"] == hashlib.sha256(lego.read_bytes()).hexdigest()
    folder = folder_of(tmp_path / "some # where", "mug")  # its name is in the table, its mesh is another
    (folder / "lego").mkdir()
    shutil.copy(lego, folder / "lego" / f"any{lego.suffix}")
    for source in (str(folder), f"{folder}#set"):
        table = metrics.load_symmetry(source)
        assert table["lego"].known and len(table["lego"].rotations) == 4
        assert not table["mug"].known and set(table) == {"lego"}


def test_a_table_beside_the_meshes_goes_first(tmp_path):
    from cortical.envs.objects import open_catalogue

    lego = open_catalogue("default").mesh("lego").path
    assert lego is not None
    folder = folder_of(tmp_path, "cup")
    (folder / "lego").mkdir()
    shutil.copy(lego, folder / "lego" / lego.name)
    mine = {"cup": entry_of(folder / "cup" / "model.obj", [STILL, HALF]), "lego": entry_of(lego, [STILL])}
    (folder / "symmetry.json").write_text(json.dumps({"objects": mine}))
    table = metrics.load_symmetry(f"{folder}#any")
    assert [len(table[name].rotations) for name in ("cup", "lego")] == [2, 1]


def test_objects_without_an_entry_get_the_identity(tmp_path):
    symmetry = metrics.load_symmetry(str(tmp_path))["cup"]
    assert not symmetry.known and symmetry.rotations.shape == (1, 3, 3)
    assert not metrics.load_symmetry("default")["no such thing"].known
    with pytest.raises(ValueError, match="no file"):
        metrics.load_symmetry("default", path=tmp_path / "none.json")
