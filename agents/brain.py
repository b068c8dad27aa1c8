"""Columns built from a configuration and a set of maps."""

from dataclasses import replace

from cortical.columns.evidence.atlas import Atlas
from cortical.columns.evidence.column import EvidenceColumn
from cortical.columns.lateral import Lateral, topology
from cortical.columns.messages import FeatureSchema
from cortical.columns.object_map import ObjectMap
from cortical.columns.region import Region
from cortical.configs.schema import Experiment

from .sensing import feature_schema


def build_region(experiment: Experiment, maps: dict[str, ObjectMap]) -> Region:
    """A region of `eye.columns` columns that share these maps.

    With `column.code_column` and five columns or more, the last column sees by sparse codes alone, if the maps hold
    any: columns of different senses vote together.
    """
    eye, column = experiment.eye, experiment.column
    schema = feature_schema(column.features, eye.noise)
    kinds = _kinds(eye.columns, schema, experiment, maps)
    graph = topology(experiment.lateral.topology, eye.columns, experiment.seed)
    # neighbours see nearly the same: their evidence adds up, but less than independent evidence would
    trust = column.trust / (1 + column.correlation * (eye.columns - 1))
    lateral = Lateral.over(graph, experiment.lateral.rounds)
    return Region(kinds, lateral, tuple(maps), column.first_cap, column.keep, trust)


def _kinds(
    columns: int, schema: FeatureSchema, experiment: Experiment, maps: dict[str, ObjectMap]
) -> tuple[EvidenceColumn, ...]:
    outlier, device = experiment.column.outlier, experiment.column.device
    coded = next(iter(maps.values())).bits.shape[1] > 0
    if not (experiment.column.code_column and columns >= 5 and coded):
        return (EvidenceColumn(Atlas.pack(maps, schema).to(device), schema, columns, outlier),)
    # an atlas with codes serves both kinds: each compares what its own schema says
    codes = feature_schema("sdr", experiment.eye.noise)
    atlas = Atlas.pack(maps, codes).to(device)
    return EvidenceColumn(atlas, schema, columns - 1, outlier), EvidenceColumn(atlas, codes, 1, outlier)


def stored_schema(experiment: Experiment) -> FeatureSchema:
    """What maps of this experiment store: codes too, if any column wants them."""
    wants = experiment.column.features
    if experiment.column.code_column and experiment.eye.columns >= 5 and wants == "surface":
        wants = "both"
    schema = feature_schema(wants, "clean")
    return replace(schema, surface=True, colour=True)
