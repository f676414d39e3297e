"""A reader of the tables in a process of its own: `python -m tests.recovery.table_reader DATA_DIR`.

It looks again and again, in DuckDB and in Parquet, until its stdin is closed, and ends with 1 when a table has fewer
rows than before, when a key is there twice, or when anything cannot be read.
"""

from __future__ import annotations

import select
import sys
from pathlib import Path

import duckdb

from connectors.tables import read_table

TABLES = {
    "incidents": "incident_id",
    "affected_customers": "incident_id || customer_key",
    "notifications": "notification_id",
}
_PAUSE_SECONDS = 0.3


def look_in_duckdb(data_dir: Path) -> dict[str, int]:
    """Rows of each view, and of all revisions of the incidents; one look, one file."""
    with duckdb.connect(data_dir / "features.duckdb", read_only=True, config={"threads": 1}) as database:
        found = {}
        for table, key in TABLES.items():
            query = f"SELECT count(*), count(DISTINCT {key}) FROM {table}"
            rows, keys = database.execute(query).fetchone() or (0, 0)
            assert rows == keys, f"{table} has {rows} rows and {keys} keys"
            found[f"view {table}"] = rows
        row = database.execute("SELECT count(*) FROM incidents_revisions").fetchone() or (0,)
        return found | {"view incidents_revisions": row[0]}


def look_in_parquet(data_dir: Path) -> dict[str, int]:
    """Rows of each table, all revisions."""
    return {f"table {table}": read_table(data_dir, table).height for table in TABLES}


def main(data_dir: Path) -> None:
    """Look until stdin is closed; say how often, and what was there at last."""
    before: dict[str, int] = {}
    looks = 0
    while not select.select([sys.stdin], [], [], _PAUSE_SECONDS)[0]:
        if not (data_dir / "features.duckdb").exists():
            assert not before, "features.duckdb is gone"
            continue
        now = look_in_duckdb(data_dir) | look_in_parquet(data_dir)
        fewer = [f"{name} had {rows} rows and has {now[name]}" for name, rows in before.items() if now[name] < rows]
        assert not fewer, "; ".join(fewer)
        before = now
        looks += 1
    print(looks, sum(before.values()))  # noqa: T201


if __name__ == "__main__":
    main(Path(sys.argv[1]))
