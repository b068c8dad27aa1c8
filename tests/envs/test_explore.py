import math
import pickle
import subprocess
import sys

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.envs.registration import EnvSpec
from gymnasium.error import ClosedEnvironmentError, ResetNeeded

import cortical.envs
from cortical.configs.schema import EyeConfig, WorldConfig
from cortical.envs.bodies import RADIUS, encode
from cortical.envs.explore import ObjectExploreEnv
from cortical.envs.retina import Retina
from cortical.envs.sensors import Sensors, patch_angles, shared_bank, shared_catalogue
from cortical.envs.surface import sense
from cortical.envs.testing import check_env_contract, check_record, check_sensor

pytest.importorskip("pybullet", reason="PyBullet is not installed")
pytest.importorskip("embreex", reason="embreex is not installed")

NAME = "cortical/ObjectExplore-v0"


def make(**settings):
    return gym.make(NAME, **{"objects": "solids", **settings})


def orbit(env, steps, seed=0):
    """Observations of an eye that hops about the object and looks back at it, knowing where it is."""
    random, world = np.random.default_rng(seed), env.unwrapped
    observation, info = env.reset(seed=seed)
    for _ in range(steps):
        yield observation, info
        centre = info["truth"]["position"]
        away = world.eye.position + random.uniform(-0.08, 0.08, 3) - centre
        target = centre + 0.15 * away / np.linalg.norm(away)
        gaze = centre + random.uniform(-0.015, 0.015, 3) - target
        action, _ = encode(world.eye, target, gaze, world.limits)
        observation, *_, info = env.step(action)


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"noise": "noise", "columns": 5, "obs_mode": "both"},
        {"noise": "dropout", "columns": 4, "obs_mode": "both", "scene": "table"},
        {"noise": "rawnoise", "pixels": 16},
        {"noise": "noise", "backend": "camera", "pixels": 5},
    ],
    ids=str,
)
def test_contract(settings):
    check_env_contract(make(**settings))


def test_every_registered_world_makes_sense():
    ours = [spec for name, spec in gym.registry.items() if name.startswith("cortical/")]
    assert NAME in [spec.id for spec in ours]
    for spec in ours:
        assert spec.max_episode_steps == 500
        assert EnvSpec.from_json(spec.to_json()).id == spec.id


def test_a_spec_survives_json_and_pickling():
    env = make(noise="dropout", columns=5, render_mode="rgb_array")
    again = EnvSpec.from_json(env.spec.to_json())
    assert again.kwargs == env.spec.kwargs
    assert pickle.loads(pickle.dumps(env.spec)).kwargs == env.spec.kwargs
    first, second = env.reset(seed=1)[0], gym.make(again).reset(seed=1)[0]
    for name, value in first.items():
        assert np.array_equal(value, second[name])


EPISODES = f"""
import hashlib, gymnasium as gym, numpy as np, cortical.envs
digest, random = hashlib.sha256(), np.random.default_rng(0)
for scene in ("held", "table"):
    env = gym.make("{NAME}", objects="solids", noise="dropout", scene=scene, obs_mode="both", columns=5)
    observation, _ = env.reset(seed=11)
    for _ in range(20):
        for name in sorted(observation):
            digest.update(observation[name].tobytes())
        observation, *_ = env.step(random.uniform(-0.3, 0.3, 5).astype(np.float32))
"""


def test_same_seed_same_bits_in_another_process():
    code = EPISODES + "print('digest', digest.hexdigest())"
    told = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout
    here: dict = {}
    exec(EPISODES, here)
    assert told.split("digest ")[1].strip() == here["digest"].hexdigest()


@pytest.mark.parametrize("mode", ["sync", "async"])
def test_vector_environments(mode):
    worlds = gym.make_vec(
        NAME, num_envs=2, vectorization_mode=mode, objects="solids", noise="noise", columns=5
    )
    try:
        observation, info = worlds.reset(seed=3)
        assert observation["location"].shape == (2, 5, 3)
        worlds.action_space.seed(0)
        for _ in range(3):
            observation, reward, *_, info = worlds.step(worlds.action_space.sample())
        assert not reward.any() and set(info["truth"]["object"]) <= set(shared_catalogue("solids").names)
        alone = make(noise="noise", columns=5).reset(seed=4)[0]
        np.testing.assert_array_equal(worlds.reset(seed=[3, 4])[0]["location"][1], alone["location"])
    finally:
        worlds.close()


def test_episodes_begin_as_the_protocol_says():
    env = make(objects="default")
    places, seen = [], set()
    for seed in range(40):
        observation, info = env.reset(seed=seed)
        truth = info["truth"]
        places.append(truth["position"])
        seen.add(truth["object"])
        assert np.linalg.norm(observation["eye_position"]) == pytest.approx(0.2, abs=1e-6)
        assert observation["on_object"][0] == 1.0, "the first gaze meets the object"
        assert info["path_length"] == 0.0 and not info["blocked"]
    assert np.abs(places).max() <= 0.05 and np.ptp(places, axis=0).min() > 0.07
    assert len(seen) > 12


def test_options_place_everything():
    turn = np.array([[0.0, -1, 0], [1, 0, 0], [0, 0, 1]])
    options = {"object": "box", "position": (0.01, 0.02, 0.03), "rotation": turn}
    options |= {"eye_position": (0.01, 0.02, 0.2), "gaze": (0, 0, -1)}
    observation, info = make().reset(options=options)
    assert info["truth"]["object"] == "box"
    np.testing.assert_allclose(info["truth"]["position"], options["position"])
    np.testing.assert_allclose(info["truth"]["rotation"], turn, atol=1e-12)
    np.testing.assert_allclose(observation["eye_position"], options["eye_position"], atol=1e-7)
    np.testing.assert_allclose(observation["location"], [[0.01, 0.02, 0.05]], atol=1e-5)
    np.testing.assert_allclose(observation["normal"], [[0, 0, 1]], atol=1e-4)


def test_known_shapes_have_their_locations_normals_and_curvatures():
    env = make(pixels=16)
    for seed, name in enumerate(("sphere", "cylinder", "torus")):
        errors = []
        env.reset(seed=0)
        for observation, info in orbit_of(env, name, 60, seed):
            if not (observation["on_object"][0] and observation["valid"][0]):
                continue
            truth = info["truth"]
            point = truth["rotation"].T @ (observation["location"][0] - truth["position"])
            normal = truth["rotation"].T @ observation["normal"][0]
            exact = SHAPES[name](point)
            if exact is not None:
                distance, outwards, curvature = exact
                errors.append(
                    (
                        abs(distance),
                        math.acos(min(1, outwards @ normal)),
                        *curvature_error(observation, curvature),
                    )
                )
        errors = np.median(errors, axis=0)
        assert errors[0] < 5e-5 and errors[1] < math.radians(1.0), (name, errors)
        assert errors[2:].max() < 3.0, (name, errors)


def orbit_of(env, name, steps, seed):
    reset = env.reset
    env.reset = lambda **given: reset(options={"object": name}, **given)
    try:
        yield from orbit(env, steps, seed)
    finally:
        env.reset = reset


def curvature_error(observation, curvature):
    return np.abs(observation["curvature"][0] - curvature)


def sphere(point):
    radius = np.linalg.norm(point)
    return radius - 0.05, point / radius, (20.0, 20.0)


def cylinder(point):
    radius = math.hypot(*point[:2])
    if abs(point[2]) > 0.035:
        return None
    return radius - 0.03, np.array([*point[:2], 0.0]) / radius, (1 / 0.03, 0.0)


def torus(point):
    around = math.hypot(*point[:2])
    ring = np.array([*point[:2], 0.0]) * 0.05 / around
    away = point - ring
    second = (away[:2] @ point[:2]) / np.linalg.norm(away) / around / around
    return np.linalg.norm(away) - 0.02, away / np.linalg.norm(away), (50.0, second)


SHAPES = {"sphere": sphere, "cylinder": cylinder, "torus": torus}


def test_camera_and_rays_give_the_same_observations():
    by_rays, by_camera = make(pixels=8), make(pixels=8, backend="camera")
    both = list(zip(orbit(by_rays, 12), orbit(by_camera, 12), strict=True))
    same = np.mean([a["on_object"][0] == b["on_object"][0] for (a, _), (b, _) in both])
    met = [(a, b) for (a, _), (b, _) in both if a["on_object"][0] and b["on_object"][0]]
    assert same > 0.9 and len(met) > 6
    for name, most in (("location", 5e-6), ("normal", 0.01), ("rgb", 0.01)):
        assert np.median([np.abs(a[name] - b[name]).max() for a, b in met]) < most, name


def test_what_the_noise_does_to_an_observation():
    clean = [o for o, _ in orbit(make(), 40)]
    errors = {}
    for noise in ("noise", "rawnoise"):
        after = [o for o, _ in orbit(make(noise=noise), 40)]
        met = [(a, b) for a, b in zip(clean, after, strict=True) if a["on_object"][0] and b["on_object"][0]]
        assert all(np.array_equal(a["eye_position"], b["eye_position"]) for a, b in met)
        errors[noise] = np.mean([np.abs(a["location"] - b["location"]) for a, b in met])
    assert 0.001 < errors["noise"] < 0.0025 and errors["rawnoise"] < 0.004


def test_dropout_loses_readings():
    valid = np.concatenate([o["valid"] for o, _ in orbit(make(noise="dropout", columns=25), 40)])
    assert valid.mean() == pytest.approx(0.8, abs=0.05)


def test_the_bank_of_stray_features():
    bank = shared_bank("solids", 5, math.radians(6.0))
    check_record(bank.record, len(bank.owner))
    assert bank.record.on_object.all() and set(bank.owner) == set(range(len(shared_catalogue("solids"))))
    assert (bank.record.normal[:, 2] < 0.2).all(), "seen from the origin along z"


def test_a_wall_stops_the_eye():
    env = make(max_turn=1.0)
    start = {"object": "sphere", "position": np.zeros(3), "eye_position": (0.2, 0, 0), "gaze": (-1, 0, 0)}
    env.reset(options=start)
    observation, *_, info = env.step(np.float32([0, 0, 1, 0, 0]))
    assert info["blocked"] and info["path_length"] == pytest.approx(0.14, abs=0.0015)
    assert observation["eye_position"][0] == pytest.approx(0.05 + RADIUS, abs=0.0015)
    *_, info = env.step(np.float32([0, 0, -0.5, 0, 0]))
    assert not info["blocked"] and info["path_length"] == pytest.approx(0.1)


def test_what_can_be_reached():
    env = make().unwrapped
    env.reset(
        options={
            "object": "sphere",
            "position": np.zeros(3),
            "eye_position": (0.15, 0, 0),
            "gaze": (-1, 0, 0),
        }
    )
    assert env.reachable(np.array([0.15, 0.15, 0]))
    assert not env.reachable(np.zeros(3)) and not env.reachable(np.array([-0.04, 0.0, 0.0]))
    assert not env.reachable(np.array([0.15, 0.3, 0])), "further than one step"
    assert env.free_length(np.zeros(3)) == pytest.approx(0.09, abs=0.0015)


def test_on_the_table():
    env = make(scene="table", max_path=0.2)
    for seed in range(6):
        observation, info = env.reset(seed=seed)
        truth = info["truth"]
        mesh = shared_catalogue("solids").mesh(truth["object"])
        lowest = (mesh.vertices @ truth["rotation"].T + truth["position"])[:, 2].min()
        assert lowest == pytest.approx(-0.05, abs=1e-6)
        assert observation["on_object"][0] == 1.0
    down = observation["eye_rotation"].T @ [0, 0, -1]
    for _ in range(3):
        observation, *_, info = env.step(np.float32([*down, 0, 0]))
    assert info["blocked"] and observation["eye_position"][2] >= -0.05 + RADIUS - 1e-6


def test_patches_and_their_layout():
    env = make(obs_mode="patch", columns=5, pixels=6)
    observation, _ = env.reset(seed=0)
    assert observation["patch"].shape == (5, 6, 6, 6) and "location" not in observation
    np.testing.assert_allclose(observation["sensor_rotation"][0], observation["eye_rotation"], atol=1e-6)
    gaze = observation["eye_rotation"][:, 2]
    aside = np.degrees(np.arccos(np.clip(observation["sensor_rotation"][1:, :, 2] @ gaze, -1, 1)))
    np.testing.assert_allclose(aside, 5.0, atol=0.01)


def test_patch_angles():
    degrees = np.degrees(patch_angles(64, 30 / 7))
    assert degrees.min() == pytest.approx(-15) and degrees.max() == pytest.approx(15)
    np.testing.assert_allclose(degrees[1] - degrees[0], [30 / 7, 0], atol=1e-9)
    np.testing.assert_allclose(patch_angles(1, 5.0), [[0, 0]])
    np.testing.assert_allclose(patch_angles(25, 5.0)[12], [0, 0], atol=1e-12)
    spiral = patch_angles(7, 5.0)
    assert np.allclose(spiral[0], 0) and len(np.unique(spiral, axis=0)) == 7


def test_pictures():
    for scene in ("held", "table"):
        env = make(scene=scene, render_mode="rgb_array")
        env.reset(seed=1)
        picture = env.render()
        assert picture.shape == (240, 320, 3) and picture.dtype == np.uint8
        assert (picture == (220, 30, 30)).all(axis=-1).sum() > 10, "a cross where the eye looks"
    silent = make()
    silent.reset(seed=0)
    with pytest.warns(UserWarning, match="render_mode"):
        assert silent.unwrapped.render() is None


def test_from_a_configuration():
    env = ObjectExploreEnv.from_config(
        WorldConfig(objects="solids"), EyeConfig(columns=5, pixels=6), obs_mode="both"
    )
    assert env.observation_space["patch"].shape == (5, 6, 6, 6)
    assert env.limits.max_turn == pytest.approx(math.radians(30))


def test_order_of_calls():
    env = ObjectExploreEnv(objects="solids")
    with pytest.raises(ResetNeeded):
        env.step(np.zeros(5, np.float32))
    env.reset(seed=0)
    with pytest.raises(ValueError, match="5 finite numbers"):
        env.step(np.zeros(4, np.float32))
    env.close()
    env.close()
    for use in (lambda: env.step(np.zeros(5)), env.reset, lambda: env.free_length(np.zeros(3))):
        with pytest.raises(ClosedEnvironmentError):
            use()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"object": "spere"}, "did you mean 'sphere'"),
        ({"objekt": "sphere"}, "did you mean 'object'"),
        ({"position": (0, 0)}, r"\(3,\) finite numbers"),
        ({"rotation": 2 * np.eye(3)}, "rotation matrix"),
        ({"eye_position": (0, 0, 3)}, "from the origin"),
        ({"gaze": (0, 0, 0)}, "direction"),
    ],
)
def test_wrong_options(options, message):
    env = make()
    with pytest.raises(ValueError, match=message):
        env.reset(options=options)
    env.reset(seed=0)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"scene": "floating"}, "scene must be one of"),
        ({"noise": "loud"}, "noise must be one of"),
        ({"obs_mode": "all"}, "obs_mode"),
        ({"backend": "eyes"}, "backend"),
        ({"columns": 0}, "give the eye a column, or a finger"),
        ({"fingers": -1}, "fingers=-1"),
        ({"field_of_view": 20.0}, "at most 12 degrees"),
        ({"pixels": 0}, "pixels must be above zero"),
        ({"objects": "/nowhere"}, "nowhere"),
    ],
)
def test_wrong_settings(settings, message):
    with pytest.raises(ValueError, match=message):
        ObjectExploreEnv(**{"objects": "solids", **settings})


def test_the_own_sensor_keeps_the_contract_of_sensors():
    retina = Retina([shared_catalogue("solids").mesh("sphere")], 8, math.radians(6))

    def look(position, rotation):
        b = len(position)
        return sense(
            retina, np.zeros(b, int), np.zeros((b, 3)), np.tile(np.eye(3), (b, 1, 1)), position, rotation
        )

    check_sensor(look)
    assert len(Sensors(EyeConfig(columns=9))) == 9


def test_the_contract_catches_a_world_that_cheats():
    class Telling(ObjectExploreEnv):
        def _info(self, went, blocked):
            return {**super()._info(went, blocked), "object": self.world.name}

    with pytest.raises(AssertionError, match="truth"):
        check_env_contract(Telling(objects="solids"))
    assert cortical.envs.__doc__
