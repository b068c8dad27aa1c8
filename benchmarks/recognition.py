"""How well objects are recognised, by the rules in the README ("How recognition is measured").

    python benchmarks/recognition.py --suite default --condition noise --columns 5 --policy information_gain

Maps are learnt once per set of learning settings and kept in --maps. The result file holds the command, versions,
seeds and the per-episode rows; the last line printed is one JSON object with the figures.
"""

import argparse
import hashlib
import json
import platform
import shutil
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, replace
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from provenance import commit
from rich.progress import track

from cortical.agents.agent import Agent
from cortical.agents.brain import build_region, trust_of
from cortical.agents.episode import EpisodeRecord
from cortical.agents.learning import learn_objects
from cortical.agents.metrics import summarise
from cortical.agents.policies import BUILT_IN
from cortical.agents.records import PACKAGES, RunFolder, learning_settings
from cortical.agents.rollout import make_agent, play
from cortical.columns.object_map import ObjectMap
from cortical.columns.storage import write_whole
from cortical.configs.load import load, validate
from cortical.configs.schema import Experiment, WorldConfig
from cortical.envs.sensors import shared_catalogue

RESULTS = Path(__file__).parent / "results"
SUITES = {"ycb10": "monty_distinct10", "ycb10similar": "monty_similar10", "ycb77": "monty77"}
KEYS = (
    "correct", "undecided", "sensations_median", "sensations_p95", "rotation_error_median_deg", "within_10deg",
    "rotation_error_half_median_deg", "within_10deg_half", "rotation_error_double_median_deg", "within_10deg_double",
    "rotation_error_plain_median_deg", "within_10deg_plain", "add_s_median_mm", "think_ms_median", "think_ms_p95",
    "episodes",
)  # fmt: skip


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--suite", default="default", choices=["default", "default-hard", *SUITES])
    parser.add_argument("--condition", default="noise", choices=["clean", "noise", "rawnoise", "dropout"])
    parser.add_argument("--columns", type=int, default=1)
    parser.add_argument("--fingers", type=int, default=0, help="fingers besides the eye; --columns 0: no eye")
    parser.add_argument("--policy", default="information_gain", choices=sorted(BUILT_IN))
    parser.add_argument("--features", default="surface", choices=["surface", "sdr", "both"])
    parser.add_argument("--backend", default="rays", choices=["rays", "camera"])
    parser.add_argument("--topology", default="all-to-all")
    parser.add_argument("--objects", help="folder of meshes in the YCB layout, for the ycb suites")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2], help="published: 0 1 2; tune on 100 and up")
    parser.add_argument("--rotations", type=int, help="random poses per object and seed (10; 3 for ycb77)")
    parser.add_argument("--maps", type=Path, default=Path("runs/maps"), help="where learnt maps are kept")
    parser.add_argument("--output", type=Path, help="result file (default: benchmarks/results/recognition-...json)")
    parser.add_argument("--workers", type=int, default=2)
    parser.set_defaults(moves={})  # more settings of the policy, for other benchmarks
    return parser.parse_args()


def experiment_of(args: argparse.Namespace) -> Experiment:
    """The configuration that the arguments ask for."""
    if args.suite in SUITES and not args.objects:
        raise SystemExit(f"--suite {args.suite} needs --objects DIR, a folder of meshes in the YCB layout")
    source = f"{args.objects}#{SUITES[args.suite]}" if args.suite in SUITES else args.suite
    base = load("default")
    return validate(
        replace(
            base,
            world=WorldConfig(objects=source),
            eye=replace(base.eye, columns=args.columns, noise=args.condition, backend=args.backend),
            touch=replace(base.touch, fingers=args.fingers),
            column=replace(base.column, features=args.features),
            lateral=replace(base.lateral, topology=args.topology),
            policy=replace(base.policy, name=args.policy, **args.moves),
        )
    )


def maps_folder(root: Path, experiment: Experiment) -> RunFolder:
    """A folder of its own for every set of learning settings."""
    coded = experiment.column.features != "surface" or experiment.column.code_column
    settings = json.dumps([learning_settings(experiment), coded], sort_keys=True)
    plain = Experiment(world=experiment.world, eye=replace(experiment.eye, columns=1, noise="clean"))
    plain = replace(
        plain,
        column=replace(plain.column, features="both" if coded else "surface", code=experiment.column.code),
        learn=experiment.learn,
    )
    return RunFolder.for_maps(root / hashlib.sha256(settings.encode()).hexdigest()[:12], plain)


def learn(args: argparse.Namespace, experiment: Experiment, names: tuple[str, ...]) -> None:
    """Learn what the maps' folder lacks."""
    folder = maps_folder(args.maps, experiment)
    learn_objects(
        folder.experiment, names, folder, lambda name, readings: print(f"{name}: {readings} readings", flush=True)
    )


def episodes(job: tuple[argparse.Namespace, str, int, Path]) -> list[EpisodeRecord]:
    """All episodes of one object, in a process of its own; kept, so that a run that was cut off goes on here."""
    args, name, rotations, kept = job
    file = kept / f"{name}.json"
    if file.is_file():
        return [EpisodeRecord(**row) for row in json.loads(file.read_text())]
    torch.set_num_threads(1)
    agent = agent_of(args)
    records = [play(agent, name, s, r, traced=False) for s in args.seeds for r in range(rotations)]
    write_whole(file, json.dumps([asdict(record) for record in records]).encode())
    return records


def agent_of(args: argparse.Namespace) -> Agent:
    """The agent that the arguments ask for, made once in a process."""
    return agent_that(experiment_of(args), args.maps)


@lru_cache(maxsize=1)
def agent_that(experiment: Experiment, root: Path) -> Agent:
    """The agent of a configuration that knows all its objects, made once in a process."""
    return make_agent(experiment, build_region(experiment, learnt_maps(root, experiment)))


def learnt_maps(root: Path, experiment: Experiment, names: Sequence[str] | None = None) -> dict[str, ObjectMap]:
    """Maps of the objects named, or all; those that the folder lacks are learnt."""
    folder = maps_folder(root, experiment)
    every = shared_catalogue(experiment.world.objects).names
    return learn_objects(folder.experiment, tuple(names or every), folder, lambda name, readings: None)


def run(args: argparse.Namespace) -> dict:
    """Learn what is missing, play all episodes and write the result file: what it holds. A run of the same settings
    and commit that was cut off goes on where it was."""
    torch.set_num_threads(1)
    experiment = experiment_of(args)
    names = shared_catalogue(experiment.world.objects).names
    learn(args, experiment, names)
    rotations = args.rotations or (3 if args.suite == "ycb77" else 10)
    head = described(args, experiment)
    kept = unfinished(args, head, rotations)
    jobs = [(args, name, rotations, kept) for name in names]
    records: list[EpisodeRecord] = []
    with ProcessPoolExecutor(args.workers) as pool:
        for done in track(pool.map(episodes, jobs), f"{args.suite}, {args.policy}", total=len(jobs)):
            records += done
    rows = [{k: v for k, v in asdict(record).items() if k != "trace"} for record in records]
    result = head | {"summary": summarise(records), "rows": [rounded(row) for row in rows]}
    write(output_of(args), result)
    shutil.rmtree(kept)
    return result


def unfinished(args: argparse.Namespace, head: dict, rotations: int) -> Path:
    """Where the episodes of a run are kept until it is done."""
    settings = json.dumps([head, rotations, args.moves, args.objects], sort_keys=True)
    folder = args.maps.parent / "unfinished" / hashlib.sha256(settings.encode()).hexdigest()[:12]
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def output_of(args: argparse.Namespace) -> Path:
    """The result file."""
    parts = [args.suite, args.condition, str(args.columns), args.policy, args.features, args.backend]
    parts += [f"touch{args.fingers}"] if args.fingers else []
    parts += [args.topology] if args.topology != "all-to-all" else []
    return args.output or RESULTS / f"recognition-{'-'.join(parts)}.json"


def described(args: argparse.Namespace, experiment: Experiment) -> dict:
    """How and with what the result was made."""
    command = f"python benchmarks/recognition.py --suite {args.suite} --condition {args.condition}"
    command += f" --columns {args.columns} --policy {args.policy} --features {args.features} --backend {args.backend}"
    command += f" --fingers {args.fingers}" if args.fingers else ""
    command += f" --topology {args.topology}" + (" --objects $YCB" if args.objects else "")
    return {
        "command": command, "commit": commit(), "versions": {p: version(p) for p in PACKAGES},
        "machine": f"{platform.machine()}, {platform.system()}, Python {platform.python_version()}", "threads": 1,
        "seeds": args.seeds, "odds": experiment.decision.odds, "trust": trust_of(experiment),
    }  # fmt: skip


def write(output: Path, result: dict) -> None:
    """One line an episode."""
    output.parent.mkdir(parents=True, exist_ok=True)
    head = {key: value for key, value in result.items() if key != "rows"}
    lines = ",\n".join(json.dumps(row) for row in result["rows"])
    write_whole(output, (json.dumps(head, indent=1)[:-2] + ',\n "rows": [\n' + lines + "\n]}\n").encode())


def main() -> None:
    summary = run(arguments())["summary"]
    print(json.dumps({key: summary[key] for key in KEYS}))


def rounded(value: Any) -> Any:
    """Five digits of every number in it."""
    if isinstance(value, float):
        return float(f"{value:.5g}")
    if isinstance(value, list):
        return [rounded(v) for v in value]
    if isinstance(value, dict):
        return {k: rounded(v) for k, v in value.items()}
    return value


if __name__ == "__main__":
    main()
