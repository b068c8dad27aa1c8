"""The picture of the result files shows what is in them."""

import json
import sys
from pathlib import Path

import pytest
from matplotlib.image import imread

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "benchmarks"))
import recognition_plots  # noqa: E402


def test_four_panels_of_the_committed_results(tmp_path):
    recognition_plots.main(["--output", str(tmp_path / "all.png")])
    assert imread(tmp_path / "all.png").shape[:2] == (1000, 1500)


def test_every_decision_is_counted_once():
    found = [recognition_plots.result(recognition_plots.RESULTS, name) for name in recognition_plots.LINES.values()]
    results = [one for one in found if one]
    decided = [row for one in results for row in one["rows"] if row["answer"] not in (None, "nothing here")]
    groups = recognition_plots.came_true(results).values()
    assert sum(count for _, count in groups) == len(decided)
    assert sum(right for right, _ in groups) == sum(row["answer"] == row["object"] for row in decided)


def test_without_result_files_the_remedy_is_named(tmp_path):
    (tmp_path / "other.json").write_text(json.dumps({}))
    with pytest.raises(ValueError, match=r"run benchmarks/recognition\.py"):
        recognition_plots.picture(tmp_path, tmp_path / "none.png")
