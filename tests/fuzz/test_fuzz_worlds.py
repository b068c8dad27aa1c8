"""An action, an option or a setting that makes no sense is refused with a ValueError and changes nothing; whatever is
taken leads to an observation within its space."""

import math

import gymnasium as gym
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from spoiling import TEXTS, VALUES

from cortical.envs.explore import ObjectExploreEnv
from cortical.envs.placing import OPTIONS

FUZZ = settings(settings.get_profile("fuzz"))
REFUSED = (ValueError, gym.error.Error)
"""Gymnasium has an error of its own for seeds."""
FLOATS = st.one_of(
    st.floats(-1, 1), st.floats(), st.sampled_from([1e38, 1e200, 1e308, -1e308, 5e-324, math.nan, math.inf])
)
SHAPES = st.one_of(st.just((5,)), hnp.array_shapes(min_dims=0, max_dims=2, max_side=6))
DTYPES = [
    np.float32,
    np.float64,
    np.float16,
    np.int64,
    np.uint8,
    np.bool_,
    np.complex128,
    np.object_,
    "U3",
    "S3",
    "M8[s]",
]
ARRAYS = st.sampled_from(DTYPES).flatmap(lambda kind: hnp.arrays(kind, SHAPES, elements=_elements(kind)))
ACTIONS = st.one_of(
    ARRAYS, st.lists(FLOATS, min_size=4, max_size=6), VALUES, st.sampled_from([None, {}, object(), [[]]])
)
VECTORS = st.lists(st.one_of(FLOATS, st.floats(-0.3, 0.3)), min_size=3, max_size=3)


def _elements(kind):
    return FLOATS if kind in (np.float64, np.object_) else None


def options() -> st.SearchStrategy[dict]:
    """Options of a reset: sensible ones, spoilt ones, unknown ones."""
    turn = st.one_of(st.just(np.eye(3)), hnp.arrays(np.float64, (3, 3), elements=FLOATS), VALUES)
    return st.fixed_dictionaries(
        {},
        optional={
            "object": st.one_of(st.sampled_from(["box", "torus"]), TEXTS, VALUES),
            "position": st.one_of(VECTORS, ACTIONS),
            "rotation": turn,
            "eye_position": st.one_of(VECTORS, ACTIONS),
            "gaze": st.one_of(VECTORS, ACTIONS),
            "colour": VALUES,
        },
    )


@pytest.fixture(scope="module", params=["held", "table"])
def env(request):
    made = ObjectExploreEnv("solids", scene=request.param, noise="noise", columns=2, pixels=4)
    made.reset(seed=0, options={"object": "box"})
    yield made
    made.close()


def check(env, observation) -> None:
    assert env.observation_space.contains(observation)
    assert np.linalg.norm(env.eye.position) <= 1.0 + 1e-9
    np.testing.assert_allclose(env.eye.rotation @ env.eye.rotation.T, np.eye(3), atol=1e-9)


@FUZZ
@given(action=ACTIONS)
def test_actions(env, action):
    if np.linalg.norm(env.eye.position) > 0.9:
        env.reset(seed=0, options={"object": "box"})
    before = env.eye
    try:
        observation, reward, *ends, info = env.step(action)
    except REFUSED as error:
        assert "5 finite numbers" in str(error)
        assert env.eye is before
        return
    given = np.asarray(action)
    assert given.shape == (5,) and given.dtype.kind in "fiub" and np.isfinite(given).all()
    check(env, observation)
    assert reward == 0.0 and not any(ends) and 0.0 <= info["path_length"] <= 0.2 + 1e-9


@FUZZ
@given(given=options(), seed=st.one_of(st.none(), st.integers(0, 2**32)))
def test_options(env, given, seed):
    try:
        observation, info = env.reset(seed=seed, options=given)
    except REFUSED as error:
        assert len(str(error)) > 20
        env.step(np.zeros(5))  # the episode before goes on
        return
    check(env, observation)
    assert set(given) <= set(OPTIONS)
    truth = info["truth"]
    if given.get("object") is not None:
        assert truth["object"] == given["object"]
    if "position" in given and env._scene.table is None:
        np.testing.assert_allclose(truth["position"], np.asarray(given["position"], float), rtol=1e-6, atol=1e-6)
    if "eye_position" in given:
        np.testing.assert_allclose(env.eye.position, np.asarray(given["eye_position"], float), rtol=1e-6)


@settings(FUZZ, max_examples=max(30, FUZZ.max_examples // 5))
@given(data=st.data())
def test_settings(data):
    names = [
        "scene",
        "columns",
        "pixels",
        "field_of_view",
        "spread",
        "backend",
        "noise",
        "obs_mode",
        "cube",
        "distance",
    ]
    names += ["max_path", "max_turn", "render_mode", "fingers"]
    values = st.one_of(VALUES, st.sampled_from(["held", "camera", "both", 0, 1, 3, 0.1, 5.0]))
    asked = {name: data.draw(values) for name in data.draw(st.sets(st.sampled_from(names), max_size=2))}
    try:
        env = ObjectExploreEnv("solids", **asked)
    except (ValueError, TypeError) as error:
        assert str(error)
        return
    env.close()


@FUZZ
@given(seed=st.one_of(st.integers(), VALUES))
def test_seeds(env, seed):
    try:
        observation, _ = env.reset(seed=seed, options={"object": "box"})
    except (*REFUSED, TypeError) as error:
        assert str(error)
        return
    assert seed is None or (isinstance(seed, int) and seed >= 0)
    check(env, observation)
