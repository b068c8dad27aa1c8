"""A run of the recognition benchmark that was cut off goes on where it was, and nowhere else."""

import argparse
import json
import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parents[1] / "benchmarks"))
import recognition

COMMITTED = "recognition-default-noise-1-information_gain-surface-rays.json"


@pytest.fixture(scope="module")
def duck():
    """Rows of one object, as they were published."""
    rows = json.loads((recognition.RESULTS / COMMITTED).read_text())["rows"]
    return [row for row in rows if row["object"] == "duck"]


def settings(maps: Path, **more) -> argparse.Namespace:
    args = {"suite": "default", "condition": "noise", "columns": 1, "policy": "information_gain", "moves": {}}
    args |= {"features": "surface", "backend": "rays", "fingers": 0, "topology": "all-to-all", "objects": None}
    return argparse.Namespace(**args | {"seeds": [0, 1, 2], "maps": maps, "output": None} | more)


def test_what_was_played_is_not_played_again(tmp_path, duck):
    args = settings(tmp_path / "maps")
    kept = recognition.unfinished(args, recognition.described(args, recognition.experiment_of(args)), 10)
    (kept / "duck.json").write_text(json.dumps(duck))
    records = recognition.episodes((args, "duck", 10, kept))
    assert [(r.object, r.seed, r.rotation_index, r.answer, r.sensations) for r in records] == [
        (row["object"], row["seed"], row["rotation_index"], row["answer"], row["sensations"]) for row in duck
    ]
    assert not (tmp_path / "maps").exists(), "no map is needed"


@pytest.mark.parametrize("other", [{"columns": 5}, {"seeds": [100]}, {"condition": "clean"}])
def test_runs_of_other_settings_keep_theirs_apart(tmp_path, other):
    folders = []
    for args in (settings(tmp_path / "maps"), settings(tmp_path / "maps", **other)):
        folders.append(recognition.unfinished(args, recognition.described(args, recognition.experiment_of(args)), 10))
    again = recognition.unfinished(args, recognition.described(args, recognition.experiment_of(args)), 10)
    assert folders[0] != folders[1] == again
