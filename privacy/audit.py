"""The audit log: what was revealed, or asked to be, in a file that nobody without the keyring can change unnoticed.

Two files in one directory. `reveals.jsonl` has one entry a line and is only appended to; each entry holds its number
and the MAC of the one before. `head.json` counts the entries, so that an end that is cut off is missed. Both are under
MACs whose keys come from the keyring.

What the head counts is what was acted on: an entry is on the disk, and then counted, before `append` returns. What lies
beyond the head is from an `append` that was interrupted, and nothing was revealed for it. The next `append` counts what
is whole of it, cuts off the rest, and says in an entry how much that was.

What it cannot show: who has the keyring can write another log, and who puts back both files as they were leaves no
trace in them. For the latter there are anchors: note one elsewhere, and `verify` finds a log that lacks that entry.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO

from privacy.audit_chain import NOTHING, Chain, ChainError, Head, parse_anchor
from privacy.durable import written
from privacy.errors import AuditDamageError, AuditError
from privacy.keyring import Keyring

_EVIDENCE = "keep the directory as evidence, move it away to begin a new log, and find out what happened"


class AuditLog:
    """An audit log; processes and threads may append to it at once.

    Args:
        directory: Where its files are; made when missing, mode 0700.
        keyring: Whose keys the MACs are made with.

    Attributes:
        path: The file of the entries.
        head_path: The file of the head.
    """

    def __init__(self, directory: Path, keyring: Keyring) -> None:
        self.path = directory / "reveals.jsonl"
        self.head_path = directory / "head.json"
        self._chain = Chain(keyring)

    def append(self, facts: Sequence[Mapping[str, str | int]]) -> None:
        """Write entries, durably: when this returns they are on the disk and counted.

        Args:
            facts: What each is to say, beside its number and time. Never a revealed value.

        Raises:
            AuditDamageError: The log is not what was written; nothing is added to it.
            AuditError: It cannot be written.
        """
        try:
            with self._opened_to_write() as file:
                head, cut = self._resumed(file)
                lines = []
                at = datetime.now(UTC).isoformat(timespec="milliseconds")
                for each in [*cut, *facts]:
                    line, head = self._chain.entry(head, {"at": at, **each})
                    lines.append(line)
                file.write(b"".join(lines))
                file.flush()
                os.fsync(file.fileno())
                self._write_head(head)
        except OSError as error:
            raise AuditError(
                f"the audit log {self.path} cannot be written ({error.strerror}), and nothing is revealed without it: "
                "expected a directory of ours on a disk with room"
            ) from error

    def verify(self, anchor: str | None = None) -> Head:
        """Read all of it, and find whatever was changed, removed, added, moved or cut off.

        Args:
            anchor: The `anchor` of a head as it once was: that entry must still be there.

        Returns:
            The head.

        Raises:
            AuditDamageError: It is not what was written; the message names the first such line.
            AuditError: It cannot be read, or the anchor is none.
        """
        number, mac = (0, NOTHING.last) if anchor is None else _parsed(anchor)
        try:
            head = self._read_all(number, mac)
        except OSError as error:
            raise AuditError(
                f"the audit log {self.path} cannot be read ({error.strerror}): expected a file of ours"
            ) from error
        if head.entries < number:
            raise self._damage(
                f"it ends after line {head.entries}, and the anchor names entry {number}: "
                "it was put back to before that"
            )
        return head

    def _read_all(self, anchored: int, anchored_mac: str) -> Head:
        if not self.path.exists():
            if self.head_path.exists():
                raise self._damage("it is missing, and its head is there")
            return NOTHING
        found = NOTHING
        with self.path.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH)
            head = self._head(file)
            for number, line in enumerate(file, 1):
                if number > head.entries:
                    raise AuditDamageError(
                        f"the audit log {self.path} goes on at line {number}, and its head counts {head.entries} "
                        "entries: either a process died while it wrote, then the next reveal settles it, or an older "
                        "head was put back"
                    )
                try:
                    found = self._chain.follow(found, line)
                except ChainError as error:
                    raise self._damage(f"line {number} {error}") from error
                if number == anchored and found.last != anchored_mac:
                    raise self._damage(f"line {number} is not the entry that the anchor names")
        if found.entries < head.entries:
            raise self._damage(
                f"it ends after line {found.entries}, and its head counts {head.entries} entries: its end was cut off"
            )
        return found

    @contextmanager
    def _opened_to_write(self) -> Iterator[BinaryIO]:
        directory = self.path.parent
        if not directory.exists():
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            _leave_to_owner_of(directory.parent, directory)
        handle = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
        with os.fdopen(handle, "a+b") as file:
            fcntl.flock(file, fcntl.LOCK_EX)  # given back when the file is closed, or its process dies
            _leave_to_owner_of(directory, self.path)
            yield file

    def _resumed(self, file: BinaryIO) -> tuple[Head, list[dict[str, str | int]]]:
        """Where to go on, and what to say of bytes that had to be cut off."""
        head, size = self._head(file), os.fstat(file.fileno()).st_size
        if size == 0 and head == NOTHING:
            self._write_head(head)  # from now on, entries without a head are damage
        if size < head.bytes:
            raise self._damage(f"it has {size} bytes, and its head counts {head.bytes}: its end was cut off")
        file.seek(head.bytes)
        for line in file:
            try:
                head = self._chain.follow(head, line)
            except ChainError:
                break
        if size == head.bytes:
            return head, []
        file.truncate(head.bytes)
        return head, [{"event": "cut", "bytes": size - head.bytes}]

    def _head(self, file: BinaryIO) -> Head:
        try:
            data = self.head_path.read_bytes()
        except FileNotFoundError as error:
            if os.fstat(file.fileno()).st_size:
                raise self._damage(f"its head {self.head_path.name} is missing") from error
            return NOTHING
        try:
            return self._chain.read_head(data)
        except ChainError as error:
            raise self._damage(f"its head {self.head_path.name} {error}") from error

    def _write_head(self, head: Head) -> None:
        with written(self.head_path, self._chain.head_file(head)) as temporary:
            _leave_to_owner_of(self.path.parent, temporary)
            temporary.replace(self.head_path)

    def _damage(self, what: str) -> AuditDamageError:
        return AuditDamageError(f"the audit log {self.path} is damaged: {what}; {_EVIDENCE}")


def _leave_to_owner_of(directory: Path, path: Path) -> None:
    """What root makes for a service stays the service's."""
    if os.geteuid() == 0:
        owner = directory.stat()
        os.chown(path, owner.st_uid, owner.st_gid)


def _parsed(anchor: str) -> tuple[int, str]:
    parsed = parse_anchor(anchor)
    if parsed is None:
        raise AuditError("this is no anchor: expected NUMBER:MAC as an earlier verification printed it")
    return parsed
