"""Somebody pushes the object away, and nobody tells the columns: they find out by what fails to come as predicted.

    python demos/pushed_object.py
"""

from dataclasses import replace

import numpy as np

from cortical.agents.agent import START
from cortical.agents.brain import build_region
from cortical.agents.learning import Learner
from cortical.agents.rollout import make_agent
from cortical.configs.load import load

table = load("table")
experiment = replace(table, eye=replace(table.eye, columns=5), column=replace(table.column, watchful=True))
learner = Learner(experiment)
region = build_region(experiment, {name: learner.learn(name) for name in ("duck", "mug", "bunny")})
agent = make_agent(experiment, region)
env, random = agent.env, np.random.default_rng(7)

observation, info = agent.begin({"object": "duck"}, seed=7)
belief, plan = region.begin(), START
for look in range(1, 25):
    step = agent.turn(belief, observation, info, plan)
    if look > 1 and step.belief.steps == 1:
        print(f"look {look:2}: that was not expected! Where is it?")
    belief, plan = step.belief, agent.act(step.belief, step.sensation, random)
    assert belief.consensus is not None
    name = (*region.objects, "thing never seen")[int(belief.consensus.object_index[0])]
    place = belief.consensus.pose.location[0].numpy()
    met = int(step.sensation.on_object.sum())
    off = 1000 * np.linalg.norm(place - env.truth()["position"])
    known = bool((belief.ballot.log_evidence > -np.inf).any())
    where = f"at {np.round(100 * place, 1)} cm ({off:.0f} mm off)" if known else "somewhere"
    print(f"look {look:2}: {met} of 5 columns meet something; they hold it to be a {name}, {where}")
    if look == 10:
        middle = env.truth()["position"]
        env.push(middle - np.array([0.12, 0.0, 0.0]), middle + np.array([0.03, 0.0, 0.0]))
        moved = 1000 * np.linalg.norm(env.truth()["position"] - middle)
        print(f"         ... a fingertip pushes it by {moved:.0f} mm ...")
    observation, _, _, _, info = env.step(plan.action)
env.close()
