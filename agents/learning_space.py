"""What is known of the space about an object while it is learnt, and what a ray into it should teach.

Space is cut into voxels. Each keeps, for six facings (surface that faces x, y, z, -x, -y, -z),

    known   readings met there, spread a few millimetres; one that is not as foreseen counts less
    hope    how likely surface is there: 1 where it was met, less where the curvature of a reading carries it on

and how often a ray went through. A ray is expected to teach what the first surface in its way is worth:

    gain = sum over voxels  reached * there * value(known),   value(m) = 2 / ((1 + m) (2 + m))

reached = product over the voxels before of (1 - there), there = 1 where surface was met, else hope / (1 + passes).
Object frame throughout: the object lies at the origin, unturned.
"""

import math
from dataclasses import dataclass, replace

import numpy as np

from cortical.columns.messages import Sensation

from .policies.policy import DISTANCE

VOXEL = 0.008  # metres
WIDE = math.ceil(2 * DISTANCE / VOXEL)  # voxels along an edge: as far as the eye is
OUTSIDE = WIDE**3  # the voxel of all that is farther out: nothing is ever there
BLUR = 0.006  # metres about a reading that it makes known
CARRIES = 0.016  # metres along a surface over which hope falls to 1 / e
SURPRISE = 0.7  # share of a reading's weight that it loses where surface of another facing was foreseen
FACED = 1.7  # a surface counts as fully faced up to arccos(1 / FACED), 54 degrees
CELLS = np.stack(np.meshgrid(*[np.arange(-2, 3)] * 3, indexing="ij"), -1).reshape(-1, 3)
WAYS = np.stack([np.cos(np.arange(8) * np.pi / 4), np.sin(np.arange(8) * np.pi / 4)])


@dataclass(frozen=True, slots=True)
class Space:
    """What was sensed where; v voxels, the last one all that is outside.

    known, hope : (v, 6) float32, see the module
    met, passed : (v,) float32, readings in a voxel and rays that went through it
    radius : metres, nothing was met farther out
    """

    known: np.ndarray
    hope: np.ndarray
    met: np.ndarray
    passed: np.ndarray
    radius: float

    @classmethod
    def empty(cls) -> "Space":
        """Nothing sensed yet."""
        tables = (np.zeros((OUTSIDE + 1, *more), np.float32) for more in ((6,), (6,), (), ()))
        return cls(*tables, radius=0.03)

    def there(self, voxel: np.ndarray, hope: np.ndarray) -> np.ndarray:
        """How likely a ray stops at surface in these voxels, whose hope is given."""
        return np.where(self.met[voxel] > 0, 1.0, np.minimum(1.0, hope) / (1.0 + self.passed[voxel]))


def sensed(space: Space, sensation: Sensation) -> Space:
    """Space after a glance (1, m)."""
    origin, gaze = (x[0].double().numpy() for x in (sensation.origin, sensation.gaze))
    seen = (sensation.on_object & sensation.valid)[0].numpy()
    depth = np.full(len(seen), np.inf)
    point, normal, direction, curvature = readings(sensation)
    depth[seen] = ((point - origin[seen]) * gaze[seen]).sum(1) - VOXEL
    way, voxel = _along(origin, gaze, DISTANCE)
    free = voxel[(way < depth[:, None]) & sensation.valid[0].numpy()[:, None]]
    space = replace(space, passed=_added(space.passed, free, 1.0))
    return _with_surface(space, point, normal, direction, curvature) if len(point) else space


def gain(space: Space, origin: np.ndarray, gaze: np.ndarray) -> np.ndarray:
    """What rays from (r, 3) metres along (r, 3) unit are expected to teach, (r,), 0 ... 1."""
    voxel = _along(origin, gaze, space.radius)[1]
    faced = np.minimum(1.0, FACED * _facings(-gaze, power=1)).astype(np.float32)[:, None]
    hope = np.minimum(1.0, (space.hope[voxel] * faced).sum(-1))
    there = space.there(voxel, hope)
    reached = np.cumprod(np.concatenate([np.ones_like(there[:, :1]), 1.0 - there[:, :-1]], 1), 1)
    return (reached * there * hope * value((space.known[voxel] * faced).sum(-1))).sum(1)


def value(known: np.ndarray) -> np.ndarray:
    """What a reading is worth where so many are known: 1 in an empty place, less in a thin one."""
    return 2.0 / ((1.0 + known) * (2.0 + known))


def places(space: Space, count: int, random: np.random.Generator) -> np.ndarray | None:
    """Points (count, 3) metres, drawn by what looking there should teach; None if nothing was sensed yet."""
    hoped = np.flatnonzero(space.hope.any(1))
    if len(hoped) == 0:
        return None
    worth = space.there(hoped, space.hope[hoped].sum(1)) * value(space.known[hoped].sum(1))
    voxel = random.choice(hoped, size=count, p=worth / worth.sum())
    cell = np.stack(np.unravel_index(voxel, (WIDE, WIDE, WIDE)), 1)
    return (cell + random.random((count, 3)) - WIDE // 2) * VOXEL


def readings(sensation: Sensation) -> tuple[np.ndarray, ...]:
    """Point, normal, direction (n, 3) and curvature (n, 2), 1/m, of the readings that met something."""
    seen = (sensation.on_object & sensation.valid)[0]
    parts = (sensation.location, sensation.normal, sensation.direction, sensation.curvature)
    point, normal, direction, log = (x[0][seen].double().numpy() for x in parts)
    return point, normal, direction, np.sign(log) * np.expm1(np.abs(log))


def _with_surface(space: Space, point, normal, direction, curvature) -> Space:
    """Space with readings (n, 3), (n, 3), (n, 3), (n, 2) in 1/m."""
    own, facing = _voxel(point), _facings(normal)
    hope = space.hope[own]  # where nothing was foreseen, nothing is a surprise
    surprise = np.clip(np.linalg.norm(hope, axis=1) - (hope * facing).sum(1), 0.0, 1.0)
    centre = (np.floor(point / VOXEL)[:, None] + CELLS + 0.5) * VOXEL
    near = np.exp(-0.5 * ((centre - point[:, None]) ** 2).sum(-1) / BLUR**2)
    weight = near * (1.0 - SURPRISE * surprise)[:, None]
    known = _added(space.known, _voxel(centre), weight[..., None] * facing[:, None])
    hope = space.hope.copy()
    for far in np.arange(4) * VOXEL:
        place, turned = _carried_on(point, normal, direction, curvature, far)
        np.maximum.at(hope, _voxel(place), (math.exp(-far / CARRIES) * _facings(turned)).astype(np.float32))
    hope[OUTSIDE] = 0.0
    radius = max(space.radius, float(np.linalg.norm(point, axis=1).max()) + 2 * VOXEL)
    return replace(space, known=known, hope=hope, met=_added(space.met, own, 1.0), radius=radius)


def _carried_on(point, normal, direction, curvature, far: float) -> tuple[np.ndarray, np.ndarray]:
    """Surface `far` metres from readings, eight ways, if it goes on as it curves: place and normal (n, 8, 3)."""
    across = np.cross(normal, direction)
    tangent = WAYS[0][:, None] * direction[:, None] + WAYS[1][:, None] * across[:, None]
    bend = np.clip(far * (curvature[:, :1] * WAYS[0] ** 2 + curvature[:, 1:] * WAYS[1] ** 2), -1, 1)[..., None]
    turned = normal[:, None] + bend * tangent
    place = point[:, None] + far * tangent - 0.5 * far * bend * normal[:, None]
    return place, turned / np.linalg.norm(turned, axis=-1, keepdims=True)


def _facings(normal: np.ndarray, power: int = 2) -> np.ndarray:
    """How much a normal (..., 3) belongs to each facing, (..., 6); squares add up to 1."""
    return np.concatenate([np.maximum(normal, 0), np.maximum(-normal, 0)], -1) ** power


def _voxel(point: np.ndarray) -> np.ndarray:
    cell = np.floor(point / VOXEL).astype(np.int64) + WIDE // 2
    inside = ((cell >= 0) & (cell < WIDE)).all(-1)
    return np.where(inside, (cell[..., 0] * WIDE + cell[..., 1]) * WIDE + cell[..., 2], OUTSIDE)


def _along(origin: np.ndarray, gaze: np.ndarray, radius: float) -> tuple[np.ndarray, np.ndarray]:
    """Voxels (r, s) of rays where they pass the origin within `radius`, and how far along, metres."""
    way = -(origin * gaze).sum(1)[:, None] + np.arange(-radius, radius, VOXEL)
    return way, _voxel(origin[:, None] + way[..., None] * gaze[:, None])


def _added(table: np.ndarray, voxel: np.ndarray, more: np.ndarray | float) -> np.ndarray:
    table = table.copy()
    np.add.at(table, voxel, more)
    table[OUTSIDE] = 0.0
    return table
