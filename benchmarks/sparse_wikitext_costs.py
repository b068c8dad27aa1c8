"""What a forward step of the models of benchmarks/sparse_wikitext.py costs."""

import copy
from typing import Any

import numpy as np
import torch
from sparse_layers import rounds
from sparse_wikitext_nets import Net

from cortical.columns.layers.counters import counting

REPEAT = 4


@torch.no_grad()
def costs(nets: dict[str, Net], tokens: torch.Tensor, number: int) -> dict[str, dict[str, Any]]:
    """Of tokens (b, t) through the blocks, the output layer apart, which is the same for all: multiply-adds, and the
    median thread milliseconds of so many rounds in which the models take turns.

    As the layers choose by themselves, and of sparse models also where only weights that exist are read, by the scatter
    ("NAME, existing"). nets : "dense" among them
    """
    calls: dict[str, Any] = {}
    for name, net in nets.items():
        calls[name] = net.states, [tokens]
        if net.density() < 1.0:
            calls[f"{name}, existing"] = _by_existing(net).states, [tokens]
    times = rounds(calls, dict.fromkeys(calls, REPEAT), number)
    return {name: _cost(call, tokens, times[name], times["dense"]) for name, (call, _) in calls.items()}


def _cost(call: Any, tokens: torch.Tensor, seconds: np.ndarray, dense: np.ndarray) -> dict[str, Any]:
    with counting() as counts:
        call(tokens)
    return {
        "milliseconds": 1e3 * float(np.median(seconds)),
        "less_time": float(np.median(dense / seconds)),
        "multiply_adds": counts.multiply_adds,
        "of": {kind: part.multiply_adds for kind, part in counts.work.items() if part.multiply_adds},
    }


def _by_existing(net: Net) -> Net:
    """The same function by products that read only weights that exist."""
    other = copy.deepcopy(net)
    for layer in other.sparse_layers().values():
        layer.format = "packed"
    return other
