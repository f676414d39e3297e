"""KafkaSource: topics as a stream of RecordBlocks."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime

from bytewax.inputs import FixedPartitionedSource, StatefulSourcePartition

from connectors.epoch_pace import EpochClock, EpochPace
from connectors.kafka.admin import Origin, admin_client, beginnings, partition_counts
from connectors.kafka.config import KafkaConfig
from connectors.kafka.lag_gauge import LagGauge
from connectors.kafka.open_parts import OpenParts
from connectors.kafka.reader import Client, Reader, open_client
from schemas.blocks import RecordBlock

POLL_SECONDS = 0.004
"""How soon a part looks again, unless it is told otherwise."""
_GOLDEN_RATIO = 0.618034
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
        poll_seconds: How soon to look again when all that is known was read. Half of it is added to what a record
            waits, on average; a longer one makes fewer and thicker blocks under steady load, and leaves what comes
            at the end of an epoch to the next. A backlog does not wait.
        live_seconds: A block that ends with a record younger than this, by Kafka's timestamp, counts as caught up.
            Under load a live stream is always a little behind; waiting for it would hold up every decision by
            `max_delay`. Not with `until_caught_up`: there only the end is the end.
        epochs: When epochs end, the same for all sources of a process. None leaves that to Bytewax.
        open_parts: Told of every part that begins and ends.
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
        poll_seconds: float = POLL_SECONDS,
        live_seconds: float = 1.0,
        epochs: EpochClock | None = None,
        open_parts: OpenParts | None = None,
        stop: threading.Event | None = None,
    ) -> None:
        self._live_ms = 0 if until_caught_up else int(live_seconds * 1000)
        self._config = config
        self._topics = tuple(topics)
        self._until_caught_up = until_caught_up
        self._rows_per_epoch = rows_per_epoch
        self._block_rows = block_rows
        self._poll_seconds = poll_seconds
        self._epochs = EpochClock() if epochs is None else epochs
        self._open_parts = OpenParts() if open_parts is None else open_parts
        self._stop = stop
        self._client: Client | None = None
        self._beginnings: dict[Origin, int] = {}
        self._opening = threading.Lock()  # the workers of one process share the client

    def list_parts(self) -> list[str]:
        """All partitions of all topics, as `topic/partition`."""
        counts = partition_counts(self._config, self._topics)
        return [f"{topic}/{partition}" for topic, count in counts.items() for partition in range(count)]

    def build_part(self, step_id: str, for_part: str, resume_state: int | None) -> _KafkaPartition:  # noqa: ARG002
        """Begin to read one partition where its snapshot says, or at its earliest record."""
        topic, _, number = for_part.rpartition("/")
        partition = int(number)
        with self._opening:
            self._client = self._client or open_client(self._config)
            offset = self._beginning(topic, partition) if resume_state is None else resume_state
        return _KafkaPartition(
            self._client.reader(topic, partition, offset, self._block_rows),
            offset,
            partition,
            LagGauge(topic, partition),
            until_caught_up=self._until_caught_up,
            rows_per_epoch=self._rows_per_epoch,
            block_rows=self._block_rows,
            poll_seconds=self._poll_seconds,
            live_ms=self._live_ms,
            pace=EpochPace(self._epochs),
            open_parts=self._open_parts,
            stop=self._stop,
        )

    def _beginning(self, topic: str, partition: int) -> int:
        """Where a partition begins; all of the source's are asked for at once, at the first part that needs it."""
        if (topic, partition) not in self._beginnings:
            admin = admin_client(self._config)
            counts = partition_counts(self._config, self._topics)
            origins = [(each, number) for each, count in counts.items() for number in range(count)]
            self._beginnings = beginnings(admin, origins)
        return self._beginnings[topic, partition]


class _KafkaPartition(StatefulSourcePartition[RecordBlock, int]):
    def __init__(
        self,
        reader: Reader,
        offset: int,
        partition: int,
        lag: LagGauge,
        *,
        until_caught_up: bool,
        rows_per_epoch: int,
        block_rows: int,
        poll_seconds: float,
        live_ms: int,
        pace: EpochPace,
        open_parts: OpenParts,
        stop: threading.Event | None,
    ) -> None:
        self._reader = reader
        self._next_offset = offset
        self._lag = lag
        self._until_caught_up = until_caught_up
        self._rows_per_epoch, self._block_rows = rows_per_epoch, block_rows
        self._poll_seconds = poll_seconds
        # the parts of a topic take turns: multiples of the golden ratio lie far apart, however many they are
        self._turn_seconds = partition * _GOLDEN_RATIO % 1 * poll_seconds
        self._live_ms = live_ms
        self._pace = pace
        self._open_parts = open_parts
        self._stop = stop
        self._rows = self._bytes = 0  # of this epoch
        self._caught_up = False  # as it was said last
        self._at_end = False  # by the last block
        self._is_behind = False  # the last block was full
        self._ended = False
        self._pause_seconds = 0.0
        open_parts.opened()

    def next_batch(self) -> list[RecordBlock]:
        if self._ended or (self._stop is not None and self._stop.is_set()):
            self._end()
            raise StopIteration
        if self._rows >= self._rows_per_epoch or self._bytes >= _BYTES_PER_EPOCH:
            self._pause_seconds = POLL_SECONDS
            self._lag.show(self._reader.end, self._next_offset)
            return []
        if self._poll_seconds > POLL_SECONDS and not self._is_behind and self._pace.is_quiet(self._turn_seconds):
            # what is not urgent would only hold up the close, and what waited for that
            self._pause_seconds = POLL_SECONDS
            return []
        if not self._reader.waiting():
            self._is_behind = False
            self._lag.show(self._reader.end, self._next_offset, at_end=self._at_end)
            self._pause_seconds = self._pause()
            return []
        block = self._reader.read()
        self._rows += len(block)
        self._bytes += len(block.values) + len(block.keys)
        self._next_offset = block.next_offset
        self._at_end, self._is_behind = block.caught_up, len(block) >= self._block_rows
        self._lag.show(self._reader.end, self._next_offset, at_end=self._at_end)
        self._pause_seconds = self._pause()
        if self._until_caught_up and block.caught_up:
            self._end()
            return [replace(block, finished=True)]
        caught_up = block.caught_up or self._is_live(block)
        if not len(block) and caught_up == self._caught_up:
            return []
        self._caught_up = caught_up
        return [replace(block, caught_up=caught_up)]

    def _is_live(self, block: RecordBlock) -> bool:
        if not len(block):
            # records that are known to wait and have not come yet change nothing: they will tell
            return self._caught_up and self._live_ms > 0
        return time.time() * 1000 - int(block.timestamps_ms[-1]) < self._live_ms

    def _pause(self) -> float:
        if self._is_behind:
            return 0.0
        # what is known to wait is on its way
        return self._poll_seconds if self._at_end else min(self._poll_seconds, POLL_SECONDS)

    def next_awake(self) -> datetime | None:
        return datetime.fromtimestamp(self._pace.awake_at(self._pause_seconds), UTC)

    def snapshot(self) -> int:
        self._pace.epoch_ended()
        self._rows = self._bytes = 0
        return self._next_offset

    def close(self) -> None:
        self._end()
        self._reader.close()

    def _end(self) -> None:
        if not self._ended:
            self._ended = True
            self._open_parts.ended()
