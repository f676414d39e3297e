"""Writer: publishes batches, each call one transaction, and fences whoever held its transactional id before."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Sequence
from typing import Protocol

from connectors.kafka.config import KafkaConfig
from connectors.kafka.logs import LOGGER
from connectors.kafka.output import OutputBatch
from schemas.errors import SignalboxError

_INIT_SECONDS = 60.0
_COMMIT_SECONDS = 30.0
_ABORT_SECONDS = 5.0


class TransactionalClient(Protocol):
    """A producer with a transactional id. Every call raises `SignalboxError`; the client's own errors stay inside."""

    def init(self, seconds: float) -> None:
        """Take the id: fence every older holder."""
        ...

    def begin(self) -> None: ...  # noqa: D102
    def produce(self, batch: OutputBatch) -> None:
        """Queue all records of a batch; waits while the queue is full."""
        ...

    def commit(self, seconds: float) -> None: ...  # noqa: D102
    def abort(self, seconds: float) -> None: ...  # noqa: D102


class Writer:
    """A transactional producer.

    Making one fences every older holder of the id: a transaction that it had open is aborted, and whatever it tries
    later is refused. After that nothing can land in this writer's partitions except through it.

    Args:
        config: How to reach Kafka.
        transactional_id: `flow/sink/writer`.

    Raises:
        TransientError: Kafka does not answer.
        TerminalError: This user may not use the id.
    """

    def __init__(self, config: KafkaConfig, transactional_id: str) -> None:
        self.transactional_id = transactional_id
        self._client = open_producer(config, transactional_id)
        self._client.init(_INIT_SECONDS)

    def publish(self, batches: Sequence[OutputBatch]) -> None:
        """Publish all records of some batches in one transaction, and commit it.

        The order of records within a partition is kept. There are no delivery reports: a commit fails if any record was
        not delivered.

        Raises:
            TransientError: Not everything was delivered; nothing of it is visible. The writer must not be used again.
            TerminalError: Another process has taken over, or a record is larger than its topic takes.
        """
        try:
            self._client.begin()
            for batch in batches:
                self._client.produce(batch)
            self._client.commit(_COMMIT_SECONDS)
        except SignalboxError:
            with contextlib.suppress(SignalboxError):
                self._client.abort(_ABORT_SECONDS)
            raise


def open_producer(config: KafkaConfig, transactional_id: str) -> TransactionalClient:
    """The fastest producer that this machine can load; both publish the same (tests/contract/test_kafka_sink.py)."""
    try:
        from connectors.kafka.block_producer import BlockProducer
    except (ImportError, OSError, RuntimeError) as error:  # no such library here, or numba cannot compile
        LOGGER.warning("Kafka is written message by message, at a fifth of the speed: %s", error)
    else:
        return BlockProducer(config, transactional_id)
    from connectors.kafka.message_producer import MessageProducer

    return MessageProducer(config, transactional_id)


_handed_over: dict[tuple[str, str], Writer] = {}
_hands = threading.Lock()


def hand_over(config: KafkaConfig, writer: Writer) -> None:
    """Leave a writer for the sink of this process.

    Had the sink to make its own, it would fence as well: then a process that is being replaced, and has not written
    yet, could still take the id back after its successor has read what was published.
    """
    with _hands:
        _handed_over[config.brokers, writer.transactional_id] = writer


def take_over(config: KafkaConfig, transactional_id: str) -> Writer:
    """The writer that was left for this id in this process, else a new one."""
    with _hands:
        writer = _handed_over.pop((config.brokers, transactional_id), None)
    return writer or Writer(config, transactional_id)
