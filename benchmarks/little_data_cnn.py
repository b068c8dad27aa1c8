"""Small convolutional networks that learn the same objects from the same few views, to compare columns with.

Two of them. One sees the patches that the columns learn from, 8 x 8 pixels of colour and of points in space, and adds
up the log probabilities of the patches of an episode: the very sensations that the column had. The other sees whole
pictures, 32 x 32, and is given more than the column: the object in the middle, filling the picture, segmented, from
every bearing that the column's eye had. Both learn with all that helped in a try (LOG.md): turned, zoomed and
stretched copies, pictures also drawn again as seen from beside, the noise of the test as a further change of colour,
dropout, weight decay, a falling step size.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from cortical.envs.bodies import looking
from cortical.envs.mesh import Mesh
from cortical.envs.noise import COLOUR
from cortical.envs.record import ray_directions
from cortical.envs.retina import Retina

PIXELS = 32  # of a picture
FAR = 0.6  # metres from which pictures are taken
CHANNELS = 7  # red, green, blue, x, y, z, seen
POINT = {"patch": 0.01, "picture": 0.05}  # metres that count as 1
BATCH = {"patch": 256, "picture": 128}
MOST_TILT = 0.6  # radians by which a picture is turned out of its plane while learning
TURNS = 4  # of every input at test


@dataclass(frozen=True)
class Examples:
    """What a network learns from.

    image : (m, 7, n, n) float32, as `inputs` makes it
    label : (m,) int64
    """

    image: Tensor
    label: Tensor


def inputs(patch: np.ndarray, unit: float) -> Tensor:
    """Images (m, 7, n, n) from patches (m, n, n, 6) as in `record.Record`: colour, points about their middle in
    `unit` metres, and which pixels show the object."""
    value = torch.from_numpy(np.asarray(patch, np.float32)).permute(0, 3, 1, 2)
    seen = (value[:, 5:6] != 0).float()
    middle = (value[:, 3:] * seen).sum((2, 3), keepdim=True) / seen.sum((2, 3), keepdim=True).clamp(min=1)
    point = ((value[:, 3:] - middle) / unit).clamp(-6, 6) * seen
    return torch.cat([value[:, :3] * seen, point, seen], 1)


def pictures(mesh: Mesh, bearings: np.ndarray, gain: np.ndarray | float = 1.0) -> np.ndarray:
    """An object from bearings (m, 3), object frame, so that it fills the picture: (m, n, n, 6) as patches are.

    gain : of the light, (3,) or a number
    """
    reach = float(np.linalg.norm(mesh.vertices, axis=1).max())
    retina = Retina([mesh], PIXELS, 2.0 * float(np.arcsin(min(0.9, reach / FAR))))
    turn = np.array([looking(-bearing) for bearing in bearings])
    count = len(bearings)
    still = np.zeros((count, 3)), np.tile(np.eye(3), (count, 1, 1))
    images = retina.sense_images(np.zeros(count, np.int64), *still, FAR * bearings, turn)
    points = ray_directions(PIXELS, retina.field_of_view) * images.depth[..., None]
    colour = np.clip(images.rgb * np.float32(gain), 0.0, 1.0)
    return np.concatenate([colour, points], -1) * images.on_object[..., None]


def changed(image: Tensor, random: torch.Generator, least: float = 0.6, most: float = 1.1) -> Tensor:
    """Images (m, 7, n, n) turned, zoomed, stretched and shifted at random, their colours as noisy as at the test."""
    count = len(image)
    draw = torch.rand(count, 6, generator=random)
    zoom = least * (most / least) ** draw[:, 1]
    stretch = 1.0 - 0.25 * draw[:, 2]
    turn, across = 2 * torch.pi * draw[:, 0], torch.pi * draw[:, 3]
    squeeze = _turns(across) @ torch.diag_embed(torch.stack([stretch, 1 / stretch], 1)) @ _turns(-across)
    shift = 0.3 * (draw[:, 4:6] - 0.5)
    return recoloured(_sampled(image, turn, zoom, squeeze, shift), random)


def tilted(image: Tensor, random: torch.Generator, most: float = MOST_TILT) -> Tensor:
    """Images (m, 7, n, n) as seen from up to `most` radians beside: their points are turned and drawn again, the
    nearest in front, and small gaps filled."""
    count, _, pixels, _ = image.shape
    draw = torch.rand(count, 2, generator=random)
    way, angle = 2 * torch.pi * draw[:, 0], most * draw[:, 1]
    axis = torch.stack([way.cos(), way.sin(), torch.zeros(count)], 1) * angle[:, None]
    cross = torch.linalg.cross(axis[:, None].expand(count, 3, 3), torch.eye(3).expand(count, 3, 3))
    turn = torch.matrix_exp(cross)
    flat = image.flatten(2)
    point, seen = flat[:, 3:6], flat[:, 6]
    moved = turn @ point
    row, column = torch.meshgrid(torch.arange(float(pixels)), torch.arange(float(pixels)), indexing="ij")
    place = torch.stack([column.flatten(), row.flatten()])
    middle = (place * seen[:, None]).sum(2, keepdim=True) / seen.sum(1).clamp(min=1)[:, None, None]
    apart = (place - middle) * seen[:, None]
    scale = (apart * point[:, :2]).sum((1, 2)) / (apart**2).sum((1, 2)).clamp(min=1e-6)
    to = (place + (moved - point)[:, :2] / scale.clamp(min=1e-6)[:, None, None]).round()
    there = (seen > 0) & ((to >= 0) & (to < pixels)).all(1)
    cell = torch.where(there, to[:, 1] * pixels + to[:, 0], pixels**2).long()
    depth = torch.full((count, pixels**2 + 1), torch.inf).scatter_reduce(1, cell, moved[:, 2], "amin")
    cell = torch.where(moved[:, 2] <= depth.gather(1, cell), cell, pixels**2)
    value = torch.cat([flat[:, :3], moved, flat[:, 6:]], 1)
    drawn = torch.zeros(count, CHANNELS, pixels**2 + 1).scatter(2, cell[:, None].expand_as(value), value)
    drawn = drawn[:, :, :-1].reshape(image.shape)
    around = F.avg_pool2d(drawn, 3, 1, 1)
    gap = (drawn[:, 6:] == 0) & (around[:, 6:] > 0.5)
    return torch.where(gap, around / around[:, 6:].clamp(min=1e-6), drawn)


def recoloured(image: Tensor, random: torch.Generator) -> Tensor:
    """Images with the noise of hue, saturation and value that `envs.noise` draws for a sensation."""
    offset = COLOUR * torch.randn(3, len(image), 1, 1, generator=random)
    hue, saturation, value = _hsv(image[:, :3])
    hue = (hue + offset[0]) % 1.0
    saturation, value = (saturation + offset[1]).clamp(0, 1), (value + offset[2]).clamp(0, 1)
    k = (torch.tensor([5.0, 3.0, 1.0])[:, None, None] + 6 * hue[:, None]) % 6
    rgb = value[:, None] * (1 - saturation[:, None] * torch.minimum(k, 4 - k).clamp(0, 1))
    return torch.cat([rgb * image[:, 6:], image[:, 3:]], 1)


def _hsv(rgb: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    value, which = rgb.max(1)
    chroma = value - rgb.min(1).values
    red, green, blue = rgb.unbind(1)
    some = chroma.clamp(min=1e-6)
    hue = torch.stack([(green - blue) / some, 2 + (blue - red) / some, 4 + (red - green) / some], 1)
    hue = hue.gather(1, which[:, None])[:, 0] / 6 % 1.0
    return torch.where(chroma > 1e-6, hue, 0.0), chroma / value.clamp(min=1e-6), value


def _turns(angle: Tensor) -> Tensor:
    cosine, sine = angle.cos(), angle.sin()
    return torch.stack([torch.stack([cosine, -sine], 1), torch.stack([sine, cosine], 1)], 1)


def _sampled(image: Tensor, turn: Tensor, zoom: Tensor, squeeze: Tensor, shift: Tensor) -> Tensor:
    """The images seen by a camera that is turned (m,), by a pixel grid that is zoomed (m,), squeezed (m, 2, 2) and
    shifted (m, 2); points turn with the image."""
    rotation = _turns(turn)
    grid = F.affine_grid(
        torch.cat([zoom[:, None, None] * squeeze @ rotation, shift[:, :, None]], 2),
        list(image.shape),
        align_corners=False,
    )
    found = F.grid_sample(image, grid, align_corners=False)
    flat = torch.einsum("mji,mjhw->mihw", rotation, found[:, 3:5])
    return torch.cat([found[:, :3], flat, found[:, 5:]], 1) * within(image.shape[-1])


def within(pixels: int) -> Tensor:
    """(n, n): 1 in the circle that a square image keeps however it is turned."""
    line = (torch.arange(pixels) + 0.5) / pixels * 2 - 1
    return ((line[:, None] ** 2 + line**2) < 1.02).float()


def network(kind: str, classes: int) -> nn.Module:
    """A small convolutional network."""

    def block(before: int, after: int, stride: int) -> list[nn.Module]:
        return [nn.Conv2d(before, after, 3, stride, 1, bias=False), nn.BatchNorm2d(after), nn.ReLU()]

    if kind == "patch":
        layers = [*block(CHANNELS, 32, 1), *block(32, 64, 2), *block(64, 128, 2)]
        return nn.Sequential(*layers, nn.Flatten(), nn.Dropout(0.3), nn.Linear(128 * 4, classes))
    layers = [*block(CHANNELS, 32, 2), *block(32, 64, 2), *block(64, 128, 2), *block(128, 192, 1)]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(0.3), nn.Linear(192, classes))


def trained(kind: str, examples: Examples, classes: int, steps: int, seed: int) -> nn.Module:
    """A network that has learnt the examples, every object as often as the others."""
    torch.manual_seed(seed)
    random = torch.Generator().manual_seed(seed)
    model = network(kind, classes).train()
    ways = torch.optim.AdamW(model.parameters(), lr=3e-3, weight_decay=0.05)
    plan = torch.optim.lr_scheduler.OneCycleLR(ways, 4e-3, total_steps=steps)
    weight = 1.0 / torch.bincount(examples.label, minlength=classes).clamp(min=1)[examples.label].double()
    for _ in range(steps):
        chosen = torch.multinomial(weight, BATCH[kind], replacement=True, generator=random)
        image = examples.image[chosen]
        image = changed(tilted(image, random) if kind == "picture" else image, random)
        loss = F.cross_entropy(model(image), examples.label[chosen], label_smoothing=0.05)
        ways.zero_grad()
        loss.backward()
        ways.step()
        plan.step()
    return model.eval()


@torch.no_grad()
def log_probability(model: nn.Module, image: Tensor) -> Tensor:
    """(m, classes) for images (m, 7, n, n), as a mean over turned copies; 0 where an image shows nothing."""
    shows = image[:, 6].sum((1, 2)) > 0
    total = torch.zeros(len(image), 1)
    still = torch.eye(2).expand(len(image), 2, 2), torch.zeros(len(image), 2)
    for k in range(TURNS):
        angle = torch.full((len(image),), 2 * torch.pi * k / TURNS)
        total = total + model(_sampled(image, angle, torch.ones(len(image)), *still)).log_softmax(1)
    return total / TURNS * shows[:, None]


def stacked(parts: Sequence[np.ndarray], unit: float) -> Examples:
    """Examples from patches or pictures (m, n, n, 6) of each object in turn."""
    label = np.concatenate([np.full(len(part), k) for k, part in enumerate(parts)])
    return Examples(inputs(np.concatenate(parts), unit), torch.from_numpy(label))
