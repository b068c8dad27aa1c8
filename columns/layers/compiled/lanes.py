"""Sparse weights times a whole batch: a sample in every lane of a vector, so that no product waits for an address.

    y[target[p], :] += w[p] x[j, :]        for every input j that is active in any sample

Worth it from some ten samples on, where sparse inputs of different samples share hardly any unit. A tile of outputs
stays in the nearest cache while all inputs pass; every input keeps a cursor into its ascending targets. Arrays are
(chunks, columns, units, lanes), lanes 16, 32 or 64. The reference is `products.dense_product`.
"""

import numpy as np
from numba import njit

from .vector import LANES, add_scaled, add_scaled_4, dot

TILE = 8192
"""Numbers of the outputs' tile: 32 KiB of float32."""


@njit(cache=True, inline="always")
def _silent(x, lanes, silent):
    for j in range(len(silent)):
        total = 0
        for i in range(j * lanes, (j + 1) * lanes):
            total += x[i] != 0
        silent[j] = total == 0


@njit(cache=True)
def lanes(x, weight, targets, starts, y):
    """Adds to y : (chunks, columns, outputs, lanes) the products of x : (chunks, columns, inputs, lanes)."""
    chunks, columns, inputs, width = x.shape
    outputs = y.shape[2]
    cursor, silent = np.empty(inputs, np.int64), np.empty(inputs, np.bool_)
    tile = max(TILE // width, 1)
    for chunk in range(chunks):
        for c in range(columns):
            a, b, w = x[chunk, c].reshape(-1), y[chunk, c].reshape(-1), weight[c]
            _silent(a, width, silent)
            cursor[:] = starts[:-1]
            for high in range(tile, outputs + tile, tile):
                for j in range(inputs):
                    if silent[j]:
                        continue
                    p, end, row = cursor[j], starts[j + 1], j * width
                    while p < end and targets[p] < high:
                        at = np.int64(targets[p]) * width
                        for lane in range(0, width, LANES):
                            add_scaled(b, at + lane, a, row + lane, w[p])
                        p += 1
                    cursor[j] = p


@njit(cache=True)
def lanes_backward(x, weight, targets, starts, slope, d_x, d_weight, skip):
    """Adds to d_x, like x, and d_weight : (columns, weights). skip : whether d_x of silent inputs is not wanted."""
    chunks, columns, inputs, width = x.shape
    outputs = slope.shape[2]
    cursor, silent = np.empty(inputs, np.int64), np.empty(inputs, np.bool_)
    tile = max(TILE // width, 1)
    for chunk in range(chunks):
        for c in range(columns):
            a, g, d_a = x[chunk, c].reshape(-1), slope[chunk, c].reshape(-1), d_x[chunk, c].reshape(-1)
            w, d_w = weight[c], d_weight[c]
            _silent(a, width, silent)
            cursor[:] = starts[:-1]
            for high in range(tile, outputs + tile, tile):
                for j in range(inputs):
                    if silent[j] and skip:
                        continue
                    first, end = cursor[j], starts[j + 1]
                    last = first
                    while last < end and targets[last] < high:
                        last += 1
                    cursor[j] = last
                    _slope_of_input(d_a, j * width, g, w, targets, first, last, width)
                    if not silent[j]:
                        _slope_of_weights(d_w, a, j * width, g, targets, first, last, width)


@njit(cache=True, inline="always")
def _slope_of_input(d_a, row, g, w, targets, first, last, width):
    p = first
    while p + 4 <= last:
        t0, t1 = np.int64(targets[p]) * width, np.int64(targets[p + 1]) * width
        t2, t3 = np.int64(targets[p + 2]) * width, np.int64(targets[p + 3]) * width
        for lane in range(0, width, LANES):
            add_scaled_4(
                d_a, row + lane, g, t0 + lane, t1 + lane, t2 + lane, t3 + lane, w[p], w[p + 1], w[p + 2], w[p + 3]
            )
        p += 4
    while p < last:
        at = np.int64(targets[p]) * width
        for lane in range(0, width, LANES):
            add_scaled(d_a, row + lane, g, at + lane, w[p])
        p += 1


@njit(cache=True, inline="always")
def _slope_of_weights(d_w, a, row, g, targets, first, last, width):
    for p in range(first, last):
        at = np.int64(targets[p]) * width
        if width == 64:
            d_w[p] += dot(a, row, g, at, 4)
        elif width == 32:
            d_w[p] += dot(a, row, g, at, 2)
        else:
            d_w[p] += dot(a, row, g, at, 1)
