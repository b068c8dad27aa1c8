"""The evidence column: explicit hypotheses, weighed by their likelihood. A batch of m columns in each of g groups.

The five parts of a step, in the order in which they happen:
    memory.append     the sensation is remembered
    hypotheses.seed   it suggests poses of known objects (nominate)
    likelihood.weigh  every pose on the ballot is weighed by all the column remembers (vote)
    refine.step       poses move to the top of the summed votes          } in the region, for the votes
    hypotheses.prune  the few that survive are what the column believes  } of all columns together
"""

from dataclasses import dataclass, replace

import torch

from ..messages import FeatureSchema, Movement, Sensation, Vote
from . import likelihood
from .atlas import Atlas
from .hypotheses import Hypotheses, nothing, seed
from .kernels import backend
from .likelihood import Tolerance
from .memory import HIT, Memory


@dataclass(frozen=True, slots=True)
class EvidenceColumn:
    """m columns that share an atlas and a feature schema. Holds no state: a belief goes in and another comes out."""

    atlas: Atlas
    schema: FeatureSchema
    columns: int = 1
    outlier: float = 0.03
    remember: int = 64

    @property
    def tolerance(self) -> Tolerance:
        """The noise model as numbers."""
        return Tolerance.of(self.schema, self.outlier)

    @property
    def device(self) -> torch.device:
        """Where the columns run."""
        return self.atlas.rows.device

    def begin(self, groups: int = 1) -> Memory:
        """Nothing sensed yet."""
        return Memory.empty(groups, self.columns, self.schema, str(self.device))

    def sense(self, memory: Memory, sensation: Sensation, movement: Movement | None = None) -> Memory:
        """The sensation (g, m) remembered; earlier ones carried along where the object itself moved."""
        if movement is not None and movement.object_motion is not None:
            memory = memory.moved(movement.object_motion)
        return memory.append(sensation.checked().to(self.device), self.atlas, self.schema, self.remember)

    def nominate(self, memory: Memory, sensation: Sensation, limit: int) -> Hypotheses:
        """Poses suggested by the newest sensation of each group's most telling column, at most `limit` a group."""
        hit = memory.kind[:, :, -1] == HIT
        if not bool(hit.any(1).all()):
            return nothing(len(hit), self.device)
        newest, tol = memory.last(), self.tolerance
        teller = self._most_telling(newest, hit)
        at = torch.arange(len(teller), device=teller.device)
        match = likelihood.features(newest.numbers[at, teller, 0], newest.bitmap[at, teller, 0], self.atlas, tol)
        return seed(self.atlas, sensation.to(self.device)[at, teller], match, limit)

    def _most_telling(self, newest: Memory, hit: torch.Tensor) -> torch.Tensor:
        """(g,) the column whose features fit the fewest nodes (over a subset of all nodes)."""
        if hit.shape[1] == 1:
            return torch.zeros(len(hit), dtype=torch.int64, device=hit.device)
        few = replace(self.atlas, **self.atlas.subset(likelihood.SUBSET))
        match = likelihood.features(newest.numbers[:, :, 0], newest.bitmap[:, :, 0], few, self.tolerance)
        chance = match.softmax(-1)
        spread = -(chance * chance.clamp(min=1e-12).log()).sum(-1)
        return torch.where(hit, spread, torch.inf).argmin(1)

    def vote(self, memory: Memory, ballot: Hypotheses, curved: bool = True) -> Vote:
        """What each column's memory says of each pose on the ballot; not `curved`: the evidence alone."""
        return backend(self.device).weigh(self.atlas, memory, ballot, self.tolerance, curved)
