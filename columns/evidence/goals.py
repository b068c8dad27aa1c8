"""What a sensor would sense elsewhere, under each hypothesis, and what that would say of all the others.

Each hypothesis i predicts what a sensor at a candidate place would meet: nothing, or a node of its map. The evidence
that hypothesis j is expected to get, were i true, is

    E_ij = (1 - m_i) L_j(s_i) + m_i L_j(nothing)

L the very likelihood that weighs sensations (likelihood.py), s_i what the map has there, without noise, and m_i how
often such a gaze misses. What movements are worth follows from E alone: foresight.py.
"""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import normalize

from ..foresight import Foresight
from ..messages import FeatureSchema
from .atlas import USUAL, Atlas
from .backend import backend
from .hypotheses import Hypotheses
from .likelihood import MISSED_UNKNOWN, SAG, TILT, Tolerance, missed
from .memory import HIT, LOST, Memory

STEEPEST = 0.3  # cosine of the slant at which a surface's sag is corrected at most
CHANCES = torch.rand(64, 256, generator=torch.Generator().manual_seed(1))
"""How frequent a bit must be to be active in a typical code."""


@dataclass(frozen=True, slots=True)
class Prediction:
    """What each of h hypotheses would have a sensor at c places sense.

    seen : (c, h) bool, a surface is met; the rest means nothing where it isn't
    aside : (c, h) metres from the node to where the gaze meets its surface, see `likelihood.meet`
    depth : (c, h) metres along the gaze
    normal, direction : (c, h, 3) world frame
    node : (c, h) int64, node of the atlas that is met
    """

    seen: Tensor
    aside: Tensor
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
    aside, depth, node = backend(atlas.rows.device).meet(atlas, which, start.contiguous(), ray.contiguous())
    seen, node = node >= 0, node.clamp(min=0)
    row = atlas.rows[node]
    n, d1 = row[..., 3:6], row[..., 6:9]
    d2 = torch.linalg.cross(n, d1)
    offset = start + depth[..., None] * ray - row[..., :3]
    u, v = (offset * d1).sum(-1), (offset * d2).sum(-1)
    k1, k2 = (row[..., 9:11].sign() * row[..., 9:11].abs().expm1()).unbind(-1)
    # from the tangent plane down to the node's quadric, and its normal there
    sag = (0.5 * (k1 * u * u + k2 * v * v)).clamp(-SAG, SAG)
    depth = depth - sag / (n * ray).sum(-1).clamp(max=-STEEPEST)
    tilted = n + (k1 * u).clamp(-TILT, TILT)[..., None] * d1 + (k2 * v).clamp(-TILT, TILT)[..., None] * d2
    normal = torch.einsum("hij,chj->chi", rotation, normalize(tilted, dim=-1))
    direction = torch.einsum("hij,chj->chi", rotation, d1)
    direction = normalize(direction - (direction * normal).sum(-1, keepdim=True) * normal, dim=-1)
    return Prediction(seen, aside, depth, normal, direction, node)


def foresee(
    atlas: Atlas, ballot: Hypotheses, origin: Tensor, gaze: Tensor, tol: Tolerance, schema: FeatureSchema
) -> Foresight:
    """The evidence that sensations at origin (c, 3) metres along gaze (c, 3), world frame, are expected to give each
    pose on a ballot of one group, were each of them true."""
    seen = predict(atlas, ballot.obj[0], ballot.rotation[0], ballot.location[0], origin, gaze)
    turn_sd, shift_sd = ballot.turn_sd[0], ballot.shift_sd[0]
    memory = expected(atlas, seen, origin, gaze, schema)
    met = backend(atlas.rows.device).weigh(atlas, memory, ballot, tol, curved=False).log_evidence
    nothing = missed(seen.aside, turn_sd, shift_sd)
    miss = torch.where(seen.seen, nothing.exp() * MISSED_UNKNOWN, 1.0)
    met = met[0].unflatten(0, seen.aside.shape)
    return Foresight((1 - miss)[..., None] * met + miss[..., None] * nothing[:, None], 1 - miss)


def expected(atlas: Atlas, seen: Prediction, origin: Tensor, gaze: Tensor, schema: FeatureSchema) -> Memory:
    """A memory of c * h columns with one sensation each: what each hypothesis would have each place give."""
    row, usual = atlas.rows[seen.node], atlas.table[seen.node][..., USUAL]
    start, ray = (x[:, None].expand(seen.normal.shape) for x in (origin, gaze))
    location = start + seen.depth[..., None] * ray
    parts = start, ray, location, seen.normal, seen.direction, row[..., 9:15], usual, usual[..., :1]
    numbers = torch.cat(parts, -1).flatten(0, 1)[None, :, None]
    kind = torch.where(seen.seen, HIT, LOST).to(torch.int8).flatten()
    return Memory(numbers, kind[None, :, None], _codes(atlas, seen.node, schema)[None, :, None])


def _codes(atlas: Atlas, node: Tensor, schema: FeatureSchema) -> Tensor:
    """Bitmaps (c * h, code_bits) of a reading of each node (c, h), each bit active as often as there."""
    bitmap = torch.zeros(node.numel(), schema.code_bits, dtype=torch.uint8, device=node.device)
    if schema.code_bits:
        chance = CHANCES.to(node.device)[torch.arange(len(node)) % len(CHANCES), : schema.code_winners]
        active = atlas.code_weights[node] > chance[:, None]
        bitmap.scatter_(1, atlas.codes[node].flatten(0, 1), active.flatten(0, 1).to(torch.uint8))
    return bitmap
