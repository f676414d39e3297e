"""`features.duckdb`: views over the files that the manifests list, replaced as a whole."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from connectors.tables.durable import locked, temporary_for
from connectors.tables.items import REVISIONS_SUFFIX
from connectors.tables.layout import tables_directory, views_path, visible_manifest_paths
from connectors.tables.manifest import load
from schemas.errors import TransientError


@dataclass(frozen=True, slots=True)
class VisibleTable:
    """What readers see of one table, over all writers.

    Attributes:
        name: Name of the table.
        paths: Its files, at least one; the first says the columns.
        latest_by: As in `TableSpec`.
        order_by: As in `TableSpec`.
    """

    name: str
    paths: tuple[Path, ...]
    latest_by: tuple[str, ...] | None
    order_by: str | None


def visible_tables(data_dir: Path) -> dict[str, VisibleTable]:
    """The tables as the visible manifests of all flows and writers have them.

    Each manifest is read once, so the tables of one writer are of one commit.
    """
    found: dict[str, VisibleTable] = {}
    for path in visible_manifest_paths(data_dir):
        for name, table in load(path).tables.items():
            directory = path.parent / name
            paths = tuple(directory / file for file in table.listed)
            known = found[name].paths if name in found else ()
            found[name] = VisibleTable(name, known + paths, table.latest_by, table.order_by)
    return found


def refresh_views(data_dir: Path) -> None:
    """Replace the views by those of the visible manifests.

    Readers open the old file or the new one, and neither changes under them. One process at a time reads manifests and
    replaces, so a view never goes back to an older commit. Open it `read_only`: it has no write permission, for DuckDB
    locks a file that is open for writing against all readers. Costs 20 to 50 ms.

    Paths in the views are absolute (DuckDB resolves others by the reader's working directory): after a data directory
    was moved, the next start of a flow writes them anew.
    """
    import duckdb  # late, for it takes a tenth of a second that no worker's start should wait for

    final = views_path(data_dir)
    with locked(tables_directory(data_dir) / ".lock-views"):
        for leftover in data_dir.glob(f".{final.name}.*"):
            leftover.unlink()
        temporary = temporary_for(final)
        with duckdb.connect(temporary, config={"threads": 1}) as database:
            for statement in _statements(visible_tables(data_dir)):
                database.execute(statement)
        temporary.chmod(0o444)
        # What someone wrote into an older file must not be replayed into this one.
        final.with_name(f"{final.name}.wal").unlink(missing_ok=True)
        temporary.replace(final)


class ViewsRefresher:
    """Refreshes the views in the background; requests that come meanwhile become one.

    Args:
        data_dir: The data directory.
        interval_seconds: Least time between two refreshes.
    """

    def __init__(self, data_dir: Path, interval_seconds: float) -> None:
        self._data_dir = data_dir
        self._interval_seconds = interval_seconds
        self._wanted = threading.Event()
        self._closing = threading.Event()
        self._failure: Exception | None = None
        self._thread = threading.Thread(target=self._run, name="table-views", daemon=True)
        self._thread.start()

    def request(self) -> None:
        """Have the views refreshed soon.

        Raises:
            TransientError: An earlier refresh failed.
        """
        if self._failure is not None:
            raise TransientError(
                f"cannot replace {views_path(self._data_dir)} ({type(self._failure).__name__}); "
                "see that the disk has room and the directory can be written"
            ) from self._failure
        self._wanted.set()

    def close(self) -> None:
        """Stop, after the refresh that runs."""
        self._closing.set()
        self._wanted.set()
        self._thread.join()

    def _run(self) -> None:
        while self._wanted.wait() and not self._closing.is_set():
            self._wanted.clear()
            try:
                refresh_views(self._data_dir)
            except Exception as error:  # whatever it is, the worker's thread raises it
                self._failure = error
                return
            self._closing.wait(self._interval_seconds)


def _statements(tables: dict[str, VisibleTable]) -> Iterator[str]:
    for table in tables.values():
        files = ", ".join("'" + str(path.resolve()).replace("'", "''") + "'" for path in table.paths)
        rows = f"FROM read_parquet([{files}], union_by_name = true)"
        if table.latest_by is None:
            yield f'CREATE VIEW "{table.name}" AS {rows}'
            continue
        keys = ", ".join(f'"{key}"' for key in table.latest_by)
        latest = f'row_number() OVER (PARTITION BY {keys} ORDER BY "{table.order_by}" DESC) = 1'
        yield f'CREATE VIEW "{table.name}{REVISIONS_SUFFIX}" AS {rows}'
        yield f'CREATE VIEW "{table.name}" AS {rows} QUALIFY {latest}'
