"""How much faster sparse layers are than dense ones, on one CPU thread, with the selection of winners in the time.

    python benchmarks/sparse_layers.py

A layer of N units gets N random drives, selects the share `a` of them and multiplies by weights of density `d`, in a
packed mask. Dense is torch's own linear layer of the same size in float32, and in bfloat16 beside it, without any
selection. Methods take turns, so that what else the machine does slows all alike; figures are medians of the ratios of
thread CPU time within a round; the weights of N = 4096 are larger than the second-level cache. Batch 1 goes through a
step (`make_step`), which selects and multiplies in one call, and sees another row every time.

- b<batch>_n<N>_a<percent active>_d<percent of weights> : over float32, `_vs_bf16` : over bfloat16
- train_step_a10_d10 : forward and backward at batch 64, N = 4096, gradients of weights and of drives
- auto_worst : the slowest `format="auto"` against dense float32 over batches, activation and weight densities at
  N = 1024, selection included; without it where all units are active. Cells below 0.97 are measured again over more
  rounds, which count alone. control_worst : the same of dense float32 against itself with a copy of the weights, in the
  same cells: what the machine's unrest alone makes of a ratio of 1

Prints the bytes that each product reads. Takes a minute or two; run it on a machine that is otherwise quiet. For a GPU,
and NVIDIA's 2:4 format, see sparse_gpu.py. Writes benchmarks/results/sparse_layers.json; the last line of output is one
JSON object.
"""

import argparse
import json
import os
from collections.abc import Callable
from pathlib import Path
from time import thread_time
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from provenance import provenance
from rich.console import Console
from rich.progress import track
from rich.table import Table

from cortical.columns.layers.cost import cache_file, costs
from cortical.columns.layers.counters import counting
from cortical.columns.layers.linear import SparseLinear
from cortical.columns.layers.winners import select

BARS = {
    "b1_n1024_a2_d5": 40, "b1_n4096_a2_d5": 120, "b1_n4096_a10_d10": 20, "b256_n4096_a2_d5": 6,
    "train_step_a10_d10": 2, "auto_worst": 0.9,
}  # fmt: skip
"""At least."""
CASES = ((1, 1024, 2, 5), (1, 4096, 2, 5), (1, 4096, 10, 10), (256, 4096, 2, 5))
"""Batch, units, percent active, percent of weights."""
BATCHES, ACTIVE, DENSITIES = (1, 8, 64, 256), (1, 2, 5, 10, 25, 50, 100), (1, 2, 5, 10, 25, 50, 100)
CLOSE = 0.97
"""Cells of `auto` that come out lower are measured again, over so many more rounds that the figure can be told."""
ROWS = 64
"""Different rows that batch 1 sees in turn."""
Call = tuple[Callable[[torch.Tensor], Any], list[torch.Tensor]]
"""What is called, and the inputs it gets in turn."""


def rounds(calls: dict[str, Call], repeat: dict[str, int], number: int) -> dict[str, np.ndarray]:
    """Seconds of each call, (number,), the calls taking turns, each repeated so often a turn."""
    spent: dict[str, list[float]] = {name: [] for name in calls}
    for turn in range(number + 1):
        # In another order every time, so that none always follows the same other.
        for name in np.random.default_rng(turn).permutation(list(calls)):
            call, inputs = calls[name]
            given = (inputs * (repeat[name] // len(inputs) + 2))[turn % len(inputs) :][: repeat[name]]
            began = thread_time()
            for x in given:
                call(x)
            spent[name].append((thread_time() - began) / repeat[name])
    return {name: np.array(times[1:]) for name, times in spent.items()}


def repeats(calls: dict[str, Call], seconds: float) -> dict[str, int]:
    """How often each call fits into so many seconds, at least once; warms them up."""
    often = {}
    for name, (call, inputs) in calls.items():
        spent = []
        for row in (inputs[0], *inputs[-2:], inputs[0]):
            began = thread_time()
            call(row)
            spent.append(thread_time() - began)
        often[name] = int(np.clip(seconds / max(min(spent), 1e-7), 1, 2000))
    return often


def drives(batch: int, units: int, generator: torch.Generator) -> list[torch.Tensor]:
    """Several inputs: ROWS of batch 1, two larger ones."""
    if batch == 1:
        return list(torch.randn(ROWS, units, generator=generator))
    return list(torch.randn(2, batch, units, generator=generator))


def case(batch: int, units: int, active: int, density: int) -> dict[str, float]:
    """Ratios and microseconds of one case."""
    generator = torch.Generator().manual_seed(0)
    layer, k = SparseLinear(units, units, density / 100, "packed", bias=False), round(units * active / 100)
    x, w = drives(batch, units, generator), torch.randn(units, units, generator=generator)
    x16, w16 = [row.bfloat16() for row in x], w.bfloat16()
    step = layer.step(k) if batch == 1 else lambda row: layer(select(row, k))
    calls: dict[str, Call] = {
        "sparse": (step, x),
        "float32": (lambda row: F.linear(row, w), x),
        "bfloat16": (lambda row: F.linear(row, w16), x16),
        "selection": (lambda row: select(row, k), x),
    }
    with torch.no_grad(), counting() as counts:
        layer(select(x[0], k))
    with torch.no_grad():
        times = rounds(calls, repeats(calls, 0.01), 31 if batch == 1 else 9)
    return {
        "ratio": float(np.median(times["float32"] / times["sparse"])),
        "vs_bf16": float(np.median(times["bfloat16"] / times["sparse"])),
        "weights": layer.density,
        "multiply_adds_ratio": batch * units * units / counts.multiply_adds,
        "bytes_ratio": 4 * batch * units * units / counts.bytes,
        **{f"{name}_us": 1e6 * float(np.median(times[name])) for name in calls},
    }


def training() -> dict[str, float]:
    """Forward and backward at batch 64, 10 % of units and weights."""
    units, k = 4096, 410
    generator = torch.Generator().manual_seed(0)
    layer = SparseLinear(units, units, 0.1, "auto", bias=False)
    x = torch.randn(64, units, generator=generator).requires_grad_()
    w, slope = torch.randn(units, units, generator=generator).requires_grad_(), torch.randn(64, units)

    def learn(y: torch.Tensor) -> None:
        y.backward(slope)
        x.grad = w.grad = layer.weight.grad = None

    calls: dict[str, Call] = {
        "sparse": (lambda x: learn(layer(select(x, k))), [x]),
        "float32": (lambda x: learn(F.linear(x, w)), [x]),
    }
    times = rounds(calls, {"sparse": 1, "float32": 1}, 7)
    found = {f"{name}_us": 1e6 * float(np.median(times[name])) for name in calls}
    return {"ratio": float(np.median(times["float32"] / times["sparse"])), **found}


def auto(units: int = 1024) -> list[dict[str, Any]]:
    """`format="auto"` against dense over the grid."""
    generator, found = torch.Generator().manual_seed(0), []
    grid = [(b, d) for b in BATCHES for d in DENSITIES]
    w = torch.randn(units, units, generator=generator)
    for batch, density in track(grid, "auto", console=Console(stderr=True)):
        x = drives(batch, units, generator)
        layer = SparseLinear(units, units, density / 100, bias=False)
        for active in ACTIVE:
            found.append(_auto_cell(layer, x, w, batch, active, density))
    return found


def _auto_cell(layer: SparseLinear, x: list, w: torch.Tensor, batch: int, active: int, density: int) -> dict[str, Any]:
    k = round(w.shape[0] * active / 100)

    def chosen(row: torch.Tensor) -> Any:
        return select(row, k) if active < 100 else row

    again = w.clone()
    calls: dict[str, Call] = {
        "auto": (lambda row: layer(chosen(row)), x),
        "float32": (lambda row: F.linear(row, w), x),
        "control": (lambda row: F.linear(row, again), x),
    }
    with torch.no_grad():
        # All equally often: the first call of a turn finds cold caches, and must weigh the same in each.
        often = dict.fromkeys(calls, repeats({"float32": calls["float32"]}, 0.002)["float32"])
        for number in (21, 121):
            times = rounds(calls, often, number)
            ratios = {name: float(np.median(times["float32"] / times[name])) for name in ("auto", "control")}
            if ratios["auto"] > CLOSE:
                break
        method = layer.method(chosen(x[0]))
    return {
        "batch": batch, "active": active, "density": density, "method": method, "ratio": ratios["auto"],
        "control": ratios["control"],
    }  # fmt: skip


def has_amx() -> bool | None:
    """Whether the CPU multiplies matrices in hardware (AMX); None where the system doesn't tell."""
    info = Path("/proc/cpuinfo")
    return "amx_tile" in info.read_text() if info.is_file() else None


def show(cases: dict[str, dict[str, float]], figures: dict[str, float]) -> None:
    """The table of cases, and of bars."""
    table = Table("case", "dense us", "bf16 us", "sparse us", "select() alone", "ratio", "products", "bytes", "bar")
    for name, row in cases.items():
        table.add_row(
            name, *(f"{row[key]:.4g}" for key in ("float32_us", "bfloat16_us", "sparse_us", "selection_us", "ratio")),
            f"1 / {row['multiply_adds_ratio']:.0f}", f"1 / {row['bytes_ratio']:.0f}", f">= {BARS[name]}",
        )  # fmt: skip
    console = Console(stderr=True)
    console.print(table)
    for name in ("train_step_a10_d10", "auto_worst"):
        console.print(f"{name} {figures[name]:.2f}, bar >= {BARS[name]}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    default = Path(__file__).parent / "results" / "sparse_layers.json"
    parser.add_argument("--output", type=Path, default=default, help="result file (default: %(default)s)")
    args = parser.parse_args()
    torch.set_num_threads(1)
    shown = track(CASES, "cases", console=Console(stderr=True))
    cases = {f"b{b}_n{n}_a{a}_d{d}": case(b, n, a, d) for b, n, a, d in shown}
    learnt, grid = training(), auto()
    worst = min(grid, key=lambda cell: cell["ratio"])
    figures = {name: row["ratio"] for name, row in cases.items()}
    figures |= {f"{name}_vs_bf16": row["vs_bf16"] for name, row in cases.items()}
    figures |= {"train_step_a10_d10": learnt["ratio"], "auto_worst": worst["ratio"]}
    figures |= {"control_worst": min(cell["control"] for cell in grid)}
    show(cases, figures)
    said = {name: round(value, 2) for name, value in figures.items()} | {"amx": has_amx()}
    result = {
        **provenance(("torch", "numba", "numpy")),
        "load": os.getloadavg()[1],
        "costs": f"{'fitted here' if cache_file().is_file() else 'shipped'}: {costs().machine}",
        "bars": BARS,
        **said,
        "cases": cases,
        "training": learnt,
        "auto": grid,
    }
    args.output.write_text(json.dumps(_rounded(result), indent=1) + "\n")
    print(json.dumps(said))


def _rounded(value: Any) -> Any:
    """Four digits are enough."""
    if isinstance(value, dict):
        return {name: _rounded(part) for name, part in value.items()}
    if isinstance(value, list):
        return [_rounded(part) for part in value]
    return float(f"{value:.4g}") if isinstance(value, float) else value


if __name__ == "__main__":
    main()
