"""Scaled, bent and recoloured copies of learnt maps: as many objects as wanted, each with a true shape of its own.

A change is a smooth map of space and a tint. A colour's chroma c (saturation times the point of its hue on the colour
circle) becomes (1 - w) c + w t, t the tint and w its share, so that grey things differ too; the map of space is

    f(x) = S x + q (d . x)^2,     J = S + 2 (d . x) q d^T,     H(u, v) = 2 q (d . u) (d . v),

S a diagonal of three scales, d the direction along which the object bends and q how strongly and where to (1/m). With
tangents u, v and the outer unit normal n of a surface its image has the normal n' ~ J^-T n and the fundamental forms

    I'(u, v) = (J u) . (J v),     II'(u, v) = II(u, v) / |J^-T n| + n' . H(u, v),

from which principal curvatures and directions follow. The same change carries a map's nodes and single readings, so a
copy can be shown, too, though nothing has its shape.
"""

import math
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from cortical.columns.geometry import surface_frame
from cortical.columns.object_map import (
    AXIS,
    CHROMA,
    CHROMA2,
    COUNT,
    CURVATURE,
    CURVATURE2,
    LIGHT,
    LIGHT2,
    NORMAL,
    OUTER,
    POINT,
    ObjectMap,
    _principal_axis,
    place_keys,
)

STRETCH = math.log(1.25)
"""Scales are log-uniform between 1 / 1.25 and 1.25."""
BENT = (1.0, 3.0)
"""1/m: how strongly a copy is bent at least and at most; 2 means 2 cm at 10 cm from the middle."""
TINTED = (0.35, 0.7)
"""Shares of the tints, in turn."""
GOLDEN = (5**0.5 - 1) / 2
"""Turns between the tints of one share: however many there are, they lie well apart."""


@dataclass(frozen=True, slots=True)
class Change:
    """How a copy differs. All float64.

    scale : (3,) along the object's axes
    along : (3,) unit, the direction d along which it bends
    bend : (3,) 1/m, the vector q
    tint : (2,) in the unit circle, t
    share : w, 0 ... 1
    """

    scale: Tensor
    along: Tensor
    bend: Tensor
    tint: Tensor
    share: float


SAME = Change(
    torch.ones(3).double(), torch.tensor([1.0, 0.0, 0.0]).double(), torch.zeros(3).double(), torch.zeros(2).double(), 0
)
"""No change at all."""


def draw_change(random: np.random.Generator, number: int) -> Change:
    """A change at random, for the copy of that number of an object; it bends across the direction along which it bends.

    No two of an object's first dozen copies have tints that differ by less than the sensor's noise."""
    scale = np.exp(random.uniform(-STRETCH, STRETCH, 3))
    along, across = (v / np.linalg.norm(v) for v in random.standard_normal((2, 3)))
    across = np.cross(along, across)
    bend = random.uniform(*BENT) * across / np.linalg.norm(across)
    hue = 2 * math.pi * GOLDEN * (number // len(TINTED))
    tint = np.array([math.cos(hue), math.sin(hue)])
    scale, along, bend, tint = (torch.from_numpy(x) for x in (scale, along, bend, tint))
    return Change(scale, along, bend, tint, TINTED[number % len(TINTED)])


def moved(change: Change, point: Tensor) -> Tensor:
    """Where points (n, 3) come to lie, float64 metres."""
    return point * change.scale + (point @ change.along).square()[:, None] * change.bend


def jacobian(change: Change, point: Tensor) -> Tensor:
    """The derivative of `moved` at points (n, 3): (n, 3, 3)."""
    lean = 2 * (point @ change.along)[:, None, None]
    return torch.diag(change.scale) + lean * change.bend[:, None] * change.along


def carried(
    change: Change, point: Tensor, normal: Tensor, direction: Tensor, curvature: Tensor
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Points (n, 3), unit normals, first directions and log curvatures (n, 2) as the copy has them, float64."""
    local = jacobian(change, point)
    steep = torch.linalg.solve(local.mT, normal)
    thin = 1 / steep.norm(dim=-1)
    outer = steep * thin[:, None]
    tangents = torch.stack([direction, torch.linalg.cross(normal, direction)], -1)  # (n, 3, 2)
    images = local @ tangents
    lean = change.along @ tangents
    curved = torch.diag_embed(_raw(curvature)) * thin[:, None, None]
    curved = curved - 2 * (outer @ change.bend)[:, None, None] * lean[:, :, None] * lean[:, None, :]
    factor = torch.linalg.cholesky(images.mT @ images)
    shape = torch.linalg.solve_triangular(factor, curved, upper=False)
    shape = torch.linalg.solve_triangular(factor, shape.mT, upper=False)
    sharp, turn = _principal(shape)
    of_tangents = torch.linalg.solve_triangular(factor.mT, turn[..., None], upper=True)
    return moved(change, point), outer, (images @ of_tangents)[..., 0], _log(sharp)


def recoloured(change: Change, hsv: Tensor) -> Tensor:
    """Colours (n, 3) with the tint."""
    angle = 2 * math.pi * hsv[:, :1]
    chroma = _tinted(change, hsv[:, 1:2] * torch.cat([angle.cos(), angle.sin()], 1))
    hue = torch.atan2(chroma[:, 1], chroma[:, 0]) / (2 * math.pi) % 1.0
    return torch.stack([hue, chroma.norm(dim=1), hsv[:, 2]], 1)


def copied(known: ObjectMap, change: Change) -> ObjectMap:
    """The map of the copy: every node carried over with its spreads; nodes that come to lie in one cell become one."""
    count = known.sums[:, COUNT : COUNT + 1]
    mean = known.sums / count
    point, normal = mean[:, POINT], torch.nn.functional.normalize(mean[:, NORMAL], dim=-1)
    direction, _ = _principal_axis(mean[:, AXIS].reshape(-1, 3, 3), normal)
    curvature = mean[:, CURVATURE]
    point_there, normal_there, direction_there, curvature_there = carried(change, point, normal, direction, curvature)
    turn = surface_frame(normal_there, direction_there) @ surface_frame(normal, direction).mT
    local = jacobian(change, point)
    scatter = mean[:, OUTER].reshape(-1, 3, 3) - _square(point)
    new = mean.clone()
    new[:, POINT] = point_there
    new[:, OUTER] = (local @ scatter @ local.mT + _square(point_there)).flatten(1)
    new[:, NORMAL] = (turn @ mean[:, NORMAL, None])[..., 0]
    new[:, AXIS] = (turn @ mean[:, AXIS].reshape(-1, 3, 3) @ turn.mT).flatten(1)
    new[:, CURVATURE] = curvature_there
    new[:, CURVATURE2] = mean[:, CURVATURE2] - curvature.square() + curvature_there.square()
    new[:, CHROMA] = _tinted(change, mean[:, CHROMA])
    kept = 1 - change.share
    new[:, CHROMA2] = new[:, CHROMA].square().sum(1) + kept**2 * (mean[:, CHROMA2] - mean[:, CHROMA].square().sum(1))
    varied = kept**2 * (mean[:, LIGHT2.start] - mean[:, LIGHT.start].square())
    new[:, LIGHT.start] = (new[:, CHROMA2] - varied).clamp(min=0).sqrt()
    new[:, LIGHT2.start] = new[:, CHROMA2]
    return _gathered(known, place_keys(point_there, new[:, NORMAL], known.spacing), new * count)


def _gathered(known: ObjectMap, keys: Tensor, sums: Tensor) -> ObjectMap:
    """A map without codes of nodes that may share keys."""
    unique, owner = torch.unique(keys, return_inverse=True)
    none = torch.zeros(len(unique), 0)
    joined = torch.zeros(len(unique), sums.shape[1], dtype=sums.dtype).index_add_(0, owner, sums)
    return replace(known, keys=unique, sums=joined, bits=none.long(), bit_counts=none)


def _principal(shape: Tensor) -> tuple[Tensor, Tensor]:
    """Eigenvalues (n, 2) of symmetric (n, 2, 2), larger first, and the first one's vector; of equals the first axis."""
    a, b, c = shape[:, 0, 0], (shape[:, 0, 1] + shape[:, 1, 0]) / 2, shape[:, 1, 1]
    angle = torch.atan2(2 * b, a - c) / 2
    half = torch.hypot((a - c) / 2, b)
    return torch.stack([(a + c) / 2 + half, (a + c) / 2 - half], 1), torch.stack([angle.cos(), angle.sin()], 1)


def _tinted(change: Change, chroma: Tensor) -> Tensor:
    return (1 - change.share) * chroma + change.share * change.tint


def _square(v: Tensor) -> Tensor:
    return v[:, :, None] * v[:, None, :]


def _raw(curvature: Tensor) -> Tensor:
    return curvature.sign() * curvature.abs().expm1()


def _log(curvature: Tensor) -> Tensor:
    return curvature.sign() * curvature.abs().log1p()
