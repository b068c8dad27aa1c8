"""Numbers and places as sparse codes: near values share units, far ones share hardly any.

A scalar x lies in the bucket floor(x / resolution). Bucket b has the units h(b), h(b + 1) ... h(b + k - 1) of a fixed
random map h, so that buckets d apart share k - d units, and beyond k only what chance gives. A place in space has
those k of the cells around it, within a radius, whose random rank is highest: neighbouring places have most cells in
common (the two are known as the random distributed scalar encoder and the coordinate encoder; S. Purdy 2016, "Encoding
data for HTM systems", arXiv:1602.05925). Ranks and units come from a hash of cell and seed, so no range need be known
and nothing is kept.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

_PRIMES = (0x9E3779B1, 0x85EBCA77, 0xC2B2AE3D, 0x27D4EB2F, 0x165667B1)


def _mixed(cells: Tensor, seed: int) -> Tensor:
    """A well mixed 31-bit number for each cell, cells : (..., d) int64."""
    state = torch.full(cells.shape[:-1], (seed * _PRIMES[4] + 1) & 0xFFFFFFFF, dtype=torch.int64, device=cells.device)
    for axis in range(cells.shape[-1]):
        state = ((state ^ (cells[..., axis] & 0xFFFFFFFF)) * _PRIMES[axis % 4]) & 0xFFFFFFFF
        state = state ^ (state >> 15)
    for prime in (0x2C1B3C6D, 0x297A2D39):
        state = (state * prime) & 0xFFFFFFFF
        state = state ^ (state >> 13)
    return state & 0x7FFFFFFF


def _distinct(units: Tensor, n: int) -> Tensor:
    """The same with units that occur twice moved on to the next free one: (..., k), ascending."""
    units = units.sort(-1).values
    for _ in range(units.shape[-1]):
        again = torch.zeros_like(units, dtype=torch.bool)
        again[..., 1:] = units[..., 1:] == units[..., :-1]
        if not bool(again.any()):
            break
        units = torch.where(again, (units + 1) % n, units).sort(-1).values
    return units


def _checked(n: int, active: int, width: float, name: str) -> None:
    if not (1 <= active <= n // 2 and width > 0):
        raise ValueError(f"needs 1 <= active <= n / 2 and {name} > 0, but n is {n}, active {active}, {name} {width}")


@dataclass(frozen=True)
class ScalarEncoder:
    """Numbers to codes of `active` of n units; values a `resolution` apart differ in one of them.

    Raises ValueError unless 1 <= active <= n / 2 and resolution > 0.
    """

    n: int
    active: int
    resolution: float
    seed: int = 0

    def __post_init__(self) -> None:
        _checked(self.n, self.active, self.resolution, "resolution")

    def __call__(self, x: Tensor) -> Tensor:
        """x : (...). Returns the units, ascending, (..., active) int64. Raises ValueError for what is not finite."""
        if not bool(x.isfinite().all()):
            raise ValueError(f"not all of the numbers of shape {tuple(x.shape)} are finite, so they have no code")
        bucket = torch.floor(x.double() / self.resolution).long()
        cells = bucket.unsqueeze(-1) + torch.arange(self.active, device=x.device)
        return _distinct(_mixed(cells.unsqueeze(-1), self.seed) % self.n, self.n)


@dataclass(frozen=True)
class CoordinateEncoder:
    """Places in a grid of any dimension to codes of `active` of n units; places beyond 2 radius + 1 cells share none
    but by chance.

    cell : side of a grid cell, in the unit of the places; radius : cells around a place that may represent it.
    Raises ValueError unless 1 <= active <= n / 2, cell > 0 and radius >= 0.
    """

    n: int
    active: int
    cell: float
    radius: int = 3
    seed: int = 0

    def __post_init__(self) -> None:
        _checked(self.n, self.active, self.cell, "cell")
        if self.radius < 0:
            raise ValueError(f"radius is a number of cells, but is {self.radius}")

    def __call__(self, x: Tensor) -> Tensor:
        """x : (..., d). Returns the units, ascending, (..., active) int64.

        Raises ValueError where the cells around a place are fewer than `active`, and for what is not finite.
        """
        around = self._around(x.shape[-1], x.device)
        if len(around) < self.active:
            raise ValueError(
                f"{len(around)} cells lie within a radius of {self.radius} in {x.shape[-1]} dimensions, fewer than the "
                f"{self.active} active units; x has shape {tuple(x.shape)}; take a larger radius"
            )
        if not bool(x.isfinite().all()):
            raise ValueError(f"not all of the places of shape {tuple(x.shape)} are finite, so they have no code")
        cells = torch.floor(x.double() / self.cell).long().unsqueeze(-2) + around
        best = _mixed(cells, self.seed).topk(self.active, dim=-1).indices
        chosen = cells.gather(-2, best.unsqueeze(-1).expand(*best.shape, cells.shape[-1]))
        return _distinct(_mixed(chosen, self.seed + 1) % self.n, self.n)

    def _around(self, dimensions: int, device: torch.device) -> Tensor:
        side = torch.arange(-self.radius, self.radius + 1, device=device)
        return torch.cartesian_prod(*[side] * dimensions).view(-1, dimensions)
