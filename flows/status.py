"""One line about a running flow: redrawn in place on a terminal, logged now and then elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

import structlog

from connectors.metrics import snapshot_metrics

if TYPE_CHECKING:
    from rich.status import Status

_TERMINAL_SECONDS = 1.0
_LOG_SECONDS = 10.0

_log = structlog.get_logger()


@dataclass(frozen=True)
class Figures:
    """What the line tells.

    Attributes:
        records: Records read since the flow's first start.
        per_second: Records read per second since the line before.
        notifications: Notifications published since the flow's first start.
        lag: Records that are not read yet.
        dead_letters: Records refused since the flow's first start.
    """

    records: int
    per_second: int
    notifications: int
    lag: int
    dead_letters: int

    @classmethod
    def of(cls, metrics: Mapping[str, float], *, before: int, seconds: float) -> Figures:
        """Take the figures from a metrics snapshot.

        Args:
            metrics: As `snapshot_metrics` gives them.
            before: Records read at the line before.
            seconds: Time since then.
        """
        records = int(metrics.get("records_consumed_total", 0))
        lag = sum(value for name, value in metrics.items() if name.startswith("lag_records{"))
        return cls(
            records=records,
            per_second=round(max(0, records - before) / seconds) if seconds > 0 else 0,
            notifications=int(metrics.get("notifications_published_total", 0)),
            lag=int(lag),
            dead_letters=int(metrics.get("records_rejected_total", 0)),
        )

    def __str__(self) -> str:
        return (
            f"{self.records:,} records in ({self.per_second:,}/s), {self.notifications:,} notifications, "
            f"lag {self.lag:,}, {self.dead_letters:,} dead letters"
        )


class StatusLine:
    """Tells how a flow is doing; call `tick` as often as you like.

    Args:
        metrics: The flow's metrics directory.
        clock: Seconds, monotonic.
        terminal: Whether stderr is a terminal; found out if not given.
    """

    def __init__(
        self, metrics: Path, *, clock: Callable[[], float] = time.monotonic, terminal: bool | None = None
    ) -> None:
        self._metrics = metrics
        self._clock = clock
        self._terminal = sys.stderr.isatty() if terminal is None else terminal
        self._interval = _TERMINAL_SECONDS if self._terminal else _LOG_SECONDS
        self._began_at = self._told_at = clock()
        self._records_before = 0
        self._records: int | None = None
        self._line: Status | None = None
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()
        if self._records is not None and error is None:
            self._records, self._told_at = self._records_before, self._began_at
            _log.info("ended", status=str(self._figures()))

    def tick(self) -> None:
        """Tell, if it is time to."""
        now = self._clock()
        if self._records is None:
            self._begin(now)
        elif now - self._told_at >= self._interval:
            figures = self._figures()
            self._records, self._told_at = figures.records, now
            if self._line is not None:
                self._line.update(str(figures))
            else:
                _log.info("running", status=str(figures))

    def _begin(self, now: float) -> None:
        """The first tick comes when the workers have been started."""
        self._began_at = self._told_at = now
        self._records = self._records_before = self._figures().records
        if self._terminal:
            from rich.console import Console

            self._line = self._stack.enter_context(Console(stderr=True).status("starting"))

    def _figures(self) -> Figures:
        seconds = self._clock() - self._told_at
        return Figures.of(snapshot_metrics(self._metrics), before=self._records or 0, seconds=seconds)
