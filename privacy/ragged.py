"""Values of many lengths as zero-padded matrices, and back: what lets a cipher see a whole column at once."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import polars as pl
import pyarrow as pa
from numpy.typing import NDArray

Bytes = NDArray[np.uint8]
Lengths = NDArray[np.int64]
Rows = NDArray[np.intp] | slice

BLOCK = 16
COLUMNAR_BLOCKS = 8
"""Values of more blocks are worked on one by one: they are rare, and padded groups of them would be all padding."""


@dataclass(frozen=True, slots=True)
class Group:
    """The values that fill the same number of 16-byte blocks.

    Attributes:
        rows: Where they stand in the column; a slice when they are the whole column.
        blocks: Their bytes, zero padded. uint8, (n, 16 * number of blocks); one block for the empty value.
        lengths: Their lengths in bytes.
    """

    rows: Rows
    blocks: Bytes
    lengths: Lengths


@dataclass(frozen=True, slots=True)
class Ragged:
    """A column of byte strings: value `i` is `data[ends[i]:ends[i + 1]]`, the first of the n + 1 ends is 0."""

    data: Bytes
    ends: Lengths

    def __len__(self) -> int:
        return len(self.ends) - 1

    @classmethod
    def of(cls, column: pl.Series) -> Ragged:
        """The UTF-8 bytes of a String column; a null is an empty value."""
        array = column.to_arrow(compat_level=pl.CompatLevel.oldest())
        _, ends, data = array.buffers()
        if not len(array) or data is None:
            return cls(np.zeros(0, np.uint8), np.zeros(len(array) + 1, np.int64))
        at = np.frombuffer(ends, np.int64)[array.offset : array.offset + len(array) + 1]
        return cls(np.frombuffer(data, np.uint8)[at[0] : at[-1]], at - at[0])

    def value(self, row: int) -> bytes:
        """One value."""
        return self.data[self.ends[row] : self.ends[row + 1]].tobytes()

    def groups(self) -> Iterator[Group]:
        """The values of up to `COLUMNAR_BLOCKS` blocks, by their number of blocks."""
        lengths = np.diff(self.ends)
        counts = _block_counts(lengths)
        present = np.bincount(counts).nonzero()[0]
        if len(present) == 1 and present[0] <= COLUMNAR_BLOCKS:
            yield Group(slice(None), padded(self.data, lengths, int(present[0]) * BLOCK), lengths)
            return
        for count in present[present <= COLUMNAR_BLOCKS]:
            chosen = counts == count
            data = self.data[np.repeat(chosen, lengths)]
            yield Group(chosen.nonzero()[0], padded(data, lengths[chosen], int(count) * BLOCK), lengths[chosen])

    def long_rows(self) -> NDArray[np.intp]:
        """The rows that `groups` leaves out."""
        return (_block_counts(np.diff(self.ends)) > COLUMNAR_BLOCKS).nonzero()[0]


def padded(data: Bytes, lengths: Lengths, width: int) -> Bytes:
    """Values that lie back to back, as rows of a zero-padded matrix of `width` columns."""
    matrix = np.zeros((len(lengths), width), np.uint8)
    if _all_equal(lengths):
        matrix[:, : lengths[0]] = data.reshape(len(lengths), -1)
    else:
        matrix[_used(lengths, width)] = data
    return matrix


def clear_padding(matrix: Bytes, lengths: Lengths) -> None:
    """Set to zero what lies beyond the first `lengths[i]` bytes of row `i`."""
    if _all_equal(lengths):
        matrix[:, lengths[0] :] = 0
    else:
        matrix *= _used(lengths, matrix.shape[1])


def strings(matrix: Bytes, lengths: Lengths) -> pl.Series:
    """The first `lengths[i]` bytes of row `i`, which must be ASCII, as a String column."""
    if _all_equal(lengths):
        text = np.ascontiguousarray(matrix[:, : lengths[0]]).ravel()
    else:
        text = matrix[_used(lengths, matrix.shape[1])]
    ends = np.zeros(len(lengths) + 1, np.int64)
    np.cumsum(lengths, out=ends[1:])
    return packed_strings(text, ends)


def packed_strings(text: Bytes, ends: Lengths) -> pl.Series:
    """ASCII that lies back to back as a String column: value `i` is `text[ends[i]:ends[i + 1]]`."""
    buffers = [None, pa.py_buffer(ends), pa.py_buffer(text)]
    return pl.Series(pl.from_arrow(pa.Array.from_buffers(pa.large_string(), len(ends) - 1, buffers)))


def _block_counts(lengths: Lengths) -> Lengths:
    return np.maximum((lengths + BLOCK - 1) // BLOCK, 1)


def _all_equal(lengths: Lengths) -> bool:
    return len(lengths) > 0 and bool((lengths == lengths[0]).all())


def _used(lengths: Lengths, width: int) -> NDArray[np.bool_]:
    """True where a row of a matrix of `width` columns holds a byte of its value, not padding."""
    marks: NDArray[np.bool_] = np.arange(width) < lengths[:, None]
    return marks
