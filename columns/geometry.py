"""Rotations and frames, batched over leading axes; angles in radians."""

import math

import torch
from torch import Tensor


def cross_matrix(vector: Tensor) -> Tensor:
    """[v]x, so that cross_matrix(v) @ w = v x w. (..., 3) -> (..., 3, 3)."""
    x, y, z = vector.unbind(-1)
    zero = torch.zeros_like(x)
    return torch.stack([zero, -z, y, z, zero, -x, -y, x, zero], -1).reshape(*vector.shape, 3)


def rotation_from_vector(vector: Tensor) -> Tensor:
    """Exponential map (Rodrigues): axis times angle (..., 3) -> rotation (..., 3, 3)."""
    angle = vector.norm(dim=-1)[..., None, None]
    cross = cross_matrix(vector)
    sinc = torch.special.sinc(angle / math.pi)
    versine = 0.5 * torch.special.sinc(angle / (2 * math.pi)) ** 2
    identity = torch.eye(3, dtype=vector.dtype, device=vector.device)
    return identity + sinc * cross + versine * (cross @ cross)


def rotation_angle(a: Tensor, b: Tensor) -> Tensor:
    """Angle between rotations a and b (..., 3, 3) -> (...), exact for small angles too (chord, not arc cosine)."""
    chord = (a - b).flatten(-2).norm(dim=-1) / (2 * math.sqrt(2.0))
    return 2 * torch.asin(chord.clamp(max=1.0))


def orthonormal(rotation: Tensor) -> Tensor:
    """The frame made proper again after many small products (Gram-Schmidt on the first two columns)."""
    x = torch.nn.functional.normalize(rotation[..., 0], dim=-1)
    y = rotation[..., 1] - (rotation[..., 1] * x).sum(-1, keepdim=True) * x
    y = torch.nn.functional.normalize(y, dim=-1)
    return torch.stack([x, y, torch.linalg.cross(x, y)], -1)


def surface_frame(normal: Tensor, direction: Tensor) -> Tensor:
    """Frame with columns (direction, normal x direction, normal), world_from_surface: (..., 3, 3)."""
    return torch.stack([direction, torch.linalg.cross(normal, direction), normal], -1)


def turn_about_z(angle: Tensor) -> Tensor:
    """Rotation by `angle` (...) about the third axis: (..., 3, 3)."""
    c, s, zero, one = angle.cos(), angle.sin(), torch.zeros_like(angle), torch.ones_like(angle)
    return torch.stack([c, -s, zero, s, c, zero, zero, zero, one], -1).reshape(*angle.shape, 3, 3)


def rotation_from_quaternion(quaternion: Tensor) -> Tensor:
    """Quaternion xyzw (..., 4), any length but zero -> rotation (..., 3, 3)."""
    x, y, z, w = torch.nn.functional.normalize(quaternion, dim=-1).unbind(-1)
    rows = [
        1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w),
        2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w),
        2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y),
    ]  # fmt: skip
    return torch.stack(rows, -1).reshape(*quaternion.shape[:-1], 3, 3)


def random_rotations(count: int, generator: torch.Generator) -> Tensor:
    """Rotations uniform on SO(3), (count, 3, 3): a Gaussian quaternion has a uniform direction."""
    return rotation_from_quaternion(torch.randn(count, 4, generator=generator))
