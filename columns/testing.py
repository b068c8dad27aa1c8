"""What every column must keep, as plain functions to call from your own tests.

Each raises AssertionError with what is wrong, and returns nothing.
"""

from collections.abc import Sequence
from dataclasses import fields, is_dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from .column import Column
from .evidence.hypotheses import Hypotheses, join, move
from .foresight import Foresight, worth
from .messages import Movement, Pose, Sensation, Vote

LIMIT = 50
"""Poses that the checks ask a column to nominate."""
ROUNDING = 1e-3
"""Relative to the largest number: the same sum in another order, in single precision."""
FORESEEN = 3.0
"""Nats by which another hypothesis may expect more than the true one: its nodes may fit what that foresees better."""


def check_column(column: Column, sensations: Sequence[Sensation], objects: int) -> None:
    """Check a batch of columns against the protocol of `column.Column`.

    sensations : two or more, (1, m) each, of an object that the columns know, none of them lost
    objects : how many objects they know

    Shapes for one group and for three; a memory has what a region asks of it: `last()` (only the newest sensation),
    `pivot()` (the middle of what was met, (g, 3)) and `kind` (g, m, t), above zero where a reading wasn't lost; the
    same memory gives the same bits, whatever was sensed in between, and stays as it is; groups don't know of each
    other; a column that has sensed nothing says nothing, and so does a lost reading or one with a NaN; what a column
    sensed is its own vote and no other's; evidence is relative to 'none of those I know', so poses far from all that
    was sensed are no better than it; a memory goes along with an object that moves; expected information is finite
    and not negative; what is recalled of an object moves as its pose does.
    """
    assert isinstance(column, Column), f"{type(column).__name__} lacks {sorted(_missing(column))}"
    assert len(sensations) >= 2, "give two sensations or more"
    for sensation in sensations:
        assert sensation.valid.shape == (1, column.columns), f"(1, m) is (1, {column.columns}), not {sensation.valid}"
        assert bool((sensation.checked().valid & sensation.on_object).any()), (
            "a sensation that met nothing: give others"
        )
    memory = _sensed(column, sensations)
    _check_memory(column, sensations, memory)
    ballot = _check_nominate(column, memory, objects)
    _check_vote(column, memory, ballot)
    _check_stateless(column, sensations, memory, ballot)
    _check_forgetting(column, sensations, memory, ballot)
    _check_silence(column, sensations, memory, ballot)
    _check_groups(column, sensations, ballot)
    _check_own_votes(column, sensations, ballot)
    _check_none(column, memory, ballot)
    _check_motion(column, sensations, memory, ballot)
    _check_expectation(column, sensations[-1], ballot)
    _check_recall(column, ballot)


def check_hypotheses(ballot: Hypotheses, groups: int, objects: int) -> None:
    """Check shapes, and of the places in use that objects exist and that poses are finite rotations and metres."""
    count = len(ballot)
    shapes = {
        "obj": (), "rotation": (3, 3), "location": (3,), "log_evidence": (), "turn_sd": (), "shift_sd": (),
    }  # fmt: skip
    for name, shape in shapes.items():
        found = tuple(getattr(ballot, name).shape)
        assert found == (groups, count, *shape), f"{name} has shape {found}, not {(groups, count, *shape)}"
    assert ballot.pivot.shape == (groups, 3), f"pivot has shape {tuple(ballot.pivot.shape)}, not {(groups, 3)}"
    used = ballot.log_evidence > -torch.inf
    obj, rotation, location = ballot.obj[used], ballot.rotation[used], ballot.location[used]
    assert ballot.obj.dtype == torch.int64, f"obj is {ballot.obj.dtype}, not int64"
    assert bool(((obj >= 0) & (obj < objects)).all()), f"objects out of 0 ... {objects - 1}: {obj.unique()}"
    assert bool(torch.isfinite(location).all()), "a location isn't finite"
    square = rotation.double() @ rotation.double().mT - torch.eye(3, device=rotation.device)
    assert float(square.abs().amax() if len(square) else 0.0) < 1e-4, "a rotation isn't orthonormal"
    assert bool((torch.linalg.det(rotation.double()) > 0).all()), "a rotation is a reflection"
    for name in ("turn_sd", "shift_sd"):
        assert bool((getattr(ballot, name)[used] > 0).all()), f"{name} must be above zero"


def _check_memory(column: Column, sensations: Sequence[Sensation], memory: Any) -> None:
    lacks = [name for name in ("last", "pivot", "kind") if not hasattr(memory, name)]
    assert not lacks, f"a memory lacks {', '.join(lacks)}, which a region asks for"
    wanted = (1, column.columns, len(sensations))
    assert tuple(memory.kind.shape) == wanted, f"kind has shape {tuple(memory.kind.shape)}, not {wanted}"
    assert bool((memory.kind > 0).all()), "a reading that wasn't lost has kind 0"
    newest = memory.last().kind
    assert tuple(newest.shape) == (*wanted[:2], 1), f"last() holds {newest.shape[2]} sensations, not 1"
    points = torch.stack([s.location[0] for s in sensations])[torch.stack([s.on_object[0] for s in sensations])]
    away = float((memory.pivot()[0].cpu() - points.mean(0)).norm())
    assert away < ROUNDING, f"the pivot is {away} m from the middle of what was met"


def _check_nominate(column: Column, memory: Any, objects: int) -> Hypotheses:
    none = column.nominate(column.begin(), LIMIT)
    assert bool((none.log_evidence == -torch.inf).all()), "nominates poses though it has sensed nothing"
    ballot = column.nominate(memory, LIMIT)
    assert 0 < len(ballot) <= LIMIT, f"nominates {len(ballot)} poses, not 1 to {LIMIT}, of an object it knows"
    check_hypotheses(ballot, 1, objects)
    _must_equal(ballot, column.nominate(memory, LIMIT), "nominate")
    even = torch.zeros(1, objects, device=column.device)
    check_hypotheses(column.nominate(memory, LIMIT, even), 1, objects)
    return ballot


def _check_vote(column: Column, memory: Any, ballot: Hypotheses) -> None:
    vote, lead = column.vote(memory, ballot), (1, column.columns, len(ballot))
    for name, shape in (("log_evidence", ()), ("slope", (6,)), ("information", (6, 6))):
        value = getattr(vote, name)
        assert tuple(value.shape) == (*lead, *shape), f"{name} has shape {tuple(value.shape)}, not {(*lead, *shape)}"
        assert bool(torch.isfinite(value).all()), f"{name} isn't finite"
    mirror = vote.information.mT
    assert _near(vote.information, mirror), "information isn't symmetric"
    alone = column.vote(memory, ballot, curved=False).log_evidence
    assert _near(alone, vote.log_evidence), "the evidence changes where slope and information aren't asked for"
    met = column.vote(memory, ballot, misses=False)
    moves = (met.slope, vote.slope), (met.information, vote.information)
    assert all(_near(a, b) for a, b in moves), "slope or information change where misses are left out"


def _check_stateless(column: Column, sensations: Sequence[Sensation], memory: Any, ballot: Hypotheses) -> None:
    before = column.vote(memory, ballot)
    other = column.sense(memory, replace(sensations[0], location=sensations[0].location + 0.01))
    column.vote(other, ballot)
    _must_equal(before, column.vote(memory, ballot), "vote of the same memory after other sensations")
    _must_equal(before, column.vote(_sensed(column, sensations), ballot), "vote after the same sensations")


def _check_forgetting(column: Column, sensations: Sequence[Sensation], memory: Any, ballot: Hypotheses) -> None:
    everywhere, nowhere = (torch.full((1,), flag, device=column.device) for flag in (True, False))
    last = column.vote(column.newest(memory), ballot).log_evidence
    left = column.vote(column.forget(memory, everywhere), ballot).log_evidence
    assert _near(left, last), "forget() must leave the last sensation, and nothing else, in the groups that it names"
    before, after = column.vote(memory, ballot), column.vote(column.forget(memory, nowhere), ballot)
    _must_equal(before, after, "forget in no group")


def _check_silence(column: Column, sensations: Sequence[Sensation], memory: Any, ballot: Hypotheses) -> None:
    said = column.vote(column.begin(), ballot).log_evidence
    assert not bool(said.any()), f"says something before it has sensed anything: up to {float(said.abs().max())} nats"
    assert not bool(column.unknown(column.begin()).any()), "expects evidence before it has sensed anything"
    before = column.vote(memory, ballot)
    one = sensations[0]
    unlike = {
        "a lost reading": replace(one, location=one.location + 0.02, valid=torch.zeros_like(one.valid)),
        "a lost miss": replace(one, on_object=torch.zeros_like(one.valid), valid=torch.zeros_like(one.valid)),
        "a NaN in the location": replace(one, location=torch.full_like(one.location, torch.nan)),
        "an infinite curvature": replace(one, curvature=torch.full_like(one.curvature, torch.inf)),
    }
    for words, reading in unlike.items():
        after = column.vote(column.sense(memory, reading), ballot)
        for name in ("log_evidence", "slope", "information"):
            a, b = getattr(before, name), getattr(after, name)
            assert _near(a, b), f"{words} changed {name} by up to {float((a - b).abs().max())}"


def _check_groups(column: Column, sensations: Sequence[Sensation], ballot: Hypotheses) -> None:
    """Three groups: one that sensed all, one whose readings were all lost, one with the readings in another order."""
    orders = (sensations, [replace(s, valid=torch.zeros_like(s.valid)) for s in sensations], sensations[::-1])
    memory = column.begin(3)
    for readings in zip(*orders, strict=True):
        memory = column.sense(memory, _stacked(readings))
    wide = _repeated(ballot, 3)
    vote = column.vote(memory, wide)
    assert tuple(vote.log_evidence.shape) == (3, column.columns, len(ballot)), "three groups need three votes"
    for group in (0, 2):
        alone = column.vote(_sensed(column, orders[group]), ballot)
        assert _near(vote.log_evidence[group], alone.log_evidence[0]), f"group {group} votes otherwise than alone"
    assert not bool(vote.log_evidence[1].any()), "a group that lost all its readings hears the others'"
    assert bool((column.nominate(memory, LIMIT).log_evidence[1] == -torch.inf).all()), "it nominates poses"


def _check_own_votes(column: Column, sensations: Sequence[Sensation], ballot: Hypotheses) -> None:
    """Only one column's readings are kept: its vote stays and the others fall silent."""
    full = column.vote(_sensed(column, sensations), ballot).log_evidence
    for one in range(column.columns):
        mine = torch.arange(column.columns) == one
        some = [replace(s, valid=s.valid & mine.to(s.valid.device)) for s in sensations]
        vote = column.vote(_sensed(column, some), ballot).log_evidence
        assert _near(vote[:, one], full[:, one]), f"column {one} votes otherwise when the others sense nothing"
        assert not bool(vote[:, ~mine].any()), f"other columns vote for what column {one} sensed"


def _check_none(column: Column, memory: Any, ballot: Hypotheses) -> None:
    far = replace(ballot, location=ballot.location + 1.0, pivot=ballot.pivot + 1.0)
    said = float(column.vote(memory, far).log_evidence.max())
    assert said < ROUNDING, f"a pose one metre from all that was sensed is {said} nats better than 'none'"


def _check_motion(column: Column, sensations: Sequence[Sensation], memory: Any, ballot: Hypotheses) -> None:
    turn = torch.tensor([[0.0, -1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]], device=column.device)
    motion = Pose(torch.tensor([0.02, -0.01, 0.03], device=column.device), turn)
    lost = replace(sensations[0], valid=torch.zeros_like(sensations[0].valid))
    moved = column.sense(memory, lost, Movement(motion))
    carried = replace(move(ballot, motion), pivot=motion.apply(ballot.pivot))
    a, b = column.vote(memory, ballot).log_evidence.sum(1), column.vote(moved, carried).log_evidence.sum(1)
    # a point on the border of two cells of a map may fall to the other
    off = (a - b).abs() > 0.02 * (1.0 + a.abs())
    assert float(off.double().mean()) < 0.25, f"the memory doesn't go along with an object that moves: {a} is now {b}"


def _check_expectation(column: Column, sensation: Sensation, ballot: Hypotheses) -> None:
    origin, gaze = (x[0].to(column.device) for x in (sensation.origin, sensation.gaze))
    seen, count = column.foresee(ballot, origin, gaze), len(ballot)
    shapes = tuple(seen.evidence.shape), tuple(seen.meets.shape)
    assert shapes == ((len(origin), count, count), (len(origin), count)), f"foresees shapes {shapes}"
    assert bool(torch.isfinite(seen.evidence).all()), f"expected evidence is {seen.evidence}"
    assert bool(((seen.meets >= 0) & (seen.meets <= 1)).all()), f"probabilities of meeting something are {seen.meets}"
    own = torch.diagonal(seen.evidence, dim1=1, dim2=2)
    off = float((seen.evidence - own[:, :, None]).amax())
    assert off < FORESEEN, f"expects to find {off} nats more for another hypothesis than for the one that is true"
    gain = _worth(seen, ballot)
    assert bool((gain > -ROUNDING).all()), f"expected information is {gain}"
    twice = join(ballot, ballot)
    again = _worth(column.foresee(twice, origin, gaze), twice)
    assert _near(gain, again), "listing every hypothesis twice changes what is to be learnt"
    one = ballot.take(torch.zeros(1, 1, dtype=torch.int64, device=column.device))
    sure = float(_worth(column.foresee(one, origin, gaze), one).abs().max())
    assert sure < ROUNDING, f"expects to learn {sure} nats though a single hypothesis is left"


def _worth(seen: Foresight, ballot: Hypotheses) -> torch.Tensor:
    return worth(seen, ballot.log_evidence[0], ballot.obj[0], 1.0, "information")


def _check_recall(column: Column, ballot: Hypotheses) -> None:
    """The points of one object at two poses."""
    turn = torch.tensor([[1.0, 0.0, 0.0], [0.0, 0.0, -1.0], [0.0, 1.0, 0.0]], device=column.device)
    motion = Pose(torch.tensor([0.02, -0.01, 0.03], device=column.device), turn)
    chance = np.linspace(0.0, 1.0, 9, endpoint=False)
    which = np.arange(9) % len(ballot)
    points, normals = column.recall(ballot, which, chance)
    for name, value in (("points", points), ("normals", normals)):
        assert value.shape == (9, 3) and np.isfinite(value).all(), f"{name} have shape {value.shape}: {value}"
    assert np.abs(np.linalg.norm(normals, axis=1) - 1).max() < ROUNDING, "normals must be unit"
    again, turned = column.recall(move(ballot, motion), which, chance)
    rotation, shift = turn.double().cpu().numpy(), motion.location.double().cpu().numpy()
    assert np.abs(points @ rotation.T + shift - again).max() < ROUNDING, "points don't move with the pose"
    assert np.abs(normals @ rotation.T - turned).max() < ROUNDING, "normals don't turn with the pose"


def _sensed(column: Column, sensations: Sequence[Sensation]) -> Any:
    memory = column.begin()
    for sensation in sensations:
        memory = column.sense(memory, sensation)
    return memory


def _stacked(readings: Sequence[Sensation]) -> Sensation:
    return Sensation(**{f.name: torch.cat([getattr(r, f.name) for r in readings]) for f in fields(Sensation)})


def _repeated(ballot: Hypotheses, groups: int) -> Hypotheses:
    names = [f.name for f in fields(ballot)]
    return replace(ballot, **{n: torch.cat([getattr(ballot, n)] * groups) for n in names})


def _near(a: Tensor, b: Tensor) -> bool:
    # slopes are per radian and per metre: what is small is compared with the largest
    scale = 1.0 + float(a.abs().max()) if a.numel() else 1.0
    return a.shape == b.shape and bool(((a - b).abs() <= ROUNDING * scale).all())


def _must_equal(a: Hypotheses | Vote, b: Hypotheses | Vote, what: str) -> None:
    assert is_dataclass(a) and type(a) is type(b)
    for f in fields(a):
        assert torch.equal(getattr(a, f.name), getattr(b, f.name)), f"{what}: {f.name} differs"


def _missing(column: object) -> set[str]:
    wanted = {name for name in vars(Column) if not name.startswith("_")}
    return {name for name in wanted if not hasattr(column, name)}
