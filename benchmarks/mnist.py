"""MNIST's handwritten digits (Y. LeCun et al. 1998, "Gradient-based learning applied to document recognition")."""

import gzip
from pathlib import Path

import numpy as np
import torch
from sparse_training import Labelled
from torch import Tensor

MEAN, SD = 0.1307, 0.3081
HELD = 10_000
"""Training images to choose by."""


def load(folder: Path, part: str) -> Labelled:
    """`part` "train" or "t10k" of a folder of MNIST's four files: images (n, 1, 28, 28), mean 0 and deviation 1 over
    the training set. Raises SystemExit where a file is missing."""
    arrays = []
    for kind, head in (("images-idx3", 16), ("labels-idx1", 8)):
        file = folder / f"{part}-{kind}-ubyte.gz"
        if not file.is_file():
            raise SystemExit(f"no {file}; --mnist takes a folder with the four .gz files of MNIST")
        arrays.append(np.frombuffer(gzip.decompress(file.read_bytes()), np.uint8, offset=head))
    images = (torch.from_numpy(arrays[0].copy()).view(-1, 1, 28, 28) / 255.0 - MEAN) / SD
    return Labelled(images, torch.from_numpy(arrays[1].astype(np.int64)))


def parts(folder: Path, images: int) -> tuple[Labelled, Labelled, Labelled]:
    """So many training images to learn from, HELD others to choose by, and the test images."""
    digits = load(folder, "train")
    order = torch.randperm(len(digits.labels), generator=torch.Generator().manual_seed(0))
    return digits.part(order[HELD:][:images]), digits.part(order[:HELD]), load(folder, "t10k")


def noisy(images: Tensor, share: float, generator: torch.Generator) -> Tensor:
    """The share of the pixels of each image, at random places, set to 2 (two deviations above the mean)."""
    order = torch.rand(len(images), 784, generator=generator).argsort(1)[:, : int(share * 784)]
    return images.flatten(1).scatter(1, order, 2.0).view_as(images)
