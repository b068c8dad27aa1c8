"""Which weights of a sparse layer exist, and in which order they are kept.

- random: every output has the same number of random inputs (equal fan-in).
- packed (complementary): outputs are split into banks, and every input has one target in every bank; the rows of a bank
  are disjoint and fill one dense row (K. Hunter, L. Spracklen, S. Ahmad 2022, "Two sparsities are better than one",
  Neuromorphic Computing and Engineering 2, 034004). Every input costs the same, and fan-in is equal to one input.
- block: whole square blocks exist or don't; every row of blocks has the same number.

The first two are kept input by input (column-compressed), so that an input that is silent is never touched; the targets
of an input ascend.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

NARROW = 2**15
"""Outputs below this number are kept as int16."""
TOLERANCE = 0.1
"""A density may be missed by this share of itself, since fan-in is whole."""


@dataclass(frozen=True)
class Mask:
    """Weights that exist, input by input.

    targets : (weights,) int16 or int32, the outputs of input 0, then of input 1 ...; starts : (inputs + 1,) int32
    outputs : how many; kind : "random" or "packed"
    """

    targets: Tensor
    starts: Tensor
    outputs: int
    kind: str

    @property
    def inputs(self) -> int:
        return len(self.starts) - 1

    @cached_property
    def arrays(self) -> tuple[np.ndarray, np.ndarray]:
        """Targets and starts for kernels on a CPU, targets unsigned, so that none counts from the end."""
        targets = self.targets.numpy()
        return targets.view(np.uint16 if targets.dtype == np.int16 else np.uint32), self.starts.numpy()

    @cached_property
    def offsets(self) -> Tensor | None:
        """The place of every target in its bank, (inputs, banks) uint8, for kernels on a GPU.

        One byte an index: with bfloat16 weights that is 3 bytes a weight, against 2 of a dense one. None for a mask
        that isn't packed, and for banks of more than 256 outputs.
        """
        banks = len(self.targets) // max(self.inputs, 1)
        if self.kind != "packed" or -(-self.outputs // banks) > 256:
            return None
        first = bank_edges(self.outputs, banks)[:-1].to(self.targets.device)
        return (self.targets.long().view(self.inputs, banks) - first).to(torch.uint8)

    @property
    def density(self) -> float:
        """Share of all weights that exist."""
        return len(self.targets) / max(self.inputs * self.outputs, 1)

    def sources(self) -> Tensor:
        """The input of every weight, (weights,) int64."""
        fan_out = self.starts.long().diff()
        return torch.repeat_interleave(torch.arange(self.inputs, device=fan_out.device), fan_out)

    def fan_in(self) -> Tensor:
        """Weights of every output, (outputs,) int64."""
        return torch.bincount(self.targets.long(), minlength=self.outputs)

    def dense(self) -> Tensor:
        """The same as a bool matrix, (inputs, outputs)."""
        full = torch.zeros(self.inputs, self.outputs, dtype=torch.bool, device=self.targets.device)
        full[self.sources(), self.targets.long()] = True
        return full


@dataclass(frozen=True)
class BlockMask:
    """Square blocks that exist.

    blocks : (outputs / size, f) int32, the blocks of inputs that every block of outputs listens to, ascending
    size : units along a side of a block; inputs, outputs : how many
    """

    blocks: Tensor
    size: int
    inputs: int
    outputs: int
    kind: str = "block"

    @property
    def density(self) -> float:
        """Share of all weights that exist."""
        return self.blocks.shape[1] * self.size / self.inputs

    def fan_in(self) -> Tensor:
        """Weights of every output, (outputs,) int64."""
        return torch.full((self.outputs,), self.blocks.shape[1] * self.size, device=self.blocks.device)

    def dense(self) -> Tensor:
        """The same as a bool matrix, (inputs, outputs)."""
        rows, columns = self.inputs // self.size, self.outputs // self.size
        coarse = torch.zeros(columns, rows, dtype=torch.bool, device=self.blocks.device)
        coarse.scatter_(1, self.blocks.long(), True)
        return coarse.T.repeat_interleave(self.size, 0).repeat_interleave(self.size, 1)


def whole_share(density: float, of: int, what: str, shape: tuple[int, int]) -> int:
    """density x of as a whole number >= 1. Raises ValueError where the density is outside (0, 1] or isn't nearly met.

    what, shape : for the error, such as "inputs of each output" and (inputs, outputs)
    """
    if not 0.0 < density <= 1.0:
        raise ValueError(f"density must be in (0, 1], but is {density}, for a layer of shape {shape}")
    wanted = density * of
    number = max(round(wanted), 1)
    if abs(number - wanted) > TOLERANCE * wanted + 1e-9:
        raise ValueError(
            f"density {density} is {wanted:.3g} {what} for a layer of shape {shape}, which is not nearly whole; "
            f"take a density near {number / of:.4g} or {(number + 1) / of:.4g}"
        )
    return number


def _narrow(targets: Tensor, outputs: int) -> Tensor:
    return targets.to(torch.int16 if outputs <= NARROW else torch.int32)


def random_mask(inputs: int, outputs: int, density: float, generator: torch.Generator) -> Mask:
    """Every output has round(density inputs) random inputs. Raises ValueError where that isn't nearly the density."""
    fan_in = whole_share(density, inputs, "inputs of each output", (inputs, outputs))
    drawn = torch.stack([torch.randperm(inputs, generator=generator)[:fan_in] for _ in range(outputs)])
    places = (drawn * outputs + torch.arange(outputs).unsqueeze(1)).flatten().sort().values
    return mask_of(places, inputs, outputs, "random")


def mask_of(places: Tensor, inputs: int, outputs: int, kind: str) -> Mask:
    """The mask of weights at the ascending places input x outputs + output, (weights,) int64."""
    fan_out = torch.bincount(places // outputs, minlength=inputs)
    starts = torch.cat((fan_out.new_zeros(1), fan_out.cumsum(0))).to(torch.int32)
    return Mask(_narrow(places % outputs, outputs), starts, outputs, kind)


def bank_edges(outputs: int, banks: int) -> Tensor:
    """First output of every bank, and the end: (banks + 1,) int64. Banks differ by one output at most."""
    return torch.arange(banks + 1) * outputs // banks


def packed_mask(inputs: int, outputs: int, density: float, generator: torch.Generator) -> Mask:
    """Every input has one target in each of round(density outputs) banks; targets are balanced permutations.

    Raises ValueError where the banks don't nearly give the density.
    """
    banks = whole_share(density, outputs, "banks of outputs", (inputs, outputs))
    edges = bank_edges(outputs, banks)
    sizes = edges.diff().tolist()
    places = [torch.randperm(inputs, generator=generator) % size for size in sizes]
    targets = torch.stack(places, dim=1) + edges[:-1]
    starts = torch.arange(inputs + 1, dtype=torch.int32) * banks
    return Mask(_narrow(targets.flatten(), outputs), starts, outputs, "packed")


def block_mask(inputs: int, outputs: int, density: float, size: int, generator: torch.Generator) -> BlockMask:
    """Every row of blocks has round(density inputs / size) random blocks of `size` x `size`.

    Raises ValueError where blocks don't fit the shape or don't nearly give the density.
    """
    if size < 1 or inputs % size or outputs % size:
        raise ValueError(
            f"blocks of {size} don't fit a layer of shape {(inputs, outputs)}; take a divisor of both widths"
        )
    fan_in = whole_share(density, inputs // size, f"blocks of {size} inputs", (inputs, outputs))
    drawn = [torch.randperm(inputs // size, generator=generator)[:fan_in].sort().values for _ in range(outputs // size)]
    return BlockMask(torch.stack(drawn).to(torch.int32), size, inputs, outputs)
