"""The world by itself: a Gymnasium environment, moved at random.

    python demos/explore_with_gymnasium.py
"""

import gymnasium as gym

import cortical.envs  # noqa: F401 (registers the ids)

env = gym.make("cortical/ObjectExplore-v0", objects="default", columns=1, noise="clean")
observation, info = env.reset(seed=3)
print("before the eye:", info["truth"]["object"])

env.action_space.seed(3)
for _ in range(5):
    observation, reward, terminated, truncated, info = env.step(0.12 * env.action_space.sample())
    met = bool(observation["on_object"][0])
    where = [round(100 * float(x), 1) for x in observation["location"][0]]
    k1, k2 = (float(k) for k in observation["curvature"][0])
    print(f"at {where} cm, curvatures {k1:.0f} and {k2:.0f} 1/m" if met else "nothing there")

env.close()
