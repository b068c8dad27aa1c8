import json
import pickle

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.envs.registration import EnvSpec
from gymnasium.error import ClosedEnvironmentError
from gymnasium.utils.env_checker import check_env
from scipy.spatial.transform import Rotation

import cortical.envs  # noqa: F401
from cortical.envs.answers import Form, rotations_from_six, six_from_rotation
from cortical.envs.naming import COST, IDENTITY, NAT, POSE, WRONG, information
from cortical.envs.sensors import shared_catalogue
from cortical.envs.shape import CELLS, Shape, shared_shape

pytest.importorskip("pybullet", reason="PyBullet is not installed")
pytest.importorskip("embreex", reason="embreex is not installed")

NAME = "cortical/ObjectRecognition-v0"


def make(**settings):
    return gym.make(NAME, **{"objects": "solids", **settings})


def say(env, name=None, position=(0, 0, 0), rotation=None, move=(0, 0, 0, 0, 0)):
    """A dict action: answer `name`, or nothing."""
    answer = 0 if name is None else 1 + env.unwrapped.objects.index(name)
    six = six_from_rotation(np.eye(3) if rotation is None else rotation)
    return {
        "move": np.float32(move),
        "answer": answer,
        "pose": {"position": np.float32(position), "rotation": six},
    }


@pytest.mark.parametrize("action_mode", ["dict", "flat"])
@pytest.mark.parametrize("settings", [{}, {"columns": 4, "obs_mode": "patch", "noise": "dropout", "scene": "table"}])
@pytest.mark.parametrize("reward_mode", ["sparse", "information", "none"])
def test_checked_without_a_warning(action_mode, settings, reward_mode):
    env = make(action_mode=action_mode, reward_mode=reward_mode, **settings)
    check_env(env.unwrapped, skip_render_check=True)


def test_what_answers_are_worth():
    env = make()
    _, info = env.reset(seed=1, options={"object": "box"})
    truth = info["truth"]
    _, reward, ended, cut, info = env.step(say(env, move=(0.1, 0, 0, 0, 0)))
    assert (reward, ended, cut) == (-COST, False, False) and "result" not in info
    _, reward, ended, _, info = env.step(say(env, "cone"))
    assert reward == pytest.approx(WRONG - COST) and ended
    assert info["result"]["answer"] == "cone" and not info["result"]["right"]
    for position, rotation, pose_right in (
        (truth["position"], truth["rotation"], True),
        (truth["position"] + 0.03, truth["rotation"], False),
        (truth["position"], truth["rotation"] @ Rotation.from_rotvec([0.8, 0, 0]).as_matrix(), False),
        # a box looks the same after half a turn about an edge
        (truth["position"], truth["rotation"] @ Rotation.from_rotvec([0, np.pi, 0]).as_matrix(), True),
    ):
        env.reset(seed=1, options={"object": "box"})
        _, reward, ended, _, info = env.step(say(env, "box", position, rotation))
        assert ended and info["result"]["right"] and info["result"]["pose_right"] == pose_right
        assert reward == pytest.approx(IDENTITY + POSE * pose_right - COST)
        assert (info["result"]["add_s"] < 0.002) == pose_right


def test_numbers_that_mean_no_rotation_name_the_object_all_the_same():
    env = make()
    _, info = env.reset(seed=1, options={"object": "box"})
    action = say(env, "box", info["truth"]["position"])
    action["pose"]["rotation"] = np.float32([1, 0, 0, -1, 0, 0])
    _, reward, ended, _, info = env.step(action)
    assert ended and reward == pytest.approx(IDENTITY - COST) and info["result"]["add_s"] == np.inf


def test_flat_actions_say_the_same():
    flat, apart = make(action_mode="flat"), make()
    truth = flat.reset(seed=3)[1]["truth"]
    apart.reset(seed=3)
    move = np.float32([0.2, 0.1, 0, 0.1, -0.1])
    form: Form = flat.unwrapped.form
    scores = np.full(len(flat.unwrapped.objects) + 1, -1.0)
    scores[1 + flat.unwrapped.objects.index(truth["object"])] = 0.5
    place = truth["position"] / form.farthest
    action = np.float32([*move, *scores, *place, *six_from_rotation(truth["rotation"])])
    assert flat.action_space.contains(action)
    first = flat.step(action)
    second = apart.step(say(apart, truth["object"], truth["position"], truth["rotation"], move))
    assert first[1:4] == second[1:4] == (pytest.approx(IDENTITY + POSE - COST), True, False)
    for name, value in first[0].items():
        assert np.array_equal(value, second[0][name])
    waiting = np.zeros(flat.action_space.shape, np.float32)
    flat.reset(seed=3)
    assert flat.step(waiting)[2] is False, "equal scores: no answer yet"


def test_looking_at_new_surface_pays_once():
    env, plain = make(reward_mode="information"), make(reward_mode="sparse")
    env.reset(seed=2)
    plain.reset(seed=2)
    still = say(env)
    assert env.step(still)[1] == pytest.approx(-COST), "what is looked at already teaches nothing"
    random, gained = np.random.default_rng(0), 0.0
    for _ in range(40):
        action = say(env, move=random.uniform(-0.1, 0.1, 5))
        looked, without = env.step(action)[1], plain.step(action)[1]
        assert looked >= without
        gained += looked - without
    seen = env.unwrapped.naming._seen.sum()
    first = information(np.array([1]))[0]
    assert seen > 3 and gained == pytest.approx(NAT * (information(np.array([seen]))[0] - first))


def test_information_rises_to_that_of_all_parts():
    nats = information(np.arange(CELLS + 1))
    assert nats[0] == 0.0 and nats[-1] == pytest.approx(np.log(CELLS)) and (np.diff(nats) >= 0).all()
    assert (np.diff(nats, 2) <= 1e-12).all(), "new surface pays less the more has been seen"


def test_no_reward_where_none_is_asked_for():
    env = make(reward_mode="none")
    env.reset(seed=0)
    assert env.step(say(env))[1] == 0.0 and env.step(say(env, "box"))[1:3] == (0.0, True)


@pytest.mark.parametrize("source", ["solids", "default"])
def test_distance_between_poses_knows_symmetry_by_shape(source):
    catalogue, random = shared_catalogue(source), np.random.default_rng(0)
    for index in (0, len(catalogue) - 1):
        shape = shared_shape(source, index)
        for turn in Rotation.random(5, rng=random).as_matrix():
            place = random.uniform(-0.05, 0.05, 3)
            assert shape.distance((place, turn), (place, turn)) < 0.002
            away = shape.distance((place, turn), (place + np.array([0.05, 0, 0]), turn))
            assert 0.005 < away <= 0.052
    sphere = shared_shape("solids", shared_catalogue("solids").index("sphere"))
    for turn in Rotation.random(5, rng=random).as_matrix():
        assert sphere.distance((np.zeros(3), np.eye(3)), (np.zeros(3), turn)) < 0.002


def test_parts_of_a_surface_are_alike_in_size():
    mesh = shared_catalogue("solids").mesh("sphere")
    shape = Shape(mesh.vertices, mesh.faces)
    faces = np.arange(len(mesh.faces))
    sizes = np.bincount(shape.cells(mesh.vertices[mesh.faces].mean(axis=1), faces), minlength=CELLS)
    assert sizes.min() > 0.3 * sizes.mean() and sizes.max() < 2.5 * sizes.mean()


def test_six_numbers_mean_a_rotation():
    turns = Rotation.random(50, rng=np.random.default_rng(1)).as_matrix()
    six = np.stack([six_from_rotation(turn) for turn in turns])
    back, meant = rotations_from_six(3.0 * six + np.tile([0, 0, 0], 2))
    assert meant.all()
    np.testing.assert_allclose(back, turns, atol=1e-6)
    skewed = six.copy()
    skewed[:, 3:] += 0.7 * six[:, :3]
    np.testing.assert_allclose(rotations_from_six(skewed)[0], turns, atol=1e-6)
    none = rotations_from_six(np.array([[0.0] * 6, [1, 0, 0, 2, 0, 0]]))
    assert not none[1].any() and np.array_equal(none[0], np.tile(np.eye(3), (2, 1, 1)))


def test_a_spec_survives_json_and_pickling():
    env = make(action_mode="flat", reward_mode="information", columns=2)
    again = EnvSpec.from_json(env.spec.to_json())
    assert again.kwargs == env.spec.kwargs == pickle.loads(pickle.dumps(env.spec)).kwargs
    assert json.loads(env.spec.to_json())["max_episode_steps"] == 500
    first, second = env.reset(seed=1)[0], gym.make(again).reset(seed=1)[0]
    for name, value in first.items():
        assert np.array_equal(value, second[name])


def test_the_world_is_that_of_exploring():
    env, other = make(noise="noise"), gym.make("cortical/ObjectExplore-v0", objects="solids", noise="noise")
    pairs = [(env.reset(seed=9)[0], other.reset(seed=9)[0])]
    for _ in range(10):
        move = np.float32([0.1, 0.2, 0, 0.05, 0])
        pairs.append((env.step(say(env, move=move))[0], other.step(move)[0]))
    assert all(np.array_equal(value, b[name]) for a, b in pairs for name, value in a.items())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"answer": 99}, "answer is 0"),
        ({"answer": -1}, "answer is 0"),
        ({"answer": 1.5}, "whole number"),
        ({"move": np.zeros(4)}, "5 finite numbers"),
        ({"move": np.full(5, np.nan)}, "5 finite numbers"),
        ({"pose": np.zeros(9)}, "pose must be a dict"),
        ({"pose": {"position": np.zeros(3)}}, "position, rotation"),
        ({"pose": {"position": np.full(3, np.inf), "rotation": np.zeros(6)}}, "position must be"),
        ({"pose": {"position": np.zeros(3), "rotation": np.zeros((3, 3))}}, "rotation must be"),
        ({"pose": {"position": np.full(3, 1e200), "rotation": np.zeros(6)}}, "position must be"),
        ({"pose": {"position": "here", "rotation": np.zeros(6)}}, "position must be"),
        ({"move": None}, "move must be"),
        ({"answer": "box"}, "whole number"),
        ({"answers": 1}, "action must be a dict"),
    ],
)
def test_wrong_actions(change, message):
    env = make(disable_env_checker=True).unwrapped
    env.reset(seed=0)
    with pytest.raises(ValueError, match=message):
        env.step(say(env) | change)


def test_wrong_flat_actions_and_settings():
    env = make(action_mode="flat", disable_env_checker=True).unwrapped
    env.reset(seed=0)
    size = env.action_space.shape[0]
    for wrong in (np.zeros(5), np.full(size, np.nan), np.zeros((1, size)), None, "box", np.full(size, 1e200)):
        with pytest.raises(ValueError, match=r"finite|flat action"):
            env.step(wrong)
    for settings in ({"action_mode": "both"}, {"reward_mode": "dense"}, {"scene": "floating"}):
        with pytest.raises(ValueError, match="must be one of"):
            make(**settings)
    env.close()
    env.close()
    with pytest.raises(ClosedEnvironmentError):
        env.reset()


def test_a_picture():
    env = make(render_mode="rgb_array")
    env.reset(seed=0)
    assert env.render().shape == (240, 320, 3)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("name", [NAME, "cortical/ObjectExplore-v0"])
def test_a_video(name, tmp_path):
    moviepy = pytest.importorskip("moviepy", reason="the extra video is not installed")
    env = gym.make(name, objects="solids", render_mode="rgb_array", max_episode_steps=5)
    env = gym.wrappers.RecordVideo(env, str(tmp_path / "videos"), disable_logger=True)
    env.action_space.seed(0)
    env.reset(seed=0)
    for _ in range(5):
        *_, ended, cut, _ = env.step(env.action_space.sample())
        if ended or cut:
            break
    env.close()
    (file,) = (tmp_path / "videos").glob("*.mp4")
    with moviepy.VideoFileClip(str(file)) as clip:
        assert tuple(clip.size) == (320, 240) and clip.get_frame(0.0).std() > 1.0
