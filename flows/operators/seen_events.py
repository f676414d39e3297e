"""Seen events: which event ids came before, as far back as a row may still arrive.

**State.** 16 bytes an event. **Eviction.** `forget` drops ids older than a time. **Bound.** (events a second) times
(how late a row may be). Ids are fingerprints of 64 bits.
"""

from __future__ import annotations

import numpy as np
import polars as pl
from numpy.typing import NDArray

from flows.operators.folded_table import FoldedTable, FoldSpec, SegmentStore, TableState

_COLUMNS: dict[str, pl.DataType] = {"event": pl.UInt64(), "time": pl.Int64()}


class SeenEvents:
    """Event ids and their times, looked up by binary search in sorted parts."""

    def __init__(self, store: SegmentStore, resume: TableState | None = None) -> None:
        spec = FoldSpec(schema=_COLUMNS, fold=lambda rows: rows.sort("event"))
        self.table = FoldedTable(spec, store, resume)

    def add(self, events: pl.DataFrame) -> NDArray[np.bool_]:
        """Take in `event` and `time`; says for each row whether its id was seen before, in the rows above it too."""
        order = events.with_row_index("row").sort("event", "row")
        ids = order["event"].to_numpy()
        repeated = np.zeros(len(ids), np.bool_)
        repeated[1:] = ids[1:] == ids[:-1]
        for part in self.table.parts():
            known = (part["event"] if part["event"].is_sorted() else part["event"].sort()).to_numpy()
            at = np.minimum(np.searchsorted(known, ids), len(known) - 1)
            repeated |= known[at] == ids
        self.table.append(order.filter(pl.Series(~repeated)).select("event", "time"))
        result = np.empty_like(repeated)
        result[order["row"].to_numpy()] = repeated
        return result

    def forget(self, before: int) -> None:
        """Drop ids of events before a time."""
        self.table.prune(pl.col("time") >= before)
