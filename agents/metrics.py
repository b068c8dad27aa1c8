"""Figures of recognition: rotation error under an object's symmetry, ADD-S, intervals, summaries of episodes.

Pure functions over plain numbers and episodes; nothing here knows columns or worlds. Angles are radians where a
name says nothing, degrees where it ends in `_deg`; lengths are metres, or millimetres in `_mm`.
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
from scipy.spatial import KDTree
from scipy.spatial.transform import Rotation

from cortical.envs.objects import open_catalogue

from .episode import EpisodeRecord

CURVE = 50
"""Sensations over which the accuracy of the best guess is given."""
ODDS_BINS = (0.0, 10.0, 100.0, 300.0, 1e3, 1e4, 1e6, np.inf)
"""Bounds of the odds in the calibration table."""
MESHES = (".obj", ".stl", ".ply")
UNKNOWN, NOTHING = "unknown", "nothing here"
"""Answers that name no object: another than those known, and none at all."""


@dataclass(frozen=True, eq=False)
class Symmetry:
    """The rotations after which an object looks the same, in its own frame.

    rotations : (k, 3, 3), the identity among them
    axis : (3,) unit vector; all rotations about it, before each of `rotations`, belong to the group; or None
    full : every rotation belongs to the group
    known : False where the object was not found in the table, and the identity stands in
    """

    rotations: np.ndarray = field(default_factory=lambda: np.eye(3)[None])
    axis: np.ndarray | None = None
    full: bool = False
    known: bool = True


class Symmetries(dict[str, Symmetry]):
    """Symmetries by object name; the identity, marked as not known, for every other name."""

    def __missing__(self, name: str) -> Symmetry:
        return Symmetry(known=False)


def rotation_angle(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Angle in radians between rotations (..., 3, 3) -> (...), by the chord (exact for small ones)."""
    chord = np.linalg.norm(np.asarray(a, float) - np.asarray(b, float), axis=(-2, -1)) / np.sqrt(8.0)
    return 2.0 * np.arcsin(np.clip(chord, 0.0, 1.0))


def rotation_error(estimated: np.ndarray, true: np.ndarray, symmetry: Symmetry | None = None) -> float:
    """Radians between two world_from_object rotations (3, 3): the least over true @ S, S in the group.

    About an axis of revolution a the best angle has a closed form: with N = D estimated^T true, for D one of
    the discrete rotations, trace(N A(t)) = a.N a + (trace N - a.N a) cos t + trace(N [a]x) sin t, which is
    greatest at t = atan2(trace(N [a]x), trace N - a.N a).
    """
    symmetry = symmetry or Symmetry()
    if symmetry.full:
        return 0.0
    estimated, true = np.asarray(estimated, float), np.asarray(true, float)
    members = symmetry.rotations
    if symmetry.axis is not None:
        axis = symmetry.axis
        cross = np.cross(np.eye(3), axis)
        n = members @ estimated.T @ true
        sine = np.einsum("kij,ji->k", n, cross)
        cosine = np.trace(n, axis1=1, axis2=2) - np.einsum("i,kij,j->k", axis, n, axis)
        spin = Rotation.from_rotvec(np.arctan2(sine, cosine)[:, None] * axis).as_matrix()
        members = spin @ members
    return float(rotation_angle(estimated, true @ members).min())


def add_s(estimated: tuple[Any, Any], true: tuple[Any, Any], points: np.ndarray) -> float:
    """Mean distance in metres from the points at the true pose to the nearest of them at the estimated pose.

    estimated, true : (rotation (3, 3), translation (3,) metres), world_from_object
    points : (n, 3) metres, object frame

    Source: Hinterstoisser et al., ACCV 2012, for objects that may be symmetric; the name ADD-S is that of
    Xiang et al. (PoseCNN), RSS 2018.
    """
    placed = [np.asarray(points) @ np.asarray(r).T + np.asarray(t) for r, t in (estimated, true)]
    return float(KDTree(placed[0]).query(placed[1])[0].mean())


def wilson(successes: int, n: int, z: float = 1.96) -> tuple[float, float]:
    """Interval of a share (Wilson, J. Am. Stat. Assoc. 22, 1927); (0, 1) where nothing was tried.

    Raises ValueError for successes outside 0 ... n.
    """
    if not 0 <= successes <= n:
        raise ValueError(f"need 0 <= successes <= n, got {successes} of {n}")
    if n == 0:
        return 0.0, 1.0
    share, square = successes / n, z * z / n
    middle = (share + square / 2) / (1 + square)
    half = z * np.sqrt(share * (1 - share) / n + square / (4 * n)) / (1 + square)
    return max(0.0, float(middle - half)), min(1.0, float(middle + half))


def load_symmetry(source: str, tolerance: float = 1.0, path: str | Path | None = None) -> Symmetries:
    """The symmetries of the objects of a catalogue, as benchmarks/symmetry.py found them.

    source : "default", "default-hard", or a folder of meshes. The table shipped with the package knows meshes by name
        and SHA-256, wherever the folder lies; what a symmetry.json in the folder says goes before it
    tolerance : 0.5, 1 or 2 times the bars of the rule
    path : the file to read instead, whatever the meshes

    Objects without an entry get the identity, with known = False. Raises ValueError for a tolerance that
    the file doesn't have, and for a `path` that doesn't exist.
    """
    if path is not None and not Path(path).is_file():
        raise ValueError(f"no file {path}: make it with python benchmarks/symmetry.py --output {path}")
    if path is not None:
        objects = _entries(Path(path).read_text())
    else:
        objects = _entries(files("cortical.agents").joinpath("symmetry.json").read_text())
        if source in ("default", "default-hard"):
            objects = {name: objects[name] for name in open_catalogue("default-hard").names}
        else:
            whole = Path(source).expanduser()
            named = whole if whole.is_dir() or "#" not in source else Path(source.rpartition("#")[0]).expanduser()
            objects = _in_folder(named, objects)
    return Symmetries({name: _read_symmetry(row["tolerance"], tolerance) for name, row in objects.items()})


def _entries(text: str) -> dict[str, dict[str, Any]]:
    return json.loads(text)["objects"]


def _in_folder(folder: Path, shipped: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """What is known of the objects of a folder: of `shipped`, those of the same mesh; and what lies beside them."""
    objects = {name: row for name, row in shipped.items() if row["sha256"] in _digests(folder / name)}
    beside = folder / "symmetry.json"
    return objects | (_entries(beside.read_text()) if beside.is_file() else {})


def _digests(folder: Path) -> set[str]:
    """SHA-256 of the meshes in a folder."""
    paths = folder.iterdir() if folder.is_dir() else ()
    return {hashlib.sha256(path.read_bytes()).hexdigest() for path in paths if path.suffix.lower() in MESHES}


def _read_symmetry(groups: dict[str, dict], tolerance: float) -> Symmetry:
    key = str(float(tolerance))
    if key not in groups:
        raise ValueError(f"no symmetry at tolerance {key}; there are: {', '.join(groups)}")
    group = groups[key]
    axis = None if group["axis"] is None else np.asarray(group["axis"]) / np.linalg.norm(group["axis"])
    return Symmetry(Rotation.from_quat(group["rotations"]).as_matrix(), axis, group["full"])


def summarise(rows: Sequence[EpisodeRecord]) -> dict[str, Any]:
    """The figures of a set of episodes; None for a median of nothing. Shares lie in 0 ... 1.

    Rotation errors and ADD-S are those of correct episodes only; undecided, unknown and nothing are never correct.
    Raises ValueError without episodes.
    """
    if not rows:
        raise ValueError("no episodes to summarise")
    n = len(rows)
    right = [row for row in rows if row.answer == row.object]
    undecided = [row for row in rows if row.answer is None]
    sensations = [row.sensations for row in rows]
    error = [row.rotation_error_deg for row in right]
    steps = [ms for row in rows for ms in row.think_ms]
    return {
        "episodes": n,
        "correct": len(right) / n,
        "correct_interval": wilson(len(right), n),
        "undecided": len(undecided) / n,
        "unknown": sum(row.answer == UNKNOWN for row in rows) / n,
        "nothing": sum(row.answer == NOTHING for row in rows) / n,
        "best_guess_when_undecided": _mean([float(row.best_guess == row.object) for row in undecided]),
        "sensations_median": _at(sensations, 50),
        "sensations_mean": _mean(sensations),
        "sensations_p95": _at(sensations, 95),
        "path_median_m": _at([row.path_m for row in rows], 50),
        "rotation_error_median_deg": _at(error, 50),
        "rotation_error_mean_deg": _mean(error),
        "within_10deg": _within(error),
        **_bars("half", [row.rotation_error_half_deg for row in right]),
        **_bars("double", [row.rotation_error_double_deg for row in right]),
        **_bars("plain", [row.rotation_error_plain_deg for row in right]),
        "add_s_median_mm": _at([row.add_s_mm for row in right], 50),
        "think_ms_median": _at(steps, 50),
        "think_ms_p95": _at(steps, 95),
        "think_ms_episode_median": _at([sum(row.think_ms) for row in rows], 50),
        "code_multiply_adds_median": _at([row.code_multiply_adds for row in rows], 50),
        "accuracy_curve": accuracy_curve(rows),
        "calibration": calibration(rows),
    }


def _bars(name: str, error: Sequence[float]) -> dict[str, float | None]:
    """Median and share within 10 degrees: at half and at double the tolerance of symmetry, and without any."""
    return {f"rotation_error_{name}_median_deg": _at(error, 50), f"within_10deg_{name}": _within(error)}


def accuracy_curve(rows: Sequence[EpisodeRecord], length: int = CURVE) -> list[float]:
    """Share of episodes whose best guess is right after 1, 2, ... sensations.

    An episode that has ended keeps its last guess.
    """
    hits = np.zeros(length)
    for row in rows:
        guesses = row.best_guess_per_step or [row.best_guess]
        last = len(guesses) - 1
        hits += [guesses[min(k, last)] == row.object for k in range(length)]
    return [float(share) for share in hits / max(1, len(rows))]


def calibration(rows: Sequence[EpisodeRecord], bounds: Sequence[float] = ODDS_BINS) -> list[dict[str, Any]]:
    """Of the decisions made by odds: how many were right, in bins of the stated odds (from <= odds < to).

    Each bin: from, to (None: no bound), decisions, stated (mean of odds / (1 + odds)), right, interval.
    Empty bins are left out.
    """
    decided = [row for row in rows if row.answer not in (None, NOTHING)]
    logs = np.array([row.odds_log for row in decided], float)
    right = np.array([row.answer == row.object for row in decided], bool)
    stated = 1.0 / (1.0 + np.exp(-np.clip(logs, -700, 700)))
    with np.errstate(divide="ignore"):
        edges = np.log(bounds)
    bins = np.clip(np.searchsorted(edges, logs, side="right") - 1, 0, len(bounds) - 2)
    table = []
    for k in np.unique(bins):
        inside = bins == k
        count, hits = int(inside.sum()), int(right[inside].sum())
        table.append(
            {
                "from": float(bounds[k]),
                "to": float(bounds[k + 1]) if np.isfinite(bounds[k + 1]) else None,
                "decisions": count,
                "stated": float(stated[inside].mean()),
                "right": hits / count,
                "interval": wilson(hits, count),
            }
        )
    return table


def _mean(values: Sequence[float]) -> float | None:
    return float(np.mean(values)) if len(values) else None


def _within(error: Sequence[float], bound: float = 10.0) -> float | None:
    return _mean([float(e <= bound) for e in error])


def _at(values: Sequence[float], percentile: float) -> float | None:
    return float(np.percentile(values, percentile)) if len(values) else None
