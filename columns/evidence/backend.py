"""Which module weighs: the compiled kernels on a CPU, the plain torch reference on any other device."""

from types import ModuleType

import torch

from . import likelihood
from .compiled import likelihood as compiled


def backend(device: torch.device) -> ModuleType:
    """A module with `telling`, `weigh`, `sieve` and `meet`."""
    return compiled if device.type == "cpu" else likelihood
