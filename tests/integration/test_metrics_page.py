"""The metrics page of a run, scraped while the flow works."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

from benchmarks.workload import PARTITIONS, Workload, WorkloadSpec, produce
from connectors.broker import EmbeddedBroker, free_port
from connectors.kafka import KafkaConfig, create_topics
from connectors.topics import load_topics
from flows.topic_plan import planned_partitions
from privacy import AuditLog, Keyring
from tests.contract.kafka_kit import wait_until

FLOW = "fault-notifications"
PATIENCE_SECONDS = 90.0
STATEFUL = {"track_incidents", "match_faults"}
PLAN = planned_partitions(load_topics(), 4, 4)
SPEC = WorkloadSpec(faults=4, poison_share=0.001, partitions={topic: PLAN[topic] for topic in PARTITIONS})
_RUN = "import sys; from flows.cli import main; sys.exit(main())"


class Page:
    """The samples of one scrape; none while nobody serves them."""

    def __init__(self, address: str) -> None:
        self._samples: list[Sample] = []
        try:
            with urllib.request.urlopen(f"http://{address}/metrics") as answer:
                text = answer.read().decode()
        except OSError:
            return
        self._samples = [sample for family in text_string_to_metric_families(text) for sample in family.samples]

    def of(self, name: str, *labels: str) -> dict[str, float]:
        """Values by label values, with `/` between."""
        return {
            "/".join(sample.labels[label] for label in labels): sample.value
            for sample in self._samples
            if sample.name == f"signalbox_{name}"
        }

    def total(self, name: str) -> float:
        return sum(sample.value for sample in self._samples if sample.name == f"signalbox_{name}")


@pytest.fixture
def environment(tmp_path: Path) -> Iterator[dict[str, str]]:
    with EmbeddedBroker() as broker:
        create_topics(KafkaConfig(broker.brokers), PLAN)
        Keyring.create(tmp_path / "data" / "keyring.json")
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("SIGNALBOX_")}
        yield inherited | {
            "SIGNALBOX_BROKERS": broker.brokers,
            "SIGNALBOX_DATA_DIR": str(tmp_path / "data"),
            "SIGNALBOX_METRICS_ADDRESS": f"127.0.0.1:{free_port()}",
        }


def send(environment: dict[str, str]) -> int:
    """Put a telco's two hours into Kafka; returns the number of records."""
    return produce(Workload(SPEC), environment["SIGNALBOX_BROKERS"]).total


def start(environment: dict[str, str], *options: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", _RUN, "run", FLOW, *options]
    return subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True)


def test_every_metric_is_on_the_page_when_a_flow_has_worked(environment):
    records = send(environment)
    running = start(environment)
    address = environment["SIGNALBOX_METRICS_ADDRESS"]
    try:
        wait_until(
            lambda: Page(address).total("records_consumed_total") == records,
            "reading everything",
            PATIENCE_SECONDS,
        )
        wait_until(lambda: Page(address).total("lag_records") == 0, "a lag of nothing", PATIENCE_SECONDS)
        wait_until(lambda: set(Page(address).of("state_bytes", "step")) == STATEFUL, "a sample of the state", 30.0)
        data_dir = Path(environment["SIGNALBOX_DATA_DIR"])
        AuditLog(data_dir / "audit", Keyring.load(data_dir / "keyring.json")).append([{"event": "unseal"}])
        told = sum(Page(address).of("notifications_published_total", "channel", "phase").values())
        wait_until(lambda: Page(address).total("time_to_notify_seconds_count") == told, "the last commit's measure")
        page = Page(address)
    finally:
        running.terminate()
        _, err = running.communicate(timeout=PATIENCE_SECONDS)
    assert running.returncode == 0, err

    lag = page.of("lag_records", "topic", "partition")
    assert {place.split("/")[0] for place in lag} == {topic.topic for topic in load_topics() if is_read(topic.stream)}
    reached = page.of("watermark_timestamp_seconds", "topic", "partition")
    assert reached
    hour = timedelta(hours=1)  # the telco is announced before the start
    first, last = (SPEC.start - hour).timestamp(), (SPEC.start + SPEC.duration + hour).timestamp()
    assert {place: at for place, at in reached.items() if not first <= at <= last} == {}

    batches = page.of("batch_seconds_count", "step")
    assert set(batches) == {"decode", "tokenize", *STATEFUL}
    for step, count in batches.items():
        assert count > 0
        assert 0 < page.of("batch_seconds_sum", "step")[step] < 60 * count
    assert page.total("epoch_close_seconds_count") > 0
    assert page.total("epoch_close_seconds_sum") > 0

    assert min(page.of("state_bytes", "step", "shard").values()) > 0
    assert set(page.of("state_bytes", "shard")) <= {"network", *map(str, range(64))}
    for name in ("snapshot_seconds_count", "snapshot_seconds_sum", "snapshot_bytes_total"):
        found = page.of(name, "step")
        assert set(found) == STATEFUL
        assert min(found.values()) > 0, name

    for name in ("transactions_total", "transaction_seconds_count", "transaction_seconds_sum"):
        assert page.of(name, "sink").keys() == {"notifications", "rejects"}
        assert page.of(name, "sink")["notifications"] > 0
    assert page.of("transactions_total", "sink") == page.of("transaction_seconds_count", "sink")
    assert told > 0

    tables = {"incidents", "affected_customers", "notifications", "stale_profiles"}
    assert set(page.of("table_freshness_seconds", "table")) == tables
    assert page.of("table_rows", "table")["notifications"] == told
    assert page.total("tokens_made_total") > 0
    assert page.total("dead_letters_unsealed_total") == 1
    assert sum(page.of("records_rejected_total", "topic", "reason").values()) > 0


def is_read(stream: str) -> bool:
    return stream in ("network_fault", "network_topology", "crm_change", "usage_event")


def test_the_page_shows_progress_when_a_flow_runs_until_it_has_caught_up(environment):
    records = send(environment)
    running = start(environment, "--until-caught-up", "--epoch-milliseconds", "50")
    seen: list[float] = []
    try:
        while running.poll() is None:
            seen.append(Page(environment["SIGNALBOX_METRICS_ADDRESS"]).total("records_consumed_total"))
            with contextlib.suppress(subprocess.TimeoutExpired):
                running.wait(0.02)
    finally:
        running.kill()
        _, err = running.communicate()
    assert running.returncode == 0, err
    assert f"{records:,} records in" in err.splitlines()[-1]
    shown = [count for count in seen if count > 0]  # before and after the run nobody serves the page
    assert shown
    assert shown == sorted(shown)
    assert shown[-1] <= records
