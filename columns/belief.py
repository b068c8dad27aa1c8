"""What a region holds after some sensations: its belief, the state of inference."""

from dataclasses import dataclass
from typing import Any

import torch

from .evidence.hypotheses import Hypotheses
from .messages import Consensus
from .sent import Sent


@dataclass(frozen=True, slots=True)
class Belief:
    """What a region has sensed and what it holds possible; all tensors inside are per group.

    memories : one per kind of column
    ballot : poses that survive, with their evidence
    consensus : after the last exchange; None before the first sensation
    steps : sensations received
    fit : (g,) nats of evidence a sensation under the best pose
    doubt : (g,) nats, what newer sensations said against the best pose, see surprise.py
    prior : (g, objects + 1), log, what was believed of the object before it was moved; None: it never was
    heed : (g, m) how far each column's vote counts, 0 ... 1; None: all do
    sent : what the others know of each column's votes, where these are events; None: all of them, at once
    """

    memories: tuple[Any, ...]
    ballot: Hypotheses
    consensus: Consensus | None = None
    steps: int = 0
    fit: torch.Tensor | None = None
    doubt: torch.Tensor | None = None
    prior: torch.Tensor | None = None
    heed: torch.Tensor | None = None
    sent: Sent | None = None
