"""How well objects are recognised that were seen from few sides: 1, 2, 4, 8, 14, 32 views.

    python benchmarks/little_data.py --objects $YCB

Every object is learnt from nested views (`little_data_views`), then shown at new random poses in the noise of the
README's rules to one column that moves by information gain. Three figures of the same episodes:
    decided   right by the system's own decision ("unknown", undecided and a wrong name are not)
    best      right if the episode had to name one of the objects it knows when it ended, by its decision or at 500
              sensations. So the peer that the README compares with counts, and this is what is compared with it
    after 30  the same after 30 sensations, or at the decision where that came earlier
Beside it a small convolutional network, which learns from the same patches and, as another, from whole pictures of
the object from the same views (`little_data_cnn`); the maps of 14 views in a light that is brighter, darker and tinted
by 30 %; and one view straight at a face instead of a corner. What no bar asks for (2, 4, 32 views, the face) is shown
with the first seed only.

Without --objects: the 24 default objects. What was learnt is kept in --maps, and episodes until the run is done:
given the same command at the same commit, a run that was cut off goes on. The result file holds the per-episode rows;
the last line printed is one JSON object with the figures. The picture lies beside the result file.
"""

import argparse
import json
import math
import shutil
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from functools import lru_cache
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import recognition
import torch
from little_data_figures import LIGHTS, PLAIN, WHOLE, Row, headline, summary
from little_data_plot import draw
from little_data_rivals import Episode, compete
from little_data_views import COUNTS, FACE, FewViews
from rich.console import Console
from rich.progress import track

from cortical.agents.agent import START, Agent, Step
from cortical.agents.brain import build_region
from cortical.agents.metrics import NOTHING, UNKNOWN, rotation_error
from cortical.agents.policies import make_policy
from cortical.agents.rollout import symmetries
from cortical.agents.sensing import Senses
from cortical.columns.storage import write_whole
from cortical.configs.schema import Experiment
from cortical.envs.explore import ObjectExploreEnv
from cortical.envs.record import Images, Record
from cortical.envs.sensors import shared_catalogue
from cortical.envs.surface import fit

SHOWN = 30  # sensations after which a best guess is looked at, too
BARRED = (1, 8, WHOLE)
TINTS = ((1.0, 0.7, 0.7), (0.7, 1.0, 0.7), (0.7, 0.7, 1.0))
GAINS = {"brighter": 1.3, "darker": 0.7}  # by what colours are multiplied


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--objects", help="folder of meshes in the YCB layout: its 77 objects instead of the default")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2], help="published: 0 1 2; tune on 100 and up")
    parser.add_argument("--rotations", type=int, default=1, help="random poses per object, seed and number of views")
    parser.add_argument("--few", type=int, help="a try: only so many objects")
    parser.add_argument("--steps", type=int, default=600, help="of training of each network")
    parser.add_argument("--maps", type=Path, default=Path("runs/maps"), help="where what is learnt is kept")
    parser.add_argument("--output", type=Path, help="result file (benchmarks/results/little_data.json; a try's: runs/)")
    parser.add_argument("--workers", type=int, default=2)
    parser.set_defaults(condition="noise", columns=1, fingers=0, policy="information_gain", features="surface")
    parser.set_defaults(backend="rays", topology="all-to-all", moves={})
    args = parser.parse_args()
    args.suite = "ycb77" if args.objects else "default"
    args.output = args.output or (args.maps.parent if args.few else recognition.RESULTS) / "little_data.json"
    return args


def names_of(args: argparse.Namespace) -> tuple[str, ...]:
    """The objects learnt and shown."""
    return shared_catalogue(recognition.experiment_of(args).world.objects).names[: args.few]


def few_views(args: argparse.Namespace) -> FewViews:
    """What was learnt, and is to be, from few views."""
    return _few_views(recognition.experiment_of(args), args.maps)


@lru_cache(maxsize=1)
def _few_views(experiment: Experiment, root: Path) -> FewViews:
    folder = recognition.maps_folder(root, experiment)
    return FewViews(folder.experiment, root / f"{folder.path.name}-few")


def tasks(names: Sequence[str]) -> Iterator[tuple[int | str, str, str]]:
    """(views, light, object) of all that is shown, so that maps change seldom."""
    for light, name in product((PLAIN, *LIGHTS), names):
        yield WHOLE, light, name
    for stage, name in product((*COUNTS, FACE), names):
        if stage != WHOLE:
            yield stage, PLAIN, name


@lru_cache(maxsize=1)
def agent_of(experiment: Experiment, few: FewViews, stage: int | str, names: tuple[str, ...]) -> Agent:
    """An agent that knows the objects from so many views; made once in a process. Its eye hands on its patches too."""
    region = build_region(experiment, few.maps(stage, names))
    env = ObjectExploreEnv.from_config(experiment.world, experiment.eye, experiment.touch, obs_mode="both")
    return Agent(env, region, make_policy(experiment.policy), experiment.decision, Senses(coded=False, textured=True))


def gain_of(light: str, episode: int) -> np.ndarray:
    """By what a light multiplies red, green and blue: (3,) or (). Tints take turns."""
    return np.asarray(TINTS[episode % len(TINTS)] if light == "tinted" else GAINS.get(light, 1.0), np.float32)


def read_in(light: str, episode: int) -> Callable[..., Record]:
    """The sensor of the eye in a changed light, which acts on the pixels before anything is read of them."""
    if light == PLAIN:
        return fit
    gain = gain_of(light, episode)

    def read(images: Images, *rest: Any) -> Record:
        return fit(replace(images, rgb=np.clip(images.rgb * gain, 0.0, 1.0)), *rest)

    return read


def shown(agent: Agent, name: str, seed: int, rotation: int) -> tuple[Row, dict[str, np.ndarray]]:
    """An episode: its row, and the patches (t, n, n, 6) and from where they were seen, (t, 3) unit, object frame. All
    draws are those of `rollout.play`."""
    index = shared_catalogue(agent.env.source).index(name)
    pose_seed, policy_seed = np.random.SeedSequence([seed, index, rotation]).generate_state(2)
    random = np.random.default_rng(policy_seed)
    observation, info = agent.begin({"object": name}, int(pose_seed))
    truth = agent.env.truth()
    belief, plan, ended = agent.region.begin(), START, None
    guesses: list[str] = []
    patches, bearings = [], []
    while ended is None and len(guesses) < agent.decision.max_sensations:
        step = agent.turn(belief, observation, info, plan)
        belief = step.belief
        guesses.append(known_guess(agent, step))
        patches.append(observation["patch"][0].astype(np.float16))
        bearings.append((step.eye[0] - truth["position"]) @ truth["rotation"])
        if agent.decided(belief) or agent.nothing_here(belief):
            ended = decision(agent, step)
        else:
            plan = agent.act(belief, step.sensation, random)
            observation, _, _, _, info = agent.env.step(plan.action)
    row = {"object": name, "seed": seed, "rotation_index": rotation, **(ended or {"answer": None})}
    early = guesses[:SHOWN]
    row |= {"sensations": len(guesses), "best": guesses[-1], "best_after_30": early[-1]}
    row |= {"right": "".join("01"[guess == name] for guess in early)}
    way = np.array(bearings)
    return row, {"patch": np.array(patches), "bearing": way / np.linalg.norm(way, axis=1, keepdims=True)}


def known_guess(agent: Agent, step: Step) -> str:
    """The most probable of the objects that are known."""
    consensus = step.belief.consensus
    assert consensus is not None
    return agent.region.objects[int(consensus.log_posterior[0, :-1].argmax())]


def decision(agent: Agent, step: Step) -> Row:
    """What was decided, and how far off the pose is, degrees, under the symmetry."""
    consensus, truth = step.belief.consensus, agent.env.truth()
    assert consensus is not None
    best = (*agent.region.objects, UNKNOWN)[int(consensus.log_posterior[0].argmax())]
    turned = consensus.pose.rotation[0].double().cpu().numpy()
    group = symmetries(agent.env.source)[1.0][truth["object"]]
    error = math.degrees(rotation_error(turned, truth["rotation"], group))
    answer = NOTHING if agent.nothing_here(step.belief) else best
    return {"answer": answer, "rotation_error_deg": error}


def episodes(job: tuple[argparse.Namespace, tuple[int | str, str, str], Path]) -> list[Row]:
    """All episodes of an object in one part, in a process of its own; kept, so that a run that was cut off goes on."""
    args, (stage, light, name), kept = job
    file = kept / f"{stage}-{light}-{name}.json"
    if file.is_file():
        return json.loads(file.read_text())
    torch.set_num_threads(1)
    agent = agent_of(recognition.experiment_of(args), few_views(args), stage, names_of(args))
    rows, seen = [], {}
    for seed, rotation in product(seeds_of(args, stage), range(args.rotations)):
        agent.env.sensors.read = read_in(light, seed + rotation)
        row, what = shown(agent, name, seed, rotation)
        rows.append({"views": stage, "light": light} | row)
        seen |= {f"{part}-{seed}-{rotation}": array for part, array in what.items()}
    np.savez_compressed(file.with_suffix(".npz"), **seen)
    write_whole(file, json.dumps(recognition.rounded(rows)).encode())
    return rows


def met(kept: Path, row: Row) -> Episode:
    """What the eye met in an episode, for the networks."""
    key = f"{row['seed']}-{row['rotation_index']}"
    with np.load(kept / f"{row['views']}-{row['light']}-{row['object']}.npz") as seen:
        gain = gain_of(row["light"], row["seed"] + row["rotation_index"])
        return Episode(row, seen[f"patch-{key}"], seen[f"bearing-{key}"], gain)


def rivals(job: tuple[argparse.Namespace, int, list[Row], Path]) -> list[Row]:
    """What the networks that learnt from so many views say of these episodes, in a process of its own."""
    args, count, rows, kept = job
    file = kept / f"networks-{count}.json"
    return compete(few_views(args), names_of(args), count, [met(kept, row) for row in rows], args.steps, file)


def with_rivals(args: argparse.Namespace, rows: Sequence[Row], kept: Path) -> list[Row]:
    """The rows with what the networks answered; rows from a face have none."""
    parts = {count: [row for row in rows if row["views"] == count] for count in COUNTS}
    jobs = [(args, count, parts[count], kept) for count in reversed(COUNTS)]
    with ProcessPoolExecutor(args.workers) as pool:
        console = Console(stderr=True)
        every = list(track(pool.map(rivals, jobs), "networks", total=len(jobs), console=console))
    found = [row for row in rows if row["views"] == FACE]
    for (_, _, part, _), said in zip(jobs, every, strict=True):
        found += [row | {"networks": answer} for row, answer in zip(part, said, strict=True)]
    return found


def seeds_of(args: argparse.Namespace, stage: int | str) -> list[int]:
    """All seeds where a bar is to be held against, otherwise the first."""
    return args.seeds if stage in BARRED else args.seeds[:1]


def played(args: argparse.Namespace, names: tuple[str, ...], kept: Path) -> list[Row]:
    """All rows, played or read."""
    jobs = [(args, task, kept) for task in tasks(names)]
    rows: list[Row] = []
    with ProcessPoolExecutor(args.workers) as pool:
        console = Console(stderr=True)
        for done in track(pool.map(episodes, jobs), "episodes of an object", total=len(jobs), console=console):
            rows += done
    return rows


def described(args: argparse.Namespace, names: tuple[str, ...]) -> dict[str, Any]:
    """How and with what the result was made."""
    command = "python benchmarks/little_data.py" + (" --objects $YCB" if args.objects else "")
    command += f" --few {args.few}" if args.few else ""
    own = {"rotations": args.rotations, "objects": len(names), "steps": args.steps}
    return recognition.described(args, recognition.experiment_of(args)) | {"command": command} | own


def learn(args: argparse.Namespace, names: tuple[str, ...]) -> None:
    """Learn what wasn't."""
    few = few_views(args)
    for name in track(names, "views of an object", console=Console(stderr=True)):
        few.learn(name)


def readings(args: argparse.Namespace, names: tuple[str, ...]) -> dict[str, float]:
    """Sensations an object was learnt with from so many views, mean over the objects."""
    few = few_views(args)
    taken = np.array([few.patches(name)[2] for name in names])
    return {str(count): float(taken[:, :count].sum(1).mean()) for count in COUNTS}


def run(args: argparse.Namespace) -> dict[str, Any]:
    """Learn what is missing, play all episodes, train the networks and write the result file: its summary."""
    torch.set_num_threads(1)
    names = names_of(args)
    learn(args, names)
    head = described(args, names)
    kept = recognition.unfinished(args, head, args.rotations)
    rows = with_rivals(args, played(args, names, kept), kept)
    found = summary(rows) | {"readings_an_object": readings(args, names)}
    recognition.write(args.output, head | {"summary": recognition.rounded(found), "rows": rows})
    draw(found, args.output.with_suffix(".png"))
    shutil.rmtree(kept)
    return found


def main() -> None:
    found = run(arguments())
    for stage, row in (found["views"] | found["light"]).items():
        print(f"{stage:>8}:", *(f"{k} {row[k]['times']}/{row[k]['of']}" for k in ("decided", "best", "after_30")))
    print(json.dumps(recognition.rounded(headline(found))))


if __name__ == "__main__":
    main()
