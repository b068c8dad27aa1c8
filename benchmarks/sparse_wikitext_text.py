"""WikiText-2 as numbers, for benchmarks/sparse_wikitext.py.

Words are split at spaces and every line ends with one <eos>, which gives the published counts of 2,088,628, 217,646 and
245,569 tokens. The commonest words of the training text are the vocabulary; all others are <unk>, as are the rare words
that the data set itself wrote so.
"""

import zipfile
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

END, UNKNOWN = "<eos>", "<unk>"


@dataclass(frozen=True)
class Text:
    """words : the vocabulary, commonest first; train, validation, test : (tokens,) int64, places in it."""

    words: tuple[str, ...]
    train: Tensor
    validation: Tensor
    test: Tensor

    def unknown(self, part: Tensor) -> float:
        """Share of <unk>."""
        return float((part == self.words.index(UNKNOWN)).double().mean())


def read(folder: Path, part: str) -> list[str]:
    """The tokens of `part` "train", "valid" or "test", from wiki.PART.tokens or the .zip of it.

    Raises SystemExit where there is neither.
    """
    plain, packed = folder / f"wiki.{part}.tokens", folder / f"wiki.{part}.tokens.zip"
    if plain.is_file():
        text = plain.read_text(encoding="utf-8")
    elif packed.is_file():
        with zipfile.ZipFile(packed) as held:
            text = held.read(plain.name).decode("utf-8")
    else:
        raise SystemExit(
            f"no {plain} and no {packed.name} beside it; --wikitext takes the folder of WikiText-2's three"
        )
    return [word for line in text.removesuffix("\n").split("\n") for word in (*line.split(" "), END) if word]


def load(folder: Path, size: int) -> Text:
    """The text with a vocabulary of at most `size`; words that are equally common in the order of the alphabet."""
    parts = [read(folder, part) for part in ("train", "valid", "test")]
    counts = Counter(parts[0])
    counts[UNKNOWN] += 1  # there in any case, and early enough not to be cut off
    ranked = sorted(counts, key=lambda word: (word != UNKNOWN, -counts[word], word))[:size]
    words = tuple(sorted(ranked, key=lambda word: (-counts[word], word)))
    place = {word: i for i, word in enumerate(words)}
    unknown = place[UNKNOWN]
    numbers = [torch.from_numpy(np.array([place.get(word, unknown) for word in part])) for part in parts]
    return Text(words, *numbers)


def windows(tokens: Tensor, length: int) -> Tensor:
    """Pieces that follow each other, (n, length + 1): the last token of one is the first of the next, so that every
    token but the first is asked for once. What is left over at the end is left out."""
    return tokens.unfold(0, length + 1, length)


def batches(tokens: Tensor, length: int, size: int, generator: torch.Generator):
    """(size, length + 1) forever: all windows in a random order, then all again in another, what doesn't fill a batch
    left out. The order depends on the generator alone."""
    held = windows(tokens, length)
    if len(held) < size:
        raise ValueError(f"{len(tokens)} tokens are {len(held)} windows of {length}, fewer than a batch of {size}")
    while True:
        order = torch.randperm(len(held), generator=generator)
        for rows in order[: len(held) // size * size].split(size):
            yield held[rows]
