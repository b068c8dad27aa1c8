"""What every world, sensor and catalogue must keep, as plain functions to call from your own tests.

Each raises AssertionError (or what it met) with what is wrong, and returns nothing.
"""

import math
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import trimesh
from gymnasium.utils.env_checker import check_env

from .mesh import Mesh, checked
from .objects import Catalogue, solid
from .placing import random_rotations
from .record import Images, Record
from .retina import Retina
from .sensors import Sensor

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


def check_reader(read: Sensor, pixels: int = 8, field_of_view: float = math.radians(10)) -> None:
    """Check what reads the images of an eye, a plug-in sensor say, before a ball: the contract of `check_sensor`; what
    it makes of a patch doesn't hang on the others or on what it read before; the images stay as they are."""
    ball = solid("ball", trimesh.creation.icosphere(subdivisions=5, radius=0.05), (0.8, 0.4, 0.2))
    retina = Retina([ball], pixels, field_of_view)

    def see(position: np.ndarray, rotation: np.ndarray) -> Images:
        here, straight = np.zeros((len(position), 3)), np.tile(np.eye(3), (len(position), 1, 1))
        return retina.sense_images(np.zeros(len(position), int), here, straight, position, rotation)

    check_sensor(lambda at, turn: read(see(at, turn), pixels, field_of_view, at, turn))
    turn = random_rotations(12, np.random.default_rng(0))
    at = -np.linspace(0.1, 0.3, 12)[:, None] * turn[:, :, 2] + np.linspace(0.0, 0.08, 12)[:, None] * turn[:, :, 0]
    images, kept = see(at, turn), see(at, turn)
    together = read(images, pixels, field_of_view, at, turn)
    for name in Images.__dataclass_fields__:
        assert np.array_equal(getattr(images, name), getattr(kept, name)), f"the sensor changed the images' {name}"
    for k in (*range(12), *range(11, -1, -1)):
        alone = read(see(at[k : k + 1], turn[k : k + 1]), pixels, field_of_view, at[k : k + 1], turn[k : k + 1])
        for name in Record.__dataclass_fields__:
            same = np.array_equal(getattr(alone, name)[0], getattr(together, name)[k])
            assert same, f"{name} of a patch is another when it is read by itself, or again"


def check_catalogue(opened: Callable[[], Catalogue]) -> None:
    """Check a catalogue, which `opened()` gives.

    Names, all different, in the same order each time; KeyError for another; of each object the same triangles each
    time, in metres, the middle of the bounding box at the origin, colours in 0 ... 1, and something to be seen.
    """
    catalogue, again = opened(), opened()
    assert isinstance(catalogue, Catalogue), f"a catalogue must be an envs.objects.Catalogue, not {catalogue!r}"
    assert len(catalogue), "the catalogue is empty"
    assert all(isinstance(name, str) and name for name in catalogue.names), f"names must be text: {catalogue.names}"
    assert catalogue.names == again.names, f"the names change: {catalogue.names}, then {again.names}"
    _must_raise(KeyError, lambda: catalogue.mesh("".join(catalogue.names) + "?"), "an unknown name")
    for name in catalogue.names:
        mesh = catalogue.mesh(name)
        assert isinstance(mesh, Mesh), f"{name} must be an envs.objects.Mesh, not {mesh!r}"
        _check_mesh(name, mesh)
        for part in ("vertices", "faces", "face_colour"):
            same = np.array_equal(getattr(mesh, part), getattr(again.mesh(name), part))
            assert same, f"{name}: {part} are others when the catalogue is opened again"


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


def _check_mesh(name: str, mesh: Mesh) -> None:
    assert mesh.name == name, f"the object called {name!r} calls itself {mesh.name!r}"
    vertices, faces = mesh.vertices, mesh.faces
    assert vertices.ndim == 2 and vertices.shape[1] == 3, f"{name}: vertices have shape {vertices.shape}"
    assert np.isfinite(vertices).all(), f"{name}: a vertex isn't finite"
    assert faces.ndim == 2 and faces.shape[1] == 3 and len(faces), f"{name}: faces have shape {faces.shape}"
    assert faces.min() >= 0 and faces.max() < len(vertices), f"{name}: a face has a corner that isn't there"
    assert mesh.face_uv.shape == (len(faces), 3, 2), f"{name}: face_uv has shape {mesh.face_uv.shape}"
    assert mesh.face_colour.shape == (len(faces), 3), f"{name}: face_colour has shape {mesh.face_colour.shape}"
    checked(mesh, Path(name))
    middle, size = (vertices.max(0) + vertices.min(0)) / 2, float(np.ptp(vertices, axis=0).max())
    assert np.abs(middle).max() < 1e-6 * size, f"{name}: the middle of its bounding box is {middle}, not the origin"
    away = random_rotations(64, np.random.default_rng(0))[:, 2]
    depth, _ = Retina([mesh], 1, 0.1).cast(np.zeros(64, int), 2 * size * away, -away)
    assert np.isfinite(depth).any(), f"{name}: nothing of it is seen by looking at its middle from 64 sides"


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
