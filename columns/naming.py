"""Private names: a learnt association between the objects of two regions that learnt alone.

What one calls its third object the other may call its fifth, and each gave its map a frame of its own. While both sense
the same thing, what they believe is counted together, n_ij += p_i q_j; smoothed by a Dirichlet prior of strength s (of
all yours and 'none') (Gelman et al., Bayesian Data Analysis, 2013, section 3.4), the counts say, of o of mine,

    P(yours = j | mine = i) = (n_ij + s b_ij) / (sum_j n_ij + s),     b_ij ~ (n_ij + s / o) / (sum_i n_ij + s)

as words are learnt from what is there when they are heard (Yu & Smith, Psychological Science 18, 2007); the prior b
holds that what has a name already will hardly have another (mutual exclusivity: Markman & Wachtel, Cognitive Psychology
20, 1988). A vote is a
log-likelihood, so for my object i at a pose it is your evidence averaged over what you may call it,

    vote'_i = log sum_j P(yours = j | mine = i) exp(vote_j)

and what you believe, a posterior, is believed of mine by  log sum_j P(mine = i | yours = j) exp(posterior_j).

Both held a pose of it: x_world = M x_mine = Y x_yours, so mine_from_yours = M^-1 Y, the same in every episode but for
errors. Its mean is that of the largest group of motions that agree (one step of mean shift: Comaniciu & Meer, IEEE PAMI
24, 2002), rotations by the projected arithmetic mean (Moakher, SIAM J. Matrix Anal. Appl. 24, 2002). Of a symmetric
object the motions form several groups, or a circle; each of them is as right as any other, and one is taken.
"""

import math
from dataclasses import dataclass, fields, replace

import torch
from torch import Tensor

from .geometry import rotation_angle
from .messages import Consensus, Pose

STRENGTH = 1.0  # s: episodes that the prior is worth
KEPT = 8  # motions remembered of each pair of objects, the newest
TOGETHER = 0.5  # joint probability from which a pair's poses are believed to be of one thing
SAME_TURN, SAME_SHIFT = 0.2, 0.010  # radians, metres: motions that agree
OFF_TURN, OFF_SHIFT = 0.15, 0.006  # radians, metres an axis: by how much one motion is off
CHANCE = 0.05  # that one more motion agrees with a frame that is wrong
CANDIDATES = 3  # of your objects that one of mine may be, weighed at their poses


@dataclass(frozen=True, slots=True)
class Dictionary:
    """What a naming says, worked out for use: o objects of mine, p of yours.

    yours : (o + 1, p + 1) log P(yours | mine), the last of each 'none of those I know'
    mine : (p + 1, o + 1) log P(mine | yours)
    candidate : (o, c) int64, your objects that mine may be and whose frames are known, the likeliest first
    frame : (o, c) mine_from_yours of each
    sure : (o, c) how probable it is that this frame is right; 0 where none is known
    turn_sd, shift_sd : (o, c) radians and metres, by how much a right one is off
    """

    yours: Tensor
    mine: Tensor
    candidate: Tensor
    frame: Pose
    sure: Tensor
    turn_sd: Tensor
    shift_sd: Tensor

    def to(self, device: str | torch.device) -> "Dictionary":
        """On another device."""
        frame = Pose(self.frame.location.to(device), self.frame.rotation.to(device))
        rest = {part.name: getattr(self, part.name) for part in fields(self) if part.name != "frame"}
        return Dictionary(frame=frame, **{name: part.to(device) for name, part in rest.items()})


@dataclass(frozen=True, slots=True)
class Naming:
    """What was counted while two regions sensed the same things. Immutable: learning gives a new one.

    counts : (o + 1, p + 1) float64, how often my object was there with yours; the last of each is 'none'
    motion : (o, p, KEPT) mine_from_yours of the newest episodes, float32
    seen : (o, p) int64, motions seen so far
    strength : episodes that the prior is worth
    """

    counts: Tensor
    motion: Pose
    seen: Tensor
    strength: float = STRENGTH

    @classmethod
    def begin(cls, mine: int, yours: int, strength: float = STRENGTH) -> "Naming":
        """Nothing heard yet, between so many objects. Raises ValueError for less than one object or no prior."""
        if mine < 1 or yours < 1 or not strength > 0:
            raise ValueError(f"need an object each and a prior above 0, got {mine}, {yours} and {strength}")
        unturned = torch.eye(3).expand(mine, yours, KEPT, 3, 3)
        counts = torch.zeros(mine + 1, yours + 1, dtype=torch.float64)
        seen = torch.zeros(mine, yours, dtype=torch.int64)
        return cls(counts, Pose(torch.zeros(mine, yours, KEPT, 3), unturned), seen, strength)

    @classmethod
    def given(cls, yours: Tensor, frame: Pose, objects: int, weight: float = 1e3) -> "Naming":
        """The names as somebody who knows them tells them: yours (o,) int64, -1 for none, of `objects`, and
        mine_from_yours frames (o,)."""
        naming = cls.begin(len(yours), objects)
        counts, seen = naming.counts.clone(), naming.seen.clone()
        counts[torch.arange(len(yours)), yours] = weight  # -1 is the last, 'none'
        counts[-1, -1] = weight
        known = (yours >= 0).nonzero()[:, 0]
        seen[known, yours[known]] = KEPT
        location, rotation = naming.motion.location.clone(), naming.motion.rotation.clone()
        location[known, yours[known]] = frame.location[known, None].float()
        rotation[known, yours[known]] = frame.rotation[known, None].float()
        return replace(naming, counts=counts, seen=seen, motion=Pose(location, rotation))

    def met(self, mine: Consensus, yours: Consensus) -> "Naming":
        """The naming after g more things that both sensed, by what each believes of it by itself.

        Raises ValueError where they are of other numbers of objects or groups, or a belief isn't finite.
        """
        p, q = mine.log_posterior.double().cpu(), yours.log_posterior.double().cpu()
        wanted = len(p), self.counts.shape[1]
        if p.shape[1:] != self.counts.shape[:1] or q.shape != wanted:
            raise ValueError(f"beliefs must be (g, {self.counts.shape[0]}) and {wanted}, not {p.shape} and {q.shape}")
        if not bool(torch.isfinite(p).all() and torch.isfinite(q).all()):
            raise ValueError("a belief that is no number can't be learnt from: was anything sensed?")
        joint = p.softmax(1)[:, :, None] * q.softmax(1)[:, None]
        naming = replace(self, counts=self.counts + joint.sum(0))
        motion = mine.pose.inverse() @ yours.pose
        for g, each in enumerate(joint[:, :-1, :-1]):
            if each.numel() and float(each.max()) > TOGETHER:
                i, j = divmod(int(each.argmax()), each.shape[1])
                naming = naming._moved(i, j, Pose(motion.location[g], motion.rotation[g]))
        return naming

    def _moved(self, i: int, j: int, motion: Pose) -> "Naming":
        """With one more motion of a pair, in place of its oldest."""
        at = int(self.seen[i, j]) % KEPT
        location, rotation, seen = self.motion.location.clone(), self.motion.rotation.clone(), self.seen.clone()
        location[i, j, at], rotation[i, j, at] = motion.location.float().cpu(), motion.rotation.float().cpu()
        seen[i, j] += 1
        return replace(self, motion=Pose(location, rotation), seen=seen)

    def log_yours(self) -> Tensor:
        """(o + 1, p + 1) log P(yours | mine)."""
        return _conditional(self.counts, self.strength)

    def log_mine(self) -> Tensor:
        """(p + 1, o + 1) log P(mine | yours)."""
        return _conditional(self.counts.T, self.strength)

    def dictionary(self) -> Dictionary:
        """The naming worked out for use."""
        yours = self.log_yours()
        likely = torch.where(self.seen > 0, yours[:-1, :-1], -torch.inf)
        candidate = likely.topk(min(CANDIDATES, likely.shape[1]), dim=1).indices
        rows = torch.arange(len(candidate))[:, None]
        motion = Pose(self.motion.location[rows, candidate], self.motion.rotation[rows, candidate])
        frame, agreeing, turn_sd, shift_sd = mean_motion(motion, self.seen[rows, candidate].clamp(max=KEPT))
        return Dictionary(
            yours.float(), self.log_mine().float(), candidate, frame, _sure(agreeing), turn_sd, shift_sd
        )  # fmt: skip


def mean_motion(motion: Pose, count: Tensor) -> tuple[Pose, Tensor, Tensor, Tensor]:
    """The mean of the largest group of motions that agree, of how many it is the mean, and its standard errors, radians
    and metres, by the scatter of the group and one motion more that is off as usual.

    motion : (..., k) rigid motions, of which the first `count` (...) are given; where none is, the identity and 0
    """
    slots = motion.location.shape[-2]
    given = torch.arange(slots, device=count.device) < count[..., None]
    location, rotation = motion.location, motion.rotation
    turn = rotation_angle(rotation[..., :, None, :, :], rotation[..., None, :, :, :])
    shift = (location[..., :, None, :] - location[..., None, :, :]).norm(dim=-1)
    apart = torch.maximum(turn / SAME_TURN, shift / SAME_SHIFT)
    near = (apart < 1) & given[..., None] & given[..., None, :]
    # of groups as large the tightest
    middle = (near.sum(-1) - (apart * near).sum(-1) / (slots + 1) ** 2).argmax(-1, keepdim=True)
    weight = near.gather(-2, middle[..., None].expand(*middle.shape, slots))[..., 0, :].to(motion.location)
    total = weight.sum(-1)
    share = weight / total.clamp(min=1)[..., None]
    mean = nearest_rotation((share[..., None, None] * rotation).sum(-3))
    mean = torch.where((total == 0)[..., None, None], torch.eye(3).to(mean), mean)
    middle_of = (share[..., None] * location).sum(-2)
    off = rotation_angle(rotation, mean[..., None, :, :]), (location - middle_of[..., None, :]).norm(dim=-1)
    turn_sd, shift_sd = (
        (((weight * each**2).sum(-1) / 3 + usual**2) / (total + 1) / total.clamp(min=1)).sqrt()
        for each, usual in zip(off, (OFF_TURN, OFF_SHIFT), strict=True)
    )
    return Pose(middle_of, mean), total, turn_sd, shift_sd


def _sure(agreeing: Tensor) -> Tensor:
    """How probable a frame is that so many motions agree on: of one, even odds."""
    return torch.where(agreeing > 0, torch.sigmoid(-(agreeing - 1) * math.log(CHANCE)), 0.0)


def nearest_rotation(matrix: Tensor) -> Tensor:
    """The rotation (..., 3, 3) nearest to a matrix, by its singular vectors (Kabsch, Acta Cryst. A32, 1976)."""
    u, _, vt = torch.linalg.svd(matrix)
    sign = torch.linalg.det(u @ vt)
    flip = torch.diag_embed(torch.stack([torch.ones_like(sign), torch.ones_like(sign), sign], -1))
    return u @ flip @ vt


def _conditional(counts: Tensor, strength: float) -> Tensor:
    """(o, p) log probability of the second given the first."""
    unclaimed = (counts + strength / len(counts)) / (counts.sum(0) + strength)
    smoothed = counts + strength * unclaimed / unclaimed.sum(1, keepdim=True)
    return smoothed.log() - smoothed.sum(1, keepdim=True).log()
