"""Recall: reads what a writer has published, from given offsets to the end."""

from __future__ import annotations

import time
from collections.abc import Mapping

from connectors.kafka.admin import partition_counts
from connectors.kafka.config import KafkaConfig
from connectors.kafka.reader import BEGINNING, open_client
from schemas.blocks import RecordBlock
from schemas.errors import TransientError

_BLOCK_ROWS = 10_000
_SILENCE_SECONDS = 60.0


def transactional_id(flow: str, sink: str, writer: int) -> str:
    """A writer's transactional id. A persisted format: another one would fence nobody."""
    return f"{flow}/{sink}/{writer}"


def own_partitions(config: KafkaConfig, topics: tuple[str, ...], writer: int, writers: int) -> list[tuple[str, int]]:
    """The partitions a writer owns: number `p` of every topic belongs to writer `p % writers`.

    Raises:
        TransientError: Kafka does not answer.
        TerminalError: A topic does not exist.
    """
    counts = partition_counts(config, topics)
    return [(topic, partition) for topic, count in counts.items() for partition in range(writer, count, writers)]


class Recall:
    """Reads partitions to their ends, a block at a time.

    The writer that owns them must be fenced before, or they may have no end.

    Args:
        config: How to reach Kafka.
        origins: Topics and partition numbers.
        offsets: Where to begin, by `topic/partition`; at the earliest record where nothing is given.
    """

    def __init__(self, config: KafkaConfig, origins: list[tuple[str, int]], offsets: Mapping[str, int]) -> None:
        client = open_client(config)
        self.next_offsets: dict[str, int] = {}
        """Where to read on, by `topic/partition`; those that have not been reached yet are as they were given."""
        self._readers = {}
        for topic, partition in origins:
            part = f"{topic}/{partition}"
            begin = offsets.get(part, BEGINNING)
            if begin != BEGINNING:
                self.next_offsets[part] = begin
            self._readers[part] = client.reader(topic, partition, begin, _BLOCK_ROWS)
        self._progress = time.monotonic()

    @property
    def finished(self) -> bool:
        """Every partition has been read to its end."""
        return not self._readers

    def read(self, timeout_ms: int = 0) -> list[RecordBlock]:
        """What has arrived, at most one block of each partition.

        Raises:
            TransientError: Kafka has sent nothing for a minute, or cannot be read.
            TerminalError: An offset or a topic is gone.
        """
        blocks = []
        for part, reader in list(self._readers.items()):
            block = reader.read(timeout_ms)
            if len(block):
                blocks.append(block)
            if len(block) or block.caught_up:
                self._progress = time.monotonic()
                self.next_offsets[part] = block.next_offset
            if block.caught_up:
                reader.close()
                del self._readers[part]
        if time.monotonic() - self._progress > _SILENCE_SECONDS:
            waiting = ", ".join(self._readers)
            raise TransientError(f"Kafka has sent nothing of {waiting} for {_SILENCE_SECONDS:.0f} s; is it up?")
        return blocks

    def close(self) -> None:
        """Stop reading."""
        for reader in self._readers.values():
            reader.close()
        self._readers.clear()
