"""Where a flow keeps its files: the data directory and its layout."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from schemas.errors import TerminalError


@dataclass(frozen=True)
class DataDirectory:
    """The layout of one data directory.

    Recovery stores hold pickles and state holds tokens, so every directory made here has mode 0700.

    Attributes:
        root: `SIGNALBOX_DATA_DIR`.
    """

    root: Path

    @property
    def tables(self) -> Path:
        """Parquet files and manifests, one directory per table."""
        return self.root / "tables"

    @property
    def database(self) -> Path:
        """The DuckDB file with views over the tables."""
        return self.root / "features.duckdb"

    @property
    def audit(self) -> Path:
        """The log of what was revealed."""
        return self.root / "audit"

    def recovery(self, flow: str) -> Path:
        """Bytewax's recovery store."""
        return self.root / "recovery" / flow

    def state(self, flow: str) -> Path:
        """State segments, the lock and the persisted format."""
        return self.root / "state" / flow

    def metrics(self, flow: str) -> Path:
        """Counters and the live metrics of the running processes."""
        return self.root / "metrics" / flow

    def lock(self, flow: str) -> Path:
        """The file that a running supervisor holds locked."""
        return self.state(flow) / "lock"

    def format(self, flow: str) -> Path:
        """The shape that the saved state of a flow depends on."""
        return self.state(flow) / "format.json"

    def prepare(self, flow: str) -> None:
        """Make what is missing.

        Raises:
            TerminalError: A directory cannot be made or written to.
        """
        private = [self.recovery(flow).parent, self.state(flow), self.metrics(flow)]
        for directory in (self.root, self.tables, *(each.parent for each in private[1:]), *private):
            try:
                directory.parent.mkdir(parents=True, exist_ok=True)
                directory.mkdir(mode=0o700, exist_ok=True)
            except OSError as error:
                raise TerminalError(
                    f"expected to make the data directory {directory}, got {error.strerror}: "
                    "set SIGNALBOX_DATA_DIR to a directory you may write to"
                ) from error
            if not os.access(directory, os.R_OK | os.W_OK | os.X_OK):
                raise TerminalError(
                    f"expected a writable directory at {directory}, got one that this user may not write to: "
                    "change its owner or set SIGNALBOX_DATA_DIR"
                )


def replace_file(path: Path, content: bytes) -> None:
    """Replace a file as a whole, durably: a reader sees the old content or the new, also after a power cut."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    with temporary.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
    sync_directory(path.parent)


def sync_directory(directory: Path) -> None:
    """Make renames inside a directory durable."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
