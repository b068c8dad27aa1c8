"""The fitted surface against shapes whose normals and curvatures are known."""

import colorsys

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from cortical.envs.objects import open_catalogue
from cortical.envs.record import Images, Record, ray_directions
from cortical.envs.retina import Retina
from cortical.envs.surface import fit, sense

FIELD = np.radians(6)
RADII = (0.05, 0.02)


def sphere(p):
    return np.linalg.norm(p, axis=-1) - 0.05


def cylinder(p):
    return np.hypot(p[..., 0], p[..., 1]) - 0.03


def torus(p):
    return np.hypot(np.hypot(p[..., 0], p[..., 1]) - RADII[0], p[..., 2]) - RADII[1]


def curvatures(shape, p):
    """Principal curvatures, larger first, at points p : (b, 3)."""
    if shape is sphere:
        return np.full((len(p), 2), 20.0)
    if shape is cylinder:
        return np.tile([1 / 0.03, 0.0], (len(p), 1))
    rho = np.hypot(p[:, 0], p[:, 1])
    return np.stack([np.full(len(p), 50.0), (rho - RADII[0]) / RADII[1] / rho], axis=1)


def gradient(shape, p):
    steps = 1e-6 * np.eye(3)
    g = np.stack([shape(p + step) - shape(p - step) for step in steps], axis=-1)
    return g / np.linalg.norm(g, axis=-1, keepdims=True)


def march(shape, eyes, rays):
    """Distance along rays : (b, n, n, 3) to the shape, a signed distance; 0 where they pass it."""
    t = np.zeros(rays.shape[:-1])
    for _ in range(300):
        t = t + np.minimum(shape(eyes[:, None, None] + t[..., None] * rays), 1.0)
    return np.where((t < 0.5) & (np.abs(shape(eyes[:, None, None] + t[..., None] * rays)) < 1e-9), t, 0.0)


def views(shape, pixels: int, count: int = 150, distance: float = 0.2, slant: float = 75.0):
    """Images of `shape` from random sides, the true gaze points, and the poses of the sensors."""
    rng = np.random.default_rng(3)
    around = rng.uniform(0, 2 * np.pi, 3 * count)
    aims = rng.normal(size=(3 * count, 3)) * 0.008
    if shape is torus:
        aims += RADII[0] * np.stack([np.cos(around), np.sin(around), 0 * around], axis=1)
    out = rng.normal(size=(3 * count, 3))
    eyes = distance * out / np.linalg.norm(out, axis=1, keepdims=True)
    z = (aims - eyes) / np.linalg.norm(aims - eyes, axis=1, keepdims=True)
    x = np.cross(z, rng.normal(size=(3 * count, 3)))
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    gazes = np.stack([x, np.cross(z, x), z], axis=2)
    rays = np.einsum("bij,nmj->bnmi", gazes, ray_directions(pixels, FIELD))
    depth = march(shape, eyes, rays)
    middle = depth[:, pixels // 2, pixels // 2]
    points = eyes + middle[:, None] * z
    seen = (middle > 0) & (-np.sum(z * gradient(shape, points), axis=1) > np.cos(np.radians(slant)))
    keep = np.flatnonzero(seen)[:count]
    return depth[keep], points[keep], eyes[keep], gazes[keep]


def flat(depth) -> Images:
    """Images of one colour."""
    rgb = np.broadcast_to(np.float32([0.2, 0.4, 0.8]), (*depth.shape, 3))
    return Images(depth.astype(np.float32), rgb, depth > 0)


def angle(a, b):
    return np.degrees(np.arccos(np.clip(np.sum(a * b, axis=-1), -1, 1)))


def check(record: Record, gazes: np.ndarray) -> None:
    for name in Record.__dataclass_fields__:
        value = getattr(record, name)
        assert value.dtype in (np.float32, np.bool_) and np.isfinite(value).all(), name
    frame = np.concatenate([record.directions, record.normal[:, None]], axis=1).astype(float)
    np.testing.assert_allclose(
        frame @ frame.transpose(0, 2, 1), np.tile(np.eye(3), (len(frame), 1, 1)), atol=1e-5
    )
    np.testing.assert_allclose(np.linalg.det(frame), 1, atol=1e-5)
    assert (np.sum(record.normal * gazes[:, :, 2], axis=1) < 0).all()
    assert (record.curvature[:, 0] >= record.curvature[:, 1]).all() and np.abs(record.curvature).max() <= 1000
    for name in ("rgb", "hsv", "confidence"):
        assert getattr(record, name).min() >= 0 and getattr(record, name).max() <= 1


@pytest.mark.parametrize("pixels", [5, 8, 16])
@pytest.mark.parametrize("shape", [sphere, cylinder, torus])
def test_accuracy(shape, pixels):
    depth, points, eyes, gazes = views(shape, pixels)
    record = fit(flat(depth), pixels, FIELD, eyes, gazes)
    check(record, gazes)
    assert record.valid.all() and record.on_object.all()
    assert np.abs(record.location - points).max() < 1e-7
    normal = angle(record.normal, gradient(shape, points))
    truth = curvatures(shape, points)
    error = np.abs(record.curvature - truth).max(1) / np.abs(truth).max(1)
    assert np.median(normal) < 0.3 and np.quantile(normal, 0.9) < 1.5
    assert np.median(error) < 0.01 and np.quantile(error, 0.9) < 0.05
    if shape is not sphere:
        up = np.array([0, 0, 1.0])
        along = (
            up if shape is cylinder else np.cross(up, points / np.linalg.norm(points, axis=1, keepdims=True))
        )
        along = along / np.linalg.norm(along, axis=-1, keepdims=True)
        weak = np.abs(np.sum(record.directions[:, 1] * along, axis=1))
        assert np.median(np.degrees(np.arccos(np.minimum(weak, 1)))) < 0.5


def test_inside_of_a_ball_is_concave():
    rays = ray_directions(9, FIELD)
    record = fit(flat(np.full((1, 9, 9), 0.05)), 9, FIELD, np.zeros((1, 3)), np.eye(3)[None])
    assert rays.shape == (9, 9, 3)
    np.testing.assert_allclose(record.curvature, -20, rtol=1e-3)


def test_curvature_does_not_depend_on_the_distance():
    for distance in (0.08, 0.12, 0.2):
        depth, points, eyes, gazes = views(torus, 16, 60, distance)
        record = fit(flat(depth), 16, FIELD, eyes, gazes)
        error = np.abs(record.curvature - curvatures(torus, points)).max(1) / 50
        assert np.median(error) < 0.01


def test_depth_noise_is_averaged():
    depth, points, eyes, gazes = views(sphere, 16)
    noise = np.random.default_rng(0).normal(size=depth.shape) * 1e-4
    noisy = flat(np.where(depth > 0, depth + noise, 0))
    record = fit(noisy, 16, FIELD, eyes, gazes, depth_noise=1e-4)
    check(record, gazes)
    assert np.median(np.linalg.norm(record.location - points, axis=1)) < 2.5e-5
    assert np.median(angle(record.normal, gradient(sphere, points))) < 0.3
    assert np.median(np.abs(record.curvature.mean(1) - 20)) < 2


def test_turning_object_and_sensor_turns_the_record():
    retina = Retina([open_catalogue("solids").mesh("torus")], 8, FIELD)
    _, _, eyes, gazes = views(torus, 8, 40)
    still = np.zeros((len(eyes), 3)), np.tile(np.eye(3), (len(eyes), 1, 1))
    turn, shift = Rotation.from_rotvec([2.0, 0.5, -1.0]).as_matrix(), np.array([0.2, -0.1, 0.4])
    before = sense(retina, np.zeros(len(eyes)), *still, eyes, gazes)
    after = sense(
        retina, np.zeros(len(eyes)), still[0] + shift, turn @ still[1], eyes @ turn.T + shift, turn @ gazes
    )
    check(after, turn @ gazes)
    np.testing.assert_allclose(after.location, before.location @ turn.T + shift, atol=1e-6)
    np.testing.assert_allclose(after.normal, before.normal @ turn.T, atol=1e-4)
    np.testing.assert_allclose(after.curvature, before.curvature, atol=0.05)
    np.testing.assert_allclose(after.directions, before.directions @ turn.T, atol=1e-2)
    np.testing.assert_allclose(after.patch, before.patch, atol=1e-5)
    np.testing.assert_allclose(after.rgb, before.rgb, atol=1e-6)


def test_batch_equals_singles_and_itself():
    depth, _, eyes, gazes = views(torus, 8, 20)
    images = flat(depth)
    batch, again = (fit(images, 8, FIELD, eyes, gazes) for _ in range(2))
    singles = [
        fit(Images(images.depth[k], images.rgb[k], images.on_object[k]), 8, FIELD, eyes[k], gazes[k])
        for k in (slice(i, i + 1) for i in range(20))
    ]
    for name in Record.__dataclass_fields__:
        np.testing.assert_array_equal(getattr(again, name), getattr(batch, name))
        np.testing.assert_array_equal(
            np.concatenate([getattr(s, name) for s in singles]), getattr(batch, name)
        )


def test_jump_in_depth_is_left_out():
    """A flat strip in front of a wall: the fit on the strip must not feel the wall."""
    depth = 0.2 / ray_directions(16, FIELD)[None, :, :, 2]
    strip = depth.copy()
    strip[:, :, :5] *= 1.05
    record = fit(flat(strip), 16, FIELD, np.zeros((1, 3)), np.eye(3)[None])
    np.testing.assert_allclose(record.normal, [[0, 0, -1]], atol=1e-5)
    np.testing.assert_allclose(record.curvature, 0, atol=0.01)
    assert record.confidence[0] > 0.99


def pose(count=1):
    return np.zeros((count, 3)), np.tile(np.eye(3), (count, 1, 1))


def test_empty_table_and_lost_readings():
    depth = np.full((4, 5, 5), 0.2, np.float32)
    on_object = np.ones((4, 5, 5), bool)
    depth[0], on_object[0] = 0, False
    on_object[1] = False
    depth[2, 2, 2] = np.nan
    depth[3, 2, 2] = np.inf
    record = fit(Images(depth, np.full((4, 5, 5, 3), 0.5, np.float32), on_object), 5, FIELD, *pose(4))
    check(record, pose(4)[1])
    np.testing.assert_array_equal(record.on_object, False)
    np.testing.assert_array_equal(record.valid, [True, True, False, False])
    np.testing.assert_allclose(record.location, [[0, 0, 0], [0, 0, 0.2], [0, 0, 0], [0, 0, 0]], atol=1e-6)
    assert (record.patch[:2] == 0).all() and (record.confidence == 0).all()


def test_holes_in_depth_are_bridged():
    depth = np.full((1, 8, 8), 0.2, np.float32)
    depth[0, 1, 1], depth[0, 6, 5] = np.nan, -1.0
    record = fit(flat(depth), 8, FIELD, *pose())
    check(record, pose()[1])
    assert record.valid[0] and (record.patch[0, 1, 1] == 0).all()


@pytest.mark.parametrize(("size", "valid"), [(1, False), (2, False), (4, True)])
def test_few_points_give_a_plane_or_nothing(size, valid):
    depth = np.zeros((1, 5, 5), np.float32)
    depth[0, [2, 2, 1, 1][:size], [2, 1, 2, 1][:size]] = 0.2
    record = fit(flat(depth), 5, FIELD, *pose())
    check(record, pose()[1])
    assert record.on_object[0] and record.valid[0] == valid
    np.testing.assert_allclose(record.location, [[0, 0, 0.2]], atol=1e-7)
    np.testing.assert_array_equal(record.curvature, 0)


def test_random_images_give_finite_records():
    rng = np.random.default_rng(0)
    depth = rng.choice([0.0, 0.001, 0.2, 0.21, 5.0, np.nan, np.inf, -1.0], (300, 5, 5)).astype(np.float32)
    images = Images(
        depth, rng.uniform(size=(300, 5, 5, 3)).astype(np.float32), rng.uniform(size=depth.shape) < 0.8
    )
    with np.errstate(all="raise"):
        record = fit(images, 5, FIELD, *pose(300))
    check(record, pose(300)[1])


def test_colour_is_that_of_the_gaze():
    rng = np.random.default_rng(1)
    rgb = np.repeat(np.repeat(rng.uniform(size=(200, 1, 1, 3)), 5, 1), 5, 2).astype(np.float32)
    rgb[:3] = [[[[0.0, 0, 0]]], [[[1, 1, 1]]], [[[0.5, 0, 0.5]]]]
    depth = np.full((200, 5, 5), 0.2, np.float32)
    record = fit(Images(depth, rgb, depth > 0), 5, FIELD, *pose(200))
    np.testing.assert_allclose(record.rgb, rgb[:, 2, 2], atol=1e-6)
    truth = [colorsys.rgb_to_hsv(*map(float, colour)) for colour in record.rgb]
    np.testing.assert_allclose(record.hsv, truth, atol=1e-5)


def test_wrong_shapes_are_told():
    with pytest.raises(ValueError, match=r"expected depth \(1, 5, 5\)"):
        fit(flat(np.full((1, 4, 4), 0.2)), 5, FIELD, *pose())
    with pytest.raises(ValueError, match=r"sensor_position \(1, 3\)"):
        fit(flat(np.full((1, 5, 5), 0.2)), 5, FIELD, *pose(2))
