"""Rotations and frames obey the laws of rotations and frames."""

import math

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from cortical.columns.geometry import (
    cross_matrix,
    orthonormal,
    random_rotations,
    rotation_angle,
    rotation_from_quaternion,
    rotation_from_vector,
    surface_frame,
    turn_about_z,
)
from cortical.columns.messages import Pose

numbers = st.floats(-10.0, 10.0, allow_subnormal=False)
vectors = st.tuples(numbers, numbers, numbers).map(lambda v: torch.tensor(v, dtype=torch.float64))
directions = vectors.filter(lambda v: v.norm() > 1e-3).map(lambda v: v / v.norm())
angles = st.floats(0.0, math.pi)
rotations = vectors.map(rotation_from_vector)
poses = st.builds(Pose, vectors, rotations)
quick = settings(deadline=None, max_examples=60)


def close(a, b, within=1e-9):
    return torch.allclose(a, b, rtol=0.0, atol=within)


def is_rotation(r, within=1e-9):
    identity = torch.eye(3, dtype=r.dtype)
    return close(r @ r.mT, identity.expand_as(r), within) and close(
        torch.linalg.det(r), torch.ones(r.shape[:-2], dtype=r.dtype), within
    )


@quick
@given(vectors)
def test_exponential_map_is_the_rotation_that_scipy_gives(vector):
    rotation = rotation_from_vector(vector)
    assert is_rotation(rotation)
    assert close(rotation, torch.from_numpy(Rotation.from_rotvec(vector.numpy()).as_matrix()))
    assert close(rotation @ vector, vector)
    assert close(rotation.mT, rotation_from_vector(-vector))


def test_tiny_turns_keep_their_size():
    tiny = torch.tensor([1e-9, 0.0, 0.0], dtype=torch.float64)
    assert close(rotation_from_vector(tiny) - torch.eye(3, dtype=torch.float64), cross_matrix(tiny), 1e-17)


@quick
@given(vectors, vectors)
def test_cross_matrix_is_the_cross_product(v, w):
    assert close(cross_matrix(v) @ w, torch.linalg.cross(v, w))


@quick
@given(rotations, rotations, rotations)
def test_angle_is_a_distance_between_rotations(a, b, c):
    angle = rotation_angle(a, b)
    assert close(angle, rotation_angle(b, a))
    assert close(angle, rotation_angle(c @ a, c @ b), 1e-6)
    assert 0 <= angle <= math.pi + 1e-9
    assert angle <= rotation_angle(a, c) + rotation_angle(c, b) + 1e-6


@quick
@given(directions, angles, rotations)
def test_angle_of_a_turn_is_its_angle(axis, angle, rotation):
    turned = rotation_from_vector(axis * angle) @ rotation
    # near pi the chord hardly changes with the angle
    assert abs(float(rotation_angle(turned, rotation)) - angle) < 1e-6


@quick
@given(directions, directions, angles)
def test_surface_frames_are_right_handed(normal, other, angle):
    tangent = torch.linalg.cross(normal, other)
    if tangent.norm() < 1e-3:
        return
    tangent = tangent / tangent.norm()
    frame = surface_frame(normal, tangent)
    assert is_rotation(frame)
    assert close(frame[:, 0], tangent) and close(frame[:, 2], normal)
    turned = frame @ turn_about_z(torch.tensor(angle, dtype=torch.float64))
    assert close(turned[:, 2], normal)
    assert abs(float(rotation_angle(turned, frame)) - angle) < 1e-6


@quick
@given(rotations, st.integers(0, 1000))
def test_orthonormal_mends_a_worn_frame(rotation, seed):
    worn = rotation + 0.01 * torch.randn(3, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    assert is_rotation(orthonormal(worn))
    assert rotation_angle(orthonormal(worn), rotation) < 0.1
    assert close(orthonormal(rotation), rotation)


@quick
@given(vectors, numbers.filter(lambda w: abs(w) > 1e-2), st.floats(0.1, 10.0))
def test_quaternions_of_any_length_are_xyzw(v, w, length):
    quaternion = torch.cat([v, torch.tensor([w], dtype=torch.float64)])
    rotation = rotation_from_quaternion(quaternion * length)
    assert close(rotation, torch.from_numpy(Rotation.from_quat(quaternion.numpy()).as_matrix()))
    assert close(rotation, rotation_from_quaternion(-quaternion))


def test_random_rotations_are_uniform():
    rotation = random_rotations(4000, torch.Generator().manual_seed(0))
    assert is_rotation(rotation, 1e-5)
    assert rotation.mean(0).abs().max() < 0.05
    # uniform on SO(3): P(angle < a) = (a - sin a) / pi
    angle = rotation_angle(rotation, torch.eye(3).expand_as(rotation))
    for a in (1.0, 2.0, 3.0):
        assert abs(float((angle < a).double().mean()) - (a - math.sin(a)) / math.pi) < 0.03


@quick
@given(poses, poses, poses, vectors)
def test_poses_are_a_group_that_moves_points(a, b, c, point):
    assert close((a @ b).apply(point), a.apply(b.apply(point)))
    left, right = (a @ b) @ c, a @ (b @ c)
    assert close(left.location, right.location) and close(left.rotation, right.rotation)
    for nothing in (a @ a.inverse(), a.inverse() @ a):
        assert close(nothing.location, torch.zeros(3, dtype=torch.float64))
        assert close(nothing.rotation, torch.eye(3, dtype=torch.float64))


def test_batches_broadcast():
    vector = torch.randn(2, 5, 3, generator=torch.Generator().manual_seed(0))
    pose = Pose(vector, rotation_from_vector(vector))
    assert (pose @ pose.inverse()).location.abs().max() < 1e-6
    assert rotation_angle(pose.rotation, torch.eye(3)).shape == (2, 5)
    assert surface_frame(vector, vector).shape == turn_about_z(vector[..., 0]).shape == (2, 5, 3, 3)
