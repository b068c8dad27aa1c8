"""What a movement is expected to teach: the information between the surviving hypotheses and the next sensation.

Each hypothesis i, of weight w_i, predicts what a sensor at a candidate place would sense: nothing, or a surface at
some depth with a normal, curvatures, a colour. Two predictions are as far apart as their Bhattacharyya distance
D_ij under the sensor's noise and the nodes' spreads, each feature's share bounded, as its likelihood is by its
outlier floor. The mutual information between hypothesis and sensation is at least

    I >= - sum_i w_i log sum_j w_j exp(-D_ij)          (Kolchinsky & Tracey, Entropy 19(7), 2017, eq. 10 and 12)

Pairs of one object's poses count too: a movement is good if it tells objects or poses apart.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from .atlas import Atlas
from .backend import backend
from .likelihood import SURFACE, Tolerance

UNLIKE = 3.0  # nats at most by which one kind of feature tells two predictions apart
EMPTY = 2.5  # nats between seeing something and seeing nothing


@dataclass(frozen=True, slots=True)
class Prediction:
    """What each of h hypotheses would have a sensor at c places sense.

    seen : (c, h) bool, a surface is met; the rest means nothing where it isn't
    depth : (c, h) metres along the gaze
    normal : (c, h, 3) world frame
    node : (c, h) int64, node of the atlas that is met
    """

    seen: Tensor
    depth: Tensor
    normal: Tensor
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
    along = ((row[..., :3] - point) * row[..., 3:6]).sum(-1) / facing.clamp(max=-0.2)
    normal = torch.einsum("hij,chj->chi", rotation, row[..., 3:6])
    return Prediction(seen, depth + along.clamp(-0.005, 0.005), normal, node)


def information(atlas: Atlas, seen: Prediction, weights: Tensor, tol: Tolerance) -> Tensor:
    """Expected information in nats, (c,), of each place, for hypotheses of weights (h,) that sum to one."""
    row, spread = atlas.rows[seen.node], atlas.spread[seen.node]
    apart = _bounded(_gap(seen.depth, tol.location + spread[..., 0].square()))
    normal_var = tol.normal + spread[..., 1].square()
    apart = apart + _bounded(_gap(seen.normal, normal_var[..., None].expand(seen.normal.shape)))
    if tol.surface:
        apart = apart + _bounded(_gap(row[..., 9:11], tol.curvature + spread[..., 3:5].square()))
    if tol.colour:
        colour = row[..., 11:12] * row[..., 13:15]
        light = tol.light + spread[..., 5:7].square()
        # hue noise moves the chroma across its own length
        chroma = light[..., :1] + tol.hue * row[..., 11:12].square()
        channels = torch.cat([colour, row[..., 12:13]], -1)
        apart = apart + _bounded(_gap(channels, torch.cat([chroma, chroma, light[..., 1:]], -1)))
    both = seen.seen[:, :, None] & seen.seen[:, None, :]
    one = seen.seen[:, :, None] ^ seen.seen[:, None, :]
    distance = torch.where(both, apart, torch.where(one, EMPTY, 0.0))
    alike = (-distance).exp() @ weights
    return -(alike.clamp(min=1e-9).log() @ weights)


def _gap(value: Tensor, variance: Tensor) -> Tensor:
    """Bhattacharyya distance, without its share for unequal variances, of all pairs: (c, h, d) or (c, h) each ->
    (c, h, h)."""
    if value.ndim == 2:
        value, variance = value[..., None], variance[..., None]
    difference = (value[:, :, None] - value[:, None]).square()
    return (difference / (variance[:, :, None] + variance[:, None])).sum(-1) / 4


def _bounded(distance: Tensor) -> Tensor:
    return UNLIKE * distance / (UNLIKE + distance)
