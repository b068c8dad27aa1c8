"""Spatial pooler: a layer that learns sparse codes of its inputs by a local rule, without labels or gradients.

    overlap_i = sum_j [p_ij >= connected] x_j        winners : the k largest overlap_i exp(strength (k / n - duty_i))
    at winners only:  p_ij <- clip(p_ij + gain x_j - loss (1 - x_j))     over the potential inputs j of unit i

(Y. Cui, S. Ahmad, J. Hawkins 2017, "The HTM spatial pooler", Frontiers in Computational Neuroscience 11:111). Units
that hardly ever overlap with anything have all their permanences raised, so that none stays mute. The state is
explicit: learning gives a new one, and recognising can't change it.
"""

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from .boosting import Duty, boost_factors, update_duty
from .masks import whole_share
from .winners import Active, select


@dataclass(frozen=True)
class PoolerConfig:
    """Sizes and rates of a spatial pooler."""

    inputs: int
    """Units of the input."""
    units: int
    """Units of the code."""
    active: int
    """Units that win."""
    potential: float = 0.5
    """Share of the inputs that a unit may connect to."""
    connected: float = 0.5
    """Permanence from which on a synapse counts."""
    gain: float = 0.1
    """Permanence that a synapse gains at a winner where its input is on."""
    loss: float = 0.02
    """Permanence that it loses there where its input is off."""
    strength: float = 10.0
    """Of boosting."""
    period: int = 1000
    """Rows over which duties are means."""
    least: float = 1.0
    """Overlap below which a unit can't win."""


class PoolerState(NamedTuple):
    """What a spatial pooler has learnt.

    pool : (units, p) int64, potential inputs of each unit; permanence : (units, p) in 0 ... 1; won : how often each
    unit wins; met : how often each overlaps with its input enough to win
    """

    pool: Tensor
    permanence: Tensor
    won: Duty
    met: Duty


def begin(config: PoolerConfig, generator: torch.Generator) -> PoolerState:
    """Random pools, about half of the synapses connected. Raises ValueError for sizes that don't fit."""
    if not 1 <= config.active <= config.units:
        raise ValueError(f"needs 1 <= active <= units, but active is {config.active} and units {config.units}")
    size = whole_share(config.potential, config.inputs, "potential inputs", (config.inputs, config.units))
    pool = torch.stack([torch.randperm(config.inputs, generator=generator)[:size] for _ in range(config.units)])
    permanence = config.connected + 0.1 * (2.0 * torch.rand(pool.shape, generator=generator) - 1.0)
    return PoolerState(pool, permanence.clamp(0.0, 1.0), Duty.begin(config.units), Duty.begin(config.units))


def overlaps(config: PoolerConfig, state: PoolerState, x: Tensor) -> Tensor:
    """Connected inputs that are on, of every unit: x (..., inputs) of 0 and 1 -> (..., units).

    Raises ValueError for another number of inputs.
    """
    if x.shape[-1] != config.inputs:
        raise ValueError(f"an input of shape {tuple(x.shape)} doesn't fit a pooler of {config.inputs} inputs")
    connected = (state.permanence >= config.connected).to(state.permanence.dtype)
    matrix = connected.new_zeros(config.units, config.inputs).scatter_(1, state.pool, connected)
    return x.to(matrix.dtype) @ matrix.T


def encode(config: PoolerConfig, state: PoolerState, x: Tensor, boosted: bool = False) -> Active:
    """The code of x : (..., inputs) of 0 and 1: up to `active` units with their overlap.

    boosted : as while learning, with a head start for units that seldom win. Raises ValueError as `overlaps`.
    """
    boost = boost_factors(state.won, config.active, config.strength) if boosted else None
    drive = overlaps(config, state, x)
    drive = torch.where(drive >= config.least, drive, 0.0)
    return select(drive, config.active, floor=0.0, boost=boost)


def learn(config: PoolerConfig, state: PoolerState, x: Tensor) -> tuple[Active, PoolerState]:
    """The boosted code of a batch x : (rows, inputs), and the state after learning from it.

    A unit that wins several rows moves by the sum of their changes. Raises ValueError as `overlaps`.
    """
    won = encode(config, state, x, boosted=True)
    wins = (won.dense() > 0).to(x.dtype if x.is_floating_point() else torch.float32)  # (rows, units)
    on = (wins.T @ x.to(wins.dtype)).gather(1, state.pool)  # wins at which the input was on
    change = config.gain * on - config.loss * (wins.sum(0).unsqueeze(1) - on)
    permanence = (state.permanence + change).clamp(0.0, 1.0)
    met = _met(config, state, x)
    mute = met.share < 0.001 * met.share.max()
    permanence = torch.where(mute.unsqueeze(1), (permanence + 0.1 * config.connected).clamp(max=1.0), permanence)
    return won, PoolerState(state.pool, permanence, update_duty(state.won, won, config.period), met)


def _met(config: PoolerConfig, state: PoolerState, x: Tensor) -> Duty:
    """How often units reach the least overlap, this batch included."""
    reached = overlaps(config, state, x) >= config.least
    every = torch.arange(config.units, dtype=torch.int32).expand(reached.shape)
    return update_duty(state.met, Active(torch.where(reached, every, -1), reached.float(), config.units), config.period)
