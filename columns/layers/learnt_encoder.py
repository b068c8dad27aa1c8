"""A code of patches whose weights were learnt from one's own sensations, as `code_learning` does it.

    descriptor d -> phases p = cos(W d + b) -> less their mean -> sparse projection M -> k winners -> code

The descriptor is `encoder`'s, and so is the code's size; W, b, the mean and M are learnt. What has been learnt is a
value: encoding can't change it.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from .encoder import EncoderConfig, PatchEncoder, SurfacePatch, product
from .winners import k_winners


class LearntCode(NamedTuple):
    """What has been learnt.

    frequencies : (f, phases); offsets, mean : (phases,); mixing : (phases, units), zero where no weight exists
    evidence : (2,) slope and offset of what an overlap is worth, in nats
    """

    frequencies: Tensor
    offsets: Tensor
    mean: Tensor
    mixing: Tensor
    evidence: Tensor


class LearntEncoder:
    """Patches of surface to learnt codes, as PatchEncoder does it. Raises ValueError for a code of other sizes."""

    def __init__(self, code: LearntCode, config: EncoderConfig | None = None) -> None:
        self.patches, self.code = PatchEncoder(config), code
        wanted, found = shapes(self.patches), {name: tuple(part.shape) for name, part in code._asdict().items()}
        if wrong := [f"{name} {found[name]}, not {wanted[name]}" for name in wanted if found[name] != wanted[name]]:
            raise ValueError(f"a code of other sizes than the encoder's ({'; '.join(wrong)}): learn it again")

    def __call__(self, surface: SurfacePatch) -> Tensor:
        """The code of each patch: the indices of its active units, ascending, (b, active)."""
        return encode(self.code, self.patches.descriptor(surface), self.patches.config.active)


def shapes(patches: PatchEncoder) -> dict[str, tuple[int, ...]]:
    """Of the parts of a code for such patches."""
    (inputs, phases), units = patches.frequencies.shape, patches.config.units
    sizes = ((inputs, phases), (phases,), (phases,), (phases, units), (2,))
    return dict(zip(LearntCode._fields, sizes, strict=True))


@torch.no_grad()
def encode(code: LearntCode, descriptor: Tensor, active: int) -> Tensor:
    """Active units of descriptors (n, f), ascending: (n, active)."""
    return k_winners(product(phases(code, descriptor) - code.mean, code.mixing), active)[0]


def phases(code: LearntCode, descriptor: Tensor) -> Tensor:
    """The phases (n, phases) of descriptors (n, f)."""
    return torch.cos(product(descriptor, code.frequencies, code.offsets))


def same(one: LearntCode | None, other: LearntCode | None) -> bool:
    """Whether two codes are the same function; None: the one that isn't learnt."""
    if one is None or other is None:
        return one is other
    return one is other or all(torch.equal(a, b) for a, b in zip(one, other, strict=True))
