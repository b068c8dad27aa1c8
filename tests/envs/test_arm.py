import math

import numpy as np
import pytest

from cortical.envs.arm import CLEARANCE, JOINT_STEP, PANDA, REST, Arm
from cortical.envs.bodies import looking
from cortical.envs.picture import from_aside
from cortical.envs.sensors import shared_catalogue
from cortical.envs.simulation import Simulation
from cortical.envs.touch import GAP, RADIUS

pytest.importorskip("pybullet", reason="PyBullet is not installed")

HERE, STRAIGHT = np.zeros(3), np.eye(3)
UP = np.array([0.0, 0.0, 1.0])
TABLE = -0.05


@pytest.fixture
def simulation():
    with Simulation() as simulation:
        yield simulation


def on_table(simulation, name="mug"):
    mesh = shared_catalogue("default").mesh(name)
    simulation.add_table(TABLE)
    simulation.add_mesh("object", mesh, np.array([0.0, 0.0, TABLE - mesh.vertices[:, 2].min()]), STRAIGHT)
    return Arm(simulation)


def bearings(count, seed, above=False):
    directions = np.random.default_rng(seed).standard_normal((count, 3))
    if above:
        directions[:, 2] = np.abs(directions[:, 2]) + 0.3
    return directions / np.linalg.norm(directions, axis=1, keepdims=True)


def turned(rotation, angle):
    c, s = math.cos(angle), math.sin(angle)
    return rotation @ np.array([[c, -s, 0.0], [s, c, 0.0], [0.0, 0.0, 1.0]])


def angle_between(first, second):
    return math.acos(np.clip((np.trace(first.T @ second) - 1) / 2, -1.0, 1.0))


def assert_apart(simulation, arm):
    """Asks PyBullet itself, link by link."""
    robot, table = arm.robot, simulation.table_number
    near = simulation.call("getClosestPoints", robot._robot, simulation.number("object"), distance=0.9 * CLEARANCE)
    assert not near, f"link {near[0][3]} is at the object"
    if table is not None:
        standing = {robot._links[name] for name in PANDA.standing}
        on_table = simulation.call("getClosestPoints", robot._robot, table, distance=0.9 * CLEARANCE)
        assert {point[3] for point in on_table} <= standing
    hand = simulation.call("getClosestPoints", robot._robot, robot._robot, 0.0, robot._links["panda_hand"], -1)
    assert not hand, "the hand is in the base"
    assert (robot.joints >= robot.lower).all() and (robot.joints <= robot.upper).all()


@pytest.mark.parametrize("scene", ["held", "table"])
def test_most_bearings_are_within_reach(simulation, scene):
    if scene == "table":
        arm, directions = on_table(simulation), bearings(14, 1, above=True)
    else:
        simulation.add_mesh("object", shared_catalogue("default").mesh("mug"), HERE, STRAIGHT)
        arm, directions = Arm(simulation), bearings(14, 2)
    reached = 0
    for out in directions:
        turns = (turned(looking(-out), k * math.pi / 4) for k in range(8))
        reached += any(arm.reach(0.2 * out, turn) is not None for turn in turns)
    assert reached >= 0.85 * len(directions)


def test_a_pose_that_is_reached_is_the_one_asked_for(simulation):
    arm = on_table(simulation)
    done = 0
    for k, out in enumerate(bearings(12, 3, above=True)):
        frame, far = ("eye", 0.2) if k % 2 else ("tip", 0.13)
        before = arm.robot.joints
        joints = arm.reach(far * out, looking(-out), frame)
        np.testing.assert_array_equal(arm.robot.joints, before, err_msg="to ask must not move it")
        if joints is None:
            continue
        done += 1
        arm.robot.set_joints(joints)
        body = arm.eye if frame == "eye" else arm.tip
        assert math.dist(body.position, far * out) < 0.001
        assert angle_between(body.rotation, looking(-out)) < math.radians(0.5)
        assert_apart(simulation, arm)
    assert done >= 6


def test_what_is_out_of_reach_or_in_the_object_is_refused(simulation):
    arm = on_table(simulation)
    assert arm.reach(np.array([3.0, 0.0, 0.0]), STRAIGHT) is None
    down = looking(np.array([0.0, 0.0, -1.0]))
    assert arm.reach(np.array([0.3, 0.0, TABLE - 0.02]), down, "tip") is None
    low = shared_catalogue("default").mesh("mug").vertices.mean(axis=0)
    assert arm.reach(low + np.array([0.0, 0.0, TABLE]), down, "tip") is None
    stays = arm.moves_to(np.array([3.0, 0.0, 0.0]), STRAIGHT)
    assert stays.blocked and stays.path_length == 0.0
    np.testing.assert_allclose(arm.robot.joints, REST)


def test_the_arm_goes_about_without_touching_anything(simulation):
    arm = on_table(simulation)
    seen = []
    there = arm.robot.set_joints

    def watched(angles):
        there(angles)
        seen.append(arm.robot.joints)

    moved = 0
    for out in bearings(8, 4, above=True):
        if arm.reach(0.2 * out, looking(-out)) is None:
            continue
        arm.robot.set_joints = watched
        seen.clear()
        motion = arm.moves_to(0.2 * out, looking(-out))
        arm.robot.set_joints = there
        assert_apart(simulation, arm)
        assert not motion.blocked and motion.path_length > 0.0
        np.testing.assert_allclose(motion.eye.position, 0.2 * out, atol=1e-3)
        moved += 1
    assert moved >= 4
    goal = REST + 0.2
    seen.clear()
    arm.robot.set_joints = watched
    motion = arm.move_to(goal)
    assert not motion.blocked
    steps = np.abs(np.diff([*seen[:-1]], axis=0)).max()
    assert steps <= JOINT_STEP + 1e-9, "it looks what is in the way every few millimetres"


def test_the_arm_stops_before_what_is_in_its_way(simulation):
    arm = on_table(simulation)
    down = looking(np.array([0.0, 0.0, -1.0]))
    above = arm.reach(np.array([0.0, -0.15, 0.12]), down, "tip")
    assert above is not None
    arm.robot.set_joints(above)
    through = above + np.array([0.0, 0.6, 0.0, 0.0, 0.0, 0.0, 0.0])
    motion = arm.move_to(through)
    assert motion.blocked and 0.0 < motion.path_length < 0.6
    assert_apart(simulation, arm)
    assert not arm.blocked()
    assert arm.move_to(arm.robot.joints + (through - above) * 0.05).blocked, "one step on, it would touch"


def test_the_fingertip_touches_by_a_guarded_motion(simulation):
    arm = on_table(simulation, "duck")
    touched = 0
    for out in bearings(5, 5, above=True):
        if arm.moves_to(0.13 * out, looking(-out), "tip").blocked:
            continue
        before = arm.tip
        motion, contact = arm.touch(0.12)
        assert_apart(simulation, arm)
        if contact is None:
            assert motion.blocked
        else:
            touched += 1
            assert contact.on_object and not motion.blocked
            assert math.dist(motion.tip.position, contact.centre) < 5e-4
            near = simulation.nearest(motion.tip.position, RADIUS, 0.001, "object")
            assert near is not None and abs(near.distance - GAP) < 5e-4
            way = contact.centre - before.position
            assert np.linalg.norm(np.cross(way, before.rotation[:, 2])) < 1e-9, "along the z of the hand"
        assert not arm.draw_back(0.04).blocked
    assert touched >= 2


def test_the_same_goals_give_the_same_ways():
    ways = []
    for _ in range(2):
        with Simulation() as simulation:
            arm = on_table(simulation)
            ways.append([arm.moves_to(0.2 * out, looking(-out)).path_length for out in bearings(3, 6, above=True)])
    assert ways[0] == ways[1]


def test_a_cleared_world_gets_its_arm_back(simulation):
    arm = on_table(simulation)
    arm.robot.set_joints(REST + 0.1)
    eye = arm.eye
    simulation.clear()
    np.testing.assert_array_equal(arm.eye.position, eye.position)
    np.testing.assert_array_equal(arm.robot.joints, REST + 0.1)
    assert not arm.blocked()


def test_rays_pass_through_the_arm_and_objects_fall_through_it(simulation):
    arm = on_table(simulation)
    mesh = simulation.mesh("object")
    tip = arm.tip.position
    assert simulation.hit(tip + 0.5 * UP, tip - 0.02 * UP, "object") is None
    start = tip + 0.06 * UP
    simulation.remove("object")
    simulation.add_mesh("object", mesh, start, STRAIGHT, dynamic=True)
    simulation.settle()
    assert simulation.pose("object")[0][2] < TABLE + 0.1, "it lies on the table"
    np.testing.assert_allclose(arm.tip.position, tip, atol=1e-9, err_msg="an arm doesn't sag")


def test_a_picture_shows_the_arm(simulation):
    arm = on_table(simulation)
    parts = [(simulation.mesh("object"), *simulation.pose("object"))]
    aside = np.array([0.9, -1.0, 0.8])
    without, shown = (from_aside(p, aside, [-0.2, 0.0, 0.3] - aside, TABLE) for p in (parts, parts + arm.parts()))
    assert shown.shape == (240, 320, 3) and shown.dtype == np.uint8
    assert 0.05 < (shown != without).any(axis=-1).mean() < 0.6
