"""The demos run as they stand and say what they promise."""

import subprocess
import sys
from pathlib import Path

import pytest

DEMOS = Path(__file__).parents[1] / "demos"
PROMISES = {
    "explore_with_gymnasium.py": "curvatures",
    "recognise_objects.py": "Decided: duck, right",
}


def test_every_demo_is_tried():
    assert {path.name for path in DEMOS.glob("*.py")} == set(PROMISES)


@pytest.mark.parametrize("name", PROMISES)
def test_demo_runs(name):
    script = DEMOS / name
    assert len(script.read_text().splitlines()) <= 80
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, check=False, timeout=240)
    assert done.returncode == 0, done.stderr
    assert PROMISES[name] in done.stdout.replace("\n    ", " ")
