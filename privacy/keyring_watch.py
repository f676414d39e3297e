"""Taking up a keyring that was changed while a process works with it."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import structlog

from privacy.errors import KeyringError
from privacy.keyring import Keyring

LOOK_SECONDS = 1.0
"""How long a process may go on with the keyring it has after the file was replaced."""

_Signature = tuple[int, ...]
_log = structlog.get_logger()


class KeyringWatch:
    """The newest keyring of a file, looked for when somebody asks, at most once a second.

    Taken up is what `signalbox keys rotate` makes of the keyring in use. A file that is gone, damaged, open to others
    or another keyring's is not: the process goes on with the keys it has, for customers must be told whatever somebody
    does to a file, and says so in its log, once for each state of the file.

    Args:
        keyring: The keyring in use.
        clock: Seconds, for the pace.
    """

    def __init__(self, keyring: Keyring, clock: Callable[[], float] = time.monotonic) -> None:
        self._keyring = keyring
        self._clock = clock
        self._looked_at = float("-inf")
        self._seen: _Signature | None = None

    def current(self) -> Keyring:
        """The keyring to use now: the same object for as long as the file stays what it is."""
        now = self._clock()
        if now - self._looked_at >= LOOK_SECONDS:
            self._looked_at = now
            self._look()
        return self._keyring

    def _look(self) -> None:
        signature = _signature(self._keyring.path)
        if signature == self._seen:
            return
        # noted before it is read: what is replaced in between has another signature at the next look
        self._seen = signature
        try:
            found = Keyring.load(self._keyring.path)
            found.require_follows(self._keyring)
        except KeyringError as error:
            _log.warning("keyring not taken up", cause=str(error))
            return
        if found != self._keyring:
            self._keyring = found
            _log.info("keyring taken up", primary=found.primary_id)


def _signature(path: Path) -> _Signature:
    """Changes whenever the file is replaced, written to or given another mode; empty if it is not there."""
    try:
        state = path.stat()
    except OSError:
        return ()
    return state.st_dev, state.st_ino, state.st_mtime_ns, state.st_ctime_ns, state.st_size, state.st_mode
