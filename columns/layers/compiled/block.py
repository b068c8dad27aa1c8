"""Block-sparse weights times few samples: within the blocks that exist, only the rows of inputs that are not 0.

    y[o] += x_i W[o, f, i, :]        for every block f of inputs that the block o of outputs listens to

Row r of the batch belongs to column r modulo `columns`. The reference is `products.dense_product`; with many samples
`products.block_product` gathers blocks and leaves the work to torch.bmm.
"""

import numpy as np
from numba import njit

from .vector import LANES, add_scaled


@njit(cache=True)
def block(x, weight, blocks, bias, y):
    """y : (rows, outputs), written. x : (rows, inputs); weight : (columns, block rows, fan_in x size, size); blocks :
    (block rows, fan_in); bias : (columns, outputs)."""
    size = weight.shape[3]
    for r in range(len(x)):
        c = r % len(weight)
        y[r] = bias[c]
        w, out = weight[c].reshape(-1), y[r]
        for o in range(len(blocks)):
            for f in range(blocks.shape[1]):
                first = blocks[o, f] * size
                row = (o * blocks.shape[1] + f) * size * size
                for i in range(size):
                    value = x[r, first + i]
                    if value != 0:
                        _add_row(out, o * size, w, row + i * size, value, size)


@njit(cache=True, inline="always")
def _add_row(out, at, w, row, value, size):
    if size % LANES == 0:
        for lane in range(0, size, LANES):
            add_scaled(out, np.int64(at + lane), w, np.int64(row + lane), value)
    else:
        for lane in range(size):
            out[at + lane] += value * w[row + lane]
