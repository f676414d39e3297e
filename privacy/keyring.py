"""The keyring: every secret Signalbox holds, in one file that only its owner may read."""

from __future__ import annotations

import fcntl
import os
import secrets
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import NoReturn

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand

from privacy.durable import opened_directory, overwrite, written
from privacy.errors import KeyringError
from privacy.keyfile import JOIN_BYTES, SIV_BYTES, Key, KeyFile, parse, render
from privacy.puncturable import PuncturablePrf


class Keyring:
    """Keys that make and open tokens, seal dead letters, and derive what joins on.

    - *Token keys* (AES-SIV, 64 bytes): the primary makes new tokens, retired ones still open theirs. `rotate` adds one.
    - *Join key* (32 bytes): customer keys, fingerprints and the keys of the audit log are derived from it. It outlives
      rotations, so streams tokenized before and after one still join, shards keep their customers, the log its chain.
    - *Sealing key* (AES-SIV, 64 bytes): dead letters.
    - *Customers*: together with a token key, the key of each customer's own tokens. It does not rotate either. `forget`
      takes one customer out of it, so that no key for their tokens is left, neither here nor in what is rotated later.

    A keyring does not change once loaded, shows no key in its `repr` and cannot be pickled, so that no key reaches a
    recovery store or another process.
    """

    __slots__ = ("_file", "path")

    def __init__(self, path: Path, file: KeyFile) -> None:
        self.path = path
        self._file = file

    @classmethod
    def load(cls, path: str | Path) -> Keyring:
        """Read a keyring.

        Raises:
            KeyringError: It is not there, others may read it, or it is damaged.
        """
        path = Path(path)
        return cls(path, parse(_read_private(path), str(path)))

    @classmethod
    def create(cls, path: str | Path) -> Keyring:
        """Make a keyring of fresh random keys, durably.

        The file appears whole or not at all. Its directory is made when missing, mode 0700.

        Raises:
            KeyringError: The file exists (it is never overwritten), or cannot be written.
        """
        path = Path(path)
        file = KeyFile(
            tokens=(Key("k1", _now(), secrets.token_bytes(SIV_BYTES)),),
            join=Key("j1", _now(), secrets.token_bytes(JOIN_BYTES)),
            sealing=Key("s1", _now(), secrets.token_bytes(SIV_BYTES)),
            customers=PuncturablePrf.create(),
        )
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            with _locked(path.parent), written(path, render(file)) as temporary:
                _link_new(temporary, path)
        except OSError as error:
            raise KeyringError(
                f"the keyring {path} cannot be written ({error.strerror}): expected a directory we may write to"
            ) from error
        return cls.load(path)

    def rotate(self) -> Keyring:
        """Add a new primary token key to the file; the old ones still open their tokens.

        Running processes take it up where they watch the file (`KeyringWatch`), others go on with what they loaded.
        Changes at the same time wait for each other. Where the path is a link, the file it leads to is replaced, and
        the link stays. The bytes of the file as it was are written over; what the disk, its file system or a backup
        keep of them is out of reach here.

        A keyring of version 1 becomes one of version 2: from then on customers have tokens that can be forgotten.

        Returns:
            The keyring as it is in the file now.

        Raises:
            KeyringError: The file cannot be read or written any more.
        """

        def rotated(file: KeyFile) -> KeyFile:
            number = max(int(key.id[1:]) for key in file.tokens) + 1
            fresh = Key(f"k{number}", _now(), secrets.token_bytes(SIV_BYTES))
            return replace(file, tokens=(*file.tokens, fresh), customers=file.customers or PuncturablePrf.create())

        return self._rewritten(rotated)

    def forget(self, number: int) -> Keyring:
        """Take a customer out of the file for good. Otherwise as `rotate`.

        Args:
            number: The customer's number, the first 64 bits of the customer key. Among a hundred million others one has
                the same number, and is forgotten too, with a chance of 5e-12.

        Returns:
            The keyring as it is in the file now.

        Raises:
            KeyringError: It is of version 1, or the file cannot be read or written any more.
        """

        def punctured(file: KeyFile) -> KeyFile:
            if file.customers is None:
                raise KeyringError(
                    f"the keyring {self.path} is of version 1, whose tokens cannot be forgotten: "
                    "run signalbox keys rotate first; tokens made before stay readable"
                )
            return replace(file, customers=file.customers.without(number))

        return self._rewritten(punctured)

    def _rewritten(self, change: Callable[[KeyFile], KeyFile]) -> Keyring:
        """Replace the file by what becomes of it, durably."""
        path = self.path.resolve()
        try:
            with _locked(path.parent):
                file = Keyring.load(path)._file  # somebody may have changed it since we read it
                with path.open("r+b") as before, written(path, render(change(file))) as temporary:
                    owner = os.fstat(before.fileno())
                    os.chown(temporary, owner.st_uid, owner.st_gid)  # root may change what a service reads
                    temporary.replace(path)
                    overwrite(before)
        except OSError as error:
            raise KeyringError(
                f"the keyring {self.path} cannot be written ({error.strerror}): expected a file of mode 0600 in a "
                "directory we may write to"
            ) from error
        return Keyring.load(self.path)

    def require_follows(self, earlier: Keyring) -> None:
        """Pass if this is what became of an earlier keyring, so that what was made with that one still fits.

        Raises:
            KeyringError: Another keyring's keys are in the file, or it was put back to before a rotation.
        """
        ours, theirs = self._file, earlier._file
        known = {key.id: key.secret for key in theirs.tokens}
        if ours.join.secret != theirs.join.secret or ours.sealing != theirs.sealing:
            raise self._stranger("the same join key and sealing key")
        if any(known.get(key.id, key.secret) != key.secret for key in ours.tokens):
            raise self._stranger("the same key under each id")
        if self.primary_id != earlier.primary_id and self.primary_id in known:
            raise self._stranger(f"{earlier.primary_id} or a newer key as the primary one")
        if not earlier.forgotten <= self.forgotten:
            raise self._stranger("all customers to be forgotten who were")

    def _stranger(self, expected: str) -> KeyringError:
        return KeyringError(
            f"the keyring {self.path} is not what became of the one in use: expected {expected}; put that one back, or "
            "start again if this one is meant"
        )

    @property
    def primary_id(self) -> str:
        """The id of the key that makes new tokens."""
        return self._file.tokens[-1].id

    @property
    def token_key_ids(self) -> tuple[str, ...]:
        """The ids of all token keys, oldest first; the last is the primary."""
        return tuple(key.id for key in self._file.tokens)

    @property
    def sealing_id(self) -> str:
        """The id of the sealing key."""
        return self._file.sealing.id

    @property
    def customers(self) -> PuncturablePrf | None:
        """What customers' own keys are derived from; None in a keyring of version 1."""
        return self._file.customers

    @property
    def forgotten(self) -> frozenset[int]:
        """The numbers of the customers who were forgotten."""
        return frozenset(self._file.customers.forgotten if self._file.customers else ())

    def token_key(self, key_id: str) -> bytes:
        """An AES-SIV key for tokens, 64 bytes.

        Raises:
            KeyringError: There is no such key here.
        """
        for key in self._file.tokens:
            if key.id == key_id:
                return key.secret
        raise KeyringError(
            f"the keyring {self.path} lacks the key of this token: expected one of {', '.join(self.token_key_ids)}; "
            "use the keyring that made it"
        )

    def sealing_key(self, key_id: str) -> bytes:
        """The AES-SIV key for dead letters, 64 bytes.

        Raises:
            KeyringError: There is no such key here.
        """
        if key_id != self._file.sealing.id:
            raise KeyringError(
                f"the keyring {self.path} lacks the sealing key of this dead letter: expected {self._file.sealing.id}; "
                "use the keyring that sealed it"
            )
        return self._file.sealing.secret

    def join_key(self, purpose: str) -> bytes:
        """A 32-byte key derived from the join key, unrelated for every purpose.

        Source: RFC 5869, section 2.3 (HKDF-Expand; the join key is uniformly random and needs no extraction).
        """
        return HKDFExpand(SHA256(), 32, f"signalbox {purpose}".encode()).derive(self._file.join.secret)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Keyring) and self._file == other._file

    def __hash__(self) -> int:
        return hash(self._file)

    def __repr__(self) -> str:
        return f"Keyring({str(self.path)!r}, primary={self.primary_id!r}, tokens={list(self.token_key_ids)})"

    def __reduce__(self) -> NoReturn:
        raise KeyringError("a keyring cannot be pickled or copied: load it where it is needed, by its path")


def _read_private(path: Path) -> bytes:
    """The file's bytes, from a file that nobody but its owner may touch.

    The mode is asked of the open file, so that nothing can be swapped in between.
    """
    try:
        with path.open("rb") as file:
            status = os.fstat(file.fileno())
            mode = stat.S_IMODE(status.st_mode)
            if mode & 0o077:
                raise KeyringError(
                    f"the keyring {path} is open to others (mode {mode:04o}): expected 0600; run chmod 600 {path}, "
                    "and replace the keys if others had access"
                )
            data = file.read()
            # when it was replaced meanwhile, we may have read what was written over it
            return data if os.path.samestat(status, path.stat()) else _read_private(path)
    except FileNotFoundError as error:
        raise KeyringError(f"no keyring at {path}: expected the file that `signalbox keys create` makes") from error
    except OSError as error:
        raise KeyringError(
            f"the keyring {path} cannot be read ({error.strerror}): expected a file of ours, mode 0600"
        ) from error


def _link_new(temporary: Path, path: Path) -> None:
    try:
        os.link(temporary, path)  # unlike a rename, fails when the name is taken
    except FileExistsError as error:
        raise KeyringError(
            f"there is a keyring at {path}: expected no file, for overwriting one makes its tokens unreadable; "
            "rotate it, or choose another path"
        ) from error


@contextmanager
def _locked(directory: Path) -> Iterator[None]:
    """Nobody else changes a keyring in this directory meanwhile; a lock of a dead process is no lock."""
    with opened_directory(directory) as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
