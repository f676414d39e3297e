"""The audit log's format, version 1: entries that hold the MAC of the one before, and a head that counts them.

A line is a JSON object. Its last member, `mac`, is the HMAC-SHA-256 of the bytes of the line before it, so any changed
byte shows, and nothing depends on how JSON is written. Source: RFC 2104 (HMAC), FIPS 180-4 (SHA-256).
"""

from __future__ import annotations

import hmac
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from privacy.keyring import Keyring

VERSION = 1

_SIGNED = re.compile(rb'(\{.*),"mac":"([0-9a-f]{64})"\}\n')
_ANCHOR = re.compile(r"([1-9][0-9]{0,17}):([0-9a-f]{64})")


class ChainError(Exception):
    """Bytes that are not what was written; the message says how that shows, not where."""


@dataclass(frozen=True, slots=True)
class Head:
    """How far a log has come.

    Attributes:
        entries: How many there are.
        bytes: How many bytes they take.
        last: The MAC of the last one, hexadecimal.
    """

    entries: int
    bytes: int
    last: str

    @property
    def anchor(self) -> str:
        """Names the last entry; who keeps it elsewhere sees when the log is put back to before it."""
        return f"{self.entries}:{self.last}"


NOTHING = Head(0, 0, "0" * 64)
"""The head of a log without entries."""


def parse_anchor(text: str) -> tuple[int, str] | None:
    """The number and the MAC of the entry that an anchor names; None if it is no anchor."""
    match = _ANCHOR.fullmatch(text)
    return (int(match[1]), match[2]) if match else None


class Chain:
    """Makes and checks entries and heads with keys of a keyring; these keys outlive its rotations."""

    def __init__(self, keyring: Keyring) -> None:
        self._entries = keyring.join_key("audit entry")
        self._heads = keyring.join_key("audit head")

    def entry(self, head: Head, facts: Mapping[str, Any]) -> tuple[bytes, Head]:
        """The line of the next entry, and the head after it."""
        line, mac = _signed({"n": head.entries + 1, **facts, "previous": head.last}, self._entries)
        return line, Head(head.entries + 1, head.bytes + len(line), mac)

    def follow(self, head: Head, line: bytes) -> Head:
        """The head after a line that was read.

        Raises:
            ChainError: The line is not the entry that follows.
        """
        if not line.endswith(b"\n"):
            raise ChainError("is not whole: its end is missing")
        found, mac = _checked(line, self._entries)
        if found["n"] != head.entries + 1:
            raise ChainError(f"holds entry {found['n']}: entries were removed, repeated or moved")
        if found["previous"] != head.last:
            raise ChainError("does not follow the entry before it: it was taken from elsewhere")
        return Head(head.entries + 1, head.bytes + len(line), mac)

    def head_file(self, head: Head) -> bytes:
        """A head as the bytes of its file."""
        return _signed(
            {"version": VERSION, "entries": head.entries, "bytes": head.bytes, "last": head.last}, self._heads
        )[0]

    def read_head(self, data: bytes) -> Head:
        """The head that a file holds.

        Raises:
            ChainError: It was changed, another keyring made it, or it is of another version.
        """
        found, _ = _checked(data, self._heads)
        if found["version"] != VERSION:
            raise ChainError(f"is of another version: expected {VERSION}")
        return Head(found["entries"], found["bytes"], found["last"])


def _signed(members: Mapping[str, Any], key: bytes) -> tuple[bytes, str]:
    text = json.dumps(members, separators=(",", ":"))[:-1].encode()
    mac = hmac.digest(key, text, "sha256").hex()
    return text + f',"mac":"{mac}"}}\n'.encode(), mac


def _checked(line: bytes, key: bytes) -> tuple[dict[str, Any], str]:
    match = _SIGNED.fullmatch(line)
    if not match:
        raise ChainError("is nothing that Signalbox wrote: it was changed")
    mac = match[2].decode()
    if not hmac.compare_digest(hmac.digest(key, match[1], "sha256").hex(), mac):
        raise ChainError("does not fit its MAC: it was changed, or written with another keyring")
    found: dict[str, Any] = json.loads(match[1] + b"}")
    return found, mac
