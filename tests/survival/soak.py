"""Steps without end in one process, and how much memory it holds meanwhile: python tests/survival/soak.py world 1000000

world : an eye and its object, a new episode every 500 steps; agent : learning, recognising, learning, ...
Prints one JSON object: steps, seconds, mib (resident memory at 20 points after a tenth of the steps), growth (the last
quarter's mean over the first's, less 1).
"""

import ctypes
import gc
import json
import os
import sys
import time
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import torch

from cortical.agents.brain import build_region
from cortical.agents.learning import Learner
from cortical.agents.rollout import make_agent, play
from cortical.configs.load import load
from cortical.configs.schema import LearnConfig, WorldConfig
from cortical.envs.explore import ObjectExploreEnv

POINTS, EPISODE = 20, 500
WARM = 6  # rounds until libraries hold what they keep


def world_steps() -> Iterator[int]:
    """One step of the environment at a time."""
    random = np.random.default_rng(0)
    env = ObjectExploreEnv("solids", noise="noise", columns=1)
    for name in env.objects:  # each is read when it is first needed
        env.reset(seed=0, options={"object": name})
    for episode in range(10**9):
        env.reset(seed=episode)
        for action in random.uniform(-0.3, 0.3, (EPISODE, 5)).astype(np.float32):
            env.step(action)
            yield 1


def agent_steps() -> Iterator[int]:
    """A map learnt, then episodes with the maps learnt so far; yields the steps of each."""
    names = ("cylinder", "torus", "box")
    experiment = replace(load(), world=WorldConfig("solids"), learn=LearnConfig(sensations_per_view=250))
    learner = Learner(experiment)
    maps = {name: learner.learn(name) for name in names}
    for turn in range(10**9):
        name, steps = names[turn % len(names)], 0
        before = learner.readings
        maps[name] = learner.learn(name)
        steps += (learner.readings - before) // experiment.learn.patches
        agent = make_agent(experiment, build_region(experiment, maps))
        for rotation in range(10):
            steps += play(agent, name, seed=turn, rotation_index=rotation).sensations
        agent.env.close()
        if turn >= WARM:
            yield steps


def resident() -> float:
    """MiB of memory that this process holds when all that is free was given back."""
    gc.collect()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # glibc's own
    if trim is not None:
        trim(0)
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20


def main(kind: str, steps: int) -> None:
    torch.set_num_threads(1)
    done, mib, start = 0, [], time.perf_counter()
    for more in {"world": world_steps, "agent": agent_steps}[kind]():
        done += more
        while len(mib) < POINTS and done >= steps * (0.1 + 0.9 * len(mib) / (POINTS - 1)):
            mib.append(round(resident(), 1))
        if done >= steps:
            break
    quarter = POINTS // 4
    growth = float(np.mean(mib[-quarter:]) / np.mean(mib[:quarter]) - 1)
    seconds = round(time.perf_counter() - start, 1)
    print(json.dumps({"kind": kind, "steps": done, "seconds": seconds, "mib": mib, "growth": round(growth, 5)}))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
