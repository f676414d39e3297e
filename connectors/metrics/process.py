"""What each worker process measures about itself, in files that outlive it.

prometheus_client's multiprocess mode: every process writes its values to memory-mapped files, and the server adds them
up. A process that is killed leaves its files behind, so nothing it counted is lost. Counts that must be exact across
crashes are not here but in `counters`: a replay would measure a second time.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path

from prometheus_client import CollectorRegistry, Counter, Gauge

from connectors.metrics.catalog import PREFIX
from connectors.metrics.histogram import DURATION_BUCKETS, NOTIFY_BUCKETS, ColumnHistogram

VARIABLE = "PROMETHEUS_MULTIPROC_DIR"
PROCESSES = "processes"


def prepare_metrics(directory: Path) -> dict[str, str]:
    """Begin a run: forget what the processes of an earlier one measured.

    Call it in the supervisor before the first worker starts, not when one is started again.

    Args:
        directory: The metrics directory; made when missing.

    Returns:
        What must be in the environment a worker is started with.
    """
    processes = directory / PROCESSES
    processes.mkdir(parents=True, exist_ok=True)
    for file in processes.glob("*.db"):
        file.unlink()
    return {VARIABLE: str(processes.resolve())}


@dataclass(frozen=True, slots=True)
class ProcessMetrics:
    """The measurements of this process.

    Attributes:
        batch_seconds: Time a step took for a batch. Label step.
        epoch_close_seconds: How long the close of an epoch held up the flow.
        lag_records: Records of a partition not read yet. Labels topic, partition.
        watermark_timestamp_seconds: Event time reached, Unix seconds. Labels topic, partition.
        time_to_notify_seconds: From the arrival of what triggered it to the commit of the notification. Label channel.
        state_bytes: Size of the state of a shard. Labels step, shard.
        snapshot_seconds: Time a step took for a snapshot. Label step.
        snapshot_bytes: Bytes that snapshots of a step have written. Label step.
        transactions: Transactions committed. Label sink.
        transaction_seconds: Time of a transaction, begin to commit. Label sink.
    """

    batch_seconds: ColumnHistogram
    epoch_close_seconds: ColumnHistogram
    lag_records: Gauge
    watermark_timestamp_seconds: Gauge
    time_to_notify_seconds: ColumnHistogram
    state_bytes: Gauge
    snapshot_seconds: ColumnHistogram
    snapshot_bytes: Counter
    transactions: Counter
    transaction_seconds: ColumnHistogram


@cache
def process_metrics() -> ProcessMetrics:
    """The metrics of this process, made at the first call.

    Values go to files when the environment of `prepare_metrics` was there at the start of the process
    (prometheus_client looks at its import), and stay in memory otherwise.
    """
    registry = CollectorRegistry()

    def seconds(name: str, text: str, *labels: str, buckets: tuple[float, ...] = DURATION_BUCKETS) -> ColumnHistogram:
        return ColumnHistogram(PREFIX + name, text, labels, registry=registry, buckets=buckets)

    def gauge(name: str, text: str, *labels: str) -> Gauge:
        # A partition may move to another process at a restart: the last value written is the true one.
        return Gauge(PREFIX + name, text, labels, registry=registry, multiprocess_mode="mostrecent")

    def counter(name: str, text: str, *labels: str) -> Counter:
        return Counter(PREFIX + name, text, labels, registry=registry)

    return ProcessMetrics(
        batch_seconds=seconds("batch_seconds", "Time a step took for a batch.", "step"),
        epoch_close_seconds=seconds("epoch_close_seconds", "How long the close of an epoch held up the flow."),
        lag_records=gauge("lag_records", "Records of a partition not read yet.", "topic", "partition"),
        watermark_timestamp_seconds=gauge(
            "watermark_timestamp_seconds", "Event time reached, Unix seconds.", "topic", "partition"
        ),
        time_to_notify_seconds=seconds(
            "time_to_notify_seconds",
            "From the arrival of what triggered a notification to its commit.",
            "channel",
            buckets=NOTIFY_BUCKETS,
        ),
        state_bytes=gauge("state_bytes", "Size of the state of a shard.", "step", "shard"),
        snapshot_seconds=seconds("snapshot_seconds", "Time a step took for a snapshot.", "step"),
        snapshot_bytes=counter("snapshot_bytes", "Bytes that snapshots have written.", "step"),
        transactions=counter("transactions", "Kafka transactions committed.", "sink"),
        transaction_seconds=seconds("transaction_seconds", "Time of a Kafka transaction, begin to commit.", "sink"),
    )
