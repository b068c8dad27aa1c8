"""What travels between sensors, columns, the lateral layer and the motor side: immutable records of tensors.

Leading axes, throughout: g groups (regions that think independently: an episode each), m columns in a group,
b hypotheses of a group. Metres, radians; rotations are (3, 3) matrices; the frame is in the name or the docstring.
"""

from dataclasses import dataclass, field, fields, replace
from typing import Self

import torch
from torch import Tensor


@dataclass(frozen=True, slots=True)
class Pose:
    """Where something is: x_world = rotation @ x + location.

    location : (..., 3) metres
    rotation : (..., 3, 3)
    """

    location: Tensor
    rotation: Tensor

    def __matmul__(self, other: "Pose") -> "Pose":
        """a_from_b @ b_from_c = a_from_c."""
        return Pose(self.apply(other.location), self.rotation @ other.rotation)

    def inverse(self) -> "Pose":
        """b_from_a of an a_from_b."""
        back = self.rotation.transpose(-1, -2)
        return Pose(-(back @ self.location[..., None])[..., 0], back)

    def apply(self, points: Tensor) -> Tensor:
        """Points (..., 3) carried from the inner frame to the outer one."""
        return (self.rotation @ points[..., None])[..., 0] + self.location


@dataclass(frozen=True, slots=True)
class FeatureSchema:
    """Which features a column stores and compares, and how noisy its sensor is.

    Every sd is the sensor's own standard deviation of one reading, whatever the map adds to it.
    """

    surface: bool = True
    """Principal curvatures and directions."""
    colour: bool = True
    """Hue, saturation and value; a fingertip feels none."""
    texture: bool = False
    """Slopes of saturation and value along the surface, see `texture.py`."""
    code_bits: int = 0
    """Length of the sparse code of a patch; 0: no code."""
    code_winners: int = 0
    """Active bits of that code."""
    location_sd: float = 0.002
    """Metres an axis."""
    normal_sd: float = 0.035
    """Radians an axis; the principal directions turn with the normal."""
    curvature_sd: float = 0.1
    """Of log curvature, sign(k) ln(1 + |k| x 1 m)."""
    hue_sd: float = 0.63
    """Radians on the colour circle."""
    saturation_sd: float = 0.1
    """Of saturation and of value, 0 ... 1."""
    texture_sd: float = 0.5
    """1/m, of a slope of saturation or value."""

    def differences(self, other: "FeatureSchema") -> list[str]:
        """The stored features in which two schemas differ (noise is the sensor's affair), as words for an error."""
        names = ("surface", "colour", "texture", "code_bits", "code_winners")
        return [
            f"{name}: {getattr(self, name)} here, {getattr(other, name)} there"
            for name in names
            if getattr(self, name) != getattr(other, name)
        ]


@dataclass(frozen=True, slots=True)
class Sensation:
    """One clock step: a reading of each column, world frame. Leading axes (...) are usually (g, m).

    origin : (..., 3) metres, where the sensor is
    gaze : (..., 3) unit, where it looks
    location : (..., 3) metres, the sensed point
    normal, direction : (..., 3) unit, surface normal and first principal direction (its sign means nothing)
    curvature : (..., 2) log principal curvatures sign(k) ln(1 + |k| x 1 m), larger k first, convex positive
    hsv : (..., 3) in 0 ... 1
    code : (..., k) int64 active bits of the patch's sparse code, ascending; k = 0 without an encoder
    on_object : (...) bool, False: the gaze met nothing
    valid : (...) bool, False: the reading is lost and says nothing
    texture : (..., 6) 1/m, slope of saturation along the surface and slope of value, world axes; zeros if not given
    """

    origin: Tensor
    gaze: Tensor
    location: Tensor
    normal: Tensor
    direction: Tensor
    curvature: Tensor
    hsv: Tensor
    code: Tensor
    on_object: Tensor
    valid: Tensor
    texture: Tensor = field(default_factory=lambda: torch.zeros(0))

    def __post_init__(self) -> None:
        if self.texture.ndim == 1:
            object.__setattr__(self, "texture", self.location.new_zeros(*self.valid.shape, 6))

    def to(self, device: str | torch.device) -> Self:
        """The same sensation on another device."""
        return replace(self, **{f.name: getattr(self, f.name).to(device) for f in fields(self)})

    def __getitem__(self, index) -> Self:
        """Index the leading axes."""
        return replace(self, **{f.name: getattr(self, f.name)[index] for f in fields(self)})

    def checked(self) -> Self:
        """A reading with a NaN or an infinity is marked invalid and zeroed, so that it is never believed or learnt."""
        numbers = [f.name for f in fields(self) if getattr(self, f.name).is_floating_point()]
        flat = torch.cat([getattr(self, name) for name in numbers], -1)
        finite = torch.isfinite(flat).all(-1)
        if bool(finite.all()):
            return self
        zeroed = {name: torch.where(finite[..., None], getattr(self, name), torch.zeros(())) for name in numbers}
        return replace(self, **zeroed, valid=self.valid & finite)


@dataclass(frozen=True, slots=True)
class Movement:
    """What the object itself did between two sensations, world frame (a resting object: the identity).

    The sensor's own movement is not in it: hypotheses say where the object is, so it doesn't concern them.
    """

    object_motion: Pose | None = None


@dataclass(frozen=True, slots=True)
class Vote:
    """What a column sends: for each pose on the ballot, a quadratic model of its log-evidence around that pose.

    log_evidence : (g, m, b) nats, relative to 'none of the objects I know'
    slope : (g, m, b, 6) derivative by a small turn (radians, world axes, about `Hypotheses.pivot`) and shift (metres)
    information : (g, m, b, 6, 6) minus the second derivative (Gauss-Newton)
    """

    log_evidence: Tensor
    slope: Tensor
    information: Tensor


@dataclass(frozen=True, slots=True)
class Consensus:
    """What a group believes after the exchange.

    object_index : (g,) int64, most probable object; -1 for none of those known
    log_odds : (g,) nats, of that object against all others and 'none', calibrated: see `posterior.odds_of`
    log_posterior : (g, objects + 1), last: 'none'
    pose : the best pose of that object, world_from_object, (g, ...)
    column_log_posterior : (g, m, objects + 1), what each column believes after the exchange
    alone_log_posterior : (g, m, objects + 1), what each would believe by its own sensations alone
    agreement : (g,) share of the columns that favour this object
    """

    object_index: Tensor
    log_odds: Tensor
    log_posterior: Tensor
    pose: Pose
    column_log_posterior: Tensor
    alone_log_posterior: Tensor
    agreement: Tensor


@dataclass(frozen=True, slots=True)
class Goal:
    """Where a column wants its sensor to be and look, and what it expects to learn there.

    origin : (n, 3) metres, world frame
    target : (n, 3) metres, world frame, the point to look at
    gain : (n,) nats, expected information about (object, pose)
    reason : what the column hopes to tell apart, in words
    """

    origin: Tensor
    target: Tensor
    gain: Tensor
    reason: str = field(default="")
