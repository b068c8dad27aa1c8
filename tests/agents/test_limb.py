"""What a floating eye has learnt, an arm recognises by eye and fingertip."""

from dataclasses import replace

from cortical.agents.brain import build_region
from cortical.agents.rollout import make_agent, play
from cortical.configs.load import load

from .conftest import NAMES


def test_an_arm_names_what_a_free_eye_has_learnt(learnt):
    arm = load("arm")
    experiment = replace(
        learnt.experiment,
        world=replace(learnt.experiment.world, body="arm", scene="table"),
        touch=arm.touch,
        decision=replace(learnt.experiment.decision, max_sensations=40),
    )
    agent = make_agent(experiment, build_region(experiment, learnt.maps))
    records = [play(agent, name, 100) for name in NAMES]
    agent.env.close()
    assert sum(record.correct for record in records) >= 2
    assert all(len(step.columns) == 2 for record in records for step in record.trace)
    felt = sum(bool(step.location[1]) for record in records for step in record.trace)
    assert felt >= 2, "the fingertip has its say"
