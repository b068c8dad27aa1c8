"""Three ways to see: PyBullet's camera as it comes, our rays, and the camera made to sample the same rays.

    python benchmarks/backends.py

Each object is looked at from 20 cm in a few random poses, 64 x 64 pixels of one field of view. What the camera delivers
is held against rays cast for the very direction its user takes a pixel to have:

- PyBullet's camera as it comes (TinyRenderer, `computeProjectionMatrixFOV`, default light): pixels are taken at their
  middles. The renderer samples them at their left and lower edges, so depths are those of a point half a pixel away.
- `backend="camera"` (`envs/camera.py`): the frustum is shifted by that half pixel, and the light is even.

Times are CPU times of one thread for one image, medians. Writes benchmarks/results/backends.json, the figure
demos/guide/backends.png and the table in demos/guide/seeing.md.
"""

import argparse
import json
import math
import platform
import re
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm, Normalize
from matplotlib.figure import Figure
from provenance import commit

from cortical.agents.pictures import save
from cortical.envs.bodies import looking
from cortical.envs.camera import FAR, NEAR
from cortical.envs.objects import Mesh, open_catalogue
from cortical.envs.placing import random_rotations
from cortical.envs.record import Images, ray_directions
from cortical.envs.retina import Retina
from cortical.envs.simulation import Simulation

ROOT = Path(__file__).parents[1]
PAGE, FIGURE = (ROOT / "demos" / "guide" / name for name in ("seeing.md", "backends.png"))
RESULT = ROOT / "benchmarks" / "results" / "backends.json"
OBJECTS = ("mug", "duck", "soccerball")
PIXELS, FIELD, DISTANCE, POSES, TIMED = 64, math.radians(40.0), 0.2, 8, (8, 16, 64)
HERE = np.zeros(3)
AS_IT_COMES = {"shadow": 1, "lightAmbientCoeff": 0.6, "lightDiffuseCoeff": 0.35, "lightSpecularCoeff": 0.05}
"""PyBullet's defaults, said because it keeps those of the call before."""


@dataclass(frozen=True)
class Seen:
    """One view; images (n, n) of depth in metres along the ray, (n, n, 3) of colour in 0 ... 1, nan off the object.

    plain, plain_rays : PyBullet's camera as it comes, and rays through the middles of its pixels
    rays, camera : the two backends
    """

    plain: tuple[np.ndarray, np.ndarray]
    plain_rays: tuple[np.ndarray, np.ndarray]
    rays: tuple[np.ndarray, np.ndarray]
    camera: tuple[np.ndarray, np.ndarray]


def plain_camera(simulation: Simulation, eye: np.ndarray, view: np.ndarray, pixels: int) -> Any:
    """PyBullet's own images, by the calls of its manual."""
    ask = simulation.call
    matrix = ask("computeViewMatrix", eye.tolist(), (eye + view[:, 2]).tolist(), (-view[:, 1]).tolist())
    lens = ask("computeProjectionMatrixFOV", math.degrees(FIELD), 1.0, NEAR, FAR)
    tiny = simulation.constant("ER_TINY_RENDERER")
    return ask("getCameraImage", pixels, pixels, matrix, lens, renderer=tiny, **AS_IT_COMES)


def unprojected(taken: Any, pixels: int) -> tuple[np.ndarray, np.ndarray]:
    """Depth and colour of PyBullet's images, pixels taken at their middles."""
    _, _, rgba, buffer, mask = (np.asarray(part) for part in taken)
    buffer = buffer.reshape(pixels, pixels).astype(float)
    along = FAR * NEAR / (FAR - (FAR - NEAR) * buffer) / middles(pixels)[..., 2]
    hit = mask.reshape(pixels, pixels) >= 0
    return _cut(along, rgba.reshape(pixels, pixels, 4)[..., :3] / 255.0, hit)


def middles(pixels: int) -> np.ndarray:
    """Unit directions through the middles of pixels, (n, n, 3): those between the rays of twice as many."""
    return ray_directions(2 * pixels, FIELD)[1::2, 1::2]


def see(simulation: Simulation, mesh: Mesh, random: np.random.Generator) -> Seen:
    """The same view of an object by all of them."""
    rotation = random_rotations(1, random)[0]
    bearing = random.standard_normal(3)
    eye = DISTANCE * bearing / np.linalg.norm(bearing)
    view = looking(-eye)
    simulation.move("object", HERE, rotation)
    camera = simulation.camera(eye, view, PIXELS, FIELD)
    where = np.zeros(1, int), HERE[None], rotation[None], eye[None], view[None]
    fine = Retina([mesh], 2 * PIXELS, FIELD).sense_images(*where)
    return Seen(
        unprojected(plain_camera(simulation, eye, view, PIXELS), PIXELS),
        _cut(*(part[0, 1::2, 1::2] for part in (fine.depth, fine.rgb, fine.on_object))),
        _of(Retina([mesh], PIXELS, FIELD).sense_images(*where)),
        _of(camera),
    )


def _of(images: Images) -> tuple[np.ndarray, np.ndarray]:
    return _cut(images.depth[0], images.rgb[0], images.on_object[0])


def _cut(depth: np.ndarray, rgb: np.ndarray, hit: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return np.where(hit, depth, np.nan), np.where(hit[..., None], rgb, np.nan)


def apart(ones: list[tuple[np.ndarray, np.ndarray]], others: list[tuple[np.ndarray, np.ndarray]]) -> dict[str, float]:
    """How images differ: depth where both met the object, colour there in levels of 255, and where only one did."""
    pairs = list(zip(ones, others, strict=True))
    depth = np.concatenate([_microns(a, b).ravel() for a, b in pairs])
    colour = np.concatenate([_levels(a, b).ravel() for a, b in pairs])
    one, either = (np.concatenate([f(np.isnan(a[0]), np.isnan(b[0])).ravel() for a, b in pairs])
                   for f in (np.logical_xor, lambda x, y: ~(x & y)))  # fmt: skip
    depth, colour = depth[~np.isnan(depth)], colour[~np.isnan(colour)]
    return {
        "depth_um_median": round(float(np.median(depth)), 3),
        "depth_um_p99": round(float(np.percentile(depth, 99)), 2),
        "colour_levels_median": round(float(np.median(colour)), 2),
        "colour_within_2_levels": round(float((colour <= 2.0).mean()), 4),
        "outline_differs": round(float(one.sum() / either.sum()), 4),
    }


def _microns(a: tuple[np.ndarray, np.ndarray], b: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
    return 1e6 * np.abs(a[0] - b[0])


def _levels(a: tuple[np.ndarray, np.ndarray], b: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
    return 255 * np.abs(a[1] - b[1]).max(axis=-1)


def milliseconds(call: Callable[[], object], runs: int = 60) -> float:
    """Median CPU time of a call, the first (which compiles, or reads a texture) not counted."""
    call()
    times = []
    for _ in range(runs):
        start = time.process_time()
        call()
        times.append(time.process_time() - start)
    return round(1e3 * float(np.median(times)), 4)


def timings(simulation: Simulation, mesh: Mesh) -> dict[str, dict[str, float]]:
    """CPU milliseconds of one image, by pixels along its edge."""
    eye = np.array([0.0, -DISTANCE, 0.0])
    view, rotation = looking(-eye), simulation.pose("object")[1]
    where = np.zeros(1, int), HERE[None], rotation[None], eye[None], view[None]
    found = {}
    for pixels in TIMED:
        retina = Retina([mesh], pixels, FIELD)
        found[str(pixels)] = {
            "plain": milliseconds(lambda n=pixels: plain_camera(simulation, eye, view, n)),
            "camera": milliseconds(lambda n=pixels: simulation.camera(eye, view, n, FIELD)),
            "rays": milliseconds(lambda eyes=retina: eyes.sense_images(*where)),
        }
    return found


def measure() -> tuple[dict[str, Any], dict[str, Seen]]:
    """Figures of all objects, and one view of each to draw."""
    catalogue, figures, views = open_catalogue("default"), {}, {}
    for name in OBJECTS:
        mesh, random = catalogue.mesh(name), np.random.default_rng(4)
        with Simulation() as simulation:
            simulation.add_mesh("object", mesh, HERE, np.eye(3))
            seen = [see(simulation, mesh, random) for _ in range(POSES)]
            figures[name] = {
                "triangles": len(mesh.faces),
                "plain": apart([s.plain for s in seen], [s.plain_rays for s in seen]),
                "camera": apart([s.camera for s in seen], [s.rays for s in seen]),
                "cpu_ms": timings(simulation, mesh),
            }
        views[name] = seen[0]
    return figures, views


# ------------------------------------------------------------------ what is written

TITLES = (
    "PyBullet's camera,\nas it comes", "our rays", "camera backend,\non the same rays",
    "depth: as it comes\nagainst rays", "depth: camera\nbackend against rays",
    "colour: as it comes\nagainst rays", "colour: camera\nbackend against rays",
)  # fmt: skip


AIR = np.array([0.80, 0.87, 0.93])


def draw(views: dict[str, Seen], path: Path) -> None:
    """One row an object: the three images, then how far they are apart in depth and in colour."""
    rows = len(views)
    figure = Figure(figsize=(15.4, 2.2 * rows + 1.25), dpi=80, facecolor="white")
    cells = figure.subplots(rows, 7)
    figure.subplots_adjust(left=0.025, right=0.995, top=0.875, bottom=0.135, wspace=0.04, hspace=0.04)
    depth, colour = LogNorm(0.001, 10_000), Normalize(0, 64)
    shown = coloured = None
    for row, (name, seen) in zip(cells, views.items(), strict=True):
        images = (seen.plain[1], seen.rays[1], seen.camera[1])
        pairs = ((seen.plain, seen.plain_rays), (seen.camera, seen.rays))
        for axes, image in zip(row[:3], images, strict=True):
            axes.imshow(np.where(np.isnan(image), AIR, image))
        for axes, pair in zip(row[3:5], pairs, strict=True):
            shown = axes.imshow(np.maximum(_microns(*pair), 0.001), norm=depth, cmap="viridis")
        for axes, pair in zip(row[5:], pairs, strict=True):
            coloured = axes.imshow(_levels(*pair), norm=colour, cmap="cividis")
        row[0].set_ylabel(name, fontsize=13)
    for axes, title in zip(cells[0], TITLES, strict=True):
        axes.set_title(title, fontsize=12)
    for axes in cells.flat:
        _bare(axes)
    _scale(figure, shown, cells[-1, 3:5], "micrometres (log)")
    _scale(figure, coloured, cells[-1, 5:], "levels of 255")
    save(figure, path)


def _bare(axes: Axes) -> None:
    axes.set_xticks([])
    axes.set_yticks([])
    axes.set_facecolor("#f2f2f2")
    for spine in axes.spines.values():
        spine.set_visible(False)


def _scale(figure: Figure, shown: Any, below: np.ndarray, label: str) -> None:
    left, right = below[0].get_position().x0, below[-1].get_position().x1
    bar = figure.colorbar(shown, cax=figure.add_axes((left, 0.09, right - left, 0.022)), orientation="horizontal")
    bar.set_label(label, fontsize=11)


LABELS = {"plain": "PyBullet's camera, as it comes", "camera": '`backend="camera"`', "rays": '`backend="rays"`'}


def _differences(s: dict[str, float] | None) -> str:
    if s is None:
        return "| | "
    median, high = (f"{d:,.0f}" if d >= 10 else f"{d:.2f}" for d in (s["depth_um_median"], s["depth_um_p99"]))
    return f"{median} / {high} µm | {100 * s['colour_within_2_levels']:.1f} % | {100 * s['outline_differs']:.1f} %"


def table(figures: dict[str, Any]) -> str:
    """The figures as Markdown."""
    lines = [
        "| object | seen by | depth off, median / p99 | colour within 2 levels | outline differs "
        f"| CPU ms an image of {', '.join(map(str, TIMED))} px |",
        "|---|---|---|---|---|---|",
    ]
    for name, found in figures.items():
        cells = [f"{name}, {found['triangles']:,} triangles", "", ""]
        for cell, (way, label) in zip(cells, LABELS.items(), strict=True):
            times = ", ".join(f"{found['cpu_ms'][str(n)][way]:.2f}" for n in TIMED)
            lines.append(f"| {cell} | {label} | {_differences(found.get(way))} | {times} |")
    return "\n".join(lines)


def rendered(text: str, figures: dict[str, Any]) -> str:
    """The page with its table replaced."""
    pattern = r"(<!-- backends: [^>]*-->\n).*?(<!-- end -->)"
    return re.sub(pattern, lambda found: found[1] + table(figures) + "\n" + found[2], text, flags=re.S)


def main() -> None:
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    figures, views = measure()
    packages = ("numpy", "numba", "embreex", "pybullet")
    result = {
        "command": " ".join(["python", *sys.argv]),
        "commit": commit(),
        "python": platform.python_version(),
        "versions": {name: version(name) for name in packages},
        "machine": f"{platform.system()} {platform.machine()}",
        "threads": 1,
        "pixels": PIXELS,
        "field_of_view_deg": math.degrees(FIELD),
        "poses": POSES,
        "seed": 4,
        "objects": figures,
    }
    RESULT.write_text(json.dumps(result, indent=1) + "\n")
    draw(views, FIGURE)
    PAGE.write_text(rendered(PAGE.read_text(), figures))
    print(json.dumps({name: {way: found[way] for way in ("plain", "camera")} for name, found in figures.items()}))


if __name__ == "__main__":
    main()
