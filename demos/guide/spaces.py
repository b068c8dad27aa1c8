"""The page of all observation and action spaces, made from the environments themselves.

    python demos/guide/spaces.py        # prints it as Markdown

Names, shapes, bounds and defaults are those of environments made here. Units and meanings are the tables beside the
spaces in the code, and the help lines of the settings; a part without one is an error.
"""

import ast
import inspect
import tempfile
from collections.abc import Iterator
from typing import Any, Literal, get_args, get_origin, get_type_hints

import gymnasium as gym
import numpy as np
from gymnasium import spaces

import cortical.agents
import cortical.envs  # noqa: F401 (both register ids)
from cortical.agents.policies import orbit, summary
from cortical.configs import schema
from cortical.configs.load import to_dict
from cortical.configs.schema import Experiment, LearnConfig
from cortical.envs import answers, bodies, observation, symbolic

Table = list[tuple[str, ...]]
POSTERIOR = "probabilities of the objects, in the order of `objects`, and of 'none of those I know'"
MEANING = {
    **observation.MEANING,
    **answers.MEANING,
    summary.POSTERIOR: ("", POSTERIOR),
    **{name: ("", text) for name, (_, text) in summary.FIELDS.items()},
}
BY_ID: dict[str, dict[str, tuple[str, str]]] = {"cortical/SymbolicObjects-v0": symbolic.MEANING}
"""What parts mean where they mean something of their own."""
VARIANTS: dict[str, dict[str, dict[str, Any]]] = {
    "cortical/ObjectExplore-v0": {
        "by default": {}, "columns=5, fingers=2": {"columns": 5, "fingers": 2}, 'obs_mode="both", pixels=16':
        {"obs_mode": "both", "pixels": 16},
    },
    "cortical/ObjectRecognition-v0": {
        "by default": {}, "columns=5, fingers=2": {"columns": 5, "fingers": 2}, 'action_mode="flat"':
        {"action_mode": "flat"},
    },
    "cortical/ActiveRecognition-v0": {
        "with two objects": {"objects": ["mug", "duck"]}, "with three": {"objects": ["mug", "duck", "lego"]},
    },
    "cortical/SymbolicObjects-v0": {
        "by default": {}, "columns=3": {"columns": 3}, 'action_mode="flat"': {"action_mode": "flat"},
    },
}  # fmt: skip
"""The settings shown of each id, by what stands above their column."""


def page() -> str:
    """All of it, as Markdown."""
    ids = sorted(name for name in gym.registry if name.startswith("cortical/"))
    return "\n\n".join([INTRODUCTION, *(section(name) for name in ids)]) + "\n"


INTRODUCTION = """# Observations and actions

This page is made from the environments when the documentation is built. Arrays are float32, whole numbers int64; frames
are right-handed with z up, and the truth about the object is in `info` alone, never in an observation. C is the number
of sensors: the patches of the eye, one a column, and then the fingers. With `gym.make_vec` arrays have one axis more in
front. Bounds of 1.001 are those of unit vectors, with room for rounding."""


def section(name: str) -> str:
    """One environment."""
    meaning = BY_ID.get(name, MEANING)
    made = {label: _make(name, settings) for label, settings in VARIANTS[name].items()}
    spec, first = gym.spec(name), next(iter(made.values()))
    world: Any = first.unwrapped
    cls = type(world)
    link = f"../../{cls.__module__.removeprefix('cortical.').replace('.', '/')}.py#{cls.__name__}"
    native = "has a native vector environment" if spec.vector_entry_point else "has no vector environment of its own"
    parts = [
        f"## {name}",
        f"{(cls.__doc__ or '').splitlines()[0]} Rewards, info and options stand at [`{cls.__name__}`]({link}). "
        f"It is truncated after {spec.max_episode_steps} steps, and {native}.",
        "### Its settings",
        _markdown([("setting", "by default", "choices", "what it is"), *_settings(cls)]),
        "### What it observes",
        _markdown(_compared({label: env.observation_space for label, env in made.items()}, meaning)),
        "### What it does",
        *_actions(world, {label: env.action_space for label, env in made.items()}, meaning),
    ]
    for env in made.values():
        env.close()
    return "\n\n".join(parts)


def _make(name: str, settings: dict[str, Any]) -> gym.Env:
    if "Active" not in name:
        return gym.make(name, **settings)
    # maps of a few readings: the spaces don't depend on how well the columns know their objects
    experiment = to_dict(Experiment(learn=LearnConfig(sensations_per_view=50)))
    with tempfile.TemporaryDirectory() as folder:
        return gym.make(name, experiment=experiment, maps=folder, **settings)


def leaves(space: spaces.Space, name: str = "") -> Iterator[tuple[str, spaces.Space]]:
    """The named parts of a space; the last of nested names."""
    if isinstance(space, spaces.Dict):
        for key, part in space.items():
            yield from leaves(part, key)
    else:
        yield name, space


def _compared(by_label: dict[str, spaces.Space], meaning: dict[str, tuple[str, str]]) -> Table:
    """Parts by rows, and their shapes under each label."""
    found = _distinct({label: dict(leaves(space)) for label, space in by_label.items()})
    names = sorted(dict.fromkeys(part for parts in found.values() for part in parts), key=list(meaning).index)
    rows: Table = [("part", *found, "bounds", "unit", "what it is")]
    for part in names:
        shapes = [_shape(parts[part]) if part in parts else "–" for parts in found.values()]
        space = next(parts[part] for parts in found.values() if part in parts)
        rows.append((f"`{part}`", *shapes, _bounds(space), *meaning[part]))
    return rows


def _distinct(by_label: dict[str, Any]) -> dict[str, Any]:
    """Without what is the same as one before."""
    kept: dict[str, Any] = {}
    for label, one in by_label.items():
        if one not in kept.values():
            kept[label] = one
    return kept


def _shape(space: spaces.Space) -> str:
    return "one whole number" if isinstance(space, spaces.Discrete) else " x ".join(map(str, space.shape or ()))


def _bounds(space: spaces.Space) -> str:
    if isinstance(space, spaces.Discrete):
        return f"{space.start} ... {space.start + space.n - 1}"
    if isinstance(space, spaces.MultiDiscrete):
        return ", ".join(f"0 ... {n - 1}" for n in dict.fromkeys(space.nvec.tolist()))
    assert isinstance(space, spaces.Box) and space.dtype == np.float32
    pairs = np.unique(np.stack([space.low.ravel(), space.high.ravel()], 1), axis=0)
    return ", ".join(f"±{high:g}" if low == -high else f"{low:g} ... {high:g}" for low, high in pairs[::-1])


def _actions(
    world: Any, by_label: dict[str, spaces.Space], meaning: dict[str, tuple[str, str]]
) -> Iterator[str]:
    """What each number of an action is."""
    first = next(iter(by_label.values()))
    if isinstance(first, spaces.Dict):
        sizes = world.sizes if hasattr(world, "sizes") else world.form.sizes
        yield _markdown(_compared({label: s for label, s in by_label.items() if isinstance(s, spaces.Dict)}, meaning))
        flat = next(s for s in by_label.values() if not isinstance(s, spaces.Dict))
        ends = np.cumsum(list(sizes.values()))
        yield f'With `action_mode="flat"` it is one array of {_shape(flat)}, {_bounds(flat)}:'
        slices = zip(sizes, [0, *ends], ends, strict=False)
        yield _markdown([("numbers", "part", "what it is"),
                         *((f"`a[{a}:{b}]`", f"`{part}`", meaning[part][1]) for part, a, b in slices)])  # fmt: skip
        return
    shapes = ", ".join(f"{_shape(space)} ({label})" for label, space in _distinct(by_label).items())
    yield f"One array of {shapes} numbers, {_bounds(first)}."
    if "Active" in type(world).__name__:
        yield 'With `action_mode="orbit"`, the default, five numbers that mean the same wherever the eye is:'
        yield _numbers(orbit.MEANING)
        yield 'With `action_mode="body"`, those of the body, as in ObjectExplore.'
    else:
        yield (
            "Five numbers for each body, the eye first, whether it floats or an arm carries it. A finger presses along "
            "its new direction when it has moved."
        )
        yield _numbers(bodies.MEANING)


def _numbers(meaning: dict[str, tuple[str, str]]) -> str:
    rows = [(f"`a[{k}]`", name, *said) for k, (name, said) in enumerate(meaning.items())]
    return _markdown([("number", "name", "1 is one", "what it is"), *rows])


def _settings(cls: type) -> Iterator[tuple[str, ...]]:
    """Arguments of an environment: the help line of the setting of that name, else the line of the docstring."""
    hints, said = get_type_hints(cls.__init__), {**_help_lines(), **_docstring_lines(cls)}
    for name, argument in inspect.signature(cls).parameters.items():
        if argument.kind is inspect.Parameter.VAR_KEYWORD:
            yield f"`**{name}`", "", "", said[name]
            continue
        hint = hints[name]
        choices = ", ".join(f"`{choice!r}`" for choice in get_args(hint)) if get_origin(hint) is Literal else ""
        yield f"`{name}`", f"`{argument.default!r}`", choices, said[name]


def _help_lines() -> dict[str, str]:
    """The text under each field of the configuration, but for those of the columns."""
    found = {}
    for node in ast.parse(inspect.getsource(schema)).body:
        if isinstance(node, ast.ClassDef) and node.name in ("WorldConfig", "EyeConfig", "TouchConfig"):
            for field, text in zip(node.body, node.body[1:], strict=False):
                if isinstance(field, ast.AnnAssign) and isinstance(text, ast.Expr):
                    found[ast.unparse(field.target)] = ast.literal_eval(text.value)
    return found


def _docstring_lines(cls: type) -> dict[str, str]:
    """`name : text` and `name, name : text` of a docstring, but for what only says where else it stands."""
    found = {}
    for line in (inspect.getdoc(cls) or "").splitlines():
        if " : " in line and not line[0].isspace():
            names, _, text = line.partition(" : ")
            found |= dict.fromkeys(names.split(", "), text) if text and not text.startswith("as in") else {}
    return found


def _markdown(rows: Table) -> str:
    lines = ["| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in rows]
    return "\n".join([lines[0], "|---" * len(rows[0]) + "|", *lines[1:]])


if __name__ == "__main__":
    print(page())
