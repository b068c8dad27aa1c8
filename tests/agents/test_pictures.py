"""Pictures are drawn and show something; what they look like is for people to judge."""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image

from cortical.agents.brain import build_region
from cortical.agents.camera import Camera, view
from cortical.agents.episode import ColumnTrace, EpisodeRecord, StepTrace
from cortical.agents.learning import Learner
from cortical.agents.panels import draw_belief
from cortical.agents.pictures import _draw_needed, episode_picture, headline, run_picture, vote_picture
from cortical.agents.rollout import make_agent, play
from cortical.agents.story import tell
from cortical.columns.object_map import ObjectMap
from cortical.configs.schema import DecisionConfig, Experiment, EyeConfig, LearnConfig
from cortical.envs.bodies import looking
from cortical.envs.sensors import shared_catalogue

NAMES = ("duck", "domino", "cone")


@pytest.fixture(scope="module")
def episode() -> tuple[EpisodeRecord, ObjectMap]:
    """A real episode of five columns, and the map of what they took the object for."""
    torch.set_num_threads(1)
    experiment = Experiment(
        eye=EyeConfig(columns=5), learn=LearnConfig(sensations_per_view=250), decision=DecisionConfig(1e12, 4)
    )
    learner = Learner(experiment)
    maps = {name: learner.learn(name) for name in NAMES}
    record = play(make_agent(experiment, build_region(experiment, maps)), "duck", seed=0)
    return record, maps.get(record.best_guess, maps["duck"])


@pytest.fixture(scope="module")
def mesh():
    return shared_catalogue("default").mesh("duck")


def colours(path: Path) -> int:
    with Image.open(path) as image:
        assert image.format == "PNG"
        return len(image.convert("RGB").getcolors(1 << 24) or [])


def test_a_real_episode(episode, mesh, tmp_path):
    record, known = episode
    path = episode_picture(record, mesh, known, tmp_path / "new" / "episode.png")
    assert colours(path) > 1000
    with Image.open(path) as image:
        assert image.size == (1600, 900)
    assert "duck" in headline(record) and "duck" in tell(record)[-1]


def test_one_column_unknown_and_many_sensations(episode, mesh, tmp_path):
    record, _ = episode
    steps = [replace(s, columns=s.columns[:1], location=s.location[:1]) for s in record.trace] * 15
    steps[3] = replace(steps[3], location=[[]])
    unknown = replace(record, answer="unknown", best_guess="unknown", trace=steps, sensations=len(steps))
    assert colours(episode_picture(unknown, mesh, None, tmp_path / "long.png")) > 1000


@pytest.mark.parametrize("odds", [3.0, 300.0, 1e7, 1e30])
def test_the_odds_that_decide_are_marked_within_the_panel(episode, odds):
    trace = [*episode[0].trace, replace(episode[0].trace[-1], log_odds=90.0)]
    axes = Figure(figsize=(8, 4)).add_subplot()
    draw_belief(axes, trace, odds)
    FigureCanvasAgg(axes.figure).draw()
    word = next(text for text in axes.texts if text.get_text() == "decides")
    panel, taken = axes.get_window_extent(), word.get_window_extent()
    assert panel.y0 < taken.y0 and taken.y1 < panel.y1
    low, high = axes.get_ylim()
    assert low < math.log(1e-3) and math.log(odds) < high < math.log(odds) + 3
    assert len(axes.get_yticks()) <= 14


def test_a_legend_covers_no_bars(episode):
    axes = Figure(figsize=(6, 4)).add_subplot()
    rows = [replace(episode[0], answer="duck", sensations=count) for count in range(1, 20)]
    _draw_needed(axes, {"1 column": rows, "5 columns": rows})
    FigureCanvasAgg(axes.figure).draw()
    bottom = axes.get_legend().get_window_extent().y0
    assert all(bar.get_window_extent().y1 <= bottom for bar in axes.patches)


def test_nothing_sensed_and_columns_that_disagree(episode, mesh, tmp_path):
    record, known = episode
    first: StepTrace = record.trace[0]
    views = [ColumnTrace(0.4, name, 1.0, 0.4, name, 1.0) for name in ("duck", "cone", "cone", "domino", "unknown")]
    blind = replace(record, answer=None, trace=[replace(first, location=[[]] * 5, columns=views)])
    assert colours(episode_picture(blind, mesh, known, tmp_path / "blind.png")) > 1000
    assert episode_picture(blind, mesh, known, tmp_path / "blind.svg").stat().st_size > 10_000


def test_an_episode_without_a_trace_is_refused(episode, mesh, tmp_path):
    with pytest.raises(ValueError, match="traced=True"):
        episode_picture(replace(episode[0], trace=[]), mesh, episode[1], tmp_path / "no.png")


def test_what_an_object_hides(mesh):
    camera = Camera(np.array([0.0, -0.9, 0.0]), looking(np.array([0.0, 1.0, 0.0])))
    seen = view(mesh, np.zeros(3), np.eye(3), camera, pixels=200)
    assert seen.hides(*camera.project(np.array([[0, -0.2, 0], [0, 0.2, 0], [0.3, 0.2, 0]]))).tolist() == [
        False, True, False
    ]  # fmt: skip


def _rows(record: EpisodeRecord, wrong: int) -> list[EpisodeRecord]:
    random = np.random.default_rng(wrong)
    return [
        replace(
            record, answer="cone" if k < wrong else record.object if k < 10 else None,
            sensations=int(random.integers(1, 90)), rotation_error_deg=float(random.exponential(5.0)), trace=[], seed=k,
        )
        for k in range(12)
    ]  # fmt: skip


def test_pictures_of_runs(episode, tmp_path):
    right, wrong = _rows(episode[0], 0), _rows(episode[0], 3)
    assert colours(run_picture({"1 column": right, "5 columns": wrong}, tmp_path / "run.png")) > 100
    with Image.open(run_picture({"1 column": right}, tmp_path / "right.png")) as image:
        assert image.size == (1600, 500)
    assert colours(vote_picture({1: wrong, 5: right}, tmp_path / "vote.png")) > 100
    with pytest.raises(ValueError, match="no episodes"):
        run_picture({"1 column": []}, tmp_path / "none.png")
    with pytest.raises(ValueError, match="no episodes"):
        vote_picture({}, tmp_path / "none.png")
