"""Ingredients taken out one at a time: each is really off, the rest plays on, and differences are counted in pairs."""

import sys
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

import numpy as np
import pytest
import torch

sys.path.append(str(Path(__file__).parents[1] / "benchmarks"))

import ablations  # pyright: ignore[reportMissingImports]

from cortical.agents.brain import build_region
from cortical.agents.learning import Learner, views
from cortical.agents.rollout import make_agent, play
from cortical.columns.evidence.column import EvidenceColumn
from cortical.columns.evidence.memory import HIT, LOST, MISS
from cortical.configs.schema import DecisionConfig, Experiment, LearnConfig, WorldConfig


@lru_cache(maxsize=1)
def whole():
    experiment = Experiment(
        world=WorldConfig(objects="solids"), learn=LearnConfig(sensations_per_view=150),
        decision=DecisionConfig(max_sensations=6),
    )  # fmt: skip
    learner = Learner(experiment)
    maps = {name: learner.learn(name, views()) for name in ("box", "ellipsoid")}
    return make_agent(experiment, build_region(experiment, maps)), maps


def without(off):
    agent, maps = whole()
    return ablations.OFF[off][1](replace(agent, _seen=[]), maps)


@pytest.mark.parametrize("off", ablations.OFF)
def test_an_agent_without_an_ingredient_plays_on_and_is_another(off):
    record = play(without(off), "box", 100, 0, traced=False)
    usual = play(whole()[0], "box", 100, 0, traced=False)
    assert 1 <= record.sensations <= 6 and np.isfinite(record.rotation_error_deg)
    assert np.allclose(record.rotation, usual.rotation), "another episode"
    if off not in ("misses", "late_seeds", "colour"):  # rare in six sensations; solids are of one colour
        assert (record.estimated_rotation, record.odds_log) != (usual.estimated_rotation, usual.odds_log)


def one_sensation(agent, aside):
    observation, _ = agent.begin({"object": "box", "position": np.array([aside, 0.0, 0.0])}, 1)
    return agent.senses(observation)


def test_a_miss_is_a_lost_reading():
    agent = whole()[0]
    sensation = one_sensation(agent, 0.0)
    missed = replace(sensation, on_object=torch.zeros_like(sensation.on_object))
    for off, kind in (("misses", LOST), ("colour", MISS)):
        column = without(off).region.kinds[0]
        assert int(column.sense(column.begin(), missed).kind) == kind
        assert int(column.sense(column.begin(), sensation).kind) == HIT


def test_poses_stay_or_are_not_suggested():
    agent = without("refinement")
    column = agent.region.kinds[0]
    memory = column.sense(column.begin(), one_sensation(agent, 0.0))
    vote = column.vote(memory, column.nominate(memory, 50))
    assert not vote.slope.any() and vote.information.any()
    late = without("late_seeds").region.kinds[0]
    assert len(late.nominate(memory, 50)) > 0
    assert len(late.nominate(replace(memory, steps=4), 50)) == 0


def test_maps_are_changed_where_they_should_be():
    usual = table_of(whole()[0])
    changed = {off: table_of(without(off)) != usual for off in ablations.OFF}
    for off, columns in {"patch": {12, 13}, "normal": {21}, "direction": {22}}.items():
        assert set(torch.nonzero(changed[off].any(0))[:, 0].tolist()) == columns
    assert changed["blur"].any() and changed["spread"].any() and not changed["refinement"].any()
    assert len(table_of(without("spread"))[:, 20].unique()) == 1


def table_of(agent):
    (column,) = agent.region.kinds
    assert isinstance(column, EvidenceColumn)
    return column.atlas.table


def row(off, index, answer, sensations, error):
    return {
        "suite": "default", "off": off, "object": "cup", "seed": 100, "rotation_index": index, "answer": answer,
        "sensations": sensations, "rotation_error_deg": error, "rotation_error_plain_deg": error + 90, "think_ms": 1.0,
    }  # fmt: skip


def test_differences_are_to_the_same_episodes():
    rows = [row("whole", k, "cup", 5 + k, 2.0) for k in range(10)]
    rows += [row("colour", k, "cup" if k else None, 8 + k, 4.0) for k in range(10)]
    found = ablations.summary(rows)["default"]
    assert found["colour"]["correct"] == 0.9 and found["colour"]["undecided"] == 1
    assert found["colour"]["wrong_name"] == found["colour"]["unknown"] == 0
    assert found["colour"]["sensations_difference"] == [3.0, 3.0, 3.0]  # in pairs: no spread
    assert found["colour"]["rotation_difference_deg"] == [2.0, 2.0, 2.0]
    share, low, high = found["colour"]["correct_difference"]
    assert low < share == pytest.approx(-0.1) and high == 0
    assert found["symmetry"]["rotation_error_median_deg"] == 92.0
