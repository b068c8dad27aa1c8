"""Motor policies: what a body should do next, given what its columns believe. One file each, one protocol."""

from .information_gain import InformationGain
from .learned import Learned, PolicyFileError
from .policy import Policy, Situation
from .saccade import Saccade

__all__ = ["InformationGain", "Learned", "Policy", "PolicyFileError", "Saccade", "Situation", "make_policy"]


def make_policy(name: str, candidates: int = 32, hypotheses: int = 16, file: str = "") -> Policy:
    """The policy of that name. Raises ValueError for an unknown one, PolicyFileError for a file of none."""
    if name == "saccade":
        return Saccade()
    if name == "information_gain":
        return InformationGain(candidates, hypotheses)
    if name == "learned":
        return Learned(file)
    raise ValueError(f"no policy {name!r}: choose saccade, information_gain or learned")
