"""What every world and every sensor must keep, as plain functions to call from your own tests.

Each raises AssertionError (or what it met) with what is wrong, and returns nothing.
"""

import warnings
from collections.abc import Callable, Sequence
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.utils.env_checker import check_env

from .record import Record

POSES = ("sensor_position", "sensor_rotation", "valid")
BODIES = ("eye_position", "eye_rotation", "finger_position", "finger_rotation")
FEATURES = ("location", "normal", "directions", "curvature", "rgb", "hsv", "on_object", "confidence")


def check_env_contract(env: gym.Env, steps: int = 20) -> None:
    """Check a world whose observations are those of `ObjectExploreEnv`, with "features" or both. Closes it.

    Gymnasium's own checker without a warning; finite float32 observations whose features obey the
    geometry of `record.Record`; the truth only in info["truth"]; the same seed and actions give the same
    bits; an action of zeros moves nothing; wrong actions raise ValueError; closing twice is fine, stepping
    afterwards an error.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_env(env.unwrapped, skip_render_check=True)
    env.action_space.seed(0)
    actions = [0.3 * env.action_space.sample() for _ in range(steps)]
    first, second = (_play(env, actions) for _ in range(2))
    for observation, again in zip(first, second, strict=True):
        check_observation(observation)
        for name, value in observation.items():
            assert np.array_equal(value, again[name]), f"{name} differs though seed and actions are the same"
    before = env.reset(seed=5)[0]
    after = env.step(np.zeros_like(actions[0]))[0]
    for name in {*BODIES} & {*before}:
        assert np.array_equal(before[name], after[name]), f"an action of zeros changed {name}"
    for wrong in (np.zeros(len(actions[0]) + 1, np.float32), np.full_like(actions[0], np.nan)):
        _must_raise(ValueError, lambda wrong=wrong: env.step(wrong), f"step({wrong})")
    env.close()
    env.close()
    _must_raise(Exception, lambda: env.step(actions[0]), "step after close")


def check_observation(observation: dict[str, np.ndarray]) -> None:
    """Check one observation of c patches against the geometry that `record.Record` promises."""
    missing = {*POSES, *FEATURES} - set(observation)
    assert not missing, f"the observation lacks {sorted(missing)}"
    for name, value in observation.items():
        assert value.dtype == np.float32 and np.isfinite(value).all(), f"{name} isn't finite float32: {value}"
    for name in {"sensor_rotation", "eye_rotation", "finger_rotation"} & {*observation}:
        square = observation[name] @ np.swapaxes(observation[name], -1, -2)
        assert np.abs(square - np.eye(3)).max() < 1e-5, f"{name} isn't a rotation"
    values = [observation[name] for name in FEATURES]
    _check_features(*values, valid=observation["valid"] > 0)


def check_record(record: Record, count: int) -> None:
    """Check that a record of `count` patches has the shapes, types and geometry of `record.Record`."""
    shapes = {
        "location": (3,),
        "normal": (3,),
        "directions": (2, 3),
        "curvature": (2,),
        "rgb": (3,),
        "hsv": (3,),
    }
    for name in Record.__dataclass_fields__:
        value, kind = getattr(record, name), (bool if name in ("on_object", "valid") else np.float32)
        shape = shapes.get(name, value.shape[1:] if name == "patch" else ())
        assert value.shape == (count, *shape), f"{name} has shape {value.shape}, not {(count, *shape)}"
        assert value.dtype == kind, f"{name} is {value.dtype}"
        assert np.isfinite(value).all(), f"{name} isn't finite: {value}"
    assert record.patch.shape[1] == record.patch.shape[2] and record.patch.shape[3] == 6, record.patch.shape
    _check_features(*(getattr(record, name) for name in FEATURES), valid=record.valid)


def check_sensor(sense: Callable[[np.ndarray, np.ndarray], Record], radius: float = 0.05) -> None:
    """Check a noiseless sensor before a ball of `radius` metres at the world's origin.

    sense : sensor positions (b, 3) and rotations (b, 3, 3) world_from_sensor -> Record of b patches
    """
    away = np.array([(1.0, 0, 0), (0, 1.0, 0), (0, 0, 1.0), (0.6, 0, -0.8)])
    right = np.array([(0, 1.0, 0), (0, 0, 1.0), (1.0, 0, 0), (0, 1.0, 0)])
    rotation = np.stack([right, np.cross(-away, right), -away], axis=2)
    record = sense(away * (radius + 0.1), rotation)
    check_record(record, len(away))
    assert record.on_object.all() and record.valid.all(), "a gaze at the ball's middle must meet it"
    assert np.abs(record.location - radius * away).max() < 0.002, "location isn't where the gaze meets the ball"
    assert (np.einsum("bi,bi->b", record.normal, away) > 0.99).all(), "normal doesn't point out of the ball"
    assert np.abs(record.curvature * radius - 1.0).max() < 0.2, f"curvature isn't 1/radius: {record.curvature}"
    empty = sense(away * (radius + 0.1), rotation * [1.0, -1.0, -1.0])
    check_record(empty, len(away))
    assert not empty.on_object.any() and empty.valid.all(), "looking away gives an empty reading, which is valid"
    assert not empty.location.any() and not empty.patch.any(), "an empty reading holds zeros"


def check_touch(touch: Callable[[np.ndarray, np.ndarray], Record], radius: float = 0.05) -> None:
    """Check noiseless fingers before a ball of `radius` metres at the world's origin.

    touch : positions (b, 3) and rotations (b, 3, 3) world_from_finger, before they press along their z -> Record
    """

    def colourless(position: np.ndarray, rotation: np.ndarray) -> Record:
        record = touch(position, rotation)
        for name in ("rgb", "hsv", "patch"):
            assert not getattr(record, name).any(), f"a finger feels no colour and sees nothing: {name} isn't 0"
        return record

    check_sensor(lambda position, rotation: colourless(position * (radius + 0.02) / (radius + 0.1), rotation), radius)


def _check_features(
    location: np.ndarray,
    normal: np.ndarray,
    directions: np.ndarray,
    curvature: np.ndarray,
    rgb: np.ndarray,
    hsv: np.ndarray,
    on_object: np.ndarray,
    confidence: np.ndarray,
    valid: np.ndarray,
) -> None:
    met = (on_object > 0) & valid
    assert np.abs(np.linalg.norm(normal[met], axis=-1) - 1.0).max(initial=0.0) < 1e-4, "normals must be unit"
    third = np.cross(normal[met], directions[met, 0])
    assert np.abs(third - directions[met, 1]).max(initial=0.0) < 1e-4, "second direction != normal x first"
    assert (curvature[met, 0] >= curvature[met, 1]).all(), f"curvatures out of order: {curvature}"
    assert np.abs(rgb.max(axis=-1) - hsv[:, 2])[met].max(initial=0.0) < 1e-4, "hsv's value is not rgb's maximum"
    for share in (rgb, hsv, confidence):
        assert (share >= 0).all() and (share <= 1).all(), f"not within 0 ... 1: {share}"
    assert np.abs(location[met]).max(initial=0.0) < 100.0, f"location is far off: {location}"


def _play(env: gym.Env, actions: Sequence[np.ndarray]) -> list[dict[str, np.ndarray]]:
    observation, info = env.reset(seed=3)
    played = [observation]
    for action in actions:
        assert "truth" in info and not {"object", "position", "rotation"} & set(info), "truth goes in info['truth']"
        observation, _, _, _, info = env.step(action)
        played.append(observation)
    return played


def _must_raise(kind: type[Exception], call: Callable[[], Any], what: str) -> None:
    try:
        call()
    except kind:
        return
    raise AssertionError(f"{what} must raise {kind.__name__}")
