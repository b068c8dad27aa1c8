"""Touch: a fingertip pressed against a surface until it meets it, and the record of what it feels there.

Where: the point at which the ball of the fingertip touches, from PyBullet's contacts with the true triangles.
What: normal, curvatures and their directions from the imprint in the pad of the finger, a depth image of the
surface around that point, fitted as the image of an eye is, with the same footprint: so a map learnt by eye is
one that a finger can use. A finger feels no colour.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from cortical.configs.schema import Condition

from .bodies import turned
from .noise import DEPTH, Bank, perturb, perturb_images
from .record import Images, Record
from .sensors import FOOTPRINT
from .simulation import Simulation
from .surface import fit

Feel = Callable[[np.ndarray, np.ndarray], Images]
"""positions (f, 3) and rotations (f, 3, 3) -> the imprints there"""
RADIUS = 0.004
"""The fingertip is a ball of this radius in metres."""
GAP = 5e-5
"""Metres left between the fingertip and what it touches, so that its next move doesn't start in a touch."""
NEAR = 0.0015
"""Metres within which the surface is sought once the guarded move has stopped before it."""
PAD_HEIGHTS = (0.02, 0.01, RADIUS)
"""Metres above the point of contact from which the imprint is taken: the first with nothing in between. The last
lies within the ball of the fingertip, where nothing else is."""
ASIDE = 3e-5 * np.array([(0, 0, 0), (1, 0, 0), (-1, 0, 0), (0, 1, 0), (0, -1, 0)], float)
"""Metres by which the imprint is shifted in the finger's frame until its gaze meets the edge that is touched."""
PAD_PIXELS, PAD_FIELD = 8, 2.0 * math.atan(0.5)
"""The imprint's pixels, and its width in radians: 2 cm of a flat surface, what an eye sees of it from 20 cm."""


@dataclass(frozen=True, slots=True)
class Contact:
    """A fingertip at rest against a surface.

    centre : (3,) metres, world frame, the middle of the ball; location : (3,) where it touches
    normal : (3,) unit, from there towards the middle of the ball
    on_object : False where it is the table that it touches
    """

    centre: np.ndarray
    location: np.ndarray
    normal: np.ndarray
    on_object: bool


def press(
    simulation: Simulation,
    body_name: str,
    position: np.ndarray,
    rotation: np.ndarray,
    length: float,
    radius: float = RADIUS,
) -> Contact | None:
    """Move a ball along its z until it touches the object or the table, or `length` metres are gone: None.

    position : (3,) metres, middle of the ball; rotation : (3, 3) world_from_finger; body_name : the object
    """
    start, way = np.asarray(position, dtype=float), np.asarray(rotation, dtype=float)[:, 2]
    # a ray along the axis says how far the ball can come at most, which spares it the search beyond
    most = simulation.hit(start, start + (length + radius) * way, body_name)
    end = length if most is None else min(length, max(0.0, most - radius))
    went = simulation.free_length(start, start + end * way, radius, body_name)
    near = None
    for _ in range(16):
        near = simulation.nearest(start + went * way, radius, NEAR, body_name)
        step = NEAR if near is None else near.distance - GAP
        if near is not None:
            if abs(step) < 0.1 * GAP:
                break
            step /= max(-float(near.normal @ way), 0.3)
        went = max(went + step, 0.0)
        if went > length:
            return None
    if near is None or near.distance > 4 * GAP:
        return None
    return Contact(start + went * way, near.location, near.normal, near.name == body_name)


def feel(
    contacts: Sequence[Contact | None],
    rotation: np.ndarray,
    see: Feel,
    condition: Condition,
    random: np.random.Generator,
    bank: Bank | None = None,
    owner: int = -1,
) -> Record:
    """What f fingers feel; colours and patches are zeros.

    A finger that met nothing gives an empty reading: valid, not on the object. One that met the table
    gives the same, with the location where it did.

    contacts : of each finger, None where it met nothing; rotation : (f, 3, 3) world_from_finger
    see : what a batch of imprints holds, by a retina of `PAD_FIELD`; bank, owner : as for `noise.perturb`
    """
    met = np.array([contact is not None and contact.on_object for contact in contacts], bool)
    location, normal = np.zeros((len(contacts), 3)), -np.asarray(rotation, dtype=float)[:, :, 2]
    for k, contact in enumerate(contacts):
        if contact is not None:
            location[k], normal[k] = contact.location, contact.normal
    turn = np.stack([facing(r, n) for r, n in zip(rotation, normal, strict=True)])
    images, position, missed = _imprints(location, normal, turn, met, see)
    images = perturb_images(images, condition, random)
    depth_noise = DEPTH if condition == "rawnoise" else 0.0
    footprint = 2 * FOOTPRINT if depth_noise else FOOTPRINT
    record = fit(images, images.depth.shape[1], PAD_FIELD, position, turn, footprint, depth_noise)
    exact = np.full(len(met), depth_noise == 0.0) | ~met | missed
    record.location[exact] = location[exact]
    record.valid[missed] = False
    return _colourless(perturb(record, condition, random, position, turn, _felt(bank, record), owner))


def facing(rotation: np.ndarray, normal: np.ndarray) -> np.ndarray:
    """`rotation` (3, 3) turned the shortest way until its z is minus `normal` (3,), a unit vector."""
    x, y, z = (-(np.asarray(normal, dtype=float) @ rotation)).tolist()
    aside = math.hypot(x, y)
    if aside < 1e-9:
        return rotation if z > 0.0 else turned(rotation, math.pi, 0.0)
    angle = math.atan2(aside, z)
    return turned(rotation, angle * x / aside, angle * y / aside)


def _imprints(
    location: np.ndarray, normal: np.ndarray, turn: np.ndarray, met: np.ndarray, see: Feel
) -> tuple[Images, np.ndarray, np.ndarray]:
    """Depth images (f, n, n) of the surface under each finger, whence they are taken, and which of them missed it.

    Where something stands between, they are taken from nearer by; where the gaze slips past the edge that the
    finger touches, they are taken from a little aside.
    """
    lower, aside = np.zeros((2, len(met)), int)
    while True:
        height = np.array(PAD_HEIGHTS)[lower]
        shift = np.einsum("bij,bj->bi", turn, ASIDE[aside])
        position = location + shift + height[:, None] * normal
        images = see(position, turn)
        middle = images.depth.shape[1] // 2
        depth = images.depth[:, middle, middle]
        slipped = met & ((depth == 0.0) | (depth > height + 2 * GAP))
        hidden = met & ~slipped & (depth < height - 2 * GAP)
        missed = slipped & (aside == len(ASIDE) - 1) | hidden & (lower == len(PAD_HEIGHTS) - 1)
        if not ((slipped | hidden) & ~missed).any():
            break
        lower[hidden & ~missed] += 1
        aside[slipped & ~missed] += 1
    images.depth[~met | missed], images.on_object[~met | missed] = 0.0, False
    return images, position, missed


def _felt(bank: Bank | None, record: Record) -> Bank | None:
    """The bank as fingers would have filled it: without colour, its patches empty and of the record's shape."""
    if bank is None:
        return None
    count = len(bank.owner)
    patch = np.broadcast_to(np.float32(0.0), (count, *record.patch.shape[1:]))
    return Bank(replace(bank.record, patch=patch), bank.owner)


def _colourless(record: Record) -> Record:
    return replace(
        record,
        rgb=np.zeros_like(record.rgb),
        hsv=np.zeros_like(record.hsv),
        patch=np.zeros_like(record.patch),
    )
