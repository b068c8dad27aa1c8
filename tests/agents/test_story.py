"""The story of an episode, and tables of episodes, on records made by hand."""

import math
from dataclasses import replace

import numpy as np
import pytest
from rich.console import Console

from cortical.agents.episode import ColumnTrace, EpisodeRecord, StepTrace
from cortical.agents.story import (
    compare_table,
    episode_table,
    odds_text,
    place,
    short_odds,
    tell,
    turning_points,
    vote_table,
    worth_telling,
    wrapped,
)


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


@pytest.mark.parametrize(
    ("odds", "text"),
    [
        (3e6, "> 10⁶"),
        (21_000, "2·10⁴"),
        (9999.9, "1·10⁴"),
        (9_900, "9,900"),
        (860, "860"),
        (1.0, "1.0"),
        (0.31, "0.31"),
    ],
)
def test_odds_in_five_characters(odds, text):
    assert short_odds(math.log(odds)) == text


@pytest.mark.parametrize(
    ("before", "aim"),
    [
        (DOUBTFUL, "looks where mug and bowl would differ most"),
        (step("mug", mug=0.93, bowl=0.06), "looks to pin down its pose"),
        (step("mug", mug=0.8, bowl=0.04, duck=0.04, unknown=0.12), "looks where it expects to learn most"),
        (step("unknown", unknown=0.95, mug=0.05), "looks where it expects to learn most"),
    ],
)
def test_what_a_movement_was_for(before, aim):
    assert aim in tell(record(before, step(log_odds=17.0)))[1]
    assert "looks at random" in tell(record(before, step(log_odds=17.0, expected=0.0)))[1]


def test_a_story_is_wrapped_with_hanging_indents():
    line = "sensation 1: a first look low on its left side; could be mug (53 %), xarm_base (26 %), duck; mug, 1,200 : 1"
    assert wrapped(line, 79) == (
        "  sensation 1: a first look low on its left side; could be mug (53 %),\n"
        "    xarm_base (26 %), duck; mug, 1,200 : 1"
    )
    for width in range(30, 100):
        text = wrapped(line, width)
        assert "xarm_base (26 %)" in text and "1,200 : 1" in text and max(map(len, text.splitlines())) <= width


def test_the_episode_told_is_right_neither_short_nor_long_and_had_a_change_of_mind():
    doubts = {"sensations": 6, "best_guess_per_step": ["bowl", "mug"]}
    best = record(**doubts, rotation_error_deg=3.0)
    others = [
        record(**doubts, rotation_error_deg=9.0),
        record(sensations=6, best_guess_per_step=["mug", "mug"], rotation_error_deg=0.1),
        record(sensations=12, best_guess_per_step=["bowl", "mug"], rotation_error_deg=0.1),
        record(**doubts, answer="bowl", rotation_error_deg=0.1),
    ]
    assert worth_telling([*others, best]) is best
    assert worth_telling(others[3:]) is others[3]
    assert worth_telling(others[2:]) is others[2]


def _printed(table, width=80) -> str:
    console = Console(width=width, record=True, file=open("/dev/null", "w"))  # noqa: SIM115
    with console.file:
        console.print(table)
        return console.export_text()


def test_tables_hold_every_episode_and_the_totals():
    rows = [
        record(DOUBTFUL),
        record(DOUBTFUL, DOUBTFUL, DOUBTFUL, answer="bowl", best_guess="bowl", rotation_error_deg=77.7, seed=1),
    ]
    text = _printed(episode_table(rows, "a run"))
    assert "a run" in text and "bowl" in text and "✓" in text and "1 of 2" in text and "1,200" in text
    assert "77.7" not in text, "the pose of another object has no error"
    text = _printed(compare_table(rows, rows[:1]))
    assert "1 of 2" in text and "1 of 1" in text and "five columns" in text and "–" in text


def test_tables_fit_80_columns_uncut_whatever_they_hold():
    longest, wrong = "gripper_finger", "spiral_pinion2"
    rows = [
        record(object=longest, answer=wrong, best_guess=wrong, sensations=500, odds_log=20.0),
        record(object=longest, answer=longest, best_guess=longest, sensations=500, rotation_error_deg=180.0, seed=1),
        record(object=longest, answer=None, best_guess=wrong, sensations=500, odds_log=-1.0, seed=2),
    ]
    for table in (compare_table(rows, rows), episode_table(rows), vote_table({1: rows, 100: rows})):
        lines = [line.rstrip() for line in _printed(table).splitlines()]
        assert lines == [line.rstrip() for line in _printed(table, 200).splitlines()] and "…" not in "".join(lines)
    text = _printed(compare_table(rows, rows))
    assert text.count(longest) == 3 and text.count(wrong) == text.count("undecided") == 2
    assert f"undecided ({wrong})" in _printed(episode_table(rows))


def test_a_table_of_numbers_of_columns():
    right = record(DOUBTFUL, DOUBTFUL, DOUBTFUL, DOUBTFUL, think_ms=[10.0] * 4)
    rows = [right, replace(right, rotation_error_deg=12.1), replace(right, answer=None, sensations=500)]
    lines = _printed(vote_table({5: rows, 1: rows[2:]}, "votes")).splitlines()
    assert "votes" in lines[0]
    assert lines[-2].split() == ["1", "0", "of", "1", "1", "500,", "500", "–", "–", "10.0"]
    assert lines[-1].split() == ["5", "2", "of", "3", "1", "4,", "450", "7.1", "50", "%", "2.0"]
    with pytest.raises(ValueError, match="no episodes"):
        vote_table({1: []})
