"""Functions over bytes, compiled with numba: the inner loops of the codec.

Whatever a kernel is given, it must stay inside its arrays: bounds are not checked for it. Every read is guarded by
the record's end, and every array it writes to is allocated for the worst case.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic
from numpy.typing import NDArray

from schemas.compiled import kernel

Bytes = NDArray[np.uint8]
Longs = NDArray[np.int64]
Long = Any  # an int64: Python's or numpy's outside of kernels, one type inside


WORD_BYTES = 8


@intrinsic  # type: ignore[untyped-decorator]
def load_word(_typing: Any, values: Any, _at: Any) -> Any:
    """Eight bytes from a position on as a number, the first in its lowest bits. They must lie within the array."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        array = context.make_array(signature.args[0])(context, builder, arguments[0])
        first = builder.gep(array.data, [arguments[1]])
        loaded = builder.load(builder.bitcast(first, ir.IntType(64).as_pointer()))
        loaded.align = 1
        return loaded

    return types.uint64(values, types.uint64), generate


@intrinsic  # type: ignore[untyped-decorator]
def trailing_zeros(_typing: Any, _number: Any) -> Any:
    """How many of a number's lowest bits are 0; the number must not be."""

    def generate(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        return builder.cttz(arguments[0], ir.Constant(ir.IntType(1), 1))

    return types.uint64(types.uint64), generate


@kernel
def valid_utf8(values: Bytes, start: Long, end: Long) -> bool:
    """Whether `values[start:end]` is well-formed UTF-8, as `bytes.decode` sees it (RFC 3629, section 4)."""
    at = start
    while at < end:
        byte = values[at]
        if byte < 0x80:
            at += 1
            continue
        low, high = 0x80, 0xBF  # what the second byte may be: no overlong form, no surrogate, nothing past U+10FFFF
        if 0xC2 <= byte <= 0xDF:
            more = 1
        elif 0xE0 <= byte <= 0xEF:
            more = 2
            if byte == 0xE0:
                low = 0xA0
            elif byte == 0xED:
                high = 0x9F
        elif 0xF0 <= byte <= 0xF4:
            more = 3
            if byte == 0xF0:
                low = 0x90
            elif byte == 0xF4:
                high = 0x8F
        else:
            return False
        if at + more >= end or not low <= values[at + 1] <= high:
            return False
        for k in range(2, more + 1):
            if not 0x80 <= values[at + k] <= 0xBF:
                return False
        at += more + 1
    return True


@kernel
def is_text(values: Bytes, start: Long, end: Long) -> bool:
    """Whether `values[start:end]` is well-formed UTF-8, quickly for ASCII."""
    seen = np.uint8(0)
    for at in range(np.uint64(start), np.uint64(end)):
        seen |= values[at]
    return bool(seen < 0x80) or valid_utf8(values, start, end)


@kernel
def gather(values: Bytes, starts: Longs, lengths: Longs, ends: Longs, out: Bytes) -> None:
    """Copy `values[starts[i] : starts[i] + lengths[i]]` for all i back to back into `out`.

    `ends` holds where each copy begins and the last one ends (n + 1 positions); a negative length counts as 0.
    """
    for i in range(len(starts)):
        source = starts[i]
        target = ends[i]
        for k in range(np.uint64(max(lengths[i], 0))):
            out[np.uint64(target) + k] = values[np.uint64(source) + k]
