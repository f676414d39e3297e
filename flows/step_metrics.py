"""What the steps of a flow measure of themselves: time, event time reached, state and snapshots.

Operators have no clock and know no metrics; the flow puts these around them.
"""

from __future__ import annotations

import pickle
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from functools import cache
from typing import Any, Protocol

from bytewax.operators import StatefulBatchLogic

from connectors.metrics import process_metrics
from flows.batch import Batch, Origin

_MICROSECONDS = 1_000_000
_SAMPLE_SECONDS = 10.0


class StepMetrics:
    """The measurements of one step, all its calls in this process together.

    Args:
        step: The step's name.
    """

    def __init__(self, step: str) -> None:
        self._batch_seconds = process_metrics().batch_seconds.labels(step)

    @contextmanager
    def batch(self) -> Iterator[None]:
        """Measure how long the work on a batch takes."""
        began = time.perf_counter()
        yield
        self._batch_seconds.observe(time.perf_counter() - began)


class StateMetrics(StepMetrics):
    """The measurements of one stateful step, all its shards in this process together.

    Args:
        step: The step's name.
    """

    def __init__(self, step: str) -> None:
        super().__init__(step)
        metrics = process_metrics()
        self._step, self._state_bytes = step, metrics.state_bytes
        self.snapshot_seconds = metrics.snapshot_seconds.labels(step)
        self.snapshot_bytes = metrics.snapshot_bytes.labels(step)

    def wrote(self, amount: int) -> None:
        """Count the bytes of a state segment; from any thread."""
        self.snapshot_bytes.inc(amount)

    def holds(self, shard: str, amount: int) -> None:
        """Show the bytes that a shard's state takes."""
        self._state_bytes.labels(self._step, shard).set(amount)


class Step(Protocol):
    """A stateful step that can tell how large its state is."""

    def on_batch(self, values: list[Any]) -> tuple[list[Any], bool]: ...  # noqa: D102
    def on_notify(self) -> tuple[list[Any], bool]: ...  # noqa: D102
    def notify_at(self) -> datetime | None: ...  # noqa: D102
    def snapshot(self) -> Any: ...  # noqa: D102

    def state_size(self) -> tuple[str, int] | None:
        """The shard's name and the bytes its state takes; None if there is nothing to tell yet."""
        ...


class MeasuredStep(StatefulBatchLogic[Any, Any, Any]):
    """Measures a step around each call.

    How large snapshots and state are costs milliseconds to find out, so it is found out every ten seconds.
    """

    def __init__(self, step: Step, metrics: StateMetrics, clock: Callable[[], float] = time.monotonic) -> None:
        self._step = step
        self._metrics = metrics
        self._clock = clock
        self._reached = event_times_reached()
        self._sample_due = 0.0
        self._snapshot_bytes = 0

    def on_batch(self, values: list[Any]) -> tuple[list[Any], bool]:  # noqa: D102
        with self._metrics.batch():
            done = self._step.on_batch(values)
        for value in values:
            if isinstance(value, Batch) and value.max_event_time is not None:
                self._reached.note(value.origin, value.max_event_time)
        return done

    def on_notify(self) -> tuple[list[Any], bool]:  # noqa: D102
        with self._metrics.batch():
            return self._step.on_notify()

    def notify_at(self) -> datetime | None:  # noqa: D102
        return self._step.notify_at()

    def snapshot(self) -> Any:  # noqa: D102
        began = time.perf_counter()
        state = self._step.snapshot()
        self._metrics.snapshot_seconds.observe(time.perf_counter() - began)
        if self._clock() >= self._sample_due:
            self._sample(state)
        self._metrics.snapshot_bytes.inc(self._snapshot_bytes)
        return state

    def _sample(self, state: Any) -> None:
        self._snapshot_bytes = len(pickle.dumps(state))
        size = self._step.state_size()
        if size is not None:
            self._metrics.holds(*size)
            self._sample_due = self._clock() + _SAMPLE_SECONDS


class EventTimesReached:
    """Shows the highest event time that has come from each origin."""

    def __init__(self) -> None:
        self._gauge = process_metrics().watermark_timestamp_seconds
        self._highest: dict[Origin, int] = {}

    def note(self, origin: Origin, event_time: int) -> None:
        """Take in an event time, microseconds. Every shard hears of every batch; the first one sets the gauge."""
        if event_time > self._highest.get(origin, -1):
            self._highest[origin] = event_time
            self._gauge.labels(*origin).set(event_time / _MICROSECONDS)


@cache
def event_times_reached() -> EventTimesReached:
    """Those of this process."""
    return EventTimesReached()


def measured(build: Callable[[Any], Step], metrics: StateMetrics) -> Callable[[Any], MeasuredStep]:
    """Measure the steps that a builder makes."""
    return lambda resume: MeasuredStep(build(resume), metrics)
