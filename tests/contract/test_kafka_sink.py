"""TransactionalSink against real brokers: exactly once, whatever happens."""

from __future__ import annotations

import random
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable

import numpy as np
import pytest
from bytewax.recovery import init_db_dir
from confluent_kafka import Producer

from connectors.broker import EmbeddedBroker
from connectors.kafka import (
    KafkaConfig,
    OutputBatch,
    TransactionalSink,
    end_offsets,
    writer,
)
from connectors.kafka.block_producer import BlockProducer
from connectors.kafka.message_producer import MessageProducer
from connectors.kafka.recall import transactional_id
from connectors.metrics import process_metrics
from schemas.errors import SignalboxError, TerminalError
from tests.contract.kafka_kit import WAIT_SECONDS, batch, committed, committed_ids, produce, wait_until


@pytest.fixture(params=[BlockProducer, MessageProducer])
def each_producer(request, monkeypatch) -> None:
    """The test runs once with each way to write."""
    monkeypatch.setattr(writer, "open_producer", request.param)


def sink_of(config: KafkaConfig, topic: str, writers: int = 1, **options) -> TransactionalSink:
    return TransactionalSink(config, flow="test", sink=topic, topics=[topic], writers=writers, **options)


@pytest.mark.usefixtures("each_producer")
def test_sink_publishes_in_order_when_given_batches(kafka_config, new_topic):
    topic = new_topic(kafka_config, partitions=2)
    part = sink_of(kafka_config, topic).build_part("write", "0", None)
    records = OutputBatch(
        topic,
        np.array([0, 1, 0, 1, 0], np.int32),
        [b"k", None, None, None, None],
        [b"a", None, b"", b"d", b"e"],
        ["1", "2", "3", "4", "5"],
        headers=[[("more", b"x")], [], [], [], []],
        columns={"number": [b"0", b"1", b"2", b"3", b""]},
    )
    part.write_batch([records, batch(topic, ["6"])])
    wait_until(lambda: len(committed(kafka_config, topic)) == 4, "the commit")
    assert [(key, value, headers) for _, key, value, headers, _ in committed(kafka_config, topic)] == [
        (b"k", b"a", [("signalbox.id", b"1"), ("number", b"0"), ("more", b"x")]),
        (None, b"", [("signalbox.id", b"3"), ("number", b"2")]),
        (None, b"e", [("signalbox.id", b"5"), ("number", b"")]),
        (None, b"6", [("signalbox.id", b"6")]),
    ]
    assert [value for _, _, value, _, _ in committed(kafka_config, topic, 1)] == [None, b"d"]


@pytest.mark.kafka
def test_sink_commits_in_parts_when_a_batch_is_long(apache_config, new_topic):
    topic = new_topic(apache_config)
    transactions = process_metrics().transactions.labels("parts")
    before = transactions._value.get()
    sink = TransactionalSink(apache_config, flow="f", sink="parts", topics=[topic], writers=1, recalled=True)
    part = sink.build_part("write", "0", None)
    names = [f"{number}" for number in range(18_000)]
    part.write_batch([batch(topic, names[at : at + 6000]) for at in range(0, 18_000, 6000)])
    part.snapshot()

    assert committed_ids(apache_config, topic) == names
    assert transactions._value.get() - before == 2


@pytest.mark.usefixtures("each_producer")
def test_sink_publishes_all_in_order_when_the_queue_of_its_client_is_short(kafka_config, new_topic):
    topic = new_topic(kafka_config)
    config = KafkaConfig(kafka_config.brokers, {"queue.buffering.max.messages": "50", "linger.ms": "0"})
    names = [f"{number}-ü" for number in range(1000)]
    sink_of(config, topic).build_part("write", "0", None).write_batch([batch(topic, names)])
    wait_until(lambda: len(committed(kafka_config, topic)) == len(names), "the commit")
    assert committed_ids(kafka_config, topic) == names


@pytest.mark.parametrize("snapshot", ["with", "without"])
def test_sink_publishes_nothing_twice_when_it_resumes(kafka_config, new_topic, snapshot):
    topic = new_topic(kafka_config)
    first = sink_of(kafka_config, topic).build_part("write", "0", None)
    first.write_batch([batch(topic, "abc")])
    resume = first.snapshot() if snapshot == "with" else None
    replayed = [batch(topic, "de"), batch(topic, "f")] if resume else [batch(topic, "abcde"), batch(topic, "f")]
    first.write_batch([batch(topic, "de")])  # of an epoch that is lost
    second = sink_of(kafka_config, topic).build_part("write", "0", resume)
    for each in replayed:
        second.write_batch([each])
    third = sink_of(kafka_config, topic).build_part("write", "0", second.snapshot())
    third.write_batch([batch(topic, "g")])
    wait_until(lambda: committed_ids(kafka_config, topic)[-1] == "g", "the last commit")
    assert committed_ids(kafka_config, topic) == list("abcdefg")


@pytest.mark.parametrize("batches", [["abc", "def"], ["a", "bc", "", "d", "ef"], ["abcdef"]])
def test_sink_publishes_nothing_twice_when_it_is_killed_in_the_middle_of_a_replay(kafka_config, new_topic, batches):
    topic = new_topic(kafka_config)
    part = sink_of(kafka_config, topic).build_part("write", "0", None)
    part.write_batch([batch(topic, "abcd")])  # of an epoch that is lost
    resume = None
    for ids in batches:  # an epoch each, and it is killed after each
        part = sink_of(kafka_config, topic).build_part("write", "0", resume)
        part.write_batch([batch(topic, ids)])
        resume = part.snapshot()
    assert resume.expected == frozenset()
    wait_until(lambda: committed_ids(kafka_config, topic)[-1] == "f", "the last commit")
    assert committed_ids(kafka_config, topic) == list("abcdef")


def test_snapshot_is_where_the_next_record_lands_when_others_committed_before(kafka_config, new_topic):
    topic = new_topic(kafka_config)
    produce(kafka_config, topic, [{"value": b"older"} for _ in range(3)])
    part = sink_of(kafka_config, topic).build_part("write", "0", None)
    assert part.snapshot().next_offsets == {f"{topic}/0": 3}
    part.write_batch([batch(topic, "ab")])
    assert part.snapshot().next_offsets == {f"{topic}/0": 5}
    part.write_batch([batch(topic, "c"), batch(topic, "d")])
    assert part.snapshot().next_offsets == {f"{topic}/0": 8}  # behind the first commit's marker
    assert [offset for offset, *_ in committed(kafka_config, topic)][-2:] == [6, 7]


def test_snapshot_keeps_every_partition_when_only_one_was_written_to(kafka_config, new_topic):
    topic = new_topic(kafka_config, partitions=2)
    first = sink_of(kafka_config, topic).build_part("write", "0", None)
    first.write_batch([batch(topic, "ab", 0), batch(topic, "c", 1)])
    second = sink_of(kafka_config, topic).build_part("write", "0", first.snapshot())
    second.write_batch([batch(topic, "d", 1)])
    resumed = second.snapshot().next_offsets
    assert resumed[f"{topic}/0"] >= 2
    assert resumed[f"{topic}/1"] >= 2


@pytest.mark.kafka
@pytest.mark.usefixtures("each_producer")
def test_old_writer_is_refused_when_another_has_taken_over(apache_config, new_topic):
    topic = new_topic(apache_config)
    old = sink_of(apache_config, topic).build_part("write", "0", None)
    old.write_batch([batch(topic, "a")])
    new = sink_of(apache_config, topic).build_part("write", "0", None)
    with pytest.raises(TerminalError) as error:
        old.write_batch([batch(topic, "x")])
    assert str(error.value) == (
        f"writer test/{topic}/0: another process has taken over; stop one of the two (Kafka error _FENCED)"
    )
    new.write_batch([batch(topic, "b")])
    wait_until(lambda: len(committed_ids(apache_config, topic)) == 2, "the commit")
    assert committed_ids(apache_config, topic) == ["a", "b"]


@pytest.mark.kafka
@pytest.mark.usefixtures("each_producer")
def test_open_transaction_of_a_dying_process_is_aborted_when_the_writer_is_built(apache_config, new_topic):
    topic = new_topic(apache_config)
    dying = Producer(apache_config.producer() | {"transactional.id": transactional_id("test", topic, 0)})
    dying.init_transactions(WAIT_SECONDS)
    dying.begin_transaction()
    dying.produce(topic, b"half", partition=0, headers=[("signalbox.id", "half")])
    dying.flush()
    part = sink_of(apache_config, topic).build_part("write", "0", None)
    part.write_batch([batch(topic, ["half", "whole"])])
    wait_until(lambda: len(committed_ids(apache_config, topic)) == 2, "the commit")
    assert committed_ids(apache_config, topic) == ["half", "whole"]


@pytest.mark.kafka
@pytest.mark.usefixtures("each_producer")
def test_sink_says_what_to_do_when_a_record_is_too_large_for_its_topic(apache_config, new_topic):
    topic = new_topic(apache_config, max_message_bytes="2000")
    part = sink_of(apache_config, topic).build_part("write", "0", None)
    large = batch(topic, ["1", "2"])
    large.values[0] = random.Random(1).randbytes(5000)
    with pytest.raises(TerminalError) as error:
        part.write_batch([large])
    assert str(error.value) == (
        f"writer test/{topic}/0: a record is larger than the topic takes; raise its max.message.bytes "
        "(Kafka error MSG_SIZE_TOO_LARGE)"
    )
    assert committed(apache_config, topic) == []


def test_sink_refuses_a_record_when_its_partition_belongs_to_another_writer(kafka_config, new_topic):
    topic = new_topic(kafka_config, partitions=2)
    part = sink_of(kafka_config, topic, writers=2).build_part("write", "1", None)
    with pytest.raises(TerminalError) as error:
        part.write_batch([batch(topic, "a", 0)])
    assert str(error.value) == (
        f"writer 1 of 2 got records for partitions of {topic} that belong to another writer: "
        "give each record to writer partition % writers"
    )


def test_on_commit_is_told_of_each_batch_when_it_is_visible(kafka_config, new_topic):
    topic = new_topic(kafka_config)
    told = []
    part = sink_of(kafka_config, topic, on_commit=lambda *what: told.append(what)).build_part("write", "0", None)
    before = time.time_ns() // 1_000_000
    part.write_batch([batch(topic, "ab"), batch(topic, ""), batch(topic, "c")])
    assert [each.ids for each, _ in told] == [["a", "b"], ["c"]]
    assert all(before <= at <= time.time_ns() // 1_000_000 for _, at in told)


def test_part_fn_gives_each_writer_its_own_part_when_there_are_more_than_ten(kafka_config):
    sink = sink_of(kafka_config, "any", writers=12)
    in_order = sorted(sink.list_parts())  # as Bytewax orders them
    assert [in_order[sink.part_fn(str(writer))] for writer in range(12)] == [str(writer) for writer in range(12)]


@pytest.mark.kafka
def test_flow_copies_each_record_once_when_it_is_killed_again_and_again(apache_config, new_topic, tmp_path):
    seed = random.randrange(2**32)
    print(f"seed {seed}")  # noqa: T201
    rng = random.Random(seed)
    partitions, records = 3, 3000
    source, sink = new_topic(apache_config, partitions), new_topic(apache_config, partitions)
    names = [f"{n % partitions}-{n}" for n in range(records)]
    produce(apache_config, source, ({"value": name, "partition": int(name[0])} for name in names))
    recovery = tmp_path / "recovery"
    recovery.mkdir()
    init_db_dir(recovery, 1)
    command = [sys.executable, "-m", "tests.contract.kafka_flow", apache_config.brokers, source, sink]
    command += [str(recovery), str(partitions)]
    origins = [(sink, partition) for partition in range(partitions)]

    def written() -> int:
        return sum(end_offsets(apache_config, origins).values())

    for _ in range(3):
        kill_after_progress(command, written, rng.randrange(100, 600))
    assert subprocess.run(command, timeout=120, check=False).returncode == 0
    for partition in range(partitions):
        ids = committed_ids(apache_config, sink, partition)
        assert Counter(ids).most_common(1)[0][1] == 1
        assert ids == [name for name in names if name.startswith(f"{partition}-")]


def kill_after_progress(command: list[str], written: Callable[[], int], records: int) -> None:
    goal = written() + records
    with subprocess.Popen(command) as process:
        wait_until(lambda: written() >= goal or process.poll() is not None, "progress")
        process.kill()


@pytest.mark.usefixtures("each_producer")
def test_sink_fails_loudly_when_the_broker_is_gone(new_topic):
    with EmbeddedBroker() as broker:
        config = KafkaConfig(broker.brokers, {"transaction.timeout.ms": "2000", "message.timeout.ms": "1500"})
        topic = new_topic(config)
        part = sink_of(config, topic).build_part("write", "0", None)
        broker.kill()
        with pytest.raises(SignalboxError, match=f"writer test/{topic}/0: "):
            part.write_batch([batch(topic, "a")])


@pytest.mark.usefixtures("each_producer")
def test_records_have_their_timestamps_and_another_id_header_when_they_are_given(kafka_config, new_topic):
    topic = new_topic(kafka_config, retention_ms="-1")
    began_ms = time.time_ns() // 1_000_000
    given = OutputBatch(
        topic,
        np.zeros(3, np.int32),
        [b"k", None, None],
        [b"a", b"b", b"c"],
        ["1", "2", "3"],
        headers=[[("none", None), ("empty", b"")], [], []],
        id_header="of",
        timestamps_ms=np.array([1_780_000_000_123, 0, 1], np.int64),
    )
    sink_of(kafka_config, topic).build_part("write", "0", None).write_batch([given.take([0, 1]), given.take([2])])
    wait_until(lambda: len(committed(kafka_config, topic)) == 3, "the commit")
    first, second, third = committed(kafka_config, topic)
    assert first[1:] == (b"k", b"a", [("of", b"1"), ("none", None), ("empty", b"")], 1_780_000_000_123)
    assert second[3] == [("of", b"2")]
    assert began_ms - 1000 < second[4] < began_ms + 60_000
    assert third[4] == 1
