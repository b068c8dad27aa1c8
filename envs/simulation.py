"""PyBullet, and the only file that knows it: bodies by name, their poses, contacts, physics and the camera.

Positions are metres, rotations (3, 3) matrices `world_from_body`; PyBullet's xyzw quaternions stay in here.
"""

import math
import os
import sys
import tempfile
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from gymnasium.error import ClosedEnvironmentError, DependencyNotInstalled

from .bullet import box_inertia, floats, hull, quaternion, triangles
from .camera import frustum, images, view_matrix, write_picture, write_shape
from .paths import Point, free_length
from .record import Images

if TYPE_CHECKING:
    from .mesh import Mesh

MARGIN = 0.001
"""Metres by which PyBullet thickens a mesh in contacts; a ball is made so much thinner."""
VERTEX_LIMIT, INDEX_LIMIT = 131_072, 524_288
"""What PyBullet takes in memory; larger meshes go through a file."""
MASS = 0.2
"""Kilograms of what moves."""
TABLE, TABLE_COLOUR = (2.0, 2.0, 0.05), (0.5, 0.5, 0.5)
"""Half the edges of the table in metres: to an eye that stays within a metre it is endless. Grey."""


def _pybullet() -> Any:
    """The module, imported without the line that its C code prints on standard error."""
    sys.stderr.flush()
    stderr, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        import pybullet

        return pybullet
    except ImportError as error:
        raise DependencyNotInstalled(
            "PyBullet is missing: pip install pybullet (wheels exist for Python 3.11 and older)"
        ) from error
    finally:
        os.dup2(stderr, 2)
        os.close(stderr)
        os.close(nowhere)


@dataclass(frozen=True, slots=True)
class Nearest:
    """The point of a surface nearest to a ball.

    name : the body, None for the table; distance : metres from the ball's skin, negative inside it
    location : (3,) metres, world frame; normal : (3,) unit, from there towards the middle of the ball
    """

    name: str | None
    distance: float
    location: np.ndarray
    normal: np.ndarray


@dataclass(slots=True)
class _Body:
    mesh: "Mesh"
    number: int
    centre: Point
    reach: float
    visual: int | None = None


class Simulation:
    """One PyBullet world without a window. A context manager; closing twice is fine.

    cleared, stirred : how often it was cleared, and settled
    table_number : PyBullet's number of the table, None without one

    Raises gymnasium's DependencyNotInstalled where PyBullet is missing, KeyError for an unknown body,
    ClosedEnvironmentError for any use after `close`.
    """

    def __init__(self) -> None:
        self._bullet: Any = _pybullet()
        self._client: int = self._bullet.connect(self._bullet.DIRECT)
        self.cleared = self.stirred = 0
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._forget()

    def __enter__(self) -> "Simulation":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __del__(self) -> None:
        # when Python ends, PyBullet may be gone already, and its worlds with it
        if not sys.is_finalizing() and getattr(self, "_client", -1) >= 0:
            self.close()

    def close(self) -> None:
        """End the world and delete its temporary files."""
        if self._client >= 0:
            self._bullet.disconnect(self._client)
            self._client = -1
        if self._folder is not None:
            self._folder.cleanup()
            self._folder = None

    def clear(self) -> None:
        """Remove everything. What follows is then independent, to the bit, of what was simulated before."""
        self.call("resetSimulation")
        self.cleared += 1
        self._forget()

    def add_mesh(
        self, name: str, mesh: "Mesh", position: np.ndarray, rotation: np.ndarray, dynamic: bool = False
    ) -> None:
        """Put a mesh into the world under `name`.

        position : (3,) metres, world frame, of the mesh's own origin; rotation : (3, 3) world_from_object
        dynamic : True: moved by physics, touching with its convex hull; False: fixed, with its true surface
        """
        if name in self._bodies:
            raise ValueError(f"there is already a body {name!r}; remove it first, or move it")
        shape = self._collision_shape(mesh, dynamic)
        number = self.call(
            "createMultiBody",
            baseMass=MASS if dynamic else 0.0,
            baseCollisionShapeIndex=shape,
            basePosition=floats(position),
            baseOrientation=quaternion(rotation),
        )
        if dynamic:
            self.call(
                "changeDynamics",
                number,
                -1,
                # PyBullet gives a hull no inertia of its own, so it would never tip over: that of its box
                localInertiaDiagonal=box_inertia(mesh.vertices, MASS),
                # without friction against rolling a ball would never come to rest
                rollingFriction=1e-3,
                spinningFriction=1e-3,
            )
        reach = float(np.sqrt((np.asarray(mesh.vertices) ** 2).sum(axis=1).max()))
        self._bodies[name] = _Body(mesh, number, floats(position), reach)

    def add_table(self, height: float = 0.0) -> None:
        """A fixed horizontal table, 4 m wide, with its top at `height` metres."""
        self._table = float(height)
        box = {"shapeType": self._bullet.GEOM_BOX, "halfExtents": TABLE}
        self.table_number = self.call(
            "createMultiBody",
            baseCollisionShapeIndex=self.call("createCollisionShape", **box),
            baseVisualShapeIndex=self.call("createVisualShape", rgbaColor=(*TABLE_COLOUR, 1.0), **box),
            basePosition=(0.0, 0.0, self._table - TABLE[2]),
        )

    @property
    def names(self) -> tuple[str, ...]:
        """The bodies there are, but for the table."""
        return tuple(self._bodies)

    def pose(self, name: str) -> tuple[np.ndarray, np.ndarray]:
        """Position (3,) in metres and rotation (3, 3) world_from_object of a body."""
        position, quaternion = self.call("getBasePositionAndOrientation", self._body(name).number)
        matrix = self._bullet.getMatrixFromQuaternion(quaternion)
        return np.asarray(position), np.asarray(matrix).reshape(3, 3)

    def move(self, name: str, position: np.ndarray, rotation: np.ndarray) -> None:
        """Put a body elsewhere, at rest; arguments as for `add_mesh`."""
        body = self._body(name)
        body.centre = floats(position)
        for number in (body.number, body.visual):
            if number is not None:
                self.call("resetBasePositionAndOrientation", number, body.centre, quaternion(rotation))

    def remove(self, name: str) -> None:
        """Take a body out of the world."""
        body = self._body(name)
        for number in (body.number, body.visual):
            if number is not None:
                self.call("removeBody", number)
        del self._bodies[name]

    def settle(self, seconds: float = 5.0) -> bool:
        """Let gravity act until all is at rest; False where it isn't after `seconds` of simulated time."""
        self.call("setGravity", 0.0, 0.0, -9.81)
        self.stirred += 1
        still = 0
        for _ in range(int(seconds * 240)):
            self.call("stepSimulation")
            still = still + 1 if self._speed() < 2e-3 else 0
            if still == 12:
                break
        for body in self._bodies.values():
            body.centre = self.call("getBasePositionAndOrientation", body.number)[0]
        return still == 12

    def free_length(
        self, start: np.ndarray, end: np.ndarray, radius: float, name: str | None = None, clear: float = 0.0
    ) -> float:
        """Metres that a ball of `radius` metres can go from `start` (3,) towards `end` (3,), world frame.

        name : the one body, besides the table, that is in its way; None: all are
        clear : metres known to be free of bodies, which aren't tried again
        """
        self._client_or_raise()
        sx, sy, sz = floats(start)
        dx, dy, dz = (float(e) - s for e, s in zip(end, (sx, sy, sz), strict=True))
        length = math.sqrt(dx * dx + dy * dy + dz * dz)
        if length == 0.0:
            return 0.0
        origin, way = (sx, sy, sz), (dx / length, dy / length, dz / length)
        free = length
        if self._table is not None and way[2] < 0.0:
            free = min(free, max(0.0, (sz - self._table - radius) / -way[2]))
        for body in self._bodies.values() if name is None else (self._body(name),):
            touches = partial(self._touches, body.number, origin, way, float(radius), clear)
            free = free_length(origin, way, free, body.centre, body.reach + radius, touches)
        return free

    def hit(self, start: np.ndarray, end: np.ndarray, name: str) -> float | None:
        """Metres from `start` (3,) to the first point of body `name` on the way to `end`; None: nothing, or another."""
        length = math.dist(floats(start), floats(end))
        ((number, _, share, _, _),) = self.call("rayTest", floats(start), floats(end))
        return share * length if number == self._body(name).number else None

    def nearest(self, position: np.ndarray, radius: float, margin: float, name: str) -> Nearest | None:
        """The point of body `name` or the table nearest to a ball of `radius` metres around `position` (3,).

        None where neither is within `margin` metres of its skin. Exact: a ball is held against the true triangles.
        The margin costs: a ball meets all triangles in it.
        """
        body, centre = self._body(name), floats(position)
        found: Nearest | None = None
        if self._table is not None and centre[2] - self._table - radius < margin:
            on_table = np.array([centre[0], centre[1], self._table])
            found = Nearest(None, centre[2] - self._table - radius, on_table, np.array([0.0, 0.0, 1.0]))
        if math.dist(centre, body.centre) > body.reach + radius + margin:
            return found
        points = self._ball_contacts(body.number, centre, radius, margin)
        point = min(points, key=lambda point: point[8], default=None)
        if point is None or (found is not None and found.distance <= point[8]):
            return found
        return Nearest(name, point[8], np.array(point[6]), np.array(point[7]))

    def path_is_free(self, start: np.ndarray, end: np.ndarray, radius: float) -> bool:
        """Whether a ball of `radius` metres can go all the way from `start` to `end`."""
        length = math.dist(floats(start), floats(end))
        return self.free_length(start, end, radius) >= length

    def camera(self, position: np.ndarray, rotation: np.ndarray, pixels: int, field_of_view: float) -> Images:
        """A picture by PyBullet's own renderer, along the rays of `record.ray_directions`; a batch of one.

        position : (3,) metres; rotation : (3, 3) world_from_sensor; field_of_view : radians. Slow: about
        0.13 ms per thousand triangles. What is nearer than 5 mm is clipped.
        """
        self._show()
        _, _, rgba, depth, mask = self.call(
            "getCameraImage",
            pixels,
            pixels,
            viewMatrix=view_matrix(position, rotation),
            projectionMatrix=frustum(pixels, field_of_view),
            shadow=0,
            lightAmbientCoeff=1.0,
            lightDiffuseCoeff=0.0,
            lightSpecularCoeff=0.0,
            renderer=self._bullet.ER_TINY_RENDERER,
        )
        objects = [body.visual for body in self._bodies.values()]
        return images(rgba, depth, mask, pixels, field_of_view, objects)

    def call(self, function: str, *arguments: Any, **named: Any) -> Any:
        """PyBullet's function of that name, in this world: for the few things that only one module needs."""
        return getattr(self._bullet, function)(*arguments, physicsClientId=self._client_or_raise(), **named)

    def constant(self, name: str) -> int:
        """PyBullet's number of that name."""
        return getattr(self._bullet, name)

    def number(self, name: str) -> int:
        """PyBullet's number of a body, for `call`."""
        return self._body(name).number

    def mesh(self, name: str) -> "Mesh":
        """The mesh of a body."""
        return self._body(name).mesh

    @property
    def table(self) -> float | None:
        """Height of the table in metres, None without one."""
        return self._table

    def _client_or_raise(self) -> int:
        if self._client < 0:
            raise ClosedEnvironmentError("this simulation is closed; make a new one")
        return self._client

    def _forget(self) -> None:
        self._bodies: dict[str, _Body] = {}
        self._shapes: dict[Any, int] = {}
        self._table: float | None = None
        self.table_number: int | None = None

    def _body(self, name: str) -> _Body:
        self._client_or_raise()
        if name not in self._bodies:
            raise KeyError(f"no body {name!r} here; there are {sorted(self._bodies)}")
        return self._bodies[name]

    def _collision_shape(self, mesh: "Mesh", dynamic: bool) -> int:
        key = (mesh, dynamic)
        if key not in self._shapes:
            source = hull(mesh) if dynamic else self._surface(mesh)
            self._shapes[key] = self.call("createCollisionShape", self._bullet.GEOM_MESH, **source)
        return self._shapes[key]

    def _picture(self, mesh: "Mesh") -> int:
        if mesh not in self._shapes:
            file = write_picture(mesh, self._temporary())
            self._shapes[mesh] = self.call("createVisualShape", self._bullet.GEOM_MESH, fileName=file)
        return self._shapes[mesh]

    def _surface(self, mesh: "Mesh") -> dict[str, Any]:
        flags = self._bullet.GEOM_FORCE_CONCAVE_TRIMESH
        if len(mesh.vertices) < VERTEX_LIMIT and mesh.faces.size < INDEX_LIMIT:
            return {**triangles(mesh), "flags": flags}
        return {"fileName": write_shape(mesh, self._temporary()), "flags": flags}

    def _capsule(self, radius: float, length: float) -> int:
        key = (radius, length)
        if key not in self._shapes:
            self._shapes[key] = self.call(
                "createCollisionShape",
                self._bullet.GEOM_CAPSULE,
                radius=max(radius - MARGIN, 1e-6),
                height=length,
            )
        return self._shapes[key]

    def _ball_contacts(self, number: int, centre: Point, radius: float, margin: float) -> Any:
        key = ("ball", radius)
        if key not in self._shapes:
            self._shapes[key] = self.call("createCollisionShape", self._bullet.GEOM_SPHERE, radius=radius)
        return self._bullet.getClosestPoints(
            -1,
            number,
            distance=margin,
            collisionShapeA=self._shapes[key],
            collisionShapePositionA=centre,
            collisionShapeOrientationA=(0.0, 0.0, 0.0, 1.0),
            physicsClientId=self._client_or_raise(),
        )

    def _touches(
        self, number: int, origin: Point, way: Point, radius: float, clear: float, t: float, piece: float
    ) -> bool:
        if t + piece <= clear:
            return False
        along = t + piece / 2
        turn = (-way[1], way[0], 0.0, 1.0 + way[2]) if way[2] > -0.999999 else (1.0, 0.0, 0.0, 0.0)
        return bool(
            self._bullet.getClosestPoints(
                -1,
                number,
                distance=0.0,
                collisionShapeA=self._capsule(radius, piece),
                collisionShapePositionA=[o + along * w for o, w in zip(origin, way, strict=True)],
                collisionShapeOrientationA=turn,
                physicsClientId=self._client,
            )
        )

    def _speed(self) -> float:
        speeds = [self.call("getBaseVelocity", body.number) for body in self._bodies.values()]
        # a turn of 1 rad/s moves the surface of a hand-sized object by some 5 cm/s
        return max((math.hypot(*v) + 0.05 * math.hypot(*w) for v, w in speeds), default=0.0)

    def _temporary(self) -> Path:
        if self._folder is None:
            self._folder = tempfile.TemporaryDirectory(prefix="cortical-")
        return Path(self._folder.name)

    def _show(self) -> None:
        """Give every body the picture of itself that only the camera needs."""
        for name, body in self._bodies.items():
            if body.visual is None:
                position, rotation = self.pose(name)
                body.visual = self.call(
                    "createMultiBody",
                    baseVisualShapeIndex=self._picture(body.mesh),
                    basePosition=floats(position),
                    baseOrientation=quaternion(rotation),
                )
