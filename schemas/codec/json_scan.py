"""The kernel behind `read_json`: finds the cells of plain JSON objects, and leaves alone what is not plain."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from schemas.codec.cells import BOOLEAN, NULL, NUMBER, TEXT, TEXTS, TIME
from schemas.codec.kernel import Bytes, Long, Longs, is_text
from schemas.compiled import kernel

# in place of a length, until a member is found
ABSENT = -2
# what fills an absent member
NO_DEFAULT, DEFAULT_NULL, DEFAULT_VALUE = range(3)

_MAX_DIGITS = 18  # any number of so many digits fits in 64 bits
_QUOTE, _BACKSLASH, _MINUS, _PLUS, _COMMA, _COLON, _DOT = 34, 92, 45, 43, 44, 58, 46
_OPEN, _CLOSE, _OPEN_LIST, _CLOSE_LIST = 123, 125, 91, 93
_ZERO, _NINE, _T, _T_LOWER, _Z, _Z_LOWER, _BLANK = 48, 57, 84, 116, 90, 122, 32
_TRUE = np.frombuffer(b"true", np.uint8)
_FALSE = np.frombuffer(b"false", np.uint8)
_NULL = np.frombuffer(b"null", np.uint8)
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
            elif byte == _BACKSLASH:
                escaped = True
            elif byte == _QUOTE:
                inside = False
        elif byte == _QUOTE:
            inside = True
        elif byte in (_OPEN, _OPEN_LIST):
            depth += 1
            deepest = max(deepest, depth)
        elif byte in (_CLOSE, _CLOSE_LIST):
            depth -= 1
    return deepest


@kernel
def _blanks(values: Bytes, at: Long, end: Long) -> Long:
    """The next position that is not white space."""
    while at < end:
        byte = values[np.uint64(at)]
        if byte != _BLANK and byte != 10 and byte != 13 and byte != 9:
            break
        at += 1
    return at


@kernel
def _text_end(values: Bytes, at: Long, end: Long) -> Long:
    """The closing quote of the text that begins at `at`, or -1 if it has an escape, a control character or no end."""
    while at < end:
        byte = values[np.uint64(at)]
        if byte == _QUOTE:
            return at
        if byte == _BACKSLASH or byte < 0x20:
            return -1
        at += 1
    return -1


@kernel
def _word(values: Bytes, at: Long, end: Long, word: Bytes) -> bool:
    if len(word) > end - at:
        return False
    same = 0
    while same < len(word) and values[at + same] == word[same]:
        same += 1
    return same == len(word)


@kernel
def _integer(values: Bytes, at: Long, end: Long) -> tuple[Long, Long]:
    """A whole number of up to 18 digits: its value and the position behind it or -1. What follows is not looked at."""
    negative = values[at] == _MINUS
    if negative:
        at += 1
    first = at
    number = np.int64(0)
    while at < end and _ZERO <= values[np.uint64(at)] <= _NINE and at - first <= _MAX_DIGITS:
        number = number * 10 + np.int64(values[np.uint64(at)]) - _ZERO
        at += 1
    digits = at - first
    if digits == 0 or digits > _MAX_DIGITS or (values[first] == _ZERO and (digits > 1 or negative)):
        return 0, -1
    return (-number if negative else number), at


@kernel
def _digits(values: Bytes, at: Long, count: Long) -> Long:
    """`count` decimal digits as a number, or a negative number if one is none."""
    number = np.int64(0)
    for k in range(count):
        digit = np.int64(values[np.uint64(at + k)]) - _ZERO
        if digit < 0 or digit > 9:
            return -(10**9)
        number = number * 10 + digit
    return number


@kernel
def _time(values: Bytes, at: Long, end: Long) -> tuple[Long, bool]:
    """A time in one of the forms `parse_time` reads, from 1970 on: microseconds, and whether it is one."""
    bad = (0, False)
    if end - at < 20:
        return bad
    year, month, day = _digits(values, at, 4), _digits(values, at + 5, 2), _digits(values, at + 8, 2)
    hour, minute, second = _digits(values, at + 11, 2), _digits(values, at + 14, 2), _digits(values, at + 17, 2)
    joint = values[at + 10]
    if values[at + 4] != _MINUS or values[at + 7] != _MINUS or joint not in (_T, _T_LOWER, _BLANK):
        return bad
    if values[at + 13] != _COLON or values[at + 16] != _COLON:
        return bad
    if year < 1970 or not 1 <= month <= 12 or not 0 <= hour <= 23 or not 0 <= minute <= 59 or not 0 <= second <= 59:
        return bad
    leap = year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)
    if not 1 <= day <= _DAYS_IN_MONTH[month - 1] + (1 if leap and month == 2 else 0):
        return bad
    at += 19
    fraction, digits = np.int64(0), 0
    if values[at] == _DOT:
        at += 1
        while at < end and _ZERO <= values[at] <= _NINE:
            if digits < 6:
                fraction = fraction * 10 + np.int64(values[at]) - _ZERO
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
    colon = end - at == 6 and values[at + 3] == _COLON
    if sign not in (_PLUS, _MINUS) or not (colon or end - at == 5):
        return 0, False
    hours, minutes = _digits(values, at + 1, 2), _digits(values, at + (4 if colon else 3), 2)
    if not 0 <= hours <= 23 or not 0 <= minutes <= 59:
        return 0, False
    return (hours * 60 + minutes) * (-1 if sign == _MINUS else 1), True


@kernel
def _column(values: Bytes, start: Long, end: Long, names: Bytes, name_ends: Longs, guess: Long) -> Long:
    """The column of a name, or -1. Producers keep an order, so the guess is mostly right."""
    columns = len(name_ends) - 1
    for k in range(columns):
        column = (guess + k) % columns
        first = name_ends[column]
        if name_ends[column + 1] - first != end - start:
            continue
        same = True
        for i in range(end - start):
            if values[np.uint64(start + i)] != names[np.uint64(first + i)]:
                same = False
                break
        if same:
            return column
    return -1


@kernel
def _list(values: Bytes, at: Long, end: Long, items: Longs, item: Long) -> tuple[Long, Long]:
    """The texts of a list, noted from row `item` on: the position behind the list or -1, and the next free row."""
    at = _blanks(values, at + 1, end)
    if at < end and values[at] == _CLOSE_LIST:
        return at + 1, item
    while at < end and values[at] == _QUOTE:
        close = _text_end(values, at + 1, end)
        if close < 0:
            return -1, item
        items[item, 0] = at + 1
        items[item, 1] = close - at - 1
        item += 1
        at = _blanks(values, close + 1, end)
        if at >= end:
            return -1, item
        if values[at] == _CLOSE_LIST:
            return at + 1, item
        if values[at] != _COMMA:
            return -1, item
        at = _blanks(values, at + 1, end)
    return -1, item


@kernel
def _value(
    values: Bytes,
    at: Long,
    end: Long,
    wanted: Long,
    nullable: bool,
    column: Long,
    row: Long,
    numbers: Longs,
    lengths: Longs,
    items: Longs,
    item: Long,
) -> tuple[Long, Long]:
    """Note a member's value: the position behind it or -1, and the next free row of `items`.

    A `wanted` of -1 is an unknown member, whose plain value is passed over.
    """
    first = values[np.uint64(at)]
    if first == _QUOTE and (wanted in (TEXT, TIME) or wanted < 0):
        close = _text_end(values, at + 1, end)
        if close < 0:
            return -1, item
        if wanted == TEXT:
            numbers[column, row] = at + 1
            lengths[column, row] = close - at - 1
        elif wanted == TIME:
            moment, fits = _time(values, at + 1, close)
            if not fits:
                return -1, item
            numbers[column, row] = moment
            lengths[column, row] = 0
        return close + 1, item
    if (first == _MINUS or _ZERO <= first <= _NINE) and (wanted in (NUMBER, TIME) or wanted < 0):
        number, at = _integer(values, at, end)
        if wanted >= 0:
            numbers[column, row] = number
            lengths[column, row] = 0
        return at, item
    if _word(values, at, end, _NULL) and (nullable or wanted < 0):
        if wanted >= 0:
            lengths[column, row] = NULL
        return at + 4, item
    if first == _OPEN_LIST and wanted == TEXTS:
        numbers[column, row] = item
        at, next_item = _list(values, at, end, items, item)
        lengths[column, row] = next_item - item
        return at, next_item
    truth = _word(values, at, end, _TRUE)
    if (wanted == BOOLEAN or wanted < 0) and (truth or _word(values, at, end, _FALSE)):
        if wanted >= 0:
            numbers[column, row] = 1 if truth else 0
            lengths[column, row] = 0
        return at + (4 if truth else 5), item
    return -1, item


@kernel
def scan(
    values: Bytes,
    starts: Longs,
    ends: Longs,
    names: Bytes,
    name_ends: Longs,
    kinds: Longs,
    nullable: NDArray[np.bool_],
    default_kinds: Longs,
    defaults: Longs,
    numbers: Longs,
    lengths: Longs,
    items: Longs,
    plain: NDArray[np.bool_],
) -> None:
    """Note the cells of every plain record. `lengths` comes in filled with `ABSENT`; `plain` says which were."""
    item = 0
    for row in range(len(starts)):
        first_item = item
        end = ends[row]
        if not is_text(values, starts[row], end):
            continue
        at = _blanks(values, starts[row], end)
        good = at < end and values[at] == _OPEN
        guess = 0
        at = _blanks(values, at + 1, end)
        closed = good and at < end and values[at] == _CLOSE
        while good and not closed:
            good = False
            if at >= end or values[at] != _QUOTE:
                break
            close = _text_end(values, at + 1, end)
            if close < 0:
                break
            column = _column(values, at + 1, close, names, name_ends, guess)
            at = _blanks(values, close + 1, end)
            if at >= end or values[at] != _COLON:
                break
            at = _blanks(values, at + 1, end)
            if at >= end:
                break
            wanted: Long = -1
            may_be_null = False
            if column >= 0:
                guess = column + 1
                wanted = kinds[column]
                may_be_null = bool(nullable[column])
            at, item = _value(values, at, end, wanted, may_be_null, column, row, numbers, lengths, items, item)
            if at < 0:
                break
            at = _blanks(values, at, end)
            if at >= end:
                break
            closed = values[at] == _CLOSE
            if not closed:
                if values[at] != _COMMA:
                    break
                at = _blanks(values, at + 1, end)
            good = True
        if good and _blanks(values, at + 1, end) == end and _filled(row, default_kinds, defaults, numbers, lengths):
            plain[row] = True
        else:
            item = first_item


@kernel
def _filled(row: Long, default_kinds: Longs, defaults: Longs, numbers: Longs, lengths: Longs) -> bool:
    """Fill the absent members of a row with their defaults; False if one has none."""
    for column in range(len(default_kinds)):
        if lengths[column, row] == ABSENT:
            if default_kinds[column] == NO_DEFAULT:
                return False
            lengths[column, row] = NULL if default_kinds[column] == DEFAULT_NULL else 0
            numbers[column, row] = defaults[column]
    return True
