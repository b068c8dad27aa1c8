"""Learning tasks one after the other without forgetting: permuted digits with active dendrites.

    python benchmarks/permuted_mnist.py --mnist DIR        # the folder with MNIST's four .gz files

Each task shows the digits through a permutation of the pixels of its own; each is learnt once, never to come back, and
all are asked at the end, without saying which it is. Compared, with 512 hidden units in two layers (continual_nets.py):

- mlp : dense, ReLU; dendrites : half of the weights, gated by the context; winners : half of the weights, 5 % of the
  units win; both : dendrites and winners
- each again with synaptic intelligence (synaptic_intelligence.py) on weights and biases, segments left out

Published, 2048 units, 10 tasks of 60,000 images (A. Iyer et al. 2022): mlp 82.0, dendrites 82.9, winners 91.3, both
94.6, both with synaptic intelligence 97.2, synaptic intelligence alone 97.1 %. The context is the task's mean image,
learnt with it; at the end each image gets the nearest one, which is nearly always right: a task is named by its
permutation, so this is easier than it sounds.

Short of that, to take ten minutes of one core: 512 units, 2 seeds instead of 8, 6,000 images a task in batches of 128
instead of 60,000 in batches of 256: 141 steps a task instead of 703, and under synaptic intelligence, whose epochs are
3 here and 20 there, instead of 4690. What it holds by grows with the steps, so it is 30 here, not the published 0.1
(chosen among 0.1, 3, 30 and 300 on training images kept apart, 6 tasks, another seed). Fifty tasks, two hours, are in
permuted_mnist-50.json: --tasks 50 --seeds 1 --output benchmarks/results/permuted_mnist-50.json.

Writes benchmarks/results/permuted_mnist.json and a picture of what is kept; a run that was cut off goes on; the last
line of output is one JSON object.
"""

import argparse
import json
from functools import lru_cache
from hashlib import sha256
from itertools import product
from pathlib import Path
from typing import Any

import mnist
import numpy as np
import recognition
import torch
import torch.nn.functional as F
from continual_nets import KINDS, ContextNet, Sizes, nearest
from curves import Panel, draw
from provenance import provenance
from replaying import Job, Row, finished
from sparse_training import Labelled
from synaptic_intelligence import SynapticIntelligence
from torch import Tensor

PUBLISHED = {"mlp": 0.820, "dendrites": 0.829, "winners": 0.913, "both": 0.946, "both+si": 0.972, "mlp+si": 0.971}
SETTINGS = ("tasks", "hidden", "images", "epochs", "rate", "batch", "strength")
RETAINED = 2000
"""Test images of each task that are asked after every task; at the end all are."""


def permutations(tasks: int, seed: int) -> Tensor:
    """The order of the pixels in every task, (tasks, 784)."""
    generator = torch.Generator().manual_seed(1000 + seed)
    return torch.stack([torch.randperm(784, generator=generator) for _ in range(tasks)])


@lru_cache(maxsize=1)
def digits(folder: Path, images: int) -> tuple[Labelled, Labelled]:
    """Digits as rows (n, 784), to learn from and to be asked."""
    learn, _, test = mnist.parts(folder, images)
    return Labelled(learn.inputs.flatten(1), learn.labels), Labelled(test.inputs.flatten(1), test.labels)


@torch.no_grad()
def asked(net: ContextNet, test: Labelled, order: Tensor, prototypes: Tensor, task: int) -> tuple[float, float]:
    """Share of a task's images named rightly, and share whose nearest prototype is that of the task."""
    right = found = 0
    for x, y in zip(test.inputs.split(1000), test.labels.split(1000), strict=True):
        which = nearest(x[:, order], prototypes)
        right += int((net(x[:, order], prototypes, which).argmax(1) == y).sum())
        found += int((which == task).sum())
    return right / len(test.labels), found / len(test.labels)


def learn_task(
    net: ContextNet, data: Labelled, prototype: Tensor, optimizer: torch.optim.Optimizer,
    intelligence: SynapticIntelligence | None, args: argparse.Namespace, generator: torch.Generator,
) -> None:  # fmt: skip
    """Learns one task, whose inputs are permuted already."""
    context = prototype.unsqueeze(0)
    for _ in range(args.epochs):
        for batch in data.batches(args.batch, generator):
            optimizer.zero_grad()
            which = torch.zeros(len(batch.labels), dtype=torch.int64)
            F.cross_entropy(net(batch.inputs, context, which), batch.labels).backward()
            if intelligence is None:
                optimizer.step()
            else:
                intelligence.step(optimizer)
    if intelligence is not None:
        intelligence.end_task()


def sequence(name: str, seed: int, args: argparse.Namespace, data: tuple[Labelled, Labelled]) -> Row:
    """All tasks one after the other. name : a kind, with "+si" behind it for synaptic intelligence."""
    kind, held = name.removesuffix("+si"), name.endswith("+si")
    learn, test = data
    orders, generator = permutations(args.tasks, seed), torch.Generator().manual_seed(seed)
    prototypes = learn.inputs.mean(0)[orders]
    net = ContextNet(KINDS[kind], Sizes(hidden=args.hidden, segments=args.tasks), seed)
    intelligence = SynapticIntelligence(net.feedforward(), args.strength) if held else None
    some = test.part(torch.arange(min(RETAINED, len(test.labels))))
    optimizer, kept = None, []
    for task, order in enumerate(orders):
        if optimizer is None or not held:  # as published, what Adam remembers stays under synaptic intelligence
            optimizer = torch.optim.Adam(net.parameters(), lr=args.rate, fused=True)
        mine = Labelled(learn.inputs[:, order], learn.labels)
        learn_task(net, mine, prototypes[task], optimizer, intelligence, args, generator)
        known = prototypes[: task + 1]
        kept.append([asked(net, some, orders[early], known, early)[0] for early in range(task + 1)])
    last = np.array([asked(net, test, order, prototypes, task) for task, order in enumerate(orders)])
    return {
        "net": name, "seed": seed, "accuracy": float(last[:, 0].mean()), "context_right": float(last[:, 1].mean()),
        "by_task": last[:, 0].tolist(), "kept": kept,
    }  # fmt: skip


def work(job: Job) -> list[Row]:
    """The row of a network and a seed."""
    name, args, seed = job
    return [sequence(name, int(seed), args, digits(args.mnist, args.images))]


def summary(rows: list[Row]) -> dict[str, Row]:
    """Means and deviations over seeds, of each network."""
    found = {}
    for name in dict.fromkeys(row["net"] for row in rows):
        own = [row for row in rows if row["net"] == name]
        values = np.array([row["accuracy"] for row in own])
        curves = {
            "first_task": np.array([[after[0] for after in row["kept"]] for row in own]),
            "tasks_so_far": np.array([[np.mean(after) for after in row["kept"]] for row in own]),
        }
        found[name] = {
            "accuracy": float(values.mean()), "sd": float(values.std(ddof=1)) if len(own) > 1 else None,
            "published_2048_units": PUBLISHED.get(name),
            "context_right": float(np.mean([row["context_right"] for row in own])),
            **{key: curve.mean(0).tolist() for key, curve in curves.items()},
        }  # fmt: skip
    return found


def panels(table: dict[str, Row]) -> list[Panel]:
    """What is kept while more is learnt."""
    titles = {"first_task": "the first task", "tasks_so_far": "mean of all tasks so far"}
    return [
        Panel(
            title, "tasks learnt", f"accuracy % of the first {RETAINED} test images",
            {name: (range(1, len(row[key]) + 1), [100 * v for v in row[key]]) for name, row in table.items()},
        )
        for key, title in titles.items()
    ]  # fmt: skip


def parsed() -> argparse.Namespace:
    """Command-line arguments."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mnist", type=Path, required=True, help="folder with MNIST's four .gz files")
    parser.add_argument("--tasks", type=int, default=10, help="(default: %(default)s)")
    parser.add_argument("--hidden", type=int, default=512, help="units of each layer (default: %(default)s)")
    parser.add_argument("--images", type=int, default=6000, help="of a task, at most 50000 (default: %(default)s)")
    parser.add_argument("--epochs", type=int, default=3, help="of a task (default: %(default)s)")
    parser.add_argument("--rate", type=float, default=5e-4, help="of Adam (default: %(default)s)")
    parser.add_argument("--batch", type=int, default=128, help="(default: %(default)s)")
    parser.add_argument("--strength", type=float, default=30.0, help="of synaptic intelligence, c (%(default)s)")
    parser.add_argument("--seeds", type=int, default=2, help="sequences of each network (default: %(default)s)")
    nets = [kind + held for held, kind in product(("", "+si"), KINDS)]
    parser.add_argument("--nets", nargs="+", choices=nets, default=nets, help="(default: all)")
    parser.add_argument("--runs", type=Path, default=Path("runs/permuted_mnist"), help="rows done (%(default)s)")
    output = recognition.RESULTS / "permuted_mnist.json"
    parser.add_argument("--output", type=Path, default=output, help="result file (default: %(default)s)")
    return parser.parse_args()


def main() -> None:
    args = parsed()
    torch.set_num_threads(1)
    settings: dict[str, Any] = {name: getattr(args, name) for name in SETTINGS}
    folder = args.runs / sha256(json.dumps(settings).encode()).hexdigest()[:12]
    folder.mkdir(parents=True, exist_ok=True)
    rows = finished(work, [(name, args, str(seed)) for seed in range(args.seeds) for name in args.nets], folder, 1)
    table = summary(rows)
    brief = {name: round(100 * row["accuracy"], 2) for name, row in table.items()}
    head = {
        **provenance(("torch", "numba", "numpy"), {"--mnist": "$MNIST", "--runs": "", "--output": ""}),
        "seeds": args.seeds, "settings": settings, "accuracy_percent": brief, "nets": table,
    }  # fmt: skip
    recognition.write(args.output, recognition.rounded(head | {"rows": rows}))
    draw(panels(table), args.output.with_suffix(".png"))
    print(json.dumps(brief))


if __name__ == "__main__":
    main()
