"""Plain recognisers of words on the same log-mels, to see a column's figures beside.

Nearest recording by dynamic time warping (H. Sakoe & S. Chiba, IEEE Trans. ASSP 26, 1978),

    D(i, j) = |a_i - b_j| + min(D(i-1, j), D(i, j-1), D(i-1, j-1)),       distance D(n, m) / (n + m),

and nearest recording by Euclid, all recordings stretched to one length. Both hear whole recordings.
"""

from collections.abc import Sequence

import numba
import numpy as np
from scipy.ndimage import zoom

from cortical.envs.sound import BANDS, Sound

FRAMES, CELLS = 20, 20  # to which recordings are stretched, for Euclid


@numba.njit(cache=True)
def warped(a: np.ndarray, b: np.ndarray) -> float:
    """Distance of two series (n, d) and (m, d) after warping."""
    best = np.full((len(a) + 1, len(b) + 1), np.inf)
    best[0, 0] = 0.0
    for i in range(len(a)):
        for j in range(len(b)):
            gap = 0.0
            for k in range(a.shape[1]):
                gap += (a[i, k] - b[j, k]) ** 2
            best[i + 1, j + 1] = gap**0.5 + min(best[i, j], best[i, j + 1], best[i + 1, j])
    return best[len(a), len(b)] / (len(a) + len(b))


def stretched(sound: Sound, frames: int = FRAMES, cells: int = CELLS) -> np.ndarray:
    """All of a sound in (frames * cells,) numbers."""
    return np.asarray(zoom(sound.level, (frames / len(sound), cells / BANDS), order=1)).ravel()


def nearest(taught: Sequence[tuple[str, Sound]], asked: Sequence[Sound]) -> dict[str, list[str]]:
    """The words that both recognisers give."""
    table = np.stack([stretched(sound) for _, sound in taught])
    series = [np.ascontiguousarray(sound.level) for _, sound in taught]
    answers: dict[str, list[str]] = {"warping": [], "euclid": []}
    for sound in asked:
        level = np.ascontiguousarray(sound.level)
        by_warping = int(np.argmin([warped(level, known) for known in series]))
        by_euclid = int(((table - stretched(sound)) ** 2).sum(1).argmin())
        answers["warping"].append(taught[by_warping][0])
        answers["euclid"].append(taught[by_euclid][0])
    return answers
