"""The best of many, for kernels: all at once, or as they come, by a histogram that says how good one must be."""

import numpy as np
from numba import njit

BINS, FINE = 1024, 16.0  # of the histogram, and of a nat


def strongest(score: np.ndarray, count: int) -> np.ndarray:
    """Indices of the `count` largest, largest first, ties in order."""
    if count < len(score):
        bar = np.partition(score, len(score) - count)[len(score) - count]
        best = np.flatnonzero(score >= bar)
    else:
        best = np.arange(len(score))
    return best[np.argsort(-score[best], kind="stable")][:count]


@njit(cache=True)
def ranking():
    """Nothing noted yet: (BINS + 2,) the weights noted in each bin, the bin of the bar, and the weights down to it."""
    made = np.zeros(BINS + 2, np.int64)
    made[BINS] = BINS - 1
    return made


@njit(cache=True, inline="always")
def _bin(top, score):
    return max(0, min(BINS - 1, int((top - score) * FINE)))


@njit(cache=True)
def about_in_order(scores, top):
    """Indices of scores, highest bin first."""
    ends = np.zeros(BINS + 1, np.int64)
    for score in scores:
        ends[_bin(top, score) + 1] += 1
    ends = np.cumsum(ends)
    order = np.empty(len(scores), np.int64)
    for k in range(len(scores)):
        place = _bin(top, scores[k])
        order[ends[place]] = k
        ends[place] += 1
    return order


@njit(cache=True, inline="always")
def note(ranked, top, score, weight, enough):
    """One more; the bar rises to the highest bin down to which there are `enough`. No score is above `top`."""
    place = _bin(top, score)
    ranked[place] += weight
    if place <= ranked[BINS]:
        ranked[BINS + 1] += weight
        while ranked[BINS] > 0 and ranked[BINS + 1] - ranked[ranked[BINS]] >= enough:
            ranked[BINS + 1] -= ranked[ranked[BINS]]
            ranked[BINS] -= 1


@njit(cache=True, inline="always")
def bar_of(ranked, top):
    """The score below which none is among the best: so many above it were noted already."""
    return top - (ranked[BINS] + 1) / FINE if ranked[BINS] < BINS - 1 else -np.inf
