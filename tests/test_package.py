"""The package as users get it: a wheel with every folder and data file, usable from anywhere."""

import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
FOLDERS = ("agents", "columns", "configs", "envs")
DATA = (".toml", ".json")


def python(code: str, cwd: Path) -> str:
    """Run code in a fresh interpreter, away from the checkout; return what it prints."""
    command = [sys.executable, "-I", "-c", code]
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def package_folders() -> list[Path]:
    return [init.parent for folder in FOLDERS for init in (ROOT / folder).rglob("__init__.py")]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The built wheel. It is built from a copy: an old build/ of the checkout would slip removed files in."""
    source, target = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("wheel")
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    for name in FOLDERS:
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "-o", str(target), str(source)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    (built,) = target.glob("*.whl")
    return built


def test_package_list_matches_the_folders():
    listed = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"]
    found = ["cortical." + ".".join(folder.relative_to(ROOT).parts) for folder in package_folders()]
    assert sorted(listed) == sorted(found)


def test_wheel_holds_code_and_data(wheel: Path):
    inside = set(zipfile.ZipFile(wheel).namelist())
    data = {file for folder in package_folders() for file in folder.iterdir() if file.suffix in DATA}
    code = {file for folder in package_folders() for file in folder.glob("*.py")}
    typed = {ROOT / folder / "py.typed" for folder in FOLDERS}
    expected = {"cortical/" + file.relative_to(ROOT).as_posix() for file in data | code | typed}
    assert expected <= inside
    strangers = {name.split("/")[0] for name in inside} - {"cortical"}
    assert all(name.endswith(".dist-info") for name in strangers)


def test_wheel_imports_from_anywhere(wheel: Path, tmp_path: Path):
    zipfile.ZipFile(wheel).extractall(tmp_path / "site")
    code = (
        f"import sys; sys.path.insert(0, {str(tmp_path / 'site')!r})\n"
        "import cortical.configs.schema as schema, cortical.columns as columns, cortical.envs as envs\n"
        "print(schema.__file__, columns.__file__, envs.__file__, sep='\\n')"
    )
    for file in python(code, tmp_path).splitlines():
        assert Path(file).is_relative_to(tmp_path / "site")


@pytest.mark.parametrize("absent", ["pybullet", "gymnasium"])
def test_columns_need_no_simulator(absent: str, tmp_path: Path):
    code = f"import sys; sys.modules[{absent!r}] = None; import cortical.columns, cortical.columns.layers"
    python(code, tmp_path)


def test_configs_import_nothing_heavy(tmp_path: Path):
    code = (
        "import sys, cortical.configs.schema\n"
        "print([name for name in ('torch', 'pybullet', 'numba', 'scipy', 'numpy') if name in sys.modules])"
    )
    assert python(code, tmp_path) == "[]"


def test_constraints_pin_every_dependency():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    wanted = [*project["dependencies"], *(line for extra in extras.values() for line in extra)]
    names = {line.split(";")[0].split(">=")[0].split("[")[0].strip().lower() for line in wanted}
    names -= {project["name"], "atheris"}  # the fuzzer: for a nightly run, where it has a wheel
    pins = (ROOT / "constraints.txt").read_text().splitlines()
    pinned = {line.split("==")[0].lower().replace("_", "-") for line in pins}
    assert names <= pinned
