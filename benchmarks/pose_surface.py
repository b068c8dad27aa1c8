"""The true surface at sensed points, as the sensor reads it without noise, and how that changes along the surface.

The sensor is moved sideways by one standard deviation of the location's noise, along each of two tangents and both
ways, and reads the mesh again. What a reading changes by per metre is the least squares over these four; a reading
that jumped to another surface, or met nothing, doesn't count.
"""

import math

import numpy as np
from pose_information import Surface

from cortical.envs.explore import ObjectExploreEnv
from cortical.envs.noise import ANGLE, COLOUR, LOCATION, LOG_CURVATURE
from cortical.envs.record import Record
from cortical.envs.sensors import FOOTPRINT, shared_retina

SHAPE = 2  # of the further features, those before colour
GAP = 8.0  # 1/m: principal curvatures closer than that leave their direction open
OPEN = 1e3  # variance of such a direction
FAR = 3.0  # in steps: a reading further away is of another surface
VARIANCE = np.array([LOG_CURVATURE, LOG_CURVATURE, COLOUR, COLOUR, 2 * math.pi * COLOUR]) ** 2


def read(env: ObjectExploreEnv, position: np.ndarray, rotation: np.ndarray) -> Record:
    """What sensors at positions (b, 3) with rotations (b, 3, 3) read of the object as it now lies, without noise."""
    sensors = env.sensors
    images = env.world.see(position, rotation, shared_retina(env.source, sensors.pixels, sensors.field_of_view))
    return sensors.read(images, sensors.pixels, sensors.field_of_view, position, rotation, FOOTPRINT, 0.0)


def surface_of(env: ObjectExploreEnv, position: np.ndarray, rotation: np.ndarray) -> tuple[Surface, np.ndarray]:
    """The surface met from positions (t, 3) with rotations (t, 3, 3), and which of these met any, (t,) bool."""
    here = read(env, position, rotation)
    met = here.on_object & here.valid
    position, rotation = position[met], rotation[met]
    frame = np.stack([here.directions[met, 0], here.directions[met, 1], here.normal[met]], 2).astype(float)
    beside = [
        _changes(_only(here, met), frame, read(env, position + sign * LOCATION * frame[:, :, side], rotation))
        for side in (0, 1)
        for sign in (1, -1)
    ]
    along, change = (np.stack(part, 1) for part in zip(*beside, strict=True))
    slope = _slopes(along, change)
    variance = np.full((len(frame), 3), ANGLE**2)
    variance[np.ptp(here.curvature[met], axis=1) < GAP, 2] = OPEN
    point, gaze = here.location[met].astype(float), rotation[:, :, 2]
    return Surface(point, gaze, frame, slope[:, :3], variance, slope[:, 3:], VARIANCE, LOCATION), met


def _only(record: Record, rows: np.ndarray) -> Record:
    return Record(**{name: getattr(record, name)[rows] for name in Record.__dataclass_fields__})


def _changes(here: Record, frame: np.ndarray, there: Record) -> tuple[np.ndarray, np.ndarray]:
    """From readings to others nearby: metres along the tangents (n, 2), and changes (n, 8): the turn of the frame in
    its own axes, log curvatures, saturation, value, hue in radians. Zeros where the other is of another surface."""
    away = np.einsum("nji,nj->ni", frame, there.location - here.location)
    sound = there.on_object & there.valid & (np.linalg.norm(away, axis=1) < FAR * LOCATION)
    tilt = np.einsum("nji,nj->ni", frame, there.normal - here.normal)
    first = np.einsum("nji,nj->ni", frame, there.directions[:, 0])
    spin = np.arctan(first[:, 1] / np.where(first[:, 0] == 0, 1e-9, first[:, 0]))  # of an axis: no sign
    clear = np.minimum(np.ptp(here.curvature, axis=1), np.ptp(there.curvature, axis=1)) >= GAP
    bent = _log(there.curvature) - _log(here.curvature)
    light = there.hsv[:, 1:] - here.hsv[:, 1:]
    hue = 2 * np.pi * (np.remainder(there.hsv[:, 0] - here.hsv[:, 0] + 0.5, 1.0) - 0.5)
    change = np.column_stack([-tilt[:, 1], tilt[:, 0], spin * clear, bent, light, hue])
    return away[:, :2] * sound[:, None], change * sound[:, None]


def _log(curvature: np.ndarray) -> np.ndarray:
    return np.sign(curvature) * np.log1p(np.abs(curvature))


def _slopes(along: np.ndarray, change: np.ndarray) -> np.ndarray:
    """Change per metre, (n, k, 2), by least squares of changes (n, 4, k) over ways (n, 4, 2)."""
    square = np.einsum("nsi,nsj->nij", along, along) + 1e-4 * LOCATION**2 * np.eye(2)
    return np.einsum("nsk,nsi,nij->nkj", change, along, np.linalg.inv(square))
