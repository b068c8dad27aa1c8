"""The language models of benchmarks/sparse_wikitext.py, and how they learn.

Words and places are embedded densely, transformer blocks follow, and the same embedding asks for the next word (O.
Press, L. Wolf 2017, "Using the output embedding to improve language models", arXiv:1608.05859). Everything that is
sparse is in the blocks: all projections and the feed-forward.
"""

import copy
import math
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from time import thread_time
from typing import Any

import torch
import torch.nn.functional as F
from sparse_wikitext_text import Text, batches, windows
from torch import Tensor, nn

from cortical.columns.layers.connectivity import cosine_share, pruning_density
from cortical.columns.layers.linear import SparseLinear
from cortical.columns.layers.rewiring import adopt, evolve_random, prune, rigl, watching
from cortical.columns.layers.transformer import SparseTransformerBlock, block_shapes, erdos_renyi

TURNS_END = 0.75
"""Connectivity stays as it is for the last quarter of the steps."""


@dataclass(frozen=True)
class Settings:
    """Sizes, in units of the dense model, and how it learns."""

    words: int
    steps: int
    width: int = 160
    heads: int = 4
    layers: int = 2
    context: int = 64
    batch: int = 8
    rate: float = 8e-3
    every: int = 50
    share: float = 0.3
    warm: float = 0.05
    validate: int = 8
    validation_tokens: int = 32768


@dataclass(frozen=True)
class Method:
    """What a row of the table is.

    density : of the weights of the blocks; rule : how connectivity is learnt, "static", "set", "rigl" or "prune"
    inner : units of heads and feed-forward, of those of the dense model; winners : share of the hidden units that stay
    active, None : all above 0; by_size : densities by the sizes of layers (Erdős–Rényi), not one for all
    share : of the weights, replaced at the first turns, None : that of the settings; looks : batches whose gradients
    say what grows
    """

    density: float = 1.0
    rule: str = "static"
    inner: float = 1.0
    winners: float | None = None
    by_size: bool = False
    share: float | None = None
    looks: int = 1


class Net(nn.Module):
    """tokens (b, t), t at most the context, to the logits of the next word, (b, t, words)."""

    def __init__(self, settings: Settings, method: Method, seed: int) -> None:
        super().__init__()
        width, generator = settings.width, torch.Generator().manual_seed(seed)
        self.words = nn.Parameter(0.05 * torch.randn(settings.words, width, generator=generator))
        self.places = nn.Parameter(0.1 * torch.randn(settings.context, width, generator=generator))
        self.blocks = nn.ModuleList(
            _block(settings, method, settings.layers * seed + i) for i in range(settings.layers)
        )
        self.norm = nn.LayerNorm(width)

    def forward(self, tokens: Tensor) -> Tensor:
        return F.linear(self.states(tokens), self.words)

    def states(self, tokens: Tensor) -> Tensor:
        """What the blocks make of the tokens, (b, t, width)."""
        h = F.embedding(tokens, self.words) * self.words.shape[1] ** 0.5 + self.places[: tokens.shape[1]]
        for block in self.blocks:
            h = block(h)
        return self.norm(h)

    def sparse_layers(self) -> dict[str, SparseLinear]:
        """All sparse layers by their names in the state."""
        blocks = (block for block in self.blocks if isinstance(block, SparseTransformerBlock))
        parts = ((i, name, part) for i, block in enumerate(blocks) for name, part in block.sparse_layers().items())
        return {f"blocks.{i}.{name}": part for i, name, part in parts}

    def weights(self) -> int:
        """Weights of the blocks that exist, biases and norms apart."""
        return sum(len(layer.weight) for layer in self.sparse_layers().values())

    def density(self) -> float:
        """Share of them."""
        return self.weights() / sum(part.in_features * part.out_features for part in self.sparse_layers().values())


def _sizes(settings: Settings, method: Method) -> tuple[int, int]:
    """Inner units of attention and hidden ones of the feed-forward."""
    return round(settings.width * method.inner), round(4 * settings.width * method.inner)


def final_densities(settings: Settings, method: Method) -> dict[str, float]:
    """The density of each layer of a block when all is learnt."""
    inner, hidden = _sizes(settings, method)
    shapes = block_shapes(settings.width, hidden, inner)
    return erdos_renyi(shapes, method.density) if method.by_size else dict.fromkeys(shapes, method.density)


def wanted_weights(settings: Settings, method: Method) -> float:
    """Of all blocks, when all is learnt."""
    inner, hidden = _sizes(settings, method)
    shapes, density = block_shapes(settings.width, hidden, inner), final_densities(settings, method)
    return settings.layers * sum(density[name] * a * b for name, (a, b) in shapes.items())


def _block(settings: Settings, method: Method, seed: int) -> SparseTransformerBlock:
    inner, hidden = _sizes(settings, method)
    density = 1.0 if method.rule == "prune" else final_densities(settings, method)
    winners = None if method.winners is None else round(method.winners * hidden)
    return SparseTransformerBlock(
        settings.width, settings.heads, hidden, density, inner=inner, winners=winners, mask="random", seed=seed
    )


def restored(settings: Settings, method: Method, seed: int, state: dict[str, Tensor]) -> Net:
    """A model that was learnt."""
    net = Net(settings, method, seed)
    for name, layer in net.sparse_layers().items():
        adopt(layer, state, f"{name}.")
    net.load_state_dict(state)
    return net.eval()


@torch.no_grad()
def losses(net: Net, tokens: Tensor, context: int) -> Tensor:
    """The mean negative log-likelihood of each window, (n,) float64; every token but the first is asked for once, after
    at most `context` others of its own window."""
    found = []
    for part in windows(tokens, context).split(32):
        logits = net(part[:, :-1]).mT
        found.append(F.cross_entropy(logits, part[:, 1:], reduction="none").double().mean(1))
    return torch.cat(found)


def perplexity(net: Net, tokens: Tensor, context: int) -> float:
    """exp of the mean of them."""
    return math.exp(min(float(losses(net, tokens, context).mean()), 50.0))


def rate_at(step: int, settings: Settings) -> float:
    """Of the learning rate: linear up, then half a cosine down to a tenth."""
    warm = max(round(settings.warm * settings.steps), 1)
    if step < warm:
        return (step + 1) / warm
    done = (step - warm) / max(settings.steps - warm, 1)
    return 0.1 + 0.45 * (1.0 + math.cos(math.pi * done))


def train(
    method: Method, settings: Settings, seed: int, rate: float, text: Text, say: Callable[[], object]
) -> tuple[Net, dict[str, Any]]:
    """The model of the step that validates best, and how it came about; say : called after every step.

    rate : of the blocks' weights; all else learns at the settings' rate. The order of the windows depends on the seed
    alone. Models that are pruned count from where they are sparse enough.
    """
    net, chance = Net(settings, method, seed), torch.Generator().manual_seed(1000 + seed)
    optimizer = torch.optim.Adam(_groups(net, settings.rate, rate), betas=(0.9, 0.99))
    order = batches(text.train, settings.context, settings.batch, torch.Generator().manual_seed(seed))
    wanted = wanted_weights(settings, method)
    best, curve, held, turnover, spent = copy.deepcopy(net), [], {}, 0.0, 0.0
    for step in range(settings.steps):
        began = thread_time()
        for group in optimizer.param_groups:
            group["lr"] = group["most"] * rate_at(step, settings)
        turnover += _step(net, optimizer, next(order), method, settings, step, chance, held)
        spent += thread_time() - began
        say()
        if (step + 1) % max(settings.steps // settings.validate, 1) == 0:
            found = perplexity(net, text.validation[: settings.validation_tokens + 1], settings.context)
            curve.append({"step": step + 1, "validation": found, "weights": net.weights()})
            if found == min(point["validation"] for point in _eligible(curve, wanted) or [{"validation": 0.0}]):
                best = copy.deepcopy(net)
    chosen = min(_eligible(curve, wanted), key=lambda point: point["validation"])
    return best.eval(), {
        "validation": chosen["validation"], "step": chosen["step"], "curve": curve, "turnover": turnover,
        "weights": best.weights(), "density": best.density(), "training_seconds": spent,
    }  # fmt: skip


def _groups(net: Net, rate: float, weights_rate: float) -> list[dict[str, Any]]:
    """Words, places, norms and biases; the weights of the blocks."""
    weights = [layer.weight for layer in net.sparse_layers().values()]
    own = {id(weight) for weight in weights}
    rest = [part for part in net.parameters() if id(part) not in own]
    return [{"params": rest, "most": rate}, {"params": weights, "most": weights_rate}]


def _eligible(curve: list[dict[str, Any]], wanted: float) -> list[dict[str, Any]]:
    return [point for point in curve if point["weights"] <= 1.05 * wanted]  # fan-in is whole, so nearly


def _step(
    net: Net, optimizer: torch.optim.Optimizer, batch: Tensor, method: Method, settings: Settings, step: int,
    chance: torch.Generator, held: dict[str, Tensor],
) -> float:  # fmt: skip
    """One step of descent, and of connectivity where it is its turn. Returns the mean turnover of the layers.

    held : dense gradients of the looks before the turn, brought up to date
    """
    end, until = int(TURNS_END * settings.steps), settings.every - 1 - step % settings.every
    learns = method.rule != "static" and step + until < end
    layers = net.sparse_layers()
    with ExitStack() as stack:
        watched = layers if learns and method.rule == "rigl" and until < method.looks else {}
        seen = {name: stack.enter_context(watching(layer)) for name, layer in watched.items()}
        loss = F.cross_entropy(net(batch[:, :-1]).flatten(0, 1), batch[:, 1:].flatten())
        optimizer.zero_grad()
        loss.backward()
    nn.utils.clip_grad_norm_(net.parameters(), 1.0)
    optimizer.step()
    for name, given in seen.items():
        held[name] = given.gradient() + held.get(name, 0.0)
    return _turn(layers, optimizer, method, settings, step, chance, held) if learns and not until else 0.0


def _turn(
    layers: dict[str, SparseLinear], optimizer: torch.optim.Optimizer, method: Method, settings: Settings, step: int,
    chance: torch.Generator, held: dict[str, Tensor],
) -> float:  # fmt: skip
    """Connectivity changes once in all layers; the last turn of pruning is the one that reaches the density asked for.
    Returns their mean turnover."""
    end, final = int(TURNS_END * settings.steps), final_densities(settings, method)
    share = cosine_share(step, end, settings.share if method.share is None else method.share)
    changes = []
    for name, layer in layers.items():
        if method.rule == "rigl":
            changes.append(rigl(layer, held.pop(name), share, optimizer))
        elif method.rule == "set":
            changes.append(evolve_random(layer, chance, share, optimizer))
        else:
            density = pruning_density(step, end - settings.every, final[name.split(".")[-1]])
            changes.append(prune(layer, density, optimizer))
    return sum(change.turnover for change in changes) / len(changes)
