"""One writer of tables: buffers rows, stages a commit at each snapshot, shows it once the snapshot is durable."""

from __future__ import annotations

import time
from collections.abc import Mapping

import polars as pl

from connectors.tables.background import BackgroundCommits
from connectors.tables.compaction import Compactor
from connectors.tables.fence import Fence
from connectors.tables.items import TableSpec, conform
from connectors.tables.layout import Place
from connectors.tables.manifest import Manifest
from connectors.tables.recovery import recover
from connectors.tables.views import ViewsRefresher, refresh_views
from schemas.errors import TerminalError

BUFFER_ROWS = 20_000
RETIRED_SECONDS = 3600.0
_EARLY_SECONDS = 0.1
_CALM_SECONDS = 0.08


class TableWriter:
    """The files of one writer.

    **State**: `buffer_rows` rows, the batch that passed the limit, and what waits in `BackgroundCommits`. Beyond that,
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
        views_interval_seconds: float = 5.0,
    ) -> None:
        self._place = place
        self._specs = specs
        self._fence = fence
        self._buffer_rows = buffer_rows
        with fence.held():
            visible = recover(place, specs, sequence)
        self._staged = visible
        self._buffers: dict[str, list[pl.DataFrame]] = {}
        self._buffered = 0
        self._early_at = 0.0
        self._retired_since: dict[tuple[str, str], float] = {}
        self._note_retired(visible)
        self._compactor = Compactor(place, specs)
        self._views = ViewsRefresher(place.data_dir, views_interval_seconds)
        self._views.request()
        self._commits = BackgroundCommits(place, fence, visible, self._views.request)

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
        """Begin a commit of what was taken, a few times between two snapshots, so that those need not wait for it."""
        now = time.monotonic()
        if now >= self._early_at and (self._buffers or self._compactor.has_finished):
            self._early_at = now + _EARLY_SECONDS
            # what came with these rows may be on its way to Kafka, which shares the disk
            self._commits.pause(_CALM_SECONDS)
            self._begin_commit()

    def stage(self) -> int:
        """Write all rows taken, and the manifest that lists them, where no reader looks.

        Returns:
            The sequence number of the commit, for the recovery state; the same as before when there is nothing new.

        Raises:
            TerminalError: Another process has taken over.
        """
        if self._buffers:
            self._begin_commit()
        self._staged = self._commits.wait()
        self._compactor.start(self._staged)
        return self._staged.sequence

    def publish(self) -> None:
        """Have shown what was staged last. Only call it when the recovery state that names it is durable.

        What goes wrong is raised by the next `stage`.
        """
        self._commits.publish(self._staged)
        self._note_retired(self._staged)

    def close(self) -> None:
        """Stop what runs in the background; shows nothing."""
        self._commits.close()
        self._compactor.close()
        self._views.close()

    def finalize(self) -> None:
        """Show everything, after the dataflow has ended well: then the last snapshot is durable too.

        Raises:
            TerminalError: Another process has taken over.
        """
        self.close()
        self._commits.publish_last(self._staged)
        refresh_views(self._place.data_dir)

    def _begin_commit(self) -> None:
        self._write_buffers()
        self._commits.stage(self._compactor.finished(), self._take_expired())

    def _write_buffers(self) -> None:
        for table, frames in self._buffers.items():
            self._commits.write(table, pl.concat(frames), self._specs[table].sort_by)
        self._buffers = {}
        self._buffered = 0

    def _note_retired(self, manifest: Manifest) -> None:
        now = time.monotonic()
        for table, files in manifest.tables.items():
            for name in files.retired:
                self._retired_since.setdefault((table, name), now)

    def _take_expired(self) -> dict[str, frozenset[str]]:
        """Retired files whose time is over, by table."""
        oldest = time.monotonic() - RETIRED_SECONDS
        expired = [key for key, since in self._retired_since.items() if since <= oldest]
        for key in expired:
            del self._retired_since[key]
        return {
            table: frozenset(name for of, name in expired if of == table) for table in {table for table, _ in expired}
        }
