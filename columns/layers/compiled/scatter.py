"""Sparse weights kept by input, times inputs of which only the active ones are listed.

    y[target[p]] += w[p] x_j        for every active input j and p = start[j] ... start[j + 1] - 1

Only (active inputs) x (their targets) products are formed. Where every input has one target in every bank (a packed
mask) all rows are equally long; random masks have rows of about that length. Weights are (columns, weights): row r of
the input belongs to column r modulo `columns`, so columns with their own weights share one mask. Index -1 is an empty
slot. The reference is `products.dense_product`.
"""

import numpy as np
from numba import njit


@njit(cache=True, inline="always")
def _span(indices, q, starts):
    """First weight of the input in slot q, and how many it has; none for an empty slot, or one behind the last."""
    if q >= len(indices) or indices[q] < 0:
        return np.int64(0), np.int64(0)
    first = np.int64(starts[indices[q]])
    return first, np.int64(starts[indices[q] + 1]) - first


@njit(cache=True, fastmath=True)
def scatter_row(indices, values, weight, targets, starts, y):
    """Adds the products of one row to y : (outputs,). Two inputs at a time, since the end of a short loop costs."""
    for q in range(0, len(indices), 2):
        first0, count0 = _span(indices, q, starts)
        first1, count1 = _span(indices, q + 1, starts)
        w0, target0 = weight[first0 : first0 + count0], targets[first0 : first0 + count0]
        w1, target1 = weight[first1 : first1 + count1], targets[first1 : first1 + count1]
        value0, value1 = values[q], values[min(q + 1, len(values) - 1)]
        both = min(count0, count1)
        for p in range(both):
            y[target0[p]] += value0 * w0[p]
            y[target1[p]] += value1 * w1[p]
        for p in range(both, count0):
            y[target0[p]] += value0 * w0[p]
        for p in range(both, count1):
            y[target1[p]] += value1 * w1[p]


@njit(cache=True)
def scatter(indices, values, weight, targets, starts, bias, y):
    """y : (rows, outputs), written. indices int32, values : (rows, k); weight : (columns, weights); targets :
    (weights,); starts : (inputs + 1,); bias : (columns, outputs)."""
    for r in range(len(y)):
        c = r % len(weight)
        y[r] = bias[c]
        scatter_row(indices[r], values[r], weight[c], targets, starts, y[r])


@njit(cache=True, fastmath=True)
def scatter_backward(indices, values, weight, targets, starts, slope, d_values, d_weight):
    """Adds to d_weight : (columns, weights), writes d_values : (rows, k), from slope : (rows, outputs)."""
    for r in range(len(slope)):
        c = r % len(weight)
        w, d_w, g = weight[c], d_weight[c], slope[r]
        for q in range(indices.shape[1]):
            j, value, total = indices[r, q], values[r, q], 0 * values[r, q]
            if j >= 0:
                for p in range(np.int64(starts[j]), np.int64(starts[j + 1])):
                    here = g[targets[p]]
                    total += w[p] * here
                    d_w[p] += value * here
            d_values[r, q] = total
