"""The kernel behind `nested`: finds the named values of nested JSON, and leaves alone the records that are not plain.

It follows the whole of a record's syntax, also where nothing is named, so that whatever a parser would refuse is not
plain either. It knows less than a parser: escapes of code points, exponents, numbers of more than 18 digits, deep
nesting and long records are left to it.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from schemas.codec.json_tokens import (
    CLOSE,
    CLOSE_LIST,
    COLON,
    COMMA,
    DOT,
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
    escaped_text_end,
    integer,
    is_word,
    text_end,
)
from schemas.codec.kernel import Bytes, Long, Longs, is_text
from schemas.compiled import kernel

# what came for a named value
ABSENT, IS_NULL, IS_TEXT, IS_INTEGER, IS_TRUE, IS_FALSE, IS_FRACTION, IS_OBJECT, IS_LIST = range(9)

# columns of a tree's nodes
ACCEPTS = 0
"""The kinds that may come, a bit each."""
FIRST = 1
"""The first member of an object, the item of a list; -1 where what is inside is not named."""
TABLE = 2
"""The table of a list's items; -1 for anything else."""
NEXT = 3
"""The member that mostly follows."""
CHAIN = 4
"""Another member of the same object whose name has the same hash, or -1."""
HOW = 5
"""How its name is compared, and what is noted: a sum of `ANY_CASE`, `AS_JSON`, `HOLDS_ANY_CASE` (of an object)."""
NAME, NAME_BYTES = 6, 7
"""Where its name lies."""
BUCKET = 8
"""The first of the columns that hold a member for each hash of a name, or -1."""
BUCKETS = 32
NODE_COLUMNS = BUCKET + BUCKETS
ANY_CASE, AS_JSON, HOLDS_ANY_CASE = 1, 2, 4

# columns of a tree's tables
FIRST_NODE, WIDTH, ROOM, AT, USED, USED_BEFORE = range(6)
"""Of its nodes, how many they are, for how many rows there is room, where its notes begin, how many rows are used, and
how many were before the present record."""
TABLE_COLUMNS = 6

# a note: first byte, bytes, kind
KIND_BITS = 4
LENGTH_BITS = 20
START_SHIFT = KIND_BITS + LENGTH_BITS

MOST_LEVELS = 30
MOST_ITEMS = 64
MOST_BYTES = 16_384
_CASE = 0x20
_MAX_FRACTION = 17  # characters


@kernel
def hash_of(values: Bytes, start: Long, length: Long) -> Long:
    """The bucket of a member's name, whatever its case."""
    if length == 0:
        return 0
    first, last = np.int64(values[np.uint64(start)] | _CASE), np.int64(values[np.uint64(start + length - 1)] | _CASE)
    middle = np.int64(values[np.uint64(start + length // 2)] | _CASE)
    return (length * 5 + first + last * 3 + middle * 7) & (BUCKETS - 1)


@kernel
def _is_named(values: Bytes, start: Long, length: Long, names: Bytes, nodes: Longs, member: Long) -> bool:
    if nodes[np.uint64(member), NAME_BYTES] != length:
        return False
    first = np.uint64(nodes[np.uint64(member), NAME])
    for k in range(np.uint64(length)):
        byte, wanted = values[np.uint64(start) + k], names[first + k]
        if byte != wanted:
            # a letter's case is one bit; names that are compared so are lower-case
            folded = nodes[np.uint64(member), HOW] & ANY_CASE and 97 <= wanted <= 122 and (byte | _CASE) == wanted
            if not folded:
                return False
    return True


@kernel
def _member(values: Bytes, start: Long, length: Long, names: Bytes, nodes: Longs, holder: Long, guess: Long) -> Long:
    """The member of an object that has this name, or -1. Producers keep an order, so the guess is mostly right."""
    if _is_named(values, start, length, names, nodes, guess):
        return guess
    member = nodes[np.uint64(holder), BUCKET + hash_of(values, start, length)]
    while member >= 0 and not _is_named(values, start, length, names, nodes, member):
        member = nodes[np.uint64(member), CHAIN]
    return member


@kernel
def _number(values: Bytes, at: Long, end: Long) -> tuple[Long, Long]:
    """The kind of a number, and the position behind it or -1."""
    start = at
    _, at = integer(values, at, end)
    if at < 0 or at >= end or values[np.uint64(at)] != DOT:
        return IS_INTEGER, at
    first = at + 1
    at = first
    while at < end and ZERO <= values[np.uint64(at)] <= NINE:
        at += 1
    return IS_FRACTION, at if at > first and at - start <= _MAX_FRACTION else -1


@kernel
def _literal(values: Bytes, at: Long, end: Long) -> tuple[Long, Long]:
    """The kind of a literal name, and the position behind it or -1."""
    if is_word(values, at, end, NULL_WORD):
        return IS_NULL, at + 4
    if is_word(values, at, end, TRUE):
        return IS_TRUE, at + 4
    if is_word(values, at, end, FALSE):
        return IS_FALSE, at + 5
    return ABSENT, -1


@kernel
def _is_ascii(values: Bytes, start: Long, end: Long) -> bool:
    """Whether a name is ASCII: there are letters beyond it whose lower case is."""
    seen = np.uint8(0)
    for at in range(np.uint64(start), np.uint64(end)):
        seen |= values[at]
    return bool(seen < 0x80)


@kernel
def _item(tables: Longs, notes: Longs, parents: Longs, table: Long, parent: Long) -> Long:
    """A new row of a table: where its notes are, less the number of the table's first node; or -1."""
    row = tables[table, USED]
    if row >= tables[table, ROOM] or row - tables[table, USED_BEFORE] >= MOST_ITEMS:
        return -1
    tables[table, USED] = row + 1
    parents[table, row] = parent
    width = tables[table, WIDTH]
    at = tables[table, AT] + row * width
    for k in range(np.uint64(width)):
        notes[np.uint64(at) + k] = ABSENT
    return at


@kernel
def _walk(
    values: Bytes,
    at: Long,
    end: Long,
    place: Long,
    names: Bytes,
    nodes: Longs,
    tables: Longs,
    notes: Longs,
    parents: Longs,
    levels: Longs,
) -> Long:
    """Note the named values of one record: the position behind it, or -1 where it is not plain.

    `place` is where the notes of its row begin. `levels` holds what is open, outermost first: whether it is an object,
    its node or -1, where the notes of its row are, and its member that is expected next, or its item.
    """
    depth = np.uint64(0)
    one = np.uint64(1)
    node: Long = 0
    at = blanks(values, at, end)
    while True:
        # a value begins, that of `node`; a node of -1 is not named
        if at >= end:
            return -1
        byte = values[np.uint64(at)]
        start = at
        opened = False
        how = nodes[np.uint64(node), HOW] if node >= 0 else AS_JSON
        if byte == QUOTE:
            kind: Long = IS_TEXT
            close = text_end(values, at + 1, end)
            if close < 0 and how & AS_JSON:
                close = escaped_text_end(values, at + 1, end)
            if close < 0:
                return -1
            at = close + 1
        elif byte in (OPEN, OPEN_LIST):
            kind = IS_OBJECT if byte == OPEN else IS_LIST
            opened = True
            at += 1
        elif byte == MINUS or ZERO <= byte <= NINE:
            kind, at = _number(values, at, end)
        else:
            kind, at = _literal(values, at, end)
        if at < 0:
            return -1
        if node >= 0:
            here = np.uint64(place + node)
            if notes[here] != ABSENT or not (nodes[np.uint64(node), ACCEPTS] >> kind) & 1:
                return -1
            quotes = 1 if kind == IS_TEXT and not how & AS_JSON else 0
            notes[here] = (start + quotes) << START_SHIFT | (at - start - 2 * quotes) << KIND_BITS | kind
        if opened:
            if depth == MOST_LEVELS:
                return -1
            levels[depth, 0] = kind
            levels[depth, 1] = node
            levels[depth, 2] = place
            levels[depth, 3] = nodes[np.uint64(node), FIRST] if node >= 0 else -1
            depth += one
        at = blanks(values, at, end)
        # whatever ends here
        while depth > 0 and at < end:
            byte = values[np.uint64(at)]
            if byte != (CLOSE if levels[depth - one, 0] == IS_OBJECT else CLOSE_LIST):
                break
            at += 1
            opened = False
            depth -= one
            closed = levels[depth, 1]
            if closed >= 0 and nodes[np.uint64(closed), HOW] & AS_JSON:
                here = np.uint64(levels[depth, 2] + closed)
                start = notes[here] >> START_SHIFT
                notes[here] = start << START_SHIFT | (at - start) << KIND_BITS | (notes[here] & (2**KIND_BITS - 1))
            at = blanks(values, at, end)
        if depth == 0:
            return at
        if not opened:
            if at >= end or values[np.uint64(at)] != COMMA:
                return -1
            at = blanks(values, at + 1, end)
        # the next member, or the next item
        holder, place, guess = levels[depth - one, 1], levels[depth - one, 2], levels[depth - one, 3]
        node = -1
        if levels[depth - one, 0] == IS_OBJECT:
            if at >= end or values[np.uint64(at)] != QUOTE:
                return -1
            close = text_end(values, at + 1, end)
            if close < 0 and guess < 0:
                close = escaped_text_end(values, at + 1, end)
            if close < 0:
                return -1
            if guess >= 0:
                node = _member(values, at + 1, close - at - 1, names, nodes, holder, guess)
                if node >= 0:
                    levels[depth - one, 3] = nodes[np.uint64(node), NEXT]
                elif nodes[np.uint64(holder), HOW] & HOLDS_ANY_CASE and not _is_ascii(values, at + 1, close):
                    return -1
            at = blanks(values, close + 1, end)
            if at >= end or values[np.uint64(at)] != COLON:
                return -1
            at = blanks(values, at + 1, end)
        elif guess >= 0:
            node = guess
            table = nodes[np.uint64(holder), TABLE]
            row = _item(tables, notes, parents, table, place)
            if row < 0:
                return -1
            place = row - tables[table, FIRST_NODE]


@kernel
def scan_nested(
    values: Bytes,
    starts: Longs,
    ends: Longs,
    names: Bytes,
    nodes: Longs,
    tables: Longs,
    notes: Longs,
    parents: Longs,
    levels: Longs,
    plain: NDArray[np.bool_],
) -> None:
    """Note the named values of every plain record; `plain` says which were, and of the others nothing is noted.

    The notes of the first table, that of the records, come in as zeros.
    """
    width = tables[0, WIDTH]
    for record in range(len(starts)):
        at, end = starts[record], ends[record]
        if end - at > MOST_BYTES or not is_text(values, at, end):
            continue
        for table in range(len(tables)):
            tables[table, USED_BEFORE] = tables[table, USED]
        place = record * width
        if _walk(values, at, end, place, names, nodes, tables, notes, parents, levels) == end:
            plain[record] = True
            continue
        for table in range(len(tables)):
            tables[table, USED] = tables[table, USED_BEFORE]
        for k in range(width):
            notes[place + k] = ABSENT
