"""Baseline policies: they follow a real cylinder, prefer what is rare, and look where two answers differ."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from cortical.agents.brain import build_region
from cortical.agents.policies import Disagreement, Salience, Situation, SurfaceFollow
from cortical.agents.policies.adaptation import adaptation
from cortical.agents.policies.approach import approach, faces
from cortical.agents.policies.contact import contact
from cortical.agents.policies.disagreement import farthest_apart
from cortical.agents.policies.policy import DISTANCE
from cortical.agents.policies.salience import Sensed, remembered
from cortical.agents.policies.surface_follow import RUN
from cortical.agents.rollout import make_agent
from cortical.agents.testing import check_policy
from cortical.columns.evidence.column import EvidenceColumn
from cortical.columns.evidence.hypotheses import Hypotheses
from cortical.columns.messages import Sensation
from cortical.envs.bodies import Eye, Limits, looking

LIMITS = Limits()
RADIUS, HALF = 0.03, 0.05  # metres, of the cylinder
STEP = 0.02


class Watched:
    """A policy that keeps what it was shown and what it chose."""

    def __init__(self, policy):
        self.policy, self.shown = policy, []

    def goals(self, situation, random):
        goals = self.policy.goals(situation, random)
        self.shown.append((situation, goals[0]))
        return goals


@pytest.fixture
def walk(learnt):
    """A function: what a policy is shown and chooses on a cylinder that stands upright at the origin, no noise."""
    experiment = replace(learnt.experiment, eye=replace(learnt.experiment.eye, noise="clean"))
    agent = make_agent(experiment, build_region(experiment, learnt.maps))
    agent.decision = replace(agent.decision, odds=1e300)

    def walked(policy, seed, steps):
        agent.policy = Watched(policy)
        options = {"object": "cylinder", "position": np.zeros(3), "rotation": np.eye(3)}
        for _, _ in zip(range(steps), agent.episode(np.random.default_rng(seed), options, seed), strict=False):
            pass
        return agent.policy.shown

    yield walked
    agent.env.close()


@pytest.fixture
def beside(walk):
    """What is shown when the first gaze met the middle of the cylinder's side."""
    for seed in range(50):
        ((situation, _),) = walk(SurfaceFollow(STEP), seed, 2)
        point = situation.locations[0]
        if abs(point[2]) < 0.015 and abs(np.hypot(*point[:2]) - RADIUS) < 0.001:
            return situation
    raise AssertionError("no start looks at the side")


@pytest.mark.parametrize("policy", [SurfaceFollow(0.03), Salience(), Disagreement()], ids=lambda p: type(p).__name__)
def test_promises_are_kept_all_along_an_episode(walk, policy):
    """Misses, returns and tight limits included."""
    shown = [situation for seed in range(3) for situation, _ in walk(policy, seed, 12)]
    assert any(not bool(situation.newest.on_object.any()) for situation in shown)
    for i, situation in enumerate(shown):
        check_policy(policy, situation, i)
        check_policy(policy, replace(situation, limits=Limits(0.02, math.radians(6))), i)


# ---- surface following


def met(situation):
    at = contact(situation)
    assert at is not None
    return at


def aims(situation, seeds=range(20), step=STEP):
    policy = SurfaceFollow(step)
    return np.stack([policy.goals(situation, np.random.default_rng(s))[0].target[0].numpy() for s in seeds])


def test_a_step_leads_along_the_axis_and_later_around(beside):
    point = beside.locations[0]
    along = aims(beside) - point
    assert (np.abs(along[:, 2]) > 0.9 * STEP).all()
    later = replace(beside, belief=replace(beside.belief, steps=math.ceil(RUN / STEP)))
    around = aims(later)
    assert (np.abs(around[:, 2] - point[2]) < 0.4 * STEP).all()
    # on the surface itself, which a straight step would leave by 7 mm
    assert np.abs(np.hypot(around[:, 0], around[:, 1]) - RADIUS).max() < 0.0015


def test_the_eye_faces_the_surface_from_its_distance(beside):
    for seed in range(10):
        (goal,) = SurfaceFollow(STEP).goals(beside, np.random.default_rng(seed))
        origin, target = goal.origin[0].numpy(), goal.target[0].numpy()
        assert np.linalg.norm(origin - beside.centre()) == pytest.approx(DISTANCE, abs=1e-6)
        before = beside.body.position - beside.locations[0]
        assert abs((origin - target)[2]) < abs(before[2]) - 0.03  # nearer to level with it


def test_steps_go_on_as_they_went_and_keep_their_length(walk):
    """Over many starts: where the surface was met twice in a row, the gaze goes on and doesn't return."""
    lengths, turns, gaps = [], [], []
    for seed in range(12):
        shown = walk(SurfaceFollow(STEP), seed, 10)
        for situation, goal in shown[1:]:
            at = met(situation)
            if at.missed or len(at.before) < 1 or goal.reason != "to follow the surface":
                continue
            way, ahead = at.point - at.before[-1], goal.target[0].numpy() - at.point
            lengths.append(np.linalg.norm(ahead))
            if np.linalg.norm(way) > 0.7 * STEP:
                turns.append(way @ ahead / np.linalg.norm(way) / np.linalg.norm(ahead))
            gaps.append(np.linalg.norm(at.before - goal.target[0].numpy(), axis=1).min())
    assert len(lengths) > 40
    assert np.quantile(lengths, [0.05, 0.95]) == pytest.approx([STEP, STEP], rel=0.1)
    assert np.mean(np.array(turns) > 0.5) > 0.6 and np.mean(np.array(turns) < -0.8) < 0.02
    assert np.mean(np.array(gaps) > 0.5 * STEP) > 0.9


def missed(situation, towards):
    """The situation when the gaze then went 3 cm past the point last met, and met nothing."""
    point = situation.locations[-1]
    eye = Eye(situation.body.position, looking(point + 0.03 * towards - situation.body.position))
    newest = replace(
        situation.newest, on_object=torch.zeros(1, 1, dtype=torch.bool), location=torch.zeros(1, 1, 3),
        gaze=torch.from_numpy(eye.rotation[:, 2]).float()[None, None],
    )  # fmt: skip
    return replace(situation, body=eye, newest=newest)


def test_after_a_miss_the_gaze_returns_and_turns(beside):
    point, up = beside.locations[-1], np.array([0.0, 0.0, 1.0])
    lost = missed(beside, up)
    found = aims(lost, range(60)) - point
    assert (np.linalg.norm(found, axis=1) < 1.5 * STEP).all()
    normal = met(lost).normal
    behind = found @ normal < -1e-6
    assert 0.2 < behind.mean() < 0.8  # round the edge, or back on the side that is known
    returned = found[~behind]
    assert (returned[:, 2] < 0.002).mean() > 0.8  # away from where it missed
    assert len(np.unique(np.round(returned @ np.cross(normal, up), 4))) > 10  # and not always the same way


def test_without_anything_met_it_glances_about(beside):
    nothing = replace(beside, locations=np.zeros((0, 3)), gazes=np.zeros((0, 3)))
    assert contact(nothing) is None
    (goal,) = SurfaceFollow(STEP).goals(nothing, np.random.default_rng(0))
    assert goal.reason == "a random glance"


def test_it_goes_all_round_a_cylinder(walk):
    """Twenty-five steps of 3 cm show the side from everywhere, or nearly."""
    seen = []
    for seed in range(4):
        situation, _ = walk(SurfaceFollow(0.03), seed, 26)[-1]
        bearing = np.degrees(np.arctan2(situation.locations[:, 1], situation.locations[:, 0]))
        seen.append(len(np.unique(bearing // 60)))
        assert len(situation.locations) > 10
    assert np.mean(seen) >= 4


# ---- approach


def test_an_approach_is_as_straight_as_the_body_allows(beside):
    eye = Eye(np.array([DISTANCE, 0.0, 0.0]), looking(np.array([-1.0, 0.0, 0.0])))
    nothing = np.zeros((0, 3))
    situation = replace(beside, body=eye, locations=nothing, gazes=nothing)
    target = np.array([[0.03, 0.0, 0.0], [0.0, 0.03, 0.0], [3.0, 3.0, 0.0]])
    normal = np.array([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]])
    origin, good = approach(situation, target, normal)
    assert good.tolist() == [True, True, False]
    assert origin[0] == pytest.approx(eye.position)
    assert math.degrees(math.atan2(origin[1, 1], origin[1, 0])) > 15  # as far round as the gaze may turn
    assert faces(origin, target, normal)[:2].tolist() == [True, True]
    assert not faces(origin, target, -normal).any()
    still, good = approach(replace(situation, limits=Limits(1e-4, math.radians(10))), target[:1], normal[:1])
    assert good[0] and still[0] == pytest.approx(eye.position)


# ---- adaptation


def test_adaptation_rises_where_one_was_and_decays():
    here, there = np.zeros((1, 3)), np.array([[1.0, 0.0, 0.0]])
    places = np.concatenate([here, there])
    once = adaptation(here, places, 0.02, rho=0.8)
    assert once == pytest.approx([0.2, 0.0])
    assert adaptation(np.concatenate([here, here]), places, 0.02, rho=0.8) == pytest.approx([0.36, 0.0])
    assert adaptation(np.concatenate([here, there]), places, 0.02, rho=0.8) == pytest.approx([0.16, 0.2])
    b = np.zeros(2)
    visits = np.random.default_rng(0).integers(2, size=9)
    for visit in visits:
        b = 0.8 * b + 0.2 * (np.arange(2) == visit)
    assert adaptation(places[visits], places, 0.02, 0.8, beta=3.0) == pytest.approx(3 * b)


def test_adaptation_reaches_as_far_as_it_is_told():
    near = np.array([[0.02, 0.0, 0.0], [0.04, 0.0, 0.0]])
    loss = adaptation(np.zeros((1, 3)), near, 0.02, rho=0.0)
    assert loss == pytest.approx([math.exp(-0.5), math.exp(-2)])
    assert adaptation(np.zeros((0, 3)), near, 0.02) == pytest.approx([0.0, 0.0])
    for reach, rho in ((0.0, 0.5), (0.02, 1.0), (0.02, -0.1)):
        with pytest.raises(ValueError, match="rho must be"):
            adaptation(near, near, reach, rho)


# ---- salience


def sensation(place, hue, curvature):
    """One reading of a surface that faces +x."""

    def row(*numbers):
        return torch.tensor(numbers, dtype=torch.float32).reshape(1, 1, -1)

    x, y, z = place
    yes = torch.ones(1, 1, dtype=torch.bool)
    return Sensation(
        origin=row(0.2, y, z), gaze=row(-1, 0, 0), location=row(x, y, z), normal=row(1, 0, 0), direction=row(0, 0, 1),
        curvature=row(*curvature), hsv=row(hue, 0.7, 0.7), code=torch.zeros(1, 1, 0, dtype=torch.int64),
        on_object=yes, valid=yes,
    )  # fmt: skip


COMMON, RARE = (0.03, 0.0, -0.04), (0.03, 0.0, 0.04)


@pytest.fixture
def two_spots(learnt):
    """A function: the situation after so many looks at a spot like most of the cylinder's and at one like none."""
    region = build_region(learnt.experiment, learnt.maps)
    kind = region.kinds[0]
    assert isinstance(kind, EvidenceColumn)
    known = kind.atlas.rows[kind.atlas.owner == region.objects.index("cylinder")]
    usual = known[known[:, 5].abs() < 0.2].median(0).values
    hue = float(torch.atan2(usual[14], usual[13])) / (2 * math.pi) % 1
    eye = Eye(np.array([0.2, 0.0, 0.0]), looking(np.array([-1.0, 0.0, 0.0])))

    def after(looks):
        memory, places = kind.begin(), []
        for rare in looks:
            place = RARE if rare else COMMON
            curvature = (6.0, -6.0) if rare else usual[9:11].tolist()
            memory = kind.sense(memory, sensation(place, hue + 0.5 * rare, curvature))
            places.append(place)
        belief = replace(region.begin(), memories=(memory,), steps=len(places))
        gazes = np.tile([-1.0, 0.0, 0.0], (len(places), 1))
        return Situation(eye, LIMITS, region.kinds, region, belief, np.array(places), gazes)

    return after


def test_rare_features_are_salient(two_spots):
    sensed = remembered(two_spots([0, 1, 0]))
    assert sensed.location[:, 2] == pytest.approx([-0.04, 0.04, -0.04])
    assert sensed.normal == pytest.approx(np.tile([1.0, 0, 0], (3, 1)))
    assert sensed.salience[1] > max(sensed.salience[0], sensed.salience[2]) + 2


def test_a_contrast_to_what_is_near_is_salient(two_spots):
    """The same reading among its like, and between others."""
    situation = two_spots([0, 0, 1])
    memory = situation.belief.memories[0]
    alone = remembered(situation).salience[0]
    memory.numbers[0, 0, 2, 6:9] = torch.tensor(COMMON) + torch.tensor([0.0, 0.01, 0.0])
    assert remembered(situation).salience[0] > alone + 1


def looks_at(spot, policy, situation):
    """How often the aim lies within 2 cm of a spot."""
    targets = [policy.goals(situation, np.random.default_rng(seed))[0].target[0].numpy() for seed in range(40)]
    return np.mean([np.linalg.norm(t - spot) < 0.02 for t in targets])


def test_the_rare_spot_is_preferred_until_it_was_visited_often(two_spots):
    plain, adapting = Salience(beta=0.0), Salience(beta=20.0)
    for looks in ([1, 0], [0, 1, 1, 1, 1, 1]):
        assert looks_at(RARE, plain, two_spots(looks)) > 0.8
        assert looks_at(COMMON, plain, two_spots(looks)) == 0.0
    assert looks_at(RARE, adapting, two_spots([0, 1, 1, 1, 1, 1])) < 0.1


def test_without_adaptation_a_visit_costs_nothing():
    random = np.random.default_rng(0)
    places = random.normal(0, 0.03, (50, 3))
    sensed = Sensed(places[:8], places[:8], random.normal(size=8))
    again = Sensed(*(np.concatenate([x, x[::-1]]) for x in (sensed.location, sensed.normal, sensed.salience)))
    for rho in (0.0, 0.9):
        plain = Salience(rho=rho, beta=0.0).score(sensed, places)
        assert plain == pytest.approx(Salience(beta=0.0).score(sensed, places), abs=0)
    loss = Salience(beta=0.0).score(again, places) - Salience(beta=5.0).score(again, places)
    assert (loss >= 0).all() and loss[:8].min() > 0.5


def test_salience_glances_about_before_anything_was_sensed(learnt, two_spots):
    situation = two_spots([0])
    empty = replace(situation, belief=situation.region.begin(), locations=np.zeros((0, 3)), gazes=np.zeros((0, 3)))
    (goal,) = Salience().goals(empty, np.random.default_rng(0))
    assert goal.reason == "a random glance"


# ---- disagreement


@pytest.fixture
def believe(learnt):
    """A function: beside these hypotheses (object, height in metres, nats), upright on the z axis."""
    region = build_region(learnt.experiment, learnt.maps)
    eye = Eye(np.array([0.20, 0.0, 0.015]), looking(np.array([-1.0, 0.0, 0.0])))

    def beside(*hypotheses):
        names, heights, nats = zip(*hypotheses, strict=True)
        count = len(names)
        location = torch.tensor([[[0.0, 0.0, z] for z in heights]])
        rotation = torch.eye(3).expand(1, count, 3, 3).contiguous()
        here = torch.tensor([[region.objects.index(name) for name in names]])
        sd = torch.full((1, count), 0.05), torch.full((1, count), 0.002)
        ballot = Hypotheses(here, rotation, location, torch.tensor([nats]), *sd, torch.zeros(1, 3))
        belief = replace(region.begin(), ballot=ballot, steps=3)
        sensed, gazes = np.array([[0.03, 0.0, 0.015]]), np.array([[-1.0, 0.0, 0.0]])
        return Situation(eye, LIMITS, region.kinds, region, belief, sensed, gazes)

    return beside


def test_two_cylinders_one_higher_are_told_apart_at_their_ends(believe):
    situation = believe(("cylinder", 0.0, 0.0), ("cylinder", 0.03, 0.0))
    for seed in range(20):
        (goal,) = Disagreement().goals(situation, np.random.default_rng(seed))
        z = float(goal.target[0, 2])
        assert z > HALF + 0.015 or z < -HALF + 0.03 - 0.015
        assert float(goal.target[0, 0]) > 0  # on the side that can be seen


def test_distances_are_those_between_the_surfaces(believe):
    situation = believe(("cylinder", 0.0, 0.0), ("cylinder", 0.03, 0.0))
    point, normal, apart = farthest_apart(situation, (0, 1), np.random.default_rng(0))
    z, side = point[:, 2], np.hypot(point[:, 0], point[:, 1]) > RADIUS - 0.002
    above = side & (z > HALF + 0.004)
    shared = side & (z > -HALF + 0.035) & (z < HALF - 0.005)
    assert apart[above] == pytest.approx(z[above] - HALF, abs=0.005)
    assert apart[shared].max() < 0.006 and shared.sum() > 20 and above.sum() > 5
    assert np.linalg.norm(normal, axis=1) == pytest.approx(np.ones(len(normal)), abs=1e-3)
    assert apart.max() == pytest.approx(0.03, abs=0.004)


def test_rivals_are_two_objects_or_two_poses_of_one(believe):
    three = believe(("cylinder", 0.0, 5.0), ("cylinder", 0.03, 4.0), ("box", 0.0, 3.0), ("torus", 0.0, -math.inf))

    def rivals(within, situation=three):
        policy = Disagreement(within)
        return {policy._rivals(situation, np.random.default_rng(seed)) for seed in range(40)}

    assert rivals(0.0) == {(0, 2)}
    assert rivals(1.0) == {(0, 1)}
    assert rivals(0.3) == {(0, 2), (0, 1)}
    assert rivals(0.0, believe(("cylinder", 0.0, 1.0), ("cylinder", 0.03, 2.0))) == {(1, 0)}
    assert rivals(0.5, believe(("cylinder", 0.0, 1.0), ("box", 0.0, -math.inf))) == {None}


def test_a_single_answer_leaves_nothing_to_disagree_on(believe):
    (goal,) = Disagreement().goals(believe(("cylinder", 0.0, 0.0)), np.random.default_rng(0))
    assert goal.reason == "a random glance"
