"""Episodes played past their decision, and what the pose bound and the ideal observer make of one."""

import json
import math
import sys
from argparse import Namespace
from functools import lru_cache
from pathlib import Path

import numpy as np
import pytest

sys.path.append(str(Path(__file__).parents[1] / "benchmarks"))

import ideal  # pyright: ignore[reportMissingImports]
import ideal_observer  # pyright: ignore[reportMissingImports]
import pose_bound  # pyright: ignore[reportMissingImports]
import pose_surface  # pyright: ignore[reportMissingImports]
import replaying  # pyright: ignore[reportMissingImports]

from cortical.agents.brain import build_region
from cortical.agents.learning import Learner, views
from cortical.agents.rollout import make_agent, play
from cortical.configs.schema import DecisionConfig, Experiment, LearnConfig, PolicyConfig, WorldConfig

BEYOND = 2


@lru_cache(maxsize=1)
def agent():
    experiment = Experiment(
        world=WorldConfig(objects="solids"), learn=LearnConfig(sensations_per_view=150),
        decision=DecisionConfig(odds=20, max_sensations=40), policy=PolicyConfig(name="saccade"),
    )  # fmt: skip
    learner = Learner(experiment)
    maps = {name: learner.learn(name, views()) for name in ("box", "ellipsoid")}
    return make_agent(experiment, build_region(experiment, maps))


@lru_cache(maxsize=1)
def episode():
    return replaying.played(agent(), "ellipsoid", 100, 0, BEYOND, 40)


def test_an_episode_is_the_one_that_others_play_and_goes_on():
    found, record = episode(), play(agent(), "ellipsoid", 100, 0, traced=False)
    assert found.decided == record.sensations and found.answer == record.answer == "ellipsoid"
    assert len(found.sensations) == len(found.best) == found.decided + BEYOND
    assert found.odds_log == pytest.approx(record.odds_log)
    assert found.error_deg[0] == pytest.approx(record.rotation_error_deg)
    assert np.allclose(found.truth[0], record.rotation)


def test_a_bound_stands_beside_every_error():
    found = replaying.played(agent(), "ellipsoid", 100, 0, BEYOND, 40)  # the world must be as it was
    surface, met = pose_surface.surface_of(agent().env, *found.eyes)
    row = {"part": "solids", **pose_bound.row_of(found, surface, met)}
    for moment, belief in zip(pose_bound.MOMENTS, found.beliefs, strict=True):
        row[moment] |= pose_bound.beside_truth(agent().region, belief, found)
    first, last = (row[moment] for moment in pose_bound.MOMENTS)
    assert first["sensations"] + BEYOND == last["sensations"] and first["met"] <= last["met"]
    assert all(last[name] <= first[name] + 1e-9 for name in pose_bound.BOUNDS)
    assert 0 < last["rays"] <= last["bound"] <= last["shape"] + 1e-9 <= last["patch"] + 2e-9
    assert last["from_truth_deg"] < 30 and isinstance(last["held_likelier"], bool)
    summary = pose_bound.summary([row, row])["solids"]
    assert summary["scored"] == 2
    assert summary["ten_after"]["ratio_median"] == pytest.approx(last["error_deg"] / last["bound"])


def test_the_observer_replays_what_was_sensed():
    row = {"part": "solids", **ideal_observer.row_of(agent(), episode(), ideal.Thrift())}
    assert row["ours"] == {"sensations": episode().decided, "answer": "ellipsoid"}
    for share in ideal_observer.SHARES:
        assert row["ideal"][share]["answer"] in ("ellipsoid", None)
    odds = [row["ideal"][share]["log_odds"][-1] for share in ideal_observer.SHARES]
    assert odds[1] > odds[0] > 0  # all of the evidence says more than a share
    found = ideal_observer.summary([row], 40)["all"]
    assert found["ours"]["right"] == 1
    assert found["efficiency_full"] == found["ours"]["sensations_median"] / found["full"]["sensations_median"]
    json.dumps(found)


def test_an_observer_that_spares_less_finds_the_same():
    more = ideal.Thrift(in_range=20.0, behind=80.0)
    one, other = (ideal_observer.row_of(agent(), episode(), thrift) for thrift in (ideal.Thrift(), more))
    apart = ideal_observer.differences([one | {"lavish": other["ideal"]}])
    assert apart["nats_apart_median"] < 1.0


def rows_of(job):
    part, args, name = job
    (args.folder / f"{name}.count").open("a").write("x")
    return [{"part": part, "object": name, "value": math.pi}]


def test_what_was_done_before_is_not_done_again(tmp_path):
    args = Namespace(folder=tmp_path)
    jobs = [("a", args, "cup"), ("a", args, "can")]
    first = replaying.finished(rows_of, jobs[:1], tmp_path, 1)
    both = replaying.finished(rows_of, jobs, tmp_path, 1)
    assert both[0] == first[0] == {"part": "a", "object": "cup", "value": 3.1416}
    assert [(tmp_path / f"{name}.count").read_text() for name in ("cup", "can")] == ["x", "x"]


def test_an_interval_of_a_median_holds_it():
    values = np.random.default_rng(0).exponential(size=200)
    low, high = replaying.median_interval(values)
    assert low < np.median(values) < high < low + 0.5
    assert replaying.median_interval(np.full(9, 2.0)) == (2.0, 2.0)


def test_scans_need_their_folder():
    with pytest.raises(SystemExit, match="--objects DIR"):
        replaying.settings(Namespace(objects=None), "ycb10", "saccade")
    assert replaying.settings(Namespace(objects="x"), "default", "saccade").objects is None
