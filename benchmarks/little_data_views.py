"""From where an object is looked at when there are few views, and what is learnt from them.

The views are nested. The first eight are the corners of a cube, each as far as can be from those before it; then come
the faces of the cube, which makes the 14 views of the README's rules; the rest fill the gaps. All views of an object
are scanned once: what is kept is the map after 1, 2, 4, 8, 14, 32 of them and, for the network that learns the same,
the patches that the eye saw.
"""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from cortical.agents.brain import stored_schema
from cortical.agents.learning import Learner, learning_eye, views
from cortical.agents.records import RunFolder
from cortical.agents.sensing import Senses
from cortical.columns.messages import Sensation
from cortical.columns.object_map import ObjectMap
from cortical.configs.schema import Experiment, WorldConfig
from cortical.envs.explore import ObjectExploreEnv

COUNTS = (1, 2, 4, 8, 14, 32)
FACE = "face"  # besides: one view, straight at a face, from which a box shows one side instead of three
KEPT_A_VIEW = 200  # patches; neighbours overlap by 84 %
LEAST_SEEN = 0.1  # share of a patch's pixels that must show the object


def bearings(count: int = COUNTS[-1]) -> np.ndarray:
    """The first `count` views, (count, 3) unit, object frame: corners, faces, then whatever is farthest from all."""
    faces, corners = views()[:6], views()[6:]
    chosen = [corners[0]]
    around = np.concatenate([corners, faces, sphere(10_000)])
    for end, among in ((8, corners), (14, faces), (count, around)):
        while len(chosen) < end:
            apart = (among @ np.array(chosen).T).max(1).round(9)
            chosen.append(among[np.argmin(apart)])
    return np.array(chosen)[:count]


def sphere(count: int) -> np.ndarray:
    """Directions spread evenly, (count, 3), along a spiral (Fibonacci's)."""
    z = 1.0 - (2.0 * np.arange(count) + 1.0) / count
    angle, radius = np.arange(count) * math.pi * (3.0 - math.sqrt(5.0)), np.sqrt(1.0 - z * z)
    return np.stack([radius * np.cos(angle), radius * np.sin(angle), z], 1)


class Watching(Senses):
    """Senses that also keep the patches they were shown, (k, n, n, 6) as in `record.Record`."""

    def __init__(self) -> None:
        super().__init__(coded=False, textured=True)
        self.patches: list[np.ndarray] = []

    def __call__(self, observation: Mapping[str, np.ndarray]) -> Sensation:
        """The sensation (1, C)."""
        self.patches.append(observation["patch"])
        return super().__call__(observation)


class FewViews:
    """Learns objects from nested views and keeps maps, counts of readings and patches in a folder."""

    def __init__(self, experiment: Experiment, root: Path) -> None:
        self.experiment, self.root, self.schema = experiment, root, stored_schema(experiment)
        self._learner: Learner | None = None

    def folder(self, stage: int | str) -> RunFolder:
        """Where the maps from so many views, or from a face, are."""
        return RunFolder.for_maps(self.root / f"views-{stage}", self.experiment)

    def maps(self, stage: int | str, names: Sequence[str]) -> dict[str, ObjectMap]:
        """Maps from so many views, without those of objects of which nothing was seen (the middle of a lid seen
        aslant is empty); KeyError where one wasn't learnt."""
        found = {name: self.folder(stage).load_map(name, self.schema) for name in names}
        if missing := [name for name, known in found.items() if known is None]:
            raise KeyError(f"no map of {missing[0]} in {self.root}: call learn(name) first")
        return {name: known for name, known in found.items() if known is not None and len(known)}

    def patches(self, name: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Patches (p, n, n, 6) float16, which view each is of (p,), and readings taken from each view (v,)."""
        with np.load(self.root / "patches" / f"{name}.npz") as kept:
            return kept["patch"], kept["view"], kept["readings"]

    def learn(self, name: str) -> bool:
        """Learn an object from all views unless it was; whether there was something to learn."""
        if (self.root / "patches" / f"{name}.npz").is_file():
            return False
        learner = self._learner = self._learner or self._new()
        random = np.random.default_rng([2024, *name.encode()])
        patches, view, readings = [], [], []
        known = self._empty()
        for k, bearing in enumerate(bearings()):
            known, seen, taken = self._look(learner, name, bearing, known)
            chosen = np.sort(random.permutation(len(seen))[:KEPT_A_VIEW])
            patches.append(seen[chosen])
            view.append(np.full(len(chosen), k, np.int16))
            readings.append(taken)
            if k + 1 in COUNTS:
                self.folder(k + 1).save_map(name, known, self.schema)
        face, _, _ = self._look(learner, name, views()[0], self._empty())
        self.folder(FACE).save_map(name, face, self.schema)
        file = self.root / "patches" / f"{name}.npz"
        file.parent.mkdir(parents=True, exist_ok=True)
        with open(file.with_suffix(".part"), "wb") as half:
            np.savez_compressed(
                half, patch=np.concatenate(patches), view=np.concatenate(view), readings=np.array(readings)
            )
        file.with_suffix(".part").rename(file)
        return True

    def _look(
        self, learner: Learner, name: str, bearing: np.ndarray, known: ObjectMap
    ) -> tuple[ObjectMap, np.ndarray, int]:
        """The map after one more view, the patches that showed something, and the readings that it took."""
        watching, before = learner.senses, learner.readings
        assert isinstance(watching, Watching)
        watching.patches.clear()
        known = learner.add_view(known, name, bearing)
        seen = np.concatenate(watching.patches)
        shows = (seen[..., 5] != 0).mean((1, 2)) > LEAST_SEEN
        return known, seen[shows].astype(np.float16), learner.readings - before

    def _empty(self) -> ObjectMap:
        return ObjectMap.empty(self.experiment.column.node_spacing, 0)

    def _new(self) -> Learner:
        """A learner whose eye hands on its patches too."""
        learner = Learner(self.experiment)
        learner.senses = Watching()
        world = WorldConfig(objects=self.experiment.world.objects)
        learner.env.close()
        learner.env = ObjectExploreEnv.from_config(world, learning_eye(self.experiment), obs_mode="both")
        return learner
