"""One object's features at locations: an object-centred map learnt point by point.

A map is a set of nodes. A node gathers all readings that fall into one cell of space (edge `spacing`) with normals
of one facing (which of the six axes the normal is nearest to), as sums; means and variances come from the sums, so

    map(A then B) = map(B then A) = map(A and B at once),

whatever the batches, and nothing is ever forgotten by order. Thin walls keep their two sides apart by the facing.
A node's variance is what its features really do within the cell and between views; evidence uses it as tolerance.
"""

from dataclasses import dataclass, replace

import networkx as nx
import torch
from torch import Tensor

from .layers.learnt_encoder import LearntCode

# columns of the table of sums
COUNT, POINT, OUTER, NORMAL, AXIS = 0, slice(1, 4), slice(4, 13), slice(13, 16), slice(16, 25)
CURVATURE, CURVATURE2, CHROMA, CHROMA2, LIGHT = slice(25, 27), slice(27, 29), slice(29, 31), 31, slice(32, 34)
LIGHT2, TEXTURE, TEXTURE2, SUMS = slice(34, 36), slice(36, 42), slice(42, 44), 44

ROW = 16  # point 3, normal 3, direction 3, log curvature 2, saturation, value, cos hue, sin hue, count
SPREAD = 8  # sd of: height, normal, direction, curvature 1, curvature 2, saturation, value, hue
KEY_RANGE = 1 << 17
PLAIN = 1.5  # 1/m: the sd of a slope of colour, where few readings tell


@dataclass(frozen=True, slots=True)
class ObjectMap:
    """What one column knows of one object, in the object's own frame.

    keys : (n,) int64, sorted: cell and facing of each node
    sums : (n, 44) float64, see the column names above
    bits, bit_counts : (n, c) int64 and float32, the most frequent active bits of the codes sensed in each node
        and how often each was active; c = 0 without codes
    spacing : cell edge in metres
    encoder : what made the codes; None: the encoder that isn't learnt
    """

    keys: Tensor
    sums: Tensor
    bits: Tensor
    bit_counts: Tensor
    spacing: float
    encoder: LearntCode | None = None

    @classmethod
    def empty(cls, spacing: float, code_slots: int = 0, encoder: LearntCode | None = None) -> "ObjectMap":
        """A map without nodes."""
        return cls(
            torch.zeros(0, dtype=torch.int64),
            torch.zeros(0, SUMS, dtype=torch.float64),
            torch.zeros(0, code_slots, dtype=torch.int64),
            torch.zeros(0, code_slots),
            spacing,
            encoder,
        )

    def __len__(self) -> int:
        return len(self.keys)

    def insert(
        self, location, normal, direction, curvature, hsv, code, code_bits: int = 0, texture: Tensor | None = None
    ) -> "ObjectMap":
        """A new map with readings added: (r, 3) location, normal, direction, (r, 2) log curvature, (r, 3) hsv,
        (r, k) code, (r, 6) texture, none if not given; object frame, metres."""
        texture = location.new_zeros(len(location), 6) if texture is None else texture
        fresh = _sums(location, normal, direction, curvature, hsv, texture)
        fresh_keys = place_keys(location, normal, self.spacing)
        keys, owner = torch.unique(torch.cat([self.keys, fresh_keys]), return_inverse=True)
        sums = torch.zeros(len(keys), SUMS, dtype=torch.float64)
        sums.index_add_(0, owner, torch.cat([self.sums, fresh]))
        grown = replace(self, keys=keys, sums=sums)
        if self.bits.shape[1] == 0:
            none = torch.zeros(len(keys), 0)
            return replace(grown, bits=none.long(), bit_counts=none)
        bits, counts = _merge_codes(self, owner, code, len(keys), code_bits)
        return replace(grown, bits=bits, bit_counts=counts)

    def rows(self) -> tuple[Tensor, Tensor]:
        """The nodes as look-up rows: (n, 16) and their spreads (n, 8), both float32; columns as ROW and SPREAD say."""
        sums, count = self.sums, self.sums[:, :1]
        mean = sums / count
        point, normal = mean[:, POINT], torch.nn.functional.normalize(mean[:, NORMAL], dim=-1)
        direction, direction_sd = _principal_axis(mean[:, AXIS].reshape(-1, 3, 3), normal)
        curvature = mean[:, CURVATURE]
        # with few readings a variance says little: two pseudo-readings pull it to a prior
        shrink = count / (count + 2.0)

        def sd(variance, prior):
            return (shrink * variance.clamp(min=0.0) + (1 - shrink) * prior**2).sqrt()

        scatter = mean[:, OUTER].reshape(-1, 3, 3) - point[:, :, None] * point[:, None, :]
        height = (normal[:, None] @ scatter @ normal[..., None])[:, 0]
        tilt = 1.0 - mean[:, NORMAL].square().sum(-1, keepdim=True)
        curvature_sd = sd(mean[:, CURVATURE2] - curvature.square(), 0.5)
        chroma = mean[:, CHROMA]
        saturation = chroma.norm(dim=-1, keepdim=True)
        chroma_sd = sd(mean[:, CHROMA2, None] - saturation.square(), 0.05)
        light = mean[:, LIGHT]
        light_sd = sd(mean[:, LIGHT2] - light.square(), 0.05)
        hue = chroma / saturation.clamp(min=1e-6)
        hue_sd = (chroma_sd / saturation.clamp(min=1e-3)).clamp(max=3.0)
        rows = torch.cat([point, normal, direction, curvature, light, hue, count], -1)
        spread = torch.cat([sd(height, 0.0005), sd(tilt / 2, 0.05), direction_sd, curvature_sd, light_sd, hue_sd], -1)
        return rows.float(), spread.float()

    def textures(self) -> tuple[Tensor, Tensor]:
        """Mean slopes of saturation and value, (n, 6), and the sd of each along an axis of the tangent plane, (n, 2);
        1/m, float32."""
        count = self.sums[:, :1]
        mean, square = self.sums[:, TEXTURE] / count, self.sums[:, TEXTURE2] / count
        length = mean.unflatten(1, (2, 3)).square().sum(-1)
        shrink = count / (count + 2.0)
        variance = shrink * ((square - length) / 2).clamp(min=0.0) + (1 - shrink) * PLAIN**2
        return mean.float(), variance.sqrt().float()

    def codes(self, winners: int) -> tuple[Tensor, Tensor]:
        """The `winners` most frequent bits of each node and the share of its readings in which each was active:
        (n, winners) int64 and float32."""
        return self.bits[:, :winners], self.bit_counts[:, :winners] / self.sums[:, :1].float()

    def to_networkx(self) -> nx.Graph:
        """Nodes with their features, edges between nodes of neighbouring cells (length in metres)."""
        rows, spread = self.rows()
        graph = nx.Graph(spacing=self.spacing)
        for i, (row, sd) in enumerate(zip(rows.tolist(), spread.tolist(), strict=True)):
            graph.add_node(
                i, location=row[0:3], normal=row[3:6], direction=row[6:9], log_curvature=row[9:11],
                saturation=row[11], value=row[12], hue=row[13:15], count=int(row[15]), spread=sd,
            )  # fmt: skip
        near = (torch.cdist(rows[:, :3], rows[:, :3]) < 1.75 * self.spacing).triu(1)
        length = torch.cdist(rows[:, :3], rows[:, :3])
        graph.add_edges_from((i, j, {"length": float(length[i, j])}) for i, j in near.nonzero().tolist())
        return graph


def place_keys(location: Tensor, normal: Tensor, spacing: float) -> Tensor:
    """Cell and facing (n,) int64 of points (n, 3) in metres with normals (n, 3), object frame. Raises ValueError for a
    point too far out."""
    cell = torch.floor(location.double() / spacing).long() + KEY_RANGE // 2
    if bool(((cell < 0) | (cell >= KEY_RANGE)).any()):
        raise ValueError(
            f"a location lies more than {spacing * KEY_RANGE / 2:.0f} m from the object's centre: is it in metres?"
        )
    axis = normal.abs().argmax(-1)
    facing = axis * 2 + (normal.gather(-1, axis[:, None])[:, 0] < 0)
    return ((cell[:, 0] * KEY_RANGE + cell[:, 1]) * KEY_RANGE + cell[:, 2]) * 6 + facing


def _sums(location, normal, direction, curvature, hsv, texture) -> Tensor:
    parts = location, normal, direction, curvature, hsv, texture
    location, normal, direction, curvature, hsv, texture = (x.double() for x in parts)
    hue = hsv[:, :1] * (2 * torch.pi)
    chroma = hsv[:, 1:2] * torch.cat([hue.cos(), hue.sin()], -1)
    outer = (location[:, :, None] * location[:, None, :]).flatten(1)
    axis = (direction[:, :, None] * direction[:, None, :]).flatten(1)
    return torch.cat(
        [
            torch.ones_like(hue), location, outer, normal, axis, curvature, curvature.square(),
            chroma, chroma.square().sum(-1, keepdim=True), hsv[:, 1:], hsv[:, 1:].square(),
            texture, texture.unflatten(1, (2, 3)).square().sum(-1),
        ],
        -1,
    )  # fmt: skip


def _principal_axis(axis: Tensor, normal: Tensor) -> tuple[Tensor, Tensor]:
    """Mean of axes (sign-free): the strongest eigenvector of the mean outer product, made orthogonal to the normal;
    its angular sd in radians (0.9, about uniform, where the axes disagree)."""
    if len(axis) == 0:
        return normal.clone(), normal[:, :1].clone()
    values, vectors = torch.linalg.eigh(axis)
    direction = vectors[:, :, -1]
    direction = direction - (direction * normal).sum(-1, keepdim=True) * normal
    direction = torch.nn.functional.normalize(direction, dim=-1)
    resultant = (2 * values[:, -1:] - 1).clamp(1e-3, 1.0)
    return direction, (-resultant.log() / 2).clamp(min=0.0).sqrt().clamp(max=0.9)


def _merge_codes(old: ObjectMap, owner: Tensor, code: Tensor, nodes: int, code_bits: int) -> tuple[Tensor, Tensor]:
    slots = old.bits.shape[1]
    counts = torch.zeros(nodes, code_bits)
    counts[owner[: len(old)]] = counts[owner[: len(old)]].scatter_add(1, old.bits, old.bit_counts)
    flat = owner[len(old) :, None] * code_bits + code
    counts.view(-1).index_add_(0, flat.flatten(), torch.ones(flat.numel()))
    top, bits = counts.sort(dim=1, descending=True, stable=True)
    return bits[:, :slots].clone(), top[:, :slots].clone()  # not views that keep all columns alive
