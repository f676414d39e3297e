"""A workload arrives in Kafka as it was generated."""

import threading
import time
from datetime import UTC, datetime, timedelta

import pytest
from confluent_kafka import Consumer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from benchmarks.workload import PARTITIONS, GeneratedRecord, Workload, WorkloadSpec, produce
from connectors.broker import EmbeddedBroker
from schemas.errors import TransientError

SMALL = {"prepaid": 20, "postpaid": 20, "faults": 4, "duration": timedelta(minutes=20), "duplicate_share": 0.1}


@pytest.fixture(scope="module")
def broker():
    with EmbeddedBroker() as running:
        yield running.brokers


@pytest.fixture
def brokers(broker):
    admin = AdminClient({"bootstrap.servers": broker})
    for created in admin.create_topics([NewTopic(name, count, 1) for name, count in PARTITIONS.items()]).values():
        created.result(30)
    yield broker
    for deleted in admin.delete_topics(list(PARTITIONS)).values():
        deleted.result(30)


def consume(brokers: str, total: int) -> list[GeneratedRecord]:
    consumer = Consumer({"bootstrap.servers": brokers, "group.id": "check", "auto.offset.reset": "earliest"})
    consumer.assign([TopicPartition(name, part, 0) for name, count in PARTITIONS.items() for part in range(count)])
    found: list[GeneratedRecord] = []
    until = time.monotonic() + 30
    while len(found) < total and time.monotonic() < until:
        for message in consumer.consume(1000, 0.2):
            assert message.error() is None
            headers = tuple(message.headers() or ())
            found.append(
                GeneratedRecord(
                    message.topic(),
                    message.partition(),
                    message.key(),
                    message.value(),
                    headers,
                    message.timestamp()[1],
                )
            )
    consumer.close()
    return found


def by_partition(records):
    found = {}
    for record in records:
        found.setdefault((record.topic, record.partition), []).append(record)
    return found


def test_kafka_holds_every_record_in_order_when_produced(brokers):
    workload = Workload(WorkloadSpec(**SMALL, seed=2, poison_share=0.05, crm_changes_per_customer_per_day=80.0))
    sent: list[int] = []

    manifest = produce(workload, brokers, progress=sent.append)

    assert sent == sorted(sent)
    assert sent[-1] == manifest.total
    assert by_partition(consume(brokers, manifest.total)) == by_partition(workload.records())


def test_live_part_is_now_when_produced_in_realtime(brokers):
    workload = Workload(
        WorkloadSpec(**SMALL, seed=3, live_seconds=1.0, live_faults=2, usage_per_customer_per_hour=2000.0)
    )
    ready: list[datetime] = []

    manifest = produce(workload, brokers, realtime=True, before_live=lambda: ready.append(datetime.now(UTC)))

    ended_ms = time.time() * 1000
    began_ms = ready[0].timestamp() * 1000
    stamps = [record.timestamp_ms for record in consume(brokers, manifest.total)]
    live = [stamp for stamp in stamps if stamp >= began_ms]
    assert len(stamps) == manifest.total
    assert len(live) > 5
    assert max(live) <= ended_ms + 5
    assert manifest.clock.at(manifest.clock.history_us) / 1000 >= began_ms


def test_rate_is_kept_when_one_is_given(brokers):
    workload = Workload(WorkloadSpec(**SMALL, seed=4, usage_per_customer_per_hour=100.0))
    began = time.monotonic()

    manifest = produce(workload, brokers, rate=2_000.0)

    assert time.monotonic() - began >= manifest.total / 2_000.0 * 0.9


def test_producing_ends_early_when_it_is_stopped(brokers):
    workload = Workload(WorkloadSpec(**SMALL, seed=5, live_seconds=600.0))
    stop = threading.Event()

    produce(workload, brokers, realtime=True, stop=stop, before_live=stop.set)

    assert stop.is_set()


def test_producing_fails_in_one_line_when_kafka_does_not_take_a_record(broker):
    workload = Workload(WorkloadSpec(**SMALL, seed=6))

    with pytest.raises(TransientError, match=r"^expected Kafka to take every record, came: .*; check the brokers"):
        produce(workload, broker, extra={"message.timeout.ms": "300", "allow.auto.create.topics": "false"})
