"""From one step of the loop to what is kept of it: plain numbers and names, for tables, pictures and pages."""

import numpy as np
import torch
from scipy.spatial.transform import Rotation

from cortical.columns.messages import Consensus
from cortical.columns.posterior import log_odds
from cortical.columns.region import Region

from .agent import Step
from .episode import ColumnTrace, PoseTrace, StepTrace

KEPT = 24
"""Poses kept of a step."""
DIGITS = 5
"""Decimals kept of a pose: 10 micrometres; a trace holds many."""


def trace_of(step: Step, region: Region) -> StepTrace:
    """What is kept of a step."""
    consensus = step.belief.consensus
    assert consensus is not None
    names = (*region.objects, "unknown")
    posterior = consensus.log_posterior[0].exp()
    top = posterior.argsort(descending=True)[:8].tolist()
    poses, votes = _survivors(step, consensus, region.share(step.belief.steps), names)
    pairs = zip(consensus.column_log_posterior[0], consensus.alone_log_posterior[0], votes, strict=True)
    sensed = (step.sensation.on_object & step.sensation.valid)[0].tolist()
    points = step.sensation.location[0].tolist()
    return StepTrace(
        best=names[int(consensus.log_posterior[0].argmax())],
        log_odds=float(consensus.log_odds[0]),
        entropy=float(-(posterior * consensus.log_posterior[0]).sum()),
        posterior={names[i]: float(posterior[i]) for i in top},
        columns=[ColumnTrace(*_summary(after, names), *_summary(before, names), vote) for after, before, vote in pairs],
        votes=len(step.belief.ballot),
        eye=step.eye[0].tolist(),
        gaze=step.eye[1][:, 2].tolist(),
        location=[p if on else [] for p, on in zip(points, sensed, strict=True)],
        think_ms=1e3 * step.thinking,
        expected_nats=step.expected,
        reason=step.reason,
        goal=[] if step.goal is None else [part.tolist() for part in step.goal],
        origin=step.sensation.origin[0].double().cpu().numpy().round(DIGITS).tolist(),
        hypotheses=poses,
    )


def _summary(log_posterior: torch.Tensor, names: tuple[str, ...]) -> tuple[float, str, float]:
    """Entropy, best object and its log odds."""
    best, odds = log_odds(log_posterior)
    return float(-(log_posterior.exp() * log_posterior).sum()), names[int(best)], float(odds)


def _survivors(
    step: Step, consensus: Consensus, trust: float, names: tuple[str, ...]
) -> tuple[list[PoseTrace], list[int]]:
    """The strongest poses on the ballot, and which of them each column votes for by itself (-1: none of them)."""
    favourites = log_odds(consensus.alone_log_posterior[0])[0].tolist()
    ballot = step.belief.ballot
    alive = (ballot.log_evidence[0] > -torch.inf).nonzero()[:, 0]
    if len(alive) == 0:
        return [], [-1] * len(favourites)
    obj = ballot.obj[0][alive].cpu().numpy()
    location, rotation = (x[0][alive].double().cpu().numpy() for x in (ballot.location, ballot.rotation))
    strength = trust * ballot.log_evidence[0][alive].double().cpu().numpy()
    weight = _weights(obj, strength, consensus.log_posterior[0].exp().double().cpu().numpy())
    order = np.argsort(-weight, kind="stable")
    first = {int(o): int(i) for o, i in zip(obj[order][::-1], order[::-1], strict=True)}
    agreed = first.get(int(consensus.object_index[0]))
    if agreed is not None:  # at the end of an episode this pose, and no other, is polished
        location[agreed] = consensus.pose.location[0].double().cpu().numpy()
        rotation[agreed] = consensus.pose.rotation[0].double().cpu().numpy()
    kept = _chosen(order, {first[o] for o in favourites if o in first})
    turns = Rotation.from_matrix(rotation).as_quat().round(DIGITS)
    places = location.round(DIGITS)
    poses = [PoseTrace(names[obj[i]], places[i].tolist(), turns[i].tolist(), float(weight[i])) for i in kept]
    return poses, [kept.index(first[o]) if o in first else -1 for o in favourites]


def _weights(obj: np.ndarray, strength: np.ndarray, share: np.ndarray) -> np.ndarray:
    """(b,) shares of belief of poses of the objects `obj` (b,): that of each object, `share` (objects + 1,), divided
    among its poses by their `strength` (b,), the evidence as far as it is trusted."""
    mass = np.full(len(share), -np.inf)
    np.logaddexp.at(mass, obj, strength)
    return share[obj] * np.exp(strength - mass[obj])


def _chosen(order: np.ndarray, wanted: set[int]) -> list[int]:
    """The first of `order`, KEPT in all, those `wanted` among them, in this order."""
    rest = [i for i in order.tolist() if i not in wanted][: KEPT - len(wanted)]
    kept = wanted.union(rest)
    return [i for i in order.tolist() if i in kept]
