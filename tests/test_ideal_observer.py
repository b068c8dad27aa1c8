"""The ideal observer against exact enumeration: three objects that can only lie in a plane."""

import math
import sys
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

import numpy as np
import pytest
import torch

sys.path.append(str(Path(__file__).parents[1] / "benchmarks"))

import ideal  # pyright: ignore[reportMissingImports]

from cortical.agents.agent import START
from cortical.agents.brain import build_region
from cortical.agents.learning import Learner, views
from cortical.agents.rollout import make_agent
from cortical.columns.evidence.hypotheses import Hypotheses
from cortical.columns.geometry import turn_about_z
from cortical.columns.judging import OUTLIER
from cortical.configs.schema import Experiment, LearnConfig, PolicyConfig, WorldConfig

NAMES = ("ellipsoid", "box", "cone")
HALF, STEP, TURNS = 0.02, 0.00125, 120  # metres either way, metres, turns all around
TILTED, RAISED = 0.4, 0.015  # radians, metres: what is laid further off the plane isn't possible


def on_plane(laid: Hypotheses) -> Hypotheses:
    """The nearest poses in the plane."""
    angle = torch.atan2(
        laid.rotation[..., 1, 0] - laid.rotation[..., 0, 1], laid.rotation[..., 0, 0] + laid.rotation[..., 1, 1]
    )
    flat = turn_about_z(angle)
    # the surface stays where it was felt
    arm = (laid.rotation.transpose(-1, -2) @ (laid.pivot[:, None] - laid.location)[..., None])[..., 0]
    location = laid.pivot[:, None] - (flat @ arm[..., None])[..., 0]
    possible = (laid.rotation[..., 2, 2] > math.cos(TILTED)) & (location[..., 2].abs() < RAISED)
    possible &= (location[..., :2].abs() < HALF + RAISED).all(-1)
    location = location * torch.tensor([1.0, 1.0, 0.0])
    evidence = torch.where(possible, laid.log_evidence, -math.inf)
    return replace(laid, rotation=flat, location=location, log_evidence=evidence)


PLANE = ideal.Space(np.array([0, 0, 1, 1, 1, 0], bool), math.log(2 * math.pi * (2 * HALF) ** 2), on_plane)


@lru_cache(maxsize=1)
def agent():
    experiment = Experiment(
        world=WorldConfig(objects="solids"),
        learn=LearnConfig(sensations_per_view=200),
        policy=PolicyConfig(name="saccade"),
    )
    learner = Learner(experiment)
    maps = {name: learner.learn(name, views()) for name in NAMES}
    return make_agent(experiment, build_region(experiment, maps))


def sensed(name, seed, count):
    """So many sensations of an object that lies in the plane, by random saccades."""
    random = np.random.default_rng([seed, NAMES.index(name)])
    angle = torch.tensor(random.uniform(0, 2 * math.pi), dtype=torch.float64)
    pose = {"position": np.append(random.uniform(-0.3, 0.3, 2) * HALF, 0.0), "rotation": turn_about_z(angle).numpy()}
    observation, info = agent().begin({"object": name} | pose, seed)
    belief, plan, found = agent().region.begin(), START, []
    for _ in range(count):
        step = agent().turn(belief, observation, info, plan)
        found.append(step.sensation)
        belief, plan = step.belief, agent().act(step.belief, step.sensation, random)
        observation, _, _, _, info = agent().env.step(plan.action)
    return found


def enumerated(column, memory):
    """(3,) log evidence of each object, the likelihood averaged over every pose of a fine grid."""
    line = torch.arange(-HALF + STEP / 2, HALF, STEP)
    turn = torch.arange(TURNS) * (2 * math.pi / TURNS)
    x, y, angle = (part.flatten() for part in torch.meshgrid(line, line, turn, indexing="ij"))
    count, zero = len(x), torch.zeros(1, len(x))
    place, turned = torch.stack([x, y, torch.zeros(count)], 1)[None], turn_about_z(angle)[None]
    evidence = []
    for k in range(len(NAMES)):
        ballot = Hypotheses(zero.long() + k, turned, place, zero, zero, zero, memory.pivot())
        total = column.vote(memory, ballot, False).log_evidence[0, 0].double()
        evidence.append(float(total.logsumexp(0)) - math.log(count))
    return np.array(evidence)


@pytest.mark.parametrize(("name", "seed"), [("ellipsoid", 1), ("box", 2), ("cone", 4)])
def test_the_evidence_of_objects_is_that_of_all_their_poses(name, seed):
    observer = ideal.Observer.of(agent().region.kinds[0], PLANE)
    for sensation in sensed(name, seed, 8):
        observer = observer.sense(sensation)
    exact, found = enumerated(observer.column, observer.memory), observer.evidence.double().numpy()
    truth = NAMES.index(name)
    assert found[truth] == pytest.approx(exact[truth], abs=3)  # a box's likelihood is jagged at its edges
    assert exact[truth] > 20  # so that 3 nats are little
    # of the others nothing is left but poses that explain no reading, for which a posterior has a floor
    outliers = OUTLIER * float((observer.memory.kind == ideal.HIT).sum())
    floored = np.maximum(found, outliers)
    assert np.abs(np.maximum(exact, outliers) - floored)[np.arange(3) != truth].max() < 8
    assert (floored < found[truth] - 20).sum() == 2


def test_overlapping_neighbourhoods_are_counted_once():
    count = 40
    shift = torch.zeros(1, count, 3)
    shift[0, :, 0] = torch.linspace(0, 0.1, count)
    turned, zero = torch.eye(3).expand(1, count, 3, 3), torch.zeros(1, count)
    shared = ideal._shared(Hypotheses(zero.long(), turned, shift, zero, zero, zero, torch.zeros(1, 3)))
    alone = math.sqrt(2 * math.pi) * ideal.refine.OWN_SHIFT  # metres that one neighbourhood counts for
    assert float((alone / shared).sum()) == pytest.approx(0.1, rel=0.1)
    one = ideal._shared(Hypotheses(zero.long(), turned, 0 * shift, zero, zero, zero, torch.zeros(1, 3)))
    assert torch.allclose(one, torch.full((count,), float(count)))


def test_nothing_is_decided_before_there_is_something_to_go_by():
    observer = ideal.Observer.of(agent().region.kinds[0], PLANE)
    for sensation in sensed("box", 2, 2):
        observer = observer.sense(sensation)
    assert len(observer.pool) == 0
    assert observer.odds(agent().region) == (-1, -math.inf)


def test_refining_only_what_is_near_changes_little():
    found = {}
    for in_range in (6.0, 60.0):
        observer = ideal.Observer.of(agent().region.kinds[0], PLANE, ideal.Thrift(in_range=in_range))
        for sensation in sensed("cone", 4, 8):
            observer = observer.sense(sensation)
        found[in_range] = observer.odds(agent().region)
    assert found[6.0][0] == found[60.0][0] == NAMES.index("cone")
    assert found[6.0][1] == pytest.approx(found[60.0][1], abs=1.5)
