"""Readers and KafkaSource against real brokers."""

from __future__ import annotations

import random
import threading
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import bytewax.operators as op
import pytest
from bytewax.dataflow import Dataflow
from bytewax.recovery import RecoveryConfig, init_db_dir
from bytewax.testing import TestingSink, run_main
from confluent_kafka import Producer, TopicPartition
from confluent_kafka.admin import AdminClient
from prometheus_client import Gauge

from connectors.broker import ApacheKafka, free_port
from connectors.epoch_pace import EpochClock
from connectors.kafka import (
    KafkaConfig,
    KafkaSource,
    TransactionalSink,
    create_topics,
    end_offsets,
    lag,
    partition_counts,
)
from connectors.kafka.block_reader import BlockClient
from connectors.kafka.consume_reader import ConsumeClient
from connectors.kafka.reader import BEGINNING, open_client
from connectors.metrics import process_metrics
from schemas.blocks import RecordBlock
from schemas.errors import TerminalError, TransientError
from tests.contract.kafka_kit import WAIT_SECONDS, batch, produce, read_all, rows, wait_until

CLIENTS = (BlockClient, ConsumeClient)
both_clients = pytest.mark.parametrize("client", CLIENTS)


def blocks_until_idle(part, until) -> list[RecordBlock]:
    """Poll a part as Bytewax does until a condition on the blocks holds."""
    blocks: list[RecordBlock] = []
    deadline = time.monotonic() + WAIT_SECONDS
    while not until(blocks):
        assert time.monotonic() < deadline
        blocks += part.next_batch()
    return blocks


def test_readers_give_exactly_what_was_produced_when_records_are_of_every_kind(kafka_config, new_topic):
    seed = random.randrange(2**32)
    print(f"seed {seed}")  # noqa: T201
    rng = random.Random(seed)
    topic = new_topic(kafka_config)
    cells = [None, b"", b"\0\0\0\0\1", b"\xff\xfe", b"x" * 5_000_000]
    records = [
        {
            "value": rng.choice(cells[:4]) if rng.random() < 0.3 else rng.randbytes(rng.randrange(300)),
            "key": rng.choice([None, b"", rng.randbytes(8)]),
            "headers": [(f"h{i}", rng.choice([None, b"", rng.randbytes(5)])) for i in range(rng.choice([0, 0, 1, 3]))],
            "timestamp": 1_700_000_000_000 + rng.randrange(10**9),
        }
        for _ in range(700)
    ]
    records[rng.randrange(700)]["value"] = cells[4]
    produce(kafka_config, topic, records)
    expected = [
        (offset, record["key"], record["value"], record["headers"], record["timestamp"])
        for offset, record in enumerate(records)
    ]
    for client in CLIENTS:
        blocks = read_all(client(kafka_config).reader(topic, 0, BEGINNING, 97))
        assert rows(blocks) == expected, client
        assert max(len(block) for block in blocks) <= 97
        assert blocks[-1].next_offset == 700


@pytest.mark.kafka
@both_clients
def test_reader_skips_the_gap_when_transactions_were_committed_and_aborted(apache_config, new_topic, client):
    topic = new_topic(apache_config)
    producer = Producer(apache_config.producer() | {"transactional.id": topic})
    producer.init_transactions(WAIT_SECONDS)
    for value, finish in (
        (b"a", producer.commit_transaction),
        (b"b", producer.abort_transaction),
        (b"c", producer.commit_transaction),
    ):
        producer.begin_transaction()
        producer.produce(topic, value, partition=0)
        producer.flush()
        finish(WAIT_SECONDS)
    wait_until(lambda: end_offsets(apache_config, [(topic, 0)])[topic, 0] == 6, "the last marker")
    blocks = read_all(client(apache_config).reader(topic, 0, BEGINNING, 100))
    assert [(offset, value) for offset, _, value, _, _ in rows(blocks)] == [(0, b"a"), (4, b"c")]
    assert blocks[-1].next_offset == 6  # behind the marker


@pytest.mark.kafka
@both_clients
def test_reader_raises_when_the_stored_offset_was_deleted(apache_config, new_topic, client):
    topic = new_topic(apache_config)
    produce(apache_config, topic, [{"value": b"v"} for _ in range(5)])
    admin = AdminClient(apache_config.admin())
    (deleted,) = admin.delete_records([TopicPartition(topic, 0, 3)]).values()
    deleted.result(WAIT_SECONDS)
    with pytest.raises(TerminalError) as error:
        read_all(client(apache_config).reader(topic, 0, 1, 100))
    assert str(error.value) == (
        f"{topic}[0]@1: the stored offset is no longer in the topic (retention deleted it, or the topic was made "
        "anew), so records would be lost; lengthen the topic's retention, or remove the flow's recovery and state "
        "directories to begin at the earliest record (Kafka error _AUTO_OFFSET_RESET)"
    )


def test_source_begins_at_the_earliest_record_when_it_has_no_resume_state(kafka_config, new_topic):
    topic = new_topic(kafka_config)
    produce(kafka_config, topic, [{"value": b"%d" % i} for i in range(10)])
    part = KafkaSource(kafka_config, [topic]).build_part("read", f"{topic}/0", None)
    blocks = blocks_until_idle(part, lambda seen: sum(map(len, seen)) >= 10)
    assert [value for _, _, value, _, _ in rows(blocks)] == [b"%d" % i for i in range(10)]
    assert part.snapshot() == 10
    assert lag(kafka_config, {(topic, 0): part.snapshot()}) == {(topic, 0): 0}


def test_source_reads_on_when_it_has_resume_state(kafka_config, new_topic):
    topic = new_topic(kafka_config)
    produce(kafka_config, topic, [{"value": b"%d" % i} for i in range(10)])
    part = KafkaSource(kafka_config, [topic]).build_part("read", f"{topic}/0", 7)
    blocks = blocks_until_idle(part, lambda seen: bool(seen) and seen[-1].caught_up)
    assert [offset for offset, *_ in rows(blocks)] == [7, 8, 9]


def test_source_emits_an_empty_block_when_only_caught_up_changes(kafka_config, new_topic):
    topic = new_topic(kafka_config)
    part = KafkaSource(kafka_config, [topic]).build_part("read", f"{topic}/0", None)
    (block,) = blocks_until_idle(part, bool)
    assert (len(block), block.caught_up, block.next_offset, block.finished) == (0, True, 0, False)
    assert part.next_batch() == []  # nothing has changed
    assert part.next_awake() is not None
    produce(kafka_config, topic, [{"value": b"v"}])
    (block,) = blocks_until_idle(part, bool)
    assert (len(block), block.caught_up) == (1, True)


def test_source_reads_on_at_once_when_a_block_was_full_and_waits_when_all_is_read(kafka_config, new_topic):
    topic = new_topic(kafka_config)
    produce(kafka_config, topic, [{"value": b"v"} for _ in range(25)])
    part = KafkaSource(kafka_config, [topic], block_rows=10, poll_seconds=60.0).build_part("read", f"{topic}/0", None)
    rows_read = 0
    while rows_read < 20:
        rows_read += sum(map(len, blocks_until_idle(part, bool)))
        assert rows_read % 10 > 0 or part.next_awake() <= datetime.now(UTC)
    blocks_until_idle(part, lambda seen: bool(seen) and seen[-1].caught_up)
    assert part.next_awake() - datetime.now(UTC) > timedelta(seconds=50)


def test_source_that_is_not_urgent_reads_in_the_middle_of_an_epoch(kafka_config, new_topic):
    topic = new_topic(kafka_config)
    now = [1_000_000.0]
    source = KafkaSource(kafka_config, [topic], poll_seconds=0.1, epochs=EpochClock(8.0, lambda: now[0]))
    part = source.build_part("read", f"{topic}/0", None)
    produce(kafka_config, topic, [{"value": b"v"}])
    time.sleep(0.5)
    assert part.next_batch() == []
    now[0] += 4.0
    assert sum(map(len, blocks_until_idle(part, bool))) == 1
    produce(kafka_config, topic, [{"value": b"v"}])
    time.sleep(0.5)
    now[0] += 3.5
    assert part.next_batch() == []


@both_clients
def test_reader_is_caught_up_when_it_reaches_the_end_it_knew_before_it_read(kafka_config, new_topic, client):
    topic = new_topic(kafka_config)
    produce(kafka_config, topic, [{"value": b"v"} for _ in range(10)])
    reader = client(kafka_config).reader(topic, 0, 0, 4)
    blocks: list[RecordBlock] = []
    wait_until(lambda: (blocks.append(reader.read(20)), len(rows(blocks)) == 10)[1], "the last record")
    assert reader.end() == 10
    produce(kafka_config, topic, [{"value": b"v"}])
    wait_until(lambda: (blocks.append(reader.read(20)), len(rows(blocks)) == 11)[1], "one more record")
    assert reader.end() == 11
    reader.close()


def test_source_shows_how_far_it_is_behind_when_it_pauses_and_when_it_has_caught_up(kafka_config, new_topic):
    topic = new_topic(kafka_config)
    sink = TransactionalSink(kafka_config, flow="test", sink=topic, topics=[topic], writers=1)
    sink.build_part("write", "0", None).write_batch([batch(topic, map(str, range(100)))])
    source = KafkaSource(kafka_config, [topic], rows_per_epoch=30, block_rows=10, live_seconds=0.0)
    part = source.build_part("read", f"{topic}/0", None)
    gauge = process_metrics().lag_records.labels(topic, 0)
    blocks_until_idle(part, lambda seen: sum(map(len, seen)) >= 30)
    wait_until(lambda: (part.next_batch(), lag_of(gauge) == 71)[1], "the lag of 70 records and a marker")
    part.snapshot()
    while not blocks_until_idle(part, bool)[-1].caught_up:
        part.snapshot()
    assert lag_of(gauge) == 0


def lag_of(gauge: Gauge) -> float:
    ((sample,),) = [family.samples for family in gauge.collect()]
    return sample.value


def test_source_pauses_until_the_epoch_closes_when_it_has_read_enough_rows(kafka_config, new_topic):
    topic = new_topic(kafka_config)
    produce(kafka_config, topic, [{"value": b"v"} for _ in range(100)])
    source = KafkaSource(kafka_config, [topic], rows_per_epoch=30, block_rows=10, live_seconds=0.0)
    part = source.build_part("read", f"{topic}/0", None)
    first = blocks_until_idle(part, lambda seen: sum(map(len, seen)) >= 30)
    assert [len(part.next_batch()) for _ in range(5)] == [0] * 5
    assert not first[-1].caught_up
    assert part.snapshot() == 30
    second = blocks_until_idle(part, lambda seen: sum(map(len, seen)) >= 30)
    assert [offset for offset, *_ in rows(first + second)] == list(range(60))


def test_source_ends_at_once_when_stop_is_set(kafka_config, new_topic):
    topic = new_topic(kafka_config)
    stop = threading.Event()
    part = KafkaSource(kafka_config, [topic], stop=stop).build_part("read", f"{topic}/0", None)
    part.next_batch()
    stop.set()
    with pytest.raises(StopIteration):
        part.next_batch()


def test_source_finishes_every_partition_when_it_runs_until_caught_up(kafka_config, new_topic, tmp_path):
    topic = new_topic(kafka_config, partitions=3)
    recovery = tmp_path / "recovery"
    recovery.mkdir()
    init_db_dir(recovery, 1)
    expected = set()
    for run in range(2):
        records = [{"value": b"%d-%d" % (run, i), "partition": i % 2} for i in range(50)]
        produce(kafka_config, topic, records)
        blocks = run_to_the_end(kafka_config, topic, recovery)
        # the second run resumes: it sees the new records only
        assert {value for _, _, value, _, _ in rows(blocks)} == {record["value"] for record in records}
        assert sorted(block.partition for block in blocks if block.finished) == [0, 1, 2]
        expected |= {record["value"] for record in records}
    assert len(expected) == 100


def run_to_the_end(config: KafkaConfig, topic: str, recovery: Path) -> list[RecordBlock]:
    blocks: list[RecordBlock] = []
    flow = Dataflow("test_source")
    stream = op.input("read_topic", flow, KafkaSource(config, [topic], until_caught_up=True, block_rows=7))
    op.output("collect", stream, TestingSink(blocks))
    run_main(flow, epoch_interval=timedelta(milliseconds=50), recovery_config=RecoveryConfig(str(recovery)))
    return blocks


def test_source_names_the_topic_when_it_does_not_exist(kafka_config):
    source = KafkaSource(kafka_config, ["no.such.topic"])
    with pytest.raises(TerminalError) as error:
        source.list_parts()
    assert str(error.value) == (
        f"Kafka at {kafka_config.brokers} has no topic no.such.topic: make it with `signalbox topics create`"
    )


def test_create_topics_reports_what_it_did_when_run_again(kafka_config, new_topic):
    there, other = new_topic(kafka_config, 2), new_topic(kafka_config, 3)
    fresh = f"{there}.fresh"
    report = create_topics(kafka_config, {there: 2, other: 5, fresh: 1})
    assert (report.created, report.existing, report.different) == ((fresh,), (there,), {other: 3})
    assert create_topics(kafka_config, {fresh: 1}).existing == (fresh,)


@pytest.mark.kafka
def test_reader_goes_on_when_the_broker_was_killed_and_came_back(kafka_libraries, tmp_path):
    broker = ApacheKafka(kafka_libraries, port=free_port(), directory=tmp_path)
    with broker:
        config = KafkaConfig(broker.brokers, {"log_level": "0"})
        create_topics(config, {"numbers": 1})
        produce(config, "numbers", [{"value": b"1"}])
        reader = open_client(config).reader("numbers", 0, BEGINNING, 10)
        seen: list[RecordBlock] = []
        wait_until(lambda: (seen.append(reader.read(20)), len(rows(seen)) == 1)[1], "the first record")
        broker.kill()
        assert len(reader.read(100)) == 0
        broker.start()
        produce(config, "numbers", [{"value": b"2"}])
        wait_until(lambda: (seen.append(reader.read(20)), len(rows(seen)) == 2)[1], "the second record")
        assert [value for _, _, value, _, _ in rows(seen)] == [b"1", b"2"]
        reader.close()


def test_a_broker_that_is_not_there_is_told_of_when_the_time_to_answer_is_over():
    config = KafkaConfig("127.0.0.1:1", {"log_level": "0"})
    with pytest.raises(TransientError) as error:
        partition_counts(config, [], answer_seconds=0.2)
    assert str(error.value) == (
        "no Kafka broker answered at 127.0.0.1:1 within 0.2 s (Kafka error _TRANSPORT): is it running, and are "
        "SIGNALBOX_BROKERS and SIGNALBOX_KAFKA_… right?"
    )
