"""Batch: the rows of one origin, and how far that origin has come."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import polars as pl


class Origin(NamedTuple):
    """Where rows come from: a topic partition."""

    topic: str
    partition: int


@dataclass(frozen=True, slots=True)
class Batch:
    """Rows of one origin, in offset order, and the origin's progress.

    Attributes:
        origin: Where the rows come from.
        stream: The canonical stream, such as `usage_event`.
        rows: Canonical columns, plus `_offset` (Int64), `_timestamp` (Int64, Kafka's milliseconds) and `_seen` (Int64,
            the highest event time among the rows before this one in the batch, microseconds; far back at the first).
        max_event_time: The highest event time of the whole batch before it was split, microseconds; None without rows.
        caught_up: Nothing more was to be read from the origin after this batch.
        finished: The origin ends here for this run.
    """

    origin: Origin
    stream: str
    rows: pl.DataFrame
    max_event_time: int | None
    caught_up: bool
    finished: bool
