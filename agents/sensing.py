"""From an observation of the environment to the sensation of the columns."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from cortical.columns.layers import EncoderConfig, PatchEncoder, SurfacePatch
from cortical.columns.layers.learnt_encoder import LearntCode, LearntEncoder
from cortical.columns.messages import FeatureSchema, Sensation
from cortical.columns.texture import slopes
from cortical.configs.schema import Condition, Features

CODE = EncoderConfig()

SENSOR_NOISE: dict[Condition, dict[str, float]] = {
    "clean": {
        "location_sd": 0.0003, "normal_sd": 0.01, "curvature_sd": 0.05, "hue_sd": 0.05, "saturation_sd": 0.02,
    },
    "noise": {},
    "rawnoise": {"normal_sd": 0.06, "curvature_sd": 1.0},
    "dropout": {},
}  # fmt: skip


TOUCH_NORMAL_SD = 0.06
"""Radians; with the 0.035 of an eye, 4 % of the objects felt were given a wrong name, with this 1 %."""


def feature_schema(features: Features, noise: Condition = "noise", texture: bool = True) -> FeatureSchema:
    """Which features a column compares, and its sensor's noise."""
    surface, coded = features in ("surface", "both"), features in ("sdr", "both")
    units, active = (CODE.units, CODE.active) if coded else (0, 0)
    return FeatureSchema(
        surface=surface, colour=surface, texture=surface and texture, code_bits=units, code_winners=active,
        **SENSOR_NOISE[noise],
    )


def touch_schema(noise: Condition = "noise") -> FeatureSchema:
    """What a finger feels: shape alone. A ball rests on edges and ridges, where normals spread: they count for less."""
    surface = feature_schema("surface", noise)
    return replace(surface, colour=False, texture=False, normal_sd=max(TOUCH_NORMAL_SD, surface.normal_sd))


NEEDED = {
    "on_object": (), "valid": (), "sensor_position": (3,), "sensor_rotation": (3, 3), "location": (3,), "normal": (3,),
    "directions": (2, 3), "curvature": (2,), "hsv": (3,),
}  # fmt: skip
"""What is read of an observation, and its shape for one sensor."""
NEEDED_OF_PATCHES = {"rgb": (3,), "patch": (None, None, 6)}
"""None: any size; a patch is square."""


ABSURD = 1e6
"""No sensor reads so many metres, or as sharp a curvature (1/m)."""


class Senses:
    """Turns observations into sensations; the patch is encoded if any column wants codes.

    textured : whether any column wants texture
    learnt : the code that was learnt; None: the one that isn't
    fingers : so many of the last sensors are fingers. One that met nothing says nothing: it felt a few centimetres,
        not a ray without end.
    """

    def __init__(
        self, coded: bool, fingers: int = 0, learnt: LearntCode | None = None, textured: bool = False
    ) -> None:
        self.textured = textured
        self.encoder = (PatchEncoder(CODE) if learnt is None else LearntEncoder(learnt, CODE)) if coded else None
        self.fingers = fingers

    @property
    def obs_mode(self) -> str:
        """What the environment must deliver."""
        return "both" if self.encoder or self.textured else "features"

    def __call__(self, observation: Mapping[str, np.ndarray]) -> Sensation:
        """The sensation (1, C) of an observation of ObjectExplore; a reading with a NaN, an infinity or a
        number past all sense is not valid.

        Raises ValueError for an observation that lacks a part, or has one of another shape or of no numbers.
        """
        read = _numbers(observation, NEEDED if self.obs_mode == "features" else NEEDED | NEEDED_OF_PATCHES)
        curvature = read["curvature"]
        code = torch.zeros(len(curvature), 0, dtype=torch.int64)
        if self.encoder is not None:
            code = self._encode(read)
        on_object, valid = read["on_object"] > 0.5, read["valid"] > 0.5
        if self.fingers:
            valid[-self.fingers :] &= on_object[-self.fingers :]
        one = {
            "origin": read["sensor_position"],
            "gaze": read["sensor_rotation"][:, :, 2],
            "location": read["location"],
            "normal": read["normal"],
            "direction": read["directions"][:, 0],
            "curvature": curvature.sign() * curvature.abs().log1p(),
            "hsv": read["hsv"],
            "code": code,
            "on_object": on_object,
            "valid": valid,
        }
        if self.textured:
            one["texture"] = self._texture(read)
        return Sensation(**{name: value[None] for name, value in one.items()}).checked()

    def _encode(self, read: dict[str, torch.Tensor]) -> torch.Tensor:
        assert self.encoder is not None
        with torch.no_grad():
            return self.encoder(_seen(read)).long()


    def _texture(self, read: dict[str, torch.Tensor]) -> torch.Tensor:
        with torch.no_grad():
            return (slopes(_seen(read)) @ read["sensor_rotation"].mT).flatten(1)


def describe(patches: PatchEncoder, observation: Mapping[str, np.ndarray]) -> tuple[Tensor, Tensor, Tensor]:
    """Of the readings of an observation that say something: descriptors (n, f), locations and normals (n, 3)."""
    read = _numbers(observation, NEEDED | NEEDED_OF_PATCHES)
    keep = (read["on_object"] > 0.5) & (read["valid"] > 0.5)
    with torch.no_grad():
        return patches.descriptor(_seen(read))[keep], read["location"][keep], read["normal"][keep]


def _seen(read: Mapping[str, Tensor]) -> SurfacePatch:
    """The patches in their sensors' frames."""
    patch = SurfacePatch(
        read["patch"], read["location"], read["normal"], read["directions"], read["curvature"], read["rgb"]
    )
    return patch.seen_from(read["sensor_position"], read["sensor_rotation"])


def _numbers(observation: Mapping[str, np.ndarray], needed: Mapping[str, tuple[int | None, ...]]) -> dict[str, Tensor]:
    """The needed parts of an observation as float32 tensors (C, ...)."""
    if missing := [name for name in needed if name not in observation]:
        raise ValueError(f"an observation without {', '.join(missing)}: which obs_mode does the environment have?")
    try:
        parts = {name: np.asarray(observation[name]) for name in needed}
    except ValueError as error:
        raise ValueError(f"an observation of ragged lists, in one of {', '.join(needed)}: {error}") from error
    sensors = parts["on_object"].shape[:1] or (0,)
    for name, part in parts.items():
        fits = part.ndim == 1 + len(needed[name]) and part.shape[:1] == sensors != (0,)
        fits &= all(wanted in (None, found) for wanted, found in zip(needed[name], part.shape[1:], strict=False))
        if not fits or part.dtype.kind not in "fiub" or (name == "patch" and part.shape[1] != part.shape[2]):
            shape = ", ".join("n" if size is None else str(size) for size in ("C", *needed[name]))
            raise ValueError(f"{name!r} must be ({shape}) numbers, a row a sensor, not {part.shape} {part.dtype}")
    with np.errstate(over="ignore"):
        return _lost({name: torch.from_numpy(np.array(part, np.float32, order="C")) for name, part in parts.items()})


def _lost(read: dict[str, Tensor]) -> dict[str, Tensor]:
    """Readings with a NaN or a number past all sense become zeros, which are not valid: in codes it would spread."""
    finite = torch.stack([(part.reshape(len(part), -1).abs() < ABSURD).all(-1) for part in read.values()]).all(0)
    if bool(finite.all()):
        return read
    for part in read.values():
        part[~finite] = 0.0
    return read
