"""The records a workload is made of, and the partition each belongs to."""

from __future__ import annotations

import zlib
from typing import NamedTuple

Headers = tuple[tuple[str, bytes], ...]


class GeneratedRecord(NamedTuple):
    """One Kafka record, ready to be produced."""

    topic: str
    partition: int
    key: bytes | None
    value: bytes | None
    headers: Headers
    timestamp_ms: int


class Draft(NamedTuple):
    """A record on its way to a partition.

    Attributes:
        arrival_us: When it reaches Kafka, microseconds since the start of the run (negative before it).
        topic: Where it goes.
        key: Decides the partition.
        value: None for a tombstone.
        headers: Kafka headers.
        kind: What the manifest counts it as, such as "raised" or "move".
        mark: "", "late", "duplicate" or "poison".
    """

    arrival_us: int
    topic: str
    key: bytes | None
    value: bytes | None
    headers: Headers
    kind: str
    mark: str


def partition_of(key: bytes | None, count: int) -> int:
    """The partition of a key, by CRC-32 as librdkafka's consistent partitioner does; 0 for no key."""
    return zlib.crc32(key) % count if key else 0
