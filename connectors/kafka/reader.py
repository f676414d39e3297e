"""What reads one partition: through librdkafka's C interface where it can be loaded, else through `consume()`."""

from __future__ import annotations

import contextlib
import logging
from typing import Protocol

from connectors.kafka.config import KafkaConfig
from schemas.blocks import RecordBlock

BEGINNING = -2
"""librdkafka's logical offset of the earliest record there is (RD_KAFKA_OFFSET_BEGINNING)."""

_log = logging.getLogger(__name__)


class Reader(Protocol):
    """Reads one partition, block by block."""

    def read(self, timeout_ms: int = 0) -> RecordBlock:
        """Whatever has arrived, at most `block_rows` records.

        Args:
            timeout_ms: How long to wait for a full block; 0 takes what is there.

        Returns:
            A block, empty if nothing came. It is `caught_up` when it reaches the end that was known when the call
            began: under steady load a later end is known by the time the call returns.

        Raises:
            TransientError: Kafka cannot be read now.
            TerminalError: The offset or the topic is gone, or this user may not read it.
        """
        ...

    def waiting(self) -> bool:
        """Whether a read may bring anything new; costs much less than an empty one."""
        ...

    def end(self) -> int:
        """The offset behind the partition's last record as the last fetch saw it, -1 if none has; asks nobody."""
        ...

    def close(self) -> None:
        """Stop fetching. May be called twice."""
        ...


class Client(Protocol):
    """Makes readers that share one connection to the brokers."""

    def reader(self, topic: str, partition: int, offset: int, block_rows: int) -> Reader:
        """Start to read `topic[partition]` at `offset` (or `BEGINNING`)."""
        ...


def open_client(config: KafkaConfig) -> Client:
    """The fastest client that this machine can load.

    Reading in blocks costs a quarter of `consume()`, which makes a Python object per message; both give the same
    blocks, byte for byte (tests/contract/test_kafka_source.py).
    """
    try:
        from connectors.kafka.block_reader import BlockClient
    except (ImportError, OSError, RuntimeError) as error:  # no such library here, or numba cannot compile
        _log.warning("Kafka is read message by message, at a quarter of the speed: %s", error)
    else:
        return BlockClient(config)
    from connectors.kafka.consume_reader import ConsumeClient

    return ConsumeClient(config)


def warm_up() -> None:
    """Compile what the fastest client needs compiled; nothing where it cannot be loaded."""
    with contextlib.suppress(ImportError, OSError, RuntimeError):
        from connectors.kafka import kernels

        kernels.warm_up()
