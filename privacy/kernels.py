"""Compiled loops over AES where columns cannot be ciphered at once: under a key of each row's own.

AES itself is done by the processor's instructions, in a time that depends on no key and no value. Where it has none,
`AVAILABLE` is False, and nothing here may be called.

Source: FIPS 197 (AES-128, section 5), RFC 4493 (AES-CMAC), RFC 5297 (AES-SIV with a key of 32 bytes), RFC 4648
section 5 (base64url). Tokens equal those of a library byte for byte.
"""

from __future__ import annotations

import platform
from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba
import numpy as np
from llvmlite import binding, ir
from numba import types
from numba.core.cgutils import pack_array, unpack_tuple
from numba.extending import intrinsic
from numpy.typing import NDArray

AVAILABLE = platform.machine() == "x86_64" and bool(binding.get_host_cpu_features().get("aes"))
KEY_BYTES = 32
HEX_DIGITS = 16
"""Characters of a customer's number in a token."""
SIV_BYTES = 16
ROOM = 36
"""Bytes of work beyond the longest value."""
SCHEDULE_WORDS = 22

_F = TypeVar("_F", bound=Callable[..., Any])
_U8, _U32, _U64 = np.uint8, np.uint32, np.uint64
_CONSTANTS = np.array([0x01, 0x02, 0x04, 0x08, 0x10, 0x20, 0x40, 0x80, 0x1B, 0x36], _U32)
_HEX = np.frombuffer(b"0123456789abcdef", _U8)
_BASE64 = np.frombuffer(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_", _U8)
_Block = tuple[Any, Any]
"""16 bytes as they lie in memory, in two numbers of 64 bits, little-endian."""


def _kernel(function: _F) -> _F:
    return cast(_F, numba.njit(cache=True, nogil=True, error_model="numpy", _nrt=False)(function))


def _instruction(name: str) -> Any:
    """An instruction on a block and a round key."""

    @intrinsic  # type: ignore[untyped-decorator]
    def call(_context: Any, _block: Any, _key: Any) -> Any:
        pair = types.UniTuple(types.uint64, 2)

        def generate(_: Any, builder: ir.IRBuilder, __: Any, arguments: Any) -> Any:
            word = ir.IntType(64)
            vector = ir.VectorType(word, 2)
            operands = []
            for argument in arguments:
                operand = ir.Constant(vector, ir.Undefined)
                for place, half in enumerate(unpack_tuple(builder, argument, 2)):
                    operand = builder.insert_element(operand, half, ir.Constant(ir.IntType(32), place))
                operands.append(operand)
            function = builder.module.declare_intrinsic(name, (), ir.FunctionType(vector, [vector, vector]))
            done = builder.call(function, operands)
            halves = [builder.extract_element(done, ir.Constant(ir.IntType(32), place)) for place in range(2)]
            return pack_array(builder, halves, word)

        return pair(pair, pair), generate

    return call


_round = _instruction("llvm.x86.aesni.aesenc")
_last_round = _instruction("llvm.x86.aesni.aesenclast")


@_kernel
def _load(data: Any, at: Any) -> _Block:
    low = high = _U64(0)
    for byte in range(8):
        low |= _U64(data[_U64(at + byte)]) << _U64(8 * byte)
        high |= _U64(data[_U64(at + 8 + byte)]) << _U64(8 * byte)
    return low, high


@_kernel
def _store(block: Any, data: Any, at: Any) -> None:
    for byte in range(8):
        data[_U64(at + byte)] = _U8(block[0] >> _U64(8 * byte))
        data[_U64(at + 8 + byte)] = _U8(block[1] >> _U64(8 * byte))


@_kernel
def _xor(one: Any, other: Any) -> _Block:
    return one[0] ^ other[0], one[1] ^ other[1]


@_kernel
def _swapped(word: Any) -> Any:
    """The bytes in the other order."""
    found = _U64(0)
    for byte in range(8):
        found |= (word >> _U64(8 * byte) & _U64(0xFF)) << _U64(56 - 8 * byte)
    return found


@_kernel
def _double(block: Any) -> _Block:
    """Multiply by x in GF(2^128) (RFC 4493, section 2.3)."""
    high, low = _swapped(block[0]), _swapped(block[1])
    carry = high >> _U64(63)
    return _swapped(high << _U64(1) | low >> _U64(63)), _swapped(low << _U64(1) ^ carry * _U64(0x87))


@_kernel
def _expand(key: Any, first: Any, schedule: Any) -> None:
    """The round keys of 16 bytes of a key."""
    zero = (_U64(0), _U64(0))
    low, high = _load(key, first)
    schedule[0], schedule[1] = low, high
    for number in range(10):
        # four equal columns: the shift of rows leaves them as they are, and what is left of the round is the S-box
        last = high >> _U64(32)
        substituted = _last_round((last | last << _U64(32), last | last << _U64(32)), zero)[0] & _U64(0xFFFFFFFF)
        turned = (substituted >> _U64(8) | substituted << _U64(24)) & _U64(0xFFFFFFFF)
        a = (low & _U64(0xFFFFFFFF)) ^ turned ^ _U64(_CONSTANTS[_U64(number)])
        b = low >> _U64(32) ^ a
        c = (high & _U64(0xFFFFFFFF)) ^ b
        d = last ^ c
        low, high = a | b << _U64(32), c | d << _U64(32)
        schedule[_U64(2 * number + 2)], schedule[_U64(2 * number + 3)] = low, high


@_kernel
def _encrypt(block: Any, schedule: Any) -> _Block:
    block = _xor(block, (schedule[0], schedule[1]))
    for number in range(1, 10):
        block = _round(block, (schedule[_U64(2 * number)], schedule[_U64(2 * number + 1)]))
    low, high = _last_round(block, (schedule[20], schedule[21]))
    return low, high


@_kernel
def _synthetic_iv(associated: Any, work: Any, size: Any, schedule: Any) -> _Block:
    """S2V of one short string of associated data and of the value in `work`, which is changed (RFC 5297, 2.4).

    Args:
        associated: 16 bytes: the string, then 0x80, then zeros.
        work: The value, 16 bytes of room behind it.
        size: Its length.
        schedule: Round keys of the first half of the key.
    """
    whole = _double(_encrypt((_U64(0), _U64(0)), schedule))
    partial = _double(whole)
    chained = _double(_encrypt(whole, schedule))
    chained = _xor(chained, _encrypt(_xor(partial, _load(associated, 0)), schedule))
    for at in range(size, size + 16):
        work[_U64(at)] = _U8(0)
    if size < 16:
        work[_U64(size)] = _U8(0x80)
        return _encrypt(_xor(whole, _xor(_double(chained), _load(work, 0))), schedule)
    _store(_xor(chained, _load(work, size - 16)), work, size - 16)
    mac = (_U64(0), _U64(0))
    last = (size - 1) // 16 * 16
    for at in range(0, last, 16):
        mac = _encrypt(_xor(mac, _load(work, at)), schedule)
    if size - last < 16:
        work[_U64(size)] = _U8(0x80)
        whole = partial
    return _encrypt(_xor(mac, _xor(whole, _load(work, last))), schedule)


@_kernel
def _seal(associated: Any, data: Any, begin: Any, size: Any, key: Any, work: Any, schedule: Any) -> None:
    """Write synthetic IV and ciphertext of `data[begin:begin + size]` to `work`."""
    for at in range(size):
        work[_U64(at)] = data[_U64(begin + at)]
    _expand(key, 0, schedule)
    iv = _synthetic_iv(associated, work, size, schedule)
    _store(iv, work, 0)
    _expand(key, 16, schedule)
    # with bits 31 and 63 cleared the low 32 bits never carry (RFC 5297, section 2.5)
    counter = _swapped(iv[1]) & _U64(0x7FFFFFFF7FFFFFFF)
    for first in range(0, size, 16):
        stream = _encrypt((iv[0], _swapped(counter + _U64(first // 16))), schedule)
        _store(stream, work, SIV_BYTES + first)
        for at in range(min(16, size - first)):
            work[_U64(SIV_BYTES + first + at)] ^= data[_U64(begin + first + at)]


@_kernel
def _write_base64(data: Any, size: Any, out: Any, at: Any) -> None:
    """Base64url without padding; two bytes beyond the end of the data are written to."""
    data[_U64(size)] = data[_U64(size + 1)] = _U8(0)
    characters = (size * 4 + 2) // 3
    for number in range(characters):
        bit = 6 * number
        place, shift = _U64(bit // 8), _U32(10 - bit % 8)
        word = _U32(data[place]) << _U32(8) | _U32(data[place + _U64(1)])
        out[_U64(at + number)] = _BASE64[_U64(word >> shift & _U32(63))]


@_kernel
def write_tokens(
    data: NDArray[np.uint8],
    ends: NDArray[np.int64],
    keys: NDArray[np.uint8],
    numbers: NDArray[np.uint64],
    prefix: NDArray[np.uint8],
    associated: NDArray[np.uint8],
    work: NDArray[np.uint8],
    schedule: NDArray[np.uint64],
    out: NDArray[np.uint8],
    out_ends: NDArray[np.int64],
) -> None:
    """Write the token of every row: prefix, number in hexadecimal, a dot, and base64url of the sealed value.

    Args:
        data: The values, back to back.
        ends: Where each begins, and the last one's end. n + 1.
        keys: The AES-SIV key of each row. (n, 32).
        numbers: The customer's number of each row.
        prefix: What all tokens begin with.
        associated: The string of associated data, then 0x80, then zeros. 16.
        work: Room for the longest value and `ROOM` bytes more.
        schedule: Room for round keys, `SCHEDULE_WORDS`.
        out: Where the tokens go, back to back.
        out_ends: As `ends`.
    """
    for row in range(len(numbers)):
        size = ends[row + 1] - ends[row]
        _seal(associated, data, ends[row], size, keys[row], work, schedule)
        to = out_ends[row]
        for at in range(len(prefix)):
            out[_U64(to + at)] = prefix[_U64(at)]
        to += len(prefix)
        for digit in range(HEX_DIGITS):
            out[_U64(to + digit)] = _HEX[(numbers[row] >> _U64(60 - 4 * digit)) & _U64(15)]
        out[_U64(to + HEX_DIGITS)] = _U8(46)
        _write_base64(work, SIV_BYTES + size, out, to + HEX_DIGITS + 1)


@_kernel
def walk_down(
    nodes: NDArray[np.uint8],
    depths: NDArray[np.int64],
    numbers: NDArray[np.uint64],
    key: NDArray[np.uint8],
    schedule: NDArray[np.uint64],
    depth: int,
) -> None:
    """Walk down a tree (see `privacy.puncturable`) from a node of its own for each row, as its number says.

    Args:
        nodes: Where each begins, and then where it ends. (n, 16).
        depths: How deep each node is.
        numbers: Where each goes: the highest bit at depth 0.
        key: What the nodes are hashed with. 16.
        schedule: Room for round keys, `SCHEDULE_WORDS`.
        depth: How deep the leaves are, at most 64.
    """
    _expand(key, 0, schedule)
    for row in range(len(numbers)):
        node = _load(nodes[row], 0)
        for level in range(depths[row], depth):
            turn = (numbers[row] >> _U64(depth - 1 - level)) & _U64(1)
            node = node[0], node[1] ^ turn << _U64(56)
            node = _xor(node, _encrypt(node, schedule))
        _store(node, nodes[row], 0)


def warm_up() -> None:
    """Compile the kernels, or load them from numba's cache."""
    if not AVAILABLE:
        return
    data = np.zeros(0, np.uint8)
    data.flags.writeable = False
    ends, none, key = np.zeros(1, np.int64), np.zeros(0, np.uint64), np.zeros(KEY_BYTES, np.uint8)
    room, schedule = np.zeros(ROOM, np.uint8), np.zeros(SCHEDULE_WORDS, np.uint64)
    write_tokens(data, ends, np.zeros((0, KEY_BYTES), np.uint8), none, key, key, room, schedule, room, ends)
    walk_down(np.zeros((0, 16), np.uint8), ends[:0], none, key, schedule, 0)
