"""Progress of one piece of work: redrawn in place on a terminal, a plain line now and then elsewhere."""

from __future__ import annotations

import sys
import time
from contextlib import ExitStack
from types import TracebackType
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from rich.status import Status

_TERMINAL_SECONDS = 0.2
_PLAIN_SECONDS = 5.0


class Progress:
    """Counts up on stderr. May be updated from any one thread.

    Args:
        what: What is counted, such as "records sent".
        terminal: Whether stderr is a terminal; found out if not given.
    """

    def __init__(self, what: str, *, terminal: bool | None = None) -> None:
        self._what = what
        self._terminal = sys.stderr.isatty() if terminal is None else terminal
        self._began = self._told_at = time.monotonic()
        self._stack = ExitStack()
        self._line: Status | None = None

    def __enter__(self) -> Self:
        if self._terminal:
            from rich.console import Console

            self._line = self._stack.enter_context(Console(stderr=True).status(f"0 {self._what}"))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def update(self, count: int) -> None:
        """Tell how far it is, if it is time to."""
        now = time.monotonic()
        if now - self._told_at < (_PLAIN_SECONDS if self._line is None else _TERMINAL_SECONDS):
            return
        self._told_at = now
        text = f"{count:,} {self._what} ({count / (now - self._began):,.0f}/s)"
        if self._line is None:
            print(text, file=sys.stderr, flush=True)  # noqa: T201
        else:
            self._line.update(text)
