"""Files that are there as a whole or not at all."""

from __future__ import annotations

import fcntl
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from schemas.errors import TransientError

TEMPORARY_SUFFIX = ".tmp"


def temporary_for(path: Path) -> Path:
    """A new hidden name beside `path`, for what will be renamed to it; no two calls give the same."""
    return path.with_name(f".{path.name}.{secrets.token_hex(4)}{TEMPORARY_SUFFIX}")


def write_atomically(path: Path, data: bytes, *, durable: bool = True) -> None:
    """Replace a file as a whole: a reader finds the old content or the new.

    Args:
        path: The file.
        data: Its new content.
        durable: Survive a loss of power too, not only of the process. Costs two fsyncs.
    """
    temporary = temporary_for(path)
    with temporary.open("wb") as file:
        file.write(data)
        if durable:
            file.flush()
            os.fsync(file.fileno())
    temporary.replace(path)
    if durable:
        sync_directory(path.parent)


def sync_file(path: Path) -> None:
    """Wait until a file's content is on the disk."""
    with path.open("rb") as file:
        os.fsync(file.fileno())


def sync_directory(path: Path) -> None:
    """Wait until the names in a directory are on the disk."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def disk_errors_as_transient(directory: Path) -> Iterator[None]:
    """Raise `TransientError` where the operating system refuses to read or write."""
    try:
        yield
    except OSError as error:
        raise TransientError(
            f"cannot write below {directory} ({error.strerror}); see that the disk has room and may be written to"
        ) from error


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold an exclusive lock between processes and threads; the kernel gives it back when its holder dies.

    Args:
        path: The lock file; made when missing, never removed.
    """
    with path.open("ab") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
