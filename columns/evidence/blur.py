"""How much a node's prediction is worth where the sensed location is only known to within the sensor's noise.

A location error of a few millimetres looks up a neighbour's node instead. So a node answers for its neighbourhood:
its variance of a feature f becomes the mean over neighbours j (Gaussian weights in distance, same facing) of

    (f_j - prediction of i at j)^2 + variance_j,

which widens tolerances at creases and textures and leaves smooth surface as it is, whose normals the node's own
curvature predicts. A principal direction means little where the curvatures are alike, and is given their gap's worth.
"""

import torch
from torch import Tensor

from ..object_map import ObjectMap

GAP = 8.0  # 1/m: a difference of principal curvatures this small leaves the direction open by a radian
STEEPEST = 0.5  # radians: how far curvature may turn a predicted normal


def blurred(known: ObjectMap, location_sd: float) -> tuple[Tensor, Tensor]:
    """Rows and spreads of a map (see ObjectMap.rows) with the spreads of each node's neighbourhood."""
    rows, spread = known.rows()
    reach = max(location_sd, known.spacing / 3)
    i, j, weight = _neighbours(rows, reach)
    total = torch.zeros(len(rows)).index_add_(0, i, weight)
    a, b = rows[i], rows[j]
    variance = spread.square()
    errors = torch.stack(
        [
            torch.zeros(len(i)),
            _normal_error(a, b),
            _axis_error(a, b),
            *(a[:, 9:13] - b[:, 9:13]).square().unbind(1),
            2 - 2 * (a[:, 13:15] * b[:, 13:15]).sum(1),
        ],
        1,
    )
    mean = torch.zeros_like(spread).index_add_(0, i, weight[:, None] * (errors + variance[j]))
    wide = mean / total[:, None]
    wide[:, 0] = variance[:, 0]
    k = rows[:, 9:11].sign() * rows[:, 9:11].abs().expm1()
    wide[:, 2] += (GAP / (k[:, 0] - k[:, 1]).clamp(min=1e-3)).square().clamp(max=4.0)
    return rows, wide.sqrt()


def blurred_texture(known: ObjectMap, location_sd: float) -> tuple[Tensor, Tensor]:
    """Slopes (n, 6) of a map and their sd (n, 2), see ObjectMap.textures, with the spreads of each neighbourhood."""
    rows, _ = known.rows()
    slopes, sd = known.textures()
    i, j, weight = _neighbours(rows, max(location_sd, known.spacing / 3))
    total = torch.zeros(len(rows)).index_add_(0, i, weight)
    errors = (slopes[i] - slopes[j]).unflatten(1, (2, 3)).square().sum(-1) / 2
    variance = torch.zeros_like(sd).index_add_(0, i, weight[:, None] * (errors + sd[j].square()))
    return slopes, (variance / total[:, None]).sqrt()


def _neighbours(rows: Tensor, reach: float) -> tuple[Tensor, Tensor, Tensor]:
    """Pairs (i, j) of nodes within 2.5 reach whose normals agree, each node its own neighbour too; weights."""
    gap = torch.cdist(rows[:, :3], rows[:, :3])
    near = (gap < 2.5 * reach) & (rows[:, 3:6] @ rows[:, 3:6].T > 0.3)
    i, j = near.nonzero(as_tuple=True)
    return i, j, rows[j, 15] * (-0.5 * (gap[i, j] / reach).square()).exp()


def _normal_error(a: Tensor, b: Tensor) -> Tensor:
    """Squared tangential error, per axis, of a's normal carried to b by a's curvature."""
    side = torch.linalg.cross(a[:, 3:6], a[:, 6:9])
    offset = b[:, :3] - a[:, :3]
    k = a[:, 9:11].sign() * a[:, 9:11].abs().expm1()
    tilt1 = (k[:, 0] * (offset * a[:, 6:9]).sum(1)).clamp(-STEEPEST, STEEPEST)
    tilt2 = (k[:, 1] * (offset * side).sum(1)).clamp(-STEEPEST, STEEPEST)
    predicted = a[:, 3:6] + tilt1[:, None] * a[:, 6:9] + tilt2[:, None] * side
    predicted = torch.nn.functional.normalize(predicted, dim=1)
    return 1 - (predicted * b[:, 3:6]).sum(1)


def _axis_error(a: Tensor, b: Tensor) -> Tensor:
    """Squared angle (at most 0.8) between principal directions, sign-free."""
    return (1 - (a[:, 6:9] * b[:, 6:9]).sum(1).square()).clamp(max=0.8)
