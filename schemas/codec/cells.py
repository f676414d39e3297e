"""Cells: the values of many rows as positions in a buffer, between the kernels and Polars.

A kernel cannot make strings. It notes where they lie, and this module turns the notes into Arrow columns (and Arrow
columns into notes). Every column gets a buffer of its own, though all could point into the block's: a column that
shares its buffer with the telephone numbers of the same records would carry them wherever it is pickled to.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
import pyarrow as pa
from numpy.typing import NDArray

from schemas.codec.kernel import Bytes, Longs, gather
from schemas.contracts import TIMESTAMP, Contract
from schemas.errors import TerminalError
from schemas.frames import integers, nulls

# kinds of column
NUMBER, BOOLEAN, TIME, TEXT, TEXTS = range(5)
# in place of a length
NULL = -1

_KINDS = {pl.Int64: NUMBER, pl.Boolean: BOOLEAN, pl.String: TEXT, pl.List: TEXTS}


@dataclass(frozen=True, slots=True)
class Cells:
    """The values of `n` rows of a contract with `k` columns.

    Attributes:
        values: The bytes that texts point into.
        numbers: A number, a boolean (0, 1), a time (µs), the first byte of a text, or the first item of a list of
            texts (a row of `items`). int64, k by n.
        lengths: Bytes of a text, items of a list, `NULL` for null, else 0. int64, k by n.
        items: First byte and length in bytes of the items of lists. int64, m by 2.
    """

    values: Bytes
    numbers: Longs
    lengths: Longs
    items: Longs

    @classmethod
    def empty(cls, contract: Contract, values: Bytes, n: int, item_bound: int) -> Cells:
        """Cells to be filled by a kernel.

        Args:
            contract: Gives the columns.
            values: The block's bytes.
            n: Rows.
            item_bound: No record set in these bytes can hold more items of lists than this.
        """
        k = len(contract.polars)
        items = item_bound if TEXTS in kinds(contract) else 0
        return cls(values, np.zeros((k, n), np.int64), np.zeros((k, n), np.int64), np.empty((items, 2), np.int64))


def kinds(contract: Contract) -> NDArray[np.int64]:
    """The kind of each column."""
    return np.array(
        [TIME if dtype == TIMESTAMP else _KINDS[dtype.base_type()] for dtype in contract.polars.values()], np.int64
    )


def nullables(contract: Contract) -> NDArray[np.bool_]:
    """Whether each column may be null."""
    return np.array([name not in contract.required for name in contract.polars], np.bool_)


def to_frame(contract: Contract, cells: Cells, keep: NDArray[np.int64], positions: NDArray[np.int64]) -> pl.DataFrame:
    """Build the contract's frame.

    Args:
        contract: Gives names and types.
        cells: What a kernel has found. Texts are valid UTF-8.
        keep: The rows to take, ascending.
        positions: The record's position in its block, for each row of `keep`.
    """
    columns: dict[str, pl.Series] = {}
    whole = len(keep) == cells.numbers.shape[1]
    for i, (name, kind) in enumerate(zip(contract.polars, kinds(contract), strict=True)):
        numbers = cells.numbers[i] if whole else cells.numbers[i][keep]
        lengths = cells.lengths[i] if whole else cells.lengths[i][keep]
        null = lengths == NULL
        if kind == TEXT:
            array = _texts(cells.values, numbers, lengths, null)
        elif kind == TEXTS:
            array = _lists(cells, numbers, lengths, null)
        else:
            array = pa.array(numbers.astype(np.bool_) if kind == BOOLEAN else numbers, mask=null)
        series = pl.Series(name, array)
        columns[name] = series.cast(TIMESTAMP) if kind == TIME else series
    columns["_row"] = pl.Series("_row", positions.astype(np.uint32))
    return pl.DataFrame(columns)


def from_frame(contract: Contract, frame: pl.DataFrame) -> Cells:
    """Lay a frame out for a kernel that writes.

    Raises:
        TerminalError: A column is missing, has another type, or is null where the contract has no null.
    """
    buffers: list[Bytes] = []
    items: list[Longs] = []
    k, n = len(contract.polars), frame.height
    numbers, lengths = np.zeros((k, n), np.int64), np.zeros((k, n), np.int64)
    used = item_count = 0
    for i, (name, kind) in enumerate(zip(contract.polars, kinds(contract), strict=True)):
        series = _checked(contract, frame, name)
        if kind in (TEXT, TEXTS):
            texts = series.explode(empty_as_null=False, keep_nulls=False) if kind == TEXTS else series
            data, ends = _buffers(texts)
            buffers.append(data)
        if kind == TEXT:
            numbers[i], lengths[i] = ends[:-1] + used, np.diff(ends)
        elif kind == TEXTS:
            counts = series.list.len()
            lengths[i] = (counts.fill_null(0) if series.null_count() else counts).to_numpy()
            numbers[i] = np.cumsum(lengths[i]) - lengths[i] + item_count
            items.append(np.column_stack([ends[:-1] + used, np.diff(ends)]))
            item_count += len(texts)
        else:
            numbers[i] = integers(series)
        if kind in (TEXT, TEXTS):
            used += len(data)
        if series.null_count():
            lengths[i][nulls(series)] = NULL
    values = np.concatenate(buffers) if buffers else np.empty(0, np.uint8)
    return Cells(values, numbers, lengths, np.concatenate(items) if items else np.empty((0, 2), np.int64))


def _texts(values: Bytes, starts: Longs, lengths: Longs, null: NDArray[np.bool_] | None) -> pa.Array:
    ends = np.zeros(len(starts) + 1, np.int64)
    np.cumsum(np.maximum(lengths, 0), out=ends[1:])
    data = np.empty(int(ends[-1]), np.uint8)
    gather(values, np.ascontiguousarray(starts), np.ascontiguousarray(lengths), ends, data)
    bitmap = None
    if null is not None and null.any():
        bitmap = pa.py_buffer(np.packbits(~null, bitorder="little"))
    return pa.LargeStringArray.from_buffers(len(starts), pa.py_buffer(ends), pa.py_buffer(data), bitmap)


def _lists(cells: Cells, firsts: Longs, counts: Longs, null: NDArray[np.bool_]) -> pa.Array:
    ends = np.zeros(len(firsts) + 1, np.int64)
    np.cumsum(np.maximum(counts, 0), out=ends[1:])
    # the items of row i are firsts[i], firsts[i] + 1, ...; rejected rows leave gaps between the rows
    which = np.arange(ends[-1]) + np.repeat(firsts - ends[:-1], np.diff(ends))
    texts = _texts(cells.values, cells.items[which, 0], cells.items[which, 1], None)
    return pa.LargeListArray.from_arrays(ends, texts, mask=pa.array(null))


def _buffers(texts: pl.Series) -> tuple[Bytes, Longs]:
    array = texts.rechunk().to_arrow().cast(pa.large_string())
    _, offsets, data = array.buffers()
    if not len(array):
        return np.empty(0, np.uint8), np.zeros(1, np.int64)
    ends = np.frombuffer(offsets, np.int64)[array.offset : array.offset + len(array) + 1]
    held = np.frombuffer(data, np.uint8) if data is not None else np.empty(0, np.uint8)
    return held[ends[0] : ends[-1]], ends - ends[0]


def _checked(contract: Contract, frame: pl.DataFrame, name: str) -> pl.Series:
    place = f"{contract.name}.{name}"
    if name not in frame.columns:
        raise TerminalError(f"{place}: expected a column of that name, came {_listed(frame.columns)}; add it")
    series = frame[name]
    if series.dtype != contract.polars[name]:
        raise TerminalError(f"{place}: expected {contract.polars[name]}, came {series.dtype}; cast it")
    if name in contract.required and series.null_count():
        raise TerminalError(f"{place}: expected no null, came {series.null_count()}; fill or drop them")
    if series.dtype == pl.List and series.explode(empty_as_null=False, keep_nulls=False).null_count():
        raise TerminalError(f"{place}: expected texts in the lists, came a null; drop it")
    return series


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names) or "no column"
