"""What the steps of a flow hand to each other, beside batches."""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

from flows.batch import Origin
from flows.operators.incidents import Incident


@dataclass(frozen=True, slots=True)
class IncidentUpdate:
    """Incidents that changed, whole, and how far the network's own streams have come.

    Attributes:
        incidents: As they are known now; a later update replaces an earlier one.
        watermark: No incident that opens or changes at or before this time, microseconds, is still to come.
        caught_up: Every network stream is read to its end.
        finished: They all end here for this run.
    """

    incidents: tuple[Incident, ...]
    watermark: int
    caught_up: bool
    finished: bool


@dataclass(frozen=True, slots=True)
class Recalled:
    """Notifications that a writer had published beyond the snapshot this run resumed from.

    Attributes:
        origin: The writer.
        rows: The `notification` contract's columns, `customer` (UInt64) and `sequence` (Int64, see `Notifications`).
        complete: Everything this writer had published is known now; later messages are ticks, one an epoch.
    """

    origin: Origin
    rows: pl.DataFrame
    complete: bool


@dataclass(frozen=True, slots=True)
class Told:
    """What a shard has decided to tell, not yet worded.

    Attributes:
        incident: What about; its periods are left out, for nobody is told of them.
        phase: `raised`, `updated` or `cleared`.
        update: For an update, when the incident changed, microseconds.
        rows: Columns of `match_state.TOLD`; `moment` (Int64), when each customer is told; `ingested_ms` (Int64),
            Kafka's time of what caused it; and `sequence` (Int64, see `Notifications`), null for who cannot be
            reached: they are there in phase `raised` only.
    """

    incident: Incident
    phase: str
    update: int | None
    rows: pl.DataFrame


@dataclass(frozen=True, slots=True)
class Notifications:
    """Notifications to publish.

    Attributes:
        rows: The contract's columns; `ingested_ms` (Int64), Kafka's time of what caused each; and `sequence` (Int64),
            which numbers the notifications of one shard. It is published beside the record, so that the shard knows
            its own again: what lies below the number in its snapshot is in its state already.
    """

    rows: pl.DataFrame


@dataclass(frozen=True, slots=True)
class TableOutput:
    """Rows for a table, with the columns of its contract."""

    table: str
    rows: pl.DataFrame


@dataclass(frozen=True, slots=True)
class LateRows:
    """Tokenized rows that came later than the stream allows."""

    origin: Origin
    rows: pl.DataFrame


@dataclass(frozen=True, slots=True)
class Counted:
    """What became of records: `used`, `late` or `duplicate`, and `notified` by channel and phase."""

    name: str
    labels: tuple[tuple[str, str], ...]
    amount: int


@dataclass(frozen=True, slots=True)
class Tick:
    """An epoch began: the one before it is durable."""
