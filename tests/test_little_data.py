"""Few views, the networks beside them and other lights: the parts of benchmarks/little_data.py, and a tiny run."""

import json
import sys
from argparse import Namespace
from pathlib import Path

import numpy as np
import pytest
import torch

from cortical.agents.learning import views
from cortical.configs.schema import Experiment, LearnConfig, WorldConfig
from cortical.envs.objects import open_catalogue
from cortical.envs.record import Images

sys.path.append(str(Path(__file__).parents[1] / "benchmarks"))

import little_data  # pyright: ignore[reportMissingImports]
import little_data_cnn as cnn  # pyright: ignore[reportMissingImports]
import little_data_figures as figures  # pyright: ignore[reportMissingImports]
from little_data_views import COUNTS, FACE, FewViews, bearings  # pyright: ignore[reportMissingImports]

NAMES = ("box", "ellipsoid")


@pytest.fixture(scope="module")
def few(tmp_path_factory):
    experiment = Experiment(world=WorldConfig(objects="solids"), learn=LearnConfig(sensations_per_view=75))
    learnt = FewViews(experiment, tmp_path_factory.mktemp("few"))
    assert [learnt.learn(name) for name in (*NAMES, "box")] == [True, True, False]
    return learnt


def test_views_are_nested_spread_and_hold_the_fourteen():
    chosen = bearings()
    assert len(chosen) == 32 and np.allclose(np.linalg.norm(chosen, axis=1), 1)
    apart = chosen @ chosen.T - 2 * np.eye(32)
    assert np.degrees(np.arccos(apart.max())) > 25
    assert np.allclose(np.sort(chosen[:14] @ views().T, axis=1)[:, -1], 1), "the first 14 are the README's"
    assert np.allclose(np.abs(chosen[:8]), 1 / np.sqrt(3)), "corners come first"
    assert np.allclose(chosen[1], -chosen[0])
    assert np.array_equal(bearings(4), chosen[:4])


def test_maps_grow_with_the_views_and_readings_are_counted(few):
    sizes = {stage: len(few.maps(stage, NAMES)["box"]) for stage in (*COUNTS, FACE)}
    assert 0 < sizes[1] < sizes[2] < sizes[4] < sizes[8]
    for stage, sides in ((FACE, 1), (1, 3), (2, 6)):
        normals = few.maps(stage, NAMES)["box"].rows()[0][:, 3:6].numpy().round()
        assert len(np.unique(normals[np.abs(normals).sum(1) == 1], axis=0)) == sides
    patch, view, readings = few.patches("box")
    assert len(patch) == len(view) and set(view) == set(range(32)) and len(readings) == 32
    assert readings.max() <= 75
    normals = few.maps(1, NAMES)["box"].rows()[0][:, 3:6].numpy()
    assert (normals @ bearings(1)[0] > -0.3).all(), "nothing is known of the far side"
    with pytest.raises(KeyError, match="sphere"):
        few.maps(1, ("sphere",))


def test_pictures_turn_and_tilt_as_points_do():
    mesh = open_catalogue("solids").mesh("box")
    still = cnn.inputs(cnn.pictures(mesh, bearings(4)), cnn.POINT["picture"])
    assert still.shape == (4, cnn.CHANNELS, cnn.PIXELS, cnn.PIXELS)
    share = still[:, 6].mean((1, 2))
    assert (share > 0.1).all() and (still[:, :6] * (1 - still[:, 6:]) == 0).all()
    random = torch.Generator().manual_seed(1)
    assert torch.allclose(cnn.tilted(still, random, most=0.0), still)
    tilted = cnn.tilted(still, random, most=0.5)
    length = [(image[:, 3:6].square().sum(1) * image[:, 6]).amax((1, 2)) for image in (still, tilted)]
    assert torch.allclose(*length, rtol=0.15), "points keep their distance from the middle"
    assert not torch.allclose(tilted[:, 6], still[:, 6])
    assert (tilted[:, 6].mean((1, 2)) > 0.5 * share).all()


def test_colours_change_as_the_noise_does():
    image = torch.tensor([0.6, 0.3, 0.3])[:, None, None].expand(2000, 3, 1, 1)
    image = torch.cat([image, torch.zeros(2000, 3, 1, 1), torch.ones(2000, 1, 1, 1)], 1)
    hue, saturation, value = cnn._hsv(cnn.recoloured(image, torch.Generator().manual_seed(1))[:, :3])
    spread = torch.stack([saturation, value]).std((1, 2, 3))
    assert torch.allclose(spread, torch.tensor(0.1), atol=0.01)
    assert float(((hue + 0.5) % 1.0).std()) == pytest.approx(0.1, abs=0.01)
    assert float(value.mean()) == pytest.approx(0.6, abs=0.01)


@pytest.mark.parametrize("kind", ["patch", "picture"])
def test_a_network_learns_what_it_is_shown(kind):
    random = np.random.default_rng(0)
    pixels = 8 if kind == "patch" else cnn.PIXELS
    red, blue = (np.zeros((20, pixels, pixels, 6), np.float32) for _ in range(2))
    for image, channel in ((red, 0), (blue, 2)):
        image[..., channel] = 0.8
        image[..., 3:] = random.uniform(0.1, 0.2, image[..., 3:].shape)
    examples = cnn.stacked([red, blue], cnn.POINT[kind])
    model = cnn.trained(kind, examples, 2, steps=12, seed=0)
    said = cnn.log_probability(model, examples.image)
    assert (said.argmax(1) == examples.label).float().mean() > 0.95
    assert (cnn.log_probability(model, torch.zeros(1, *examples.image.shape[1:])) == 0).all(), "of nothing, nothing"


@pytest.mark.parametrize(("light", "episode", "grey"), [
    ("brighter", 0, (1.0, 1.0, 1.0)), ("darker", 0, (0.56, 0.56, 0.56)), ("tinted", 1, (0.56, 0.8, 0.56)),
    (figures.PLAIN, 0, (0.8, 0.8, 0.8)),
])  # fmt: skip
def test_light_changes_what_the_eye_reads(light, episode, grey):
    images = Images(np.ones((1, 8, 8), np.float32), np.full((1, 8, 8, 3), 0.8, np.float32), np.ones((1, 8, 8), bool))
    at, turn = np.zeros((1, 3)), np.eye(3)[None]
    record = little_data.read_in(light, episode)(images, 8, 0.1, at, turn)
    assert np.allclose(record.rgb, grey) and np.allclose(record.patch[..., :3], grey)


def row(light, answer, best, seed):
    return {
        "views": 14, "light": light, "object": "cup", "seed": seed, "rotation_index": 0, "answer": answer, "best": best
    }  # fmt: skip


def test_losses_are_counted_in_pairs():
    rows = [row(figures.PLAIN, "cup", "cup", 0), row(figures.PLAIN, None, "can", 1)]
    for light in figures.LIGHTS:
        rows += [row(light, "unknown", "cup", 0), row(light, "cup", "cup", 1)]
    found = figures.losses(rows, np.random.default_rng(0))
    assert all(loss["decided"]["points"] == 0 and loss["decided"]["lost"] == 1 for loss in found.values())
    assert found["tinted"]["best"] == {"points": -50.0, "interval": [-50.0, -50.0], "lost": 0, "gained": 1, "of": 2}


def test_a_tiny_run_writes_rows_figures_and_a_picture(tmp_path, monkeypatch, capsys):
    arguments = ["x", "--few", "2", "--seeds", "100", "--workers", "1", "--steps", "4"]
    monkeypatch.setattr(sys, "argv", [*arguments, "--maps", str(tmp_path / "maps")])
    for module in (little_data, figures):
        monkeypatch.setattr(module, "COUNTS", (1, 14))
    little_data.main()
    last = json.loads(capsys.readouterr().out.splitlines()[-1])
    result = json.loads((tmp_path / "little_data.json").read_text())
    assert (tmp_path / "little_data.png").is_file() and not list((tmp_path / "unfinished").iterdir())
    assert len(result["rows"]) == 2 * (2 + 1 + len(figures.LIGHTS))
    whole = [r for r in result["rows"] if r["views"] == 14 and r["light"] == figures.PLAIN]
    assert last["best"]["14"] == np.mean([r["best"] == r["object"] for r in whole])
    assert set(whole[0]["networks"]) == {"patch", "picture", "both"}
    assert isinstance(little_data.seeds_of(Namespace(seeds=[3, 4]), 2), list)
