"""Everything the metrics server shows, gathered anew at each scrape."""

from __future__ import annotations

import struct
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector

from connectors.metrics.catalog import PREFIX, documentation
from connectors.metrics.counters import read_counters
from connectors.metrics.process import PROCESSES
from connectors.tables.read import TableStatus, table_status
from privacy import AuditCounts

_READ_ATTEMPTS = 5


def build_registry(directory: Path, data_dir: Path | None = None, audit: Path | None = None) -> CollectorRegistry:
    """A registry that shows the metrics directory, the tables and who saw personal data.

    Args:
        directory: The metrics directory; made when missing.
        data_dir: The data directory whose tables are shown; None shows none.
        audit: The directory of the audit log; None shows none.
    """
    (directory / PROCESSES).mkdir(parents=True, exist_ok=True)
    registry = CollectorRegistry()
    registry.register(ProcessesCollector(directory / PROCESSES))
    registry.register(CountersCollector(directory))
    if data_dir is not None:
        registry.register(TablesCollector(data_dir))
    if audit is not None:
        registry.register(AuditCollector(audit))
    return registry


class ProcessesCollector(Collector):
    """What all processes of this run have measured, the dead ones too."""

    def __init__(self, processes: Path) -> None:
        self._collector = MultiProcessCollector(None, str(processes))  # type: ignore[no-untyped-call]

    def collect(self) -> Iterable[Metric]:
        """Add up the files; a process may be making its file right now, so a torn one is read again."""
        for _ in range(_READ_ATTEMPTS - 1):
            try:
                return list(self._collector.collect())  # type: ignore[no-untyped-call]
            except (struct.error, RuntimeError):
                time.sleep(0.001)
        return list(self._collector.collect())  # type: ignore[no-untyped-call]


class CountersCollector(Collector):
    """The exact counters of the last durable epoch."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def collect(self) -> Iterator[Metric]:
        """One family per counter."""
        families: dict[str, CounterMetricFamily] = {}
        for (name, labels), total in read_counters(self._directory).items():
            if name not in families:
                label_names = [label for label, _ in labels]
                families[name] = CounterMetricFamily(PREFIX + name, documentation(name), labels=label_names)
            families[name].add_metric([value for _, value in labels], total)
        yield from families.values()


class AuditCollector(Collector):
    """What the audit log says of who saw personal data."""

    def __init__(self, audit: Path) -> None:
        self._counts = AuditCounts(audit)

    def collect(self) -> Iterator[Metric]:
        """Three counters, without samples where there were no reveals."""
        self._counts.look()
        reveals = CounterMetricFamily(
            PREFIX + "pii_reveals", "Tokens that somebody asked to open.", labels=["role", "pii_class", "outcome"]
        )
        for labels, total in sorted(self._counts.reveals.items()):
            reveals.add_metric(labels, total)
        yield reveals
        yield CounterMetricFamily(
            PREFIX + "dead_letters_unsealed", "Dead letters whose original was shown.", value=self._counts.unsealed
        )
        yield CounterMetricFamily(
            PREFIX + "customers_forgotten", "Times that a customer was forgotten.", value=self._counts.forgotten
        )


class TablesCollector(Collector):
    """Size and freshness of the tables, from the visible manifests."""

    def __init__(self, data_dir: Path) -> None:
        self._data_dir = data_dir

    def collect(self) -> Iterator[Metric]:
        """One gauge per property, one sample per table."""
        tables: dict[str, list[TableStatus]] = defaultdict(list)
        for status in table_status(self._data_dir):
            tables[status.table].append(status)
        now = time.time()
        rows = _table_gauge("rows", "Visible rows, all revisions.")
        files = _table_gauge("files", "Parquet files a table consists of.")
        size = _table_gauge("bytes", "Size of these files.")
        freshness = _table_gauge("freshness_seconds", "Readers see all that the flow had written this long ago.")
        for name, parts in sorted(tables.items()):
            rows.add_metric([name], sum(part.rows for part in parts))
            files.add_metric([name], sum(part.files for part in parts))
            size.add_metric([name], sum(part.bytes for part in parts))
            freshness.add_metric([name], max(0.0, now - min(part.complete_at for part in parts)))
        yield from (rows, files, size, freshness)


def _table_gauge(name: str, text: str) -> GaugeMetricFamily:
    return GaugeMetricFamily(f"{PREFIX}table_{name}", text, labels=["table"])
