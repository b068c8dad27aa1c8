"""A transformer block whose projections are sparse and whose feed-forward lets few units win.

    h = x + O attention(Q n(x), K n(x), V n(x))            attention : softmax(q k' / sqrt(d)) v, head by head
    y = h + D winners(U n(h))                              n : layer norm

(A. Vaswani et al. 2017, "Attention is all you need", arXiv:1706.03762, with the norm ahead of each part as R. Xiong et
al. 2020, arXiv:2002.04745.) Q, K, V, O, U and D are sparse layers: of their weights only those of a mask exist. Of the
hidden units the k most strongly driven stay active, those above 0, so that D multiplies only weights that exist, of
units that won; without k every unit above 0 wins, which is a ReLU. Attention itself is torch's, and dense.

One density for all layers is one choice; another gives small layers a larger share, d_l proportional to

    (inputs + outputs) / (inputs x outputs),    at most 1, all together of the density asked for

(Erdős–Rényi, D. C. Mocanu et al. 2018, Nature Communications 9:2383; U. Evci et al. 2020, arXiv:1911.11134).
"""

from collections.abc import Mapping

import torch.nn.functional as F
from torch import Tensor, nn

from . import counters
from .linear import SparseLinear
from .winners import Active, select

PARTS = ("q", "k", "v", "out", "up", "down")
"""Names of the sparse layers of a block."""
Shape = tuple[int, int]


def block_shapes(width: int, hidden: int, inner: int | None = None) -> dict[str, Shape]:
    """(inputs, outputs) of the layers of a block; inner : units of all heads together, by default the width."""
    inner = width if inner is None else inner
    ends = ((width, inner),) * 3 + ((inner, width), (width, hidden), (hidden, width))
    return dict(zip(PARTS, ends, strict=True))


def erdos_renyi(shapes: Mapping[str, Shape], density: float) -> dict[str, float]:
    """The density of each of the layers, all their weights together being of `density`.

    Raises ValueError for a density outside (0, 1].
    """
    if not 0.0 < density <= 1.0:
        raise ValueError(f"density must be in (0, 1], but is {density}, for layers of shapes {dict(shapes)}")
    room, open_, scale = density * sum(a * b for a, b in shapes.values()), dict(shapes), 0.0
    while open_:
        scale = room / sum(a + b for a, b in open_.values())
        full = [name for name, (a, b) in open_.items() if scale * (a + b) >= a * b]
        if not full:
            break
        for name in full:
            a, b = open_.pop(name)
            room -= a * b
    return {name: scale * (a + b) / (a * b) if name in open_ else 1.0 for name, (a, b) in shapes.items()}


def attend(q: Tensor, k: Tensor, v: Tensor, heads: int, causal: bool = True) -> Tensor:
    """Attention of every head, side by side. q, k, v and the result : (..., t, heads x d).

    causal : a row attends to itself and rows before. Counted are all t x t pairs, though a causal mask needs half.
    Raises ValueError for shapes that differ, and units that heads don't divide.
    """
    if not q.shape == k.shape == v.shape or q.ndim < 2 or heads < 1 or q.shape[-1] % heads:
        raise ValueError(
            f"{heads} heads take q, k, v of one shape (..., t, heads x d), but the shapes are {tuple(q.shape)}, "
            f"{tuple(k.shape)} and {tuple(v.shape)}"
        )
    if counters.LISTENERS:
        rows, time, units = q.shape[:-1].numel(), q.shape[-2], q.shape[-1]
        work = rows, rows * units, units, 2 * rows * time * units, units
        counters.note_product("attention", *work, (q.element_size(), 0))
    one, two, three = (part.unflatten(-1, (heads, -1)).transpose(-2, -3) for part in (q, k, v))
    return F.scaled_dot_product_attention(one, two, three, is_causal=causal).transpose(-2, -3).flatten(-2)


def fire(drive: Tensor, winners: int | None) -> Tensor | Active:
    """The hidden units after a drive (..., hidden): so many winners above 0, or all above 0. Raises as `select`."""
    return drive.relu() if winners is None else select(drive, winners, floor=0.0)


class SparseTransformerBlock(nn.Module):
    """(batch, time, width) -> the same, causal by default.

    heads : of attention; inner : units of all heads together, by default the width; hidden : units of the feed-forward
    density : of the weights of all layers, or of each by name (`PARTS`), see `erdos_renyi`
    winners : hidden units that stay active; None : all above 0
    format, mask : of the sparse layers, as in SparseLinear; seed : of masks and weights, each layer its own

    Raises ValueError for sizes and densities that don't fit.
    """

    def __init__(
        self, width: int, heads: int, hidden: int, density: float | Mapping[str, float], format: str = "auto", *,
        inner: int | None = None, winners: int | None = None, mask: str | None = None, causal: bool = True,
        seed: int = 0,
    ) -> None:  # fmt: skip
        super().__init__()
        shapes = block_shapes(width, hidden, inner)
        densities = _densities(density, shapes)
        _check_sizes(shapes, heads, winners)
        layers = {
            name: SparseLinear(*shapes[name], densities[name], format, mask=mask, seed=len(PARTS) * seed + place)
            for place, name in enumerate(PARTS)
        }
        self.q, self.k, self.v, self.out, self.up, self.down = (layers[name] for name in PARTS)
        self.before_attention, self.before_feed = nn.LayerNorm(width), nn.LayerNorm(width)
        self.heads, self.winners, self.causal = heads, winners, causal

    def forward(self, x: Tensor) -> Tensor:
        """x : (batch, time, width). Raises ValueError for another shape."""
        width = self.q.in_features
        if x.ndim != 3 or x.shape[-1] != width or not x.shape[1]:
            raise ValueError(f"a block of width {width} takes (batch, time, {width}), but x is {tuple(x.shape)}")
        given = self.before_attention(x)
        x = x + self.out(attend(self.q(given), self.k(given), self.v(given), self.heads, self.causal))
        return x + self.down(fire(self.up(self.before_feed(x)), self.winners))

    def sparse_layers(self) -> dict[str, SparseLinear]:
        """The layers by name, for the rules of `rewiring`."""
        return {name: getattr(self, name) for name in PARTS}

    @property
    def density(self) -> float:
        """Share of the weights of all layers that exist."""
        layers = self.sparse_layers().values()
        exist = sum(layer.density * layer.in_features * layer.out_features for layer in layers)
        return exist / sum(layer.in_features * layer.out_features for layer in layers)

    def extra_repr(self) -> str:
        """What print shows."""
        return f"heads={self.heads}, winners={self.winners}, causal={self.causal}, density={self.density:.4g}"


def _densities(density: float | Mapping[str, float], shapes: Mapping[str, Shape]) -> dict[str, float]:
    if not isinstance(density, Mapping):
        return dict.fromkeys(PARTS, density)
    if set(density) != set(PARTS):
        raise ValueError(
            f"densities by layer must name {', '.join(PARTS)}, whose shapes are {dict(shapes)}, but they name "
            f"{', '.join(density)}"
        )
    return dict(density)


def _check_sizes(shapes: Mapping[str, Shape], heads: int, winners: int | None) -> None:
    (width, inner), (_, hidden) = shapes["q"], shapes["up"]
    if min(width, inner, hidden, heads) < 1 or inner % heads:
        raise ValueError(
            f"needs sizes of at least 1 and heads that divide the inner units, but width, inner, hidden and heads are "
            f"{width, inner, hidden, heads}; take inner={-(-max(inner, 1) // max(heads, 1)) * max(heads, 1)}"
        )
    if winners is not None and not 1 <= winners <= hidden:
        raise ValueError(
            f"winners must be 1 ... {hidden}, the hidden units, but are {winners}; or None for all above 0"
        )
