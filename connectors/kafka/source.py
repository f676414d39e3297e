"""KafkaSource: topics as a stream of RecordBlocks."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from bytewax.inputs import FixedPartitionedSource, StatefulSourcePartition

from connectors.kafka.admin import partition_counts
from connectors.kafka.config import KafkaConfig
from connectors.kafka.reader import BEGINNING, Client, Reader, open_client
from schemas.blocks import RecordBlock

# How soon to look again when nothing was there: half of it is added to every notification, on average
_IDLE = timedelta(milliseconds=4)
_BYTES_PER_EPOCH = 256 * 1024 * 1024


class KafkaSource(FixedPartitionedSource[RecordBlock, int]):
    """Reads all partitions of some topics, committed records only.

    A block is emitted when records have arrived, and an empty one when only `caught_up` has changed.

    Delivery: exactly once into the dataflow's state: the offset is part of its snapshot. A stored offset that is no
        longer in the topic stops the flow, for records would be lost silently.
    Ordering: by offset within a partition; none between partitions.
    Parallelism: one part `topic/partition` per Kafka partition; new partitions are seen at the next start, and read
        from their beginning. One source has one connection per broker and process, so that a backlog in one source
        cannot stand in the way of another's records.
    Resume state: the offset to read next. Without it a part begins at the earliest record.
    Retries: librdkafka reconnects by itself for as long as it takes; what it gives up on raises.

    Nothing is opened before Bytewax asks for parts.

    Args:
        config: How to reach Kafka.
        topics: The topics to read. They must exist.
        until_caught_up: End each part at its partition's end; its last block is `finished`.
        rows_per_epoch: A part pauses after this many records (or 256 MiB) until the epoch closes: queues inside an
            epoch have no other bound.
        block_rows: At most this many records in a block.
        stop: Once set, every part ends at once, and with it the epoch.

    Raises:
        TerminalError: A topic does not exist, or nothing sensible can be done about what Kafka says.
        TransientError: Kafka does not answer.
    """

    def __init__(
        self,
        config: KafkaConfig,
        topics: Sequence[str],
        *,
        until_caught_up: bool = False,
        rows_per_epoch: int = 500_000,
        block_rows: int = 10_000,
        stop: threading.Event | None = None,
    ) -> None:
        self._config = config
        self._topics = tuple(topics)
        self._until_caught_up = until_caught_up
        self._rows_per_epoch = rows_per_epoch
        self._block_rows = block_rows
        self._stop = stop
        self._client: Client | None = None
        self._opening = threading.Lock()  # the workers of one process share the client

    def list_parts(self) -> list[str]:
        """All partitions of all topics, as `topic/partition`."""
        counts = partition_counts(self._config, self._topics)
        return [f"{topic}/{partition}" for topic, count in counts.items() for partition in range(count)]

    def build_part(self, step_id: str, for_part: str, resume_state: int | None) -> _KafkaPartition:  # noqa: ARG002
        """Begin to read one partition where its snapshot says, or at its earliest record."""
        topic, _, partition = for_part.rpartition("/")
        with self._opening:
            self._client = self._client or open_client(self._config)
        offset = BEGINNING if resume_state is None else resume_state
        return _KafkaPartition(
            self._client.reader(topic, int(partition), offset, self._block_rows),
            offset,
            until_caught_up=self._until_caught_up,
            rows_per_epoch=self._rows_per_epoch,
            stop=self._stop,
        )


class _KafkaPartition(StatefulSourcePartition[RecordBlock, int]):
    def __init__(
        self, reader: Reader, offset: int, *, until_caught_up: bool, rows_per_epoch: int, stop: threading.Event | None
    ) -> None:
        self._reader = reader
        self._next_offset = offset
        self._until_caught_up = until_caught_up
        self._rows_per_epoch = rows_per_epoch
        self._stop = stop
        self._rows = self._bytes = 0  # of this epoch
        self._caught_up = False
        self._finished = False
        self._idle = False

    def next_batch(self) -> list[RecordBlock]:
        if self._finished or (self._stop is not None and self._stop.is_set()):
            raise StopIteration
        self._idle = True
        if self._rows >= self._rows_per_epoch or self._bytes >= _BYTES_PER_EPOCH:
            return []
        block = self._reader.read()
        self._rows += len(block)
        self._bytes += len(block.values) + len(block.keys)
        self._next_offset = block.next_offset
        if self._until_caught_up and block.caught_up:
            self._finished = True
            return [replace(block, finished=True)]
        if not len(block) and block.caught_up == self._caught_up:
            return []
        self._caught_up = block.caught_up
        self._idle = False
        return [block]

    def next_awake(self) -> datetime | None:
        return datetime.now(UTC) + _IDLE if self._idle else None

    def snapshot(self) -> int:
        self._rows = self._bytes = 0
        return self._next_offset

    def close(self) -> None:
        self._reader.close()
