"""A writer and its sink as the tables tests use them: one table, short intervals."""

from __future__ import annotations

from pathlib import Path

import polars as pl
from bytewax.outputs import StatefulSinkPartition

from connectors.tables import TableRows, TableSpec, TablesSink, Tick
from connectors.tables.sink import SinkState

SPEC = TableSpec(
    "visits",
    {
        "id": pl.Int64,
        "at": pl.Datetime("us", "UTC"),
        "tags": pl.List(pl.String),
        "key": pl.UInt64,
        "revision": pl.Int64,
    },
    sort_by=("key", "id"),
)


def sink(data_dir: Path, spec: TableSpec = SPEC, **settings: int | None) -> TablesSink:
    return TablesSink(data_dir, {spec.name: spec}, views_interval_seconds=0.0, **settings)


def rows(*ids: int, spec: TableSpec = SPEC) -> TableRows:
    frame = pl.DataFrame({"id": ids}, schema={"id": pl.Int64})
    frame = frame.with_columns(
        at=pl.from_epoch("id").dt.cast_time_unit("us").dt.replace_time_zone("UTC"),
        tags=pl.concat_list(pl.col("id").cast(pl.String)),
        key=(pl.col("id") % 7).cast(pl.UInt64),
        revision=pl.col("id"),
    )
    return TableRows(spec.name, frame.select(frame.columns))


def parquet_files(data_dir: Path) -> set[str]:
    return {path.name for path in (data_dir / "tables" / "visits").glob("*.parquet")}


def show(part: StatefulSinkPartition[TableRows | Tick, SinkState], *first: TableRows) -> None:
    """Let the epoch be durable, and wait until its rows are shown."""
    part.write_batch([*first, Tick()])
    part.snapshot()
