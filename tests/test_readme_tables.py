"""The README's tables are those of the committed result files."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]


def test_tables_are_rendered_from_the_results():
    done = subprocess.run([sys.executable, str(ROOT / "benchmarks" / "render.py"), "--check"], check=False)
    assert done.returncode == 0, "run: python benchmarks/render.py"
    text = (ROOT / "README.md").read_text()
    assert text.count("<!-- end -->") == text.count(": rendered by benchmarks/render.py") >= 3
    assert "worlds side by side" in text and "16 x 16 rays" in text and "five columns that vote" in text
