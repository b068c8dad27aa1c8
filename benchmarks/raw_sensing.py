"""How well normals and curvatures are found in a noisy depth image.

    python benchmarks/raw_sensing.py

1. Balls, cylinders and tori of exact form, seen from 20 cm at up to 60 degrees off the normal in patches of 16 x 16
   pixels; noise on the depth of every pixel, along its ray. The fit is as wide as a patch asks for (sigma is 0.7 of the
   root mean square radius of its pixels: 10 mm in the default patch of 35 mm, which is 10 degrees wide). Medians of the
   angle between normals, of that between principal directions, and of the error of the worse principal curvature, as a
   share of the larger one.
2. Readings of the torus, alone and lying on a plane, whose patch holds an edge with a jump in depth of a centimetre:
   how many are spoilt (a normal off by more than 5 degrees, or a curvature by more than half) by the fit as it is
   (masked at jumps, then without outliers), by the fit without the mask, and by the plain quadric through all pixels.
3. The objects of a catalogue, 40 random sides each, in default patches with 1 mm of noise: how far the reading is from
   the one without noise that maps hold, for several widths of the fit. Here a wide fit is not free: edges are near.

Writes benchmarks/results/raw_sensing.json and .png, each whole; takes half a minute. The last line is one JSON object:
medians at 1 mm in the default patch, and what a fit of noisy depth costs, in fits of clean depth.
"""

import argparse
import io
import json
import platform
import time
from importlib.metadata import version
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from provenance import commit
from raw_sensing_views import LYING, SHAPES, View, catalogue_images, jumps, log_curvature, views

from cortical.columns.storage import write_whole
from cortical.envs.quadric import fit_surface
from cortical.envs.record import Images, Record, ray_directions
from cortical.envs.sensors import FOOTPRINT, NOISY_FOOTPRINT
from cortical.envs.surface import fit

RESULTS = Path(__file__).parent / "results"
NOISES_UM, WIDTHS_MM = (0, 50, 100, 400, 800, 1000), (10, 20, 35)
FOOTPRINTS_MM = (4, 5, 6, 7, 8, 10)
EDGE_FITS = ("masked", "unmasked", "plain")
PIXELS, DEFAULT_FIELD = 16, np.radians(10)


def degrees(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return np.degrees(np.arccos(np.clip(np.sum(a * b, axis=-1), -1.0, 1.0)))


def noisy(depth: np.ndarray, noise: float, seed: int) -> Images:
    """Images of one colour with noise of that standard deviation (metres) on each pixel that hit something."""
    error = noise * np.random.default_rng(seed).standard_normal(depth.shape)
    seen = np.where(depth > 0, np.maximum(depth + error, 1e-6), 0.0).astype(np.float32)
    return Images(seen, np.full((*depth.shape, 3), 0.5, np.float32), depth > 0)


def rounded(value: np.floating) -> float:
    return float(f"{value:.4g}")


def spoilt(error: dict[str, np.ndarray]) -> np.ndarray:
    return (error["normal_deg"] > 5.0) | (error["curvature"] > 0.5)


def sigma_of(width: float) -> float:
    return 0.7 * width / np.sqrt(6.0)


def errors(view: View, normal: np.ndarray, directions: np.ndarray, curvature: np.ndarray) -> dict[str, np.ndarray]:
    """Of each reading, in the frame of the world: degrees, degrees (up to sign), a share."""
    largest = np.abs(view.curvature).max(1)
    turned = degrees(directions[:, 1], view.direction)
    return {
        "normal_deg": degrees(normal, view.normal),
        "direction_deg": np.minimum(turned, 180.0 - turned),
        "curvature": np.abs(curvature - view.curvature).max(1) / largest,
    }


def unmasked(view: View, images: Images, sigma: float, noise: float) -> dict[str, np.ndarray]:
    """`errors` of the same quadric through all pixels that hit something, jumps or not; with noise 0 the plain one."""
    rays = ray_directions(PIXELS, view.field_of_view)
    frames, curvature = np.empty((len(images.depth), 4, 3)), np.zeros((len(images.depth), 2))
    for k, depth in enumerate(images.depth.astype(float)):
        hits, middle = np.flatnonzero(depth), (PIXELS + 1) * (PIXELS // 2)
        hits = np.concatenate([[middle], hits[hits != middle]])  # the gaze comes first
        cloud = np.ascontiguousarray((depth[..., None] * rays).reshape(-1, 3)[hits].T)
        fit_surface(cloud, len(hits), sigma, noise, frames[k], curvature[k])
    frames = np.einsum("bij,bkj->bki", view.rotation, frames[:, 1:])
    return errors(view, frames[:, 0], frames[:, 1:], curvature)


def read(view: View, images: Images, sigma: float, noise: float) -> Record:
    return fit(images, PIXELS, view.field_of_view, view.position, view.rotation, sigma, noise)


def exact_shapes(count: int, seed: int) -> tuple[list[dict], list[dict]]:
    """Parts 1 and 2 of the docstring, a row a setting."""
    rows, edges = [], []
    for width in WIDTHS_MM:
        sigma = sigma_of(width / 1000)
        for shape in (*SHAPES, LYING):
            view = views(shape, PIXELS, width / 1000, count, seed)
            for um in NOISES_UM:
                images = noisy(view.depth, um * 1e-6, seed)
                record = read(view, images, sigma, um * 1e-6)
                found = errors(view, record.normal, record.directions, record.curvature)
                row = {"width_mm": width, "noise_um": um, "shape": shape}
                if shape == "ball":
                    del found["direction_deg"]  # a ball has none
                if shape != LYING:
                    medians = {name: rounded(np.median(e)) for name, e in found.items()}
                    rows.append(row | medians | {"normal_p95_deg": rounded(np.quantile(found["normal_deg"], 0.95))})
                if "torus" in shape:
                    at = jumps(view)
                    fits = (found, unmasked(view, images, sigma, um * 1e-6), unmasked(view, images, sigma, 0.0))
                    bad = [spoilt(e)[at].sum() / max(at.sum(), 1) for e in fits]
                    row |= {"at_edge": int(at.sum()), "of": len(at)}
                    edges.append(row | dict(zip(EDGE_FITS, map(rounded, bad), strict=True)))
    return rows, edges


def real_objects(source: str, noise: float, seed: int) -> tuple[list[dict], float]:
    """Part 3, a row a footprint, and the time of a noisy fit over that of a clean one."""
    images = catalogue_images(source, PIXELS, DEFAULT_FIELD, 40, seed)
    count = len(images.depth)
    poses = np.zeros((count, 3)), np.tile(np.eye(3), (count, 1, 1))
    raw, rows = noisy(images.depth, noise, seed), []
    clean = fit(images, PIXELS, DEFAULT_FIELD, *poses, FOOTPRINT)
    for mm in FOOTPRINTS_MM:
        record = fit(raw, PIXELS, DEFAULT_FIELD, *poses, mm / 1000, noise)
        both = clean.valid & record.valid
        angle = degrees(record.normal, clean.normal)[both]
        bend = np.abs(log_curvature(record.curvature) - log_curvature(clean.curvature))[both]
        row = {"normal_deg": np.median(angle), "normal_p90_deg": np.quantile(angle, 0.9), "log_curvature": bend.mean()}
        rows.append({"footprint_mm": mm} | {name: rounded(value) for name, value in row.items()})
    timed = ((images, FOOTPRINT, 0.0), (raw, NOISY_FOOTPRINT, noise))
    times = [[_seconds(fit, i, PIXELS, DEFAULT_FIELD, *poses, f, n) for i, f, n in timed] for _ in range(9)]
    return rows, float(np.median([b / a for a, b in times]))


def _seconds(call, *arguments) -> float:
    start = time.process_time()
    call(*arguments)
    return time.process_time() - start


def picture(rows: list[dict], edges: list[dict], objects: list[dict]) -> bytes:
    """Errors against noise: a colour a shape, a line style a width; edges; widths of the fit."""
    fig, axes = plt.subplots(1, 5, figsize=(16, 3.6), layout="constrained")
    colours = dict(zip(SHAPES, ("#0072B2", "#D55E00", "#009E73"), strict=True))
    styles = dict(zip(WIDTHS_MM, (":", "--", "-"), strict=True))
    titles = {"normal_deg": "normal, degrees", "direction_deg": "principal direction, degrees",
              "curvature": "curvature, share of the larger"}  # fmt: skip
    for ax, (key, title) in zip(axes, titles.items(), strict=False):
        for shape, colour in colours.items():
            for width, style in styles.items():
                line = [(r["noise_um"], r[key]) for r in rows
                        if (r["shape"], r["width_mm"]) == (shape, width) and key in r]  # fmt: skip
                if line:
                    ax.plot(*zip(*line, strict=True), color=colour, ls=style, lw=1.4)
        lowest = 1e-3 if key == "curvature" else 1e-2
        ax.set(xlabel="noise of depth, µm", title=title, yscale="log", ylim=(lowest, None))
    for shape, colour in colours.items():
        axes[0].plot([], [], color=colour, label=shape)
    for width, style in styles.items():
        axes[0].plot([], [], color="0.3", ls=style, label=f"patch of {width} mm")
    axes[0].legend(fontsize=7, frameon=False, ncols=2, loc="lower right")
    for width, style in styles.items():
        for key, colour in zip(EDGE_FITS, ("#0072B2", "#D55E00", "0.5"), strict=True):
            line = [(r["noise_um"], 100 * r[key]) for r in edges if (r["shape"], r["width_mm"]) == (LYING, width)]
            axes[3].plot(*zip(*line, strict=True), color=colour, ls=style, label=key if width == 35 else None)
    axes[3].set(xlabel="noise of depth, µm", title="torus on a plane, patches with\na jump: readings spoilt, %")
    axes[3].set_ylim(0, None)
    axes[3].legend(fontsize=8, frameon=False)
    for key, colour in (("normal_deg", "#0072B2"), ("normal_p90_deg", "#56B4E9")):
        label = "median" if key == "normal_deg" else "90 %"
        axes[4].plot([r["footprint_mm"] for r in objects], [r[key] for r in objects], "o-", color=colour, label=label)
    axes[4].set(xlabel="sigma of the fit, mm", title="real objects, 1 mm of noise:\nnormal off the map's, degrees")
    axes[4].set_ylim(0, None)
    axes[4].legend(fontsize=8, frameon=False)
    for ax in axes:
        ax.spines[["top", "right"]].set_visible(False)
    file = io.BytesIO()
    fig.savefig(file, dpi=110, metadata={"Software": None})
    return file.getvalue()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=400, help="readings a shape and a patch width (400)")
    parser.add_argument("--seed", type=int, default=0, help="of views and noise (0)")
    parser.add_argument("--objects", default="default", help="catalogue of part 3: default, or a folder of meshes")
    parser.add_argument("--output", type=Path, default=RESULTS / "raw_sensing.json", help="result file; .png beside it")
    args = parser.parse_args()
    rows, edges = exact_shapes(args.count, args.seed)
    objects, cost = real_objects(args.objects, 0.001, args.seed)
    last = {f"{r['shape']}_{key}": round(r[key], 4) for r in rows if (r["width_mm"], r["noise_um"]) == (35, 1000)
            for key in ("normal_deg", "direction_deg", "curvature") if key in r}  # fmt: skip
    last |= {f"edge_spoilt_{key}": round(edges[-1][key], 4) for key in EDGE_FITS}
    chosen = next(r for r in objects if r["footprint_mm"] == round(1000 * NOISY_FOOTPRINT))
    last |= {"objects_normal_deg": round(chosen["normal_deg"], 3), "noisy_fit_over_clean_fit": round(cost, 2)}
    head = {"command": f"python benchmarks/raw_sensing.py --count {args.count} --seed {args.seed}", "commit": commit(),
            "python": platform.python_version(), "versions": {p: version(p) for p in ("numpy", "numba", "embreex")},
            "machine": f"{platform.machine()}, {platform.system()}", "threads": 1}  # fmt: skip
    parts = {"shapes": rows, "edges": edges, "objects": objects}
    lines = [f' "{name}": [\n  ' + ",\n  ".join(json.dumps(r) for r in part) + "\n ]" for name, part in parts.items()]
    text = json.dumps(head | {"summary": last}, indent=1)[:-2] + ",\n" + ",\n".join(lines) + "\n}\n"
    write_whole(args.output.with_suffix(".png"), picture(rows, edges, objects))
    write_whole(args.output, text.encode())
    print(json.dumps(last))


if __name__ == "__main__":
    main()
