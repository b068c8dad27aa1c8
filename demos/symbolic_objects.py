"""A hundred objects made of symbols: one is touched in the dark, at random or where the most is expected to be learnt.

    python demos/symbolic_objects.py
"""

import gymnasium as gym
import numpy as np
import torch

import cortical.envs  # noqa: F401 (registers the ids)
from cortical.columns.symbolic import SymbolMaps, begin, information, posterior, predictions, update
from cortical.columns.symbolic_policies import MostInformative, RandomTouches

env = gym.make("cortical/SymbolicObjects-v0", objects=100, points=10, features=5, world_seed=6)
table = torch.from_numpy(env.get_wrapper_attr("table").copy())  # the symbol of each object at each point
maps = SymbolMaps(table[None], features=5)
policies = {"at random": RandomTouches(points=10), "where most is to be learnt": MostInformative(maps)}
predicted = predictions(maps, torch.arange(10)[:, None])

for name, policy in policies.items():
    print(f"\nTouching {name}:")
    random = torch.Generator().manual_seed(2)
    belief = begin(maps, episodes=1)
    env.reset(seed=4)
    left = 100
    while left > 1:
        luck = torch.rand((1, 1, policy.choices), generator=random)
        point = policy(posterior(belief), belief.touched, luck)
        hoped = information(posterior(belief), predicted)[0, 0, int(point)] / torch.log(torch.tensor(2.0))

        observation, *_ = env.step({"move": point[0, 0].numpy(), "answer": 0})
        felt = torch.from_numpy(observation["feature"])
        belief = update(maps, belief, point, felt[None, None])

        before, left = left, int((posterior(belief) > 0).sum())
        print(f"  point {int(point)}, hoping for {hoped:.2f} bits: symbol {int(felt)}. {left} of {before} objects fit")
    best = int(posterior(belief).argmax())
    *_, reward, _, _, info = env.step({"move": np.zeros(1, int), "answer": 1 + best})
    word = "right" if info["result"]["right"] else "wrong"
    print(f"  It is object {best}, {word}, after {info['touches']} touches.")
env.close()
