"""Which product is fastest here: a cost model with constants fitted on the machine.

    time = call + (nanoseconds for one unit of work, interpolated over rows and width) x units of work

| method | units of work |
|---|---|
| dense | rows x inputs x outputs |
| gather | rows x active inputs x outputs |
| scatter | rows x active inputs x (weights of an input + a few for starting) |
| lanes | rows, rounded up to whole vectors, x weights, less those of inputs that no sample activates |

The constants that come with the package were fitted on the machine of its published results; for another machine:

    python -m cortical.columns.layers.cost          # less than a minute; kept in the user's cache folder
"""

import argparse
import json
import math
import os
import platform
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from time import thread_time
from typing import Any

import numpy as np
import torch
from torch import Tensor

from . import products
from .gradients import LANES
from .masks import packed_mask
from .winners import select

METHODS = ("dense", "gather", "scatter", "lanes")
ROWS, WIDTHS = (1, 8, 64, 256), (128, 512, 1024, 2048, 4096)
START = 8.0
"""Weights' worth of time to begin with another input."""
SHIPPED = Path(__file__).with_name("costs.json")
MARGIN = 1.25
"""The model is about that exact."""
Table = dict[str, list[list[float]]]


@dataclass(frozen=True)
class Costs:
    """Fitted constants.

    forward, learning : by method, nanoseconds for a unit of work, ROWS x WIDTHS; learning is forward and backward
    call : by method, nanoseconds of an empty call; machine : where they were fitted
    """

    forward: Table
    learning: Table
    call: dict[str, float]
    machine: str

    def predict(self, method: str, shape: tuple[int, int, int, int], weights: int, learns: bool = False) -> float:
        """Nanoseconds of a product of shape (rows, active inputs, inputs, outputs) with so many weights."""
        rows, active, inputs, outputs = shape
        table = np.array((self.learning if learns else self.forward)[method])
        width = math.log2(math.sqrt(inputs * outputs))
        by_rows = [np.interp(width, np.log2(WIDTHS), np.log2(line)) for line in table]
        each = 2.0 ** np.interp(math.log2(max(rows, 1)), np.log2(ROWS), by_rows)
        return self.call[method] + float(each) * units(method, rows, active, inputs, outputs, weights)


def units(method: str, rows: int, active: int, inputs: int, outputs: int, weights: int) -> float:
    """Units of work of a method, as the table of the module says."""
    if method == "dense":
        return rows * inputs * outputs
    if method == "gather":
        return rows * active * outputs
    if method == "scatter":
        return rows * active * (weights / max(inputs, 1) + START)
    if method == "lanes":
        width = next((width for width in LANES if rows <= width), LANES[-1])
        silent = (1.0 - active / max(inputs, 1)) ** min(rows, width)
        return -(-rows // width) * width * weights * (1.0 - silent)
    raise ValueError(f"no cost is known for {method!r}; methods are {', '.join(METHODS)}")


def cache_file() -> Path:
    """Where constants fitted on this machine are kept."""
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(home) / "cortical" / "sparse_costs.json"


@lru_cache(maxsize=1)
def costs() -> Costs:
    """The constants fitted on this machine, or those of the package where none were."""
    for file in (cache_file(), SHIPPED):
        if file.is_file():
            return Costs(**json.loads(file.read_text()))
    raise FileNotFoundError(f"no constants of the cost model at {SHIPPED}; run: python -m {__spec__.name}")


@lru_cache(maxsize=4096)
def choose(methods: tuple[str, ...], shape: tuple[int, int, int, int], weights: int, learns: bool) -> str:
    """The method that should be fastest for a shape (rows, active inputs, inputs, outputs).

    Another than the dense one must promise to be faster by MARGIN, so that an error of the model costs little.
    """
    times = {method: costs().predict(method, shape, weights, learns) for method in methods}
    best = min(times, key=lambda method: times[method])
    return best if times[best] * MARGIN <= times["dense"] else "dense"


def calibrate(say: Callable[[str], Any] = lambda line: None) -> Costs:
    """Fits the constants on this machine, on one thread, in less than a minute; say : gets a line on every step."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        tables: tuple[Table, Table] = {}, {}
        for learns, table in zip((False, True), tables, strict=True):
            for method in METHODS:
                say(f"{method}, {'forward and backward' if learns else 'forward'}")
                table[method] = [[_each(method, rows, width, learns) for width in WIDTHS] for rows in ROWS]
        call = {method: 1e9 * min(_seconds(method, 1, 16, False, 0.5)[0] for _ in range(5)) for method in METHODS}
    finally:
        torch.set_num_threads(threads)
    return Costs(*tables, call, f"{platform.processor() or platform.machine()}, torch {torch.__version__}")


def _each(method: str, rows: int, width: int, learns: bool) -> float:
    density = 0.1
    seconds, work = _seconds(method, rows, width, learns, density)
    idle, _ = _seconds(method, 1, 16, learns, 0.5)
    return max(1e9 * (seconds - idle), 0.1 * 1e9 * seconds) / work


def _seconds(method: str, rows: int, width: int, learns: bool, density: float) -> tuple[float, float]:
    """Seconds of one product with few active inputs, and its units of work."""
    generator = torch.Generator().manual_seed(0)
    mask = packed_mask(width, width, density, generator)
    matrix = torch.randn(width if method in ("dense", "gather") else 1, width, generator=generator)
    matrix = matrix.mT.contiguous().mT if method == "dense" else matrix  # as a layer keeps it
    weight = torch.randn(len(mask.targets), generator=generator)
    k = max(width // (20 if rows > 1 else 4), 1)  # at batch 1 more, or the call is all there is
    inputs = [select(torch.randn(rows, width, generator=generator), k) for _ in range(8 if rows == 1 else 1)]

    def whole() -> Tensor:
        """The dense matrix; learning, it must be made anew every time."""
        return products.dense_matrix(weight, mask) if learns else matrix

    calls: dict[str, Callable[[int], Tensor]] = {
        "dense": lambda i: products.dense_product(inputs[i], whole()),
        "gather": lambda i: products.gather_product(inputs[i], whole()),
        "scatter": lambda i: products.scatter_product(inputs[i], weight, mask),
        "lanes": lambda i: products.lanes_product(inputs[i], weight, mask),
    }
    if learns:
        for tensor in (weight, *(active.values for active in inputs)):
            tensor.requires_grad_()
    seconds = _timed(calls[method], len(inputs), learns)
    return seconds, units(method, rows, k, width, width, len(mask.targets))


def _timed(call: Callable[[int], Tensor], inputs: int, learns: bool, least: float = 0.02) -> float:
    """Seconds of a call, median of rounds; `least` : seconds spent measuring, at least."""
    rounds, spent = [], 0.0
    while len(rounds) < 4 or (len(rounds) < 40 and spent < 0.1) or spent < least:
        began = thread_time()
        with torch.set_grad_enabled(learns):
            y = call(len(rounds) % inputs)
            if learns:
                y.sum().backward()
        rounds.append(thread_time() - began)
        spent += rounds[-1]
    return float(np.median(rounds[1:]))


def main() -> None:
    """Fits the constants on this machine and keeps them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, default=cache_file(), help="file of constants (default: %(default)s)")
    args = parser.parse_args()
    fitted = calibrate(print)
    args.output.parent.mkdir(parents=True, exist_ok=True)
    args.output.write_text(json.dumps(fitted.__dict__, indent=1) + "\n")
    print(f"written to {args.output}")


if __name__ == "__main__":
    main()
