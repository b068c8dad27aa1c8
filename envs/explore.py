"""The world to explore: one object, held in the air or resting on a table, and an eye that moves around it.

The object's bounding-box centre is uniform in a cube around the world's origin and its rotation uniform on
SO(3); the eye starts at a fixed distance from the origin on a random bearing, looking at a random visible
point. An observation is what the eye's sensors read where it now is; the truth is only in info["truth"].
"""

import math
from dataclasses import fields
from typing import Any, Literal

import gymnasium as gym
import numpy as np
from gymnasium import spaces
from gymnasium.error import ClosedEnvironmentError, ResetNeeded

from cortical.configs.schema import Backend, Condition, EyeConfig, WorldConfig

from .bodies import RADIUS, Eye, Limits, looking, move
from .observation import ObsMode, observation_space, observe
from .picture import over_the_shoulder
from .placing import checked_options, drop, one_of, positive, random_rotations, visible_gaze
from .record import Images
from .sensors import Sensors, shared_bank, shared_catalogue, shared_retina
from .simulation import Simulation


class ObjectExploreEnv(gym.Env[dict[str, np.ndarray], np.ndarray]):
    """An eye with C patches of n x n pixels before one object. No reward, no end of its own: to explore.

    Action : (5,) float32 in -1 ... 1, see `bodies`. The eye stops before an obstacle, and 1 m out.

    Observation : a dict of float32 arrays, all finite; world frame, metres, except where said.
        sensor_position (C, 3), sensor_rotation (C, 3, 3) world_from_sensor, eye_position (3,),
        eye_rotation (3, 3), valid (C,), and with obs_mode
        "features" : location, normal (C, 3), directions (C, 2, 3), curvature (C, 2) in 1/m, rgb, hsv (C, 3),
            on_object, confidence (C,), as in `record.Record`
        "patch" : patch (C, n, n, 6), red, green, blue and x, y, z in the sensor's frame
        "both" : all of these

    Info : truth {object, position (3,), rotation (3, 3)}, path_length in metres of this step, and blocked.

    objects, scene, cube : as in `WorldConfig`; columns ... max_turn : as in `EyeConfig` (degrees, metres)
    Raises ValueError for settings that make no sense, naming them.
    """

    metadata = {"render_modes": ["rgb_array"], "render_fps": 10}  # noqa: RUF012 (gymnasium's own type)

    def __init__(
        self,
        objects: str = "default",
        scene: Literal["held", "table"] = "held",
        columns: int = 1,
        pixels: int = 8,
        field_of_view: float = 6.0,
        spread: float = 5.0,
        backend: Backend = "rays",
        noise: Condition = "clean",
        obs_mode: ObsMode = "features",
        cube: float = 0.1,
        distance: float = 0.2,
        max_path: float = 0.2,
        max_turn: float = 30.0,
        render_mode: str | None = None,
    ) -> None:
        one_of("scene", scene, ("held", "table"))
        one_of("backend", backend, ("rays", "camera"))
        one_of("noise", noise, ("clean", "noise", "rawnoise", "dropout"))
        one_of("obs_mode", obs_mode, ("features", "patch", "both"))
        one_of("render_mode", render_mode, (None, *self.metadata["render_modes"]))
        positive(pixels=pixels, distance=distance, max_path=max_path, max_turn=max_turn, cube=cube)
        self.render_mode = render_mode
        self._obs_mode: ObsMode = obs_mode
        self.objects = shared_catalogue(objects).names
        self.limits = Limits(max_path, math.radians(max_turn))
        self.sensors = Sensors(
            EyeConfig(columns=columns, pixels=pixels, field_of_view=field_of_view, spread=spread, noise=noise)
        )
        self.source, self._backend = objects, backend
        self._cube, self._distance = cube, distance
        self._table = -cube / 2 if scene == "table" else None
        self.observation_space: spaces.Dict = observation_space(columns, pixels, obs_mode)  # pyright: ignore[reportIncompatibleVariableOverride]
        self.action_space = spaces.Box(-1.0, 1.0, (5,), np.float32)
        self._simulation: Simulation | None = None
        self._eye: Eye | None = None
        self._closed = False

    @classmethod
    def from_config(cls, world: WorldConfig, eye: EyeConfig, **more: Any) -> "ObjectExploreEnv":
        """The environment of a configuration; `more` are arguments that it doesn't hold, like obs_mode."""
        settings = {
            field.name: getattr(config, field.name) for config in (world, eye) for field in fields(config)
        }
        return cls(**settings, **more)

    @property
    def eye(self) -> Eye:
        """Where the eye is and looks, exact, as its own limbs would tell. ResetNeeded before `reset`."""
        if self._eye is None:
            raise ResetNeeded("call env.reset() first")
        return self._eye

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """A new episode; returns the first sensation.

        options, all optional: object (a name), position (3,) of its centre, rotation (3, 3) world_from_object
        (on the table: the rotation it is dropped with, and only x and y of the position), eye_position (3,),
        gaze (3,), a direction. What is not given is random. Raises ValueError for options that make no sense.
        """
        super().reset(seed=seed)
        simulation = self._open()
        given = checked_options(options or {}, self.objects, self.limits.reach)
        self._name = given.get("object") or self.objects[int(self.np_random.integers(len(self.objects)))]
        self._place(simulation, given)
        self._eye = self._start(simulation, given)
        return self._observe(), self._info(0.0, False)

    def step(self, action: np.ndarray) -> tuple[dict[str, np.ndarray], float, bool, bool, dict[str, Any]]:
        """Move, turn, sense. Raises ValueError for anything but 5 finite numbers."""
        simulation = self._open()
        self._eye, went, blocked = move(self.eye, action, self.limits, simulation.free_length)
        return self._observe(), 0.0, False, False, self._info(went, blocked)

    def free_length(self, end: np.ndarray) -> float:
        """Metres the eye could go from where it is towards `end` (3,) before it touches something.

        For a policy that must keep clear of what it can't see; it tells where things are, so say so if used.
        """
        return self._open().free_length(self.eye.position, end, RADIUS)

    def reachable(self, position: np.ndarray) -> bool:
        """Whether one step could take the eye to `position` (3,): near, within reach, nothing between."""
        position = np.asarray(position, dtype=float)
        wanted = math.dist(position, self.eye.position)
        near = wanted <= self.limits.max_path and float(np.linalg.norm(position)) <= self.limits.reach
        return near and self.free_length(position) >= wanted - 1e-9

    def render(self) -> np.ndarray | None:  # pyright: ignore[reportIncompatibleMethodOverride]
        """(240, 320, 3) uint8: the scene from behind and above the eye, with a cross where it looks."""
        if self.render_mode is None:
            gym.logger.warn('no render_mode was given: gym.make(..., render_mode="rgb_array")')
            return None
        self._open()
        mesh = shared_catalogue(self.source).mesh(self._name)
        return over_the_shoulder(mesh, self._position, self._rotation, self.eye, self._table)

    def close(self) -> None:
        """End the simulation; closing twice is fine."""
        self._closed = True
        if self._simulation is not None:
            self._simulation.close()
            self._simulation = None

    def _open(self) -> Simulation:
        if self._closed:
            raise ClosedEnvironmentError("this environment is closed; make a new one")
        if self._simulation is None:
            self._simulation = Simulation()
        return self._simulation

    def _place(self, simulation: Simulation, given: dict[str, Any]) -> None:
        mesh = shared_catalogue(self.source).mesh(self._name)
        half = self._cube / 2
        drawn = self.np_random.uniform(-half, half, 3), random_rotations(1, self.np_random)[0]
        position, rotation = given.get("position", drawn[0]), given.get("rotation", drawn[1])
        if self._table is None:
            for name in simulation.names:
                simulation.remove(name)
        else:
            position, rotation = drop(simulation, mesh, position, rotation, self._table)
        simulation.add_mesh("object", mesh, position, rotation)
        self._eye = None
        self._position, self._rotation = simulation.pose("object")
        self._index = self.objects.index(self._name)
        count = len(self.sensors)
        self._poses = (
            np.full(count, self._index),
            np.tile(self._position, (count, 1)),
            np.tile(self._rotation, (count, 1, 1)),
        )
        self._retina = shared_retina(self.source, self.sensors.pixels, self.sensors.field_of_view)
        self._bank = (
            shared_bank(self.source, self.sensors.pixels, self.sensors.field_of_view)
            if self.sensors.condition == "dropout"
            else None
        )

    def _start(self, simulation: Simulation, given: dict[str, Any]) -> Eye:
        """The eye in a free place outside the object, looking at it; further out if the object is large."""
        for attempt in range(400):
            bearing = self.np_random.standard_normal(3)
            bearing /= np.linalg.norm(bearing)
            if self._table is not None:
                bearing[2] = abs(bearing[2])
            position = bearing * (self._distance + 0.02 * (attempt // 40))
            position = given.get("eye_position", position)
            if "eye_position" not in given and not self._is_outside(simulation, position, bearing):
                continue
            gaze = given["gaze"] if "gaze" in given else self._visible(position)
            if gaze is None and "eye_position" in given:
                gaze = self._position - position
            if gaze is not None:
                return Eye(position, looking(gaze))
        raise RuntimeError(f"found no place within {self.limits.reach} m from which {self._name!r} is seen")

    def _is_outside(self, simulation: Simulation, position: np.ndarray, bearing: np.ndarray) -> bool:
        if self._table is not None and position[2] < self._table + 3 * RADIUS:
            return False
        ahead = position + 0.1 * RADIUS * bearing
        outwards = self._rotation.T @ bearing
        origin = self._rotation.T @ (position - self._position)
        depth, _ = self._retina.cast(np.array([self._index]), origin[None], outwards[None])
        return not np.isfinite(depth[0]) and simulation.path_is_free(position, ahead, RADIUS)

    def _visible(self, eye_position: np.ndarray) -> np.ndarray | None:
        vertices = shared_catalogue(self.source).mesh(self._name).vertices
        reach = float(np.linalg.norm(vertices, axis=1).max())
        return visible_gaze(
            self._retina, self._index, self._position, self._rotation, eye_position, reach, self.np_random
        )

    def _see(self, position: np.ndarray, rotation: np.ndarray) -> Images:
        if self._backend == "rays":
            return self._retina.sense_images(*self._poses, position, rotation, self._table)
        simulation, n, width = self._open(), self.sensors.pixels, self.sensors.field_of_view
        views = [simulation.camera(p, r, n, width) for p, r in zip(position, rotation, strict=True)]
        return Images(*(np.concatenate([getattr(v, f.name) for v in views]) for f in fields(Images)))

    def _observe(self) -> dict[str, np.ndarray]:
        sensed = self.sensors.sense(self.eye, self._see, self.np_random, self._bank, self._index)
        return observe(*sensed, self.eye, self._obs_mode)

    def truth(self) -> dict[str, Any]:
        """What is there: object, position (3,) metres, rotation (3, 3). For scoring, not for policies."""
        return {"object": self._name, "position": self._position.copy(), "rotation": self._rotation.copy()}

    def _info(self, went: float, blocked: bool) -> dict[str, Any]:
        return {"truth": self.truth(), "path_length": went, "blocked": blocked}
