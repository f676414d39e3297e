"""Writes files, stages commits and shows them beside the worker's thread, so that little is left to wait for."""

from __future__ import annotations

import threading
from collections import defaultdict, deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import polars as pl

from connectors.tables.compaction import Merge
from connectors.tables.durable import sync_directory
from connectors.tables.fence import Fence
from connectors.tables.layout import Place
from connectors.tables.manifest import DataFile, Manifest, confirm, publish, stage
from connectors.tables.parquet import write_rows

MAX_WAITING = 4


class BackgroundCommits:
    """The commits of one writer, done by a thread in the order of the calls.

    Every call but `wait` returns at once; what failed is raised by the next call that waits.

    **State**: at most `MAX_WAITING` frames wait to be written; who brings another waits for the oldest.

    Args:
        place: The writer's files.
        fence: Keeps out whoever was taken over.
        visible: What readers see.
        on_published: Called when they see something new.
    """

    def __init__(self, place: Place, fence: Fence, visible: Manifest, on_published: Callable[[], None]) -> None:
        self._place, self._fence, self._on_published = place, fence, on_published
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="table-commits")
        self._files: deque[Future[None]] = deque()
        self._others: list[Future[Any]] = []
        self._hurry = threading.Event()
        # from here on the thread's own
        self._written: dict[str, list[DataFile]] = defaultdict(list)
        self._staged = self._visible = visible

    def pause(self, seconds: float) -> None:
        """Let some time go by, unless somebody waits."""
        self._others.append(self._pool.submit(self._hurry.wait, seconds))

    def write(self, table: str, rows: pl.DataFrame, sort_by: Sequence[str]) -> None:
        """Have rows written to a new file, ordered by `sort_by`, for the next commit.

        Raises:
            OSError: An earlier file could not be written.
        """
        while len(self._files) >= MAX_WAITING:
            self._hurry.set()
            self._files.popleft().result()
        rows = rows.sort(sort_by) if sort_by else rows
        self._files.append(self._pool.submit(self._write, table, rows))

    def stage(self, merge: Merge | None, gone: Mapping[str, frozenset[str]]) -> None:
        """Have the manifest written that lists everything so far, where no reader looks.

        Args:
            merge: What became of some files.
            gone: By table, retired files that nobody needs any more; they are deleted.
        """
        self._others.append(self._pool.submit(self._stage, merge, gone))

    def publish(self, manifest: Manifest) -> None:
        """Have a staged manifest shown, or the visible one confirmed if it is that."""
        self._others.append(self._pool.submit(self._publish, manifest))

    def wait(self) -> Manifest:
        """Wait until all is done; the manifest staged last.

        Raises:
            TerminalError: Another process has taken over.
            OSError: The disk refuses.
        """
        waiting, self._files, self._others = [*self._files, *self._others], deque(), []
        self._hurry.set()
        for done in waiting:
            done.result()
        self._hurry.clear()
        return self._staged

    def close(self) -> None:
        """Wait for what is being done, and forget the rest."""
        self._hurry.set()
        self._pool.shutdown(wait=True, cancel_futures=True)

    def publish_last(self, manifest: Manifest) -> None:
        """Show a staged manifest at once. Only after `close`."""
        self._publish(manifest)

    def _write(self, table: str, rows: pl.DataFrame) -> None:
        path = self._place.new_file(table, self._staged.sequence + 1)
        self._written[table].append(write_rows(path, rows))

    def _stage(self, merge: Merge | None, gone: Mapping[str, frozenset[str]]) -> None:
        written, self._written = self._written, defaultdict(list)
        tables = dict(self._staged.tables)
        for table in {*written, *gone, *((merge.table,) if merge else ())}:
            for name in gone.get(table, ()):
                (self._place.table(table) / name).unlink(missing_ok=True)
            sync_directory(self._place.table(table))
            merged = merge if merge and merge.table == table else None
            added = (*written.get(table, ()), *((merged.output,) if merged else ()))
            tables[table] = tables[table].change(added, merged.inputs if merged else (), gone.get(table, frozenset()))
        if tables != self._staged.tables:
            staged = Manifest(self._staged.sequence + 1, tables)
            with self._fence.held():
                stage(self._place, staged)
            self._staged = staged

    def _publish(self, manifest: Manifest) -> None:
        if manifest.sequence > self._visible.sequence:
            with self._fence.held():
                publish(self._place, manifest, self._visible)
            for older in range(self._visible.sequence + 1, manifest.sequence):
                self._place.staged(older).unlink(missing_ok=True)
            self._visible = manifest
            self._on_published()
        confirm(self._place)
