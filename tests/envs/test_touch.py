import math

import numpy as np
import pytest

from cortical.envs.bodies import looking
from cortical.envs.finger import FINGER_LIMITS, LIFT, Finger, move_finger
from cortical.envs.noise import Bank
from cortical.envs.objects import open_catalogue
from cortical.envs.placing import random_rotations
from cortical.envs.retina import Retina
from cortical.envs.sensors import FOOTPRINT, shared_bank, shared_catalogue, shared_retina
from cortical.envs.simulation import Simulation
from cortical.envs.surface import fit
from cortical.envs.testing import check_record, check_touch
from cortical.envs.touch import GAP, PAD_FIELD, PAD_PIXELS, RADIUS, facing, feel, press

pytest.importorskip("pybullet", reason="PyBullet is not installed")

HERE, STRAIGHT = np.zeros(3), np.eye(3)
RING, TUBE = 0.05, 0.02


@pytest.fixture(scope="module")
def solids():
    return open_catalogue("solids")


@pytest.fixture
def simulation():
    with Simulation() as simulation:
        yield simulation


def seen_by(retina, position=HERE, rotation=STRAIGHT, index=0, table=None):
    """What imprints see of one object."""

    def see(sensor_position, sensor_rotation):
        count = len(sensor_position)
        return retina.sense_images(
            np.full(count, index),
            np.tile(position, (count, 1)),
            np.tile(rotation, (count, 1, 1)),
            sensor_position,
            sensor_rotation,
            table,
        )

    return see


def touched(simulation, random, count, aim=0.03):
    """Contacts of fingers that come from random bearings."""
    contacts = []
    while len(contacts) < count:
        bearing = random.standard_normal(3)
        start = 0.2 * bearing / np.linalg.norm(bearing)
        contact = press(simulation, "object", start, looking(random.uniform(-aim, aim, 3) - start), 0.4)
        if contact is not None:
            contacts.append(contact)
    return contacts


def on_torus(location):
    """Distance (n,) of points from the torus of the solids, and its normals there."""
    ring = location * [1.0, 1.0, 0.0]
    ring *= RING / np.linalg.norm(ring, axis=1, keepdims=True)
    away = location - ring
    distance = np.linalg.norm(away, axis=1)
    return distance - TUBE, away / distance[:, None]


def test_a_fingertip_touches_the_very_surface(simulation, solids):
    random = np.random.default_rng(0)
    position, rotation = np.array([0.01, -0.02, 0.005]), random_rotations(1, random)[0]
    simulation.add_mesh("object", solids.mesh("torus"), position, rotation)
    contacts = touched(simulation, random, 200)
    location = (np.array([c.location for c in contacts]) - position) @ rotation
    normal = np.array([c.normal for c in contacts]) @ rotation
    error, true_normal = on_torus(location)
    assert np.abs(error).max() < 1e-4
    angle = np.degrees(np.arccos(np.clip((normal * true_normal).sum(1), -1.0, 1.0)))
    assert np.median(angle) < 1.5 and angle.max() < 3.0, "facets of the torus are up to 3 degrees wide"
    gaps = [simulation.nearest(c.centre, RADIUS, 0.001, "object").distance for c in contacts]
    assert min(gaps) > 0.0 and max(gaps) < 4 * GAP
    assert all(c.on_object for c in contacts)


def test_a_fingertip_goes_no_further_than_its_length(simulation, solids):
    simulation.add_mesh("object", solids.mesh("sphere"), HERE, STRAIGHT)
    start, down = np.array([0.0, 0.0, 0.1]), np.diag([1.0, -1.0, -1.0])
    way = 0.1 - 0.05 - RADIUS
    assert press(simulation, "object", start, down, way - 0.0005) is None
    assert press(simulation, "object", start, down, way + 0.0005) is not None
    assert press(simulation, "object", start, STRAIGHT, 1.0) is None
    beside = np.array([0.05 + RADIUS + 0.001, 0.0, 0.1])
    assert press(simulation, "object", beside, down, 1.0) is None


def test_the_table_stops_a_finger_but_is_no_object(simulation, solids):
    simulation.add_table(-0.05)
    simulation.add_mesh("object", solids.mesh("sphere"), HERE, STRAIGHT)
    contact = press(simulation, "object", np.array([0.2, 0.0, 0.1]), np.diag([1.0, -1.0, -1.0]), 0.3)
    assert contact is not None and not contact.on_object
    np.testing.assert_allclose(contact.location, [0.2, 0.0, -0.05], atol=1e-9)
    see = seen_by(Retina([solids.mesh("sphere")], PAD_PIXELS, PAD_FIELD), table=-0.05)
    record = feel(
        [contact, None], np.tile(facing(STRAIGHT, contact.normal), (2, 1, 1)), see, "clean", np.random.default_rng(0)
    )
    check_record(record, 2)
    assert not record.on_object.any() and record.valid.all() and not record.confidence.any()
    np.testing.assert_allclose(record.location, [contact.location, HERE], atol=1e-6)


def test_touch_keeps_the_contract_of_the_record(simulation, solids):
    simulation.add_mesh("object", solids.mesh("sphere"), HERE, STRAIGHT)
    see = seen_by(Retina([solids.mesh("sphere")], PAD_PIXELS, PAD_FIELD))

    def touch(position, rotation):
        contacts = [press(simulation, "object", p, r, 0.03) for p, r in zip(position, rotation, strict=True)]
        return feel(contacts, rotation, see, "clean", np.random.default_rng(0))

    check_touch(touch)


def test_a_finger_feels_how_a_torus_is_bent(simulation, solids):
    simulation.add_mesh("object", solids.mesh("torus"), HERE, STRAIGHT)
    contacts = touched(simulation, np.random.default_rng(1), 200)
    see = seen_by(Retina([solids.mesh("torus")], PAD_PIXELS, PAD_FIELD))
    record = feel(contacts, np.tile(STRAIGHT, (200, 1, 1)), see, "clean", np.random.default_rng(0))
    check_record(record, 200)
    _, normal = on_torus(record.location)
    across = np.linalg.norm(record.location[:, :2], axis=1) - RING
    other = across / TUBE / (RING + across)
    assert np.median(np.abs(record.curvature[:, 0] * TUBE - 1.0)) < 0.03
    assert np.median(np.abs(record.curvature[:, 1] - other)) < 0.5
    angle = np.degrees(np.arccos(np.clip((record.normal * normal).sum(1), -1.0, 1.0)))
    assert np.percentile(angle, 90) < 1.5
    round_the_ring = np.cross([0.0, 0.0, 1.0], record.location)
    round_the_ring /= np.linalg.norm(round_the_ring, axis=1, keepdims=True)
    assert np.percentile(np.abs((record.directions[:, 1] * round_the_ring).sum(1)), 10) > 0.99


def test_a_finger_feels_what_an_eye_sees_there():
    """Maps learnt by eye serve a finger: at the same points, both agree as two views of an eye do."""
    names = ("duck", "mug", "soccerball", "lego", "tray", "cone", "motor", "kuka_base")
    catalogue, random = shared_catalogue("default"), np.random.default_rng(2)
    eyes, pads = shared_retina("default", 8, math.radians(6)), shared_retina("default", PAD_PIXELS, PAD_FIELD)
    turned_by, bent_by = [], []
    for name in names:
        index = catalogue.names.index(name)
        with Simulation() as simulation:
            simulation.add_mesh("object", catalogue.mesh(name), HERE, STRAIGHT)
            contacts = touched(simulation, random, 40)
        normal, location = np.array([c.normal for c in contacts]), np.array([c.location for c in contacts])
        rotation = np.stack([facing(STRAIGHT, n) for n in normal])
        felt = feel(contacts, rotation, seen_by(pads, index=index), "clean", random)
        from_there = location + 0.2 * normal
        images = seen_by(eyes, index=index)(from_there, rotation)
        seen = fit(images, 8, math.radians(6), from_there, rotation, FOOTPRINT)
        both = seen.on_object & (np.linalg.norm(seen.location - location, axis=1) < 1e-3)
        assert felt.on_object.all() and both.mean() > 0.7
        turned_by.extend(np.degrees(np.arccos(np.clip((felt.normal * seen.normal).sum(1), -1, 1)))[both])
        bent_by.extend(np.abs(felt.curvature - seen.curvature)[both].max(axis=1))
    assert np.median(turned_by) < 0.5 and np.percentile(turned_by, 75) < 3.0
    assert np.median(bent_by) < 5.0


@pytest.mark.parametrize("condition", ["noise", "rawnoise", "dropout"])
def test_noise_touches_all_but_the_colours(simulation, solids, condition):
    simulation.add_mesh("object", solids.mesh("sphere"), HERE, STRAIGHT)
    contacts = touched(simulation, np.random.default_rng(3), 400)
    rotation = np.stack([facing(STRAIGHT, c.normal) for c in contacts])
    see = seen_by(Retina([solids.mesh("sphere")], PAD_PIXELS, PAD_FIELD))
    stray: Bank = shared_bank("solids", 4, math.radians(6))
    bank = stray if condition == "dropout" else None
    felt, again = (feel(contacts, rotation, see, condition, np.random.default_rng(4), bank, 0) for _ in range(2))
    clean = feel(contacts, rotation, see, "clean", np.random.default_rng(4))
    check_record(felt, 400)
    for name in type(felt).__dataclass_fields__:
        assert np.array_equal(getattr(felt, name), getattr(again, name)), name
    assert not felt.rgb.any() and not felt.hsv.any() and not felt.patch.any()
    error = (felt.location - clean.location)[felt.valid]
    assert 0.0018 < error.std() < 0.0024
    if condition == "dropout":
        assert 0.14 < 1 - felt.valid.mean() < 0.26
        other = np.abs(felt.curvature - clean.curvature)[felt.valid].max(axis=1)
        assert 0.01 < (other > 15.0).mean() < 0.15, "some readings have the features of another object"
    else:
        assert felt.valid.all()
        angle = np.degrees(np.arccos(np.clip((felt.normal * clean.normal).sum(1), -1, 1)))
        assert 1.8 < np.median(angle) < (6.0 if condition == "rawnoise" else 3.0)


def followed(simulation, heading, steps, object_name="object"):
    """A finger that only ever goes on 5 mm sideways; the reaches of all its steps."""
    (contact,) = touched(simulation, np.random.default_rng(5), 1, aim=0.01)
    finger = Finger(contact.centre, facing(STRAIGHT, contact.normal), True)
    action = np.array([math.cos(heading) / 6, math.sin(heading) / 6, 0.0, 0.0, 0.0])
    reaches = []
    for _ in range(steps):
        reaches.append(move_finger(finger, action, FINGER_LIMITS, simulation, object_name))
        finger = reaches[-1].finger
    return reaches


@pytest.mark.parametrize("name", ["torus", "mug", "duck", "tray", "domino"])
def test_going_on_sideways_follows_the_surface(simulation, solids, name):
    catalogue = solids if name == "torus" else shared_catalogue("default")
    simulation.add_mesh("object", catalogue.mesh(name), HERE, STRAIGHT)
    for heading in (0.4, 2.0):
        reaches = followed(simulation, heading, 80)
        contacts = [r.contact for r in reaches if r.contact is not None]
        assert len(contacts) >= 0.95 * len(reaches)
        assert all(c.on_object for c in contacts)
        places = {tuple(np.round(c.location / 0.01).astype(int)) for c in contacts}
        assert len(places) > 15, "it gets about"
        assert np.mean([r.path_length for r in reaches]) < 0.005 + 2.5 * LIFT
        for reach in reaches:
            near = simulation.nearest(reach.finger.position, RADIUS, 0.001, "object")
            assert reach.contact is None or 0.0 < near.distance < 4 * GAP
            if reach.contact is not None:
                np.testing.assert_allclose(reach.finger.rotation[:, 2], -reach.contact.normal, atol=1e-9)
            square = reach.finger.rotation @ reach.finger.rotation.T
            np.testing.assert_allclose(square, np.eye(3), atol=1e-9)


def resting(simulation, start):
    """A finger pressed straight down from `start`."""
    down = np.diag([1.0, -1.0, -1.0])
    contact = press(simulation, "object", start, down, 0.1)
    assert contact is not None
    return Finger(contact.centre, facing(down, contact.normal), True)


def test_a_finger_feels_round_an_edge(simulation, solids):
    simulation.add_mesh("object", solids.mesh("box"), HERE, STRAIGHT)
    top, side = np.abs(solids.mesh("box").vertices).max(axis=0)[[2, 0]]
    start = np.array([side - 0.002, 0.0, top + 0.01])
    finger = resting(simulation, start)
    reach = move_finger(finger, np.array([0.5, 0, 0, 0, 0]), FINGER_LIMITS, simulation)
    assert reach.contact is not None and reach.contact.normal[0] > 0.7
    np.testing.assert_allclose(reach.contact.location[0], side, atol=1e-6)
    back = move_finger(reach.finger, np.array([-0.5, 0, 0, 0, 0]), FINGER_LIMITS, simulation)
    assert back.contact is not None and back.contact.normal[2] > 0.7


def test_what_stops_a_finger_is_what_it_touches(simulation, solids):
    side, _, bottom = np.abs(solids.mesh("box").vertices).max(axis=0)
    simulation.add_table(-bottom)
    simulation.add_mesh("object", solids.mesh("box"), HERE, STRAIGHT)
    finger = resting(simulation, np.array([side + 0.015, 0.0, 0.0]))
    reach = move_finger(finger, np.array([-0.8, 0, 0, 0, 0]), FINGER_LIMITS, simulation)
    assert reach.blocked and reach.contact is not None and reach.contact.on_object
    np.testing.assert_allclose(reach.contact.normal, [1.0, 0.0, 0.0], atol=1e-6)


def test_a_finger_that_stays_keeps_still(simulation, solids):
    simulation.add_mesh("object", solids.mesh("torus"), HERE, STRAIGHT)
    reach = followed(simulation, 0.4, 3)[-1]
    still = move_finger(reach.finger, np.zeros(5), FINGER_LIMITS, simulation)
    np.testing.assert_allclose(still.finger.position, reach.finger.position, atol=1e-12)
    np.testing.assert_allclose(still.finger.rotation, reach.finger.rotation, atol=1e-12)
    assert still.contact is not None and still.path_length < 1e-9 and not still.blocked
    free = Finger(np.array([0.0, 0.0, 0.3]), STRAIGHT)
    away = move_finger(free, np.array([0.0, 0.5, 0.0, 0.0, 0.0]), FINGER_LIMITS, simulation)
    assert away.contact is None and not away.finger.touching
    np.testing.assert_allclose(away.finger.position, [0.0, 0.015, 0.3], atol=1e-12)
    for wrong in (np.zeros(4), np.full(5, np.nan)):
        with pytest.raises(ValueError, match="5 finite numbers"):
            move_finger(free, wrong, FINGER_LIMITS, simulation)


def test_a_finger_leaves_the_object_where_it_is(simulation, solids):
    rotation = random_rotations(1, np.random.default_rng(6))[0]
    simulation.add_mesh("object", solids.mesh("torus"), HERE, rotation)
    before = simulation.pose("object")
    followed(simulation, 1.0, 20)
    for was, now in zip(before, simulation.pose("object"), strict=True):
        assert np.array_equal(was, now)


def test_a_finger_is_free_of_the_objects_of_other_worlds(simulation, solids):
    simulation.add_mesh("object", solids.mesh("sphere"), HERE, STRAIGHT)
    simulation.add_mesh("other", solids.mesh("box"), np.array([0.0, 0.0, 0.06]), STRAIGHT)
    contact = press(simulation, "object", np.array([0.0, 0.0, 0.2]), np.diag([1.0, -1.0, -1.0]), 0.3)
    assert contact is not None and contact.on_object
    np.testing.assert_allclose(contact.location, [0.0, 0.0, 0.05], atol=1e-4)
