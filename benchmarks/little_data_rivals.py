"""The networks of `little_data_cnn` at the same task: they learn from so many views, then name the objects of the
episodes that a column went through, from what its eye met.

Each is asked three times an episode: after the first sensation, after those that the column decided by, and after 30.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import little_data_cnn as cnn
import numpy as np
import torch
from little_data_views import FewViews, bearings
from torch import Tensor, nn

from cortical.columns.storage import write_whole
from cortical.envs.sensors import shared_catalogue

KINDS = ("patch", "picture")
LOOKS = 12  # pictures an answer rests on at most, evenly spread over the sensations
Row = dict[str, Any]


@dataclass(frozen=True)
class Episode:
    """What a column's eye met: patches (t, n, n, 6), bearings (t, 3) in the object frame, the gain of the light."""

    row: Row
    patch: np.ndarray
    bearing: np.ndarray
    gain: np.ndarray

    @property
    def ends(self) -> dict[str, int]:
        """After how many sensations it is asked."""
        return {"first": 1, "end": self.row["sensations"], "after_30": min(30, len(self.patch))}


def compete(
    few: FewViews, names: tuple[str, ...], count: int, episodes: Sequence[Episode], steps: int, file: Path
) -> list[Row]:
    """The answers of both networks, and of both together, to each episode; kept in a file, and read if it is there."""
    if file.is_file():
        return json.loads(file.read_text())
    torch.set_num_threads(1)
    models = {kind: cnn.trained(kind, examples(kind, few, names, count), len(names), steps, count) for kind in KINDS}
    found = [answers(models, few, names, episode) for episode in episodes]
    write_whole(file, json.dumps(found).encode())
    return found


def examples(kind: str, few: FewViews, names: Sequence[str], count: int) -> cnn.Examples:
    """What a network learns from: the patches, or the pictures, of the first views."""
    if kind == "picture":
        catalogue = shared_catalogue(few.experiment.world.objects)
        return cnn.stacked([cnn.pictures(catalogue.mesh(name), bearings(count)) for name in names], cnn.POINT[kind])
    kept = [few.patches(name) for name in names]
    return cnn.stacked([patch[view < count] for patch, view, _ in kept], cnn.POINT[kind])


def answers(models: dict[str, nn.Module], few: FewViews, names: Sequence[str], episode: Episode) -> Row:
    """Names by kind of network and by when it is asked."""
    seed = [few.experiment.seed, episode.row["seed"], episode.row["rotation_index"], *episode.row["object"].encode()]
    random = torch.Generator().manual_seed(int(np.random.SeedSequence(seed).generate_state(1)[0]))
    seen = cnn.log_probability(models["patch"], cnn.inputs(episode.patch, cnn.POINT["patch"]))
    found: dict[str, dict[str, str]] = {kind: {} for kind in (*KINDS, "both")}
    for when, end in episode.ends.items():
        looks = np.unique(np.linspace(0, end - 1, min(end, LOOKS)).round().astype(int))
        mesh = shared_catalogue(few.experiment.world.objects).mesh(episode.row["object"])
        pictures = cnn.pictures(mesh, episode.bearing[looks], episode.gain)
        image = cnn.recoloured(cnn.inputs(pictures, cnn.POINT["picture"]), random)
        sums = {"patch": seen[:end].sum(0), "picture": cnn.log_probability(models["picture"], image).sum(0)}
        for kind, total in (sums | {"both": _together(sums)}).items():
            found[kind][when] = names[int(total.argmax())]
    return found


def _together(sums: dict[str, Tensor]) -> Tensor:
    """Both networks' sums, each as sure as it is on the whole."""
    total = torch.zeros(())
    for one in sums.values():
        total = total + one / one.std().clamp(min=1e-6)
    return total
