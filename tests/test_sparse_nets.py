"""What the figures of benchmarks/sparse_mnist.py and sparse_sound.py rest on, on random pictures and tones."""

import argparse
import gzip
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from cortical.columns.layers.counters import counting
from cortical.envs.sound import Clip

sys.path.append(str(Path(__file__).parents[1] / "benchmarks"))

import mnist  # pyright: ignore[reportMissingImports]
import provenance  # pyright: ignore[reportMissingImports]
import sparse_methods  # pyright: ignore[reportMissingImports]
import sparse_nets as nets  # pyright: ignore[reportMissingImports]
import sparse_sound  # pyright: ignore[reportMissingImports]
import sparse_training as training  # pyright: ignore[reportMissingImports]
import sparse_widths  # pyright: ignore[reportMissingImports]

pytestmark = pytest.mark.usefixtures("one_thread")
SETTINGS = nets.Settings(hidden=60, density=0.1, winners=12, epochs=2, batch=8, first_batch=8)
NORMED = nets.Settings(
    hidden=60, density=0.1, winners=12, epochs=4, batch=8, first_batch=8, norm=True, dense_norm=True, more=1.5
)


def pictures(number, seed=0):
    """Two kinds: bright above, or bright below."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(number) % 2
    images = 0.5 * torch.randn(number, 1, 28, 28, generator=generator)
    images[labels == 0, :, :14] += 1.0
    images[labels == 1, :, 14:] += 1.0
    return training.Labelled(images, labels)


def known():
    return sparse_methods.Task(pictures(80), pictures(40, seed=1), pictures(40, seed=2), mnist.noisy)


def test_noise_sets_the_share_of_pixels_and_no_other():
    images = pictures(5).inputs
    for level in training.LEVELS:
        given = mnist.noisy(images, level, torch.Generator().manual_seed(1))
        changed = given != images
        assert torch.equal(changed.flatten(1).sum(1), torch.full((5,), int(level * 784)))
        assert (given[changed] == 2.0).all()
    one, two = (mnist.noisy(images, 0.5, torch.Generator().manual_seed(1)) for _ in range(2))
    assert torch.equal(one, two)


@pytest.mark.parametrize("settings", [SETTINGS, NORMED], ids=["plain", "normed"])
@pytest.mark.parametrize("method", sparse_methods.METHODS)
def test_networks_learn_and_come_back_as_they_were(method, settings, tmp_path):
    task = known()
    row = sparse_methods.row(method, 0, settings, task, tmp_path)
    assert row["test"] > 0.97
    assert row["epoch"] == row["validation"].index(max(row["validation"])) + 1
    assert (row["turnover"] > 0) == (method == "set")  # RigL's first turn is at 100 steps
    net = sparse_methods.restored(method, 0, settings, tmp_path)
    assert training.correct(net, task.test) == round(row["levels"][0] * 40)
    assert row["weights"] == net.weights()


def test_rigl_moves_connectivity_of_what_is_sparse_enough():
    settings = nets.Settings(hidden=60, density=0.1, conv_density=0.8, winners=12, epochs=3, batch=1, first_batch=1)
    before = nets.build("rigl", settings, 0)
    after, how = training.train("rigl", settings, 0, (pictures(60), pictures(20)))
    assert how["changes"] == 1 and how["turnover"] > 0
    assert torch.equal(before.conv.kernel.targets, after.conv.kernel.targets)
    assert not torch.equal(before.fc.targets, after.fc.targets)
    assert after.fc.mask.kind == "packed" and after.weights() == before.weights()


@pytest.mark.parametrize("conv", ["dense", "packed"])
@pytest.mark.parametrize("settings", [SETTINGS, NORMED], ids=["plain", "normed"])
def test_the_quick_network_is_the_same_function_and_counts_what_it_does(conv, settings):
    net, _ = training.train("static", settings, 3, (pictures(40), pictures(8)))  # norms have statistics of their own
    quick = net.quick(conv)
    kernel = 12 if conv == "packed" else 30  # 12 banks of the 30 channels
    with torch.no_grad():
        for x in pictures(4).inputs.split(1):
            torch.testing.assert_close(quick(x), net(x)[0], rtol=1e-3, atol=1e-4)
            with counting() as counts:
                quick(x)
            assert 576 * 25 * kernel < counts.multiply_adds <= 576 * 25 * kernel + net.k[0] * 6 + net.k[1] * 10
    assert net.k == (round(settings.more * 400), round(settings.more * 12))


def test_what_the_dense_network_costs_is_what_its_products_say():
    net = nets.build("dense", SETTINGS, 0)
    assert net.multiply_adds() == 576 * 25 * 30 + 4320 * 60 + 60 * 10
    assert net.weights() == 25 * 30 + 4320 * 60 + 60 * 10


def test_methods_are_compared(tmp_path):
    task, settings = known(), replace(SETTINGS, epochs=1)
    rows = [sparse_methods.row(method, 0, settings, task, tmp_path) for method in sparse_methods.METHODS]
    args = argparse.Namespace(seeds=1)
    found = sparse_methods.compared(args, settings, tmp_path, task.test, rows)
    said = sparse_methods.said(found)
    assert said["best_sparse"] in sparse_methods.SPARSE
    assert said["test_dense"] == pytest.approx(100 * rows[0]["test"])
    assert found["best_against"]["dense"]["points"] == pytest.approx(said["points_over_dense"], abs=1e-3)
    assert found["methods"]["static"]["test_sd"] is None
    panel = sparse_methods.noise_panel(found, "noise")
    assert panel.lines["dense"][1][0] == pytest.approx(100 * rows[0]["test"])


def test_digits_are_read_and_a_missing_file_is_named(tmp_path):
    images = np.arange(2 * 784, dtype=np.uint8)
    (tmp_path / "t10k-images-idx3-ubyte.gz").write_bytes(gzip.compress(bytes(16) + images.tobytes()))
    with pytest.raises(SystemExit, match="t10k-labels-idx1-ubyte"):
        mnist.load(tmp_path, "t10k")
    (tmp_path / "t10k-labels-idx1-ubyte.gz").write_bytes(gzip.compress(bytes(8) + bytes([3, 9])))
    digits = mnist.load(tmp_path, "t10k")
    assert digits.labels.tolist() == [3, 9]
    assert digits.inputs[1, 0, 0, 3].item() == pytest.approx((images[787] / 255 - 0.1307) / 0.3081, rel=1e-5)


def test_wide_networks_have_the_weights_of_narrow_ones():
    for _, width, budget in sparse_widths.cells():
        if width <= 256:
            assert sparse_widths.Perceptron(width, budget, 0).weights() == pytest.approx(budget, rel=0.1)
    learning = sparse_widths.Learning(images=80, epochs=20, batch=8)
    rows = []
    for method in sparse_widths.METHODS:
        job = ("widths", argparse.Namespace(), f"{method}-64-3000")
        rows.append(sparse_widths.row(job, learning, pictures(80), pictures(40, seed=1)))
        assert rows[-1]["error"] < 0.05 and rows[-1]["width"] == 64
    static, learnt = sparse_widths.panels(rows)
    assert static.lines["64 units"][1] == [100 * rows[0]["error"]]
    assert learnt.lines["64 units"][0] == [rows[1]["weights"]] == [rows[0]["weights"]]


def tone(word, speaker, take):
    """A word of made-up recordings: low or high."""
    random = np.random.default_rng([ord(word), ord(speaker[0]), take])
    wave = np.sin(2 * np.pi * (300 if word == "a" else 1500) * np.arange(4000) / 8000)
    return Clip(word, speaker, take, (wave + 0.1 * random.normal(size=4000)).astype(np.float32), 8000)


def test_sounds_are_split_by_take_and_learnt(tmp_path):
    clips = [tone(word, speaker, take) for word in "ab" for speaker in ("x", "y") for take in range(16)]
    task = sparse_sound.task_of(clips)
    assert [len(part.labels) for part in (task.learn, task.choose, task.test)] == [24, 20, 20]
    assert task.learn.inputs.mean().abs() < 1e-4 and task.learn.inputs.std() == pytest.approx(1.0, abs=1e-4)
    settings = nets.Settings(side=32, hidden=50, density=0.1, winners=10, epochs=3, batch=4, first_batch=4)
    assert sparse_methods.row("static", 0, settings, task, tmp_path)["test"] > 0.9
    with pytest.raises(ValueError, match="no recording to asked"):
        sparse_sound.task_of([clip for clip in clips if clip.take >= 5])


def test_noise_on_sounds_is_a_blend_within_their_range():
    x = torch.randn(3, 1, 32, 32, generator=torch.Generator().manual_seed(0))
    assert torch.equal(sparse_sound.noisy(x, 0.0, torch.Generator().manual_seed(1)), x)
    given = sparse_sound.noisy(x, 0.5, torch.Generator().manual_seed(1))
    drawn = 2.0 * given - x
    assert drawn.min() >= x.min() - 1e-5 and drawn.max() <= x.max() + 1e-5
    assert abs(float((drawn * x).mean() - drawn.mean() * x.mean())) < 0.15


def test_the_command_can_be_typed():
    argv = ["/some/where/x.py", "--mnist", "/data", "--seeds", "3", "--runs=/tmp/x", "--output", "a.json", "--norm"]
    typed = provenance.typed(argv, {"--mnist": "$MNIST", "--runs": "", "--output": ""})
    assert typed == "python benchmarks/x.py --mnist $MNIST --seeds 3 --norm"
