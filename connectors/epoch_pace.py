"""EpochPace: lets all sources, in all processes, end their epochs at the same moment.

Bytewax 0.21 counts an epoch for every part of every source from when that part began its last one, and lets no part
go on before all have ended the epoch. Two parts that began 400 ms apart stay 400 ms apart, and the first one stands
still for 400 ms of every epoch: measured on a flow with four sources and epochs of 500 ms, every record waited 300 ms.

So parts are told when to look again. What they share is the wall clock: an epoch ends at multiples of its length. A
part that is about to look when it could already end its epoch sleeps until that moment, which is why Bytewax gets an
interval that is shorter by `SLACK_SECONDS`: who came late catches up that much in each epoch. A part that is a whole
epoch ahead leaves one out.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable

SLACK_SECONDS = 0.01
_GUARD_SECONDS = 0.002
_SOON_SECONDS = 0.001
_TRY_SECONDS = 30.0


class EpochClock:
    """What the parts of all sources of a process know of each other. Make one for each run.

    Args:
        epoch_seconds: The length of an epoch; Bytewax's interval is that less `SLACK_SECONDS`. 0 for a flow whose
            epochs somebody else controls: then parts look when they want to.
        clock: Seconds since the Unix epoch.
    """

    def __init__(self, epoch_seconds: float = 0.0, clock: Callable[[], float] = time.time) -> None:
        self.epoch_seconds, self.now = epoch_seconds, clock
        self.latest_end = clock()
        self._try_ends = self.latest_end + _TRY_SECONDS

    def is_ahead(self, began: float) -> bool:
        """Whether a part that was kept waiting since `began` has come an epoch further than others.

        Others of this process show it. Those of other processes do not: that one waits for them looks the same as a
        slow close. So now and then all parts of a process behave as if they were ahead; were they not, it costs them
        an epoch.
        """
        now = self.now()
        if self.latest_end - began > self.epoch_seconds / 4:
            return True
        if now >= self._try_ends:
            self._try_ends = now + _TRY_SECONDS
        return now > self._try_ends - self.epoch_seconds


class EpochPace:
    """When one part of a source looks again. Make one for each part, when it is built."""

    def __init__(self, clock: EpochClock) -> None:
        self._clock, self._seconds = clock, clock.epoch_seconds
        self._began = clock.now()
        self._has_looked = True
        self._leaves_one_out = False

    def epoch_ended(self) -> None:
        """Bytewax has asked the part for its snapshot."""
        self._began = self._clock.latest_end = self._clock.now()
        self._has_looked, self._leaves_one_out = self._leaves_one_out, False

    def is_quiet(self, longer_seconds: float = 0.0) -> bool:
        """Whether the epoch is about to end or has only begun: then what is urgent should have the flow for itself.

        The time after its beginning is longer by `longer_seconds`, so that parts that can wait do not come all at once.
        """
        now, quiet = self._clock.now(), self._seconds / 8
        return self._seconds > 0 and (
            now >= self._may_end - quiet or now < self._began + quiet + min(longer_seconds, 2 * quiet)
        )

    def awake_at(self, pause_seconds: float) -> float:
        """When to look again, in seconds since the Unix epoch, for a part that has looked and wants a pause."""
        now, has_looked = self._clock.now(), self._has_looked
        self._has_looked = True
        if not self._seconds:
            return now + pause_seconds
        waited = not has_looked and now - self._began > self._seconds / 2
        if waited and self._clock.is_ahead(self._began):
            # It ends this epoch together with the others; or the next one, if this look ends this one already.
            self._leaves_one_out = now >= self._may_end
            return (math.ceil(now / self._seconds) + self._leaves_one_out) * self._seconds
        if now + pause_seconds < self._may_end - _GUARD_SECONDS:
            return now + pause_seconds
        end = max(self._may_end, round((self._began + self._seconds) / self._seconds) * self._seconds)
        # when that is past, this look ends the epoch, and the next one should come as soon as it may
        return max(end, now + _SOON_SECONDS)

    @property
    def _may_end(self) -> float:
        return self._began + self._seconds - SLACK_SECONDS
