"""How well what is known of an object foretells a reading of it, told by its own map alone: each node, taken for a
reading in the sensor's noise, is foretold by the nearest other node of its facing.

An object that isn't known is taken to foretell its readings as well as a known one does, less LOOSE. A smooth ball
foretells what comes next better than a chain does, so one bad fit is news, and the other isn't.
"""

from itertools import pairwise

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from ..geometry import rotation_from_vector
from ..messages import FeatureSchema
from .atlas import NOTHING, Atlas
from .backend import backend
from .densities import Tolerance, usual_texture
from .goals import typical_codes
from .hypotheses import Hypotheses
from .likelihood import weigh_hits
from .memory import BACKGROUND, HIT, LOCATION, LOST, NORMAL, TEXTURE, TEXTURE_BACKGROUND, Memory

LOOSE = 0.65
"""Nats for each number that is sensed."""
CODE_NUMBERS = 4
"""A code counts as so many numbers."""
NODES = 128
"""Of each object that are asked, at most."""
TURN_SD, SHIFT_SD = 0.02, 0.001
"""Radians, metres: how well a pose is known in the end."""


def foretold(atlas: Atlas, tol: Tolerance, schema: FeatureSchema) -> Tensor:
    """Log densities (o,), in nats, with which an unknown object, of which as much were known as of each of those known,
    is taken to foretell a reading of its own."""
    asked = [torch.linspace(a, b - 1, min(b - a, NODES)).round().long() for a, b in _nodes(atlas)]
    node = pad_sequence(asked, batch_first=True, padding_value=NOTHING).to(atlas.rows.device)
    kind, node = torch.where(node >= 0, HIT, LOST).to(torch.int8), torch.where(node >= 0, node, atlas.first[:-1, None])
    numbers = _readings(atlas, node, tol)
    bitmap = typical_codes(atlas, node, schema).view(*node.shape, -1)
    usual, _ = backend(node.device).telling(numbers, bitmap, atlas, tol)
    numbers[..., BACKGROUND] = usual
    numbers[..., TEXTURE_BACKGROUND] = usual_texture(numbers[..., TEXTURE], atlas.texture_scale)
    memory = Memory(numbers[:, None], kind[:, None], bitmap[:, None])
    beside = _beside(atlas, numbers, node)[:, None, None]
    ratio = weigh_hits(atlas, memory, _at_home(len(node), numbers), tol, beside)[0][:, 0, 0]
    total = ratio + usual @ usual.new_tensor([float(tol.surface), float(tol.colour)])
    if tol.texture:
        total = total + numbers[..., TEXTURE_BACKGROUND]
    sensed = 3 + 3 * tol.surface + 3 * tol.colour + 4 * tol.texture + CODE_NUMBERS * (tol.winners > 0)
    return (total * (kind == HIT)).sum(1) / (kind == HIT).sum(1).clamp(min=1) - LOOSE * sensed


def _nodes(atlas: Atlas) -> list[tuple[int, int]]:
    """First node of each object, and of the next one."""
    return list(pairwise(atlas.first.tolist()))


def _readings(atlas: Atlas, node: Tensor, tol: Tolerance) -> Tensor:
    """The nodes (o, k) as noisy readings of them, in the objects' frames, as a Memory has them: (o, k, 31)."""
    draw, row, texture = torch.Generator().manual_seed(0), atlas.rows[node], atlas.texture[node]

    def noise(count: int, variance: float) -> Tensor:
        return variance**0.5 * torch.randn(*node.shape, count, generator=draw).to(row.device)

    turn = rotation_from_vector(noise(3, tol.normal))
    place = row[..., :3] + noise(3, tol.location)
    normal, direction = ((turn @ row[..., i : i + 3, None])[..., 0] for i in (3, 6))
    hue = torch.atan2(row[..., 14:15], row[..., 13:14]) + noise(1, tol.hue)
    curvature, light = row[..., 9:11] + noise(2, tol.curvature), (row[..., 11:13] + noise(2, tol.light)).clamp(0, 1)
    slopes = (texture[..., :6].unflatten(-1, (2, 3)) @ turn.mT).flatten(-2)
    none, surface = torch.zeros_like(place), (place + 0.1 * normal, -normal, place, normal, direction)
    return torch.cat([*surface, curvature, light, hue.cos(), hue.sin(), none, slopes, none[..., :1]], -1)


def _beside(atlas: Atlas, numbers: Tensor, node: Tensor) -> Tensor:
    """The nodes nearest to readings of nodes (o, k), of about their facing, but never those themselves: (o, k)."""
    found = torch.empty_like(node)
    for obj, (start, end) in enumerate(_nodes(atlas)):
        point, normal = atlas.rows[start:end, :3], atlas.rows[start:end, 3:6]
        gap = torch.cdist(numbers[obj, :, LOCATION], point) + (numbers[obj, :, NORMAL] @ normal.T < 0.5)
        gap.scatter_(1, node[obj, :, None] - start, 9.0)
        found[obj] = start + gap.argmin(1)
    return found


def _at_home(objects: int, like: Tensor) -> Hypotheses:
    """Each object where its own frame has it, well known, in a group of its own."""
    one = like.new_ones(objects, 1)
    return Hypotheses(
        torch.arange(objects, device=like.device)[:, None], torch.eye(3).to(like).expand(objects, 1, 3, 3),
        like.new_zeros(objects, 1, 3), 0 * one, TURN_SD * one, SHIFT_SD * one, like.new_zeros(objects, 3),
    )  # fmt: skip
