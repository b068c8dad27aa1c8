"""What a result file says of how it was made: the command that makes it again, the commit, versions, the machine."""

import platform
import subprocess
import sys
from collections.abc import Iterable, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any


def processor() -> str:
    """The name of the processor."""
    table = Path("/proc/cpuinfo")
    lines = table.read_text().splitlines() if table.exists() else []
    return next((line.split(": ")[1] for line in lines if line.startswith("model name")), platform.processor())


def commit() -> str:
    """The commit that is checked out; empty outside a repository."""
    return subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, check=False).stdout.strip()


def provenance(packages: Iterable[str], folders: Mapping[str, str] | None = None) -> dict[str, Any]:
    """The head of a result file; of the command, options of `folders` get the name given instead of a path, "" leaves
    the option out (where things are kept doesn't change what comes out)."""
    return {
        "command": typed(sys.argv, folders or {}),
        "commit": commit(),
        "python": platform.python_version(),
        "versions": {name: version(name) for name in packages},
        "machine": f"{processor()}, {platform.system()} {platform.machine()}",
        "threads": 1,
    }


def typed(argv: list[str], folders: Mapping[str, str]) -> str:
    """The command as it is typed in the project's folder."""
    words, rest = ["python", f"benchmarks/{Path(argv[0]).name}"], list(argv[1:])
    while rest:
        word, *value = rest.pop(0).split("=", 1)
        if word in folders:
            value = value or rest[:1]
            rest = rest[1:] if rest[:1] == value else rest
            words += [word, folders[word]] if folders[word] else []
        else:
            words.append("=".join((word, *value)))
    return " ".join(words)
