# ---
# jupyter:
#   jupytext:
#     formats: py:percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Nine columns vote
#
# Nine columns sense nine neighbouring spots at once. Each believes what its own sensations tell it, and tells the
# others which poses of which objects it holds possible. No feature travels, only poses and log-evidence, so they
# could as well have different senses. What one column needs many looks for, nine can settle in one or two.

# %%
from pathlib import Path
from tempfile import mkdtemp

import matplotlib.pyplot as plt
import numpy as np
import torch
from IPython.display import Image, display

from cortical.agents import story
from cortical.agents.brain import build_region
from cortical.agents.learning import Learner
from cortical.agents.pictures import episode_picture
from cortical.agents.rollout import make_agent, play
from cortical.configs.schema import Experiment, EyeConfig, LateralConfig
from cortical.envs.sensors import shared_catalogue

torch.set_num_threads(1)
NAMES = ("mug", "duck", "bunny", "teddy", "lego")
learner = Learner(Experiment())
maps = {name: learner.learn(name) for name in NAMES}
print({name: len(known) for name, known in maps.items()})

# %% [markdown]
# ## The same episodes with one column and with nine
#
# Object, pose, start and noise follow from the seed, whatever the number of columns. The last are nine columns that
# tell each other nothing; the region is then as sure as they are on average.

# %%
conditions = {
    "one column": Experiment(eye=EyeConfig(columns=1)),
    "nine that vote": Experiment(eye=EyeConfig(columns=9)),
    "nine that don't": Experiment(eye=EyeConfig(columns=9), lateral=LateralConfig(topology="none")),
}
episodes = {}
for label, experiment in conditions.items():
    agent = make_agent(experiment, build_region(experiment, maps))
    episodes[label] = [play(agent, name, seed=seed) for name in NAMES for seed in (1, 2)]
    agent.env.close()

# %%
for label, records in episodes.items():
    right = sum(record.correct for record in records)
    needed = [record.sensations for record in records]
    middle, most = np.median(needed), max(needed)
    print(f"{label:16} {right} of {len(records)} right; sensations: median {middle:g}, most {most}")

# %%
figure = plt.figure(figsize=(10, 3.6), layout="constrained")
axes = figure.subplots()
for k, (label, colour) in enumerate(zip(episodes, ("#0072B2", "#009E73", "#E69F00"), strict=True)):
    means = [np.mean([r.sensations for r in episodes[label] if r.object == name]) for name in NAMES]
    axes.bar(np.arange(len(NAMES)) + 0.27 * (k - 1), means, 0.27, label=label, color=colour)
axes.set_xticks(range(len(NAMES)), NAMES)
axes.set_ylabel("sensations to the answer")
axes.legend(frameon=False)
plt.show()

# %% [markdown]
# ## Inside one episode
#
# What each of the nine believed, step by step: by its own sensations alone, and after the votes were exchanged. By
# itself a column that met nothing says *something unknown*; the others tell it better.

# %%
record = max(episodes["nine that vote"], key=lambda one: (one.sensations, one.odds_log))
for k, step in enumerate(record.trace, 1):
    alone = [story.share_text(column.alone_best, column.alone_log_odds) for column in step.columns]
    odds = story.odds_text(step.log_odds)
    print(f"sensation {k}: {step.votes} poses on the ballot; together {step.best}, {odds}")
    print("   alone:", ", ".join(alone))
    print("   after the exchange:", ", ".join(sorted({column.best for column in step.columns})))

# %%
for line in story.tell(record):
    print("-", line)

# %%
mesh = shared_catalogue("default").mesh(record.object)
best = maps.get(record.best_guess)
odds = conditions["nine that vote"].decision.odds
picture = episode_picture(record, mesh, best, Path(mkdtemp()) / "vote.png", odds)
display(Image(filename=str(picture)))

# %% [markdown]
# ## Who talks to whom
#
# The exchange runs along a graph. With fewer connections it takes more rounds until all have heard of all; the answer
# is the same.

# %%
for topology in ("all-to-all", "grid", "ring"):
    experiment = Experiment(eye=EyeConfig(columns=9), lateral=LateralConfig(topology=topology))
    region = build_region(experiment, maps)
    agent = make_agent(experiment, region)
    record = play(agent, "duck", seed=5)
    lateral = region.lateral
    verdict = f"{record.answer} after {record.sensations} sensations"
    print(f"{topology:12} rounds: {lateral.rounds:2}, {verdict}")
    agent.env.close()
