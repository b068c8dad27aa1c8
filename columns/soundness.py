"""What holds of every map that readings made, whoever hands it over: sums of readings that lie where their keys say.

    one node a key, keys ascending, within the range of cells
    count >= 1;  mean point in its cell, scatter within it;  mean square >= square of the mean
    |normal|, |direction| <= 1;  hsv in 0 ... 1;  slopes of colour that pixels can have
    active bits within the code, no more often than there were readings

A table that breaks one of these would be looked up beside its rows, or believed where nothing was sensed.
"""

import math
from dataclasses import fields

import torch
from torch import Tensor

from .messages import FeatureSchema
from .object_map import (
    AXIS,
    CHROMA,
    CHROMA2,
    COUNT,
    CURVATURE,
    CURVATURE2,
    KEY_RANGE,
    LIGHT,
    LIGHT2,
    NORMAL,
    OUTER,
    POINT,
    TEXTURE,
    TEXTURE2,
    ObjectMap,
)

ROUNDING = 1e-5
"""Relative to the bound of each quantity: what float32 readings and float64 sums leave."""
SHARPEST = 50.0
"""Bound of a log curvature, far above that of any surface with a radius that a number can hold."""
STEEPEST = 1e4
"""Bound of a slope of colour, 1/m: from black to white within a tenth of a millimetre."""


def fault_of_schema(schema: FeatureSchema) -> str:
    """What is wrong with a schema, in words; "" if nothing is."""
    for field in fields(schema):
        value = getattr(schema, field.name)
        if type(value) is not field.type and not (field.type is float and type(value) is int):
            return f"{field.name} = {value!r} of the features is no {getattr(field.type, '__name__', field.type)}"
        if field.type is float and not 0 < value < math.inf:
            return f"{field.name} = {value} of the features must be above zero"
    if not 0 <= schema.code_winners <= schema.code_bits < 2**31:
        return f"{schema.code_winners} active bits of {schema.code_bits}"
    return ""


def fault_of_map(known: ObjectMap, schema: FeatureSchema) -> str:
    """What is wrong with a map learnt with these features, in words; "" if nothing is."""
    if not 0 < known.spacing < math.inf:
        return f"spacing {known.spacing}"
    if len(known) == 0:
        return ""
    if not bool(torch.isfinite(known.sums).all() and torch.isfinite(known.bit_counts).all()):
        return "numbers that are not finite"
    counts = known.sums[:, COUNT]
    if not bool((counts >= 1).all() and (counts == counts.round()).all()):
        return "a node without readings"
    broken = [name for name, holds in _laws(known).items() if not bool(holds.all())]
    return broken[0] if broken else _fault_of_codes(known, schema)


def _laws(known: ObjectMap) -> dict[str, Tensor]:
    """Whether each law holds, under the words for its breach."""
    mean = known.sums / known.sums[:, COUNT : COUNT + 1]
    outer, axis = (mean[:, part].reshape(-1, 3, 3) for part in (OUTER, AXIS))
    saturation = mean[:, CHROMA].square().sum(-1)
    slope = mean[:, TEXTURE].unflatten(1, (2, 3)).square().sum(-1)
    scatter, above = outer - _square(mean[:, POINT]), 1 + ROUNDING
    return {
        "keys that do not ascend": known.keys.diff() > 0,
        "a key beyond the range of cells": (known.keys >= 0) & (known.keys < 6 * KEY_RANGE**3),
        "a point outside its cell": _in_cell(known.keys, mean[:, POINT], known.spacing),
        "points that do not scatter like points": _is_scatter(scatter, known.spacing**2),
        "points that scatter beyond their cell": _trace(scatter) <= above * known.spacing**2,
        "a normal longer than 1": mean[:, NORMAL].square().sum(-1) <= above,
        "directions that are not of length 1": _is_scatter(axis, 1.0) & (_trace(axis) <= above),
        "a curvature that is none": mean[:, CURVATURE].abs() <= SHARPEST,
        "curvatures that do not scatter": mean[:, CURVATURE2] >= mean[:, CURVATURE].square() - ROUNDING * SHARPEST**2,
        "curvatures that scatter too far": mean[:, CURVATURE2] <= SHARPEST**2,
        "colours beyond 1": (saturation <= above) & (mean[:, CHROMA2] <= above) & (mean[:, CHROMA2] >= 0),
        "colours that do not scatter": mean[:, CHROMA2] >= saturation - ROUNDING,
        "light beyond 0 ... 1": (mean[:, LIGHT] >= -ROUNDING) & (mean[:, LIGHT] <= above),
        "light that does not scatter": mean[:, LIGHT2] >= mean[:, LIGHT].square() - ROUNDING,
        "light that scatters beyond 1": mean[:, LIGHT2] <= above,
        "textures that do not scatter": mean[:, TEXTURE2] >= slope - ROUNDING * STEEPEST**2,
        "textures steeper than any": mean[:, TEXTURE2] <= STEEPEST**2,
    }


def _fault_of_codes(known: ObjectMap, schema: FeatureSchema) -> str:
    if known.bits.shape[1] == 0:
        return ""
    if schema.code_bits == 0 or bool(((known.bits < 0) | (known.bits >= schema.code_bits)).any()):
        return f"active bits beyond a code of {schema.code_bits}"
    if bool(((known.bit_counts < 0) | (known.bit_counts > known.sums[:, COUNT : COUNT + 1])).any()):
        return "bits that were active more often than there were readings"
    return ""


def _in_cell(keys: Tensor, point: Tensor, spacing: float) -> Tensor:
    cell = keys.div(6, rounding_mode="floor")
    column = torch.stack([cell // KEY_RANGE**2, cell // KEY_RANGE % KEY_RANGE, cell % KEY_RANGE], -1) - KEY_RANGE // 2
    within = point / spacing - column
    return (within >= -ROUNDING * (1 + column.abs())) & (within <= 1 + ROUNDING * (1 + column.abs()))


def _square(vector: Tensor) -> Tensor:
    return vector[:, :, None] * vector[:, None, :]


def _trace(matrix: Tensor) -> Tensor:
    return matrix.diagonal(dim1=-2, dim2=-1).sum(-1)


def _is_scatter(matrix: Tensor, scale: float) -> Tensor:
    """Whether (n, 3, 3) are means of outer products: symmetric, no negative diagonal, no entry above their means."""
    diagonal, room = matrix.diagonal(dim1=-2, dim2=-1), ROUNDING * scale
    bound = (diagonal[:, :, None] * diagonal[:, None, :]).clamp(min=0.0).sqrt() + room
    symmetric = (matrix - matrix.transpose(1, 2)).abs() <= room
    return (symmetric & (matrix.abs() <= bound)).flatten(1).all(-1) & (diagonal >= -room).all(-1)
