"""Packages add objects, sensors, columns and policies by name: found, chosen, checked, and refused with a reason."""

import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import trimesh

from cortical.agents.brain import build_region
from cortical.agents.cli import main
from cortical.agents.learning import learn_objects
from cortical.agents.policies import Saccade, make_policy
from cortical.agents.records import RunFolder, learning_settings
from cortical.agents.rollout import make_agent
from cortical.agents.testing import check_policy
from cortical.columns.evidence.column import EvidenceColumn
from cortical.columns.object_map import ObjectMap
from cortical.columns.testing import check_column
from cortical.configs.load import ConfigError, from_dict, load
from cortical.configs.plugins import BUILT_IN, PluginError, load_plugin, plugin_names
from cortical.configs.schema import ColumnConfig, DecisionConfig, EyeConfig, LearnConfig, PolicyConfig, WorldConfig
from cortical.envs.explore import ObjectExploreEnv
from cortical.envs.objects import Catalogue, open_catalogue, solid
from cortical.envs.sensors import Sensors
from cortical.envs.surface import fit
from cortical.envs.testing import check_catalogue, check_env_contract, check_reader
from cortical.envs.vector import explore_worlds

torch.set_num_threads(1)

PLUGINS = Path(__file__).parents[1] / "demos" / "plugins"
CHOSEN = {"objects": "letters", "sensors": "colour_blind", "columns": "habituating", "policies": "far_side"}
USES = {
    "objects": open_catalogue,
    "sensors": lambda name: Sensors(EyeConfig(sensor=name)),
    "columns": lambda name: build_region(replace(load(), column=ColumnConfig(name)), {"L": ObjectMap.empty(0.004)}),
    "policies": lambda name: make_policy(PolicyConfig(name)),
}
"""What opens each kind of plug-in by its name."""


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The example package installed by pip in a folder of its own, from a copy, and found by this process."""
    source, target = tmp_path_factory.mktemp("source") / "plugins", tmp_path_factory.mktemp("site")
    shutil.copytree(PLUGINS, source, ignore=shutil.ignore_patterns("__pycache__", "build", "*.egg-info"))
    offline = ["--no-index", "--no-deps", "--no-build-isolation", "--disable-pip-version-check", "-q"]
    command = [sys.executable, "-m", "pip", "install", *offline, "--target", str(target), str(source)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(target)
        yield target


@pytest.fixture(scope="module")
def experiment(site):
    """All four plug-ins chosen."""
    plain = load()
    return replace(
        plain, world=WorldConfig(CHOSEN["objects"]), eye=EyeConfig(sensor=CHOSEN["sensors"], noise="clean"),
        column=ColumnConfig(CHOSEN["columns"]), policy=PolicyConfig(CHOSEN["policies"]), learn=LearnConfig(250),
    )  # fmt: skip


@pytest.fixture(scope="module")
def maps(experiment, tmp_path_factory):
    """Maps of a U and an H."""
    folder = RunFolder(tmp_path_factory.mktemp("learnt"), experiment, "learn")
    return learn_objects(experiment, ("U", "H"), folder, lambda name, readings: None)


@pytest.fixture
def agent(experiment, maps):
    """Three columns side by side that know them and never decide."""
    eye, decision = replace(experiment.eye, columns=3, spread=2.0), DecisionConfig(odds=1e300)
    three = replace(experiment, eye=eye, decision=decision)
    made = make_agent(three, build_region(three, maps))
    yield made
    made.env.close()


@pytest.fixture
def install(tmp_path, monkeypatch):
    """install("package", "a-group", "name = package:thing", code=...) puts a package on the path for one test."""

    def put(package: str, group: str, entry: str, code: str = "", version: str = "1.0") -> None:
        folder = tmp_path / f"on_path_{package}"
        info = folder / f"{package}-{version}.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: {version}\n")
        (info / "entry_points.txt").write_text(f"[cortical.{group}]\n{entry}\n")
        (folder / f"{package}.py").write_text(code)
        monkeypatch.syspath_prepend(folder)
        monkeypatch.delitem(sys.modules, package, raising=False)

    return put


# ---- the examples keep what each kind promises


@pytest.mark.parametrize("name", ["objects.py", "sensor.py", "column.py", "policy.py"])
def test_an_example_is_short(name):
    assert len((PLUGINS / name).read_text().splitlines()) <= 40


def test_the_catalogue_keeps_its_contract(site):
    check_catalogue(lambda: open_catalogue("letters"))


def test_the_sensor_keeps_its_contract(site):
    check_reader(load_plugin("sensors", "colour_blind"))


def test_the_column_keeps_its_contract_and_votes(agent, maps):
    (column,) = agent.region.kinds
    assert type(column).__name__ == "HabituatingColumn" and column.columns == 3
    check_column(column, apart(agent, 3), len(maps))


def test_the_column_does_not_count_a_place_twice(agent):
    (column,) = agent.region.kinds
    plain = EvidenceColumn(column.atlas, column.schema, column.columns, column.outlier)
    one, other = apart(agent, 2)
    after, said = {}, {}
    for kind in (column, plain):
        once = kind.sense(kind.sense(kind.begin(), one), other)
        ballot = kind.nominate(once, 50)
        after[kind] = [kind.vote(memory, ballot).log_evidence for memory in (once, kind.sense(once, one))]
        said[kind] = float((after[kind][1] - after[kind][0]).abs().max())
    assert torch.equal(*(after[kind][0] for kind in (column, plain)))
    assert said[column] == 0.0 and said[plain] > 1.0


def test_the_policy_keeps_its_contract(agent):
    for situation in situations(agent, 4):
        for seed in range(5):
            check_policy(agent.policy, situation, seed)


def test_the_policy_goes_away_from_what_was_seen(agent):
    assert type(agent.policy).__name__ == "FarSide"
    for situation in situations(agent, 4):
        goal = agent.policy.goals(situation, np.random.default_rng(0))[0]
        assert goal.reason == "to see it from another side"
        centre, seen = situation.centre(), -situation.gazes

        def nearest(place, centre=centre, seen=seen):
            return float((seen @ (place - centre) / np.linalg.norm(place - centre)).max())

        assert nearest(goal.origin[0].numpy()) < nearest(situation.body.position) - 0.05


def situations(agent, count):
    """What the policy is shown after the first sensations of an H."""
    found = []
    for step in agent.episode(np.random.default_rng(0), {"object": "H"}, 2):
        found += agent.situations(step.belief, step.sensation)
        if len(found) == count:
            return found
    raise AssertionError("the episode was over too soon")


def apart(agent, count):
    """Sensations of which every reading met the object, each column's far apart."""
    found = []
    for step in agent.episode(np.random.default_rng(0), {"object": "H"}, 2):
        one = step.sensation
        distances = [(one.location - other.location).norm(dim=-1).min() for other in found]
        if bool((one.valid & one.on_object).all()) and min(distances, default=1.0) > 0.006:
            found.append(one)
        if len(found) == count:
            return found
    raise AssertionError("the eye stayed where it was")


# ---- the checks find fault


def crate(name="crate", colour=(0.5, 0.5, 0.5), edge=0.1):
    return solid(name, trimesh.creation.box(extents=[edge] * 3), colour)


def shuffled():
    return [str(name) for name in np.random.default_rng().permutation(list("abcdefghijkl"))]


def restless(name):
    return crate(name, edge=np.random.default_rng().uniform(0.05, 0.1))


@pytest.mark.parametrize(
    "opened, complaint",
    [
        (lambda: ["crate"], "must be an envs.objects.Catalogue"),
        (lambda: Catalogue({}), "empty"),
        (lambda: Catalogue({"box": lambda name: crate("crate")}), "calls itself 'crate'"),
        (lambda: Catalogue({"box": lambda name: crate(name).vertices}), "must be an envs.objects.Mesh"),
        (lambda: Catalogue({"box": lambda name: crate(name, (2.0, 0, 0))}), "colours outside 0 ... 1"),
        (lambda: Catalogue({"box": lambda name: replace(crate(name), vertices=crate().vertices + 0.01)}), "origin"),
        (lambda: Catalogue({"box": restless}), "vertices are others"),
        (lambda: Catalogue(dict.fromkeys(shuffled(), crate)), "change"),
    ],
    ids=["list", "empty", "name", "array", "colour", "aside", "restless", "shuffled"],
)
def test_a_catalogue_that_breaks_a_promise_is_found_out(opened, complaint):
    with pytest.raises((AssertionError, ValueError), match=complaint):
        check_catalogue(opened)


def draws(images, *how):
    return fit(replace(images, rgb=images.rgb * np.random.default_rng().uniform(0.9, 1.0)), *how)


def compares(images, *how):
    return fit(replace(images, rgb=images.rgb / max(images.rgb.max(), 1.0) * len(images.rgb) / 20), *how)


def paints(images, *how):
    images.rgb[:] = 0.5
    return fit(images, *how)


@pytest.mark.parametrize(
    "read, complaint",
    [(draws, "read by itself, or again"), (compares, "read by itself, or again"), (paints, "changed the images' rgb")],
)
def test_a_sensor_that_breaks_a_promise_is_found_out(read, complaint):
    with pytest.raises(AssertionError, match=complaint):
        check_reader(read)


# ---- used like the built-in ones


def test_the_conditions_of_an_eye_hold_for_a_plug_in_sensor_too(site):
    """A colour-blind eye gives no colour away, by noise and stray features either."""
    assert load_plugin("sensors", "colour_blind") is Sensors(EyeConfig(sensor="colour_blind")).read is not fit
    env = ObjectExploreEnv("letters", sensor="colour_blind", columns=3, obs_mode="both")
    observation, _ = env.reset(seed=0, options={"object": "L"})
    red, green = observation["rgb"][:, 0], observation["rgb"][:, 1]
    assert np.array_equal(red, green) and red.max() > 0.4
    bank = Sensors(EyeConfig(sensor="colour_blind", noise="dropout")).bank("letters")
    assert bank is not None and np.array_equal(bank.record.rgb[:, 0], bank.record.rgb[:, 1])
    check_env_contract(env, steps=5)


def test_worlds_side_by_side_read_what_each_reads_alone(site):
    settings = {"objects": "letters", "sensor": "colour_blind", "noise": "dropout", "columns": 5}
    many, alone = explore_worlds(3, **settings), [ObjectExploreEnv(**settings) for _ in range(3)]
    together = [many.reset(seed=4)[0]]
    single = [[env.reset(seed=4 + k)[0] for k, env in enumerate(alone)]]
    for action in np.random.default_rng(0).uniform(-0.3, 0.3, (4, 3, 5)).astype(np.float32):
        together.append(many.step(action)[0])
        single.append([env.step(a)[0] for env, a in zip(alone, action, strict=True)])
    for batch, each in zip(together, single, strict=True):
        for name in batch:
            assert np.array_equal(batch[name], np.stack([one[name] for one in each])), name
    for env in (many, *alone):
        env.close()


def test_maps_learnt_by_another_sensor_are_not_used(experiment):
    plain = replace(experiment, eye=replace(experiment.eye, sensor="surface"))
    assert learning_settings(experiment)["sensor"] == "colour_blind"
    assert "sensor" not in learning_settings(plain)  # as in maps from before there were others


def test_a_recognition_with_all_four_by_their_names(site, tmp_path):
    """The command as people give it, in a process that finds the package by itself."""
    (tmp_path / "mine.toml").write_text(
        '[world]\nobjects = "letters"\n[eye]\nsensor = "colour_blind"\n[column]\nkind = "habituating"\n'
        '[policy]\nname = "far_side"\n[learn]\nsensations_per_view = 250\n'
    )
    words = ["recognise", "--config", tmp_path / "mine.toml", "--names", "U", "H", "--out", tmp_path / "run"]
    command = [sys.executable, "-m", "cortical.agents.cli", *map(str, words)]
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=150, env={**os.environ, "PYTHONPATH": str(site)}
    )
    assert done.returncode == 0, done.stderr
    rows = [json.loads(line) for line in (tmp_path / "run" / "episodes.jsonl").read_text().splitlines()]
    assert [row["answer"] for row in rows] == [row["object"] for row in rows] == ["U", "H"]
    traces = (tmp_path / "run" / "traces.jsonl").read_text()
    assert "to see it from another side" in traces


# ---- names


def test_names_are_found_and_listed_without_running_anything(site, install, capsys):
    install("shy", "policies", "bashful = shy:Bashful", "raise RuntimeError('somebody imported me')")
    for words in (["--help"], ["recognise", "--help"]):
        try:
            main(words)
        except SystemExit as end:
            assert end.code == 0
    said = capsys.readouterr().out
    assert "policies bashful, far_side" in said and "objects letters" in said
    assert "shy" not in sys.modules


@pytest.mark.parametrize(
    "table, key, wrong, group",
    [
        ("policy", "name", "farside", "policies"),
        ("column", "kind", "habituated", "columns"),
        ("eye", "sensor", "colourblind", "sensors"),
    ],
)
def test_an_unknown_name_is_guessed_among_built_in_and_installed(site, table, key, wrong, group):
    guess = f"did you mean '{CHOSEN[group]}'.*{BUILT_IN[group][0]}.*entry points"
    with pytest.raises(ConfigError, match=f"mine.toml: {table}.{key} = '{wrong}'.*{guess}"):
        from_dict({table: {key: wrong}}, "mine.toml")
    with pytest.raises(PluginError, match=guess):
        USES[group](wrong) if group != "columns" else load_plugin(group, wrong)


def test_an_unknown_catalogue_is_guessed(site):
    with pytest.raises(ValueError, match=r"no folder leters: .*did you mean 'letters'"):
        open_catalogue("leters")


def test_a_plug_in_cannot_take_a_built_in_name(install):
    install("thief", "policies", "saccade = thief:Mine", "raise RuntimeError('imported')")
    assert "saccade" not in plugin_names("policies")
    assert isinstance(make_policy(PolicyConfig("saccade")), Saccade)
    assert "thief" not in sys.modules


# ---- plug-ins that don't work


@pytest.mark.parametrize("group", USES)
@pytest.mark.parametrize(
    "code, complaint",
    [
        ("import not_there_at_all", "cannot be loaded: ModuleNotFoundError: No module named 'not_there_at_all'"),
        ("raise KeyError('boom')", "cannot be loaded: KeyError: 'boom'"),
        ("", "cannot be loaded: AttributeError: .*has no attribute 'thing'"),
        ("thing = 3", "is of type int: it must be a function or a class"),
    ],
    ids=["import", "raises", "lacks", "number"],
)
def test_a_plug_in_that_fails_to_load_is_named_with_its_cause(install, group, code, complaint):
    install("broken", group, "mine = broken:thing", code, version="2.5")
    named = rf"plug-in 'mine' of cortical.{group} \(broken:thing, of the package broken 2.5\) "
    with pytest.raises(PluginError, match=named + complaint):
        USES[group]("mine")


@pytest.mark.parametrize("group, wanted", [("objects", "Catalogue"), ("columns", "Column"), ("policies", "Policy")])
def test_a_plug_in_that_makes_something_else_is_refused(install, group, wanted):
    install("odd", group, "mine = odd:thing", "def thing(*given):\n    return 7")
    with pytest.raises(PluginError, match=f"of the package odd 1.0.* made something of type int, not a {wanted}"):
        USES[group]("mine")


def test_a_plug_in_that_fails_when_it_is_made_is_named(install):
    code = "def Weary(config):\n    raise ValueError('no file: ' + config.file)"
    install("weary", "policies", "mine = weary:Weary", code)
    with pytest.raises(PluginError, match=r"of the package weary 1.0.* failed: ValueError: no file: a.toml"):
        make_policy(PolicyConfig("mine", file="a.toml"))


def test_two_packages_with_one_name_are_refused(install):
    install("one", "policies", "mine = one:A", "A = dict")
    install("two", "policies", "mine = two:A", "A = dict")
    with pytest.raises(PluginError, match=r"'mine' .*is claimed by .*: uninstall all but one") as told:
        make_policy(PolicyConfig("mine"))
    assert "one 1.0" in str(told.value) and "two 1.0" in str(told.value)


def test_the_command_ends_with_2_and_says_why(install, capsys):
    install("broken", "objects", "mine = broken:thing", "import not_there_at_all")
    assert main(["objects", "--world.objects", "mine"]) == 2
    said = capsys.readouterr().err
    assert said.startswith("cortical: plug-in 'mine' of cortical.objects (broken:thing, of the package broken 1.0)")
    assert "No module named 'not_there_at_all'" in said
