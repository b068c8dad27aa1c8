"""A belief in a few dozen numbers: what a learned policy is shown, of fixed size whatever is believed.

Everything is finite and within -1 ... 1; lengths are told in the orbit frame (`orbit`: ahead, side, out) unless
another is named, so that the same situation seen from elsewhere gives the same numbers. Zeros where nothing is known.
"""

import math

import numpy as np

from .orbit import OrbitFrame, orbit_frame, pose_weights
from .policy import Situation

FIELDS: dict[str, tuple[int, str]] = {
    "likeliest": (4, "probabilities of the four likeliest entries of the posterior, in order"),
    "doubt": (3, "entropy / ln(objects + 1); tanh(log odds of the best / 20 nats); tanh(nats a sensation that the best "
                 "pose explains / 10)"),
    "pose": (4, "how well the pose is known: share of belief in the strongest; its sd of turn in radians and of shift "
                "in cm, both at most 1; rms distance of the poses' places from their mean, tanh(/ 5 cm)"),
    "own": (6, "out and ahead in the frame of the object of the strongest pose, as it lies: where the object is seen "
               "from"),
    "rival": (6, "the same for the strongest pose of another object, or of this one if there is no other"),
    "apart": (4, "place of the rival less that of the strongest, tanh(/ 5 cm); whether they are different objects"),
    "place": (3, "the object's seeming middle in the eye's own frame (right, down, ahead), tanh(/ 40 cm)"),
    "visited": (17, "how much was seen from here, from 8 bearings 30 degrees and from 8 bearings 60 degrees away "
                    "(anticlockwise from ahead): n / (1 + n), n readings of the object from about there"),
    "newest": (13, "the newest reading (of the first column): whether it is valid, and on an object; its place from "
                   "the middle, tanh(/ 10 cm); its normal; log curvatures, tanh(/ 4); saturation times cosine and "
                   "sine of the hue; value"),
    "effort": (2, "1 - exp(-sensations / 20); share of the readings that met the object"),
}  # fmt: skip
"""What is shown besides the posterior: (how many numbers, which)."""
POSTERIOR = "posterior"
"""(objects + 1,) probabilities, in the order of the region's objects; the last: none of those I know."""
WIDE = 8.0  # of a bearing: readings within about 20 degrees count


def summary_sizes(objects: int) -> dict[str, int]:
    """How many numbers each field of the summary has, for a region that knows so many objects."""
    return {POSTERIOR: objects + 1, **{name: size for name, (size, _) in FIELDS.items()}}


def belief_summary(situation: Situation) -> dict[str, np.ndarray]:
    """The summary of a situation, float32 arrays as in FIELDS and POSTERIOR. Raises ValueError before any sensation."""
    consensus = situation.belief.consensus
    if consensus is None or situation.newest is None:
        raise ValueError("nothing was sensed yet: a belief is summed up after a sensation")
    frame = orbit_frame(situation)
    posterior = consensus.log_posterior[0].exp().double().cpu().numpy()
    found = {
        POSTERIOR: posterior,
        "likeliest": np.pad(np.sort(posterior)[::-1][:4], (0, max(0, 4 - len(posterior)))),
        "doubt": _doubt(situation, posterior),
        **_poses(situation, frame),
        "place": np.tanh(situation.body.rotation.T @ (frame.centre - situation.body.position) / 0.4),
        "visited": _visited(situation, frame),
        "newest": _newest(situation, frame),
        "effort": _effort(situation),
    }
    return {name: np.clip(value, -1.0, 1.0).astype(np.float32) for name, value in found.items()}


def _doubt(situation: Situation, posterior: np.ndarray) -> np.ndarray:
    consensus, fit = situation.belief.consensus, situation.belief.fit
    assert consensus is not None
    entropy = -(posterior * np.log(np.maximum(posterior, 1e-300))).sum() / math.log(len(posterior))
    explained = 0.0 if fit is None else float(fit[0]) / 10
    return np.array([entropy, math.tanh(float(consensus.log_odds[0]) / 10), math.tanh(explained)])


def _poses(situation: Situation, frame: OrbitFrame) -> dict[str, np.ndarray]:
    """How well the pose is known, and where the eye is on the two poses most worth telling apart."""
    ballot = situation.belief.ballot
    empty = {name: np.zeros(FIELDS[name][0]) for name in ("pose", "own", "rival", "apart")}
    if len(ballot) == 0 or float(ballot.log_evidence[0].max()) == -math.inf:
        return empty
    weights = pose_weights(situation)[:-1]
    obj, place, turn = (x[0].double().cpu().numpy() for x in (ballot.obj, ballot.location, ballot.rotation))
    best = int(weights.argmax())
    rest = np.where(np.arange(len(weights)) == best, -1.0, weights)
    others = np.where(obj != obj[best], weights, -1.0)
    rival = int(others.argmax() if others.max() > 0 else rest.argmax())
    share = weights / weights.sum() if weights.sum() > 0 else np.full(len(weights), 1 / len(weights))
    scatter = math.sqrt(max(0.0, float(share @ ((place - share @ place) ** 2).sum(1))))
    sure = float(ballot.turn_sd[0, best]), 100 * float(ballot.shift_sd[0, best])
    return {
        "pose": np.array([weights[best], *sure, math.tanh(scatter / 0.05)]),
        "own": _aspect(situation, frame, place[best], turn[best]),
        "rival": _aspect(situation, frame, place[rival], turn[rival]),
        "apart": np.array([*np.tanh(frame.axes @ (place[rival] - place[best]) / 0.05), obj[rival] != obj[best]]),
    }


def _aspect(situation: Situation, frame: OrbitFrame, place: np.ndarray, turn: np.ndarray) -> np.ndarray:
    """From where an object that lies so is seen, and where ahead leads, in its own frame."""
    out = situation.body.position - place
    return np.concatenate([turn.T @ (out / max(1e-6, float(np.linalg.norm(out)))), turn.T @ frame.ahead])


def _visited(situation: Situation, frame: OrbitFrame) -> np.ndarray:
    around = np.arange(8) * math.pi / 4
    ways = np.stack([np.cos(around), np.sin(around), np.zeros(8)], 1)
    rings = [math.cos(a) * np.array([0.0, 0.0, 1.0]) + math.sin(a) * ways for a in np.radians([30.0, 60.0])]
    bearings = np.concatenate([np.array([[0.0, 0.0, 1.0]]), *rings])
    seen_from = -situation.gazes @ frame.axes.T
    count = np.exp(WIDE * (bearings @ seen_from.T - 1.0)).sum(1)
    return count / (1 + count)


def _newest(situation: Situation, frame: OrbitFrame) -> np.ndarray:
    """The centre patch's reading; zeros but for `valid` where it met nothing."""
    assert situation.newest is not None
    reading = situation.newest[0, 0]
    valid, met = bool(reading.valid), bool(reading.on_object & reading.valid)
    if not met:
        return np.array([valid, *np.zeros(FIELDS["newest"][0] - 1)], float)
    location, normal, curvature, hsv = (
        x.double().cpu().numpy() for x in (reading.location, reading.normal, reading.curvature, reading.hsv)
    )
    hue = 2 * math.pi * hsv[0]
    return np.array([
        1.0, 1.0, *np.tanh(frame.axes @ (location - frame.centre) / 0.1), *(frame.axes @ normal),
        *np.tanh(curvature / 4), hsv[1] * math.cos(hue), hsv[1] * math.sin(hue), hsv[2],
    ])  # fmt: skip


def _effort(situation: Situation) -> np.ndarray:
    assert situation.newest is not None
    steps = situation.belief.steps
    readings = steps * situation.newest.valid.shape[1]
    return np.array([1 - math.exp(-steps / 20), len(situation.locations) / max(1, readings)])
