"""Votes spread over a connected graph until every column holds their sum; decisions are as done by hand."""

import math
from itertools import pairwise
from typing import get_args

import networkx as nx
import pytest
import torch

from cortical.columns.lateral import Lateral
from cortical.columns.messages import Pose, Vote
from cortical.columns.mixing import mixing_matrix
from cortical.columns.posterior import CALIBRATED, consensus, log_odds, log_posterior
from cortical.columns.topology import checked, read_topology, topology
from cortical.configs.schema import Topology

NAMES = get_args(Topology)
CONNECTED = [name for name in NAMES if name != "none"]
SIZES = (1, 2, 3, 5, 9, 16, 17)


def votes(columns, seed=0):
    return 10 * torch.randn(2, columns, 7, generator=torch.Generator().manual_seed(seed))


def cases(names):
    """Every topology with every number of columns."""
    return [(name, columns) for name in names for columns in SIZES]


@pytest.mark.parametrize("name, columns", cases(NAMES))
def test_every_topology_of_any_size_mixes_without_losing_a_vote(name, columns):
    graph = topology(name, columns)
    assert sorted(graph) == list(range(columns))
    weights = torch.from_numpy(mixing_matrix(graph).toarray()).float()
    assert (weights >= -1e-6).all()
    assert torch.equal(weights, weights.T)
    torch.testing.assert_close(weights.sum(0), torch.ones(columns))
    torch.testing.assert_close(weights.sum(1), torch.ones(columns))
    assert name == "none" or nx.is_connected(graph)


def test_weights_on_edges_are_metropolis():
    # the hub has three edges, the others one
    weights = torch.from_numpy(mixing_matrix(nx.star_graph(3)).toarray()).float()
    expected = torch.full((4, 4), 0.0)
    expected[0, :] = expected[:, 0] = 0.25
    expected += torch.diag(torch.tensor([0.0, 0.75, 0.75, 0.75]))
    torch.testing.assert_close(weights, expected)


@pytest.mark.parametrize("name, columns", cases(CONNECTED))
def test_connected_columns_come_to_hold_the_sum_of_all_votes(name, columns):
    sent, graph = votes(columns), topology(name, columns)
    total = sent.sum(1, keepdim=True).expand_as(sent)
    held = Lateral.over(graph).exchange(sent)
    largest = sent.abs().sum(1, keepdim=True)
    assert ((held - total).abs() <= 0.03 * largest + 1e-4).all()
    many = Lateral.over(graph, rounds=500).exchange(sent)
    torch.testing.assert_close(many, total, rtol=1e-3, atol=1e-2)


@pytest.mark.parametrize("columns", SIZES[1:])
def test_all_to_all_is_exact_in_one_round(columns):
    lateral = Lateral.over(topology("all-to-all", columns))
    assert lateral.rounds == 1
    assert lateral.messages_sent() == columns * (columns - 1)
    sent = votes(columns)
    total = sent.sum(1, keepdim=True).expand_as(sent)
    torch.testing.assert_close(lateral.exchange(sent), total, rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize("columns", SIZES)
def test_without_edges_columns_keep_to_themselves(columns):
    lateral = Lateral.over(topology("none", columns))
    assert lateral.messages_sent() == 0
    torch.testing.assert_close(lateral.exchange(votes(columns)), votes(columns))


def test_more_rounds_bring_columns_closer_to_the_sum():
    sent = votes(16)
    total = sent.sum(1, keepdim=True)
    graph = topology("ring", 16)
    off = [float((Lateral.over(graph, rounds).exchange(sent) - total).abs().max()) for rounds in (10, 40, 160)]
    assert off[0] > off[1] > off[2]


@pytest.mark.parametrize("rounds", [1, 3])
def test_columns_count_whom_they_have_heard_of_whatever_their_number(rounds):
    """On both sides of the number up to which that is worked out as one matrix."""
    few, many = (Lateral.over(topology("ring", columns), rounds) for columns in (256, 257))
    held = [float(lateral.exchange(torch.ones(1, lateral.columns, 1))[0, 0, 0]) for lateral in (few, many)]
    assert held[0] == pytest.approx(held[1]) == pytest.approx(1 + 2 * rounds)
    torch.testing.assert_close(few.heard[:10] * 256, many.heard[:10] * 257, rtol=1e-4, atol=1e-5)


def test_separate_parts_hold_the_sums_of_their_own():
    graph = nx.disjoint_union(nx.complete_graph(2), nx.path_graph(3))
    sent = votes(5)
    held = Lateral.over(graph, rounds=200).exchange(sent)
    for part in (slice(0, 2), slice(2, 5)):
        total = sent[:, part].sum(1, keepdim=True).expand_as(sent[:, part])
        torch.testing.assert_close(held[:, part], total, rtol=1e-3, atol=1e-3)


def test_random_topologies_repeat_with_their_seed():
    for name in ("small-world", "random"):
        assert nx.utils.graphs_equal(topology(name, 16, seed=3), topology(name, 16, seed=3))
        assert not nx.utils.graphs_equal(topology(name, 16, seed=3), topology(name, 16, seed=4))


def test_unknown_topology_is_refused_with_the_known_ones():
    with pytest.raises(ValueError, match=r"'star'.*all-to-all, ring, grid, small-world, random, groups or none"):
        topology("star", 5)


@pytest.mark.parametrize("name, share", [("all-to-all", 1.0), ("ring", 1.0), ("none", 1 / 3)])
def test_pooled_votes_are_added_as_far_as_they_travel(name, share):
    g = torch.Generator().manual_seed(0)
    vote = Vote(*(torch.randn(2, 3, 4, *more, generator=g) for more in ((), (6,), (6, 6))))
    total = Lateral.over(topology(name, 3)).pool(vote)
    for part in ("log_evidence", "slope", "information"):
        torch.testing.assert_close(getattr(total, part), share * getattr(vote, part).sum(1))


def test_trust_scales_the_evidence_of_an_object_not_of_its_poses():
    evidence, obj = torch.tensor([[1.0, 1.0, 2.0]]), torch.tensor([[0, 0, 1]])
    posterior = log_posterior(evidence, obj, 2, trust=0.5)[0]
    assert float(posterior[0] - posterior[2]) == pytest.approx(0.5 * (1.0 + math.log(2)))
    assert float(posterior[1] - posterior[2]) == pytest.approx(1.0)


def test_posterior_by_hand():
    evidence, obj = torch.tensor([[1.0, 2.0, 0.5]]), torch.tensor([[0, 0, 1]])
    mass = torch.tensor([math.exp(1.0) + math.exp(2.0), math.exp(0.5), 1.0], dtype=torch.float64)
    posterior = log_posterior(evidence, obj, 2)
    torch.testing.assert_close(posterior[0].exp(), mass / mass.sum(), rtol=1e-6, atol=0)


def test_odds_by_hand():
    """The doubt which object it is counts by its calibration, the doubt whether it is any of them as it is."""
    posterior = torch.tensor([[0.6, 0.3, 0.1]], dtype=torch.float64).log()
    best, odds = log_odds(posterior)
    assert int(best) == 0
    assert float(odds) == pytest.approx(-math.log((0.3 / 0.6) ** CALIBRATED + 0.1 / 0.9))
    best, odds = log_odds(posterior.flip(1))
    assert int(best) == 2
    assert float(odds) == pytest.approx(math.log(0.6 / 0.4))


def test_a_fit_no_better_than_that_of_another_object_speaks_for_none():
    evidence, obj = torch.tensor([[40.0, 10.0]]), torch.tensor([[0, 1]])
    for sure in (8.0, 0.0, -8.0):
        posterior = log_posterior(evidence, obj, 2, known=torch.tensor([sure]))[0].exp()
        assert float(posterior[:2].sum()) == pytest.approx(2 * math.exp(sure) / (2 * math.exp(sure) + 1))
        assert float(posterior[0] / posterior[1]) == pytest.approx(math.exp(30.0), rel=1e-4)


def test_posterior_survives_extreme_evidence():
    obj = torch.tensor([[0, 1]])
    for evidence in ([2000.0, 1990.0], [-5000.0, -9000.0], [-math.inf, -math.inf], [3.0, -math.inf]):
        posterior = log_posterior(torch.tensor([evidence]), obj, 2)
        assert posterior.isfinite().all()
        assert float(posterior.exp().sum()) == pytest.approx(1.0)
    close = log_posterior(torch.tensor([[2000.0, 1990.0]]), obj, 2)
    assert float(log_odds(close)[1]) == pytest.approx(CALIBRATED * 10.0, abs=1e-3)
    nothing_fits = log_posterior(torch.tensor([[-50.0, -60.0]]), obj, 2)
    assert int(nothing_fits.argmax()) == 2


def poses(count):
    return Pose(torch.arange(3.0 * count).view(1, count, 3), torch.eye(3).expand(1, count, 3, 3))


def test_consensus_names_the_object_and_its_best_pose():
    obj, total = torch.tensor([[0, 1, 1]]), torch.tensor([[6.0, 7.0, 5.0]])
    views = torch.tensor([[[6.0, -9.0, -9.0], [0.0, 9.0, 9.0], [0.0, 9.0, 9.0], [0.0, 9.0, 9.0]]])
    agreed = consensus(total, views, views, obj, poses(3), 2)
    assert int(agreed.object_index) == 1
    assert agreed.pose.location.tolist() == [[3.0, 4.0, 5.0]]
    assert float(agreed.agreement) == 0.75
    assert agreed.column_log_posterior.shape == (1, 4, 3)
    posterior = log_posterior(total, obj, 2)
    torch.testing.assert_close(agreed.log_posterior, posterior)
    torch.testing.assert_close(agreed.log_odds, log_odds(posterior)[1])


def test_consensus_can_be_that_nothing_known_fits():
    total = torch.tensor([[-8.0, -9.0]])
    agreed = consensus(total, total[:, None], total[:, None], torch.tensor([[0, 1]]), poses(2), 2)
    assert int(agreed.object_index) == -1
    assert agreed.pose.location.tolist() == [[0.0, 1.0, 2.0]]


def test_groups_do_not_touch_each_other():
    total = torch.tensor([[6.0, -9.0], [-9.0, 6.0]])
    obj, pose = torch.tensor([[0, 1], [0, 1]]), poses(2)
    both = Pose(pose.location.expand(2, 2, 3), pose.rotation.expand(2, 2, 3, 3))
    agreed = consensus(total, total[:, None], total[:, None], obj, both, 2)
    assert agreed.object_index.tolist() == [0, 1]
    alone = consensus(total[1:], total[1:, None], total[1:, None], obj[1:], pose, 2)
    torch.testing.assert_close(alone.log_posterior[0], agreed.log_posterior[1])


def mean_error(lateral, columns):
    """Farthest that a column's estimate is from the sum, relative to the largest that there can be."""
    sent = votes(columns)
    off = lateral.exchange(sent) - sent.sum(1, keepdim=True)
    return float((off.abs() / sent.abs().sum(1, keepdim=True)).max())


@pytest.mark.parametrize("name", ["ring", "grid", "small-world", "groups"])
def test_many_columns_agree_without_a_matrix_of_all_pairs(name):
    lateral = Lateral.over(topology(name, 400))
    assert lateral.spread is None
    assert mean_error(lateral, 400) < 0.03
    torch.testing.assert_close(lateral.heard, torch.ones(400), rtol=0, atol=1e-4)


def test_rounds_grow_as_the_diameter_does():
    rounds = [Lateral.over(topology("ring", columns)).rounds for columns in (16, 32, 64, 128)]
    assert all(2 < after / before < 3 for before, after in pairwise(rounds))


def test_all_hear_all_without_edges_being_listed():
    sent, lateral = votes(9), Lateral.all_to_all(9)
    torch.testing.assert_close(lateral.exchange(sent), Lateral.over(nx.complete_graph(9)).exchange(sent))
    assert lateral.messages_sent() == 72


@pytest.mark.parametrize("longest", [1, 3])
def test_votes_that_take_time_arrive_whole(longest):
    graph = topology("grid", 16)
    for k, (a, b) in enumerate(graph.edges):
        graph.edges[a, b]["delay"] = k % (longest + 1)
    late = Lateral.over(graph)
    assert late.rounds > Lateral.over(topology("grid", 16)).rounds
    assert mean_error(late, 16) < 0.03
    torch.testing.assert_close(late.spread.sum(0), torch.ones(16), rtol=0, atol=1e-5)


def test_heavier_edges_carry_more():
    light, heavy = topology("ring", 8), topology("ring", 8)
    heavy.edges[0, 1]["weight"] = 5.0
    first = [Lateral.over(graph, rounds=1).spread for graph in (light, heavy)]
    assert first[1][0, 1] / first[1][0, 7] > first[0][0, 1] / first[0][0, 7]
    assert mean_error(Lateral.over(heavy), 8) < 0.03


def test_directed_edges_pass_votes_one_way():
    there = nx.DiGraph([(0, 1), (1, 2), (2, 3), (3, 0), (0, 2)])
    lateral = Lateral.over(there)
    assert lateral.messages_sent() == 5 * lateral.rounds
    assert mean_error(lateral, 4) < 0.03
    heard_of = Lateral.over(nx.DiGraph([(0, 1), (1, 2)]), rounds=3).spread > 1e-6
    assert heard_of.tolist() == [[True, False, False], [True, True, False], [True, True, True]]


def test_graphs_of_the_users_own(tmp_path):
    graph = topology("small-world", 12, seed=2)
    graph.edges[0, 1]["weight"], graph.edges[0, 1]["delay"] = 2.0, 1
    nx.write_graphml(graph, tmp_path / "mine.graphml")
    read = read_topology(tmp_path / "mine.graphml", 12)
    assert {frozenset(edge) for edge in read.edges} == {frozenset(edge) for edge in graph.edges}
    assert read.edges[0, 1] == {"weight": 2.0, "delay": 1}


BAD_GRAPHS = {
    "itself": (nx.Graph([(1, 1)]), "column 1 has an edge to itself"),
    "missing": (nx.Graph([(0, 7)]), "names column 7, but there are 4"),
    "negative": (nx.Graph([(0, 1, {"weight": -1.0})]), "weight -1.0: a positive number"),
    "not a number": (nx.Graph([(0, 1, {"weight": math.nan})]), "weight nan: a positive number"),
    "half a round": (nx.Graph([(0, 1, {"delay": 0.5})]), "delay 0.5: whole rounds"),
}


@pytest.mark.parametrize("graph, told", BAD_GRAPHS.values(), ids=BAD_GRAPHS)
def test_graphs_that_make_no_sense_are_refused(graph, told):
    with pytest.raises(ValueError, match=told):
        checked(graph, 4)


def test_files_that_are_no_graphs_are_refused(tmp_path):
    (tmp_path / "bad.graphml").write_text("<graphml><graph")
    with pytest.raises(ValueError, match="isn't GraphML"):
        read_topology(tmp_path / "bad.graphml", 3)
    with pytest.raises(ValueError, match="no such file"):
        read_topology(tmp_path / "none.graphml", 3)
    nx.write_graphml(nx.relabel_nodes(nx.path_graph(2), {0: "left", 1: "right"}), tmp_path / "named.graphml")
    with pytest.raises(ValueError, match="numbers of columns"):
        read_topology(tmp_path / "named.graphml", 2)


def test_no_columns_no_region():
    for make in (lambda: topology("ring", 0), lambda: Lateral.all_to_all(0), lambda: checked(nx.Graph(), 0)):
        with pytest.raises(ValueError, match="one column or more, not 0"):
            make()


def test_votes_of_other_columns_than_the_graph_joins_are_refused():
    with pytest.raises(ValueError, match="votes of 5 columns, but the graph joins 4"):
        Lateral.over(topology("ring", 4)).exchange(votes(5))
