"""The loop: sense, think, vote, decide or move. The same for every body, region and policy.

world --observation--> sensors --sensation--> columns --vote--> lateral layer --consensus--> answer
  ^                                                                                  |
  +------ action <--- arbiter <--- goals <--- policy <--- belief <-------------------+
"""

import math
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from cortical.columns.belief import Belief
from cortical.columns.messages import Sensation
from cortical.columns.region import Region
from cortical.configs.schema import DecisionConfig, LesionConfig
from cortical.envs.bodies import encode
from cortical.envs.explore import ObjectExploreEnv
from cortical.envs.finger import Finger

from .arbiter import Choice, Wish, arrange, choose
from .policies import Policy, Situation
from .sensing import Senses


@dataclass(frozen=True, slots=True)
class Step:
    """One turn of the loop.

    belief : after this sensation
    sensation : what was sensed
    eye : (position, rotation) of the eye, or the first finger, at that moment
    thinking : CPU seconds spent by the columns and the policy
    expected : nats that the movement which led here was expected to teach
    reason : of that movement
    path : metres travelled to get here
    goal : place (3,) and point (3,) that this movement was to look from and at; None at the start
    """

    belief: Belief
    sensation: Sensation
    eye: tuple[np.ndarray, np.ndarray]
    thinking: float
    expected: float
    reason: str
    path: float
    goal: tuple[np.ndarray, np.ndarray] | None = None


class Plan(NamedTuple):
    """A movement to make.

    action : as the environment takes it
    goal : place (3,) to look from and point (3,) to look at, metres, world frame
    gain : nats it is expected to teach
    reason : in words
    rate : nats for what it costs, in sensations
    """

    action: np.ndarray
    goal: tuple[np.ndarray, np.ndarray] | None
    gain: float
    reason: str
    rate: float = math.inf


START = Plan(np.zeros(0, np.float32), None, 0.0, "where the eye was put")


@dataclass
class Agent:
    """A region of columns, a policy and a body in a world."""

    env: ObjectExploreEnv
    region: Region
    policy: Policy
    decision: DecisionConfig
    senses: Senses
    lesion: LesionConfig = field(default_factory=LesionConfig)
    _seen: list[tuple[np.ndarray, np.ndarray]] = field(default_factory=list)

    def episode(self, random: np.random.Generator, options: dict, seed: int) -> Iterator[Step]:
        """Explore one object until it is named, there is nothing to be found, the best movement isn't worth its price,
        or the sensations run out, yielding every step."""
        observation, info = self.begin(options, seed)
        belief, plan = self.region.begin(), START
        for _ in range(self.decision.max_sensations):
            step = self.turn(belief, observation, info, plan)
            yield step
            if self.decided(step.belief) or self.nothing_here(step.belief):
                return
            belief, plan = step.belief, self.act(step.belief, step.sensation, random)
            if self.decision.price > 0 and plan.gain != 0 and plan.rate < self.decision.price:
                return
            observation, _, _, _, info = self.env.step(plan.action)

    def begin(self, options: dict, seed: int) -> tuple[dict[str, np.ndarray], dict]:
        """A new object to explore: the first observation and info."""
        self._seen = []
        return self.env.reset(seed=seed, options=options)

    def turn(self, belief: Belief, observation: dict[str, np.ndarray], info: dict, plan: Plan) -> Step:
        """Sense and think once; `plan` led here. A pose that is decided on is polished."""
        sensation, body = self.senses(observation), self.env.bodies[0][0]
        started = time.process_time()
        belief = self.region.step(belief, sensation)
        if self.decided(belief):
            belief = self.region.polish(belief)
        thought = time.process_time() - started
        way = info["path_length"]
        return Step(belief, sensation, (body.position, body.rotation), thought, plan.gain, plan.reason, way, plan.goal)

    def decided(self, belief: Belief) -> bool:
        """The odds of the best object (or of 'none of those I know') exceed the threshold."""
        consensus = belief.consensus
        return consensus is not None and float(consensus.log_odds[0]) > math.log(self.decision.odds)

    def nothing_here(self, belief: Belief) -> bool:
        """The search has met nothing for so long that it is given up."""
        return belief.steps >= self.decision.search and not bool(self.region.met(belief).any())

    def act(self, belief: Belief, sensation: Sensation, random: np.random.Generator) -> Plan:
        """The next action, what it is expected to teach and why; to be asked once a sensation."""
        situations = self.situations(belief, sensation)
        wishes = [self._wish(situation, random) for situation in situations]
        chosen = arrange(wishes) if self.env.independent else [choose(wish) for wish in wishes]
        plans = [self._plan(*each) for each in zip(situations, chosen, strict=True)]
        action = np.concatenate([plan.action for plan in plans])
        return max(plans, key=lambda plan: plan.gain)._replace(action=action)

    def _wish(self, situation: Situation, random: np.random.Generator) -> Wish:
        goals, env = self.policy.goals(situation, random), self.env
        if situation.touches:
            return Wish(goals, situation.body, None if env.independent else env.touchable, True)
        return Wish(goals, situation.body, lambda place, gaze: env.reachable(place))

    def _plan(self, situation: Situation, chosen: Choice) -> Plan:
        action, _ = encode(situation.body, chosen.position, chosen.gaze, situation.limits)
        goal = chosen.position, chosen.position + chosen.gaze
        return Plan(action, goal, chosen.gain, chosen.reason, chosen.rate)

    def situations(self, belief: Belief, sensation: Sensation) -> list[Situation]:
        """What a policy is shown after a sensation, one for every body; to be asked once a sensation. The last kind
        of columns is that of the fingers, if there are any."""
        if belief.steps == 1:
            self._seen = []  # the first sensation, or the object has moved
        on = (sensation.on_object & sensation.valid)[0].numpy()
        self._seen.append((sensation.location[0].double().numpy()[on], sensation.gaze[0].double().numpy()[on]))
        locations, gazes = (np.concatenate(parts) for parts in zip(*self._seen, strict=True))
        kinds, senses_by_touch = self.region.kinds, self.senses.fingers > 0
        eyes, touch = (kinds[:-1], kinds[-1:]) if senses_by_touch else (kinds, ())
        known = self.region, belief, locations, gazes, sensation
        return [
            Situation(body, limits, touch if isinstance(body, Finger) else eyes, *known)
            for body, limits in self.env.bodies
        ]
