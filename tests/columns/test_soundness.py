"""What learning makes is sound; each law that is broken is named."""

from dataclasses import replace

import pytest
import torch

from cortical.columns.messages import FeatureSchema
from cortical.columns.object_map import KEY_RANGE, ObjectMap
from cortical.columns.soundness import fault_of_map, fault_of_schema

SCHEMA = FeatureSchema(code_bits=64, code_winners=4)


def learnt(readings=300, seed=0, far=0.05, spacing=0.004):
    g = torch.Generator().manual_seed(seed)
    normal = torch.nn.functional.normalize(torch.randn(readings, 3, generator=g), dim=1)
    direction = torch.nn.functional.normalize(torch.linalg.cross(normal, normal.roll(1, 1)), dim=1)
    curvature, hsv = 3 * torch.randn(readings, 2, generator=g), torch.rand(readings, 3, generator=g)
    code = torch.rand(readings, 64, generator=g).topk(4).indices
    return ObjectMap.empty(spacing, 8).insert(far * normal, normal, direction, curvature, hsv, code, code_bits=64)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("far, spacing", [(0.05, 0.004), (1e-4, 0.004), (2.0, 1e-4), (0.3, 0.1)])
def test_what_readings_made_is_sound(seed, far, spacing):
    known = learnt(seed=seed, far=far, spacing=spacing)
    assert fault_of_map(known, SCHEMA) == ""
    more = known.insert(*readings_near(known), code_bits=64)
    assert fault_of_map(more, SCHEMA) == ""
    assert fault_of_map(ObjectMap.empty(spacing), SCHEMA) == ""


def readings_near(known):
    place = known.rows()[0][:50, :3]
    z = torch.tensor([[0.0, 0.0, 1.0]]).expand(len(place), 3)
    code = torch.arange(4).expand(len(place), 4)
    return place, z, z.roll(1, 1), torch.zeros(len(place), 2), torch.ones(len(place), 3), code


def with_sum(row, column, value):
    known = learnt()
    sums = known.sums.clone()
    sums[row, column] = value
    return replace(known, sums=sums)


@pytest.mark.parametrize(
    "column, value, fault",
    [
        (0, 0.0, "without readings"),
        (0, 1.5, "without readings"),
        (0, torch.nan, "not finite"),
        (1, 5.0, "outside its cell"),
        (4, -1.0, "do not scatter like points"),
        (4, 1.0, "beyond their cell"),
        (13, 50.0, "longer than 1"),
        (17, 50.0, "directions"),
        (25, 1e6, "curvature that is none"),
        (27, -1e6, "curvatures that do not scatter"),
        (27, 1e9, "scatter too far"),
        (29, 50.0, "colours beyond 1"),
        (31, 1e3, "colours beyond 1"),
        (32, -5.0, "light beyond"),
        (34, 1e3, "scatters beyond 1"),
    ],
)
def test_a_broken_law_is_named(column, value, fault):
    assert fault in fault_of_map(with_sum(7, column, value), SCHEMA)


def test_keys_and_codes_have_laws_too():
    known = learnt()
    assert "ascend" in fault_of_map(replace(known, keys=known.keys.flip(0)), SCHEMA)
    far = torch.cat([known.keys[:-1], torch.tensor([6 * KEY_RANGE**3])])
    assert "range of cells" in fault_of_map(replace(known, keys=far), SCHEMA)
    assert "beyond a code" in fault_of_map(replace(known, bits=known.bits + 60), SCHEMA)
    assert "beyond a code" in fault_of_map(known, FeatureSchema())
    assert "more often" in fault_of_map(replace(known, bit_counts=known.bit_counts + 99), SCHEMA)
    assert "spacing" in fault_of_map(replace(known, spacing=0.0), SCHEMA)


@pytest.mark.parametrize(
    "values, fault",
    [
        ({"code_bits": "64"}, "code_bits"),
        ({"surface": 1}, "surface"),
        ({"normal_sd": -1.0}, "above zero"),
        ({"location_sd": float("nan")}, "above zero"),
        ({"code_winners": 70}, "70 active bits of 64"),
    ],
)
def test_a_schema_that_cannot_be_is_named(values, fault):
    assert fault_of_schema(SCHEMA) == "" == fault_of_schema(FeatureSchema())
    assert fault in fault_of_schema(replace(SCHEMA, **values))
