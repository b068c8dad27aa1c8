"""What is kept of an episode: plain data, picklable."""

from dataclasses import dataclass, field
from typing import Literal, NamedTuple

Ending = Literal["", "decided", "price", "sensations"]


class PoseTrace(NamedTuple):
    """A pose that survived a step: where a known object may be. A bare list in files, for there are many."""

    object: str
    location: list[float]
    """(3,) metres, world_from_object."""
    rotation: list[float]
    """Quaternion xyzw, world_from_object."""
    weight: float
    """Share of belief, 0 ... 1; all that survive and 'none of those I know' share 1."""


@dataclass(frozen=True)
class ColumnTrace:
    """What one column believed after one step; `alone`: by its own sensations, before the votes were exchanged."""

    entropy: float
    """Of its posterior over objects and 'none', nats."""
    best: str
    """Its most probable object."""
    log_odds: float
    """Of that object against all others and 'none'."""
    alone_entropy: float
    alone_best: str
    alone_log_odds: float
    vote: int = -1
    """Which of the step's `hypotheses` is the strongest pose of `alone_best`: what it votes for; -1: none."""


@dataclass(frozen=True)
class StepTrace:
    """One step of an episode."""

    best: str
    log_odds: float
    entropy: float
    posterior: dict[str, float]
    """Of the eight most probable objects."""
    columns: list[ColumnTrace]
    votes: int
    """Poses on the ballot, each weighed by every column."""
    eye: list[float]
    gaze: list[float]
    location: list[list[float]]
    """Sensed points, one per column; empty where nothing was sensed."""
    think_ms: float
    expected_nats: float
    """What the movement that led here was expected to teach."""
    reason: str
    """Of that movement."""
    goal: list[list[float]] = field(default_factory=list)
    """Of that movement: the place (3,) to look from and the point (3,) to look at, as wanted; empty at the start."""
    origin: list[list[float]] = field(default_factory=list)
    """Where each column's sensor was, (3,) metres."""
    hypotheses: list[PoseTrace] = field(default_factory=list)
    """The strongest poses that survive, in order of their weights."""

    def __post_init__(self) -> None:
        # files hold bare lists
        object.__setattr__(self, "hypotheses", [PoseTrace(*pose) for pose in self.hypotheses])


@dataclass(frozen=True)
class EpisodeRecord:
    """All that is known of an episode afterwards; lengths in metres, angles in degrees."""

    object: str
    answer: str | None
    """The decision: a name, "unknown", "nothing here", or None if it was not reached."""
    best_guess: str
    """The most probable object at the end, decided or not."""
    odds_log: float
    """Natural logarithm of the posterior odds at the end."""
    sensations: int
    path_m: float
    rotation_error_deg: float
    """Of the pose held at the end, under the object's symmetry group at tolerance 1; then at 0.5, at 2, and without."""
    rotation_error_half_deg: float
    rotation_error_double_deg: float
    rotation_error_plain_deg: float
    add_s_mm: float
    think_ms: list[float]
    """Thinking time of every step."""
    best_guess_per_step: list[str]
    seed: int
    rotation_index: int
    """Which of the rotations of its object and seed the episode is."""
    position: list[float]
    rotation: list[list[float]]
    estimated_position: list[float]
    estimated_rotation: list[list[float]]
    trace: list[StepTrace] = field(default_factory=list)
    ended: Ending = ""
    """Why: decided (nothing here, too), for what the best movement promised was not worth its price, or since the
    sensations ran out; empty in older files."""
    code_multiply_adds: int = 0
    """Multiply-adds of the sparse layers that coded what was sensed; 0 without codes."""
    code_joules: float = 0.0
    """What they would cost by a model of energy, see `columns.layers.counters`, with the selection of winners."""

    @property
    def correct(self) -> bool:
        """Decided, and right."""
        return self.answer == self.object
