"""The line about a running flow."""

from __future__ import annotations

import structlog

from connectors.metrics import CounterRows, MetricsSink
from connectors.tables import Tick
from flows.status import Figures, StatusLine


def count(directory, name: str, amount: int, **labels: str) -> None:
    """Add to what an earlier run had counted and show it, as a flow does."""
    sink = MetricsSink(directory)
    part = sink.build_part("write_metrics", "0", None)
    part.write_batch([CounterRows(name, labels, amount)])
    part.snapshot()
    part.write_batch([Tick()])


def test_figures_are_taken_from_the_metrics():
    metrics = {
        "records_consumed_total": 1500.0,
        'records_consumed_total{topic="usage.events"}': 1500.0,
        "notifications_published_total": 7.0,
        'lag_records{partition="0",topic="usage.events"}': 3.0,
        'lag_records{partition="1",topic="usage.events"}': 4.0,
        "records_rejected_total": 2.0,
    }
    figures = Figures.of(metrics, before=500, seconds=2.0)
    assert str(figures) == "1,500 records in (500/s), 7 notifications, lag 7, 2 dead letters"


def test_figures_are_zero_when_nothing_was_measured_yet():
    assert Figures.of({}, before=0, seconds=0.0) == Figures(0, 0, 0, 0, 0)


def test_lines_are_logged_at_intervals_when_there_is_no_terminal(tmp_path):
    now = [100.0]
    count(tmp_path, "records_consumed", 50, topic="usage.events")
    with structlog.testing.capture_logs() as logs, StatusLine(tmp_path, clock=lambda: now[0], terminal=False) as line:
        line.tick()
        count(tmp_path, "records_consumed", 250, topic="usage.events")
        for now[0] in (101.0, 105.0, 110.0, 115.0):
            line.tick()
    assert [(entry["event"], entry["status"]) for entry in logs] == [
        ("running", "250 records in (20/s), 0 notifications, lag 0, 0 dead letters"),
        ("ended", "250 records in (13/s), 0 notifications, lag 0, 0 dead letters"),
    ]


def test_nothing_is_told_when_the_flow_never_began(tmp_path):
    with structlog.testing.capture_logs() as logs, StatusLine(tmp_path, terminal=False):
        pass
    assert logs == []
