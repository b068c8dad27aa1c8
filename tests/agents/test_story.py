"""The story of an episode, and tables of episodes, on records made by hand."""

import math
from dataclasses import replace

import numpy as np
import pytest
from rich.console import Console

from cortical.agents.rollout import ColumnTrace, EpisodeRecord, StepTrace
from cortical.agents.story import compare_table, episode_table, odds_text, place, tell, turning_points


def step(
    best="mug", log_odds=2.0, columns=("mug",), expected=0.5, location=((0.0, 0.0, 0.05),), **posterior
) -> StepTrace:
    share = 1 / (1 + math.exp(-log_odds))
    traces = [ColumnTrace(0.5, name, log_odds, 0.5, name, log_odds) for name in columns]
    beliefs = posterior or {best: share, "bowl": 1 - share}
    where = [list(point) for point in location]
    return StepTrace(
        best,
        log_odds,
        0.5,
        beliefs,
        traces,
        4,
        [0.0, 0.0, 0.2],
        [0.0, 0.0, -1.0],
        where,
        3.0,
        expected,
        "to tell apart",
    )


def record(*steps: StepTrace, **changes) -> EpisodeRecord:
    known = EpisodeRecord(
        object="mug", answer="mug", best_guess="mug", odds_log=math.log(1234), sensations=len(steps), path_m=0.1,
        rotation_error_deg=2.1, rotation_error_half_deg=2.1, rotation_error_double_deg=2.1,
        rotation_error_plain_deg=90.0, add_s_mm=1.5, think_ms=[3.0] * len(steps),
        best_guess_per_step=[s.best for s in steps], seed=0, rotation_index=0,
        position=[0.0] * 3, rotation=np.eye(3).tolist(), estimated_position=[0.0] * 3,
        estimated_rotation=np.eye(3).tolist(), trace=list(steps),
    )  # fmt: skip
    return replace(known, **changes)


DOUBTFUL = step("mug", -0.4, mug=0.41, bowl=0.22, duck=0.2, unknown=0.17)


def test_a_story_tells_what_could_be_and_what_it_was():
    lines = tell(record(DOUBTFUL, step(log_odds=math.log(1234))))
    assert (
        lines[0] == "sensation 1: a first look near its top; could be mug (41 %), bowl (22 %), duck (20 %) or another"
    )
    assert "where mug and bowl would differ most" in lines[1]
    assert lines[1].endswith("mug, 1,200 : 1. Decided: mug, right; the pose is 2.1 degrees off (after symmetry).")


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"answer": "bowl", "best_guess": "bowl"}, "Decided: bowl, wrong: it is a mug."),
        ({"answer": "unknown", "best_guess": "unknown"}, "none of the objects it knows. It is a mug."),
        ({"answer": None}, "Undecided: the best guess, mug, is right."),
        ({"answer": None, "best_guess": "bowl", "object": "apple"}, "the best guess, bowl, is wrong: it is an apple."),
    ],
)
def test_every_ending(changes, said):
    assert tell(record(DOUBTFUL, **changes))[-1].endswith(said)
    assert tell(record(**{"trace": [], **changes}))[-1].endswith(said)


def test_columns_that_disagree_are_named():
    views = ("mug", "mug", "mug", "mug", "bowl")
    split = step(log_odds=math.log(90), columns=views, location=[(0.0, 0.0, 0.05)] * 5)
    assert tell(record(split), coded={4})[0].startswith(
        "sensation 1: a first look near its top; columns 1-4 lean to mug,"
        " column 5, which sees codes alone, to bowl; together mug, 90 : 1"
    )
    agreed = [ColumnTrace(0.1, "mug", 4.0, 0.1, "mug", 4.0)] * 5
    missed = replace(split, columns=agreed, location=[[], [], [], [], [0.0, 0.05, 0.0]])
    assert "1 of 5 columns meet it; all 5 columns agree: mug" in tell(record(missed))[0]
    assert "a first look meets nothing" in tell(record(replace(split, location=[[]] * 5)))[0]


def test_a_long_episode_is_told_by_its_turning_points():
    steps = [step("mug", 0.1)] * 200
    steps[77], steps[150] = step("bowl", 1.0), step("mug", 6.0)
    points = turning_points(record(*steps))
    assert len(points) == 6 and {0, 77, 150, 199} <= set(points)
    assert len(tell(record(*steps))) == 6


def test_places_are_named_in_the_frame_of_the_object():
    assert place([0, 0, -1]) == "near its bottom"
    assert place([0.05, 0, 0.04]) == "high on its right side"
    assert place([-0.05, 0, 0.0]) == "at its left side"
    assert place([0.0, -0.05, -0.04]) == "low on its front"
    # the object lies on its head: what is up in the world is its bottom
    turned = record(DOUBTFUL, rotation=np.diag([1.0, -1.0, -1.0]).tolist())
    assert "near its bottom" in tell(turned)[0]


@pytest.mark.parametrize(
    ("odds", "text"),
    [
        (1234, "1,200 : 1"),
        (1.0, "1.0 : 1"),
        (1 / 3, "1 : 3.0"),
        (9.96, "10 : 1"),
        (2e7, "over a million : 1"),
        (0.97, "1 : 1"),
    ],
)
def test_odds_in_words(odds, text):
    assert odds_text(math.log(odds)) == text


def _printed(table) -> str:
    console = Console(width=160, record=True, file=open("/dev/null", "w"))  # noqa: SIM115
    with console.file:
        console.print(table)
        return console.export_text()


def test_tables_hold_every_episode_and_the_totals():
    rows = [record(DOUBTFUL), record(DOUBTFUL, DOUBTFUL, DOUBTFUL, answer="bowl", seed=1)]
    text = _printed(episode_table(rows, "a run"))
    assert "a run" in text and "bowl" in text and "1 of 2 correct" in text and "1,200 : 1" in text
    text = _printed(compare_table(rows, rows[:1]))
    assert "1 of 2 correct" in text and "1 of 1 correct" in text and "five columns" in text and "–" in text
