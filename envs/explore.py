"""The world to explore: one object, held in the air or resting on a table, and the bodies that move around it.

The object's bounding-box centre is uniform in a cube around the world's origin and its rotation uniform on
SO(3); the eye starts at a fixed distance from the origin on a random bearing, looking at a random visible
point, and a finger comes down from such a place. An observation is what all sensors read where they now are;
the truth is only in info["truth"].
"""

import math
from dataclasses import fields, replace
from typing import Any, Literal

import gymnasium as gym
import numpy as np
from gymnasium import spaces
from gymnasium.error import ClosedEnvironmentError, ResetNeeded

from cortical.configs.schema import Backend, Condition, EyeConfig, TouchConfig, WorldConfig

from .bodies import Eye, Limits, as_numbers
from .finger import Finger
from .floating import Floating
from .hand import Hand
from .limb import Limb
from .observation import ObsMode, Sensed, bodies, joined, observation_space, observe
from .placing import checked_options, one_of, positive
from .pushing import push
from .record import Images
from .sensors import Rows, Sensors, shared_catalogue, shared_retina
from .world import Scene, World


class ObjectExploreEnv(gym.Env[dict[str, np.ndarray], np.ndarray]):
    """An eye with patches of n x n pixels, and F fingers, at one object. No reward, no end of its own: to explore.

    They float, or an arm carries the eye and one fingertip, see `limb`.

    Action : (5 B,) float32 in -1 ... 1, five numbers for each of the B bodies, the eye first, see `bodies` and
        `finger`. The eye stops before an obstacle, a finger touches it, and both stop 1 m out.

    Observation : a dict of float32 arrays, all finite; world frame, metres, except where said. C sensors: the
        patches of the eye, then the fingers, which have no colour and no patch.
        sensor_position (C, 3), sensor_rotation (C, 3, 3) world_from_sensor, eye_position (3,),
        eye_rotation (3, 3), finger_position (F, 3), finger_rotation (F, 3, 3), valid (C,), and with obs_mode
        "features" : location, normal (C, 3), directions (C, 2, 3), curvature (C, 2) in 1/m, rgb, hsv (C, 3),
            on_object, confidence (C,), as in `record.Record`
        "patch" : patch (C, n, n, 6), red, green, blue and x, y, z in the sensor's frame
        "both" : all of these

    Info : truth {object, position (3,), rotation (3, 3)}, path_length in metres of this step, and blocked.

    objects, scene, body, cube : as in `WorldConfig`; columns ... max_turn : as in `EyeConfig` (degrees, metres);
    fingers, finger_path, finger_turn : as in `TouchConfig`
    obs_mode : what an observation holds, "features" of the surface, the raw "patch", or "both"
    render_mode : "rgb_array", so that `render` gives pictures, or None
    Raises ValueError for settings that make no sense, naming them.
    """

    metadata = {"render_modes": ["rgb_array"], "render_fps": 10}  # noqa: RUF012 (gymnasium's own type)

    def __init__(
        self,
        objects: str = "default",
        scene: Literal["held", "table"] = "held",
        body: Literal["free", "arm"] = "free",
        columns: int = 1,
        pixels: int = 8,
        field_of_view: float = 6.0,
        spread: float = 5.0,
        backend: Backend = "rays",
        sensor: str = "surface",
        noise: Condition = "clean",
        obs_mode: ObsMode = "features",
        cube: float = 0.1,
        distance: float = 0.2,
        max_path: float = 0.2,
        max_turn: float = 30.0,
        fingers: int = 0,
        finger_path: float = 0.2,
        finger_turn: float = 90.0,
        render_mode: str | None = None,
        layout: str = "grid",
        patch_noise: float = 1.0,
    ) -> None:
        one_of("scene", scene, ("held", "table"))
        one_of("body", body, ("free", "arm"))
        one_of("backend", backend, ("rays", "camera"))
        one_of("noise", noise, ("clean", "noise", "rawnoise", "dropout"))
        one_of("obs_mode", obs_mode, ("features", "patch", "both"))
        one_of("render_mode", render_mode, (None, *self.metadata["render_modes"]))
        positive(pixels=pixels, distance=distance, max_path=max_path, max_turn=max_turn, cube=cube)
        positive(finger_path=finger_path, finger_turn=finger_turn)
        if columns < 0 or fingers < 0 or columns + fingers == 0:
            raise ValueError(f"columns={columns} and fingers={fingers}: give the eye a column, or a finger")
        self.render_mode = render_mode
        self._obs_mode: ObsMode = obs_mode
        self.objects = shared_catalogue(objects).names
        self.limits = Limits(max_path, math.radians(max_turn))
        patch = {"pixels": pixels, "field_of_view": field_of_view, "sensor": sensor, "layout": layout}
        noises = {"noise": noise, "patch_noise": patch_noise}
        self.sensors = Sensors(EyeConfig(columns=columns, spread=spread, **patch, **noises))
        self.hand = Hand(objects, fingers, noise, Limits(finger_path, math.radians(finger_turn))) if fingers else None
        self.source = objects
        self._backend: Backend = backend
        self._scene = Scene(objects, cube, -cube / 2 if scene == "table" else None)
        self._retina = shared_retina(objects, pixels, self.sensors.field_of_view)
        self._bank = self.sensors.bank(objects)
        self.observation_space: spaces.Dict = observation_space(columns, pixels, obs_mode, fingers)  # pyright: ignore[reportIncompatibleVariableOverride]
        self._bodies = (columns > 0) + fingers
        self.action_space = spaces.Box(-1.0, 1.0, (5 * self._bodies,), np.float32)
        kind = Limb if body == "arm" else Floating
        self._body = kind(columns > 0, self.hand, self.limits, distance, self._retina)
        self._world: World | None = None
        self._closed = False

    @classmethod
    def from_config(
        cls, world: WorldConfig, eye: EyeConfig, touch: TouchConfig | None = None, **more: Any
    ) -> "ObjectExploreEnv":
        """The environment of a configuration; `more` are arguments that it doesn't hold, like obs_mode."""
        parts = (world, eye, touch or TouchConfig())
        settings = {field.name: getattr(config, field.name) for config in parts for field in fields(config)}
        return cls(**settings, **more)

    @property
    def eye(self) -> Eye:
        """Where the eye is and looks, exact. ResetNeeded before `reset`, or without an eye."""
        if self._body.eye is None:
            raise ResetNeeded("call env.reset() first" if len(self.sensors) else "this body has no eye: columns=0")
        return self._body.eye

    @property
    def bodies(self) -> tuple[tuple[Eye | Finger, Limits], ...]:
        """Every body, the eye first, with how far it may move; as many as an action has fives."""
        eye = ((self.eye, self.limits),) if len(self.sensors) else ()
        return (*eye, *((finger, self.hand.limits) for finger in self.hand.fingers)) if self.hand else eye

    @property
    def independent(self) -> bool:
        """Whether the bodies move each by itself; those that an arm carries don't."""
        return isinstance(self._body, Floating)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """A new episode; returns the first sensation.

        options, all optional: object (a name), position (3,) of its centre, rotation (3, 3) world_from_object
        (on the table: the rotation it is dropped with, and only x and y of the position), eye_position (3,),
        gaze (3,), a direction; without an eye they are those of the first finger. What is not given is random.
        Raises ValueError for options that make no sense.
        """
        super().reset(seed=seed)
        world = self.world
        given = checked_options(options or {}, self.objects, self.limits.reach)
        world.place(given, self.np_random)
        self._body.start(world, given, self.np_random)
        return self._observe(), self._info(0.0, False)

    def step(self, action: np.ndarray) -> tuple[dict[str, np.ndarray], float, bool, bool, dict[str, Any]]:
        """Move, turn, sense. Raises ValueError for anything but five finite numbers a body."""
        wish = as_numbers(action)
        if wish is None or wish.shape != (5 * self._bodies,) or not np.isfinite(wish).all():
            raise ValueError(
                f"an action is {5 * self._bodies} finite numbers (of each body: displacement right, down, "
                f"ahead; gaze right, down), got {action!r}"
            )
        went, blocked = self._body.move(wish, self._begun())
        return self._observe(), 0.0, False, False, self._info(went, blocked)

    @property
    def world(self) -> World:
        """The object and its scene. ClosedEnvironmentError after `close`."""
        if self._closed:
            raise ClosedEnvironmentError("this environment is closed; make a new one")
        if self._world is None:
            self._world = World(self._scene)
        return self._world

    def free_length(self, end: np.ndarray) -> float:
        """Metres the eye could go from where it is towards `end` (3,) before it touches something.

        For a policy that must keep clear of what it can't see; it tells where things are, so say so if used.
        """
        world = self.world
        return self._body.free_length(self.eye, end, world)

    def reachable(self, position: np.ndarray) -> bool:
        """Whether one step could take the eye to `position` (3,): near, within reach, nothing between."""
        position = np.asarray(position, dtype=float)
        wanted = math.dist(position, self.eye.position)
        near = wanted <= self.limits.max_path and float(np.linalg.norm(position)) <= self.limits.reach
        return near and self.free_length(position) >= wanted - 1e-9

    def touchable(self, position: np.ndarray, gaze: np.ndarray) -> bool:
        """Whether a fingertip could be brought to `position` (3,) and press along `gaze` (3,): where an arm can hold
        it. It takes a tenth of a second."""
        return self._body.touchable(np.asarray(position, float), np.asarray(gaze, float), self.world)

    def push(self, start: np.ndarray, end: np.ndarray) -> bool:
        """Push the object with a fingertip that goes from `start` to `end`, (3,) metres each, on the table; whether it
        was touched. Nothing is said of where it went: the next observation is of the object there.

        ValueError where there is no table, see `pushing.push`.
        """
        world = self.world
        touched = push(world.simulation, world.body, start, end).touched
        world.follow()
        self._body.give_way()
        return touched

    def truth(self) -> dict[str, Any]:
        """What is there: object, position (3,) metres, rotation (3, 3). For scoring, not for policies."""
        return self.world.truth()

    def render(self) -> np.ndarray | None:  # pyright: ignore[reportIncompatibleMethodOverride]
        """(240, 320, 3) uint8: the scene from behind and above the eye, with a cross where it looks; an arm from
        aside."""
        if self.render_mode is None:
            gym.logger.warn('no render_mode was given: gym.make(..., render_mode="rgb_array")')
            return None
        return self._body.picture(self._begun())

    def close(self) -> None:
        """End the simulation; closing twice is fine."""
        self._closed = True
        if self._world is not None:
            self._world.close()
            self._world = None

    def _begun(self) -> World:
        world = self.world
        if not self.bodies:
            raise ResetNeeded("call env.reset() first")
        return world

    def _observe(self) -> dict[str, np.ndarray]:
        world = self.world

        def see(position: np.ndarray, rotation: np.ndarray, width: float, rows: Rows) -> Images:
            return world.see(position, rotation, self._retina.as_wide(width), self._backend)

        parts: list[Sensed] = []
        if len(self.sensors):
            looked = self._body.looked or self.eye
            parts.append(self.sensors.sense(looked, see, self.np_random, self._bank, world.index))
        if self.hand is not None:
            felt, position, rotation = self.hand.feel(world, self.np_random)
            blank = np.zeros((len(self.hand), self.sensors.pixels, self.sensors.pixels, 6), np.float32)
            parts.append((replace(felt, patch=blank), position, rotation))
        sensed = parts[0] if len(parts) == 1 else joined(parts)
        where = bodies(self._body.eye, self.hand.fingers if self.hand else ())
        return observe(*sensed, self._obs_mode) | where

    def _info(self, went: float, blocked: bool) -> dict[str, Any]:
        return {"truth": self.truth(), "path_length": went, "blocked": blocked}
