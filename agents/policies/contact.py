"""What a body knows of the surface where its gaze is, after the newest sensation."""

from dataclasses import dataclass

import numpy as np
import torch

from cortical.columns.messages import Sensation

from .policy import Situation

DIRECTED = 0.5  # log curvatures that differ by more than this have principal directions


@dataclass(frozen=True)
class Contact:
    """The surface as last met, world frame.

    point, normal : (3,) metres, and unit
    direction : (3,) unit, the principal direction of the first curvature; zeros where the surface has none
    curvature : (2,) 1/m, convex positive; zeros if unknown
    before : (n, 3) metres, the points met before, in order
    astray : (3,) unit, square to the normal, in which direction the gaze went past the surface since; zeros if it met
        the surface, or passed it where it was met last
    missed : whether the newest sensation met nothing
    """

    point: np.ndarray
    normal: np.ndarray
    direction: np.ndarray
    curvature: np.ndarray
    before: np.ndarray
    astray: np.ndarray
    missed: bool


def contact(situation: Situation) -> Contact | None:
    """The surface where the body's gaze is, or was before it missed; None if nothing was met yet."""
    newest, met = situation.newest, situation.locations
    if newest is None or len(met) == 0:
        return None
    own = _own_reading(situation, newest)
    if own is None:
        point, normal, eye = met[-1], -situation.gazes[-1], situation.body
        gaze = eye.rotation[:, 2]
        passed = eye.position + gaze * ((point - eye.position) @ gaze)
        return Contact(point, normal, np.zeros(3), np.zeros(2), met[:-1], flat(passed - point, normal), True)
    point, normal, direction, log = (
        x.double().cpu().numpy() for x in (own.location, own.normal, own.direction, own.curvature)
    )
    now = int((newest.on_object & newest.valid).sum())
    direction = direction * (abs(log[0] - log[1]) > DIRECTED)
    curvature = np.sign(log) * np.expm1(np.abs(log))
    return Contact(point, normal, direction, curvature, met[: max(0, len(met) - now)], np.zeros(3), False)


def flat(vector: np.ndarray, normal: np.ndarray) -> np.ndarray:
    """The part of (3,) that is square to the normal, of length one; zeros if there is none."""
    vector = vector - (vector @ normal) * normal
    length = float(np.linalg.norm(vector))
    return vector / length if length > 1e-6 else np.zeros(3)


def _own_reading(situation: Situation, newest: Sensation) -> Sensation | None:
    """The reading of the body's own first sensor that met something."""
    away = (newest.origin[0].double().cpu() - torch.from_numpy(situation.body.position)).norm(dim=1)
    mine = (newest.on_object & newest.valid)[0].cpu() & (away < away.min() + 1e-4)
    return newest[0, int(mine.int().argmax())] if bool(mine.any()) else None
