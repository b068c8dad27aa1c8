"""Bodies that float: an eye, and fingers, each moved by itself and stopped by whatever is in its own way."""

from typing import Any

import numpy as np

from .bodies import RADIUS, Eye, Limits, move
from .hand import Hand
from .picture import over_the_shoulder
from .retina import Retina
from .sensors import shared_catalogue
from .world import World


class Floating:
    """An eye, if `sees`, and the fingers of a hand, if there is one.

    limits : of the eye; distance : metres from the origin at which bodies start; retina : what finds a first gaze

    eye : where it is; None before `start`, or without one
    looked : where it was when it looked
    """

    def __init__(self, sees: bool, hand: Hand | None, limits: Limits, distance: float, retina: Retina) -> None:
        self._sees, self._hand, self._limits = sees, hand, limits
        self._distance, self._retina = distance, retina
        self.eye: Eye | None = None

    @property
    def looked(self) -> Eye | None:
        """Where it now is."""
        return self.eye

    def start(self, world: World, given: dict[str, Any], random: np.random.Generator) -> None:
        """Stand somewhere around the object. given : `placing.checked_options`; eye_position and gaze count here,
        for the first finger if there is no eye."""
        self.eye = None
        if self._sees:
            self.eye = world.stand(given, self._distance, self._retina, random)
        if self._hand is not None:
            self._hand.start(world, self._distance, random, None if self._sees else given)

    def move(self, wish: np.ndarray, world: World) -> tuple[float, bool]:
        """Move by five numbers a body, `wish` (5 B,); metres gone in all, and whether something was in the way."""
        went, blocked = 0.0, False
        if self.eye is not None:
            self.eye, went, blocked = move(self.eye, wish[:5], self._limits, world.free_length)
        if self._hand is not None:
            further, stopped = self._hand.move(wish[-5 * len(self._hand) :].reshape(-1, 5), world)
            went, blocked = went + further, blocked or stopped
        return went, blocked

    def free_length(self, eye: Eye, end: np.ndarray, world: World) -> float:
        """Metres that an eye there could go towards `end` (3,)."""
        return world.free_length(eye.position, end, RADIUS)

    def touchable(self, position: np.ndarray, gaze: np.ndarray, world: World) -> bool:
        """A finger that floats goes anywhere, or touches what is in its way."""
        return True

    def give_way(self) -> None:
        """The object was pushed: what floats stays where it is."""

    def picture(self, world: World) -> np.ndarray:
        """(240, 320, 3) uint8: the scene from behind and above the eye, or else the first finger."""
        mesh = shared_catalogue(world.scene.source).mesh(world.name)
        eye = self.eye
        if eye is None and self._hand is not None:
            eye = Eye(self._hand.fingers[0].position, self._hand.fingers[0].rotation)
        assert eye is not None
        return over_the_shoulder(mesh, world.position, world.rotation, eye, world.scene.table)
