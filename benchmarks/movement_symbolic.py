"""Movement judged exactly: how many touches a policy needs in the papers' world of symbols.

    python benchmarks/movement_symbolic.py

Worlds of Hawkins, Ahmad & Cui (2017): 100 objects, 10 points, F symbols, no noise; in each world every object is there
once, and is touched until no other fits. Means are over worlds, and standard errors are of the worlds' means.

    passive       random touches, simulated, against their exact mean (columns/symbolic.passive_touches)
    policies      one column by each policy of columns/symbolic_policies.py; then several by information
    through_env   the same worlds as cortical/SymbolicObjects-v0: whether every touch of every episode is the same

Writes benchmarks/results/movement_symbolic.json; its last line of output is one JSON object.
"""

import argparse
import json
import math
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import torch
from provenance import provenance

import cortical.envs  # noqa: F401  (registers the environments)
from cortical.columns.symbolic import SymbolMaps, passive_touches, random_maps
from cortical.columns.symbolic_policies import (
    FewestLeft,
    MostInformative,
    Policy,
    RandomTouches,
    TwoAhead,
    play,
    touching,
)

OBJECTS, POINTS, FEATURES, COLUMNS = 100, 10, (5, 10, 20, 30), range(1, 7)
SEED, AT_ONCE = 0, 5
PASSIVE, GREEDY, AHEAD, PARALLEL = 600, 1000, 150, 40
"""Worlds for each mean."""
BARS = {"passive_max_rel_error": 0.02, "symbolic_F5": 3.20, "symbolic_F10": 2.45, "symbolic_F20": 2.03,
        "symbolic_F30": 2.00}  # fmt: skip
MakePolicy = Callable[[SymbolMaps], Policy]
POLICIES: dict[str, tuple[MakePolicy, int]] = {
    "random": (lambda maps: RandomTouches(POINTS), GREEDY),
    "information": (MostInformative, GREEDY),
    "fewest left": (FewestLeft, GREEDY),
    "two ahead": (TwoAhead, AHEAD),
}


def touches(features: int, worlds: int, made: MakePolicy) -> dict[str, Any]:
    """Mean touches and its standard error, each object of each world touched once; the same worlds for each policy."""
    means = []
    for seed, count in _portions(features, worlds):
        random = torch.Generator().manual_seed(seed)
        maps = random_maps(count, OBJECTS, POINTS, features, random)
        target = torch.arange(OBJECTS).expand(count, OBJECTS)
        played = play(maps, OBJECTS, touching(maps, target, random), made(maps), random)
        if bool((played.answer != target)[played.certain].any()):
            raise AssertionError("certain, but wrong")
        means.append(played.touches.double().mean(1))
    by_world = torch.cat(means)
    error = float(by_world.std()) / math.sqrt(worlds)
    return {"touches": round(float(by_world.mean()), 4), "standard_error": round(error, 4), "worlds": worlds}


def passive() -> list[dict[str, Any]]:
    """Random touches: one column without repeats, several independently each time."""
    rows = []
    for features in FEATURES:
        for columns in COLUMNS:
            found = touches(features, PASSIVE, lambda maps, c=columns: RandomTouches(POINTS, c, repeats=c > 1))
            exact = passive_touches(OBJECTS, POINTS, features, columns, repeats=columns > 1)
            off = abs(found["touches"] - exact) / exact
            row = {"features": features, "columns": columns, "exact": round(exact, 4)}
            rows.append({**row, **found, "rel_error": round(off, 5)})
    return rows


def policies() -> list[dict[str, Any]]:
    """Each policy with one column, then information with two and three."""
    rows: list[dict[str, Any]] = [
        {"policy": name, "features": features, "columns": 1, **touches(features, worlds, made)}
        for name, (made, worlds) in POLICIES.items()
        for features in FEATURES
    ]
    for columns in (2, 3):
        found = touches(5, PARALLEL, lambda maps, c=columns: MostInformative(maps, c))
        rows.append({"policy": "information", "features": 5, "columns": columns, **found})
    return rows


def through_env() -> list[dict[str, Any]]:
    """Episodes touched in the environment, and again by the tables of the same worlds."""
    cases: list[tuple[str, int, int, MakePolicy]] = [("information", f, 1, MostInformative) for f in FEATURES]
    cases.append(("random", 5, 3, lambda maps: RandomTouches(POINTS, 3, repeats=True)))
    return [_both_ways(*case) for case in cases]


def _both_ways(name: str, features: int, columns: int, made: MakePolicy, episodes: int = 100) -> dict[str, Any]:
    counts, same = [], True
    for world_seed in range(5):
        worlds = gymnasium.make_vec(
            "cortical/SymbolicObjects-v0", episodes, vectorization_mode="sync",
            features=features, columns=columns, world_seed=world_seed,
        )  # fmt: skip
        _, info = worlds.reset(seed=1000 * world_seed)
        table = worlds.get_attr("table")[0]  # pyright: ignore[reportAttributeAccessIssue]
        maps = SymbolMaps(torch.from_numpy(table.copy())[None], features)

        def feel(points: torch.Tensor, worlds: Any = worlds) -> torch.Tensor:
            action = {"move": points[0].numpy(), "answer": np.zeros(episodes, np.int64)}
            return torch.from_numpy(worlds.step(action)[0]["feature"])[None]

        target = torch.from_numpy(info["truth"]["object"])[None]
        ways = (feel, touching(maps, target, torch.Generator()))
        first, second = (
            play(maps, episodes, way, made(maps), torch.Generator().manual_seed(world_seed)) for way in ways
        )
        said = {"move": np.zeros((episodes, columns), np.int64), "answer": 1 + first.answer[0].numpy()}
        right = worlds.step(said)[4]["result"]["right"]
        same &= torch.equal(first.points, second.points) and bool(np.array_equal(right, first.certain[0].numpy()))
        counts.append(first.touches.double())
        worlds.close()
    mean = round(float(torch.cat(counts).mean()), 4)
    row = {"policy": name, "features": features, "columns": columns, "episodes": 5 * episodes}
    return {**row, "touches": mean, "same_touches": same}


def measure() -> dict[str, Any]:
    """All rows."""
    torch.set_num_threads(1)
    return {"passive": passive(), "policies": policies(), "through_env": through_env()}


def figures(rows: dict[str, Any] | None = None) -> dict[str, float]:
    """The figures that have bars, of rows measured before or now (about half a minute)."""
    rows = measure() if rows is None else rows
    greedy = {
        f"symbolic_F{row['features']}": row["touches"]
        for row in rows["policies"]
        if row["policy"] == "information" and row["columns"] == 1
    }
    return {"passive_max_rel_error": max(row["rel_error"] for row in rows["passive"]), **greedy}


def _portions(features: int, worlds: int) -> Iterator[tuple[int, int]]:
    """Seeds, and how many worlds each draws."""
    for k, start in enumerate(range(0, worlds, AT_ONCE)):
        yield SEED + 1000 * features + k, min(AT_ONCE, worlds - start)


def main() -> None:
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    start = time.process_time()
    rows = measure()
    result = {
        **provenance(("numpy", "torch", "gymnasium")),
        "cpu_s": round(time.process_time() - start, 1),
        "seeds": f"{SEED} + 1000 F + k for the k-th {AT_ONCE} worlds",
        "objects": OBJECTS,
        "points": POINTS,
        "bars": BARS,
        "figures": figures(rows),
        **rows,
    }
    path = Path(__file__).parent / "results" / "movement_symbolic.json"
    path.write_text(json.dumps(result, indent=1) + "\n")
    print(json.dumps(result["figures"]))


if __name__ == "__main__":
    main()
