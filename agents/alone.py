"""Columns that learn alone: maps of their own, from views of their own, in frames and under names of their own.

Each learner goes round every object by itself: its views are those of `learning` turned at random, some of them left
out, so no two maps hold the same nodes. It keeps each map in a frame of its own, map_from_object a random rigid motion,
and calls its objects by number in an order of its own. What they are called by others, and how the frames lie to each
other, it doesn't know; `columns.naming` learns it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from cortical.columns.geometry import random_rotations
from cortical.columns.messages import Pose
from cortical.columns.object_map import ObjectMap
from cortical.columns.storage import load_maps, save_maps
from cortical.configs.schema import Experiment

from .brain import stored_schema
from .learning import Learner, views

ASIDE = 0.03
"""Metres an axis, sd, by which the middle of a map's frame lies beside that of the object's."""


@dataclass(frozen=True)
class Alone:
    """What one learnt by itself.

    maps : by its own names, in its own order
    truth : what each of them is called in the catalogue, in the same order; the learner never sees it
    frame : (o,) map_from_object of each, likewise
    """

    maps: dict[str, ObjectMap]
    truth: tuple[str, ...]
    frame: Pose


def learn_alone(
    experiment: Experiment, names: tuple[str, ...], seed: int, count: int = 14, tell: Callable[[str], object] = len
) -> Alone:
    """The maps of one learner, of all its draws from `seed`, by `count` of its 14 views of each object.

    tell : called with each object's name when it is learnt
    """
    generator = torch.Generator().manual_seed(seed)
    order = torch.randperm(len(names), generator=generator).tolist()
    frame = Pose(ASIDE * torch.randn(len(names), 3, generator=generator), random_rotations(len(names), generator))
    turn = random_rotations(len(names), generator).double().numpy()
    learner, maps = Learner(experiment), {}
    for k, at in enumerate(order):
        chosen = torch.randperm(14, generator=generator)[:count].numpy()
        bearings: np.ndarray = views()[chosen] @ turn[k].T
        own = Pose(frame.location[k], frame.rotation[k])
        maps[f"thing {k + 1}"] = learner.learn(names[at], bearings, own)
        tell(names[at])
    return Alone(maps, tuple(names[at] for at in order), frame)


def save_alone(path: Path, experiment: Experiment, learnt: Alone) -> None:
    """Keep what was learnt in one file of maps."""
    motions = [learnt.frame.location.tolist(), learnt.frame.rotation.tolist()]
    save_maps(path, learnt.maps, stored_schema(experiment), {"truth": list(learnt.truth), "frame": motions})


def load_alone(path: Path, experiment: Experiment) -> Alone:
    """What `save_alone` kept. Raises MapFileError as `load_maps` does."""
    maps, _, extra = load_maps(path, stored_schema(experiment))
    return Alone(maps, tuple(extra["truth"]), Pose(*(torch.tensor(part) for part in extra["frame"])))
