"""What a sensor would sense elsewhere, under each hypothesis, and what that would say of all the others.

Each hypothesis i predicts what a sensor at a candidate place would sense: nothing, or a surface at some depth with a
normal, curvatures, a colour, a code. The expected evidence of hypothesis j, were i true,

    E_ij = E[ L_j(s) | s as i predicts ]

follows from the very likelihood L that weighs sensations (likelihood.py): for a feature x of variance v_i where i
predicts x_i, and a density of variance v_j about x_j, E[log p_j] = -(log 2 pi v_j + ((x_i - x_j)^2 + v_i) / v_j) / 2,
with outlier floors as plain maxima; where i meets surface and j doesn't, the floor; and by the share of gazes that
miss, what missing says of j. What movements are worth follows from E alone: foresight.py.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from ..foresight import Foresight
from .atlas import USUAL, Atlas
from .backend import backend
from .hypotheses import Hypotheses
from .likelihood import LOG_DEPTH, MISSED_UNKNOWN, SURFACE, Tolerance, code_ratio, missed

SLANT = 0.2  # cosine below which a surface seen at a slant is taken to be no steeper


@dataclass(frozen=True, slots=True)
class Prediction:
    """What each of h hypotheses would have a sensor at c places sense.

    seen : (c, h) bool, a surface is met; the rest means nothing where it isn't
    gap : (c, h) metres between the gaze and the surface it comes closest to
    depth : (c, h) metres along the gaze
    normal, direction : (c, h, 3) world frame
    node : (c, h) int64, node of the atlas that is met
    """

    seen: Tensor
    gap: Tensor
    depth: Tensor
    normal: Tensor
    direction: Tensor
    node: Tensor


def predict(atlas: Atlas, obj: Tensor, rotation: Tensor, location: Tensor, origin: Tensor, gaze: Tensor) -> Prediction:
    """Predictions of hypotheses obj (h,), rotation (h, 3, 3), location (h, 3) for sensors at origin (c, 3) metres
    looking along gaze (c, 3), world frame."""
    back = rotation.transpose(-1, -2)
    start = torch.einsum("hij,chj->chi", back, origin[:, None] - location)
    ray = torch.einsum("hij,cj->chi", back, gaze)
    which = obj.expand(start.shape[:-1]).contiguous()
    gap, depth = backend(atlas.rows.device).clearance(atlas, which, start.contiguous(), ray.contiguous())
    seen = gap < SURFACE
    depth = torch.where(seen, depth, torch.zeros_like(depth))
    point = start + depth[..., None] * ray
    node = atlas.nearest_node(which, point, -ray)
    seen, node = seen & (node >= 0), node.clamp(min=0)
    row = atlas.rows[node]
    facing = (row[..., 3:6] * ray).sum(-1)
    # from the voxel that was met to the node's tangent plane
    along = ((row[..., :3] - point) * row[..., 3:6]).sum(-1) / facing.clamp(max=-SLANT)
    normal, direction = (torch.einsum("hij,chj->chi", rotation, row[..., part]) for part in (slice(3, 6), slice(6, 9)))
    return Prediction(seen, gap, depth + along.clamp(-0.005, 0.005), normal, direction, node)


def foresee(
    atlas: Atlas, ballot: Hypotheses, group: int, origin: Tensor, gaze: Tensor, tol: Tolerance
) -> Foresight:
    """The evidence that sensations at origin (c, 3) metres along gaze (c, 3), world frame, are expected to give each
    pose on a group's ballot, were each of them true."""
    obj, rotation, location = ballot.obj[group], ballot.rotation[group], ballot.location[group]
    turn_sd, shift_sd = ballot.turn_sd[group], ballot.shift_sd[group]
    seen = predict(atlas, obj, rotation, location, origin, gaze)
    arm = (origin[:, None] + seen.depth[..., None] * gaze[:, None] - ballot.pivot[group]).square().sum(-1)
    pose = shift_sd.square() + turn_sd.square() * arm
    met = _place(atlas, seen, gaze, pose, turn_sd.square(), tol) + _features(atlas, seen, turn_sd.square(), tol)
    floor = math.log(tol.outlier)
    met = torch.where(seen.seen[:, None], met.clamp(min=floor), floor)
    nothing = missed(seen.gap, turn_sd, shift_sd)
    miss = nothing.exp() * MISSED_UNKNOWN
    met = torch.where(seen.seen[:, :, None], met, floor)
    evidence = (1 - miss)[:, :, None] * met + miss[:, :, None] * nothing[:, None]
    return Foresight(evidence, 1 - miss)


def _true(x: Tensor) -> Tensor:
    """Of the hypothesis that is true: (c, h, ...) -> (c, h, 1, ...)."""
    return x[:, :, None]


def _place(atlas: Atlas, seen: Prediction, gaze: Tensor, pose: Tensor, turn: Tensor, tol: Tolerance) -> Tensor:
    """Of place and normal, nats, (c, h, h)."""
    spread = atlas.spread[seen.node]
    height_var, normal_var = tol.location + spread[..., 0].square() + pose, tol.normal + spread[..., 1].square() + turn
    slant = (seen.normal * gaze[:, None]).sum(-1).abs().clamp(min=SLANT)
    height = (_true(seen.depth) - seen.depth[:, None]) * slant[:, None]
    place = LOG_DEPTH + _log_density(height.square(), height_var)
    chord = 2 - 2 * torch.einsum("cik,cjk->cij", seen.normal, seen.normal) + 2 * _true(normal_var)
    facing = -normal_var[:, None].log() - 0.5 * chord / normal_var[:, None]
    return place.clamp(min=math.log(tol.outlier)) + facing.clamp(min=math.log(tol.outlier_facing))


def _log_density(square: Tensor, variance: Tensor) -> Tensor:
    """Expected log density of hypotheses' variances (c, h) at squared differences (c, h, h): true ones first."""
    mine = variance[:, None]
    return -0.5 * ((2 * math.pi * mine).log() + (square + _true(variance)) / mine)


def _features(atlas: Atlas, seen: Prediction, turn: Tensor, tol: Tolerance) -> Tensor:
    """Of principal direction, curvatures, colour and code, nats, (c, h, h)."""
    row, spread, usual = atlas.rows[seen.node], atlas.spread[seen.node], atlas.table[seen.node][..., USUAL]
    floor, total = math.log(tol.outlier_feature), torch.zeros((), device=row.device)
    if tol.surface:
        axis_var = tol.normal + spread[..., 2].square() + turn
        kappa = (0.25 / axis_var)[:, None]
        along = torch.einsum("cik,cjk->cij", seen.direction, seen.direction).square()
        along = along * _true((1 - axis_var).clamp(min=0.5))
        axial = 2 * kappa * (along - 1) + 0.5 * (1 + 2 * math.pi * kappa).log()
        curvature = _pairs(row[..., 9:11], tol.curvature + spread[..., 3:5].square()) - _true(usual[..., 0])
        total = axial.clamp(min=math.log(tol.outlier_direction)) + curvature.clamp(min=floor)
    if tol.colour:
        hue_var = tol.hue + spread[..., 7].square()
        kappa = 1 / hue_var[:, None]
        same = torch.einsum("cik,cjk->cij", row[..., 13:15], row[..., 13:15]) * _true((-0.5 * hue_var).exp())
        colour = _pairs(row[..., 11:13], tol.light + spread[..., 5:7].square()) - _true(usual[..., 1])
        colour = colour + kappa * (same - 1) + 0.5 * (1 + 2 * math.pi * kappa).log()
        total = total + colour.clamp(min=floor)
    if tol.winners:
        total = total + code_ratio(_overlap(atlas, seen.node) / tol.winners, tol).clamp(min=floor)
    return total


def _pairs(value: Tensor, variance: Tensor) -> Tensor:
    """Expected log density of two independent numbers (c, h, 2): (c, h, h)."""
    pairs = zip(value.unbind(-1), variance.unbind(-1), strict=True)
    return sum(
        (_log_density((_true(x) - x[:, None]).square(), v) for x, v in pairs), torch.zeros((), device=value.device)
    )


def _overlap(atlas: Atlas, node: Tensor) -> Tensor:
    """Expected overlap of each node's weighted code with a reading of another, (c, h) -> (c, h, h)."""
    codes, weights = atlas.codes[node], atlas.code_weights[node]
    active = torch.zeros(*node.shape, int(atlas.codes.max()) + 1, device=node.device)
    active.scatter_(-1, codes, weights)
    count, width = node.shape[1], codes.shape[-1]
    wanted = codes[:, None].expand(-1, count, -1, -1).flatten(2)
    return (active.gather(-1, wanted).unflatten(2, (count, width)) * weights[:, None]).sum(-1)
