"""TransactionalSink and PublishedSource against real brokers: exactly once, whatever happens."""

from __future__ import annotations

import random
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from datetime import timedelta

import bytewax.operators as op
import numpy as np
import pytest
from bytewax.dataflow import Dataflow
from bytewax.recovery import init_db_dir
from bytewax.testing import cluster_main
from confluent_kafka import Producer

from connectors.broker import EmbeddedBroker
from connectors.kafka import (
    KafkaConfig,
    KafkaSource,
    OpenParts,
    OutputBatch,
    PublishedSource,
    TransactionalSink,
    end_offsets,
    writer,
)
from connectors.kafka.block_producer import BlockProducer
from connectors.kafka.message_producer import MessageProducer
from connectors.kafka.recall import Recall, transactional_id
from connectors.metrics import process_metrics
from schemas.blocks import RecordBlock
from schemas.errors import SignalboxError, TerminalError
from tests.contract.kafka_kit import WAIT_SECONDS, batch, committed, committed_ids, produce, wait_until


@pytest.fixture(params=[BlockProducer, MessageProducer])
def each_producer(request, monkeypatch) -> None:
    """The test runs once with each way to write."""
    monkeypatch.setattr(writer, "open_producer", request.param)


def sink_of(config: KafkaConfig, topic: str, writers: int = 1, **options) -> TransactionalSink:
    return TransactionalSink(config, flow="test", sink=topic, topics=[topic], writers=writers, **options)


def published_of(config: KafkaConfig, topic: str, writers: int = 1, **options) -> PublishedSource:
    return PublishedSource(config, flow="test", sink=topic, topics=[topic], writers=writers, **options)


def poll_until(part, done) -> list:
    blocks = []
    wait_until(lambda: (blocks.extend(part.next_batch()), done(blocks))[1], "the awaited block")
    return blocks


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


def test_snapshot_is_where_the_next_record_lands_when_others_committed_before(kafka_config, new_topic):
    topic = new_topic(kafka_config)
    produce(kafka_config, topic, [{"value": b"older"} for _ in range(3)])
    part = sink_of(kafka_config, topic).build_part("write", "0", None)
    assert part.snapshot() == {f"{topic}/0": 3}
    part.write_batch([batch(topic, "ab")])
    assert part.snapshot() == {f"{topic}/0": 5}
    part.write_batch([batch(topic, "c"), batch(topic, "d")])
    assert part.snapshot() == {f"{topic}/0": 8}  # behind the first commit's marker
    assert [offset for offset, *_ in committed(kafka_config, topic)][-2:] == [6, 7]


def test_snapshot_keeps_every_partition_when_only_one_was_written_to(kafka_config, new_topic):
    topic = new_topic(kafka_config, partitions=2)
    first = sink_of(kafka_config, topic).build_part("write", "0", None)
    first.write_batch([batch(topic, "ab", 0), batch(topic, "c", 1)])
    second = sink_of(kafka_config, topic).build_part("write", "0", first.snapshot())
    second.write_batch([batch(topic, "d", 1)])
    resumed = second.snapshot()
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


def test_published_source_gives_back_what_was_published_after_the_snapshot(kafka_config, new_topic):
    topic = new_topic(kafka_config, partitions=2)
    first = sink_of(kafka_config, topic).build_part("write", "0", None)
    first.write_batch([batch(topic, "ab", 0), batch(topic, "c", 1)])
    resume = first.snapshot()
    first.write_batch([batch(topic, "de", 0)])
    part = published_of(kafka_config, topic).build_part("recall", "0", resume)
    blocks = poll_until(part, lambda seen: bool(seen) and seen[-1].caught_up)
    assert [(block.topic, block.partition, len(block)) for block in blocks] == [(topic, 0, 2), ("", 0, 0)]
    assert [blocks[0].value(row) for row in range(2)] == [b"d", b"e"]
    assert part.snapshot()[f"{topic}/0"] >= 4


def test_published_source_ticks_once_in_every_epoch_when_all_is_recalled(kafka_config, new_topic):
    topic = new_topic(kafka_config)
    part = published_of(kafka_config, topic, writers=1).build_part("recall", "0", None)
    (known,) = poll_until(part, bool)
    assert (known.topic, known.partition, known.caught_up, known.finished, len(known)) == ("", 0, True, False, 0)
    for _ in range(2):
        assert part.next_batch() == []
        part.snapshot()
        (tick,) = part.next_batch()
        assert (tick.topic, tick.partition, tick.caught_up) == ("", 0, True)


def test_published_source_snapshot_follows_what_is_published_when_time_passes(kafka_config, new_topic):
    topic = new_topic(kafka_config)
    source = published_of(kafka_config, topic).build_part("recall", "0", None)
    poll_until(source, bool)
    assert source.snapshot() == {f"{topic}/0": 0}
    sink = sink_of(kafka_config, topic, recalled=True).build_part("write", "0", None)
    sink.write_batch([batch(topic, "a")])
    sink.write_batch([batch(topic, "b")])
    wait_until(lambda: source.snapshot()[f"{topic}/0"] >= 2, "a later snapshot")
    assert source.snapshot()[f"{topic}/0"] <= end_offsets(kafka_config, [(topic, 0)])[topic, 0]
    source.close()


def test_published_source_ends_at_once_when_stop_is_set(kafka_config, new_topic):
    topic = new_topic(kafka_config)
    stop = threading.Event()
    part = published_of(kafka_config, topic, stop=stop).build_part("recall", "0", None)
    stop.set()
    with pytest.raises(StopIteration):
        part.next_batch()


def test_published_source_ticks_until_every_input_of_the_process_has_ended(kafka_config, new_topic):
    topic, source = new_topic(kafka_config), new_topic(kafka_config)
    inputs = OpenParts()
    read = KafkaSource(kafka_config, [source], until_caught_up=True, open_parts=inputs)
    part = published_of(kafka_config, topic, inputs=inputs).build_part("recall", "0", None)
    poll_until(part, bool)
    assert part.next_batch() == []  # the input is built only now
    reading = read.build_part("read", f"{source}/0", None)
    part.snapshot()
    assert [block.caught_up for block in part.next_batch()] == [True]
    assert poll_until(reading, bool)[-1].finished
    with pytest.raises(StopIteration):
        part.next_batch()


def test_published_source_ends_after_an_epoch_when_the_process_has_no_inputs(kafka_config, new_topic):
    topic = new_topic(kafka_config)
    part = published_of(kafka_config, topic, inputs=OpenParts()).build_part("recall", "0", None)
    poll_until(part, bool)
    assert part.next_batch() == []
    part.snapshot()
    with pytest.raises(StopIteration):
        part.next_batch()


def test_recall_reads_nothing_when_nothing_lies_beyond_the_snapshot(kafka_config, new_topic):
    topic = new_topic(kafka_config, partitions=2)
    sink_of(kafka_config, topic).build_part("write", "0", None).write_batch([batch(topic, "abc")])
    wait_until(lambda: len(committed(kafka_config, topic)) == 3, "the commit")
    offsets = {f"{topic}/0": end_offsets(kafka_config, [(topic, 0)])[topic, 0]}
    recall = Recall(kafka_config, [(topic, 0), (topic, 1)], offsets)
    assert recall.finished
    assert recall.next_offsets == offsets | {f"{topic}/1": 0}


@pytest.mark.kafka
def test_recall_refuses_an_offset_when_the_partition_ends_before_it(apache_config, new_topic):
    topic = new_topic(apache_config)
    recall = Recall(apache_config, [(topic, 0)], {f"{topic}/0": 7})
    with pytest.raises(TerminalError, match="the stored offset is no longer in the topic"):
        wait_until(lambda: (recall.read(5), recall.finished)[1], "the refusal")


@pytest.mark.kafka
def test_zombie_stays_fenced_when_it_first_writes_after_its_successor_has_recalled(apache_config, new_topic):
    topic = new_topic(apache_config)
    published_of(apache_config, topic).build_part("recall", "0", None)
    zombie = sink_of(apache_config, topic, recalled=True).build_part("write", "0", None)
    zombie.write_batch([])  # takes its writer over, writes nothing
    poll_until(published_of(apache_config, topic).build_part("recall", "0", None), bool)
    zombie.write_batch([batch(topic, ["late"])])
    with pytest.raises(TerminalError, match="another process has taken over"):
        zombie.snapshot()
    successor = sink_of(apache_config, topic, recalled=True).build_part("write", "0", None)
    successor.write_batch([batch(topic, ["good"])])
    wait_until(lambda: committed_ids(apache_config, topic) == ["good"], "the successor's commit")


def test_recall_and_sink_of_a_writer_share_a_worker_when_there_are_several(embedded, new_topic):
    config = KafkaConfig(embedded.brokers)
    topic = new_topic(config, partitions=5)
    workers: dict[str, set[tuple[str, int]]] = {"recall": set(), "write": set()}

    class Recalling(PublishedSource):
        def build_part(self, step_id, for_part, resume_state):
            workers["recall"].add((for_part, threading.get_ident()))
            return super().build_part(step_id, for_part, resume_state)

    class Writing(TransactionalSink):
        def build_part(self, step_id, for_part, resume_state):
            workers["write"].add((for_part, threading.get_ident()))
            return super().build_part(step_id, for_part, resume_state)

    ends = {"flow": "test", "sink": topic, "topics": [topic], "writers": 5}
    flow = Dataflow("test_workers")
    blocks = op.input("recall", flow, Recalling(config, inputs=OpenParts(), **ends))
    said: set[int] = set()

    def say(block: RecordBlock) -> list[tuple[str, OutputBatch]]:
        if block.partition in said:  # a tick
            return []
        said.add(block.partition)
        return [(str(block.partition), batch(topic, "x", block.partition))]

    batches = op.flat_map("say", blocks, say)
    op.output("write", batches, Writing(config, recalled=True, **ends))
    cluster_main(flow, [], 0, worker_count_per_proc=2, epoch_interval=timedelta(milliseconds=100))
    assert len({worker for _, worker in workers["recall"]}) == 2
    assert workers["recall"] == workers["write"]
    assert [committed_ids(config, topic, partition) for partition in range(5)] == [["x"]] * 5


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
