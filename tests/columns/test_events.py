"""Votes as events: with nothing lost, late or left out they are the true votes; what is left out is bounded, and what
it costs is counted."""

import math
from dataclasses import fields, replace
from itertools import pairwise

import pytest
import torch

from cortical.columns import events
from cortical.columns.events import HEADER, PLACE, READING, SEED, Events
from cortical.columns.evidence.column import EvidenceColumn
from cortical.columns.evidence.hypotheses import Hypotheses
from cortical.columns.geometry import random_rotations, rotation_from_vector
from cortical.columns.lateral import Lateral
from cortical.columns.messages import FeatureSchema, Movement, Pose, Vote
from cortical.columns.region import Region
from cortical.columns.sent import Sent, displacement
from cortical.columns.topology import topology

from .test_region import SHAPES, learnt, pose_of, readings

COLUMNS, STEPS = 5, 4


@pytest.fixture(scope="module")
def atlas():
    return learnt(FeatureSchema())


def region_of(atlas, rule, graph="all-to-all", columns=COLUMNS):
    lateral = Lateral.over(topology(graph, columns))
    return Region((EvidenceColumn(atlas, FeatureSchema(), columns),), lateral, tuple(SHAPES), events=rule)


def beliefs(region, name="pebble", seed=4, columns=COLUMNS, movement=None):
    """After each of some sensations, and the last one polished."""
    r, belief, seen = readings(name, columns * STEPS, seed, pose_of(seed)), region.begin(), []
    for i in range(0, columns * STEPS, columns):
        belief = region.step(belief, r[None, i : i + columns], movement)
        seen.append(belief)
    return [*seen, region.polish(belief)]


def same(a, b):
    """Bit for bit, but for what was sent."""
    parts = [(a.ballot, b.ballot), (a.consensus, b.consensus), (a.consensus.pose, b.consensus.pose)]
    for x, y in parts:
        for f in fields(x):
            u, v = getattr(x, f.name), getattr(y, f.name)
            if isinstance(u, torch.Tensor):
                assert torch.equal(u, v), f.name
    assert torch.equal(a.fit, b.fit)


# ---- exactness


@pytest.mark.parametrize("graph", ["all-to-all", "ring"])
def test_with_eps_0_nothing_changes_bit_for_bit(atlas, graph):
    plain, by_events = (beliefs(region_of(atlas, rule, graph)) for rule in (None, Events()))
    for a, b in zip(plain, by_events, strict=True):
        same(a, b)
    assert plain[-1].sent is None and by_events[-1].sent is not None


def test_a_moving_object_changes_nothing_either(atlas):
    motion = Movement(Pose(torch.tensor([0.01, 0.0, -0.02]), rotation_from_vector(torch.tensor([0.1, -0.2, 0.3]))))
    pairs = (beliefs(region_of(atlas, rule), movement=motion) for rule in (None, Events()))
    for a, b in zip(*pairs, strict=True):
        same(a, b)


def test_one_column_sends_nothing(atlas):
    assert beliefs(region_of(atlas, Events(eps=0.1), columns=1), columns=1)[-1].sent is None


def test_the_same_seed_gives_the_same_bits(atlas):
    rule = Events(eps=0.1, loss=0.3, delay=1, slowest=2, seed=3)
    for a, b in zip(*(beliefs(region_of(atlas, rule)) for _ in range(2)), strict=True):
        same(a, b)
        assert torch.equal(a.sent.traffic.bytes, b.sent.traffic.bytes)


# ---- models are carried along


def ballot_of(seed, count=6, pivot=None):
    g = torch.Generator().manual_seed(seed)
    some = torch.rand(1, count, generator=g)
    return Hypotheses(
        torch.zeros(1, count, dtype=torch.int64), random_rotations(count, g)[None],
        0.1 * torch.randn(1, count, 3, generator=g), -10 * some, 0.05 + 0.05 * some, 0.002 + 0.001 * some,
        torch.zeros(1, 3) if pivot is None else pivot,
    )  # fmt: skip


def moved_by(ballot, step):
    """Every pose turned about the pivot and shifted by step (1, b, 6)."""
    turn, about = rotation_from_vector(step[..., :3]), ballot.pivot[:, None]
    location = about + (turn @ (ballot.location - about)[..., None])[..., 0] + step[..., 3:]
    return replace(ballot, rotation=turn @ ballot.rotation, location=location)


def test_displacement_is_what_a_pose_was_moved_by():
    step = torch.randn(1, 6, 6, generator=torch.Generator().manual_seed(1)) * torch.tensor([0.1] * 3 + [0.01] * 3)
    ballot = ballot_of(0, pivot=torch.tensor([[0.1, 0.2, -0.1]]))
    torch.testing.assert_close(displacement(ballot, moved_by(ballot, step)), step, atol=1e-5, rtol=1e-4)


def told_of(ballot, columns=3, seed=5):
    """A state in which columns told quadratic models of the ballot's poses."""
    g, b = torch.Generator().manual_seed(seed), len(ballot)
    root = torch.randn(1, columns, b, 6, 6, generator=g)
    vote = Vote(
        torch.randn(1, columns, b, generator=g), torch.randn(1, columns, b, 6, generator=g), root @ root.mT
    )  # fmt: skip
    sent = Sent.none(1, columns, 2, 0)
    return replace(sent, told=replace(sent.told, vote=vote), at=ballot)


def test_a_quadratic_vote_is_known_exactly_wherever_its_pose_and_pivot_go():
    # the model's value at a second displacement, reached from the first pose or by way of a moved model
    ballot = ballot_of(0, pivot=torch.tensor([[0.05, 0.0, 0.02]]))
    g = torch.Generator().manual_seed(2)
    first, second = (1e-3 * torch.randn(1, 6, 6, generator=g) for _ in range(2))
    sent = told_of(ballot)
    there = replace(moved_by(ballot, first), pivot=torch.tensor([[-0.3, 0.5, 0.2]]))
    beyond = moved_by(there, second)
    direct, by_way = sent.carried(replace(beyond, pivot=ballot.pivot)), sent.carried(there).carried(beyond)
    torch.testing.assert_close(
        direct.told.vote.log_evidence, by_way.told.vote.log_evidence, atol=2e-5, rtol=1e-5
    )  # fmt: skip
    assert float((direct.told.vote.log_evidence - sent.told.vote.log_evidence).abs().max()) > 1e-3


def test_rows_go_with_the_ballot():
    ballot = ballot_of(0)
    order = torch.tensor([[4, 0, 7]])
    sent = told_of(ballot).join(ballot_of(1, 2), torch.tensor([[[5.0, 6.0]] * 3])).take(order)
    vote = told_of(ballot).told.vote
    torch.testing.assert_close(sent.told.vote.log_evidence[:, :, :2], vote.log_evidence[:, :, [4, 0]])
    assert sent.told.vote.log_evidence[0, :, 2].tolist() == [6.0] * 3
    assert not sent.told.vote.slope[:, :, 2].any() and torch.equal(sent.told.vote.slope[:, :, 0], vote.slope[:, :, 4])


# ---- what is left out


@pytest.mark.parametrize("eps", [0.05, 0.5])
def test_the_others_are_never_further_off_than_the_threshold(eps):
    ballot = ballot_of(0, 50)
    g = torch.Generator().manual_seed(8)
    truth = Vote(
        3 * torch.randn(1, 4, 50, generator=g), 20 * torch.randn(1, 4, 50, 6, generator=g),
        torch.eye(6).expand(1, 4, 50, 6, 6) * 1e3 * torch.rand(1, 4, 50, 1, 1, generator=g),
    )  # fmt: skip
    empty = told_of(ballot, 4)
    _, known = events.told(Events(eps=eps), empty, truth, ballot, "deciding", 1)
    behind = ballot.log_evidence.amax() - ballot.log_evidence
    off = (known.log_evidence - truth.log_evidence).abs()
    assert bool((off <= eps * (1 + behind)[:, None] + 1e-5).all())
    assert bool((off > 0).any()), "nothing was left out"
    sd = torch.stack([ballot.turn_sd] * 3 + [ballot.shift_sd] * 3, -1)[:, None]
    apart = ((known.information - truth.information) * sd[..., :, None] * sd[..., None, :]).flatten(-2).norm(dim=-1) / 2
    assert bool((apart <= eps * (1 + behind)[:, None] + 1e-4).all())


def test_less_is_sent_the_larger_eps(atlas):
    spent = [int(beliefs(region_of(atlas, Events(eps=eps)))[-1].sent.traffic.bytes) for eps in (0.0, 0.1, 1.0)]
    assert spent[0] > 2 * spent[1] > 2 * spent[2]


def test_a_little_eps_changes_little(atlas):
    plain, by_events = (beliefs(region_of(atlas, rule))[-1].consensus for rule in (None, Events(eps=0.02)))
    assert torch.equal(plain.object_index, by_events.object_index)
    assert float((plain.log_odds - by_events.log_odds).abs()) < 0.1 * float(plain.log_odds)
    turn = plain.pose.rotation[0] @ by_events.pose.rotation[0].T
    assert math.degrees(math.acos(min(1.0, (float(turn.trace()) - 1) / 2))) < 2.0


# ---- what it costs


def test_bytes_of_one_message_are_what_they_should_be():
    ballot = ballot_of(0, 40)
    sent = told_of(ballot, 3)
    truth = sent.told.vote.log_evidence.clone()
    truth[0, 1, 7] += 9.0
    truth[0, 2, :2] += 9.0
    sent, _ = events.gained(Events(), sent, truth, ballot, 1)  # known: nothing was gained
    everything = 3 * (HEADER + 40 * 4)
    assert int(sent.traffic.bytes) == everything == int(sent.traffic.dense_bytes)
    vote = replace(sent.told.vote, log_evidence=sent.told.vote.log_evidence + torch.zeros(1, 3, 40))
    changed = vote.log_evidence.clone()
    changed[0, 1, 7] += 9.0
    changed[0, 2, :2] += 9.0
    after, _ = events.told(Events(), sent, replace(vote, log_evidence=changed), ballot, "deciding", 1)
    assert int(after.traffic.bytes - sent.traffic.bytes) == 2 * HEADER + 3 * 4 + (PLACE + 2 * PLACE)
    assert int(after.traffic.messages - sent.traffic.messages) == 2
    assert int(after.traffic.dense_bytes - sent.traffic.dense_bytes) == 3 * (2 * HEADER + 40 * (4 + 84))


def test_a_sensation_costs_its_reading_and_the_poses_it_suggests():
    sent = events.announced(Sent.none(1, 3, 2, 0), 3, 100)
    assert int(sent.traffic.bytes) == int(sent.traffic.dense_bytes) == 3 * (HEADER + READING) + 100 * SEED


def test_synchronous_votes_cost_what_their_ballots_do(atlas):
    seen = beliefs(region_of(atlas, Events()))
    dense = [int(b.sent.traffic.dense_bytes) for b in seen]
    assert all(a < b for a, b in pairwise(dense))
    assert all(int(b.sent.traffic.bytes) <= int(b.sent.traffic.dense_bytes) for b in seen)


# ---- asynchrony


def test_all_lost_says_nothing(atlas):
    belief = beliefs(region_of(atlas, Events(loss=1.0)))[-1]
    vote = belief.sent.told.vote
    assert not vote.log_evidence.any() and not vote.information.any()
    assert float(belief.consensus.log_odds) < math.log(300)


def test_some_loss_still_finds_the_object(atlas):
    plain, lossy = (beliefs(region_of(atlas, rule))[-2] for rule in (None, Events(loss=0.3)))
    assert torch.equal(plain.consensus.object_index, lossy.consensus.object_index)
    assert not torch.equal(plain.ballot.log_evidence, lossy.ballot.log_evidence)


def test_late_columns_are_heard_later():
    rule, columns = Events(delay=2, seed=1), 12
    late = rule.late(columns)
    assert set(late.tolist()) == {0, 1, 2} and late[0] == 0
    ballot = ballot_of(0)
    sent = rule.begin(1, columns, 2)
    sent = sent.join(ballot, torch.zeros(1, columns, 6)).take(torch.arange(6)[None])
    for step in range(1, 4):
        truth = Vote(
            torch.full((1, columns, 6), float(step)), torch.zeros(1, columns, 6, 6), torch.zeros(1, columns, 6, 6, 6)
        )
        sent, known = events.told(rule, sent, truth, ballot, "deciding", step)
        assert known.log_evidence[0, :, 0].tolist() == [float(max(0, step - int(d))) for d in late]
        sent = events.aged(sent)


def test_of_new_poses_a_late_column_has_its_usual_vote():
    rule, ballot = Events(delay=1, seed=1), ballot_of(0)
    late = rule.late(4)
    sent = rule.begin(1, 4, 2).join(ballot, torch.arange(6.0).expand(1, 4, 6))
    said = 10 + torch.arange(3.0).expand(1, 4, 3)
    _, known = events.answered(rule, events.aged(sent), said, ballot_of(1, 3), 2)
    usual = torch.arange(6.0).median()
    assert known[0].tolist() == [[float(usual)] * 3 if d else said[0, 0].tolist() for d in late]


def test_late_votes_still_find_the_object(atlas):
    plain, late = (beliefs(region_of(atlas, rule))[-2] for rule in (None, Events(delay=1, seed=1)))
    assert torch.equal(plain.consensus.object_index, late.consensus.object_index)


def test_what_is_common_to_all_poses_is_sent_once():
    ballot, columns = ballot_of(0, 50), 3
    sent = Events(eps=0.1).begin(1, columns, 2).join(ballot, torch.zeros(1, columns, 50)).take(torch.arange(50)[None])
    one = torch.diag(torch.tensor([1e3] * 3 + [1e6] * 3)).expand(1, columns, 50, 6, 6)
    truth = Vote(torch.zeros(1, columns, 50), torch.zeros(1, columns, 50, 6), one)
    after, known = events.told(Events(eps=0.1), sent, truth, ballot, "refining", 1)
    assert torch.equal(known.information, one)
    assert int(after.traffic.bytes) == columns * (HEADER + 84) and int(after.traffic.entries) == 0


def test_information_that_is_held_of_a_column_is_never_negative(atlas):
    # a sum of differences could be, and poses would be thrown far off
    for belief in beliefs(region_of(atlas, Events(eps=0.3))):
        held = belief.sent.told.vote.information.double()
        sd = torch.tensor([0.08] * 3 + [0.003] * 3, dtype=torch.float64)
        assert float(torch.linalg.eigvalsh(held * sd[:, None] * sd).min()) > -1e-3
        assert bool(torch.isfinite(belief.ballot.rotation).all())


def test_columns_tick_at_their_own_rates():
    rule = Events(slowest=4)
    ticks = torch.stack([rule.ticks(40, step) for step in range(1, 13)]).sum(0)
    assert set(ticks.tolist()) == {12, 6, 4, 3}
    assert bool(Events().ticks(40, 1).all())


def test_between_ticks_a_column_says_nothing_new():
    rule, ballot = Events(slowest=3, seed=2), ballot_of(0)
    sent = told_of(ballot, 8)
    truth = replace(sent.told.vote, log_evidence=sent.told.vote.log_evidence + 1)
    _, known = events.told(rule, sent, truth, ballot, "deciding", 1)
    spoke = (known.log_evidence == truth.log_evidence).all(2)[0]
    assert torch.equal(spoke, rule.ticks(8, 1)) and bool(spoke.any()) and not bool(spoke.all())


def test_the_events_of_a_region_without_them_are_refused(atlas):
    belief = beliefs(region_of(atlas, Events()))[0]
    with pytest.raises(ValueError, match="events"):
        region_of(atlas, None).step(belief, readings("egg", COLUMNS, 1)[None])
