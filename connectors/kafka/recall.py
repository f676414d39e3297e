"""Recall: reads what a writer has published, from given offsets to the end."""

from __future__ import annotations

import time
from collections.abc import Mapping

from connectors.kafka.admin import Origin, admin_client, beginnings, partition_counts, stable_ends
from connectors.kafka.config import KafkaConfig
from connectors.kafka.reader import Reader, open_client
from schemas.blocks import RecordBlock
from schemas.errors import TransientError

_BLOCK_ROWS = 10_000
_SILENCE_SECONDS = 60.0


def transactional_id(flow: str, sink: str, writer: int) -> str:
    """A writer's transactional id. A persisted format: another one would fence nobody."""
    return f"{flow}/{sink}/{writer}"


def own_partitions(config: KafkaConfig, topics: tuple[str, ...], writer: int, writers: int) -> list[Origin]:
    """The partitions a writer owns: number `p` of every topic belongs to writer `p % writers`.

    Raises:
        TransientError: Kafka does not answer.
        TerminalError: A topic does not exist.
    """
    counts = partition_counts(config, topics)
    return [(topic, partition) for topic, count in counts.items() for partition in range(writer, count, writers)]


class Recall:
    """Reads partitions to the ends they have when it is made, a block at a time.

    The writer that owns them must be fenced before: then nothing lands behind those ends but through its successor.
    Partitions that hold nothing beyond where they are to be read from cost no more than the question.

    Args:
        config: How to reach Kafka.
        origins: Topics and partition numbers.
        offsets: Where to begin, by `topic/partition`; at the earliest record where nothing is given.

    Raises:
        TransientError: Kafka does not answer.
        TerminalError: A partition does not exist.
    """

    def __init__(self, config: KafkaConfig, origins: list[Origin], offsets: Mapping[str, int]) -> None:
        self.next_offsets: dict[str, int] = {}
        """Where to read on, by `topic/partition`; those that have not been reached yet are as they were given."""
        admin = admin_client(config)
        self._ends = {_part(origin): end for origin, end in stable_ends(admin, origins).items()}
        first = beginnings(admin, [origin for origin in origins if _part(origin) not in offsets])
        for origin in origins:
            part = _part(origin)
            self.next_offsets[part] = offsets[part] if part in offsets else first[origin]
        waiting = [origin for origin in origins if self.next_offsets[_part(origin)] != self._ends[_part(origin)]]
        self._readers: dict[str, Reader] = {}
        if waiting:
            client = open_client(config)
            for topic, partition in waiting:
                part = _part((topic, partition))
                self._readers[part] = client.reader(topic, partition, self.next_offsets[part], _BLOCK_ROWS)
        self._progress = time.monotonic()

    @property
    def finished(self) -> bool:
        """Every partition has been read to its end."""
        return not self._readers

    def read(self, timeout_ms: int = 0) -> list[RecordBlock]:
        """What has arrived, at most one block of each partition.

        Args:
            timeout_ms: How long to wait for more; 0 takes what is there.

        Raises:
            TransientError: Kafka has sent nothing for a minute, or cannot be read.
            TerminalError: An offset or a topic is gone.
        """
        blocks = []
        for part, reader in list(self._readers.items()):
            block = reader.read(timeout_ms)
            timeout_ms = 0  # all of them are fetched while we wait for the first
            if len(block):
                blocks.append(block)
            if len(block) or block.caught_up:
                self._progress = time.monotonic()
                self.next_offsets[part] = block.next_offset
            if block.caught_up or block.next_offset == self._ends[part]:
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


def _part(origin: Origin) -> str:
    return f"{origin[0]}/{origin[1]}"
