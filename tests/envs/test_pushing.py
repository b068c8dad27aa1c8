"""Tabletop scenes: objects rest where physics put them, and go where a fingertip pushes them."""

import math

import numpy as np
import pytest

from cortical.envs.placing import drop, random_rotations
from cortical.envs.pushing import push
from cortical.envs.sensors import shared_catalogue
from cortical.envs.simulation import MARGIN, Simulation
from cortical.envs.touch import press

pytest.importorskip("pybullet", reason="PyBullet is not installed")

TABLE = -0.05
ACROSS = np.array([[0.0, 0.0, 1.0], [1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]).T
"""world_from_finger of a finger that presses along the world's y."""


UP, ALONG = np.array([0.0, 0.0, 1.0]), np.array([0.0, 1.0, 0.0])


@pytest.fixture
def simulation():
    with Simulation() as simulation:
        yield simulation


def place(simulation, name, seed=0):
    """An object at rest on the table; its position and rotation."""
    mesh = shared_catalogue("default").mesh(name)
    pose = drop(simulation, mesh, np.zeros(3), random_rotations(1, np.random.default_rng(seed))[0], TABLE)
    simulation.add_mesh("object", mesh, *pose)
    return pose


def lowest(simulation):
    position, rotation = simulation.pose("object")
    return float((simulation.mesh("object").vertices @ rotation.T + position)[:, 2].min())


def middle(simulation):
    """The middle (3,) of the hull, seen from above: about where a push goes through the centre of mass."""
    position, rotation = simulation.pose("object")
    vertices = simulation.mesh("object").vertices @ rotation.T + position
    return (vertices.max(axis=0) + vertices.min(axis=0)) / 2


def push_along_y(simulation, length, back=0.1):
    """A push along y through the middle of the object, from where a finger first touches it."""
    start = middle(simulation) - back * ALONG
    contact = press(simulation, "object", start, ACROSS, 0.2)
    assert contact is not None and contact.on_object
    return push(simulation, "object", contact.centre, contact.centre + length * ALONG)


def angle(first, second):
    return math.degrees(math.acos(np.clip((np.trace(first.T @ second) - 1) / 2, -1.0, 1.0)))


def test_every_object_rests_where_physics_put_it(simulation):
    for name in shared_catalogue("default").names:
        position, rotation = place(simulation, name, seed=1)
        assert abs(lowest(simulation) - TABLE) < 1e-9, name
        mesh = simulation.mesh("object")
        simulation.remove("object")
        simulation.add_mesh("object", mesh, position + MARGIN * UP, rotation, dynamic=True)
        assert simulation.settle(), f"{name} doesn't come to rest"
        moved, turned = simulation.pose("object")
        assert angle(rotation, turned) < 8.0, name
        assert np.linalg.norm((moved - position)[:2]) < 0.003, name


@pytest.mark.parametrize(("name", "seed"), [("duck", 2), ("mug", 3), ("torus", 0), ("kuka_base", 3), ("lego", 2)])
def test_what_is_pushed_goes_where_it_is_pushed(simulation, name, seed):
    place(simulation, name, seed)
    before = middle(simulation)
    pushed = push_along_y(simulation, 0.04)
    way = middle(simulation) - before
    assert pushed.touched
    assert 0.03 < way[1] < 0.05, f"pushed by 40 mm, it went {way}"
    assert abs(way[0]) < 0.015 and abs(way[2]) < 0.005
    assert abs(lowest(simulation) - TABLE) < 1e-9
    for told, true in zip((pushed.position, pushed.rotation), simulation.pose("object"), strict=True):
        assert np.array_equal(told, true)


def test_a_pushed_object_is_felt_where_it_now_is(simulation):
    place(simulation, "mug")
    pushed = push_along_y(simulation, 0.05)
    vertices = simulation.mesh("object").vertices @ pushed.rotation.T + pushed.position
    top = vertices[vertices[:, 2].argmax()]
    contact = press(simulation, "object", top + 0.02 * UP, np.diag([1.0, -1.0, -1.0]), 0.05)
    assert contact is not None and contact.on_object
    np.testing.assert_allclose(contact.location, top, atol=0.003)


def test_the_same_push_ends_the_same(simulation):
    place(simulation, "mug")
    first = push_along_y(simulation, 0.03)
    place(simulation, "teddy")
    push_along_y(simulation, 0.02)
    place(simulation, "mug")
    again = push_along_y(simulation, 0.03)
    assert np.array_equal(first.position, again.position) and np.array_equal(first.rotation, again.rotation)


def test_a_push_beside_moves_nothing(simulation):
    place(simulation, "duck")
    before = simulation.pose("object")
    for start, end in (([0.2, -0.1, 0.0], [0.2, 0.1, 0.0]), ([0.2, 0.0, 0.0], [0.2, 0.0, 0.0])):
        pushed = push(simulation, "object", np.array(start), np.array(end))
        assert not pushed.touched
        for was, now in zip(before, simulation.pose("object"), strict=True):
            assert np.array_equal(was, now)


def test_a_finger_within_the_hull_pushes_no_further(simulation):
    """Inside the upright mug a fingertip is in the hull from the start: no blow, and as long a push."""
    mesh = shared_catalogue("default").mesh("mug")
    upright = drop(simulation, mesh, np.zeros(3), _opening_up(mesh), TABLE)
    simulation.add_mesh("object", mesh, *upright)
    x, y, _ = middle(simulation)
    before = middle(simulation)
    start = np.array([x, y, TABLE + 0.07])
    contact = press(simulation, "object", start, ACROSS, 0.1)
    assert contact is not None and contact.on_object
    pushed = push(simulation, "object", contact.centre, contact.centre + 0.02 * ALONG)
    way = middle(simulation) - before
    assert pushed.touched and 0.005 < way[1] < 0.03 and abs(way[0]) < 0.015


def _opening_up(mesh):
    """A rotation under which a finger that comes from above gets deep into the mug."""
    for axis in range(3):
        for sign in (1.0, -1.0):
            rotation = np.roll(np.eye(3), axis + 1, axis=0) * sign
            rotation *= np.linalg.det(rotation)
            with Simulation() as simulation:
                simulation.add_mesh("object", mesh, np.zeros(3), rotation)
                contact = press(simulation, "object", np.array([0.0, 0.0, 0.2]), np.diag([1.0, -1.0, -1.0]), 0.4)
                if contact is not None and contact.location[2] < -0.02:
                    return rotation
    raise AssertionError("the mug has no opening")


def test_a_push_needs_a_table_and_sense(simulation):
    simulation.add_mesh("object", shared_catalogue("default").mesh("duck"), np.zeros(3), np.eye(3))
    with pytest.raises(ValueError, match="add_table"):
        push(simulation, "object", np.zeros(3), np.ones(3))
    simulation.add_table(TABLE)
    for wrong in (np.array([0.0, 0.0, np.nan]), np.array([0.0, 0.0, TABLE - 0.01])):
        with pytest.raises(ValueError, match="above the table"):
            push(simulation, "object", wrong, np.zeros(3))
    with pytest.raises(KeyError):
        push(simulation, "nobody", np.zeros(3), np.ones(3))
