"""How often what was revealed, for metrics: read from the audit log, which has every request.

Neither the log nor what is read of it is verified here, for that needs the keyring (`AuditLog.verify`).
"""

from __future__ import annotations

import json
import os
from collections import Counter
from pathlib import Path
from typing import Any, NamedTuple

from privacy.errors import KeyringError
from privacy.tokens import token_class


class Reveals(NamedTuple):
    """What requests to reveal a token have in common.

    Attributes:
        role: The role; empty where it was refused, for there anybody may have claimed anything.
        pii_class: The token's class.
        outcome: `revealed`, `refused`, `unopened` or `forgotten`.
    """

    role: str
    pii_class: str
    outcome: str


class AuditCounts:
    """Counts the entries of an audit log; each look reads what was appended since the one before.

    A log that was moved away begins anew, and the counts with it.

    Args:
        directory: That of the log.

    Attributes:
        reveals: Tokens, by what was asked and what became of it.
        unsealed: Dead letters whose original was shown.
        forgotten: Times that a customer was forgotten.
    """

    def __init__(self, directory: Path) -> None:
        self._path = directory / "reveals.jsonl"
        self._begin((0, 0))

    def look(self) -> None:
        """Read what is new; nothing where there is no log, or none that we may read."""
        try:
            with self._path.open("rb") as file:
                status = os.fstat(file.fileno())
                if (status.st_dev, status.st_ino) != self._file or status.st_size < self._read:
                    self._begin((status.st_dev, status.st_ino))
                file.seek(self._read)
                for line in file:
                    if not line.endswith(b"\n"):  # still being written
                        break
                    self._read += len(line)
                    self._count(line)
        except OSError:
            return

    def _begin(self, file: tuple[int, int]) -> None:
        self.reveals: Counter[Reveals] = Counter()
        self.unsealed = self.forgotten = 0
        self._file, self._read = file, 0

    def _count(self, line: bytes) -> None:
        match _entry(line):
            case {"event": "reveal", "outcome": str(outcome), "role": str(role), "token": str(token)}:
                try:
                    pii_class = token_class(token)
                except KeyringError:
                    return
                self.reveals[Reveals("" if outcome == "refused" else role, pii_class, outcome)] += 1
            case {"event": "unseal"}:
                self.unsealed += 1
            case {"event": "forget", "outcome": "forgotten"}:
                self.forgotten += 1


def _entry(line: bytes) -> Any:
    try:
        return json.loads(line)
    except ValueError:  # somebody changed it, which a verification will find
        return None
