"""The code of a patch: free of pose and distance, steady under noise, different for different surfaces."""

import pytest
import torch

from cortical.columns.layers import EncoderConfig, PatchEncoder, SurfacePatch, overlap, paired_overlap

PIXELS = 8
ENCODER = PatchEncoder()
UNITS, ACTIVE = ENCODER.config.units, ENCODER.config.active


def spots(count, seed=0):
    """Random rippled quadrics: curvature (count, 2) 1/m, colour (count, 3), waves (count, 3, 3)."""
    g = torch.Generator().manual_seed(seed)
    curvature = (60.0 * torch.randn(count, 2, generator=g)).sort(dim=1, descending=True).values
    colour = 0.2 + 0.6 * torch.rand(count, 3, generator=g)
    waves = torch.randn(count, 3, 3, generator=g) * torch.tensor([300.0, 300.0, 1.0])
    return curvature, colour, waves


def turn_about_normal(angle):
    c, s, o = angle.cos(), angle.sin(), torch.zeros_like(angle)
    return torch.stack((c, -s, o, s, c, o, o, o, o + 1.0), dim=-1).unflatten(-1, (3, 3))


def rotations(count, seed):
    q, r = torch.linalg.qr(torch.randn(count, 3, 3, generator=torch.Generator().manual_seed(seed)))
    q = q * r.diagonal(dim1=-2, dim2=-1).sign().unsqueeze(1)
    return q * torch.linalg.det(q).view(-1, 1, 1)


def sense(curvature, colour, waves, pitch=0.0025, angle=None):
    """The spots sensed along the normal; pixels `pitch` metres apart, the grid turned by `angle` radians."""
    count = len(curvature)
    steps = (torch.arange(PIXELS) - PIXELS // 2) * pitch
    grid = torch.stack(torch.meshgrid(steps, steps, indexing="xy"), dim=-1).reshape(-1, 2)
    uv = grid.expand(count, -1, -1)
    if angle is not None:
        uv = uv @ turn_about_normal(angle)[:, :2, :2]
    height = -0.5 * (uv.square() * curvature.unsqueeze(1)).sum(-1, keepdim=True)
    ripple = 0.2 * torch.sin(uv @ waves[..., :2].mT + waves[..., 2].unsqueeze(1))
    rgb = (colour.unsqueeze(1) + ripple).clamp(0.0, 1.0)
    points = torch.cat((uv, height), dim=-1) + torch.tensor([0.0, 0.0, 0.2])
    patch = torch.cat((rgb, points), dim=-1).unflatten(1, (PIXELS, PIXELS))
    frame, middle = torch.eye(3).expand(count, 3, 3), torch.tensor([0.0, 0.0, 0.2]).expand(count, 3)
    return SurfacePatch(patch, middle, frame[:, 2], frame[:, :2], curvature, colour)


def moved(surface, turn, shift):
    """The whole reading turned and shifted in the sensor's frame."""
    points = (surface.patch[..., 3:].flatten(1, 2) @ turn.mT + shift).unflatten(1, (PIXELS, PIXELS))
    return surface._replace(
        patch=torch.cat((surface.patch[..., :3], points), dim=-1),
        location=(surface.location.unsqueeze(1) @ turn.mT).squeeze(1) + shift,
        normal=(surface.normal.unsqueeze(1) @ turn.mT).squeeze(1),
        directions=surface.directions @ turn.mT,
    )


def shared(a, b):
    return paired_overlap(ENCODER(a), ENCODER(b), UNITS).float()


def test_codes_are_active_units_in_ascending_order():
    codes = ENCODER(sense(*spots(20)))
    assert codes.shape == (20, ACTIVE)
    assert codes.dtype == torch.int16
    assert (codes.diff(dim=1) > 0).all()
    assert codes.min() >= 0
    assert codes.max() < UNITS


def test_code_is_a_function_of_seed_and_reading():
    surface = sense(*spots(20))
    assert torch.equal(PatchEncoder()(surface), ENCODER(surface))
    assert torch.equal(ENCODER(SurfacePatch(*(part[3:9] for part in surface))), ENCODER(surface)[3:9])
    assert not torch.equal(PatchEncoder(EncoderConfig(seed=1))(surface), ENCODER(surface))


def test_pose_does_not_matter():
    surface = sense(*spots(50))
    elsewhere = moved(surface, rotations(50, 1), torch.tensor([0.1, -0.2, 0.3]))
    assert shared(surface, elsewhere).min() >= ACTIVE - 2


def test_sign_of_the_principal_direction_does_not_matter():
    surface = sense(*spots(50))
    assert shared(surface, surface._replace(directions=-surface.directions)).min() >= ACTIVE - 1


def test_direction_does_not_matter_where_curvatures_are_equal():
    curvature, colour, waves = spots(50)
    surface = sense(curvature[:, :1].expand(-1, 2), colour, waves)
    turn = turn_about_normal(torch.linspace(0.1, 3.0, 50))
    assert shared(surface, surface._replace(directions=turn[:, :2])).quantile(0.1) >= ACTIVE - 5


@pytest.mark.parametrize("pitch", [0.002, 0.003])
def test_distance_and_roll_of_the_sensor_hardly_matter(pitch):
    spot = spots(50)
    near = sense(*spot, pitch=pitch, angle=torch.linspace(0.0, 3.0, 50))
    assert shared(sense(*spot), near).mean() > 0.8 * ACTIVE


def test_same_spot_under_noise_shares_more_than_different_spots():
    curvature, colour, waves = spots(200)
    g = torch.Generator().manual_seed(5)
    log = curvature.sign() * curvature.abs().log1p() + 0.1 * torch.randn(200, 2, generator=g)
    brightness = (1.0 + 0.15 * torch.randn(200, 1, generator=g)).clamp_min(0.5)
    noisy = sense(log.sign() * log.abs().expm1(), (colour * brightness).clamp(0, 1), waves)
    pairs = overlap(ENCODER(sense(curvature, colour, waves)), ENCODER(noisy), UNITS).float()
    same, different = pairs.diagonal(), pairs[~torch.eye(200, dtype=torch.bool)]
    better = (same.unsqueeze(1) > different).float().mean()
    assert better > 0.95
    assert same.mean() > 2.0 * different.mean()


def test_every_kind_of_feature_changes_the_code():
    curvature, colour, waves = spots(100)
    surface = sense(curvature, colour, waves)
    for other in (
        sense(curvature.roll(1, 0), colour, waves),
        sense(curvature, colour.flip(-1), waves),
        sense(curvature, colour, waves * 0.0),
    ):
        assert shared(surface, other).mean() < 0.95 * ACTIVE


def test_empty_patch_has_some_code():
    surface = SurfacePatch(*(torch.zeros_like(part) for part in sense(*spots(2))))
    assert ENCODER.descriptor(surface).isfinite().all()
    assert ENCODER(surface).shape == (2, ACTIVE)
    assert ENCODER(SurfacePatch(*(part[:0] for part in surface))).shape == (0, ACTIVE)


def test_world_frame_reading_is_brought_to_the_sensor():
    surface = sense(*spots(10))
    turn, position = rotations(10, 2), torch.tensor([0.3, 0.1, -0.2]).expand(10, 3)
    world = moved(surface, turn, position[:1])
    seen = world._replace(patch=surface.patch).seen_from(position, turn)
    assert shared(surface, seen).min() >= ACTIVE - 2


def test_impossible_sizes_are_refused():
    with pytest.raises(ValueError, match="active"):
        PatchEncoder(EncoderConfig(units=16, active=17))
    with pytest.raises(ValueError, match="density"):
        PatchEncoder(EncoderConfig(density=0.3))
