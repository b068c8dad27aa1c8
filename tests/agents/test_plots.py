"""Plots for papers come out of any run folder, as vector graphics with text as text, and show what the rows say."""

import xml.etree.ElementTree as ElementTree
from dataclasses import replace

import matplotlib as mpl
import numpy as np
import pytest
import torch
from matplotlib.collections import QuadMesh
from PIL import Image

from cortical.agents.brain import build_region
from cortical.agents.cli import main
from cortical.agents.plots import KINDS, ONE, TWO, accuracy_figure, confusion_figure, paper, plot_run, styles
from cortical.agents.plots_episode import belief_figure, raster_figure, ticks
from cortical.agents.records import RunError, RunFolder
from cortical.agents.rollout import make_agent, play
from cortical.configs.schema import LateralConfig

torch.set_num_threads(1)
WIDTH = {"accuracy": ONE, "belief": TWO, "raster": TWO, "confusion": TWO}


@pytest.fixture(scope="session")
def run(learnt, tmp_path_factory):
    """Episodes with one column and with three."""
    folder = RunFolder(tmp_path_factory.mktemp("plots") / "run", learnt.experiment, "vote")
    for columns in (1, 3):
        eye = replace(learnt.experiment.eye, columns=columns)
        experiment = replace(learnt.experiment, eye=eye, lateral=LateralConfig())
        agent = make_agent(experiment, build_region(experiment, learnt.maps))
        for name in learnt.maps:
            folder.append(f"{columns} columns", play(agent, name, seed=0))
        agent.env.close()
    return folder


def rows_of(run):
    return {label: list(run.episodes(label).values()) for label in ("1 columns", "3 columns")}


def texts(path):
    """What stands in an SVG as text."""
    return ["".join(e.itertext()) for e in ElementTree.parse(path).getroot().iter("{http://www.w3.org/2000/svg}text")]


# ---- files


def test_one_command_writes_all_plots(run, capsys):
    assert main(["plot", str(run.path)]) == 0
    told = capsys.readouterr().out.split()
    assert told == [str(run.path / "plots" / f"{kind}.svg") for kind in KINDS]
    for path in told:
        assert ElementTree.parse(path).getroot().tag.endswith("svg")


@pytest.mark.parametrize("kind", KINDS)
def test_each_format_is_what_it_says_and_has_the_width_of_a_column_of_text(run, tmp_path, kind):
    (svg,) = plot_run(run.path, tmp_path, kind)
    root = ElementTree.parse(svg).getroot()
    assert float(root.attrib["width"].removesuffix("pt")) == pytest.approx(72 * WIDTH[kind], abs=1)
    (pdf,) = plot_run(run.path, tmp_path, kind, "pdf")
    data = pdf.read_bytes()
    assert data.startswith(b"%PDF") and b"/Type3" not in data.replace(b" ", b"")
    (png,) = plot_run(run.path, tmp_path, kind, "png")
    with Image.open(png) as image:
        assert image.width == pytest.approx(300 * WIDTH[kind], abs=2)
        assert len(image.convert("RGB").getcolors(1 << 24) or ()) > 20


def test_the_same_run_gives_the_same_file_and_nothing_global_is_changed(run, tmp_path):
    before = dict(mpl.rcParams)
    first, again = (plot_run(run.path, tmp_path / part, "accuracy")[0].read_text() for part in "ab")
    assert _undated(first) == _undated(again)
    assert dict(mpl.rcParams) == before


def _undated(svg):
    return [line for line in svg.splitlines() if "<dc:date>" not in line]


def test_text_is_text_and_says_n_and_what_the_bands_are(run, tmp_path):
    said = " ".join(texts(plot_run(run.path, tmp_path, "accuracy")[0]))
    assert "1 columns (n = 3)" in said and "3 columns (n = 3)" in said and "95 % (Wilson)" in said
    said = " ".join(texts(plot_run(run.path, tmp_path, "confusion")[0]))
    assert all(name in said for name in ("cylinder", "torus", "box", "95 %"))


def test_the_episode_can_be_chosen(run, tmp_path):
    for chosen, name in (({"object": "torus"}, "torus, 3 columns"), ({"episode": 1}, "cylinder, 1 columns")):
        assert name in texts(plot_run(run.path, tmp_path, "raster", **chosen)[0])
        assert f"one episode: {name}" in " ".join(texts(plot_run(run.path, tmp_path, "belief", **chosen)[0]))


@pytest.mark.parametrize(
    "words, complaint", [(["--object", "mug"], "no episode of 'mug'"), (["--episode", "99"], "99")]
)
def test_a_choice_that_is_none_is_told(run, capsys, words, complaint):
    assert main(["plot", str(run.path), *words]) == 2
    assert complaint in capsys.readouterr().err


def test_a_folder_without_episodes_is_told(learnt):
    with pytest.raises(RunError, match="holds no episode: make some"):
        plot_run(learnt.folder)


def test_a_run_without_traces_still_has_accuracy_and_confusion(run, learnt, tmp_path):
    folder = RunFolder(tmp_path / "bare", learnt.experiment, "recognise")
    for row in rows_of(run)["1 columns"]:
        folder.append("1 columns", replace(row, trace=[]))
    assert plot_run(folder.path, kind="accuracy") and plot_run(folder.path, kind="confusion")
    with pytest.raises(RunError, match="without traces"):
        plot_run(folder.path, kind="raster")


# ---- what is drawn


def test_the_curve_is_the_share_of_right_guesses_within_its_band(run):
    rows = rows_of(run)
    axes = accuracy_figure(rows).axes[0]
    for line, band, some in zip(axes.lines, axes.collections, rows.values(), strict=True):
        x, y = line.get_data()
        last = [row.best_guess_per_step[min(int(x[-1]), row.sensations) - 1] == row.object for row in some]
        assert y[-1] == pytest.approx(100 * np.mean(last))
        low, high = (band.get_paths()[0].vertices[:, 1].min(), band.get_paths()[0].vertices[:, 1].max())
        assert 0 <= low <= y.min() and y.max() <= high <= 100


def test_the_raster_shows_each_column_before_and_after_the_votes(run):
    record = rows_of(run)["3 columns"][0]
    figure = raster_figure(record, "3 columns")
    alone, after, best_alone, best = figure.axes[:4]
    for axes, field in ((alone, "alone_entropy"), (after, "entropy")):
        wanted = [[getattr(c, field) for c in step.columns] for step in record.trace]
        np.testing.assert_allclose(np.asarray(_mesh(axes).get_array()), np.array(wanted).T)
    for axes, field in ((best_alone, "alone_best"), (best, "best")):
        drawn = np.asarray(_mesh(axes).get_array())
        names = np.array([[getattr(c, field) for c in step.columns] for step in record.trace]).T
        for name in np.unique(names):
            assert len(np.unique(drawn[names == name])) == 1
        assert len(np.unique(drawn)) == len(np.unique(names))


def _mesh(axes):
    (mesh,) = (part for part in axes.collections if isinstance(part, QuadMesh))
    return mesh


def test_one_column_has_no_votes_to_show(run):
    figure = raster_figure(rows_of(run)["1 columns"][0], "1 columns")
    assert sum(any(isinstance(part, QuadMesh) for part in axes.collections) for axes in figure.axes[:2]) == 2
    assert "votes" not in "".join(axes.get_title(loc="left") for axes in figure.axes)


def test_the_belief_ends_where_the_decision_was(run):
    rows = rows_of(run)
    record = rows["3 columns"][0]
    axes = belief_figure(record, "3 columns", rows, styles(rows), odds=5e5).axes[0]
    (true,) = (line for line in axes.lines if line.get_label() == f"{record.object} (true)")
    assert true.get_ydata()[-1] == pytest.approx(min(7, record.odds_log / np.log(10)))
    assert len(true.get_ydata()) == record.sensations


def test_confusions_are_counted_where_they_belong(run):
    rows = rows_of(run)["1 columns"]
    rows = [*rows, replace(rows[0], answer="torus"), replace(rows[0], answer=None), replace(rows[1], answer="unknown")]
    figure = confusion_figure({"some": rows})
    axes = figure.axes[0]
    answers = [label.get_text() for label in axes.get_xticklabels()]
    objects = [label.get_text() for label in axes.get_yticklabels()]
    assert answers == ["cylinder", "torus", "box", "unknown", "undecided"] and objects == answers[:3]
    counts = {(objects[int(t.get_position()[1])], answers[int(t.get_position()[0])]): t.get_text() for t in axes.texts}
    assert counts["cylinder", "torus"] == "1" and counts["cylinder", "undecided"] == "1"
    assert counts["torus", "unknown"] == "1" and counts["torus", "torus"] == "1"
    assert ("box", "torus") not in counts


@pytest.mark.parametrize(
    "steps, wanted", [(1, [1]), (8, list(range(1, 9))), (26, [1, 5, 10, 15, 20, 25]), (80, [1, *range(10, 81, 10)])]
)
def test_ticks_begin_at_one(steps, wanted):
    assert ticks(steps)[: len(wanted)] == wanted


def test_paper_settings_end(run):
    with paper():
        assert mpl.rcParams["svg.fonttype"] == "none" and mpl.rcParams["pdf.fonttype"] == 42
    assert mpl.rcParams["svg.fonttype"] == mpl.rcParamsDefault["svg.fonttype"]
