"""What is kept for a view, what is drawn of it, the page of an episode, and a body driven by hand."""

import html
import json
import re
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
import trimesh
from scipy.spatial import cKDTree
from scipy.spatial.transform import Rotation

from cortical.agents.brain import build_region
from cortical.agents.cli import main
from cortical.agents.drive import Drive
from cortical.agents.episode import ColumnTrace, PoseTrace, StepTrace
from cortical.agents.page import column_table, page
from cortical.agents.records import RunError, RunFolder, episodes_in
from cortical.agents.rollout import make_agent, play
from cortical.agents.runs import with_columns
from cortical.agents.scene3d import pale, rgb, snapshot
from cortical.agents.shown import choose, episodes_shown, shown, stand
from cortical.agents.story import ending, share_text, tell
from cortical.agents.viser_view import _glb, _linear, _wxyz
from cortical.configs.schema import TouchConfig
from cortical.envs.bodies import looking
from cortical.envs.sensors import shared_catalogue


@pytest.fixture(scope="module")
def run(learnt, tmp_path_factory):
    """A run folder with maps and four episodes: of the torus and the box, with one column and with three."""
    path = tmp_path_factory.mktemp("viewed")
    (path / "maps").symlink_to(learnt.folder / "maps")
    experiment = with_columns(learnt.experiment, 3)
    folder = RunFolder(path, experiment, "recognise")
    for columns, label in ((1, "1 column"), (3, "3 columns")):
        one = with_columns(experiment, columns)
        agent = make_agent(one, build_region(one, learnt.maps))
        for name in ("torus", "box"):
            folder.append(label, play(agent, name, seed=5))
        agent.env.close()
    return path


@pytest.fixture(scope="module")
def torus(run):
    return shown(run, name="torus")


# ---- what is kept


def test_a_trace_keeps_the_strongest_poses_and_what_each_column_votes_for(torus):
    record = torus.record
    assert len(record.trace[0].columns) == 3
    for step in record.trace:
        weights = [pose.weight for pose in step.hypotheses]
        assert weights == sorted(weights, reverse=True) and 0 < sum(weights) < 1 + 1e-6 and len(weights) <= 24
        for column in step.columns:
            if column.vote >= 0:
                assert step.hypotheses[column.vote].object == column.alone_best
        turns = np.array([pose.rotation for pose in step.hypotheses])
        assert np.allclose(np.linalg.norm(turns, axis=1), 1.0, atol=1e-4)
        kept = sum(pose.weight for pose in step.hypotheses if pose.object == step.best)
        assert kept <= step.posterior[step.best] + 1e-6
    assert any(column.vote >= 0 for step in record.trace for column in step.columns)
    last = next(pose for pose in record.trace[-1].hypotheses if pose.object == record.best_guess)
    assert np.allclose(last.location, record.estimated_position, atol=2e-5)
    turn = Rotation.from_quat(last.rotation).as_matrix()
    assert np.allclose(turn, record.estimated_rotation, atol=1e-4), "xyzw, world_from_object"


def test_a_trace_keeps_where_sensors_were_and_where_the_movement_was_to_go(torus):
    first, *later = torus.record.trace
    assert first.goal == []
    for step in later:
        place, target = map(np.array, step.goal)
        assert np.linalg.norm(place - step.eye) < 0.2
        reached = np.allclose(place, step.eye, atol=1e-3)
        aim = (target - step.eye) / np.linalg.norm(target - step.eye)
        assert not reached or float(aim @ step.gaze) > 0.8  # turns are limited to 30 degrees
    for step in torus.record.trace:
        assert np.allclose(step.origin, [step.eye] * 3, atol=2e-5)


def test_what_is_kept_comes_back_from_a_file_and_older_lines_can_still_be_read(run, torus, tmp_path):
    record = episodes_in(run)["3 columns"]["torus", 5, 0]
    assert record == torus.record and isinstance(record.trace[0].hypotheses[0], PoseTrace)
    old = tmp_path / "old"
    old.mkdir()
    for name in ("run.json", "episodes.jsonl"):
        (old / name).write_text((run / name).read_text())
    lines = [json.loads(line) for line in (run / "traces.jsonl").read_text().splitlines()]
    for step in (step for line in lines for step in line["trace"]):
        for name in ("goal", "origin", "hypotheses"):
            del step[name]
        for column in step["columns"]:
            del column["vote"]
    (old / "traces.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    before = shown(old, name="torus", maps=run)
    assert before.record.trace[0].hypotheses == []
    assert {"rays", "way"} >= set(before.snapshot(0).lines)
    assert "recorded before poses were kept" in page(before, "")


# ---- which episode


def test_the_episode_that_is_shown_can_be_chosen(run):
    assert choose(run)[0] == "3 columns"
    assert choose(run, number=2)[1].object == "box" and choose(run, number=2)[0] == "1 column"
    assert choose(run, name="torus")[1].object == "torus"
    assert [one.label for one in episodes_shown(run)] == ["3 columns"] * 2 + ["1 column"] * 2
    with pytest.raises(RunError, match="choose box, torus"):
        choose(run, name="mug")
    with pytest.raises(RunError, match="episodes 1 to 4, none of number 5"):
        choose(run, number=5)


def test_a_run_without_episodes_or_without_traces_says_what_to_do(run, learnt, tmp_path):
    empty = RunFolder(tmp_path / "empty", learnt.experiment, "learn")
    with pytest.raises(RunError, match=r"holds no episode.*cortical recognise"):
        choose(empty.path)
    assert episodes_shown(empty.path) == []
    record = choose(run)[1]
    empty.append("bare", replace(record, trace=[]))
    with pytest.raises(RunError, match="recorded without traces"):
        choose(empty.path)
    with pytest.raises(RunError, match="recorded without a trace: choose another"):
        choose_first = choose(run)  # one with a trace, so that the folder has both
        empty.append("full", choose_first[1])
        choose(empty.path, number=1)


# ---- what is drawn


def test_a_map_is_drawn_where_its_object_is_believed_to_be(torus):
    last = torus.snapshot(len(torus.record.trace) - 1)
    clouds = {name: cloud for name, cloud in last.clouds.items() if name.startswith("map/")}
    assert len(clouds) == 1
    cloud = next(iter(clouds.values()))
    points = Rotation.from_quat(cloud.rotation).apply(cloud.points) + cloud.location
    rotation, position = np.array(torus.record.rotation), np.array(torus.record.position)
    off = cKDTree(torus.mesh.vertices).query((points - position) @ rotation)[0]
    assert np.median(off) < 0.004, "the map lies on the object"
    assert last.lines["votes"].segments.shape[1:] == (2, 3) and "goal" not in last.lines
    assert "goal" in torus.snapshot(0).lines and "next" in torus.snapshot(0).labels


def test_votes_run_from_what_a_column_met_to_the_name_of_its_object(torus):
    for k, step in enumerate(torus.record.trace):
        drawn = torus.snapshot(k)
        votes = [column for column in step.columns if column.vote >= 0]
        segments = drawn.lines["votes"].segments if "votes" in drawn.lines else np.zeros((0, 2, 3))
        assert len(segments) <= len(votes)
        met = np.array([point for one in torus.record.trace[: k + 1] for point in one.location if point])
        signs = np.array([place for word, place in drawn.labels.items() if "%" in word])
        for start, end in segments:
            assert np.linalg.norm(met - start, axis=1).min() < 1e-6
            assert np.linalg.norm(signs - end, axis=1).min() < 1e-6


def hand_made(weights, votes=()) -> StepTrace:
    poses = [PoseTrace("torus", [0.05 * i, 0.0, 0.0], [0.0, 0.0, 0.0, 1.0], w) for i, w in enumerate(weights)]
    columns = [ColumnTrace(0.1, "torus", 2.0, 0.1, "torus", 1.0, vote) for vote in votes]
    return StepTrace(
        "torus", 2.0, 0.1, {"torus": sum(weights)}, columns, 3, [0.0, 0.0, 0.3], [0.0, 0.0, -1.0],
        [[0.0, 0.0, 0.02]] * len(votes), 1.0, 0.1, "to see", hypotheses=poses,
    )  # fmt: skip


def test_poses_pale_as_evidence_speaks_against_them(learnt):
    def darkness(weights) -> np.ndarray:
        cloud = snapshot([hand_made(weights, votes=[0])], learnt.maps, {"torus": "#0072B2"}, 0.3).clouds["hypotheses"]
        by_pose = np.round(cloud.points[:, 0] / 0.05).astype(int)
        return np.array([255 - cloud.colours[by_pose == i].mean() for i in range(1, len(weights))])

    before, after = darkness([0.4, 0.3, 0.2]), darkness([0.97, 0.02, 0.001])
    assert before[0] > before[1] > 0 and (after < 0.6 * before).all()
    assert (pale(rgb("#000000"), 0.25) == 0.75).all()


def test_poses_that_lie_on_one_that_is_drawn_are_left_out(learnt):
    step = hand_made([0.5, 0.4], votes=[0])
    near = step.hypotheses[0]._replace(location=[0.001, 0.0, 0.0], weight=0.3)
    turned = near._replace(rotation=Rotation.from_rotvec([0.0, 0.0, 0.5]).as_quat().tolist())
    for extra, drawn in ((near, False), (turned, True), (near._replace(object="box"), True)):
        one = replace(step, hypotheses=[step.hypotheses[0], extra])
        assert ("hypotheses" in snapshot([one], learnt.maps, {}, 0.3).clouds) is drawn


def test_the_camera_stands_so_that_the_object_fills_a_quarter_of_the_height_at_least():
    random = np.random.default_rng(0)
    for _ in range(300):
        edges = random.uniform(0.02, 0.12, 3)
        solid = random.uniform(-0.5, 0.5, (60, 3)) * edges + random.uniform(-0.05, 0.05, 3)
        others = random.uniform(-0.4, 0.4, (random.integers(0, 6), 3))
        bearing = random.standard_normal(3) * (1.0, 1.0, 0.4)
        position, target = stand(solid, others, bearing, 0.7)
        camera = looking(target - position)
        seen = (solid - position) @ camera
        height = np.ptp(seen[:, 1] / seen[:, 2]) / (2 * np.tan(0.35))
        assert 0.25 <= height <= 0.75 and (seen[:, 2] > 0.01).all()
        assert np.abs(seen[:, 1] / seen[:, 2]).max() < 1.02 * np.tan(0.35), "and none of it is cut off"


def test_quaternions_are_turned_round_for_viser_alone():
    assert _wxyz(np.array([1.0, 2.0, 3.0, 4.0])).tolist() == [4.0, 1.0, 2.0, 3.0]
    assert _linear(np.array([[0, 128, 255]], np.uint8)).tolist() == [[0, 55, 255]]


@pytest.mark.parametrize(("source", "name"), [("solids", "torus"), ("default", "duck"), ("default", "panda_hand")])
def test_the_object_keeps_its_shape_and_colours_on_the_page(source, name):
    mesh = shared_catalogue(source).mesh(name)
    scene = trimesh.load_scene(trimesh.util.wrap_as_stream(_glb(mesh)), file_type="glb")
    (solid,) = scene.geometry.values()
    assert np.allclose(solid.bounds, [mesh.vertices.min(0), mesh.vertices.max(0)], atol=1e-6)
    image = np.asarray(solid.visual.material.baseColorTexture.convert("RGB"))
    assert max(image.shape) <= 512
    if mesh.texture is None:
        assert np.abs(image.reshape(-1, 3)[0] / 255 - mesh.face_colour[0]).max() < 0.003


# ---- the page


def test_the_page_tells_answer_and_story_and_what_each_column_believes(torus):
    text = page(torus, "<p>the scene</p>")
    plain = html.unescape(re.sub(r"<[^>]+>", "", text.replace("</button>", ":</button>")))
    assert ending(torus.record) in plain
    for line in tell(torus.record):
        assert line in plain
    assert "How 3 columns that vote explored the torus" in plain and "after the votes" in plain
    assert text.count("class='step'") == len(torus.record.trace)
    assert "srcdoc=\"&lt;p&gt;the scene&lt;/p&gt;\"" in text and "<svg" in text
    links = set(re.findall(r"(?:src|href)=[\"']([^\"'#][^\"']*)", text.replace("srcdoc=", "")))
    assert all(link.startswith(("data:", "blob:")) for link in links), links


def test_what_comes_from_a_run_is_text_and_never_markup(torus):
    evil = "<script>alert(1)</script>"
    steps = [replace(step, best=evil, posterior={evil: 1.0}) for step in torus.record.trace]
    columns = [replace(column, best=evil, alone_best=evil) for column in steps[0].columns]
    trace = [replace(step, columns=columns) for step in steps]
    record = replace(torus.record, object=evil, best_guess=evil, trace=trace)
    text = page(replace(torus, record=record, label=evil, colours={evil: "#000000"}), "")
    assert "<script>alert" not in text and "&lt;script&gt;alert" in text


def test_shares_of_belief_in_words():
    assert share_text("mug", 0.0) == "mug 50 %" and share_text("mug", 9.0) == "mug > 99 %"
    assert share_text("unknown", -800.0) == "something unknown 0 %"
    one = hand_made([0.9], votes=[0])
    assert "torus 73 %" in column_table(one, {}) and "after the votes" not in column_table(one, {})
    assert "after the votes" in column_table(hand_made([0.9], votes=[0, -1]), {})


def test_the_command_writes_a_page_beside_the_run(run, capsys):
    assert main(["view", str(run), "--object", "box"]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "box, 3 columns: Decided: box, right" in said and str(run / "view.html") in said
    text = (run / "view.html").read_text()
    assert "__VISER_EMBED_DATA__" in text and "explored the box" in text
    assert (run / "view.html").stat().st_size < 4e6


def test_without_viser_the_command_says_how_to_get_it(run, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "viser", None)
    assert main(["view", str(run)]) == 2
    assert "pip install 'cortical-columns[view]'" in capsys.readouterr().err


def test_a_folder_that_is_no_run_is_told(tmp_path, capsys):
    assert main(["view", str(tmp_path)]) == 2
    assert "not a run folder" in capsys.readouterr().err


# ---- driving


@pytest.fixture
def drive(learnt):
    made = Drive(with_columns(learnt.experiment, 3), learnt.maps, np.random.default_rng(1))
    yield made
    made.close()


def test_a_person_moves_the_eye_and_it_goes_on_looking_at_the_same_point(drive):
    drive.begin("torus")
    before = drive.agent.env.eye
    away = drive._distance(before.position)
    target = before.position + away * before.rotation[:, 2]
    assert drive.move(np.array([0.03, 0.0, 0.0]), (0.0, 0.0), hold=True) is False
    eye = drive.agent.env.eye
    assert np.allclose(eye.position, before.position + 0.03 * before.rotation[:, 0], atol=1e-6)
    assert np.linalg.norm(np.cross(target - eye.position, eye.rotation[:, 2])) < 1e-6
    drive.move(np.zeros(3), (0.1, 0.0))
    turned = drive.agent.env.eye
    assert np.isclose(np.arccos(turned.rotation[:, 2] @ eye.rotation[:, 2]), 0.1, atol=1e-5)
    assert len(drive.steps) == 3 and drive.steps[-1].reason == "moved by hand"


def test_the_policy_drives_to_the_right_answer_and_the_truth_is_told_only_when_asked(drive):
    drive.begin("box")
    for _ in range(30):
        if drive.decided:
            break
        assert "goal" in drive.snapshot().lines
        drive.follow()
    assert drive.decided and "Decided" in drive.words() and "box" in drive.words()
    assert drive.truth() == "It is the box: the best guess is right."
    assert drive.colours["box"].startswith("#")
    mesh, position, _ = drive.solid()
    assert mesh.name == "box" and np.abs(position).max() < 0.06
    drive.begin()
    assert len(drive.steps) == 1


def test_what_is_in_the_way_stops_the_eye(drive):
    drive.begin("torus")
    stopped = [drive.move(np.array([0.0, 0.0, 0.2]), (0.0, 0.0)) for _ in range(3)]
    assert any(stopped)


def test_eye_and_finger_can_be_driven_in_turn(learnt):
    experiment = replace(with_columns(learnt.experiment, 1), touch=TouchConfig(fingers=1))
    drive = Drive(experiment, learnt.maps, np.random.default_rng(2))
    assert drive.bodies == ("eye", "finger")
    eye, finger = (body.position for body, _ in drive.agent.env.bodies)
    drive.move(np.array([0.02, 0.0, 0.0]), (0.0, 0.0), body=1)
    moved = [body.position for body, _ in drive.agent.env.bodies]
    assert np.allclose(moved[0], eye) and not np.allclose(moved[1], finger)
    drawn = drive.snapshot()
    assert len(drawn.lines["way"].segments) == 2, "each body has a way of its own"
    drive.close()
    torch.manual_seed(0)
