"""Many worlds in one PyBullet client, each with an object of its own that the others don't meet.

A client costs 28 MB, a body in it next to nothing. Objects lie in each other, each at its own pose, since everything
asked is asked of one body; what falls on a table falls alone, in a second client.
"""

from typing import Any

import numpy as np

from .bodies import Eye
from .clearance import Clearance
from .retina import Retina
from .simulation import Simulation
from .world import Scene, World


class Worlds:
    """`count` worlds of one scene.

    index : (count,) int, which object of the catalogue is there
    position, rotation : (count, 3) metres and (count, 3, 3) world_from_object
    """

    def __init__(self, scene: Scene, count: int) -> None:
        self.scene = scene
        self._simulation = Simulation()
        self._falls = None
        if scene.table is not None:
            self._simulation.add_table(scene.table)
            self._falls = Simulation()
        self._worlds = [World(scene, self._simulation, str(k), self._falls) for k in range(count)]
        self._clearance = Clearance(scene.source)
        self._slots = np.zeros(count, int)
        self.index = np.zeros(count, int)
        self.position, self.rotation = np.zeros((count, 3)), np.tile(np.eye(3), (count, 1, 1))

    def begin(
        self, k: int, given: dict[str, Any], distance: float, retina: Retina, random: np.random.Generator
    ) -> Eye:
        """Another object or pose in the `k`-th world, and where its eye stands: `World.place`, then `World.stand`."""
        world = self._worlds[k]
        world.place(given, random)
        self.index[k], self.position[k], self.rotation[k] = world.index, world.position, world.rotation
        self._slots[k] = self._clearance.slot(world.index)
        return world.stand(given, distance, retina, random)

    def free_lengths(self, which: np.ndarray, start: np.ndarray, end: np.ndarray, radius: float) -> np.ndarray:
        """Metres (k,) that balls of `radius` metres can go from start (k, 3) to end (k, 3) in the worlds `which` (k,).

        Exactly what `Simulation.free_length` gives; it is asked only where something is near.
        """
        place = self._slots[which], self.position[which], self.rotation[which]
        free, clear = self._clearance.free(*place, start, end, radius, self.scene.table)
        for i in np.flatnonzero(np.isfinite(clear)):
            free[i] = self._simulation.free_length(start[i], end[i], radius, str(which[i]), float(clear[i]))
        return free

    def close(self) -> None:
        """End the simulations."""
        self._simulation.close()
        if self._falls is not None:
            self._falls.close()
