"""`telling`, `sieve`, `weigh` and `meet` for a CPU, compiled. The same formulas as the plain reference in
evidence/likelihood.py, which the tests compare them with."""

import math

import numpy as np
import torch

from ...messages import Vote
from ..atlas import SUBSET, Atlas
from ..densities import Tolerance
from ..hypotheses import Hypotheses
from ..likelihood import spread_out
from ..memory import LOST, MISS
from .grid import grid_of
from .ranking import strongest
from .rays import meet_all
from .seeding import match_nodes, tell_all
from .shortlist import shortlist
from .sieving import sieve_all
from .weighing import weigh_all


def weigh(
    atlas: Atlas, memory, hypotheses: Hypotheses, tol: Tolerance, curved: bool = True, misses: bool = True
) -> Vote:
    """As likelihood.weigh; tensors on a CPU."""
    groups, columns, _ = memory.kind.shape
    kind = memory.kind.numpy()
    kind = kind if misses else np.where(kind == MISS, LOST, kind).astype(kind.dtype)
    count, sides = len(hypotheses), 6 if curved else 0
    evidence = np.zeros((groups, columns, count), np.float32)
    slope = np.zeros((groups, columns, count, sides), np.float32)
    information = np.zeros((groups, columns, count, sides, sides), np.float32)
    rows, codes, weights, grid = _arrays(atlas)
    weigh_all(
        rows, atlas.texture.numpy(), codes, weights, grid,
        memory.numbers.numpy(), kind, memory.bitmap.numpy(),
        hypotheses.obj.numpy(), hypotheses.rotation.numpy(), hypotheses.location.numpy(),
        hypotheses.log_evidence.numpy(), hypotheses.turn_sd.numpy(), hypotheses.shift_sd.numpy(),
        hypotheses.pivot.numpy(), _numbers(tol), tol.surface, tol.colour, tol.texture, tol.winners, curved,
        evidence, slope, information,
    )  # fmt: skip
    return Vote(torch.from_numpy(evidence), torch.from_numpy(slope), torch.from_numpy(information))


def telling(numbers, bitmap, atlas: Atlas, tol: Tolerance):
    """As likelihood.telling; tensors on a CPU."""
    few, flat = atlas.subset(SUBSET), numbers.reshape(-1, numbers.shape[-1])
    bitmap = bitmap.reshape(len(flat), -1)
    usual, seeds = np.empty((len(flat), 2), np.float32), np.empty(len(flat), np.float32)
    tell_all(
        few["table"].numpy(), few["codes"].numpy(), few["code_weights"].numpy(), few["turns"].numpy(), flat.numpy(),
        bitmap.numpy(), _numbers(tol), tol.surface, tol.colour, tol.winners, usual, seeds,
    )  # fmt: skip
    return torch.from_numpy(usual).view(*numbers.shape[:-1], 2), torch.from_numpy(seeds).view(numbers.shape[:-1])


def sieve(atlas: Atlas, memory, group: int, anchor: int, tests: int, limit: int, tol: Tolerance, favour):
    """As likelihood.sieve; tensors on a CPU."""
    numbers = memory.numbers[group].flatten(0, 1).numpy()
    hits, at = numbers[memory.kind[group].flatten().numpy() == 1], numbers[anchor]
    hits = hits[spread_out(len(hits))]
    # what lies far from the anchor says no soonest
    hits = hits[np.argsort(-np.linalg.norm(hits[:, 6:9] - at[6:9], axis=1), kind="stable")]
    bitmap = memory.bitmap[group].flatten(0, 1).numpy()[anchor]
    order, match = fitting(atlas, at, bitmap, tests, tol, favour)
    rows, turns = atlas.table.numpy(), atlas.turns.numpy()
    pairs = int(turns[order].sum())
    place, angle, score = np.empty(pairs, np.int32), np.empty(pairs, np.float32), np.empty(pairs, np.float32)
    owner, grid = atlas.owner.numpy(), grid_of(atlas)
    found = sieve_all(rows, owner, grid, order, turns, match, at, hits, limit, place, angle, score)
    best = strongest(score[:found], limit)
    place = place[best]
    return torch.from_numpy(order[place]), torch.from_numpy(angle[best]), torch.from_numpy(match[place])


def fitting(atlas: Atlas, at: np.ndarray, bitmap: np.ndarray, tests: int, tol: Tolerance, favour):
    """Nodes that fit a reading (31,) best, by ratio plus favour of their objects, as many as `tests` turns allow, and
    their ratios: by the index where there is one for these features, else of all."""
    if atlas.index is None or tol.winners or not (tol.surface or tol.colour):
        return fitting_of_all(atlas, at, bitmap, tests, tol, favour)
    i, turns = atlas.index, atlas.turns.numpy()
    node, match, key = shortlist(
        atlas.table.numpy(), atlas.first.numpy(), turns, i.numbers, i.node, i.owner, i.turns, i.boxes, i.group_boxes,
        at, math.log(tol.outlier_feature), tol.surface, tol.colour, favour.numpy(), tests,
    )  # fmt: skip
    order = np.lexsort((node, -key))[: tests // 2]
    order = order[turns[node[order]].cumsum() <= tests]
    return node[order].astype(np.int64), match[order]


def fitting_of_all(atlas: Atlas, at: np.ndarray, bitmap: np.ndarray, tests: int, tol: Tolerance, favour):
    """As `fitting`, by a look at every node."""
    rows, codes, weights, _ = _arrays(atlas)
    match, turns = np.empty(len(rows), np.float32), atlas.turns.numpy()
    match_nodes(rows, codes, weights, at, bitmap, _numbers(tol), tol.surface, tol.colour, tol.winners, match)
    order = strongest(match + favour.numpy()[atlas.owner.numpy()], tests // 2)
    order = order[turns[order].cumsum() <= tests]
    return order, match[order]


def meet(atlas: Atlas, obj, origin, ray):
    """As likelihood.meet; tensors on a CPU."""
    aside, depth = np.empty(obj.numel(), np.float32), np.empty(obj.numel(), np.float32)
    node = np.empty(obj.numel(), np.int64)
    meet_all(
        atlas.table.numpy(), grid_of(atlas), obj.reshape(-1).numpy(), origin.reshape(-1, 3).numpy(),
        ray.reshape(-1, 3).numpy(), aside, depth, node,
    )  # fmt: skip
    return tuple(torch.from_numpy(x).view(obj.shape) for x in (aside, depth, node))


def _arrays(atlas: Atlas):
    return atlas.table.numpy(), atlas.codes.numpy(), atlas.code_weights.numpy(), grid_of(atlas)


def _numbers(tol: Tolerance) -> np.ndarray:
    return np.array(
        [tol.outlier, tol.outlier_facing, tol.outlier_direction, tol.outlier_feature, tol.code_slope, tol.code_offset]
    )
