"""What an observation holds: its spaces, and how a record becomes one."""

from collections.abc import Sequence
from typing import Literal

import numpy as np
from gymnasium import spaces

from .bodies import Eye
from .finger import Finger
from .record import Record

ObsMode = Literal["features", "patch", "both"]
Sensed = tuple[Record, np.ndarray, np.ndarray]
"""What c sensors read, their positions (c, 3) and rotations (c, 3, 3)."""
FARTHEST = 10.0
"""Metres; what lies further out (on an endless table) is clipped to it."""
SHARPEST = 1000.0
"""1/m; curvatures are clipped to it."""
UNIT = 1.001
"""Bound of the components of unit vectors, with room for rounding."""
MEANING: dict[str, tuple[str, str]] = {
    "eye_position": ("m", "where the eye is, world frame"),
    "eye_rotation": ("", "world_from_eye: its columns are the eye's right, down and gaze"),
    "finger_position": ("m", "where the middle of each fingertip is, world frame"),
    "finger_rotation": ("", "world_from_finger: the last column is the direction in which it presses"),
    "sensor_position": ("m", "where each sensor is, world frame"),
    "sensor_rotation": ("", "world_from_sensor: right, down and gaze of each sensor"),
    "location": ("m", "the point that is met, world frame; zeros where nothing is"),
    "normal": ("", "of the surface there, a unit vector towards the sensor's side, world frame"),
    "directions": ("", "the two principal directions there, unit vectors, world frame; their sign means nothing"),
    "curvature": ("1/m", "principal curvatures, the larger first, positive where convex"),
    "rgb": ("", "red, green and blue; a finger's are zeros"),
    "hsv": ("", "hue (1 is once round the circle), saturation and value; a finger's are zeros"),
    "on_object": ("0 or 1", "the gaze, or the finger, met the object"),
    "valid": ("0 or 1", "the reading arrived and could be made sense of; an empty one is valid"),
    "confidence": ("", "of the surface fit, from its residual"),
    "patch": ("m", "of each pixel red, green, blue (no unit), and x, y, z in the sensor's frame; zeros off the object"),
}
"""Of every part of an observation, its unit (empty: none) and what it is."""


def observation_space(columns: int, pixels: int, obs_mode: ObsMode, fingers: int = 0) -> spaces.Dict:
    """The Dict of finite float32 Boxes that `observe` fills, for an eye of so many columns (0: none) and fingers."""
    poses = {}
    if columns:
        poses |= {"eye_position": (FARTHEST, (3,)), "eye_rotation": (UNIT, (3, 3))}
    if fingers:
        poses |= {"finger_position": (FARTHEST, (fingers, 3)), "finger_rotation": (UNIT, (fingers, 3, 3))}
    columns += fingers
    poses |= {"sensor_position": (FARTHEST, (columns, 3)), "sensor_rotation": (UNIT, (columns, 3, 3))}
    features = {
        "location": (FARTHEST, (columns, 3)),
        "normal": (UNIT, (columns, 3)),
        "directions": (UNIT, (columns, 2, 3)),
        "curvature": (SHARPEST, (columns, 2)),
    }
    shares = {"rgb": (columns, 3), "hsv": (columns, 3), "on_object": (columns,), "confidence": (columns,)}
    vectors = poses if obs_mode == "patch" else poses | features
    boxes = {name: spaces.Box(-bound, bound, shape, np.float32) for name, (bound, shape) in vectors.items()}
    boxes["valid"] = spaces.Box(0.0, 1.0, (columns,), np.float32)
    if obs_mode != "patch":
        boxes |= {name: spaces.Box(0.0, 1.0, shape, np.float32) for name, shape in shares.items()}
    if obs_mode != "features":
        low, high = np.zeros((2, columns, pixels, pixels, 6), np.float32)
        low[..., 3:], high[..., :3], high[..., 3:] = -FARTHEST, 1.0, FARTHEST
        boxes["patch"] = spaces.Box(low, high, dtype=np.float32)
    return spaces.Dict(dict(boxes))


def observe(record: Record, position: np.ndarray, rotation: np.ndarray, obs_mode: ObsMode) -> dict[str, np.ndarray]:
    """The part of an observation that is read, of arrays of its own; position (c, 3) and rotation (c, 3, 3) are those
    of the sensors."""
    single = np.float32
    observation = {
        "sensor_position": position.astype(single),
        "sensor_rotation": rotation.astype(single),
        "valid": record.valid.astype(single),
    }
    if obs_mode != "patch":
        observation["location"] = _clipped(record.location, FARTHEST)
        observation["normal"] = record.normal.astype(single)
        observation["directions"] = record.directions.astype(single)
        observation["curvature"] = _clipped(record.curvature, SHARPEST)
        observation["rgb"] = record.rgb.astype(single)
        observation["hsv"] = record.hsv.astype(single)
        observation["on_object"] = record.on_object.astype(single)
        observation["confidence"] = record.confidence.astype(single)
    if obs_mode != "features":
        observation["patch"] = _clipped(record.patch, FARTHEST)
    return observation


def joined(parts: Sequence[Sensed]) -> Sensed:
    """The readings of several bodies as those of one."""
    records, positions, rotations = zip(*parts, strict=True)
    names = Record.__dataclass_fields__
    record = Record(**{name: np.concatenate([getattr(part, name) for part in records]) for name in names})
    return record, np.concatenate(positions), np.concatenate(rotations)


def bodies(eye: Eye | None, fingers: Sequence[Finger]) -> dict[str, np.ndarray]:
    """The part of an observation that says where the bodies are."""
    parts = {}
    if eye is not None:
        parts |= {"eye_position": eye.position, "eye_rotation": eye.rotation}
    if fingers:
        parts["finger_position"] = np.stack([finger.position for finger in fingers])
        parts["finger_rotation"] = np.stack([finger.rotation for finger in fingers])
    return {name: value.astype(np.float32) for name, value in parts.items()}


def _clipped(array: np.ndarray, bound: float) -> np.ndarray:
    # quicker than np.clip on small arrays
    return np.minimum(np.maximum(array, np.float32(-bound)), np.float32(bound))
