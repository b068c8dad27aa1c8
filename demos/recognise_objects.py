"""Learn three objects by moving an eye over them, then name one of them in a pose never seen.

    python demos/recognise_objects.py
"""

from cortical.agents import story
from cortical.agents.brain import build_region
from cortical.agents.learning import Learner
from cortical.agents.rollout import make_agent, play
from cortical.configs.schema import Experiment, EyeConfig

OBJECTS = ("duck", "mug", "bunny")

# one experiment holds every setting; what isn't said has its default (configs/schema.py)
one = Experiment(eye=EyeConfig(columns=1))
five = Experiment(eye=EyeConfig(columns=5))

# the eye scans each object from 14 sides; what it senses becomes a map in the object's own frame
learner = Learner(one)
maps = {name: learner.learn(name) for name in OBJECTS}
for name, known in maps.items():
    print(f"{name}: {len(known)} points from the eye's own sensations")

# the same episode, with one column and with five that vote
for experiment in (one, five):
    agent = make_agent(experiment, build_region(experiment, maps))
    record = play(agent, "duck", seed=7)
    print(f"\n{experiment.eye.columns} column(s)")
    for line in story.tell(record):
        print(f"  {line}")
    agent.env.close()
