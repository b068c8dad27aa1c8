"""Sparse against dense networks on handwritten digits: accuracy, robustness to noise, and the cost of one image.

    python benchmarks/sparse_mnist.py --mnist DIR        # the folder with MNIST's four .gz files

Protocol of S. Ahmad, L. Scheinkman 2019 ("How can we be so dense?", arXiv:1903.11257), except that the epoch, and every
setting, is chosen on 10,000 of the training images, never on the test set. Noise sets a share of 0, 0.05 ... 0.5 of the
pixels to two deviations above the mean; the noise score is the number of test images recognised over these 11 levels,
of 110,000. Methods: sparse_methods.py. Networks: sparse_nets.py.

Settings were chosen on validation images with one seed, 15,000 images and 3 epochs (benchmarks/LOG.md says what each
is worth): of the sparse networks 9 % of the hidden weights exist and 10 % of the units win in both layers; the
convolution's 750 weights are dense; weights of hidden units learn with a step size 7 times that of the others, since
they take part in one image of ten only; no boosting. Dense networks got a step size chosen the same way.

Short of the published protocol, to take half an hour of one core:
SHORT.

The whole network at batch 1, image in, logits out, one thread: sparse and dense take turns, figures are medians of the
ratios of thread CPU time; multiply-adds are counted. It runs with the convolution as a dense product and as a sparse
one. Beside it: larger but sparser (sparse_widths.py). Writes benchmarks/results/sparse_mnist.json and a picture; the
last line of output is one JSON object.
"""

import argparse
import json
from functools import lru_cache
from pathlib import Path
from textwrap import fill

import mnist
import sparse_methods
import sparse_widths
import torch
from provenance import provenance
from replaying import Job, Row, finished
from sparse_nets import Settings

BARS = {"below_dropout_points": 0.3, "noise_score_more": 0.05, "multiply_adds": 10.0, "time": 3.0}
"""At most, at least, at least, at least."""
USUAL = Settings(
    conv_density=1.0, density=0.09, conv_winners=432, winners=100, rate=0.03, sparse_rate=0.03, hidden_rate=0.2,
    boost=0.0, epochs=4, decay=0.5,
)  # fmt: skip
SHORT = (
    "2 seeds instead of 10; 30,000 training images instead of 60,000 (10,000 others choose the epoch); 4 epochs, the "
    "step size halved after each, instead of 10 to 15 with 0.8; as many winners at test as while learning instead of "
    "1.5 times as many, and no boosting (neither clearly helped on validation); no first epoch of batch 4 (not tried)"
)


@lru_cache(maxsize=1)
def task(folder: Path, images: int) -> sparse_methods.Task:
    """What is learnt and asked."""
    return sparse_methods.Task(*mnist.parts(folder, images), mnist.noisy)


def compare(job: Job) -> list[Row]:
    """The row of a method and a seed."""
    args = job[1]
    return sparse_methods.rows_of(job, USUAL, task(args.mnist, args.images), (args.images,))


def widen(job: Job) -> list[Row]:
    """The row of a width and a number of weights."""
    args = job[1]
    learning = sparse_widths.Learning(args.width_images, args.width_epochs)
    known = task(args.mnist, args.width_images)
    return [sparse_widths.row(job, learning, known.learn, known.test)]


def widths(args: argparse.Namespace) -> list[Row]:
    """Rows of larger but sparser networks."""
    folder = args.runs / f"widths-{args.width_images}-{args.width_epochs}"
    folder.mkdir(parents=True, exist_ok=True)
    return finished(widen, [("widths", args, "-".join(map(str, cell))) for cell in sparse_widths.cells()], folder, 1)


def parsed() -> argparse.Namespace:
    """Command-line arguments."""
    text = (__doc__ or "").replace("SHORT", fill(SHORT, 116))
    parser = argparse.ArgumentParser(description=text, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mnist", type=Path, required=True, help="folder with MNIST's four .gz files")
    parser.add_argument("--images", type=int, default=30000, help="to learn from (default: %(default)s)")
    parser.add_argument("--width-images", type=int, default=15000, help="larger but sparser (default: %(default)s)")
    parser.add_argument("--width-epochs", type=int, default=3, help="larger but sparser (default: %(default)s)")
    sparse_methods.add_options(parser, "sparse_mnist", USUAL, seeds=2)
    return parser.parse_args()


def main() -> None:
    args = parsed()
    torch.set_num_threads(1)
    wide = widths(args)
    more = {
        **provenance(("torch", "numba", "numpy"), {"--mnist": "$MNIST", "--runs": "", "--output": ""}),
        "images": args.images, "short_of_the_protocol": SHORT, "bars": BARS, "larger_but_sparser": wide,
    }  # fmt: skip
    test, noise = task(args.mnist, args.images).test, "share of pixels replaced"
    panels = sparse_widths.panels(wide)
    said = sparse_methods.published(args, USUAL, test, compare, noise, more, (args.images,), panels)
    print(json.dumps(said))


if __name__ == "__main__":
    main()
