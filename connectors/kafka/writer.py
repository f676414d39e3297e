"""Writer: publishes batches, each call one transaction, and fences whoever held its transactional id before."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Sequence

from confluent_kafka import KafkaException, Producer

from connectors.kafka.config import KafkaConfig
from connectors.kafka.errors import error_from
from connectors.kafka.logs import LOGGER
from connectors.kafka.output import OutputBatch
from schemas.errors import SignalboxError

_INIT_SECONDS = 60.0
_COMMIT_SECONDS = 30.0
_ABORT_SECONDS = 5.0
_ROOM_SECONDS = 0.05


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
        self._producer = Producer({**config.producer(), "transactional.id": transactional_id}, logger=LOGGER)
        try:
            # a client that asks for its coordinator before it knows a broker asks again after half a second only
            self._producer.list_topics(timeout=_INIT_SECONDS)
            self._producer.init_transactions(_INIT_SECONDS)
        except KafkaException as error:
            raise self._error(error) from error

    def publish(self, batches: Sequence[OutputBatch]) -> None:
        """Publish all records of some batches in one transaction, and commit it.

        The order of records within a partition is kept. There are no delivery reports: a commit fails if any record was
        not delivered.

        Raises:
            TransientError: Not everything was delivered; nothing of it is visible. The writer must not be used again.
            TerminalError: Another process has taken over, or a record is larger than its topic takes.
        """
        try:
            self._producer.begin_transaction()
            for batch in batches:
                self._produce(batch)
            self._producer.commit_transaction(_COMMIT_SECONDS)
        except KafkaException as error:
            with contextlib.suppress(KafkaException):
                self._producer.abort_transaction(_ABORT_SECONDS)
            raise self._error(error) from error

    def _produce(self, batch: OutputBatch) -> None:
        produce, topic = self._producer.produce, batch.topic
        columns = zip(batch.values, batch.keys, batch.partitions.tolist(), batch.record_headers(), strict=True)
        for value, key, partition, headers in columns:
            while True:
                try:
                    produce(topic, value, key, partition, headers=headers)
                    break
                except BufferError:  # the client's queue is full: let it send
                    self._producer.poll(_ROOM_SECONDS)

    def _error(self, cause: KafkaException) -> SignalboxError:
        return error_from(f"writer {self.transactional_id}", cause)


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
