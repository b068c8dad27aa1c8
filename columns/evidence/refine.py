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

import torch
from torch import Tensor

from ..geometry import orthonormal, rotation_from_vector
from .hypotheses import Hypotheses

OWN_TURN, OWN_SHIFT = 0.08, 0.003  # sd of a hypothesis' own neighbourhood: radians, metres
LOG_VOLUME = math.log(8 * math.pi**2) + 3 * math.log(0.1)


def _damped(information: Tensor) -> Tensor:
    damping = torch.tensor([OWN_TURN**-2] * 3 + [OWN_SHIFT**-2] * 3, device=information.device)
    return information + torch.diag(damping)


def step(hypotheses: Hypotheses, slope: Tensor, information: Tensor) -> Hypotheses:
    """Each pose moved to the top of its quadratic model: slope (g, b, 6), information (g, b, 6, 6), summed votes."""
    solution = _solve(_damped(information), slope)
    turn = solution[..., :3]
    turn = turn * (0.3 / turn.norm(dim=-1, keepdim=True).clamp(min=0.3))
    shift = solution[..., 3:].clamp(-0.01, 0.01)
    rotate = rotation_from_vector(turn)
    pivot = hypotheses.pivot[:, None]
    location = pivot + (rotate @ (hypotheses.location - pivot)[..., None])[..., 0] + shift
    return replace(hypotheses, rotation=orthonormal(rotate @ hypotheses.rotation), location=location)


def with_evidence(hypotheses: Hypotheses, log_likelihood: Tensor, information: Tensor) -> Hypotheses:
    """Evidence of neighbourhoods and the sd of each pose, from summed votes (g, b), (g, b, 6, 6)."""
    evidence, factor = neighbourhood_evidence(log_likelihood, information)
    covariance = torch.cholesky_inverse(factor).diagonal(dim1=-2, dim2=-1).clamp(min=0)
    alive = hypotheses.log_evidence > -math.inf
    return replace(
        hypotheses,
        log_evidence=torch.where(alive, evidence, -math.inf),
        turn_sd=covariance[..., :3].amax(-1).sqrt(),
        shift_sd=covariance[..., 3:].amax(-1).sqrt(),
    )


def neighbourhood_evidence(log_likelihood: Tensor, information: Tensor) -> tuple[Tensor, Tensor]:
    """Laplace's approximation for poses of log-likelihood (...) and information (..., 6, 6): log evidence (...) and the
    Cholesky factor of the damped information."""
    factor, _ = torch.linalg.cholesky_ex(_damped(information))
    half_log_det = factor.diagonal(dim1=-2, dim2=-1).clamp(min=1e-6).log().sum(-1)
    return log_likelihood + 3 * math.log(2 * math.pi) - half_log_det - LOG_VOLUME, factor


def _solve(matrix: Tensor, vector: Tensor) -> Tensor:
    factor, _ = torch.linalg.cholesky_ex(matrix)
    return torch.cholesky_solve(vector[..., None], factor)[..., 0]


def log_prior_mass(hypotheses: Hypotheses) -> Tensor:
    """Log share of all poses that lie in a seed's own neighbourhood, (g, b): what its evidence is weighted with
    before it is refined, (2 pi)^3 turn_sd^3 shift_sd^3 / V."""
    sd = hypotheses.turn_sd.log() + hypotheses.shift_sd.log()
    return 3 * math.log(2 * math.pi) + 3 * sd - LOG_VOLUME
