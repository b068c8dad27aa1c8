"""PyBullet, and the only file that knows it: bodies by name, their poses, contacts, physics and the camera.

Positions are metres and rotations (3, 3) matrices `world_from_body`; PyBullet's xyzw quaternions stay in here.

A path is free for a ball when the capsule it sweeps touches nothing. The capsule is tried piece by piece
(a long slanted one has a large bounding box, hence many triangles to test), and the piece that touches is halved
down to a millimetre. Bodies whose bounding sphere stays away from the path are never asked.
"""

import math
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from gymnasium.error import ClosedEnvironmentError, DependencyNotInstalled

from .camera import frustum, images, view_matrix, write_picture, write_shape
from .record import Images

if TYPE_CHECKING:
    from .objects import Mesh

PIECES = tuple(0.032 / 2**k for k in range(6))
"""Lengths in metres of the capsules a path is tried with: 32 mm ... 1 mm."""
HAIR = 1e-4
"""Metres kept between a ball and what stopped it, so that rounding never makes the next start a touch."""
VERTEX_LIMIT, INDEX_LIMIT = 131_072, 524_288
"""What PyBullet takes in memory; larger meshes go through a file."""


@dataclass(slots=True)
class _Body:
    mesh: "Mesh"
    number: int
    centre: tuple[float, float, float]
    reach: float
    visual: int | None = None


class Simulation:
    """One PyBullet world without a window. A context manager; closing twice is fine.

    Raises gymnasium's DependencyNotInstalled where PyBullet is missing, KeyError for an unknown body,
    ClosedEnvironmentError for any use after `close`.
    """

    def __init__(self) -> None:
        try:
            import pybullet
        except ImportError as error:
            raise DependencyNotInstalled(
                "PyBullet is missing: pip install pybullet (wheels exist for Python 3.11 and older)"
            ) from error
        self._bullet: Any = pybullet
        self._client: int = pybullet.connect(pybullet.DIRECT)
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._forget()

    def __enter__(self) -> "Simulation":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __del__(self) -> None:
        if getattr(self, "_client", -1) >= 0:
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
        self._call("resetSimulation")
        self._forget()

    def add_mesh(
        self, name: str, mesh: "Mesh", position: np.ndarray, rotation: np.ndarray, dynamic: bool = False
    ) -> None:
        """Put a mesh into the world under `name`.

        position : (3,) metres, world frame, of the mesh's own origin; rotation : (3, 3) world_from_object
        dynamic : True: 0.2 kg, moved by physics, touching with its convex hull; False: fixed, with its true surface
        """
        if name in self._bodies:
            raise ValueError(f"there is already a body {name!r}; remove it first, or move it")
        shape = self._collision_shape(mesh, dynamic)
        number = self._call(
            "createMultiBody",
            baseMass=0.2 if dynamic else 0.0,
            baseCollisionShapeIndex=shape,
            basePosition=_floats(position),
            baseOrientation=_quaternion(rotation),
        )
        if dynamic:
            # without it a ball would roll for ever
            self._call("changeDynamics", number, -1, rollingFriction=1e-3, spinningFriction=1e-3)
        reach = float(np.sqrt((np.asarray(mesh.vertices) ** 2).sum(axis=1).max()))
        self._bodies[name] = _Body(mesh, number, _floats(position), reach)

    def add_table(self, height: float = 0.0) -> None:
        """A fixed horizontal table, without end, at `height` metres."""
        shape = self._call("createCollisionShape", self._bullet.GEOM_PLANE)
        self._table_body = self._call(
            "createMultiBody", baseCollisionShapeIndex=shape, basePosition=(0.0, 0.0, float(height))
        )
        self._table = float(height)

    def pose(self, name: str) -> tuple[np.ndarray, np.ndarray]:
        """Position (3,) in metres and rotation (3, 3) world_from_object of a body."""
        position, quaternion = self._call("getBasePositionAndOrientation", self._body(name).number)
        matrix = self._bullet.getMatrixFromQuaternion(quaternion)
        return np.asarray(position), np.asarray(matrix).reshape(3, 3)

    def move(self, name: str, position: np.ndarray, rotation: np.ndarray) -> None:
        """Put a body elsewhere, at rest; arguments as for `add_mesh`."""
        body = self._body(name)
        body.centre = _floats(position)
        for number in (body.number, body.visual):
            if number is not None:
                self._call("resetBasePositionAndOrientation", number, body.centre, _quaternion(rotation))

    def remove(self, name: str) -> None:
        """Take a body out of the world."""
        body = self._body(name)
        for number in (body.number, body.visual):
            if number is not None:
                self._call("removeBody", number)
        del self._bodies[name]

    def settle(self, seconds: float = 5.0) -> bool:
        """Let gravity act until everything rests; False where it still moves after `seconds` of simulated time."""
        self._call("setGravity", 0.0, 0.0, -9.81)
        still = 0
        for _ in range(int(seconds * 240)):
            self._call("stepSimulation")
            still = still + 1 if self._speed() < 2e-3 else 0
            if still == 12:
                break
        for body in self._bodies.values():
            body.centre = self._call("getBasePositionAndOrientation", body.number)[0]
        return still == 12

    def free_length(self, start: np.ndarray, end: np.ndarray, radius: float) -> float:
        """How many metres a ball of `radius` metres can go from `start` towards `end`, each (3,), world frame."""
        self._client_or_raise()
        sx, sy, sz = _floats(start)
        dx, dy, dz = (float(e) - s for e, s in zip(end, (sx, sy, sz), strict=True))
        length = math.sqrt(dx * dx + dy * dy + dz * dz)
        if length == 0.0:
            return 0.0
        origin, way = (sx, sy, sz), (dx / length, dy / length, dz / length)
        free = length
        if self._table is not None and way[2] < 0.0:
            free = min(free, max(0.0, (sz - self._table - radius) / -way[2]))
        for body in self._bodies.values():
            free = self._free_of(body, origin, way, free, float(radius))
        return free

    def path_is_free(self, start: np.ndarray, end: np.ndarray, radius: float) -> bool:
        """Whether a ball of `radius` metres can go all the way from `start` to `end`."""
        length = math.dist(_floats(start), _floats(end))
        return self.free_length(start, end, radius) >= length

    def camera(self, position: np.ndarray, rotation: np.ndarray, pixels: int, field_of_view: float) -> Images:
        """A picture by PyBullet's own renderer, along the rays of `record.ray_directions`; a batch of one.

        position : (3,) metres; rotation : (3, 3) world_from_sensor; field_of_view : radians. Slow: about
        0.13 ms per thousand triangles. What is nearer than 5 mm is clipped.
        """
        self._show()
        _, _, rgba, depth, mask = self._call(
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

    def _call(self, function: str, *arguments: Any, **named: Any) -> Any:
        return getattr(self._bullet, function)(*arguments, physicsClientId=self._client_or_raise(), **named)

    def _client_or_raise(self) -> int:
        if self._client < 0:
            raise ClosedEnvironmentError("this simulation is closed; make a new one")
        return self._client

    def _forget(self) -> None:
        self._bodies: dict[str, _Body] = {}
        self._shapes: dict[Any, int] = {}
        self._table: float | None = None
        self._table_body: int | None = None

    def _body(self, name: str) -> _Body:
        self._client_or_raise()
        if name not in self._bodies:
            raise KeyError(f"no body {name!r} here; there are {sorted(self._bodies)}")
        return self._bodies[name]

    def _collision_shape(self, mesh: "Mesh", dynamic: bool) -> int:
        key = (id(mesh), dynamic)
        if key not in self._shapes:
            flags = 0 if dynamic else self._bullet.GEOM_FORCE_CONCAVE_TRIMESH
            vertices, faces = np.asarray(mesh.vertices), np.asarray(mesh.faces)
            if len(vertices) < VERTEX_LIMIT and faces.size < INDEX_LIMIT:
                source: dict[str, Any] = {"vertices": vertices.tolist(), "indices": faces.ravel().tolist()}
            else:
                source = {"fileName": write_shape(mesh, self._temporary())}
            self._shapes[key] = self._call(
                "createCollisionShape", self._bullet.GEOM_MESH, flags=flags, **source
            )
        return self._shapes[key]

    def _capsule(self, radius: float, length: float) -> int:
        key = (radius, length)
        if key not in self._shapes:
            self._shapes[key] = self._call(
                "createCollisionShape", self._bullet.GEOM_CAPSULE, radius=radius, height=length
            )
        return self._shapes[key]

    def _free_of(self, body: _Body, origin: tuple, way: tuple, length: float, radius: float) -> float:
        ox, oy, oz = (c - o for c, o in zip(body.centre, origin, strict=True))
        middle = ox * way[0] + oy * way[1] + oz * way[2]
        half_squared = (body.reach + radius) ** 2 - (ox * ox + oy * oy + oz * oz - middle * middle)
        if half_squared <= 0.0:
            return length
        half = math.sqrt(half_squared)
        t, last, longest = max(0.0, middle - half), min(length, middle + half), 0
        while t < last:
            while longest < len(PIECES) - 1 and PIECES[longest] > last - t:
                longest += 1
            piece = PIECES[longest]
            if not self._touches(body.number, origin, way, t, piece, radius):
                t += piece
            elif longest < len(PIECES) - 1:
                longest += 1
            else:
                return max(0.0, t - HAIR)
        return length

    def _touches(self, number: int, origin: tuple, way: tuple, t: float, piece: float, radius: float) -> bool:
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
        speeds = [self._call("getBaseVelocity", body.number) for body in self._bodies.values()]
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
                file = write_picture(body.mesh, self._temporary())
                shape = self._call("createVisualShape", self._bullet.GEOM_MESH, fileName=file)
                position, rotation = self.pose(name)
                body.visual = self._call(
                    "createMultiBody",
                    baseVisualShapeIndex=shape,
                    basePosition=_floats(position),
                    baseOrientation=_quaternion(rotation),
                )


def _floats(vector: Any) -> tuple[float, float, float]:
    x, y, z = vector
    return float(x), float(y), float(z)


def _quaternion(rotation: np.ndarray) -> tuple[float, ...]:
    from scipy.spatial.transform import Rotation

    return tuple(Rotation.from_matrix(rotation).as_quat().tolist())
