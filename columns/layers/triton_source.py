"""The source of the Triton kernels: see `triton_kernels`, which is how they are called.

Sums are kept in registers in type SUM and every number is written by one program alone, so every run gives the same
bits. The first dimension of a grid are rows (or entries, one for every slot of every row), the second tiles.
"""

# pyright: reportMissingImports=false
import triton
import triton.language as tl


def power_of_two(n: int) -> int:
    """The smallest power of two >= n."""
    return triton.next_power_of_2(n)


@triton.jit
def select(drive, x, indices, values, n, k, floor, BLOCK: tl.constexpr):
    """One row a program: halves the range of the cut until exactly the k-th largest is left."""
    row = tl.program_id(0).to(tl.int64)
    place = tl.arange(0, BLOCK)
    push = tl.load(drive + row * n + place, mask=place < n, other=float("-inf")).to(tl.float32)
    push = tl.where(push == 0.0, 0.0, push)  # -0 is no smaller than 0
    bits = push.to(tl.int32, bitcast=True)
    key = tl.where(bits < 0, bits ^ 0x7FFFFFFF, bits).to(tl.int64)
    key = tl.where(place < n, key, -2147483649)
    low = tl.full((), -2147483648, tl.int64)  # at least k reach it
    high = tl.full((), 2147483648, tl.int64)  # fewer than k do
    for _ in range(32):
        middle = (low + high) >> 1
        enough = tl.sum((key >= middle).to(tl.int32)) >= k
        low = tl.where(enough, middle, low)
        high = tl.where(enough, high, middle)
    above = key > low
    equal = (key == low).to(tl.int32)
    room = k - tl.sum(above.to(tl.int32))
    won = above | ((equal > 0) & (tl.cumsum(equal) <= room))
    won = won & ((push > floor) | (floor == float("-inf")))
    slot = tl.cumsum(won.to(tl.int32)) - 1
    kept = tl.load(x + row * n + place, mask=won, other=0.0)
    tl.store(indices + row * k + slot, place, mask=won)
    tl.store(values + row * k + slot, kept, mask=won)


@triton.jit
def spread(indices, slope, d_x, n, k, BLOCK: tl.constexpr):
    """One row a program: the slopes of winners to their places in d_x, which is zero elsewhere."""
    row = tl.program_id(0).to(tl.int64)
    slot = tl.arange(0, BLOCK)
    index = tl.load(indices + row * k + slot, mask=slot < k, other=-1)
    kept = tl.load(slope + row * k + slot, mask=index >= 0, other=0.0)
    tl.store(d_x + row * n + index, kept, mask=index >= 0)


@triton.jit
def gather(
    indices, values, matrix, bias, y, k, columns, inputs, outputs,
    TILE: tl.constexpr, SLOTS: tl.constexpr, SHIFTED: tl.constexpr, SUM: tl.constexpr,
):  # fmt: skip
    """A tile of a row's outputs a program; SLOTS rows of the matrix at a time."""
    row, tile = tl.program_id(0).to(tl.int64), tl.program_id(1)
    column = row % columns
    place = tile * TILE + tl.arange(0, TILE)
    inside = place < outputs
    total = tl.zeros((SLOTS, TILE), SUM)  # summed over slots at the end: until then no thread waits for another
    for first in range(0, k, SLOTS):
        slot = first + tl.arange(0, SLOTS)
        index = tl.load(indices + row * k + slot, mask=slot < k, other=-1)
        value = tl.load(values + row * k + slot, mask=slot < k, other=0.0).to(SUM)
        start = (column * inputs + index.to(tl.int64)) * outputs
        there = (index[:, None] >= 0) & inside[None, :]
        weight = tl.load(matrix + start[:, None] + place[None, :], mask=there, other=0.0).to(SUM)
        total += weight * value[:, None]
    whole = tl.sum(total, 0)
    if SHIFTED:
        whole += tl.load(bias + column * outputs + place, mask=inside, other=0.0).to(SUM)
    tl.store(y + row * outputs + place, whole, mask=inside)


@triton.jit
def _added(total, target, update, FIRST: tl.constexpr, COUNT: tl.constexpr):
    """total : (COUNT, parts, warps, lanes), plus update, without COUNT, where the target is FIRST + its place."""
    own = FIRST + tl.arange(0, COUNT)[:, None, None, None]
    return tl.where(target[None, :, :, :] == own, total + update[None, :, :, :], total)


@triton.jit
def _put(total, bias, y, row, column, bank, banks, outputs, FIRST: tl.constexpr, COUNT: tl.constexpr,
         SHIFTED: tl.constexpr):  # fmt: skip
    """Writes total : (COUNT, parts, lanes), the outputs from FIRST on of each bank : (parts, lanes)."""
    wide = bank.to(tl.int64) * outputs
    offset = FIRST + tl.arange(0, COUNT)[:, None, None]
    place = (wide // banks)[None, :, :] + offset
    inside = (place < ((wide + outputs) // banks)[None, :, :]) & (bank < banks)[None, :, :]
    if SHIFTED:
        total += tl.load(bias + column * outputs + place, mask=inside, other=0.0).to(total.dtype)
    tl.store(y + row * outputs + place, total, mask=inside)


@triton.jit
def packed(
    indices, values, weight, offsets, bias, y, k, columns, inputs, banks, outputs, PARTS: tl.constexpr,
    LOW: tl.constexpr, HIGH: tl.constexpr, WARPS: tl.constexpr, AHEAD: tl.constexpr, SHIFTED: tl.constexpr,
    SUM: tl.constexpr,
):  # fmt: skip
    """PARTS x 32 of a row's banks a program, all outputs of them in registers, LOW + HIGH of each bank.

    A thread owns PARTS banks, a warp takes every WARPS-th slot, and AHEAD slots are asked for before the first is here.
    """
    row, tile = tl.program_id(0).to(tl.int64), tl.program_id(1) * PARTS * 32
    column = row % columns
    local = tl.arange(0, PARTS)[:, None] * 32 + tl.arange(0, 32)[None, :]
    bank, warp = tile + local, tl.arange(0, WARPS)
    own = weight + column * inputs * banks + tile
    led = offsets + tile
    low, high = tl.zeros((LOW, PARTS, WARPS, 32), SUM), tl.zeros((HIGH, PARTS, WARPS, 32), SUM)
    for first in range(0, k, WARPS * AHEAD):
        for ahead in tl.static_range(AHEAD):
            slot = first + ahead * WARPS + warp
            index = tl.load(indices + row * k + slot, mask=slot < k, other=-1)
            value = tl.load(values + row * k + slot, mask=slot < k, other=0.0).to(SUM)
            start = (index * banks)[None, :, None]
            there = (index >= 0)[None, :, None] & (bank < banks)[:, None, :]
            w = tl.load(own + start + local[:, None, :], mask=there, other=0.0).to(SUM)
            target = tl.load(led + start + local[:, None, :], mask=there, other=0).to(tl.int32)
            update = w * value[None, :, None]
            low = _added(low, target, update, 0, LOW)
            high = _added(high, target, update, LOW, HIGH)
    _put(tl.sum(low, 2), bias, y, row, column, bank, banks, outputs, 0, LOW, SHIFTED)
    _put(tl.sum(high, 2), bias, y, row, column, bank, banks, outputs, LOW, HIGH, SHIFTED)


@triton.jit
def _met(slope, offsets, row, start, bank, there, banks, outputs, PACKED: tl.constexpr, SUM: tl.constexpr):
    """The slopes of a row's outputs that the weights start + bank lead to."""
    if PACKED:
        offset = tl.load(offsets + start + bank, mask=there, other=0).to(tl.int64)
        place = bank.to(tl.int64) * outputs // banks + offset
        met = tl.load(slope + row * outputs + place, mask=there, other=0.0)
    else:
        met = tl.load(slope + row * outputs + bank, mask=bank < banks, other=0.0)
    return met.to(SUM)


@triton.jit
def slope_of_values(
    indices, slope, weight, offsets, d_values, k, columns, inputs, banks, outputs,
    TILE: tl.constexpr, SLOTS: tl.constexpr, PACKED: tl.constexpr, SUM: tl.constexpr,
):  # fmt: skip
    """SLOTS slots of a row a program: their weights times the slopes of the outputs that these lead to."""
    row = tl.program_id(0).to(tl.int64)
    column = row % columns
    slot = tl.program_id(1) * SLOTS + tl.arange(0, SLOTS)
    index = tl.load(indices + row * k + slot, mask=slot < k, other=-1)
    start = (index.to(tl.int64) * banks)[:, None]
    total = tl.zeros((SLOTS, TILE), SUM)
    for first in range(0, banks, TILE):
        bank = (first + tl.arange(0, TILE))[None, :]
        there = (index >= 0)[:, None] & (bank < banks)
        w = tl.load(weight + column * inputs * banks + start + bank, mask=there, other=0.0).to(SUM)
        total += w * _met(slope, offsets, row, start, bank, there, banks, outputs, PACKED, SUM)
    tl.store(d_values + row * k + slot, tl.sum(total, 1), mask=slot < k)


@triton.jit
def slope_of_weights(
    order, ends, indices, values, slope, offsets, d_weight, k, columns, inputs, banks, outputs,
    TILE: tl.constexpr, PACKED: tl.constexpr, SUM: tl.constexpr,
):  # fmt: skip
    """A tile of the weights of one input of one column a program: a sum over the rows that activate it.

    order : entries (slots of rows) in the order of the input they belong to; ends : to each that is the first of its
    input the end of those, to all others 0
    """
    entry, tile = tl.program_id(0).to(tl.int64), tl.program_id(1)
    bank = tile * TILE + tl.arange(0, TILE)
    end = tl.load(ends + entry)
    inside = (bank < banks) & (bank * 0 + end > entry)
    at = tl.load(order + entry)
    start = tl.load(indices + at).to(tl.int64) * banks
    total = tl.zeros((TILE,), SUM)
    for other in range(entry, end):
        one = tl.load(order + other)
        value = tl.load(values + one).to(SUM)
        total += value * _met(slope, offsets, one // k, start, bank, inside, banks, outputs, PACKED, SUM)
    own = d_weight + (at // k) % columns * inputs * banks + start + bank
    tl.store(own, total, mask=inside)
