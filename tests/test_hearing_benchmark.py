"""What the figures of hearing rest on: the split, and the plain recognisers beside the column."""

import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.append(str(Path(__file__).parents[1] / "benchmarks"))
import hearing  # pyright: ignore[reportMissingImports]
from hearing_baselines import nearest, warped  # pyright: ignore[reportMissingImports]

from cortical.envs.sound import Clip, Sound


def plainly_warped(a: np.ndarray, b: np.ndarray) -> float:
    """The least cost over all ways from one corner to the other, found by trying them."""

    def least(i: int, j: int) -> float:
        gap = float(np.linalg.norm(a[i] - b[j]))
        ways = [(i - 1, j), (i, j - 1), (i - 1, j - 1)]
        before = [least(*way) for way in ways if min(way) >= 0]
        return gap + (min(before) if before else 0.0)

    return least(len(a) - 1, len(b) - 1) / (len(a) + len(b))


def test_warping_finds_the_cheapest_way():
    random = np.random.default_rng(0)
    for _ in range(20):
        a, b = (random.normal(size=(n, 3)) for n in random.integers(1, 6, 2))
        assert warped(a, b) == pytest.approx(plainly_warped(a, b))


def test_the_nearest_recording_names_the_word():
    random = np.random.default_rng(0)
    sounds = [Sound(random.normal(-20, 10, (n, 40))) for n in (30, 40)]
    taught = list(zip(("up", "down"), sounds, strict=True))
    slower = [Sound(np.repeat(sound.level, 2, axis=0)) for sound in sounds]
    assert nearest(taught, slower)["warping"] == ["up", "down"]


@pytest.mark.parametrize("how", ["take", "speaker"])
def test_what_is_asked_was_never_taught(how):
    clips = [
        Clip(word, speaker, take, np.zeros(0, np.float32), 8000)
        for word in "01" for speaker in ("anna", "bob", "eve") for take in range(14)
    ]  # fmt: skip
    setting = {**hearing.COLUMN, "split": how, "taught": 3}
    folds = hearing.split(clips, setting, seed=0, asked=12)
    assert len(folds) == (3 if how == "speaker" else 1)
    for taught, asked in folds:
        assert not set(taught) & set(asked) and asked
        assert len(taught) == 6 and all(clips[i].take >= hearing.TUNING for i in taught)
        assert all(clips[i].take < hearing.TAKES for i in asked)
        if how == "speaker":
            assert not {clips[i].speaker for i in taught} & {clips[i].speaker for i in asked}


def test_figures_count_what_was_right():
    rows = [
        {"word": "1", "answers": ["0", "1"], "think_ms": 1.0, "turned_deg": 2.0, "warping": "1", "euclid": "0"},
        {"word": "0", "answers": ["0", "1"], "think_ms": 3.0, "turned_deg": 4.0, "warping": "0", "euclid": "0"},
    ]
    found = hearing.figures(rows)
    assert found["right_after"] == [0.5, 0.5] and found["warping"] == 1.0 and found["euclid"] == 0.5
