"""The k largest of a row, exactly, in little more than one pass over it.

1. The row is cut into m >= 2 k interleaved groups. The k-th largest of their maxima is a lower bound of the row's
   k-th largest value, since k groups hold at least one value each that is as large; few other values reach it.
2. One pass lists the values that reach the bound, 16 comparisons at a time.
3. Among these few, the k-th largest is found by bisection over float32 bit patterns, which are ordered as integers.

The reference is `winners.winner_mask`. Ties go to the lower index; nothing is approximated.
"""

import numpy as np
from numba import njit

from .vector import LANES, count_bits, keys_reach, lowest_bit, raise_to, reaches, squeeze, unordered

WHOLE = 4
"""Rows of fewer than WHOLE k units are bisected as they are: groups would not narrow them."""
LOWEST = np.int32(-(2**31))
HIGHEST = np.int32(2**31 - 1)


@njit(cache=True, inline="always")
def ordered(bits):
    """Float32 bit patterns as integers of the same order; its own inverse."""
    return bits ^ ((bits >> 31) & np.int32(0x7FFFFFFF))


@njit(cache=True, inline="always")
def between(low, high, turn):
    """A key above `low` and at most `high`: by turns that of the mean value, near which values are dense, and the
    middle one, which always halves what is left."""
    if turn & 1 == 0:
        first, last = np.int32(ordered(low)).view(np.float32), np.int32(ordered(high)).view(np.float32)
        key = np.int32(ordered(np.float32(np.float32(0.5) * first + np.float32(0.5) * last).view(np.int32)))
        if low < key <= high:
            return np.int32(key)
    return np.int32((np.int64(low) + np.int64(high) + 1) >> 1)


@njit(cache=True)
def cut_of(keys, count, k, slack):
    """A key that at least k of the first `count` keys reach, unless ties forbid it no more than k + slack; how many do.

    keys : int32, room for LANES more, which are overwritten
    """
    low, high = HIGHEST, LOWEST
    for i in range(count):
        low, high = min(low, keys[i]), max(high, keys[i])
    for i in range(count, count + LANES):
        keys[i] = LOWEST
    held, turn = count, 0  # how many reach `low`
    while low < high and held > k + slack:
        middle, turn = between(low, high, turn), turn + 1
        reach = 0
        for at in range(0, count, LANES):
            reach += count_bits(keys_reach(keys, at, middle))
        if reach < k:
            high = np.int32(middle - 1)
        else:
            low, held = middle, reach
    return low, held


@njit(cache=True)
def bound_of(row, k, keys, tops):
    """A lower bound of the k-th largest value of a row, from maxima of interleaved groups; scratch as `select_row`."""
    n, groups = len(row), LANES
    while groups < 2 * k:
        groups *= 2
    for i in range(groups):
        tops[i] = row[i]
    # Values behind the last whole round of groups are left out: the bound stays a bound.
    rounds = n // groups
    for i in range(0, groups, LANES):
        r = 1
        while r + 5 <= rounds:
            raise_to(tops, i, row, r * groups + i, groups, 5)
            r += 5
        while r < rounds:
            raise_to(tops, i, row, r * groups + i, groups, 1)
            r += 1
    bits = tops.view(np.int32)
    for i in range(groups):
        keys[i] = ordered(bits[i])
    bits[0] = ordered(cut_of(keys, groups, k, k >> 2)[0])
    return tops[0]


@njit(cache=True)
def candidates(row, least, found):
    """Indices of the values of a row that reach `least`, ascending, into `found`; how many."""
    count, whole = 0, len(row) - len(row) % LANES
    for start in range(0, whole, LANES):
        bits = reaches(row, start, least)
        while bits:
            found[count] = start + lowest_bit(bits)
            count += 1
            bits &= bits - 1
    for i in range(whole, len(row)):
        if row[i] >= least:
            found[count] = i
            count += 1
    return count


@njit(cache=True)
def has_nan(row):
    """Whether a float32 row holds a NaN."""
    bad, whole = 0, len(row) - len(row) % LANES
    for start in range(0, whole, LANES):
        bad |= unordered(row, start)
    for i in range(whole, len(row)):
        bad |= row[i] != row[i]
    return bad != 0


@njit(cache=True, inline="always")
def narrowed(n, k):
    """Whether k winners of n units are sought among few candidates."""
    return n >= WHOLE * k and n >= 2 * LANES


@njit(cache=True)
def select_row(row, k, floor, found, keys, tops, chosen):
    """Indices of the k largest of a row that exceed `floor`, ascending, into `chosen`; how many, -1 if a NaN is there.

    row : (n,) float32. found, keys : (n + LANES,) int32, tops : (n,) float32, scratch. chosen : (k,) int32
    """
    return _ranked(row, k, floor, found, keys, tops, chosen)[0]


@njit(cache=True)
def _ranked(row, k, floor, found, keys, tops, chosen):
    """`select_row`, and the cut that the winners' keys reach; unless narrowed, keys are those of all units in order."""
    n = len(row)
    if has_nan(row):
        return -1, LOWEST
    zero = np.float32(0.0)  # added, it makes -0 and 0 equal
    if narrowed(n, k):
        count = candidates(row, bound_of(row, k, keys, tops), found)
        for i in range(count):
            tops[i] = row[found[i]] + zero
    else:
        count = n
        for i in range(n):
            tops[i] = row[i] + zero
            found[i] = i
    bits = tops.view(np.int32)
    for i in range(count):
        keys[i] = ordered(bits[i])
    cut, reach = cut_of(keys, count, k, 0)
    spare = reach - k
    if spare:  # ties at the cut: the last of them lose
        spare = _drop_last(keys, count, cut, spare)
    if floor > -np.inf:
        tops[0] = np.float32(floor) + zero
        cut = max(cut, np.int32(ordered(bits[0]) + 1))
    return _listed(keys, count, cut, found, chosen), cut


@njit(cache=True)
def _listed(keys, count, cut, found, chosen):
    """Those of `found` whose keys reach the cut, into `chosen`, which has room for them; how many."""
    won, room = 0, len(chosen)
    for at in range(0, count, LANES):
        hits = keys_reach(keys, at, cut)
        if won + LANES <= room:
            squeeze(chosen, won, found, at, hits)
            won += count_bits(hits)
            continue
        while hits:
            chosen[won] = found[at + lowest_bit(hits)]
            hits &= hits - 1
            won += 1
    return won


@njit(cache=True)
def _drop_last(keys, count, cut, spare):
    for i in range(count - 1, -1, -1):
        if keys[i] == cut and spare:
            keys[i] = LOWEST
            spare -= 1
    return spare


@njit(cache=True)
def select_rows(drive, x, k, floor, indices, values):
    """`select_row` of every row of drive : (rows, n) into indices : (rows, k) int32, what x holds there into values.

    Slots that stay empty hold -1 and 0. How many are empty; -1 where a NaN is met. x, values : like drive, indices
    """
    empty, n = 0, drive.shape[1]
    found, keys, tops = np.empty(n + LANES, np.int32), np.empty(n + LANES, np.int32), np.empty(n, np.float32)
    whole = not narrowed(n, k) and n % LANES == 0  # values can be listed as indices are, by the same keys
    x_bits, bits = x.view(np.int32), values.view(np.int32)
    for r in range(len(drive)):
        won, cut = _ranked(drive[r], k, floor, found, keys, tops, indices[r])
        if won < 0:
            return -1
        if whole:
            _listed(keys, n, cut, x_bits[r], bits[r])
        else:
            for i in range(won):
                values[r, i] = x[r, np.uint32(indices[r, i])]
        for i in range(won, k):
            indices[r, i], values[r, i] = -1, 0
        empty += k - won
    return empty


@njit(cache=True)
def spread(indices, values, full):
    """full : (rows, n) becomes `values` at indices : (rows, k), both of which -1 skips, and zero elsewhere."""
    for r in range(len(full)):
        full[r] = 0  # just before it is written, so that it is in the nearest cache
        for i in range(indices.shape[1]):
            at = indices[r, i]
            if at >= 0:
                full[r, np.uint32(at)] += values[r, i]
