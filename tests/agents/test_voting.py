"""An experiment on voting: every setting has its rows, what comes to the same is run once, and nothing is run again."""

import csv
from dataclasses import replace

import networkx as nx
import numpy as np
import pytest

from cortical.agents import runs, voting
from cortical.agents.brain import build_region
from cortical.agents.records import RunFolder
from cortical.agents.rollout import make_agent, play, struck
from cortical.agents.voting import Plan, Setting, label_of, run_experiment, run_settings, write_table
from cortical.agents.voting_picture import experiment_picture, interval
from cortical.configs.load import ConfigError
from cortical.configs.schema import Experiment, EyeConfig, LearnConfig, LesionConfig, WorldConfig

NAMES = ("cylinder", "torus", "box")
EXPERIMENT = Experiment(
    world=WorldConfig(objects="solids"), eye=EyeConfig(pixels=5), learn=LearnConfig(sensations_per_view=100)
)
PLAN = Plan((1, 4), ("all-to-all", "ring"), (0.0, 0.5))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return RunFolder(tmp_path_factory.mktemp("voting") / "run", EXPERIMENT, "vote")


@pytest.fixture(scope="module")
def maps(folder):
    return runs.learn(EXPERIMENT, folder, NAMES)


@pytest.fixture(scope="module")
def records(maps, folder):
    return run_settings(EXPERIMENT, maps, PLAN, folder)


def test_every_setting_has_its_episodes(records, folder):
    assert set(records) == set(PLAN.settings) and len(PLAN.settings) == 8
    assert all([r.object for r in some] == list(NAMES) for some in records.values())
    rows = voting.rows_of(records, PLAN.kind)
    assert len(rows) == 24 and {row["lesion"] for row in rows} == {"none", "kill"}
    assert all(0 <= row["rotation_error_deg"] <= 180 for row in rows)
    poses = {(record.object, *np.ravel(record.rotation)) for some in records.values() for record in some}
    assert len(poses) == len(NAMES), "the same episodes in all settings"


def test_what_comes_to_the_same_is_run_once(records, folder):
    labels = [line.split('"')[3] for line in (folder.path / "episodes.jsonl").read_text().splitlines()]
    assert sorted(set(labels)) == [
        "1 column",
        "4 columns",
        "4 columns, kill 0.5",
        "4 columns, ring",
        "4 columns, ring, kill 0.5",
    ]
    assert len(labels) == 5 * len(NAMES)
    assert records[Setting(1, "ring", 0.5)] == records[Setting(1, "all-to-all", 0.0)]


def test_an_experiment_goes_on_where_it_stopped(records, maps, folder):
    before = (folder.path / "episodes.jsonl").read_bytes()
    again = run_settings(EXPERIMENT, maps, PLAN, folder)
    assert (folder.path / "episodes.jsonl").read_bytes() == before
    assert voting.rows_of(again, "kill") == voting.rows_of(records, "kill")


def test_processes_play_the_same_episodes(records, maps, folder):
    plan = Plan((4,), ("ring",), (0.5,))
    apart = run_settings(EXPERIMENT, maps, plan, None, workers=2, maps_in=folder.path)
    asked = Setting(4, "ring", 0.5)
    told = [(r.answer, r.sensations, r.rotation_error_deg, r.odds_log) for r in apart[asked]]
    assert told == [(r.answer, r.sensations, r.rotation_error_deg, r.odds_log) for r in records[asked]]
    with pytest.raises(ValueError, match="workers=1"):
        run_experiment(EXPERIMENT, maps, plan, workers=2)


def test_a_graph_of_ones_own_is_not_played_under_other_names(tmp_path):
    nx.write_graphml(nx.path_graph(4), tmp_path / "path.graphml")
    own = replace(EXPERIMENT, lateral=replace(EXPERIMENT.lateral, graph=str(tmp_path / "path.graphml")))
    assert voting.with_setting(own, Setting(4, own.lateral.topology, 0.0), "kill").lateral == own.lateral
    with pytest.raises(ConfigError, match=r"leave out --lateral\.graph, or --topology"):
        voting.with_setting(own, Setting(4, "ring", 0.0), "kill")


def test_tables_are_tidy(records, tmp_path):
    rows = voting.rows_of(records, PLAN.kind)
    with open(write_table(rows, tmp_path / "rows.csv"), newline="") as file:
        read = list(csv.DictReader(file))
    assert len(read) == len(rows) and read[0]["object"] == "cylinder" and read[0]["columns"] == "1"
    steps = list(voting.step_rows(records, PLAN.kind))
    assert len(steps) == sum(s.columns * r.sensations for s, some in records.items() for r in some)
    assert {row["column"] for row in steps if row["columns"] == 4} == {0, 1, 2, 3}
    with pytest.raises(ValueError, match="no rows"):
        write_table([], tmp_path / "none.csv")


def test_it_is_drawn(records, tmp_path):
    rows = voting.rows_of(records, PLAN.kind)
    assert experiment_picture(rows, tmp_path / "voting.png").stat().st_size > 20_000
    with pytest.raises(ValueError, match="no rows"):
        experiment_picture([], tmp_path / "none.png")
    low, middle, high = interval(rows, "sensations")
    assert low <= middle == np.mean([row["sensations"] for row in rows]) <= high
    assert np.isnan(interval([row | {"correct": False} for row in rows], "rotation_error_deg")).all()


def test_a_setting_that_makes_no_sense_is_refused(maps):
    with pytest.raises(ConfigError, match=r"lesion\.share"):
        run_experiment(EXPERIMENT, maps, Plan((2,), lesions=(1.5,)))
    with pytest.raises(ConfigError, match="nothing would be sensed"):
        run_experiment(EXPERIMENT, maps, Plan((0,)))


def test_labels_tell_settings_apart():
    assert label_of(Setting(1, "ring", 0.2), EXPERIMENT, "kill") == "1 column"
    assert label_of(Setting(9, "all-to-all", 0.2), EXPERIMENT, "freeze") == "9 columns, freeze 0.2"
    ring = replace(EXPERIMENT, lateral=replace(EXPERIMENT.lateral, topology="ring"))
    assert label_of(Setting(9, "ring", 0.0), ring, "kill") == "9 columns"


def test_an_episode_draws_its_own_lesion(maps):
    """The columns that are struck follow from the episode, and liars never claim its object."""
    lesion = LesionConfig(kind="collude", share=0.5)
    experiment = replace(EXPERIMENT, eye=replace(EXPERIMENT.eye, columns=8), lesion=lesion)
    agent = make_agent(experiment, build_region(experiment, maps))
    drawn = [struck(agent, name, seed).region.kinds[0].lesion for seed in range(8) for name in NAMES]
    assert all(int(one.struck.sum()) == 4 for one in drawn)
    assert len({tuple(one.struck.tolist()) for one in drawn}) > 4
    assert all(NAMES[one.claim] != name for one, name in zip(drawn, NAMES * 8, strict=True))
    one, again = (play(agent, "torus", 3) for _ in range(2))
    assert one.odds_log == again.odds_log and one.answer == again.answer
    agent.env.close()
