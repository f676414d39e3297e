"""Metrics: exact counters of the recovery state, measurements of each process, and the server that shows both."""

from connectors.metrics.counters import CounterRows, MetricsSink, read_counters
from connectors.metrics.process import ProcessMetrics, prepare_metrics, process_metrics
from connectors.metrics.server import MetricsServer
from connectors.metrics.snapshot import snapshot_metrics

__all__ = [
    "CounterRows",
    "MetricsSink",
    "read_counters",
    "ProcessMetrics",
    "prepare_metrics",
    "process_metrics",
    "MetricsServer",
    "snapshot_metrics",
]
