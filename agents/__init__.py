"""Columns and worlds joined: the loop, policies, learning, runs, pictures, the command line. Importing this registers
the environment that has the columns inside."""

from gymnasium.envs.registration import register

register(
    id="cortical/ActiveRecognition-v0",
    entry_point="cortical.agents.active:ActiveRecognitionEnv",
    max_episode_steps=500,
)
