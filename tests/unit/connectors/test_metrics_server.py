from __future__ import annotations

import math
import os
import random
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from prometheus_client import CollectorRegistry, Histogram
from prometheus_client.parser import text_string_to_metric_families

from connectors.metrics import CounterRows, MetricsServer, MetricsSink, prepare_metrics, snapshot_metrics
from connectors.metrics.histogram import NOTIFY_BUCKETS, ColumnHistogram, quantile
from privacy import AuditLog, Keyring, Tokenizer
from schemas.errors import TerminalError
from tests.unit.connectors.tables_kit import rows, sink

WORKER = """
import sys
import numpy as np
from connectors.metrics import process_metrics
metrics = process_metrics()
for _ in range(int(sys.argv[1])):
    metrics.transactions.labels("notifications").inc()
metrics.time_to_notify_seconds.labels("sms").observe_column(np.array([0.1, 0.2, 4.0]))
metrics.lag_records.labels("usage.events", "0").set(int(sys.argv[1]))
print("done", flush=True)
sys.stdin.read()
"""


def work(directory: Path, amount: int, environment: dict[str, str]) -> subprocess.Popen[str]:
    child = subprocess.Popen(
        [sys.executable, "-c", WORKER, str(amount)],
        env=os.environ | environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert child.stdout is not None
    assert child.stdout.readline() == "done\n"
    return child


def scrape(address: str) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    with urllib.request.urlopen(f"http://{address}/metrics", timeout=30) as answer:
        families = list(text_string_to_metric_families(answer.read().decode()))
    assert all(family.documentation for family in families)
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in families
        for sample in family.samples
    }


def test_scrape_adds_up_all_processes_when_one_was_killed(tmp_path: Path) -> None:
    environment = prepare_metrics(tmp_path)
    first = work(tmp_path, 3, environment)
    second = work(tmp_path, 4, environment)
    with MetricsServer("127.0.0.1:0", tmp_path) as server:
        first.send_signal(signal.SIGKILL)
        first.wait()
        third = work(tmp_path, 5, environment)
        seen = scrape(server.address)
        for child in (second, third):
            child.communicate(timeout=30)
        assert scrape(server.address) == seen
    assert seen["signalbox_transactions_total", (("sink", "notifications"),)] == 12
    assert seen["signalbox_time_to_notify_seconds_count", (("channel", "sms"),)] == 9
    assert seen["signalbox_lag_records", (("partition", "0"), ("topic", "usage.events"))] == 5

    numbers = snapshot_metrics(tmp_path)
    assert numbers["transactions_total"] == numbers['transactions_total{sink="notifications"}'] == 12
    assert numbers["time_to_notify_seconds_sum"] == pytest.approx(12.9)
    assert 0.15 < numbers["time_to_notify_seconds_p50"] <= 0.2
    assert 3.0 < numbers["time_to_notify_seconds_p99"] <= 5.0
    assert numbers['lag_records{partition="0",topic="usage.events"}'] == 5

    prepare_metrics(tmp_path)
    assert snapshot_metrics(tmp_path) == {}


def test_scrape_shows_counters_and_tables_when_a_flow_has_ended(tmp_path: Path) -> None:
    directory = tmp_path / "metrics"
    tables, metrics = sink(tmp_path), MetricsSink(directory)
    visits, counters = tables.build_part("out", "0", None), metrics.build_part("count", "0", None)
    visits.write_batch([rows(1, 2)])
    counters.write_batch([CounterRows("records_rejected", {"topic": "t", "reason": "gap"}, 7), CounterRows("merges")])
    counters.write_batch([CounterRows("records_rejected", {"topic": "t", "reason": "too_large"}, 1)])
    visits.snapshot()
    counters.snapshot()
    visits.close()
    tables.finalize()
    metrics.finalize()
    with MetricsServer("127.0.0.1:0", directory, tmp_path) as server:
        seen = scrape(server.address)
    assert seen["signalbox_records_rejected_total", (("reason", "gap"), ("topic", "t"))] == 7
    assert seen["signalbox_merges_total", ()] == 1
    assert seen["signalbox_table_rows", (("table", "visits"),)] == 2
    assert seen["signalbox_table_files", (("table", "visits"),)] == 1
    assert 0 <= seen["signalbox_table_freshness_seconds", (("table", "visits"),)] < 60
    assert snapshot_metrics(directory)["records_rejected_total"] == 8
    assert snapshot_metrics(directory, tmp_path)['table_rows{table="visits"}'] == 2


def test_scrape_shows_who_saw_personal_data_when_the_audit_log_grows(tmp_path: Path) -> None:
    keyring = Keyring.create(tmp_path / "keyring.json")
    audit = AuditLog(tmp_path / "audit", keyring)
    token = Tokenizer(keyring).tokens(pl.Series(["ada@example.com"]), "email")[0]
    revealed = {"event": "reveal", "role": "care", "outcome": "revealed", "token": token}
    with MetricsServer("127.0.0.1:0", tmp_path / "metrics", None, tmp_path / "audit") as server:
        assert scrape(server.address)["signalbox_customers_forgotten_total", ()] == 0
        for expected in (1, 2):
            audit.append([revealed, {"event": "forget", "outcome": "forgotten"}, {"event": "unseal"}])
            seen = scrape(server.address)
            labels = (("outcome", "revealed"), ("pii_class", "email"), ("role", "care"))
            assert seen["signalbox_pii_reveals_total", labels] == expected
            assert seen["signalbox_customers_forgotten_total", ()] == expected
            assert seen["signalbox_dead_letters_unsealed_total", ()] == expected


def test_server_says_what_to_do_when_it_cannot_listen(tmp_path: Path) -> None:
    with MetricsServer("127.0.0.1:0", tmp_path) as server:
        assert server.address.startswith("127.0.0.1:")
        with pytest.raises(
            TerminalError, match=rf"^cannot serve metrics on {server.address} \(Address already in use\)"
        ):
            MetricsServer(server.address, tmp_path)
    for address in ("9464", "localhost:", "localhost:http", "localhost:65536", ":9464"):
        with pytest.raises(TerminalError, match=f"^expected an address like 127.0.0.1:9464, came '{address}'"):
            MetricsServer(address, tmp_path)


def test_a_column_counts_like_its_values_when_observed_at_once() -> None:
    seed = random.SystemRandom().randrange(2**32)
    print(f"seed {seed}")  # noqa: T201 - shown when the test fails
    values = np.concatenate([np.random.default_rng(seed).lognormal(0, 3, 500), NOTIFY_BUCKETS, [0.0, 1e9]])
    one, all_at_once = CollectorRegistry(), CollectorRegistry()
    single = Histogram("t", "t", registry=one, buckets=NOTIFY_BUCKETS)
    column = ColumnHistogram("t", "t", registry=all_at_once, buckets=NOTIFY_BUCKETS)
    for value in values:
        single.observe(value)
    column.observe_column(values)
    column.observe_column(values[:0])
    for expected, came in zip(one.collect(), all_at_once.collect(), strict=True):
        for left, right in zip(expected.samples, came.samples, strict=True):
            if not left.name.endswith("_created"):
                assert (left.name, left.labels) == (right.name, right.labels)
                assert right.value == pytest.approx(left.value)


def test_quantile_is_interpolated_when_observations_spread_over_buckets() -> None:
    buckets = {1.0: 50.0, 2.0: 90.0, 4.0: 100.0, math.inf: 100.0}
    assert quantile(buckets, 0.5) == 1.0
    assert quantile(buckets, 0.25) == 0.5
    assert quantile(buckets, 0.95) == pytest.approx(3.0)
    assert quantile({1.0: 0.0, math.inf: 3.0}, 0.5) == 1.0
    assert math.isnan(quantile({1.0: 0.0, math.inf: 0.0}, 0.5))
    assert math.isnan(quantile({}, 0.5))
