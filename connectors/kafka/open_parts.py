"""OpenParts: how many parts of a process's sources still read."""

from __future__ import annotations

import threading


class OpenParts:
    """Counts the parts that were built and have not ended, over all sources that share it.

    A process may have none at all, for Bytewax spreads parts over processes. Safe across threads.
    """

    def __init__(self) -> None:
        self._count = 0
        self._lock = threading.Lock()

    def opened(self) -> None:
        """A part was built."""
        with self._lock:
            self._count += 1

    def ended(self) -> None:
        """A part has emitted all it will emit."""
        with self._lock:
            self._count -= 1

    @property
    def any(self) -> bool:
        """Whether a part still reads."""
        return self._count > 0
