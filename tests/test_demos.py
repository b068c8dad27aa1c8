"""The demos run as they stand and say what they promise."""

import subprocess
import sys
from pathlib import Path

import pytest

DEMOS = Path(__file__).parents[1] / "demos"
PROMISES = {
    "explore_with_gymnasium.py": "curvatures",
    "pushed_object.py": "that was not expected!",
    "recognise_objects.py": "Decided: duck, right",
    "robot_arm.py": "3 of 3 right",
    "symbolic_objects.py": "It is object 72, right, after 3 touches.",
    "train_policy.py": "paired by pose",
}
ARGUMENTS = {"train_policy.py": ("--objects", "mug", "duck", "--steps", "512", "--held-out", "200", "201")}
"""What makes a long one short."""


def test_every_demo_is_tried():
    assert {path.name for path in DEMOS.glob("*.py")} == set(PROMISES)


@pytest.mark.parametrize("name", PROMISES)
def test_demo_runs(name, tmp_path):
    script = DEMOS / name
    assert len(script.read_text().splitlines()) <= 80
    command = [sys.executable, str(script), *ARGUMENTS.get(name, ())]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=240)
    assert done.returncode == 0, done.stderr
    assert PROMISES[name] in done.stdout.replace("\n    ", " ")
