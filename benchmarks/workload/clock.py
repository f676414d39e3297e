"""Event time of a run: microseconds from its start, and the point where the live part is anchored."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from benchmarks.workload.spec import WorkloadSpec

SECOND = 1_000_000
LOAD_BEGINS_US = -900 * SECOND
CUSTOMERS_BEGIN_US = -800 * SECOND
CUSTOMERS_END_US = -120 * SECOND
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def epoch_us(at: datetime) -> int:
    """Microseconds since 1970, exactly."""
    span = at - _EPOCH
    return (span.days * 86_400 + span.seconds) * SECOND + span.microseconds


def rfc3339(at_us: int, digits: int = 3) -> str:
    """Microseconds since 1970 as RFC 3339 in UTC, with 3 or 6 digits of the second."""
    days, rest = divmod(at_us, 86_400 * SECOND)
    seconds, micros = divmod(rest, SECOND)
    minutes, second = divmod(seconds, 60)
    return f"{_day(days)}T{minutes // 60:02d}:{minutes % 60:02d}:{second:02d}.{f'{micros:06d}'[:digits]}Z"


@lru_cache(maxsize=10_000)
def _day(days: int) -> str:
    return (_EPOCH + timedelta(days=days)).date().isoformat()


class Clock:
    """Turns times of the run into times since 1970.

    History is anchored at `spec.start`. The live part may be anchored anew, so that its first event happens when it is
    produced; until then it follows the history without a gap. Both begin, and the history ends, at a whole second, for
    some formats tell no more.
    """

    def __init__(self, spec: WorkloadSpec) -> None:
        self.start_us = epoch_us(spec.start) // SECOND * SECOND
        self.history_us = max(round(spec.duration.total_seconds()), 1) * SECOND
        self.end_us = self.history_us + round(spec.live_seconds * SECOND)
        self._live_shift_us = 0

    def anchor_live(self, at: datetime) -> None:
        """Let the live part begin at the first whole second from `at`."""
        self._live_shift_us = -(-epoch_us(at) // SECOND) * SECOND - self.start_us - self.history_us

    def at(self, run_us: int) -> int:
        """Microseconds since 1970 of a time of the run."""
        return self.start_us + run_us + (self._live_shift_us if run_us >= self.history_us else 0)

    def column(self, run_us: NDArray[np.int64]) -> NDArray[np.int64]:
        """`at` for a column."""
        shift = np.where(run_us >= self.history_us, self._live_shift_us, 0)
        return np.asarray(run_us + self.start_us + shift, np.int64)

    def iso(self, run_us: int, digits: int = 3) -> str:
        """`rfc3339` of a time of the run."""
        return rfc3339(self.at(run_us), digits)
