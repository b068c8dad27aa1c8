"""Learning an object by moving over it: 14 views, each scanned outwards from the middle, or freely.

The eye carries a square of patches; all columns feed one map. In every view the gaze starts at the object's middle
and spreads to those neighbouring fixations where something was still seen, so it follows the object's outline
whatever its size. Where `learn.movement` says so, the eye starts anywhere and goes where `learning_movements` sends
it. Label and pose are given; nothing is taken from the mesh.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import islice

import numpy as np
import torch

from cortical.columns.layers import PatchEncoder
from cortical.columns.layers.code_learning import LearningRates, Looks
from cortical.columns.layers.code_learning import learn as learn_code
from cortical.columns.layers.learnt_encoder import LearntCode
from cortical.columns.messages import FeatureSchema, Pose, Sensation
from cortical.columns.object_map import ObjectMap, place_keys
from cortical.configs.schema import Experiment, EyeConfig, WorldConfig
from cortical.envs.bodies import encode, looking
from cortical.envs.explore import ObjectExploreEnv
from cortical.envs.placing import random_rotations

from .brain import stored_schema
from .learning_movements import glances, make_mover
from .records import RunFolder
from .sensing import CODE, Senses, describe

LIGHTS = (None, 1.0, 2.0, 4.0)
"""In which a first look is taken: without noise, and with so many times the protocol's on what a patch looks like."""
FIRST_LOOK = 125
"""Readings of each view in each light, at most."""
PITCH = 1.6  # degrees between neighbouring patches while learning
BETWEEN = tuple(
    (math.radians(PITCH) * right, math.radians(PITCH) * down)
    for right, down in ((0, 0), (0.5, 0.5), (0.5, 0), (0, 0.5), (0.25, 0.25), (0.75, 0.75), (0.75, 0.25), (0.25, 0.75))
)
"""Shifts of the gaze, radians: a view is scanned once with each, as far as its readings go."""
CODE_SLOTS = 96  # most frequent bits a node counts


def views() -> np.ndarray:
    """Bearings of the 14 views, (14, 3) unit: the faces and the corners of a cube."""
    faces = np.concatenate([np.eye(3), -np.eye(3)])
    corners = np.array([(x, y, z) for x in (1, -1) for y in (1, -1) for z in (1, -1)]) / math.sqrt(3)
    return np.concatenate([faces, corners])


def learning_eye(experiment: Experiment) -> EyeConfig:
    """The eye with which objects are learnt: a square of patches, no noise."""
    eye = experiment.eye
    return EyeConfig(
        columns=experiment.learn.patches, spread=PITCH, pixels=eye.pixels, field_of_view=eye.field_of_view,
        backend=eye.backend, sensor=eye.sensor, noise="clean", distance=eye.distance, max_path=eye.max_path,
        max_turn=eye.max_turn,
    )  # fmt: skip


Look = tuple[torch.Tensor, torch.Tensor, torch.Tensor, int, bool]
"""Descriptors (n, f), locations and normals (n, 3) of a glance, which object it was at, and whether in good light."""


class Learner:
    """Learns maps of the objects of a world, one after the other.

    encoder : the code that was learnt before, where `column.code` says so
    light : None: the eye has no noise; else it has, and so many times that on what a patch looks like
    """

    def __init__(self, experiment: Experiment, encoder: LearntCode | None = None, light: float | None = None) -> None:
        self.experiment, self.encoder = experiment, encoder
        self.schema: FeatureSchema = stored_schema(experiment)
        coded = self.schema.code_bits > 0
        if coded and (experiment.column.code == "learnt") != (encoder is not None):
            raise ValueError(
                f'column.code = "{experiment.column.code}" {"with" if encoder else "without"} a learnt encoder: '
                "learn_objects takes care of it, or give the one that first_look returns"
            )
        self.senses = Senses(coded, learnt=encoder, textured=self.schema.texture)
        world = WorldConfig(objects=experiment.world.objects)
        eye = learning_eye(experiment)
        if light is not None:
            eye = replace(eye, noise="noise", patch_noise=light)
        self.env = ObjectExploreEnv.from_config(world, eye, obs_mode=self.senses.obs_mode)
        side = math.isqrt(experiment.learn.patches)
        if side * side != experiment.learn.patches or side % 2 == 0:
            raise ValueError(f"learn.patches must be an odd square (1, 9, 25, ...), not {experiment.learn.patches}")
        if experiment.learn.sensations_per_view < experiment.learn.patches:
            raise ValueError(
                f"learn.sensations_per_view = {experiment.learn.sensations_per_view} allows not one glance with "
                f"learn.patches = {experiment.learn.patches}: raise the one or lower the other"
            )
        self.block = math.radians(PITCH) * side
        self.readings = 0

    def learn(self, name: str, bearings: np.ndarray | None = None, frame: Pose | None = None) -> ObjectMap:
        """The map of one object. Raises ValueError if nothing was seen of it.

        bearings : (k, 3) unit, object frame: where it is looked at from; the 14 views if not given
        frame : map_from_object, the frame in which views are kept; the object's own if not given
        """
        learn = self.experiment.learn
        if learn.movement != "views":
            if bearings is not None or frame is not None:
                raise ValueError(f'learn.movement = "{learn.movement}" takes no bearings and no frame: learn by views')
            (known,) = self.growing(name, (learn.glances,))
            looked = f"{learn.glances} glances"
        else:
            bearings = views() if bearings is None else bearings
            known, looked = self._empty(), f"{len(bearings)} views"
            for bearing in bearings:
                known = self.add_view(known, name, bearing, frame)
        if len(known) == 0:
            raise ValueError(f"saw nothing of {name!r} from {looked}: is it smaller than a millimetre, or hollow?")
        return known

    def add_view(self, known: ObjectMap, name: str, bearing: np.ndarray, frame: Pose | None = None) -> ObjectMap:
        """The map, kept in `frame`, with what is seen of an object from one more bearing, (3,) unit, object frame."""
        seen = [self.senses(observation) for observation in self.scan(name, bearing)]
        return _insert(known, seen if frame is None else [_carried(s, frame) for s in seen], self.schema)

    def growing(self, name: str, budgets: Sequence[int]) -> Iterator[ObjectMap]:
        """The map of one object, learnt by moving freely, after each of these numbers of glances, ascending.

        All draws follow from the experiment's seed and the name. Raises ValueError where `learn.movement` is views.
        """
        start, moves = np.random.SeedSequence([self.experiment.seed, *name.encode()]).spawn(2)
        mover = make_mover(self.experiment.learn.movement, self.env, np.random.default_rng(moves))
        seen = glances(self.env, self.senses, name, mover, budgets[-1], int(start.generate_state(1)[0]))
        known, taken = self._empty(), 0
        for budget in budgets:
            known = _insert(known, list(islice(seen, budget - taken)), self.schema)
            self.readings += (budget - taken) * self.experiment.learn.patches
            taken = budget
            yield known

    def _empty(self) -> ObjectMap:
        slots = CODE_SLOTS if self.schema.code_bits else 0
        return ObjectMap.empty(self.experiment.column.node_spacing, slots, self.encoder)

    def scan(self, name: str, bearing: np.ndarray, seed: int = 0) -> Iterator[dict[str, np.ndarray]]:
        """What is observed in one view, (3,) unit; the object lies at the world's origin, unturned."""
        position = self.experiment.eye.distance * bearing
        forward = looking(-bearing)
        start = {"object": name, "position": np.zeros(3), "rotation": np.eye(3), "eye_position": position}
        observation, _ = self.env.reset(seed=seed, options={**start, "gaze": -bearing})
        budget = self.experiment.learn.sensations_per_view // self.experiment.learn.patches
        for aside in BETWEEN:
            waiting, planned, met = [(0, 0)], {(0, 0)}, False  # a ring is looked for around its empty middle
            while waiting and budget > 0:
                right, down = waiting.pop(0)
                gaze = forward @ _direction(right * self.block + aside[0], down * self.block + aside[1])
                arrived = False
                while not arrived and budget > 0:
                    action, arrived = encode(self.env.eye, position, gaze, self.env.limits)
                    observation = self.env.step(action)[0]
                    budget -= 1
                    self.readings += self.experiment.learn.patches
                yield observation
                here = bool((observation["on_object"] > 0.5).any())
                met = met or here
                if here or not met:
                    beside = [(right + 1, down), (right - 1, down), (right, down + 1), (right, down - 1)]
                    waiting += [cell for cell in beside if cell not in planned]
                    planned.update(beside)


def learn_objects(
    experiment: Experiment, names: tuple[str, ...], folder: RunFolder, tell: Callable[[str, int], None]
) -> dict[str, ObjectMap]:
    """Maps of these objects: those kept in the folder are read, the others learnt and kept one by one.

    tell : called with each object's name and how many readings it took (0: it was there already)
    """
    schema, learner, maps = stored_schema(experiment), None, {}
    for name in names:
        known = folder.load_map(name, schema)
        before = learner.readings if learner else 0
        if known is None:
            learner = learner or Learner(experiment, encoder_of(experiment, names, folder))
            known = learner.learn(name)
            folder.save_map(name, known, schema)
        maps[name] = known
        tell(name, learner.readings - before if learner else 0)
    return maps


def encoder_of(experiment: Experiment, names: Sequence[str], folder: RunFolder) -> LearntCode | None:
    """The learnt code of a folder, learnt from a first look at these objects if it isn't there yet; None where
    `column.code` is fixed or no map holds codes."""
    if experiment.column.code == "fixed" or not stored_schema(experiment).code_bits:
        return None
    if (kept := folder.load_encoder()) is None:
        folder.save_encoder(kept := first_look(experiment, names))
    return kept


def first_look(
    experiment: Experiment, names: Sequence[str], rates: LearningRates = LearningRates()  # noqa: B008 (frozen)
) -> LearntCode:
    """The code that a first look at these objects teaches: a few glances from each of 14 views, in every light, each
    time from other bearings. All draws follow from the encoder's seed."""
    learn = experiment.learn
    few = max(learn.patches, min(FIRST_LOOK, learn.sensations_per_view))
    plain = replace(experiment.column, code="fixed", features="both")
    looking = replace(experiment, column=plain, learn=replace(learn, sensations_per_view=few))
    parts: list[Look] = []
    patches = PatchEncoder(CODE)
    for light in LIGHTS:
        learner, random = Learner(looking, light=light), np.random.default_rng([CODE.seed, int(4 * (light or 0))])
        for k, name in enumerate(names):
            for bearing in views() @ random_rotations(1, random)[0]:
                for observation in learner.scan(name, bearing, int(random.integers(2**31))):
                    parts.append((*describe(patches, observation), k, light is None))
        learner.env.close()
    looks = _looks(parts, experiment.column.node_spacing)
    return learn_code(looks, torch.Generator().manual_seed(CODE.seed), patches, rates)


def _looks(parts: list[Look], spacing: float) -> Looks:
    """Looks at places: cells of the maps that are to be, each of one facing."""
    cells = torch.cat([place_keys(location, normal, spacing) for _, location, normal, _, _ in parts])
    thing = torch.cat([torch.full((len(part[0]),), part[3]) for part in parts])
    clear = torch.cat([torch.full((len(part[0]),), part[4]) for part in parts])
    place = torch.unique(torch.stack([thing, cells], 1), dim=0, return_inverse=True)[1]
    return Looks(torch.cat([part[0] for part in parts]), place, clear)


def _direction(right: float, down: float) -> np.ndarray:
    return np.array([math.tan(right), math.tan(down), 1.0])


def _carried(seen: Sensation, frame: Pose) -> Sensation:
    """The same on an object that stands at `frame`."""
    turned = {name: getattr(seen, name) @ frame.rotation.T for name in ("gaze", "normal", "direction")}
    turned["texture"] = (seen.texture.unflatten(-1, (2, 3)) @ frame.rotation.T).flatten(-2)
    return replace(seen, origin=frame.apply(seen.origin), location=frame.apply(seen.location), **turned)


def _insert(known: ObjectMap, seen: list[Sensation], schema: FeatureSchema) -> ObjectMap:
    if not seen:
        return known
    parts = [s.checked() for s in seen]
    keep = torch.cat([(s.on_object & s.valid)[0] for s in parts])

    def all_of(name: str) -> torch.Tensor:
        return torch.cat([getattr(s, name)[0] for s in parts])[keep]

    return known.insert(
        all_of("location"), all_of("normal"), all_of("direction"), all_of("curvature"), all_of("hsv"),
        all_of("code"), schema.code_bits, all_of("texture"),
    )  # fmt: skip
