"""A map file that was tampered with is refused with a MapFileError, or holds a map that readings can have made."""

import math
import tempfile
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save as bytes_of
from spoiling import NUMBERS, VALUES, places_in, replaced, spoilt

from cortical.columns import storage
from cortical.columns.messages import FeatureSchema
from cortical.columns.object_map import KEY_RANGE, SUMS, ObjectMap
from cortical.columns.storage import MapFileError, load_maps, save_maps

FUZZ = settings(settings.get_profile("fuzz"))
SCHEMA = FeatureSchema(code_bits=64, code_winners=4)
DTYPES = (
    torch.int64,
    torch.float64,
    torch.float32,
    torch.int32,
    torch.float16,
    torch.bool,
    torch.uint8,
)


def small_map(seed: int = 0) -> ObjectMap:
    g = torch.Generator().manual_seed(seed)
    normal = torch.nn.functional.normalize(torch.randn(12, 3, generator=g), dim=1)
    direction = torch.nn.functional.normalize(torch.linalg.cross(normal, normal.roll(1, 1)), dim=1)
    curvature, hsv = torch.randn(12, 2, generator=g), torch.rand(12, 3, generator=g)
    code = torch.rand(12, 64, generator=g).topk(4).indices
    return ObjectMap.empty(0.004, 6).insert(0.01 * normal, normal, direction, curvature, hsv, code, code_bits=64)


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return tmp_path_factory.mktemp("maps") / "map.safetensors"


def whole_file() -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        save_maps(Path(folder) / "map", {"mug": small_map(), "cup": small_map(1)}, SCHEMA, {"learnt": {"a": [1, 2.5]}})
        return (Path(folder) / "map").read_bytes()


WHOLE = whole_file()


def check(path, data: bytes, reading) -> bool:
    """Read a file; whether it was accepted. Anything but a MapFileError or a sound map is a fault."""
    path.write_bytes(data)
    with reading():
        try:
            maps, schema, extra = load_maps(path)
        except MapFileError as error:
            assert str(path) in str(error) and len(str(error)) > len(str(path)) + 20  # and what to do
            return False
    assert isinstance(extra, dict) and isinstance(schema, FeatureSchema)
    for name, known in maps.items():
        assert isinstance(name, str)
        check_map(known, schema)
    return True


def check_map(known: ObjectMap, schema: FeatureSchema) -> None:
    """A map that can be looked up, learnt on and shown."""
    assert known.keys.dtype == known.bits.dtype == torch.int64 and 0 < known.spacing < math.inf
    assert bool((known.keys.diff() > 0).all()) and bool((known.keys >= 0).all())
    assert len(known) == 0 or int(known.keys[-1]) < 6 * KEY_RANGE**3
    rows, spread = known.rows()
    assert bool(torch.isfinite(rows).all() and torch.isfinite(spread).all()) and bool((spread >= 0).all())
    assert bool(((known.bits >= 0) & (known.bits < max(1, schema.code_bits))).all())
    shares = known.codes(schema.code_winners)[1]
    assert bool(((shares >= 0) & (shares <= 1)).all())
    more = readings()
    grown = known.insert(*more, code_bits=schema.code_bits) if schema.code_bits == 64 else known
    assert len(grown) >= len(known)


def readings():
    z = torch.tensor([[0.0, 0.0, 1.0]])
    return 0.0 * z, z, z.roll(1, 1), torch.zeros(1, 2), torch.ones(1, 3), torch.arange(4)[None]


def sealed(content, tensors) -> bytes:
    """A file whose checksum is right, whatever is in it."""
    body = {key: value for key, value in content.items() if key != "checksum"} if isinstance(content, dict) else content
    if isinstance(body, dict):
        body = {**body, "checksum": storage._checksum(body, tensors)}
    return bytes_of(tensors, {storage.ENTRY: storage._json(body)})


@FUZZ
@given(data=st.one_of(st.binary(max_size=400), spoilt(WHOLE)))
def test_spoilt_bytes(path, reading, data):
    if check(path, data, reading):
        assert data == WHOLE


@FUZZ
@given(data=st.data())
def test_a_sealed_file_of_other_content(path, reading, data):
    """Whoever can compute the checksum can write anything: names, sizes, schema, versions."""
    content, tensors = storage._read_bytes(WHOLE, path)
    for _ in range(data.draw(st.integers(1, 3))):
        place = data.draw(st.sampled_from(places_in(content)))
        content = replaced(content, place, data.draw(VALUES))
    try:
        file = sealed(content, tensors)
    except (ValueError, TypeError):  # JSON without NaN
        return
    check(path, file, reading)


@FUZZ
@given(data=st.data())
def test_a_sealed_file_of_other_tables(path, reading, data):
    content, tensors = storage._read_bytes(WHOLE, path)
    for _ in range(data.draw(st.integers(1, 3))):
        name = data.draw(st.sampled_from(sorted(tensors)))
        tensors[name] = _other(tensors[name], data)
    content["objects"] = (
        content["objects"][: data.draw(st.integers(0, 2))] if data.draw(st.booleans()) else content["objects"]
    )
    check(path, sealed(content, tensors), reading)


def _other(table: torch.Tensor, data) -> torch.Tensor:
    kind = data.draw(st.sampled_from(["number", "row", "type", "shape", "order"]))
    table = table.clone()
    if kind == "type":
        return table.to(data.draw(st.sampled_from(DTYPES)))
    if kind == "shape":
        sizes = data.draw(st.lists(st.integers(0, 4), max_size=3))
        return torch.zeros(sizes, dtype=table.dtype)
    if table.numel() == 0 or table.dim() == 0:
        return table
    if kind == "order":
        return table[torch.randperm(len(table), generator=torch.Generator().manual_seed(0))]
    values = table.numpy().reshape(-1)
    where = data.draw(st.integers(0, values.size - 1))
    part = values[where : where + (SUMS if kind == "row" else 1)]
    if table.dtype.is_floating_point:
        number = data.draw(st.one_of(NUMBERS, st.floats(-1, 1)))
        with np.errstate(over="ignore", invalid="ignore"):
            part[:] = number if data.draw(st.booleans()) else number + part
    else:
        new = np.array(data.draw(st.integers(-(2**63), 2**63 - 1))).astype(part.dtype)
        part[:] = new if data.draw(st.booleans()) else part + np.ones_like(part)
    return table


def test_sound_maps_are_accepted(path, reading):
    assert check(path, WHOLE, reading)
