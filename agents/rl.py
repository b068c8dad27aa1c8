"""Worlds side by side for Stable-Baselines3 (extra `rl`): its VecEnv over any gymnasium vector environment.

The two differ in how an episode ends. SB3 wants the first observation of the next one at once, and the last one in
info["terminal_observation"]: gymnasium's SAME_STEP. And it wants infos as a list of dicts, one a world.

    PPO("MultiInputPolicy", stable_worlds("cortical/ObjectRecognition-v0", 16, action_mode="flat"))
"""

from collections.abc import Iterable, Sequence
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.vector import AutoresetMode, SyncVectorEnv, VectorEnv

try:
    from stable_baselines3.common.vec_env import VecEnv
except ImportError as error:
    raise ImportError("Stable-Baselines3 is missing: pip install 'cortical-columns[rl]'") from error

Indices = None | int | Iterable[int]


def stable_worlds(name: str, count: int, **settings: Any) -> "StableWorlds":
    """`count` worlds of a registered environment for Stable-Baselines3; natively side by side where there is a way."""
    mode = AutoresetMode.SAME_STEP
    if gym.spec(name).vector_entry_point is not None:
        return StableWorlds(gym.make_vec(name, count, autoreset_mode=mode.value, **settings))
    kinds: dict[str, Any] = {"vectorization_mode": "sync", "vector_kwargs": {"autoreset_mode": mode}}
    return StableWorlds(gym.make_vec(name, count, **kinds, **settings))


class StableWorlds(VecEnv):
    """A gymnasium vector environment as a VecEnv.

    worlds : one whose metadata declare SAME_STEP; closed with this. ValueError otherwise
    """

    def __init__(self, worlds: VectorEnv) -> None:
        if worlds.metadata.get("autoreset_mode") != AutoresetMode.SAME_STEP:
            raise ValueError(
                "Stable-Baselines3 needs worlds that begin anew in the step in which they end: make them with "
                'autoreset_mode="SameStep"'
            )
        self.worlds = worlds
        self._actions: Any = None
        super().__init__(worlds.num_envs, worlds.single_observation_space, worlds.single_action_space)

    def reset(self) -> Any:
        """First observations. Seeds and options given by `seed` and `set_options` count once."""
        given = self._options[0]
        if any(options != given for options in self._options):
            raise ValueError("all worlds are reset with the same options: set_options(one dict)")
        seeds = list(self._seeds) if any(seed is not None for seed in self._seeds) else None
        observation, info = self.worlds.reset(seed=seeds, options=dict(given) or None)  # pyright: ignore[reportArgumentType]
        self.reset_infos = infos_of(info, self.num_envs)
        self._reset_seeds()
        self._reset_options()
        return observation

    def step_async(self, actions: np.ndarray) -> None:
        """Take note of the actions (n, ...)."""
        self._actions = actions

    def step_wait(self) -> Any:
        """Observations, rewards (n,), dones (n,) and infos. That of a world that ended tells of the end, with its last
        observation as terminal_observation; what the new episode's reset told is in `reset_infos`."""
        observation, rewards, ended, cut, info = self.worlds.step(self._actions)
        done = ended | cut
        lasts, finals = (info.pop(key, {}) for key in ("final_obs", "final_info"))
        for mask in ("_final_obs", "_final_info"):
            info.pop(mask, None)
        infos, ends = infos_of(info, self.num_envs), infos_of(finals, self.num_envs)
        for k in np.flatnonzero(done):
            self.reset_infos[k], infos[k] = infos[k], ends[k]
            infos[k]["terminal_observation"] = lasts[k]
        for k, told in enumerate(infos):
            told["TimeLimit.truncated"] = bool(cut[k] and not ended[k])
        return observation, np.asarray(rewards, np.float32), done, infos

    def close(self) -> None:
        """Close the worlds."""
        self.worlds.close()

    def get_attr(self, attr_name: str, indices: Indices = None) -> list[Any]:
        """An attribute of each world; worlds side by side share theirs."""
        which = list(self._get_indices(indices))
        if isinstance(self.worlds, SyncVectorEnv):
            values = self.worlds.get_attr(attr_name)
            return [values[k] for k in which]
        return [getattr(self.worlds, attr_name)] * len(which)

    def set_attr(self, attr_name: str, value: Any, indices: Indices = None) -> None:
        """Not for worlds side by side, which share their settings: AttributeError."""
        raise AttributeError(f"{attr_name} is the same for all worlds: give it to `stable_worlds`")

    def env_method(
        self, method_name: str, *method_args: Any, indices: Indices = None, **method_kwargs: Any
    ) -> list[Any]:
        """What a method of each world returns; AttributeError for worlds side by side, which have none of their own."""
        if not isinstance(self.worlds, SyncVectorEnv):
            raise AttributeError(f"no {method_name}() a world: call that of `.worlds`, which is for all of them")
        answers = self.worlds.call(method_name, *method_args, **method_kwargs)
        return [answers[k] for k in self._get_indices(indices)]

    def env_is_wrapped(self, wrapper_class: type[gym.Wrapper], indices: Indices = None) -> list[bool]:
        """Whether each world is wrapped so: never, as wrappers go around all of them."""
        return [False for _ in self._get_indices(indices)]

    def get_images(self) -> Sequence[np.ndarray | None]:
        """A picture of each world, if they were made with render_mode="rgb_array"."""
        pictures: Any = self.worlds.render()
        return [None] * self.num_envs if pictures is None else list(pictures)


def infos_of(info: dict[str, Any], count: int) -> list[dict[str, Any]]:
    """The infos of a vector environment, whose masks `_key` say for whom they hold, as one dict a world."""
    infos: list[dict[str, Any]] = [{} for _ in range(count)]
    for key, values in info.items():
        if key.startswith("_") and key[1:] in info:
            continue
        told = infos_of(values, count) if isinstance(values, dict) else values
        for k in np.flatnonzero(info.get(f"_{key}", np.ones(count, bool))):
            infos[k][key] = told[k]
    return infos
