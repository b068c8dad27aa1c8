"""A run folder: what was asked, what was learnt, what happened.

    run.json              the resolved configuration, versions, the command
    maps/NAME.safetensors one map per object, written as soon as it is learnt
    episodes.jsonl        one line an episode: the row of the tables
    traces.jsonl          one line an episode: what every column believed at every step
    *.png                 pictures

A run that was stopped, however hard, goes on where it stopped when the same command is given again.
"""

import hashlib
import json
import os
import platform
import re
import sys
from collections.abc import Iterator
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

from cortical.columns.messages import FeatureSchema
from cortical.columns.object_map import ObjectMap
from cortical.columns.storage import load_maps, save_maps
from cortical.configs.load import from_dict, to_dict
from cortical.configs.schema import Experiment

from .episode import ColumnTrace, EpisodeRecord, StepTrace

PACKAGES = ("cortical-columns", "gymnasium", "numba", "numpy", "pybullet", "torch")


class RunError(ValueError):
    """A run folder that can't be used; the message says what to do."""


class RunFolder:
    """One run's folder, made or gone on with.

    Raises RunError if it holds another run's files, or cannot be written.
    """

    def __init__(self, path: Path, experiment: Experiment, command: str) -> None:
        self.path = Path(path)
        self.experiment = experiment
        try:
            (self.path / "maps").mkdir(parents=True, exist_ok=True)
            self._claim(command)
        except OSError as error:
            remedy = "choose another folder with --out"
            raise RunError(f"cannot write in {self.path} ({error.strerror}): {remedy}") from error

    @classmethod
    def to_read(cls, path: Path, experiment: Experiment) -> "RunFolder":
        """Another run's folder, for its maps. Raises RunError if there is none."""
        read_run(path)
        return cls.for_maps(path, experiment)

    @classmethod
    def for_maps(cls, path: Path, experiment: Experiment) -> "RunFolder":
        """A folder for maps alone, whatever else is set: each map file holds the settings it was learnt with."""
        folder = cls.__new__(cls)
        folder.path, folder.experiment = Path(path), experiment
        (folder.path / "maps").mkdir(parents=True, exist_ok=True)
        return folder

    def _claim(self, command: str) -> None:
        file = self.path / "run.json"
        mine = {"command": command, "config": to_dict(self.experiment)}
        if not file.exists():
            found = {"versions": {p: version(p) for p in PACKAGES}, "machine": platform.platform()}
            found |= {"python": sys.version.split()[0], "argv": sys.argv[1:]}
            _write(file, json.dumps(mine | found, indent=1))
            return
        there = read_run(self.path)
        if {key: there.get(key) for key in mine} != mine:
            difference = _first_difference({key: there.get(key) for key in mine}, mine)
            raise RunError(
                f"{self.path} holds another run ({difference}): choose another folder with --out, "
                "or repeat that run with --from-run"
            )

    def map_file(self, name: str) -> Path:
        """Where an object's map is kept."""
        plain = re.sub(r"[^A-Za-z0-9._-]", "_", name)
        if plain != name:
            plain += "-" + hashlib.sha256(name.encode()).hexdigest()[:8]
        return self.path / "maps" / f"{plain}.safetensors"

    def save_map(self, name: str, known: ObjectMap, schema: FeatureSchema) -> None:
        """Keep a map; it is on the disk when this returns."""
        save_maps(self.map_file(name), {name: known}, schema, {"learnt": learning_settings(self.experiment)})

    def load_map(self, name: str, schema: FeatureSchema) -> ObjectMap | None:
        """The map kept of an object, or None. Raises RunError if it was learnt with other settings."""
        file = self.map_file(name)
        if not file.exists():
            return None
        maps, _, extra = load_maps(file, schema)
        difference = _first_difference(extra.get("learnt"), learning_settings(self.experiment))
        if difference:
            remedy = "repeat them with --from-run, or use another --out or --maps"
            raise RunError(f"{file} was learnt with other settings ({difference}): {remedy}")
        return maps[name]

    def append(self, label: str, record: EpisodeRecord) -> None:
        """Add an episode to the rows and the traces."""
        row = asdict(record)
        trace = row.pop("trace")
        key = {"label": label, "object": record.object, "seed": record.seed, "rotation_index": record.rotation_index}
        # the trace first: an episode counts as done when its row is there
        _append(self.path / "traces.jsonl", key | {"trace": trace})
        _append(self.path / "episodes.jsonl", {"label": label} | row)

    def episodes(self, label: str) -> dict[tuple[str, int, int], EpisodeRecord]:
        """Episodes done so far under a label, by (object, seed, rotation_index)."""
        traces = {_key(line): line["trace"] for line in _lines(self.path / "traces.jsonl") if line["label"] == label}
        done = {}
        for row in _lines(self.path / "episodes.jsonl"):
            if row.pop("label") == label:
                trace = [_step(step) for step in traces.get((row["object"], row["seed"], row["rotation_index"]), [])]
                done[_key(row)] = EpisodeRecord(**row, trace=trace)
        return done


def read_run(path: Path) -> dict[str, Any]:
    """run.json of a run folder. Raises RunError if it is not one."""
    file = Path(path) / "run.json"
    try:
        return json.loads(file.read_text())
    except FileNotFoundError:
        raise RunError(f"{path} is not a run folder (no run.json in it)") from None
    except json.JSONDecodeError as error:
        raise RunError(f"{file} is damaged ({error}): delete the folder and run again") from error


def experiment_of(path: Path) -> Experiment:
    """The configuration a run was made with."""
    return from_dict(read_run(path)["config"], f"{path}/run.json")


def learning_settings(experiment: Experiment) -> dict[str, Any]:
    """The settings that a learnt map depends on."""
    eye, world = experiment.eye, experiment.world
    return {
        "objects": world.objects, "spacing": experiment.column.node_spacing, **asdict(experiment.learn),
        "pixels": eye.pixels, "field_of_view": eye.field_of_view, "backend": eye.backend, "distance": eye.distance,
        "max_turn": eye.max_turn, "max_path": eye.max_path,
    }  # fmt: skip


def _key(row: dict[str, Any]) -> tuple[str, int, int]:
    return row["object"], row["seed"], row["rotation_index"]


def _step(step: dict[str, Any]) -> StepTrace:
    return StepTrace(**{**step, "columns": [ColumnTrace(**column) for column in step["columns"]]})


def _lines(file: Path) -> Iterator[dict[str, Any]]:
    """The lines of a JSONL file; a last line torn by a crash is skipped."""
    if not file.exists():
        return
    for line in file.read_text().splitlines():
        try:
            yield json.loads(line)
        except json.JSONDecodeError:
            continue


def _append(file: Path, value: dict[str, Any]) -> None:
    with file.open("a+") as stream:
        if stream.tell() and file.read_bytes()[-1:] != b"\n":
            stream.write("\n")
        stream.write(json.dumps(value) + "\n")


def _write(file: Path, text: str) -> None:
    temporary = file.with_suffix(".tmp")
    temporary.write_text(text)
    os.replace(temporary, file)


def _first_difference(there: Any, here: Any, name: str = "") -> str:
    if isinstance(there, dict) and isinstance(here, dict):
        for key in sorted({*there, *here}):
            found = _first_difference(there.get(key), here.get(key), f"{name}.{key}" if name else key)
            if found:
                return found
        return ""
    return "" if there == here else f"{name} is {there!r} there and {here!r} here"
