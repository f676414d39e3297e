"""One writer of tables: buffers rows, stages a commit at each snapshot, shows it once the snapshot is durable."""

from __future__ import annotations

import time
from collections.abc import Mapping

import polars as pl

from connectors.tables.background import BackgroundFiles
from connectors.tables.compaction import Compactor
from connectors.tables.durable import sync_directory
from connectors.tables.fence import Fence
from connectors.tables.items import TableSpec, conform
from connectors.tables.layout import Place
from connectors.tables.manifest import Manifest, confirm, publish, stage
from connectors.tables.recovery import recover
from connectors.tables.views import ViewsRefresher, refresh_views
from schemas.errors import TerminalError

BUFFER_ROWS = 20_000
RETIRED_SECONDS = 3600.0


class TableWriter:
    """The files of one writer.

    **State**: `buffer_rows` rows, the batch that passed the limit, and what waits in `BackgroundFiles`. Beyond that,
    rows are in files that nobody sees yet.

    Args:
        place: Where its files lie.
        specs: The tables.
        fence: Keeps out whoever was taken over.
        sequence: The commit in the recovery state; None at the first start.
        buffer_rows: Rows held in memory before they are written to files, which bounds what a snapshot waits for.
        views_interval_seconds: Least time between two refreshes of the views.

    Raises:
        TerminalError: Files and recovery state do not belong together (see `recovery.recover`).
    """

    def __init__(
        self,
        place: Place,
        specs: Mapping[str, TableSpec],
        fence: Fence,
        sequence: int | None,
        *,
        buffer_rows: int = BUFFER_ROWS,
        views_interval_seconds: float = 1.0,
    ) -> None:
        self._place = place
        self._specs = specs
        self._fence = fence
        self._buffer_rows = buffer_rows
        with fence.held():
            self._visible = recover(place, specs, sequence)
        self._staged = self._visible
        self._buffers: dict[str, list[pl.DataFrame]] = {}
        self._buffered = 0
        self._wrote_early = False
        self._retired_since: dict[tuple[str, str], float] = {}
        self._note_retired()
        self._files = BackgroundFiles()
        self._compactor = Compactor(place, specs)
        self._views = ViewsRefresher(place.data_dir, views_interval_seconds)
        self._views.request()

    def append(self, table: str, rows: pl.DataFrame) -> None:
        """Take rows for the next commit.

        Raises:
            TerminalError: The table is unknown, or the rows have other columns.
        """
        if table not in self._specs:
            raise TerminalError(f"expected rows of one of {', '.join(sorted(self._specs))}, came table {table!r}")
        if rows.height == 0:
            return
        self._buffers.setdefault(table, []).append(conform(self._specs[table], rows))
        self._buffered += rows.height
        if self._buffered > self._buffer_rows:
            self._write_buffers()

    def write_early(self) -> None:
        """Begin to write what was taken, once between two commits, so that the commit need not wait for the disk."""
        if self._buffers and not self._wrote_early:
            self._wrote_early = True
            self._write_buffers()

    def stage(self) -> int:
        """Write all rows taken, and the manifest that lists them, where no reader looks.

        Returns:
            The sequence number of the commit, for the recovery state; the same as before when there is nothing new.

        Raises:
            TerminalError: Another process has taken over.
        """
        self._write_buffers()
        self._wrote_early = False
        written = self._files.drain()
        merge = self._compactor.finished()
        changed = written.keys() | ({merge.table} if merge else set())
        if changed:
            tables = dict(self._staged.tables)
            for table in changed:
                sync_directory(self._place.table(table))
                merged = merge if merge and merge.table == table else None
                added = (*written.get(table, ()), *((merged.output,) if merged else ()))
                removed = self._remove_expired(table)
                tables[table] = tables[table].change(added, merged.inputs if merged else (), removed)
            self._staged = Manifest(self._staged.sequence + 1, tables)
            with self._fence.held():
                stage(self._place, self._staged)
        self._compactor.start(self._staged)
        return self._staged.sequence

    def publish(self) -> None:
        """Show what was staged last. Only call it when the recovery state that names it is durable.

        Raises:
            TerminalError: Another process has taken over.
            TransientError: The views cannot be replaced.
        """
        if self._staged.sequence == self._visible.sequence:
            confirm(self._place)
            return
        with self._fence.held():
            publish(self._place, self._staged, self._visible)
        confirm(self._place)
        for older in range(self._visible.sequence + 1, self._staged.sequence):
            self._place.staged(older).unlink(missing_ok=True)
        self._visible = self._staged
        self._note_retired()
        self._views.request()

    def close(self) -> None:
        """Stop what runs in the background; shows nothing."""
        self._files.close()
        self._compactor.close()
        self._views.close()

    def finalize(self) -> None:
        """Show everything, after the dataflow has ended well: then the last snapshot is durable too."""
        self.close()
        self.publish()
        refresh_views(self._place.data_dir)

    def _write_buffers(self) -> None:
        for table, frames in self._buffers.items():
            path = self._place.new_file(table, self._staged.sequence + 1)
            self._files.write(table, path, pl.concat(frames), self._specs[table].sort_by)
        self._buffers = {}
        self._buffered = 0

    def _note_retired(self) -> None:
        now = time.monotonic()
        for table, files in self._visible.tables.items():
            for name in files.retired:
                self._retired_since.setdefault((table, name), now)

    def _remove_expired(self, table: str) -> frozenset[str]:
        oldest = time.monotonic() - RETIRED_SECONDS
        expired = {name for (of, name), since in self._retired_since.items() if of == table and since <= oldest}
        for name in expired:
            (self._place.table(table) / name).unlink(missing_ok=True)
            del self._retired_since[table, name]
        return frozenset(expired)
