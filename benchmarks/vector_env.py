"""How fast 64 worlds are stepped side by side, against one world seen by PyBullet's camera; and what a world costs.

    python benchmarks/vector_env.py

Sensations per CPU second of one thread (time.process_time), medians of several episodes of 40 steps; patches of
16 x 16 pixels and 6 degrees, 20 cm from the bumpy, textured torus of 5,184 triangles of benchmarks/sensing.py.
Actions are small, so that most gazes stay on the object. The batch rate is that of benchmarks/sensing.py; episodes
and batches take turns, so that what else the machine does slows both, and their ratio is the median of pairs.
Memory is what a process grows by for each world beyond the first. Writes benchmarks/results/vector_env.json; its
last line of output is one JSON object.
"""

import argparse
import json
import platform
import subprocess
import sys
import tempfile
import time
from importlib.metadata import version
from pathlib import Path

import gymnasium
import numpy as np
import trimesh
from PIL import Image
from provenance import commit
from sensing import PATCHES, bumpy_torus, poses, processor
from trimesh.visual import TextureVisuals

import cortical.envs  # noqa: F401  (registers the environments)
from cortical.envs.retina import Retina
from cortical.envs.surface import sense

NAME, PIXELS, WORLDS, STEPS, ROUNDS, MANY = "cortical/ObjectExplore-v0", 16, 64, 40, 25, 2049
BARS = {"vs_camera": 10, "native_vs_sensing": 0.8}


def object_folder(folder: Path) -> str:
    """The torus as a folder of meshes, the way users bring their own."""
    mesh, place = bumpy_torus(), folder / "torus"
    place.mkdir()
    assert mesh.texture is not None
    look = TextureVisuals(
        uv=mesh.face_uv.reshape(-1, 2).astype(float), image=Image.fromarray(mesh.texture)
    )
    corners = np.arange(3 * len(mesh.faces)).reshape(-1, 3)
    shape = trimesh.Trimesh(mesh.vertices[mesh.faces].reshape(-1, 3), corners, visual=look, process=False)
    shape.export(place / "model.obj")
    return str(folder)


def actions(count: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).uniform(-0.02, 0.02, (STEPS, count, 5)).astype(np.float32)


def native_and_batch(source: str) -> tuple[list[float], list[float], float]:
    """Sensations per CPU second of all worlds together, episode by episode; those of a batch of sensing beside each;
    and the share of the worlds' sensations that are on the object."""
    worlds = gymnasium.make_vec(NAME, WORLDS, objects=source, pixels=PIXELS)
    retina, index, placed = Retina([bumpy_torus()], PIXELS, np.radians(6)), np.zeros(PATCHES, np.int64), poses(PATCHES)
    native, batch, met = [], [], []
    for episode in range(ROUNDS + 1):
        worlds.reset(seed=1000 * episode)
        played = actions(WORLDS, episode)
        start = time.process_time()
        seen = [worlds.step(action)[0]["on_object"] for action in played]
        middle = time.process_time()
        sense(retina, index, *placed)
        sense(retina, index, *placed)
        native.append(STEPS * WORLDS / (middle - start))
        batch.append(2 * PATCHES / (time.process_time() - middle))
        met.append(np.mean(seen))
    worlds.close()
    return native[1:], batch[1:], float(np.mean(met[1:]))


def single_rate(source: str, backend: str) -> float:
    env = gymnasium.make(NAME, objects=source, pixels=PIXELS, backend=backend)
    rates = []
    for episode in range(ROUNDS + 1):
        env.reset(seed=episode)
        played = actions(1, episode)[:, 0]
        start = time.process_time()
        for action in played:
            env.step(action)
        rates.append(STEPS / (time.process_time() - start))
    env.close()
    return float(np.median(rates[1:]))


def memory_mib(worlds: int) -> float:
    """What a process of so many worlds of the default objects holds, in MiB, after a few steps."""
    code = f"""
import gymnasium, numpy as np, cortical.envs
worlds = gymnasium.make_vec({NAME!r}, {worlds}, pixels={PIXELS})
worlds.reset(seed=0, options={{"object": "duck"}})
for _ in range(5):
    worlds.step(np.zeros(({worlds}, 5), np.float32))
print(next(line for line in open("/proc/self/status") if line.startswith("VmRSS")).split()[1])
"""
    told = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout
    return int(told.split()[-1]) / 1024


def main() -> None:
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    with tempfile.TemporaryDirectory() as folder:
        source = object_folder(Path(folder))
        native, batch, met = native_and_batch(source)
        camera, rays = single_rate(source, "camera"), single_rate(source, "rays")
    figures = {
        "native_64_per_cpu_s": round(np.median(native)),
        "camera_single_per_cpu_s": round(camera),
        "vs_camera": round(float(np.median(native)) / camera, 1),
        "memory_mib_per_world": round((memory_mib(MANY) - memory_mib(1)) / (MANY - 1), 3),
        "native_vs_sensing": round(float(np.median(np.divide(native, batch))), 2),
        "rays_single_per_cpu_s": round(rays),
        "sensing_per_cpu_s": round(np.median(batch)),
        "on_object": round(met, 2),
    }
    packages = ("numpy", "numba", "embreex", "trimesh", "pybullet", "gymnasium")
    result = {
        "command": " ".join(["python", *sys.argv]),
        "commit": commit(),
        "python": platform.python_version(),
        "versions": {name: version(name) for name in packages},
        "machine": f"{processor()}, {platform.system()} {platform.machine()}",
        "threads": 1,
        "bars": BARS,
        **figures,
    }
    path = Path(__file__).parent / "results" / "vector_env.json"
    path.write_text(json.dumps(result, indent=1) + "\n")
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
