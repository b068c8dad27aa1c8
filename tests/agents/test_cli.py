"""The command `cortical`: light until it works, helpful when misspelt, and done when it says so."""

import json
import os
import subprocess
import sys

import pytest

from cortical.agents import commands
from cortical.agents.cli import COMMANDS, main
from cortical.agents.records import experiment_of

HEAVY = ("torch", "pybullet", "numba", "matplotlib")


def cortical(*words: object) -> subprocess.CompletedProcess[str]:
    """Run the command in a process of its own, on a wide terminal."""
    command = [sys.executable, "-m", "cortical.agents.cli", *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, timeout=150, env={**os.environ, "COLUMNS": "200"})


def told(capsys, *words: object) -> str:
    """What the command says to bad input, on one line; it must end with status 2."""
    try:
        status = main([str(word) for word in words])
    except SystemExit as end:
        status = end.code
    caught = capsys.readouterr()
    assert status == 2, caught
    assert "Traceback" not in caught.err
    return " ".join((caught.out + caught.err).split())


# ---- light


@pytest.mark.parametrize("words", [["--help"], ["learn", "--help"], ["recognise", "--config", "fivee"]])
def test_nothing_heavy_is_imported_before_a_command_runs(words):
    code = (
        f"import sys\nfrom cortical.agents.cli import main\n"
        f"try:\n    main({words!r})\nexcept SystemExit:\n    pass\n"
        f"print('imported', [name for name in {HEAVY!r} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "imported []"


def test_help_names_every_command_and_the_presets(capsys):
    assert main(["--help"]) == 0
    said = capsys.readouterr().out
    for name in COMMANDS:
        assert name in said and hasattr(commands, name)
    assert "five" in said and "--from-run" in said
    assert main([]) == 0
    assert capsys.readouterr().out == said


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_explains_its_flags(capsys, name):
    with pytest.raises(SystemExit) as end:
        main([name, "--help"])
    assert end.value.code == 0
    said = capsys.readouterr().out
    assert ("--eye.columns" in said) == (name != "plot") and ("--format" in said) == (name == "plot")


# ---- misspelt


def test_a_misspelt_command_is_guessed():
    done = cortical("recogise")
    assert done.returncode == 2
    assert done.stderr.strip() == "cortical: no command 'recogise': did you mean recognise?"


def test_a_word_that_is_no_command_brings_the_list(capsys):
    assert f"choose {', '.join(COMMANDS)}" in told(capsys, "xyzzy")


def test_a_misspelt_flag_is_guessed(capsys):
    assert "--eye.columns" in told(capsys, "learn", "--eye.colums", "3")


def test_a_misspelt_preset_is_guessed(capsys):
    assert "did you mean 'five'?" in told(capsys, "learn", "--config", "fiv")


def test_a_misspelt_object_is_guessed(capsys, tmp_path):
    said = told(capsys, "learn", "--world.objects", "solids", "--names", "sphrere", "--out", tmp_path / "run")
    assert "did you mean 'sphere'?" in said


def test_a_mistake_leaves_no_run_folder(capsys, tmp_path):
    told(capsys, "learn", "--world.objects", "solids", "--names", "sphrere", "--out", tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    "words, complaint",
    [
        (["--config"], "--config needs a value"),
        (["--from-run="], "--from-run needs a value"),
        (["--config", "five", "--from-run", "x"], "not both"),
        (["--from-run", "nowhere"], "nowhere is not a run folder"),
        (["--eye.columns", "0"], "eye.columns and touch.fingers are both 0"),
        (["--eye.columns", "many"], "eye.columns"),
        (["--world.objects", "nowhere/at/all"], "no folder nowhere/at/all"),
        (["--policy.name", "sacade"], "saccade"),
    ],
)
def test_bad_input_is_told_with_a_remedy(capsys, tmp_path, words, complaint):
    assert complaint in told(capsys, "learn", "--out", tmp_path / "run", *words)


def test_ctrl_c_ends_with_130_and_says_how_to_go_on(capsys, monkeypatch):
    def interrupted(arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr(commands, "objects", interrupted)
    assert main(["objects"]) == 130
    assert "the same command goes on where it stopped" in capsys.readouterr().err


# ---- flags


def test_flags_go_on_top_of_a_preset(monkeypatch):
    seen = []
    monkeypatch.setattr(commands, "recognise", seen.append)
    words = ["--config", "five", "--eye.spread", "3", "--names", "mug", "bowl", "--rotations", "4", "--seed=7"]
    assert main(["recognise", *words]) == 0
    (asked,) = seen
    assert (asked.names, asked.rotations, asked.maps) == (("mug", "bowl"), 4, None)
    experiment = asked.experiment
    assert (experiment.eye.columns, experiment.eye.spread, experiment.seed) == (5, 3.0, 7)
    assert experiment.lateral.topology == "all-to-all"


def test_a_file_of_ones_own_is_a_preset_too(monkeypatch, tmp_path):
    seen = []
    monkeypatch.setattr(commands, "vote", seen.append)
    (tmp_path / "mine.toml").write_text('[policy]\nname = "saccade"\n')
    assert main(["vote", f"--config={tmp_path / 'mine.toml'}", "--columns", "1", "3"]) == 0
    assert (seen[0].experiment.policy.name, seen[0].columns) == ("saccade", (1, 3))


# ---- the commands


def test_objects_lists_a_catalogue():
    done = cortical("objects", "--world.objects", "solids")
    assert done.returncode == 0, done.stderr
    lines = [line for line in done.stdout.splitlines() if "triangles" in line]
    names = ["sphere", "cylinder", "torus", "ellipsoid", "box", "cone", "capsule"]
    assert [line.split()[0] for line in lines] == names
    assert "10.0 x  10.0 x  10.0 cm" in lines[0]


@pytest.fixture(scope="module")
def learnt_here(tmp_path_factory):
    """Two solids learnt by the command."""
    folder = tmp_path_factory.mktemp("cli") / "learnt"
    flags = ["--world.objects", "solids", "--learn.sensations-per-view", "250", "--policy.name", "saccade"]
    done = cortical("learn", "--names", "torus", "box", "--out", folder, *flags)
    assert done.returncode == 0, done.stderr
    assert "2 maps" in done.stdout
    return folder


def test_learn_keeps_a_map_an_object(learnt_here):
    assert {path.name for path in learnt_here.glob("[!.]*")} == {"run.json", "maps"}
    maps = sorted(path.name for path in (learnt_here / "maps").iterdir())
    assert maps == ["box.safetensors", "torus.safetensors"]
    run = json.loads((learnt_here / "run.json").read_text())
    assert run["command"] == "learn" and run["config"]["learn"]["sensations_per_view"] == 250
    assert "--names" in run["argv"]


def test_recognise_by_maps_of_another_run(learnt_here, tmp_path):
    """With the settings of the run that learnt them; given again, nothing is done twice."""
    out = tmp_path / "run"
    words = ["recognise", "--from-run", learnt_here, "--maps", learnt_here, "--names", "torus", "box", "--out", out]
    done = cortical(*words)
    assert done.returncode == 0, done.stderr
    assert "2 of 2" in done.stdout
    assert experiment_of(out) == experiment_of(learnt_here)
    rows = [json.loads(line) for line in (out / "episodes.jsonl").read_text().splitlines()]
    assert [(row["object"], row["answer"]) for row in rows] == [("torus", "torus"), ("box", "box")]
    assert len((out / "traces.jsonl").read_text().splitlines()) == 2
    assert (out / "run.png").read_bytes()[:4] == b"\x89PNG"
    assert not list((out / "maps").iterdir())
    before = (out / "episodes.jsonl").read_bytes()
    assert main([str(word) for word in words]) == 0
    assert (out / "episodes.jsonl").read_bytes() == before


def test_maps_of_other_settings_are_refused(capsys, learnt_here, tmp_path):
    words = ["--world.objects", "solids", "--maps", learnt_here, "--names", "torus", "--out", tmp_path / "run"]
    assert "sensations_per_view is 250 there and 1000 here" in told(capsys, "recognise", *words)


def test_a_folder_of_another_run_is_left_alone(capsys, learnt_here):
    before = {path: path.stat().st_mtime_ns for path in learnt_here.rglob("*")}
    said = told(capsys, "learn", "--from-run", learnt_here, "--seed", "1", "--out", learnt_here)
    assert "holds another run (config.seed is 0 there and 1 here)" in said and "--out" in said
    assert {path: path.stat().st_mtime_ns for path in learnt_here.rglob("*")} == before


def test_a_folder_that_cannot_be_written_is_told(capsys, tmp_path):
    (tmp_path / "file").write_text("")
    assert "cannot write in" in told(capsys, "learn", "--out", tmp_path / "file" / "run")


def test_vote_compares_numbers_of_columns(learnt_here, tmp_path):
    out = tmp_path / "run"
    words = ["vote", "--from-run", learnt_here, "--maps", learnt_here, "--names", "box", "--out", out]
    assert main([str(word) for word in [*words, "--columns", "1", "3"]]) == 0
    rows = [json.loads(line) for line in (out / "episodes.jsonl").read_text().splitlines()]
    assert [row["label"] for row in rows] == ["1 column", "3 columns"]
    assert (out / "vote.png").exists()
