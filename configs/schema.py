"""Every setting of an experiment, as frozen dataclasses with one help line a field.

The help line under a field is also the help of its command-line flag. Nothing heavy is imported here, so that
`cortical --help` answers at once.
"""

from dataclasses import dataclass, field
from typing import Literal

Backend = Literal["rays", "camera"]
Condition = Literal["clean", "noise", "rawnoise", "dropout"]
Features = Literal["surface", "sdr", "both"]
Code = Literal["fixed", "learnt"]
Score = Literal["odds", "information", "free_energy"]
Aim = Literal["both", "identity", "pose"]
Learning = Literal["views", "coverage", "random_walk"]
LesionKind = Literal["kill", "freeze", "collude", "conspire"]
Pooling = Literal["sum", "robust"]
Topology = Literal["all-to-all", "ring", "grid", "small-world", "random", "groups", "none"]


LAYOUTS = ("grid", "rings", "fovea")
"""Receptive fields of an eye that have a name; a file may place them too."""


@dataclass(frozen=True)
class WorldConfig:
    """The world: which objects there are and how one is presented."""

    objects: str = "default"
    """Catalogue: default, default-hard, solids, a plug-in, a folder of meshes in the YCB layout, or a URDF file."""
    scene: Literal["held", "table"] = "held"
    """held: the object floats at the given pose; table: it comes to rest on a table by gravity."""
    body: Literal["free", "arm"] = "free"
    """free: eye and fingers float, each by itself; arm: a Panda carries the eye and one fingertip in its hand."""
    cube: float = 0.10
    """Edge, in metres, of the cube in which the object's centre is placed at random."""


@dataclass(frozen=True)
class EyeConfig:
    """The eye: patches around one gaze, and how far it may move between two sensations."""

    columns: int = 1
    """Patches of the eye, one per column: 1, 5 = centre and four, k*k = a square grid, else a spiral; 0: no eye."""
    spread: float = 5.0
    """Angle in degrees between neighbouring patches."""
    layout: str = "grid"
    """Where the patches lie: grid; rings around the gaze; fovea, `spread` apart at the gaze and ever coarser outwards,
    as in a retina; or a file of your own, .npy or .csv, (columns, 2) degrees to the right of and below the gaze, or
    (columns, 3) with the width of each patch, or (columns, 4) with how many times the noise it has, too."""
    pixels: int = 8
    """Each patch is an image of pixels x pixels rays."""
    field_of_view: float = 10.0
    """Width of one patch in degrees (12 at most)."""
    backend: Backend = "rays"
    """rays: Embree on the meshes at PyBullet's poses; camera: PyBullet's own renderer, same record."""
    sensor: str = "surface"
    """What reads a patch's image: surface (a quadric fitted to its depth), or a plug-in by its name."""
    noise: Condition = "noise"
    """Sensor noise: clean, noise, rawnoise (depth pixels too) or dropout."""
    patch_noise: float = 1.0
    """So many times the noise on what a patch looks like, its colour and curvature; 1: as `noise` says."""
    distance: float = 0.20
    """Distance in metres from the centre of the cube at which the eye starts."""
    max_path: float = 0.20
    """Longest path in metres between two sensations."""
    max_turn: float = 30.0
    """Largest turn of the gaze in degrees between two sensations."""


@dataclass(frozen=True)
class TouchConfig:
    """The fingers: bodies of their own that press until they touch, each with one column."""

    fingers: int = 0
    """How many fingers there are besides the eye."""
    finger_path: float = 0.20
    """Longest path in metres of a finger between two sensations, before it presses."""
    finger_turn: float = 90.0
    """Largest turn in degrees of the direction in which a finger presses."""


@dataclass(frozen=True)
class ColumnConfig:
    """The evidence column: its maps, its noise model, and how many hypotheses it keeps alive."""

    kind: str = "evidence"
    """evidence: explicit hypotheses; or a kind of column that a plug-in adds, by its name."""
    features: Features = "surface"
    """What a column stores and compares: the surface record, a sparse code of the patch, or both."""
    texture: bool = True
    """Whether how colour changes along the surface is compared, too, where the surface record is."""
    code: Code = "fixed"
    """How a patch becomes a sparse code: by a fixed function, or by one learnt from a first look at each object."""
    node_spacing: float = 0.004
    """Metres between neighbouring points of a map."""
    first_cap: int = 4_000
    """Hypotheses a region keeps after its first sensation."""
    keep: int = 96
    """Hypotheses a region keeps in the long run."""
    outlier: float = 0.03
    """Share of sensations that the noise model does not explain (the floor of the likelihood)."""
    trust: float = 0.45
    """Share of the evidence that counts when a belief is formed: errors of the maps are not independent."""
    code_column: bool = False
    """Of five columns or more, let the last see by sparse codes alone."""
    watchful: bool = False
    """Notice by prediction error that the object itself was moved, and find its new pose."""
    device: str = "cpu"
    """Where the columns run: cpu, cuda, cuda:1, ..."""


@dataclass(frozen=True)
class LateralConfig:
    """The voting layer that joins the columns of a region."""

    topology: Topology = "all-to-all"
    """Which columns exchange votes; groups: all-to-all in some, their first ones in a ring; none: each for itself."""
    graph: str = ""
    """GraphML file of a graph of your own, instead of a topology: nodes 0, 1, ..., edges with weight and delay."""
    rounds: int = 0
    """Exchanges per sensation; 0: as many as the graph needs to agree."""
    pooling: Pooling = "sum"
    """sum: evidence adds up; robust: columns that contradict what most of the others find are heeded less."""
    eps: float = 0.0
    """Nats by which a vote may differ from what the others can work out before it is sent; 0: every vote is sent."""
    loss: float = 0.0
    """Probability that a message between columns gets lost."""
    delay: int = 0
    """Sensations by which messages may be late: each column has its own delay, from 0 to this."""
    slowest: int = 1
    """Each column speaks at its own rate: at every sensation, every second, ... or every one of this many."""


@dataclass(frozen=True)
class LesionConfig:
    """What goes wrong with some of the columns, drawn at random in every episode."""

    kind: LesionKind = "kill"
    """kill: they say nothing; freeze: they keep voting what they believed then; collude: they agree on one wrong
    object, as sure as a healthy column can be; conspire: on one pose of it."""
    share: float = 0.0
    """Share of the columns that are struck; 0: none."""
    at: int = 0
    """The sensation after which it happens; 0: before the first."""


@dataclass(frozen=True)
class PolicyConfig:
    """The motor policy."""

    name: str = "information_gain"
    """saccade: random glances; surface_follow: along the surface; salience: where it is rare; disagreement: where
    the two best answers differ; information_gain: what should teach most; learned: as a network says; or a
    plug-in."""
    candidates: int = 32
    """Movements weighed against each other at every step."""
    hypotheses: int = 16
    """Hypotheses whose predictions are compared."""
    score: Score = "odds"
    """Of information_gain, odds: how much surer the truth becomes; information: how much is learnt, in nats;
    free_energy: the same plus the preference for what is met."""
    aim: Aim = "both"
    """What is to be learnt: identity, pose, or both."""
    preference: float = 0.0
    """Of free_energy: nats by which meeting something is preferred to meeting nothing."""
    weary: float = 8.0
    """Nats by which a place just sensed is worth less (inhibition of return)."""
    ahead: int = 1
    """1: the best movement; 2: the one that the best two begin with."""
    file: str = ""
    """Policy file of `learned` (empty: the one that comes with the package), or of a plug-in."""


@dataclass(frozen=True)
class LearnConfig:
    """How maps are learnt."""

    sensations_per_view: int = 1000
    """Readings taken from each of the 14 views of an object (1,000 at most)."""
    patches: int = 25
    """Patches of the eye while learning (all feed the same map)."""
    movement: Learning = "views"
    """views: 14 views, each scanned; freely, coverage: to where the map is empty, thin or surprising; random_walk."""
    glances: int = 150
    """Of coverage and random_walk: glances taken at an object."""


@dataclass(frozen=True)
class DecisionConfig:
    """When an episode ends."""

    odds: float = 1000.0
    """Posterior odds, calibrated, of one object against all others and 'none of those I know' that decide."""
    max_sensations: int = 500
    """Sensations after which an episode ends undecided."""
    price: float = 0.0
    """Nats that a sensation must promise, by a policy that knows what movements teach; an episode ends undecided when
    the best one doesn't. 0: whatever it promises."""
    search: int = 60
    """Sensations that meet nothing at all after which the answer is 'nothing here'."""


@dataclass(frozen=True)
class Experiment:
    """Everything that defines a run."""

    world: WorldConfig = field(default_factory=WorldConfig)
    eye: EyeConfig = field(default_factory=EyeConfig)
    touch: TouchConfig = field(default_factory=TouchConfig)
    column: ColumnConfig = field(default_factory=ColumnConfig)
    lateral: LateralConfig = field(default_factory=LateralConfig)
    lesion: LesionConfig = field(default_factory=LesionConfig)
    policy: PolicyConfig = field(default_factory=PolicyConfig)
    learn: LearnConfig = field(default_factory=LearnConfig)
    decision: DecisionConfig = field(default_factory=DecisionConfig)
    seed: int = 0
    """Seed of every random draw of the run."""
