"""What a movement is worth, from the evidence that is expected of it.

E_ij, nats, is the log evidence that hypothesis j is expected to get from a sensation if hypothesis i is true, against
'none of the objects I know'; e_i is the evidence so far, o(i) the object. That of several columns adds up, as votes do.
Two scores, each for the object, for its pose, or for both:

    information    I = - sum_i w_i log sum_j w_j exp(E_ij - E_ii)   w = softmax(e / 2)
                   the mutual information of hypothesis and sensation, from above (Kolchinsky & Tracey, Entropy 19(7),
                   2017, eq. 10 and 12: components' divergences in place of the mixture's integral)
    odds           G = sum_i w_i [ logodds(e + E_i.) - logodds(e) ]        logodds of o(i) against all else
                   the expected weight of evidence (I. J. Good, Probability and the Weighing of Evidence, 1950)

Information is what is left to learn: once one object has 99.9 % there is next to none. Odds have no such end, so they
are what leads to a decision at high odds (H. Chernoff, Sequential design of experiments, Ann. Math. Stat. 30, 1959).
Information about the object is what is left of that about (object, pose) without that about the pose given the object.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from cortical.configs.schema import Aim, Score

AIMS: dict[str, tuple[float, float]] = {"both": (1.0, 1.0), "identity": (1.0, 0.0), "pose": (0.0, 1.0)}
"""How much what is learnt of the object and of its pose count."""
FLATTENED = 0.5  # beliefs are flattened before they are weighed, so that the runners-up count
SMALLEST = 1e-30


@dataclass(frozen=True, slots=True)
class Foresight:
    """What is expected of the next sensation at c places, under each of h hypotheses.

    evidence : (c, h, h) nats, [:, i, j] of hypothesis j if i is true
    meets : (c, h) how probable it is that something is met if the hypothesis is true
    """

    evidence: Tensor
    meets: Tensor

    def __add__(self, other: "Foresight") -> "Foresight":
        """Of sensations by two columns at once."""
        return Foresight(self.evidence + other.evidence, 1 - (1 - self.meets) * (1 - other.meets))

    def __getitem__(self, which) -> "Foresight":
        """Some of the places."""
        return Foresight(self.evidence[which], self.meets[which])


def worth(
    seen: Foresight, evidence: Tensor, obj: Tensor, trust: float, score: Score = "odds", aim: Aim = "both",
    preference: float = 0.0,
) -> Tensor:  # fmt: skip
    """Nats, (c,), that each place is worth.

    evidence, obj : (h,) nats and object of each hypothesis
    trust : share of the evidence that counts
    preference : nats by which meeting something is preferred to meeting nothing, for "free_energy": the expected free
        energy of active inference, sign reversed, is information plus the expected log prior of outcomes (Friston et
        al., Active inference: a process theory, Neural Computation 29, 2017, eq. 2.6)
    """
    weights = (FLATTENED * (evidence - evidence.amax())).softmax(0)
    same = obj[:, None] == obj
    if score == "odds":
        parts = odds_of_object(seen.evidence, evidence, obj, trust), odds_of_pose(seen.evidence, evidence, same)
        values = tuple(part @ weights for part in parts)
    else:
        everything = information(seen.evidence, weights)
        pose = information(seen.evidence, weights, same)
        values = everything - pose, pose
    of_object, of_pose = AIMS[aim]
    total = of_object * values[0] + of_pose * values[1]
    return total + preference * (seen.meets @ weights) if score == "free_energy" else total


def information(expected: Tensor, weights: Tensor, same: Tensor | None = None) -> Tensor:
    """Nats, (c,), between hypothesis of weights (h,) and sensation; given `same` (h, h), which of them are of one
    object, what is left when the object is known."""
    mine = torch.diagonal(expected, dim1=1, dim2=2)
    alike = (expected - mine[:, :, None]).clamp(max=0.0).exp()
    if same is None:
        return -(alike @ weights).clamp(min=SMALLEST).log() @ weights
    among = weights * same
    among = among / among.sum(1, keepdim=True).clamp(min=SMALLEST)
    return -((alike * among).sum(-1).clamp(min=SMALLEST).log() @ weights)


def odds_of_object(expected: Tensor, evidence: Tensor, obj: Tensor, trust: float) -> Tensor:
    """(c, h) nats by which the log odds of each hypothesis' object, against all others and 'none of those I know', are
    expected to grow if it is true."""
    objects, which = obj.unique(return_inverse=True)
    member = torch.nn.functional.one_hot(which, len(objects)).to(evidence)
    now = _log_odds(evidence[None, None].expand(1, len(obj), -1), member, trust)
    return _log_odds(evidence + expected, member, trust) - now


def _log_odds(evidence: Tensor, member: Tensor, trust: float) -> Tensor:
    """(c, h): log odds of object o(i) by the evidence (c, i, j) of hypotheses, their objects one-hot (j, o)."""
    peak = evidence.amax(-1, keepdim=True)
    mass = trust * (((evidence - peak).exp() @ member).clamp(min=SMALLEST).log() + peak)
    mine = (mass * member).sum(-1)
    others = torch.where(member > 0, -math.inf, mass)
    return mine - torch.cat([others, torch.zeros_like(others[..., :1])], -1).logsumexp(-1)


def odds_of_pose(expected: Tensor, evidence: Tensor, same: Tensor) -> Tensor:
    """(c, h) nats by which each hypothesis, if it is true, is expected to gain on all poses of its object together."""
    now = torch.where(same, evidence, -math.inf).logsumexp(-1) - evidence
    then = torch.where(same, evidence + expected, -math.inf).logsumexp(-1)
    return now - then + evidence + torch.diagonal(expected, dim1=1, dim2=2)
