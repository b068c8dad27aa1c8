"""The compiled kernels, imported when the first is needed: compiling takes seconds, and an import none."""

from functools import cache
from types import ModuleType


@cache
def compiled(name: str) -> ModuleType:
    """The module of `compiled/` of that name."""
    from importlib import import_module

    return import_module(f".compiled.{name}", __package__)
