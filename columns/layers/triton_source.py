"""The source of the Triton kernels: see `triton_kernels`, which is how they are called."""

# pyright: reportMissingImports=false
import triton
import triton.language as tl


def power_of_two(n: int) -> int:
    """The smallest power of two >= n."""
    return triton.next_power_of_2(n)


@triton.jit
def select(x, indices, values, n, k, floor, BLOCK: tl.constexpr):
    """One row a program: halves the range of the cut until exactly the k-th largest is left."""
    row = tl.program_id(0).to(tl.int64)
    place = tl.arange(0, BLOCK)
    drive = tl.load(x + row * n + place, mask=place < n, other=float("-inf"))
    drive = tl.where(drive == 0.0, 0.0, drive)  # -0 is no smaller than 0
    bits = drive.to(tl.int32, bitcast=True)
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
    won = won & (drive > floor) | (won & (floor == float("-inf")))
    slot = tl.cumsum(won.to(tl.int32)) - 1
    kept = tl.load(x + row * n + place, mask=won, other=0.0)
    tl.store(indices + row * k + slot, place, mask=won)
    tl.store(values + row * k + slot, kept, mask=won)


@triton.jit
def gather(
    indices, values, matrix, bias, y, k, columns, inputs, outputs, TILE: tl.constexpr, SLOTS: tl.constexpr
):  # fmt: skip
    """A tile of a row's outputs a program; SLOTS rows of the matrix at a time."""
    row, tile = tl.program_id(0).to(tl.int64), tl.program_id(1)
    column = row % columns
    place = tile * TILE + tl.arange(0, TILE)
    inside = place < outputs
    total = tl.load(bias + column * outputs + place, mask=inside, other=0.0)
    for first in range(0, k, SLOTS):
        slot = first + tl.arange(0, SLOTS)
        index = tl.load(indices + row * k + slot, mask=slot < k, other=-1)
        value = tl.load(values + row * k + slot, mask=slot < k, other=0.0)
        start = (column * inputs + index.to(tl.int64)) * outputs
        there = (index[:, None] >= 0) & inside[None, :]
        weight = tl.load(matrix + start[:, None] + place[None, :], mask=there, other=0.0)
        total += tl.sum(weight * value[:, None], 0)
    tl.store(y + row * outputs + place, total, mask=inside)


@triton.jit
def packed(
    indices, values, weight, offsets, bias, y, k, columns, inputs, banks, size, TILE: tl.constexpr, ROOM: tl.constexpr
):
    """A tile of a row's banks a program, all outputs of them in registers; ROOM : power of two >= size of a bank."""
    row, tile = tl.program_id(0).to(tl.int64), tl.program_id(1)
    column = row % columns
    bank = tile * TILE + tl.arange(0, TILE)
    offset = tl.arange(0, ROOM)
    place = bank[:, None] * size + offset[None, :]
    inside = (bank[:, None] < banks) & (offset[None, :] < size)
    total = tl.load(bias + column * banks * size + place, mask=inside, other=0.0)
    for slot in range(k):
        index = tl.load(indices + row * k + slot)
        value = tl.load(values + row * k + slot)
        there = (bank < banks) & (bank * 0 + index >= 0)
        j = index.to(tl.int64)
        w = tl.load(weight + (column * inputs + j) * banks + bank, mask=there, other=0.0)
        target = tl.load(offsets + j * banks + bank, mask=there, other=0).to(tl.int32)
        total += tl.where(target[:, None] == offset[None, :], (w * value)[:, None], 0.0)
    tl.store(y + row * banks * size + place, total, mask=inside)
