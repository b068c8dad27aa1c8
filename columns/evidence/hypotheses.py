"""Hypotheses: (object, rotation, translation) with x_world = R x_object + T, as a structure of arrays.

They say where the *object* is, so a resting object needs no update when a sensor moves. Functions here make them
(seed), carry them along with a moving object (move) and choose which stay alive (prune); none has state.
"""

import math
from dataclasses import dataclass, fields, replace

import torch
from torch import Tensor

from ..geometry import surface_frame, turn_about_z
from ..messages import Pose
from .atlas import DIRECTED, Atlas

ASIDE = 0.25  # radians: turns tried to both sides of a direction that is not so sure
SAME_SHIFT, SAME_TURN = 0.004, 0.08  # metres, radians: closer poses are one hypothesis
PRIME = 103  # of the hash of a cell, its powers within 64 bits


@dataclass(frozen=True, slots=True)
class Hypotheses:
    """b hypotheses of each of g groups; unused places have log_evidence = -inf.

    obj : (g, b) int64
    rotation : (g, b, 3, 3) world_from_object
    location : (g, b, 3) metres, world_from_object
    log_evidence : (g, b) nats, relative to 'none of the objects I know'
    turn_sd, shift_sd : (g, b) radians, metres: how sure the pose is, about `pivot`
    pivot : (g, 3) metres, world frame: the middle of what was sensed
    """

    obj: Tensor
    rotation: Tensor
    location: Tensor
    log_evidence: Tensor
    turn_sd: Tensor
    shift_sd: Tensor
    pivot: Tensor

    def __len__(self) -> int:
        return self.obj.shape[1]

    def take(self, order: Tensor) -> "Hypotheses":
        """The rows `order` (g, k) of each group."""
        taken = {}
        for f in fields(self):
            value = getattr(self, f.name)
            if f.name == "pivot":
                continue
            index = order.reshape(*order.shape, *[1] * (value.ndim - 2)).expand(*order.shape, *value.shape[2:])
            taken[f.name] = value.gather(1, index)
        return replace(self, **taken)

    def only(self, group: int) -> "Hypotheses":
        """Those of one group."""
        return Hypotheses(*(getattr(self, f.name)[group : group + 1] for f in fields(self)))


def nothing(groups: int, device: str | torch.device = "cpu", places: int = 0) -> Hypotheses:
    """No hypothesis at all, in so many unused places."""
    z = torch.zeros(groups, places, device=device)
    unturned = torch.eye(3, device=device).expand(groups, places, 3, 3)
    nowhere = torch.zeros(groups, places, 3, device=device)
    return Hypotheses(z.long(), unturned, nowhere, z - math.inf, z, z, torch.zeros(groups, 3, device=device))


def join(a: Hypotheses, b: Hypotheses) -> Hypotheses:
    """Both sets, group by group; the pivot is b's."""
    names = [f.name for f in fields(a) if f.name != "pivot"]
    return replace(b, **{n: torch.cat([getattr(a, n), getattr(b, n)], 1) for n in names})


def turn_angle(turn: Tensor, tried: Tensor) -> Tensor:
    """Angle in radians of turn number `turn` out of `tried`."""
    aside = (turn % 3 - 1) * ASIDE + (turn // 3) * math.pi
    return torch.where(tried == 6, aside, turn * (2 * math.pi) / tried)


def seed(atlas: Atlas, numbers: Tensor, found: list[tuple[Tensor, Tensor, Tensor]]) -> Hypotheses:
    """Poses that lay one sensation on nodes of known objects.

    numbers : (g, 31) one remembered sensation of each group, on an object
    found : per group, nodes, turns about their normals (radians) and log-likelihood ratios of the features there
    """
    return _pad([_seed_one(atlas, at, *some) for at, some in zip(numbers, found, strict=True)], numbers[:, 6:9])


def _seed_one(atlas: Atlas, at: Tensor, node: Tensor, angle: Tensor, match: Tensor) -> tuple[Tensor, ...]:
    row = atlas.rows[node]
    surface_from_object = surface_frame(row[:, 3:6], row[:, 6:9]).transpose(1, 2)
    world_from_surface = surface_frame(at[9:12], at[12:15])
    rotation = world_from_surface @ turn_about_z(angle) @ surface_from_object
    location = at[6:9] - (rotation @ row[:, :3, None])[..., 0]
    turn_sd = torch.where(atlas.spread[node, 2] < DIRECTED, 0.09, 0.13)
    return atlas.owner[node], rotation, location, match, turn_sd, torch.full_like(turn_sd, 0.003)


def _pad(groups: list[tuple[Tensor, ...]], pivot: Tensor) -> Hypotheses:
    width = max(len(g[0]) for g in groups)
    fill = (0, 0.0, 0.0, -math.inf, 1.0, 1.0)
    columns = []
    for i, value in enumerate(fill):
        parts = [g[i] for g in groups]
        out = parts[0].new_full((len(parts), width, *parts[0].shape[1:]), value)
        for target, part in zip(out, parts, strict=True):
            target[: len(part)] = part
        columns.append(out)
    return Hypotheses(*columns, pivot=pivot)


def move(hypotheses: Hypotheses, object_motion: Pose | None) -> Hypotheses:
    """Carry the hypotheses along with the object's own motion (world frame); None: it rests."""
    if object_motion is None:
        return hypotheses
    moved = object_motion @ Pose(hypotheses.location, hypotheses.rotation)
    return replace(hypotheses, location=moved.location, rotation=moved.rotation)


def prune(hypotheses: Hypotheses, keep: int, objects: int | None = None) -> Hypotheses:
    """The `keep` strongest, see `strongest`."""
    return hypotheses.take(strongest(hypotheses, keep, objects=objects))


def strongest(hypotheses: Hypotheses, keep: int, objects: int | None = None) -> Tensor:
    """(g, k) places of the `keep` strongest, in order of their evidence.

    Given the number of `objects`, half of the places are for the strongest whatever their object; the others go round
    the objects in turn (each object's best first), so that a rival is not forgotten before it is disproved.
    """
    evidence = hypotheses.log_evidence
    alive = int((evidence > -math.inf).sum(1).amax())
    if len(hypotheses) > keep and objects is None:
        return evidence.topk(min(keep, alive), dim=1).indices
    order = evidence.argsort(dim=1, descending=True, stable=True)[:, :alive]
    if alive > keep and objects is not None:
        order = _fair_order(order, hypotheses.obj, evidence, keep, objects)
    return order[:, :keep]


def _fair_order(order: Tensor, obj: Tensor, evidence: Tensor, keep: int, objects: int) -> Tensor:
    ranked = obj.gather(1, order)
    by_object = ranked.argsort(dim=1, stable=True)
    counts = torch.zeros(len(obj), objects, dtype=torch.long, device=obj.device)
    counts.scatter_add_(1, ranked, torch.ones_like(ranked))
    first = counts.cumsum(1) - counts
    place = torch.arange(ranked.shape[1], device=obj.device).expand_as(ranked)
    rank_sorted = place - first.gather(1, ranked.gather(1, by_object))
    rank = torch.empty_like(ranked).scatter_(1, by_object, rank_sorted)
    alive = evidence.gather(1, order) > -math.inf
    priority = torch.where(place < keep // 2, -1, rank)
    priority = torch.where(alive, priority, ranked.shape[1])
    chosen = priority.argsort(dim=1, stable=True)[:, :keep].sort(dim=1).values
    return order.gather(1, chosen)


def without_repeats(hypotheses: Hypotheses) -> Hypotheses:
    """Those in whose cell of pose space a stronger hypothesis of the group stands are dropped."""
    offset = hypotheses.location - hypotheses.pivot[:, None]
    # where the pivot lies on the object: a turn about a far origin must not look like a shift
    at = (hypotheses.rotation.transpose(-1, -2) @ offset[..., None])[..., 0]
    cell = torch.cat([at / SAME_SHIFT, hypotheses.rotation[..., :2].flatten(-2) / SAME_TURN], -1).round().long()
    steps = torch.tensor([PRIME**k for k in range(cell.shape[-1])], device=cell.device)
    key = hypotheses.obj * PRIME ** len(steps) + (cell * steps).sum(-1)
    order = hypotheses.log_evidence.argsort(dim=1, descending=True, stable=True)
    # sorted by key, stably: of equal keys the strongest comes first
    key, place = key.gather(1, order).sort(dim=1, stable=True)
    again = torch.cat([torch.zeros_like(key[:, :1], dtype=torch.bool), key[:, 1:] == key[:, :-1]], 1)
    repeated = torch.zeros_like(again).scatter_(1, order.gather(1, place), again)
    return replace(hypotheses, log_evidence=hypotheses.log_evidence.masked_fill(repeated, -math.inf))
