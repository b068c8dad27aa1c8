"""Worlds to sense and move in, as Gymnasium environments; importing this registers them."""

from gymnasium.envs.registration import register

register(
    id="cortical/ObjectExplore-v0",
    entry_point="cortical.envs.explore:ObjectExploreEnv",
    vector_entry_point="cortical.envs.vector:explore_worlds",
    max_episode_steps=500,
)
register(
    id="cortical/ObjectRecognition-v0",
    entry_point="cortical.envs.recognise:ObjectRecognitionEnv",
    vector_entry_point="cortical.envs.vector:recognise_worlds",
    max_episode_steps=500,
)
register(
    id="cortical/SymbolicObjects-v0",
    entry_point="cortical.envs.symbolic:SymbolicObjectsEnv",
    max_episode_steps=500,
)
