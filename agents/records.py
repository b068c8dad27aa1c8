"""A run folder: what was asked, what was learnt, what happened.

    run.json              the resolved configuration, versions, the command
    maps/NAME.safetensors one map per object, written as soon as it is learnt
    encoder.safetensors   what makes the maps' codes, where it was learnt
    episodes.jsonl        one line an episode: the row of the tables
    traces.jsonl          one line an episode: what every column believed at every step
    *.png                 pictures
    .lock, .owner         which process is at work here: one at a time

A run that was stopped, however hard, goes on where it stopped when the same command is given again: whole files are
written whole or not at all, a line counts when it has its end, and nothing written is ever changed (see `files`).
Lines of other versions can be read: what they lack has its default, what they have in excess is left out.
"""

import hashlib
import json
import platform
import re
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import MISSING, asdict, fields, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any, TypeVar

from cortical.columns.layers.learnt_encoder import LearntCode
from cortical.columns.messages import FeatureSchema
from cortical.columns.object_map import ObjectMap
from cortical.columns.storage import (
    disk_is_full,
    fingerprint,
    load_encoder,
    load_maps,
    save_encoder,
    save_maps,
    write_whole,
)
from cortical.configs.load import from_dict, to_dict
from cortical.configs.schema import Experiment

from .episode import ColumnTrace, EpisodeRecord, StepTrace
from .files import InUse, append_line, hold, read_lines

Kind = TypeVar("Kind")
PACKAGES = ("cortical-columns", "gymnasium", "numba", "numpy", "pybullet", "torch")


class RunError(ValueError):
    """A run folder that can't be used; the message says what to do."""


class RunFolder:
    """One run's folder, made or gone on with, and held for this process as long as this lives.

    Raises RunError if it holds another run's files, if another process is at work in it, or if it cannot be written.
    """

    def __init__(self, path: Path, experiment: Experiment, command: str) -> None:
        self.path = Path(path)
        self.experiment = experiment
        mine = {"command": command, "config": to_dict(experiment)}
        with self._writing():
            self._refuse_others(mine)  # before anything is written: another run's folder is left as it is
            (self.path / "maps").mkdir(parents=True, exist_ok=True)
            self._lock = hold(self.path)
            self._refuse_others(mine)
            if not (self.path / "run.json").exists():
                write_whole(self.path / "run.json", json.dumps(mine | _circumstances(), indent=1).encode())

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

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """Say what to do where a write fails."""
        try:
            yield
        except InUse as error:
            raise RunError(f"{error}: wait until it ends, stop it, or choose another folder with --out") from None
        except OSError as error:
            if disk_is_full(error):
                raise RunError(f"{self.path}: disk full: free space and give the same command again") from error
            remedy = "choose another folder with --out"
            raise RunError(f"cannot write in {self.path} ({error.strerror}): {remedy}") from error

    def _refuse_others(self, mine: dict[str, Any]) -> None:
        if not (self.path / "run.json").exists():
            return
        there = {key: value for key, value in read_run(self.path).items() if key in mine}
        if isinstance(there.get("config"), dict):
            # a run begun by an earlier version lacks settings that there are now: it had their defaults
            there["config"] = to_dict(from_dict(there["config"], f"{self.path}/run.json"))
        difference = _first_difference(there, mine)
        if difference:
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
        extra: dict[str, Any] = {"learnt": learning_settings(self.experiment)}
        if known.encoder is not None:
            extra["encoder"] = fingerprint(known.encoder)
        save_maps(self.map_file(name), {name: known}, schema, extra)

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
        return self._with_encoder(maps[name], file, extra)

    def _with_encoder(self, known: ObjectMap, file: Path, extra: dict[str, Any]) -> ObjectMap:
        """The map with what made its codes. Raises RunError if that isn't here."""
        if "encoder" not in extra:
            return known
        encoder = self.load_encoder()
        if encoder is None or fingerprint(encoder) != extra["encoder"]:
            fault = "is not there" if encoder is None else "holds another"
            raise RunError(
                f"{file} was learnt with a learnt encoder, and {self.encoder_file} {fault}: copy the one that lay "
                "beside it, or learn in another folder"
            )
        return replace(known, encoder=encoder)

    @property
    def encoder_file(self) -> Path:
        """Where what a learnt encoder has learnt is kept, beside the maps."""
        return self.path / "encoder.safetensors"

    def save_encoder(self, encoder: LearntCode) -> None:
        """Keep it; it is on the disk when this returns."""
        save_encoder(self.encoder_file, encoder)

    def load_encoder(self) -> LearntCode | None:
        """What is kept, or None. Raises MapFileError if it is damaged."""
        return load_encoder(self.encoder_file) if self.encoder_file.exists() else None

    def append(self, label: str, record: EpisodeRecord) -> None:
        """Add an episode to the rows and the traces; it is on the disk when this returns. Raises RunError."""
        row = asdict(record)
        trace = row.pop("trace")
        key = {"label": label, "object": record.object, "seed": record.seed, "rotation_index": record.rotation_index}
        with self._writing():
            # the trace first: an episode counts as done when its row is there
            append_line(self.path / "traces.jsonl", key | {"trace": trace})
            append_line(self.path / "episodes.jsonl", {"label": label} | row)

    def episodes(self, label: str) -> dict[tuple[str, int, int], EpisodeRecord]:
        """Episodes done so far under a label, by (object, seed, rotation_index)."""
        return episodes_in(self.path).get(label, {})


def episodes_in(path: Path) -> dict[str, dict[tuple[str, int, int], EpisodeRecord]]:
    """All episodes of a run folder, by label and then by (object, seed, rotation_index), in the order they were run in.

    Raises RunError for a line of something else.
    """
    traces = {}
    for line in read_lines(file := Path(path) / "traces.jsonl"):
        steps = _field(line, "trace", file)
        traces[_field(line, "label", file), *_key(line, file)] = [_step(step, file) for step in steps]
    done: dict[str, dict[tuple[str, int, int], EpisodeRecord]] = {}
    for row in read_lines(file := Path(path) / "episodes.jsonl"):
        label, key = _field(row, "label", file), _key(row, file)
        record = _read(EpisodeRecord, {**row, "trace": traces.get((label, *key), [])}, file)
        done.setdefault(label, {})[key] = record
    return done


def _circumstances() -> dict[str, Any]:
    """With what a run was made: versions, machine, the words of the command."""
    found = {"versions": {p: version(p) for p in PACKAGES}, "machine": platform.platform()}
    return found | {"python": sys.version.split()[0], "argv": sys.argv[1:]}


def read_run(path: Path) -> dict[str, Any]:
    """run.json of a run folder. Raises RunError if it is not one."""
    file = Path(path) / "run.json"
    try:
        found = json.loads(file.read_bytes())
        if not isinstance(found, dict) or not isinstance(found.get("config"), dict):
            raise ValueError("no configuration in it")
    except (FileNotFoundError, NotADirectoryError):
        raise RunError(f"{path} is not a run folder (no run.json in it)") from None
    except (ValueError, RecursionError) as error:
        raise RunError(f"{file} is damaged ({error}): delete the folder and run again") from error
    return found


def experiment_of(path: Path) -> Experiment:
    """The configuration a run was made with."""
    return from_dict(read_run(path)["config"], f"{path}/run.json")


def learning_settings(experiment: Experiment) -> dict[str, Any]:
    """The settings that a learnt map depends on."""
    eye, world, learn = experiment.eye, experiment.world, asdict(experiment.learn)
    if experiment.learn.movement == "views":  # as before there was any other
        del learn["movement"], learn["glances"]
    else:
        del learn["sensations_per_view"]
        learn["seed"] = experiment.seed
    coded = experiment.column.features != "surface" or experiment.column.code_column
    if coded and experiment.column.code != "fixed":  # as before there was any other
        learn["code"] = experiment.column.code
    read_by = {} if eye.sensor == "surface" else {"sensor": eye.sensor}  # as before there was any other
    return {
        "objects": world.objects, "spacing": experiment.column.node_spacing, **learn,
        "pixels": eye.pixels, "field_of_view": eye.field_of_view, "backend": eye.backend, "distance": eye.distance,
        "max_turn": eye.max_turn, "max_path": eye.max_path, **read_by,
    }  # fmt: skip


def _key(row: Mapping[str, Any], file: Path) -> tuple[str, int, int]:
    return _field(row, "object", file), _field(row, "seed", file), _field(row, "rotation_index", file)


def _step(step: Mapping[str, Any], file: Path) -> StepTrace:
    columns = [_read(ColumnTrace, column, file) for column in _field(step, "columns", file)]
    return _read(StepTrace, {**step, "columns": columns}, file)


def _read(kind: type[Kind], values: Mapping[str, Any], file: Path) -> Kind:
    """A dataclass from a line of this or another version: default for what it lacks, without what is in excess."""
    known = {f.name: f for f in fields(kind)}  # type: ignore[arg-type]
    for name, field in known.items():
        if field.default is MISSING and field.default_factory is MISSING:
            _field(values, name, file)
    return kind(**{name: value for name, value in values.items() if name in known})


def _field(values: Mapping[str, Any], name: str, file: Path) -> Any:
    if not isinstance(values, Mapping) or name not in values:
        raise RunError(f"{file} has a line without {name!r}: delete that line, or choose another folder with --out")
    return values[name]


def _first_difference(there: Any, here: Any, name: str = "") -> str:
    if isinstance(there, dict) and isinstance(here, dict):
        for key in sorted({*there, *here}):
            found = _first_difference(there.get(key), here.get(key), f"{name}.{key}" if name else key)
            if found:
                return found
        return ""
    return "" if there == here else f"{name} is {there!r} there and {here!r} here"
