"""Sparse layers: winners, sparse weights and their products, sparse codes, and the encoder of surface patches."""

from .codes import overlap, paired_overlap, to_dense, union
from .conv import SparseConv2d
from .counters import counting
from .dendrites import ActiveDendrites
from .encoder import EncoderConfig, PatchEncoder, SurfacePatch
from .encoders import CoordinateEncoder, ScalarEncoder
from .linear import SparseLinear, active_units
from .packed import PackedProjection
from .sdr import diagnose, false_match
from .transformer import SparseTransformerBlock
from .winners import Active, k_winners, keep_winners, local_winners, select, warm_winners, winner_mask

__all__ = [
    "Active",
    "ActiveDendrites",
    "CoordinateEncoder",
    "EncoderConfig",
    "PackedProjection",
    "PatchEncoder",
    "ScalarEncoder",
    "SparseConv2d",
    "SparseLinear",
    "SparseTransformerBlock",
    "SurfacePatch",
    "active_units",
    "counting",
    "diagnose",
    "false_match",
    "k_winners",
    "keep_winners",
    "local_winners",
    "overlap",
    "paired_overlap",
    "select",
    "to_dense",
    "union",
    "warm_winners",
    "winner_mask",
]
