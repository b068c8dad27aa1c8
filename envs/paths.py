"""How far a ball can go along a straight path before it touches a body.

The path is free where the capsule that the ball sweeps touches nothing. The capsule is tried piece by piece
(a long slanted one has a large bounding box, hence many triangles to test), and the piece that touches is
halved down to a millimetre. A body whose bounding sphere stays away from the path is never asked.
"""

import math
from collections.abc import Callable

Point = tuple[float, float, float]

PIECES = tuple(0.032 / 2**k for k in range(6))
"""Lengths in metres of the capsules a path is tried with: 32 mm ... 1 mm."""
HAIR = 1e-4
"""Metres kept between a ball and what stopped it, so that rounding never makes the next start a touch."""


def free_length(
    origin: Point,
    way: Point,
    length: float,
    centre: Point,
    reach: float,
    touches: Callable[[float, float], bool],
) -> float:
    """Metres, `length` at most, that are free from `origin` along the unit vector `way`.

    centre, reach : sphere that the middle of the ball must enter before the ball can touch the body
    touches : (t, piece) -> whether the capsule swept from t to t + piece metres touches the body
    """
    x, y, z = centre[0] - origin[0], centre[1] - origin[1], centre[2] - origin[2]
    middle = x * way[0] + y * way[1] + z * way[2]
    half_squared = reach * reach - (x * x + y * y + z * z - middle * middle)
    if half_squared <= 0.0:
        return length
    half = math.sqrt(half_squared)
    t, end, size = max(0.0, middle - half), min(length, middle + half), 0
    while t < end:
        while size < len(PIECES) - 1 and PIECES[size] > end - t:
            size += 1
        if not touches(t, PIECES[size]):
            t += PIECES[size]
        elif size < len(PIECES) - 1:
            size += 1
        else:
            return max(0.0, t - HAIR)
    return length
