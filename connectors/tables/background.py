"""Writes files beside the worker's thread, so that little is left to wait for at a snapshot."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import polars as pl

from connectors.tables.manifest import DataFile
from connectors.tables.parquet import write_rows

MAX_WAITING = 4


class BackgroundFiles:
    """New Parquet files of several tables, written one after the other by a thread.

    **State**: at most `MAX_WAITING` frames wait to be written; who brings another waits for the oldest.
    """

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="table-files")
        self._waiting: deque[tuple[str, Future[DataFile]]] = deque()
        self._written: dict[str, list[DataFile]] = defaultdict(list)

    def write(self, table: str, path: Path, rows: pl.DataFrame, sort_by: Sequence[str]) -> None:
        """Have rows written to a new file, ordered by `sort_by`.

        Raises:
            OSError: An earlier file could not be written.
        """
        while len(self._waiting) >= MAX_WAITING:
            self._wait_for_oldest()
        self._waiting.append((table, self._pool.submit(write_rows, path, rows.sort(sort_by) if sort_by else rows)))

    def drain(self) -> dict[str, list[DataFile]]:
        """Wait for all files, and give those written since the last call, by table.

        Raises:
            OSError: A file could not be written.
        """
        while self._waiting:
            self._wait_for_oldest()
        written, self._written = dict(self._written), defaultdict(list)
        return written

    def close(self) -> None:
        """Wait for the file being written, and forget the others."""
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _wait_for_oldest(self) -> None:
        table, file = self._waiting.popleft()
        self._written[table].append(file.result())
