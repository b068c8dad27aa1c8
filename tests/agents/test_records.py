"""Run folders: what goes in comes out, what was torn is skipped, what is another's is left alone."""

import json
from dataclasses import replace

import pytest

from cortical.agents.brain import stored_schema
from cortical.agents.episode import ColumnTrace, EpisodeRecord, StepTrace
from cortical.agents.records import RunError, RunFolder, experiment_of, read_run
from cortical.columns.object_map import ObjectMap
from cortical.configs.load import load
from cortical.configs.schema import DecisionConfig, Experiment, LearnConfig, PolicyConfig, WorldConfig

EXPERIMENT = load()


def trace(best="mug"):
    column = ColumnTrace(0.1, best, 2.0, 0.4, "unknown", -1.5)
    return StepTrace(
        best, 2.0, 0.3, {best: 0.9, "unknown": 0.1}, [column, column], 12, [0.0, 0.1, 0.2], [0.0, 0.0, -1.0],
        [[0.01, 0.02, 0.03], []], 1.5, 0.25, "to tell apart",
    )  # fmt: skip


def record(name="mug", seed=0, index=0, **changes):
    turn = [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]]
    made = EpisodeRecord(
        object=name, answer=name, best_guess=name, odds_log=7.0, sensations=2, path_m=0.1,
        rotation_error_deg=1.0, rotation_error_half_deg=1.5, rotation_error_double_deg=0.5,
        rotation_error_plain_deg=90.0, add_s_mm=1.25, think_ms=[1.5, 1.5], best_guess_per_step=[name, name],
        seed=seed, rotation_index=index, position=[0.0, 0.1, 1e-9], rotation=turn,
        estimated_position=[0.0, 0.1, 0.0], estimated_rotation=turn, trace=[trace(name), trace(name)],
    )  # fmt: skip
    return replace(made, **changes)


@pytest.fixture
def folder(tmp_path):
    return RunFolder(tmp_path / "run", EXPERIMENT, "recognise")


# ---- rows and traces


def test_rows_and_traces_come_back(folder):
    put = [record(), record("bowl", 1, 2, answer=None, odds_log=-0.3)]
    for one in put:
        folder.append("1 column", one)
    back = folder.episodes("1 column")
    assert back == {("mug", 0, 0): put[0], ("bowl", 1, 2): put[1]}
    again = RunFolder(folder.path, EXPERIMENT, "recognise").episodes("1 column")
    assert again == back


def test_labels_are_kept_apart(folder):
    one, five = record(), record(odds_log=20.0, trace=[trace("bowl")])
    folder.append("1 column", one)
    folder.append("5 columns", five)
    assert folder.episodes("1 column") == {("mug", 0, 0): one}
    assert folder.episodes("5 columns") == {("mug", 0, 0): five}
    assert folder.episodes("9 columns") == {}


def test_rows_hold_the_tables_and_traces_the_steps(folder):
    folder.append("1 column", record())
    row = json.loads((folder.path / "episodes.jsonl").read_text())
    assert (row["label"], row["object"], row["answer"]) == ("1 column", "mug", "mug") and "trace" not in row
    steps = json.loads((folder.path / "traces.jsonl").read_text())
    assert (steps["label"], steps["object"], steps["seed"], steps["rotation_index"]) == ("1 column", "mug", 0, 0)
    assert len(steps["trace"]) == 2


@pytest.mark.parametrize("kept", [1, 20, -2])
def test_a_torn_last_line_is_skipped_and_written_past(folder, kept):
    first, torn = record("mug"), record("bowl")
    folder.append("1 column", first)
    rows = folder.path / "episodes.jsonl"
    whole = rows.read_bytes()
    folder.append("1 column", torn)
    added = rows.read_bytes()[len(whole) :]
    rows.write_bytes(whole + added[:kept])
    assert folder.episodes("1 column") == {("mug", 0, 0): first}
    folder.append("1 column", torn)
    assert folder.episodes("1 column") == {("mug", 0, 0): first, ("bowl", 0, 0): torn}


def test_a_trace_without_its_row_is_an_episode_not_done(folder):
    folder.append("1 column", record())
    (folder.path / "episodes.jsonl").unlink()
    assert folder.episodes("1 column") == {}
    again = record(trace=[trace("bowl")])
    folder.append("1 column", again)
    assert folder.episodes("1 column") == {("mug", 0, 0): again}


# ---- whose folder it is


def test_a_run_says_how_it_was_made(folder):
    there = read_run(folder.path)
    assert there["command"] == "recognise"
    assert {"torch", "pybullet", "cortical-columns"} <= set(there["versions"])
    assert experiment_of(folder.path) == EXPERIMENT


def test_the_same_run_may_go_on(folder):
    written = (folder.path / "run.json").read_bytes()
    RunFolder(folder.path, EXPERIMENT, "recognise")
    assert (folder.path / "run.json").read_bytes() == written


@pytest.mark.parametrize(
    "other, command, difference",
    [
        (replace(EXPERIMENT, seed=1), "recognise", "config.seed is 0 there and 1 here"),
        (replace(EXPERIMENT, policy=PolicyConfig("saccade")), "recognise", "config.policy.name"),
        (EXPERIMENT, "vote", "command is 'recognise' there and 'vote' here"),
    ],
)
def test_another_run_is_left_alone(folder, other, command, difference):
    written = (folder.path / "run.json").read_bytes()
    with pytest.raises(RunError, match="holds another run") as caught:
        RunFolder(folder.path, other, command)
    assert difference in str(caught.value)
    assert "--out" in str(caught.value) and "--from-run" in str(caught.value)
    assert (folder.path / "run.json").read_bytes() == written


def test_a_folder_that_cannot_be_written_is_told(tmp_path):
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(RunError, match=r"cannot write in .*: choose another folder with --out"):
        RunFolder(tmp_path / "file" / "run", EXPERIMENT, "learn")
    with pytest.raises(RunError, match="choose another folder"):
        RunFolder(tmp_path / "file", EXPERIMENT, "learn")


def test_what_is_no_run_folder_is_told(tmp_path):
    for use in (read_run, experiment_of, lambda path: RunFolder.to_read(path, EXPERIMENT)):
        with pytest.raises(RunError, match=r"is not a run folder \(no run.json in it\)"):
            use(tmp_path)
        with pytest.raises(RunError, match="is not a run folder"):
            use(tmp_path / "nowhere")


def test_a_damaged_run_file_is_told(folder):
    (folder.path / "run.json").write_text('{"command": "reco')
    with pytest.raises(RunError, match="damaged"):
        RunFolder(folder.path, EXPERIMENT, "recognise")


def test_reading_leaves_a_folder_as_it_is(folder):
    before = {path: path.stat().st_mtime_ns for path in folder.path.rglob("*")}
    RunFolder.to_read(folder.path, replace(EXPERIMENT, seed=7))
    assert {path: path.stat().st_mtime_ns for path in folder.path.rglob("*")} == before


# ---- maps


def test_maps_are_found_by_names_of_any_letters(folder):
    schema, known = stored_schema(EXPERIMENT), ObjectMap.empty(0.004)
    name = "tea pot/ä"
    assert folder.load_map(name, schema) is None
    folder.save_map(name, known, schema)
    assert folder.load_map(name, schema).spacing == known.spacing
    assert folder.map_file(name).parent == folder.path / "maps"


def test_objects_of_similar_names_have_maps_of_their_own(folder):
    schema = stored_schema(EXPERIMENT)
    folder.save_map("tea pot", ObjectMap.empty(0.004), schema)
    assert folder.load_map("tea/pot", schema) is None


@pytest.mark.parametrize(
    "other, difference",
    [
        (replace(EXPERIMENT, learn=LearnConfig(sensations_per_view=500)), "sensations_per_view is 1000 there"),
        (replace(EXPERIMENT, world=WorldConfig(objects="solids")), "objects is 'default' there"),
    ],
)
def test_maps_of_other_settings_are_refused(folder, other, difference):
    schema = stored_schema(EXPERIMENT)
    folder.save_map("mug", ObjectMap.empty(0.004), schema)
    with pytest.raises(RunError, match="learnt with other settings") as caught:
        RunFolder.to_read(folder.path, other).load_map("mug", schema)
    assert difference in str(caught.value) and "--out" in str(caught.value)


def test_settings_that_maps_do_not_depend_on_are_no_reason(folder):
    schema = stored_schema(EXPERIMENT)
    folder.save_map("mug", ObjectMap.empty(0.004), schema)
    other = replace(EXPERIMENT, seed=3, decision=DecisionConfig(odds=10.0), policy=PolicyConfig("saccade"))
    assert RunFolder.to_read(folder.path, other).load_map("mug", schema) is not None
    assert isinstance(other, Experiment)
