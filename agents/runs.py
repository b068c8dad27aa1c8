"""What the commands do: learn, recognise, vote, with progress bars, in a run folder that can be gone on with."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

import numpy as np
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from cortical.columns.object_map import ObjectMap
from cortical.configs.schema import Experiment
from cortical.envs.sensors import shared_catalogue

from .agent import Agent
from .brain import build_region
from .episode import EpisodeRecord
from .learning import learn_objects
from .records import RunFolder
from .rollout import make_agent, play


@contextmanager
def progress(task: str, total: int) -> Iterator[Callable[[str], None]]:
    """A progress bar; call what it yields with a word on what was done."""
    columns = (
        TextColumn("{task.description:<12}"), BarColumn(40), MofNCompleteColumn(), TimeElapsedColumn(),
        TimeRemainingColumn(), TextColumn("{task.fields[word]}"),
    )  # fmt: skip
    with Progress(*columns) as bar:
        job = bar.add_task(task, total=total, word="")
        yield lambda word: bar.update(job, advance=1, word=word)


def known_names(experiment: Experiment, names: tuple[str, ...] = ()) -> tuple[str, ...]:
    """These objects of the experiment's catalogue, or all. Raises an error with a suggestion for an unknown one."""
    catalogue = shared_catalogue(experiment.world.objects)
    for name in names:
        catalogue.mesh(name)
    return names or catalogue.names


def learn(experiment: Experiment, folder: RunFolder, names: tuple[str, ...] = ()) -> dict[str, ObjectMap]:
    """Learn objects, or read what was learnt before."""
    names = known_names(experiment, names)
    with progress("learning", len(names)) as advance:
        return learn_objects(experiment, names, folder, lambda name, readings: advance(f"{name} ({learnt(readings)})"))


def learnt(readings: int) -> str:
    """In words, how a map came about."""
    return f"{readings} readings" if readings else "learnt before"


def recognise(
    experiment: Experiment, folder: RunFolder, maps: dict[str, ObjectMap], label: str,
    names: tuple[str, ...] = (), rotations: int = 1, seeds: tuple[int, ...] | None = None,
) -> list[EpisodeRecord]:  # fmt: skip
    """Episodes of every object at `rotations` random poses per seed; those in the folder are not run again."""
    names = names or tuple(maps)
    done = folder.episodes(label)
    wanted = [(n, s, r) for s in seeds or (experiment.seed,) for r in range(rotations) for n in names]
    agent = make_agent(experiment, build_region(experiment, maps))
    records = []
    with progress(label, len(wanted)) as advance:
        for name, seed, rotation in wanted:
            record = done.get((name, seed, rotation))
            if record is None:
                record = play(agent, name, seed, rotation)
                folder.append(label, record)
            records.append(record)
            advance(f"{name}: {record.answer or 'undecided'}")
    agent.env.close()
    return records


def with_columns(experiment: Experiment, columns: int) -> Experiment:
    """The same experiment with another number of columns."""
    return replace(experiment, eye=replace(experiment.eye, columns=columns))


def run_episode(
    experiment: Experiment,
    name: str,
    pose: tuple[np.ndarray, np.ndarray] | None = None,
    seed: int = 0,
    maps: str | Path = "runs/learn",
) -> EpisodeRecord:
    """One episode from plain data in to plain data out, for any process of a pool.

    pose : position (3,) in metres and rotation (3, 3) of the object; None: random, from the seed
    maps : a run folder with learnt maps; what it lacks is learnt
    """
    return play(_agent_of(experiment, str(maps)), name, seed, pose=pose)


@lru_cache(maxsize=2)
def _agent_of(experiment: Experiment, maps: str) -> Agent:
    """The agent of this process, made once."""
    folder = RunFolder.to_read(Path(maps), experiment)
    names = shared_catalogue(experiment.world.objects).names
    known = learn_objects(folder.experiment, names, folder, lambda name, readings: None)
    return make_agent(experiment, build_region(experiment, known))
