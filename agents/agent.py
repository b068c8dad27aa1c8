"""The loop: sense, think, vote, decide or move. The same for every body, region and policy.

world --observation--> sensors --sensation--> columns --vote--> lateral layer --consensus--> answer
  ^                                                                                  |
  +------ action <--- arbiter <--- goals <--- policy <--- belief <-------------------+
"""

import math
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from cortical.columns.messages import Sensation
from cortical.columns.region import Belief, Region
from cortical.configs.schema import DecisionConfig
from cortical.envs.bodies import encode
from cortical.envs.explore import ObjectExploreEnv

from .arbiter import choose
from .policies import Policy, Situation
from .sensing import Senses


@dataclass(frozen=True, slots=True)
class Step:
    """One turn of the loop.

    belief : after this sensation
    sensation : what was sensed
    eye : (position, rotation) of the eye at that moment
    thinking : CPU seconds spent by the columns and the policy
    expected : nats that the movement which led here was expected to teach
    reason : of that movement
    path : metres travelled to get here
    """

    belief: Belief
    sensation: Sensation
    eye: tuple[np.ndarray, np.ndarray]
    thinking: float
    expected: float
    reason: str
    path: float


@dataclass
class Agent:
    """A region of columns, a policy and a body in a world."""

    env: ObjectExploreEnv
    region: Region
    policy: Policy
    decision: DecisionConfig
    senses: Senses
    _seen: list[tuple[np.ndarray, np.ndarray]] = field(default_factory=list)

    def episode(self, random: np.random.Generator, options: dict, seed: int) -> Iterator[Step]:
        """Explore one object until it is named or the sensations run out, yielding every step."""
        observation, info = self.env.reset(seed=seed, options=options)
        belief, self._seen = self.region.begin(), []
        expected, reason = 0.0, "where the eye was put"
        for _ in range(self.decision.max_sensations):
            sensation = self.senses(observation)
            eye = self.env.eye
            started = time.process_time()
            belief = self.region.step(belief, sensation)
            decided = self.decided(belief)
            if decided:
                belief = self.region.polish(belief)
            thought = time.process_time() - started
            yield Step(belief, sensation, (eye.position, eye.rotation), thought, expected, reason, info["path_length"])
            if decided:
                return
            action, expected, reason = self.act(belief, sensation, random)
            observation, _, _, _, info = self.env.step(action)

    def decided(self, belief: Belief) -> bool:
        """The odds of the best object (or of 'none of those I know') exceed the threshold."""
        consensus = belief.consensus
        return consensus is not None and float(consensus.log_odds[0]) > math.log(self.decision.odds)

    def act(self, belief: Belief, sensation: Sensation, random: np.random.Generator) -> tuple[np.ndarray, float, str]:
        """The next action, what it is expected to teach and why."""
        self._remember(sensation)
        situation = self._situation(belief)
        goals = self.policy.goals(situation, random)
        position, gaze, gain, reason = choose(goals, self.env.eye)
        action, _ = encode(self.env.eye, position, gaze, self.env.limits)
        return action, gain, reason

    def _remember(self, sensation: Sensation) -> None:
        on = (sensation.on_object & sensation.valid)[0].numpy()
        self._seen.append((sensation.location[0].double().numpy()[on], sensation.gaze[0].double().numpy()[on]))

    def _situation(self, belief: Belief) -> Situation:
        locations, gazes = (np.concatenate(parts) for parts in zip(*self._seen, strict=True))
        return Situation(self.env.eye, self.env.limits, self.region, belief, locations, gazes)
