"""Pose refinement to the noise limit, and the evidence of a pose's whole neighbourhood.

A group's summed votes are a quadratic model of the log-evidence around each pose: slope s and information H by a
small turn and shift. One Gauss-Newton step goes to its top, (H + D) x = s, with a damping D that keeps a hypothesis
in its own neighbourhood; the evidence of that neighbourhood is Laplace's approximation,

    log E = L(pose) + 3 log 2 pi - log det(H + D) / 2 - log V,

V the volume of poses there were to begin with: all rotations, 8 pi^2, times the cube of possible locations.
(Laplace's method: MacKay, Information Theory, Inference, and Learning Algorithms, 2003, ch. 27.)
"""

import math
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from ..geometry import orthonormal, rotation_from_vector
from .compiled import refine as compiled
from .compiled.refine import FARTHEST_SHIFT, FARTHEST_TURN
from .hypotheses import Hypotheses

OWN_TURN, OWN_SHIFT = 0.08, 0.003  # sd of a hypothesis' own neighbourhood: radians, metres
DAMPING = np.array([OWN_TURN**-2] * 3 + [OWN_SHIFT**-2] * 3)
LOG_VOLUME = math.log(8 * math.pi**2) + 3 * math.log(0.1)


def step(hypotheses: Hypotheses, slope: Tensor, information: Tensor) -> Hypotheses:
    """Each pose moved to the top of its quadratic model: slope (g, b, 6), information (g, b, 6, 6), summed votes."""
    move = compiled.step if slope.device.type == "cpu" else moved
    parts = hypotheses.rotation, hypotheses.location, hypotheses.pivot
    rotation, location = move(*parts, slope, information, DAMPING)
    return replace(hypotheses, rotation=rotation, location=location)


def moved(
    rotation: Tensor, location: Tensor, pivot: Tensor, slope: Tensor, information: Tensor, damping: np.ndarray
) -> tuple[Tensor, Tensor]:
    """Rotations (g, b, 3, 3) and locations (g, b, 3) after one damped Gauss-Newton step about the pivots (g, 3)."""
    factor, _ = torch.linalg.cholesky_ex(_damped(information, damping))
    solution = torch.cholesky_solve(slope[..., None], factor)[..., 0]
    turn = solution[..., :3]
    turn = turn * (FARTHEST_TURN / turn.norm(dim=-1, keepdim=True).clamp(min=FARTHEST_TURN))
    rotate, about = rotation_from_vector(turn), pivot[:, None]
    shift = solution[..., 3:].clamp(-FARTHEST_SHIFT, FARTHEST_SHIFT)
    location = about + (rotate @ (location - about)[..., None])[..., 0] + shift
    return orthonormal(rotate @ rotation), location


def with_evidence(hypotheses: Hypotheses, log_likelihood: Tensor, information: Tensor) -> Hypotheses:
    """Evidence of neighbourhoods and the sd of each pose, from summed votes (g, b), (g, b, 6, 6)."""
    evidence, turn_sd, shift_sd = neighbourhood_evidence(log_likelihood, information)
    alive = hypotheses.log_evidence > -math.inf
    evidence = torch.where(alive, evidence, -math.inf)
    return replace(hypotheses, log_evidence=evidence, turn_sd=turn_sd, shift_sd=shift_sd)


def neighbourhood_evidence(log_likelihood: Tensor, information: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Laplace's approximation for poses of log-likelihood (...) and information (..., 6, 6): log evidence, and the
    largest sd of a turn (radians) and a shift (metres), each (...)."""
    measure = compiled.neighbourhood if information.device.type == "cpu" else neighbourhood
    half_log_det, turn_sd, shift_sd = measure(information, DAMPING)
    return log_likelihood + 3 * math.log(2 * math.pi) - half_log_det - LOG_VOLUME, turn_sd, shift_sd


def neighbourhood(information: Tensor, damping: np.ndarray) -> tuple[Tensor, Tensor, Tensor]:
    """Of damped information (..., 6, 6): half its log determinant, and the largest standard deviations of turn and
    shift that it leaves, each (...)."""
    factor, _ = torch.linalg.cholesky_ex(_damped(information, damping))
    half_log_det = factor.diagonal(dim1=-2, dim2=-1).clamp(min=1e-6).log().sum(-1)
    sd = torch.cholesky_inverse(factor).diagonal(dim1=-2, dim2=-1).clamp(min=0).sqrt()
    return half_log_det, sd[..., :3].amax(-1), sd[..., 3:].amax(-1)


def _damped(information: Tensor, damping: np.ndarray) -> Tensor:
    return information + torch.diag(torch.from_numpy(damping).to(information))


def log_prior_mass(hypotheses: Hypotheses) -> Tensor:
    """Log share of all poses that lie in a seed's own neighbourhood, (g, b): what its evidence is weighted with
    before it is refined, (2 pi)^3 turn_sd^3 shift_sd^3 / V."""
    sd = hypotheses.turn_sd.log() + hypotheses.shift_sd.log()
    return 3 * math.log(2 * math.pi) + 3 * sd - LOG_VOLUME
