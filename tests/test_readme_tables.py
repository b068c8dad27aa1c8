"""The tables of README and guide are those of the committed result files."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
SAID = (
    "five columns that vote", "10 similar, `noise`", "16 x 16 rays", "worlds side by side",
    "columns that watch out", "random saccades |", "| 64 | ", "the same maps, given the eye's stream",
    "ten permuted tasks",
)  # fmt: skip
"""Of each table."""


def test_tables_are_rendered_from_the_results():
    done = subprocess.run([sys.executable, str(ROOT / "benchmarks" / "render.py"), "--check"], check=False)
    assert done.returncode == 0, "run: python benchmarks/render.py"
    text = (ROOT / "README.md").read_text()
    assert text.count("<!-- end -->") == text.count(": rendered by benchmarks/render.py") == len(SAID)
    assert all(words in text for words in SAID)
    moving = (ROOT / "demos" / "guide" / "moving.md").read_text()
    assert moving.count("<!-- end -->") == moving.count(": rendered by benchmarks/render.py") == 5
    assert all(words in moving for words in ("| most disagreeing pair", "| two movements ahead", "| at random, exact"))
