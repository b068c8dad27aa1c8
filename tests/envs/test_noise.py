import colorsys
import math
from dataclasses import replace

import numpy as np
import pytest

from cortical.configs.schema import EyeConfig
from cortical.envs.noise import Bank, hsv_from_rgb, perturb, perturb_images, rgb_from_hsv
from cortical.envs.placing import random_rotations
from cortical.envs.record import Images, Record
from cortical.envs.sensors import Sensors
from cortical.envs.testing import check_record

COUNT, PIXELS = 4000, 3


def quadric(count, random, k=(30.0, -12.0), hsv=(0.95, 0.5, 0.6), straight=False):
    """Readings of exact quadrics, h = -(k1 u^2 + k2 v^2) / 2, by sensors at random poses, or as in a bank."""
    position, sensor = random.uniform(-0.2, 0.2, (count, 3)), random_rotations(count, random)
    if straight:
        position[:], sensor[:] = 0.0, np.eye(3)
    location = position + 0.15 * sensor[:, :, 2]
    frame = random_rotations(count, random)
    normal = frame[:, :, 2] * -np.sign((frame[:, :, 2] * sensor[:, :, 2]).sum(1, keepdims=True))
    directions = np.stack([frame[:, :, 0], np.cross(normal, frame[:, :, 0])], axis=1)
    u, v = np.meshgrid(*2 * [np.linspace(-0.004, 0.004, PIXELS)])
    local = np.stack([u, v, -0.5 * (k[0] * u**2 + k[1] * v**2)], axis=-1)
    axes = np.concatenate([directions, normal[:, None]], axis=1)
    world = location[:, None, None] + np.einsum("xyk,bki->bxyi", local, axes)
    seen = np.einsum("bji,bxyj->bxyi", sensor, world - position[:, None, None])
    rgb = colorsys.hsv_to_rgb(*hsv)
    patch = np.concatenate([np.broadcast_to(rgb, seen.shape), seen], axis=-1)
    record = Record(
        location=location.astype(np.float32),
        normal=normal.astype(np.float32),
        directions=directions.astype(np.float32),
        curvature=np.tile(np.float32(k), (count, 1)),
        rgb=np.tile(np.float32(rgb), (count, 1)),
        hsv=np.tile(np.float32(hsv), (count, 1)),
        on_object=np.ones(count, bool),
        valid=np.ones(count, bool),
        confidence=np.ones(count, np.float32),
        patch=patch.astype(np.float32),
    )
    return record, position, sensor


@pytest.fixture(scope="module")
def scene():
    return quadric(COUNT, np.random.default_rng(0))


def noisy(scene, condition="noise", seed=1, **more):
    record, position, sensor = scene
    return perturb(record, condition, np.random.default_rng(seed), position, sensor, **more)


def logarithm(k):
    return np.sign(k) * np.log1p(np.abs(k))


def test_standard_deviations(scene):
    clean, after = scene[0], noisy(scene)
    check_record(after, COUNT)
    assert (after.location - clean.location).std(axis=0) == pytest.approx([0.002] * 3, rel=0.05)
    turn = np.einsum("bki,bkj->bij", axes(after), axes(clean))
    vector = np.stack(
        [turn[:, 2, 1] - turn[:, 1, 2], turn[:, 0, 2] - turn[:, 2, 0], turn[:, 1, 0] - turn[:, 0, 1]]
    )
    assert vector.std(axis=1) / 2 == pytest.approx([math.radians(2)] * 3, rel=0.05)
    change = logarithm(after.curvature) - logarithm(clean.curvature)
    assert change.std(axis=0) == pytest.approx([0.1, 0.1], rel=0.05)
    hue = (after.hsv[:, 0] - clean.hsv[:, 0] + 0.5) % 1.0 - 0.5
    assert hue.std() == pytest.approx(0.1, rel=0.05)
    assert (after.hsv - clean.hsv)[:, 1:].std(axis=0) == pytest.approx([0.1, 0.1], rel=0.05)


def axes(record):
    return np.concatenate([record.directions, record.normal[:, None]], axis=1).astype(float)


def test_colours_wrap_and_clip(scene):
    after = noisy((replace(scene[0], hsv=np.tile(np.float32([0.99, 0.95, 0.02]), (COUNT, 1))), *scene[1:]))
    assert (after.hsv[:, 0] < 0.3).mean() > 0.3
    assert (after.hsv[:, 1] == 1.0).any() and (after.hsv[:, 2] == 0.0).any()
    rgb = [colorsys.hsv_to_rgb(*map(float, hsv)) for hsv in after.hsv[:200]]
    np.testing.assert_allclose(after.rgb[:200], rgb, atol=1e-5)


def check_patch(after, scene):
    """Every point of a patch lies on the quadric of its record and wears its colour: nothing else is left."""
    _, position, sensor = scene
    world = np.einsum("bij,bxyj->bxyi", sensor, after.patch[..., 3:]) + position[:, None, None]
    offset = world - after.location[:, None, None]
    u, v, height = np.moveaxis(np.einsum("bki,bxyi->bxyk", axes(after), offset), -1, 0)
    k1, k2 = after.curvature.T[:, :, None, None]
    met = after.valid
    np.testing.assert_allclose(height[met], -0.5 * (k1 * u**2 + k2 * v**2)[met], atol=5e-6)
    np.testing.assert_allclose(offset[met, PIXELS // 2, PIXELS // 2], 0.0, atol=1e-6)
    shade = np.broadcast_to(after.rgb[:, None, None], after.patch[..., :3].shape)
    np.testing.assert_allclose(after.patch[..., :3], shade, atol=1e-5)


def test_the_patch_is_the_surface_of_the_noisy_record(scene):
    check_patch(noisy(scene), scene)


def test_curvatures_that_change_order_swap_their_directions():
    scene = quadric(500, np.random.default_rng(3), k=(10.0, 9.9))
    after = noisy(scene)
    along = np.abs(np.einsum("bi,bi->b", after.directions[:, 0], scene[0].directions[:, 0]))
    assert 0.3 < (along < 0.5).mean() < 0.7
    assert (after.curvature[:, 0] >= after.curvature[:, 1]).all()
    check_patch(after, scene)


def test_readings_off_the_object(scene):
    record, position, sensor = quadric(50, np.random.default_rng(5))
    nothing = np.zeros(50, bool)
    empty = replace(
        record, location=0 * record.location, rgb=0 * record.rgb, hsv=0 * record.hsv, on_object=nothing
    )
    after = noisy((empty, position, sensor))
    assert not after.location.any() and not after.rgb.any() and not after.hsv.any()
    assert np.array_equal(after.normal, empty.normal)
    assert (after.patch != empty.patch).any(), "what else the patch saw is noisy all the same"
    table = noisy((replace(record, on_object=nothing), position, sensor))
    assert (table.location != record.location).all()


def test_same_seed_same_bits_and_the_input_is_left_alone(scene):
    before = {name: getattr(scene[0], name).copy() for name in Record.__dataclass_fields__}
    one, two, other = noisy(scene), noisy(scene), noisy(scene, seed=2)
    for name, value in before.items():
        assert np.array_equal(value, getattr(scene[0], name))
        assert np.array_equal(getattr(one, name), getattr(two, name))
    assert not np.array_equal(one.location, other.location)
    assert noisy(scene, "clean") is scene[0]


def test_noise_on_the_look_alone(scene):
    """Twice the noise of colour and curvature; place and facing stay to the bit, and once is as without."""
    plain, double, none = noisy(scene), noisy(scene, look=2.0), noisy(scene, look=0.0)
    for name in Record.__dataclass_fields__:
        assert np.array_equal(getattr(noisy(scene, look=1.0), name), getattr(plain, name)), name
    for name in ("location", "normal"):
        assert np.array_equal(getattr(double, name), getattr(plain, name)), name
    clean = logarithm(scene[0].curvature)
    once, twice = logarithm(plain.curvature) - clean, logarithm(double.curvature) - clean
    np.testing.assert_allclose(twice, 2 * once, atol=1e-4)
    np.testing.assert_allclose(double.hsv[:, 1] - 0.5, (2 * (plain.hsv[:, 1] - 0.5)).clip(-0.5, 0.5), atol=1e-5)
    assert np.abs(logarithm(none.curvature) - clean).max() < 1e-4
    assert np.abs(none.hsv - scene[0].hsv).max() < 1e-5


def test_sensors_take_it_from_the_eye():
    with pytest.raises(ValueError, match="0 or more, but is -1"):
        Sensors(EyeConfig(patch_noise=-1.0))
    assert Sensors(EyeConfig()).look == 1.0 and Sensors(EyeConfig(patch_noise=4.0)).look == 4.0


def test_one_reading_is_as_in_a_batch(scene):
    record, position, sensor = scene
    one = Record(**{name: getattr(record, name)[:1] for name in Record.__dataclass_fields__})
    alone = perturb(one, "noise", np.random.default_rng(1), position[:1], sensor[:1])
    whole = noisy(scene)
    for name in Record.__dataclass_fields__:
        np.testing.assert_allclose(getattr(alone, name), getattr(whole, name)[:1], atol=1e-6)


def bank_of(count=60):
    record, _, _ = quadric(count, np.random.default_rng(7), (300.0, 200.0), (0.3, 0.5, 0.5), straight=True)
    return Bank(record, np.repeat([0, 1, 2], count // 3))


def test_dropout_loses_and_mixes_up(scene):
    after = noisy(scene, "dropout", bank=bank_of(), owner=1)
    check_record(after, COUNT)
    lost = ~after.valid
    assert lost.mean() == pytest.approx(0.2, abs=0.03)
    for name in Record.__dataclass_fields__:
        assert not getattr(after, name)[lost].any(), name
    stray = (after.curvature[:, 0] > 120) & ~lost
    assert stray.mean() == pytest.approx(0.05, abs=0.015)
    assert np.linalg.norm(after.location - scene[0].location, axis=1)[stray].max() < 0.012
    assert ((after.normal * scene[2][:, :, 2])[stray].sum(axis=1) < 0.3).all(), "turned away from the sensor"
    check_patch(after, scene)


def test_nothing_goes_astray_without_another_object(scene):
    bank = bank_of()
    alone = replace(bank, owner=np.zeros_like(bank.owner))
    after = noisy(scene, "dropout", bank=alone, owner=0)
    assert (after.curvature[after.valid, 0] < 120).all()


def test_raw_noise_on_depth_pixels():
    depth = np.full((30, 16, 16), 0.2, np.float32)
    depth[:, :4] = 0.0
    images = Images(depth, np.zeros((30, 16, 16, 3), np.float32), depth > 0)
    after = perturb_images(images, "rawnoise", np.random.default_rng(0))
    assert not after.depth[:, :4].any()
    assert (after.depth - depth)[:, 4:].std() == pytest.approx(0.001, rel=0.05)
    assert after.depth.dtype == np.float32
    assert perturb_images(images, "noise", np.random.default_rng(0)) is images


def test_colour_conversions():
    random = np.random.default_rng(0)
    samples = [
        *random.uniform(0, 1, (300, 3)),
        (0, 0, 0),
        (1, 1, 1),
        (1, 0, 0),
        (0, 1, 0),
        (0, 0, 1),
        (0.5, 0.5, 0.2),
    ]
    for sample in samples:
        sample = tuple(map(float, sample))
        assert hsv_from_rgb(*sample) == pytest.approx(colorsys.rgb_to_hsv(*sample), abs=1e-9)
        assert rgb_from_hsv(*sample) == pytest.approx(colorsys.hsv_to_rgb(*sample), abs=1e-9)
