"""Sounds as surfaces: a recording becomes a relief of log energy over time and frequency.

Power in bands of the mel scale, m(f) = 2595 log10(1 + f / 700) (D. O'Shaughnessy, Speech Communication, 1987), in
decibels below its loudest, smoothed a little:

    height z(t, b) = DECIBEL (10 log10 sum_f W_b(f) |X_t(f)|^2 - loudest),     x = SECOND t,   y = BAND b.

On such a surface places, normals and curvatures mean something: a shift along x is a later start, along y a higher
voice, along z a louder one; a slight tilt is another microphone. Where it is quiet there is no surface.
"""

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from scipy.io import wavfile
from scipy.ndimage import gaussian_filter, zoom

WINDOW, HOP = 0.032, 0.010  # seconds
BANDS = 40
LOWEST, HIGHEST = 80.0, 4000.0  # Hz
SMOOTH = (1.5, 1.0)  # frames, bands: sd of the smoothing
QUIET = 40.0  # decibels below the loudest, under which nothing is heard
SILENT = -50.0  # decibels: a recording whose loudest is no louder is of silence
SECOND, BAND, DECIBEL = 0.1, 0.001, 5e-5  # metres each


@dataclass(frozen=True, slots=True)
class Clip:
    """A recording of one word.

    word, speaker, take : what, by whom, which time
    samples : (n,) float32, -1 ... 1
    rate : samples a second
    """

    word: str
    speaker: str
    take: int
    samples: np.ndarray
    rate: int


@dataclass(frozen=True, slots=True)
class Sound:
    """What there is to hear, as a surface.

    level : (t, BANDS) float64, decibels relative to the loudest (a percentile, so that one click doesn't count)
    """

    level: np.ndarray

    @property
    def height(self) -> np.ndarray:
        """(t, BANDS) metres."""
        return self.level * DECIBEL

    @property
    def audible(self) -> np.ndarray:
        """(t, BANDS) bool, where there is something to hear."""
        return self.level > -QUIET

    def stretched(self, times: float) -> "Sound":
        """The same, so many times as long, at the same pitch."""
        return self if times == 1.0 else Sound(np.asarray(zoom(self.level, (times, 1.0), order=1)))

    def __len__(self) -> int:
        return len(self.level)


def read_clips(folder: str | Path) -> list[Clip]:
    """Recordings of a folder, by word, speaker and take: files WORD_SPEAKER_TAKE.wav, as in the Free Spoken Digit
    Dataset, or all of it in one fsdd.npz (audio, offsets, label, speaker, speaker_names, take, sample_rate).

    Raises FileNotFoundError if there is neither, ValueError for a file of another name.
    """
    packed, files = Path(folder) / "fsdd.npz", sorted(Path(folder).glob("*.wav"))
    if not files and not packed.is_file():
        raise FileNotFoundError(f"{folder} has neither *.wav nor fsdd.npz: give the folder of recordings")
    clips = [_read(file) for file in files] if files else _unpacked(packed)
    return sorted(clips, key=lambda clip: (clip.word, clip.speaker, clip.take))


def _read(file: Path) -> Clip:
    parts = file.stem.split("_")
    if len(parts) != 3 or not parts[2].isdecimal():
        raise ValueError(f"{file.name} doesn't say what it is: name it WORD_SPEAKER_TAKE.wav, such as 7_anna_0.wav")
    rate, samples = wavfile.read(file)
    middle, scale = 0.0, 1.0
    if samples.dtype.kind != "f":
        limits = np.iinfo(samples.dtype)
        scale = (limits.max - limits.min + 1) / 2
        middle = limits.min + scale  # 8 bits have no sign: silence is 128
    mono = (samples.astype(np.float32).reshape(len(samples), -1).mean(1) - middle) / scale
    return Clip(parts[0], parts[1], int(parts[2]), mono, rate)


def _unpacked(file: Path) -> list[Clip]:
    with np.load(file, allow_pickle=False) as data:
        parts = {name: data[name] for name in data.files}
    audio, rate = parts["audio"], int(parts["sample_rate"])
    ends = zip(parts["offsets"][:-1], parts["offsets"][1:], strict=True)
    return [
        Clip(str(word), str(parts["speaker_names"][who]), int(take), audio[a:b].astype(np.float32) / 32768, rate)
        for word, who, take, (a, b) in zip(parts["label"], parts["speaker"], parts["take"], ends, strict=True)
    ]


@lru_cache(maxsize=8)
def mel_filters(rate: int, length: int) -> np.ndarray:
    """Triangles W of the mel bands over the frequencies of a spectrum of so many samples, (BANDS, length // 2 + 1)."""

    def mel(hertz: float) -> float:
        return 2595 * np.log10(1 + hertz / 700)

    mels = np.linspace(mel(LOWEST), mel(min(HIGHEST, rate / 2)), BANDS + 2)
    edge = 700 * (10 ** (mels / 2595) - 1)[:, None]
    frequency = np.fft.rfftfreq(length, 1 / rate)
    rising = (frequency - edge[:-2]) / (edge[1:-1] - edge[:-2])
    falling = (edge[2:] - frequency) / (edge[2:] - edge[1:-1])
    return np.clip(np.minimum(rising, falling), 0, None)


def log_mel(samples: np.ndarray, rate: int) -> np.ndarray:
    """Power of samples (n,) in mel bands, decibels, (t, BANDS), a row every HOP seconds. Raises ValueError for a
    recording shorter than a window, or of numbers that aren't finite."""
    width, hop = round(WINDOW * rate), round(HOP * rate)
    if samples.ndim != 1 or len(samples) < width or not np.isfinite(samples).all():
        raise ValueError(f"a sound is (n,) finite samples, {width} or more at {rate} a second, not {samples.shape}")
    padded = np.pad(samples, width // 2)
    frames = np.lib.stride_tricks.sliding_window_view(padded, width)[::hop] * np.hanning(width)
    length = 2 * 2 ** int(np.ceil(np.log2(width)))  # more frequencies than samples: the lowest bands are narrow
    power = np.abs(np.fft.rfft(frames, length)) ** 2
    return 10 * np.log10(power @ mel_filters(rate, length).T + 1e-9)


def sound_of(clip: Clip, noise_db: float | None = None, random: np.random.Generator | None = None) -> Sound:
    """The surface of a recording, with white noise so many decibels below its power, if given, drawn from `random`."""
    samples = clip.samples
    if noise_db is not None:
        if random is None:
            raise ValueError("noise is drawn from a generator: hand one in as random=numpy.random.default_rng(seed)")
        strength = np.sqrt(np.mean(samples.astype(float) ** 2)) * 10 ** (-noise_db / 20)
        samples = samples + strength * random.standard_normal(len(samples))
    level = gaussian_filter(log_mel(samples, clip.rate), SMOOTH)
    loudest = max(float(np.percentile(level, 99)), SILENT)
    return Sound(np.maximum(level - loudest, -QUIET - 10))
