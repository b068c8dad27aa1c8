"""What the commands do: learn, recognise, vote, with progress bars, in a run folder that can be gone on with."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from cortical.columns.object_map import ObjectMap
from cortical.configs.schema import Experiment
from cortical.envs.sensors import shared_catalogue

from .brain import build_region
from .learning import learn_objects
from .records import RunFolder
from .rollout import EpisodeRecord, make_agent, play


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
