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
# # Many columns, and what they survive
#
# How much do more columns bring? Does it matter who talks to whom? And what if half of them die, or some lie? Each is
# one line of an experiment: numbers of columns, topologies, lesions, and out comes a table with a row an episode.
#
# First five objects are learnt, by one eye that looks at each from 14 sides.

# %%
from pathlib import Path
from tempfile import mkdtemp

import torch
from IPython.display import Image, display
from rich.console import Console

from cortical.agents.brain import build_region
from cortical.agents.learning import Learner
from cortical.agents.rollout import make_agent, play
from cortical.agents.voting import Plan, experiment_table, run_experiment
from cortical.agents.voting_picture import experiment_picture
from cortical.columns.lesions import draw
from cortical.configs.schema import Experiment, EyeConfig, LateralConfig, LesionConfig

torch.set_num_threads(1)
NAMES = ("mug", "duck", "bunny", "teddy", "lego")
base = Experiment(eye=EyeConfig(spread=30 / 7))
learner = Learner(base)
maps = {name: learner.learn(name) for name in NAMES}

# %% [markdown]
# ## The experiment
#
# The same ten episodes in each of twelve settings, of which four, those of one column, come to the same. Object, pose,
# start and noise don't depend on the setting, so that rows can be compared in pairs. From a terminal the same is
# `cortical vote --columns 1 4 16 --topology ring all --lesion 0 0.5 --out runs/mine`, which goes on where it stopped.

# %%
plan = Plan(columns=(1, 4, 16), topologies=("ring", "all-to-all"), lesions=(0.0, 0.5), seeds=(1, 2))
rows = run_experiment(base, maps, plan, show=False)
Console(width=100, color_system=None, force_jupyter=False).print(experiment_table(rows))

# %%
rows[-1]

# %% [markdown]
# Bars are 95 % intervals; with ten episodes they are wide. More columns need fewer sensations. Half of them dead costs
# what half of the columns are worth: evidence adds up, and the dead add nothing. On a ring every column hears of all in
# the end, only after more rounds.

# %%
picture = experiment_picture(rows, Path(mkdtemp()) / "voting.png")
display(Image(filename=str(picture), width=620))

# %% [markdown]
# ## A lesion is data
#
# Which columns are struck is drawn from a generator that is handed in: the same seed strikes the same ones.

# %%
random = torch.Generator().manual_seed(3)
lesion = draw("collude", share=0.25, columns=16, objects=len(NAMES), generator=random, truth=0)
print([k for k, struck in enumerate(lesion.struck.tolist()) if struck], "say it is the", NAMES[lesion.claim])

# %% [markdown]
# ## Liars
#
# Columns that collude all vote for one and the same wrong object, as sure as a sound column can be. Votes add up, so a
# few of them can outvote many that are honest and in doubt. `pooling="robust"` asks what most columns prefer, and
# doesn't heed those that contradict it by far, which helps where most columns have met the object. It hurts most after
# one sensation. (Twenty episodes are few; `benchmarks/voting.py` has more.)

# %%
conditions = {
    "sound": (LesionConfig(), LateralConfig()),
    "sound, robust": (LesionConfig(), LateralConfig(pooling="robust")),
    "liars": (LesionConfig(kind="collude", share=0.25), LateralConfig()),
    "liars, robust": (LesionConfig(kind="collude", share=0.25), LateralConfig(pooling="robust")),
}
for label, (lesion, lateral) in conditions.items():
    experiment = Experiment(eye=EyeConfig(columns=16, spread=30 / 7), lesion=lesion, lateral=lateral)
    agent = make_agent(experiment, build_region(experiment, maps))
    records = [play(agent, name, seed) for name in NAMES for seed in range(4)]
    first = sum(record.best_guess_per_step[0] == record.object for record in records)
    right = sum(record.correct for record in records)
    print(f"{label:15} right after one sensation: {first:2} of {len(records)}, in the end: {right:2}")
    agent.env.close()
