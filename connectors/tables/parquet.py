"""Parquet files of a table: write one, merge many.

Both run beside the worker's thread, hence pyarrow: it lets go of the interpreter lock and, unlike Polars, does not
share a pool of one thread with the flow.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from connectors.tables.durable import sync_file, temporary_for
from connectors.tables.manifest import DataFile

COMPRESSION = "zstd"


def write_rows(path: Path, rows: pl.DataFrame) -> DataFile:
    """Write a new file; it has its name only once its content is on the disk.

    The caller makes the name durable (`sync_directory`).
    """
    return _write(path, rows.to_arrow())


def merge_files(sources: Sequence[Path], target: Path, sort_by: Sequence[str]) -> DataFile:
    """Write the rows of several files as one, ordered by `sort_by`.

    Columns that an older file lacks become null.
    """
    tables = [pq.read_table(source, use_threads=False) for source in sources]
    merged = pa.concat_tables(tables, promote_options="default")
    if sort_by:
        merged = merged.sort_by([(column, "ascending") for column in sort_by])
    return _write(target, merged)


def _write(path: Path, table: pa.Table) -> DataFile:
    temporary = temporary_for(path)
    pq.write_table(table, temporary, compression=COMPRESSION)
    sync_file(temporary)
    size = temporary.stat().st_size
    temporary.replace(path)
    return DataFile(path.name, table.num_rows, size)
