"""How fast the eye senses: patches with features per CPU second, and the cost of an environment step.

    python benchmarks/sensing.py

Times are CPU times of one thread (time.process_time), medians of several runs; the object is a bumpy,
textured torus of 5,184 triangles seen from 20 cm in patches of 6 degrees, each in a pose of its own.
Environment steps are those of the default objects, on the object. Writes benchmarks/results/sensing.json.
"""

import argparse
import json
import platform
import sys
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import gymnasium
import numpy as np
import trimesh
from provenance import commit, processor
from scipy.spatial.transform import Rotation

import cortical.envs  # noqa: F401  (registers the environments)
from cortical.envs.objects import Mesh
from cortical.envs.retina import Retina
from cortical.envs.surface import sense

PATCHES = 1024
BARS = {"obs_per_cpu_s_5x5_5k": 60_000, "obs_per_cpu_s_16x16_5k": 20_000}
BARS_US = {"env_step_us_5x5": 150, "env_step_us_16x16": 250}


def bumpy_torus() -> Mesh:
    shape = trimesh.creation.torus(0.05, 0.02, major_sections=72, minor_sections=36)
    vertices, faces = np.array(shape.vertices), np.array(shape.faces, np.int32)
    around = np.arctan2(vertices[:, 1], vertices[:, 0])
    vertices *= 1.0 + 0.03 * np.sin(9 * around)[:, None]
    vertices -= (vertices.max(0) + vertices.min(0)) / 2
    uv = np.stack([around / (2 * np.pi), vertices[:, 2] / 0.04], axis=1).astype(np.float32)
    texture = np.random.default_rng(0).integers(0, 256, (512, 512, 3), np.uint8)
    return Mesh("bumpy torus", vertices, faces, uv[faces], np.full((len(faces), 3), 0.5, np.float32), texture)


def poses(count: int):
    """Objects turned at random, and eyes 20 cm away that look at their tubes."""
    rng = np.random.default_rng(1)
    turns = Rotation.random(count, rng=rng).as_matrix()
    around = rng.uniform(0, 2 * np.pi, count)
    aims = 0.05 * np.stack([np.cos(around), np.sin(around), 0 * around], axis=1)
    aims = np.einsum("bij,bj->bi", turns, aims)
    eyes = rng.normal(size=(count, 3))
    eyes *= 0.2 / np.linalg.norm(eyes, axis=1, keepdims=True)
    z = (aims - eyes) / np.linalg.norm(aims - eyes, axis=1, keepdims=True)
    x = np.cross(z, [0.0, 0.0, 1.0])
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    return np.zeros((count, 3)), turns, eyes, np.stack([x, np.cross(z, x), z], axis=2)


def seconds(call: Callable[[], object], runs: int = 9) -> float:
    """Median CPU time of a call, the first (which compiles) not counted."""
    call()
    times = []
    for _ in range(runs):
        start = time.process_time()
        call()
        times.append(time.process_time() - start)
    return float(np.median(times))


def patches_per_second(pixels: int) -> float:
    retina = Retina([bumpy_torus()], pixels, np.radians(6))
    index, placed = np.zeros(PATCHES, np.int64), poses(PATCHES)
    return PATCHES / seconds(lambda: sense(retina, index, *placed))


def step_us(pixels: int, episodes: int = 30, steps: int = 40) -> float:
    """Median CPU time of env.step, in microseconds, of steps that end on the object."""
    env = gymnasium.make("cortical/ObjectExplore-v0", pixels=pixels)
    rng = np.random.default_rng(0)
    times = []
    for episode in range(episodes):
        env.reset(seed=episode)
        for _ in range(steps):
            action = rng.uniform(-0.02, 0.02, env.action_space.shape).astype(np.float32)  # pyright: ignore
            start = time.process_time()
            observation = env.step(action)[0]
            spent = time.process_time() - start
            if observation["on_object"][0]:
                times.append(spent)
    env.close()
    return 1e6 * float(np.median(times[len(times) // 10 :]))


def main() -> None:
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    figures = {f"obs_per_cpu_s_{n}x{n}_5k": round(patches_per_second(n)) for n in (5, 16)}
    figures |= {f"env_step_us_{n}x{n}": round(step_us(n), 1) for n in (5, 16)}
    packages = ("numpy", "numba", "embreex", "trimesh", "pybullet", "gymnasium")
    result = {
        "command": " ".join(["python", *sys.argv]),
        "commit": commit(),
        "python": platform.python_version(),
        "versions": {name: version(name) for name in packages},
        "machine": f"{processor()}, {platform.system()} {platform.machine()}",
        "threads": 1,
        "bars": BARS | BARS_US,
        **figures,
    }
    path = Path(__file__).parent / "results" / "sensing.json"
    path.write_text(json.dumps(result, indent=1) + "\n")
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
