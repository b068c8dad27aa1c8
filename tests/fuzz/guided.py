"""Files made up by a fuzzer that sees which lines of the readers they reach.

    python tests/fuzz/guided.py obj -runs=10000

A target, then libFuzzer's own flags. Needs pip install 'cortical-columns[fuzz]'. A reader may refuse a file with a
ValueError or return something sound; what the tests beside this file check is checked here. Ends with status 0 after
`-runs` cases without a fault.
"""

import contextlib
import importlib
import sys
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["cortical", "tomllib", "trimesh"]):
    import tomllib  # noqa: F401 (what is instrumented is what is imported here)

    import trimesh.exchange.load
    import trimesh.exchange.obj
    import trimesh.exchange.ply
    import trimesh.exchange.stl  # noqa: F401

    import cortical.columns.storage
    import cortical.configs.load
    import cortical.envs.urdf  # noqa: F401

MODULES = {"maps": "test_fuzz_maps", "toml": "test_fuzz_toml"}
MESHES = ("obj", "stl", "ply", "urdf")


def target_of(kind: str, folder: Path) -> tuple[Callable[[bytes], None], list[bytes]]:
    """What tries one case, and cases to start from."""
    if kind in MODULES:
        module = importlib.import_module(MODULES[kind])
        path = folder / "case"
        whole = module.WHOLE if isinstance(module.WHOLE, bytes) else module.WHOLE.encode()
        return lambda data: module.check(path, data, contextlib.nullcontext) and None, [whole]
    meshes = importlib.import_module("test_fuzz_meshes")
    path = folder / f"case.{kind}"
    read = meshes.read_mesh if kind != "urdf" else lambda file: meshes.read_urdf(file, "robot")
    (folder / "box.obj").write_bytes(meshes.OBJ)

    def one(data: bytes) -> None:
        path.write_bytes(data)
        meshes.check(path, contextlib.nullcontext, read)

    starts = [meshes.URDF] if kind == "urdf" else [meshes.FILES[f".{kind}"], meshes.ASCII.get(f".{kind}", meshes.OBJ)]
    return one, starts


def main() -> None:
    if len(sys.argv) < 2 or sys.argv[1] not in {*MODULES, *MESHES}:
        sys.exit(f"say what to fuzz: {', '.join([*MODULES, *MESHES])}, then flags of libFuzzer such as -runs=10000")
    from hypothesis import settings

    settings.register_profile("fuzz")  # the tests' modules ask for it; here they only lend their checks
    warnings.simplefilter("ignore")
    with tempfile.TemporaryDirectory() as folder:
        target, starts = target_of(sys.argv[1], Path(folder))
        corpus = Path(folder) / "corpus"
        corpus.mkdir()
        for number, data in enumerate(starts):
            (corpus / str(number)).write_bytes(data)
        atheris.Setup([sys.argv[0], *sys.argv[2:], "-max_len=4096", "-print_final_stats=1", str(corpus)], target)
        atheris.Fuzz()


if __name__ == "__main__":
    main()
