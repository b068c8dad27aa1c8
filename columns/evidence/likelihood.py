"""How well a sensation fits a hypothesis: log-likelihood ratios, pure functions without state.

For hypothesis (object, R, T) the sensed point p, normal n and principal direction d are carried into the object's
frame, q = R^T (p - T), where the nearest node of that facing predicts them by its own small quadric,

    height  h(u, v) = -(k1 u^2 + k2 v^2) / 2,      normal  n(u, v) = n + k1 u d1 + k2 v d2,

(u, v) the tangential offset along the principal directions d1, d2. With sensor noise, node spread and the pose's own
uncertainty added in quadrature, the evidence of one sensation is, in nats,

    L = log[(1 - e) prod_c ((1 - e_c) p_c / b_c + e_c) + e],

c = place, normal, direction, curvature, colour, texture, code,

p_c the density under the hypothesis and b_c under 'none of the objects I know': a surface anywhere within 12 cm of
depth, facing anyhow, with the features of a node drawn at random from all maps. e_c are outlier floors, so that one
bad reading never rules anything out. Angles enter by chords and cosines only.

An empty reading speaks too: the ray is marched through the object's distance field; the closer it passes to known
surface, the less the hypothesis expected to see nothing.

`weigh` gives L summed over a column's memory with its slope and Gauss-Newton information by a small turn w and shift
t of the pose about a pivot c: R' = exp(w) R, T' = c + exp(w) (T - c) + t. This is the reference in plain torch, for
any device; compiled/ has the same for a CPU, compiled.
"""

import math
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from ..geometry import surface_frame, turn_about_z
from ..messages import Vote
from .atlas import NOTHING, SUBSET, Atlas
from .densities import (
    Tolerance,
    code_ratio,
    colour_density,
    curvature_density,
    floored,
    texture_density,
    texture_variance,
)
from .hypotheses import Hypotheses, turn_angle
from .memory import Memory

LOG_DEPTH = math.log(0.12)  # of the metres within which an unknown surface may lie
SAG, TILT = 0.002, 0.5  # metres, radians: how far a node's quadric is trusted
SLANT = 0.1  # cosine of the steepest slant at which a surface is met
STEEP = 60.0  # 1/m: sharper curvature gives no slope
MISSED_UNKNOWN = 0.3  # how often a gaze misses an unknown object
SURFACE = 0.0036  # metres from a voxel's centre to a node: a ray that comes no closer has never met the surface
CERTAIN, PASSING, NOWHERE = 0.004, 0.007, 0.02  # metres aside of a node: a ray surely meets it, may, or meets none
AHEAD, LOOKS = 0.006, 2  # metres to a crossing, which is looked up again where it lies
TESTED = 12  # readings that a seed is roughly tested against, at most
FITTING = 6.0  # nats below the best within which the features of a node fit a reading
MARCH, STEP = 64, 0.5  # steps of a ray through an object's voxels, voxels at least
MISS_NEAR, MISS_FAR = 0.02, 0.97  # how often a gaze at known surface misses, and how much more often one past it
MISS_ASIDE, MISS_WIDTH, MISS_LEVER = 0.0055, 0.0008, 0.3  # metres between them, and what an uncertain pose adds
ROUGH_NEAR, ROUGH_LEVER, ROUGH_FACING = 0.003, 0.06, 0.16  # sd in metres, radians, radians: how rough a seed is


def telling(numbers: Tensor, bitmap: Tensor, atlas: Atlas, tol: Tolerance) -> tuple[Tensor, Tensor]:
    """What readings (..., 31) are worth by themselves, over a fixed subset of all nodes: log densities of curvature and
    of colour under 'some surface of some object', (..., 2), and how little a reading tells: the share of all poses that
    fit its features, (...)."""
    few = replace(atlas, **atlas.subset(SUBSET))
    n = numbers[..., None, :]
    curvature = curvature_density(n[..., 15:17], few.rows, few.spread, tol)
    colour = colour_density(n[..., 17:19], n[..., 19:21], few.rows, few.spread, tol)
    usual = torch.stack([curvature, colour], -1).logsumexp(-2) - math.log(len(few.rows))
    match = features(torch.cat([numbers[..., :21], usual], -1), bitmap, few, tol)
    fits = match > match.amax(-1, keepdim=True) - FITTING
    return usual, (fits * few.turns).sum(-1).float()


def features(numbers: Tensor, bitmap: Tensor, atlas: Atlas, tol: Tolerance) -> Tensor:
    """Log-likelihood ratio of the pose-free features of readings (..., 31) at every node: (..., n)."""
    n = numbers[..., None, :]
    total = torch.zeros(*numbers.shape[:-1], len(atlas.rows), device=numbers.device)
    if tol.surface:
        curvature = curvature_density(n[..., 15:17], atlas.rows, atlas.spread, tol) - n[..., 21]
        total = floored(curvature, tol.outlier_feature)
    if tol.colour:
        colour = colour_density(n[..., 17:19], n[..., 19:21], atlas.rows, atlas.spread, tol) - n[..., 22]
        total = total + floored(colour, tol.outlier_feature)
    if tol.winners:
        share = bitmap[..., atlas.codes].float().mul(atlas.code_weights).sum(-1) / tol.winners
        total = total + floored(code_ratio(share, tol), tol.outlier_feature)
    return total


def sieve(
    atlas: Atlas, memory: Memory, group: int, anchor: int, tests: int, limit: int, tol: Tolerance, favour: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Ways to lay sensation `anchor` (flat over columns and steps) of a group on a known object so that the others
    roughly fit too: nodes, turns about their normals (radians) and log-likelihood ratios of the anchor's features.

    `tests` node-turn pairs are tried, in the order of those ratios plus their objects' `favour` (o,); a quarter of
    the others (TESTED at most), and one more, may miss; the `limit` best remain, by ratio plus a rough fit of the
    others' heights and normals.
    """
    flat, kind = memory.numbers[group].flatten(0, 1), memory.kind[group].flatten()
    at, hits = flat[anchor], flat[kind == 1]
    hits = hits[torch.from_numpy(spread_out(len(hits))).to(hits.device)]
    match = features(at, memory.bitmap[group].flatten(0, 1)[anchor], atlas, tol)
    tried = atlas.turns
    order = (match + favour[atlas.owner]).argsort(descending=True, stable=True)
    order = order[: int((tried[order].cumsum(0) <= tests).sum())]
    node = torch.repeat_interleave(order, tried[order])
    first = tried[order].cumsum(0) - tried[order]
    turn = torch.arange(len(node), device=node.device) - torch.repeat_interleave(first, tried[order])
    angle = turn_angle(turn, tried[node])
    score, misses = _rough_fit(atlas, at, hits, node, angle)
    score = torch.where(misses <= 1 + len(hits) // 4, match[node] + score, -torch.inf)
    best = score.argsort(descending=True, stable=True)[:limit]
    best = best[score[best] > -torch.inf]
    return node[best], angle[best], match[node[best]]


def spread_out(count: int) -> np.ndarray:
    """Which of so many readings others are tested against: at most TESTED, evenly from first to last."""
    return np.linspace(0, count - 1, min(count, TESTED)).round().astype(np.int64)


def _rough_fit(atlas: Atlas, at: Tensor, hits: Tensor, node: Tensor, angle: Tensor) -> tuple[Tensor, Tensor]:
    row = atlas.rows[node]
    frame = surface_frame(at[9:12], at[12:15]) @ turn_about_z(angle)
    rotation = frame @ surface_frame(row[:, 3:6], row[:, 6:9]).transpose(1, 2)
    arm = hits[:, 6:9] - at[6:9]
    point = torch.einsum("nji,hj->nhi", rotation, arm) + row[:, None, :3]
    normal = torch.einsum("nji,hj->nhi", rotation, hits[:, 9:12])
    owner = atlas.owner[node][:, None].expand(point.shape[:-1])
    there = atlas.nearest_node(owner, point, normal)
    row = atlas.rows[there.clamp(min=0)]
    reach = ROUGH_NEAR + ROUGH_LEVER * arm.norm(dim=-1)
    height = ((point - row[..., :3]) * row[..., 3:6]).sum(-1)
    facing = (normal * row[..., 3:6]).sum(-1)
    fit = 3 - 0.5 * (height / reach).square() - (1 - facing) / ROUGH_FACING**2
    missing = (there < 0) | (fit < -3)
    return torch.where(missing, -3.0, fit).sum(1), missing.sum(1)


def weigh(
    atlas: Atlas, memory: Memory, hypotheses: Hypotheses, tol: Tolerance, curved: bool = True, misses: bool = True
) -> Vote:
    """What every column's memory says of every pose of its group: see Vote. Not `curved`: the evidence alone; not
    `misses`: by what was met alone."""
    hits, slope, information = weigh_hits(atlas, memory, hypotheses, tol)
    kind = memory.kind[:, :, None]
    evidence = (hits * (kind == 1)).sum(-1)
    if misses:
        evidence = evidence + (_weigh_misses(atlas, memory, hypotheses) * (kind == 2)).sum(-1)
    if not curved:
        slope, information = slope[..., :0], information[..., :0, :0]
    return Vote(evidence, slope, information)


def weigh_hits(
    atlas: Atlas, memory: Memory, hyp: Hypotheses, tol: Tolerance, node: Tensor | None = None
) -> tuple[Tensor, Tensor, Tensor]:
    """What each hit says of each pose: evidence (g, m, b, t), and summed over hits slope (g, m, b, 6) and information.

    node : (g, m, b, t) which nodes predict them; the nearest if not given
    """
    s = memory.numbers[:, :, None]  # (g, m, 1, t, 31), hypotheses below as (g, 1, b, 1, ...)
    object_from_world = hyp.rotation.transpose(-1, -2)[:, None, :, None]

    def into(v: Tensor) -> Tensor:
        return (object_from_world @ v[..., None])[..., 0]

    arm = s[..., 6:9] - hyp.pivot[:, None, None, None]
    q = into(s[..., 6:9] - hyp.location[:, None, :, None])
    normal, direction = into(s[..., 9:12]), into(s[..., 12:15])
    obj = hyp.obj[:, None, :, None].expand(q.shape[:-1])
    node = atlas.nearest_node(obj, q, normal) if node is None else node
    known = node >= 0
    node = node.clamp(min=0)
    row, spread, expected = atlas.rows[node], atlas.spread[node], atlas.texture[node]

    d1, n0 = row[..., 6:9], row[..., 3:6]
    d2 = torch.linalg.cross(n0, d1)
    offset = q - row[..., :3]
    u, v, height = (offset * d1).sum(-1), (offset * d2).sum(-1), (offset * n0).sum(-1)
    k = row[..., 9:11].sign() * row[..., 9:11].abs().expm1()
    k1, k2 = k.unbind(-1)
    residual = height + (0.5 * (k1 * u * u + k2 * v * v)).clamp(-SAG, SAG)
    predicted = n0 + (k1 * u).clamp(-TILT, TILT)[..., None] * d1 + (k2 * v).clamp(-TILT, TILT)[..., None] * d2
    predicted = torch.nn.functional.normalize(predicted, dim=-1)

    turn, shift = hyp.turn_sd[:, None, :, None].square(), hyp.shift_sd[:, None, :, None].square()
    pose = shift + turn * arm.square().sum(-1)
    height_var = tol.location + spread[..., 0].square() + pose
    normal_var = tol.normal + spread[..., 1].square() + turn
    chord = 2 - 2 * (normal * predicted).sum(-1)
    beyond = ((u * u + v * v).sqrt() - atlas.voxel).clamp(min=0)
    place = (
        LOG_DEPTH - 0.5 * (2 * math.pi * height_var).log() - 0.5 * residual.square() / height_var
        - 0.5 * beyond.square() / (4e-6 + pose)
    )  # fmt: skip
    facing = -normal_var.log() - 0.5 * chord / normal_var
    place_ratio, facing_ratio = floored(place, tol.outlier), floored(facing, tol.outlier_facing)
    place_share = (place + math.log1p(-tol.outlier) - place_ratio).exp()
    facing_share = (facing + math.log1p(-tol.outlier_facing) - facing_ratio).exp()
    total = place_ratio + facing_ratio

    direction_var = tol.normal + spread[..., 2].square() + turn
    direction_share = torch.zeros_like(total)
    if tol.surface:
        cos = (direction * d1).sum(-1)
        kappa = 1 / (4 * direction_var)
        axial = 2 * kappa * (cos * cos - 1) + 0.5 * (1 + 2 * math.pi * kappa).log()
        floor = floored(axial, tol.outlier_direction)
        direction_share = (axial + math.log1p(-tol.outlier_direction) - floor).exp()
        curvature = curvature_density(s[..., 15:17], row, spread, tol) - s[..., 21]
        total = total + floor + floored(curvature, tol.outlier_feature)
    if tol.colour:
        colour = colour_density(s[..., 17:19], s[..., 19:21], row, spread, tol) - s[..., 22]
        total = total + floored(colour, tol.outlier_feature)
    texture_share, slopes = torch.zeros_like(total), (into(s[..., 24:27]), into(s[..., 27:30]))
    if tol.texture:
        texture = texture_density(torch.cat(slopes, -1), expected, turn, tol) - s[..., 30]
        floor = floored(texture, tol.outlier_feature)
        texture_share = (texture + math.log1p(-tol.outlier_feature) - floor).exp()
        total = total + floor
    if tol.winners:
        bits = memory.bitmap[:, :, None].expand(*node.shape, -1).gather(-1, atlas.codes[node]).float()
        share = (bits * atlas.code_weights[node]).sum(-1) / tol.winners
        total = total + floored(code_ratio(share, tol), tol.outlier_feature)

    evidence = torch.where(known, floored(total, tol.outlier), math.log(tol.outlier))
    share = (total + math.log1p(-tol.outlier) - evidence).exp()
    share = share * known * (memory.kind[:, :, None] == 1)
    world_from_object = hyp.rotation[:, None, :, None]

    def out(vec: Tensor) -> Tensor:
        return (world_from_object @ vec[..., None])[..., 0]

    pw, t1, t2 = out(predicted), out(d1), out(d2)
    arm = arm.expand(pw.shape)
    sensed_normal, sensed_direction = s[..., 9:12].expand(pw.shape), s[..., 12:15].expand(pw.shape)
    steep1, steep2 = k1.clamp(-STEEP, STEEP)[..., None], k2.clamp(-STEEP, STEEP)[..., None]
    cross = torch.linalg.cross
    e1, e2 = ((normal - predicted) * d1).sum(-1), ((normal - predicted) * d2).sum(-1)
    side = (direction * d1).sum(-1).sign()
    turn_by = (direction * d2).sum(-1) * side
    jacobians = [
        torch.cat([-cross(arm, pw), -pw], -1),
        torch.cat([-cross(sensed_normal, t1) + steep1 * cross(arm, t1), steep1 * t1], -1),
        torch.cat([-cross(sensed_normal, t2) + steep2 * cross(arm, t2), steep2 * t2], -1),
        torch.cat([-cross(sensed_direction, t2) * side[..., None], torch.zeros_like(t2)], -1),
    ]
    facing = facing_share / normal_var
    weights = [place_share / height_var, facing, facing, direction_share / direction_var]
    errors = [residual, e1, e2, turn_by]
    if tol.texture:
        variance = texture_variance(expected, turn)
        for part in range(2):
            there = expected[..., 3 * part : 3 * part + 3]
            for along, along_world in ((d1, t1), (d2, t2)):
                jacobians.append(torch.cat([-cross(out(there), along_world), torch.zeros_like(t1)], -1))
                weights.append(texture_share / variance[..., part])
                errors.append(((slopes[part] - there) * along).sum(-1))
    jacobian = torch.stack(jacobians, -2)
    weight = torch.stack(weights, -1) * share[..., None]
    slope = -(jacobian * (weight * torch.stack(errors, -1))[..., None]).sum((-2, -3))
    flat, scaled = jacobian.flatten(-3, -2), (jacobian * weight[..., None]).flatten(-3, -2)
    return evidence, slope, flat.transpose(-1, -2) @ scaled


def meet(atlas: Atlas, obj: Tensor, origin: Tensor, ray: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Where a ray meets known surface: it is marched until it crosses the tangent plane of a node that faces it within
    CERTAIN of the node; else the crossing closest to its node counts.

    obj (...) ; origin, ray (..., 3) metres and unit, object frame. Returns metres from the node to the crossing
    (PASSING if the ray only came near surface, NOWHERE if not even that), depth of the crossing in metres, and the node
    (NOTHING if none), (...) each.
    """
    low = atlas.corner[obj]
    high = low + atlas.shape[obj] * atlas.voxel
    slope = torch.where(ray.abs() < 1e-9, 1e-9, ray)
    near, far = (low - origin) / slope, (high - origin) / slope
    depth, leave = torch.minimum(near, far).amax(-1).clamp(min=0.0) + 1e-5, torch.maximum(near, far).amin(-1)
    aside, at = torch.full_like(depth, NOWHERE), torch.zeros_like(depth)
    met = torch.full_like(obj, NOTHING)
    for _ in range(MARCH):
        going = (depth < leave) & (aside >= CERTAIN)
        point = origin + depth[..., None] * ray
        voxel = atlas.voxel_of(obj, point)
        gap = torch.where(voxel >= 0, atlas.distance[voxel.clamp(min=0)], STEP * atlas.voxel)
        going = going & (voxel >= 0) & (gap < SURFACE)
        aside = torch.where(going, aside.clamp(max=PASSING), aside)
        facing = -ray
        for _ in range(LOOKS):
            node, on, beside, crosses = _crossing(atlas, obj, origin, ray, depth, point, facing)
            going = going & crosses
            point = torch.where(going[..., None], origin + (depth + on)[..., None] * ray, point)
            facing = torch.where(going[..., None], atlas.rows[node.clamp(min=0), 3:6], facing)
            better = going & (beside < aside)
            aside, at = torch.where(better, beside, aside), torch.where(better, depth + on, at)
            met = torch.where(better, node, met)
        depth = depth + (gap - 0.5 * SURFACE).clamp(min=STEP * atlas.voxel)
    return aside, at, met


def _crossing(
    atlas: Atlas, obj: Tensor, origin: Tensor, ray: Tensor, depth: Tensor, point: Tensor, facing: Tensor
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """The node near `point` of that facing, or of any; how much further than `depth` the ray crosses its tangent plane
    and how far aside of it, metres; and whether that is a crossing from outside, and near."""
    node = atlas.nearest_node(obj, point, facing)
    node = torch.where(node >= 0, node, atlas.nearest_node(obj, point, torch.zeros_like(facing)))
    row = atlas.rows[node.clamp(min=0)]
    start = origin + depth[..., None] * ray
    cos = (ray * row[..., 3:6]).sum(-1)
    on = ((row[..., :3] - start) * row[..., 3:6]).sum(-1) / cos.clamp(max=-SLANT)
    offset = start + on[..., None] * ray - row[..., :3]
    height = (offset * row[..., 3:6]).sum(-1)
    beside = (offset.square().sum(-1) - height.square()).clamp(min=0).sqrt()
    return node, on, beside, (node >= 0) & (cos < 0) & (on.abs() < AHEAD)


def _weigh_misses(atlas: Atlas, memory: Memory, hyp: Hypotheses) -> Tensor:
    s = memory.numbers[:, :, None]
    object_from_world = hyp.rotation.transpose(-1, -2)[:, None, :, None]
    origin = (object_from_world @ (s[..., 0:3] - hyp.location[:, None, :, None])[..., None])[..., 0]
    ray = (object_from_world @ s[..., 3:6, None])[..., 0]
    obj = hyp.obj[:, None, :, None].expand(ray.shape[:-1])
    return missed(meet(atlas, obj, origin, ray)[0], hyp.turn_sd[:, None, :, None], hyp.shift_sd[:, None, :, None])


def missed(aside: Tensor, turn_sd: Tensor, shift_sd: Tensor) -> Tensor:
    """Log-likelihood ratio of seeing nothing where a ray would `meet` known surface that far aside of a node: how often
    that happens was counted at true poses, see benchmarks/LOG.md."""
    width = MISS_WIDTH + MISS_LEVER * (shift_sd + 0.05 * turn_sd)
    return (MISS_NEAR + MISS_FAR * torch.sigmoid((aside - MISS_ASIDE) / width)).log() - math.log(MISSED_UNKNOWN)
