"""Seen events: which event ids came before, as far back as a row may still arrive.

**State.** 16 bytes an event. **Eviction.** `forget` drops ids older than a time. **Bound.** (events a second) times
(how late a row may be). Ids are fingerprints of 64 bits.
"""

from __future__ import annotations

import numpy as np
import polars as pl
from numpy.typing import NDArray

from flows.operators.folded_table import FoldedTable, FoldSpec, SegmentStore, TableState
from flows.operators.uses import Fingerprints, Uses, among

_COLUMNS: dict[str, pl.DataType] = {"event": pl.UInt64(), "time": pl.Int64()}


class SeenEvents:
    """Event ids and their times, looked up by binary search in sorted parts."""

    def __init__(self, store: SegmentStore, resume: TableState | None = None) -> None:
        self.table = FoldedTable(FoldSpec(schema=_COLUMNS, fold=_in_order), store, resume)

    def add(self, uses: Uses) -> int:
        """Take in events; returns how many were seen before, among these too."""
        order = np.argsort(uses.event, kind="stable")
        ids = uses.event[order]
        repeated = np.zeros(len(ids), np.bool_)
        repeated[1:] = ids[1:] == ids[:-1]
        for segment in self.table.segments():
            repeated |= among(ids, segment["event"].to_numpy())
        for part in self.table.open_part():
            repeated |= among(ids, np.sort(part["event"].to_numpy()))
        self.table.append(_frame(ids[~repeated], uses.time[order][~repeated]))
        return int(repeated.sum())

    def forget(self, before: int) -> None:
        """Drop ids of events before a time."""
        self.table.prune(pl.col("time") >= before, may_return=True)


def _in_order(rows: pl.DataFrame) -> pl.DataFrame:
    ids = rows["event"].to_numpy()
    # a stable sort of whole numbers finds what is in order already, as the parts of a segment are
    order = np.argsort(ids, kind="stable")
    return _frame(ids[order], rows["time"].to_numpy()[order])


def _frame(ids: Fingerprints, times: NDArray[np.int64]) -> pl.DataFrame:
    return pl.DataFrame([pl.Series("event", ids), pl.Series("time", times)])
