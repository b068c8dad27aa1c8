"""The flags of every command. Nothing heavy is imported here; the docstrings are the help texts."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

import tyro

from cortical.configs.schema import Experiment, LesionKind, Topology

Settings = Annotated[Experiment, tyro.conf.arg(name=""), tyro.conf.FlagConversionOff]
Switch = Annotated[bool, tyro.conf.FlagCreatePairsOff]


@dataclass
class Demo:
    """Learn the default objects, recognise them with one column and with five that vote, and show what happened."""

    out: Path = Path("runs/demo")
    """Run folder; given again, the same command goes on where it stopped."""
    names: tuple[str, ...] = ()
    """Only these objects (default: all of the catalogue)."""
    rotations: int = 1
    """Random poses per object."""
    experiment: Settings = field(default_factory=Experiment)


@dataclass
class Learn:
    """Learn maps of objects by moving an eye over them."""

    out: Path = Path("runs/learn")
    """Run folder; objects already in it are not learnt again."""
    names: tuple[str, ...] = ()
    """Only these objects (default: all of the catalogue)."""
    experiment: Settings = field(default_factory=Experiment)


@dataclass
class Recognise:
    """Recognise objects at random poses."""

    out: Path = Path("runs/recognise")
    """Run folder; episodes already in it are not run again."""
    maps: Path | None = None
    """Run folder with learnt maps (default: learn them into --out)."""
    names: tuple[str, ...] = ()
    """Only these objects (default: all of the catalogue)."""
    rotations: int = 1
    """Random poses per object."""
    experiment: Settings = field(default_factory=Experiment)


@dataclass
class Vote:
    """The same episodes with different numbers of columns, topologies and lesions."""

    out: Path = Path("runs/vote")
    """Run folder; episodes already in it are not run again."""
    maps: Path | None = None
    """Run folder with learnt maps (default: learn them into --out)."""
    names: tuple[str, ...] = ()
    """Only these objects (default: all of the catalogue)."""
    rotations: int = 1
    """Random poses per object and seed."""
    seeds: tuple[int, ...] = ()
    """Seeds of the poses (default: --seed)."""
    columns: tuple[int, ...] = (1, 2, 5, 9)
    """Numbers of columns to compare."""
    topology: tuple[Topology | Literal["all"], ...] = ()
    """Graphs to compare, all = all-to-all (default: --lateral.topology)."""
    lesion: tuple[float, ...] = ()
    """Shares of the columns that are struck, to compare (default: --lesion.share)."""
    lesion_kind: LesionKind | None = None
    """What strikes them (default: --lesion.kind)."""
    table: Literal["episodes", "steps"] = "episodes"
    """steps: besides the table with a row an episode, one with a row per column and step."""
    workers: int = 1
    """Processes that play episodes."""
    experiment: Settings = field(default_factory=Experiment)


@dataclass
class View:
    """Show an episode of a run as a page that plays, or drive the eye yourself (--live)."""

    run: tyro.conf.Positional[Path] = Path("runs/demo")
    """Run folder with episodes."""
    episode: int | None = None
    """The number of the episode, counted from 1 (default: the one that tells best)."""
    object: str | None = None
    """An episode of this object."""
    out: Path | None = None
    """The page to write (default: view.html in the run folder)."""
    maps: Path | None = None
    """Run folder with learnt maps (default: RUN itself)."""
    live: Switch = False
    """Serve a page on this machine: go through the episodes step by step, or drive the eye by keys and buttons."""
    port: int | None = None
    """Of the live page (default: one that is free)."""
    open: Switch = False
    """Open the page in the browser."""
    experiment: Settings = field(default_factory=Experiment)


@dataclass
class Plot:
    """Plots of a run for papers: accuracy, belief, raster of columns and steps, confusion."""

    run: tyro.conf.Positional[Path] = Path("runs/demo")
    """Run folder with episodes."""
    kind: Literal["all", "accuracy", "belief", "raster", "confusion"] = "all"
    """Which plot."""
    format: Literal["svg", "pdf", "png"] = "svg"
    """svg and pdf are vector graphics."""
    episode: int | None = None
    """The number of the episode of belief and raster, counted from 1 (default: the one that tells best)."""
    object: str | None = None
    """An episode of this object."""
    out: Path | None = None
    """The folder to write to (default: plots in the run folder)."""


@dataclass
class Objects:
    """List the objects of a catalogue."""

    experiment: Settings = field(default_factory=Experiment)
