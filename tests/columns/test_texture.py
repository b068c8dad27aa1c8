"""Slopes of colour are what they are made of, whatever light and pose, and tell how a round thing is turned."""

import math
from dataclasses import replace

import pytest
import torch

from cortical.columns.evidence.atlas import Atlas
from cortical.columns.evidence.column import EvidenceColumn
from cortical.columns.evidence.densities import usual_texture
from cortical.columns.geometry import rotation_from_vector
from cortical.columns.layers.encoder import SurfacePatch
from cortical.columns.messages import FeatureSchema, Pose, Sensation
from cortical.columns.object_map import ObjectMap
from cortical.columns.texture import slopes

from .shapes import SCHEMAS, SHAPES, guesses, remembered, sensed

PIXELS, WIDTH = 16, 0.024


def painted(rise, offset=0.0, tilt=0.0, pixels=PIXELS):
    """A plane 20 cm ahead, tilted about x, grey that gets lighter by `rise` (3,) 1/m over it."""
    at = (torch.arange(pixels) - pixels // 2) * (WIDTH / pixels)
    across, down = torch.meshgrid(at, at, indexing="xy")
    turn = rotation_from_vector(torch.tensor([tilt, 0.0, 0.0]))
    point = torch.stack([across, down, torch.zeros_like(across)], -1) @ turn.T
    value = 0.5 + offset + point @ turn @ rise
    middle = torch.tensor([0.0, 0.0, 0.2])
    patch = torch.cat([value[..., None].expand(-1, -1, 3), point + middle], -1)
    directions = turn[:, :2].T
    return SurfacePatch(
        patch[None], middle[None], -turn[:, 2][None], directions[None], torch.zeros(1, 2), torch.full((1, 3), 0.5)
    ), turn


@pytest.mark.parametrize("tilt", [0.0, 0.6])
def test_the_slope_of_a_slope_is_it_in_the_frame_of_the_patch(tilt):
    rise = torch.tensor([6.0, -3.0, 0.0])
    surface, turn = painted(rise, tilt=tilt)
    saturation, value = slopes(surface)[0]
    assert saturation.abs().max() < 1e-4
    seen = turn.T @ value
    assert seen[2].abs() < 1e-3
    shrunk = seen[:2] / rise[:2]  # by the ridge, alike along both axes of a flat patch
    assert (shrunk > 0.85).all() and (shrunk <= 1.0).all()


def test_light_that_all_pixels_share_changes_no_slope():
    rise = torch.tensor([4.0, 2.0, 0.0])
    torch.testing.assert_close(slopes(painted(rise)[0]), slopes(painted(rise, 0.1)[0]), atol=1e-3, rtol=1e-3)


def test_what_lies_behind_and_what_is_not_seen_has_no_say():
    rise = torch.tensor([4.0, 2.0, 0.0])
    surface, _ = painted(rise)
    patch = surface.patch.clone()
    patch[0, :3, :, 5] += 0.05
    patch[0, :3, :, :3] = 1.0
    without = surface.patch.clone()
    without[0, :3] = 0.0
    torch.testing.assert_close(slopes(surface._replace(patch=patch)), slopes(surface._replace(patch=without)))
    assert not slopes(surface._replace(patch=torch.zeros_like(patch))).any()


def test_nodes_hold_the_mean_slope_and_its_spread():
    n = 400
    g = torch.Generator().manual_seed(0)
    up, along = torch.tensor([0.0, 0.0, 1.0]).expand(n, 3), torch.tensor([1.0, 0.0, 0.0]).expand(n, 3)
    place = torch.tensor([0.001, 0.001, 0.001]).expand(n, 3)
    noise = torch.tensor([1.0, 1, 0, 2, 2, 0]) * torch.randn(n, 6, generator=g)
    texture = torch.tensor([3.0, 0, 0, 0, -5.0, 0]) + noise
    none = torch.zeros(n, 0, dtype=torch.int64)
    known = ObjectMap.empty(0.004).insert(place, up, along, torch.zeros(n, 2), torch.rand(n, 3), none, texture=texture)
    mean, sd = known.textures()
    torch.testing.assert_close(mean[0], torch.tensor([3.0, 0, 0, 0, -5.0, 0]), atol=0.3, rtol=0.0)
    torch.testing.assert_close(sd[0], torch.tensor([1.0, 2.0]), atol=0.15, rtol=0.0)


def test_usual_slopes_are_a_density_of_the_plane_with_that_median():
    scale, far = torch.tensor([2.0, 5.0]), torch.linspace(0, 4000, 400_001, dtype=torch.float64)
    for part in range(2):
        slope = torch.zeros(len(far), 6, dtype=torch.float64)
        slope[:, 3 * part] = far
        alone = usual_texture(slope, scale.double()) - usual_texture(torch.zeros(6), scale)
        # at length 0 the other slope's density stays the same; a Cauchy of the plane is 1 / (2 pi c^2) there
        density = alone.exp() / (2 * math.pi * scale[part] ** 2)
        ring = 2 * math.pi * far * density
        mass = torch.cumulative_trapezoid(ring, far)
        assert float(mass[-1]) == pytest.approx(1.0, abs=0.01)
        assert float(far[(mass < 0.5).sum()]) == pytest.approx(3**0.5 * float(scale[part]), rel=0.02)


def test_texture_tells_how_a_round_thing_is_turned():
    """A ball that is lighter to one side: nothing but its slopes knows about what it was turned by."""
    g = torch.Generator().manual_seed(1)
    n, radius = 3000, 0.03
    normal = torch.nn.functional.normalize(torch.randn(n, 3, generator=g), dim=1)
    along = torch.nn.functional.normalize(torch.linalg.cross(normal, normal.roll(1, 1)), dim=1)
    rise = torch.tensor([0.0, 0.0, 5.0])
    slope = rise - (normal @ rise)[:, None] * normal
    texture = torch.cat([torch.zeros(n, 3), slope], 1)
    curvature = torch.full((n, 2), math.log1p(1 / radius))
    hsv = torch.full((n, 3), 0.5)
    schema = FeatureSchema(texture=True)
    none = torch.zeros(n, 0, dtype=torch.int64)
    known = ObjectMap.empty(0.004).insert(radius * normal, normal, along, curvature, hsv, none, texture=texture)
    column = EvidenceColumn(Atlas.pack({"ball": known}, schema), schema)
    blind = EvidenceColumn(column.atlas, replace(schema, texture=False))
    pose = Pose(torch.zeros(3), torch.eye(3))
    reading = replace(
        sensed_of(radius * normal[:8], normal[:8], along[:8], curvature[:8], hsv[:8]), texture=texture[:8]
    )
    upside_down = rotation_from_vector(torch.tensor([math.pi, 0.0, 0.0]))
    ballot = guesses(pose, 2)
    ballot = replace(
        ballot, obj=torch.zeros(1, 2, dtype=torch.int64), location=torch.zeros(1, 2, 3),
        rotation=torch.stack([torch.eye(3), upside_down])[None],
    )  # fmt: skip
    right, wrong = column.vote(remembered(column, reading), ballot).log_evidence[0, 0].tolist()
    assert right > wrong + 10
    right, wrong = blind.vote(remembered(blind, reading), ballot).log_evidence[0, 0].tolist()
    assert right < wrong + 3


def sensed_of(point, normal, direction, curvature, hsv):
    """Readings without noise of an object that stands at the world's origin."""
    n = len(point)
    yes, none = torch.ones(n, dtype=torch.bool), torch.zeros(n, 0, dtype=torch.int64)
    return Sensation(point + 0.1 * normal, -normal, point, normal, direction, curvature, hsv, none, yes, yes)


def test_a_map_without_texture_is_not_what_a_column_with_texture_wants():
    assert SCHEMAS["texture"].differences(SCHEMAS["surface"]) == ["texture: True here, False there"]


def test_what_an_unknown_object_foretells_is_less_than_what_maps_do(atlases):
    for name, schema in SCHEMAS.items():
        column = EvidenceColumn(atlases[name], schema)
        for obj, shape in enumerate(SHAPES):
            pose = Pose(torch.zeros(3), torch.eye(3))
            memory = remembered(column, sensed(shape, pose, 60, 3, schema, noise=1.0))
            ballot = guesses(pose, 1)
            ballot = replace(
                ballot, obj=torch.full((1, 1), obj), location=torch.zeros(1, 1, 3), rotation=torch.eye(3)[None, None]
            )
            fits = float(column.vote(memory, ballot).log_evidence.sum())
            assert fits > float(column.unknown(memory)[0, 0, obj]), (name, obj)
