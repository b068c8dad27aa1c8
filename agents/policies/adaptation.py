"""Inhibition of return: a threshold that rises where one has been and decays, as that of an adapting neuron.

    b <- rho b + (1 - rho) visited        after every sensation
    score - beta b                        when it is chosen where to look next

b of a place is worked out from the places visited so far: a pure function, no state.
"""

import numpy as np


def adaptation(
    visited: np.ndarray, candidates: np.ndarray, reach: float, rho: float = 0.9, beta: float = 1.0
) -> np.ndarray:
    """What the candidates (c, 3) are to lose, (c,), since the points `visited` (n, 3), in their order, were sensed.

    reach : metres; a visit counts exp(-d^2 / 2 reach^2) at the distance d
    rho : share of the threshold that lasts from one visit to the next, 0 ... 1
    beta : the loss at a place that was visited for ever; 0: none anywhere
    Raises ValueError for a rho or a reach that makes no sense.
    """
    if not 0.0 <= rho < 1.0 or not reach > 0.0:
        raise ValueError(f"rho must be at least 0 and below 1, reach above 0 metres, not {rho} and {reach}")
    age = np.arange(len(visited))[::-1]
    distance = np.linalg.norm(candidates[:, None] - visited[None], axis=2)
    return beta * np.exp(-0.5 * (distance / reach) ** 2) @ ((1.0 - rho) * rho**age)
