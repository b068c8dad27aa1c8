"""The compiled kernels, imported when the first is needed: compiling takes seconds, and an import none."""

import warnings
from collections.abc import Callable
from functools import cache
from importlib import import_module
from types import ModuleType

import torch
from torch import Tensor

_warned: set[str] = set()


@cache
def compiled(name: str) -> ModuleType:
    """The module of `compiled/` of that name."""
    return import_module(f".compiled.{name}", __package__)


@cache
def triton() -> ModuleType:
    """The module of the Triton kernels."""
    return import_module(".triton_kernels", __package__)


def way(like: Tensor, name: str, on_gpu: Callable[[], bool] = lambda: False) -> str:
    """What computes a product of such tensors: "compiled", "triton" or "plain".

    on_gpu : whether there is a Triton kernel for the product, if one is for the tensors. Where no kernel takes them a
    warning says so, once for each device and type.
    """
    if like.device.type == "cpu" and like.dtype in (torch.float32, torch.float64):
        return "compiled"
    if on_gpu() and triton().takes(like):
        return "triton"
    warn_of_plain(like, name)
    return "plain"


def warn_of_plain(like: Tensor, name: str) -> None:
    """Says, once for each device and type, that no kernel takes such tensors."""
    kind = f"{name} on {like.device.type} in {like.dtype}"
    if kind not in _warned:
        _warned.add(kind)
        missing = like.is_cuda and not triton().installed()
        remedy = "; pip install 'cortical-columns[gpu]' for those on a GPU" if missing else ""
        warnings.warn(
            f"no compiled kernel for {kind}, shape {tuple(like.shape)}: plain torch takes its place, slower but equal "
            "(kernels exist for float32 and float64 on a CPU, and with Triton on a GPU for float16 to float64 in "
            f"products of dense and packed weights{remedy})",
            stacklevel=4,
        )
