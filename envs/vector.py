"""Many worlds side by side, sensed by one call of the retina and one of the surface fit.

    gym.make_vec("cortical/ObjectExplore-v0", num_envs=64)          # this
    gym.make_vec("cortical/ObjectExplore-v0", num_envs=64, vectorization_mode="sync")

Both give the same, to the bit: each world has its own generator, and draws from it what the single environment does.
"""

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Literal

import numpy as np
from gymnasium import spaces
from gymnasium.error import ClosedEnvironmentError, ResetNeeded
from gymnasium.utils import seeding
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space

from .answers import ActionMode, Answers, Form
from .bodies import Eye
from .explore import ObjectExploreEnv
from .flock import move_all
from .naming import Naming, RewardMode
from .observation import ObsMode, observe
from .picture import over_the_shoulder
from .placing import checked_options, one_of
from .record import Images
from .sensors import Rows, shared_catalogue, shared_retina
from .world import Scene
from .worlds import Worlds

Observation = dict[str, np.ndarray]
Task = Callable[["ObjectVectorEnv"], tuple[Form, Naming]]


class ObjectVectorEnv(VectorEnv[Observation, Any, np.ndarray]):
    """`num_envs` worlds to explore or, given a task, to recognise. Made by `explore_worlds` and `recognise_worlds`.

    Actions, observations, rewards, infos : batches of those of the single environments, as gymnasium's SyncVectorEnv
        has them: info["truth"] = {object: (n,) names, position (n, 3), rotation (n, 3, 3)}, and with each key its
        mask, "_truth" and so on

    max_episode_steps : steps after which a world's episode is truncated; None: never
    autoreset_mode : "NextStep", "SameStep" or "Disabled" (then reset(options={"reset_mask": ...}) whoever is done)
    world : as for `ObjectExploreEnv`; rays and an eye that floats only

    Raises ValueError for settings that make no sense, naming them.
    """

    def __init__(
        self,
        num_envs: int,
        max_episode_steps: int | None,
        autoreset_mode: AutoresetMode | str,
        task: Task | None = None,
        objects: str = "default",
        scene: Literal["held", "table"] = "held",
        obs_mode: ObsMode = "features",
        cube: float = 0.1,
        distance: float = 0.2,
        **world: Any,
    ) -> None:
        if num_envs < 1:
            raise ValueError(f"num_envs must be at least 1, not {num_envs}")
        _eye_and_rays_only(world)
        # never stepped, so it opens no simulation: settings are checked there, and the spaces are its own
        self.single = ObjectExploreEnv(objects, scene, obs_mode=obs_mode, cube=cube, distance=distance, **world)
        self.num_envs, self.max_episode_steps = num_envs, max_episode_steps
        self._mode = AutoresetMode(autoreset_mode)
        self.metadata = {**ObjectExploreEnv.metadata, "autoreset_mode": self._mode}
        self.render_mode = self.single.render_mode
        self.objects, self.source, self.cube = self.single.objects, objects, cube
        self._names = np.array(self.objects, dtype=object)
        self._distance = distance
        self._obs_mode: ObsMode = obs_mode
        self._scene = Scene(objects, cube, -cube / 2 if scene == "table" else None)
        sensors = self.single.sensors
        self.retina = shared_retina(objects, sensors.pixels, sensors.field_of_view)
        self._bank = sensors.bank(objects)
        self._form, self._naming = (None, None) if task is None else task(self)
        self.single_observation_space = self.single.observation_space
        self.single_action_space = self._form.space if self._form else self.single.action_space
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)
        self._worlds: Worlds | None = None
        self._randoms: list[np.random.Generator] = []
        self._seeds: list[int] = []
        self._position, self._rotation = np.zeros((num_envs, 3)), np.tile(np.eye(3), (num_envs, 1, 1))
        self._steps, self._done = np.zeros(num_envs, int), np.ones(num_envs, bool)
        self._last: Observation | None = None

    @property
    def np_random(self) -> tuple[np.random.Generator, ...]:  # pyright: ignore[reportIncompatibleMethodOverride]
        """The generator of each world."""
        self._seed([None] * self.num_envs, range(self.num_envs))
        return tuple(self._randoms)

    @property
    def np_random_seed(self) -> tuple[int, ...]:  # pyright: ignore[reportIncompatibleMethodOverride]
        """The seed of each world's generator."""
        self._seed([None] * self.num_envs, range(self.num_envs))
        return tuple(self._seeds)

    def reset(  # pyright: ignore[reportIncompatibleMethodOverride]
        self, *, seed: int | Sequence[int | None] | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observation, dict[str, Any]]:
        """New episodes; returns the first sensations.

        seed : one, from which the worlds count up, or one each (None: its generator goes on)
        options : as for `ObjectExploreEnv.reset`, for all; and reset_mask (n,) bool: which worlds, the others stay
        """
        options = dict(options or {})
        which = self._masked(options.pop("reset_mask", None))
        if seed is None or isinstance(seed, int | np.integer):
            seed = [None if seed is None else int(seed) + k for k in range(self.num_envs)]
        if len(seed) != self.num_envs:
            raise ValueError(f"give one seed for all, or {self.num_envs} in a list, not {len(seed)}")
        given = checked_options(options, self.objects, self.single.limits.reach)
        self._seed(seed, which)
        for k in which.tolist():
            self._begin(k, given)
        observation = self._sense(which)
        self._look(observation, which)
        count = len(which)
        self._keep(observation, which)
        return self._copy(), self._info(which, np.zeros(count), np.zeros(count, bool))

    def step(  # pyright: ignore[reportIncompatibleMethodOverride]
        self, actions: Any
    ) -> tuple[Observation, np.ndarray, np.ndarray, np.ndarray, dict[str, Any]]:
        """One action each; worlds that begin anew in this step ("NextStep") take none.

        Raises ValueError for actions that make no sense, ResetNeeded for a world that is done ("Disabled").
        """
        again = self._begins_now()
        going = np.flatnonzero(~again)
        moves, said = self._read(actions, going)
        worlds, there = self.worlds, self._eyes(going)

        free_lengths = partial(worlds.free_lengths, going)
        position, rotation, gone, stopped = move_all(*there, moves, self.single.limits, free_lengths)
        self._position[going], self._rotation[going] = position, rotation
        went, blocked = np.zeros(self.num_envs), np.zeros(self.num_envs, bool)
        went[going], blocked[going] = gone, stopped
        self._steps[going] += 1
        for k in np.flatnonzero(again).tolist():
            self._begin(k, {})
        everyone = np.arange(self.num_envs)
        self._last = self._sense(everyone)
        rewards, ended, results = self._judge(said, going, self._look(self._last, everyone))
        cut = (self._steps >= (self.max_episode_steps or math.inf)) & ~again
        self._done = ended | cut
        info = self._info(everyone, went, blocked)
        if self._mode == AutoresetMode.SAME_STEP and self._done.any():
            info = self._renewed(went, blocked, results)
        else:
            for k, result in results.items():
                info = self._add_info(info, {"result": result}, k)
        return self._copy(), rewards, ended, cut, info

    def render(self) -> tuple[np.ndarray, ...] | None:  # pyright: ignore[reportIncompatibleMethodOverride]
        """A picture of each world, (240, 320, 3) uint8; None without render_mode="rgb_array"."""
        if self.render_mode is None:
            return None
        worlds, catalogue = self.worlds, shared_catalogue(self.source)
        return tuple(
            over_the_shoulder(
                catalogue.mesh(self.objects[worlds.index[k]]),
                worlds.position[k],
                worlds.rotation[k],
                Eye(self._position[k], self._rotation[k]),
                self._scene.table,
            )
            for k in range(self.num_envs)
        )

    def close_extras(self, **_: Any) -> None:
        """End the simulations."""
        if self._worlds is not None:
            self._worlds.close()

    @property
    def worlds(self) -> Worlds:
        """What is there. ClosedEnvironmentError after `close`."""
        if self.closed:
            raise ClosedEnvironmentError("this vector environment is closed; make a new one")
        if self._worlds is None:
            self._worlds = Worlds(self._scene, self.num_envs)
        return self._worlds

    def _masked(self, mask: Any) -> np.ndarray:
        if mask is None:
            return np.arange(self.num_envs)
        given = np.asarray(mask)
        if given.shape != (self.num_envs,) or given.dtype != np.bool_ or not given.any():
            raise ValueError(f"reset_mask must be {self.num_envs} booleans, at least one of them True, got {mask!r}")
        if self._last is None and not given.all():
            raise ResetNeeded("reset all worlds before some: call reset() without a reset_mask first")
        return np.flatnonzero(given)

    def _seed(self, seeds: Sequence[int | None], which: Any) -> None:
        """Generators of the worlds `which`; where the seed is None they go on, or begin somewhere."""
        if not self._randoms:
            made = [seeding.np_random(seeds[k] if k in which else None) for k in range(self.num_envs)]
            self._randoms, self._seeds = [random for random, _ in made], [seed for _, seed in made]
            return
        for k in which:
            if seeds[k] is not None:
                self._randoms[k], self._seeds[k] = seeding.np_random(seeds[k])

    def _begin(self, k: int, given: dict[str, Any]) -> None:
        eye = self.worlds.begin(k, given, self._distance, self.retina, self._randoms[k])
        self._position[k], self._rotation[k] = eye.position, eye.rotation
        self._steps[k], self._done[k] = 0, False
        if self._naming is not None:
            self._naming.begin(np.array([k]))

    def _begins_now(self) -> np.ndarray:
        if self.closed:
            raise ClosedEnvironmentError("this vector environment is closed; make a new one")
        if self._last is None:
            raise ResetNeeded("call reset() first")
        if self._mode == AutoresetMode.DISABLED and self._done.any():
            raise ResetNeeded(f'call reset(options={{"reset_mask": ...}}) for worlds {np.flatnonzero(self._done)}')
        return self._done.copy()

    def _eyes(self, which: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return self._position[which], self._rotation[which]

    def _read(self, actions: Any, going: np.ndarray) -> tuple[np.ndarray, Answers | None]:
        chosen = actions if len(going) == self.num_envs else _rows(actions, going)
        if self._form is None:
            return chosen, None
        return self._form.read_all(chosen, len(going))

    def _sense(self, which: np.ndarray) -> Observation:
        """What the eyes of the worlds `which` (k,) read, (k, c, ...), in one call."""
        worlds, sensors, table = self.worlds, self.single.sensors, self._scene.table
        each = np.repeat(which, len(sensors))
        objects = worlds.index[each], worlds.position[each], worlds.rotation[each]

        def see(position: np.ndarray, rotation: np.ndarray, width: float, rows: Rows) -> Images:
            index, location, turn = (part[rows] for part in objects)
            return self.retina.as_wide(width).sense_images(index, location, turn, position, rotation, table)

        eyes, randoms = self._eyes(which), [self._randoms[k] for k in which.tolist()]
        read = sensors.sense_all(*eyes, see, randoms, self._bank, worlds.index[which].tolist())
        shape = (len(which), len(sensors))
        parts = {name: v.reshape(*shape, *v.shape[1:]) for name, v in observe(*read, self._obs_mode).items()}
        where = {"eye_position": eyes[0].astype(np.float32), "eye_rotation": eyes[1].astype(np.float32)}
        return parts | where

    def _look(self, observation: Observation, which: np.ndarray) -> np.ndarray:
        """What looks are worth by themselves, (k,)."""
        if self._naming is None:
            return np.zeros(len(which))
        there = self.worlds.position[which], self.worlds.rotation[which]
        return self._naming.look(observation, which, self.worlds.index[which], there)

    def _judge(
        self, said: Answers | None, going: np.ndarray, looked: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, dict[int, Any]]:
        """Rewards and ends, (n,), and the results of those who answered."""
        rewards, ended, results = np.zeros(self.num_envs), np.zeros(self.num_envs, bool), {}
        if self._naming is not None and said is not None:
            there = self.worlds.position[going], self.worlds.rotation[going]
            worth, told = self._naming.judge(said, going, self.worlds.index[going], there)
            rewards[going] = worth + looked[going]
            results = {int(k): result for k, result in zip(going, told, strict=True) if result is not None}
            ended[list(results)] = True
        return rewards, ended, results

    def _renewed(self, went: np.ndarray, blocked: np.ndarray, results: dict[int, Any]) -> dict[str, Any]:
        """Begin anew wherever it is done; the info, with what was sensed and told last in final_obs and final_info."""
        done = np.flatnonzero(self._done)
        ends: dict[str, Any] = {}
        last, final = self._last or {}, self._info(done, went[done], blocked[done])
        mask = self._done.copy()
        for k in done.tolist():
            ends = self._add_info(ends, {"final_obs": {name: value[k].copy() for name, value in last.items()}}, k)
            if k in results:
                final = self._add_info(final, {"result": results[k]}, k)
        for k in done.tolist():
            self._begin(k, {})
        observation = self._sense(done)
        self._look(observation, done)
        self._keep(observation, done)
        info = self._info(np.arange(self.num_envs), np.where(mask, 0.0, went), blocked & ~mask)
        return {**info, **ends, "final_info": final, "_final_info": mask}

    def _info(self, which: np.ndarray, went: np.ndarray, blocked: np.ndarray) -> dict[str, Any]:
        """The infos of the worlds `which` (k,); went, blocked : (k,)."""
        worlds, mask = self.worlds, np.zeros(self.num_envs, bool)
        mask[which] = True
        truth = {
            "object": self._names[worlds.index[which]],
            "position": worlds.position[which],
            "rotation": worlds.rotation[which],
        }
        parts = {"path_length": went, "blocked": blocked}
        return {"truth": _spread(truth, which, mask), "_truth": mask.copy(), **_spread(parts, which, mask)}

    def _keep(self, observation: Observation, which: np.ndarray) -> None:
        """Note what the worlds `which` sense now, the others as they did."""
        if len(which) < self.num_envs and self._last is not None:
            # what was given away before stays as it is
            observation, news = {name: value.copy() for name, value in self._last.items()}, observation
            for name, value in news.items():
                observation[name][which] = value
        self._last = observation

    def _copy(self) -> Observation:
        """What all sense now; of arrays of its own where a later reset of some needs what the others sensed."""
        if self._mode != AutoresetMode.DISABLED:
            return self._last or {}
        return {name: value.copy() for name, value in (self._last or {}).items()}


def explore_worlds(
    num_envs: int = 1,
    max_episode_steps: int | None = None,
    autoreset_mode: AutoresetMode | str = AutoresetMode.NEXT_STEP,
    **world: Any,
) -> ObjectVectorEnv:
    """`ObjectExploreEnv`, `num_envs` times; further settings as there."""
    return ObjectVectorEnv(num_envs, max_episode_steps, autoreset_mode, **world)


def recognise_worlds(
    num_envs: int = 1,
    max_episode_steps: int | None = None,
    autoreset_mode: AutoresetMode | str = AutoresetMode.NEXT_STEP,
    action_mode: ActionMode = "dict",
    reward_mode: RewardMode = "sparse",
    **world: Any,
) -> ObjectVectorEnv:
    """`ObjectRecognitionEnv`, `num_envs` times; further settings as there."""
    one_of("action_mode", action_mode, ("dict", "flat"))
    one_of("reward_mode", reward_mode, ("sparse", "information", "none"))

    def task(env: ObjectVectorEnv) -> tuple[Form, Naming]:
        moves = spaces.Box(-1.0, 1.0, (5,), np.float32)
        naming = Naming(env.source, env.objects, reward_mode, env.retina, env.num_envs)
        return Form(moves, len(env.objects), env.cube, action_mode), naming

    return ObjectVectorEnv(num_envs, max_episode_steps, autoreset_mode, task, **world)


def _eye_and_rays_only(world: dict[str, Any]) -> None:
    for name, plain in (("body", "free"), ("fingers", 0), ("backend", "rays")):
        if world.get(name, plain) != plain:
            raise ValueError(
                f"{name}={world[name]!r}: worlds side by side have an eye that floats and senses by rays, no "
                'fingers and no camera; for those gym.make_vec(..., vectorization_mode="sync")'
            )


def _rows(actions: Any, which: np.ndarray) -> Any:
    if isinstance(actions, dict):
        return {name: _rows(part, which) for name, part in actions.items()}
    return np.asarray(actions)[which]


def _spread(values: Observation, which: np.ndarray, mask: np.ndarray) -> dict[str, Any]:
    """Values (k, ...) of the worlds `which` among those of all, and their masks, as gymnasium has them in infos."""
    filled: dict[str, Any] = {}
    for name, value in values.items():
        filled[name] = value
        if len(which) < len(mask):
            nothing = None if value.dtype == object else 0
            filled[name] = np.full((len(mask), *value.shape[1:]), nothing, value.dtype)
            filled[name][which] = value
        filled[f"_{name}"] = mask.copy()
    return filled
