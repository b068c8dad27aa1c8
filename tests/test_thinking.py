"""The parts of benchmarks/thinking.py that its figures rest on: copies of maps, and the peer's conventions."""

import math
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from cortical.columns.geometry import orthonormal, random_rotations, rotation_from_quaternion
from cortical.columns.messages import FeatureSchema
from cortical.columns.object_map import ObjectMap
from cortical.columns.soundness import fault_of_map

sys.path.append(str(Path(__file__).parents[1] / "benchmarks"))

import thinking_copies  # pyright: ignore[reportMissingImports]
import thinking_growth  # pyright: ignore[reportMissingImports]
import thinking_stream  # pyright: ignore[reportMissingImports]

RADIUS, SAME = 0.04, thinking_copies.SAME
CHANGE = thinking_copies.draw_change(np.random.default_rng(3), 1)


def ball(count: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Points, normals, any tangents and log curvatures of a ball, float64."""
    random = torch.Generator().manual_seed(0)
    frame = orthonormal(random_rotations(count, random).double())
    normal, direction = frame[:, :, 2], frame[:, :, 0]
    curvature = torch.full((count, 2), math.log1p(1 / RADIUS)).double()
    return RADIUS * normal, normal, direction, curvature


def ellipsoid(count: int = 500) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Points, normals, principal directions and log curvatures of an ellipsoid, from its second fundamental form."""
    axes = torch.tensor([0.05, 0.03, 0.02]).double()
    unit = torch.nn.functional.normalize(torch.randn(count, 3, generator=torch.Generator().manual_seed(1)).double())
    point = axes * unit
    gradient = point / axes.square()
    normal = torch.nn.functional.normalize(gradient)
    flat = torch.eye(3).double() - normal[:, :, None] * normal[:, None]
    shape = flat @ torch.diag(1 / axes.square()) @ flat / gradient.norm(dim=1)[:, None, None]
    values, vectors = torch.linalg.eigh(shape)
    # the zero is the normal's
    return point, normal, vectors[:, :, 2], values[:, 1:].flip(1).log1p()


def learnt(count: int = 4000) -> ObjectMap:
    """The map of an ellipsoid."""
    point, normal, direction, curvature = ellipsoid(count)
    hsv = torch.tensor([0.3, 0.8, 0.6]).double().expand(count, 3)
    none = torch.zeros(count, 0, dtype=torch.int64)
    return ObjectMap.empty(0.004).insert(point, normal, direction, curvature, hsv, none)


def aligned(a: Tensor, b: Tensor) -> Tensor:
    """How far axes lie apart, whatever their signs."""
    return 1 - (a * b).sum(-1).abs()


def test_no_change_changes_nothing():
    known = learnt()
    copy = thinking_copies.copied(known, SAME)
    assert torch.equal(copy.keys, known.keys)
    assert torch.allclose(copy.sums, known.sums, rtol=1e-6, atol=1e-9)
    for ours, theirs in zip(copy.rows(), known.rows(), strict=True):
        axis = slice(6, 9)
        if ours.shape[1] == 16:
            assert float(aligned(ours[:, axis], theirs[:, axis]).max()) < 1e-6
            ours[:, axis] = theirs[:, axis]
        assert float((ours - theirs).abs().max()) < 1e-6


def test_a_copy_keeps_normals_orthonormal_and_is_a_sound_map():
    copy = thinking_copies.copied(learnt(), CHANGE)
    rows, spread = copy.rows()
    normal, direction = rows[:, 3:6], rows[:, 6:9]
    assert float((normal.norm(dim=1) - 1).abs().max()) < 1e-6
    assert float((direction.norm(dim=1) - 1).abs().max()) < 1e-6
    assert float((normal * direction).sum(1).abs().max()) < 1e-6
    assert bool((rows[:, 9] >= rows[:, 10]).all())
    assert bool(torch.isfinite(rows).all() and torch.isfinite(spread).all())
    assert bool((copy.keys.diff() > 0).all())
    fault = fault_of_map(copy, FeatureSchema())
    assert fault in ("", "points that scatter beyond their cell"), fault  # stretched nodes are a little larger


def test_normals_stay_orthogonal_to_the_surface():
    point, normal, direction, curvature = ball(500)
    there, normal_there, direction_there, _ = thinking_copies.carried(CHANGE, point, normal, direction, curvature)
    second = torch.linalg.cross(normal, direction)
    step = 1e-6
    for tangent in (direction, second):
        along = RADIUS * torch.nn.functional.normalize(point + step * tangent) - point
        moved = thinking_copies.moved(CHANGE, point + along) - there
        assert float((torch.nn.functional.normalize(moved) * normal_there).sum(1).abs().max()) < 1e-4
    assert float((normal_there.norm(dim=1) - 1).abs().max()) < 1e-9
    assert float((normal_there * direction_there).sum(1).abs().max()) < 1e-9
    assert bool(((normal_there * normal).sum(1) > 0).all())


def test_curvatures_of_a_stretched_ball_are_those_of_an_ellipsoid():
    point, normal, direction, curvature = ellipsoid()
    stretch = replace(SAME, scale=torch.tensor([0.05, 0.03, 0.02]).double() / RADIUS)
    round_point = point / stretch.scale
    round_normal = torch.nn.functional.normalize(round_point)
    across = torch.nn.functional.normalize(torch.linalg.cross(round_normal, torch.ones(3).double().expand(500, 3)))
    flat = torch.full((500, 2), math.log1p(1 / RADIUS)).double()
    found = thinking_copies.carried(stretch, round_point, round_normal, across, flat)
    assert torch.allclose(found[0], point, atol=1e-12)
    assert torch.allclose(found[1], normal, atol=1e-9)
    assert torch.allclose(found[3], curvature, atol=1e-7)
    told_apart = curvature[:, 0] - curvature[:, 1] > 0.05
    assert float(aligned(found[2], direction)[told_apart].max()) < 1e-6


def test_a_bend_curves_a_plane():
    bend = replace(SAME, bend=torch.tensor([0, 0, -2.0]).double())
    flat = torch.zeros(1, 2).double()
    up, along = torch.tensor([[0.0, 0, 1]]).double(), torch.tensor([[0.0, 1, 0]]).double()
    _, normal, direction, curvature = thinking_copies.carried(bend, torch.zeros(1, 3).double(), up, along, flat)
    assert torch.allclose(normal, up)
    assert torch.allclose(curvature, torch.tensor([[math.log1p(4.0), 0.0]]).double())  # z = -2 x^2, convex from above
    assert float(aligned(direction, torch.tensor([[1.0, 0, 0]]).double())) < 1e-12


def test_a_tint_is_the_same_of_maps_and_readings():
    hsv = torch.rand(200, 3, generator=torch.Generator().manual_seed(2)).double()
    spot = [part[:1] for part in ellipsoid()]

    def node(colours: Tensor) -> ObjectMap:
        point, normal, direction, curvature = (part.expand(len(colours), -1) for part in spot)
        none = torch.zeros(len(colours), 0, dtype=torch.int64)
        return ObjectMap.empty(0.004).insert(point, normal, direction, curvature, colours, none)

    tint = replace(SAME, tint=CHANGE.tint, share=CHANGE.share)
    copy, again = thinking_copies.copied(node(hsv[:1]), tint), node(thinking_copies.recoloured(tint, hsv[:1]))
    assert torch.allclose(copy.sums, again.sums, atol=1e-9)
    many = thinking_copies.copied(node(hsv), tint).sums[0], node(thinking_copies.recoloured(tint, hsv)).sums[0]
    assert torch.allclose(many[0][29:32], many[1][29:32], atol=1e-9)  # chroma and its square
    assert abs(float(many[0][32] - many[1][32])) < 0.15 * float(many[1][32])  # saturation of what varies: nearly


def test_tints_lie_apart():
    changes = [thinking_copies.draw_change(np.random.default_rng(0), k) for k in range(1, 13)]
    tints = torch.stack([change.share * change.tint for change in changes])
    assert float(torch.pdist(tints).min()) > 0.15


def test_copies_are_nested_and_differ():
    maps = {"ball": learnt(), "other": learnt(3000)}
    few, many = thinking_growth.objects(maps, 3), thinking_growth.objects(maps, 7)
    assert list(many)[:3] == list(few)
    assert all(torch.equal(few[name].map.sums, many[name].map.sums) for name in few)
    extents = [float(one.map.rows()[0][:, 0].max()) for one in many.values()]
    assert len({round(x, 4) for x in extents[2:]}) == 5


@pytest.fixture
def stream(tmp_path: Path) -> Path:
    """Two ellipsoid-like models in the peer's conventions, and noiseless readings of the second one, turned."""
    point, normal, direction, curvature = ellipsoid(1500)
    log = -curvature.flip(1)  # convex is negative, the larger first
    first = torch.linalg.cross(direction, normal)  # theirs is our second direction
    shapes = {"pos": [point, point * torch.tensor([1.0, 1.0, 1.4]).double()], "normal": [normal, normal]}
    quaternion = np.array([0.1, -0.5, 0.3, 0.8])
    turn, shift = rotation_from_quaternion(torch.from_numpy(quaternion)), torch.tensor([0.0, 1.5, 0.0]).double()
    seen = point[:6] @ turn.T + shift
    hsv = np.full((2, 1500, 3), [[[40]], [[180]]], dtype=np.uint8)
    file = tmp_path / "stream.npz"
    np.savez(
        file, pos_unit_m=1e-5, model_pos=np.stack([(p / 1e-5).round().numpy() for p in shapes["pos"]]).astype(np.int16),
        model_normal=np.stack([n.numpy() for n in shapes["normal"]]).astype(np.float16),
        model_dir1=np.stack([first.numpy()] * 2).astype(np.float16), model_hsv=hsv,
        model_pclog=np.stack([log.numpy()] * 2).astype(np.float16), stream_pos=seen[None].numpy(),
        stream_normal=(normal[:6] @ turn.T)[None].numpy(), stream_dir1=(first[:6] @ turn.T)[None].numpy(),
        stream_hsv=np.full((1, 6, 3), 40 / 255), stream_pclog=log[None, :6].numpy(), stream_target=np.array([0]),
        stream_noise=np.array([0]), stream_quat_xyzw=quaternion[None], stream_trans=shift[None].numpy(),
    )  # fmt: skip
    return file


def test_the_stream_is_read_in_our_conventions(stream: Path):
    point, normal, direction, curvature = ellipsoid(1500)
    with np.load(stream) as data:
        maps = thinking_stream.models(data)
        seen = thinking_stream.sensations(data, 0)
        turn = rotation_from_quaternion(torch.from_numpy(data["stream_quat_xyzw"][0]))
    assert list(maps) == ["0", "1"] and len(seen) == 6
    for t, sensation in enumerate(seen):
        assert sensation.location.shape == (1, 1, 3) and bool(sensation.valid & sensation.on_object)
        back = turn.T @ (sensation.location[0, 0].double() - torch.tensor([0.0, 1.5, 0.0]))
        assert torch.allclose(back, point[t], atol=1e-6)
        assert torch.allclose(turn.T @ sensation.normal[0, 0].double(), normal[t], atol=1e-6)
        assert torch.allclose(sensation.curvature[0, 0].double(), curvature[t], atol=1e-6)
        assert float(aligned(turn.T @ sensation.direction[0, 0].double(), direction[t])) < 1e-6
    rows, _ = maps["0"].rows()
    near = torch.cdist(rows[:, :3].double(), point).argmin(1)
    assert float((rows[:, 3:6].double() * normal[near]).sum(1).min()) > 0.9
    assert bool((rows[:, 9:11] > 0).all())  # an ellipsoid is convex everywhere


def test_curvatures_that_noise_has_swapped_are_put_in_order():
    normal, first = torch.tensor([[0.0, 0, 1]]).double(), torch.tensor([[1.0, 0, 0]]).double()
    _, direction, curvature = thinking_stream.converted(normal, first, torch.tensor([[-4.0, -2.0]]).double())
    assert curvature.tolist() == [[4.0, 2.0]]
    assert float(aligned(direction, first)) < 1e-12


def test_the_stream_is_recognised(stream: Path):
    from cortical.configs.load import load

    said, rows = thinking_stream.figures(stream, load("default"), measured_stream=0)
    assert said["stream_correct"] and len(rows) == 1 and len(rows[0]["ms"]) == 6
    assert said["stream_rotation_error_deg"] < 8 or said["stream_rotation_error_deg"] > 172  # its mirror poses
