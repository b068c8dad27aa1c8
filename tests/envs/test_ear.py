"""Sounds as surfaces, and the ear that moves over them; all sounds are made here."""

import numpy as np
import pytest
from scipy.io import wavfile
from scipy.signal import chirp

from cortical.envs.ear import Ear, Surface
from cortical.envs.sound import BAND, BANDS, HOP, SECOND, Clip, log_mel, read_clips, sound_of

RATE = 8000


def sweep(low: float, high: float, seconds: float = 0.4, loudness: float = 0.3) -> np.ndarray:
    time = np.arange(int(seconds * RATE)) / RATE
    return (loudness * chirp(time, low, seconds, high) * np.hanning(len(time))).astype(np.float32)


def clip(samples: np.ndarray) -> Clip:
    return Clip("sweep", "nobody", 0, samples, RATE)


def test_a_tone_is_loudest_in_its_band_and_a_chirp_climbs():
    tone = log_mel(sweep(1000, 1000), RATE)
    mels = np.linspace(*(2595 * np.log10(1 + f / 700) for f in (80, 4000)), BANDS + 2)[1:-1]
    middle = 700 * (10 ** (mels / 2595) - 1)
    assert abs(middle[tone[len(tone) // 2].argmax()] - 1000) < 60
    rising = log_mel(sweep(300, 3000), RATE)[8:-8].argmax(1)
    assert (np.diff(rising) >= 0).all() and rising[-1] - rising[0] > 15


def test_loudness_changes_nothing_but_noise_does():
    loud, soft = sound_of(clip(sweep(300, 3000))), sound_of(clip(sweep(300, 3000, loudness=0.1)))
    assert np.abs(loud.level - soft.level)[loud.level > -20].max() < 0.1
    noisy = sound_of(clip(sweep(300, 3000)), 0.0, np.random.default_rng(0))
    assert noisy.audible.mean() > loud.audible.mean() + 0.2
    again = sound_of(clip(sweep(300, 3000)), 0.0, np.random.default_rng(0))
    assert (noisy.level == again.level).all()
    with pytest.raises(ValueError, match="default_rng"):
        sound_of(clip(sweep(300, 3000)), 0.0)


def test_normals_and_curvatures_are_those_of_the_relief():
    surface = Surface(sound_of(clip(sweep(300, 3000))))
    frame, band = surface.spots()
    seen = surface.observed(frame, band, np.zeros(3))
    np.testing.assert_allclose(np.linalg.norm(seen["normal"], axis=1), 1, atol=1e-9)
    np.testing.assert_allclose(np.einsum("ni,nki->nk", seen["normal"], seen["directions"]), 0, atol=1e-9)
    at = {spot: i for i, spot in enumerate(zip(frame.tolist(), band.tolist(), strict=True))}
    pairs = [(i, at[t, b + 1]) for (t, b), i in at.items() if (t, b + 1) in at and abs(seen["normal"][i, 1]) < 0.2]
    low, high = np.array(pairs).T
    step = seen["location"][high] - seen["location"][low]
    mean = seen["normal"][low] + seen["normal"][high]
    rise = np.abs((step * mean).sum(1)) / np.linalg.norm(step, axis=1) / 2
    assert np.median(rise) < 0.03  # a step along the surface is across its normal


def test_place_is_time_and_band_and_silence_is_nothing():
    sound = sound_of(clip(np.concatenate([np.zeros(2000, np.float32), sweep(300, 3000)])))
    seen = Surface(sound).observed(np.array([2, 45]), np.array([5, 25]), np.array([0.5, 0.0, 0.0]))
    assert seen["on_object"].tolist() == [0.0, 1.0]
    assert not seen["location"][0].any() and not seen["normal"][0].any()
    np.testing.assert_allclose(seen["location"][1, :2], [0.5 + 45 * HOP * SECOND, 25 * BAND])
    assert set(seen) >= {"sensor_position", "sensor_rotation", "directions", "curvature", "hsv", "valid"}


def test_the_ear_goes_on_in_time_and_each_patch_keeps_to_its_bands():
    sound = sound_of(clip(sweep(300, 3000)))
    frame, band = Ear(columns=4).walk(sound, 30, np.random.default_rng(0))
    assert (np.diff(frame) >= 0).all() and band.shape == (30, 4)
    assert ((band // 10) == np.arange(4)).all()
    attending = Ear(columns=1, sharpness=3).walk(sound, 1000, np.random.default_rng(0))
    anywhere = Ear(columns=1, sharpness=0).walk(sound, 1000, np.random.default_rng(0))
    level = [sound.level[f, b[:, 0]].mean() for f, b in (attending, anywhere)]
    assert level[0] > level[1] + 5


def test_recordings_are_read_from_a_folder(tmp_path):
    wavfile.write(tmp_path / "up_anna_3.wav", RATE, (sweep(300, 3000) * 32767).astype(np.int16))
    wavfile.write(tmp_path / "down_bob_0.wav", RATE, np.stack([sweep(3000, 300)] * 2, 1))
    down, up = read_clips(tmp_path)
    assert (up.word, up.speaker, up.take, up.rate) == ("up", "anna", 3, RATE) and down.word == "down"
    np.testing.assert_allclose(up.samples, sweep(300, 3000), atol=1e-4)
    np.testing.assert_allclose(down.samples, sweep(3000, 300), atol=1e-6)


@pytest.mark.parametrize("kind", [np.uint8, np.int16, np.int32])
def test_silence_is_silent_in_any_number_of_bits(tmp_path, kind):
    limits, wave = np.iinfo(kind), sweep(300, 3000)
    half = (limits.max - limits.min + 1) / 2
    samples = np.clip(np.round(wave * half) + limits.min + half, limits.min, limits.max).astype(kind)
    wavfile.write(tmp_path / "up_anna_0.wav", RATE, samples)
    (clip,) = read_clips(tmp_path)
    np.testing.assert_allclose(clip.samples, wave, atol=0.01)


@pytest.mark.parametrize("columns", [0, 41])
def test_an_ear_has_a_band_or_more_for_each_column(columns):
    with pytest.raises(ValueError, match="1 to 40 columns"):
        Ear(columns)


def test_bad_recordings_are_refused_with_a_remedy(tmp_path):
    with pytest.raises(FileNotFoundError, match="give the folder of recordings"):
        read_clips(tmp_path)
    wavfile.write(tmp_path / "noname.wav", RATE, sweep(300, 3000))
    with pytest.raises(ValueError, match="WORD_SPEAKER_TAKE"):
        read_clips(tmp_path)
    with pytest.raises(ValueError, match="finite samples"):
        log_mel(np.zeros(10), RATE)
    with pytest.raises(ValueError, match="finite samples"):
        log_mel(np.full(4000, np.nan), RATE)
