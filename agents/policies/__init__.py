"""Motor policies: what a body should do next, given what its columns believe. One file each, one protocol."""

from cortical.configs.plugins import call_plugin
from cortical.configs.schema import PolicyConfig

from .information_gain import InformationGain
from .learned import Learned, PolicyFileError
from .policy import Policy, Situation
from .saccade import Saccade

__all__ = ["InformationGain", "Learned", "Policy", "PolicyFileError", "Saccade", "Situation", "make_policy"]


def make_policy(name: str, candidates: int = 32, hypotheses: int = 16, file: str = "") -> Policy:
    """The policy of that name; if it is a plug-in's (entry-point group cortical.policies), what that makes of a
    `PolicyConfig`. Raises PluginError (a ValueError) for an unknown one, PolicyFileError for a file of none."""
    if name == "saccade":
        return Saccade()
    if name == "information_gain":
        return InformationGain(candidates, hypotheses)
    if name == "learned":
        return Learned(file)
    return call_plugin("policies", name, Policy, PolicyConfig(name, candidates, hypotheses, file))
