"""What sparse layers did: multiply-adds, bytes, active fractions, and an energy model.

    with counting() as counts:
        y = layer(select(x, k))
    print(counts.multiply_adds, counts.comparisons, counts.energy())

Counted is what the product that ran had to read and multiply, weights that are zero but read included, not what
another one would have. Selecting the winners counts like everything else: a product is never reported without it.
Bytes are those of weights, indices, inputs and outputs, each time they are used, whether a cache held them or not.
Backward passes are not counted.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from torch import Tensor

LISTENERS: list["Counts"] = []
"""Counts that are open; layers look here before they count."""


@dataclass(frozen=True)
class EnergyModel:
    """Joules per operation: a model, not a measurement, since no layer here can see its own energy.

    The numbers are those of a 45 nm chip at 0.9 V (M. Horowitz 2014, "Computing's energy problem (and what we can do
    about it)", ISSCC): float32 addition 0.9 pJ and multiplication 3.7 pJ, comparison as an integer addition 0.1 pJ,
    640 pJ to fetch 32 bits from memory. A cache would be 10 to 100 times cheaper than memory.
    """

    multiply_add: float = 4.6e-12
    comparison: float = 0.1e-12
    byte: float = 160e-12


@dataclass
class Work:
    """Of one kind of operation: calls, multiply-adds, comparisons and bytes."""

    calls: int = 0
    multiply_adds: int = 0
    comparisons: int = 0
    bytes: int = 0


@dataclass
class Counts:
    """What was counted, by kind of operation; active and units : of all inputs of products."""

    work: dict[str, Work] = field(default_factory=dict)
    active: int = 0
    units: int = 0

    @property
    def multiply_adds(self) -> int:
        return sum(work.multiply_adds for work in self.work.values())

    @property
    def comparisons(self) -> int:
        """Of selections: one for each unit and row, the least any selection needs."""
        return sum(work.comparisons for work in self.work.values())

    @property
    def bytes(self) -> int:
        return sum(work.bytes for work in self.work.values())

    @property
    def active_fraction(self) -> float:
        """Of the inputs of all products, selections not counted twice. NaN where there was none."""
        return self.active / self.units if self.units else float("nan")

    def energy(self, model: EnergyModel | None = None) -> float:
        """Joules by a model, see EnergyModel."""
        model = model or EnergyModel()
        arithmetic = self.multiply_adds * model.multiply_add + self.comparisons * model.comparison
        return arithmetic + self.bytes * model.byte


@contextmanager
def counting() -> Iterator[Counts]:
    """Counts what sparse layers do inside; nested ones count too."""
    counts = Counts()
    LISTENERS.append(counts)
    try:
        yield counts
    finally:
        LISTENERS.remove(counts)


def note_selection(rows: int, n: int, k: int, size: int) -> None:
    """k winners of n units selected in so many rows, of `size` bytes a number."""
    for counts in LISTENERS:
        work = counts.work.setdefault("selection", Work())
        work.calls += 1
        work.comparisons += rows * n
        work.bytes += rows * (n * size + k * (4 + size))


def note_product(
    kind: str, rows: int, active: int, inputs: int, weights_read: int, outputs: int, widths: tuple
) -> None:
    """A product of so many rows : `weights_read` in all, of which each is multiplied once; `active` of rows x inputs.

    widths : bytes of a number, and of the index that comes with a weight
    """
    size, index = widths
    for counts in LISTENERS:
        work = counts.work.setdefault(kind, Work())
        work.calls += 1
        work.multiply_adds += weights_read
        work.bytes += weights_read * (size + index) + active * (size + 4) + rows * outputs * size
        counts.active += active
        counts.units += rows * inputs


def number_active(indices: Tensor) -> int:
    """Slots that are not empty."""
    return int((indices >= 0).sum())
