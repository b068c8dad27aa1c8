"""What a sensor would sense elsewhere, under each hypothesis, and what that would say of all the others.

Each hypothesis i predicts what a sensor at a candidate place would meet: nothing, or a node of its map. The evidence
that hypothesis j is expected to get, were i true, is

    E_ij = (1 - m_i) L_j(s_i) + m_i L_j(nothing)

L the very likelihood that weighs sensations (likelihood.py), s_i what the map has there, without noise, and m_i how
often such a gaze misses. What movements are worth follows from E alone: foresight.py.
"""

import torch
from torch import Tensor
from torch.nn.functional import normalize

from ..foresight import Foresight
from ..messages import FeatureSchema
from .atlas import USUAL, Atlas
from .backend import backend
from .compiled.goals import STEEPEST
from .compiled.goals import imagine as compiled
from .densities import Tolerance, usual_texture
from .hypotheses import Hypotheses
from .likelihood import MISSED_UNKNOWN, SAG, TILT, missed
from .memory import HIT, LOST, Memory

CHANCES = torch.rand(64, 256, generator=torch.Generator().manual_seed(1))
"""How frequent a bit must be to be active in a typical code."""


def foresee(
    atlas: Atlas, ballot: Hypotheses, origin: Tensor, gaze: Tensor, tol: Tolerance, schema: FeatureSchema
) -> Foresight:
    """The evidence that sensations at origin (c, 3) metres along gaze (c, 3), world frame, are expected to give each
    pose on a ballot of one group, were each of them true."""
    imagined = compiled if origin.device.type == "cpu" else imagine
    numbers, kind, aside, node = imagined(atlas, ballot, origin, gaze)
    memory = Memory(numbers[None, :, None], kind[None, :, None], typical_codes(atlas, node, schema)[None, :, None])
    met = backend(origin.device).weigh(atlas, memory, ballot, tol, curved=False).log_evidence
    nothing = missed(aside, ballot.turn_sd[0], ballot.shift_sd[0])
    miss = torch.where(kind.view(aside.shape) == HIT, nothing.exp() * MISSED_UNKNOWN, 1.0)
    met = met[0].unflatten(0, aside.shape)
    return Foresight((1 - miss)[..., None] * met + miss[..., None] * nothing[:, None], 1 - miss)


def imagine(atlas: Atlas, ballot: Hypotheses, origin: Tensor, gaze: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """What each of h hypotheses would have a sensor at each of c places sense: numbers (c * h, 31) and kind (c * h) as
    a Memory has them, metres aside of its node at which a surface is met (c, h), see `likelihood.meet`, and that node
    of the atlas (c, h)."""
    rotation, location = ballot.rotation[0], ballot.location[0]
    start = torch.einsum("hji,chj->chi", rotation, origin[:, None] - location)
    ray = torch.einsum("hji,cj->chi", rotation, gaze)
    obj = ballot.obj[0].expand(start.shape[:-1]).contiguous()
    aside, depth, node = backend(origin.device).meet(atlas, obj, start.contiguous(), ray.contiguous())
    kind, node = torch.where(node >= 0, HIT, LOST).to(torch.int8), node.clamp(min=0)
    row = atlas.table[node]
    n, d1, d2, k1, k2 = row[..., 3:6], row[..., 6:9], row[..., 9:12], row[..., 12], row[..., 13]
    offset = start + depth[..., None] * ray - row[..., :3]
    u, v = (offset * d1).sum(-1), (offset * d2).sum(-1)
    # from the tangent plane down to the node's quadric, and its normal there
    sag = (0.5 * (k1 * u * u + k2 * v * v)).clamp(-SAG, SAG)
    depth = depth - sag / (n * ray).sum(-1).clamp(max=-STEEPEST)
    tilted = n + (k1 * u).clamp(-TILT, TILT)[..., None] * d1 + (k2 * v).clamp(-TILT, TILT)[..., None] * d2
    normal = torch.einsum("hij,chj->chi", rotation, normalize(tilted, dim=-1))
    direction = torch.einsum("hij,chj->chi", rotation, d1)
    direction = normalize(direction - (direction * normal).sum(-1, keepdim=True) * normal, dim=-1)
    place, along = (x[:, None].expand(normal.shape) for x in (origin, gaze))
    usual = row[..., USUAL]
    texture = atlas.texture[node][..., :6]
    usual_slopes = usual_texture(texture, atlas.texture_scale)[..., None]
    slopes = torch.einsum("hij,chkj->chki", rotation, texture.unflatten(-1, (2, 3))).flatten(-2)
    features = row[..., 14:20], usual, usual[..., :1], slopes, usual_slopes
    parts = place, along, place + depth[..., None] * along, normal, direction, *features
    return torch.cat(parts, -1).flatten(0, 1), kind.flatten(), aside, node


def typical_codes(atlas: Atlas, node: Tensor, schema: FeatureSchema) -> Tensor:
    """Bitmaps (c * h, code_bits) of a typical reading of each node (c, h), each bit active as often as there."""
    bitmap = torch.zeros(node.numel(), schema.code_bits, dtype=torch.uint8, device=node.device)
    if schema.code_bits:
        chance = CHANCES.to(node.device)[torch.arange(len(node)) % len(CHANCES), : schema.code_winners]
        active = atlas.code_weights[node] > chance[:, None]
        bitmap.scatter_(1, atlas.codes[node].flatten(0, 1), active.flatten(0, 1).to(torch.uint8))
    return bitmap
