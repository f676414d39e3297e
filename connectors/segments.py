"""Segments: immutable Arrow files of one state table, written in the background.

Delivery: a segment is durable (fsynced, renamed into place, directory fsynced) when its future is done.
Ordering: none between segments. Parallelism: one writing thread per process. Resume state: the names in the owner's
snapshot. Retries: none; an error surfaces when the future is asked, and so stops the epoch from closing.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from functools import lru_cache
from pathlib import Path

import polars as pl

from schemas.errors import TerminalError


class SegmentFiles:
    """The segments of one table of one shard, in a directory of its own.

    A segment that a snapshot no longer names is deleted at the snapshot after it: only then has the flow's recovery
    store made the former durable, and no crash leads back behind it.

    Args:
        directory: Where the files lie; made when missing.
        on_written: Told the size of every file that is written, in the thread that writes.
    """

    def __init__(self, directory: Path, on_written: Callable[[int], None] | None = None) -> None:
        self._directory = directory
        self._on_written = on_written
        self._condemned: set[str] = set()
        self._written: set[str] = set()
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)

    def write(self, frame: pl.DataFrame) -> tuple[str, Future[None]]:
        """Write a frame under a new name, in the background; it is durable once the future is done."""
        # random, so that a process that was left behind can never write over a successor's file
        name = f"{secrets.token_hex(8)}.arrow"
        self._written.add(name)
        return name, _writer().submit(_write, self._directory, name, frame, self._on_written)

    def read(self, name: str) -> pl.DataFrame:
        """Read a segment back.

        Raises:
            TerminalError: The file is missing: state and recovery store do not belong together.
        """
        path = self._directory / name
        if not path.exists():
            raise TerminalError(
                f"state segment {path} is missing: expected the state directory that belongs to the recovery store; "
                "restore both together, or start from an empty data directory"
            )
        self._written.add(name)
        return pl.read_ipc(path)

    def keep_only(self, names: list[str]) -> None:
        """Say which segments the newest snapshot names or the next ones may; delete what had been given up before."""
        for name in self._condemned:
            _writer().submit((self._directory / name).unlink, missing_ok=True)
        self._written -= self._condemned
        self._condemned = self._written - set(names)

    def remove_strangers(self, names: list[str]) -> None:
        """On resume: delete what a lost run left behind."""
        for path in self._directory.iterdir():
            if path.name not in names:
                path.unlink(missing_ok=True)


@lru_cache(maxsize=1)
def _writer() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(max_workers=1, thread_name_prefix="segments")


def _write(directory: Path, name: str, frame: pl.DataFrame, on_written: Callable[[int], None] | None) -> None:
    temporary = directory / f".{name}"
    with temporary.open("wb") as file:
        frame.write_ipc(file, compression="uncompressed")
        file.flush()
        os.fsync(file.fileno())
        size = file.tell()
    temporary.rename(directory / name)
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    if on_written is not None:
        on_written(size)
