"""Presence: which customer used which cell when, as far back as an incident may ask.

Usage is folded to the first and the last use of each cell by each customer in each time bucket. A bucket is as wide
as the presence window, and no question spans less than a window, so first and last answer every question exactly.

Segments are in the order of their cells, so that a question costs what it finds. Only half of a cell's fingerprint is
in that order, beside half of a hash of the rest of a row's identity: one number to sort by. Where two identities
share it, rows of one may stay apart, which changes no answer.

**State.** A row of 32 bytes per customer, cell and bucket. **Lateness.** Rows may come in any order. **Eviction.**
`forget` drops what lies before a time. **Bound.** (active customers) times (cells each uses in a window) times
(retention / window + 2) rows.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from flows.operators.folded_table import FoldedTable, FoldSpec, SegmentStore, TableState
from flows.operators.uses import NO_CELL, Fingerprints, Uses, among, ranges
from schemas.compiled import kernel
from schemas.frames import take

_COLUMNS: dict[str, pl.DataType] = {
    "customer": pl.UInt64(),
    "cell": pl.UInt64(),
    "first": pl.Int64(),
    "last": pl.Int64(),
}
_HALF = np.uint64(0xFFFFFFFF)
_Times = NDArray[np.int64]


class Presence:
    """First and last uses, for windows of `window` microseconds."""

    def __init__(self, window: int, store: SegmentStore, resume: TableState | None = None) -> None:
        self._window = window
        self.table = FoldedTable(FoldSpec(schema=_COLUMNS, fold=lambda rows: _fold(rows, window)), store, resume)

    def add(self, uses: Uses) -> None:
        """Take in uses; those without a cell are left out."""
        placed = uses.take(uses.cell != NO_CELL)
        self.table.append(_frame(placed.customer, placed.cell, placed.time, placed.time))

    def touched(self, cells: Fingerprints, start: int, end: int) -> tuple[Fingerprints, _Times]:
        """Who used one of the cells from `start - window` on and before `end`, and since when that counts.

        Args:
            cells: Sorted.
            start: When they came into a footprint, microseconds.
            end: When they left it.

        Returns:
            Customers, each once, and for each the moment: `start`, or the first use after it.
        """
        found = [pl.DataFrame(schema=_COLUMNS), *(_rows_of(segment, cells) for segment in self.table.segments())]
        found += [take(part, among(part["cell"].to_numpy(), cells)) for part in self.table.open_part()]
        customers = np.concatenate([part["customer"].to_numpy() for part in found])
        first, last = (np.concatenate([part[name].to_numpy() for part in found]) for name in ("first", "last"))
        # A bucket that reaches back behind the window may hold its first use there; then its last one counts.
        use = np.where(first >= start - self._window, first, last)
        counts = (last >= start - self._window) & (use < end)
        customers, since = customers[counts], np.maximum(use[counts], start)
        order = np.lexsort((since, customers))
        once, at = np.unique(customers[order], return_index=True)
        return once, since[order][at]

    def forget(self, before: int) -> None:
        """Drop uses before a time."""
        self.table.prune(pl.col("last") >= before, may_return=True)


def _fold(rows: pl.DataFrame, window: int) -> pl.DataFrame:
    customer, cell, first, last = columns = tuple(rows[name].to_numpy() for name in _COLUMNS)
    for column in columns:
        column.flags.writeable = False  # numba compiles for writable arrays apart; one kind is enough
    keys = np.empty(len(customer), np.uint64)
    _sort_keys(customer, cell, first, window, keys)
    # a stable sort of whole numbers finds what is in order already, as the parts of a segment are
    order = np.argsort(keys, kind="stable")
    merged = (np.empty_like(customer), np.empty_like(cell), np.empty_like(first), np.empty_like(last))
    count = _merge(order, customer, cell, first, last, window, *merged)
    return _frame(*(column[:count].copy() for column in merged))


def warm_up() -> None:
    """Compile the kernels, or load them from numba's cache."""
    _fold(_frame(*2 * (np.zeros(1, np.uint64),), *2 * (np.zeros(1, np.int64),)), 1)


def _frame(customer: Fingerprints, cell: Fingerprints, first: _Times, last: _Times) -> pl.DataFrame:
    columns = zip(_COLUMNS, (customer, cell, first, last), strict=True)
    return pl.DataFrame([pl.Series(name, column) for name, column in columns])


def _rows_of(segment: pl.DataFrame, cells: Fingerprints) -> pl.DataFrame:
    """The rows of some cells in a segment, by where their halves begin and end."""
    held = segment["cell"].to_numpy()
    halves = np.unique(cells & ~_HALF)
    at = ranges(np.searchsorted(held, halves), np.searchsorted(held, halves | _HALF, side="right"))
    found = at[among(held[at], cells)]
    return pl.DataFrame([pl.Series(name, segment[name].to_numpy()[found]) for name in _COLUMNS])


@kernel
def _sort_keys(customer: Fingerprints, cell: Fingerprints, first: _Times, window: Any, keys: Fingerprints) -> None:
    for i in range(len(customer)):
        bucket = np.uint64(first[i] // window)
        rest = (customer[i] ^ bucket) * np.uint64(0x9E3779B97F4A7C15)
        keys[i] = cell[i] & np.uint64(0xFFFFFFFF00000000) | rest >> np.uint64(32)


@kernel
def _merge(
    order: NDArray[np.intp],
    customer: Fingerprints,
    cell: Fingerprints,
    first: _Times,
    last: _Times,
    window: Any,
    out_customer: Fingerprints,
    out_cell: Fingerprints,
    out_first: _Times,
    out_last: _Times,
) -> int:
    """Merge neighbours in `order` that are one customer, cell and bucket; returns how many rows are left."""
    count = 0
    for i in order:
        at = count - 1
        if (
            count > 0
            and out_customer[at] == customer[i]
            and out_cell[at] == cell[i]
            and out_first[at] // window == first[i] // window
        ):
            out_first[at] = min(out_first[at], first[i])
            out_last[at] = max(out_last[at], last[i])
            continue
        out_customer[count], out_cell[count] = customer[i], cell[i]
        out_first[count], out_last[count] = first[i], last[i]
        count += 1
    return count
