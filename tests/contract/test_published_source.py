"""PublishedSource against real brokers: what was published is known again before anything is decided."""

from __future__ import annotations

import threading
from datetime import timedelta

import bytewax.operators as op
import pytest
from bytewax.dataflow import Dataflow
from bytewax.testing import cluster_main

from connectors.kafka import (
    KafkaConfig,
    KafkaSource,
    OpenParts,
    OutputBatch,
    PublishedSource,
    TransactionalSink,
    end_offsets,
)
from connectors.kafka.recall import Recall
from schemas.blocks import RecordBlock
from schemas.errors import TerminalError
from tests.contract.kafka_kit import batch, committed, committed_ids, wait_until


def sink_of(config: KafkaConfig, topic: str, writers: int = 1, **options) -> TransactionalSink:
    return TransactionalSink(config, flow="test", sink=topic, topics=[topic], writers=writers, **options)


def published_of(config: KafkaConfig, topic: str, writers: int = 1, **options) -> PublishedSource:
    return PublishedSource(config, flow="test", sink=topic, topics=[topic], writers=writers, **options)


def poll_until(part, done) -> list:
    blocks = []
    wait_until(lambda: (blocks.extend(part.next_batch()), done(blocks))[1], "the awaited block")
    return blocks


def test_published_source_gives_back_what_was_published_after_the_snapshot(kafka_config, new_topic):
    topic = new_topic(kafka_config, partitions=2)
    first = sink_of(kafka_config, topic).build_part("write", "0", None)
    first.write_batch([batch(topic, "ab", 0), batch(topic, "c", 1)])
    resume = first.snapshot().next_offsets
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
