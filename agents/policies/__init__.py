"""Motor policies: what a body should do next, given what its columns believe. One file each, one protocol."""

from .information_gain import InformationGain
from .policy import Policy, Situation
from .saccade import Saccade

__all__ = ["InformationGain", "Policy", "Saccade", "Situation", "make_policy"]


def make_policy(name: str, candidates: int = 32, hypotheses: int = 16) -> Policy:
    """The policy of that name. Raises ValueError for an unknown one."""
    if name == "saccade":
        return Saccade()
    if name == "information_gain":
        return InformationGain(candidates, hypotheses)
    raise ValueError(f"no policy {name!r}: choose saccade or information_gain")
