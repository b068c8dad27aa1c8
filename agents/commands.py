"""The commands behind `cortical`, with all that is heavy."""

import webbrowser

import torch
from rich.console import Console

from cortical.configs.schema import Topology
from cortical.envs.sensors import shared_catalogue

from . import pictures, runs, story, voting
from .flags import Demo, Learn, Objects, Plot, Recognise, View, Vote
from .records import RunFolder
from .voting_picture import experiment_picture

console = Console()


def demo(arguments: Demo) -> None:
    """Learn, recognise with one column and with five, tell and draw one episode."""
    torch.set_num_threads(1)
    experiment = arguments.experiment
    folder = _folder(arguments, "demo")
    maps = runs.learn(experiment, folder, arguments.names)
    console.print(f"learnt {len(maps)} objects, {sum(map(len, maps.values())):,} points\n")
    one = runs.recognise(
        runs.with_columns(experiment, 1), folder, maps, "1 column", arguments.names, arguments.rotations
    )
    many = f"{experiment.eye.columns} columns"
    several = runs.recognise(experiment, folder, maps, many, arguments.names, arguments.rotations)
    console.print(story.compare_table(one, several, ("1 column", many)))
    shown = story.worth_telling(one)
    console.print(f"\n[bold]How one column recognised the {shown.object}[/bold]")
    for line in story.tell(shown):
        console.print(story.wrapped(line, console.width), highlight=False, markup=False, soft_wrap=True)
    mesh = shared_catalogue(experiment.world.objects).mesh(shown.object)
    pictures.episode_picture(
        shown, mesh, maps.get(shown.best_guess), folder.path / "episode.png", experiment.decision.odds
    )
    pictures.run_picture({"1 column": one, many: several}, folder.path / "run.png")
    console.print(f"\npictures: {folder.path / 'episode.png'} and {folder.path / 'run.png'}")
    console.print(f"see it move: cortical view {folder.path}", highlight=False, soft_wrap=True)


def learn(arguments: Learn) -> None:
    """Learn maps."""
    torch.set_num_threads(1)
    folder = _folder(arguments, "learn")
    maps = runs.learn(arguments.experiment, folder, arguments.names)
    console.print(f"{len(maps)} maps, {sum(map(len, maps.values())):,} points, in {folder.path / 'maps'}")


def recognise(arguments: Recognise) -> None:
    """Recognise objects at random poses."""
    torch.set_num_threads(1)
    known = _elsewhere(arguments)
    folder = _folder(arguments, "recognise")
    maps = runs.learn(arguments.experiment, known or folder, arguments.names)
    label = f"{arguments.experiment.eye.columns} column" + "s" * (arguments.experiment.eye.columns > 1)
    records = runs.recognise(arguments.experiment, folder, maps, label, arguments.names, arguments.rotations)
    console.print(story.episode_table(records))
    pictures.run_picture({label: records}, folder.path / "run.png")
    console.print(f"rows, traces and run.png: {folder.path}")


def vote(arguments: Vote) -> None:
    """The same episodes with several numbers of columns, topologies and lesions."""
    torch.set_num_threads(1)
    experiment = arguments.experiment
    plan = _plan(arguments)
    for setting in plan.settings:
        voting.with_setting(experiment, setting, plan.kind)  # what makes no sense is told before anything is run
    known = _elsewhere(arguments)
    folder = _folder(arguments, "vote")
    maps = runs.learn(experiment, known or folder, arguments.names)
    where = (known or folder).path
    records = voting.run_settings(experiment, maps, plan, folder, arguments.workers, where)
    rows = voting.rows_of(records, plan.kind)
    voting.write_table(rows, folder.path / "episodes.csv")
    if arguments.table == "steps":
        voting.write_table(voting.step_rows(records, plan.kind), folder.path / "steps.csv")
    plain = {s.columns: some for s, some in records.items() if s[1:] == (plan.topologies[0], plan.lesions[0])}
    several = len(plan.topologies) * len(plan.lesions) > 1
    console.print(voting.experiment_table(rows) if several else story.vote_table(plain))
    pictures.vote_picture(plain, folder.path / "vote.png")
    experiment_picture(rows, folder.path / "voting.png")
    console.print(f"rows, traces, tables, vote.png and voting.png: {folder.path}")


def _plan(arguments: Vote) -> voting.Plan:
    """The settings asked for; what isn't asked for is as the experiment has it."""
    experiment = arguments.experiment
    asked: list[Topology] = ["all-to-all" if name == "all" else name for name in arguments.topology]
    topologies = tuple(dict.fromkeys(asked)) or (experiment.lateral.topology,)
    lesions = arguments.lesion or (experiment.lesion.share,)
    kind = arguments.lesion_kind or experiment.lesion.kind
    seeds = arguments.seeds or (experiment.seed,)
    return voting.Plan(arguments.columns, topologies, lesions, kind, arguments.names, arguments.rotations, seeds)


def view(arguments: View) -> None:
    """Write the page of an episode, or serve the live page."""
    torch.set_num_threads(1)
    if arguments.live:
        _live(arguments)
        return
    from .page import write_page
    from .shown import shown

    one = shown(arguments.run, arguments.episode, arguments.object, arguments.maps)
    path = write_page(one, arguments.out or arguments.run / "view.html")
    console.print(f"{one.record.object}, {one.label}: {story.ending(one.record)}", highlight=False, soft_wrap=True)
    console.print(f"open it in a browser: {path}", highlight=False, soft_wrap=True)
    if arguments.open:
        webbrowser.open(path.resolve().as_uri())


def _live(arguments: View) -> None:
    import numpy as np

    from .drive import Drive
    from .live import LivePage
    from .shown import episodes_shown, read_maps

    experiment = arguments.experiment
    folder = RunFolder.to_read(arguments.maps or arguments.run, experiment)
    maps = read_maps(folder, set(runs.known_names(experiment)))
    recorded = episodes_shown(arguments.run, arguments.episode, arguments.object, arguments.maps)
    drive = Drive(experiment, maps, np.random.default_rng(experiment.seed)) if maps else None
    page = LivePage(drive, recorded, arguments.port)
    console.print(f"{page.address}   (end it with Ctrl-C)", highlight=False)
    if drive is None:
        console.print("no maps here: nothing to drive with. Say where they are with --maps")
    if arguments.open:
        webbrowser.open(page.address)
    try:
        page.run()
    except KeyboardInterrupt:
        console.print("\nended")
    finally:
        page.close()
        if drive is not None:
            drive.close()


def plot(arguments: Plot) -> None:
    """Plots for papers."""
    from .plots import plot_run

    wanted = arguments.kind, arguments.format, arguments.episode, arguments.object
    for path in plot_run(arguments.run, arguments.out, *wanted):
        console.print(str(path), highlight=False, soft_wrap=True)


def objects(arguments: Objects) -> None:
    """List a catalogue."""
    catalogue = shared_catalogue(arguments.experiment.world.objects)
    for name in catalogue.names:
        mesh = catalogue.mesh(name)
        size = 100 * (mesh.vertices.max(0) - mesh.vertices.min(0))
        colour = "texture" if mesh.texture is not None else "plain"
        edges = f"{size[0]:5.1f} x {size[1]:5.1f} x {size[2]:5.1f} cm"
        console.print(f"{name:<24} {edges} {len(mesh.faces):>7,} triangles  {colour}")


def _folder(arguments: Demo | Learn | Recognise | Vote, command: str) -> RunFolder:
    """The run folder, claimed only when the objects asked for exist: a slip of the pen must not occupy it."""
    runs.known_names(arguments.experiment, arguments.names)
    return RunFolder(arguments.out, arguments.experiment, command)


def _elsewhere(arguments: Recognise | Vote) -> RunFolder | None:
    """The run folder whose maps are to be used, if it isn't the run's own."""
    return None if arguments.maps is None else RunFolder.to_read(arguments.maps, arguments.experiment)
