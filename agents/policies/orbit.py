"""Movement around where the object seems to be: five numbers that mean the same wherever the eye is.

The eye lies on a sphere around the object's seeming middle. *Out* is the bearing from the middle to the eye, *ahead*
the direction along the sphere that leads away from where the object was seen from, the nearer the more,

    ahead ~ -sum_i exp(NEAR (b_i . out)) b_i        b_i: bearings seen from; only the part square to out counts

and *side* = out x ahead. An orbit action says where to step in this frame and where on the object to look from there:

    a[0]  heading, -1 ... 1 = -180 ... 180 degrees from ahead towards side
    a[1]  stride, -1 ... 1 = none ... the longest that the eye's limits allow, times 1 - ((1 - a[1]) / 2)^2
    a[2:4] the point to look at, ahead and to the side of the middle, in LOOK metres, in the frame after the step
    a[4]  distance from the middle, DISTANCE (1 + NEARER a[4])

Zero is three quarters of a stride away from what was seen, looking at the middle.
"""

import math
from dataclasses import dataclass

import numpy as np
import torch

from cortical.envs.bodies import Eye, decode, encode, turned

from .policy import DISTANCE, Situation

MEANING: dict[str, tuple[str, str]] = {
    "heading": ("180°", "where to step on the sphere around the object, from ahead (away from what was seen) to side"),
    "stride": ("1", "-1: stay, 0: three quarters of the longest step that the eye's limits allow, 1: all of it"),
    "look ahead": ("4 cm", "the point to look at, ahead of the object's seeming middle"),
    "look aside": ("4 cm", "the same to the side"),
    "distance": ("1", "distance from the middle, 20 cm times 1 + a quarter of this"),
}
"""Of the five numbers of an orbit action, in their order: the unit and what they are."""
NEAR = 4.0
LOOK = 0.04
NEARER = 0.25
SPARE = 0.95  # of the limits, for the object's middle isn't where it seems to be


@dataclass(frozen=True, slots=True)
class OrbitFrame:
    """centre : (3,) metres, world frame; ahead, side, out : (3,) unit, world frame, as above."""

    centre: np.ndarray
    ahead: np.ndarray
    side: np.ndarray
    out: np.ndarray

    @property
    def axes(self) -> np.ndarray:
        """orbit_from_world (3, 3): rows ahead, side, out."""
        return np.stack([self.ahead, self.side, self.out])


def orbit_frame(situation: Situation) -> OrbitFrame:
    """The frame of where the body is now; without anything seen, ahead is the body's right."""
    centre = believed_centre(situation)
    out = situation.body.position - centre
    length = float(np.linalg.norm(out))
    out = out / length if length > 1e-6 else -situation.body.rotation[:, 2]
    away = np.zeros(3)
    if len(situation.gazes):
        seen_from = -situation.gazes
        away = -(np.exp(NEAR * (seen_from @ out - 1.0))[:, None] * seen_from).sum(0)
    ahead = _square(away, out)
    if np.linalg.norm(ahead) < 1e-3:
        ahead = _square(situation.body.rotation[:, 0], out)
    if np.linalg.norm(ahead) < 1e-3:
        ahead = _square(situation.body.rotation[:, 1], out)
    ahead = ahead / np.linalg.norm(ahead)
    return OrbitFrame(centre, ahead, np.cross(out, ahead), out)


def believed_centre(situation: Situation) -> np.ndarray:
    """Where the middle of the object seems to be, (3,) metres: the mean over the poses believed in, and of what was
    sensed by as much as none of them is."""
    ballot = situation.belief.ballot
    if len(ballot) == 0:
        return situation.centre()
    weights = pose_weights(situation)
    places = ballot.location[0].double().cpu().numpy()
    return weights[:-1] @ places + weights[-1] * situation.centre()


def pose_weights(situation: Situation) -> np.ndarray:
    """(b + 1,) share of belief in each pose of the ballot; the last: in none of them. They sum to one."""
    evidence = situation.region.share(situation.belief.steps) * situation.belief.ballot.log_evidence[0].double().cpu()
    return torch.cat([evidence, torch.zeros(1, dtype=evidence.dtype)]).softmax(0).numpy()


def orbit_action(situation: Situation, wish: np.ndarray) -> np.ndarray:
    """The eye's own action (5,) float32 for an orbit action (5,), within the eye's limits.

    Raises ValueError for anything but five finite numbers, or for a body that is no eye.
    """
    wish = np.asarray(wish, dtype=float)
    if wish.shape != (5,) or not np.isfinite(wish).all():
        raise ValueError(
            "an orbit action is 5 finite numbers (heading, stride, look ahead, look aside, distance),"
            f" got {wish.shape}: {wish!r}"
        )
    if not isinstance(situation.body, Eye):
        raise ValueError('only an eye can orbit: choose action_mode="body" for fingers')
    heading, stride, ahead, aside, distance = np.clip(wish, -1.0, 1.0).tolist()
    frame, limits = orbit_frame(situation), situation.limits
    longest = SPARE * min(limits.max_turn, 2 * math.asin(min(1.0, limits.max_path / (2 * DISTANCE))), math.pi / 2)
    angle = longest * (1 - ((1 - stride) / 2) ** 2)
    way = math.cos(math.pi * heading) * frame.ahead + math.sin(math.pi * heading) * frame.side
    out = math.cos(angle) * frame.out + math.sin(angle) * way
    ahead_there = math.cos(angle) * way - math.sin(angle) * frame.out
    target = frame.centre + LOOK * (ahead * ahead_there + aside * np.cross(out, ahead_there))
    origin = frame.centre + DISTANCE * (1 + NEARER * distance) * out
    return encode(situation.body, origin, target - origin, limits)[0]


def pose_after(situation: Situation, action: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Where an action (5,) of the body takes it if nothing is in its way: place (3,) metres and direction (3,) unit,
    world frame."""
    body = situation.body
    displacement, (right, down) = decode(action, situation.limits)
    return body.position + body.rotation @ displacement, turned(body.rotation, right, down)[:, 2]


def _square(vector: np.ndarray, to: np.ndarray) -> np.ndarray:
    return vector - (vector @ to) * to
