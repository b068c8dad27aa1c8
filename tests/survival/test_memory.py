"""A process that goes on and on holds no more memory than at the start."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

SOAK = Path(__file__).with_name("soak.py")
pytestmark = pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="needs /proc")


def nightly(*values):
    return pytest.param(*values, marks=pytest.mark.nightly)


@pytest.mark.parametrize(
    "kind, steps", [("world", 20_000), ("agent", 2_500), nightly("world", 1_000_000), nightly("agent", 50_000)]
)
def test_memory_stays_flat(kind, steps):
    done = subprocess.run([sys.executable, str(SOAK), kind, str(steps)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    print(found)
    assert found["steps"] >= steps
    assert abs(found["growth"]) < 0.05
    assert max(found["mib"]) < 1.1 * found["mib"][0]
