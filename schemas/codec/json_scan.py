"""The kernel behind `read_json`: finds the cells of plain JSON objects, and leaves alone what is not plain."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from schemas.codec.cells import BOOLEAN, NULL, NUMBER, TEXT, TEXTS, TIME
from schemas.codec.json_tokens import (
    CLOSE,
    CLOSE_LIST,
    COLON,
    COMMA,
    FALSE,
    MINUS,
    NINE,
    NULL_WORD,
    OPEN,
    OPEN_LIST,
    QUOTE,
    TRUE,
    ZERO,
    blanks,
    integer,
    is_word,
    moment,
    text_end,
)
from schemas.codec.kernel import Bytes, Long, Longs, is_text
from schemas.compiled import kernel

# in place of a length, until a member is found
ABSENT = -2
# what fills an absent member
NO_DEFAULT, DEFAULT_NULL, DEFAULT_VALUE = range(3)


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
    at = blanks(values, at + 1, end)
    if at < end and values[at] == CLOSE_LIST:
        return at + 1, item
    while at < end and values[at] == QUOTE:
        close = text_end(values, at + 1, end)
        if close < 0:
            return -1, item
        items[item, 0] = at + 1
        items[item, 1] = close - at - 1
        item += 1
        at = blanks(values, close + 1, end)
        if at >= end:
            return -1, item
        if values[at] == CLOSE_LIST:
            return at + 1, item
        if values[at] != COMMA:
            return -1, item
        at = blanks(values, at + 1, end)
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
    if first == QUOTE and (wanted in (TEXT, TIME) or wanted < 0):
        close = text_end(values, at + 1, end)
        if close < 0:
            return -1, item
        if wanted == TEXT:
            numbers[column, row] = at + 1
            lengths[column, row] = close - at - 1
        elif wanted == TIME:
            time, fits = moment(values, at + 1, close)
            if not fits:
                return -1, item
            numbers[column, row] = time
            lengths[column, row] = 0
        return close + 1, item
    if (first == MINUS or ZERO <= first <= NINE) and (wanted in (NUMBER, TIME) or wanted < 0):
        number, at = integer(values, at, end)
        if wanted >= 0:
            numbers[column, row] = number
            lengths[column, row] = 0
        return at, item
    if is_word(values, at, end, NULL_WORD) and (nullable or wanted < 0):
        if wanted >= 0:
            lengths[column, row] = NULL
        return at + 4, item
    if first == OPEN_LIST and wanted == TEXTS:
        numbers[column, row] = item
        at, next_item = _list(values, at, end, items, item)
        lengths[column, row] = next_item - item
        return at, next_item
    truth = is_word(values, at, end, TRUE)
    if (wanted == BOOLEAN or wanted < 0) and (truth or is_word(values, at, end, FALSE)):
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
        at = blanks(values, starts[row], end)
        good = at < end and values[at] == OPEN
        guess = 0
        at = blanks(values, at + 1, end)
        closed = good and at < end and values[at] == CLOSE
        while good and not closed:
            good = False
            if at >= end or values[at] != QUOTE:
                break
            close = text_end(values, at + 1, end)
            if close < 0:
                break
            column = _column(values, at + 1, close, names, name_ends, guess)
            at = blanks(values, close + 1, end)
            if at >= end or values[at] != COLON:
                break
            at = blanks(values, at + 1, end)
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
            at = blanks(values, at, end)
            if at >= end:
                break
            closed = values[at] == CLOSE
            if not closed:
                if values[at] != COMMA:
                    break
                at = blanks(values, at + 1, end)
            good = True
        if good and blanks(values, at + 1, end) == end and _filled(row, default_kinds, defaults, numbers, lengths):
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
