"""A kind of column: what it has sensed a moment ago it doesn't count again (repetition suppression).

column.kind = "habituating"
"""

from dataclasses import replace

from cortical.columns.evidence.atlas import Atlas
from cortical.columns.evidence.column import EvidenceColumn
from cortical.columns.evidence.memory import HIT, LOCATION, Memory
from cortical.columns.messages import FeatureSchema, Movement, Sensation
from cortical.columns.object_map import ObjectMap
from cortical.configs.schema import ColumnConfig

NEAR = 0.004  # metres


class HabituatingColumn(EvidenceColumn):
    """An evidence column to which a reading within NEAR of one that it remembers is lost."""

    __slots__ = ()

    def sense(self, memory: Memory, sensation: Sensation, movement: Movement | None = None) -> Memory:
        if movement is not None and movement.object_motion is not None:
            memory = memory.moved(movement.object_motion)  # so that places are compared on the object
        away = memory.numbers[..., LOCATION] - sensation.location.to(self.device)[..., None, :]
        known = ((away.norm(dim=-1) < NEAR) & (memory.kind == HIT)).any(-1)
        again = known.to(sensation.valid.device) & sensation.on_object
        return super().sense(memory, replace(sensation, valid=sensation.valid & ~again))


def habituating(
    maps: dict[str, ObjectMap], schema: FeatureSchema, count: int, config: ColumnConfig
) -> HabituatingColumn:
    """A batch of `count` columns that know these maps and compare the features of this schema."""
    return HabituatingColumn(Atlas.pack(maps, schema).to(config.device), schema, count, config.outlier)
