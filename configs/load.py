"""From a preset, a TOML file or plain values to an Experiment, strictly: what is not understood is refused.

    TOML -> from_dict -> validate -> Experiment -> to_dict / dumps_toml -> the same TOML

Every error names the file and the key, says what was expected, and guesses what was meant. Nothing heavy is
imported.
"""

import ast
import difflib
import inspect
import json
import math
import re
import tomllib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, is_dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints

from .plugins import Group, choices, is_known
from .schema import LAYOUTS, Experiment

PRESETS = Path(__file__).parent
IN_WORDS = {str: 'text in quotes ("...")', int: "a whole number", float: "a number", bool: "true or false"}


class ConfigError(ValueError):
    """A configuration that cannot be meant; the message names file and key and says what to write instead."""


def preset_names() -> tuple[str, ...]:
    """The presets that come with the package, `default` first."""
    names = sorted(path.stem for path in PRESETS.glob("*.toml"))
    return tuple(sorted(names, key=lambda name: name != "default"))


def load(source: str | Path = "default") -> Experiment:
    """The experiment of a preset (its name) or of a TOML file (a path; what it leaves out has the default).

    Raises ConfigError if there is no such preset or file, if it is not TOML, or if a key or a value is wrong.
    """
    path = _find(source)
    try:
        values = tomllib.loads(path.read_bytes().decode())
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path} is not a text file in UTF-8: {error}") from error
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path} is not TOML: {error}; text values need quotes") from error
    except (ValueError, RecursionError) as error:  # thousands of digits, or of brackets
        raise ConfigError(f"{path} is not a configuration: {error}; write plain numbers and tables") from error
    return from_dict(values, str(path))


def from_dict(values: Mapping[str, Any], source: str = "configuration") -> Experiment:
    """The experiment of nested plain values; `source` is what errors call them. Raises ConfigError."""
    return validate(_build(Experiment, values, source, ""), source)


def to_dict(experiment: Experiment) -> dict[str, Any]:
    """Nested plain values (str, int, float, bool) of an experiment, for JSON or TOML."""
    return asdict(experiment)


def dumps_toml(experiment: Experiment) -> str:
    """An experiment as the text of a TOML file, complete: no default is left out."""
    values = to_dict(experiment)
    lines = [_assignment(key, value) for key, value in values.items() if not isinstance(value, dict)]
    for table, content in values.items():
        if isinstance(content, dict):
            lines += ["", f"[{table}]", *(_assignment(key, value) for key, value in content.items())]
    return "\n".join(lines) + "\n"


def validate(experiment: Experiment, source: str = "configuration") -> Experiment:
    """The experiment itself, if every number is in a range that makes sense. Raises ConfigError."""
    values = to_dict(experiment)
    for table, key, holds, wanted in RANGES:
        value = values[table][key] if table else values[key]
        if not holds(value):
            name = f"{table}.{key}" if table else key
            owner = type(getattr(experiment, table)) if table else Experiment
            raise ConfigError(f"{source}: {name} = {value!r}, but it must be {wanted}{_help(owner, key)}")
    for table, key, group in NAMED:
        if not is_known(group, value := values[table][key]):
            raise ConfigError(f"{source}: {table}.{key} = {value!r} is not known: {choices(group, value)}")
    if experiment.eye.columns + experiment.touch.fingers == 0:
        raise ConfigError(f"{source}: eye.columns and touch.fingers are both 0: nothing would be sensed")
    if experiment.world.body == "arm" and experiment.touch.fingers > 1:
        raise ConfigError(
            f"{source}: touch.fingers = {experiment.touch.fingers}, but an arm has one fingertip: choose 1, 0, or "
            'world.body = "free"'
        )
    column, learning = experiment.column, experiment.learn
    side = math.isqrt(learning.patches)
    if side * side != learning.patches or side % 2 == 0 or learning.sensations_per_view < learning.patches:
        raise ConfigError(
            f"{source}: learn.patches = {learning.patches} must be an odd square (1, 9, 25, ...) and at most "
            f"learn.sensations_per_view = {learning.sensations_per_view}"
        )
    if column.first_cap < column.keep:
        raise ConfigError(
            f"{source}: column.first_cap = {column.first_cap} is less than column.keep = {column.keep}: "
            "more hypotheses are kept after the first sensation than in the long run"
        )
    return experiment


def _at_least(low: float, high: float = math.inf) -> tuple[Callable[[float], bool], str]:
    wanted = f"at least {low}" if high == math.inf else f"from {low} to {high}"
    return (lambda x: low <= x <= high and x < math.inf), wanted


def _above(low: float, high: float = math.inf) -> tuple[Callable[[float], bool], str]:
    wanted = f"above {low:g}" + ("" if high == math.inf else f" and at most {high:g}")
    return (lambda x: low < x <= high and x < math.inf), wanted


def is_layout(text: str) -> bool:
    """Whether an eye's patches may be placed so; what is in a file is looked at when the eye is made."""
    file = Path(text).expanduser()
    return text in LAYOUTS or (file.suffix.lower() in (".npy", ".csv") and file.is_file())


FARTHEST = 1000.0
"""Metres; longer than any world here."""
RANGES: tuple[tuple[str, str, Callable[[Any], bool], str], ...] = (
    ("", "seed", *_at_least(0, 2**63 - 1)),
    ("world", "objects", lambda text: bool(text.strip()), "the name of a catalogue or a path"),
    ("world", "cube", *_above(0, FARTHEST)),
    ("eye", "columns", *_at_least(0, 10_000)),
    ("eye", "spread", *_above(0, 60)),
    ("eye", "layout", is_layout, f"one of {', '.join(LAYOUTS)}, or a file that is there and ends in .npy or .csv"),
    ("eye", "pixels", *_at_least(3, 256)),
    ("eye", "field_of_view", *_above(0, 12)),
    ("eye", "patch_noise", *_at_least(0, 100)),
    ("eye", "distance", *_above(0, FARTHEST)),
    ("eye", "max_path", *_above(0, FARTHEST)),
    ("eye", "max_turn", *_above(0, 180)),
    ("touch", "fingers", *_at_least(0, 100)),
    ("touch", "finger_path", *_above(0, FARTHEST)),
    ("touch", "finger_turn", *_above(0, 180)),
    ("column", "trust", *_above(0, 1)),
    ("column", "node_spacing", *_above(0, 0.1)),
    ("column", "first_cap", *_at_least(1, 10_000_000)),
    ("column", "keep", *_at_least(1, 10_000_000)),
    ("column", "outlier", lambda share: 0 < share < 1, "a share, above 0 and below 1"),
    ("column", "device", lambda text: bool(re.fullmatch(r"cpu|cuda(:\d+)?", text)), "cpu, cuda or cuda:N"),
    ("lateral", "rounds", *_at_least(0, 10_000)),
    ("lateral", "eps", *_at_least(0, 1000)),
    ("lateral", "loss", *_at_least(0, 1)),
    ("lateral", "delay", *_at_least(0, 1000)),
    ("lateral", "slowest", *_at_least(1, 1000)),
    ("lesion", "share", *_at_least(0, 1)),
    ("lesion", "at", *_at_least(0, 1_000_000_000)),
    ("policy", "candidates", *_at_least(1, 100_000)),
    ("policy", "hypotheses", *_at_least(1, 100_000)),
    ("policy", "preference", *_at_least(-100, 100)),
    ("policy", "weary", *_at_least(0, 1000)),
    ("policy", "ahead", *_at_least(1, 2)),
    ("learn", "sensations_per_view", *_at_least(1, 1000)),
    ("learn", "patches", *_at_least(1)),
    ("learn", "glances", *_at_least(1, 100_000)),
    ("decision", "odds", *_above(1)),
    ("decision", "price", *_at_least(0, 1e9)),
    ("decision", "search", *_at_least(1, 1_000_000_000)),
    ("decision", "max_sensations", *_at_least(1, 1_000_000_000)),
)
"""(table, key, what must hold, the same in words)"""

NAMED: tuple[tuple[str, str, Group], ...] = (
    ("eye", "sensor", "sensors"), ("column", "kind", "columns"), ("policy", "name", "policies"),
)  # fmt: skip
"""(table, key, group of plug-ins): a name that is built in or installed"""


def _find(source: str | Path) -> Path:
    """The file of a preset's name or of a path."""
    path, names = Path(source).expanduser(), preset_names()
    if isinstance(source, str) and source in names:
        return PRESETS / f"{source}.toml"
    if path.is_file():
        return path
    presets = f"the presets are {', '.join(names)}"
    if path.is_dir():
        raise ConfigError(f"{path} is a folder: give a .toml file or a preset; {presets}")
    raise ConfigError(f"no preset and no file {str(source)!r}{_did_you_mean(path.stem, names)}; {presets}")


def _build(kind: type, values: Any, source: str, table: str) -> Any:
    """A config dataclass from plain values, recursively; `table` is where in the file they stand."""
    if not isinstance(values, Mapping):
        raise ConfigError(f"{source}: {table} must be a table, [{table}], not {values!r}")
    hints, given = get_type_hints(kind), {}
    for key, value in values.items():
        name = f"{table}.{key}" if table else str(key)
        if key not in hints:
            what = "table" if isinstance(value, Mapping) else "key"
            raise ConfigError(f"{source}: unknown {what} {name!r}{_elsewhere(str(key), hints, table)}")
        if is_dataclass(hints[key]):
            given[key] = _build(hints[key], value, source, name)
        else:
            given[key] = _checked(kind, key, value, hints[key], f"{source}: {name}")
    return kind(**given)


def _checked(kind: type, key: str, value: Any, hint: Any, where: str) -> str | int | float | bool:
    """A value of the type that the field declares; an int will do for a float."""
    if get_origin(hint) is Literal:
        allowed = get_args(hint)
        if type(value) is str and value in allowed:
            return value
        guess = _did_you_mean(value, allowed) if isinstance(value, str) else ""
        raise ConfigError(f"{where} = {value!r}{guess}, but it must be one of {', '.join(allowed)}{_help(kind, key)}")
    if type(value) is hint:
        return value
    if hint is float and type(value) is int and abs(value) < 2**63:
        return float(value)
    raise ConfigError(f"{where} = {value!r}, but it must be {IN_WORDS[hint]}{_help(kind, key)}")


def _did_you_mean(word: str, known: Iterable[str]) -> str:
    close = difflib.get_close_matches(word, list(known), n=1, cutoff=0.6)
    return f" (did you mean {close[0]!r}?)" if close else ""


def _elsewhere(key: str, known: Mapping[str, Any], table: str) -> str:
    """What an unknown key may have been meant for: the same key of another table, a similar one, any here."""
    hints = get_type_hints(Experiment)
    homes = [f"[{t}]" for t, kind in hints.items() if is_dataclass(kind) and key in get_type_hints(kind)]
    if homes:
        return f" (it belongs in {' or '.join(homes)})"
    if table and key in hints:
        return " (it belongs at the top of the file, before any table)"
    guess = _did_you_mean(key, known)
    return guess or f"; {f'[{table}]' if table else 'the file'} may have {', '.join(known)}"


def _help(kind: type, key: str) -> str:
    text = _help_lines(kind).get(key, "")
    return f" ({text})" if text else ""


@cache
def _help_lines(kind: type) -> dict[str, str]:
    """The line under each field of a config dataclass, without its full stop."""
    try:
        body = ast.parse(inspect.getsource(kind)).body[0]
    except OSError:  # installed without source
        return {}
    assert isinstance(body, ast.ClassDef)
    lines = {}
    for above, below in zip(body.body, body.body[1:], strict=False):
        match above, below:
            case ast.AnnAssign(target=ast.Name(name)), ast.Expr(value=ast.Constant(str(text))):
                lines[name] = text if text.endswith("...") else text.rstrip(".")
    return lines


def _assignment(key: str, value: str | int | float | bool) -> str:
    if isinstance(value, float):
        return f"{key} = {value!r}"
    # JSON writes text, whole numbers and truth as TOML does, but for DEL, which TOML wants escaped
    return f"{key} = {json.dumps(value, ensure_ascii=False)}".replace("\x7f", "\\u007F")
