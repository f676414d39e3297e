"""Avro bodies to rows: one pass over a block's bytes that gives each record its own verdict.

Why a kernel of our own. `polars.read_avro` decodes joined bodies as fast, but one bad record casts doubt on the whole
block, which must then be decoded one by one: eighteen times the CPU (`benchmarks/decode.py`), at the will of whoever
sends one bad record per block. Here a record is accepted when it follows its writer's schema from its first byte to
its last, and a neighbour cannot matter: no record is read beyond its end.

Stricter than most readers, for damage seldom comes alone: booleans are 0 or 1, a number has at most 64 bits, text is
well-formed UTF-8, and a block of array items is as long as it says.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from schemas.codec import cells as cell
from schemas.codec.avro_schema import (
    ARRAY,
    BOOL,
    BYTES,
    ENUM,
    FIXED,
    INT,
    LONG,
    MAP,
    NIL,
    RECORD,
    UNION,
    Layout,
    Program,
)
from schemas.codec.cells import BOOLEAN, NULL, NUMBER, TEXT, TEXTS, TIME, Cells
from schemas.codec.kernel import Bytes, Long, Longs, is_text
from schemas.codec.types import Rejected
from schemas.compiled import kernel
from schemas.contracts import Contract

# verdicts; 0 is good
_MALFORMED, _TRAILING, _UNWANTED_NULL, _UNREADABLE_BRANCH, _BAD_TEXT, _TIME_RANGE = range(1, 7)


def read_avro(
    contract: Contract, program: Program, values: Bytes, starts: Longs, ends: Longs, positions: Longs
) -> tuple[pl.DataFrame, list[Rejected]]:
    """Read records that were written with one schema.

    Args:
        contract: What the rows become.
        program: The writer's schema, resolved to the contract.
        values: The block's bytes.
        starts: First byte of each body, behind the Confluent prefix.
        ends: Where each body ends.
        positions: The record's position in its block.

    Returns:
        The rows of the good records, and the others with a reason.
    """
    n = len(starts)
    found = Cells.empty(contract, values, n, int((ends - starts).sum()))
    verdicts, places = np.zeros(n, np.int8), np.zeros(n, np.int32)
    _scan(
        values,
        starts,
        ends,
        program.nodes,
        program.children,
        program.fields,
        cell.kinds(contract),
        cell.nullables(contract),
        found.numbers,
        found.lengths,
        found.items,
        verdicts,
        places,
    )
    for column, value in program.defaults.items():
        _fill(found, column, value)
    good = np.flatnonzero(verdicts == 0)
    rows = cell.to_frame(contract, found, good, positions[good])
    for column, value in program.defaults.items():
        if isinstance(value, str) or (isinstance(value, list) and value):
            name = list(contract.polars)[column]
            rows = rows.with_columns(pl.lit(pl.Series([value], dtype=contract.polars[name])).first().alias(name))
    bad = np.flatnonzero(verdicts)
    rejected = [_rejected(contract, program, int(positions[i]), int(verdicts[i]), int(places[i])) for i in bad.tolist()]
    return rows, rejected


def _fill(found: Cells, column: int, value: Any) -> None:
    if value is None:
        found.lengths[column] = NULL
    elif isinstance(value, int):
        found.numbers[column] = int(value)


def _rejected(contract: Contract, program: Program, position: int, verdict: int, place: int) -> Rejected:
    column = int(program.fields[place, 1]) if place < len(program.fields) else -1
    names = list(contract.polars)
    where = f"column {names[column]}" if column >= 0 else f"field {place + 1} of the writer's schema"
    expected = contract.polars[names[column]] if column >= 0 else None
    reason, message = {
        _MALFORMED: ("malformed_avro", f"{where}: expected bytes after the writer's schema, came others or too few"),
        _TRAILING: ("trailing_bytes", "expected the record to end with its last field, came more bytes"),
        _UNWANTED_NULL: ("wrong_type", f"{where}: expected {expected}, came null"),
        _UNREADABLE_BRANCH: ("wrong_type", f"{where}: expected {expected}, came another branch of the writer's union"),
        _BAD_TEXT: ("invalid_utf8", f"{where}: expected UTF-8, came other bytes"),
        _TIME_RANGE: ("out_of_range", f"{where}: expected a time in the years 1970 to 9999, came one outside"),
    }[verdict]
    return Rejected(position, reason, message)


@kernel
def _long(values: Bytes, at: Long, end: Long) -> tuple[Long, Long]:
    """A zigzag varint of up to 64 bits: its value, and the position behind it or -1."""
    result = np.uint64(0)
    shift = np.uint64(0)
    while at < end:
        byte = np.uint64(values[np.uint64(at)])
        at += 1
        if shift == np.uint64(63) and byte > np.uint64(1):
            break
        result |= (byte & np.uint64(0x7F)) << shift
        if byte < np.uint64(0x80):
            return np.int64(result >> np.uint64(1)) ^ -np.int64(result & np.uint64(1)), at
        shift += np.uint64(7)
    return 0, -1


@kernel
def _skip(
    values: Bytes, at: Long, end: Long, nodes: NDArray[np.int32], children: NDArray[np.int32], node: Long
) -> Long:
    """The position behind a value of any type, or -1. Recursion is as deep as the schema, which is bounded."""
    kind, a, b = nodes[node, 0], nodes[node, 1], nodes[node, 2]
    if kind == NIL:
        return at
    if kind == BOOL:
        return at + 1 if at < end and values[at] <= 1 else -1
    if kind == FIXED:
        return at + a if a <= end - at else -1
    if kind == RECORD:
        for k in range(b):
            at = _skip(values, at, end, nodes, children, children[a + k])
            if at < 0:
                return -1
        return at
    if kind in (ARRAY, MAP):
        count, at, block_end = _block(values, at, end)
        while at >= 0 and count > 0:
            for _ in range(count):
                if kind == MAP:
                    length, at = _long(values, at, end)
                    if at < 0 or length < 0 or length > end - at:
                        return -1
                    at += length
                at = _skip(values, at, end, nodes, children, a)
                if at < 0:
                    return -1
            if block_end >= 0 and at != block_end:
                return -1
            count, at, block_end = _block(values, at, end)
        return at
    number, at = _long(values, at, end)
    if at < 0:
        return -1
    if kind == INT:
        return at if -(2**31) <= number < 2**31 else -1
    if kind == BYTES:
        return at + number if 0 <= number <= end - at else -1
    if kind == ENUM:
        return at if 0 <= number < a else -1
    if kind == UNION:
        if not 0 <= number < b:
            return -1
        return _skip(values, at, end, nodes, children, children[a + number])
    return at


@kernel
def _block(values: Bytes, at: Long, end: Long) -> tuple[Long, Long, Long]:
    """The head of a block of array items: their count, the position behind the head or -1, and the block's end or -1.

    A negative count is followed by the block's size in bytes. Items have a size, so that a count beyond the bytes
    that are left is false; this also bounds the work that a few bytes can ask for.
    """
    count, at = _long(values, at, end)
    block_end: Long = -1
    if at >= 0 and count < 0:
        count = -count
        size, at = _long(values, at, end)
        if at < 0 or size < 0 or size > end - at:
            return 0, -1, block_end
        block_end = at + size
    if at < 0 or count < 0 or count > end - at:
        return 0, -1, block_end
    return count, at, block_end


def is_whole(layout: Layout, body: Bytes) -> bool:
    """Whether bytes follow their writer's schema from the first to the last. Texts are not looked into."""
    return bool(_walk(body, layout.nodes, layout.children, layout.root) == len(body))


@kernel
def _walk(values: Bytes, nodes: NDArray[np.int32], children: NDArray[np.int32], root: Long) -> Long:
    """Where a record ends that begins with the first byte, or -1.

    `_skip` calls itself with a node of 32 bits, so that is what it must be called with: numba's cached machine code of
    a function that is compiled for two types and calls itself crashes when it is loaded (numba issue 6061).
    """
    return _skip(values, np.int64(0), np.int64(len(values)), nodes, children, np.int32(root))


@kernel
def _boolean(values: Bytes, at: Long, end: Long) -> tuple[Long, Long, int]:
    """A boolean: 0 or 1, the position behind it, and a verdict."""
    if at >= end or values[at] > 1:
        return 0, at, _MALFORMED
    return values[at], at + 1, 0


@kernel
def _texts(values: Bytes, at: Long, end: Long, items: Longs, item: Long) -> tuple[Long, Long, int]:
    """Note the items of an array of texts: the position behind it, the next free row of `items`, and a verdict."""
    count, at, block_end = _block(values, at, end)
    while at >= 0 and count > 0:
        for _ in range(count):
            length, at = _long(values, at, end)
            if at < 0 or length < 0 or length > end - at:
                return at, item, _MALFORMED
            if not is_text(values, at, at + length):
                return at, item, _BAD_TEXT
            items[item, 0] = at
            items[item, 1] = length
            item += 1
            at += length
        if block_end >= 0 and at != block_end:
            return at, item, _MALFORMED
        count, at, block_end = _block(values, at, end)
    return at, item, _MALFORMED if at < 0 else 0


@kernel
def _scan(
    values: Bytes,
    starts: Longs,
    ends: Longs,
    nodes: NDArray[np.int32],
    children: NDArray[np.int32],
    fields: NDArray[np.int32],
    kinds: Longs,
    nullable: NDArray[np.bool_],
    numbers: Longs,
    lengths: Longs,
    items: Longs,
    verdicts: NDArray[np.int8],
    places: NDArray[np.int32],
) -> None:
    """Walk every record from its first byte to its last, and note its cells, or its verdict and the field at fault.

    The frequent types are read in this one loop: with a call per field the walk takes twice as long.
    """
    item = 0
    for row in range(len(starts)):
        at, end = starts[row], ends[row]
        first_item = item
        verdict = 0
        for place in range(len(fields)):
            places[row] = place
            node, column = fields[place, 0], fields[place, 1]
            if column < 0:
                at = _skip(values, at, end, nodes, children, node)
                if at < 0:
                    verdict = _MALFORMED
                    break
                continue
            if nodes[node, 0] == UNION:
                branch, at = _long(values, at, end)
                if at < 0 or branch < 0 or branch >= nodes[node, 2]:
                    verdict = _MALFORMED
                    break
                node = children[nodes[node, 1] + branch]
            kind, times, by = nodes[node, 0], nodes[node, 1], nodes[node, 2]
            wanted = kinds[column]
            if kind == NIL:
                lengths[column, row] = NULL
                if not nullable[column]:
                    verdict = _UNWANTED_NULL
                    break
            elif kind == BYTES and wanted == TEXT and by != 0:
                length, at = _long(values, at, end)
                if at < 0 or length < 0 or length > end - at:
                    verdict = _MALFORMED
                    break
                numbers[column, row] = at
                lengths[column, row] = length
                if not is_text(values, at, at + length):
                    verdict = _BAD_TEXT
                    break
                at += length
            elif by != 0 and ((kind == LONG and wanted in (NUMBER, TIME)) or (kind == INT and wanted == NUMBER)):
                number, at = _long(values, at, end)
                numbers[column, row] = number
                if wanted == TIME and (times > 1 or by > 1):
                    if times > 1 and not -(2**50) < number < 2**50:
                        verdict = _TIME_RANGE
                        break
                    numbers[column, row] = number * times // by
                if at < 0 or (kind == INT and not -(2**31) <= number < 2**31):
                    verdict = _MALFORMED
                    break
            elif kind == ARRAY and wanted == TEXTS and nodes[times, 0] == BYTES and nodes[times, 2] != 0:
                numbers[column, row] = item
                at, item, verdict = _texts(values, at, end, items, item)
                lengths[column, row] = item - numbers[column, row]
                if verdict != 0:
                    break
            elif kind == BOOL and wanted == BOOLEAN and by != 0:
                numbers[column, row], at, verdict = _boolean(values, at, end)
                if verdict != 0:
                    break
            else:
                verdict = _UNREADABLE_BRANCH
                break
        if verdict == 0 and at != end:
            verdict = _TRAILING
        if verdict != 0:
            verdicts[row] = verdict
            item = first_item
