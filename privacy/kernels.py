"""Compiled loops over AES where columns cannot be ciphered at once: under a key of each row's own, and for few rows.

Source: FIPS 197 (AES-128, section 5), RFC 4493 (AES-CMAC), RFC 5297 (AES-SIV with a key of 32 bytes), RFC 4648
section 5 (base64url). Tokens equal those of a library byte for byte.

**Side channel.** AES is done with tables here, and the time of a look-up depends on what the processor has in its
cache: whoever runs code on the same core could learn of keys. Let nobody else run code on this machine.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba
import numpy as np
from numpy.typing import NDArray

KEY_BYTES = 32
HEX_DIGITS = 16
"""Characters of a customer's number in a token."""
SIV_BYTES = 16
ROOM = 36
"""Bytes of work beyond the longest value."""

_ROUNDS = 10
SCHEDULE_WORDS = 4 * (_ROUNDS + 1)
_F = TypeVar("_F", bound=Callable[..., Any])
_U8, _U32, _U64 = np.uint8, np.uint32, np.uint64


def _times_x(byte: int) -> int:
    return (byte << 1) ^ (0x11B if byte & 0x80 else 0)


def _substitutions() -> list[int]:
    """The S-box: inverses in GF(2^8), then an affine map (FIPS 197, section 5.1.1)."""
    powers, logs, value = [], {}, 1
    for exponent in range(255):
        powers.append(value)
        logs[value] = exponent
        value ^= _times_x(value)
    box = []
    for byte in range(256):
        inverse = powers[-logs[byte] % 255] if byte else 0
        image = 0x63
        for bits in range(5):
            image ^= _turned(inverse, bits)
        box.append(image)
    return box


def _turned(byte: int, bits: int) -> int:
    return (byte << bits | byte >> (8 - bits)) & 0xFF


def _mixed(box: list[int]) -> NDArray[np.uint32]:
    """Substitution and the mixing of a column in one look-up, for each of its four places. (4, 256)."""
    first = [_times_x(s) << 24 | s << 16 | s << 8 | (_times_x(s) ^ s) for s in box]
    turned = [[(word >> 8 * at | word << 32 - 8 * at) & 0xFFFFFFFF for word in first] for at in range(4)]
    return np.array(turned, _U32)


_BOX = np.array(_substitutions(), _U32)
_MIXED = _mixed(_BOX.tolist())
_MIXED_0, _MIXED_1, _MIXED_2, _MIXED_3 = _MIXED
_CONSTANTS = np.array([0x01, 0x02, 0x04, 0x08, 0x10, 0x20, 0x40, 0x80, 0x1B, 0x36], _U32) << _U32(24)
_HEX = np.frombuffer(b"0123456789abcdef", _U8)
_BASE64 = np.frombuffer(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_", _U8)

_Words = tuple[Any, Any, Any, Any]


def _kernel(function: _F) -> _F:
    return cast(_F, numba.njit(cache=True, nogil=True, error_model="numpy", _nrt=False)(function))


@_kernel
def _load(data: Any, at: Any) -> Any:
    """Four bytes, big-endian."""
    at = _U64(at)
    return (
        _U32(data[at]) << _U32(24)
        | _U32(data[at + _U64(1)]) << _U32(16)
        | _U32(data[at + _U64(2)]) << _U32(8)
        | _U32(data[at + _U64(3)])
    )


@_kernel
def _store(word: Any, data: Any, at: Any) -> None:
    at = _U64(at)
    data[at] = _U8(word >> _U32(24))
    data[at + _U64(1)] = _U8(word >> _U32(16))
    data[at + _U64(2)] = _U8(word >> _U32(8))
    data[at + _U64(3)] = _U8(word)


@_kernel
def _byte(word: Any, place: Any) -> Any:
    return _U64((word >> _U32(24 - 8 * place)) & _U32(0xFF))


@_kernel
def _expand(key: Any, first: Any, schedule: Any) -> None:
    """The round keys of 16 bytes of a key."""
    for word in range(4):
        schedule[_U64(word)] = _load(key, first + 4 * word)
    for number in range(_ROUNDS):
        at = _U64(4 * number)
        last = schedule[at + _U64(3)]
        turned = (
            _BOX[_byte(last, 1)] << _U32(24)
            | _BOX[_byte(last, 2)] << _U32(16)
            | _BOX[_byte(last, 3)] << _U32(8)
            | _BOX[_byte(last, 0)]
        )
        schedule[at + _U64(4)] = schedule[at] ^ turned ^ _CONSTANTS[_U64(number)]
        schedule[at + _U64(5)] = schedule[at + _U64(1)] ^ schedule[at + _U64(4)]
        schedule[at + _U64(6)] = schedule[at + _U64(2)] ^ schedule[at + _U64(5)]
        schedule[at + _U64(7)] = schedule[at + _U64(3)] ^ schedule[at + _U64(6)]


@_kernel
def _round(a: Any, b: Any, c: Any, d: Any, key: Any) -> Any:
    return _MIXED_0[_byte(a, 0)] ^ _MIXED_1[_byte(b, 1)] ^ _MIXED_2[_byte(c, 2)] ^ _MIXED_3[_byte(d, 3)] ^ key


@_kernel
def _last_round(a: Any, b: Any, c: Any, d: Any, key: Any) -> Any:
    return (
        _BOX[_byte(a, 0)] << _U32(24) | _BOX[_byte(b, 1)] << _U32(16) | _BOX[_byte(c, 2)] << _U32(8) | _BOX[_byte(d, 3)]
    ) ^ key


@_kernel
def _encrypt(a: Any, b: Any, c: Any, d: Any, schedule: Any) -> _Words:
    a, b, c, d = (a ^ schedule[0], b ^ schedule[1], c ^ schedule[2], d ^ schedule[3])
    for number in range(1, _ROUNDS):
        at = _U64(4 * number)
        a, b, c, d = (
            _round(a, b, c, d, schedule[at]),
            _round(b, c, d, a, schedule[at + _U64(1)]),
            _round(c, d, a, b, schedule[at + _U64(2)]),
            _round(d, a, b, c, schedule[at + _U64(3)]),
        )
    at = _U64(4 * _ROUNDS)
    return (
        _last_round(a, b, c, d, schedule[at]),
        _last_round(b, c, d, a, schedule[at + _U64(1)]),
        _last_round(c, d, a, b, schedule[at + _U64(2)]),
        _last_round(d, a, b, c, schedule[at + _U64(3)]),
    )


@_kernel
def _double(a: Any, b: Any, c: Any, d: Any) -> _Words:
    """Multiply by x in GF(2^128) (RFC 4493, section 2.3)."""
    # numba calculates with 64 bits
    return (
        _U32(a << 1 | b >> 31),
        _U32(b << 1 | c >> 31),
        _U32(c << 1 | d >> 31),
        _U32(d << 1 ^ (a >> 31) * 0x87),
    )


@_kernel
def _synthetic_iv(associated: Any, work: Any, size: Any, schedule: Any) -> _Words:
    """S2V of one short string of associated data and of the value in `work`, which is changed (RFC 5297, 2.4).

    Args:
        associated: 16 bytes: the string, then 0x80, then zeros.
        work: The value, 16 bytes of room behind it.
        size: Its length.
        schedule: Round keys of the first half of the key.
    """
    zero = _U32(0)
    e, f, g, h = _double(*_encrypt(zero, zero, zero, zero, schedule))  # for whole last blocks
    p, q, r, s = _double(e, f, g, h)  # for others
    a, b, c, d = _double(*_encrypt(e, f, g, h, schedule))
    t, u, v, w = _encrypt(
        p ^ _load(associated, 0),
        q ^ _load(associated, 4),
        r ^ _load(associated, 8),
        s ^ _load(associated, 12),
        schedule,
    )
    a, b, c, d = a ^ t, b ^ u, c ^ v, d ^ w
    for at in range(size, size + 16):
        work[_U64(at)] = _U8(0)
    if size < 16:
        work[_U64(size)] = _U8(0x80)
        a, b, c, d = _double(a, b, c, d)
        a, b, c, d = a ^ _load(work, 0), b ^ _load(work, 4), c ^ _load(work, 8), d ^ _load(work, 12)
        return _encrypt(a ^ e, b ^ f, c ^ g, d ^ h, schedule)
    end = size - 16
    _store(a ^ _load(work, end), work, end)
    _store(b ^ _load(work, end + 4), work, end + 4)
    _store(c ^ _load(work, end + 8), work, end + 8)
    _store(d ^ _load(work, end + 12), work, end + 12)
    a = b = c = d = zero
    last = (size - 1) // 16 * 16
    for at in range(0, last, 16):
        a, b, c, d = _encrypt(
            a ^ _load(work, at),
            b ^ _load(work, at + 4),
            c ^ _load(work, at + 8),
            d ^ _load(work, at + 12),
            schedule,
        )
    if size - last < 16:
        work[_U64(size)] = _U8(0x80)
        e, f, g, h = p, q, r, s
    return _encrypt(
        a ^ e ^ _load(work, last),
        b ^ f ^ _load(work, last + 4),
        c ^ g ^ _load(work, last + 8),
        d ^ h ^ _load(work, last + 12),
        schedule,
    )


@_kernel
def _seal(associated: Any, data: Any, begin: Any, size: Any, key: Any, work: Any, schedule: Any) -> None:
    """Write synthetic IV and ciphertext of `data[begin:begin + size]` to `work`."""
    for at in range(size):
        work[_U64(at)] = data[_U64(begin + at)]
    _expand(key, 0, schedule)
    a, b, c, d = _synthetic_iv(associated, work, size, schedule)
    _store(a, work, 0)
    _store(b, work, 4)
    _store(c, work, 8)
    _store(d, work, 12)
    _expand(key, 16, schedule)
    # with bits 31 and 63 cleared the low 32 bits never carry (RFC 5297, section 2.5)
    c, d = c & _U32(0x7FFFFFFF), d & _U32(0x7FFFFFFF)
    for first in range(0, size, 16):
        e, f, g, h = _encrypt(a, b, c, d + _U32(first // 16), schedule)
        to = SIV_BYTES + first
        _store(e, work, to)
        _store(f, work, to + 4)
        _store(g, work, to + 8)
        _store(h, work, to + 12)
        for at in range(min(16, size - first)):
            work[_U64(to + at)] ^= data[_U64(begin + first + at)]


@_kernel
def _write_base64(data: Any, size: Any, out: Any, at: Any) -> None:
    """Base64url without padding; reads up to two bytes beyond the end, which must be there."""
    to = _U64(at)
    for first in range(0, size - 2, 3):
        word = _load(data, first)
        out[to] = _BASE64[_U64(word >> _U32(26))]
        out[to + _U64(1)] = _BASE64[_U64(word >> _U32(20) & _U32(63))]
        out[to + _U64(2)] = _BASE64[_U64(word >> _U32(14) & _U32(63))]
        out[to + _U64(3)] = _BASE64[_U64(word >> _U32(8) & _U32(63))]
        to += _U64(4)
    rest = size % 3
    if rest:
        word = _U32(data[_U64(size - rest)]) << _U32(24)
        if rest == 2:
            word |= _U32(data[_U64(size - 1)]) << _U32(16)
        out[to] = _BASE64[_U64(word >> _U32(26))]
        out[to + _U64(1)] = _BASE64[_U64(word >> _U32(20) & _U32(63))]
        if rest == 2:
            out[to + _U64(2)] = _BASE64[_U64(word >> _U32(14) & _U32(63))]


@_kernel
def write_tokens(
    data: NDArray[np.uint8],
    ends: NDArray[np.int64],
    keys: NDArray[np.uint8],
    numbers: NDArray[np.uint64],
    prefix: NDArray[np.uint8],
    associated: NDArray[np.uint8],
    work: NDArray[np.uint8],
    schedule: NDArray[np.uint32],
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
        to = _U64(out_ends[row])
        for at in range(len(prefix)):
            out[to] = prefix[at]
            to += _U64(1)
        number = numbers[row]
        for digit in range(HEX_DIGITS):
            out[to] = _HEX[(number >> _U64(60 - 4 * digit)) & _U64(15)]
            to += _U64(1)
        out[to] = _U8(46)
        _write_base64(work, SIV_BYTES + size, out, to + _U64(1))


@_kernel
def walk_down(
    nodes: NDArray[np.uint8],
    depths: NDArray[np.int64],
    numbers: NDArray[np.uint64],
    key: NDArray[np.uint8],
    schedule: NDArray[np.uint32],
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
        node = nodes[row]
        a, b, c, d = _load(node, 0), _load(node, 4), _load(node, 8), _load(node, 12)
        for level in range(depths[row], depth):
            d ^= _U32((numbers[row] >> _U64(depth - 1 - level)) & _U64(1))
            e, f, g, h = _encrypt(a, b, c, d, schedule)
            a, b, c, d = a ^ e, b ^ f, c ^ g, d ^ h
        _store(a, node, 0)
        _store(b, node, 4)
        _store(c, node, 8)
        _store(d, node, 12)


def warm_up() -> None:
    """Compile the kernels, or load them from numba's cache."""
    data = np.zeros(0, np.uint8)
    data.flags.writeable = False
    ends, none, key = np.zeros(1, np.int64), np.zeros(0, np.uint64), np.zeros(KEY_BYTES, np.uint8)
    room, schedule = np.zeros(ROOM, np.uint8), np.zeros(SCHEDULE_WORDS, np.uint32)
    write_tokens(data, ends, np.zeros((0, KEY_BYTES), np.uint8), none, key, key, room, schedule, room, ends)
    walk_down(np.zeros((0, 16), np.uint8), ends[:0], none, key, schedule, 0)
