"""The two panels in space of a picture of one episode: the object with the way of the eye, and the learnt map."""

import math

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.colors import LinearSegmentedColormap, hsv_to_rgb

from cortical.columns.object_map import ObjectMap
from cortical.envs.mesh import Mesh

from .camera import Camera, best_camera, lit, off_surface, view
from .episode import EpisodeRecord
from .panels import INK, UNSURE, titled

TIME = LinearSegmentedColormap.from_list("time", ["#56B4E9", "#0072B2", "#4B2E83", "#A11D5B", "#D55E00"])
"""From the first sensation to the last."""
LABELS = 24
"""At most so many sensations are numbered."""


def draw_scene(axes: Axes, record: EpisodeRecord, mesh: Mesh) -> Camera:
    """The object at its true pose, where the eye was and what it met; returns from where it is drawn."""
    position, rotation = np.asarray(record.position), np.asarray(record.rotation)
    eyes = np.array([step.eye for step in record.trace])
    points, owner = _sensed(record)
    rays = np.stack([eyes[owner], points], axis=1)
    camera = best_camera(mesh, position, rotation, eyes, rays)
    seen = view(mesh, position, rotation, camera)
    centre = camera.project(position[None])[0][0]
    extent = (centre[0] - seen.half, centre[0] + seen.half, centre[1] + seen.half, centre[1] - seen.half)
    axes.imshow(seen.pixels, extent=extent, interpolation="antialiased", zorder=2)
    colours = _times(len(eyes))
    places, _ = camera.project(eyes)
    _draw_rays(axes, camera, record, places, colours)
    if len(eyes) > 1:
        way = np.stack([places[:-1], places[1:]], axis=1)
        axes.add_collection(LineCollection(list(way), colors=colours[1:], linewidths=2.2, alpha=0.75, zorder=3))
    axes.scatter(*places.T, s=34, marker="D", c=colours, edgecolors="white", linewidths=0.8, zorder=4)
    spots, _ = camera.project(points)
    aside, ahead = camera.project(off_surface(rays))
    hidden = seen.hides(aside - centre, ahead)
    _dots(axes, spots, colours[owner], hidden)
    _frame(axes, np.concatenate([places, spots, centre + seen.half * np.array([[-0.85, -0.85], [0.85, 0.85]])]))
    gazes = {int(k): spots[np.flatnonzero(owner == k)[0]] for k in np.unique(owner)}
    _number(axes, gazes, colours, places)
    titled(axes, "the object, the way of the eye (diamonds), the points it met (rings: hidden)")
    return camera


def _draw_rays(axes: Axes, camera: Camera, record: EpisodeRecord, places: np.ndarray, colours: np.ndarray) -> None:
    """From the eye to every point sensed; where nothing was, a short dashed stroke along the gaze."""
    faint = 0.55 if len(record.trace) <= 12 else 0.2
    for step, place, colour in zip(record.trace, places, colours, strict=True):
        points = np.array([point for point in step.location if point])
        style = "-"
        if len(points) == 0:
            points, style = np.array([np.asarray(step.eye) + 0.06 * np.asarray(step.gaze)]), (0, (2, 2))
        for spot in camera.project(points)[0]:
            axes.plot(*zip(place, spot, strict=True), color=colour, lw=0.9, ls=style, alpha=faint, zorder=3)


def _dots(axes: Axes, spots: np.ndarray, colours: np.ndarray, hidden: np.ndarray) -> None:
    """Full where they are in sight, rings where something hides them."""
    style = {"s": 42, "linewidths": 1.2, "zorder": 5}
    if hidden.any():
        axes.scatter(*spots[hidden].T, facecolors="none", edgecolors=list(map(tuple, colours[hidden])), **style)
    if not hidden.all():
        axes.scatter(*spots[~hidden].T, c=colours[~hidden], edgecolors="white", **style)


def _number(axes: Axes, spots: dict[int, np.ndarray], colours: np.ndarray, keep_off: np.ndarray) -> None:
    """Numbers beside points, the last and the first before all others; left out where there is no room."""
    scale = np.ptp(axes.get_ylim()) / 380.0  # of a pixel, about
    taken = [*keep_off, *spots.values()]
    order = sorted(spots, key=lambda k: (k not in (0, len(colours) - 1), k))
    for k in order[:LABELS]:
        around = [
            spots[k] + radius * scale * np.array([math.cos(turn), math.sin(turn)])
            for radius in (16, 24)
            for turn in np.linspace(-math.pi / 4, 7 * math.pi / 4, 12, endpoint=False)
        ]
        room = [min(math.dist(place, other) for other in taken) / scale for place in around]
        best = next((i for i, free in enumerate(room) if free > 15), int(np.argmax(room)))
        if room[best] > 10:
            taken.append(around[best])
            axes.text(
                around[best][0], around[best][1], str(k + 1), color="white", fontsize=9.5, weight="bold",
                ha="center", va="center", zorder=7,
                bbox={"boxstyle": "circle,pad=0.22", "fc": colours[k], "ec": "white", "lw": 0.8},
            )  # fmt: skip


# ------------------------------------------------------------------ the map


def draw_map(axes: Axes, record: EpisodeRecord, object_map: ObjectMap | None, camera: Camera) -> None:
    """The map of the best guess at the pose found, and on it what was sensed. camera : that of `draw_scene`."""
    if object_map is None or len(object_map) == 0:
        axes.axis("off")
        axes.text(0.5, 0.5, "no map: it is none of the objects known", ha="center", color=UNSURE, fontsize=13)
        return
    rotation, position = np.asarray(record.estimated_rotation), np.asarray(record.estimated_position)
    rows = object_map.rows()[0].double().numpy()
    nodes = rows[:, :3] @ rotation.T + position
    # the viewer goes along with the estimated pose: where it is right, this is the same view as of the object
    camera = Camera(camera.position + position - np.asarray(record.position), camera.rotation)
    places, ahead = camera.project(nodes)
    normals = rows[:, 3:6] @ rotation.T @ camera.rotation
    normals = np.where(normals[:, 2:] > 0, -normals, normals)
    hue = np.arctan2(rows[:, 14], rows[:, 13]) / (2 * np.pi) % 1.0
    colour = hsv_to_rgb(np.clip(np.stack([hue, rows[:, 11], rows[:, 12]], 1), 0, 1))
    colour = np.clip(colour * lit(normals)[:, None], 0, 1)
    points, owner = _sensed(record)
    spots, depth = camera.project(points)
    _frame(axes, np.concatenate([places, spots]), margin=0.10)
    width = axes.get_window_extent().width / np.ptp(axes.get_xlim()) * 72 / 100  # points for a unit of the picture
    size = (1.2 * object_map.spacing / ahead.mean() * width) ** 2
    order = np.argsort(-ahead)
    axes.scatter(*places[order].T, s=size, c=colour[order], linewidths=0, zorder=2)
    near = np.linalg.norm(points[:, None] - nodes[None], axis=2).min(1) if len(points) else np.zeros(0)
    _dots(axes, spots, _times(len(record.trace))[owner], _behind(spots, depth, places, ahead))
    distance = f", {1e3 * float(np.median(near)):.1f} mm off (median)" if len(near) else ""
    titled(axes, f"learnt map of {record.best_guess}, and on it what was sensed{distance}")
    _draw_frame(axes, camera, rotation, float(ahead.mean()))


def _behind(spots: np.ndarray, depth: np.ndarray, places: np.ndarray, ahead: np.ndarray) -> np.ndarray:
    """Points that have a node at least 1 cm before them, (n,) bool."""
    if len(spots) == 0:
        return np.zeros(0, bool)
    near = np.linalg.norm(spots[:, None] - places[None], axis=2) < 0.004 / ahead.mean()
    return (near & (ahead[None] < depth[:, None] - 0.01)).any(1)


def _draw_frame(axes: Axes, camera: Camera, rotation: np.ndarray, distance: float) -> None:
    """The object's axes and a bar of 2 cm, in the lower corners."""
    (left, right), (bottom, top) = axes.get_xlim(), axes.get_ylim()
    width, height = right - left, top - bottom
    corner = np.array([left + 0.09 * width, bottom + 0.16 * height])
    for name, axis in zip("xyz", rotation.T, strict=True):
        tip = corner + 0.085 * abs(height) * (axis @ camera.rotation)[:2]
        label = corner + 1.35 * (tip - corner)
        axes.plot(*zip(corner, tip, strict=True), color=INK, lw=1.3, zorder=6)
        if math.dist(label, corner) > 0.03 * abs(height):
            axes.text(label[0], label[1], name, color=INK, fontsize=10, ha="center", va="center", zorder=6)
    bar, y = 0.02 / distance, bottom + 0.05 * height
    start = right - 0.05 * width - bar
    axes.plot([start, start + bar], [y, y], color=INK, lw=2.5, solid_capstyle="butt")
    axes.text(start + bar / 2, y + 0.025 * height, "2 cm", fontsize=10, color=INK, ha="center", va="bottom")


def _sensed(record: EpisodeRecord) -> tuple[np.ndarray, np.ndarray]:
    """Sensed points (n, 3), metres, world frame, and the step of each (n,)."""
    found = [(point, k) for k, step in enumerate(record.trace) for point in step.location if point]
    points = np.array([point for point, _ in found], float).reshape(-1, 3)
    return points, np.array([k for _, k in found], int)


def _times(count: int) -> np.ndarray:
    """Colours from the first to the last sensation, (count, 4)."""
    return TIME(np.linspace(0, 1, count) if count > 1 else np.array([0.3]))


def _frame(axes: Axes, places: np.ndarray, margin: float = 0.06) -> None:
    """Limits that hold all places, equal scales, y downwards as on the picture; no axes."""
    low, high = places.min(0), places.max(0)
    box = axes.get_window_extent()
    scale = (1 + 2 * margin) * max((high[0] - low[0]) / box.width, (high[1] - low[1]) / box.height)
    middle = (low + high) / 2
    axes.set_xlim(middle[0] - scale * box.width / 2, middle[0] + scale * box.width / 2)
    axes.set_ylim(middle[1] + scale * box.height / 2, middle[1] - scale * box.height / 2)
    axes.set_aspect("equal", adjustable="box")
    axes.set_xticks([])
    axes.set_yticks([])
    for spine in axes.spines.values():
        spine.set_visible(False)
