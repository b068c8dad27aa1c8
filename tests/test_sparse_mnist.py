"""The parts of benchmarks/sparse_mnist.py that its figures rest on, on random pictures instead of digits."""

import gzip
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from cortical.columns.layers.counters import counting

sys.path.append(str(Path(__file__).parents[1] / "benchmarks"))

import sparse_mnist  # pyright: ignore[reportMissingImports]
import sparse_mnist_nets as nets  # pyright: ignore[reportMissingImports]

SETTINGS = nets.Settings(60, 0.1, 0.4, 400, 12, 2, batch=8)


@pytest.fixture(autouse=True)
def one_thread():
    """As the benchmark runs."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def pictures(number, seed=0):
    """Two kinds: bright above, or bright below."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(number) % 2
    images = 0.5 * torch.randn(number, 1, 28, 28, generator=generator)
    images[labels == 0, :, :14] += 1.0
    images[labels == 1, :, 14:] += 1.0
    return nets.Digits(images, labels)


def test_noise_sets_the_share_of_pixels_and_no_other():
    images = pictures(5).images
    for level in nets.LEVELS:
        given = nets.noisy(images, level, torch.Generator().manual_seed(1))
        changed = given != images
        assert torch.equal(changed.flatten(1).sum(1), torch.full((5,), int(level * 784)))
        assert (given[changed] == 2.0).all()
    one, two = (nets.noisy(images, 0.5, torch.Generator().manual_seed(1)) for _ in range(2))
    assert torch.equal(one, two)


@pytest.mark.parametrize("method", ["dropout", "static", "set", "rigl"])
def test_networks_learn_and_come_back_as_they_were(method, tmp_path):
    train, test, calls = pictures(80), pictures(40, seed=1), []
    sparse_mnist._row(method, 0, SETTINGS, (train, test), test, tmp_path, lambda: calls.append(1))
    row = sparse_mnist.json.loads((tmp_path / f"{method}-0.json").read_text())
    assert len(calls) == 20
    assert row["test"] > 0.39  # of 0.40, the figure being right / 100
    assert row["epoch"] == row["validation"].index(max(row["validation"])) + 1
    assert (row["turnover"] > 0) == (method == "set")  # RigL's first turn is at 100 steps
    net = sparse_mnist.restored(method, 0, SETTINGS, tmp_path)
    assert nets.correct(net, test) == row["levels"][0]
    before = (tmp_path / f"{method}-0.json").stat().st_mtime_ns
    sparse_mnist._row(method, 0, SETTINGS, (train, test), test, tmp_path, lambda: None)
    assert (tmp_path / f"{method}-0.json").stat().st_mtime_ns == before


@pytest.mark.parametrize("conv", ["dense", "packed"])
def test_the_quick_network_is_the_same_function_and_counts_what_it_does(conv):
    net = nets.build("static", SETTINGS, 3).eval()
    quick = net.quick(conv)
    kernel = 12 if conv == "packed" else 30  # 12 banks of the 30 channels
    with torch.no_grad():
        for x in pictures(4).images.split(1):
            torch.testing.assert_close(quick(x), net(x)[0], rtol=1e-4, atol=1e-5)
            with counting() as counts:
                quick(x)
            assert counts.multiply_adds == 576 * 25 * kernel + 400 * 6 + 12 * 10


def test_what_the_dense_network_costs_is_what_its_products_say():
    net = nets.build("dense", SETTINGS, 0)
    assert net.multiply_adds() == 576 * 25 * 30 + 4320 * 60 + 60 * 10


def test_digits_are_read_and_a_missing_file_is_named(tmp_path):
    images = np.arange(2 * 784, dtype=np.uint8)
    (tmp_path / "t10k-images-idx3-ubyte.gz").write_bytes(gzip.compress(bytes(16) + images.tobytes()))
    with pytest.raises(SystemExit, match="t10k-labels-idx1-ubyte"):
        nets.load(tmp_path, "t10k")
    (tmp_path / "t10k-labels-idx1-ubyte.gz").write_bytes(gzip.compress(bytes(8) + bytes([3, 9])))
    digits = nets.load(tmp_path, "t10k")
    assert digits.labels.tolist() == [3, 9]
    assert digits.images[1, 0, 0, 3].item() == pytest.approx((images[787] / 255 - 0.1307) / 0.3081, rel=1e-5)
