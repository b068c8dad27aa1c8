"""The figures of benchmarks/patch_noise.py are those of its rows."""

import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "benchmarks"))
import patch_noise  # noqa: E402


def rows_of(right: dict[str, tuple[int, int]], count: int = 20) -> list[dict]:
    """Rows of `count` objects at levels 0 and 8, so many of them right, in an order that isn't theirs."""
    rows = [
        {
            "kind": kind, "level": level, "object": f"thing {k}", "seed": 0, "best_guess": f"thing {k}",
            "answer": f"thing {k}" if k < good else None, "sensations": 5 + k,
        }
        for kind, goods in right.items()
        for level, good in zip((0.0, 8.0), goods, strict=True)
        for k in range(count)
    ]  # fmt: skip
    return rows[::-1]


def test_bars_that_are_met():
    rows = rows_of({"surface": (20, 4), "sdr": (20, 10), "sdr-learnt": (20, 18), "both-learnt": (20, 18)})
    found = patch_noise.summary(rows)
    assert found["points"]["surface 8"]["correct"] == pytest.approx(0.2)
    assert found["points"]["surface 8"]["undecided"] == pytest.approx(0.8)
    assert found["points"]["surface 8"]["best_guess"] == 1.0
    assert found["points"]["surface 8"]["sensations_median"] == pytest.approx(14.5)
    mean, low, high = found["both_minus"]["surface 8"]
    assert mean == pytest.approx(0.7) and 0.4 < low < 0.6 and 0.8 < high < 1.0
    assert found["both_minus"]["sdr-learnt 8"] == [0.0, 0.0, 0.0]
    assert found["lost"] == pytest.approx({"surface": 0.8, "sdr": 0.5, "sdr-learnt": 0.1, "both-learnt": 0.1})
    assert all(found["bars"].values())


def test_bars_that_are_missed():
    rows = rows_of({"surface": (20, 19), "sdr": (20, 20), "sdr-learnt": (20, 12), "both-learnt": (20, 10)})
    found = patch_noise.summary(rows)
    assert not any(found["bars"].values())
    assert found["both_worse_at"] == ["surface 8"], "sdr 8 is no part of the bar, and 2 of 20 may be chance"
    assert found["surface_loses_more_than_sdr_learnt_by"][0] == pytest.approx(-0.35)


def test_picture_of_it():
    rows = rows_of(dict.fromkeys(patch_noise.KINDS, (20, 10)))
    assert patch_noise.picture(patch_noise.summary(rows), rows, "default")[:8] == b"\x89PNG\r\n\x1a\n"
