"""A robot arm names objects on a table, by an eye in its hand and a fingertip, from maps that a free eye learnt.

    python demos/robot_arm.py
"""

from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image

from cortical.agents.brain import build_region
from cortical.agents.learning import Learner
from cortical.agents.rollout import make_agent, play
from cortical.configs.load import load
from cortical.configs.schema import Experiment

OBJECTS = ("duck", "mug", "bunny")
PICTURE = Path("runs/robot_arm.png")

# a map is of the object, whatever body learns it: here an eye that floats around it
learner = Learner(Experiment())
maps = {name: learner.learn(name) for name in OBJECTS}
print("A floating eye learnt", ", ".join(f"{name} ({len(known)} points)" for name, known in maps.items()))

# a Panda carries the eye of one column and the fingertip of another; both vote
experiment = load("arm")
experiment = replace(experiment, decision=replace(experiment.decision, max_sensations=60))
agent = make_agent(experiment, build_region(experiment, maps))
agent.env.render_mode = "rgb_array"
scenes, right = [], 0
for name in OBJECTS:
    record = play(agent, name, seed=3)
    right += record.correct
    felt = sum(bool(step.location[1]) for step in record.trace)
    print(f"\nOn the table lies the {name}; the arm says: {record.answer}.")
    print(f"  {record.sensations} looks and {felt} touches, on a way of {record.path_m:.1f} m;")
    print(f"  its pose is {record.add_s_mm:.1f} mm off, its rotation {record.rotation_error_deg:.0f} degrees.")
    for sense, column in zip(("eye", "fingertip"), record.trace[-1].columns, strict=True):
        print(f"  By itself, the column of the {sense} would say: {column.alone_best}.")
    scenes.append(agent.env.render())
print(f"\n{right} of {len(OBJECTS)} right.")
agent.env.close()

PICTURE.parent.mkdir(exist_ok=True)
Image.fromarray(np.concatenate(scenes, axis=1)).save(PICTURE)
print("Drawn:", PICTURE)
