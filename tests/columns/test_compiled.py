"""What is compiled gives what the plain reference gives."""

import pytest
import torch
from torch.nn.functional import normalize

from cortical.columns.evidence import likelihood, refine
from cortical.columns.evidence.column import EvidenceColumn
from cortical.columns.evidence.compiled import likelihood as compiled
from cortical.columns.evidence.compiled import refine as compiled_refine
from cortical.columns.evidence.memory import HIT, LOST, MISS
from cortical.columns.geometry import rotation_from_vector

from .shapes import SCHEMAS, agree, egg, guesses, mixed, pose_of, sensed

WEIGH = compiled.weigh, likelihood.weigh


@pytest.mark.parametrize("features", SCHEMAS)
def test_compiled_weighing_is_the_plain_one(atlases, features):
    schema = SCHEMAS[features]
    column, memory, pose = mixed(atlases[features], schema)
    assert set(memory.kind.flatten().tolist()) == {LOST, HIT, MISS}
    ballot = guesses(pose, 200)
    fast = compiled.weigh(column.atlas, memory, ballot, column.tolerance)
    plain = likelihood.weigh(column.atlas, memory, ballot, column.tolerance)
    for name in ("log_evidence", "slope", "information"):
        assert getattr(fast, name).shape == getattr(plain, name).shape
        assert agree(getattr(fast, name)[..., None], getattr(plain, name)[..., None]), name
    flat = compiled.weigh(column.atlas, memory, ballot, column.tolerance, curved=False)
    assert torch.equal(flat.log_evidence, fast.log_evidence)
    assert flat.slope.shape[-1] == 0
    met, same = (weigh(column.atlas, memory, ballot, column.tolerance, misses=False) for weigh in WEIGH)
    assert torch.equal(met.slope, fast.slope) and torch.equal(met.information, fast.information)
    assert agree(met.log_evidence[..., None], same.log_evidence[..., None])
    assert not torch.equal(met.log_evidence, fast.log_evidence)


def test_compiled_rays_meet_what_plain_ones_do(atlas):
    g = torch.Generator().manual_seed(0)
    origin = 0.2 * normalize(torch.randn(3, 300, 3, generator=g), dim=-1)
    ray = normalize(0.04 * torch.randn(3, 300, 3, generator=g) - origin, dim=-1)
    obj = torch.arange(300).expand(3, 300) % 2
    fast, plain = compiled.meet(atlas, obj, origin, ray), likelihood.meet(atlas, obj, origin, ray)
    same = torch.stack([(a - b).abs() < 1e-5 for a, b in zip(fast, plain, strict=True)]).all(0)
    assert same.double().mean() > 0.98
    assert 0.1 < (fast[2] >= 0).double().mean() < 0.9


@pytest.mark.parametrize("favour", [(0.0, 0.0), (0.0, -3.0)])
@pytest.mark.parametrize("features", SCHEMAS)
def test_compiled_sieve_is_the_plain_one(atlases, features, favour):
    column, memory, _ = mixed(atlases[features], SCHEMAS[features])
    few = {"tests": 4000, "limit": 4000, "tol": column.tolerance, "favour": torch.tensor(favour)}
    fast = compiled.sieve(column.atlas, memory, 0, 3, **few)
    plain = likelihood.sieve(column.atlas, memory, 0, 3, **few)
    a, b = ({(int(n), round(float(t), 3)) for n, t in zip(found[0], found[1], strict=True)} for found in (fast, plain))
    assert len(a) == len(fast[0]) > 0
    assert len(a ^ b) <= 0.02 * len(b) + 2


def test_compiled_and_plain_steps_of_poses_are_the_same():
    g = torch.Generator().manual_seed(4)
    half = 30 * torch.randn(2, 50, 6, 6, generator=g)
    information, slope = half @ half.mT, 400 * torch.randn(2, 50, 6, generator=g)
    rotation = rotation_from_vector(torch.randn(2, 50, 3, generator=g))
    pose = rotation, 0.1 * torch.randn(2, 50, 3, generator=g), 0.1 * torch.randn(2, 3, generator=g)
    plain = refine.moved(*pose, slope, information, refine.DAMPING)
    fast = compiled_refine.step(*pose, slope, information, refine.DAMPING)
    assert float((plain[0] - pose[0]).abs().amax()) > 0.02
    for a, b in zip(plain, fast, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-4)
    sums = (module.neighbourhood(information, refine.DAMPING) for module in (refine, compiled_refine))
    for a, b in zip(*sums, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("name", ["surface", "shape", "both"])
def test_compiled_and_plain_say_the_same_of_what_a_reading_tells(name, atlases):
    schema = SCHEMAS[name]
    column = EvidenceColumn(atlases[name], schema)
    sensation = sensed(egg, pose_of(0), 3, 5, schema)[:, None]
    memory = column.sense(column.begin(3), sensation)
    parts = memory.numbers[:, :, 0], memory.bitmap[:, :, 0], column.atlas, column.tolerance
    (plain, shares), (fast, counted) = likelihood.telling(*parts), compiled.telling(*parts)
    torch.testing.assert_close(plain, fast, rtol=1e-3, atol=1e-3)
    # the compiled floors are plain maxima
    torch.testing.assert_close(shares, counted, rtol=0.2, atol=4.0)
