"""What sensations can say of an object's pose at best: Fisher's information, and the Cramér-Rao bound that follows.

The pose is that of the true surface, turned by a small w and shifted by t about a pivot c, which moves a point p of it
by d = w x (p - c) + t. A sensation is a noisy location, frame (normal and principal directions) and further features
of one point of the surface. Which point is not known: two unknowns u along the surface, that the location alone tells.
So a feature's error is that of the sensor plus that of the place,

    r = (J - A J_t) (w, t) + e - A e_t,     information  (J - A J_t)^T (S + s^2 A A^T)^-1 (J - A J_t)

J how the feature turns with the pose, A how it changes along the surface, J_t the tangential part of d, S the
sensor's variances, s that of the location an axis; and the height over the surface gives (n.d)^2 / s^2.
With `rays` the point is known, for every pose, as the one that the sensor's ray meets: more information, which a
recogniser that compares locations only doesn't use.

All of it is local, on a smooth surface: what a miss or an edge tells, and that a distant pose may fit by chance, is
not in it.
"""

import math
from dataclasses import dataclass

import numpy as np

SLANT = 0.2  # cosine of the gaze to the surface below which a ray's meeting point is not followed
ANYWHERE = np.array([1.0] * 3 + [0.05**-2] * 3)  # before any sensation: radians^-2, metres^-2
DRAWS = np.random.default_rng(0).standard_normal((20_000, 3))


@dataclass(frozen=True)
class Surface:
    """n sensed points of the true surface, world frame, metres and radians.

    point : (n, 3);  gaze : (n, 3) unit
    frame : (n, 3, 3), columns: two tangents and the outward normal
    frame_turn : (n, 3, 2) vector in axes of `frame`, by which the sensed frame turns, per metre along each tangent
    frame_variance : (n, 3) of the sensed frame about its axes; the last is that of the principal direction
    change : (n, k, 2) of k further features per metre along each tangent
    variance : (k,) of the further features
    location_sd : metres an axis
    """

    point: np.ndarray
    gaze: np.ndarray
    frame: np.ndarray
    frame_turn: np.ndarray
    frame_variance: np.ndarray
    change: np.ndarray
    variance: np.ndarray
    location_sd: float = 0.002

    def only(self, rows: np.ndarray | slice, features: int | None = None) -> "Surface":
        """Some of the points, and the first so many of the further features."""
        return Surface(
            self.point[rows], self.gaze[rows], self.frame[rows], self.frame_turn[rows], self.frame_variance[rows],
            self.change[rows, :features], self.variance[:features], self.location_sd,
        )  # fmt: skip


def information(surface: Surface, pivot: np.ndarray, rays: bool = False) -> np.ndarray:
    """Of the pose, (6, 6): turn (radians) and shift (metres) about the pivot (3,), world axes."""
    count, square = len(surface.point), surface.location_sd**2
    moved = np.concatenate([-_cross(surface.point - pivot), np.broadcast_to(np.eye(3), (count, 3, 3))], 2)
    within = np.einsum("nji,njk->nik", surface.frame, moved)  # in axes of the frame
    along, height = within[:, :2], within[:, 2]
    turned = np.concatenate([np.swapaxes(surface.frame, 1, 2), np.zeros((count, 3, 3))], 2)
    turned = np.concatenate([turned, np.zeros((count, surface.change.shape[1], 6))], 1)
    change = np.concatenate([surface.frame_turn, surface.change], 1)
    spread = np.broadcast_to(surface.variance, (count, len(surface.variance)))
    noise = np.eye(change.shape[1]) * np.concatenate([surface.frame_variance, spread], 1)[:, None]
    if rays:
        gaze = np.einsum("nji,nj->ni", surface.frame, surface.gaze)
        height = height / np.minimum(gaze[:, 2:], -SLANT)  # metres along the ray
        along = along - gaze[:, :2, None] * height[:, None]
    else:
        noise = noise + square * change @ np.swapaxes(change, 1, 2)
    slope = turned - change @ along
    features = np.einsum("nki,nkl,nlj->ij", slope, np.linalg.inv(noise), slope)
    return features + height.T @ height / square


def pose_sd(found: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Covariances (3, 3) of turn and shift, of Fisher's information (6, 6) and that before any sensation."""
    covariance = np.linalg.inv(found + np.diag(ANYWHERE))
    return covariance[:3, :3], covariance[3:, 3:]


def median_turn_deg(turn: np.ndarray, axis: np.ndarray | None = None) -> float:
    """Median angle in degrees of Gaussian turns of covariance (3, 3); turns about `axis` (3,) don't count."""
    keep = np.eye(3) if axis is None else np.eye(3) - np.outer(axis, axis)
    values, vectors = np.linalg.eigh(keep @ turn @ keep)
    drawn = DRAWS * np.sqrt(values.clip(0)) @ vectors.T
    return min(180.0, math.degrees(float(np.median(np.linalg.norm(drawn, axis=1)))))


def bound_deg(surface: Surface, axis: np.ndarray | None = None, rays: bool = False) -> float:
    """The Cramér-Rao median of the rotation error for these sensations, degrees."""
    if len(surface.point) == 0:
        return 180.0
    found = information(surface, surface.point.mean(0), rays)
    return median_turn_deg(pose_sd(found)[0], axis)


def _cross(vectors: np.ndarray) -> np.ndarray:
    """[v]x of vectors (n, 3): (n, 3, 3)."""
    x, y, z = vectors.T
    zero = np.zeros_like(x)
    return np.stack([zero, -z, y, z, zero, -x, -y, x, zero], 1).reshape(-1, 3, 3)
