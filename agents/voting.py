"""Voting as an experiment: numbers of columns x topologies x lesions, the same episodes in each, one tidy table.

    rows = run_experiment(Experiment(), maps, Plan(columns=(1, 4, 16), topologies=("ring", "all-to-all")))

Object, pose, start and noise of an episode follow from (seed, object, rotation index), whatever the setting, so
settings are compared episode by episode. Settings that come to the same (a ring of one column, a lesion that strikes
nobody) are run once and have their rows each.
"""

import csv
import io
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from functools import lru_cache
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

import torch
from rich import box
from rich.table import Table

from cortical.columns.object_map import ObjectMap
from cortical.columns.storage import write_whole
from cortical.configs.load import ConfigError, validate
from cortical.configs.schema import Experiment, LesionKind, Topology

from .agent import Agent
from .brain import build_region
from .episode import EpisodeRecord
from .learning import learn_objects
from .records import RunFolder
from .rollout import make_agent, play
from .runs import progress

Row = dict[str, Any]
Key = tuple[str, int, int]
"""Object, seed, rotation index."""


class Setting(NamedTuple):
    """One cell of an experiment; `lesion` is the share of columns that are struck."""

    columns: int
    topology: Topology
    lesion: float


@dataclass(frozen=True)
class Plan:
    """What to run: every setting, with every object at `rotations` random poses per seed.

    Without `names`, all objects known; without `seeds`, that of the experiment.
    """

    columns: tuple[int, ...] = (1, 2, 5, 9)
    topologies: tuple[Topology, ...] = ("all-to-all",)
    lesions: tuple[float, ...] = (0.0,)
    kind: LesionKind = "kill"
    names: tuple[str, ...] = ()
    rotations: int = 1
    seeds: tuple[int, ...] = field(default=())

    @property
    def settings(self) -> list[Setting]:
        """All of them."""
        return [Setting(*each) for each in product(self.columns, self.topologies, self.lesions)]


Records = dict[Setting, list[EpisodeRecord]]


def run_experiment(
    experiment: Experiment,
    maps: dict[str, ObjectMap],
    plan: Plan,
    folder: RunFolder | None = None,
    workers: int = 1,
    show: bool = True,
) -> list[Row]:
    """A row for every episode and setting, with a progress bar if it is to `show`. With a run folder, episodes in it
    aren't run again; with more than one worker they run in processes of their own, which read the maps from it."""
    return rows_of(run_settings(experiment, maps, plan, folder, workers, show=show), plan.kind)


def run_settings(
    experiment: Experiment,
    maps: dict[str, ObjectMap],
    plan: Plan,
    folder: RunFolder | None = None,
    workers: int = 1,
    maps_in: Path | None = None,
    show: bool = True,
) -> Records:
    """The episodes of every setting, with their traces. Raises ConfigError for a setting that makes no sense.

    maps_in : the run folder that worker processes read the maps from, if it isn't `folder`
    """
    seeds, names = plan.seeds or (experiment.seed,), plan.names or tuple(maps)
    keys = [(name, seed, rotation) for seed in seeds for rotation in range(plan.rotations) for name in names]
    wanted = {label_of(s, experiment, plan.kind): with_setting(experiment, s, plan.kind) for s in plan.settings}
    where = maps_in or (folder.path if folder else None)
    if workers > 1 and where is None:
        raise ValueError("worker processes read maps from a folder: give one, or take workers=1")
    done: dict[str, dict[Key, EpisodeRecord]] = {}
    bar = progress("voting", len(wanted) * len(keys)) if show else nullcontext(lambda word: None)
    with _player(experiment, workers, maps, where) as run_all, bar as advance:
        for label, asked in wanted.items():
            there = folder.episodes(label) if folder else {}
            done[label] = {key: there[key] for key in keys if key in there}
            for key in done[label]:
                advance(f"{label}: {key[0]}, done before")
            for record in run_all(asked, [key for key in keys if key not in there]):
                if folder:
                    folder.append(label, record)
                done[label][record.object, record.seed, record.rotation_index] = record
                advance(f"{label}: {record.object}, {record.answer or 'undecided'}")
    return {s: [done[label_of(s, experiment, plan.kind)][key] for key in keys] for s in plan.settings}


def with_setting(experiment: Experiment, setting: Setting, kind: LesionKind) -> Experiment:
    """The experiment with another number of columns, topology and lesion. Raises ConfigError."""
    if experiment.lateral.graph and setting.topology != experiment.lateral.topology:
        raise ConfigError(
            f"lateral.graph = {experiment.lateral.graph!r} takes the place of any topology, so {setting.topology} "
            "can't be compared with it: leave out --lateral.graph, or --topology"
        )
    return validate(
        replace(
            experiment,
            eye=replace(experiment.eye, columns=setting.columns),
            lateral=replace(experiment.lateral, topology=setting.topology),
            lesion=replace(experiment.lesion, kind=kind, share=setting.lesion),
        )
    )


def label_of(setting: Setting, experiment: Experiment, kind: LesionKind) -> str:
    """What tells a setting's episodes from others; the same for settings that come to the same."""
    parts = [f"{setting.columns} column" + "s" * (setting.columns != 1)]
    count = setting.columns + experiment.touch.fingers
    if count > 1 and setting.topology != experiment.lateral.topology:
        parts.append(setting.topology)
    if round(setting.lesion * count):
        parts.append(f"{kind} {setting.lesion:g}")
    return ", ".join(parts)


Play = Callable[[Experiment, list[Key]], Iterable[EpisodeRecord]]


@contextmanager
def _player(learnt: Experiment, workers: int, maps: dict[str, ObjectMap], where: Path | None) -> Iterator[Play]:
    """What plays the episodes of a setting, here or in processes of their own, in order; `learnt`: with what settings
    the maps were."""
    if workers <= 1:
        yield lambda experiment, keys: _here(experiment, maps, keys)
        return
    with ProcessPoolExecutor(workers) as pool:
        assert where is not None
        known = learnt, where, tuple(maps)
        yield lambda experiment, keys: pool.map(_elsewhere, ((experiment, *known, key) for key in keys))


def _here(experiment: Experiment, maps: dict[str, ObjectMap], keys: list[Key]) -> Iterator[EpisodeRecord]:
    if not keys:
        return
    agent = make_agent(experiment, build_region(experiment, maps))
    try:
        yield from (play(agent, *key) for key in keys)
    finally:
        agent.env.close()


def _elsewhere(job: tuple[Experiment, Experiment, Path, tuple[str, ...], Key]) -> EpisodeRecord:
    *known, key = job
    torch.set_num_threads(1)
    return play(_agent(*known), *key)


@lru_cache(maxsize=1)
def _agent(experiment: Experiment, learnt: Experiment, where: Path, names: tuple[str, ...]) -> Agent:
    """The agent of this process, made once for each setting."""
    folder = RunFolder.to_read(where, learnt)
    maps = learn_objects(learnt, names, folder, lambda name, readings: None)
    return make_agent(experiment, build_region(experiment, maps))


# ---- tables


def rows_of(records: Records, kind: LesionKind) -> list[Row]:
    """One row an episode and setting."""
    return [_head(s, kind, record) | _ending(record) for s, some in records.items() for record in some]


def step_rows(records: Records, kind: LesionKind) -> Iterator[Row]:
    """One row a column and step: what it believes, after the votes and alone."""
    for setting, some in records.items():
        for record in some:
            head = _head(setting, kind, record)
            for k, step in enumerate(record.trace):
                for column, (found, place) in enumerate(zip(step.columns, step.location, strict=True)):
                    yield head | {
                        "step": k + 1, "column": column, "met": bool(place), "best": found.best,
                        "log_odds": found.log_odds, "entropy": found.entropy, "alone_best": found.alone_best,
                        "alone_log_odds": found.alone_log_odds, "alone_entropy": found.alone_entropy,
                        "region_best": step.best, "region_log_odds": step.log_odds,
                    }  # fmt: skip


def write_table(rows: Iterable[Row], path: Path) -> Path:
    """Rows as CSV, written whole or not at all. Raises ValueError without rows."""
    every = list(rows)
    if not every:
        raise ValueError("no rows to write: run an episode first")
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, list(every[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(every)
    write_whole(path, text.getvalue().encode())
    return path


def _head(setting: Setting, kind: LesionKind, record: EpisodeRecord) -> Row:
    lesion = kind if setting.lesion else "none"
    where = {"object": record.object, "seed": record.seed, "rotation_index": record.rotation_index}
    return {"columns": setting.columns, "topology": setting.topology, "lesion": lesion, "share": setting.lesion} | where


def _ending(record: EpisodeRecord) -> Row:
    return {
        "answer": record.answer or "", "correct": record.correct, "best_guess": record.best_guess,
        "right_after_one": record.best_guess_per_step[0] == record.object, "sensations": record.sensations,
        "rotation_error_deg": round(record.rotation_error_deg, 4), "add_s_mm": round(record.add_s_mm, 4),
        "odds_log": round(record.odds_log, 4), "think_ms": round(sum(record.think_ms), 3),
    }  # fmt: skip


def experiment_table(rows: list[Row]) -> Table:
    """A line for each setting."""
    table = Table(box=box.SIMPLE, show_edge=False, padding=(0, 1, 0, 0))
    for head in ("columns", "topology", "lesion", "correct", "right after one", "sensations", "pose error"):
        table.add_column(head, justify="left" if head in ("topology", "lesion") else "right")
    settings = dict.fromkeys((row["columns"], row["topology"], row["lesion"], row["share"]) for row in rows)
    for columns, topology, lesion, share in settings:
        asked = [r for r in rows if (r["columns"], r["topology"], r["share"]) == (columns, topology, share)]
        errors = sorted(row["rotation_error_deg"] for row in asked if row["correct"])
        right, first = (sum(row[name] for row in asked) / len(asked) for name in ("correct", "right_after_one"))
        table.add_row(
            str(columns), topology, f"{lesion} {share:g}" if share else "–", f"{100 * right:.1f} %",
            f"{100 * first:.1f} %", f"{sum(row['sensations'] for row in asked) / len(asked):.2f}",
            f"{errors[len(errors) // 2]:.1f}°" if errors else "–",
        )  # fmt: skip
    return table
