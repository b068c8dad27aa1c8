"""Sparse weights kept by input, times inputs of which only the active ones are listed.

    y[target[p]] += w[p] x_j        for every active input j and p = start[j] ... start[j + 1] - 1

Only (active inputs) x (their targets) products are formed. Where every input has one target in every bank (a packed
mask) all rows are equally long; random masks have rows of about that length. Weights are (columns, weights): row r of
the input belongs to column r modulo `columns`, so columns with their own weights share one mask. Index -1 is an empty
slot. The reference is `products.dense_product`.
"""

from numba import njit


@njit(cache=True, fastmath=True)
def scatter_row(indices, values, weight, targets, starts, y):
    """Adds the products of one row to y : (outputs,)."""
    for q in range(len(indices)):
        j, value = indices[q], values[q]
        if j >= 0:
            for p in range(starts[j], starts[j + 1]):
                y[targets[p]] += value * weight[p]


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
                for p in range(starts[j], starts[j + 1]):
                    here = g[targets[p]]
                    total += w[p] * here
                    d_w[p] += value * here
            d_values[r, q] = total
