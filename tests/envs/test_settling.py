"""Noisy depth: errors are taken along the rays, and points of other surfaces are left out."""

import numpy as np

from cortical.envs.record import Images, ray_directions
from cortical.envs.settling import OUTLIER, UNEXPLAINED, settle
from cortical.envs.surface import fit

FIELD, NOISE = np.radians(10), 0.001


def slanted(angle: float) -> np.ndarray:
    """A frame (centre, normal, two directions) 20 cm away whose normal is `angle` off the gaze."""
    c, s = np.cos(angle), np.sin(angle)
    return np.array([[0.0, 0.0, 0.2], [s, 0.0, -c], [c, 0.0, s], [0.0, -1.0, 0.0]])


def on_plane(frame: np.ndarray, rays: np.ndarray) -> np.ndarray:
    return (frame[0] @ frame[1]) / (rays @ frame[1])


def test_an_error_along_the_ray_becomes_its_share_along_the_normal():
    frame, rays = slanted(np.radians(45)), ray_directions(9, FIELD).reshape(-1, 3)
    exact = on_plane(frame, rays)[:, None] * rays
    error = np.random.default_rng(0).uniform(-3, 3, (len(rays), 1)) * NOISE
    settled, kept = settle((exact + error * rays).T.copy(), len(rays), 0.006, NOISE, frame, np.zeros(6))
    assert kept == len(rays)
    np.testing.assert_allclose(settled.T - exact, error * (rays @ frame[1])[:, None] * frame[1], atol=1e-12)


def test_points_settle_on_a_ball():
    """The quadric is a ball's own: what is left of an error is along the normal of the ball, not of its summit."""
    frame, radius, sigma = slanted(np.radians(30)), 0.05, 0.006
    rays = ray_directions(9, FIELD).reshape(-1, 3)
    middle = frame[0] - radius * frame[1]
    along = rays @ middle
    exact = (along - np.sqrt(along**2 - middle @ middle + radius**2))[:, None] * rays
    curved = np.array([0, 0, 0, -sigma / (2 * radius), 0, -sigma / (2 * radius)])
    moved, kept = settle((exact + NOISE * rays).T.copy(), len(rays), sigma, NOISE, frame, curved)
    left = moved.T - exact
    outwards = (exact - middle) / radius
    assert kept == len(rays)
    sideways = np.linalg.norm(left - np.sum(left * outwards, axis=1)[:, None] * outwards, axis=1)
    assert sideways.max() < 0.2 * NOISE  # 0.3 to 0.7 before
    np.testing.assert_allclose(np.sum(left * outwards, axis=1), NOISE * np.sum(rays * outwards, axis=1), atol=1e-4)


def test_what_noise_cannot_explain_is_left_out():
    frame, rays = slanted(0.0), ray_directions(9, FIELD).reshape(-1, 3)
    limit = np.hypot(OUTLIER * NOISE, UNEXPLAINED)
    reach = on_plane(frame, rays)
    reach[:4] += 1.01 * limit
    reach[4:8] -= 0.99 * limit
    settled, kept = settle((reach[:, None] * rays).T.copy(), len(rays), 0.006, NOISE, frame, np.zeros(6))
    assert kept == len(rays) - 4 and settled[2, :4].max() < 0.2 - 0.9 * limit


def test_a_wall_close_behind_a_strip_is_not_felt():
    """Noise hides the jump of 12 mm from the search for jumps at some pixels; without outliers, 9 degrees become 4."""
    rays = ray_directions(16, FIELD)
    depth = np.tile(0.2 / rays[..., 2], (200, 1, 1))
    depth[:, :, :6] += 0.012
    depth += NOISE * np.random.default_rng(0).standard_normal(depth.shape)
    images = Images(depth.astype(np.float32), np.full((*depth.shape, 3), 0.5, np.float32), depth > 0)
    pose = np.zeros((200, 3)), np.tile(np.eye(3), (200, 1, 1))
    record = fit(images, 16, FIELD, *pose, 0.006, NOISE)
    angle = np.degrees(np.arccos(-record.normal[:, 2]))
    assert np.median(angle) < 6.0 and np.median(np.abs(record.curvature)) < 7.5
    assert np.median(np.abs(record.location[:, 2] - 0.2)) < 0.0003
