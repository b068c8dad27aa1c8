"""The parts of benchmarks/open_set.py that its figures rest on: the draws, the sides, the counts."""

import sys
from pathlib import Path

import numpy as np
import pytest

from cortical.agents.learning import Learner, views
from cortical.configs.schema import Experiment, LearnConfig, WorldConfig
from cortical.envs.objects import open_catalogue

sys.path.append(str(Path(__file__).parents[1] / "benchmarks"))

import open_set  # pyright: ignore[reportMissingImports]

SCANS = tuple(f"{k:03}_scan" for k in range(74)) + open_set.PEER
DEFAULT = open_catalogue("default").names


@pytest.mark.parametrize(("names", "count"), [(SCANS, 10), (DEFAULT, 4)], ids=["scans", "default"])
def test_left_out_is_one_in_eight_and_the_same_every_time(names, count):
    lacking = open_set.left_out(names)
    assert len(set(lacking)) == count
    assert lacking == tuple(name for name in names if name in lacking)
    assert lacking == open_set.left_out(names)
    assert lacking != open_set.drawn(names, count, open_set.DRAW + 7)


@pytest.mark.parametrize("names", [SCANS, DEFAULT], ids=["scans", "default"])
def test_nine_are_half_learnt_the_peers_among_them(names):
    half = open_set.half_learnt(names)
    assert len(set(half)) == 9 and set(half) <= set(names)
    assert (set(open_set.PEER) <= set(half)) == (names is SCANS)


def test_six_views_lie_on_one_side():
    side, chosen = open_set.side_of("026_sponge")
    others = np.setdiff1d(np.arange(14), chosen)
    assert len(chosen) == 6 and np.linalg.norm(side) == pytest.approx(1)
    assert (views()[chosen] @ side).min() > (views()[others] @ side).max()
    assert not np.allclose(side, open_set.side_of("031_spoon")[0])


def test_half_a_map_is_of_the_side_looked_at():
    learner = Learner(Experiment(world=WorldConfig(objects="solids"), learn=LearnConfig(sensations_per_view=250)))
    side, chosen = open_set.side_of("sphere")
    along = learner.learn("sphere", views()[chosen]).rows()[0][:, 3:6].numpy() @ side
    assert learner.readings <= 6 * 250
    assert along.max() > 0.9
    assert (along < -0.3).mean() < 0.1  # of a whole sphere 0.35


def test_both_sides_are_started_from_at_one_pose():
    (experiment, name) = Experiment(), "sphere"
    near, far = (open_set.half_start(experiment, name, 1, 2, toward) for toward in (1.0, -1.0))
    assert all(np.array_equal(a, b) for a, b in zip(near["pose"], far["pose"], strict=True))
    assert np.allclose(near["start"]["eye_position"], -far["start"]["eye_position"])
    seen_from = near["pose"][1].T @ near["start"]["eye_position"] / experiment.eye.distance
    assert np.allclose(seen_from, open_set.side_of(name)[0])


def row(part, known, answer):
    return {"part": part, "known": known, "object": "cup", "answer": answer, "sensations": 9}


def test_answers_are_counted_by_what_was_shown():
    rows = [row("open", True, answer) for answer in ("cup", "cup", "unknown", "can", None)]
    rows += [row("open", False, answer) for answer in ("unknown", "unknown", "can", "nothing here")]
    rows += [row("learnt", True, "cup"), row("unlearnt", True, "unknown"), row("unlearnt", True, "can")]
    found = open_set.summary(rows)
    times = {name: (figure["times"], figure["of"]) for name, figure in found.items() if name != "answers"}
    assert times == {
        "unknown_flagged": (2, 4), "known_called_unknown": (1, 5), "unknown_given_a_name": (1, 4),
        "half_learnt_wrong_names": (1, 3),
    }  # fmt: skip
    low, high = found["unknown_flagged"]["interval"]
    assert low < found["unknown_flagged"]["share"] == 0.5 < high
    known = found["answers"]["known"]
    assert [known[key]["times"] for key in ("right", "unknown", "undecided", "wrong_name")] == [2, 1, 1, 1]
    assert known["names"] == {"cup as can": 1}
    assert found["answers"]["half_learnt_from_learnt_side"]["wrong_name"]["times"] == 0


def test_of_nothing_there_is_no_share():
    assert open_set.summary([])["unknown_flagged"] == {"times": 0, "of": 0, "share": None, "interval": [0.0, 1.0]}
