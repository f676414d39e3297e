"""Reading tables without DuckDB, and what is known about them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import polars as pl

from connectors.tables.layout import visible_manifest_paths
from connectors.tables.manifest import load
from connectors.tables.views import visible_tables
from schemas.errors import TerminalError


@dataclass(frozen=True, slots=True)
class TableStatus:
    """One table of one writer.

    Attributes:
        table: Name of the table.
        rows: Visible rows, all revisions.
        files: Parquet files they lie in.
        bytes: Size of these on disk.
        sequence: Number of the visible commit.
        complete_at: Unix seconds. All that the flow had written by then is visible.
    """

    table: str
    rows: int
    files: int
    bytes: int
    sequence: int
    complete_at: float


def read_table(data_dir: Path, table: str) -> pl.DataFrame:
    """All visible rows of a table, every revision.

    Args:
        data_dir: The data directory.
        table: Name of the table.

    Returns:
        The columns of its spec; columns added later are null in older rows.

    Raises:
        TerminalError: There is no such table.
    """
    tables = visible_tables(data_dir)
    if table not in tables:
        known = ", ".join(sorted(tables)) or "none yet"
        raise TerminalError(f"no table is named {table!r} in {data_dir}; there are {known}")
    # Each writer's files begin with one that says the columns; after columns were added writers may differ.
    frames = [pl.read_parquet(path, glob=False) for path in tables[table].paths]
    return pl.concat(frames, how="diagonal")


def table_status(data_dir: Path) -> list[TableStatus]:
    """What is visible of each table, per flow and writer."""
    found = []
    for path in visible_manifest_paths(data_dir):
        complete_at = path.stat().st_mtime
        manifest = load(path)
        for name, table in manifest.tables.items():
            size = sum(file.bytes for file in table.files)
            found.append(TableStatus(name, table.rows, len(table.files), size, manifest.sequence, complete_at))
    return found
