"""The kernels of inference with arrays handed over as addresses.

Unpacking an array object costs about as much as selecting from 1,000 units, and a small product takes ten of them. The
callers vouch for what lies at the addresses: contiguous float32, int32 indices, uint16 targets, int32 starts.
"""

import numpy as np
from numba import carray, njit

from .gather import gather
from .scatter import scatter
from .select import select_rows, spread
from .vector import pointer


@njit(cache=True)
def select_at(drive, x, rows, n, k, floor, indices, values):
    """`select_rows`."""
    return select_rows(
        carray(pointer(drive), (rows, n), np.float32), carray(pointer(x), (rows, n), np.float32), k, floor,
        carray(pointer(indices), (rows, k), np.int32), carray(pointer(values), (rows, k), np.float32),
    )  # fmt: skip


@njit(cache=True)
def spread_at(indices, values, rows, k, n, full):
    """`spread`, every place of `full` written."""
    spread(
        carray(pointer(indices), (rows, k), np.int32), carray(pointer(values), (rows, k), np.float32),
        carray(pointer(full), (rows, n), np.float32),
    )  # fmt: skip


@njit(cache=True)
def scatter_at(indices, values, rows, k, weight, targets, starts, bias, y, columns, weights, inputs, outputs):
    """`scatter`."""
    scatter(
        carray(pointer(indices), (rows, k), np.int32), carray(pointer(values), (rows, k), np.float32),
        carray(pointer(weight), (columns, weights), np.float32), carray(pointer(targets), weights, np.uint16),
        carray(pointer(starts), inputs + 1, np.int32), carray(pointer(bias), (columns, outputs), np.float32),
        carray(pointer(y), (rows, outputs), np.float32),
    )  # fmt: skip


@njit(cache=True)
def gather_at(indices, values, rows, k, matrix, bias, y, columns, inputs, outputs):
    """`gather`."""
    gather(
        carray(pointer(indices), (rows, k), np.int32), carray(pointer(values), (rows, k), np.float32),
        carray(pointer(matrix), (columns, inputs, outputs), np.float32),
        carray(pointer(bias), (columns, outputs), np.float32), carray(pointer(y), (rows, outputs), np.float32),
    )  # fmt: skip
