"""When records reach Kafka: bounded disorder, late ones, and ones sent twice."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from benchmarks.workload.clock import SECOND, Clock
from benchmarks.workload.randomness import columns
from benchmarks.workload.spec import WorkloadSpec


class Arrivals:
    """Delays of one stream.

    Most records arrive within a few seconds, a few take the whole of `disorder_seconds`; so within a partition no
    record is more than that behind the highest event time before it, unless it is late.
    """

    def __init__(self, spec: WorkloadSpec, stream: str, clock: Clock) -> None:
        self._rng = columns(spec.seed, f"arrivals/{stream}")
        self._history_us, self._end_us = clock.history_us, clock.end_us
        self._disorder_us = round(spec.disorder_seconds * SECOND)
        self._live_disorder_us = round(spec.live_disorder_seconds * SECOND)
        self._late_share = spec.late_share if stream in spec.late_streams else 0.0
        self._late_us = round(spec.late_seconds * SECOND)
        self._duplicate_share = spec.duplicate_share

    def first(self, times_us: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """Arrival times, and which of them are late.

        A record is late only when the history still goes on as it arrives, for what comes last is not late for anybody.
        """
        bound = self._bound(times_us)
        delay = np.minimum(self._rng.exponential(bound / 8.0 + 1.0), bound).astype(np.int64)
        late = np.zeros(len(times_us), np.bool_)
        if self._late_share:
            late = self._rng.random(len(times_us)) < self._late_share
            late &= (times_us >= 0) & (times_us + self._late_us < self._history_us)
            delay[late] += self._late_us
        return times_us + delay, late

    def second(
        self, times_us: NDArray[np.int64], arrivals_us: NDArray[np.int64], late: NDArray[np.bool_]
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Positions of the records that are sent again, and when they arrive again (still within the disorder)."""
        if not self._duplicate_share:
            return np.empty(0, np.int64), np.empty(0, np.int64)
        again = np.flatnonzero((self._rng.random(len(times_us)) < self._duplicate_share) & ~late)
        room = np.maximum(times_us[again] + self._bound(times_us[again]) - arrivals_us[again], 0)
        return again, arrivals_us[again] + (room * self._rng.random(len(again))).astype(np.int64)

    def _bound(self, times_us: NDArray[np.int64]) -> NDArray[np.int64]:
        return np.where(times_us < self._history_us, self._disorder_us, self._live_disorder_us)
