"""Presence: which customer used which cell when, as far back as an incident may ask.

Usage is folded to the first and the last use of each cell by each customer in each time bucket. A bucket is as wide
as the presence window, and no question spans less than a window, so first and last answer every question exactly.

**State.** A row of 40 bytes per customer, cell and bucket. **Lateness.** Rows may come in any order. **Eviction.**
`forget` drops what lies before a time. **Bound.** (active customers) times (cells each uses in a window) times
(retention / window + 2) rows.
"""

from __future__ import annotations

import numpy as np
import polars as pl
from numpy.typing import NDArray

from flows.operators.folded_table import FoldedTable, FoldSpec, SegmentStore, TableState

_COLUMNS: dict[str, pl.DataType] = {
    "customer": pl.UInt64(),
    "cell": pl.UInt64(),
    "bucket": pl.Int64(),
    "first": pl.Int64(),
    "last": pl.Int64(),
}


class Presence:
    """First and last uses, for windows of `window` microseconds."""

    def __init__(self, window: int, store: SegmentStore, resume: TableState | None = None) -> None:
        self._window = window
        self.table = FoldedTable(FoldSpec(schema=_COLUMNS, fold=_fold), store, resume)

    def add(self, uses: pl.DataFrame) -> None:
        """Take in uses: columns `customer`, `cell` (fingerprint, null for none) and `time` (microseconds)."""
        self.table.append(
            uses.lazy()
            .filter(pl.col("cell").is_not_null())
            .select(
                "customer",
                "cell",
                (pl.col("time") // self._window).alias("bucket"),
                pl.col("time").alias("first"),
                pl.col("time").alias("last"),
            )
            .collect()
        )

    def touched(self, cells: NDArray[np.uint64], start: int, end: int) -> pl.DataFrame:
        """Who used one of the cells from `start - window` on and before `end`, and since when that counts.

        Shape: one row per customer: `customer`, `touched_at` (Int64): `start`, or the first use after it.
        """
        wanted = pl.Series(cells)
        earliest = start - self._window
        rows = self.table.scan(
            pl.col("cell").is_in(wanted.implode()) & (pl.col("last") >= earliest) & (pl.col("first") < end)
        )
        # A bucket that reaches back behind the window may hold its first use there; then its last one counts.
        use = pl.when(pl.col("first") >= earliest).then("first").otherwise("last")
        return (
            rows.select("customer", pl.max_horizontal(use, pl.lit(start)).alias("touched_at"), use.alias("use"))
            .filter(pl.col("use") < end)
            .group_by("customer")
            .agg(pl.col("touched_at").min())
        )

    def forget(self, before: int) -> None:
        """Drop uses before a time."""
        self.table.prune(pl.col("last") >= before)


def _fold(rows: pl.DataFrame) -> pl.DataFrame:
    return rows.group_by("customer", "cell", "bucket").agg(pl.col("first").min(), pl.col("last").max())
