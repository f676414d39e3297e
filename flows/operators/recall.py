"""Recall: what the writers had published, gathered until all of it is known, and read as what became of customers.

What is recalled is taken over at once, when the last writer's past is known; until then it waits, and is part of the
snapshot. So an epoch that closes in the middle of a recall neither loses a part of it nor takes a part twice.
"""

from __future__ import annotations

from collections.abc import Iterable

import polars as pl

from flows.batch import Origin
from flows.operators.messages import Recalled


class Recall:
    """What one shard has to be told before it decides anything.

    Args:
        writers: The writers to hear from.
        first: The shard's first number that its snapshot does not know; records below it are in its state already.
        waiting: Rows that an earlier run had gathered and not taken over.
    """

    def __init__(self, writers: Iterable[Origin], first: int, waiting: pl.DataFrame | None) -> None:
        self._writers = set(writers)
        self._first = first
        self._rows = [] if waiting is None else [waiting]

    def take(self, recalled: Recalled) -> pl.DataFrame | None:
        """Gather; returns all rows, each once, when the last writer's past is known, else None."""
        if recalled.rows.height:
            self._rows.append(recalled.rows.filter(pl.col("sequence") >= self._first))
        if not recalled.complete or recalled.origin not in self._writers:
            return None
        self._writers.remove(recalled.origin)
        if self._writers:
            return None
        gathered, self._rows = [rows for rows in self._rows if rows.height], []
        return pl.concat(gathered).unique("notification_id", maintain_order=True) if gathered else None

    def snapshot(self, next_sequence: int) -> tuple[int, pl.DataFrame | None]:
        """The first number that a successor has to be told of, and what it has been told of already."""
        if not self._writers:
            return next_sequence, None
        return self._first, pl.concat(self._rows) if self._rows else None


def told_by(rows: pl.DataFrame, incident_id: str) -> pl.DataFrame:
    """What `raised` notifications of one incident say became of their customers.

    Shape: the columns of `match_state.TOLD`, one row per notification of that phase.
    """
    return rows.filter(pl.col("phase") == "raised").select(
        pl.lit(incident_id).alias("incident"),
        "customer",
        "customer_key",
        pl.col("affected_at").cast(pl.Int64),
        "cause",
        pl.col("event_time").cast(pl.Int64).alias("told_at"),
        pl.col("channel").alias("outcome"),
        pl.col("contact_token").alias("contact"),
        "language",
        pl.lit(None, pl.Int64).alias("updated_until"),
        pl.lit(value=False).alias("cleared"),
    )


def told_later(rows: pl.DataFrame) -> pl.DataFrame:
    """What the later phases say: `customer`, `update` (the newest, microseconds, or null) and `clear`."""
    return rows.group_by("customer").agg(
        pl.col("event_time").cast(pl.Int64).filter(pl.col("phase") == "updated").max().alias("update"),
        (pl.col("phase") == "cleared").any().alias("clear"),
    )
