"""Dense weights, of which only the rows of active inputs are read.

    y = sum over active j of x_j W[j, :]

W is kept input by input, (columns, inputs, outputs), so that a row is contiguous; four rows are added at a time, so
that y is loaded and stored a quarter as often. Row r of the batch belongs to column r modulo `columns`. Index -1 is an
empty slot. The reference is `products.dense_product`.
"""

import numpy as np
from numba import njit

from .vector import LANES, add_scaled, add_scaled_4, dot


@njit(cache=True)
def gather(indices, values, matrix, bias, y):
    """y : (rows, outputs), written. indices int32, values : (rows, k); matrix : (columns, inputs, outputs)."""
    outputs, zero = y.shape[1], 0 * bias[0, 0]
    whole = outputs - outputs % LANES
    for r in range(len(y)):
        c = r % len(matrix)
        rows, out = matrix[c].reshape(-1), y[r]
        out[:] = bias[c]
        for q in range(0, indices.shape[1], 4):
            j0, v0 = _slot(indices[r], values[r], q, zero)
            j1, v1 = _slot(indices[r], values[r], q + 1, zero)
            j2, v2 = _slot(indices[r], values[r], q + 2, zero)
            j3, v3 = _slot(indices[r], values[r], q + 3, zero)
            j0, j1, j2, j3 = j0 * outputs, j1 * outputs, j2 * outputs, j3 * outputs
            for i in range(0, whole, LANES):
                add_scaled_4(out, i, rows, j0 + i, j1 + i, j2 + i, j3 + i, v0, v1, v2, v3)
            for i in range(whole, outputs):
                out[i] += v0 * rows[j0 + i] + v1 * rows[j1 + i] + v2 * rows[j2 + i] + v3 * rows[j3 + i]


@njit(cache=True, inline="always")
def _slot(indices, values, q, zero):
    """Index and value of a slot; an empty one, or one behind the last, repeats a row that counts nothing."""
    if q < len(indices) and indices[q] >= 0:
        return np.int64(indices[q]), values[q]
    return np.int64(max(indices[0], 0)), zero


@njit(cache=True)
def gather_backward(indices, values, matrix, slope, d_values, d_matrix):
    """Writes d_values : (rows, k), adds to d_matrix : (columns, inputs, outputs), from slope : (rows, outputs)."""
    outputs, zero = slope.shape[1], 0 * slope[0, 0]
    whole = outputs - outputs % LANES
    for r in range(len(slope)):
        c = r % len(matrix)
        rows, d_rows, g = matrix[c].reshape(-1), d_matrix[c].reshape(-1), slope[r]
        for q in range(indices.shape[1]):
            total = zero
            if indices[r, q] >= 0:
                at, value = np.int64(indices[r, q]) * outputs, values[r, q]
                for i in range(0, whole, LANES):
                    total += dot(rows, at + i, g, i, 1)
                    add_scaled(d_rows, at + i, g, i, value)
                for i in range(whole, outputs):
                    total += rows[at + i] * g[i]
                    d_rows[at + i] += value * g[i]
            d_values[r, q] = total
