"""The kernels behind `Encoder`: cells to Avro and to JSON.

Both write one record after the other into a buffer that is large enough for the longest form of every value, so that
nothing is measured twice; `ends` receives where each record ends.
"""

from __future__ import annotations

import numpy as np

from schemas.codec.cells import BOOLEAN, NULL, NUMBER, TEXT, TEXTS, TIME
from schemas.codec.kernel import Bytes, Long, Longs
from schemas.compiled import kernel

_VARINT_BYTES = 10
_JSON_ESCAPE_BYTES = 6  # \u0000
_JSON_CELL_BYTES = 32  # the longest number or time with comma and quotes, or the signs around a text
_QUOTE, _BACKSLASH, _COMMA, _COLON, _MINUS, _ZERO = 34, 92, 44, 58, 45, 48
_OPEN, _CLOSE, _OPEN_LIST, _CLOSE_LIST = 123, 125, 91, 93
_HEX = np.frombuffer(b"0123456789abcdef", np.uint8)
_TRUE = np.frombuffer(b"true", np.uint8)
_FALSE = np.frombuffer(b"false", np.uint8)
_NULL_WORD = np.frombuffer(b"null", np.uint8)
_DAY_MICROSECONDS = 86_400_000_000


def avro_bound(prefix: Bytes, numbers: Longs, lengths: Longs, items: Longs, kinds: Longs) -> int:
    """The most bytes `write_avro` can write."""
    columns, rows = numbers.shape
    # a cell takes at most a branch and a number, or a count and the end of a list
    cells: int = rows * (len(prefix) + columns * 2 * _VARINT_BYTES)
    return cells + _text_bytes(lengths, items, kinds) + len(items) * _VARINT_BYTES


def json_bound(name_ends: Longs, numbers: Longs, lengths: Longs, items: Longs, kinds: Longs) -> int:
    """The most bytes `write_json` can write."""
    columns, rows = numbers.shape
    cells: int = rows * (int(name_ends[-1]) + columns * _JSON_CELL_BYTES + 2) + len(items) * 3
    return cells + _text_bytes(lengths, items, kinds) * _JSON_ESCAPE_BYTES


def _text_bytes(lengths: Longs, items: Longs, kinds: Longs) -> int:
    return int(np.maximum(lengths[kinds == TEXT], 0).sum()) + int(items[:, 1].sum())


@kernel
def _put_long(out: Bytes, at: Long, number: Long) -> Long:
    """Write a zigzag varint; the position behind it."""
    rest = np.uint64((number << 1) ^ (number >> 63))
    while rest > np.uint64(0x7F):
        out[np.uint64(at)] = (rest & np.uint64(0x7F)) | np.uint64(0x80)
        rest >>= np.uint64(7)
        at += 1
    out[np.uint64(at)] = rest
    return at + 1


@kernel
def _put_bytes(out: Bytes, at: Long, values: Bytes, start: Long, length: Long) -> Long:
    for k in range(np.uint64(length)):
        out[np.uint64(at) + k] = values[np.uint64(start) + k]
    return at + length


@kernel
def write_avro(
    values: Bytes,
    numbers: Longs,
    lengths: Longs,
    items: Longs,
    kinds: Longs,
    null_branches: Longs,
    prefix: Bytes,
    out: Bytes,
    ends: Longs,
) -> None:
    """Write every row after the contract's schema. `null_branches` is the index of null in a column's union, or -1."""
    at = 0
    for row in range(numbers.shape[1]):
        at = _put_bytes(out, at, prefix, 0, len(prefix))
        for column in range(len(kinds)):
            length, number = lengths[column, row], numbers[column, row]
            branch = null_branches[column]
            if branch >= 0:
                at = _put_long(out, at, branch if length == NULL else 1 - branch)
                if length == NULL:
                    continue
            kind = kinds[column]
            if kind == TEXT:
                at = _put_long(out, at, length)
                at = _put_bytes(out, at, values, number, length)
            elif kind in (NUMBER, TIME):
                at = _put_long(out, at, number)
            elif kind == BOOLEAN:
                out[at] = number
                at += 1
            elif kind == TEXTS:
                if length > 0:
                    at = _put_long(out, at, length)
                    for item in range(number, number + length):
                        at = _put_long(out, at, items[item, 1])
                        at = _put_bytes(out, at, values, items[item, 0], items[item, 1])
                at = _put_long(out, at, 0)
        ends[row + 1] = at


@kernel
def _put_text(out: Bytes, at: Long, values: Bytes, start: Long, length: Long) -> Long:
    """Write a JSON text with what RFC 8259 wants escaped: the quote, the backslash and control characters."""
    out[at] = _QUOTE
    at += 1
    for k in range(np.uint64(length)):
        byte = values[np.uint64(start) + k]
        if byte < 0x20:
            at = _put_bytes(out, at, _ESCAPE, 0, 4)
            out[at] = _HEX[byte >> 4]
            out[at + 1] = _HEX[byte & 15]
            at += 2
            continue
        if byte in (_QUOTE, _BACKSLASH):
            out[np.uint64(at)] = _BACKSLASH
            at += 1
        out[np.uint64(at)] = byte
        at += 1
    out[at] = _QUOTE
    return at + 1


_ESCAPE = np.frombuffer(b"\\u00", np.uint8)


@kernel
def _put_digits(out: Bytes, at: Long, number: Long, width: Long) -> Long:
    """Write a number that is not negative, with leading zeros up to the width."""
    for k in range(width - 1, -1, -1):
        out[np.uint64(at + k)] = _ZERO + number % 10
        number //= 10
    return at + width


@kernel
def _put_integer(out: Bytes, at: Long, number: Long) -> Long:
    rest = np.uint64(number)
    if number < 0:
        out[at] = _MINUS
        at += 1
        rest = np.uint64(0) - rest  # also right for the least number, whose opposite has no place in int64
    width = 1
    bound = np.uint64(10)
    while width < 19 and rest >= bound:
        bound *= np.uint64(10)
        width += 1
    for k in range(width - 1, -1, -1):
        out[np.uint64(at + k)] = np.uint64(_ZERO) + rest % np.uint64(10)
        rest //= np.uint64(10)
    return at + width


@kernel
def _put_time(out: Bytes, at: Long, microseconds: Long) -> Long:
    """Write a time from 1970 on as `"YYYY-MM-DDTHH:MM:SS.ffffffZ"`.

    Source:
        Days to a date: H. Hinnant, "chrono-Compatible Low-Level Date Algorithms", civil_from_days.
    """
    days, rest = microseconds // _DAY_MICROSECONDS, microseconds % _DAY_MICROSECONDS
    shifted = days + 719468
    era = shifted // 146097
    day_of_era = shifted - era * 146097
    year_of_era = (day_of_era - day_of_era // 1460 + day_of_era // 36524 - day_of_era // 146096) // 365
    day_of_year = day_of_era - (365 * year_of_era + year_of_era // 4 - year_of_era // 100)
    shifted_month = (5 * day_of_year + 2) // 153
    day = day_of_year - (153 * shifted_month + 2) // 5 + 1
    month = shifted_month + 3 if shifted_month < 10 else shifted_month - 9
    out[at] = _QUOTE
    at = _put_digits(out, at + 1, year_of_era + era * 400 + (1 if month <= 2 else 0), 4)
    out[at] = _MINUS
    at = _put_digits(out, at + 1, month, 2)
    out[at] = _MINUS
    at = _put_digits(out, at + 1, day, 2)
    out[at] = 84  # T
    at = _put_digits(out, at + 1, rest // 3_600_000_000, 2)
    out[at] = _COLON
    at = _put_digits(out, at + 1, rest // 60_000_000 % 60, 2)
    out[at] = _COLON
    at = _put_digits(out, at + 1, rest // 1_000_000 % 60, 2)
    out[at] = 46  # .
    at = _put_digits(out, at + 1, rest % 1_000_000, 6)
    out[at] = 90  # Z
    out[at + 1] = _QUOTE
    return at + 2


@kernel
def write_json(
    values: Bytes,
    numbers: Longs,
    lengths: Longs,
    items: Longs,
    kinds: Longs,
    names: Bytes,
    name_ends: Longs,
    out: Bytes,
    ends: Longs,
) -> None:
    """Write every row as one object. `names` holds each column's name with quotes and colon."""
    at = 0
    for row in range(numbers.shape[1]):
        for column in range(len(kinds)):
            out[at] = _OPEN if column == 0 else _COMMA
            first = name_ends[column]
            at = _put_bytes(out, at + 1, names, first, name_ends[column + 1] - first)
            length, number, kind = lengths[column, row], numbers[column, row], kinds[column]
            if length == NULL:
                at = _put_bytes(out, at, _NULL_WORD, 0, 4)
            elif kind == TEXT:
                at = _put_text(out, at, values, number, length)
            elif kind == TIME:
                at = _put_time(out, at, number)
            elif kind == NUMBER:
                at = _put_integer(out, at, number)
            elif kind == BOOLEAN and number != 0:
                at = _put_bytes(out, at, _TRUE, 0, 4)
            elif kind == BOOLEAN:
                at = _put_bytes(out, at, _FALSE, 0, 5)
            elif kind == TEXTS:
                out[at] = _OPEN_LIST
                at += 1
                for item in range(number, number + length):
                    if item > number:
                        out[at] = _COMMA
                        at += 1
                    at = _put_text(out, at, values, items[item, 0], items[item, 1])
                out[at] = _CLOSE_LIST
                at += 1
        out[at] = _CLOSE
        at += 1
        ends[row + 1] = at
