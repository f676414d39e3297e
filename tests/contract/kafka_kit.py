"""What the Kafka contract tests share: producing, reading back, and waiting for a condition."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable

import numpy as np
from confluent_kafka import Producer

from connectors.kafka import ID_HEADER, KafkaConfig, OutputBatch
from connectors.kafka.reader import BEGINNING, Reader, open_client
from schemas.blocks import RecordBlock

WAIT_SECONDS = 30.0

Row = tuple[int, bytes | None, bytes | None, list[tuple[str, bytes | None]], int]


def produce(config: KafkaConfig, topic: str, records: Iterable[dict[str, object]]) -> None:
    """Produce records (`value`, `key`, `partition`, `headers`, `timestamp`) without a transaction."""
    producer = Producer(config.producer())
    for record in records:
        producer.produce(topic, **{"partition": 0, **record})
    assert producer.flush(WAIT_SECONDS) == 0


def read_all(reader: Reader) -> list[RecordBlock]:
    """Every block up to the end of the partition; the reader is closed."""
    blocks = []
    deadline = time.monotonic() + WAIT_SECONDS
    while time.monotonic() < deadline:
        blocks.append(reader.read(20))
        if blocks[-1].caught_up:
            reader.close()
            return blocks
    raise AssertionError(f"the end of the partition was not reached in {WAIT_SECONDS} s")


def rows(blocks: Iterable[RecordBlock]) -> list[Row]:
    """Blocks as plain records, to compare."""
    return [
        (
            int(block.offsets[row]),
            block.key(row),
            block.value(row),
            block.headers.get(row, []),
            int(block.timestamps_ms[row]),
        )
        for block in blocks
        for row in range(len(block))
    ]


def committed(config: KafkaConfig, topic: str, partition: int = 0) -> list[Row]:
    """What a reader of committed records sees in a partition."""
    return rows(read_all(open_client(config).reader(topic, partition, BEGINNING, 1000)))


def committed_ids(config: KafkaConfig, topic: str, partition: int = 0) -> list[str]:
    """The ids of the committed records, in order."""
    return [dict(headers)[ID_HEADER].decode() for _, _, _, headers, _ in committed(config, topic, partition)]


def batch(topic: str, ids: Iterable[str], partition: int = 0) -> OutputBatch:
    """A batch whose values are its ids."""
    names = list(ids)
    return OutputBatch(
        topic,
        np.full(len(names), partition, np.int32),
        [None] * len(names),
        [name.encode() for name in names],
        names,
    )


def wait_until(condition: Callable[[], bool], what: str, seconds: float = WAIT_SECONDS) -> None:
    """Wait for a condition; fail if it does not come true."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"{what} did not happen in {seconds} s"
        time.sleep(0.005)
