"""Receptive fields: where the patches of an eye lie, by name or from a file of one's own."""

import math

import gymnasium as gym
import numpy as np
import pytest
from scipy.integrate import quad
from scipy.spatial import KDTree

from cortical.configs.load import ConfigError, from_dict
from cortical.configs.schema import LAYOUTS, EyeConfig, WorldConfig
from cortical.envs.explore import ObjectExploreEnv
from cortical.envs.layouts import HALVED, WIDEST, from_file, patch_angles
from cortical.envs.sensors import Sensors

OWN = np.array([(0.0, 0.0), (3.5, -2.0), (-8.0, 1.25)])


def eccentricity(columns, spread, layout):
    return np.degrees(np.linalg.norm(patch_angles(columns, spread, layout), axis=1))


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("columns", [0, 1, 2, 5, 7, 9, 19, 64])
def test_every_layout_has_as_many_places_as_columns(layout, columns):
    angles = patch_angles(columns, 2.0, layout)
    assert angles.shape == (columns, 2) and np.isfinite(angles).all()
    if columns > 1:
        nearest = KDTree(angles).query(angles, k=2)[0][:, 1]
        assert nearest.min() > math.radians(0.8), "two patches look at one place"
    assert Sensors(EyeConfig(columns=columns, spread=2.0, layout=layout)).eye_from_sensor.shape == (columns, 3, 3)


def test_rings_lie_a_spread_apart_and_are_even():
    aside = eccentricity(19, 3.0, "rings")
    np.testing.assert_allclose(aside, [0.0] + [3.0] * 6 + [6.0] * 12, atol=1e-9)
    for columns in (4, 7, 11, 19):
        np.testing.assert_allclose(patch_angles(columns, 3.0, "rings").mean(0), 0.0, atol=1e-9)


def test_a_fovea_is_as_dense_as_its_law_says():
    spread, columns = 2.0, 120
    aside, half = eccentricity(columns, spread, "fovea"), HALVED * spread
    for within in (5.0, 15.0, 40.0):
        density = quad(lambda e: 2 * math.pi * e / (spread * (1 + e / half)) ** 2, 0.0, within)[0]
        assert abs((aside < within).sum() - density) <= 1.0


def test_a_fovea_is_a_grid_where_it_looks_and_coarser_at_the_rim():
    fovea, spiral = eccentricity(32, 1.0, "fovea"), eccentricity(32, 1.0, "grid")
    np.testing.assert_allclose(fovea[:3], spiral[:3], rtol=0.2)
    assert fovea[-1] > 1.5 * spiral[-1] and (np.diff(fovea) > 0).all()


@pytest.mark.parametrize("ending", ["npy", "csv", "csv with a heading"])
def test_a_file_of_ones_own(tmp_path, ending):
    path = tmp_path / f"eye.{ending[:3]}"
    if ending == "npy":
        np.save(path, OWN)
    else:
        heading = "right,down" if "heading" in ending else ""
        np.savetxt(path, OWN, delimiter=",", header=heading, comments="")
    np.testing.assert_array_equal(from_file(path), OWN)
    env = ObjectExploreEnv.from_config(
        WorldConfig(objects="solids"), EyeConfig(columns=3, layout=str(path), noise="clean")
    )
    gaze = env.reset(seed=0)[0]["sensor_rotation"][:, :, 2]
    aside = np.degrees(np.arccos(np.clip(gaze @ gaze[0], -1, 1)))
    np.testing.assert_allclose(aside, np.linalg.norm(OWN, axis=1), atol=0.05)


def test_patches_of_different_widths_each_see_what_they_would_alone(tmp_path):
    """Side by side, in one world or in many; and a width changes what is seen."""
    widths, path = (4.0, 10.0, 4.0), tmp_path / "eye.npy"
    np.save(path, np.column_stack([OWN, widths]))
    world = {"objects": "solids", "noise": "clean", "obs_mode": "both"}
    every = ObjectExploreEnv(**world, columns=3, layout=str(path)).reset(seed=0)[0]
    for k, width in enumerate(widths):
        np.save(alone := tmp_path / f"{k}.npy", OWN[k : k + 1])
        own, other = (
            ObjectExploreEnv(**world, columns=1, layout=str(alone), field_of_view=w).reset(seed=0)[0]
            for w in (width, 12.0)
        )
        for name in ("location", "curvature", "patch", "on_object"):
            np.testing.assert_array_equal(every[name][k], own[name][0], err_msg=name)
        assert not np.array_equal(own["patch"], other["patch"])
    many = gym.make_vec("cortical/ObjectExplore-v0", num_envs=3, **world, columns=3, layout=str(path))
    np.testing.assert_array_equal(many.reset(seed=0)[0]["patch"][0], every["patch"])
    many.close()


BAD = {
    "a NaN": (np.array([(0.0, 0.0), (np.nan, 1.0), (1.0, 1.0)]), "patch 1"),
    "an infinity": (np.array([(0.0, 0.0), (0.0, 1.0), (np.inf, 1.0)]), "patch 2"),
    "too wide": (np.array([(0.0, 0.0), (0.0, 1.0), (60.0, 60.0)]), f"at most {WIDEST:g} degrees"),
    "one axis": (np.zeros(3), r"\(3,\)"),
    "no width": (np.zeros((3, 3)), "patch 0 .* 0 degrees wide"),
    "too broad": (np.array([(0.0, 0.0, 9.0), (0.0, 1.0, 12.5), (1.0, 1.0, 9.0)]), "patch 1 .* at most 12 degrees wide"),
    "five columns": (np.zeros((3, 5)), r"\(3, 5\)"),
    "nothing": (np.zeros((0, 2)), r"\(0, 2\)"),
    "words": (np.array([("a", "b")] * 3), r"<U1"),
    "code": (np.array([[print, print]] * 3, dtype=object), "pickle"),
    "too few": (np.zeros((2, 2)), "columns = 2"),
}


@pytest.mark.parametrize(("array", "said"), BAD.values(), ids=BAD)
def test_a_bad_array_is_refused(tmp_path, array, said):
    path = tmp_path / "eye.npy"
    np.save(path, array)
    with pytest.raises(ValueError, match=said):
        patch_angles(3, 5.0, str(path))


@pytest.mark.parametrize("text", ["", "1,2,3,4,5\n4,5,6,7,8\n", "1;2\n3;4\n", "right,down\none,two\n", "1,2\n3\n"])
def test_a_bad_table_is_refused(tmp_path, text):
    path = tmp_path / "eye.csv"
    path.write_text(text)
    with pytest.raises(ValueError, match=r"eye\.csv"):
        patch_angles(2, 5.0, str(path))


def test_every_patch_may_have_noise_of_its_own(tmp_path):
    path = tmp_path / "uneven.npy"
    np.save(path, np.array([[0.0, 0.0, 10.0, 0.0], [0.0, 0.0, 10.0, 1.0], [0.0, 0.0, 10.0, 4.0]]))
    seen = {
        noise: ObjectExploreEnv.from_config(
            WorldConfig(objects="solids"), EyeConfig(columns=3, layout=str(path), noise=noise)
        ).reset(seed=2)[0]["location"]
        for noise in ("clean", "noise")
    }
    off = np.linalg.norm(seen["noise"] - seen["clean"], axis=1)
    assert off[0] < 1e-6 and 0 < off[1] < 0.01
    even = np.array([[0.0, 0.0, 10.0, 1.0]] * 3)
    np.save(path, even)
    same = ObjectExploreEnv.from_config(
        WorldConfig(objects="solids"), EyeConfig(columns=3, layout=str(path), noise="noise")
    ).reset(seed=2)[0]["location"]
    assert np.linalg.norm(same[2] - seen["clean"][2]) * 4 == pytest.approx(off[2], rel=1e-3)
    for wrong in (-1.0, np.inf, np.nan):
        even[1, 3] = wrong
        np.save(path, even)
        with pytest.raises(ValueError, match=r"patch 1 .* times the noise"):
            from_file(path)


def test_a_layout_that_reaches_too_far_is_refused():
    for layout, columns in (("rings", 10_000), ("fovea", 10_000), ("fovea", 400)):
        with pytest.raises(ValueError, match="lower the spread"):
            patch_angles(columns, 10.0, layout)
    with pytest.raises(ValueError, match="no layout 'spirals'"):
        patch_angles(3, 5.0, "spirals")


def test_a_configuration_names_a_layout(tmp_path):
    path = tmp_path / "eye.npy"
    np.save(path, OWN)
    for layout in (*LAYOUTS, str(path)):
        assert from_dict({"eye": {"layout": layout, "columns": 3}}).eye.layout == layout
    for layout in ("", "foveal", str(tmp_path / "missing.npy"), str(tmp_path)):
        with pytest.raises(ConfigError, match=r"eye\.layout.*one of grid, rings, fovea"):
            from_dict({"eye": {"layout": layout}})
