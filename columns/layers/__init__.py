"""Sparse layers: k winners, packed projections, sparse codes and the encoder of surface patches."""

from .codes import false_match_probability, overlap, paired_overlap, to_dense
from .encoder import EncoderConfig, PatchEncoder, SurfacePatch
from .packed import PackedProjection
from .winners import k_winners, keep_winners, winner_mask

__all__ = [
    "EncoderConfig",
    "PackedProjection",
    "PatchEncoder",
    "SurfacePatch",
    "false_match_probability",
    "k_winners",
    "keep_winners",
    "overlap",
    "paired_overlap",
    "to_dense",
    "winner_mask",
]
