"""From an observation of the environment to the sensation of the columns."""

from collections.abc import Mapping

import numpy as np
import torch

from cortical.columns.layers import EncoderConfig, PatchEncoder, SurfacePatch
from cortical.columns.messages import FeatureSchema, Sensation
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


def feature_schema(features: Features, noise: Condition = "noise") -> FeatureSchema:
    """Which features a column compares, and its sensor's noise."""
    surface, coded = features in ("surface", "both"), features in ("sdr", "both")
    units, active = (CODE.units, CODE.active) if coded else (0, 0)
    return FeatureSchema(surface=surface, colour=surface, code_bits=units, code_winners=active, **SENSOR_NOISE[noise])


class Senses:
    """Turns observations into sensations; the patch is encoded if any column wants codes."""

    def __init__(self, coded: bool) -> None:
        self.encoder = PatchEncoder(CODE) if coded else None

    @property
    def obs_mode(self) -> str:
        """What the environment must deliver."""
        return "both" if self.encoder else "features"

    def __call__(self, observation: Mapping[str, np.ndarray]) -> Sensation:
        """The sensation (1, C) of an observation of ObjectExplore."""
        read = {name: torch.from_numpy(np.asarray(value)) for name, value in observation.items()}
        curvature = read["curvature"]
        code = torch.zeros(len(curvature), 0, dtype=torch.int64)
        if self.encoder is not None:
            code = self._encode(read)
        one = {
            "origin": read["sensor_position"],
            "gaze": read["sensor_rotation"][:, :, 2],
            "location": read["location"],
            "normal": read["normal"],
            "direction": read["directions"][:, 0],
            "curvature": curvature.sign() * curvature.abs().log1p(),
            "hsv": read["hsv"],
            "code": code,
            "on_object": read["on_object"] > 0.5,
            "valid": read["valid"] > 0.5,
        }
        return Sensation(**{name: value[None] for name, value in one.items()}).checked()

    def _encode(self, read: dict[str, torch.Tensor]) -> torch.Tensor:
        assert self.encoder is not None
        patch = SurfacePatch(
            read["patch"], read["location"], read["normal"], read["directions"], read["curvature"], read["rgb"]
        )
        seen = patch.seen_from(read["sensor_position"], read["sensor_rotation"])
        with torch.no_grad():
            return self.encoder(seen).long()
