"""Keeps the number of files small: many small ones become one, beside the flow."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import accumulate

from connectors.tables.items import TableSpec
from connectors.tables.layout import Place
from connectors.tables.manifest import DataFile, Manifest
from connectors.tables.parquet import merge_files

FAN_IN = 32
MAX_ROWS = 250_000


@dataclass(frozen=True, slots=True)
class Merge:
    """What became of some files of a table.

    Attributes:
        table: Name of the table.
        inputs: The files merged.
        output: The file that holds their rows.
    """

    table: str
    inputs: tuple[DataFile, ...]
    output: DataFile


def plan_merge(files: Sequence[DataFile]) -> tuple[DataFile, ...]:
    """Choose files worth merging, or none.

    Merges `FAN_IN` files of a level into one of the next, so a row is rewritten once per level and a table has fewer
    than `FAN_IN` files per level, and besides them files of at least `MAX_ROWS // 2` rows. A merge reads at most
    `MAX_ROWS` rows, which bounds its memory.
    """
    small = [file for file in files if file.rows < MAX_ROWS // 2]
    for level in sorted({file.level for file in small}):
        group = [file for file in small if file.level == level][:FAN_IN]
        if len(group) == FAN_IN:
            totals = accumulate(file.rows for file in group)
            return tuple(file for file, total in zip(group, totals, strict=True) if total <= MAX_ROWS)
    return ()


class Compactor:
    """Merges in the background, one merge at a time; its results go into a later commit.

    Args:
        place: The writer's files.
        specs: The tables.
    """

    def __init__(self, place: Place, specs: Mapping[str, TableSpec]) -> None:
        self._place = place
        self._specs = specs
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="table-compaction")
        self._running: Future[Merge] | None = None

    @property
    def has_finished(self) -> bool:
        """A merge has ended since the last call of `finished`."""
        return self._running is not None and self._running.done()

    def finished(self) -> Merge | None:
        """The merge that ended since the last call, if any.

        Raises:
            OSError: It failed.
        """
        if self._running is None or not self._running.done():
            return None
        merge, self._running = self._running.result(), None
        return merge

    def start(self, manifest: Manifest) -> None:
        """Begin a merge, if none runs and one is worth it.

        Args:
            manifest: The latest commit; the files of every merge that ended must be in it.
        """
        if self._running is not None:
            return
        for name, table in manifest.tables.items():
            inputs = plan_merge(table.files)
            if inputs and name in self._specs:
                self._running = self._pool.submit(self._merge, name, inputs, manifest.sequence)
                return

    def close(self) -> None:
        """Wait for the merge that runs."""
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _merge(self, table: str, inputs: tuple[DataFile, ...], sequence: int) -> Merge:
        sources = [self._place.table(table) / file.name for file in inputs]
        target = self._place.new_file(table, sequence)
        output = merge_files(sources, target, self._specs[table].sort_by)
        return Merge(table, inputs, replace(output, level=inputs[0].level + 1))
