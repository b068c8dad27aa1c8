"""Pushes: a fingertip is driven against an object on the table, which slides, turns or tips and comes to rest.

The physics runs in a world of its own, begun anew for every push, so that the same push gives the same bits whatever
went before; there the object touches with its convex hull. Then the object is put where it came to rest, in the
world that it belongs to, again with its true surface.
"""

import math
from dataclasses import dataclass

import numpy as np

from .simulation import MARGIN, Simulation
from .touch import RADIUS

SPEED = 0.1
"""Metres a second at which the fingertip pushes."""
STEP = 1.0 / 240.0
"""Seconds of a step of PyBullet's physics."""

HOLD = 24
"""Steps that the fingertip stays at the end: while it moves, it is some 2 mm deep in what it pushes."""


@dataclass(frozen=True, slots=True)
class Push:
    """What a push did.

    position, rotation : where the object now rests, (3,) metres and (3, 3) world_from_object
    touched : whether the fingertip met it at all; otherwise it is where it was, to the bit
    """

    position: np.ndarray
    rotation: np.ndarray
    touched: bool


def push(simulation: Simulation, body_name: str, start: np.ndarray, end: np.ndarray, radius: float = RADIUS) -> Push:
    """Push a body of a table scene with a ball that goes from `start` to `end`, both (3,) metres, world frame.

    Nothing but the table is in the way of either.

    A fingertip that rests in a hollow of the object is within its hull: its whole path is then moved back by as
    much as brings it out, so that it still pushes as far.

    Raises ValueError without a table, or for points that aren't finite or below the table.
    """
    start, end = np.array(start, dtype=float), np.array(end, dtype=float)
    table = simulation.table
    if table is None:
        raise ValueError("a push needs a table to push on: add_table() first, or take scene='table'")
    if not np.isfinite([start, end]).all() or min(start[2], end[2]) < table:
        raise ValueError(f"a push goes between two points above the table at z = {table}, not {start} and {end}")
    position, rotation = simulation.pose(body_name)
    mesh = simulation.mesh(body_name)
    with Simulation() as workshop:
        workshop.add_table(table)
        # a hull keeps a margin to the table; without it, it would jump
        workshop.add_mesh(body_name, mesh, position + np.array([0.0, 0.0, MARGIN]), rotation, dynamic=True)
        if not _drive(workshop, body_name, start, end, radius):
            return Push(position, rotation, False)
        workshop.settle()
        (x, y, _), rotation = workshop.pose(body_name)
    lowest = float((mesh.vertices @ rotation[2]).min())
    simulation.move(body_name, np.array([x, y, table - lowest]), rotation)
    return Push(*simulation.pose(body_name), True)


def _drive(workshop: Simulation, body_name: str, start: np.ndarray, end: np.ndarray, radius: float) -> bool:
    """Drive a ball along the path and take it away; whether it touched the body."""
    way = end - start
    length = float(np.linalg.norm(way))
    if length == 0.0:
        return False
    shape = workshop.call("createCollisionShape", workshop.constant("GEOM_SPHERE"), radius=radius)
    ball = workshop.call("createMultiBody", baseCollisionShapeIndex=shape, basePosition=start.tolist())
    body = workshop.number(body_name)

    def at(point: np.ndarray) -> None:
        workshop.call("resetBasePositionAndOrientation", ball, point.tolist(), (0.0, 0.0, 0.0, 1.0))

    offset = 0.0
    while offset < 0.2 and workshop.call("getClosestPoints", ball, body, distance=0.0):
        offset += 0.0005
        at(start - offset * way / length)
    start = start - offset * way / length
    workshop.call("setGravity", 0.0, 0.0, -9.81)
    steps, touched = math.ceil(length / (SPEED * STEP)), False
    for k in range(1, steps + HOLD):
        at(start + way * min(1.0, k / steps))
        workshop.call("stepSimulation")
        touched = touched or bool(workshop.call("getContactPoints", ball, body))
    workshop.call("removeBody", ball)
    return touched
