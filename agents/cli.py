"""The command `cortical`: typed flags over a preset. Nothing heavy is imported before a command runs."""

import errno
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import tyro

from cortical.configs.load import ConfigError, from_dict, load, preset_names, validate
from cortical.configs.plugins import BUILT_IN, plugin_names
from cortical.configs.schema import Experiment

from .flags import Demo, Learn, Objects, Plot, Recognise, View, Vote

COMMANDS: dict[str, tuple[type, str | None]] = {
    "demo": (Demo, "demo"),
    "learn": (Learn, "default"),
    "recognise": (Recognise, "default"),
    "vote": (Vote, "five"),
    "view": (View, None),
    "plot": (Plot, ""),
    "objects": (Objects, "default"),
}
"""Each command's flags and the preset it starts from; None: the configuration of the run it is about; "": it has no
settings."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command. Returns the exit status: 0, 2 for bad input, 130 when interrupted."""
    words = list(sys.argv[1:] if argv is None else argv)
    if not words or words[0] in ("-h", "--help"):
        print(usage())
        return 0
    try:
        return _run(words[0], words[1:])
    except BrokenPipeError:
        return 0
    except KeyboardInterrupt:
        print("\nstopped; the same command goes on where it stopped", file=sys.stderr)
        return 130
    except (ValueError, KeyError, OSError, ImportError) as error:
        # a KeyError prints its message in quotes
        text = error.args[0] if isinstance(error, KeyError) and error.args else error
        if isinstance(error, OSError) and error.errno == errno.ENOSPC:
            text = f"{error.filename or 'the disk'}: disk full: free space and give the same command again"
        print(f"cortical: {text}", file=sys.stderr)
        return 2


def usage() -> str:
    """What `cortical --help` prints."""
    about = "Columns that learn objects by moving over them, vote, and name them."
    lines = ["usage: cortical COMMAND [flags]", "", about, ""]
    lines += [f"  {name:<10} {(kind.__doc__ or '').strip()}" for name, (kind, _) in COMMANDS.items()]
    added = [f"{group} {', '.join(names)}" for group in BUILT_IN if (names := plugin_names(group))]
    lines += ["", f"Plug-ins installed: {'; '.join(added)}"] if added else []
    lines += [
        "", "Every command that runs something takes:",
        f"  --config X     a preset ({', '.join(preset_names())}) or a TOML file; flags go on top",
        "  --from-run DIR the configuration of an earlier run",
        "  --help         its flags, one for every setting",
        "", "Start with:  cortical demo",
    ]  # fmt: skip
    return "\n".join(lines)


def _run(name: str, words: list[str]) -> int:
    if name not in COMMANDS:
        from difflib import get_close_matches

        close = get_close_matches(name, COMMANDS, 1)
        meant = f"did you mean {close[0]}?" if close else f"choose {', '.join(COMMANDS)}"
        raise ConfigError(f"no command {name!r}: {meant}")
    kind, preset = COMMANDS[name]
    arguments = _parsed(name, kind, words) if preset == "" else _set_up(name, kind, preset, words)
    from . import commands

    run: Callable[[Any], None] = getattr(commands, name)
    run(arguments)
    return 0


def _set_up(name: str, kind: type, preset: str | None, words: list[str]) -> Any:
    start, words = _starting_point(words, preset)
    if start is None:
        start = _configuration_of(_parsed(name, kind, words).run)
    arguments = _parsed(name, kind, words, start)
    validate(arguments.experiment, "flags")
    return arguments


def _parsed(name: str, kind: type, words: list[str], start: Experiment | None = None) -> Any:
    default = kind() if start is None else kind(experiment=start)
    return tyro.cli(kind, prog=f"cortical {name}", args=words, default=default)


def _starting_point(words: list[str], preset: str | None) -> tuple[Experiment | None, list[str]]:
    """The configuration that flags go on top of, and the words without --config and --from-run."""
    words, given = list(words), {}
    for flag in ("--config", "--from-run"):
        for i, word in enumerate(words):
            if word == flag or word.startswith(flag + "="):
                value = word.partition("=")[2] or (words[i + 1] if i + 1 < len(words) else "")
                if not value:
                    raise ConfigError(f"{flag} needs a value, e.g. {flag} five")
                given[flag] = value
                del words[i : i + (1 if "=" in word else 2)]
                break
    if len(given) == 2:
        raise ConfigError("give --config or --from-run, not both")
    if "--from-run" in given:
        return _configuration_of(Path(given["--from-run"])), words
    start = given.get("--config", preset)
    return None if start is None else load(start), words


def _configuration_of(folder: Path) -> Experiment:
    import json

    file = folder / "run.json"
    if not file.exists():
        raise ConfigError(f"{folder} is not a run folder (no run.json in it); `cortical demo` makes runs/demo")
    return from_dict(json.loads(file.read_text())["config"], str(file))


if __name__ == "__main__":
    sys.exit(main())
