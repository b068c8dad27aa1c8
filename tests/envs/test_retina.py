"""Rays meet what geometry says they meet, wherever the object is and whatever else is in the scene."""

import pickle
import sys

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from cortical.envs.objects import Mesh, open_catalogue
from cortical.envs.record import ray_directions
from cortical.envs.retina import Retina

SOLIDS = open_catalogue("solids")
SPHERE, BOX = SOLIDS.mesh("sphere"), SOLIDS.mesh("box")
FIELD = np.radians(40)


def facing(position: np.ndarray, target: np.ndarray) -> np.ndarray:
    """world_from_sensor of an eye at `position` that looks at `target`, both (b, 3)."""
    z = target - position
    z = z / np.linalg.norm(z, axis=1, keepdims=True)
    x = np.cross(z, np.where(np.abs(z[:, 2:]) > 0.9, [[1.0, 0, 0]], [[0, 0, 1.0]]))
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    return np.stack([x, np.cross(z, x), z], axis=2)


def scene(count: int, seed: int = 0):
    """Random poses of object and sensor, in the order `sense_images` takes them."""
    rng = np.random.default_rng(seed)
    objects = rng.uniform(-0.5, 0.5, (count, 3))
    turns = Rotation.random(count, rng=rng).as_matrix()
    bearing = rng.normal(size=(count, 3))
    eyes = objects + 0.2 * bearing / np.linalg.norm(bearing, axis=1, keepdims=True)
    return objects, turns, eyes, facing(eyes, objects + rng.uniform(-0.02, 0.02, (count, 3)))


def triangle(uv, texture=None) -> Mesh:
    corners = np.array([[-0.1, -0.1, 0], [0.1, -0.1, 0], [-0.1, 0.1, 0]])
    return Mesh(
        "triangle",
        corners,
        np.array([[0, 1, 2]], np.int32),
        np.array([uv], np.float32),
        np.array([[0.1, 0.2, 0.3]], np.float32),
        texture,
    )


def test_depth_of_a_sphere():
    retina = Retina([BOX, SPHERE, BOX], 15, FIELD)
    poses = scene(20)
    images = retina.sense_images(np.full(20, 1), *poses)
    rays = np.einsum("bij,nmj->bnmi", poses[3], ray_directions(15, FIELD))
    along = np.einsum("bnmi,bi->bnm", rays, poses[0] - poses[2])
    inside = 0.05**2 - (np.sum((poses[0] - poses[2]) ** 2, axis=1)[:, None, None] - along**2)
    clear = np.abs(inside) > 1e-5
    assert (images.on_object == (inside > 0))[clear].all()
    hit = clear & (inside > 0)
    error = images.depth[hit] - (along - np.sqrt(np.maximum(inside, 0)))[hit]
    assert np.median(np.abs(error)) < 2e-5 and np.abs(error).max() < 1e-3
    assert (images.depth[~images.on_object] == 0).all() and (images.rgb[~images.on_object] == 0).all()
    np.testing.assert_allclose(
        images.rgb[images.on_object], np.tile(SPHERE.face_colour[0], (images.on_object.sum(), 1))
    )


def test_depth_is_exact_far_out_on_the_lattice():
    retina = Retina([SPHERE] * 30 + [BOX], 9, FIELD)
    eyes = np.array([[0.03, 0.02, 0.3], [0.0, 0.01, 4.0]])
    images = retina.sense_images(
        np.full(2, 30),
        np.zeros((2, 3)),
        np.tile(np.eye(3), (2, 1, 1)),
        eyes,
        np.tile(np.diag([1.0, -1, -1]), (2, 1, 1)),
    )
    np.testing.assert_allclose(images.depth[:, 4, 4], eyes[:, 2] - 0.02, rtol=1e-7)


def test_moving_object_and_sensor_together_changes_nothing():
    retina = Retina([BOX], 9, FIELD)
    objects, turns, eyes, gazes = scene(10)
    before = retina.sense_images(np.zeros(10), objects, turns, eyes, gazes)
    turn, shift = Rotation.from_rotvec([0.3, -1.0, 2.0]).as_matrix(), np.array([1.0, -2.0, 0.5])
    after = retina.sense_images(
        np.zeros(10), objects @ turn.T + shift, turn @ turns, eyes @ turn.T + shift, turn @ gazes
    )
    np.testing.assert_allclose(after.depth, before.depth, atol=1e-6)


def test_batch_equals_singles_and_itself():
    retina = Retina([SPHERE, BOX], 5, FIELD)
    index, poses = np.arange(12) % 2, scene(12)
    batch = retina.sense_images(index, *poses)
    again = retina.sense_images(index, *poses)
    for name in ("depth", "rgb", "on_object"):
        expected = getattr(batch, name)
        np.testing.assert_array_equal(getattr(again, name), expected)
        for k in range(12):
            single = retina.sense_images(index[k : k + 1], *(pose[k : k + 1] for pose in poses))
            np.testing.assert_array_equal(getattr(single, name)[0], expected[k])


@pytest.mark.parametrize("width", [4, 8, 16])
@pytest.mark.parametrize("pixels", [1, 5, 16])
def test_packets_of_any_width_see_what_single_rays_see(width, pixels, monkeypatch):
    retina = Retina([SPHERE, BOX], pixels, FIELD)
    monkeypatch.setattr(retina._scene, "width", width)
    index, poses = np.arange(10) % 2, scene(10)
    images = retina.sense_images(index, *poses)
    objects, turns, eyes, gazes = poses
    origins = np.einsum("bji,bj->bi", turns, eyes - objects)
    rays = np.einsum("bji,bjk,nmk->bnmi", turns, gazes, ray_directions(pixels, FIELD)).reshape(10, -1, 3)
    for k in range(10):
        for p in range(pixels**2):
            depth, face = retina.cast(index[k : k + 1], origins[k : k + 1], rays[k, p : p + 1])
            assert images.on_object[k].flat[p] == (face[0] >= 0)
            assert images.depth[k].flat[p] == pytest.approx(depth[0] if face[0] >= 0 else 0, abs=1e-6)


def test_table_hides_what_lies_behind():
    retina = Retina([BOX], 3, np.radians(3))
    eye, down = np.array([[0.0, 0, 0.5]]), np.diag([1.0, -1, -1])[None]
    pose = (np.zeros(1), np.zeros((1, 3)), np.eye(3)[None], eye, down)
    free, buried = retina.sense_images(*pose, 0.0), retina.sense_images(*pose, 0.1)
    assert free.on_object.all() and free.depth[0, 1, 1] == pytest.approx(0.48)
    assert not buried.on_object.any() and buried.depth[0, 1, 1] == pytest.approx(0.4)
    assert (buried.rgb == buried.rgb[0, 0, 0, 0]).all() and buried.rgb.max() > 0
    up = retina.sense_images(pose[0], pose[1] + [0, 0, 2], pose[2], eye, np.eye(3)[None], 0.0)
    assert up.on_object.all() and up.depth[0, 1, 1] == pytest.approx(1.48)


@pytest.mark.parametrize("shift", [0.0, 3.0, -2.0])
def test_texture_has_its_lower_left_at_the_origin_and_repeats(shift):
    texture = np.zeros((2, 2, 3), np.uint8)
    texture[0, 0], texture[0, 1], texture[1, 0], texture[1, 1] = (255, 0, 0), (0, 255, 0), (0, 0, 255), 255
    uv = np.array([[0, 0], [1, 0], [0, 1]]) + shift
    retina = Retina([triangle(uv, texture)], 1, 0.1)
    spots = np.array([[-0.09, -0.09, 0.2], [0.06, -0.09, 0.2], [-0.09, 0.06, 0.2]])
    down = np.tile(np.diag([1.0, -1, -1]), (3, 1, 1))
    same = (np.zeros(3), np.zeros((3, 3)), np.tile(np.eye(3), (3, 1, 1)))
    rgb = retina.sense_images(*same, spots, down).rgb[:, 0, 0]
    np.testing.assert_array_equal(rgb, [[0, 0, 1], [1, 1, 1], [1, 0, 0]])


def test_face_without_texture_has_its_own_colour():
    retina = Retina([triangle(np.full((3, 2), np.nan), np.zeros((2, 2, 3), np.uint8))], 1, 0.1)
    one = (np.zeros(1), np.zeros((1, 3)), np.eye(3)[None], np.array([[-0.05, -0.05, 0.2]]))
    rgb = retina.sense_images(*one, np.diag([1.0, -1, -1])[None]).rgb
    np.testing.assert_allclose(rgb[0, 0, 0], [0.1, 0.2, 0.3], rtol=1e-6)


def test_cast_gives_lengths_and_faces():
    retina = Retina([SPHERE, BOX], 3, FIELD)
    origins, directions = (
        np.tile([[0.01, 0.02, 0.3]], (3, 1)),
        np.array([[0, 0, -2.0], [0, 0, 2.0], [0, 0, -0.5]]),
    )
    depth, face = retina.cast(np.ones(3), origins, directions)
    np.testing.assert_allclose(depth, [0.14, np.inf, 0.56])
    assert face[1] == -1 and face[0] == face[2] and 0 <= face[0] < len(BOX.faces)
    assert (BOX.vertices[BOX.faces[face[0]]][:, 2] == 0.02).all()
    assert retina.cast(np.zeros(0), np.zeros((0, 3)), np.zeros((0, 3)))[0].shape == (0,)


def test_empty_batch():
    empty = (np.zeros(0), np.zeros((0, 3)), np.zeros((0, 3, 3)), np.zeros((0, 3)), np.zeros((0, 3, 3)))
    assert Retina([BOX], 4, FIELD).sense_images(*empty).rgb.shape == (0, 4, 4, 3)


def test_bad_input_is_told():
    retina = Retina([BOX], 3, FIELD)
    one = (np.zeros((1, 3)), np.eye(3)[None], np.ones((1, 3)), np.eye(3)[None])
    for index in (-1, 1):
        with pytest.raises(IndexError, match=r"0 \.\.\. 0"):
            retina.sense_images(np.array([index]), *one)
        with pytest.raises(IndexError, match=r"0 \.\.\. 0"):
            retina.cast(np.array([index]), one[0], one[2])
    with pytest.raises(ValueError, match=r"expected \(2, 3\)"):
        retina.sense_images(np.zeros(2), *one)
    with pytest.raises(ValueError, match="at least one mesh"):
        Retina([], 3, FIELD)
    with pytest.raises(ValueError, match="pixels"):
        Retina([BOX], 0, FIELD)


def test_copies_are_refused():
    with pytest.raises(TypeError, match="make a new one"):
        pickle.dumps(Retina([BOX], 3, FIELD))


def test_missing_embree_is_told(monkeypatch):
    monkeypatch.setitem(sys.modules, "embreex.rtcore_scene", None)
    with pytest.raises(ImportError, match="pip install embreex"):
        Retina([BOX], 3, FIELD)


def test_no_ray_is_lost_where_a_turn_leaves_next_to_nothing_over():
    """Embree lost packets in which a component of the rays was just below zero."""
    count = 100
    around = np.linspace(0.0, 2.0 * np.pi, count)
    gaze = np.stack([np.cos(around), np.sin(around), 0.0 * around], axis=1)
    right = np.stack([-np.sin(around), np.cos(around), 0.0 * around], axis=1)
    down = np.cross(gaze, right)
    rolled = np.cos(4.0) * right + np.sin(4.0) * down, np.cos(4.0) * down - np.sin(4.0) * right
    rotation = np.stack([*rolled, gaze], axis=2)
    rotation[:, 2, 2] = 0.0
    retina = Retina([SPHERE], 8, 0.9)
    eyes = np.array([0.0, 0.0, -0.003]) - 0.06 * gaze
    still = np.zeros(count, int), np.zeros((count, 3)), np.tile(np.eye(3), (count, 1, 1)), eyes
    level = retina.sense_images(*still, rotation)
    rotation[:, 2, 2] = -4e-19
    assert level.on_object[:, 4, 4].all()
    np.testing.assert_array_equal(retina.sense_images(*still, rotation).on_object, level.on_object)
