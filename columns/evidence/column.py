"""The evidence column: explicit hypotheses, weighed by their likelihood. A batch of m columns in each of g groups.

The five parts of a step, in the order in which they happen:
    memory.append     the sensation is remembered
    hypotheses.seed   it suggests poses of known objects (nominate)
    likelihood.weigh  every pose on the ballot is weighed by all the column remembers (vote)
    refine.step       poses move to the top of the summed votes          } in the region, for the votes
    hypotheses.prune  the few that survive are what the column believes  } of all columns together
"""

from dataclasses import dataclass, field, replace
from functools import reduce

import numpy as np
import torch

from ..foresight import Foresight
from ..layers.learnt_encoder import LearntCode
from ..messages import FeatureSchema, Movement, Pose, Sensation, Vote
from . import goals
from .atlas import Atlas
from .backend import backend
from .densities import Tolerance, usual_texture
from .foretelling import foretold
from .hypotheses import Hypotheses, join, nothing, prune, seed
from .memory import BACKGROUND, HIT, SEEDS, TEXTURE, TEXTURE_BACKGROUND, Memory, unpacked

ANCHORS, TESTS_EACH = 8, 10_000  # sensations of one moment that are laid on objects, and in how many ways each
SAMPLE, THINNED = 128, 8  # columns that sort seeds where there are more, and how many times fewer seeds they leave
WARY = 0.3  # outlier floor of features, where a code was learnt in lights that their noise model doesn't know
UNLIKELY = 4.0  # nats by which an object that is out of favour is searched later


@dataclass(frozen=True, slots=True)
class EvidenceColumn:
    """m columns that share an atlas and a feature schema. Holds no state: a belief goes in and another comes out.

    encoder : what made the atlas's codes; None: the encoder that isn't learnt
    """

    atlas: Atlas
    schema: FeatureSchema
    columns: int = 1
    outlier: float = 0.03
    remember: int = 64
    tests: int = 20_000
    encoder: LearntCode | None = None
    foretold: torch.Tensor = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "foretold", foretold(self.atlas, self.tolerance, self.schema))

    @property
    def tolerance(self) -> Tolerance:
        """The noise model as numbers."""
        tolerance = Tolerance.of(self.schema, self.outlier)
        if self.encoder is None:
            return tolerance
        slope, offset = self.encoder.evidence.tolist()
        floor = WARY if self.schema.surface else tolerance.outlier_feature
        return replace(tolerance, code_slope=slope, code_offset=offset, outlier_feature=floor)

    @property
    def coded(self) -> bool:
        """Whether it wants sparse codes of patches."""
        return self.schema.code_bits > 0

    @property
    def textured(self) -> bool:
        """Whether it wants the texture of patches."""
        return self.schema.texture

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
        numbers, kind, bitmap = unpacked(sensation.checked().to(self.device), self.schema.code_bits)
        usual, seeds = backend(self.device).telling(numbers, bitmap, self.atlas, self.tolerance)
        numbers[..., BACKGROUND], numbers[..., SEEDS] = usual, seeds
        numbers[..., TEXTURE_BACKGROUND] = usual_texture(numbers[..., TEXTURE], self.atlas.texture_scale)
        return memory.append(numbers, kind, bitmap, self.remember)

    def newest(self, memory: Memory) -> Memory:
        """A memory of the last sensation alone."""
        return memory.last()

    def forget(self, memory: Memory, groups: torch.Tensor) -> Memory:
        """The memory with all but the last sensation lost in those groups, (g,) bool."""
        return memory.forgotten(groups)

    def met(self, memory: Memory) -> torch.Tensor:
        """(g, m) how many of the remembered readings met something."""
        return (memory.kind == HIT).sum(2)

    def unknown(self, memory: Memory) -> torch.Tensor:
        """(g, m, objects) nats of all that is remembered, were it of one object that isn't known: what is known of an
        object foretells its readings, its features better the rarer they are."""
        tol, hit = self.tolerance, memory.kind == HIT
        usual = memory.numbers[..., BACKGROUND] @ memory.numbers.new_tensor([float(tol.surface), float(tol.colour)])
        if tol.texture:
            usual = usual + memory.numbers[..., TEXTURE_BACKGROUND]
        return hit.sum(2)[..., None] * self.foretold - (usual * hit).sum(2)[..., None]

    def pivot(self, memory: Memory) -> torch.Tensor:
        """(g, 3) metres, world frame: the middle of what was sensed."""
        return memory.pivot()

    def nominate(self, memory: Memory, limit: int, prior: torch.Tensor | None = None) -> Hypotheses:
        """Poses that lay telling sensations of each group on a known object where most others fit too, at most
        `limit` a group; none in a group that has met nothing yet. Objects of a high log `prior` (g, objects) are
        searched first."""
        hit = (memory.kind == HIT).flatten(1)
        if not bool(hit.any()):
            return nothing(len(hit), self.device)
        anchors = self._anchors(memory, hit)
        shares = anchors.shape[1]
        tests = max(self.tests, shares * TESTS_EACH) if int(hit.sum(1).max()) > 1 else limit
        prior = torch.zeros(len(hit), len(self.atlas.names), device=self.device) if prior is None else prior
        laid = [
            self._laid(memory, hit, anchor, tests // shares, limit // shares, prior) for anchor in anchors.unbind(1)
        ]
        return self._likely(memory, reduce(join, laid), limit // THINNED)

    def _likely(self, memory: Memory, seeds: Hypotheses, limit: int) -> Hypotheses:
        """Of seeds that many columns are to weigh the best `limit`, as a sample of the columns weighs them."""
        if self.columns <= SAMPLE or not len(seeds):
            return seeds
        every = torch.linspace(0, self.columns - 1, SAMPLE, device=self.device).round().long()
        seen = self.vote(memory.columns(every), seeds, curved=False, misses=False).log_evidence.sum(1)
        alive = seeds.log_evidence > -torch.inf
        return prune(replace(seeds, log_evidence=torch.where(alive, seen, -torch.inf)), limit)

    def _laid(
        self, memory: Memory, hit: torch.Tensor, anchor: torch.Tensor, tests: int, limit: int, prior: torch.Tensor
    ) -> Hypotheses:
        """Poses that lay one sensation of each group, anchor (g,), on known objects."""
        found = [
            self._lay(memory, g, int(at), tests, limit, prior[g]) if bool(hit[g, at]) else self._nowhere()
            for g, at in enumerate(anchor)
        ]
        at = torch.arange(len(hit), device=self.device)
        return seed(self.atlas, memory.numbers.flatten(1, 2)[at, anchor], found)

    def _lay(
        self, memory: Memory, group: int, anchor: int, tests: int, limit: int, prior: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        favour = prior.clamp(min=-UNLIKELY).float()
        return backend(self.device).sieve(self.atlas, memory, group, anchor, tests, limit, self.tolerance, favour)

    def _nowhere(self) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        none = torch.zeros(0, device=self.device)
        return none.long(), none, none

    def _anchors(self, memory: Memory, hit: torch.Tensor) -> torch.Tensor:
        """(g, k) which sensations, flat over columns and steps: of one column the most telling if it is new, else the
        others in turn; of several columns the most telling of the newest ones."""
        seeds = torch.where(hit, memory.numbers.flatten(1, 2)[..., SEEDS], torch.inf)
        fresh = torch.arange(hit.shape[1], device=hit.device) % len(memory) == len(memory) - 1
        many = int((hit & fresh).sum(1).max())
        if self.columns > 1 and many > 1:
            order = torch.where(fresh, seeds, torch.inf).argsort(dim=1, stable=True)
            return order[:, : min(ANCHORS, many)]
        order = seeds.argsort(dim=1, stable=True)
        newest = order[:, 0] % len(memory) == len(memory) - 1
        rank = torch.where(newest, 0, (memory.steps - 2) % hit.sum(1).clamp(min=1))
        return order.gather(1, rank[:, None])

    def vote(self, memory: Memory, ballot: Hypotheses, curved: bool = True, misses: bool = True) -> Vote:
        """What each column's memory says of each pose on the ballot; not `curved`: the evidence alone; not `misses`:
        by what was met alone."""
        return backend(self.device).weigh(self.atlas, memory, ballot, self.tolerance, curved, misses)

    def foresee(self, ballot: Hypotheses, origin: torch.Tensor, gaze: torch.Tensor, group: int = 0) -> Foresight:
        """What sensations at those places are expected to say of each pose of a ballot, were each of them true."""
        return goals.foresee(self.atlas, ballot.only(group), origin, gaze, self.tolerance, self.schema)

    def recall(
        self, ballot: Hypotheses, which: np.ndarray, chance: np.ndarray, group: int = 0
    ) -> tuple[np.ndarray, np.ndarray]:
        """Points of the surface, (n, 3) metres, and its normals there, (n, 3), world frame, as the poses `which` (n,)
        of a group's ballot have them; `chance` (n,) in 0 ... 1 picks the points."""
        obj = ballot.obj[group].cpu().numpy()[which]
        node = self.atlas.first_node[obj] + (chance * self.atlas.node_count[obj]).astype(np.int64)
        at = torch.from_numpy(which).to(self.device)
        row = self.atlas.rows[torch.from_numpy(node).to(self.device)]
        pose = Pose(ballot.location[group, at], ballot.rotation[group, at])
        normal = (pose.rotation @ row[:, 3:6, None])[..., 0]
        return pose.apply(row[:, :3]).double().cpu().numpy(), normal.double().cpu().numpy()
