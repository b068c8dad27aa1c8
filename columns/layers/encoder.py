"""A patch of surface as a sparse code: what an object looks like here, free of pose and viewing distance.

    patch -> surface's own frame -> rings -> descriptor d -> phases -> packed projection -> k winners -> code

1. Pixels are expressed in the surface's own frame (u, v along the principal directions, h along the normal)
   and resampled at points of metric rings, c(g) = sum_p w_gp c_p / sum_p w_gp with Gaussian w. The channels c
   are height left over from the sensed curvatures, h + (k1 u^2 + k2 v^2) / 2, and saturation and value of the
   colour, each minus the patch's mean, so that an offset common to all pixels does not count.
2. The sign of a principal direction is arbitrary, and where the curvatures are equal its angle is too. So
   ring harmonics f_m = sum_a c(a) exp(-i m a) count by size |f_m|, which no rotation changes, and, weighed by
   the anisotropy (l1 - l2)^2 / ((l1 - l2)^2 + 1) of the log curvatures l, as f_2 and f_1^2 / |f_1|, which
   half a turn leaves as they are. A reading and its half turn have the same code.
3. The descriptor d joins them to the log curvatures, sign(k) ln(1 + |k| / flat), and to value, saturation and
   hue, the last as a vector so that it wraps; each in units of the width over which likeness shall fade.
4. A phase unit listens to two of the five groups of d (first curvature, second curvature, colour, height,
   texture) with Gaussian frequencies w: cos(w d + b). The products of two readings' phases average to

       mean over pairs of groups (p, q) of  exp(-|d_p - d'_p|^2 / 2 - |d_q - d'_q|^2 / 2) / 2

   (A. Rahimi, B. Recht 2007, "Random features for large-scale kernel machines"): a conjunction, so it is
   selective, yet a group that went astray (a curvature at an edge) costs only its own pairs.
5. A packed sparse projection mixes the phases, and k of n units win.

How many units two codes share falls with the difference of the readings, down to the chance level k^2 / n
(S. Ahmad, J. Hawkins 2016, arXiv:1601.00720; K. Hunter, L. Spracklen, S. Ahmad 2022, "Two sparsities are
better than one"). The widths were set on noisy readings of pybullet_data's objects; the code itself is a
fixed function of seed and configuration: nothing is learnt, no mesh and no label is used.
"""

from dataclasses import dataclass
from math import pi
from typing import NamedTuple

import torch
from torch import Tensor, nn

from . import counters
from .packed import PackedProjection
from .winners import k_winners

ANGLES = 8
DEPTH_JUMP = 0.008
"""Metres off the sensed quadric beyond which a pixel belongs to another part of the object."""


@dataclass(frozen=True)
class EncoderConfig:
    """Sizes of the code, and the widths over which the likeness of two readings fades."""

    units: int = 1024
    """Units of the code."""
    active: int = 32
    """Units that win."""
    phases: int = 256
    """Phase units, the inputs of the projection."""
    density: float = 1 / 16
    """Share of the projection's weights that exist, 1 / whole number."""
    rings: tuple[float, ...] = (0.003, 0.006)
    """Radii of the rings in metres."""
    blur: float = 0.0018
    """Standard deviation in metres of the kernel that resamples pixels."""
    flat: float = 3.0
    """Curvature in 1/m below which its logarithm turns linear."""
    log_curvature: float = 0.75
    """Width of a log curvature."""
    value: float = 0.35
    """Width of the colour's value."""
    saturation: float = 0.55
    """Width of the colour's saturation."""
    hue: float = 1.6
    """Width of the hue, a vector about as long as the saturation."""
    height: float = 0.005
    """Width in metres of height along a ring."""
    contrast: float = 0.2
    """Width of saturation and value along a ring against the patch's mean."""
    attention: tuple[float, float, float, float, float] = (0.45, 0.45, 3.6, 0.6, 0.4)
    """How often phases listen to the first and second log curvature, colour, height and texture."""
    seed: int = 0
    """Seed of phases and projection."""


class SurfacePatch(NamedTuple):
    """b patches with the surface sensed at their middle, everything in one frame, usually the sensor's.

    patch : (b, n, n, 6) red, green, blue in 0 ... 1 and x, y, z in metres; zeros off the object
    location : (b, 3) metres; normal : (b, 3) unit; directions : (b, 2, 3) unit principal directions
    curvature : (b, 2) principal curvatures in 1/m, positive where convex; rgb : (b, 3) in 0 ... 1
    """

    patch: Tensor
    location: Tensor
    normal: Tensor
    directions: Tensor
    curvature: Tensor
    rgb: Tensor

    def seen_from(self, position: Tensor, world_from_sensor: Tensor) -> "SurfacePatch":
        """The same with location, normal and directions brought from the world into the sensor's frame.

        position : (b, 3) metres, of the sensor in the world; world_from_sensor : (b, 3, 3)
        """
        location = ((self.location - position).unsqueeze(1) @ world_from_sensor).squeeze(1)
        normal = (self.normal.unsqueeze(1) @ world_from_sensor).squeeze(1)
        return self._replace(location=location, normal=normal, directions=self.directions @ world_from_sensor)


def colour_features(rgb: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Value (...), saturation (...) and hue as a vector (..., 2) about as long, of rgb (..., 3)."""
    value = rgb.amax(-1)
    scale = value.clamp_min(1e-3)
    red, green, blue = rgb.unbind(-1)
    plane = torch.stack((red - 0.5 * (green + blue), 0.75**0.5 * (green - blue)), dim=-1)
    return value, (value - rgb.amin(-1)) / scale, plane / scale.unsqueeze(-1)


def ring_grid(rings: tuple[float, ...]) -> tuple[Tensor, Tensor]:
    """Sample points and their harmonics.

    Returns points (1 + 8 r, 2) in metres, the centre first, and a matrix (1 + 8 r, 1 + 5 r) whose product
    with samples gives the centre, the r means of rings, then r values each of Re f_1, Im f_1, Re f_2, Im f_2.
    """
    angle = torch.arange(ANGLES) * (2.0 * pi / ANGLES)
    circle = torch.stack((angle.cos(), angle.sin()), dim=-1)
    points = torch.cat([torch.zeros(1, 2), *(radius * circle for radius in rings)])
    waves = (torch.ones(ANGLES), angle.cos(), angle.sin(), (2 * angle).cos(), (2 * angle).sin())
    eye = torch.eye(len(rings))
    around = torch.cat([torch.kron(eye, wave.unsqueeze(1) / ANGLES) for wave in waves], dim=1)
    return points, torch.block_diag(torch.ones(1, 1), around)


class PatchEncoder(nn.Module):
    """Patches of surface to sparse codes; theory in the module's docstring.

    config : sizes and widths. Raises ValueError unless 1 <= active <= units and the density fits the units.
    """

    points: Tensor
    harmonics: Tensor
    frequencies: Tensor
    offsets: Tensor
    mixing: Tensor

    def __init__(self, config: EncoderConfig | None = None) -> None:
        super().__init__()
        self.config = config = config or EncoderConfig()
        if not 1 <= config.active <= config.units:
            raise ValueError(f"active must be in 1 ... units, but is {config.active} of {config.units}")
        points, harmonics = ring_grid(config.rings)
        frequencies, offsets = _phase_weights(config)
        projection = PackedProjection(config.phases, config.units, config.density, config.seed)
        self.register_buffer("points", points)
        self.register_buffer("harmonics", harmonics)
        self.register_buffer("frequencies", frequencies)
        self.register_buffer("offsets", offsets)
        self.register_buffer("mixing", projection.dense().detach())

    @torch.no_grad()
    def forward(self, surface: SurfacePatch) -> Tensor:
        """The code of each patch: the indices of its active units, ascending, (b, active) int16 (or int32).

        A patch whose gaze met nothing gets some code too, which means nothing.
        """
        phases = torch.cos(product(self.descriptor(surface), self.frequencies, self.offsets))
        codes, _ = k_winners(product(phases, self.mixing), self.config.active)
        return codes.to(torch.int16 if self.config.units <= 2**15 else torch.int32)

    def descriptor(self, surface: SurfacePatch) -> Tensor:
        """What the reading looks like, (b, 9 + 21 r) for r rings, before widths."""
        curvature = surface.curvature
        bend = curvature.sign() * (curvature.abs() / self.config.flat).log1p()
        value, saturation, hue = colour_features(surface.rgb)
        scalars = torch.cat((bend, value.unsqueeze(-1), saturation.unsqueeze(-1), hue), dim=-1)
        anisotropy = (bend[:, 0] - bend[:, 1]).square()
        trust = (anisotropy / (anisotropy + 1.0)).view(-1, 1, 1)
        return torch.cat((scalars, self._invariants(self.resample(surface), trust).flatten(1)), dim=-1)

    def _invariants(self, samples: Tensor, trust: Tensor) -> Tensor:
        """What half a turn (any rotation, where trust (b, 1, 1) is 0) leaves of samples (b, 3, points)."""
        rings = len(self.config.rings)
        waves = samples @ self.harmonics
        re1, im1, re2, im2 = waves[..., 1 + rings :].split(rings, dim=-1)
        size1, size2 = torch.hypot(re1, im1), torch.hypot(re2, im2)
        doubled = 1.0 / size1.clamp_min(1e-9)
        re_double, im_double = (re1 * re1 - im1 * im1) * doubled, 2.0 * re1 * im1 * doubled
        turning = torch.cat((re2, im2, re_double, im_double), dim=-1)
        return torch.cat((waves[..., : 1 + rings], size1, size2, trust * turning), dim=-1)

    def resample(self, surface: SurfacePatch) -> Tensor:
        """Height (metres), saturation and value at the ring points minus the patch's mean: (b, 3, points)."""
        pixels = surface.patch.flatten(1, 2)
        frame = torch.cat((surface.directions, surface.normal.unsqueeze(1)), dim=1)
        uvh = (pixels[..., 3:] - surface.location.unsqueeze(1)) @ frame.mT
        uv, squares = uvh[..., :2], uvh[..., :2].square()
        height = uvh[..., 2] + 0.5 * (squares @ surface.curvature.unsqueeze(-1)).squeeze(-1)
        seen = (pixels[..., 5] != 0) & (height.abs() < DEPTH_JUMP)
        value, saturation, _ = colour_features(pixels[..., :3])
        channels = torch.stack((height, saturation, value, torch.ones_like(height)), dim=1)
        here = self.points.square().sum(-1, keepdim=True)
        distance = squares.sum(-1).unsqueeze(1) - 2.0 * self.points @ uv.mT + here
        weight = torch.exp(distance * (-0.5 / self.config.blur**2)) * seen.unsqueeze(1)
        sums = channels @ weight.mT
        total = sums.sum(-1, keepdim=True)
        mean = total[:, :3] / total[:, 3:].clamp_min(1e-6)
        # The small constant draws points that no pixel is near to towards the mean.
        return (sums[:, :3] - mean * sums[:, 3:]) / (sums[:, 3:] + 0.05)


def product(x: Tensor, matrix: Tensor, offset: Tensor | None = None) -> Tensor:
    """x matrix + offset, (b, outputs), counted as the dense product that it is."""
    if counters.LISTENERS:
        rows, (inputs, outputs) = len(x), matrix.shape
        counters.note_product("dense", rows, rows * inputs, inputs, rows * matrix.numel(), outputs, (4, 0))
    return x @ matrix if offset is None else torch.addmm(offset, x, matrix)


def _phase_weights(config: EncoderConfig) -> tuple[Tensor, Tensor]:
    """Frequencies (f, phases), each phase tuned to two groups of the descriptor, and offsets (phases,)."""
    generator = torch.Generator().manual_seed(config.seed)
    per_channel = 1 + 7 * len(config.rings)
    sizes = torch.tensor([1, 1, 4, per_channel, 2 * per_channel])
    scalars = [config.log_curvature] * 2 + [config.value, config.saturation] + [config.hue] * 2
    widths = torch.tensor(scalars + [config.height] * per_channel + [config.contrast] * (2 * per_channel))
    normal = torch.randn(int(sizes.sum()), config.phases, generator=generator)
    # Clocks that ring at the rates of attention: the first two of each phase are its groups.
    waits = -torch.rand(config.phases, len(sizes), generator=generator).log()
    clocks = waits / torch.tensor(config.attention)
    listens = torch.zeros(config.phases, len(sizes)).scatter(1, clocks.argsort(dim=1)[:, :2], 1.0)
    offsets = 2.0 * pi * torch.rand(config.phases, generator=generator)
    return normal * listens.repeat_interleave(sizes, dim=1).T / widths.unsqueeze(1), offsets
