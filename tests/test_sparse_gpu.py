"""Parts of benchmarks/sparse_gpu.py that need no GPU: the products are right, bytes and ratios are what they say."""

import argparse
import io
import json
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch
from rich.console import Console

sys.path.append(str(Path(__file__).parents[1] / "benchmarks"))

import sparse_gpu  # pyright: ignore[reportMissingImports]
import sparse_gpu_rows  # pyright: ignore[reportMissingImports]

NO_TRITON = "Triton is not installed: pip install 'cortical-columns[gpu]'"


@pytest.fixture
def made(monkeypatch):
    """The rows of 2 columns of 64 units."""
    if not torch.cuda.is_available():
        monkeypatch.setenv("TRITON_INTERPRET", "1")
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    random = torch.Generator(device).manual_seed(0)
    return sparse_gpu_rows.rows(sparse_gpu_rows.Setting(2, 64, device, random, few=2, many=2))


@pytest.mark.skipif(find_spec("triton") is None, reason=NO_TRITON)
def test_every_product_is_right_and_a_wrong_one_is_found(made):
    found = sparse_gpu_rows.errors(made, 2)
    assert list(found) == ["dense", "dense_turned", "gather_2", "packed_10x10", "packed_5x5", "two_of_four"]
    row = made["dense"]
    wrong = sparse_gpu_rows.Row(lambda i: row.call(i) * 1.02, None, row.exact, row.bytes, row.sets, row.held)
    with pytest.raises(ValueError, match=r"dense is off by 0\.0[12]"):
        sparse_gpu_rows.errors({"dense": wrong}, 2)


@pytest.mark.skipif(find_spec("triton") is None, reason=NO_TRITON)
def test_bytes_of_rows_are_those_of_the_estimate(made):
    cells = sparse_gpu.estimate(2, 64)["H200"]
    for name, (active, density) in sparse_gpu.CASES.items():
        k, fan_out = max(round(active * 64), 1), 64 if density == 1.0 else round(density * 64)
        spread = 0 if density == 1.0 else fan_out * 64
        assert cells[name]["bytes"] == 2 * (2 * k * fan_out + 6 * k + 2 * 64) + spread
        # the estimate lets the columns meet every input of the mask they share
        assert 0 <= cells[name]["bytes"] - made[name].bytes <= spread
    assert cells["dense"]["bytes"] == made["dense"].bytes == 2 * 2 * 64 * 66
    assert made["packed_10x10"].held == 2 * 2 * 64 * 6


def test_ratios_are_to_the_faster_dense_layout_within_rounds():
    row = sparse_gpu_rows.Row(
        lambda i: torch.zeros(1), lambda i: torch.zeros(1), lambda i, c: torch.zeros(1), 3000, 1, 1
    )
    plain = sparse_gpu_rows.Row(row.call, None, row.exact, 6000, 1, 1)
    times = {
        "dense": np.array([200.0, 400.0, 200.0]), "dense_turned": np.array([100.0, 300.0, 100.0]),
        "gather_2": np.array([10.0, 10.0, 10.0]), "gather_2_selected": np.array([20.0, 15.0, 20.0]),
        "copy": np.array([1e9, 1e9, 2e9]),
    }  # fmt: skip
    found = sparse_gpu.figures({"dense": plain, "dense_turned": plain, "gather_2": row}, times)
    assert found["gather_2"]["ratio"] == 10.0
    assert found["gather_2"]["selected_ratio"] == 5.0
    assert found["gather_2"]["of_copy"] == pytest.approx(3000 / 10e-6 / 1e9)
    assert found["dense"]["ratio"] == 0.5
    assert "selected_us" not in found["dense"]
    console = Console(record=True, file=io.StringIO(), width=120)
    sparse_gpu.show("card", found, console)
    assert "gather_2" in console.export_text()


def test_without_a_gpu_an_estimate_is_written_as_one(tmp_path, capsys):
    file = tmp_path / "estimate.json"
    args = argparse.Namespace(columns=64, units=4096, output=file)
    said = sparse_gpu.estimated(args, Console(stderr=True))
    held = json.loads(file.read_text())
    assert said["ESTIMATE"] is True
    assert held["ESTIMATE"].startswith("computed, not")
    assert set(held["rows"]) == set(held["cards"])
    for cells in held["rows"].values():
        assert cells["dense"]["ratio"] == 1.0
        for name in sparse_gpu.BARS:
            assert cells[name]["ratio"] == pytest.approx(cells["dense"]["us"] / cells[name]["us"], rel=1e-3)
    assert "ESTIMATE, not measured" in capsys.readouterr().err
