"""Plug-ins: what other packages add by name, found through their entry points.

    [project.entry-points."cortical.policies"]        in the pyproject.toml of that package
    far_side = "their_package.policy:FarSide"

    names (no code runs) -> one is chosen by the configuration -> it alone is imported -> used like a built-in one

Names of built-in things can't be taken. Nothing heavy is imported.
"""

import difflib
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal, TypeVar

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

Group = Literal["objects", "sensors", "columns", "policies"]
Made = TypeVar("Made")

BUILT_IN: dict[Group, tuple[str, ...]] = {
    "objects": ("default", "default-hard", "solids"),
    "sensors": ("surface",),
    "columns": ("evidence",),
    "policies": ("saccade", "information_gain", "learned", "surface_follow", "salience", "disagreement"),
}
"""Names that need no plug-in; each is the value of a setting: world.objects, eye.sensor, column.kind, policy.name."""


class PluginError(ValueError):
    """A plug-in that isn't there or doesn't work; the message names it and its package."""


def plugin_names(group: Group) -> tuple[str, ...]:
    """Names that installed packages add, in alphabetical order. Runs no code of theirs."""
    return tuple(sorted({entry.name for entry in _entries(group)} - {*BUILT_IN[group]}))


def is_known(group: Group, name: str) -> bool:
    """Whether something of that name is built in or installed."""
    return name in BUILT_IN[group] or name in plugin_names(group)


def choices(group: Group, wrong: str) -> str:
    """What there is instead of a `wrong` name: a guess of what was meant, and all names."""
    known = BUILT_IN[group] + plugin_names(group)
    close = difflib.get_close_matches(wrong, known, n=1)
    guess = f"did you mean {close[0]!r}? " if close else ""
    return f"{guess}there are {', '.join(known)}; plug-ins add more (entry points of the group cortical.{group})"


def load_plugin(group: Group, name: str) -> Callable[..., Any]:
    """The callable behind an entry point; its module is imported now.

    Raises PluginError if there is none of that name or more than one, if its import fails for whatever reason, or if it
    is not callable.
    """
    entry = _entry(group, name)
    try:
        loaded = entry.load()
    except Exception as error:
        raise PluginError(f"{_named(entry)} cannot be loaded: {_cause(error)}; mend or uninstall it") from error
    if not callable(loaded):
        raise PluginError(f"{_named(entry)} is of type {type(loaded).__name__}: it must be a function or a class")
    return loaded


def call_plugin(group: Group, name: str, gives: type[Made], *given: Any) -> Made:
    """What the plug-in makes of what is `given`. Raises PluginError if it fails or makes something else."""
    make, entry = load_plugin(group, name), _entry(group, name)
    try:
        made = make(*given)
    except Exception as error:
        raise PluginError(f"{_named(entry)} failed: {_cause(error)}") from error
    if not isinstance(made, gives):
        raise PluginError(f"{_named(entry)} made something of type {type(made).__name__}, not a {gives.__name__}")
    return made


def _entries(group: Group) -> list["EntryPoint"]:
    from importlib.metadata import entry_points  # here, for it takes longer than all the rest

    return list(entry_points(group=f"cortical.{group}"))


def _entry(group: Group, name: str) -> "EntryPoint":
    found = [entry for entry in _entries(group) if entry.name == name]
    if not found:
        raise PluginError(f"{name!r} is none of the {group}: {choices(group, name)}")
    if len(found) > 1:
        rivals = " and ".join(_package(entry) for entry in found)
        raise PluginError(f"plug-in {name!r} of cortical.{group} is claimed by {rivals}: uninstall all but one")
    return found[0]


def _package(entry: "EntryPoint") -> str:
    return f"{entry.dist.name} {entry.dist.version}" if entry.dist else "an unknown package"


def _named(entry: "EntryPoint") -> str:
    return f"plug-in {entry.name!r} of {entry.group} ({entry.value}, of the package {_package(entry)})"


def _cause(error: Exception) -> str:
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
