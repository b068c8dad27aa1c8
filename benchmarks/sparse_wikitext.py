"""Sparse against dense transformers on WikiText-2: perplexity at the same number of steps, and what a step costs.

    python benchmarks/sparse_wikitext.py --wikitext DIR       # the folder with wiki.{train,valid,test}.tokens[.zip]

Words, since that is what WikiText-2's perplexity is about, of a vocabulary that one core can afford: the commonest of
the training text, others are <unk>. So perplexities here are comparable with each other and with no published one. Two
blocks learn from windows of 64 words. Embeddings are dense in every row (the output uses them too); "90 % absent" is of
all weights of the blocks: q, k, v, output and both layers of the feed-forward. All rows see the same windows in the
same order for the same number of steps. Learning rates of the blocks' weights are chosen on the validation text, of
dense and of sparse ones apart: few weights a unit stand a higher one. All else learns at one rate in all rows.

- dense : ReLU feed-forward; small : dense too, with so few heads' and hidden units that it has as many weights in its
  blocks as sparse ones have
- static, set, rigl : 10 % of the weights exist, from the first step to the last; who exists is fixed, or learnt
- rigl-calm : rigl that replaces a third as much, by the gradient of ten batches instead of one
- pruned : begins dense, ends with 10 %; it costs a dense model's learning and is a sparse one only afterwards
- wider : static with twice the heads' and hidden units and half the density, so as many weights as static has
- winners : one in five hidden units stays active at most (k winners), instead of all that are above 0

Connectivity is learnt every --every steps, RigL by the dense gradient of one batch. Every layer has the same density,
but for "by-size" (Erdős–Rényi). What is multiplied is what the cost model finds fastest: dense matrices, or only
weights that exist. By default without pruned, dense-winners and by-size: --methods takes them too.

The committed figures are the defaults' and short of full training: 1,500 steps of 8 windows, about a third of a pass
over the training text, where every curve still falls; the validation text cut to its first 32,768 words; one seed, so
intervals are those of the test text alone; rates tuned for dense and rigl and taken over by their kin.

Models and rows are kept in --runs, so that a run that was cut off goes on and seeds or methods can be added. Writes
benchmarks/results/sparse_wikitext.json and a picture beside it; the last line of output is one JSON object.
"""

import argparse
import json
import math
import platform
import sys
from dataclasses import asdict
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from provenance import commit
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from sensing import processor
from sparse_wikitext_costs import costs
from sparse_wikitext_nets import Method, Net, Settings, losses, restored, train
from sparse_wikitext_plot import picture
from sparse_wikitext_text import Text, load

from cortical.columns.storage import write_whole

DENSITY, WINNERS = 0.1, 0.2
METHODS = {
    "dense": Method(),
    "rigl": Method(DENSITY, "rigl"),
    "static": Method(DENSITY),
    "rigl-calm": Method(DENSITY, "rigl", share=0.1, looks=10),
    "wider": Method(DENSITY / 2, inner=2.0),
    "static-winners": Method(DENSITY, winners=WINNERS),
    "pruned": Method(DENSITY, "prune"),
    "set": Method(DENSITY, "set"),
    "small": Method(inner=DENSITY),
    "dense-winners": Method(winners=WINNERS),
    "by-size": Method(DENSITY, "rigl", by_size=True),
}
"""The rows; those that others take their rate from come first."""
USUAL = [name for name in METHODS if name not in ("pruned", "dense-winners", "by-size")]
"""The committed rows; --methods adds the others."""
RATES = {"dense": (5e-4, 1e-3, 2e-3, 4e-3), "rigl": (4e-3, 8e-3)}
"""Learning rates of the blocks' weights that rows choose from."""
KIN = {"dense-winners": "dense", "small": "dense", "pruned": "dense"}
"""Whose rate other rows take over; that of "rigl" where nothing is said."""
BARS = {"perplexity_above_dense": 0.02}
"""At most."""
Row = dict[str, Any]


def learn(args: argparse.Namespace, settings: Settings, text: Text, folder: Path) -> dict[str, list[Row]]:
    """The rows of every method by seed, with the learning rate that validated best; what the folder has is not done
    again."""
    names = [name for name in METHODS if name in {"dense", "rigl", *args.methods}]
    columns = TextColumn("{task.description}"), BarColumn(), TimeRemainingColumn()
    with Progress(*columns, console=Console(stderr=True), disable=args.quiet) as progress:
        task = progress.add_task("")

        def one(name: str, seed: int, rate: float) -> Row:
            progress.reset(task, total=settings.steps, description=f"{name}, seed {seed}, rate {rate:g}")
            return kept(name, seed, rate, settings, text, folder, lambda: progress.advance(task))

        choices, found = RATES | dict(args.rates), {}
        for name in names:
            rates = choices.get(name) or (found[KIN.get(name, "rigl")][0]["rate"],)
            found[name] = [_best([one(name, 0, rate) for rate in rates])]
        for seed in range(1, args.seeds):
            for name in names:
                if name in args.again:
                    found[name].append(one(name, seed, found[name][0]["rate"]))
    return {name: [tested(row, settings, text, folder) for row in rows] for name, rows in found.items()}


def _best(rows: list[Row]) -> Row:
    return min(rows, key=lambda row: row["validation"])


def file_of(row: Row, folder: Path) -> Path:
    """Where a model and its row are, but for the suffix."""
    return folder / f"{row['method']}-{row['seed']}-{_mark(row['method'])}-{row['rate']:g}"


def _mark(name: str) -> str:
    """A few letters that change where the definition of a row does."""
    usual, own = asdict(Method()), asdict(METHODS[name])
    changed = {part: value for part, value in own.items() if value != usual[part]}
    return sha256(json.dumps(changed).encode()).hexdigest()[:6]


def kept(name: str, seed: int, rate: float, settings: Settings, text: Text, folder: Path, say) -> Row:
    """The row of one model, learnt where it isn't there yet."""
    row = {"method": name, "seed": seed, "rate": rate}
    file = file_of(row, folder)
    if not Path(f"{file}.json").is_file():
        net, how = train(METHODS[name], settings, seed, rate, text, say)
        torch.save(net.state_dict(), f"{file}.pt")
        write_whole(Path(f"{file}.json"), json.dumps(row | how).encode())
    return json.loads(Path(f"{file}.json").read_text())


def model(row: Row, settings: Settings, folder: Path) -> Net:
    """The model of a row."""
    state = torch.load(f"{file_of(row, folder)}.pt", weights_only=True)
    return restored(settings, METHODS[row["method"]], row["seed"], state)


def tested(row: Row, settings: Settings, text: Text, folder: Path) -> Row:
    """The row with the test perplexity; losses by window are kept beside it."""
    file = Path(f"{file_of(row, folder)}.test.pt")
    if not file.is_file():
        torch.save(losses(model(row, settings, folder), text.test, settings.context), file)
    return row | {"test": math.exp(torch.load(file, weights_only=True).mean())}


def against(rows: list[Row], dense: list[Row], folder: Path) -> dict[str, float]:
    """The ratio of test perplexities to the dense models of the same seeds, less 1, and its 95 % over windows."""
    pairs = [(row, other) for row in rows for other in dense if other["seed"] == row["seed"]]
    log = torch.stack(
        [
            torch.load(f"{file_of(row, folder)}.test.pt", weights_only=True)
            - torch.load(f"{file_of(other, folder)}.test.pt", weights_only=True)
            for row, other in pairs
        ]
    ).mean(0)
    mean, half = float(log.mean()), float(1.96 * log.std() / math.sqrt(len(log)))
    return {"ratio": math.expm1(mean), "low": math.expm1(mean - half), "high": math.expm1(mean + half)}


def summary(found: dict[str, list[Row]], folder: Path) -> dict[str, Row]:
    """Of every method: means over seeds, and the curve of seed 0."""
    table = {}
    for name, rows in found.items():
        test = np.array([row["test"] for row in rows])
        table[name] = {
            "test": float(test.mean()), "test_sd": float(test.std(ddof=1)) if len(test) > 1 else None,
            "validation": float(np.mean([row["validation"] for row in rows])),
            "above_dense": against(rows, found["dense"], folder), "seeds": len(rows), "rate": rows[0]["rate"],
            "step": rows[0]["step"], "weights": rows[0]["weights"], "density": rows[0]["density"],
            "turnover": float(np.mean([row["turnover"] for row in rows])),
            "training_cpu_seconds": float(np.mean([row["training_seconds"] for row in rows])),
            "curve": rows[0]["curve"],
        }  # fmt: skip
    return table


def show(table: dict[str, Row], cost: dict[str, Row]) -> None:
    """The table of methods."""
    shown = Table("", "weights", "validation", "test", "above dense, 95 %", "turnover", "ms a window", "multiply-adds")
    for name, row in table.items():
        above = [f"{100.0 * row['above_dense'][part]:.1f}" for part in ("ratio", "low", "high")]
        work = f"{cost[name]['milliseconds']:.2f}", f"{cost[name]['multiply_adds'] / 1e6:.1f} M"
        perplexities = f"{row['validation']:.2f}", f"{row['test']:.2f}"
        ratio = f"{above[0]} % ({above[1]} ... {above[2]})"
        shown.add_row(name, f"{row['weights']:,}", *perplexities, ratio, f"{row['turnover']:.2f}", *work)
    Console(stderr=True).print(shown)


def parsed(given: list[str] | None = None) -> argparse.Namespace:
    """Command-line arguments."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    results = Path(__file__).parent / "results" / "sparse_wikitext.json"
    parser.add_argument("--wikitext", type=Path, required=True, help="folder with WikiText-2's three files")
    parser.add_argument("--words", type=int, default=4000, help="of the vocabulary (default: %(default)s)")
    parser.add_argument("--steps", type=int, default=1500, help="of learning (default: %(default)s)")
    parser.add_argument("--width", type=int, default=160, help="of the model (default: %(default)s)")
    parser.add_argument("--batch", type=int, default=8, help="windows a step (default: %(default)s)")
    parser.add_argument("--every", type=int, default=50, help="steps between turns (default: %(default)s)")
    parser.add_argument("--rate", type=float, default=8e-3, help="of words, places, norms, biases (%(default)s)")
    parser.add_argument("--rates", type=rates_of, nargs="+", default=list(RATES.items()), metavar="ROW=RATE,RATE",
                        help="of the blocks' weights, to choose from (default: %(default)s)")  # fmt: skip
    parser.add_argument("--seeds", type=int, default=1, help="of the rows --again (default: %(default)s)")
    parser.add_argument("--again", nargs="+", default=["dense", "static"], metavar="ROW",
                        help="rows of more than one seed (default: %(default)s)")  # fmt: skip
    parser.add_argument("--methods", nargs="+", default=USUAL, choices=METHODS, metavar="ROW",
                        help="beside dense and rigl (default: %(default)s)")  # fmt: skip
    parser.add_argument("--rounds", type=int, default=40, help="of timing (default: %(default)s)")
    parser.add_argument("--quiet", action="store_true", help="no progress")
    parser.add_argument("--runs", type=Path, default=Path("runs/sparse_wikitext"), help="what is kept (%(default)s)")
    parser.add_argument("--output", type=Path, default=results, help="result file (default: %(default)s)")
    return parser.parse_args(given)


def rates_of(given: str) -> tuple[str, tuple[float, ...]]:
    """ROW=RATE,RATE of the command line. Raises ArgumentTypeError for anything else."""
    name, _, rates = given.partition("=")
    try:
        found = tuple(float(rate) for rate in rates.split(","))
    except ValueError:
        found = ()
    if name not in METHODS or not found:
        raise argparse.ArgumentTypeError(f"{given!r} isn't ROW=RATE,RATE with a row of {', '.join(METHODS)}")
    return name, found


def said_of(table: dict[str, Row], cost: dict[str, Row]) -> Row:
    """The figures of the last line. The best of the sparse rows is chosen on the validation text."""
    sparse = [name for name in table if METHODS[name].density <= DENSITY]
    best = min(sparse, key=lambda name: table[name]["validation"])
    lowest = {name: round(100.0 * row["above_dense"]["ratio"], 2) for name, row in table.items() if name != "dense"}
    return {
        "test_dense": round(table["dense"]["test"], 2), f"test_{best}": round(table[best]["test"], 2),
        "best_sparse": best, "percent_above_dense": lowest,
        "bar_met_by": [name for name in sparse if lowest[name] <= 100.0 * BARS["perplexity_above_dense"]],
        "less_time": round(cost[best]["less_time"], 2),
        "fewer_multiply_adds": round(cost["dense"]["multiply_adds"] / cost[best]["multiply_adds"], 2),
    }  # fmt: skip


def main(given: list[str] | None = None) -> None:
    args = parsed(given)
    torch.set_num_threads(1)
    text = load(args.wikitext, args.words)
    settings = Settings(
        len(text.words), args.steps, width=args.width, batch=args.batch, every=args.every, rate=args.rate
    )
    folder = args.runs / sha256(json.dumps(asdict(settings)).encode()).hexdigest()[:12]
    folder.mkdir(parents=True, exist_ok=True)
    found = learn(args, settings, text, folder)
    table = summary(found, folder)
    nets = {name: model(rows[0], settings, folder) for name, rows in found.items()}
    words = text.test[: settings.context].unsqueeze(0)
    cost, alone = (costs(nets, given, args.rounds) for given in (words, words[:, :1]))
    show(table, cost)
    said, tokens = said_of(table, cost), settings.steps * settings.batch * settings.context
    command = " ".join(["python", "benchmarks/sparse_wikitext.py", *(given or sys.argv[1:])])
    result = {
        "command": command.replace(str(args.wikitext), "$WIKITEXT").replace(str(args.runs), "$RUNS"),
        "commit": commit(),
        "python": platform.python_version(),
        "versions": {name: version(name) for name in ("torch", "numba", "numpy")},
        "machine": f"{processor()}, {platform.system()} {platform.machine()}",
        "threads": 1,
        "settings": asdict(settings),
        "passes_over_the_training_text": tokens / len(text.train),
        "unknown_words": {"validation": text.unknown(text.validation), "test": text.unknown(text.test)},
        "embeddings_dense": (settings.words + settings.context) * settings.width,
        "output_layer_multiply_adds": settings.context * settings.words * settings.width,
        "short_of_full": "see --help: steps, vocabulary, validation text, seeds, rates taken over",
        "bars": BARS,
        **said,
        "rates": {name: _rates(name, folder) for name in found},
        "methods": table,
        "forward_of_one_window": cost,
        "forward_of_one_word": alone,
        "definitions": {name: asdict(METHODS[name]) for name in found},
        "rows": found,
    }
    args.output.parent.mkdir(parents=True, exist_ok=True)
    args.output.write_text(json.dumps(result, indent=1) + "\n")
    picture(args.output)
    print(json.dumps(said))


def _rates(name: str, folder: Path) -> dict[str, float]:
    """Validation perplexity by learning rate, of all that was learnt with seed 0."""
    rows = [json.loads(file.read_text()) for file in sorted(folder.glob(f"{name}-0-{_mark(name)}-*.json"))]
    return {f"{row['rate']:g}": row["validation"] for row in rows}


if __name__ == "__main__":
    main()
