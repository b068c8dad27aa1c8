"""Figures of `little_data` from its rows: shares with intervals by views, and what a change of light costs."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
from little_data_views import COUNTS, FACE

from cortical.agents.metrics import UNKNOWN, wilson

WHOLE = 14  # views of the README's rules
PLAIN = "unchanged"
LIGHTS = ("brighter", "darker", "tinted")
Row = dict[str, Any]


def share(rows: Sequence[Row], right: Callable[[Row], bool]) -> dict[str, Any]:
    """How often of how many, the share (None of nothing) and its Wilson interval."""
    times, of = sum(map(right, rows)), len(rows)
    return {"times": times, "of": of, "share": times / of if of else None, "interval": [*wilson(times, of)]}


def network_figures(rows: Sequence[Row]) -> dict[str, Any]:
    """How often the networks were right, by kind and by when they were asked."""
    kinds = rows[0].get("networks", {})

    def right(row: Row, kind: str, when: str) -> bool:
        return row["networks"][kind][when] == row["object"]

    return {kind: {when: share(rows, partial(right, kind=kind, when=when)) for when in kinds[kind]} for kind in kinds}


def figures(rows: Sequence[Row]) -> dict[str, Any]:
    """The three figures of a set of episodes, what was decided instead, sensations and poses; the networks'."""
    errors = [row["rotation_error_deg"] for row in rows if row["answer"] == row["object"]]
    return {
        "decided": share(rows, lambda row: row["answer"] == row["object"]),
        "best": share(rows, lambda row: row["best"] == row["object"]),
        "after_30": share(rows, lambda row: row["best_after_30"] == row["object"]),
        "unknown": share(rows, lambda row: row["answer"] == UNKNOWN),
        "undecided": share(rows, lambda row: row["answer"] is None),
        "sensations_median": float(np.median([row["sensations"] for row in rows])),
        "sensations_mean": float(np.mean([row["sensations"] for row in rows])),
        "rotation_error_median_deg": float(np.median(errors)) if errors else None,
        "networks": network_figures(rows),
    }


def losses(rows: Sequence[Row], random: np.random.Generator) -> dict[str, Any]:
    """For each light, points lost against the unchanged one in the same episodes, with 95 % intervals (bootstrap over
    objects, since episodes of one object are alike)."""
    plain = {key_of(row): row for row in rows if row["views"] == WHOLE and row["light"] == PLAIN}
    found: dict[str, Any] = {}
    for light in LIGHTS:
        pairs = [(plain[key_of(row)], row) for row in rows if row["light"] == light]
        found[light] = {name: lost(pairs, key, random) for name, key in (("decided", "answer"), ("best", "best"))}
    return found


def key_of(row: Row) -> tuple[str, int, int]:
    """Object, seed and pose: what two rows of one episode share."""
    return row["object"], row["seed"], row["rotation_index"]


def lost(pairs: Sequence[tuple[Row, Row]], key: str, random: np.random.Generator) -> dict[str, Any]:
    """Points lost from the first to the second rows of pairs, and how many episodes went either way."""
    by_object: dict[str, list[int]] = {}
    for before, after in pairs:
        change = (before[key] == before["object"]) - int(after[key] == after["object"])
        by_object.setdefault(before["object"], []).append(change)
    means = np.array([np.mean(changes) for changes in by_object.values()])
    draws = means[random.integers(len(means), size=(10_000, len(means)))].mean(1)
    every = np.concatenate([*by_object.values()])
    return {
        "points": 100 * float(every.mean()), "interval": (100 * np.percentile(draws, [2.5, 97.5])).tolist(),
        "lost": int((every > 0).sum()), "gained": int((every < 0).sum()), "of": len(every),
    }  # fmt: skip


def summary(rows: Sequence[Row]) -> dict[str, Any]:
    """All figures of the columns."""
    plain = [row for row in rows if row["light"] == PLAIN]
    by_views = {str(stage): figures([row for row in plain if row["views"] == stage]) for stage in (*COUNTS, FACE)}
    lit = {light: figures([row for row in rows if row["light"] == light]) for light in LIGHTS}
    return {"views": by_views, "light": lit, "light_loss": losses(rows, np.random.default_rng(0))}


def headline(found: dict[str, Any]) -> dict[str, Any]:
    """The shares alone, by number of views, and the points lost in other lights: the line printed last."""
    views = {stage: row for stage, row in found["views"].items() if row["networks"]}
    shares = {
        key: {stage: row[key]["share"] for stage, row in views.items()} for key in ("best", "decided", "after_30")
    }
    networks = {
        f"network_{kind}": {stage: row["networks"][kind]["end"]["share"] for stage, row in views.items()}
        for kind in ("patch", "picture", "both")
    }
    loss = {light: row["best"]["points"] for light, row in found["light_loss"].items()}
    return shares | networks | {"light_loss_points": loss, "episodes_each": views["1"]["best"]["of"]}
