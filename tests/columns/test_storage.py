"""Maps come back from a file bit for bit, and nothing else is taken for a map file."""

import json
import pickle
from dataclasses import fields, replace

import pytest
import torch
from safetensors.torch import save as bytes_of

from cortical.columns import storage
from cortical.columns.messages import FeatureSchema
from cortical.columns.object_map import ObjectMap
from cortical.columns.storage import MapFileError, load_maps, save_maps

CODES = FeatureSchema(code_bits=64, code_winners=4, location_sd=0.003)


def learnt(readings=200, seed=0, slots=8, spacing=0.004):
    g = torch.Generator().manual_seed(seed)
    normal = torch.nn.functional.normalize(torch.randn(readings, 3, generator=g), dim=1)
    direction = torch.linalg.cross(normal, normal.roll(1, 1))
    direction = torch.nn.functional.normalize(direction, dim=1)
    curvature = torch.randn(readings, 2, generator=g)
    code = torch.rand(readings, 64, generator=g).topk(4).indices if slots else torch.zeros(readings, 0).long()
    hsv = torch.rand(readings, 3, generator=g)
    return ObjectMap.empty(spacing, slots).insert(0.05 * normal, normal, direction, curvature, hsv, code, code_bits=64)


def same(a, b):
    values = [(getattr(a, f.name), getattr(b, f.name)) for f in fields(a)]
    return all(x.dtype == y.dtype and torch.equal(x, y) if torch.is_tensor(x) else x == y for x, y in values)


@pytest.fixture
def saved(tmp_path):
    path = tmp_path / "maps.safetensors"
    save_maps(path, {"mug": learnt()}, CODES)
    return path


def changed(path, edit):
    """Rewrite the header's content without minding the checksum."""
    data = path.read_bytes()
    length = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + length])
    content = json.loads(header["__metadata__"]["cortical"])
    edit(content)
    header["__metadata__"]["cortical"] = json.dumps(content)
    text = json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + data[8 + length :])


def test_maps_come_back_bit_for_bit(tmp_path):
    maps = {
        "mug": learnt(),
        "a.b / Ä \n": learnt(seed=1, slots=0, spacing=0.01),
        "": learnt(readings=0),
    }
    extra = {"epoch": 3, "rates": [0.1, 1e-300], "names": {"9": None, "10": True}}
    save_maps(tmp_path / "maps", maps, CODES, extra)
    loaded, schema, kept = load_maps(tmp_path / "maps")
    assert list(loaded) == list(maps)
    assert all(same(loaded[name], maps[name]) for name in maps)
    assert schema == CODES
    assert kept == extra


def test_a_loaded_map_goes_on_learning(saved):
    loaded = load_maps(saved)[0]["mug"]
    twice = loaded.insert(*readings_of_one_node(), code_bits=64)
    assert same(twice, learnt().insert(*readings_of_one_node(), code_bits=64))


def readings_of_one_node():
    z = torch.tensor([[0.0, 0.0, 1.0]])
    return 0.05 * z, z, z.roll(1, 1), torch.zeros(1, 2), torch.ones(1, 3), torch.arange(4)[None]


def test_the_same_maps_give_the_same_bytes(saved, tmp_path):
    again = tmp_path / "again"
    save_maps(again, {"mug": learnt()}, CODES)
    assert again.read_bytes() == saved.read_bytes()


def test_one_map_under_two_names_and_none_at_all(tmp_path):
    known = learnt()
    save_maps(tmp_path / "two", {"cup": known, "mug": known}, CODES)
    assert same(*load_maps(tmp_path / "two")[0].values())
    save_maps(tmp_path / "none", {}, CODES)
    assert load_maps(tmp_path / "none")[0] == {}


def test_saving_replaces_and_leaves_nothing_beside(saved):
    save_maps(str(saved), {"cup": learnt(seed=2)}, CODES)
    assert list(load_maps(saved)[0]) == ["cup"]
    assert list(saved.parent.iterdir()) == [saved]


def test_noise_of_the_schema_may_differ_but_features_may_not(saved):
    assert load_maps(saved, FeatureSchema(code_bits=64, code_winners=4))[1] == CODES
    with pytest.raises(MapFileError, match=r"other features.*code_bits: 0 here, 64 there.*learn again"):
        load_maps(saved, FeatureSchema())


def truncated_data(path):
    path.write_bytes(path.read_bytes()[:-9])


def truncated_header(path):
    path.write_bytes(path.read_bytes()[:100])


def emptied(path):
    path.write_bytes(b"")


def flipped(path):
    data = bytearray(path.read_bytes())
    data[-5] ^= 1
    path.write_bytes(bytes(data))


def made_a_folder(path):
    path.unlink()
    path.mkdir()


BROKEN = {
    "missing": (lambda path: path.unlink(), "no map file .*maps.safetensors: learn first"),
    "a folder": (made_a_folder, "cannot read .*give a map file"),
    "truncated data": (truncated_data, "cut short or damaged.*copy or save it again"),
    "truncated header": (truncated_header, "cut short"),
    "empty": (emptied, "cut short"),
    "one bit flipped": (flipped, "changed after it was written.*checksum"),
    "a pickle": (lambda path: path.write_bytes(pickle.dumps({"a": 1})), "not a map file"),
    "text": (lambda path: path.write_text("[world]\n" * 9), "not a map file"),
    "other safetensors": (
        lambda path: path.write_bytes(bytes_of({"w": torch.zeros(2)})),
        "not a map file: give one that `save_maps` wrote",
    ),
    "newer": (
        lambda path: changed(path, lambda c: c.update(version=storage.VERSION + 1)),
        "newer cortical.*upgrade",
    ),
    "version in words": (lambda path: changed(path, lambda c: c.update(version="one")), "not a map file"),
    "other format": (lambda path: changed(path, lambda c: c.update(format="onnx")), "not a map file"),
    "renamed object": (
        lambda path: changed(path, lambda c: c["objects"][0].update(name="cup")),
        "wrong checksum",
    ),
    "no checksum": (lambda path: changed(path, lambda c: c.pop("checksum")), "wrong checksum"),
}


@pytest.mark.parametrize("spoil, message", BROKEN.values(), ids=BROKEN.keys())
def test_a_spoilt_file_is_refused_with_a_remedy(saved, spoil, message):
    spoil(saved)
    with pytest.raises(MapFileError, match=message):
        load_maps(saved)


def test_a_consistent_file_of_a_wrong_layout_is_refused(tmp_path):
    known = learnt()
    wrong = ObjectMap(known.keys, known.sums[:, :5], known.bits, known.bit_counts, known.spacing)
    save_maps(tmp_path / "wrong", {"mug": wrong}, CODES)
    with pytest.raises(MapFileError, match=r"laid out wrongly \(0\.sums is .*save it again"):
        load_maps(tmp_path / "wrong")


def test_writing_where_one_may_not(saved, tmp_path, monkeypatch):
    before = saved.read_bytes()
    with pytest.raises(MapFileError, match=r"cannot write .*make the folder first"):
        save_maps(tmp_path / "nowhere" / "maps", {}, CODES)

    def refuse(*_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(storage.os, "replace", refuse)
    with pytest.raises(MapFileError, match=r"cannot write .*Permission denied; check its permissions"):
        save_maps(saved, {}, CODES)
    assert saved.read_bytes() == before
    assert list(tmp_path.iterdir()) == [saved]


def test_extra_must_be_json(tmp_path):
    for extra in ({"map": learnt()}, {"loss": float("nan")}):
        with pytest.raises(MapFileError, match="plain JSON"):
            save_maps(tmp_path / "maps", {}, CODES, extra)
    assert not list(tmp_path.iterdir())


def test_an_older_file_is_migrated_step_by_step(saved, monkeypatch):
    monkeypatch.setattr(storage, "VERSION", 4)
    with pytest.raises(MapFileError, match=r"version 2.*cannot read any more"):
        load_maps(saved)

    def renamed(content, tensors):
        objects = [{**entry, "name": entry["name"].upper()} for entry in content["objects"]]
        return {**content, "objects": objects}, tensors

    def doubled(content, tensors):
        return content, {**tensors, "0.sums": 2 * tensors["0.sums"]}

    monkeypatch.setattr(storage, "MIGRATIONS", {2: renamed, 3: doubled})
    maps, _, _ = load_maps(saved)
    assert list(maps) == ["MUG"]
    assert torch.equal(maps["MUG"].sums, 2 * learnt().sums)


def test_a_file_from_before_there_was_texture_is_read_without_any(tmp_path, monkeypatch):
    known = learnt()
    old = replace(known, sums=known.sums[:, :36])
    monkeypatch.setattr(storage, "VERSION", 1)
    monkeypatch.setattr(storage, "asdict", lambda schema: {"code_bits": 64, "code_winners": 4})
    save_maps(tmp_path / "maps", {"mug": old}, CODES)
    monkeypatch.undo()
    maps, schema, _ = load_maps(tmp_path / "maps")
    assert not schema.texture
    assert torch.equal(maps["mug"].sums[:, :36], known.sums[:, :36]) and not maps["mug"].sums[:, 36:].any()
    with pytest.raises(MapFileError, match="texture: True here, False there"):
        load_maps(tmp_path / "maps", replace(schema, texture=True))
