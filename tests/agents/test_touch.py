"""Columns of an eye and of fingers, on the same maps."""

from dataclasses import replace

import pytest

from cortical.agents.brain import build_region
from cortical.agents.rollout import make_agent, play

from .conftest import NAMES


def played(learnt, columns, fingers):
    experiment = replace(
        learnt.experiment,
        eye=replace(learnt.experiment.eye, columns=columns),
        touch=replace(learnt.experiment.touch, fingers=fingers),
    )
    agent = make_agent(experiment, build_region(experiment, learnt.maps))
    records = [play(agent, name, 100, r) for name in NAMES for r in range(2)]
    agent.env.close()
    return records


@pytest.mark.parametrize(("columns", "fingers"), [(0, 1), (1, 1), (0, 3)])
def test_what_an_eye_has_learnt_a_finger_recognises(learnt, columns, fingers):
    records = played(learnt, columns, fingers)
    assert sum(record.correct for record in records) >= 5
    assert all(len(step.columns) == columns + fingers for record in records for step in record.trace)


def test_two_senses_need_no_more_sensations_than_one(learnt):
    sight, both = (played(learnt, 1, fingers) for fingers in (0, 1))
    assert sum(r.sensations for r in both) < sum(r.sensations for r in sight)
