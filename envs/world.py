"""What is there: one object, held in the air or at rest on a table, and what can be seen and touched of it.

The object's bounding-box centre is uniform in a cube around the world's origin and its rotation uniform on
SO(3); what is given is not drawn. Bodies move in the world; the world knows nothing of who senses.
"""

import math
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from cortical.configs.schema import Backend

from .bodies import RADIUS, Eye, looking
from .placing import drop, random_rotations, visible_gaze
from .record import Images
from .retina import Retina
from .sensors import shared_catalogue
from .simulation import Simulation

TRIES, FURTHER = 400, 40
"""Places tried for a body to start from; after every 40 it starts 2 cm further out."""


@dataclass(frozen=True, slots=True)
class Scene:
    """Where an object is put.

    source : catalogue; cube : edge in metres; table : height of the table in metres, None: held in the air
    """

    source: str = "default"
    cube: float = 0.1
    table: float | None = None


class World:
    """One object in a PyBullet world.

    simulation : one that several worlds share, each with a `body` name of its own; they lie in each other, and each
        is free of the others. It holds the table already, if the scene has one. None: a simulation of its own
    falls : a second one, shared too, in which objects fall on the table, since what falls must be alone

    Raises RuntimeError where no place is found from which the object can be seen.
    """

    def __init__(
        self,
        scene: Scene,
        simulation: Simulation | None = None,
        body: str = "object",
        falls: Simulation | None = None,
    ) -> None:
        self.scene, self.body = scene, body
        self.simulation = Simulation() if simulation is None else simulation
        self._alone, self._falls = simulation is None, falls or self.simulation
        self.name, self.index = "", -1
        self.position, self.rotation = np.zeros(3), np.eye(3)

    def close(self) -> None:
        """End the simulation, if it is this world's own."""
        if self._alone:
            self.simulation.close()

    def place(self, given: dict[str, Any], random: np.random.Generator) -> None:
        """Another object or pose. given : `placing.checked_options`; object, position and rotation count here."""
        catalogue, half = shared_catalogue(self.scene.source), self.scene.cube / 2
        self.name = given.get("object") or catalogue.names[int(random.integers(len(catalogue)))]
        self.index = catalogue.index(self.name)
        drawn = random.uniform(-half, half, 3), random_rotations(1, random)[0]
        position, rotation = given.get("position", drawn[0]), given.get("rotation", drawn[1])
        mesh = catalogue.mesh(self.name)
        if self.scene.table is not None:
            position, rotation = drop(self._falls, mesh, position, rotation, self.scene.table)
        if self.body in self.simulation.names:
            self.simulation.remove(self.body)
        self.simulation.add_mesh(self.body, mesh, position, rotation)
        self.follow()

    def follow(self) -> None:
        """Take note of where the object is now, after physics moved it."""
        self.position, self.rotation = self.simulation.pose(self.body)

    def truth(self) -> dict[str, Any]:
        """What is there: object, position (3,) metres, rotation (3, 3). For scoring, not for policies."""
        return {"object": self.name, "position": self.position.copy(), "rotation": self.rotation.copy()}

    def free_length(self, start: np.ndarray, end: np.ndarray, radius: float) -> float:
        """Metres that a ball of `radius` metres can go from `start` (3,) towards `end` (3,)."""
        return self.simulation.free_length(start, end, radius, None if self._alone else self.body)

    def stand(self, given: dict[str, Any], distance: float, retina: Retina, random: np.random.Generator) -> Eye:
        """A free place outside the object with a gaze at a random visible point of it; `distance` metres from the
        origin, further out if the object is large. given : eye_position and gaze count here."""
        for attempt in range(TRIES):
            bearing = random.standard_normal(3)
            bearing /= np.linalg.norm(bearing)
            if self.scene.table is not None:
                bearing[2] = abs(bearing[2])
            position = given.get("eye_position", bearing * (distance + 0.02 * (attempt // FURTHER)))
            if "eye_position" not in given and not self._is_outside(position, bearing, retina):
                continue
            gaze = given["gaze"] if "gaze" in given else self._visible(position, retina, random)
            if gaze is None and "eye_position" in given:
                gaze = self.position - position
            if gaze is not None:
                return Eye(position, looking(gaze))
        raise RuntimeError(f"found no place within a metre from which {self.name!r} is seen")

    def see(self, position: np.ndarray, rotation: np.ndarray, retina: Retina, backend: Backend = "rays") -> Images:
        """What patches at position (c, 3) with rotation (c, 3, 3) world_from_sensor see."""
        if backend == "rays":
            count = len(position)
            index, here = np.full(count, self.index), np.broadcast_to(self.position, (count, 3))
            lies = np.broadcast_to(self.rotation, (count, 3, 3))
            return retina.sense_images(index, here, lies, position, rotation, self.scene.table)
        pixels, width = retina.pixels, retina.field_of_view
        views = [self.simulation.camera(p, r, pixels, width) for p, r in zip(position, rotation, strict=True)]
        return Images(*(np.concatenate([getattr(v, f.name) for v in views]) for f in fields(Images)))

    def _is_outside(self, position: np.ndarray, bearing: np.ndarray, retina: Retina) -> bool:
        if self.scene.table is not None and position[2] < self.scene.table + 3 * RADIUS:
            return False
        ahead = position + 0.1 * RADIUS * bearing
        origin = self.rotation.T @ (position - self.position)
        depth, _ = retina.cast(np.array([self.index]), origin[None], (self.rotation.T @ bearing)[None])
        return not math.isfinite(depth[0]) and self.free_length(position, ahead, RADIUS) >= math.dist(position, ahead)

    def _visible(self, eye_position: np.ndarray, retina: Retina, random: np.random.Generator) -> np.ndarray | None:
        vertices = shared_catalogue(self.scene.source).mesh(self.name).vertices
        reach = float(np.linalg.norm(vertices, axis=1).max())
        return visible_gaze(retina, self.index, self.position, self.rotation, eye_position, reach, random)
