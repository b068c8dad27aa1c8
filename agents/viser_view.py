"""The viewer that draws with viser: in a page served live, or into a recording that plays by itself.

viser wants quaternions wxyz; everything else here has them xyzw: they are turned round in `_wxyz`, and only there.
"""

import io
from contextlib import redirect_stdout
from typing import TYPE_CHECKING, Any

import numpy as np
import trimesh
from PIL import Image
from scipy.spatial.transform import Rotation
from trimesh.visual import TextureVisuals
from trimesh.visual.material import PBRMaterial

from cortical.envs.mesh import Mesh

from .scene3d import Snapshot

if TYPE_CHECKING:
    import viser

MISSING = "the 3-D view needs viser: pip install 'cortical-columns[view]'"
FIELD_OF_VIEW = np.radians(40.0)
"""Of the page's camera, from top to bottom."""
EYE = 0.012
"""Metres: the size of the eye as drawn."""
OPACITY = 0.4
"""Of the object."""
TEXTURE = 512
"""Pixels: the longest edge of its texture."""


def open_server(port: int | None = None) -> "viser.ViserServer":
    """A server for this machine alone, on that port or a free one; close it with `stop()`.

    Raises ImportError with the install line where viser is missing, OSError where the port is taken.
    """
    try:
        import viser
    except ImportError as error:
        raise ImportError(MISSING) from error
    if port is not None:
        _must_be_free(port)
    with _quiet():
        return viser.ViserServer(host="127.0.0.1", port=0 if port is None else port, verbose=False)


def close_server(server: "viser.ViserServer") -> None:
    """End a server, without a word."""
    with _quiet():
        server.stop()


def _quiet() -> redirect_stdout:
    """viser prints a banner, even where it is asked not to."""
    return redirect_stdout(io.StringIO())


def _must_be_free(port: int) -> None:
    """viser would take the next port without a word."""
    import socket

    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except (OSError, OverflowError) as error:
            raise OSError(f"port {port} can't be used ({error}): choose another with --port") from None


class ViserView:
    """Draws snapshots into a viser scene. See `scene3d.Viewer`."""

    def __init__(self, server: "viser.ViserServer") -> None:
        self._scene = server.scene
        self._camera = server.initial_camera
        self._server = server
        self._shown: dict[str, Any] = {}
        self._mesh: Any = None
        self._scene.set_up_direction("+z")
        self._scene.world_axes.visible = False
        self._scene.configure_default_lights(cast_shadow=False)
        self._scene.configure_environment_map(None)  # a picture of a town as light: slow to start without a GPU
        self._scene.add_light_ambient("/light", intensity=1.5)

    def look(self, position: np.ndarray, target: np.ndarray) -> None:
        """Put the camera at `position` (3,), looking at `target` (3,), for pages opened from now on and now."""
        self._camera.fov = float(FIELD_OF_VIEW)
        self._camera.near = 0.01
        self._camera.position, self._camera.look_at = np.asarray(position, float), np.asarray(target, float)
        for client in self._server.get_clients().values():
            client.camera.position, client.camera.look_at = np.asarray(position, float), np.asarray(target, float)

    def place(self, mesh: Mesh, position: np.ndarray, rotation: np.ndarray) -> None:
        """Show the object itself at its true pose."""
        turn = Rotation.from_matrix(rotation).as_quat()
        self._mesh = self._scene.add_glb(
            "/object", _glb(mesh), wxyz=_wxyz(turn), position=np.asarray(position, float), cast_shadow=False,
            receive_shadow=False,
        )  # fmt: skip

    def hide(self) -> None:
        """Don't show the object itself."""
        if self._mesh is not None:
            self._mesh.remove()
            self._mesh = None

    def log(self, step: int, snapshot: Snapshot) -> None:
        """Show a step in place of the one before."""
        shown = {f"/{name}": self._cloud(name, cloud) for name, cloud in snapshot.clouds.items()}
        for name, lines in snapshot.lines.items():
            colours = np.repeat(_linear(lines.colours)[:, None], 2, axis=1)
            shown[f"/{name}"] = self._scene.add_line_segments(
                f"/{name}", lines.segments.astype(np.float32), colours, thickness=lines.width
            )
        place, turn = snapshot.eye
        shown["/eye"] = self._scene.add_camera_frustum(
            "/eye", fov=snapshot.view, aspect=1.0, scale=EYE, thickness=0.0008, color=(20, 20, 20), wxyz=_wxyz(turn),
            position=np.asarray(place, float), cast_shadow=False, receive_shadow=False,
        )  # fmt: skip
        for word, at in snapshot.labels.items():
            name = f"/label {len(shown)}"
            shown[name] = self._scene.add_label(
                name, word, position=np.asarray(at, float), font_screen_scale=0.9, anchor="bottom-left"
            )
        for name in self._shown.keys() - shown.keys():
            self._shown[name].remove()
        self._shown = shown

    def _cloud(self, name: str, cloud: Any) -> Any:
        return self._scene.add_point_cloud(
            f"/{name}", cloud.points.astype(np.float32), cloud.colours, point_size=cloud.width, point_shape="circle",
            point_shading="flat", precision="float32" if name == "sensed" else "float16",
            wxyz=_wxyz(cloud.rotation), position=np.asarray(cloud.location, float),
        )  # fmt: skip


def _wxyz(xyzw: np.ndarray) -> np.ndarray:
    return np.roll(np.asarray(xyzw, float), 1)


def _linear(colour: np.ndarray) -> np.ndarray:
    """Colours of lines, (n, 3) uint8, for viser: unlike those of points, it takes them for linear light."""
    share = colour / 255.0
    light = np.where(share <= 0.04045, share / 12.92, ((share + 0.055) / 1.055) ** 2.4)
    return np.round(255.0 * light).astype(np.uint8)


def _glb(mesh: Mesh) -> bytes:
    """A mesh in the format of web pages, with its colours, a little transparent: what lies inside is to be seen."""
    image, uv = _picture(mesh)
    corners = mesh.vertices[mesh.faces].reshape(-1, 3)
    material = PBRMaterial(
        baseColorFactor=[1.0, 1.0, 1.0, OPACITY], alphaMode="BLEND", metallicFactor=0.0, roughnessFactor=0.9,
        doubleSided=True, baseColorTexture=Image.fromarray(image),
    )  # fmt: skip
    visual: Any = TextureVisuals(uv=uv.reshape(-1, 2), material=material)
    solid = trimesh.Trimesh(corners, np.arange(len(corners)).reshape(-1, 3), visual=visual, process=False)
    file: Any = trimesh.Scene(solid).export(file_type="glb")
    return file


def _picture(mesh: Mesh) -> tuple[np.ndarray, np.ndarray]:
    """A texture for all faces, (h, w, 3) uint8, and the coordinates (f, 3, 2) of their corners on it."""
    bare = np.isnan(mesh.face_uv).any((1, 2))
    if mesh.texture is not None and not bare.any():
        height, width = mesh.texture.shape[:2]
        shrink = min(1.0, TEXTURE / max(height, width))
        size = max(1, round(width * shrink)), max(1, round(height * shrink))
        return np.asarray(Image.fromarray(mesh.texture).resize(size, Image.Resampling.BOX)), mesh.face_uv
    colour = np.round(255 * mesh.face_colour).astype(np.uint8)
    if mesh.texture is not None:
        middle = mesh.face_uv[~bare].mean(1) % 1.0
        height, width = mesh.texture.shape[:2]
        row, column = ((1.0 - middle[:, 1]) * (height - 1)).astype(int), (middle[:, 0] * (width - 1)).astype(int)
        colour[~bare] = mesh.texture[row, column]
    found, which = np.unique(colour, axis=0, return_inverse=True)
    side = int(np.ceil(np.sqrt(len(found))))
    image = np.zeros((side * side, 3), np.uint8)
    image[: len(found)] = found
    at = np.stack([which % side + 0.5, side - (which // side + 0.5)], axis=1) / side
    return image.reshape(side, side, 3), np.repeat(at[:, None], 3, axis=1)
