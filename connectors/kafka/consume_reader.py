"""Reads partitions through `Consumer.consume()`, where librdkafka's C interface cannot be loaded."""

from __future__ import annotations

from dataclasses import replace
from typing import cast

from confluent_kafka import TIMESTAMP_NOT_AVAILABLE, Consumer, Message, TopicPartition

from connectors.kafka.config import KafkaConfig
from connectors.kafka.errors import PARTITION_EOF, error_from
from connectors.kafka.logs import LOGGER
from schemas.blocks import Headers, RecordBlock


class ConsumeClient:
    """Makes readers, each with a consumer of its own.

    Args:
        config: How to reach Kafka.
    """

    def __init__(self, config: KafkaConfig) -> None:
        # the client insists on a group id; nothing joins or commits to it
        self._settings = config.consumer() | {"group.id": "signalbox"}

    def reader(self, topic: str, partition: int, offset: int, block_rows: int) -> ConsumeReader:
        """Start to read `topic[partition]` at `offset` (or `BEGINNING`)."""
        return ConsumeReader(self._settings, topic, partition, offset, block_rows)


class ConsumeReader:
    """Reads one partition, one Python object per message."""

    def __init__(self, settings: dict[str, str], topic: str, partition: int, offset: int, rows: int) -> None:
        self._topic, self._partition, self._rows = topic, partition, rows
        self._next_offset = offset
        self._caught_up = False
        self._consumer = Consumer(dict(settings), logger=LOGGER)
        self._consumer.assign([TopicPartition(topic, partition, offset)])

    def read(self, timeout_ms: int = 0) -> RecordBlock:
        """See `Reader.read`."""
        known_end = self.end()
        records = []
        for message in self._consumer.consume(self._rows, timeout_ms / 1000):
            if self._is_record(message):
                records.append(message)
        if records:
            # a full block may have left some behind, whatever a broker takes for its end
            reached = len(records) < self._rows and 0 <= known_end <= self._next_offset
            self._caught_up = self._caught_up or reached
        return self._block(records)

    def waiting(self) -> bool:
        """See `Reader.waiting`; the client does not tell."""
        return True

    def end(self) -> int:
        """See `Reader.end`."""
        _, high = self._consumer.get_watermark_offsets(TopicPartition(self._topic, self._partition), cached=True)
        return max(-1, high)  # librdkafka has another negative number for what it does not know yet

    def _is_record(self, message: Message) -> bool:
        error = message.error()
        offset = message.offset()
        assert offset is not None
        if error is None:
            self._next_offset = max(self._next_offset, offset + 1)
            self._caught_up = False
            return True
        if error.code() != PARTITION_EOF:
            raise error_from(f"{self._topic}[{self._partition}]@{self._next_offset}", error)
        self._next_offset = max(self._next_offset, offset)
        self._caught_up = True
        return False

    def _block(self, messages: list[Message]) -> RecordBlock:
        block = RecordBlock.from_records(
            self._topic,
            self._partition,
            [(message.key(), message.value()) for message in messages],
            offsets=[message.offset() or 0 for message in messages],
            timestamps_ms=[_timestamp_ms(message) for message in messages],
            headers={row: found for row, message in enumerate(messages) if (found := _headers(message))},
            caught_up=self._caught_up,
        )
        return replace(block, next_offset=self._next_offset)

    def close(self) -> None:
        """Stop fetching. May be called twice."""
        self._consumer.close()


def _timestamp_ms(message: Message) -> int:
    kind, milliseconds = message.timestamp()
    return -1 if kind == TIMESTAMP_NOT_AVAILABLE else milliseconds


def _headers(message: Message) -> Headers:
    # the client always gives a list of bytes; its type also allows what a producer may be given
    return cast("Headers", message.headers() or [])
