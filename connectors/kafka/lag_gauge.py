"""What a part that reads a partition shows of itself: how far it is behind."""

from __future__ import annotations

import time
from collections.abc import Callable

from connectors.metrics import process_metrics

_INTERVAL_SECONDS = 0.25


class LagGauge:
    """Shows a partition's lag a few times a second.

    Args:
        topic: The topic.
        partition: The partition.
        clock: Seconds, monotonic.
    """

    def __init__(self, topic: str, partition: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._gauge = process_metrics().lag_records.labels(topic, partition)
        self._clock = clock
        self._due = 0.0
        self._shown: int | None = None

    def show(self, end: Callable[[], int], next_offset: int, *, at_end: bool = False) -> None:
        """Show the lag, if it is time to.

        Args:
            end: Tells the partition's end, -1 if it is not known; called when it is time.
            next_offset: Where the part reads next.
            at_end: The part has read all that was known: it is time, unless that shows already.
        """
        now = self._clock()
        if now < self._due and not (at_end and self._shown != 0):
            return
        self._due = now + _INTERVAL_SECONDS
        known = end()
        if known >= 0 and next_offset >= 0:
            self._shown = max(0, known - next_offset)
            self._gauge.set(self._shown)
