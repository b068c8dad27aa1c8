"""Columns built from a configuration and a set of maps."""

from dataclasses import replace

from cortical.columns.column import Column
from cortical.columns.events import Events
from cortical.columns.evidence.atlas import Atlas
from cortical.columns.evidence.column import EvidenceColumn
from cortical.columns.lateral import Lateral
from cortical.columns.layers.learnt_encoder import LearntCode, same
from cortical.columns.messages import FeatureSchema
from cortical.columns.object_map import ObjectMap
from cortical.columns.region import Region
from cortical.columns.topology import read_topology, topology
from cortical.configs.plugins import call_plugin
from cortical.configs.schema import Experiment

from .sensing import feature_schema, touch_schema

TOUCH_ALONE = 0.5
"""Share of the trust in fingers that feel without an eye: shape alone, felt on edges and ridges, errs alike."""


def build_region(experiment: Experiment, maps: dict[str, ObjectMap]) -> Region:
    """A region of `eye.columns` + `touch.fingers` columns that share these maps, the fingers' last.

    With `column.code_column` and five columns or more, the last column sees by sparse codes alone, if the maps hold
    any: columns of different senses vote together.
    """
    column = experiment.column
    columns = experiment.eye.columns + experiment.touch.fingers
    kinds, trust = _kinds(experiment, maps), trust_of(experiment)
    return Region(
        kinds, _lateral(experiment, columns), tuple(maps), column.first_cap, column.keep, trust, column.watchful,
        robust=experiment.lateral.pooling == "robust", events=_events(experiment),
    )  # fmt: skip


def trust_of(experiment: Experiment) -> float:
    """Share of the evidence of one column that counts in the long run."""
    return experiment.column.trust * (1.0 if experiment.eye.columns else TOUCH_ALONE)


def _lateral(experiment: Experiment, columns: int) -> Lateral:
    """Who hears whom."""
    wanted = experiment.lateral
    if wanted.graph:
        return Lateral.over(read_topology(wanted.graph, columns), wanted.rounds)
    if wanted.topology == "all-to-all" and columns > 1:
        return Lateral.all_to_all(columns)
    return Lateral.over(topology(wanted.topology, columns, experiment.seed), wanted.rounds)


def _events(experiment: Experiment) -> Events | None:
    """How columns speak; None if all say everything at once."""
    vote = experiment.lateral
    events = Events(vote.eps, vote.loss, vote.delay, vote.slowest, seed=experiment.seed)
    return None if events == Events(seed=experiment.seed) else events


def _kinds(experiment: Experiment, maps: dict[str, ObjectMap]) -> tuple[Column, ...]:
    """One batch of columns for each sense; each compares what its own schema says. Evidence columns share an atlas.

    A plug-in (entry-point group cortical.columns) makes a batch of (maps, schema, number of columns, ColumnConfig).
    """
    column, noise = experiment.column, experiment.eye.noise
    coded = next(iter(maps.values())).bits.shape[1] > 0
    schema, codes = feature_schema(column.features, noise, column.texture), feature_schema("sdr", noise)
    wanted = [(schema, experiment.eye.columns)]
    if column.code_column and experiment.eye.columns >= 5 and coded:
        wanted = [(schema, experiment.eye.columns - 1), (codes, 1)]
    wanted.append((touch_schema(noise), experiment.touch.fingers))
    if column.kind != "evidence":
        parts = [(maps, schema, count, column) for schema, count in wanted if count]
        return tuple(call_plugin("columns", column.kind, Column, *part) for part in parts)
    encoder = _encoder(experiment, maps) if any(kind.code_bits for kind, count in wanted if count) else None
    atlas = Atlas.pack(maps, codes if len(wanted) == 3 else schema).to(column.device)
    return tuple(
        EvidenceColumn(atlas, kind, count, column.outlier, encoder=encoder if kind.code_bits else None)
        for kind, count in wanted
        if count
    )


def _encoder(experiment: Experiment, maps: dict[str, ObjectMap]) -> LearntCode | None:
    """What made the codes of all maps. Raises ValueError if it isn't one, or not what the configuration says."""
    first = next(iter(maps.values())).encoder
    if other := [name for name, known in maps.items() if not same(known.encoder, first)]:
        raise ValueError(f"the codes of {other[0]!r} were made by another encoder than the rest: learn them together")
    if (first is not None) != (experiment.column.code == "learnt"):
        there = "learnt" if first is not None else "fixed"
        raise ValueError(
            f'column.code = "{experiment.column.code}", but the maps were learnt with column.code = "{there}", or '
            "their encoder was left behind: learn again, or read them from their run folder"
        )
    return first


def stored_schema(experiment: Experiment) -> FeatureSchema:
    """What maps of this experiment store: codes too, if any column wants them."""
    wants = experiment.column.features
    if experiment.column.code_column and experiment.eye.columns >= 5 and wants == "surface":
        wants = "both"
    schema = feature_schema(wants, "clean")
    return replace(schema, surface=True, colour=True, texture=True)
