"""What the figures of benchmarks/permuted_mnist.py rest on, on made-up digits."""

import argparse
import sys
from pathlib import Path

import pytest
import torch

sys.path.append(str(Path(__file__).parents[1] / "benchmarks"))

import permuted_mnist  # pyright: ignore[reportMissingImports]
from continual_nets import KINDS, ContextNet, Sizes, nearest  # pyright: ignore[reportMissingImports]
from sparse_training import Labelled  # pyright: ignore[reportMissingImports]
from synaptic_intelligence import SynapticIntelligence  # pyright: ignore[reportMissingImports]

pytestmark = pytest.mark.usefixtures("one_thread")
ARGS = argparse.Namespace(tasks=3, hidden=40, epochs=6, batch=16, rate=3e-3, strength=1.0)


def digits(number, seed):
    """Four classes in 784 pixels: a quarter of the picture is bright."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(number) % 4
    inputs = 0.5 * torch.randn(number, 784, generator=generator)
    for label in range(4):
        inputs[labels == label, 196 * label : 196 * (label + 1)] += 1.0
    inputs[:, 300:500] += 0.7  # the mean tells permutations apart
    return Labelled(inputs, labels)


@pytest.mark.parametrize("name", ["mlp", "mlp+si", "dendrites", "winners", "both", "both+si"])
def test_tasks_are_learnt_in_turn_and_the_same_seed_gives_the_same_row(name):
    data = digits(160, 0), digits(80, 1)
    row = permuted_mnist.sequence(name, 0, ARGS, data)
    assert [len(after) for after in row["kept"]] == [1, 2, 3]
    assert row["kept"][-1] == pytest.approx(row["by_task"])  # all 80 are asked after every task
    assert row["by_task"][-1] > 0.9 and row["context_right"] > 0.99
    assert row["accuracy"] == pytest.approx(sum(row["by_task"]) / 3)
    assert permuted_mnist.sequence(name, 0, ARGS, data) == row
    table = permuted_mnist.summary([row])
    first, so_far = permuted_mnist.panels(table)
    assert first.lines[name][1][0] == so_far.lines[name][1][0] == pytest.approx(100 * row["kept"][0][0])


def test_kinds_have_what_their_name_says():
    sizes, x = Sizes(inputs=30, hidden=20, classes=3, segments=4, active=0.1), torch.randn(5, 30)
    prototypes, which = torch.randn(4, 30), torch.tensor([0, 1, 2, 3, 0])
    for kind in KINDS.values():
        net = ContextNet(kind, sizes, 0)
        assert net(x, prototypes, which).shape == (5, 3)
        moved = net(x, prototypes.flip(0), which)
        assert torch.equal(moved, net(x, prototypes, which)) != kind.dendrites
        segments = sum(p.numel() for p in net.parameters()) - sum(p.numel() for p in net.feedforward())
        assert segments == (2 * 20 * 4 * 30 if kind.dendrites else 0)
        assert net.k == (2 if kind.winners else 0)


def test_the_nearest_prototype_is_found():
    prototypes = torch.eye(3)
    assert nearest(torch.tensor([[0.1, 0.9, 0.0], [0.0, 0.2, 1.1]]), prototypes).tolist() == [1, 2]


def test_a_permutation_is_of_all_pixels_and_follows_from_the_seed():
    orders = permuted_mnist.permutations(3, 1)
    assert torch.equal(orders.sort(1).values, torch.arange(784).expand(3, -1))
    assert torch.equal(orders, permuted_mnist.permutations(3, 1))
    assert not torch.equal(orders, permuted_mnist.permutations(3, 2))


def test_what_a_weight_contributed_is_what_the_loss_fell_by():
    weight, target = torch.nn.Parameter(torch.tensor([1.0, -2.0])), torch.tensor([0.5, -2.0])
    intelligence = SynapticIntelligence([weight], damping=0.1)
    optimizer = torch.optim.SGD([weight], lr=1e-4)
    loss = first = (weight - target).square().sum()
    for _ in range(3000):
        optimizer.zero_grad()
        loss = (weight - target).square().sum()
        loss.backward()
        intelligence.step(optimizer)
    fell = float(first.detach() - loss.detach())
    contributed = intelligence.contribution[0].clone()
    assert float(contributed.sum()) == pytest.approx(fell, rel=0.01)
    moved = float((weight.detach()[0] - 1.0) ** 2)
    intelligence.end_task()
    assert float(intelligence.importance[0][0]) == pytest.approx(float(contributed[0]) / (moved + 0.1), rel=1e-5)
    assert float(intelligence.importance[0][1]) == 0.0
    assert torch.equal(intelligence.anchors[0], weight.detach())


def test_the_pull_is_the_slope_of_the_holding_term():
    weight = torch.nn.Parameter(torch.tensor([1.0, 2.0]))
    intelligence = SynapticIntelligence([weight], strength=0.3)
    intelligence.importance[0] = torch.tensor([2.0, 0.5])
    intelligence.anchors[0] = torch.tensor([0.5, 3.0])
    term = 0.3 * (intelligence.importance[0] * (weight - intelligence.anchors[0]).square()).sum()
    term.backward()
    assert torch.allclose(intelligence.pull()[0], weight.grad)
    with pytest.raises(ValueError, match="positive"):
        SynapticIntelligence([weight], damping=0.0)
