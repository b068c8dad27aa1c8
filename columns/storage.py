"""Maps on disk: one safetensors file for the maps of a column and the features they were learnt with.

The header's metadata holds one entry, `cortical`, a JSON text:

    format, version    what this file is, and how it is laid out
    schema             the FeatureSchema's fields
    objects            [{name, spacing (metres)}, ...]; the first one's tensors are "0.keys", "0.sums", ...
    extra              whatever JSON the caller wants to keep with the maps
    checksum           sha256 over all of the above and every tensor's name, type, shape and bytes

Nothing runs code on load. A file is written under a temporary name in the same folder, synced to the disk and
renamed, so that a crash leaves the old file or the new one and nothing in between.
"""

import contextlib
import errno
import hashlib
import json
import os
import secrets
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load as tensors_of
from safetensors.torch import save as bytes_of
from torch import Tensor
from torch.nn.functional import pad

from .layers.learnt_encoder import LearntCode
from .messages import FeatureSchema
from .object_map import SUMS, ObjectMap
from .soundness import fault_of_map, fault_of_schema

FORMAT, VERSION, ENTRY = "cortical-maps", 2, "cortical"
ENCODER = "cortical-encoder"
"""Format of a file that holds what a learnt encoder has learnt: the tensors of a LearntCode, with the checksum."""
PARTS = {"keys": torch.int64, "sums": torch.float64, "bits": torch.int64, "bit_counts": torch.float32}

Content = dict[str, Any]
"""The JSON of a file."""
Tensors = dict[str, Tensor]
Migration = Callable[[Content, Tensors], tuple[Content, Tensors]]
"""What turns a file of one version into the next."""


def _with_texture(content: Content, tensors: Tensors) -> tuple[Content, Tensors]:
    """Version 1 knew no texture: its maps have none."""
    whole = {name: part for name, part in tensors.items() if name.endswith(".sums") and part.shape[1:] == (36,)}
    return content, tensors | {name: pad(part, (0, SUMS - 36)) for name, part in whole.items()}


MIGRATIONS: dict[int, Migration] = {1: _with_texture}
"""By the version they start from."""


class MapFileError(ValueError):
    """A map file that cannot be read or written; the message names it and says what to do."""


def save_maps(
    path: str | Path, maps: dict[str, ObjectMap], schema: FeatureSchema, extra: Content | None = None
) -> None:
    """Write maps by object name; one object is a dict of one. A file of that name is replaced at once.

    extra : plain JSON values to keep with the maps

    Raises MapFileError if `extra` is not JSON or the file cannot be written; an older file is then kept.
    """
    objects = [{"name": name, "spacing": known.spacing} for name, known in maps.items()]
    content: Content = {"format": FORMAT, "version": VERSION, "schema": asdict(schema), "objects": objects}
    tensors = {
        # a copy: two names may share one map's memory, which safetensors refuses
        f"{i}.{part}": getattr(known, part).detach().cpu().clone(memory_format=torch.contiguous_format)
        for i, known in enumerate(maps.values())
        for part in PARTS
    }
    try:
        content["extra"] = json.loads(_json(extra or {}))
    except (TypeError, ValueError) as error:
        raise MapFileError(f"cannot keep this `extra` with the maps: {error}; give plain JSON values") from error
    _write(path, content, tensors)


def _write(path: str | Path, content: Content, tensors: dict[str, torch.Tensor]) -> str:
    """Whole or not at all; its checksum. Raises MapFileError if the file cannot be written."""
    content["checksum"] = _checksum(content, tensors)
    target = Path(os.path.realpath(path))
    try:
        write_whole(target, bytes_of(tensors, {ENTRY: _json(content)}))
    except OSError as error:
        raise MapFileError(f"cannot write {target}: {_why_not(error, target.parent)}") from error
    return content["checksum"]


def load_maps(
    path: str | Path, schema: FeatureSchema | None = None
) -> tuple[dict[str, ObjectMap], FeatureSchema, Content]:
    """Maps by object name in the order they were saved in, the schema they were learnt with, and `extra`.

    schema : the features the maps must have; None: any. Noise may differ, it is the sensor's affair.

    Raises MapFileError if the file is missing, damaged, no map file, of a newer version or of other features.
    """
    path = Path(path)
    content, tensors = _read(path)
    content, tensors = migrate(content, tensors, path)
    try:
        stored, maps = _schema(content["schema"]), _maps(content["objects"], tensors)
        faults = [f"{name!r}: {fault}" for name, known in maps.items() if (fault := fault_of_map(known, stored))]
        if faults or not isinstance(extra := content["extra"], dict):
            raise ValueError(faults[0] if faults else "the extra is no table")
    except (KeyError, TypeError, ValueError, IndexError, RuntimeError) as error:
        raise MapFileError(f"{path} is laid out wrongly ({error}): save it again with this version") from error
    differences = schema.differences(stored) if schema is not None else []
    if differences:
        raise MapFileError(
            f"{path} was learnt with other features than are wanted here ({'; '.join(differences)}): "
            "learn again, or ask for the features of the file"
        )
    return maps, stored, extra


def save_encoder(path: str | Path, encoder: LearntCode) -> str:
    """Write a learnt code, whole or not at all; its checksum. Raises MapFileError if the file cannot be written."""
    content: Content = {"format": ENCODER, "version": VERSION}
    return _write(path, content, {name: part.contiguous() for name, part in encoder._asdict().items()})


def load_encoder(path: str | Path) -> LearntCode:
    """The code that `save_encoder` wrote. Raises MapFileError if the file is missing, damaged or something else."""
    _, tensors = _read(Path(path), ENCODER)
    floats = torch.float32
    wrong = [f"{name} {tuple(part.shape)} {part.dtype}" for name, part in tensors.items() if part.dtype != floats]
    if set(tensors) != set(LearntCode._fields) or wrong:
        raise MapFileError(f"{path} is laid out wrongly ({', '.join(wrong or sorted(tensors))}): learn again")
    return LearntCode(**tensors)


def fingerprint(encoder: LearntCode) -> str:
    """What tells a learnt code from all others: the checksum of its file."""
    return _checksum({"format": ENCODER, "version": VERSION}, encoder._asdict())


def migrate(content: Content, tensors: Tensors, path: Path) -> tuple[Content, Tensors]:
    """A file of an older version brought to this one step by step by MIGRATIONS. Raises MapFileError."""
    while (version := content["version"]) != VERSION:
        if version not in MIGRATIONS:
            raise MapFileError(f"{path} has version {version}, which this cortical cannot read any more: learn again")
        content, tensors = MIGRATIONS[version](content, tensors)
        content = {**content, "version": version + 1}
    return content, tensors


def _read(path: Path, kind: str = FORMAT) -> tuple[Content, Tensors]:
    """The file's content and tensors, whole and unchanged since they were written."""
    try:
        data = path.read_bytes()
    except FileNotFoundError as error:
        raise MapFileError(f"no map file {path}: learn first, or check the path") from error
    except OSError as error:
        raise MapFileError(f"cannot read {path}: {error.strerror}; give a map file that you may read") from error
    return _read_bytes(data, path, kind)


def _read_bytes(data: bytes, path: Path, kind: str = FORMAT) -> tuple[Content, Tensors]:
    content = _content(data, path, kind)
    try:
        tensors = tensors_of(data)
        wanted, found = content.pop("checksum", None), _checksum(content, tensors)
    except (SafetensorError, ValueError, TypeError, KeyError, RuntimeError) as error:
        raise MapFileError(f"{path} is cut short or damaged ({error}): copy or save it again") from error
    if wanted != found:
        raise MapFileError(f"{path} was changed after it was written (wrong checksum): copy or save it again")
    return content, tensors


def _content(data: bytes, path: Path, wanted: str = FORMAT) -> Content:
    """The JSON in the header, of a version that this code may know."""
    length = int.from_bytes(data[:8], "little")
    try:
        header = json.loads(data[8 : 8 + length])
        content = json.loads(header["__metadata__"][ENTRY])
        kind, version = content["format"], content["version"]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        if len(data) < 8 + length and data[8:9] in (b"", b"{"):
            raise MapFileError(f"{path} is cut short: copy or save it again") from error
        kind, version, content = None, 0, {}
    if kind != wanted or type(version) is not int:
        what, writer = ("a map file", "save_maps") if wanted == FORMAT else ("a learnt encoder", "save_encoder")
        raise MapFileError(f"{path} is not {what}: give one that `{writer}` wrote")
    if version > VERSION:
        raise MapFileError(f"{path} was written by a newer cortical (version {version} of the file): upgrade")
    return content


def _schema(values: Content) -> FeatureSchema:
    schema = FeatureSchema(**values)
    if fault := fault_of_schema(schema):
        raise ValueError(fault)
    return schema


def _maps(objects: list[Content], tensors: Tensors) -> dict[str, ObjectMap]:
    maps = {}
    for index, entry in enumerate(objects):
        name, spacing = entry["name"], entry["spacing"]
        if type(name) is not str or name in maps or type(spacing) not in (int, float):
            raise ValueError(f"object {index} is {entry!r}")
        maps[name] = _map(tensors, index, float(spacing))
    if len(tensors) != len(PARTS) * len(maps):
        raise ValueError(f"{len(tensors)} tensors of {len(maps)} objects")
    return maps


def _map(tensors: Tensors, index: int, spacing: float) -> ObjectMap:
    parts = {name: tensors[f"{index}.{name}"] for name in PARTS}
    nodes, slots = len(parts["keys"]), parts["bits"].shape[-1]
    shapes = {"keys": (nodes,), "sums": (nodes, SUMS), "bits": (nodes, slots), "bit_counts": (nodes, slots)}
    for name, part in parts.items():
        if tuple(part.shape) != shapes[name] or part.dtype != PARTS[name]:
            raise ValueError(f"{index}.{name} is {tuple(part.shape)} {part.dtype}, not {shapes[name]} {PARTS[name]}")
    return ObjectMap(parts["keys"], parts["sums"], parts["bits"], parts["bit_counts"], spacing)


def _why_not(error: OSError, folder: Path) -> str:
    """Why a file could not be written in a folder, and what to do."""
    if disk_is_full(error):
        return "disk full: free space and give the same command again"
    remedy = "check its permissions" if folder.is_dir() else "make the folder first"
    return f"{error.strerror or error}; {remedy}"


def _checksum(content: Content, tensors: Tensors) -> str:
    digest = hashlib.sha256(_json(content).encode())
    for name in sorted(tensors):
        part = tensors[name]
        digest.update(f"{name} {part.dtype} {tuple(part.shape)}".encode())
        digest.update(part.numpy().tobytes())
    return digest.hexdigest()


def _json(content: Content) -> str:
    return json.dumps(content, sort_keys=True, allow_nan=False)


def write_whole(target: Path, data: bytes) -> None:
    """Write a file whole or not at all: under a temporary name beside it, synced, renamed.

    A crash leaves the old file or the new one, and perhaps `.NAME.*.tmp`. Raises OSError; an older file is then kept.
    """
    temporary = target.with_name(f".{target.name}.{secrets.token_hex(4)}.tmp")
    try:
        with open(temporary, "xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, target)
        sync_folder(target.parent)
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink()


def sync_folder(folder: Path) -> None:
    """Make new names in a folder last, where folders can be opened (not on Windows)."""
    if os.name == "posix":
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def disk_is_full(error: OSError) -> bool:
    """Whether nothing more can be written for want of space: a full disk, or a used-up quota."""
    return error.errno in (errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC))  # Windows knows no EDQUOT
