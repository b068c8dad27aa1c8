"""Sparse against dense networks on spoken digits: accuracy, robustness to noise, and the cost of one recording.

    python benchmarks/sparse_sound.py --fsdd DIR        # a folder with fsdd.npz, or recordings WORD_SPEAKER_TAKE.wav

The Free Spoken Digit Dataset, each recording as a picture of 32 x 32: log energy in mel bands (envs/sound.py), all of
one length, mean 0 and deviation 1 over what is learnt from. Takes 0-4 of each word and speaker are asked, by the
dataset's own split; 5-9 choose the epoch, and chose the settings; the others are learnt from. Every speaker asked has
been heard. Networks and methods are those of sparse_mnist.py (sparse_nets.py, sparse_methods.py), with 10 %
of the units as winners and 9 % of the hidden weights; step sizes of dense and sparse networks were chosen on takes 5-9
with one seed (two and three tried).

Noise is that of S. Ahmad, L. Scheinkman 2019 (arXiv:1903.11257) for speech: (1 - a) x + a u with u uniform over the
range of x, a = 0, 0.05 ... 0.5; the noise score is the number of recordings recognised over these 11 levels. Their
speech set (Speech Commands, 2 convolutions) is not this one: no figure here has a published one beside it.

Writes benchmarks/results/sparse_sound.json and a picture; a run that was cut off goes on; the last line of output is
one JSON object.
"""

import argparse
import json
from functools import lru_cache
from pathlib import Path

import numpy as np
import sparse_methods
import torch
from hearing_baselines import stretched
from provenance import provenance
from replaying import Job, Row
from sparse_nets import Settings
from sparse_training import Labelled
from torch import Tensor

from cortical.envs.sound import Clip, read_clips, sound_of

ASKED, CHOOSING = 5, 10
"""Takes below the first are asked, below the second are chosen by."""
SIDE = 32
USUAL = Settings(
    side=SIDE, conv_density=1.0, density=0.09, conv_winners=588, winners=100, rate=0.02, sparse_rate=0.03,
    hidden_rate=0.3, boost=0.0, epochs=10, batch=32, first_batch=32, decay=0.75,
)  # fmt: skip


def pictures(clips: list[Clip]) -> Tensor:
    """Log energies, (n, 1, SIDE, SIDE), in decibels below the loudest; time along the first side."""
    cells = [stretched(sound_of(clip), SIDE, SIDE) for clip in clips]
    return torch.from_numpy(np.stack(cells)).float().view(-1, 1, SIDE, SIDE)


def noisy(x: Tensor, level: float, generator: torch.Generator) -> Tensor:
    """The blend with noise, uniform from the least to the largest of x."""
    low, high = x.min(), x.max()
    return (1.0 - level) * x + level * (low + (high - low) * torch.rand(x.shape, generator=generator))


def task_of(clips: list[Clip]) -> sparse_methods.Task:
    """What is learnt, chosen by and asked. Raises ValueError where one of them has no recording."""
    words, takes = sorted({clip.word for clip in clips}), torch.tensor([clip.take for clip in clips])
    splits = {"learn": takes >= CHOOSING, "choose": (takes >= ASKED) & (takes < CHOOSING), "asked": takes < ASKED}
    if lacking := [name for name, rows in splits.items() if not bool(rows.any())]:
        raise ValueError(f"no recording to {', '.join(lacking)} among {len(clips)}: takes 0-4, 5-9 and 10- are needed")
    levels = pictures(clips)
    known = levels[splits["learn"]]
    everything = Labelled((levels - known.mean()) / known.std(), torch.tensor([words.index(c.word) for c in clips]))
    learn, choose, asked = (everything.part(rows) for rows in splits.values())
    return sparse_methods.Task(learn, choose, asked, noisy)


@lru_cache(maxsize=1)
def task(folder: Path) -> sparse_methods.Task:
    """That of a folder."""
    return task_of(read_clips(folder))


def compare(job: Job) -> list[Row]:
    """The row of a method and a seed."""
    return sparse_methods.rows_of(job, USUAL, task(job[1].fsdd))


def parsed() -> argparse.Namespace:
    """Command-line arguments."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--fsdd", type=Path, required=True, help="folder of recordings")
    sparse_methods.add_options(parser, "sparse_sound", USUAL, seeds=2)
    return parser.parse_args()


def main() -> None:
    args = parsed()
    torch.set_num_threads(1)
    head = provenance(("torch", "numba", "numpy", "scipy"), {"--fsdd": "$FSDD", "--runs": "", "--output": ""})
    print(json.dumps(sparse_methods.published(args, USUAL, task(args.fsdd).test, compare, "share of noise", head)))


if __name__ == "__main__":
    main()
