"""Watermarks: up to which event time everything that matters has arrived.

**Scope.** One watermark per origin (topic partition): its highest event time less the stream's `max_delay`. The
shard's watermark is the lowest among the origins that are not caught up, so in live operation nothing waits, and in a
replay nothing is decided before its inputs are there.

**Restart.** The highest event times are part of the snapshot; that an origin was caught up is not, for after a
restart it has to be read again.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from flows.batch import Origin

NEVER = -(2**62)
FOREVER = 2**62
"""Stands for a moment that has not come. Every watermark is below it."""


class Watermarks:
    """The progress of every origin one stateful step listens to.

    Args:
        delays: For each origin that carries rows, how far its rows may be out of order, microseconds.
        announced: Origins that state their watermark themselves. Until they do, nothing is decided.
        seen: The highest event time of each origin, from a snapshot.
    """

    def __init__(
        self,
        delays: Mapping[Origin, int],
        announced: Iterable[Origin] = (),
        seen: Mapping[Origin, int] | None = None,
    ) -> None:
        self._delays = dict(delays)
        self.seen: dict[Origin, int] = {origin: at for origin, at in (seen or {}).items() if origin in self._delays}
        self._behind: dict[Origin, int] = dict.fromkeys(announced, NEVER)
        for origin, delay in self._delays.items():
            self._behind[origin] = self._less_delay(origin, delay)
        self._unfinished = set(self._behind)

    def observe(self, origin: Origin, max_event_time: int | None, *, caught_up: bool, finished: bool) -> None:
        """Take in the progress that a batch carries."""
        if max_event_time is not None:
            self.seen[origin] = max(max_event_time, self.seen.get(origin, NEVER))
        self._mark(origin, self._less_delay(origin, self._delays[origin]), caught_up=caught_up, finished=finished)

    def announce(self, origin: Origin, watermark: int, *, caught_up: bool, finished: bool) -> None:
        """Take in a watermark that the origin states itself."""
        self._mark(origin, watermark, caught_up=caught_up, finished=finished)

    @property
    def value(self) -> int:
        """Nothing at or before this time, microseconds, is still to come; past all times when all is read."""
        return min(self._behind.values(), default=FOREVER - 1)

    @property
    def caught_up(self) -> bool:
        """Every origin is read to its end."""
        return not self._behind

    @property
    def finished(self) -> bool:
        """Every origin has ended for this run."""
        return not self._unfinished

    @property
    def latest(self) -> int:
        """The highest event time of any origin."""
        return max(self.seen.values(), default=NEVER)

    @property
    def clock(self) -> int:
        """The event time by which old state may go: the watermark, and the newest row when all is read."""
        return min(self.value, self.latest)

    def _less_delay(self, origin: Origin, delay: int) -> int:
        # one microsecond less: a row exactly `delay` behind the newest may still come
        return self.seen[origin] - delay - 1 if origin in self.seen else NEVER

    def _mark(self, origin: Origin, watermark: int, *, caught_up: bool, finished: bool) -> None:
        if caught_up or finished:
            self._behind.pop(origin, None)
        else:
            self._behind[origin] = watermark
        if finished:
            self._unfinished.discard(origin)
