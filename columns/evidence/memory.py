"""What a column remembers of an episode: its own sensations, packed so that evidence can be weighed again at any pose.

Evidence is never carried as a sum that can't be revised: when a pose is refined, its evidence is the likelihood of
all remembered sensations at the refined pose.
"""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ..messages import FeatureSchema, Pose, Sensation

NUMBERS = 31
ORIGIN, GAZE, LOCATION, NORMAL, DIRECTION = (slice(i, i + 3) for i in range(0, 15, 3))
CURVATURE, LIGHT, HUE = slice(15, 17), slice(17, 19), slice(19, 21)
BACKGROUND, SEEDS = slice(21, 23), 23  # log densities of curvature and colour, and how little it tells
TEXTURE, TEXTURE_BACKGROUND = slice(24, 30), 30
LOST, HIT, MISS = 0, 1, 2


@dataclass(frozen=True, slots=True)
class Memory:
    """t sensations of m columns in g groups.

    numbers : (g, m, t, 31) float32, columns as named above, world frame
    kind : (g, m, t) int8, LOST, HIT or MISS
    bitmap : (g, m, t, code_bits) uint8, active bits of the code
    steps : sensations received so far (older ones may have left)
    """

    numbers: Tensor
    kind: Tensor
    bitmap: Tensor
    steps: int = 0

    @classmethod
    def empty(cls, groups: int, columns: int, schema: FeatureSchema, device: str = "cpu") -> "Memory":
        """A memory without sensations."""
        return cls(
            torch.zeros(groups, columns, 0, NUMBERS, device=device),
            torch.zeros(groups, columns, 0, dtype=torch.int8, device=device),
            torch.zeros(groups, columns, 0, schema.code_bits, dtype=torch.uint8, device=device),
        )

    def __len__(self) -> int:
        return self.kind.shape[2]

    def append(self, numbers: Tensor, kind: Tensor, bitmap: Tensor, limit: int) -> "Memory":
        """With one more sensation, (g, m, 31), (g, m) and (g, m, code_bits); the oldest leaves when there are more than
        `limit`."""
        return Memory(
            torch.cat([self.numbers, numbers[:, :, None]], 2)[:, :, -limit:],
            torch.cat([self.kind, kind[:, :, None]], 2)[:, :, -limit:],
            torch.cat([self.bitmap, bitmap[:, :, None]], 2)[:, :, -limit:],
            self.steps + 1,
        )

    def last(self) -> "Memory":
        """Only the newest sensation."""
        parts = {name: getattr(self, name)[:, :, -1:].contiguous() for name in ("numbers", "kind", "bitmap")}
        return replace(self, **parts)

    def forgotten(self, groups: Tensor) -> "Memory":
        """With all but the newest sensation lost in those groups, (g,) bool."""
        kind = self.kind.clone()
        kind[groups, :, :-1] = LOST
        return replace(self, kind=kind)

    def columns(self, keep: Tensor) -> "Memory":
        """Only some columns (1-D index or mask)."""
        return replace(self, numbers=self.numbers[:, keep], kind=self.kind[:, keep], bitmap=self.bitmap[:, keep])

    def moved(self, motion: Pose) -> "Memory":
        """Carried along with the object's own motion, so that old sensations still lie on it."""
        numbers = self.numbers.clone()
        for part in (ORIGIN, LOCATION):
            numbers[..., part] = numbers[..., part] @ motion.rotation.T + motion.location
        for part in (GAZE, NORMAL, DIRECTION):
            numbers[..., part] = numbers[..., part] @ motion.rotation.T
        slopes = numbers[..., TEXTURE].unflatten(-1, (2, 3)) @ motion.rotation.T
        numbers[..., TEXTURE] = slopes.flatten(-2)
        return replace(self, numbers=numbers)

    def pivot(self) -> Tensor:
        """Middle of the sensed points of each group, (g, 3) metres, world frame; zeros before the first."""
        hit = (self.kind == HIT)[..., None]
        total = (self.numbers[..., LOCATION] * hit).sum((1, 2))
        return total / hit.sum((1, 2)).clamp(min=1)


def unpacked(s: Sensation, code_bits: int) -> tuple[Tensor, Tensor, Tensor]:
    """A sensation (g, m) as numbers, kind and bitmap, what a column has to work out left at zero."""
    hue = s.hsv[..., :1] * (2 * torch.pi)
    numbers = torch.cat(
        [s.origin, s.gaze, s.location, s.normal, s.direction, s.curvature, s.hsv[..., 1:], hue.cos(), hue.sin(),
         torch.zeros_like(s.location), s.texture, torch.zeros_like(s.location[..., :1])], -1,
    )  # fmt: skip
    kind = torch.where(s.on_object, HIT, MISS).to(torch.int8) * s.valid
    bitmap = torch.zeros(*s.valid.shape, code_bits, dtype=torch.uint8, device=s.valid.device)
    if code_bits:
        bitmap.scatter_(-1, s.code, 1)
    return numbers, kind.to(torch.int8), bitmap
