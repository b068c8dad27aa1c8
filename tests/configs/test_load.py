"""Presets and files become experiments exactly; whatever else they say is refused with a remedy."""

import subprocess
import sys
import tomllib
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cortical.configs.load import ConfigError, dumps_toml, from_dict, load, preset_names, to_dict, validate
from cortical.configs.schema import Condition, DecisionConfig, Experiment, EyeConfig, WorldConfig

CONDITIONS: tuple[Condition, ...] = ("clean", "noise", "rawnoise", "dropout")
lengths = st.floats(1e-6, 1e3)
texts = st.text(st.characters(exclude_categories=("Cs",)), min_size=1).filter(lambda text: text.strip() != "")
worlds = st.builds(WorldConfig, objects=texts, cube=lengths)
eyes = st.builds(
    EyeConfig, columns=st.integers(1, 10_000), noise=st.sampled_from(CONDITIONS), distance=lengths
)
decisions = st.builds(DecisionConfig, odds=st.floats(1.0, 1e300, exclude_min=True))
experiments = st.builds(
    Experiment, world=worlds, eye=eyes, decision=decisions, seed=st.integers(0, 2**63 - 1)
)


@settings(deadline=None)
@given(experiments)
def test_toml_and_plain_values_round_trip(experiment):
    assert from_dict(to_dict(experiment)) == experiment
    assert from_dict(tomllib.loads(dumps_toml(experiment))) == experiment


def test_file_round_trip(tmp_path):
    experiment = replace(Experiment(), seed=7, world=WorldConfig(objects='a "quoted" \\ path\n', cube=1e-5))
    file = tmp_path / "my.toml"
    file.write_text(dumps_toml(experiment), encoding="utf-8")
    assert load(file) == load(str(file)) == experiment


@pytest.mark.parametrize("name", preset_names())
def test_every_preset_loads_and_is_written_completely(name):
    experiment = load(name)
    assert from_dict(tomllib.loads(dumps_toml(experiment))) == experiment


def test_presets_are_there_and_default_is_the_default():
    wanted = {"default", "five", "demo", "sdr", "both", "camera", "clean", "table"}
    assert wanted <= set(preset_names())
    assert preset_names()[0] == "default"
    assert load() == load("default") == Experiment()


def test_presets_say_what_their_names_promise():
    assert load("five").eye.columns == 5
    assert load("demo").column.code_column
    assert load("sdr").column.features == "sdr"
    assert load("both").column.features == "both"
    assert load("camera").eye.backend == "camera"
    assert load("clean").eye.noise == "clean"
    assert load("table").world.scene == "table"


def test_whole_numbers_do_for_floats():
    cube = from_dict({"world": {"cube": 1}}).world.cube
    assert type(cube) is float and cube == 1.0


WRONG = {
    "similar key": ({"eye": {"colums": 5}}, r"my.toml: unknown key 'eye.colums' \(did you mean 'columns'"),
    "strange key": ({"eye": {"zzz": 5}}, "eye.zzz.*may have columns, spread"),
    "similar table": ({"eyes": {}}, "unknown table 'eyes'.*did you mean 'eye'"),
    "key without its table": ({"odds": 9.0}, r"unknown key 'odds' \(it belongs in \[decision\]"),
    "key in a wrong table": ({"eye": {"topology": "ring"}}, r"belongs in \[lateral\]"),
    "top key in a table": ({"decision": {"seed": 1}}, "belongs at the top of the file"),
    "value for a table": ({"eye": 5}, r"eye must be a table, \[eye\]"),
    "table for a value": ({"eye": {"columns": {}}}, "eye.columns = {}.*whole number"),
    "float for an int": ({"eye": {"columns": 5.0}}, "eye.columns = 5.0.*whole number.*Patches of the eye"),
    "bool for an int": ({"eye": {"columns": True}}, "eye.columns = True.*whole number"),
    "bool for a float": ({"eye": {"spread": True}}, "eye.spread = True.*a number.*Angle in degrees"),
    "text for a float": ({"eye": {"spread": "5"}}, "eye.spread = '5'.*must be a number"),
    "number for text": ({"world": {"objects": 3}}, "text in quotes.*Catalogue"),
    "huge whole number": ({"world": {"cube": 10**400}}, "must be a number"),
    "similar choice": ({"lateral": {"topology": "rng"}}, "did you mean 'ring'.*one of all-to-all, ring"),
    "number for a choice": ({"lateral": {"topology": 1}}, "one of all-to-all"),
    "no column": ({"eye": {"columns": 0}}, "eye.columns and touch.fingers are both 0"),
    "fewer than none": ({"eye": {"columns": -1}}, "eye.columns = -1.*from 0 to 10000"),
    "wide patch": ({"eye": {"field_of_view": 12.5}}, "above 0 and at most 12"),
    "not a number": ({"eye": {"distance": float("nan")}}, "distance = nan.*above 0"),
    "endless": ({"world": {"cube": float("inf")}}, "cube = inf.*above 0"),
    "less than no noise": ({"eye": {"patch_noise": -1.0}}, "patch_noise = -1.0.*from 0 to 100.*what a patch looks"),
    "even odds": ({"decision": {"odds": 1.0}}, "above 1.*Posterior odds"),
    "certain outlier": ({"column": {"outlier": 1.0}}, "above 0 and below 1"),
    "unknown device": ({"column": {"device": "gpu"}}, "cpu, cuda or cuda:N"),
    "negative seed": ({"seed": -1}, "seed = -1.*from 0"),
    "negative rounds": ({"lateral": {"rounds": -1}}, "lateral.rounds = -1.*from 0"),
    "no objects": ({"world": {"objects": " "}}, "catalogue"),
    "cap below keep": (
        {"column": {"first_cap": 10, "keep": 20}},
        "first_cap = 10 is less than column.keep = 20",
    ),
}


@pytest.mark.parametrize("values, message", WRONG.values(), ids=WRONG.keys())
def test_what_cannot_be_meant_is_refused(values, message):
    with pytest.raises(ConfigError, match=message):
        from_dict(values, "my.toml")


def test_flags_are_held_to_the_same_ranges():
    with pytest.raises(ConfigError, match=r"eye\.pixels = 0"):
        validate(Experiment(eye=EyeConfig(pixels=0)))


FILES = {
    "not toml": (b"[eye\ncolumns = 5", "is not TOML"),
    "text without quotes": (b"[world]\nobjects = solids", "is not TOML.*quotes"),
    "not text": (b"\xff\xfe\x00", "UTF-8"),
    "unknown key": (b"[eye]\ncolums = 5", "bad.toml: unknown key 'eye.colums'"),
}


@pytest.mark.parametrize("content, message", FILES.values(), ids=FILES.keys())
def test_bad_files_are_refused_by_name(tmp_path, content, message):
    file = tmp_path / "bad.toml"
    file.write_bytes(content)
    with pytest.raises(ConfigError, match=message):
        load(file)


def test_missing_presets_files_and_folders(tmp_path):
    with pytest.raises(ConfigError, match=r"'fiv' .did you mean 'five'.*presets are default, arm, both"):
        load("fiv")
    with pytest.raises(ConfigError, match=r"no preset and no file.*did you mean 'demo'"):
        load(tmp_path / "demoo.toml")
    with pytest.raises(ConfigError, match="is a folder"):
        load(tmp_path)


def test_loading_imports_nothing_heavy():
    heavy = ("torch", "numpy", "numba", "pybullet", "gymnasium", "networkx")
    code = (
        "import sys, cortical.configs.load as c; c.load('five'); "
        f"print([name for name in {heavy} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-I", "-c", code], capture_output=True, text=True, timeout=60)
    assert done.stdout.strip() == "[]", done.stderr
