"""Sparse layers on a GPU: many columns, each with weights of its own and one input, against the dense product.

    python benchmarks/sparse_gpu.py            # measures where a GPU is, else estimates
    TRITON_INTERPRET=1 python benchmarks/sparse_gpu.py --check    # no times: is every product right? needs no GPU

64 columns of 4,096 x 4,096 bfloat16 weights, batch 1: every weight is used once, so a dense product is bound by what
memory delivers, and so is a sparse one, of less. Rows:

- dense : torch.bmm, the faster of two layouts, the baseline of all ratios
- gather_2 : 2 % of the inputs active, dense weights
- packed_10x10, packed_5x5 : 10 % (5 %) of the inputs active, 10 % (5 %) of the weights there, packed masks
- two_of_four : NVIDIA's 2:4 weights, column by column, through torch.sparse

Every product is compared with float64 first. Each is captured in a CUDA graph that runs it for many different inputs,
so that weights come from memory: together they are larger than the second-level cache. Graphs take turns; figures are
medians over rounds, ratios medians of ratios within a round. `selected` is the same with the choice of winners in the
graph. Bytes are those that must come from memory once: weights of active inputs, the index of the mask that the columns
share, inputs and results; `of copy` is bytes / time over what a copy of 2 GiB reaches on the same card, both ways.

Takes some 10 GiB of the card's memory and about two minutes; writes benchmarks/results/sparse_gpu.json. Without a GPU
it writes sparse_gpu_estimate.json instead, which nobody measured: launch + the larger of bytes / bandwidth and, for
packed weights, instructions / rate. The last line of output is one JSON object.
"""

import argparse
import json
import platform
import sys
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from provenance import commit
from rich.console import Console
from rich.progress import track
from rich.table import Table
from sparse_gpu_rows import CASES, Row, Setting, errors, rows

from cortical.columns.layers.two_of_four import can_compress

BARS = {"gather_2": 25, "packed_10x10": 30, "packed_5x5": 80}
"""Times as fast as dense, at least: the product alone, as bytes promise it."""
RESULTS = Path(__file__).parent / "results"
CARDS = {
    "H200": {"bytes_s": 4.3e12, "issue_s": 132 * 4 * 1.98e9, "source": "bandwidth of copies; clock of the data sheet"},
    "H100 SXM": {"bytes_s": 3.35e12, "issue_s": 132 * 4 * 1.98e9, "source": "data sheet: no copy reaches it"},
    "A100 SXM 80 GB": {"bytes_s": 2.04e12, "issue_s": 108 * 4 * 1.41e9, "source": "data sheet: no copy reaches it"},
}  # fmt: skip
"""issue_s : instructions of whole warps a second."""
SELECTED = ("selected_us", "selected_ratio")
LAUNCH = 2e-6
"""Seconds of an empty kernel in a graph."""


def captured(call: Callable[[int], Any], sets: int) -> Callable[[], Any]:
    """A CUDA graph of the call for all input sets."""
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for i in range(3):
            call(i % sets)
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        kept = [call(i) for i in range(sets)]

    def replay() -> list:
        graph.replay()
        return kept  # results live as long as the graph

    return replay


def milliseconds(replay: Callable[[], Any], often: int) -> float:
    """Of so many replays by the card's clock."""
    began, ended = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
    began.record()
    for _ in range(often):
        replay()
    ended.record()
    torch.cuda.synchronize()
    return began.elapsed_time(ended)


def graphs(made: dict[str, Row], say: Callable[[str], Any]) -> dict[str, tuple[Callable[[], Any], int]]:
    """The replay of every row, and of it with selection, and how many products a replay makes."""
    found = {}
    for name, row in made.items():
        for key, call in ((name, row.call), (f"{name}_selected", row.selected)):
            if call is None:
                continue
            try:
                found[key] = captured(call, row.sets), row.sets
            except RuntimeError as error:
                if name != "two_of_four":
                    raise
                say(f"{name} can't be captured and is timed without a graph: {error}")
                found[key] = (lambda call=call, row=row: [call(i) for i in range(row.sets)]), row.sets
    return found


def measured(made: dict[str, Row], rounds: int, console: Console) -> dict[str, np.ndarray]:
    """Microseconds of one product, (rounds,), by row; rows take turns. `copy` : bytes a second of a copy."""
    todo = graphs(made, console.print)
    once = {key: milliseconds(replay, 3) / 3 for key, (replay, _) in todo.items()}
    often = {key: int(np.clip(20.0 / max(spent, 1e-3), 1, 200)) for key, spent in once.items()}
    source = torch.empty(2**30, device="cuda", dtype=torch.bfloat16).normal_()
    target = torch.empty_like(source)
    copy = captured(lambda _: target.copy_(source), 1)
    times: dict[str, list[float]] = {key: [] for key in (*todo, "copy")}
    for _ in track(range(rounds + 1), "rounds", console=console):
        for key, (replay, products) in todo.items():
            times[key].append(1e3 * milliseconds(replay, often[key]) / (often[key] * products))
        times["copy"].append(2.0 * source.numel() * source.element_size() / (1e-3 * milliseconds(copy, 5) / 5))
    return {key: np.array(spent[1:]) for key, spent in times.items()}


def figures(made: dict[str, Row], times: dict[str, np.ndarray]) -> dict[str, dict[str, float]]:
    """Each row's time, bytes, share of what a copy reaches, and how many times as fast as the faster dense one."""
    layouts = ("dense", "dense_turned")
    fastest = times[min(layouts, key=lambda name: float(np.median(times[name])))]
    copy, found = float(np.median(times["copy"])), {}
    for name, row in made.items():
        us = float(np.median(times[name]))
        found[name] = {
            "us": us, "bytes": row.bytes, "weights_bytes": row.held, "of_copy": row.bytes / (1e-6 * us) / copy,
            "ratio": float(np.median(fastest / times[name])),
        }  # fmt: skip
        if row.selected:
            chosen = times[f"{name}_selected"]
            ratio = float(np.median(fastest / chosen))
            found[name] |= {"selected_us": float(np.median(chosen)), "selected_ratio": ratio}
    return found


def estimate(columns: int, units: int) -> dict[str, dict[str, dict[str, Any]]]:
    """By card and row what bytes and instructions alone would take, and the ratio to dense. Nobody measured it."""
    found: dict[str, dict[str, dict[str, Any]]] = {}
    for card, held in CARDS.items():
        whole = 2 * columns * units * (units + 2)
        dense = LAUNCH + whole / held["bytes_s"]
        found[card] = {"dense": {"us": 1e6 * dense, "bytes": whole, "ratio": 1.0}}
        half = columns * units * (units * 9 // 8 + 4)
        sizes = {"two_of_four": (half, 0.0)} | {name: _work(columns, units, *case) for name, case in CASES.items()}
        for name, (size, work) in sizes.items():
            seconds = LAUNCH + max(size / held["bytes_s"], work / held["issue_s"])
            bound = "bytes" if size / held["bytes_s"] >= work / held["issue_s"] else "instructions"
            found[card][name] = {"us": 1e6 * seconds, "bytes": size, "ratio": dense / seconds, "bound": bound}
    return found


def _work(columns: int, units: int, active: float, density: float) -> tuple[int, float]:
    """Bytes of a sparse product, and instructions of its warps where these may be what bounds it.

    In the machine code of the packed kernel for an H100 a warp spends 15 + 2 S instructions on 32 weights, S outputs a
    bank, and 6 more where a thread owns one bank; it takes banks by 32 or 64 and slots by 32.
    """
    k = round(active * units)
    if density == 1.0:
        return 2 * columns * k * units + columns * (6 * k + 2 * units), 0.0
    banks = round(density * units)
    size = -(-units // banks)
    pair = -(-banks // 64) * 64
    lone = -(-banks // 32) * 32
    parts, whole = (2, pair) if pair <= 1.1 * lone and size <= 24 else (1, lone)
    slots = -(-k // 32) * 32
    work = columns * slots * whole / 32 * (15 + 2 * size + (6 if parts == 1 else 0))
    return 2 * columns * k * banks + units * banks + columns * (6 * k + 2 * units), work


def show(title: str, found: dict[str, dict[str, Any]], console: Console) -> None:
    """The table of a card."""
    table = Table("row", "us", "MB moved", "of copy", "times dense", "selected us", "times dense", "bar", title=title)
    for name, row in found.items():
        cells = row["us"], row["bytes"] / 1e6, *(row.get(key) for key in ("of_copy", "ratio", *SELECTED))
        shown = ("-" if cell is None else f"{cell:.3g}" if cell < 1000 else f"{cell:.0f}" for cell in cells)
        table.add_row(name, *shown, f">= {BARS[name]}" if name in BARS else "")
    console.print(table)


def head() -> dict[str, Any]:
    """Command, commit and versions."""
    versions = {}
    for name in ("torch", "triton", "numpy"):
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            versions[name] = "not installed"
    return {
        "command": " ".join(["python", *sys.argv]), "commit": commit(),
        "python": platform.python_version(), "versions": versions,
    }  # fmt: skip


def rounded(value: Any) -> Any:
    """Four digits are enough."""
    if isinstance(value, dict):
        return {name: rounded(part) for name, part in value.items()}
    return float(f"{value:.4g}") if isinstance(value, float) else value


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--columns", type=int, default=64, help="columns with their own weights (default: %(default)s)")
    parser.add_argument("--units", type=int, default=4096, help="inputs and outputs of each (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=30, help="rounds of measuring (default: %(default)s)")
    parser.add_argument("--check", action="store_true", help="only compare with float64, 2 columns of 320 units")
    parser.add_argument("--output", type=Path, help="result file (default: sparse_gpu[_estimate].json in results)")
    args = parser.parse_args()
    console = Console(stderr=True)
    if args.check:
        print(json.dumps(check()))
    elif torch.cuda.is_available():
        print(json.dumps(on_gpu(args, console)))
    else:
        print(json.dumps(estimated(args, console)))


def check(columns: int = 2, units: int = 320) -> dict[str, float]:
    """Errors of every row on a small size, on a GPU or in Triton's interpreter. Raises ValueError for a wrong one."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    setting = Setting(columns, units, device, torch.Generator(device).manual_seed(0), few=2, many=2)
    return rounded(errors(rows(setting), columns))


def on_gpu(args: argparse.Namespace, console: Console) -> dict[str, Any]:
    """Measures all and writes the result file."""
    device = torch.device("cuda")
    setting = Setting(args.columns, args.units, device, torch.Generator(device).manual_seed(0))
    made = rows(setting)
    wrong = errors(made, args.columns)
    with torch.no_grad():
        times = measured(made, args.rounds, console)
    found = figures(made, times)
    card = torch.cuda.get_device_properties(device)
    show(card.name, found, console)
    said = rounded({name: found[name]["ratio"] for name in (*BARS, "two_of_four")})
    result = head() | {
        "machine": card.name, "cuda": torch.version.cuda, "second_level_cache_bytes": card.L2_cache_size,
        "columns": args.columns, "units": args.units, "rounds": args.rounds, "bars": BARS, **said,
        "compressed": can_compress(torch.empty(1, device=device, dtype=torch.bfloat16), args.units, args.units),
        "copy_bytes_s": float(np.median(times["copy"])), "errors": wrong, "rows": found,
    }  # fmt: skip
    write(args.output or RESULTS / "sparse_gpu.json", result)
    return said


def estimated(args: argparse.Namespace, console: Console) -> dict[str, Any]:
    """Computes what no GPU is here to measure, and writes it as that."""
    found = estimate(args.columns, args.units)
    for card, cells in found.items():
        show(f"ESTIMATE, not measured: {card}", cells, console)
    said = {"ESTIMATE": True} | rounded({card: {n: cells[n]["ratio"] for n in BARS} for card, cells in found.items()})
    told = "computed, not run: launch + the larger of bytes / bandwidth and, of packed weights, instructions / rate"
    result = head() | {
        "ESTIMATE": told, "columns": args.columns, "units": args.units, "launch_s": LAUNCH, "cards": CARDS,
        "bars": BARS, "rows": found,
    }  # fmt: skip
    write(args.output or RESULTS / "sparse_gpu_estimate.json", result)
    return said


def write(file: Path, result: dict[str, Any]) -> None:
    file.write_text(json.dumps(rounded(result), indent=1) + "\n")


if __name__ == "__main__":
    main()
