"""Texture: how colour changes along the surface, a vector like the normal, felt from a patch.

    slope = argmin_g  sum_p w_p |c_p - c - g . (x_p - x)|^2 + ridge,      w_p = exp(-|x_p - x_0|^2 / 2 SIGMA^2)

over the pixels p of a patch, x_p their places along the tangent plane of the sensed point x_0, c_p saturation or value,
x and c weighted means. An offset that all pixels share, as the light has it, changes no slope; and unlike a colour, a
slope has a direction, which tells how a thing that is round or even is turned.
"""

import torch
from torch import Tensor

from .layers.encoder import DEPTH_JUMP, SurfacePatch, colour_features

SIGMA = 0.005
"""Metres about the sensed point in which pixels count."""
RIDGE = 0.3
"""Share of SIGMA: where pixels spread less than that along an axis, they tell little of the slope."""


def slopes(surface: SurfacePatch) -> Tensor:
    """Slopes of saturation and of value of b patches, (b, 2, 3) 1/m, in the frame of the patches, in their tangent
    planes; zeros where nothing was seen."""
    pixels = surface.patch.flatten(1, 2)
    away, normal = pixels[..., 3:] - surface.location[:, None], surface.normal[:, None]
    height = (away * normal).sum(-1, keepdim=True)
    along = away - height * normal
    seen = (pixels[..., 5:] != 0) & (height.abs() < DEPTH_JUMP)
    weight = (along.square().sum(-1, keepdim=True) * (-0.5 / SIGMA**2)).exp() * seen
    weight = weight / weight.sum(1, keepdim=True).clamp(min=1e-6)
    value, saturation, _ = colour_features(pixels[..., :3])
    colour = torch.stack([saturation, value], -1)
    along = along - (weight * along).sum(1, keepdim=True)
    colour = colour - (weight * colour).sum(1, keepdim=True)
    spread = (weight * along).mT @ along + (RIDGE * SIGMA) ** 2 * torch.eye(3)
    return torch.linalg.solve(spread, (weight * along).mT @ colour).mT
