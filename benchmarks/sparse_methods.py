"""Dense and sparse networks under one protocol: learn, count what is named rightly in noise, and compare.

- dense, dropout : ReLU; dropout leaves out half of the hidden units
- static : sparse weights in a packed mask, and k winners; set, rigl : the same, and connectivity is learnt inside banks

Shared by sparse_mnist.py and sparse_sound.py. A network and its row are kept as soon as they are there, in a folder
named by the settings, so that a run that was cut off goes on and seeds can be added.
"""

import argparse
import json
import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, fields
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import recognition
import torch
from curves import Panel, draw
from replaying import Job, Row, finished
from rich.console import Console
from rich.table import Table
from sparse_layers import rounds
from sparse_nets import DenseNet, Settings, SparseNet, build
from sparse_training import LEVELS, Labelled, Noise, answers, noise_score, train

from cortical.columns.layers.counters import counting
from cortical.columns.layers.rewiring import adopt

METHODS = ("dense", "dropout", "static", "set", "rigl")
SPARSE = METHODS[2:]


@dataclass(frozen=True)
class Task:
    """What is learnt from, chosen by and asked, and how noise is put on it."""

    learn: Labelled
    choose: Labelled
    test: Labelled
    noisy: Noise


def add_options(parser: argparse.ArgumentParser, name: str, usual: Settings, seeds: int) -> None:
    """An option for each of the settings, and for seeds and folders. name : of the script, without .py."""
    parser.add_argument("--seeds", type=int, default=seeds, help="networks of each kind (default: %(default)s)")
    for field in fields(Settings):
        if field.name not in ("side", "classes"):
            words, default = field.name.split("_"), getattr(usual, field.name)
            given: dict[str, Any] = {"default": default, "help": f"{' '.join(words)} (default: %(default)s)"}
            switch = isinstance(default, bool)
            given |= {"action": argparse.BooleanOptionalAction} if switch else {"type": type(default)}
            parser.add_argument(f"--{'-'.join(words)}", **given)
    parser.add_argument("--runs", type=Path, default=Path("runs") / name, help="where networks are kept (%(default)s)")
    results = Path(__file__).parent / "results" / f"{name}.json"
    parser.add_argument("--output", type=Path, default=results, help="result file (default: %(default)s)")


def settings_of(args: argparse.Namespace, usual: Settings) -> Settings:
    """The settings asked for."""
    return Settings(**{field.name: getattr(args, field.name, getattr(usual, field.name)) for field in fields(Settings)})


def folder_of(args: argparse.Namespace, settings: Settings, key: Sequence[Any] = ()) -> Path:
    """Where networks of these settings are kept. key : what else decides how they come out."""
    folder = args.runs / sha256(json.dumps([asdict(settings), *key]).encode()).hexdigest()[:12]
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def rows_of(job: Job, usual: Settings, task: Task, key: Sequence[Any] = ()) -> list[Row]:
    """The row of a job: a method, the arguments, a seed."""
    method, args, seed = job
    settings = settings_of(args, usual)
    return [row(method, int(seed), settings, task, folder_of(args, settings, key))]


def published(
    args: argparse.Namespace, usual: Settings, test: Labelled, work: Callable[[Job], list[Row]], noise: str,
    more: Row, key: Sequence[Any] = (), panels: Sequence[Panel] = (),
) -> dict[str, Any]:  # fmt: skip
    """Rows of all seeds and methods, a seed after the other, are compared, written and drawn; those kept are not done
    again. noise : what its strength is; more : about the run, for the head of the file; panels : drawn beside.

    Returns the figures that are said.
    """
    settings = settings_of(args, usual)
    folder = folder_of(args, settings, key)
    rows = finished(work, [(method, args, str(seed)) for seed in range(args.seeds) for method in METHODS], folder, 1)
    found = compared(args, settings, folder, test, rows)
    brief = said(found)
    head = {**more, "seeds": args.seeds, "settings": asdict(settings), **brief, **found}
    recognition.write(args.output, recognition.rounded(head | {"rows": rows}))
    draw([noise_panel(found, noise), *panels], args.output.with_suffix(".png"))
    return brief


def row(method: str, seed: int, settings: Settings, task: Task, folder: Path) -> Row:
    """Learns a network, keeps it in the folder as METHOD-SEED.pt, and says what it can."""
    net, how = train(method, settings, seed, (task.learn, task.choose))
    levels = noise_score(net, task.test, task.noisy)
    right = answers(net, task.test.inputs) == task.test.labels
    torch.save({"state": net.state_dict(), "right": right}, folder / f"{method}-{seed}.pt")
    how["validation"] = [count / len(task.choose.labels) for count in how["validation"]]
    asked = len(task.test.labels)
    test = {"test": levels[0] / asked, "noise_score": sum(levels), "levels": [n / asked for n in levels]}
    return {"method": method, "seed": seed, **test, "weights": net.weights(), **how}


def restored(method: str, seed: int, settings: Settings, folder: Path) -> DenseNet | SparseNet:
    """A network that was learnt."""
    net, state = build(method, settings, seed), torch.load(folder / f"{method}-{seed}.pt", weights_only=True)["state"]
    if isinstance(net, SparseNet):
        adopt(net.conv.kernel, state, "conv.kernel.")
        adopt(net.fc, state, "fc.")
    net.load_state_dict(state)
    return net.eval()


def interval(folder: Path, method: str, other: str, seeds: int) -> dict[str, float]:
    """Points by which a method is better on the test set, and half of the 95 % interval, paired by example."""

    def right(name: str) -> torch.Tensor:
        kept = [torch.load(folder / f"{name}-{seed}.pt", weights_only=True)["right"] for seed in range(seeds)]
        return torch.stack(kept).double().mean(0)

    each = 100 * (right(method) - right(other))
    return {"points": float(each.mean()), "half": float(1.96 * each.std() / math.sqrt(len(each)))}


@torch.no_grad()
def whole_network(settings: Settings, folder: Path, test: Labelled, method: str) -> dict[str, Any]:
    """Batch 1, input to logits: multiply-adds and thread CPU time of the sparse network against the dense one."""
    dense, sparse = restored("dense", 0, settings, folder), restored(method, 0, settings, folder)
    assert isinstance(dense, DenseNet) and isinstance(sparse, SparseNet)
    inputs = list(test.inputs[:64].split(1))
    ways = {"dense_conv": sparse.quick("dense"), "sparse_conv": sparse.quick("packed")}
    for net in ways.values():
        for x in inputs:
            torch.testing.assert_close(net(x), sparse(x)[0], rtol=1e-3, atol=1e-3)
    calls = {"dense": (dense, inputs), **{name: (net, inputs) for name, net in ways.items()}}
    times = rounds(calls, dict.fromkeys(calls, 20), 60)
    found: dict[str, Any] = {"method": method, "dense_us": 1e6 * float(np.median(times["dense"]))}
    for name, net in ways.items():
        with counting() as counts:
            net(inputs[0])
        found[name] = {
            "us": 1e6 * float(np.median(times[name])),
            "multiply_adds": counts.multiply_adds,
            "fewer_multiply_adds": dense.multiply_adds() / counts.multiply_adds,
            "less_time": float(np.median(times["dense"] / times[name])),
        }
    return found | {"dense_multiply_adds": dense.multiply_adds()}


def summary(rows: Sequence[Row]) -> dict[str, Row]:
    """Means and standard deviations over seeds, by method; shares of what was asked, and counts over all levels."""
    found = {}
    for method in METHODS:
        own = [row for row in rows if row["method"] == method]
        test, score = np.array([row["test"] for row in own]), np.array([row["noise_score"] for row in own])
        found[method] = {
            "test": float(test.mean()), "test_sd": _sd(test),
            "noise_score": float(score.mean()), "noise_score_sd": _sd(score),
            "validation": float(np.mean([max(row["validation"]) for row in own])),
            "weights": own[0]["weights"], "turnover": float(np.mean([row["turnover"] for row in own])),
            "right_by_noise": np.mean([row["levels"] for row in own], axis=0).tolist(),
        }  # fmt: skip
    return found


def _sd(values: np.ndarray) -> float | None:
    return float(values.std(ddof=1)) if len(values) > 1 else None


def compared(args: argparse.Namespace, settings: Settings, folder: Path, test: Labelled, rows: list[Row]) -> Row:
    """The table of methods, and the best sparse one by validation against the others, at batch 1 too."""
    table = summary(rows)
    show(table, len(test.labels))
    best = max(SPARSE, key=lambda method: table[method]["validation"])  # chosen without the test set
    return {
        "best_sparse": best,
        "best_against": {other: interval(folder, best, other, args.seeds) for other in ("dense", "dropout", "static")},
        "methods": table,
        "whole_network": whole_network(settings, folder, test, best),
        "noise_levels": LEVELS,
    }


def said(found: Row) -> dict[str, Any]:
    """The figures of `compared` that have bars, and the accuracies, in per cent and points."""
    table, best = found["methods"], found["best_sparse"]
    return {
        "best_sparse": best,
        **{f"test_{method}": round(100 * row["test"], 2) for method, row in table.items()},
        **{f"noise_score_{method}": round(row["noise_score"]) for method, row in table.items()},
        **{f"points_over_{other}": round(of["points"], 3) for other, of in found["best_against"].items()},
        "noise_score_more": round(table[best]["noise_score"] / table["dropout"]["noise_score"] - 1.0, 4),
        **{
            f"{what}_{way}": round(found["whole_network"][way][what], 2)
            for way in ("dense_conv", "sparse_conv")
            for what in ("fewer_multiply_adds", "less_time")
        },
    }


def show(table: dict[str, Row], asked: int) -> None:
    """The table of methods."""
    shown = Table("method", "test %", "sd", f"noise score of {len(LEVELS) * asked}", "sd", "weights", "turnover")
    for method, row in table.items():
        test, score = ("-" if row[name] is None else f"{scale * row[name]:.{digits}f}" for name, scale, digits in
                       (("test_sd", 100, 2), ("noise_score_sd", 1, 0)))  # fmt: skip
        figures = f"{100 * row['test']:.2f}", test, f"{row['noise_score']:.0f}", score
        shown.add_row(method, *figures, str(row["weights"]), f"{row['turnover']:.2f}")
    Console(stderr=True).print(shown)


def noise_panel(found: Row, x: str) -> Panel:
    """Accuracy by strength of noise, a curve a method."""
    lines = {name: (LEVELS, [100 * share for share in row["right_by_noise"]]) for name, row in found["methods"].items()}
    return Panel("what is named rightly in noise", x, "test accuracy %", lines)
