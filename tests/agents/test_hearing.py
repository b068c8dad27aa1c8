"""Columns that hear: chirps made here are learnt and named."""

import numpy as np
import pytest
import torch

from cortical.agents.hearing import SPACING, Listener, learn_sound, learn_word
from cortical.columns.belief import Belief
from cortical.columns.messages import Consensus
from cortical.envs.ear import Ear
from cortical.envs.sound import Clip, Sound, sound_of

RATE = 8000
TURNS = {"up": (400, 2500, 400), "down": (2500, 400, 2500), "low": (400, 700, 300), "high": (2000, 3000, 2600)}


def word(name: str, random: np.random.Generator) -> Sound:
    """Three pitches one after the other, with a few overtones: no two takes are alike."""
    seconds = random.uniform(0.35, 0.45)
    time = np.linspace(0, 1, int(seconds * RATE))
    pitch = np.interp(time, (0, 0.5, 1), np.array(TURNS[name]) * random.uniform(0.95, 1.05))
    phase = 2 * np.pi * np.cumsum(pitch) / RATE
    tones = sum(np.sin(k * phase) / k for k in (1, 2)) * np.hanning(len(time))
    samples = tones + 1e-3 * random.standard_normal(len(time))
    return sound_of(Clip(name, "nobody", 0, samples.astype(np.float32), RATE))


def consensus(belief: Belief) -> Consensus:
    assert belief.consensus is not None
    return belief.consensus


@pytest.fixture(scope="module")
def maps():
    random = np.random.default_rng(0)
    return {name: [learn_sound([word(name, random)]) for _ in range(2)] for name in TURNS}


@pytest.mark.parametrize("columns", [1, 4])
def test_chirps_are_named(maps, columns):
    listener = Listener.knowing(maps, Ear(columns))
    random, right = np.random.default_rng(1), 0
    for name in TURNS:
        for _ in range(3):
            *_, belief = listener.hear(word(name, random), 20, random)
            right += listener.word(belief) == name
    assert right >= 11


def test_what_is_believed_of_a_word_is_the_sum_over_its_maps(maps):
    listener = Listener.knowing(maps, Ear())
    *_, belief = listener.hear(word("up", np.random.default_rng(2)), 10, np.random.default_rng(2))
    words = listener.log_posterior(belief)
    each = consensus(belief).log_posterior[0].exp()
    assert float(words.exp().sum()) == pytest.approx(1)
    assert float(words[0].exp()) == pytest.approx(float(each[:2].sum()))


def test_a_later_start_is_a_shift_in_time(maps):
    random = np.random.default_rng(3)
    sound = word("up", random)
    known = {"up": [learn_sound([sound])], "down": maps["down"]}
    *_, belief = Listener.knowing(known, Ear(4)).hear(sound, 20, np.random.default_rng(4))
    start = np.random.default_rng(4).uniform(0, 0.1)  # the first draw of `hear`
    frame = np.nonzero(sound.audible)[0]
    middle = start + 1e-3 * frame.mean()
    assert abs(float(consensus(belief).pose.location[0, 0]) - middle) < SPACING
    upright = consensus(belief).pose.rotation[0]
    assert float((upright - torch.eye(3)).abs().max()) < 0.35  # 20 degrees: a chirp alone leaves its slant open


def test_the_same_seed_hears_the_same(maps):
    listener, sound = Listener.knowing(maps, Ear(2)), word("low", np.random.default_rng(5))
    first, again = (
        [consensus(b).log_odds for b in listener.hear(sound, 8, np.random.default_rng(6))] for _ in range(2)
    )
    assert torch.equal(torch.stack(first), torch.stack(again))


def test_silence_teaches_nothing():
    silent = Sound(np.full((50, 40), -50.0))
    with pytest.raises(ValueError, match="isn't silent"):
        learn_sound([silent])


def test_silence_is_heard_as_nothing(maps):
    listener = Listener.knowing(maps, Ear())
    *_, belief = listener.hear(Sound(np.full((50, 40), -50.0)), 5, np.random.default_rng(0))
    assert int(consensus(belief).object_index[0]) == -1


def test_a_recording_is_learnt_at_every_tempo():
    sound = word("up", np.random.default_rng(7))
    slow = sound.stretched(1.25)
    assert len(slow) == round(1.25 * len(sound)) and sound.stretched(1.0) is sound
    known = learn_word([sound], (1.0, 1.25))
    length = [float(np.ptp(one.rows()[0][:, 0].numpy())) for one in known]
    assert length[1] / length[0] == pytest.approx(1.25, rel=0.1)
