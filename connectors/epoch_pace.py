"""EpochPace: lets all sources, in all processes, end their epochs at the same moment.

Bytewax 0.21 counts an epoch for every part of every source from when that part began its last one, and lets no part
go on before all have ended the epoch. Two parts that began 400 ms apart stay 400 ms apart, and the first one stands
still for 400 ms of every epoch: measured on a flow with four sources and epochs of 500 ms, every record waited 300 ms.

So parts are told when to look again. What they share is the wall clock: an epoch ends at multiples of its length. A
part that is about to look when it could already end its epoch sleeps until that moment, which is why Bytewax gets an
interval that is shorter by `SLACK_SECONDS`: who came late catches up that much in each epoch.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable

SLACK_SECONDS = 0.01
_GUARD_SECONDS = 0.002
_SOON_SECONDS = 0.001


class EpochPace:
    """When one part of a source looks again. Make one for each part, when it is built.

    Args:
        epoch_seconds: The length of an epoch; Bytewax's interval is that less `SLACK_SECONDS`. 0 for a flow whose
            epochs somebody else controls: then parts look when they want to.
        clock: Seconds since the Unix epoch.
    """

    def __init__(self, epoch_seconds: float, clock: Callable[[], float] = time.time) -> None:
        self._seconds, self._clock = epoch_seconds, clock
        self._began = clock()
        self._has_looked = True
        self._leaves_one_out = False

    def epoch_ended(self) -> None:
        """Bytewax has asked the part for its snapshot."""
        self._began = self._clock()
        self._has_looked, self._leaves_one_out = self._leaves_one_out, False

    @property
    def ends_now(self) -> bool:
        """Whether Bytewax ends the epoch with the look that the part takes now."""
        return self._seconds > 0 and self._clock() >= self._began + self._seconds - SLACK_SECONDS

    def awake_at(self, pause_seconds: float) -> float:
        """When to look again, in seconds since the Unix epoch, for a part that has looked and wants a pause."""
        now, has_looked = self._clock(), self._has_looked
        self._has_looked = True
        if not self._seconds:
            return now + pause_seconds
        may_end = self._began + self._seconds - SLACK_SECONDS
        if now >= may_end and not has_looked:
            # The others kept it waiting for a whole epoch, and with this look it ends another: it is one ahead. So it
            # leaves the others the next epoch, and ends the one after together with them.
            self._leaves_one_out = True
            return (math.ceil(now / self._seconds) + 1) * self._seconds
        if now + pause_seconds < may_end - _GUARD_SECONDS:
            return now + pause_seconds
        end = max(may_end, round((self._began + self._seconds) / self._seconds) * self._seconds)
        # when that is past, this look ends the epoch, and the next one should come as soon as it may
        return max(end, now + _SOON_SECONDS)
