"""A body moved by hand: a person says where to go, the columns sense and think as ever, and the policy says where it
would go. One object after the other, each at a pose that follows from the seed.
"""

import math
from collections.abc import Mapping

import numpy as np

from cortical.columns.object_map import ObjectMap
from cortical.configs.schema import Experiment
from cortical.envs.bodies import encode
from cortical.envs.mesh import Mesh
from cortical.envs.sensors import shared_catalogue

from .agent import START, Plan, Step
from .brain import build_region
from .episode import StepTrace
from .metrics import UNKNOWN
from .panels import PALETTE
from .rollout import make_agent
from .scene3d import Snapshot, snapshot
from .shown import body_of, view_of
from .story import believed, odds_text
from .trace import trace_of

AHEAD = 0.2
"""Metres: how far ahead the point is that a body keeps looking at, where it met nothing."""
WORTH = 0.02
"""Share of belief from which an object gets a colour of its own."""


class Drive:
    """An agent whose body a person moves. Objects are drawn from those that have maps.

    steps : what was sensed and believed of the object at hand
    plan : the movement that the policy would make next
    colours : of objects that were believed in
    """

    def __init__(self, experiment: Experiment, maps: Mapping[str, ObjectMap], random: np.random.Generator) -> None:
        self.experiment, self.maps, self._random = experiment, dict(maps), random
        self.agent = make_agent(experiment, build_region(experiment, self.maps))
        self.steps: list[StepTrace] = []
        self.colours: dict[str, str] = {}
        self.plan: Plan = START
        self.begin()

    @property
    def bodies(self) -> tuple[str, ...]:
        """What its bodies are called, in the order of `env.bodies`."""
        names = [type(body).__name__.lower() for body, _ in self.agent.env.bodies]
        return tuple(name if names.count(name) == 1 else f"{name} {i + 1}" for i, name in enumerate(names))

    def begin(self, name: str | None = None) -> None:
        """Another object, at random or this one, and a first sensation of it."""
        chosen = name or str(self._random.choice(sorted(self.maps)))
        observation, info = self.agent.begin({"object": chosen}, int(self._random.integers(2**31)))
        self.steps, self.colours, self._belief = [], {}, self.agent.region.begin()
        self._take(self.agent.turn(self._belief, observation, info, START))

    def move(self, displacement: np.ndarray, turn: tuple[float, float], hold: bool = False, body: int = 0) -> bool:
        """Move a body by `displacement` (3,) metres in its own frame (x right, y down, z ahead) and turn its gaze to
        the right and down (radians); with `hold` it turns so as to go on looking at the same point. What is beyond its
        limits is cut. Returns whether something stopped it."""
        moved, limits = self.agent.env.bodies[body]
        if hold:
            target = moved.position + moved.rotation[:, 2] * self._distance(moved.position)
            end = moved.position + moved.rotation @ displacement
            five = encode(moved, end, target - end, limits)[0]
        else:
            five = np.array([*(displacement / limits.max_path), *(np.asarray(turn) / limits.max_turn)])
        action = np.zeros(self.agent.env.action_space.shape or (5,), np.float32)
        action[5 * body : 5 * body + 5] = np.clip(five, -1.0, 1.0)
        return self._go(self.plan._replace(action=action, goal=None, gain=0.0, reason="moved by hand"))

    def follow(self) -> bool:
        """Make the movement that the policy proposes; returns whether something stopped it."""
        return self._go(self.plan)

    def _go(self, plan: Plan) -> bool:
        observation, _, _, _, info = self.agent.env.step(plan.action)
        self._take(self.agent.turn(self._belief, observation, info, plan))
        return bool(info["blocked"])

    def _take(self, step: Step) -> None:
        self._belief = step.belief
        self.plan = self.agent.act(step.belief, step.sensation, self._random)
        self.steps.append(trace_of(step, self.agent.region))
        for name, share in self.steps[-1].posterior.items():
            if share > WORTH and name != UNKNOWN and name not in self.colours:
                self.colours[name] = PALETTE[len(self.colours) % len(PALETTE)]

    def _distance(self, position: np.ndarray) -> float:
        met = [math.dist(point, position) for point in self.steps[-1].location if point]
        return float(np.median(met)) if met else AHEAD

    @property
    def decided(self) -> bool:
        """Whether the columns are as sure as an answer asks for."""
        return self.steps[-1].log_odds > math.log(self.experiment.decision.odds)

    def words(self) -> str:
        """What is believed now, in one or two sentences."""
        step = self.steps[-1]
        text = believed(step)
        if self.decided:
            text += f". Decided, at {odds_text(step.log_odds)}: {_called(step.best)}"
        return f"{text[:1].upper()}{text[1:]}."

    def truth(self) -> str:
        """What the object is, and whether the best guess is right."""
        name = self.agent.env.truth()["object"]
        return f"It is the {name}: the best guess is {'right' if name == self.steps[-1].best else 'wrong'}."

    def snapshot(self) -> Snapshot:
        """What is drawn now, the policy's proposal as the goal."""
        goal = () if self.plan.goal is None else tuple(part.tolist() for part in self.plan.goal)
        view, body = view_of(self.experiment), body_of(self.experiment)
        return snapshot(self.steps, self.maps, self.colours, view, goal, body)

    def solid(self) -> tuple[Mesh, np.ndarray, np.ndarray]:
        """The object itself: its mesh, position (3,) and rotation (3, 3)."""
        truth = self.agent.env.truth()
        mesh = shared_catalogue(self.agent.env.source).mesh(truth["object"])
        return mesh, truth["position"], truth["rotation"]

    def close(self) -> None:
        """End the simulation."""
        self.agent.env.close()


def _called(name: str) -> str:
    return "none of the objects it knows" if name == UNKNOWN else name
