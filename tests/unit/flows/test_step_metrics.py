from __future__ import annotations

import pickle
from datetime import datetime
from typing import Any
from uuid import uuid4

import polars as pl

from connectors.metrics import process_metrics
from flows.batch import Batch, Origin
from flows.step_metrics import MeasuredStep, StateMetrics


class Echo:
    """A step whose state is what it was given."""

    def __init__(self, size: tuple[str, int] | None) -> None:
        self.size = size
        self.taken: list[Any] = []
        self.asked = 0

    def on_batch(self, values: list[Any]) -> tuple[list[Any], bool]:
        self.taken += values
        return list(values), False

    def on_notify(self) -> tuple[list[Any], bool]:
        return ["notified"], False

    def notify_at(self) -> datetime | None:
        return None

    def snapshot(self) -> Any:
        return {"state": 1}

    def state_size(self) -> tuple[str, int] | None:
        self.asked += 1
        return self.size


def samples(step: str) -> dict[str, float]:
    """What this process shows of a step, by metric and shard."""
    metrics = process_metrics()
    families = (metrics.batch_seconds, metrics.state_bytes, metrics.snapshot_seconds, metrics.snapshot_bytes)
    return {
        "/".join([sample.name.removeprefix("signalbox_"), *filter(None, [sample.labels.get("shard")])]): sample.value
        for metric in families
        for family in metric.collect()
        for sample in family.samples
        if sample.labels.get("step") == step and "le" not in sample.labels
    }


def test_a_step_is_measured_and_its_answers_pass_through_when_it_is_called():
    step = uuid4().hex
    measured = MeasuredStep(Echo(("3", 77)), StateMetrics(step), clock=lambda: 0.0)
    assert measured.on_batch([1, 2]) == ([1, 2], False)
    assert measured.on_notify() == (["notified"], False)
    assert measured.notify_at() is None
    assert measured.snapshot() == {"state": 1}
    found = samples(step)
    assert found["batch_seconds_count"] == 2
    assert found["snapshot_seconds_count"] == 1
    assert found["snapshot_bytes_total"] == len(pickle.dumps({"state": 1}))
    assert found["state_bytes/3"] == 77


def test_sizes_are_found_out_every_ten_seconds_when_snapshots_come_more_often():
    step, now = uuid4().hex, [0.0]
    echo = Echo(("3", 77))
    measured = MeasuredStep(echo, StateMetrics(step), clock=lambda: now[0])
    for second in range(21):
        now[0] = second
        measured.snapshot()
    assert echo.asked == 3
    assert samples(step)["snapshot_bytes_total"] == 21 * len(pickle.dumps({"state": 1}))


def test_the_size_is_asked_for_again_when_there_was_none_yet():
    step = uuid4().hex
    echo = Echo(None)
    measured = MeasuredStep(echo, StateMetrics(step), clock=lambda: 0.0)
    measured.snapshot()
    assert not any(name.startswith("state_bytes") for name in samples(step))
    echo.size = ("0", 5)
    measured.snapshot()
    assert samples(step)["state_bytes/0"] == 5


def test_the_event_time_reached_never_goes_back_when_a_batch_is_older():
    origin = Origin(uuid4().hex, 2)
    measured = MeasuredStep(Echo(None), StateMetrics(uuid4().hex))
    for event_time in (5_000_000, 3_000_000, None):
        measured.on_batch([Batch(origin, "usage_event", pl.DataFrame(), event_time, False, False)])
    reached = process_metrics().watermark_timestamp_seconds.labels(*origin)
    assert [sample.value for family in reached.collect() for sample in family.samples] == [5.0]
