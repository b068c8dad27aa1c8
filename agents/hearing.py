"""Ears and columns joined: words learnt from recordings, and named by the column that sees and feels.

A word is known by several maps, each of one recording or of a few laid on one another; what is believed of a word is
the sum over its maps. Pose is time, pitch and loudness (see envs/sound.py), but not tempo, as size is not of things
seen: a recording is learnt at a few stretches. Nothing of the column is made for sound.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from cortical.columns.belief import Belief
from cortical.columns.evidence.atlas import Atlas
from cortical.columns.evidence.column import EvidenceColumn
from cortical.columns.lateral import Lateral
from cortical.columns.messages import FeatureSchema
from cortical.columns.object_map import ObjectMap
from cortical.columns.region import Region
from cortical.columns.topology import topology
from cortical.envs.ear import Ear, Surface
from cortical.envs.sound import HOP, SECOND, Sound

from .sensing import Senses

HEARD = FeatureSchema(location_sd=0.0006, normal_sd=0.2, curvature_sd=0.7, hue_sd=0.7, saturation_sd=0.14)
"""How much two recordings of one word differ at a spot: much more than two glances at one object."""
SPACING = 0.004
"""Metres between the points of a map: 40 ms, four bands."""
STRETCHES = (0.82, 1.0, 1.22)
"""Tempi at which a recording is learnt."""
TRUST, CORRELATION = 0.3, 0.1
"""Share of the evidence that counts, and how alike the errors of bands are."""

FIRST_CAP, KEEP, TESTS = 16_000, 192, 60_000
"""Poses held at first and in the long run, and tried: words have many maps."""


def learn_sound(sounds: Sequence[Sound]) -> ObjectMap:
    """A map of one recording, or of several laid on one another, their middles of time at the origin."""
    known, senses = ObjectMap.empty(SPACING), Senses(coded=False)
    for sound in sounds:
        surface = Surface(sound)
        frame, band = surface.spots()
        if len(frame) == 0:
            continue
        start = np.array([-SECOND * HOP * frame.mean(), 0.0, 0.0])
        heard = senses(surface.observed(frame, band, start))
        at = (heard.location[0], heard.normal[0], heard.direction[0], heard.curvature[0], heard.hsv[0], heard.code[0])
        known = known.insert(*at)
    if len(known) == 0:
        raise ValueError("nothing is to be heard: give at least one recording that isn't silent")
    return known


def learn_word(sounds: Sequence[Sound], stretches: Sequence[float] = STRETCHES) -> list[ObjectMap]:
    """The maps of one word: one of each recording at each tempo."""
    return [learn_sound([sound.stretched(times)]) for sound in sounds for times in stretches]


@dataclass(frozen=True)
class Listener:
    """Columns of one ear that vote on words.

    region : of `ear.columns` columns
    words : of each object of the region
    """

    region: Region
    ear: Ear
    words: tuple[str, ...]

    @classmethod
    def knowing(cls, maps: dict[str, list[ObjectMap]], ear: Ear, schema: FeatureSchema = HEARD) -> "Listener":
        """A listener that knows each word by its maps."""
        words = tuple(word for word, known in maps.items() for _ in known)
        named = {f"{word}/{i}": one for word, known in maps.items() for i, one in enumerate(known)}
        column = EvidenceColumn(Atlas.pack(named, schema), schema, ear.columns, tests=TESTS)
        lateral = Lateral.over(topology("all-to-all", ear.columns))
        trust = TRUST / (1 + CORRELATION * (ear.columns - 1))
        return cls(Region((column,), lateral, tuple(named), FIRST_CAP, KEEP, trust), ear, words)

    @property
    def vocabulary(self) -> tuple[str, ...]:
        """Words known, in the order in which they were given."""
        return tuple(dict.fromkeys(self.words))

    def hear(self, sound: Sound, steps: int, random: np.random.Generator) -> Iterator[Belief]:
        """What is believed after each of so many sensations; the sound begins up to a second late."""
        surface, senses = Surface(sound), Senses(coded=False)
        start, belief = np.array([random.uniform(0, 0.1), 0.0, 0.0]), self.region.begin()
        frames, bands = self.ear.walk(sound, steps, random)
        for frame, band in zip(frames, bands, strict=True):
            observation = surface.observed(np.full(len(band), frame), band, start)
            belief = self.region.step(belief, senses(observation))
            yield belief

    def log_posterior(self, belief: Belief) -> torch.Tensor:
        """(words + 1,) nats, in the order of `vocabulary`, the last for none of those known."""
        assert belief.consensus is not None, "listen first: there is no belief before the first sensation"
        each, known = belief.consensus.log_posterior[0], self.vocabulary
        owner = torch.tensor([known.index(word) for word in self.words])
        total = [each[:-1][owner == k].logsumexp(0) for k in range(len(known))]
        return torch.stack([*total, each[-1]])

    def word(self, belief: Belief) -> str:
        """The most probable word, whatever the chance that it is none of them."""
        return self.vocabulary[int(self.log_posterior(belief)[:-1].argmax())]
