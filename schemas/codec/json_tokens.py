"""The tokens of JSON, for the kernels that read it: texts without escapes, whole numbers, words and times."""

from __future__ import annotations

import numpy as np

from schemas.codec.kernel import WORD_BYTES, Bytes, Long, load_word, trailing_zeros
from schemas.compiled import kernel

_ONES = np.uint64(0x0101010101010101)
_HIGH_BITS = np.uint64(0x8080808080808080)
_MAX_DIGITS = 18  # any number of so many digits fits in 64 bits
QUOTE, BACKSLASH, MINUS, PLUS, COMMA, COLON, DOT = 34, 92, 45, 43, 44, 58, 46
OPEN, CLOSE, OPEN_LIST, CLOSE_LIST = 123, 125, 91, 93
ZERO, NINE, _T, _T_LOWER, _Z, _Z_LOWER, _BLANK = 48, 57, 84, 116, 90, 122, 32
TRUE = np.frombuffer(b"true", np.uint8)
FALSE = np.frombuffer(b"false", np.uint8)
NULL_WORD = np.frombuffer(b"null", np.uint8)
_ESCAPED = (34, 92, 47, 98, 102, 110, 114, 116)  # " \\ / b f n r t
_DAYS_BEFORE_MONTH = np.array([0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334], np.int64)
_DAYS_IN_MONTH = np.array([31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31], np.int64)


@kernel
def depth_of(record: Bytes) -> int:
    """How deep objects and arrays nest in a JSON text, without parsing it (in broken JSON, as a parser would)."""
    depth = deepest = 0
    inside = escaped = False
    for byte in record:
        if inside:
            if escaped:
                escaped = False
            elif byte == BACKSLASH:
                escaped = True
            elif byte == QUOTE:
                inside = False
        elif byte == QUOTE:
            inside = True
        elif byte in (OPEN, OPEN_LIST):
            depth += 1
            deepest = max(deepest, depth)
        elif byte in (CLOSE, CLOSE_LIST):
            depth -= 1
    return deepest


@kernel
def blanks(values: Bytes, at: Long, end: Long) -> Long:
    """The next position that is not white space."""
    while at < end:
        byte = values[np.uint64(at)]
        if byte > _BLANK or (byte != _BLANK and byte != 10 and byte != 13 and byte != 9):
            break
        at += 1
    return at


@kernel
def text_end(values: Bytes, at: Long, end: Long) -> Long:
    """The closing quote of the text that begins at `at`, or -1 if it has an escape, a control character or no end.

    Source:
        Eight bytes at a time: S. E. Anderson, "Bit Twiddling Hacks", determine if a word has a byte less than n. Its
        lowest hit is never a false one.
    """
    while at + WORD_BYTES <= end:
        word = load_word(values, np.uint64(at))
        quotes, backslashes = word ^ (_ONES * np.uint64(QUOTE)), word ^ (_ONES * np.uint64(BACKSLASH))
        hits = (quotes - _ONES) & ~quotes | (backslashes - _ONES) & ~backslashes
        hits = (hits | (word - _ONES * np.uint64(0x20)) & ~word) & _HIGH_BITS
        if hits != 0:
            at += np.int64(trailing_zeros(hits) >> np.uint64(3))
            return at if values[np.uint64(at)] == QUOTE else -1
        at += WORD_BYTES
    while at < end:
        byte = values[np.uint64(at)]
        if byte == QUOTE:
            return at
        if byte == BACKSLASH or byte < 0x20:
            return -1
        at += 1
    return -1


@kernel
def escaped_text_end(values: Bytes, at: Long, end: Long) -> Long:
    """As `text_end`, but the text may have escapes of one letter; those of code points could be half of a pair."""
    while at < end:
        byte = values[np.uint64(at)]
        if byte == QUOTE:
            return at
        if byte < 0x20:
            return -1
        if byte == BACKSLASH:
            at += 1
            if at >= end or values[np.uint64(at)] not in _ESCAPED:
                return -1
        at += 1
    return -1


@kernel
def is_word(values: Bytes, at: Long, end: Long, word: Bytes) -> bool:
    """Whether `word` begins at `at`. What follows is not looked at."""
    if len(word) > end - at:
        return False
    same = 0
    while same < len(word) and values[at + same] == word[same]:
        same += 1
    return same == len(word)


@kernel
def integer(values: Bytes, at: Long, end: Long) -> tuple[Long, Long]:
    """A whole number of up to 18 digits: its value and the position behind it or -1. What follows is not looked at."""
    negative = values[at] == MINUS
    if negative:
        at += 1
    first = at
    number = np.int64(0)
    while at < end and ZERO <= values[np.uint64(at)] <= NINE and at - first <= _MAX_DIGITS:
        number = number * 10 + np.int64(values[np.uint64(at)]) - ZERO
        at += 1
    digits = at - first
    if digits == 0 or digits > _MAX_DIGITS or (values[first] == ZERO and (digits > 1 or negative)):
        return 0, -1
    return (-number if negative else number), at


@kernel
def _digits(values: Bytes, at: Long, count: Long) -> Long:
    """`count` decimal digits as a number, or a negative number if one is none."""
    number = np.int64(0)
    for k in range(count):
        digit = np.int64(values[np.uint64(at + k)]) - ZERO
        if digit < 0 or digit > 9:
            return -(10**9)
        number = number * 10 + digit
    return number


@kernel
def moment(values: Bytes, at: Long, end: Long) -> tuple[Long, bool]:
    """A time in one of the forms `parse_time` reads, from 1970 on: microseconds, and whether it is one."""
    bad = (0, False)
    if end - at < 20:
        return bad
    year, month, day = _digits(values, at, 4), _digits(values, at + 5, 2), _digits(values, at + 8, 2)
    hour, minute, second = _digits(values, at + 11, 2), _digits(values, at + 14, 2), _digits(values, at + 17, 2)
    joint = values[at + 10]
    if values[at + 4] != MINUS or values[at + 7] != MINUS or joint not in (_T, _T_LOWER, _BLANK):
        return bad
    if values[at + 13] != COLON or values[at + 16] != COLON:
        return bad
    if year < 1970 or not 1 <= month <= 12 or not 0 <= hour <= 23 or not 0 <= minute <= 59 or not 0 <= second <= 59:
        return bad
    leap = year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)
    if not 1 <= day <= _DAYS_IN_MONTH[month - 1] + (1 if leap and month == 2 else 0):
        return bad
    at += 19
    fraction, digits = np.int64(0), 0
    if values[at] == DOT:
        at += 1
        while at < end and ZERO <= values[at] <= NINE:
            if digits < 6:
                fraction = fraction * 10 + np.int64(values[at]) - ZERO
            digits += 1
            at += 1
        if digits == 0 or digits > 9:
            return bad
        for _ in range(6 - digits):
            fraction *= 10
    offset_minutes, fits = _offset(values, at, end)
    if not fits:
        return bad
    before = year - 1
    days = 365 * before + before // 4 - before // 100 + before // 400 - 719162
    days += _DAYS_BEFORE_MONTH[month - 1] + (1 if leap and month > 2 else 0) + day - 1
    seconds = ((days * 24 + hour) * 60 + minute - offset_minutes) * 60 + second
    return seconds * 1_000_000 + fraction, True


@kernel
def _offset(values: Bytes, at: Long, end: Long) -> tuple[Long, bool]:
    """`Z`, `+HH:MM` or `+HHMM` up to `end`: minutes east of UTC, and whether it is one."""
    if at >= end:
        return 0, False
    sign = values[at]
    if sign in (_Z, _Z_LOWER):
        return 0, at + 1 == end
    colon = end - at == 6 and values[at + 3] == COLON
    if sign not in (PLUS, MINUS) or not (colon or end - at == 5):
        return 0, False
    hours, minutes = _digits(values, at + 1, 2), _digits(values, at + (4 if colon else 3), 2)
    if not 0 <= hours <= 23 or not 0 <= minutes <= 59:
        return 0, False
    return (hours * 60 + minutes) * (-1 if sign == MINUS else 1), True
