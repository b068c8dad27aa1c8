"""The world to recognise: explore it, and name the object and its pose when you know.

The world, its bodies and sensors are those of `explore.ObjectExploreEnv`; this adds the answer, and what it is worth.
"""

from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium import spaces

from .answers import ActionMode, Form
from .explore import ObjectExploreEnv
from .naming import Naming, RewardMode
from .placing import one_of
from .sensors import shared_retina

ONE = np.zeros(1, int)


class ObjectRecognitionEnv(gym.Env[dict[str, np.ndarray], Any]):
    """Move, sense, and answer once.

    Action : with action_mode "dict" {move: (5 B,) as in `explore`, answer: 0 for none yet or the number, from 1, of
        the object in `objects`, pose: {position (3,) metres, rotation (6,), the first two columns of
        world_from_object}}; the pose counts only beside an answer. With "flat" all of it in one Box(-1, 1), the
        answer as scores, see `answers.Form`

    Observation, and what the info of every step holds : those of `explore`

    Reward : see `naming`, "sparse", "information" or "none". An answer ends the episode (terminated), after the
        movement of the same action was made and sensed. Its info then has result {answer, right, pose_right, add_s}

    action_mode : "dict": an action is its parts by name, "flat": one array
    reward_mode : "sparse": for answers, and a cost; "information": for looks too; "none": always 0
    render_mode : "rgb_array", so that `render` gives pictures, or None
    world : further settings, as for `ObjectExploreEnv`
    Raises ValueError for settings that make no sense, naming them.
    """

    metadata = ObjectExploreEnv.metadata

    def __init__(
        self,
        objects: str = "default",
        action_mode: ActionMode = "dict",
        reward_mode: RewardMode = "sparse",
        cube: float = 0.1,
        render_mode: str | None = None,
        **world: Any,
    ) -> None:
        one_of("action_mode", action_mode, ("dict", "flat"))
        one_of("reward_mode", reward_mode, ("sparse", "information", "none"))
        self.explored = ObjectExploreEnv(objects, cube=cube, render_mode=render_mode, **world)
        self.render_mode = render_mode
        self.objects = self.explored.objects
        moves = spaces.Box(-1.0, 1.0, self.explored.action_space.shape, np.float32)
        self.form = Form(moves, len(self.objects), cube, action_mode)
        sensors = self.explored.sensors
        retina = shared_retina(objects, sensors.pixels, sensors.field_of_view)
        self.naming = Naming(objects, self.objects, reward_mode, retina, 1)
        self.observation_space: spaces.Dict = self.explored.observation_space  # pyright: ignore[reportIncompatibleVariableOverride]
        self.action_space = self.form.space

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """A new episode; returns the first sensation. options : as for `ObjectExploreEnv.reset`."""
        super().reset(seed=seed)
        self.explored.np_random = self.np_random
        observation, info = self.explored.reset(options=options)
        self.naming.begin(ONE)
        self._look(observation)
        return observation, info

    def step(self, action: Any) -> tuple[dict[str, np.ndarray], float, bool, bool, dict[str, Any]]:
        """Move, sense, answer. Raises ValueError for anything but an action of the space, naming what is wrong."""
        move, said = self.form.read(action)
        observation, _, _, _, info = self.explored.step(move)
        looked = self._look(observation)
        worth, (result,) = self.naming.judge(said, ONE, *self._there())
        if result is not None:
            info["result"] = result
        return observation, float(worth[0] + looked), result is not None, False, info

    def render(self) -> np.ndarray | None:  # pyright: ignore[reportIncompatibleMethodOverride]
        """(240, 320, 3) uint8, as `ObjectExploreEnv.render`."""
        return self.explored.render()

    def close(self) -> None:
        """End the simulation; closing twice is fine."""
        self.explored.close()

    def _there(self) -> tuple[np.ndarray, tuple[np.ndarray, np.ndarray]]:
        world = self.explored.world
        return np.array([world.index]), (world.position[None], world.rotation[None])

    def _look(self, observation: dict[str, np.ndarray]) -> float:
        batch = {name: value[None] for name, value in observation.items()}
        return float(self.naming.look(batch, ONE, *self._there())[0])
