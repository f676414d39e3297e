"""A transactional producer through confluent-kafka's own: a Python call for each record.

It is what runs where librdkafka's C interface cannot be loaded.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from confluent_kafka import KafkaException, Producer

from connectors.kafka.config import KafkaConfig
from connectors.kafka.errors import error_from
from connectors.kafka.logs import LOGGER
from connectors.kafka.output import OutputBatch

_ROOM_SECONDS = 0.05


class MessageProducer:
    """See `writer.TransactionalClient`."""

    def __init__(self, config: KafkaConfig, transactional_id: str) -> None:
        self._place = f"writer {transactional_id}"
        self._producer = Producer({**config.producer(), "transactional.id": transactional_id}, logger=LOGGER)

    def init(self, seconds: float) -> None:
        """Take the id."""
        with self._errors():
            # a client that asks for its coordinator before it knows a broker asks again after half a second only
            self._producer.list_topics(timeout=seconds)
            self._producer.init_transactions(seconds)

    def begin(self) -> None:
        """Begin a transaction."""
        with self._errors():
            self._producer.begin_transaction()

    def produce(self, batch: OutputBatch) -> None:
        """Queue all records."""
        produce, topic = self._producer.produce, batch.topic
        timestamps = [0] * len(batch) if batch.timestamps_ms is None else batch.timestamps_ms.tolist()  # 0 is now
        places = batch.partitions.tolist()
        columns = zip(batch.values, batch.keys, places, batch.record_headers(), timestamps, strict=True)
        with self._errors():
            for value, key, partition, headers, timestamp in columns:
                while True:
                    try:
                        produce(topic, value, key, partition, timestamp=timestamp, headers=headers)
                        break
                    except BufferError:  # the client's queue is full: let it send
                        self._producer.poll(_ROOM_SECONDS)

    def commit(self, seconds: float) -> None:
        """Send what is queued and commit."""
        with self._errors():
            self._producer.commit_transaction(seconds)

    def abort(self, seconds: float) -> None:
        """Give the transaction up."""
        with self._errors():
            self._producer.abort_transaction(seconds)

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except KafkaException as error:
            raise error_from(self._place, error) from error
