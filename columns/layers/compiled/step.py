"""Selection and product of one row in one call, for a network that steps at batch 1.

At this size the call itself would cost as much as the work, so the arrays travel as addresses: no object is unpacked.
The caller vouches for them. `chosen` has room for a whole vector more than winners.
"""

import numpy as np
from numba import carray, njit

from .scatter import scatter_row
from .select import select_row
from .vector import LANES, pointer


@njit(cache=True)
def select_scatter(x, plan):
    """Winners of a row times sparse weights. How many won, -1 if a NaN is there.

    x : address of (n,) float32. plan : address of int64: n, k, the bits of the float32 floor, weights, outputs, then
    addresses of weights, bias and y, float32, of targets, uint16, of starts, int32, and of 4 n + LANES int32 of scratch
    """
    p = carray(pointer(plan), 11, np.int64)
    n, k, weights, outputs = p[0], p[1], p[3], p[4]
    row, room = carray(pointer(x), n, np.float32), carray(pointer(p[10]), 4 * n + LANES, np.int32)
    found, keys, chosen = room[:n], room[n : 2 * n + LANES], room[2 * n + LANES : 3 * n + LANES]
    values = room[3 * n + LANES :].view(np.float32)
    floor = carray(pointer(plan + 16), 1, np.float32)[0]
    won = select_row(row, k, floor, found, keys, values, chosen)
    if won < 0:
        return won
    for i in range(won):
        values[i] = row[chosen[i]]
    bias, y = carray(pointer(p[6]), outputs, np.float32), carray(pointer(p[7]), outputs, np.float32)
    for i in range(outputs):
        y[i] = bias[i]
    scatter_row(
        chosen[:won], values, carray(pointer(p[5]), weights, np.float32), carray(pointer(p[8]), weights, np.uint16),
        carray(pointer(p[9]), n + 1, np.int32), y,
    )  # fmt: skip
    return won
