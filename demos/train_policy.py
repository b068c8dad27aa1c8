"""Train a motor policy by PPO on what a column believes, and compare it with random saccades at poses never met.

    pip install 'cortical-columns[rl]'
    python demos/train_policy.py --maps runs/learn

Takes about six minutes on two quiet cores. Then: cortical recognise --policy.name learned --policy.file FILE
"""

import argparse
import time
from pathlib import Path

import gymnasium as gym
import numpy as np
import torch
from gymnasium.wrappers import FilterObservation, FlattenObservation
from scipy.stats import bootstrap
from stable_baselines3 import PPO
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.vec_env import SubprocVecEnv

from cortical.agents.agent import Agent
from cortical.agents.policies import Learned, Policy, Saccade
from cortical.agents.policies.learned import network_of, save_policy
from cortical.agents.policies.summary import FIELDS
from cortical.agents.rollout import play


def shown(maps: str, objects: list[str] | None) -> FilterObservation:
    """The environment without the posterior: what is left doesn't depend on which objects are known."""
    torch.set_num_threads(1)
    env = gym.make("cortical.agents:cortical/ActiveRecognition-v0", maps=maps, objects=objects, max_episode_steps=100)
    return FilterObservation(env, list(FIELDS))


def flat(maps: str, objects: list[str] | None) -> gym.Env:
    return FlattenObservation(shown(maps, objects))


def lengths(agent: Agent, policy: Policy, names: tuple[str, ...], seeds: list[int]) -> tuple[np.ndarray, float]:
    """Sensations of one episode of every object and seed, and the share of right answers."""
    agent.policy = policy
    records = [play(agent, name, seed, traced=False) for name in names for seed in seeds]
    return np.array([r.sensations for r in records]), float(np.mean([r.answer == r.object for r in records]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--maps", default="runs/learn", help="run folder with maps; what it lacks is learnt")
    parser.add_argument("--objects", nargs="+", help="these objects only")
    parser.add_argument("--steps", type=int, default=40_960, help="movements to train on")
    parser.add_argument("--minutes", type=float, default=1e9, help="stop after so many, if that comes first")
    parser.add_argument("--seed", type=int, default=100, help="of the training")
    parser.add_argument("--held-out", type=int, nargs="+", default=[0, 1, 2], help="seeds of the comparison")
    parser.add_argument("--out", type=Path, default=Path("runs/policy"))
    args = parser.parse_args()
    one = shown(args.maps, args.objects)  # first, so that the maps are learnt once
    fields = {name: box.shape[0] for name, box in one.get_wrapper_attr("observation_space").items()}
    envs = make_vec_env(flat, 2, args.seed, env_kwargs={"maps": args.maps, "objects": args.objects},
                        vec_env_cls=SubprocVecEnv, vec_env_kwargs={"start_method": "forkserver"})  # fmt: skip
    model = PPO("MlpPolicy", envs, 1e-3, n_steps=512, batch_size=256, gamma=0.95, gae_lambda=0.9, device="cpu",
                policy_kwargs={"log_std_init": -1.0, "net_arch": [32, 32]},
                seed=args.seed, tensorboard_log=str(args.out))  # fmt: skip
    print(f"the curve: tensorboard --logdir {args.out}", flush=True)
    end = time.time() + 60 * args.minutes
    model.learn(args.steps, callback=lambda *_: time.time() < end)
    envs.close()
    network = network_of(model, fields, seed=args.seed, steps=model.num_timesteps)
    save_policy(file := args.out / "policy.safetensors", network)
    agent, names = one.get_wrapper_attr("agent"), one.get_wrapper_attr("objects")
    ours, right = lengths(agent, Learned(network), names, args.held_out)
    theirs, so_right = lengths(agent, Saccade(), names, args.held_out)
    low, high = bootstrap((ours - theirs,), np.mean, method="percentile", rng=0).confidence_interval
    print(f"{len(ours)} poses of seeds {args.held_out}, with {file}")
    print(f"PPO {ours.mean():.1f} sensations, {right:.1%} right; saccades {theirs.mean():.1f}, {so_right:.1%}")
    print(f"difference: {np.mean(ours - theirs):.1f} (95 % {low:.1f} to {high:.1f}), paired by pose")


if __name__ == "__main__":
    main()
