"""Three solids, learnt once in a few seconds and shared by all tests of this folder."""

from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import torch

from cortical.agents.brain import build_region
from cortical.agents.learning import learn_objects
from cortical.agents.records import RunFolder
from cortical.agents.rollout import make_agent
from cortical.columns.object_map import ObjectMap
from cortical.configs.load import load
from cortical.configs.schema import Experiment, LearnConfig, WorldConfig

torch.set_num_threads(1)

NAMES = ("cylinder", "torus", "box")


@dataclass(frozen=True)
class Learnt:
    """An experiment, the maps learnt in it, and the run folder that holds them."""

    experiment: Experiment
    maps: dict[str, ObjectMap]
    folder: Path


@pytest.fixture(scope="session")
def learnt(tmp_path_factory: pytest.TempPathFactory) -> Learnt:
    """Maps of NAMES from 250 readings a view."""
    experiment = replace(
        load(), world=WorldConfig(objects="solids"), learn=LearnConfig(sensations_per_view=250)
    )
    path = tmp_path_factory.mktemp("learnt")
    maps = learn_objects(experiment, NAMES, RunFolder(path, experiment, "learn"), lambda name, readings: None)
    return Learnt(experiment, maps, path)


@pytest.fixture
def agent(learnt: Learnt):
    """An agent of one column that knows the three solids."""
    made = make_agent(learnt.experiment, build_region(learnt.experiment, learnt.maps))
    yield made
    made.env.close()
