"""The swap: a column that learnt by touch gets an eye's stream, and learns again. Nothing of it changes but its input.

One region of one column, of the schema that fingers have (shapes alone), is kept throughout:

    touch                learnt by fingers that come down all over the object, named by touch
    sight, swapped       the same maps, the eye's stream instead of the finger's
    sight, learnt again  the eye's readings added to the same maps
    touch again          after that, by touch: what is left of what it knew by it
    sight alone          a column that never felt anything, to compare
"""

import argparse
from dataclasses import asdict, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import recognition
import torch

from cortical.agents.agent import Agent
from cortical.agents.brain import build_region
from cortical.agents.learning import Learner, views
from cortical.agents.rollout import make_agent, play
from cortical.agents.sensing import Senses
from cortical.columns.object_map import ObjectMap
from cortical.columns.region import Region
from cortical.configs.load import load
from cortical.configs.schema import Experiment, EyeConfig, TouchConfig
from cortical.envs.explore import ObjectExploreEnv
from cortical.envs.sensors import shared_catalogue

FINGERS, LANDINGS = 16, 60  # fingers that touch at once while learning, and how often they come down on an object
STAGES = ("touch", "sight, swapped", "sight, learnt again", "touch again", "sight alone")
SENSATIONS = 100  # at most in an episode
Row = dict[str, Any]


def names() -> tuple[str, ...]:
    """The objects."""
    return shared_catalogue("default").names


def experiment_of(sense: str) -> Experiment:
    """One finger and no eye, or one patch of an eye and no finger."""
    base = load("default")
    eye, fingers = (0, 1) if sense == "touch" else (1, 0)
    return replace(
        base, column=replace(base.column, texture=False), eye=replace(base.eye, columns=eye, noise="noise"),
        touch=replace(base.touch, fingers=fingers),
        decision=replace(base.decision, max_sensations=SENSATIONS),
    )  # fmt: skip


def learn_by_touch(env: ObjectExploreEnv, name: str, seed: int) -> ObjectMap:
    """What fingers feel of an object at the origin, wherever they come down; clean, and without colour."""
    known, senses = ObjectMap.empty(load("default").column.node_spacing), Senses(False, FINGERS)
    for landing in range(LANDINGS):
        options = {"object": name, "position": np.zeros(3), "rotation": np.eye(3)}
        felt = senses(env.reset(seed=seed * LANDINGS + landing, options=options)[0])
        met = (felt.on_object & felt.valid)[0]
        place = felt.location[0, met], felt.normal[0, met], felt.direction[0, met]
        known = known.insert(*place, felt.curvature[0, met], felt.hsv[0, met], felt.code[0, met])
    return known


@lru_cache(maxsize=1)
def regions(root: Path, seed: int) -> dict[str, Region]:
    """The column with what it knows, by how it learnt."""
    experiment, touch = experiment_of("sight"), experiment_of("touch")
    plain = EyeConfig(columns=0, noise="clean")
    env = ObjectExploreEnv.from_config(experiment.world, plain, TouchConfig(fingers=FINGERS))
    felt = {name: learn_by_touch(env, name, seed) for name in names()}
    env.close()
    learner, again = Learner(experiment), dict(felt)
    for name in names():
        for bearing in views():
            again[name] = learner.add_view(again[name], name, bearing)
    learner.env.close()
    seen = recognition.learnt_maps(root, experiment, names())
    maps = {"by touch": felt, "by touch, then sight": again, "by sight": seen}
    return {how: build_region(touch, known) for how, known in maps.items()}


@lru_cache(maxsize=1)
def agents(root: Path, seed: int) -> dict[str, Agent]:
    """Who is asked in each stage."""
    known = regions(root, seed)
    parts = {
        "touch": ("touch", "by touch"), "sight, swapped": ("sight", "by touch"),
        "sight, learnt again": ("sight", "by touch, then sight"), "touch again": ("touch", "by touch, then sight"),
        "sight alone": ("sight", "by sight"),
    }  # fmt: skip
    return {stage: make_agent(experiment_of(parts[stage][0]), known[parts[stage][1]]) for stage in STAGES}


def swapped(job: tuple[str, argparse.Namespace, str]) -> list[Row]:
    """Rows of one object in all stages, at the same poses."""
    _, args, name = job
    torch.set_num_threads(1)
    rows = []
    for stage, agent in agents(args.maps, args.seed).items():
        for rotation in range(args.rotations):
            row = asdict(play(agent, name, args.seed, rotation, traced=False))
            kept = ("object", "answer", "best_guess", "sensations", "rotation_error_deg", "rotation_index")
            rows.append({"stage": stage, "nodes": nodes(agent.region, name), **{key: row[key] for key in kept}})
    return rows


def nodes(region: Region, name: str) -> int:
    """Points of an object's map."""
    return int(region.kinds[0].atlas.node_count[region.objects.index(name)])  # pyright: ignore[reportAttributeAccessIssue]


def summary(rows: list[Row]) -> dict[str, Row]:
    """Figures of each stage."""
    found = {}
    for stage in STAGES:
        mine = [row for row in rows if row.get("stage") == stage]
        right = np.array([row["answer"] == row["object"] for row in mine])
        drawn = np.random.default_rng(0).integers(len(right), size=(2000, len(right)))
        low, high = np.percentile(right[drawn].mean(1), [2.5, 97.5])
        found[stage] = {
            "episodes": len(mine), "right": float(right.mean()), "right_interval": [float(low), float(high)],
            "best_guess": float(np.mean([row["best_guess"] == row["object"] for row in mine])),
            "sensations_median": float(np.median([row["sensations"] for row in mine])),
            "rotation_error_median_deg": float(np.median([row["rotation_error_deg"] for row in mine])),
            "nodes": float(np.mean([row["nodes"] for row in mine])),
        }  # fmt: skip
    return found
