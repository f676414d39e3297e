"""What `nested` has found, as columns: texts, whole numbers, times and flags.

A value that is missing, null or the empty text is null here, as vendors give the three no different meanings. What
cannot be read as the column's type is unfit: the record is left to a parser, which says why.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from schemas.codec.json_tokens import FALSE, NINE, TRUE, ZERO, integer, is_word, moment
from schemas.codec.kernel import WORD_BYTES, Bytes, Long, Longs, load_word
from schemas.codec.nested_scan import (
    IS_FALSE,
    IS_INTEGER,
    IS_NULL,
    IS_TEXT,
    IS_TRUE,
    KIND_BITS,
    LENGTH_BITS,
    START_SHIFT,
)
from schemas.compiled import kernel

Bools = NDArray[np.bool_]

_MIXER = np.uint64(0x9E3779B97F4A7C15)  # the golden ratio's, as in splitmix64
_KIND = 2**KIND_BITS - 1
_LENGTH = 2**LENGTH_BITS - 1
_LENGTH_MASK = _LENGTH << KIND_BITS


class Numbers(NamedTuple):
    """A column of whole numbers, or of times in microseconds, or of 0 and 1. int64."""

    values: Longs
    null: Bools
    unfit: Bools

    def filled(self, number: int) -> Longs:
        """The numbers, with another one for null."""
        return np.where(self.null, number, self.values) if self.null.any() else self.values

    def take(self, rows: Longs) -> Numbers:
        """The numbers of some rows."""
        return Numbers(self.values[rows], self.null[rows], self.unfit[rows])

    def where(self, here: Bools) -> Numbers:
        """The numbers where `here` is true, null elsewhere."""
        return Numbers(self.values, self.null | ~here, self.unfit)

    def or_else(self, other: Numbers) -> Numbers:
        """The numbers, and another's where these are null."""
        if not self.null.any():
            return self
        return Numbers(np.where(self.null, other.values, self.values), self.null & other.null, self.unfit)


def is_there(notes: Longs) -> Bools:
    """Where something is given that is not null; also the empty text."""
    there: Bools = (notes & _KIND) > IS_NULL
    return there


def has_text(notes: Longs) -> Bools:
    """Where something is given that is neither null nor the empty text."""
    there: Bools = is_there(notes) & ((notes & _LENGTH_MASK) > 0)
    return there


def is_integer(notes: Longs) -> Bools:
    """Where a value is a whole number."""
    there: Bools = (notes & _KIND) == IS_INTEGER
    return there


def length_of(notes: Longs) -> Longs:
    """The bytes of each value; 0 where nothing is noted."""
    lengths: Longs = (notes >> KIND_BITS) & _LENGTH
    return lengths


def has_text_or_digits(notes: Longs) -> Bools:
    """Where a value is a text, also an empty one, or a whole number."""
    kinds = notes & _KIND
    there: Bools = (kinds == IS_TEXT) | (kinds == IS_INTEGER)
    return there


def without_prefix(values: Bytes, notes: Longs, prefix: str) -> Longs:
    """Where the rest of a text lies; nothing is there where it does not begin so."""
    found = np.zeros(len(notes), np.int64)
    _without_prefix(values, notes, np.frombuffer(prefix.encode(), np.uint8), found)
    return found


def are_digits(values: Bytes, notes: Longs) -> Bools:
    """Where a value is digits alone, of which the first is not 0."""
    found = np.zeros(len(notes), np.bool_)
    _are_digits(values, notes, found)
    return found


def joined(values: Bytes, pieces: Sequence[str | Longs]) -> pa.Array:
    """Texts of pieces, each the same everywhere or a column of values as they are written; null where one of them is.

    Of texts what is between the quotes is taken, of numbers their digits, of JSON all of it.
    """
    literals, columns = [""], list[Longs]()
    for piece in pieces:
        if isinstance(piece, str):
            literals[-1] += piece
        else:
            columns.append(piece)
            literals.append("")
    null = ~np.logical_and.reduce([has_text(column) for column in columns])
    notes = np.stack(columns)
    encoded = [literal.encode() for literal in literals]
    literal_ends = np.cumsum([0, *map(len, encoded)], dtype=np.int64)
    lengths = ((notes & _LENGTH_MASK) >> KIND_BITS).sum(axis=0) + literal_ends[-1]
    lengths[null] = 0
    ends = np.zeros(len(lengths) + 1, np.int64)
    np.cumsum(lengths, out=ends[1:])
    data = np.empty(int(ends[-1]), np.uint8)
    _join(values, notes, np.frombuffer(b"".join(encoded), np.uint8), literal_ends, ends, data)
    bitmap = pa.py_buffer(np.packbits(~null, bitorder="little")) if null.any() else None
    return pa.LargeStringArray.from_buffers(len(lengths), pa.py_buffer(ends), pa.py_buffer(data), bitmap)


def distinct_texts(values: Bytes, notes: Longs) -> tuple[list[str], Longs]:
    """The distinct values as they are written, and for each row which it is; their count for null."""
    n = len(notes)
    slots = np.full(1 << (2 * n).bit_length(), -1, np.int64)
    firsts, places = np.empty(n, np.int64), np.empty(n, np.int64)
    count = _distinct(values, notes, slots, firsts, places)
    written = values.data
    found = [
        str(written[note >> START_SHIFT : (note >> START_SHIFT) + (note >> KIND_BITS & _LENGTH)], "utf-8")
        for note in firsts[:count].tolist()
    ]
    places[places < 0] = count
    return found, places


def whole_numbers(values: Bytes, notes: Longs) -> Numbers:
    """Whole numbers, also as texts of digits."""
    found = _numbers(len(notes))
    _whole_numbers(values, notes, *found)
    return found


def moments(values: Bytes, notes: Longs) -> Numbers:
    """Times in the forms that `parse_time` reads, from 1970 on, as microseconds."""
    found = _numbers(len(notes))
    _moments(values, notes, *found)
    return found


def flags(values: Bytes, notes: Longs) -> Numbers:
    """Booleans, also as the texts "true" and "false"."""
    found = _numbers(len(notes))
    _flags(values, notes, *found)
    return found


def _numbers(n: int) -> Numbers:
    return Numbers(np.zeros(n, np.int64), np.zeros(n, np.bool_), np.zeros(n, np.bool_))


@kernel
def _whole_numbers(values: Bytes, notes: Longs, numbers: Longs, null: Bools, unfit: Bools) -> None:
    for row in range(len(notes)):
        note = notes[row]
        start, length = note >> START_SHIFT, (note >> KIND_BITS) & _LENGTH
        if (note & _KIND) <= IS_NULL or length == 0:
            null[row] = True
            continue
        number, behind = integer(values, start, start + length)
        numbers[row] = number
        unfit[row] = behind != start + length


@kernel
def _moments(values: Bytes, notes: Longs, numbers: Longs, null: Bools, unfit: Bools) -> None:
    for row in range(len(notes)):
        note = notes[row]
        start, length = note >> START_SHIFT, (note >> KIND_BITS) & _LENGTH
        if (note & _KIND) <= IS_NULL or length == 0:
            null[row] = True
            continue
        time, fits = moment(values, start, start + length)
        numbers[row] = time
        unfit[row] = not fits


@kernel
def _flags(values: Bytes, notes: Longs, numbers: Longs, null: Bools, unfit: Bools) -> None:
    for row in range(len(notes)):
        note = notes[row]
        kind, start, length = note & _KIND, note >> START_SHIFT, (note >> KIND_BITS) & _LENGTH
        if kind <= IS_NULL or length == 0:
            null[row] = True
        elif kind == IS_TEXT:
            truth = length == 4 and is_word(values, start, start + length, TRUE)
            numbers[row] = 1 if truth else 0
            unfit[row] = not truth and not (length == 5 and is_word(values, start, start + length, FALSE))
        else:
            numbers[row] = 1 if kind == IS_TRUE else 0
            unfit[row] = kind not in (IS_TRUE, IS_FALSE)


@kernel
def _are_digits(values: Bytes, notes: Longs, found: Bools) -> None:
    for row in range(len(notes)):
        start, length = notes[row] >> START_SHIFT, (notes[row] >> KIND_BITS) & _LENGTH
        digits = length > 0 and values[start] != ZERO
        for k in range(np.uint64(length)):
            digits &= ZERO <= values[np.uint64(start) + k] <= NINE
        found[row] = digits


@kernel
def _join(values: Bytes, notes: Longs, literals: Bytes, literal_ends: Longs, ends: Longs, out: Bytes) -> None:
    columns = notes.shape[0]
    for row in range(notes.shape[1]):
        at = np.uint64(ends[row])
        if ends[row + 1] == ends[row]:
            continue
        for column in range(columns + 1):
            first = np.uint64(literal_ends[column])
            for k in range(np.uint64(literal_ends[column + 1]) - first):
                out[at + k] = literals[first + k]
            at += np.uint64(literal_ends[column + 1]) - first
            if column < columns:
                start, length = notes[column, row] >> START_SHIFT, (notes[column, row] >> KIND_BITS) & _LENGTH
                for k in range(np.uint64(length)):
                    out[at + k] = values[np.uint64(start) + k]
                at += np.uint64(length)


@kernel
def _without_prefix(values: Bytes, notes: Longs, prefix: Bytes, found: Longs) -> None:
    for row in range(len(notes)):
        start, length = notes[row] >> START_SHIFT, (notes[row] >> KIND_BITS) & _LENGTH
        if (notes[row] & _KIND) == IS_TEXT and is_word(values, start, start + length, prefix):
            rest = length - len(prefix)
            found[row] = (start + len(prefix)) << START_SHIFT | rest << KIND_BITS | IS_TEXT


@kernel
def _word(values: Bytes, at: Long, end: Long) -> Any:
    """The bytes up to `end`, eight at most, as a number."""
    if at + WORD_BYTES <= end:
        return load_word(values, np.uint64(at))
    word = np.uint64(0)
    for k in range(np.uint64(end - at)):
        word |= np.uint64(values[np.uint64(at) + k]) << (np.uint64(8) * k)
    return word


@kernel
def _is_same(values: Bytes, note: Long, other: Long) -> bool:
    length = (note >> KIND_BITS) & _LENGTH
    if (other >> KIND_BITS) & _LENGTH != length:
        return False
    one, two = note >> START_SHIFT, other >> START_SHIFT
    for k in range(0, length, WORD_BYTES):
        if _word(values, one + k, one + length) != _word(values, two + k, two + length):
            return False
    return True


@kernel
def _distinct(values: Bytes, notes: Longs, slots: Longs, firsts: Longs, places: Longs) -> int:
    """Number the distinct values in the order of their first rows; their count. -1 is for null.

    `slots` is a hash table of numbers, at least twice as long as the rows, a power of two, filled with -1.
    """
    count = 0
    for row in range(len(notes)):
        note = notes[row]
        start, length = note >> START_SHIFT, (note >> KIND_BITS) & _LENGTH
        if (note & _KIND) <= IS_NULL or length == 0:
            places[row] = -1
            continue
        mixed = np.uint64(length)
        for k in range(0, length, WORD_BYTES):
            mixed = (mixed ^ _word(values, start + k, start + length)) * _MIXER
            mixed ^= mixed >> np.uint64(29)
        slot = mixed & np.uint64(len(slots) - 1)
        while slots[slot] >= 0 and not _is_same(values, note, firsts[slots[slot]]):
            slot = (slot + np.uint64(1)) & np.uint64(len(slots) - 1)
        if slots[slot] < 0:
            slots[slot] = count
            firsts[count] = note
            count += 1
        places[row] = slots[slot]
    return count
