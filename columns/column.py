"""What a column is: the protocol that a third party implements to vote with the others.

A column senses, remembers, suggests poses of objects, weighs any pose by what it remembers, predicts what it would
sense elsewhere, and learns. It shares no feature with other columns: only poses and log-evidence travel.
Columns of one kind come as a batch: m columns in each of g groups (independent episodes).
"""

from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch

from .evidence.hypotheses import Hypotheses
from .foresight import Foresight
from .messages import Movement, Sensation, Vote


@runtime_checkable
class Column(Protocol):
    """A batch of columns of one kind. It holds no state: what it has sensed is handed in and out as `memory`."""

    @property
    def columns(self) -> int:
        """m, the number of columns in the batch."""
        ...

    @property
    def coded(self) -> bool:
        """Whether it wants sparse codes of patches."""
        ...

    @property
    def textured(self) -> bool:
        """Whether it wants the texture of patches."""
        ...

    @property
    def device(self) -> torch.device:
        """Where it runs."""
        ...

    def begin(self, groups: int = 1) -> Any:
        """The memory of g groups that have sensed nothing."""
        ...

    def sense(self, memory: Any, sensation: Sensation, movement: Movement | None = None) -> Any:
        """The memory with a sensation (g, m) added; `movement` says how the object itself moved since the last."""
        ...

    def newest(self, memory: Any) -> Any:
        """A memory of the last sensation alone."""
        ...

    def forget(self, memory: Any, groups: torch.Tensor) -> Any:
        """The memory with all but the last sensation lost in those groups, (g,) bool."""
        ...

    def met(self, memory: Any) -> torch.Tensor:
        """(g, m) how many of the remembered readings met something."""
        ...

    def unknown(self, memory: Any) -> torch.Tensor:
        """(g, m, objects) nats that all it remembers would be worth, by its votes' measure, if it were of one object
        that none of those known is, and of which as much were known as of each of them: a known object that explains it
        no better isn't what is there."""
        ...

    def pivot(self, memory: Any) -> torch.Tensor:
        """(g, 3) metres, world frame: the middle of what was sensed, about which poses are turned."""
        ...

    def nominate(self, memory: Any, limit: int, prior: torch.Tensor | None = None) -> Hypotheses:
        """Poses that what is remembered suggests, at most `limit` a group; empty if it suggests none.
        Objects of a high log `prior` (g, objects) may be searched first."""
        ...

    def vote(self, memory: Any, ballot: Hypotheses, curved: bool = True, misses: bool = True) -> Vote:
        """What each column's memory says of each pose on the ballot, in nats against 'none of those I know'; not
        `curved`: without slope and information. Not `misses`: readings that met nothing, which move no pose, may be
        left out."""
        ...

    def foresee(self, ballot: Hypotheses, origin: torch.Tensor, gaze: torch.Tensor, group: int = 0) -> Foresight:
        """The evidence that a column of the batch is expected to find at those places for each pose of the ballot, were
        each of them true: what movements are worth is worked out from it."""
        ...

    def recall(
        self, ballot: Hypotheses, which: np.ndarray, chance: np.ndarray, group: int = 0
    ) -> tuple[np.ndarray, np.ndarray]:
        """Points of the surface, (n, 3) metres, and its normals there, (n, 3), world frame, as the poses `which` (n,)
        of a group's ballot have them; `chance` (n,) in 0 ... 1 picks the points."""
        ...
