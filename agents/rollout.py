"""Episodes played by an agent, and what is kept of them: a trace per column and step, and the errors at the end."""

import math
from dataclasses import replace
from functools import lru_cache
from typing import Any

import numpy as np
import torch

from cortical.columns.layers import counting
from cortical.columns.lesions import draw, lesioned
from cortical.columns.region import Region
from cortical.configs.schema import Experiment
from cortical.envs.explore import ObjectExploreEnv
from cortical.envs.sensors import shared_catalogue

from .agent import Agent, Step
from .episode import Ending, EpisodeRecord, StepTrace
from .metrics import NOTHING, Symmetry, add_s, load_symmetry, rotation_error
from .policies import make_policy
from .sensing import Senses
from .trace import trace_of


def make_agent(experiment: Experiment, region: Region) -> Agent:
    """Body, columns and policy of an experiment, ready for episodes."""
    coded = [kind for kind in region.kinds if kind.coded]
    learnt = getattr(coded[0], "encoder", None) if coded else None  # columns of others may know none
    textured = any(kind.textured for kind in region.kinds)
    senses = Senses(bool(coded), experiment.touch.fingers, learnt, textured)
    env = ObjectExploreEnv.from_config(experiment.world, experiment.eye, experiment.touch, obs_mode=senses.obs_mode)
    return Agent(env, region, make_policy(experiment.policy), experiment.decision, senses, experiment.lesion)


def play(
    agent: Agent,
    name: str,
    seed: int,
    rotation_index: int = 0,
    pose: tuple[np.ndarray, np.ndarray] | None = None,
    traced: bool = True,
    start: dict[str, np.ndarray] | None = None,
) -> EpisodeRecord:
    """One object at one random pose, or at `pose`, by an agent at hand. The pose, the start, the noise and the policy's
    choices all follow from (seed, name, rotation_index), whatever the number of columns.

    start : eye_position (3,) metres and gaze (3,), or one of them; otherwise random, looking at the object
    """
    source = agent.env.source
    index = shared_catalogue(source).index(name)
    pose_seed, policy_seed = np.random.SeedSequence([seed, index, rotation_index]).generate_state(2)
    agent = struck(agent, name, int(pose_seed))
    options: dict[str, Any] = {"object": name, **(start or {})}
    if pose is not None:
        options |= {"position": np.asarray(pose[0], float), "rotation": np.asarray(pose[1], float)}
    steps, trace = [], []
    with counting() as counts:
        for step in agent.episode(np.random.default_rng(policy_seed), options, int(pose_seed)):
            steps.append(step)
            trace.append(trace_of(step, agent.region))
    record = _record(agent, source, name, steps, trace, seed, rotation_index, traced)
    return replace(record, code_multiply_adds=counts.multiply_adds, code_joules=counts.energy())


def struck(agent: Agent, name: str, seed: int) -> Agent:
    """The agent with the lesion of its configuration, drawn for one episode of this object."""
    lesion, region = agent.lesion, agent.region
    columns = sum(kind.columns for kind in region.kinds)
    if round(lesion.share * columns) == 0:
        return agent
    truth = region.objects.index(name) if name in region.objects else -1
    random = torch.Generator().manual_seed(seed)
    drawn = draw(lesion.kind, lesion.share, columns, len(region.objects), random, lesion.at, truth)
    return replace(agent, region=lesioned(region, drawn))


def _record(
    agent: Agent, source: str, name: str, steps: list[Step], trace: list[StepTrace], seed: int, index: int, traced: bool
) -> EpisodeRecord:
    last = steps[-1]
    consensus = last.belief.consensus
    assert consensus is not None
    estimate = consensus.pose.rotation[0].double().cpu().numpy(), consensus.pose.location[0].double().cpu().numpy()
    truth = agent.env.truth()
    best = trace[-1].best
    known, nothing = symmetries(source), agent.nothing_here(last.belief)
    errors: dict[str, Any] = {
        f"rotation_error{tag}_deg": math.degrees(
            rotation_error(estimate[0], truth["rotation"], known[tolerance].get(name, Symmetry()))
        )
        for tag, tolerance in (("", 1.0), ("_half", 0.5), ("_double", 2.0))
    }
    plain = math.degrees(rotation_error(estimate[0], truth["rotation"], Symmetry()))
    points = shared_catalogue(source).mesh(name).vertices
    points = points[:: max(1, len(points) // 500)]
    return EpisodeRecord(
        object=name, answer=NOTHING if nothing else best if agent.decided(last.belief) else None, best_guess=best,
        odds_log=trace[-1].log_odds, sensations=len(steps), path_m=sum(s.path for s in steps), **errors,
        rotation_error_plain_deg=plain,
        add_s_mm=1e3 * add_s(estimate, (truth["rotation"], truth["position"]), points),
        think_ms=[t.think_ms for t in trace], best_guess_per_step=[t.best for t in trace], seed=seed,
        rotation_index=index, position=truth["position"].tolist(), rotation=truth["rotation"].tolist(),
        estimated_position=estimate[1].tolist(), estimated_rotation=estimate[0].tolist(),
        trace=trace if traced else [], ended=_ended(agent, last, len(steps)),
    )  # fmt: skip


def _ended(agent: Agent, last: Step, sensations: int) -> Ending:
    if agent.decided(last.belief) or agent.nothing_here(last.belief):
        return "decided"
    return "sensations" if sensations >= agent.decision.max_sensations else "price"


@lru_cache(maxsize=4)
def symmetries(source: str) -> dict[float, dict[str, Any]]:
    """Symmetry groups of a catalogue's objects at the three tolerances."""
    return {tolerance: load_symmetry(source, tolerance) for tolerance in (0.5, 1.0, 2.0)}
