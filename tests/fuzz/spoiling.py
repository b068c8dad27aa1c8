"""What goes wrong with files and values, as strategies of Hypothesis."""

import json
from collections.abc import Callable
from typing import Any

from hypothesis import strategies as st

NUMBERS = st.one_of(
    st.floats(), st.integers(-10, 10), st.sampled_from([2**31, 2**63, -(2**63), 2**64, 1e300, -1e300, 1e-300, -0.0])
)
TEXTS = st.one_of(
    st.text(max_size=8), st.sampled_from(["", "\0", "../../etc/passwd", "__import__('os')", "1e999", "nan"])
)
VALUES = st.recursive(
    st.one_of(st.none(), st.booleans(), NUMBERS, TEXTS),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(TEXTS, inner, max_size=3)),
    max_leaves=6,
)
"""Anything that JSON can hold."""


def spoilt(whole: bytes, most: int = 4) -> st.SearchStrategy[bytes]:
    """A file with bytes changed, cut out, put in or doubled in up to `most` places."""
    place, length = st.integers(0, max(0, len(whole) - 1)), st.integers(1, 40)
    edit = st.one_of(
        st.tuples(st.just(_changed), place, st.binary(min_size=1, max_size=8)),
        st.tuples(st.just(_cut), place, length),
        st.tuples(st.just(_put_in), place, st.binary(max_size=8)),
        st.tuples(st.just(_doubled), place, length),
        st.tuples(st.just(_ended), place, length),
    )
    return st.lists(edit, min_size=1, max_size=most).map(lambda edits: _applied(whole, edits))


def _applied(data: bytes, edits: list[tuple[Callable, int, Any]]) -> bytes:
    for change, place, with_what in edits:
        data = change(data, place, with_what)
    return data


def _changed(data: bytes, place: int, new: bytes) -> bytes:
    return data[:place] + new + data[place + len(new) :]


def _cut(data: bytes, place: int, length: int) -> bytes:
    return data[:place] + data[place + length :]


def _put_in(data: bytes, place: int, new: bytes) -> bytes:
    return data[:place] + new + data[place:]


def _doubled(data: bytes, place: int, length: int) -> bytes:
    return data[: place + length] + data[place:]


def _ended(data: bytes, place: int, length: int) -> bytes:
    return data[:place]


def places_in(value: Any, path: tuple = ()) -> list[tuple]:
    """The paths to every part of nested plain values, the whole among them."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(found for key, part in inner for found in places_in(part, (*path, key)))]


def replaced(value: Any, path: tuple, new: Any) -> Any:
    """A copy of nested plain values with one part replaced."""
    if not path:
        return new
    copy = json.loads(json.dumps(value))
    part = copy
    for key in path[:-1]:
        part = part[key]
    part[path[-1]] = new
    return copy
