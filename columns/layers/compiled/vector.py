"""Sixteen 32-bit lanes at a time, where a loop would not be vectorised: LLVM turns these into whatever the CPU has.

None of them checks bounds.
"""

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic as numba_intrinsic

intrinsic: Any = numba_intrinsic  # what it decorates is called with other arguments
LANES = 16
_BITS = ir.IntType(LANES)


def _is(array, dtype) -> bool:
    return isinstance(array, types.Array) and array.dtype == dtype and array.ndim == 1


def _load(context, builder, kind, array, at, element):
    """The pointer to 16 elements of an array, and their values."""
    data = cgutils.create_struct_proxy(kind)(context, builder, value=array).data
    pointer = builder.bitcast(builder.gep(data, [at]), ir.VectorType(element, LANES).as_pointer())
    return pointer, builder.load(pointer, align=4)


def _spread(builder, value, element):
    """One value in all lanes."""
    vector = builder.insert_element(ir.Constant(ir.VectorType(element, LANES), ir.Undefined), value, ir.IntType(32)(0))
    return builder.shuffle_vector(vector, vector, ir.Constant(ir.VectorType(ir.IntType(32), LANES), [0] * LANES))


@intrinsic
def reaches(typing_context, row, at, least):
    """Bit i of the int64 is set where row[at + i] >= least, row float32."""
    if not _is(row, types.float32):
        return None

    def codegen(context, builder, signature, arguments):
        _, values = _load(context, builder, signature.args[0], arguments[0], arguments[1], ir.FloatType())
        bits = builder.fcmp_ordered(">=", values, _spread(builder, arguments[2], ir.FloatType()))
        return builder.zext(builder.bitcast(bits, _BITS), ir.IntType(64))

    return types.int64(row, types.int64, types.float32), codegen


@intrinsic
def unordered(typing_context, row, at):
    """Not 0 where one of row[at ... at + 15], float32, is NaN."""
    if not _is(row, types.float32):
        return None

    def codegen(context, builder, signature, arguments):
        _, values = _load(context, builder, signature.args[0], arguments[0], arguments[1], ir.FloatType())
        bits = builder.fcmp_unordered("uno", values, values)
        return builder.zext(builder.bitcast(bits, _BITS), ir.IntType(64))

    return types.int64(row, types.int64), codegen


@intrinsic
def keys_reach(typing_context, keys, at, least):
    """Bit i of the int64 is set where keys[at + i] >= least, keys int32."""
    if not _is(keys, types.int32):
        return None

    def codegen(context, builder, signature, arguments):
        _, values = _load(context, builder, signature.args[0], arguments[0], arguments[1], ir.IntType(32))
        bits = builder.icmp_signed(">=", values, _spread(builder, arguments[2], ir.IntType(32)))
        return builder.zext(builder.bitcast(bits, _BITS), ir.IntType(64))

    return types.int64(keys, types.int64, types.int32), codegen


@intrinsic
def raise_to(typing_context, tops, at, row, start, stride, count):
    """tops[at + i] becomes at least row[start + r stride + i] for r < count (a literal), both float32."""
    if not (_is(tops, types.float32) and _is(row, types.float32) and isinstance(count, types.IntegerLiteral)):
        return None
    rounds = count.literal_value

    def codegen(context, builder, signature, arguments):
        place, held = _load(context, builder, signature.args[0], arguments[0], arguments[1], ir.FloatType())
        start = arguments[3]
        for _ in range(rounds):
            _, values = _load(context, builder, signature.args[2], arguments[2], start, ir.FloatType())
            held = builder.select(builder.fcmp_ordered(">", values, held), values, held)
            start = builder.add(start, arguments[4])
        builder.store(held, place, align=4)
        return context.get_dummy_value()

    return types.void(tops, types.int64, row, types.int64, types.int64, count), codegen


@intrinsic
def lowest_bit(typing_context, bits):
    """Place of the lowest set bit of an int64 that is not 0."""

    def codegen(context, builder, signature, arguments):
        return builder.cttz(arguments[0], ir.IntType(1)(1))

    return types.int64(types.int64), codegen


@intrinsic
def squeeze(typing_context, out, count, row, at, bits):
    """out[count ...] becomes those of row[at ... at + 15] whose bit is set; 16 in all are overwritten."""
    if not (_is(out, types.int32) and _is(row, types.int32)):
        return None
    vector = ir.VectorType(ir.IntType(32), LANES)

    def codegen(context, builder, signature, arguments):
        place, _ = _load(context, builder, signature.args[0], arguments[0], arguments[1], ir.IntType(32))
        _, values = _load(context, builder, signature.args[2], arguments[2], arguments[3], ir.IntType(32))
        mask = builder.bitcast(builder.trunc(arguments[4], _BITS), ir.VectorType(ir.IntType(1), LANES))
        kind = ir.FunctionType(vector, (vector, mask.type, vector))
        compress = builder.module.declare_intrinsic(f"llvm.experimental.vector.compress.v{LANES}i32", (), kind)
        kept = builder.call(compress, (values, mask, ir.Constant(vector, ir.Undefined)))
        builder.store(kept, place, align=4)
        return context.get_dummy_value()

    return types.void(out, types.int64, row, types.int64, types.int64), codegen


@intrinsic
def count_bits(typing_context, bits):
    """How many bits of an int64 are set."""

    def codegen(context, builder, signature, arguments):
        return builder.ctpop(arguments[0])

    return types.int64(types.int64), codegen


def _elements(*arrays):
    """The LLVM type of arrays of one floating type, None if they are not."""
    known = {types.float32: ir.FloatType(), types.float64: ir.DoubleType()}
    kinds = {getattr(array, "dtype", None) for array in arrays}
    return known.get(kinds.pop()) if len(kinds) == 1 else None


@intrinsic
def add_scaled(typing_context, y, at, x, start, scale):
    """y[at + i] += scale x[start + i]; y and x both float32 or both float64, scale of the same type."""
    element = _elements(y, x)
    if element is None:
        return None

    def codegen(context, builder, signature, arguments):
        place, held = _load(context, builder, signature.args[0], arguments[0], arguments[1], element)
        _, values = _load(context, builder, signature.args[2], arguments[2], arguments[3], element)
        scaled = builder.fmul(_spread(builder, arguments[4], element), values, flags=("contract",))
        builder.store(builder.fadd(held, scaled, flags=("contract",)), place, align=4)
        return context.get_dummy_value()

    return types.void(y, types.int64, x, types.int64, y.dtype), codegen


@intrinsic
def add_scaled_4(typing_context, y, at, x, start0, start1, start2, start3, scale0, scale1, scale2, scale3):
    """y[at + i] += sum_r scale_r x[start_r + i], four at once: y is loaded and stored a quarter as often."""
    element = _elements(y, x)
    if element is None:
        return None

    def codegen(context, builder, signature, arguments):
        place, total = _load(context, builder, signature.args[0], arguments[0], arguments[1], element)
        for start, scale in zip(arguments[3:7], arguments[7:11], strict=True):
            _, values = _load(context, builder, signature.args[2], arguments[2], start, element)
            scaled = builder.fmul(_spread(builder, scale, element), values, flags=("contract",))
            total = builder.fadd(total, scaled, flags=("contract",))
        builder.store(total, place, align=4)
        return context.get_dummy_value()

    places, scales = (types.int64,) * 4, (y.dtype,) * 4
    return types.void(y, types.int64, x, *places, *scales), codegen


@intrinsic
def dot(typing_context, x, at, y, start, count):
    """sum_i x[at + i] y[start + i] over `count` (a literal) vectors of 16."""
    element = _elements(x, y)
    if element is None or not isinstance(count, types.IntegerLiteral):
        return None
    vectors = count.literal_value

    def codegen(context, builder, signature, arguments):
        vector = ir.VectorType(element, LANES)
        total = ir.Constant(vector, [0.0] * LANES)
        for v in range(vectors):
            shift = ir.Constant(ir.IntType(64), v * LANES)
            at, start = builder.add(arguments[1], shift), builder.add(arguments[3], shift)
            _, a = _load(context, builder, signature.args[0], arguments[0], at, element)
            _, b = _load(context, builder, signature.args[2], arguments[2], start, element)
            total = builder.fadd(total, builder.fmul(a, b, flags=("contract",)), flags=("contract",))
        name = f"llvm.vector.reduce.fadd.v{LANES}{'f32' if element == ir.FloatType() else 'f64'}"
        reduce = builder.module.declare_intrinsic(name, (), ir.FunctionType(element, (element, vector)))
        return builder.call(reduce, (ir.Constant(element, 0.0), total), fastmath=("reassoc",))

    return x.dtype(x, types.int64, y, types.int64, count), codegen


@intrinsic
def pointer(typing_context, address):
    """The address, an int64, as a pointer to anything."""

    def codegen(context, builder, signature, arguments):
        return builder.inttoptr(arguments[0], ir.IntType(8).as_pointer())

    return types.voidptr(types.int64), codegen
