"""Motor policies: what a body should do next, given what its columns believe. One file each, one protocol."""

from collections.abc import Callable

from cortical.configs.plugins import call_plugin
from cortical.configs.schema import PolicyConfig

from .disagreement import Disagreement
from .information_gain import InformationGain
from .learned import Learned, PolicyFileError
from .policy import Policy, Situation
from .saccade import Saccade
from .salience import Salience
from .surface_follow import SurfaceFollow

__all__ = [
    "BUILT_IN", "Disagreement", "InformationGain", "Learned", "Policy", "PolicyFileError", "Saccade", "Salience",
    "Situation", "SurfaceFollow", "make_policy",
]  # fmt: skip


def _information_gain(settings: PolicyConfig) -> Policy:
    names = ("candidates", "hypotheses", "score", "aim", "preference", "weary", "ahead")
    return InformationGain(**{name: getattr(settings, name) for name in names})


BUILT_IN: dict[str, Callable[[PolicyConfig], Policy]] = {
    "saccade": lambda settings: Saccade(),
    "surface_follow": lambda settings: SurfaceFollow(),
    "salience": lambda settings: Salience(settings.candidates),
    "disagreement": lambda settings: Disagreement(),
    "information_gain": _information_gain,
    "learned": lambda settings: Learned(settings.file),
}
"""The policies that come with the package, by name."""


def make_policy(settings: PolicyConfig) -> Policy:
    """The policy of these settings; if its name is a plug-in's (entry-point group cortical.policies), what that makes
    of them. Raises PluginError (a ValueError) for an unknown one, PolicyFileError for a file of none."""
    build = BUILT_IN.get(settings.name)
    return build(settings) if build else call_plugin("policies", settings.name, Policy, settings)
