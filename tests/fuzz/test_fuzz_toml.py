"""A configuration is understood in full and written back the same, or refused with an error that names the file."""

import json
import tomllib
from dataclasses import fields, is_dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from spoiling import VALUES, places_in, replaced, spoilt

from cortical.configs.load import PRESETS, ConfigError, dumps_toml, from_dict, load, preset_names, to_dict
from cortical.configs.schema import Experiment

FUZZ = settings(settings.get_profile("fuzz"))
WHOLE = dumps_toml(Experiment())
TABLES = [f.name for f in fields(Experiment) if is_dataclass(getattr(Experiment(), f.name))]
SETTINGS = sorted({name for table in TABLES for name in to_dict(Experiment())[table]})
KEYS = [*SETTINGS, "seed", "colour", "a.b", '"', *TABLES]
LITERALS = st.one_of(
    VALUES.map(json.dumps), st.integers().map(str), st.floats().map(str), st.text(max_size=12),
    st.sampled_from(
        ["1979-05-27T07:32:00Z", "07:32:00", "0xFF", "1_000", "inf", "-nan", "true", "'''", '"""', "[[", "{a = 1}",
         "9" * 5000, "[" * 3000, "{a=" * 3000, "1e400", "0.1", "5", "100", '"rays"', '"\\u0000"', '"\\ud800"']
    ),
)  # fmt: skip
LINES = st.one_of(
    st.tuples(st.sampled_from(KEYS), LITERALS).map(" = ".join),
    st.sampled_from([*TABLES, "eye.eye", "", "[eye]"]).map(lambda name: f"[{name}]"),
    st.text(max_size=20),
)


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return tmp_path_factory.mktemp("toml") / "mine.toml"


def check(path, data: bytes, reading) -> bool:
    """Load a file; whether it was accepted. Anything but a ConfigError or a whole experiment is a fault."""
    path.write_bytes(data)
    with reading():
        try:
            experiment = load(path)
        except ConfigError as error:
            assert str(path) in str(error)
            return False
    assert from_dict(tomllib.loads(dumps_toml(experiment))) == experiment
    said = tomllib.loads(data.decode())
    assert all(_same(to_dict(experiment)[key], value) for key, value in said.items())  # nothing was passed over
    return True


def _same(understood, said) -> bool:
    if isinstance(said, dict):
        return all(_same(understood[key], value) for key, value in said.items())
    return understood == said and isinstance(said, bool) == isinstance(understood, bool)


@FUZZ
@given(data=st.one_of(st.binary(max_size=200), spoilt(WHOLE.encode(), most=2)))
def test_spoilt_bytes(path, reading, data):
    check(path, data, reading)


@FUZZ
@given(lines=st.lists(LINES, max_size=6))
def test_lines_of_known_and_unknown_keys(path, reading, lines):
    check(path, "\n".join(lines).encode("utf-8", "surrogatepass"), reading)


@FUZZ
@given(data=st.data())
def test_plain_values(data):
    values = to_dict(Experiment())
    for _ in range(data.draw(st.integers(1, 3))):
        new = data.draw(st.one_of(VALUES, st.sampled_from([0.5, 1, 3, 49, 10**6, "five", "ring", "sdr"])))
        values = replaced(values, data.draw(st.sampled_from(places_in(values))), new)
    try:
        experiment = from_dict(values, "these")
    except ConfigError as error:
        assert str(error).startswith("these: ")
        return
    assert _same(to_dict(experiment), values)


@pytest.mark.parametrize("name", preset_names())
def test_presets_are_accepted(path, reading, name):
    assert check(path, (PRESETS / f"{name}.toml").read_bytes(), reading)
