"""The fingers of an agent: several bodies on one object, each with a will of its own, and what they feel together."""

import math
from typing import Any

import numpy as np

from cortical.configs.schema import Condition

from .bodies import Limits
from .finger import Finger, move_finger
from .noise import Bank
from .record import Images, Record
from .retina import Retina
from .sensors import shared_bank, shared_retina
from .touch import PAD_FIELD, PAD_PIXELS, Contact, facing, feel, press
from .world import World

FIRST_PRESS = 0.5
"""Metres that a finger comes down at the start of an episode, until it touches."""


class Hand:
    """`count` fingers over the objects of a catalogue.

    condition : noise of what is felt; limits : of each finger between two sensations
    """

    def __init__(self, source: str, count: int, condition: Condition, limits: Limits) -> None:
        self.count, self.limits = count, limits
        self.condition: Condition = condition
        self.fingers: list[Finger] = []
        self._contacts: list[Contact | None] = []
        self._retina: Retina = shared_retina(source, PAD_PIXELS, PAD_FIELD)
        self._bank: Bank | None = shared_bank(source, PAD_PIXELS, PAD_FIELD) if condition == "dropout" else None

    def __len__(self) -> int:
        return self.count

    def start(
        self, world: World, distance: float, random: np.random.Generator, given: dict[str, Any] | None = None
    ) -> None:
        """Each finger comes from a random bearing and goes down on a point of the object seen from there; the first
        from the eye_position and along the gaze that are `given`."""
        self.fingers, self._contacts = [], []
        for finger in range(self.count):
            above = world.stand(given or {} if finger == 0 else {}, distance, self._retina, random)
            contact = press(world.simulation, world.body, above.position, above.rotation, FIRST_PRESS)
            self._contacts.append(contact)
            if contact is None:
                self.fingers.append(Finger(above.position, above.rotation))
            else:
                self.fingers.append(Finger(contact.centre, facing(above.rotation, contact.normal), True))

    def move(self, actions: np.ndarray, world: World) -> tuple[float, bool]:
        """Move every finger by its five numbers, `actions` (f, 5); metres gone in all, and whether one was blocked."""
        moved = [
            move_finger(finger, action, self.limits, world.simulation, world.body)
            for finger, action in zip(self.fingers, actions, strict=True)
        ]
        self.fingers = [reach.finger for reach in moved]
        self._contacts = [reach.contact for reach in moved]
        return math.fsum(reach.path_length for reach in moved), any(reach.blocked for reach in moved)

    def hold(self, finger: Finger, contact: Contact | None) -> None:
        """The one finger is there, brought by an arm, and touches that."""
        self.fingers, self._contacts = [finger], [contact]

    def feel(self, world: World, random: np.random.Generator) -> tuple[Record, np.ndarray, np.ndarray]:
        """What all fingers feel; and their positions (f, 3) and rotations (f, 3, 3)."""
        position = np.stack([finger.position for finger in self.fingers])
        rotation = np.stack([finger.rotation for finger in self.fingers])

        def see(at: np.ndarray, turn: np.ndarray) -> Images:
            return world.see(at, turn, self._retina)

        record = feel(self._contacts, rotation, see, self.condition, random, self._bank, world.index)
        return record, position, rotation
