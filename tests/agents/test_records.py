"""Run folders: what goes in comes out, what was torn is skipped, what is another's is left alone."""

import json
import os
import subprocess
import sys
from dataclasses import dataclass, field, replace

import pytest

from cortical.agents import records
from cortical.agents.brain import stored_schema
from cortical.agents.episode import ColumnTrace, EpisodeRecord, StepTrace
from cortical.agents.records import RunError, RunFolder, episodes_in, experiment_of, read_run
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


def rewritten(file, edit):
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    for line in lines:
        edit(line)
    file.write_text("".join(json.dumps(line) + "\n" for line in lines))


@dataclass(frozen=True)
class LaterStep(StepTrace):
    """A step as a later version may describe it."""

    prior: float = 0.25
    senses: list[str] = field(default_factory=lambda: ["eye"])


def test_lines_of_an_older_version_have_the_defaults_of_what_is_new(folder, monkeypatch):
    folder.append("1 column", record())
    monkeypatch.setattr(records, "StepTrace", LaterStep)
    step = folder.episodes("1 column")["mug", 0, 0].trace[0]
    assert (step.prior, step.senses, step.columns) == (0.25, ["eye"], record().trace[0].columns)


def test_lines_of_a_newer_version_lose_what_is_not_known_here(folder):
    folder.append("1 column", record())

    def newer(line):
        line["pupil"] = 3.0
        for step in line.get("trace", ()):
            step["mood"] = "good"
            step["columns"][0]["layers"] = [1, 2]

    for name in ("episodes.jsonl", "traces.jsonl"):
        rewritten(folder.path / name, newer)
    assert folder.episodes("1 column") == {("mug", 0, 0): record()}


@pytest.mark.parametrize(
    "file, name", [("episodes.jsonl", "answer"), ("traces.jsonl", "seed"), ("traces.jsonl", "trace")]
)
def test_a_line_that_says_too_little_is_told(folder, file, name):
    folder.append("1 column", record())
    rewritten(folder.path / file, lambda line: line.pop(name))
    with pytest.raises(RunError, match=rf"{file} has a line without '{name}': delete that line"):
        folder.episodes("1 column")


def test_all_episodes_of_a_folder_by_label(folder):
    folder.append("1 column", record())
    folder.append("5 columns", record("bowl"))
    folder.append("5 columns", record("mug"))
    found = episodes_in(folder.path)
    assert {label: list(rows) for label, rows in found.items()} == {
        "1 column": [("mug", 0, 0)],
        "5 columns": [("bowl", 0, 0), ("mug", 0, 0)],
    }


# ---- whose folder it is


def test_another_process_is_refused(folder):
    code = (
        "import sys\nfrom pathlib import Path\nfrom cortical.agents.records import RunFolder\n"
        "from cortical.configs.load import load\nRunFolder(Path(sys.argv[1]), load(), 'recognise')"
    )
    done = subprocess.run([sys.executable, "-c", code, str(folder.path)], capture_output=True, text=True, check=False)
    said = done.stderr.splitlines()[-1]
    assert f"another process is at work in {folder.path} (process {os.getpid()} on " in said
    assert said.endswith("wait until it ends, stop it, or choose another folder with --out")
    assert experiment_of(folder.path) == EXPERIMENT  # whoever only reads may


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


@pytest.mark.parametrize("left", [b'{"command": "reco', b"", b"\xff\xff", b"[]", b'{"config": 3}', b"[" * 100_000])
def test_a_damaged_run_file_is_told(folder, left):
    (folder.path / "run.json").write_bytes(left)
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


def test_a_run_begun_before_a_setting_existed_goes_on(tmp_path):
    experiment = load()
    RunFolder(tmp_path, experiment, "learn")
    file = tmp_path / "run.json"
    there = json.loads(file.read_text())
    del there["config"]["touch"], there["config"]["column"]["watchful"]
    file.write_text(json.dumps(there))
    RunFolder(tmp_path, experiment, "learn")
    watchful = replace(experiment, column=replace(experiment.column, watchful=True))
    with pytest.raises(RunError, match="watchful"):
        RunFolder(tmp_path, watchful, "learn")
