"""Private files that are there as a whole or not at all, and stay when the power goes."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO


@contextmanager
def written(path: Path, data: bytes) -> Iterator[Path]:
    """A new file beside `path`, mode 0600, on disk to the last byte; what remains of it is removed.

    The directory is synced when the body, which moves the file into place, has run.
    """
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(handle)
        yield temporary
    finally:
        temporary.unlink(missing_ok=True)
    with opened_directory(path.parent) as directory:
        os.fsync(directory)


@contextmanager
def opened_directory(path: Path) -> Iterator[int]:
    """A descriptor of a directory, to lock or to sync it."""
    handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield handle
    finally:
        os.close(handle)


def overwrite(file: BinaryIO) -> None:
    """Put zeros in the place of a file's bytes, and see them to the disk."""
    size = os.fstat(file.fileno()).st_size
    file.seek(0)
    file.write(bytes(size))
    file.flush()
    os.fsync(file.fileno())
