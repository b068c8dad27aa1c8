"""What columns must tell each other: messages and bytes per recognised object, against how well they recognise.

    python benchmarks/voting_events.py                  # the default objects
    python benchmarks/voting_events.py --objects $YCB   # ycb77

Columns of one eye (patches 30/7 degrees apart) vote all-to-all. Synchronously, each sends every number that the region
reads, every time: of a newly suggested pose its log-evidence (4 bytes), in each refinement slope and information
(24 + 84), at its end log-evidence and information (4 + 84), and 4 bytes for what the newest sensation says. By events
(columns/events.py) it sends only what the others can't work out to within eps (1 + lag) nats, with 2 bytes of place for
each entry (or a bit a row). Both also pay 8 bytes a message, 44 bytes for each column's reading and 5 for each pose
suggested (a node of the shared maps and a turn). A broadcast that reaches all others counts once; on wires from column
to column both sides grow by the same factor. eps = 0 recognises bit for bit as synchronous voting does (a test), so its
episodes stand for it, and its messages are those of the cheapest exact events.

Further rows, at --chosen eps: numbers in 16 bits; messages lost; late; columns that tick at different rates. What such
links do is said in columns/events.py; readings and suggested poses are taken to arrive.
Episodes are those of benchmarks/recognition.py in its `noise`, by information gain. Maps are kept in --maps; a run that
was cut off goes on at the same commit. The last line printed is one JSON object: at the chosen eps, the worst of all
numbers of columns: how many times fewer bytes (`event_bytes_ratio`), points of correctness lost (`event_loss_points`)
and sensations, relative (`event_sensations_ratio`).
"""

import argparse
import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import recognition
import replaying
import voting_events_plot

from cortical.agents.agent import Agent, Plan, Step
from cortical.agents.metrics import wilson
from cortical.agents.rollout import play
from cortical.columns.belief import Belief
from cortical.columns.events import Events
from cortical.columns.sent import Traffic
from cortical.configs.schema import Experiment
from cortical.envs.sensors import shared_catalogue

SPREAD = 30 / 7  # degrees between patches
SPENT = ("messages", "entries", "bytes")
DISTURBED = ({"short": True}, {"loss": 0.1}, {"loss": 0.3}, {"delay": 2}, {"slowest": 3})
LARGE = 32  # columns from which on an episode costs most
Row = dict[str, Any]


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--objects", help="folder of meshes in the YCB layout: its 77 objects instead of the default")
    parser.add_argument("--columns", type=int, nargs="+", default=[4, 16, 64])
    parser.add_argument("--eps", type=float, nargs="+", default=[0.0, 0.1, 0.2, 0.5])
    parser.add_argument("--chosen", type=float, default=0.2, help="eps of the bar, tuned on seeds from 100 on")
    parser.add_argument("--disturbed", type=int, nargs="*", default=[4], help="columns of the rows with loss and delay")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2], help="published: 0 1 2; tune on 100 and up")
    parser.add_argument("--rotations", type=int, default=1, help="poses per object and seed")
    parser.add_argument("--whole", action="store_true", help=f"the whole curve for {LARGE} columns and more, too")
    parser.add_argument("--few", type=int, help="a try: only so many objects are shown")
    parser.add_argument("--maps", type=Path, default=Path("runs/maps"), help="where learnt maps are kept")
    parser.add_argument("--output", type=Path, help="result file (default: benchmarks/results/voting_events[...].json)")
    parser.add_argument("--workers", type=int, default=1)
    parser.set_defaults(at_most=None, moves={})
    args = parser.parse_args()
    name = "voting_events-ycb77.json" if args.objects else "voting_events.json"
    args.output = args.output or recognition.RESULTS / name
    if args.chosen not in args.eps or 0.0 not in args.eps:
        parser.error("--eps must hold 0, which all is compared with, and --chosen")
    return args


def settings(args: argparse.Namespace) -> list[tuple[int, Events]]:
    """Numbers of columns and rules."""
    first = [(m, Events(eps=eps)) for m in args.columns for eps in (0.0, args.chosen)]
    more = [(m, Events(eps=eps)) for m in args.columns for eps in sorted(args.eps) if _affordable(args, m, eps)]
    links = [(m, replace(Events(eps=args.chosen), **kind)) for m in args.disturbed for kind in DISTURBED]
    return first + [setting for setting in more if setting not in first] + links


def _affordable(args: argparse.Namespace, columns: int, eps: float) -> bool:
    return columns < LARGE or args.whole or eps in (0.0, args.chosen)


def key_of(columns: int, rule: Events) -> str:
    """A setting as the name of a file."""
    return f"{columns}-{rule.eps:g}-{rule.loss:g}-{rule.delay}-{rule.slowest}-{rule.short:d}"


def experiment_of(args: argparse.Namespace, columns: int) -> Experiment:
    """Patches of one eye over the suite's objects."""
    suite = "ycb77" if args.objects else "default"
    asked = replaying.settings(args, suite, "information_gain")
    asked.columns = columns
    experiment = recognition.experiment_of(asked)
    return replace(experiment, eye=replace(experiment.eye, spread=SPREAD))


def episodes(job: replaying.Job) -> list[Row]:
    """All episodes of one object in one setting."""
    part, args, name = job
    columns, rule = next(setting for setting in settings(args) if key_of(*setting) == part)
    agent = recognition.agent_that(experiment_of(args, columns), args.maps)
    return [_episode(agent, columns, rule, name, s, r) for s in args.seeds for r in range(args.rotations)]


def _episode(agent: Agent, columns: int, rule: Events, name: str, seed: int, rotation: int) -> Row:
    heard = Listening(agent, replace(rule, seed=1000 * seed + rotation))
    record = play(heard, name, seed, rotation, traced=False)
    spent = asdict(heard.traffic())
    row: Row = {"columns": columns} | {k: v for k, v in asdict(rule).items() if k != "seed"}
    row |= {"object": name, "seed": seed, "rotation_index": rotation, "right": record.answer == name}
    row |= {"answer": record.answer, "sensations": record.sensations, "rotation_error_deg": record.rotation_error_deg}
    return row | {key: int(value) for key, value in spent.items()}


class Listening(Agent):
    """An agent whose columns vote by events, and of whose last step the traffic is kept."""

    def __init__(self, agent: Agent, rule: Events) -> None:
        region = replace(agent.region, events=rule)
        super().__init__(agent.env, region, agent.policy, agent.decision, agent.senses)
        self.last: Step | None = None

    def turn(self, belief: Belief, observation: dict[str, np.ndarray], info: dict, plan: Plan) -> Step:
        self.last = super().turn(belief, observation, info, plan)
        return self.last

    def traffic(self) -> Traffic:
        """What the last episode cost."""
        assert self.last is not None and self.last.belief.sent is not None
        return self.last.belief.sent.traffic


def summary(rows: list[Row], chosen: float) -> dict[str, Any]:
    """Every setting against synchronous voting of the same episodes, and the figures of the bar."""
    keys = ("columns", "eps", "short", "loss", "delay", "slowest")
    parts: dict[tuple, list[Row]] = {}
    for row in rows:
        parts.setdefault(tuple(row[k] for k in keys), []).append(row)
    plain = {columns: parts[columns, 0.0, False, 0.0, 0, 1] for columns in {key[0] for key in parts}}
    found = [dict(zip(keys, key, strict=True)) | compared(part, plain[key[0]]) for key, part in parts.items()]
    swept = [s for s in found if s["eps"] == chosen and not disturbed(s)]
    worst = {
        "event_bytes_ratio": min(s["bytes_ratio"] for s in swept),
        "event_loss_points": max(s["loss_points"] for s in swept),
        "event_sensations_ratio": max(s["sensations_ratio"] for s in swept),
    }
    return {"eps": chosen, **worst, "settings": found}


def disturbed(setting: Row) -> bool:
    """Whether links fail, are slow or coarse."""
    return bool(setting["short"] or setting["loss"] or setting["delay"] or setting["slowest"] > 1)


def compared(part: list[Row], plain: list[Row]) -> dict[str, Any]:
    """Figures of a setting's episodes, and against the same ones by synchronous voting."""
    right, before = (np.array([row["right"] for row in some], float) for some in (part, plain))
    sensations, usual = (np.array([row["sensations"] for row in some], float) for some in (part, plain))
    turned = np.array([row["rotation_error_deg"] for row in part])
    cost = {key: sum(row[key] for row in part) for key in SPENT}
    dense = {key: sum(row[f"dense_{key}"] for row in plain) for key in SPENT}
    named, known = max(1.0, right.sum()), max(1.0, before.sum())
    result = {
        "episodes": len(part), "right": right.mean(), "right_interval": wilson(int(right.sum()), len(part)),
        "sensations": sensations.mean(), "rotation_error_median_deg": float(np.median(turned)),
        "within_10deg": float((turned <= 10).mean()),
        "loss_points": 100 * (before.mean() - right.mean()), "loss_points_interval": _interval(100 * (before - right)),
        "sensations_ratio": sensations.mean() / usual.mean(),
        "sensations_ratio_interval": _ratio_interval(sensations, usual),
    }  # fmt: skip
    for key in SPENT:
        result[f"{key}_per_recognised"] = cost[key] / named
        result[f"synchronous_{key}_per_recognised"] = dense[key] / known
        result[f"{key}_ratio"] = dense[key] / known / max(1e-9, cost[key] / named)
    return result


def _interval(values: np.ndarray) -> tuple[float, float]:
    """95 % of a mean, by resampling the episodes with a fixed seed."""
    drawn = np.random.default_rng(0).integers(len(values), size=(2000, len(values)))
    low, high = np.percentile(values[drawn].mean(1), [2.5, 97.5])
    return float(low), float(high)


def _ratio_interval(a: np.ndarray, b: np.ndarray) -> tuple[float, float]:
    drawn = np.random.default_rng(0).integers(len(a), size=(2000, len(a)))
    low, high = np.percentile(a[drawn].mean(1) / b[drawn].mean(1), [2.5, 97.5])
    return float(low), float(high)


def described(args: argparse.Namespace) -> dict[str, Any]:
    """How and with what the result was made."""
    asked = replaying.settings(args, "ycb77" if args.objects else "default", "information_gain")
    head = recognition.described(asked, experiment_of(args, args.columns[0]))
    command = "python benchmarks/voting_events.py" + (" --objects $YCB" if args.objects else "")
    return head | {"command": command, "spread_deg": recognition.rounded(SPREAD)}


def main() -> None:
    args = arguments()
    names = shared_catalogue(experiment_of(args, 1).world.objects).names[: args.few]
    recognition.learn(args, experiment_of(args, 1), names)
    jobs = [(key_of(*setting), args, name) for setting in settings(args) for name in names]
    found = replaying.published(args, described(args), episodes, jobs, lambda rows: summary(rows, args.chosen))
    voting_events_plot.picture(args.output)
    print(
        json.dumps(recognition.rounded({k: v for k, v in found.items() if k.startswith("e")} | {"rows": told(found)}))
    )


def told(found: dict[str, Any]) -> list[Row]:
    """The settings at a glance."""
    keys = ("columns", "eps", "short", "loss", "delay", "slowest", "right", "sensations_ratio", "bytes_ratio")
    return [{key: s[key] for key in keys} for s in found["settings"]]


if __name__ == "__main__":
    main()
