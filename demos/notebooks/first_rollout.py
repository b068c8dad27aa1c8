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
# # First rollout
#
# An eye looks at an object, moves, and looks again. This is a plain [Gymnasium](https://gymnasium.farama.org)
# environment: no column is in it yet, and the actions here are random. What comes back is what columns will sense.

# %%
import gymnasium as gym
import matplotlib.pyplot as plt
import numpy as np

import cortical.envs  # noqa: F401 (importing it registers the environments)

env = gym.make("cortical/ObjectExplore-v0", columns=5, render_mode="rgb_array")
observation, info = env.reset(seed=3, options={"object": "mug"})

# %% [markdown]
# The eye carries five *patches*, small images of 8 x 8 rays each, of which five columns would be fed. Of every patch
# the observation holds one **feature at a location**: the point that the middle of the patch met, in metres, and what
# the surface is like there.

# %%
for name, value in observation.items():
    first = np.array2string(value[0], precision=3, suppress_small=True).splitlines()[0]
    print(f"{name:16} {value.shape!s:12} {first}")

# %% [markdown]
# The truth is in `info`, for scoring. A policy shouldn't look at it.

# %%
print(info["truth"]["object"], "at", info["truth"]["position"].round(3), "m")

# %% [markdown]
# ## Moving
#
# An action is five numbers in -1 ... 1: how far to go to the right, down and ahead, as the eye sees it, and how far
# to turn its gaze to the right and down. Here they are drawn at random, and small: with larger ones the eye soon
# looks past the object, and has no idea where it went. `render` looks over the eye's shoulder.

# %%
env.action_space.seed(3)
pictures, places, met = [], [], []
for _ in range(20):
    observation, reward, terminated, truncated, info = env.step(0.06 * env.action_space.sample())
    pictures.append(env.render())
    on_object = observation["on_object"] > 0
    places.append(observation["location"][on_object])
    met.append(int(on_object.sum()))

print("patches that met the mug, step by step:", met)

# %%
figure = plt.figure(figsize=(12, 2.7), layout="constrained")
for axes, k in zip(figure.subplots(1, 4), (0, 6, 12, 19), strict=True):
    axes.imshow(pictures[k])
    axes.set_title(f"step {k + 1}")
    axes.set_axis_off()
plt.show()

# %% [markdown]
# ## What was sensed
#
# All points that the patches met, in the world's frame. One episode of random movements touches little of the object;
# [one column learns a mug](one_column_learns_a_mug.py) from all sides.

# %%
points = 100 * np.concatenate(places)
figure = plt.figure(figsize=(5.5, 5), layout="constrained")
axes = figure.add_subplot(projection="3d")
axes.scatter(*points.T, c=np.repeat(np.arange(20), [len(p) for p in places]), s=22)
axes.set(xlabel="x (cm)", ylabel="y (cm)", zlabel="z (cm)")
axes.set_title(f"{len(points)} points, the later the brighter")
axes.set_aspect("equal")
plt.show()
env.close()

# %% [markdown]
# ## Many at once
#
# `gym.make_vec` gives worlds side by side, sensed in one call; each has its own seed, and both ways give the same
# numbers to the bit.

# %%
worlds = gym.make_vec("cortical/ObjectExplore-v0", num_envs=16)
observations, _ = worlds.reset(seed=0)
observations, *_ = worlds.step(0.1 * worlds.action_space.sample())
print(type(worlds.unwrapped).__name__, observations["location"].shape)
worlds.close()
