"""What the features of one reading are worth at a node: densities of a sensor's noise and a map's spread.

Curvature, saturation, value and texture are normal, hue is von Mises; a code is matched by its overlap. Angles enter by
chords and cosines only.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from ..messages import FeatureSchema


@dataclass(frozen=True, slots=True)
class Tolerance:
    """Variances of the sensor and floors of the likelihood, as numbers; made from a schema."""

    location: float
    normal: float
    curvature: float
    hue: float
    light: float
    surface: bool
    colour: bool
    texture: bool
    winners: int
    outlier: float = 0.03
    outlier_facing: float = 0.08
    outlier_direction: float = 0.10
    outlier_feature: float = 0.08
    code_slope: float = 3.9
    code_offset: float = 4.1

    @classmethod
    def of(cls, schema: FeatureSchema, outlier: float) -> "Tolerance":
        """Variances of a schema's sensor."""
        return cls(
            schema.location_sd**2, schema.normal_sd**2, schema.curvature_sd**2, schema.hue_sd**2,
            schema.saturation_sd**2, schema.surface, schema.colour, schema.texture, schema.code_winners, outlier,
        )  # fmt: skip


def floored(log_ratio: Tensor, floor: float) -> Tensor:
    """log[(1 - e) exp(x) + e]."""
    return torch.logaddexp(log_ratio + math.log1p(-floor), torch.full_like(log_ratio, math.log(floor)))


def curvature_density(sensed: Tensor, rows: Tensor, spread: Tensor, tol: Tolerance) -> Tensor:
    """log density of log curvatures (..., 2) at nodes (..., 16)."""
    variance = tol.curvature + spread[..., 3:5].square()
    return -0.5 * ((sensed - rows[..., 9:11]).square() / variance + (2 * math.pi * variance).log()).sum(-1)


def colour_density(light: Tensor, hue: Tensor, rows: Tensor, spread: Tensor, tol: Tolerance) -> Tensor:
    """log density of (saturation, value) and (cos, sin) of hue, each (..., 2), at nodes (..., 16); hue on a circle."""
    variance = tol.light + spread[..., 5:7].square()
    flat = -0.5 * ((light - rows[..., 11:13]).square() / variance + (2 * math.pi * variance).log()).sum(-1)
    kappa = 1 / (tol.hue + spread[..., 7].square())
    return flat + kappa * ((hue * rows[..., 13:15]).sum(-1) - 1) + 0.5 * (1 + 2 * math.pi * kappa).log()


def texture_density(slopes: Tensor, expected: Tensor, turn: Tensor, tol: Tolerance) -> Tensor:
    """log density of slopes (..., 6) where a node's texture (..., 8) is expected, in the same frame, turned by an angle
    whose variance is `turn` (...)."""
    error = (slopes - expected[..., :6]).unflatten(-1, (2, 3)).square().sum(-1)
    variance = texture_variance(expected, turn)
    return -(0.5 * error / variance + (2 * math.pi * variance).log()).sum(-1)


def texture_variance(expected: Tensor, turn: Tensor) -> Tensor:
    """Variances (..., 2) of the slopes of a texture (..., 8), along an axis."""
    return expected[..., 6:] + turn[..., None] * expected[..., :6].unflatten(-1, (2, 3)).square().sum(-1)


def usual_texture(slopes: Tensor, scale: Tensor) -> Tensor:
    """log density of slopes (..., 6) under 'some surface of some object': of each, a Cauchy distribution in the plane,
    c / (2 pi (|s|^2 + c^2)^(3/2)), whose median length is sqrt(3) c, with c = `scale` (2,)."""
    square = slopes.unflatten(-1, (2, 3)).square().sum(-1)
    return (scale.log() - math.log(2 * math.pi) - 1.5 * (square + scale.square()).log()).sum(-1)


def code_ratio(overlap: Tensor, tol: Tolerance) -> Tensor:
    """log-likelihood ratio of a weighted code overlap (...), as a share of the winners: a fit to the overlaps of noisy
    readings of one spot against those of other objects' spots."""
    return tol.code_slope * (overlap + 0.1).log() + tol.code_offset
