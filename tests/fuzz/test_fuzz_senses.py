"""What is no observation is refused with a ValueError; what is no number in one is not valid, and not believed."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from spoiling import VALUES

from cortical.agents.sensing import NEEDED, NEEDED_OF_PATCHES, Senses
from cortical.configs.schema import EyeConfig, WorldConfig
from cortical.envs.explore import ObjectExploreEnv

FUZZ = settings(settings.get_profile("fuzz"))
COLUMNS = 3
NAMES = sorted(NEEDED | NEEDED_OF_PATCHES)
FLOATS = st.one_of(st.floats(width=32), st.sampled_from([np.nan, np.inf, -np.inf, 1e38, -1e38, 0.0, -0.0, 1e-45]))
DTYPES = [np.float32, np.float64, np.float16, np.int64, np.bool_, np.complex64, np.object_, "U2", "M8[s]"]


@pytest.fixture(scope="module")
def observation():
    eye = EyeConfig(columns=COLUMNS, noise="clean", pixels=8)
    env = ObjectExploreEnv.from_config(WorldConfig(objects="solids"), eye, obs_mode="both")
    found, _ = env.reset(seed=1, options={"object": "torus"})
    env.close()
    return found


@pytest.fixture(scope="module", params=[False, True], ids=["surface", "codes"])
def senses(request):
    return Senses(coded=request.param)


def other(part: np.ndarray, data) -> object:
    """A part of an observation, spoilt."""
    kind = data.draw(st.sampled_from(["numbers", "all", "shape", "type", "value", "view"]))
    part = part.copy()
    if kind == "numbers":
        for _ in range(data.draw(st.integers(1, 3))):
            part.reshape(-1)[data.draw(st.integers(0, part.size - 1))] = data.draw(FLOATS)
    elif kind == "all":
        part[:] = data.draw(FLOATS)
    elif kind == "shape":
        part = np.zeros(data.draw(hnp.array_shapes(min_dims=0, max_dims=4, max_side=8)), np.float32)
    elif kind == "type":
        part = part.astype(data.draw(st.sampled_from(DTYPES)))
    elif kind == "view":
        part = part[::-1]
    return data.draw(VALUES) if kind == "value" else part


@FUZZ
@given(data=st.data())
def test_observations(observation, senses, data):
    spoilt = dict(observation)
    for _ in range(data.draw(st.integers(1, 3))):
        name = data.draw(st.sampled_from(NAMES))
        if data.draw(st.integers(0, 9)) == 0:
            spoilt.pop(name, None)
        else:
            spoilt[name] = other(observation[name], data)
    try:
        sensation = senses(spoilt)
    except ValueError as error:
        assert any(name in str(error) for name in NAMES)
        return
    needed = NEEDED | (NEEDED_OF_PATCHES if senses.encoder else {})
    parts = {name: np.asarray(spoilt[name], float).reshape(COLUMNS, -1) for name in needed}
    finite = np.all([np.isfinite(part.astype(np.float32)).all(1) for part in parts.values()], axis=0)
    wanted = finite & (parts["valid"][:, 0] > 0.5)
    assert sensation.valid.shape == (1, COLUMNS) and sensation.valid.dtype == torch.bool
    assert not (sensation.valid[0].numpy() & ~wanted).any()  # nothing that is no number is believed
    for name in ("origin", "gaze", "location", "normal", "direction", "curvature", "hsv"):
        part = getattr(sensation, name)
        assert part.dtype == torch.float32 and bool(torch.isfinite(part).all())
    assert sensation.code.dtype == torch.int64


def test_a_whole_observation_is_understood(observation, senses):
    assert bool(senses(observation).valid.all())
