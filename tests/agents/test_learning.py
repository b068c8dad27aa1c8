"""Maps lie on the surface, cost what was asked, are the same twice, and are kept one by one."""

import math
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from cortical.agents.brain import stored_schema
from cortical.agents.learning import Learner, learn_objects, learning_eye, views
from cortical.agents.records import RunFolder
from cortical.columns.object_map import ObjectMap
from cortical.columns.storage import load_maps
from cortical.configs.load import ConfigError, validate
from cortical.configs.schema import Experiment, LearnConfig, WorldConfig

SOLIDS = ("sphere", "cylinder", "torus", "ellipsoid", "box", "cone", "capsule")


def off_torus(p):
    return ((p[:, :2].norm(dim=1) - 0.05).square() + p[:, 2].square()).sqrt() - 0.02


def off_box(p):
    beyond = p.abs() - torch.tensor([0.05, 0.035, 0.02])
    return beyond.clamp(min=0).norm(dim=1) + beyond.amax(1).clamp(max=0)


def off_cylinder(p):
    beyond = torch.stack([p[:, :2].norm(dim=1) - 0.03, p[:, 2].abs() - 0.05], 1)
    return beyond.clamp(min=0).norm(dim=1) + beyond.amax(1).clamp(max=0)


OFF: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "torus": off_torus, "box": off_box, "cylinder": off_cylinder,
}  # fmt: skip
"""Distance from the surface, outwards."""


@pytest.mark.parametrize("name", OFF)
def test_nodes_lie_on_the_surface(learnt, name):
    rows, _ = learnt.maps[name].rows()
    off = OFF[name](rows[:, :3]).abs()
    assert float(off.median()) < 0.0005
    assert float(off.quantile(0.99)) < 0.002


@pytest.mark.parametrize("name", OFF)
def test_normals_point_outwards(learnt, name):
    rows, _ = learnt.maps[name].rows()
    point, normal = rows[:, :3], rows[:, 3:6]
    outside = OFF[name](point + 0.004 * normal) > OFF[name](point)
    assert float(outside.double().mean()) > 0.99


@pytest.mark.parametrize("name", OFF)
def test_all_sides_are_learnt(learnt, name):
    """Every point of the surface, sampled by rays from far out, has a node within 8 mm, but for a few."""
    rows, _ = learnt.maps[name].rows()
    point = torch.randn(400, 3, generator=torch.Generator().manual_seed(0))
    point = 0.2 * torch.nn.functional.normalize(point, dim=1)
    way = -torch.nn.functional.normalize(point, dim=1)
    for _ in range(60):
        point = point + way * OFF[name](point).clamp(max=0.02)[:, None]
    met = point[OFF[name](point) < 0.001]
    assert len(met) > 100
    near = torch.cdist(met, rows[:, :3]).amin(1) < 0.008
    assert float(near.double().mean()) > 0.97


def test_views_look_from_all_around():
    bearings = torch.from_numpy(views())
    assert bearings.shape == (14, 3)
    torch.testing.assert_close(bearings.norm(dim=1), torch.ones(14, dtype=torch.float64))
    torch.testing.assert_close(bearings.sum(0), torch.zeros(3, dtype=torch.float64))
    between = (bearings @ bearings.T).fill_diagonal_(-1).clamp(-1, 1).arccos()
    assert float(between.min()) > math.radians(50)


def test_a_view_that_begins_in_a_hole_finds_what_is_around_it(learnt):
    learner = Learner(replace(learnt.experiment, learn=LearnConfig(sensations_per_view=1000)))
    empty = ObjectMap.empty(learnt.experiment.column.node_spacing)
    known = learner.add_view(empty, "torus", np.array([0.0, 0.0, 1.0]))
    learner.env.close()
    x, y, _ = known.rows()[0][:, :3].T
    assert all(int(((sx * x > 0.01) & (sy * y > 0.01)).sum()) > 20 for sx in (-1, 1) for sy in (-1, 1))


@pytest.mark.parametrize("most", [100, 330, 1000])
def test_a_view_takes_no_more_readings_than_asked(learnt, monkeypatch, most):
    """Blank or not, every patch of every step counts."""
    experiment = replace(learnt.experiment, learn=LearnConfig(sensations_per_view=most))
    learner, counts = Learner(experiment), []
    reset, step = learner.env.reset, learner.env.step

    def counted_reset(**more):
        counts.append(0)
        return reset(**more)

    def counted_step(action):
        counts[-1] += experiment.learn.patches
        return step(action)

    monkeypatch.setattr(learner.env, "reset", counted_reset)
    monkeypatch.setattr(learner.env, "step", counted_step)
    learner.learn("torus")
    learner.env.close()
    assert len(counts) == 14
    assert 0 < max(counts) <= most
    assert learner.readings == sum(counts)


def test_more_than_a_thousand_readings_a_view_are_refused():
    with pytest.raises(ConfigError, match=r"learn\.sensations_per_view = 1001"):
        validate(Experiment(learn=LearnConfig(sensations_per_view=1001)))


@pytest.mark.parametrize("patches", [4, 16, 24, 2])
def test_patches_that_are_no_odd_square_are_refused(patches):
    experiment = Experiment(world=WorldConfig(objects="solids"), learn=LearnConfig(patches=patches))
    with pytest.raises(ValueError, match=r"learn\.patches must be an odd square \(1, 9, 25, \.\.\.\)"):
        Learner(experiment)


def test_fewer_readings_than_patches_are_refused_with_a_remedy():
    few = LearnConfig(sensations_per_view=10, patches=25)
    with pytest.raises(ValueError, match="sensations_per_view"):
        Learner(Experiment(world=WorldConfig(objects="solids"), learn=few)).learn("sphere")


def test_objects_are_learnt_without_noise_and_by_a_square_of_patches(learnt):
    eye = learning_eye(learnt.experiment)
    assert (eye.columns, eye.noise) == (25, "clean")
    assert (eye.distance, eye.max_path, eye.max_turn) == (0.2, 0.2, 30.0)


def test_the_same_object_is_learnt_bit_by_bit_the_same(learnt):
    learner = Learner(learnt.experiment)
    learner.learn("cone")  # what was learnt before leaves no trace
    again = learner.learn("torus")
    learner.env.close()
    for part in ("keys", "sums", "bits", "bit_counts"):
        assert torch.equal(getattr(again, part), getattr(learnt.maps["torus"], part))


def test_maps_with_codes_are_learnt_where_a_column_wants_them(learnt):
    experiment = replace(learnt.experiment, column=replace(learnt.experiment.column, features="both"))
    learner = Learner(replace(experiment, learn=LearnConfig(sensations_per_view=50)))
    known = learner.learn("torus")
    learner.env.close()
    bits, share = known.codes(learner.schema.code_winners)
    assert bits.shape == (len(known), learner.schema.code_winners)
    assert float(share.max()) <= 1.0 and float(share[:, 0].min()) > 0.0


# ---- a folder that can be gone on with


def test_a_map_is_on_the_disk_before_the_next_object_begins(learnt, tmp_path):
    folder, told = RunFolder(tmp_path / "run", learnt.experiment, "learn"), []

    def tell(name, readings):
        told.append((name, readings > 0, sorted(path.stem for path in folder.path.rglob("*.safetensors"))))

    learn_objects(learnt.experiment, ("sphere", "torus"), folder, tell)
    assert told == [("sphere", True, ["sphere"]), ("torus", True, ["sphere", "torus"])]


def test_maps_that_are_there_are_read(learnt):
    before = {path: path.stat().st_mtime_ns for path in learnt.folder.rglob("*.safetensors")}
    told = []
    folder = RunFolder(learnt.folder, learnt.experiment, "learn")
    maps = learn_objects(learnt.experiment, tuple(learnt.maps), folder, lambda *word: told.append(word))
    assert told == [(name, 0) for name in learnt.maps]
    assert {path: path.stat().st_mtime_ns for path in learnt.folder.rglob("*.safetensors")} == before
    for name, known in learnt.maps.items():
        assert torch.equal(maps[name].sums, known.sums)
        file = folder.map_file(name)
        assert torch.equal(load_maps(file, stored_schema(learnt.experiment))[0][name].sums, known.sums)


def start(folder: Path) -> subprocess.Popen[str]:
    """`cortical learn` of all solids, that Ctrl-C reaches even where the tests run in the background."""
    code = (
        "import signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "from cortical.agents.cli import main; sys.exit(main())"
    )
    flags = ["learn", "--world.objects", "solids", "--out", str(folder)]
    return subprocess.Popen(
        [sys.executable, "-c", code, *flags], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def finished(folder: Path) -> dict[str, int]:
    """Objects whose map is there, and when it was written."""
    return {path.stem: path.stat().st_mtime_ns for path in (folder / "maps").glob("*.safetensors")}


@pytest.mark.parametrize(
    "stop, status", [(signal.SIGINT, 130), (signal.SIGKILL, -signal.SIGKILL)], ids=["ctrl-c", "kill"]
)
@pytest.mark.skipif(os.name != "posix", reason="signals of POSIX")
def test_a_run_that_was_stopped_goes_on_where_it_stopped(tmp_path, stop, status):
    folder = tmp_path / "run"
    run = start(folder)
    deadline = time.monotonic() + 60
    while not finished(folder) and run.poll() is None and time.monotonic() < deadline:
        time.sleep(0.005)
    run.send_signal(stop)
    _, errors = run.communicate(timeout=60)
    assert run.returncode == status, errors
    assert "Traceback" not in errors
    if stop == signal.SIGINT:
        assert "the same command goes on where it stopped" in errors
    before = finished(folder)
    assert 0 < len(before) < len(SOLIDS)
    run = start(folder)
    said, errors = run.communicate(timeout=100)
    assert run.returncode == 0, errors
    after = finished(folder)
    assert set(after) == set(SOLIDS)
    assert {name: after[name] for name in before} == before  # not learnt again
    assert "7 maps" in said
    for name in SOLIDS:
        maps, _, _ = load_maps(folder / "maps" / f"{name}.safetensors", stored_schema(Experiment()))
        assert len(maps[name]) > 500
