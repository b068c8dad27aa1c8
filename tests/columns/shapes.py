"""An egg and a ring, as formulas: their maps, readings of them at any pose, and guesses of where they are."""

import math
from dataclasses import dataclass, replace

import torch
from torch.nn.functional import normalize

from cortical.columns.evidence.atlas import Atlas
from cortical.columns.evidence.column import EvidenceColumn
from cortical.columns.evidence.hypotheses import Hypotheses
from cortical.columns.geometry import random_rotations, rotation_from_vector
from cortical.columns.messages import FeatureSchema, Pose, Sensation
from cortical.columns.object_map import ObjectMap

SPACING, BITS, WINNERS = 0.004, 128, 6
SURFACE = FeatureSchema()
SCHEMAS = {
    "surface": SURFACE,
    "sdr": FeatureSchema(surface=False, colour=False, code_bits=BITS, code_winners=WINNERS),
    "shape": FeatureSchema(colour=False),
    "both": FeatureSchema(code_bits=BITS, code_winners=WINNERS),
    "texture": FeatureSchema(texture=True),
}
NAMES = ("egg", "ring")


@dataclass(frozen=True)
class Spots:
    """Points of an analytic surface, object frame, metres: (n, 3), curvature (n, 2) logarithmic, texture (n, 6) 1/m."""

    point: torch.Tensor
    normal: torch.Tensor
    direction: torch.Tensor
    curvature: torch.Tensor
    hsv: torch.Tensor
    texture: torch.Tensor

    @property
    def code(self) -> torch.Tensor:
        """A sparse code of curvature and colour that varies smoothly, (n, WINNERS)."""
        seen = torch.cat([self.curvature / 4, self.hsv], 1)
        weights = torch.randn(5, BITS, generator=torch.Generator().manual_seed(9))
        return (seen @ weights).topk(WINNERS).indices.sort().values


def logged(curvature):
    return curvature.sign() * curvature.abs().log1p()


def egg(count, seed):
    """An ellipsoid; curvatures from the shape operator P H P / |grad F| of F = x'Ax - 1."""
    g = torch.Generator().manual_seed(seed)
    axes = torch.tensor([0.050, 0.035, 0.026], dtype=torch.float64)
    point = axes * normalize(torch.randn(count, 3, generator=g, dtype=torch.float64), dim=1)
    gradient = point / axes**2
    normal = normalize(gradient, dim=1)
    project = torch.eye(3, dtype=torch.float64) - normal[:, :, None] * normal[:, None, :]
    shape = project @ torch.diag(1 / axes**2) @ project / gradient.norm(dim=1)[:, None, None]
    values, vectors = torch.linalg.eigh(shape)  # the smallest is the normal's own zero
    hue = 0.1 + 0.1 * (point[:, 0] / axes[0])
    hsv = torch.stack([hue, 0.6 + 4 * point[:, 1], 0.5 + 4 * point[:, 2]], 1)
    texture = 4 * project[:, 1:].flatten(1)  # saturation grows along y, value along z
    return Spots(*(x.float() for x in (point, normal, vectors[:, :, 2], logged(values[:, [2, 1]]), hsv, texture)))


def ring(count, seed):
    """A torus of radii 35 and 14 mm, convex outside and saddle-shaped inside."""
    g = torch.Generator().manual_seed(seed)
    wide, thick = 0.035, 0.014
    around, tube = 2 * math.pi * torch.rand(2, count, generator=g, dtype=torch.float64)
    out = torch.stack([around.cos(), around.sin(), torch.zeros_like(around)], 1)
    up = torch.tensor([0.0, 0.0, 1.0], dtype=torch.float64)
    normal = tube.cos()[:, None] * out + tube.sin()[:, None] * up
    along_tube = -tube.sin()[:, None] * out + tube.cos()[:, None] * up
    curvature = torch.stack([torch.full_like(tube, 1 / thick), tube.cos() / (wide + thick * tube.cos())], 1)
    hsv = torch.stack([0.6 + 0.1 * around.sin(), 0.5 + 0.2 * around.cos(), 0.6 + 0.2 * tube.sin()], 1)
    point = wide * out + thick * normal
    along_ring = torch.linalg.cross(up.expand_as(out), out) / (wide + thick * tube.cos())[:, None]
    slopes = -0.2 * around.sin()[:, None] * along_ring, 0.2 * tube.cos()[:, None] * along_tube / thick
    texture = torch.cat(slopes, 1)
    return Spots(*(x.float() for x in (point, normal, along_tube, logged(curvature), hsv, texture)))


SHAPES = (egg, ring)


def learnt(schema):
    maps = {}
    for name, shape in zip(NAMES, SHAPES, strict=True):
        s = shape(4000, 0)
        code = s.code if schema.code_bits else torch.zeros(4000, 0, dtype=torch.int64)
        empty = ObjectMap.empty(SPACING, 2 * WINNERS if schema.code_bits else 0)
        maps[name] = empty.insert(s.point, s.normal, s.direction, s.curvature, s.hsv, code, schema.code_bits, s.texture)
    return Atlas.pack(maps, schema)


def pose_of(seed):
    g = torch.Generator().manual_seed(seed)
    return Pose(0.05 * torch.randn(3, generator=g), random_rotations(1, g)[0])


def sensed(shape, pose, count, seed, schema=SURFACE, noise=0.5):
    """Readings of an object at a pose, leading axis (count,), world frame; `noise` in the schema's sd."""
    g = torch.Generator().manual_seed(seed + 1000)
    s = shape(count, seed + 1000)
    tilt = rotation_from_vector(noise * schema.normal_sd * torch.randn(count, 3, generator=g))

    def turned(v):
        return (tilt @ pose.rotation @ v[..., None])[..., 0]

    location = pose.apply(s.point) + noise * schema.location_sd * torch.randn(count, 3, generator=g)
    curvature = s.curvature + noise * schema.curvature_sd * torch.randn(count, 2, generator=g)
    normal, direction = turned(s.normal), turned(s.direction)
    gaze = normalize(-normal + 0.3 * torch.randn(count, 3, generator=g), dim=1)
    code = s.code if schema.code_bits else torch.zeros(count, 0, dtype=torch.int64)
    yes = torch.ones(count, dtype=torch.bool)
    texture = turned(s.texture.view(-1, 2, 3).transpose(0, 1)).transpose(0, 1).flatten(1)
    texture = texture + noise * schema.texture_sd * torch.randn(count, 6, generator=g)
    return Sensation(
        location - 0.15 * gaze, gaze, location, normal, direction, curvature, s.hsv, code, yes, yes, texture
    )


def gazing_past(pose, count, seed, schema=SURFACE):
    """Readings that met nothing: rays through the object's neighbourhood."""
    s = sensed(egg, pose, count, seed, schema)
    g = torch.Generator().manual_seed(seed)
    gaze = normalize(s.gaze + 0.3 * torch.randn(count, 3, generator=g), dim=1)
    return replace(s, gaze=gaze, on_object=torch.zeros(count, dtype=torch.bool))


def joined(*sensations):
    names = Sensation.__dataclass_fields__
    return Sensation(**{n: torch.cat([getattr(s, n) for s in sensations]) for n in names})


def remembered(column, sensation, columns=1):
    """A memory of one group after readings (count,) dealt to the columns in turn."""
    memory = column.begin()
    for i in range(0, len(sensation.valid), columns):
        memory = column.sense(memory, sensation[None, i : i + columns])
    return memory


def mixed(atlas, schema, seed=0):
    """A column and its memory of hits, misses and a lost reading, and where the egg is."""
    pose = pose_of(seed)
    hits, misses = sensed(egg, pose, 12, seed, schema), gazing_past(pose, 6, seed, schema)
    lost = replace(sensed(ring, pose, 1, seed, schema), valid=torch.zeros(1, dtype=torch.bool))
    column = EvidenceColumn(atlas, schema)
    return column, remembered(column, joined(hits, misses, lost)), pose


def guesses(pose, count, seed=0, turn=0.1, shift=0.003):
    """Hypotheses: one at the pose, one group; then half around it and half anywhere, of both objects."""
    g = torch.Generator().manual_seed(seed)
    near = rotation_from_vector(turn * torch.randn(count, 3, generator=g)) @ pose.rotation
    anywhere = torch.arange(count) >= count // 2
    rotation = torch.where(anywhere[:, None, None], random_rotations(count, g), near)
    spread = torch.where(anywhere, 0.02, shift)[:, None]
    location = pose.location + spread * torch.randn(count, 3, generator=g)
    rotation[0], location[0] = pose.rotation, pose.location
    obj = torch.where(anywhere, torch.arange(count) % 2, 0)
    sd = 0.02 + 0.1 * torch.rand(count, generator=g), 0.001 + 0.003 * torch.rand(count, generator=g)
    fields = (obj, rotation, location, torch.zeros(count), *sd)
    return Hypotheses(*(x[None] for x in fields), pivot=pose.location[None] + 0.01)


def agree(a, b, relative=1e-4, share=0.02):
    """Equal row by row, but for a few rows where a point on the border of two voxels falls to the other."""
    a, b = a.flatten(0, 2).flatten(1), b.flatten(0, 2).flatten(1)
    off = (a - b).norm(dim=1) > relative * (1 + b.norm(dim=1))
    return float(off.double().mean()) <= share
