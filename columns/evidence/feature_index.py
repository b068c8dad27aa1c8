"""An index of all nodes by their features, so that those a reading may lie on are found without a look at the others.

The nodes are dealt into blocks of like features: a k-d tree (Bentley 1975, CACM 18) that halves the widest side, in
units of a typical node's sd, until WIDTH are left. Each block keeps a box around its nodes' features m_k and inverse
variances w_k and the largest of their log constants c, which bounds what any node in it can say of a reading x:

    c - 1/2 sum_k w_k (x_k - m_k)^2   <=   max c - 1/2 sum_k min w_k gap_k(x)^2,

gap_k the distance from x_k to the box. Hue, a unit vector u, has kappa (u . m - 1) <= -min kappa |gap(u)|^2 / 2. Groups
of GROUP blocks that follow each other have boxes too. compiled/shortlist.py searches it.
"""

from dataclasses import dataclass

import numpy as np

WIDTH, GROUP = 32, 16  # nodes of a block, blocks of a group
FEATURES = np.r_[14:20, 23:30]
"""Columns of a `node_table` that features are matched by: 0 curvatures, 2 saturation and value, 4 hue, 6 inverse
variances of curvatures, 8 of saturation and value, 10 concentration of hue, 11 log constants of both."""
MEANS, WEIGHTS = slice(0, 6), slice(6, 11)
CONSTANT = 2.0  # how far a nat of the log constants is, in sd of features


@dataclass(frozen=True, slots=True, eq=False)
class FeatureIndex:
    """Immutable; b blocks, c groups of them.

    numbers : (b, 13, WIDTH) float32, the FEATURES of each block's nodes; -inf constants where a place is empty
    node : (b, WIDTH) int32, the nodes, 0 where a place is empty
    owner, turns : (b, WIDTH) int32 and uint8, their objects and how many turns are tried at each
    boxes, group_boxes : (b, 19), (c, 19) float32: lowest and highest of the six means, lowest of the five weights,
        highest log constant of curvature, and of colour with the concentration of hue added
    """

    numbers: np.ndarray
    node: np.ndarray
    owner: np.ndarray
    turns: np.ndarray
    boxes: np.ndarray
    group_boxes: np.ndarray

    @classmethod
    def of(cls, table: np.ndarray, owner: np.ndarray, turns: np.ndarray) -> "FeatureIndex":
        """The index of nodes with such a `node_table` (n, 32), objects (n,) and turns (n,)."""
        order = alike(table)
        places = -len(order) % WIDTH
        node = np.concatenate([order, np.zeros(places, np.int64)])
        numbers = table[node][:, FEATURES]
        if places:
            numbers[-places:] = numbers[-places - 1]  # the box stays as it is
        blocks = numbers.reshape(-1, WIDTH, len(FEATURES))
        boxes = _boxes(blocks)
        if places:
            blocks[-1, -places:, 11:] = -np.inf
        starts = np.arange(0, len(boxes), GROUP)
        low, high = np.r_[0:6, 12:17], np.r_[6:12, 17:19]
        groups = np.empty((len(starts), boxes.shape[1]), np.float32)
        groups[:, low] = np.minimum.reduceat(boxes[:, low], starts)
        groups[:, high] = np.maximum.reduceat(boxes[:, high], starts)
        return cls(
            np.ascontiguousarray(blocks.transpose(0, 2, 1)), node.reshape(-1, WIDTH).astype(np.int32),
            owner[node].reshape(-1, WIDTH).astype(np.int32), turns[node].reshape(-1, WIDTH).astype(np.uint8),
            boxes, groups,
        )  # fmt: skip


def alike(table: np.ndarray) -> np.ndarray:
    """(n,) all nodes of a `node_table` (n, 32) in an order in which every WIDTH, and every WIDTH * GROUP, are alike."""
    numbers = table[:, FEATURES].astype(np.float32)
    weights = np.sqrt(np.median(numbers[:, WEIGHTS], 0))
    scale = np.concatenate([weights, weights[-1:], [CONSTANT, CONSTANT]]).astype(np.float32)
    place = numbers[:, np.r_[MEANS, 11:13]] * scale
    order, parts = np.arange(len(table)), [(0, len(table))]
    while parts:
        start, end = parts.pop()
        unit = WIDTH * GROUP if end - start > WIDTH * GROUP else WIDTH
        if end - start <= unit:
            continue
        part = order[start:end]
        near = place[part]
        half = -(-(end - start) // (2 * unit)) * unit  # only the last block is left with empty places
        side = np.argmax(near.max(0) - near.min(0))
        order[start:end] = part[np.argpartition(near[:, side], half - 1)]
        parts += [(start, start + half), (start + half, end)]
    return order


def _boxes(blocks: np.ndarray) -> np.ndarray:
    means, weights = blocks[..., MEANS], blocks[..., WEIGHTS]
    constants = np.stack([blocks[..., 11], blocks[..., 12] + blocks[..., 10]], -1)
    return np.concatenate([means.min(1), means.max(1), weights.min(1), constants.max(1)], 1)
