"""Active recognition: the columns are inside the environment, and the action is the movement alone.

    action -> world -> sensation -> columns -> belief -> summary of the belief = observation

An episode ends when the region decides, right or wrong, by the same rule as everywhere (`Agent.decided`). Three
rewards, of which every sensation costs `cost`:

    sparse       1 for the right decision, -1 for a wrong one
    information  (phi(belief) - phi(belief before)) / ln(odds that decide), phi the log odds of the truth against all
                 else, kept within +-ln(odds that decide). They add up to the same whatever the way, so nothing is won
                 by dawdling (Ng, Harada & Russell, ICML 1999)
    none         always 0, without costs

The truth is in the reward and in info, never in the observation.
"""

import math
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

import gymnasium as gym
import numpy as np
import torch
from gymnasium import spaces
from gymnasium.error import ClosedEnvironmentError, ResetNeeded

from cortical.columns.posterior import odds_of
from cortical.columns.region import Region
from cortical.columns.storage import load_maps
from cortical.configs.load import from_dict, load
from cortical.configs.schema import Experiment

from .agent import START, Plan, Step
from .brain import build_region, stored_schema
from .learning import learn_objects
from .policies import Situation
from .policies.orbit import orbit_action
from .policies.summary import belief_summary, summary_sizes
from .records import RunFolder
from .rollout import make_agent
from .runs import known_names

ActionMode = Literal["orbit", "body"]
RewardMode = Literal["information", "sparse", "none"]


class ActiveRecognitionEnv(gym.Env[dict[str, np.ndarray], np.ndarray]):
    """Move so that the columns soon know which object this is.

    Action : (5,) float32 in -1 ... 1; "orbit": around where the object seems to be, see `policies.orbit`;
        "body": the body's own, as in ObjectExplore, five numbers for each body

    Observation : a dict of float32 arrays within -1 ... 1: `posterior` (objects + 1,) and the fields of
        `policies.summary.FIELDS`, which don't depend on the number of objects.

    Reward : see the module. Terminated when the region decides; truncated after `decision.max_sensations` sensations.

    Info : truth {object, position (3,), rotation (3, 3)}, best (a name, or "unknown"), decided, right, sensations,
        path_length in metres of this step, and blocked.

    experiment : an Experiment, the name of a preset, a TOML file, or nested plain values as in `configs.load.to_dict`
    maps : a run folder, whose missing maps are learnt and kept, or a map file
    objects : names of those that appear and that the columns know; None: the whole catalogue
    action_mode : "orbit": around where the object seems to be, "body": the body's own movement
    reward_mode : "information": for what each movement taught, "sparse": for the decision alone, "none": always 0
    cost : of a sensation, in rewards
    render_mode : "rgb_array", so that `render` gives pictures, or None
    Raises ValueError for settings that make no sense, naming them.
    """

    metadata = {"render_modes": ["rgb_array"], "render_fps": 10}  # noqa: RUF012 (gymnasium's own type)

    def __init__(
        self,
        experiment: Experiment | Mapping[str, Any] | str = "default",
        maps: str | Path = "runs/learn",
        objects: Sequence[str] | None = None,
        action_mode: ActionMode = "orbit",
        reward_mode: RewardMode = "information",
        cost: float = 0.05,
        render_mode: str | None = None,
    ) -> None:
        _one_of("action_mode", action_mode, ("orbit", "body"))
        _one_of("reward_mode", reward_mode, ("information", "sparse", "none"))
        _one_of("render_mode", render_mode, (None, *self.metadata["render_modes"]))
        if not 0 <= cost < math.inf:
            raise ValueError(f"cost must be a number of at least 0, not {cost!r}")
        self.experiment = _experiment(experiment)
        self.objects = _names(self.experiment, objects)
        self.agent = make_agent(self.experiment, _region(self.experiment, str(maps), self.objects))
        self.agent.env.render_mode = render_mode
        self.render_mode, self.cost = render_mode, cost
        self._reward_mode: RewardMode = reward_mode
        self._orbits = action_mode == "orbit"
        if (self._orbits and self.agent.env.action_space.shape != (5,)) or not self.experiment.eye.columns:
            raise ValueError('only an eye alone can orbit: choose action_mode="body" for fingers')
        self._threshold = math.log(self.experiment.decision.odds)
        sizes = summary_sizes(len(self.objects))
        self.observation_space: spaces.Dict = spaces.Dict(  # pyright: ignore[reportIncompatibleVariableOverride]
            {name: spaces.Box(-1.0, 1.0, (size,), np.float32) for name, size in sizes.items()}
        )
        self.action_space = self.agent.env.action_space
        self._situation: Situation | None = None
        self._potential, self._sensations, self._closed = 0.0, 0, False

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """A new episode, after its first sensation. options: as those of ObjectExplore."""
        super().reset(seed=seed)
        self._check_open()
        options = dict(options or {})
        name = options.setdefault("object", self.objects[int(self.np_random.integers(len(self.objects)))])
        if name not in self.objects:
            raise ValueError(f"no object {name!r} here: choose one of {', '.join(self.objects)}")
        self._situation = None
        observation, info = self.agent.begin(options, int(self.np_random.integers(2**31)))
        step = self.agent.turn(self.agent.region.begin(), observation, info, START)
        self._sensations = 0
        seen = self._take_in(step)
        self._potential = self._truth_odds()
        return seen, self._info(step, info)

    def step(self, action: np.ndarray) -> tuple[dict[str, np.ndarray], float, bool, bool, dict[str, Any]]:
        """Move, sense, think. Raises ValueError for anything but finite numbers, five for each body."""
        self._check_open()
        if self._situation is None:
            raise ResetNeeded("call env.reset() first")
        belief = self._situation.belief
        if self._orbits:
            action = orbit_action(self._situation, action)
        observation, _, _, _, info = self.agent.env.step(action)
        step = self.agent.turn(belief, observation, info, Plan(action, None, 0.0, "as it was told"))
        seen = self._take_in(step)
        told = self._info(step, info)
        truncated = not told["decided"] and self._sensations >= self.experiment.decision.max_sensations
        return seen, self._reward(told), told["decided"], truncated, told

    def render(self) -> np.ndarray | None:  # pyright: ignore[reportIncompatibleMethodOverride]
        """(240, 320, 3) uint8: the scene over the eye's shoulder."""
        return self.agent.env.render()

    def close(self) -> None:
        """End the simulation; closing twice is fine."""
        self._closed = True
        self.agent.env.close()

    def _check_open(self) -> None:
        if self._closed:
            raise ClosedEnvironmentError("this environment is closed; make a new one")

    def _take_in(self, step: Step) -> dict[str, np.ndarray]:
        self._sensations += 1
        self._situation = self.agent.situations(step.belief, step.sensation)[0]
        return belief_summary(self._situation)

    def _reward(self, told: dict[str, Any]) -> float:
        if self._reward_mode == "none":
            return 0.0
        if self._reward_mode == "sparse":
            return (2.0 * told["right"] - 1.0) * told["decided"] - self.cost
        before, self._potential = self._potential, self._truth_odds()
        return (self._potential - before) / self._threshold - self.cost

    def _truth_odds(self) -> float:
        """Log odds of the object that is there against all else, within what decides."""
        assert self._situation is not None and self._situation.belief.consensus is not None
        true = self.objects.index(self.agent.env.truth()["object"])
        odds = odds_of(self._situation.belief.consensus.log_posterior[0], torch.tensor(true))
        return max(-self._threshold, min(self._threshold, float(odds)))

    def _info(self, step: Step, info: dict[str, Any]) -> dict[str, Any]:
        consensus = step.belief.consensus
        assert consensus is not None
        index, decided = int(consensus.object_index[0]), self.agent.decided(step.belief)
        best = self.objects[index] if index >= 0 else "unknown"
        right = decided and best == info["truth"]["object"]
        return {**info, "best": best, "decided": decided, "right": right, "sensations": self._sensations}


def _one_of(name: str, value: object, allowed: tuple[object, ...]) -> None:
    if value not in allowed:
        raise ValueError(f"{name} must be one of {', '.join(map(repr, allowed))}, not {value!r}")


def _experiment(given: Experiment | Mapping[str, Any] | str) -> Experiment:
    if isinstance(given, Experiment):
        return given
    return from_dict(given, "experiment") if isinstance(given, Mapping) else load(given)


def _names(experiment: Experiment, objects: Sequence[str] | None) -> tuple[str, ...]:
    if isinstance(objects, str):
        raise ValueError(f"objects is a list of names: [{objects!r}]")
    if objects is not None and (not objects or len(set(objects)) < len(objects)):
        raise ValueError(f"objects must be different names, at least one, not {list(objects)}; None: all there are")
    return known_names(experiment, tuple(objects or ()))


@lru_cache(maxsize=4)
def _region(experiment: Experiment, where: str, names: tuple[str, ...]) -> Region:
    """The columns, which hold no state: shared by all environments of this process that ask for the same."""
    if not Path(where).is_file():
        folder = RunFolder.for_maps(Path(where), experiment)
        return build_region(experiment, learn_objects(experiment, names, folder, lambda name, readings: None))
    known = load_maps(where, stored_schema(experiment))[0]
    missing = [name for name in names if name not in known]
    if missing:
        raise ValueError(f"{where} has no map of {', '.join(missing)}: give objects={list(known)} or a run folder")
    return build_region(experiment, {name: known[name] for name in names})
