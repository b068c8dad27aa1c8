"""The symmetry group of every object: the rotations after which it looks the same, within a tolerance.

    python benchmarks/symmetry.py
    python benchmarks/symmetry.py --objects $YCB --output agents/symmetry.json

A rotation R belongs to the group if, with its best translation, the root mean square over 4,000 surface
points of the distance to the turned surface is < 2 mm, of the angle between normals < 10 degrees and of the
difference in colour < 0.1, each times the tolerance. Both R and its inverse have to pass, as in a group.

An object goes by its name and the SHA-256 of its mesh file, wherever its folder lies. The file is written after
every object, so that a run that was cut off goes on where it stopped; what it holds of other objects stays.
"""

import argparse
import hashlib
import json
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from importlib.metadata import version
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.progress import track
from rich.table import Table
from symmetry_search import TOLERANCES, symmetry_groups

from cortical.columns.storage import write_whole
from cortical.envs.objects import Mesh, open_catalogue

COMMITTED = Path(__file__).parents[1] / "agents" / "symmetry.json"


def digest(mesh: Mesh) -> str:
    """SHA-256 of the file of a mesh, or of its arrays where it has none."""
    if mesh.path is not None:
        return hashlib.sha256(mesh.path.read_bytes()).hexdigest()
    return hashlib.sha256(mesh.vertices.tobytes() + mesh.faces.tobytes()).hexdigest()


def entry(source: str, name: str, tolerances: Sequence[float], old: dict) -> tuple[str, dict]:
    """The name and the groups of one object; `old` if it is of the same mesh and has the same tolerances."""
    mesh = open_catalogue(source).mesh(name)
    sha, keys = digest(mesh), [str(t) for t in tolerances]
    if old.get("sha256") == sha and list(old["tolerance"]) == keys:
        return name, old
    groups = symmetry_groups(mesh, tolerances=tolerances)
    return name, {"sha256": sha, "tolerance": {str(t): groups[t] for t in tolerances}}


def survey(source: str, tolerances: Sequence[float], known: dict, workers: int = 1) -> Iterator[tuple[str, dict]]:
    """(name, groups) of every object, as they are done."""
    names = open_catalogue(source).names
    with ProcessPoolExecutor(workers) as pool:
        jobs = [pool.submit(entry, source, name, tolerances, known.get(name, {})) for name in names]
        for job in track(as_completed(jobs), "symmetry", len(jobs), console=Console(stderr=True)):
            yield job.result()


def save(path: Path, command: str, objects: dict) -> None:
    """One line an object."""
    old = json.loads(path.read_text()) if path.is_file() else {}
    result = {
        "commands": list(dict.fromkeys([*old.get("commands", []), command])),
        "bars": {"distance_m": 0.002, "normal_deg": 10.0, "colour": 0.1},
        "versions": {name: version(name) for name in ("numpy", "scipy", "trimesh")},
        "objects": objects,
    }
    text = json.dumps(result, indent=None).replace(' {"sha256"', '\n{"sha256"') + "\n"
    write_whole(path, text.encode())


def show(objects: dict) -> None:
    table = Table("object", *next(iter(objects.values()))["tolerance"])
    for name, row in objects.items():
        cells = []
        for group in row["tolerance"].values():
            axis = "" if group["axis"] is None else f" axis {np.round(group['axis'], 2)}"
            cells.append("full" if group["full"] else f"{len(group['rotations'])}{axis}")
        table.add_row(name, *cells)
    Console().print(table)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Symmetry groups of the objects of a catalogue.")
    parser.add_argument("--objects", default="default-hard", help="catalogue: default-hard, or a folder of meshes")
    parser.add_argument("--tolerance", type=float, nargs="+", default=list(TOLERANCES), help="times the bars, <= 2")
    parser.add_argument("--output", type=Path, help="result file; what it holds already isn't computed again")
    parser.add_argument("--again", action="store_true", help="compute all of the catalogue's objects again")
    parser.add_argument("--workers", type=int, default=1, help="processes")
    options = parser.parse_args()
    if not 0 < min(options.tolerance) <= max(options.tolerance) <= max(TOLERANCES):
        parser.error(f"--tolerance must lie in 0 ... {max(TOLERANCES)}")
    if options.output is None and options.objects != "default-hard":
        parser.error("--output FILE is needed for objects other than default-hard")
    return options


def main() -> None:
    options = arguments()
    path = options.output or COMMITTED
    objects = json.loads(path.read_text())["objects"] if path.is_file() else {}
    command = "python benchmarks/symmetry.py"
    if options.objects != "default-hard":
        command += f" --objects $YCB --output {options.output}"
    known, done = {} if options.again else dict(objects), {}
    for name, row in survey(options.objects, sorted(options.tolerance), known, options.workers):
        done[name] = row
        if objects.get(name) != row:
            objects[name] = row
            save(path, command, objects)
    show(done)


if __name__ == "__main__":
    main()
