"""All the maps of a column packed for look-up: one flat table of nodes and, per object, a grid of voxels.

A query (object, point, facing) costs one step, whatever the size of the map: voxel -> nearest node of that facing ->
one 64-byte row. A second field gives each voxel's distance to the nearest node, along which rays are marched.
"""

import math
from dataclasses import dataclass, fields, replace

import numpy as np
import torch
from torch import Tensor

from ..messages import FeatureSchema
from ..object_map import ROW, SPREAD, ObjectMap
from .blur import blurred, blurred_texture
from .compiled.look_up import NOTHING, look_up
from .feature_index import FeatureIndex

REACH = 2.5  # voxels: how far from a node its voxels know of it
THIRD = 0.38  # a normal's component beyond which it counts as facing along that axis
SUBSET = 512  # nodes that stand for 'some surface of some object'
CHUNK = 4096  # nodes at a time, so that a comparison of all with the subset stays in the caches
USUAL = slice(30, 32)
SURE, DIRECTED = 0.15, 0.35  # radians: a principal direction this sure fixes the turn about the normal
TURNS = 24  # turns tried about the normal where no direction fixes it


@dataclass(frozen=True, slots=True)
class Atlas:
    """Immutable; n nodes, o objects, v voxels in all.

    names : object names, in the order of their indices
    rows, spread : (n, 16), (n, 8) float32, see object_map.ROW and SPREAD
    table : (n, 32) float32, the same worked out for the sensor of the schema, see `node_table`
    texture : (n, 8) float32 1/m, slopes of saturation and value, object frame, and their variances with the sensor's
    texture_scale : (2,) 1/m, how steep slopes usually are, see `densities.usual_texture`
    codes, code_weights : (n, k) int64 and float32, see ObjectMap.codes
    turns : (n,) int64, how many turns about its normal are tried at each node: along its principal direction (2), there
        and a little to both sides (6), or all around (TURNS), as sure as the direction is
    owner : (n,) int64, object of each node
    first : (o + 1,) int64, first node of each object, and the number of nodes
    corner : (o, 3) float32 metres, low corner of each object's grid, object frame
    shape : (o, 3) int64 voxels;  offset : (o,) int64, first voxel of the object
    entry : (v,) int32, row of `nearest` for each voxel, NOTHING where no node is near
    nearest : (k, 27) int32, node nearest to the voxel's centre for each facing (each axis of the normal below -THIRD,
        between, or above THIRD), NOTHING if none
    distance : (v,) float32 metres to the nearest node, at most REACH voxels
    near : (v / 8,) uint8, a bit for each voxel, the lowest first: whether a node is near
    voxel : metres
    index : of the nodes by their features; None with codes, which it doesn't know
    """

    names: tuple[str, ...]
    rows: Tensor
    spread: Tensor
    table: Tensor
    texture: Tensor
    codes: Tensor
    code_weights: Tensor
    turns: Tensor
    owner: Tensor
    first: Tensor
    corner: Tensor
    shape: Tensor
    offset: Tensor
    entry: Tensor
    nearest: Tensor
    distance: Tensor
    near: Tensor
    texture_scale: Tensor
    voxel: float
    index: FeatureIndex | None = None

    @classmethod
    def pack(cls, maps: dict[str, ObjectMap], schema: FeatureSchema) -> "Atlas":
        """Pack maps by name. Raises ValueError if there is none, or an empty one."""
        empty = [name for name, known in maps.items() if len(known) == 0]
        if not maps or empty:
            raise ValueError(f"nothing learnt of {', '.join(empty) or 'any object'}: learn before recognising")
        parts = [_pack_one(known, schema) for known in maps.values()]
        starts = torch.tensor([0, *(len(p["rows"]) for p in parts)]).cumsum(0)
        offsets = torch.tensor([0, *(len(p["distance"]) for p in parts)]).cumsum(0)
        rows = torch.tensor([0, *(len(p["nearest"]) for p in parts)]).cumsum(0)
        for part, start, row in zip(parts, starts.tolist(), rows.tolist(), strict=False):
            part["nearest"] += (part["nearest"] >= 0).int() * start
            part["entry"] += (part["entry"] >= 0).int() * row
        joined = {key: torch.cat([p[key] for p in parts]) for key in parts[0]}
        owner = torch.repeat_interleave(torch.arange(len(maps)), starts.diff())
        voxel = next(iter(maps.values())).spacing
        joined["table"][:, USUAL] = usual(joined["table"])
        near = torch.from_numpy(np.packbits((joined["entry"] >= 0).numpy(), bitorder="little"))
        index = None
        if not schema.code_winners:
            index = FeatureIndex.of(*(x.numpy() for x in (joined["table"], owner, joined["turns"])))
        steep = joined["texture"][:, :6].unflatten(1, (2, 3)).norm(dim=-1).median(0).values
        joined["texture_scale"] = (steep / 3**0.5).clamp(min=schema.texture_sd)
        places = {"owner": owner, "first": starts, "offset": offsets[:-1], "near": near}
        return cls(tuple(maps), voxel=voxel, index=index, **places, **joined)

    def to(self, device: str | torch.device) -> "Atlas":
        """The same atlas on another device."""
        tensors = {f.name: getattr(self, f.name) for f in fields(self)}
        return replace(self, **{k: v.to(device) for k, v in tensors.items() if isinstance(v, Tensor)})

    def subset(self, count: int) -> dict[str, Tensor]:
        """About `count` nodes, evenly taken from all: the fields to replace."""
        step = max(1, len(self.rows) // count)
        fields = ("rows", "spread", "table", "texture", "codes", "code_weights", "turns", "owner")
        return {name: getattr(self, name)[::step] for name in fields}

    @property
    def node_count(self) -> np.ndarray:
        """(o,) nodes of each object."""
        return self.first.diff().cpu().numpy()

    @property
    def first_node(self) -> np.ndarray:
        """(o,) index of each object's first node."""
        return self.first[:-1].cpu().numpy()

    def voxel_of(self, obj: Tensor, point: Tensor) -> Tensor:
        """Flat voxel index of points (..., 3) in objects (...), NOTHING outside the grid."""
        cell = torch.floor((point - self.corner[obj]) / self.voxel).long()
        shape = self.shape[obj]
        inside = ((cell >= 0) & (cell < shape)).all(-1)
        flat = (cell[..., 0] * shape[..., 1] + cell[..., 1]) * shape[..., 2] + cell[..., 2] + self.offset[obj]
        return torch.where(inside, flat, NOTHING)

    def nearest_node(self, obj: Tensor, point: Tensor, normal: Tensor) -> Tensor:
        """Node nearest to points (..., 3) of objects (...) with about this normal (..., 3); NOTHING if none is near."""
        voxel = self.voxel_of(obj, point)
        thirds = (normal > THIRD).long() - (normal < -THIRD).long() + 1
        facing = (thirds[..., 0] * 3 + thirds[..., 1]) * 3 + thirds[..., 2]
        entry = torch.where(voxel >= 0, self.entry[voxel.clamp(min=0)].long(), NOTHING)
        return torch.where(entry >= 0, self.nearest[entry.clamp(min=0), facing].long(), NOTHING)


def node_table(rows: Tensor, spread: Tensor, schema: FeatureSchema) -> Tensor:
    """All that likelihoods need of each node and that no pose changes, (n, 32) float32: 0 point, 3 normal, 6 and 9
    principal directions, 12 raw and 14 log curvatures, 16 saturation, value, cos and sin of hue, 20 variances of
    height, normal, direction with the sensor's added, 23 inverse variances of log curvatures, 25 of saturation and
    value, 27 concentration of hue, 28 log constants of the densities of curvature and colour, 30 see `usual`."""
    second = torch.linalg.cross(rows[:, 3:6], rows[:, 6:9])
    raw = rows[:, 9:11].sign() * rows[:, 9:11].abs().expm1()
    variance = spread.square()
    curvature, light = schema.curvature_sd**2 + variance[:, 3:5], schema.saturation_sd**2 + variance[:, 5:7]
    kappa = 1 / (schema.hue_sd**2 + variance[:, 7:8])
    sensor = torch.tensor([schema.location_sd**2, schema.normal_sd**2, schema.normal_sd**2])
    curvature_log = -0.5 * (2 * torch.pi * curvature).log().sum(1, keepdim=True)
    colour_log = -0.5 * (2 * torch.pi * light).log().sum(1, keepdim=True)
    colour_log = colour_log + 0.5 * (1 + 2 * torch.pi * kappa).log() - kappa
    return torch.cat(
        [rows[:, :9], second, raw, rows[:, 9:15], sensor + variance[:, :3], 1 / curvature, 1 / light, kappa,
         curvature_log, colour_log, torch.zeros(len(rows), 2)], 1,
    )  # fmt: skip


def usual(table: Tensor) -> Tensor:
    """Log densities of each node's curvatures and colour under 'some surface of some object', (n, 2): the mean over a
    fixed subset of the nodes of a `node_table` (n, 32)."""
    some = table[:: max(1, len(table) // SUBSET)]
    return torch.cat([_usual(part, some) for part in table.split(CHUNK)])


def _usual(table: Tensor, some: Tensor) -> Tensor:
    curvature = _squares(table[:, 14:16], some[:, 14:16], some[:, 23:25]).add_(some[:, 28])
    colour = _squares(table[:, 16:18], some[:, 16:18], some[:, 25:27]).add_(some[:, 29])
    colour.addmm_(table[:, 18:20], (some[:, 18:20] * some[:, 27:28]).T)
    return torch.stack([curvature.logsumexp(1), colour.logsumexp(1)], 1) - math.log(len(some))


def _squares(value: Tensor, mean: Tensor, weight: Tensor) -> Tensor:
    """-1/2 sum_k weight_k (value_k - mean_k)^2 of values (n, k) at means (m, k): (n, m)."""
    parts = weight.T, -2 * (weight * mean).T, (weight * mean.square()).sum(1)
    return -0.5 * (value.square() @ parts[0] + value @ parts[1] + parts[2])


def _pack_one(known: ObjectMap, schema: FeatureSchema) -> dict[str, Tensor]:
    rows, spread = blurred(known, schema.location_sd)
    codes, weights = known.codes(schema.code_winners)
    slope, slope_sd = blurred_texture(known, schema.location_sd)
    texture = torch.cat([slope, slope_sd.square() + schema.texture_sd**2], 1)
    turns = torch.where(spread[:, 2] < SURE, 2, torch.where(spread[:, 2] < DIRECTED, 6, TURNS))
    points, normals = rows[:, :3], rows[:, 3:6]
    voxel, margin = known.spacing, int(REACH) + 1
    corner = points.amin(0) - margin * voxel
    shape = ((points.amax(0) - corner) / voxel).long() + margin + 1
    tables = look_up(points.numpy(), normals.numpy(), corner.numpy(), shape.numpy(), voxel, REACH * voxel)
    distance, entry, nearest = (torch.from_numpy(x) for x in tables)
    assert rows.shape[1] == ROW and spread.shape[1] == SPREAD
    return {
        "rows": rows, "spread": spread, "table": node_table(rows, spread, schema), "texture": texture,
        "codes": codes, "code_weights": weights, "turns": turns, "corner": corner[None],
        "shape": shape[None], "entry": entry, "nearest": nearest, "distance": distance,
    }  # fmt: skip
